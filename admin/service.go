package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/token"
)

func (s *Server) serviceRoutes(api huma.API) {
	huma.Get(api, "/api/v1/health", func(context.Context, *struct{}) (*struct{ Body Health }, error) {
		return &struct{ Body Health }{s.Health()}, nil
	})
	huma.Get(api, "/api/v1/clients", s.listClients)
	huma.Get(api, "/api/v1/clients/{client}", s.showClient)
	huma.Post(api, "/api/v1/clients/{client}/release-ma", s.releaseMA)
	huma.Post(api, "/api/v1/clock/accept", s.acceptClock)
	huma.Post(api, "/api/v1/config/reload", s.reloadConfig)
}

func (s *Server) showClient(_ context.Context, in *struct {
	Client string `path:"client" maxLength:"253"`
}) (*struct{ Body ClientDetail }, error) {
	c, known := s.Clients.Client(in.Client)
	if !known {
		return nil, newProblem(http.StatusNotFound, "unknown-client", wordUnknownClient(in.Client))
	}
	return &struct{ Body ClientDetail }{c}, nil
}

func (s *Server) releaseMA(ctx context.Context, in *struct {
	Client string `path:"client" maxLength:"253"`
}) (*doneReply, error) {
	s.acts.Lock()
	defer s.acts.Unlock()
	act := s.act(ctx)
	event := act.Note("client.release-ma", in.Client).Event
	known, err := s.Clients.ReleaseMA(ctx, in.Client, event)
	switch {
	case !known:
		return nil, newProblem(http.StatusNotFound, "unknown-client", wordUnknownClient(in.Client))
	case errors.Is(err, authn.ErrNotFound):
		return nil, newProblem(http.StatusConflict, "not-ratcheted", wordNotRatcheted(in.Client))
	case err != nil:
		return nil, s.problem(err)
	}
	s.logAct(event)
	return done(event, nil)
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

// logins streams events as JSON, one in each line, oldest first; or it answers as every list does, the newest first, where
// one asks so. It stands beside huma, which answers in one piece.
func (s *Server) logins(w http.ResponseWriter, r *http.Request) {
	if wantsPage(r) {
		s.pageLogins(w, r)
		return
	}
	q, follow, problem := s.loginQuery(r)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	seq := s.Store.Seq()
	if r.URL.Query().Get("all") == "true" {
		s.streamLogins(w, r, q.picks, 0, seq, follow)
		return
	}
	if q.Before == 0 {
		q.Before = seq + 1
	}
	events, err := s.Store.Logins(r.Context(), q)
	if err != nil {
		s.Log.Error("reading events", "error", err)
		writeProblem(w, newProblem(http.StatusInternalServerError, "fault", wordEventsFailed))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	seen := s.scoped(r.Context())
	for _, e := range slices.Backward(events) {
		if seen(e.Account) && enc.Encode(viewEvent(&e)) != nil {
			return
		}
	}
	if follow {
		s.streamLogins(w, r, q.picks, seq, seq, true)
	}
}

// streamLogins writes the events after a number as they stand in the chain, up to one that exists already or, with follow,
// as long as the asker stays; those that picks wants and the asker's scope covers.
func (s *Server) streamLogins(w http.ResponseWriter, r *http.Request, picks func(*authn.Event) bool, after, upTo uint64, follow bool) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	out := http.NewResponseController(w)
	if out.Flush() != nil || after >= upTo && !follow {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if s.Stopping != nil {
		go func() {
			select {
			case <-s.Stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	seen := s.scoped(ctx)
	for e, err := range s.Store.Follow(ctx, after) {
		if err != nil {
			s.Log.Error("following events", "error", err)
			return
		}
		if picks(&e) && seen(e.Account) && enc.Encode(viewEvent(&e)) != nil {
			return
		}
		if e.Seq >= upTo && (!follow || out.Flush() != nil) {
			return
		}
	}
}

// scoped is sees, asked once for each account of one answer.
func (s *Server) scoped(ctx context.Context) func(authn.AccountID) bool {
	if c := callerOf(ctx); c != nil && c.Scope.All() {
		return func(authn.AccountID) bool { return true }
	}
	known := map[authn.AccountID]bool{}
	return func(id authn.AccountID) bool {
		sees, asked := known[id]
		if !asked {
			sees = s.sees(ctx, id)
			known[id] = sees
		}
		return sees
	}
}

// maxLogins is how many events one listing may ask for.
const maxLogins = 1000

// loginQuery reads the filters of a listing of logins.
func (s *Server) loginQuery(r *http.Request) (q LoginQuery, follow bool, p *Problem) {
	v := r.URL.Query()
	bad := func(where, problem string) *Problem {
		return newProblem(http.StatusUnprocessableEntity, "bad-input", "The filter "+where+" "+problem+".", Place{where, problem})
	}
	q.Client = v.Get("client")
	q.Limit = 50
	follow = v.Get("follow") == "true"
	q.Acts = v.Get("acts") == "true"
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLogins {
			return q, follow, bad("limit", "has to be a number from 1 to 1000")
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
	if text := v.Get("before"); text != "" {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || n == 0 {
			return q, follow, bad("before", "has to be the number of an event")
		}
		q.Before = n
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
		if p := s.ask(r.Context(), name); p.err == nil {
			q.Account = s.Store.AccountOf(p.user.Directory, p.user.ID)
		}
		if id, err := token.ParseID(name); q.Account == 0 && err == nil {
			if a, err := s.Store.Account(authn.AccountID(id)); err == nil {
				q.Account = a.ID
			}
		}
		if q.Account == 0 {
			q.Name = []byte(name)
		}
	}
	return q, follow, nil
}
