package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

func (s *Server) userActRoutes(api huma.API) {
	huma.Post(api, "/api/v1/users/{user}/temporary", s.giveTemporary)
	huma.Delete(api, "/api/v1/users/{user}/temporary", s.endTemporary)
	huma.Post(api, "/api/v1/users/{user}/first-login", s.giveFirstLogin)
	huma.Post(api, "/api/v1/users/{user}/pin/force", s.forcePIN)
	huma.Post(api, "/api/v1/users/{user}/pin/reset", s.resetPIN)
	huma.Post(api, "/api/v1/users/{user}/waive", s.waive)
	huma.Post(api, "/api/v1/users/{user}/undo", s.undoUser)
	huma.Post(api, "/api/v1/undo", s.undoMany)
}

// UserPath names a user in a path.
type UserPath struct {
	User string `path:"user" maxLength:"253" doc:"any spelling the directory knows, or an account ID"`
}

// onUser does an act on somebody who has an account, or gets one where may is set.
func (s *Server) onUser(ctx context.Context, u UserPath, m *Matching, d deed, makes bool, f func(*desk.Desk, desk.Actor, authn.AccountID) (desk.Done, error)) (*doneReply, error) {
	who := s.ask(ctx, u.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	find := s.owner
	if makes {
		find = s.newOwner
	}
	o, err := find(who)
	if err != nil {
		return nil, err
	}
	d.people, d.hide = []authn.Owner{o}, unknownUser(u.User)
	if m != nil && len(m.IfMatch) > 0 {
		v, err := s.viewUser(ctx, o)
		if err != nil {
			return nil, err
		}
		if p := m.check(v); p != nil {
			return nil, p
		}
	}
	return reply(s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		account, err := s.existing(o, u.User)
		if makes {
			account, err = s.account(ctx, o)
		}
		if err != nil {
			return desk.Done{}, err
		}
		return f(d, a, account)
	}))
}

// Temporary is a set of temporary codes; no operator ever sees one of them (P6).
type Temporary struct {
	Until string `json:"until" doc:"RFC 3339"`
	Codes int    `json:"codes"`
	Used  int    `json:"used"`
	By    string `json:"by,omitempty" doc:"who gave them"`
}

func (s *Server) giveTemporary(ctx context.Context, in *struct {
	UserPath
	Body struct {
		Because
		Until string `json:"until,omitempty" doc:"RFC 3339; default: the site's hour"`
	}
}) (*struct{ Body Temporary }, error) {
	until, err := parseWhen("until", in.Body.Until)
	if err != nil {
		return nil, err
	}
	var v desk.TemporaryView
	_, err = s.onUser(ctx, in.UserPath, nil, deed{right: operator.Temporary, why: in.Body.Because}, true,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID) (done desk.Done, err error) {
			v, err = d.GiveTemporary(ctx, a, account, until)
			return done, err
		})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Temporary }{Temporary{moment(v.Until), v.Most, v.Used, v.By}}, nil
}

func (s *Server) endTemporary(ctx context.Context, in *struct {
	UserPath
	Dry
}) (*doneReply, error) {
	return s.onUser(ctx, in.UserPath, nil, deed{right: operator.Temporary, dry: in.DryRun}, false,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID) (desk.Done, error) {
			return d.EndTemporary(ctx, a, account)
		})
}

// FirstLogin is a code for one login of somebody who never had a token. This answer alone shows it.
type FirstLogin struct {
	Code  string `json:"code"`
	Until string `json:"until" doc:"RFC 3339"`
}

func (s *Server) giveFirstLogin(ctx context.Context, in *struct {
	UserPath
	Body struct {
		Because
		Attributes string `json:"attributes,omitempty" maxLength:"100" doc:"name of the set that the reply is limited to; empty: none"`
		Until      string `json:"until,omitempty" doc:"RFC 3339; default: the site's hour"`
	}
}) (*struct{ Body FirstLogin }, error) {
	until, err := parseWhen("until", in.Body.Until)
	if err != nil {
		return nil, err
	}
	holdsSecret(ctx)
	var out FirstLogin
	_, err = s.onUser(ctx, in.UserPath, nil, deed{right: operator.Temporary, why: in.Body.Because}, true,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID) (desk.Done, error) {
			code, ends, err := d.GiveFirstLogin(ctx, a, account, in.Body.Attributes, until)
			if err == nil {
				out = FirstLogin{string(code.Reveal()), moment(ends)}
			}
			return desk.Done{}, err
		})
	if err != nil {
		return nil, err
	}
	return &struct{ Body FirstLogin }{out}, nil
}

// forcePIN makes somebody choose a new PIN (K8).
func (s *Server) forcePIN(ctx context.Context, in *struct {
	UserPath
	Matching
	Dry
	Body struct {
		Because
		Due string `json:"due,omitempty" doc:"from when the old one opens nothing; RFC 3339; absent: it goes on until they choose"`
	}
}) (*doneReply, error) {
	due, err := parseWhen("due", in.Body.Due)
	if err != nil {
		return nil, err
	}
	return s.onUser(ctx, in.UserPath, &in.Matching, deed{right: operator.SetPIN, dry: in.DryRun, why: in.Body.Because}, false,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID) (desk.Done, error) {
			return d.ForcePIN(ctx, a, account, due)
		})
}

