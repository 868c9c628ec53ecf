package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
)

func (s *Server) serviceRoutes(api huma.API) {
	huma.Get(api, "/api/v1/health", func(context.Context, *struct{}) (*struct{ Body Health }, error) {
		return &struct{ Body Health }{s.Health()}, nil
	})
	huma.Get(api, "/api/v1/clients", func(context.Context, *struct{}) (*struct {
		Body struct {
			Clients []Client `json:"clients"`
		}
	}, error) {
		out := &struct {
			Body struct {
				Clients []Client `json:"clients"`
			}
		}{}
		out.Body.Clients = append([]Client{}, s.Clients.Clients()...)
		return out, nil
	})
	huma.Post(api, "/api/v1/clients/{client}/release-ma", s.releaseMA)
	huma.Post(api, "/api/v1/clock/accept", s.acceptClock)
}

func (s *Server) releaseMA(ctx context.Context, in *struct {
	Client string `path:"client" maxLength:"253"`
}) (*doneReply, error) {
	s.acts.Lock()
	defer s.acts.Unlock()
	known, released, err := s.Clients.ReleaseMA(in.Client)
	switch {
	case err != nil:
		return nil, s.problem(err)
	case !known:
		return nil, newProblem(http.StatusNotFound, "unknown-client", wordUnknownClient(in.Client))
	case !released:
		return nil, newProblem(http.StatusConflict, "not-ratcheted", wordNotRatcheted(in.Client))
	}
	return s.note(ctx, "client.release-ma", in.Client)
}

func (s *Server) acceptClock(ctx context.Context, _ *struct{}) (*doneReply, error) {
	s.acts.Lock()
	defer s.acts.Unlock()
	if !s.Clock.Doubt() {
		return nil, newProblem(http.StatusConflict, "clock-not-in-doubt", wordClockFine)
	}
	reply, err := s.note(ctx, "clock.accept", s.Now().UTC().Format(time.RFC3339))
	if err != nil {
		return nil, err
	}
	s.Clock.Accept()
	return reply, nil
}

func (s *Server) note(ctx context.Context, name, detail string) (*doneReply, error) {
	act := s.act(ctx)
	return done(s.apply(ctx, authn.Keys{}, simple(func(*authn.Held) (authn.Change, *authn.Refusal) {
		return act.Note(name, detail), nil
	})))
}

// followEvery is how often a follower is served.
const followEvery = 250 * time.Millisecond

// logins streams events as JSON, one in each line, oldest first. It stands beside huma, which answers in one piece.
func (s *Server) logins(w http.ResponseWriter, r *http.Request) {
	q, follow, err := s.loginQuery(r)
	if err != nil {
		writeProblem(w, err)
		return
	}
	events, failed := s.Store.Events(r.Context(), q)
	if failed != nil {
		s.Log.Error("reading events", "error", failed)
		writeProblem(w, newProblem(http.StatusInternalServerError, "fault", wordEventsFailed))
		return
	}
	if q.After == 0 {
		for i, j := 0, len(events)-1; i < j; i, j = i+1, j-1 {
			events[i], events[j] = events[j], events[i]
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(time.Time{})
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		for i := range events {
			q.After = events[i].Seq
			if enc.Encode(viewEvent(&events[i])) != nil {
				return
			}
		}
		if !follow || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
		q.Before, q.Limit = 0, authn.MaxEvents
		if events, failed = s.Store.Events(r.Context(), q); failed != nil {
			return
		}
	}
}

// loginQuery reads the filters of a listing of logins.
func (s *Server) loginQuery(r *http.Request) (q authn.EventQuery, follow bool, p *Problem) {
	v := r.URL.Query()
	bad := func(where, problem string) *Problem {
		return newProblem(http.StatusUnprocessableEntity, "bad-input", "The filter "+where+" "+problem+".", Place{where, problem})
	}
	q.Client = v.Get("client")
	q.Limit = 50
	follow = v.Get("follow") == "true"
	if v.Get("acts") != "true" {
		q.Kind = authn.LoginEvent
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > authn.MaxEvents {
			return q, follow, bad("limit", "has to be a number from 0 to 1000")
		}
		q.Limit = n
	}
	if text := v.Get("since"); text != "" {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return q, follow, bad("since", "has to be a moment as 2026-01-31T12:00:00Z")
		}
		q.Since = t
	}
	if text := v.Get("reason"); text != "" {
		for _, reason := range authn.Reasons() {
			if reason.String() == text {
				q.Reason = reason
			}
		}
		if q.Reason == 0 {
			return q, follow, newProblem(http.StatusUnprocessableEntity, "bad-input", wordUnknownReason(text))
		}
	}
	if name := v.Get("user"); name != "" {
		q.Name = []byte(name)
		if u, err := s.Directory.Lookup(r.Context(), q.Name); err == nil {
			q.Account = s.Store.AccountOf(u.Directory, u.ID)
		}
	}
	return q, follow, nil
}
