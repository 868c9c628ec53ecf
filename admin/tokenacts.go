package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

func (s *Server) tokenActRoutes(api huma.API) {
	huma.Post(api, "/api/v1/tokens/{token}/suspend", s.suspendToken)
	huma.Post(api, "/api/v1/tokens/{token}/resume", s.resumeToken)
	huma.Post(api, "/api/v1/tokens/{token}/lost", s.lostToken)
	huma.Post(api, "/api/v1/tokens/{token}/revoke-lost", s.revokeLost)
	huma.Post(api, "/api/v1/tokens/{token}/test", s.testToken)
	huma.Post(api, "/api/v1/tokens/{token}/resync", s.resyncToken)
	huma.Post(api, "/api/v1/tokens/{token}/reset-drift", s.resetDrift)
	huma.Post(api, "/api/v1/tokens/{token}/retire", s.retireToken)
	huma.Post(api, "/api/v1/tokens/{token}/register", s.registerToken)
	huma.Post(api, "/api/v1/tokens/extend", s.extendTokens)
	huma.Post(api, "/api/v1/tokens/revoke", s.revokeTokens)
	huma.Post(api, "/api/v1/tokens/reserve", s.reserveTokens)
}

// TokenPath names a token in a path.
type TokenPath struct {
	Token string `path:"token" maxLength:"128" doc:"serial, credential ID or ID"`
}

// HoldBody is an act on one user's hold of a token.
type HoldBody struct {
	Because
	User string `json:"user,omitempty" maxLength:"253" doc:"whose hold is meant; needed when several hold the token"`
}

// onHold does an act on one hold.
func (s *Server) onHold(ctx context.Context, name string, m *Matching, dry bool, right operator.Right, b HoldBody,
	f func(*desk.Desk, desk.Actor, authn.AccountID, token.ID) (desk.Done, error)) (*doneReply, error) {
	who := s.askIf(ctx, b.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	info, err := s.token(ctx, name)
	if err != nil {
		return nil, err
	}
	o, err := s.holder(&info, who)
	if err != nil {
		return nil, err
	}
	if p := m.check(viewInfo(info, s.Now())); p != nil {
		return nil, p
	}
	return reply(s.do(ctx, deed{right: right, people: []authn.Owner{o}, dry: dry, why: b.Because, hide: unknownToken(name)}, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		return f(d, a, o.Account, info.Token.ID)
	}))
}

func reply(d *Done, err error) (*doneReply, error) {
	if err != nil {
		return nil, err
	}
	return &doneReply{*d}, nil
}

func (s *Server) suspendToken(ctx context.Context, in *struct {
	TokenPath
	Matching
	Dry
	Body HoldBody
}) (*doneReply, error) {
	return s.onHold(ctx, in.Token, &in.Matching, in.DryRun, operator.Suspend, in.Body,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID, id token.ID) (desk.Done, error) {
			return d.Suspend(ctx, a, account, id)
		})
}

func (s *Server) resumeToken(ctx context.Context, in *struct {
	TokenPath
	Matching
	Dry
	Body HoldBody
}) (*doneReply, error) {
	return s.onHold(ctx, in.Token, &in.Matching, in.DryRun, operator.Suspend, in.Body,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID, id token.ID) (desk.Done, error) {
			return d.Resume(ctx, a, account, id, authn.Secret{})
		})
}

// lostToken stops a token that somebody lost: they may resume it for a time, then it is revoked.
func (s *Server) lostToken(ctx context.Context, in *struct {
	TokenPath
	Matching
	Dry
	Body struct {
		HoldBody
		Stolen bool `json:"stolen,omitempty"`
	}
}) (*doneReply, error) {
	return s.onHold(ctx, in.Token, &in.Matching, in.DryRun, operator.Suspend, in.Body.HoldBody,
		func(d *desk.Desk, a desk.Actor, account authn.AccountID, id token.ID) (desk.Done, error) {
			return d.ReportLost(ctx, a, account, id, in.Body.Stolen)
		})
}