// resetPIN ends a PIN; its owner chooses the next one, and no operator sees it.
func (s *Server) resetPIN(ctx context.Context, in *struct {
	UserPath
	Matching
	Dry
	Body Because
}) (*doneReply, error) {
	return s.onUser(ctx, in.UserPath, &in.Matching, deed{right: operator.SetPIN, dry: in.DryRun, why: in.Body}, false,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID) (desk.Done, error) {
			return d.ResetPIN(ctx, a, account)
		})
}

// waive ends a cooldown early (O4).
func (s *Server) waive(ctx context.Context, in *struct {
	UserPath
	Matching
	Dry
	Body Because
}) (*doneReply, error) {
	return s.onUser(ctx, in.UserPath, &in.Matching, deed{right: operator.Waive, dry: in.DryRun, why: in.Body}, false,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID) (desk.Done, error) {
			return d.Waive(ctx, a, account)
		})
}

// Undone is what an undo restored, and what it could not.
type Undone struct {
	Done
	Failed []UndoFailure `json:"failed" doc:"what stays revoked, and why"`
}

// UndoFailure is one assignment that stays revoked.
type UndoFailure struct {
	RevokedHold
	Code       string `json:"code"`
	Sentence   string `json:"sentence"`
	SentenceJA string `json:"sentence_ja"`
}

// undoUser takes revocations of one user back (S9).
func (s *Server) undoUser(ctx context.Context, in *struct {
	UserPath
	Dry
	Body struct {
		Because
		Token string `json:"token,omitempty" maxLength:"128" doc:"serial, credential ID or ID; absent: everything that was revoked within the time of an undo"`
	}
}) (*struct{ Body Undone }, error) {
	who := s.ask(ctx, in.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	o, err := s.owner(who)
	if err != nil {
		return nil, err
	}
	if p := s.allowUser(ctx, operator.ReadTokens, in.User, o); p != nil {
		return nil, p
	}
	if _, err := s.existing(o, in.User); err != nil {
		return nil, s.problem(err)
	}
	var chosen []life.Chosen
	if in.Body.Token != "" {
		id, err := s.destroyedToo(ctx, o.Account, in.Body.Token)
		if err != nil {
			return nil, err
		}
		chosen = []life.Chosen{{Account: life.AccountID(o.Account), Token: id}}
	} else {
		a, err := s.Store.Account(o.Account)
		if err != nil {
			return nil, s.problem(err)
		}
		since := s.Now().Add(-s.Desk.Rules().Undo).Unix()
		for _, as := range a.Assignments {
			if as.Standing == token.Revoked && as.Since >= since {
				chosen = append(chosen, life.Chosen{Account: life.AccountID(o.Account), Token: as.Token})
			}
		}
		if len(chosen) == 0 {
			return nil, newProblem(http.StatusConflict, "nothing-to-undo", wordNothingToUndo)
		}
	}
	return s.undo(ctx, deed{people: []authn.Owner{o}, dry: in.DryRun, why: in.Body.Because}, chosen)
}

// destroyedToo finds a token that somebody holds or held. A revoked software token is destroyed, so that its serial finds it no
// more; its owner's assignments do.
func (s *Server) destroyedToo(ctx context.Context, account authn.AccountID, name string) (token.ID, error) {
	a, err := s.Store.Account(account)
	if err != nil {
		return 0, s.problem(err)
	}
	for _, as := range a.Assignments {
		info, err := s.Store.Token(as.Token)
		if err == nil && (info.Token.ID.String() == name || name == info.Token.Serial || name == info.Token.CredentialID) {
			return as.Token, nil
		}
	}
	info, err := s.token(ctx, name)
	return info.Token.ID, err
}

func (s *Server) undoMany(ctx context.Context, in *struct {
	Dry
	Body struct {
		Because
		Holds []RevokedHold `json:"holds" minItems:"1" maxItems:"5000"`
	}
}) (*struct{ Body Undone }, error) {
	var chosen []life.Chosen
	var people []authn.Owner
	seen := map[authn.AccountID]bool{}
	for _, h := range in.Body.Holds {
		account, err := token.ParseID(h.Account)
		if err == nil {
			var id token.ID
			id, err = token.ParseID(h.Token)
			chosen = append(chosen, life.Chosen{Account: life.AccountID(account), Token: id})
		}
		if err != nil {
			return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", capital(err.Error()), Place{"body.holds", err.Error()})
		}
		if id := authn.AccountID(account); !seen[id] {
			seen[id] = true
			people = append(people, authn.Owner{Account: id})
		}
	}
	s.acts.Lock()
	defer s.acts.Unlock()
	return s.undo(ctx, deed{people: people, dry: in.DryRun, why: in.Body.Because}, chosen)
}

func (s *Server) undo(ctx context.Context, d deed, chosen []life.Chosen) (*struct{ Body Undone }, error) {
	d.right = operator.Undo
	out := Undone{Failed: []UndoFailure{}}
	done, err := s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		done, failed, err := d.Undo(ctx, a, chosen)
		for _, f := range failed {
			out.Failed = append(out.Failed, UndoFailure{RevokedHold{authn.AccountID(f.Account).String(), f.Token.String()},
				string(f.Refusal.Code), f.Refusal.English(), f.Refusal.Japanese()})
		}
		return done, err
	})
	if err != nil {
		return nil, err
	}
	if len(out.Failed) == len(chosen) && len(chosen) == 1 {
		f := out.Failed[0]
		p := newProblem(http.StatusConflict, f.Code, f.Sentence)
		p.SentenceJA = f.SentenceJA
		return nil, p
	}
	out.Done = *done
	return &struct{ Body Undone }{out}, nil
}
