package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

// An act of the life cycle goes: look up what it is about -> allow -> the version, where one was named -> package desk. A dry
// run goes the same way and stops at the point where it would be saved: the rules have run on what is stored, and the
// answer tells what would have become of it.

// Because is why an operator acts; both stand in the audit.
type Because struct {
	Reason    string `json:"reason,omitempty" maxLength:"200" doc:"in the operator's words; it stands in the audit"`
	Reference string `json:"reference,omitempty" maxLength:"100" doc:"of the paper or ticket"`
}

// Dry is the part of a call that may be tried first.
type Dry struct {
	DryRun bool `query:"dry_run" doc:"tell what would change and change nothing"`
}

// Effect is one thing that an act changed, or would change.
type Effect struct {
	What    string `json:"what" doc:"assignment, token, expiry or pin"`
	User    string `json:"user,omitempty"`
	Account string `json:"account,omitempty"`
	Token   string `json:"token,omitempty" doc:"serial, else ID"`
	Before  string `json:"before"`
	After   string `json:"after"`
}

// whos are the roles as the rules of the life cycle know them.
var whos = map[operator.Role]life.Who{operator.Helpdesk: life.ByHelpDesk, operator.Admin: life.ByAdmin, operator.Master: life.ByMaster}

// actor is the caller as the desk knows them.
func (s *Server) actor(ctx context.Context, b Because) desk.Actor {
	act := s.act(ctx)
	return desk.Actor{By: whos[PrincipalOf(ctx).Role], Account: s.ownAccount(ctx), Name: act.Actor, Second: secondOf(ctx), Reason: b.Reason, Reference: b.Reference}
}

// deed is one act on its way.
type deed struct {
	right  operator.Right
	people []authn.Owner
	count  int // how many are changed, where that is more than the people
	dry    bool
	why    Because
	hide   *Problem // what a target gets that is outside the caller's scope: the answer to a name that nobody has
}

// errDry ends a dry run where it would be saved.
var errDry = errors.New("a dry run ends here")

// do asks whether the caller may, and lets the desk act, for real or dry. The caller holds acts.
func (s *Server) do(ctx context.Context, d deed, f func(*desk.Desk, desk.Actor) (desk.Done, error)) (*Done, error) {
	right, target := d.right, s.target(ctx, d.people...)
	target.Count = max(target.Count, d.count)
	if d.dry {
		right = operator.ReadTokens // it tells what reading tells
	}
	if p := s.allow(ctx, right, target); p != nil {
		if d.hide != nil {
			p = hidden(p, d.hide)
		}
		return nil, p
	}
	actor := s.actor(ctx, d.why)
	if d.dry {
		return s.rehearse(actor, f)
	}
	done, err := f(s.Desk, actor)
	if err != nil {
		return nil, s.problem(err)
	}
	return &Done{Seq: done.Seq, Detail: detailOf(done.Steps), OnlyRegister: done.OnlyRegister}, nil
}

// detailOf is where an act left what it was about: the assignment, else the token, else whatever it
// was.
func detailOf(steps []life.Step) (detail string) {
	for _, kind := range []life.Kind{life.TokenKind, life.HoldKind} {
		for _, st := range steps {
			if st.Kind == kind {
				detail = string(st.To)
			}
		}
	}
	if detail == "" && len(steps) > 0 {
		detail = string(steps[len(steps)-1].To)
	}
	return detail
}

// rehearse runs an act up to where it would be saved.
func (s *Server) rehearse(a desk.Actor, f func(*desk.Desk, desk.Actor) (desk.Done, error)) (*Done, error) {
	out := &Done{DryRun: true, Effects: []Effect{}}
	if a.Second == "" {
		a.Second = "-" // the second person is asked for when it is done
	}
	dry := *s.Desk
	dry.Forget, dry.Wake = nil, nil
	dry.Store = dryStore{s.Desk.Store, func(h *authn.Held, c *authn.Change) { out.Effects = effects(h, c) }}
	if _, err := f(&dry, a); err != nil && !errors.Is(err, errDry) {
		return nil, s.problem(err)
	}
	for _, e := range out.Effects {
		if e.What == "assignment" && e.After == token.Revoked.String() {
			out.RegisterFrom = moment(s.Desk.Due())
			out.Detail = e.After
		}
	}
	return out, nil
}