// registerToken brings a hardware token into service for somebody, by the code that it shows (O7).
func (s *Server) registerToken(ctx context.Context, in *struct {
	TokenPath
	Body struct {
		Because
		User string       `json:"user" minLength:"1" maxLength:"253"`
		Code authn.Secret `json:"code" doc:"what the token shows"`
	}
}) (*doneReply, error) {
	who := s.ask(ctx, in.Body.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	info, err := s.token(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	if p := s.clockFor(&info.Token); p != nil {
		return nil, p
	}
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	d := deed{right: operator.Assign, people: []authn.Owner{o}, why: in.Body.Because, hide: unknownUser(in.Body.User)}
	return reply(s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		account, err := s.account(ctx, o)
		if err != nil {
			return desk.Done{}, err
		}
		_, done, err := d.Register(ctx, a, account, info.Token.Serial, in.Body.Code)
		return done, err
	}))
}

// clockFor keeps time-based codes from being compared while the clock is in doubt: a wrong one would burn a step of the future
// and shut the token until then (S21).
func (s *Server) clockFor(t *token.Token) *Problem {
	if t.Mode == token.TOTP && s.Clock.Doubt() {
		return newProblem(http.StatusConflict, "clock-doubt", wordClockDoubt)
	}
	return nil
}

// owners are those who hold a token.
func owners(info *TokenInfo) (all []authn.Owner) {
	for _, id := range info.holding() {
		all = append(all, authn.Owner{Account: id})
	}
	return all
}

// onToken does an act on a token and whoever holds it.
func (s *Server) onToken(ctx context.Context, name string, m *Matching, d deed, f func(*desk.Desk, desk.Actor, token.ID) (desk.Done, error)) (*doneReply, error) {
	s.acts.Lock()
	defer s.acts.Unlock()
	info, err := s.token(ctx, name)
	if err != nil {
		return nil, err
	}
	d.people, d.hide = owners(&info), unknownToken(name)
	if p := m.check(viewInfo(info, s.Now())); p != nil {
		return nil, p
	}
	return reply(s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) { return f(d, a, info.Token.ID) }))
}

// revokeLost ends a token for everybody and for good (O5).
func (s *Server) revokeLost(ctx context.Context, in *struct {
	TokenPath
	Matching
	Dry
	Body struct {
		Because
		Why string `json:"why" enum:"lost,stolen,broken"`
	}
}) (*doneReply, error) {
	why := map[string]life.Why{"lost": life.WhyLost, "stolen": life.WhyStolen, "broken": life.WhyBroken}[in.Body.Why]
	return s.onToken(ctx, in.Token, &in.Matching, deed{right: operator.RevokeLost, dry: in.DryRun, why: in.Body.Because},
		func(d *desk.Desk, a desk.Actor, id token.ID) (desk.Done, error) { return d.RevokeLost(ctx, a, id, why) })
}

func (s *Server) resetDrift(ctx context.Context, in *struct {
	TokenPath
	Matching
	Dry
	Body Because
}) (*doneReply, error) {
	return s.onToken(ctx, in.Token, &in.Matching, deed{right: operator.Resync, dry: in.DryRun, why: in.Body},
		func(d *desk.Desk, a desk.Actor, id token.ID) (desk.Done, error) { return d.ResetDrift(ctx, a, id) })
}

// retireToken destroys a token of the stock.
func (s *Server) retireToken(ctx context.Context, in *struct {
	TokenPath
	Matching
	Dry
	Body Because
}) (*doneReply, error) {
	return s.onToken(ctx, in.Token, &in.Matching, deed{right: operator.Revoke, dry: in.DryRun, why: in.Body},
		func(d *desk.Desk, a desk.Actor, id token.ID) (desk.Done, error) { return d.Retire(ctx, a, id) })
}

// Tested is what a test of a token came to.
type Tested struct {
	Result string `json:"result" doc:"works, out-of-step, or another word of the rules"`
}

