package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// What can be changed has a version: its ETag, as GET gives it. A change with If-Match is done only while the version still
// stands; else the answer is 412 with the thing as it is now. Acts go one at a time (acts), so that of two operators
// who looked at the same thing one is told.

// Matching is the part of a change that names the version it was decided on.
type Matching struct {
	IfMatch []string `header:"If-Match" doc:"ETag of what the change was decided on; * for whatever is there"`
}

// check refuses a change of what is another version by now.
func (m *Matching) check(current any) *Problem {
	tag := etag(current)
	if len(m.IfMatch) == 0 || slices.ContainsFunc(m.IfMatch, func(t string) bool { t = strings.TrimSpace(t); return t == tag || t == "*" }) {
		return nil
	}
	p := newProblem(http.StatusPreconditionFailed, "changed", wordStale)
	p.ETag, p.Current = tag, current
	return p
}

// etag is the version of a view.
func etag(view any) string {
	text, err := json.Marshal(view)
	if err != nil {
		return "" // views hold nothing that JSON cannot say
	}
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

// versioned is an answer with its version.
type versioned[B any] struct {
	ETag string `header:"ETag"`
	Body B
}

func withVersion[B any](view B) *versioned[B] { return &versioned[B]{etag(view), view} }
