package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// Session is one sign-in as lists show it.
type Session struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Door  string    `json:"door" doc:"password, oidc or link"`
	From  string    `json:"from" doc:"address"`
	Agent string    `json:"agent,omitempty"`
	Begun time.Time `json:"begun"`
	Seen  time.Time `json:"seen"`
	Ends  time.Time `json:"ends"`
	This  bool      `json:"this,omitempty" doc:"the one that asks"`
}

// listSessions is GET /api/v1/sessions: the caller's own, or all of them for a master.
func (s *Server) listSessions(ctx context.Context, in *struct {
	All   bool   `query:"all" doc:"everybody's; for masters"`
	After string `query:"after" maxLength:"20" doc:"id of the last one of the page before"`
}) (*struct {
	Body struct {
		Sessions []Session `json:"sessions"`
		Next     string    `json:"next,omitempty"`
	}
}, error) {
	c := callerOf(ctx)
	q := authn.RecordQuery{Kind: authn.SessionRecord, Account: c.account, Limit: 1000}
	if in.All || c.account == 0 {
		if !c.may(operator.Operators) {
			return nil, answerProblem(operator.NoRight, operator.Operators, c.Principal)
		}
		q.Account = 0
	}
	if in.After != "" {
		id, err := token.ParseID(in.After)
		if err != nil {
			return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", capital(err.Error()))
		}
		q.After = uint64(id)
	}
	all, err := s.Store.Records(q)
	if err != nil {
		return nil, s.problem(err)
	}
	out := &struct {
		Body struct {
			Sessions []Session `json:"sessions"`
			Next     string    `json:"next,omitempty"`
		}
	}{}
	out.Body.Sessions = []Session{}
	for _, r := range all {
		d, err := unpack[sessionData](r)
		if err != nil || !s.Now().Before(d.ends()) {
			continue
		}
		out.Body.Sessions = append(out.Body.Sessions, Session{ID: token.ID(r.ID).String(), Name: d.Name, Door: d.Door.String(), From: d.From,
			Agent: authn.Shown([]byte(d.Agent)), Begun: d.Begun, Seen: d.Seen, Ends: d.ends(), This: r.ID == c.session})
	}
	if len(all) == q.Limit {
		out.Body.Next = token.ID(all[len(all)-1].ID).String()
	}
	return out, nil
}

// endSession is DELETE /api/v1/sessions/{session}, of one's own, or of anybody's for a master.
func (s *Server) endSession(ctx context.Context, in *struct {
	Session string `path:"session" maxLength:"20"`
}) (*struct{}, error) {
	c := callerOf(ctx)
	id, _ := token.ParseID(in.Session)
	key := authn.RecordKey{Kind: authn.SessionRecord, ID: uint64(id)}
	unknown := newProblem(http.StatusNotFound, operator.NotFound.String(), wordNotFound)
	rec, err := s.Store.Record(key)
	if id == 0 || errors.Is(err, authn.ErrNotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, s.problem(err)
	}
	if (c.account == 0 || rec.Account != c.account) && !c.may(operator.Operators) {
		return nil, unknown
	}
	act := authn.Act{Actor: c.Name, Now: s.Now()}
	err = s.save(authn.Keys{Records: []authn.RecordKey{key}}, func(h *authn.Held) (authn.Change, error) {
		if h.Records[0] == nil {
			return authn.Change{}, unknown
		}
		change := act.Note("session.end", "")
		change.Event.Account, change.Gone = rec.Account, []authn.RecordKey{key}
		return change, nil
	})
	if err != nil {
		return nil, s.problem(err)
	}
	return nil, nil //nolint:nilnil // no content
}