// testToken tells whether a code is the token's; the code is burnt (V1).
func (s *Server) testToken(ctx context.Context, in *struct {
	TokenPath
	Body struct {
		Because
		Code authn.Secret `json:"code" doc:"what the token shows"`
	}
}) (*struct{ Body Tested }, error) {
	var verdict life.Verdict
	_, err := s.onCode(ctx, in.Token, in.Body.Because, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		var err error
		verdict, err = d.Test(ctx, a, in.Token, in.Body.Code)
		return desk.Done{}, err
	})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Tested }{Tested{verdictWords[verdict]}}, nil
}

var verdictWords = map[life.Verdict]string{life.Works: "works", life.OutOfStep: "out-of-step"}

// onCode does an act by codes of a token.
func (s *Server) onCode(ctx context.Context, name string, b Because, f func(*desk.Desk, desk.Actor) (desk.Done, error)) (*doneReply, error) {
	info, err := s.token(ctx, name)
	if err != nil {
		return nil, err
	}
	if p := s.clockFor(&info.Token); p != nil {
		return nil, p
	}
	s.acts.Lock()
	defer s.acts.Unlock()
	d := deed{right: operator.Resync, people: owners(&info), why: b, hide: unknownToken(name)}
	return reply(s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		known := *d
		known.Store = foundToken{d.Store, info.Token.ID}
		return f(&known, a)
	}))
}

// foundToken is a store in which every name is that of the token that was found: operators name tokens by ID too.
type foundToken struct {
	desk.Store
	id token.ID
}

// FindToken gives the token.
func (f foundToken) FindToken(context.Context, string) (token.ID, error) { return f.id, nil }

// resyncToken finds a token by two codes in a row (V2).
func (s *Server) resyncToken(ctx context.Context, in *struct {
	TokenPath
	Body struct {
		Because
		First  authn.Secret `json:"first" doc:"what the token shows"`
		Second authn.Secret `json:"second" doc:"what it shows next"`
	}
}) (*doneReply, error) {
	return s.onCode(ctx, in.Token, in.Body.Because, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		return d.Resync(ctx, a, in.Token, in.Body.First, in.Body.Second)
	})
}

// Many names tokens of one act.
type Many struct {
	Tokens []string `json:"tokens" minItems:"1" maxItems:"5000" doc:"serials, credential IDs or IDs"`
}

// find looks tokens up, all or none: each name that is none is told.
func (s *Server) find(ctx context.Context, names []string) ([]TokenInfo, error) {
	var all []TokenInfo
	var bad []Place
	seen := map[token.ID]bool{}
	for i, name := range names {
		info, err := s.token(ctx, name)
		if err != nil {
			if p := asProblem(err); p != nil && p.Code == "unknown-token" {
				bad = append(bad, Place{fmt.Sprintf("body.tokens[%d]", i), p.Detail})
				continue
			}
			return nil, err
		}
		if !seen[info.Token.ID] {
			seen[info.Token.ID] = true
			all = append(all, info)
		}
	}
	if bad != nil {
		if len(bad) > maxPlaces {
			bad = bad[:maxPlaces]
		}
		return nil, newProblem(http.StatusNotFound, "unknown-token", wordUnknownTokens, bad...)
	}
	return all, nil
}

// ownersOf are all who hold one of some tokens, each once.
func ownersOf(infos []TokenInfo) (people []authn.Owner) {
	for i := range infos {
		for _, o := range owners(&infos[i]) {
			if !slices.ContainsFunc(people, func(p authn.Owner) bool { return p.Account == o.Account }) {
				people = append(people, o)
			}
		}
	}
	return people
}

// extendTokens moves the expiry of tokens ahead, all or none (P11).
func (s *Server) extendTokens(ctx context.Context, in *struct {
	Dry
	Body struct {
		Because
		Many
		To string `json:"to" doc:"the new expiry; RFC 3339"`
	}
}) (*doneReply, error) {
	to, err := parseWhen("to", in.Body.To)
	if err != nil {
		return nil, err
	}
	infos, err := s.find(ctx, in.Body.Tokens)
	if err != nil {
		return nil, err
	}
	people := ownersOf(infos)
	s.acts.Lock()
	defer s.acts.Unlock()
	d := deed{right: operator.Extend, people: people, count: len(infos), dry: in.DryRun, why: in.Body.Because}
	return reply(s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) { return d.Extend(ctx, a, idsOf(infos), to) }))
}