// dryStore shows what would be saved and saves nothing.
type dryStore struct {
	desk.Store
	see func(*authn.Held, *authn.Change)
}

// Update runs f and abandons what it orders.
func (d dryStore) Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	return d.Store.Update(keys, func(h *authn.Held) (authn.Change, error) {
		c, err := f(h)
		if err != nil {
			return c, err
		}
		d.see(h, &c)
		return authn.Change{}, errDry
	}, done)
}

// effects tells before and after of a change.
func effects(h *authn.Held, c *authn.Change) []Effect {
	all := []Effect{}
	name := func(id token.ID) string {
		for _, list := range [][]*token.Token{h.Tokens, c.Tokens} {
			for _, t := range list {
				if t.ID == id {
					return label(t)
				}
			}
		}
		return id.String()
	}
	for _, a := range c.Accounts {
		old := &authn.Account{}
		for _, was := range h.Accounts {
			if was != nil && was.ID == a.ID {
				old = was
			}
		}
		user, account := authn.Shown([]byte(a.Name)), a.ID.String()
		for i := range a.Assignments {
			now, before := &a.Assignments[i], string(life.None)
			if was := old.Assignment(now.Token); was != nil {
				before = was.Standing.String()
			}
			if after := now.Standing.String(); after != before {
				all = append(all, Effect{"assignment", user, account, name(now.Token), before, after})
			}
		}
		if before, after := pinWord(old), pinWord(a); before != after {
			all = append(all, Effect{"pin", user, account, "", before, after})
		}
	}
	for _, t := range c.Tokens {
		i := slices.IndexFunc(h.Tokens, func(was *token.Token) bool { return was.ID == t.ID })
		if i < 0 {
			all = append(all, Effect{"token", "", "", label(t), string(life.None), t.State.String()})
			continue
		}
		was := h.Tokens[i]
		if was.State != t.State {
			all = append(all, Effect{"token", "", "", label(t), was.State.String(), t.State.String()})
		}
		if was.Expiry != t.Expiry {
			all = append(all, Effect{"expiry", "", "", label(t), instant(was.Expiry), instant(t.Expiry)})
		}
	}
	return all
}

func pinWord(a *authn.Account) string {
	if a.PIN.IsZero() {
		return "none"
	}
	return "set"
}

// lifeProblem makes a problem of a refusal of the rules.
func lifeProblem(r *life.Refusal) *Problem {
	status := http.StatusConflict
	switch r.Code {
	case life.NotFound, life.NoSuchToken:
		status = http.StatusNotFound
	case life.NotAllowed, life.OnOperator:
		status = http.StatusForbidden
	case life.ReasonNeeded, life.CodeForm, life.EqualCodes:
		status = http.StatusUnprocessableEntity
	case life.TriesUsed, life.ResendUsed, life.RequestLimit:
		status = http.StatusTooManyRequests
	}
	p := newProblem(status, string(r.Code), r.English())
	p.SentenceJA, p.From = r.Japanese(), moment(r.From)
	return p
}

// account is the account of an owner, made where there is none yet.
func (s *Server) account(ctx context.Context, o authn.Owner) (authn.AccountID, error) {
	_, err := s.Store.Account(o.Account)
	if errors.Is(err, authn.ErrNotFound) && o.User != nil {
		return s.Desk.Open(ctx, o.User)
	}
	return o.Account, err
}

// existing is the account of an owner who has one.
func (s *Server) existing(o authn.Owner, name string) (authn.AccountID, error) {
	_, err := s.Store.Account(o.Account)
	if errors.Is(err, authn.ErrNotFound) {
		return 0, newProblem(http.StatusConflict, "no-account", fmt.Sprintf(wordNoAccount, quoted(name)))
	}
	return o.Account, err
}

func unknownUser(name string) *Problem {
	return newProblem(http.StatusNotFound, "unknown-user", wordUnknownUser(name))
}

func unknownToken(name string) *Problem {
	return newProblem(http.StatusNotFound, "unknown-token", wordUnknownToken(name))
}

// parseWhen reads an optional instant.
func parseWhen(where, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, newProblem(http.StatusUnprocessableEntity, "bad-input", wordBadInstant, Place{"body." + where, "want an instant such as 2027-01-31T18:00:00+09:00"})
	}
	return t, nil
}
