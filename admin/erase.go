package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sekisho/authn"
	"sekisho/operator"
)

// Erasure is what an erasure has overwritten.
type Erasure struct {
	Events   int `json:"events" doc:"events that name nobody any more"`
	Sessions int `json:"sessions" doc:"accounting records that name nobody any more"`
}

// EraseLine is one line of the answer; one field is set. Erased or Problem is the last line's.
type EraseLine struct {
	Progress *ImportProgress `json:"progress,omitempty"`
	Erased   *Erasure        `json:"erased,omitempty"`
	Problem  *Problem        `json:"problem,omitempty"`
}

type eraseInput struct {
	User string `path:"user" maxLength:"253" doc:"any spelling the directory knows, an account ID, or a name that was typed and is nobody's"`
	Body struct {
		Names  []string `json:"names,omitempty" maxItems:"100" doc:"further spellings that were typed for this person"`
		Reason string   `json:"reason" minLength:"1" maxLength:"200" doc:"why; it stands in the audit, so name nobody in it"`
	}
}

func (s *Server) eraseRoute(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "erase-user", Method: http.MethodPost, Path: "/api/v1/users/{user}/erase",
		Summary: "Overwrite names, addresses and stations of a person in the audit; the events stay",
		Responses: map[string]*huma.Response{"200": {Description: "lines of JSON: {progress} while it goes on, then {erased} or {problem}",
			Content: map[string]*huma.MediaType{"application/x-ndjson": {}}}},
	}, func(ctx context.Context, in *eraseInput) (*huma.StreamResponse, error) {
		account, names, p := s.whomToErase(ctx, in)
		if p != nil {
			return nil, p
		}
		act := s.act(ctx)
		by := &authn.Event{At: act.Now, Kind: authn.ActEvent, Account: account, Actor: act.Actor, Detail: in.Body.Reason}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			_, w := humago.Unwrap(c)
			s.erase(ctx, w, account, names, by)
		}}, nil
	})
}

// whomToErase finds the account, which may be none, and the names. The right to erase has been asked for.
func (s *Server) whomToErase(ctx context.Context, in *eraseInput) (authn.AccountID, [][]byte, error) {
	who := s.ask(ctx, in.User)
	names := [][]byte{[]byte(in.User)}
	for _, n := range in.Body.Names {
		names = append(names, []byte(n))
	}
	o, err := s.owner(who)
	var p *Problem
	if errors.As(err, &p) && p.Code == "unknown-user" {
		// Whoever never had an account has left names all the same.
		if p := s.allow(ctx, operator.Erase, operator.Target{}); p != nil {
			return 0, nil, p
		}
		return 0, names, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if p := s.allowUser(ctx, operator.Erase, in.User, o); p != nil {
		return 0, nil, p
	}
	if o.User != nil {
		names = append(names, []byte(o.User.Name), who.reading.Name)
	}
	if _, err := s.Store.Account(o.Account); errors.Is(err, authn.ErrNotFound) {
		return 0, names, nil // known to the directory alone
	}
	return o.Account, names, nil
}

func (s *Server) erase(ctx context.Context, w http.ResponseWriter, account authn.AccountID, names [][]byte, by *authn.Event) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, out := json.NewEncoder(w), http.NewResponseController(w)
	enc.SetEscapeHTML(false)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.Stopping: // nil never comes
			cancel()
		case <-ctx.Done():
		}
	}()
	var last time.Time
	done, err := s.Store.Erase(ctx, account, names, by, func(done, total uint64) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			_ = enc.Encode(EraseLine{Progress: &ImportProgress{Stage: "erasing", Done: int(done), Of: int(total)}}) // whoever is gone shows by ctx
			_ = out.Flush()
		}
	})
	line := EraseLine{Erased: &done}
	var p *Problem
	if err != nil && !errors.As(s.problem(err), &p) {
		p = newProblem(http.StatusInternalServerError, "fault", wordFault)
	}
	if p != nil {
		line = EraseLine{Problem: p}
	} else {
		by.Act = "user.erase"
		s.logAct(by)
	}
	_ = enc.Encode(line)
}