func idsOf(infos []TokenInfo) []token.ID {
	ids := make([]token.ID, len(infos))
	for i := range infos {
		ids[i] = infos[i].Token.ID
	}
	return ids
}

// reserveTokens keeps tokens of the stock for a group (O7).
func (s *Server) reserveTokens(ctx context.Context, in *struct {
	Dry
	Body struct {
		Because
		Many
		Group string `json:"group" maxLength:"1024" doc:"whose members may register them by serial; empty: nobody's any more"`
	}
}) (*doneReply, error) {
	infos, err := s.find(ctx, in.Body.Tokens)
	if err != nil {
		return nil, err
	}
	s.acts.Lock()
	defer s.acts.Unlock()
	d := deed{right: operator.Assign, count: len(infos), dry: in.DryRun, why: in.Body.Because}
	return reply(s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		return d.Reserve(ctx, a, idsOf(infos), in.Body.Group)
	}))
}

// RevokedHold is one assignment that a mass revocation ended; given to /api/v1/undo it comes back.
type RevokedHold struct {
	Account string `json:"account"`
	Token   string `json:"token"`
}

// Revoked is what a mass revocation did.
type Revoked struct {
	Done
	Users int           `json:"users" doc:"how many lose a token"`
	Holds []RevokedHold `json:"holds" doc:"give it to /api/v1/undo to take all back"`
}

// revokeTokens ends many tokens for everybody who holds them, all or none. Above the rules' number the caller has to confirm how
// many users that is; above the brake only a master goes on (O2, O9).
func (s *Server) revokeTokens(ctx context.Context, in *struct {
	Dry
	Body struct {
		Because
		Many
		Expiry    string `json:"expiry,omitempty" doc:"only tokens that expire at this instant; another one among them refuses all; RFC 3339"`
		Confirmed int    `json:"confirmed,omitempty" doc:"how many users it is; needed above mass.ask_above"`
	}
}) (*struct{ Body Revoked }, error) {
	expiry, err := parseWhen("expiry", in.Body.Expiry)
	if err != nil {
		return nil, err
	}
	infos, err := s.find(ctx, in.Body.Tokens)
	if err != nil {
		return nil, err
	}
	people := ownersOf(infos)
	s.acts.Lock()
	defer s.acts.Unlock()
	r := life.Revocation{Confirmed: in.Body.Confirmed}
	if !expiry.IsZero() {
		r.Expiry = expiry.Unix()
	}
	out := Revoked{Holds: []RevokedHold{}}
	users := map[authn.AccountID]bool{}
	for _, info := range infos {
		if info, err = s.Store.Token(info.Token.ID); err != nil {
			return nil, s.problem(err)
		}
		for _, account := range info.holding() {
			users[account] = true
			r.Holds = append(r.Holds, life.Chosen{Account: life.AccountID(account), Token: info.Token.ID})
			out.Holds = append(out.Holds, RevokedHold{account.String(), info.Token.ID.String()})
		}
	}
	out.Users = len(users)
	if in.DryRun {
		r.Confirmed = out.Users
	} else if p := s.brake(ctx, out.Users); p != nil {
		return nil, p
	}
	done, err := s.do(ctx, deed{right: operator.Revoke, people: people, count: out.Users, dry: in.DryRun, why: in.Body.Because},
		func(d *desk.Desk, a desk.Actor) (desk.Done, error) { return d.Revoke(ctx, a, r) })
	if err != nil {
		return nil, err
	}
	out.Done = *done
	return &struct{ Body Revoked }{out}, nil
}

// brake stops an act on more people than usual, unless a master does it.
func (s *Server) brake(ctx context.Context, users int) *Problem {
	most := s.Desk.Rules().StopAbove
	if users <= most || PrincipalOf(ctx).Role == operator.Master {
		return nil
	}
	return lifeProblem(&life.Refusal{Code: life.Braked, About: fmt.Sprint(users)})
}
