package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/life"
)

// Problem is an error of the API (RFC 9457). Code is stable and for machines; Detail is one sentence and what to do.
type Problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	Code   string  `json:"code"`
	Errors []Place `json:"errors,omitempty" doc:"what is wrong where, all at once"`

	Approval      string `json:"approval,omitempty" doc:"of second-person: ask for this one, and make the call again with it in the header Approval"`
	ApprovalState string `json:"approval_state,omitempty" doc:"asked or agreed, where it was asked for already"`
	SentenceJA    string `json:"sentence_ja,omitempty" doc:"the detail in Japanese, where the rules of the life cycle refused"`
	From          string `json:"from,omitempty" doc:"from when the same will be allowed; RFC 3339"`

	ETag    string `json:"etag,omitempty" doc:"of what was changed meanwhile"`
	Current any    `json:"current,omitempty" doc:"that, as it is now"`

	Report *ImportReport `json:"report,omitempty" doc:"of an import that was refused: what the file holds"`
}

// Place is one fault of an input.
type Place struct {
	Where   string `json:"where" doc:"a field of the body, or line and field of a file"`
	Problem string `json:"problem"`
}

// Error gives the sentence.
func (p *Problem) Error() string { return p.Detail }

// GetStatus serves huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType serves huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func newProblem(status int, code, detail string, places ...Place) *Problem {
	return &Problem{Type: "urn:sekisho:" + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code, Errors: places}
}

// init gives the errors that huma makes itself (unknown fields, wrong types) the form of ours; it offers no other place.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := newProblem(status, codeOf(status), message)
		for _, err := range errs {
			var d *huma.ErrorDetail
			if errors.As(err, &d) {
				p.Errors = append(p.Errors, Place{d.Location, d.Message})
			} else if err != nil {
				p.Errors = append(p.Errors, Place{"", err.Error()})
			}
		}
		return p
	}
}

func codeOf(status int) string {
	switch status {
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return "bad-input"
	case http.StatusNotFound:
		return "not-found"
	case http.StatusRequestEntityTooLarge:
		return "too-large"
	case http.StatusUnsupportedMediaType, http.StatusNotAcceptable:
		return "media-type"
	}
	return "fault"
}

// problem is where every error becomes public text; the log keeps what it hides.
func (s *Server) problem(err error) error {
	var p *Problem
	var r *authn.Refusal
	var l *life.Refusal
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &r):
		return newProblem(http.StatusConflict, r.Code, r.Sentence)
	case errors.As(err, &l):
		return lifeProblem(l)
	case errors.Is(err, authn.ErrBusy):
		return newProblem(http.StatusServiceUnavailable, "busy", wordBusy)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusServiceUnavailable, "unknown-outcome", wordUnknownOutcome)
	}
	s.Log.Error("an act failed", "error", err)
	return newProblem(http.StatusInternalServerError, "not-saved", wordNotSaved)
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
