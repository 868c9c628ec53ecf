package admin

import (
	"context"
	"encoding/base32"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

type tokenPage struct {
	Body struct {
		Tokens []Token `json:"tokens"`
		Next   string  `json:"next,omitempty" doc:"give it as after for the next page; absent on the last one"`
	}
}

// Enrolled is a new software token, its secret included: this answer alone shows it.
type Enrolled struct {
	Token  Token  `json:"token"`
	URI    string `json:"uri" doc:"otpauth URI; holds the secret"`
	Secret string `json:"secret" doc:"base32, for typing"`
}

// Done tells what an act left behind.
type Done struct {
	Seq    uint64 `json:"seq" doc:"of the event in the audit chain"`
	Detail string `json:"detail"`
}

type doneReply struct{ Body Done }

func done(e *authn.Event, err error) (*doneReply, error) {
	if err != nil {
		return nil, err
	}
	return &doneReply{Done{e.Seq, e.Detail}}, nil
}

func (s *Server) tokenRoutes(api huma.API) {
	huma.Get(api, "/api/v1/tokens", s.listTokens)
	huma.Get(api, "/api/v1/tokens/{token}", s.showToken)
	s.importRoute(api)
	s.exportRoute(api)
	huma.Post(api, "/api/v1/tokens/{token}/assign", s.assign)
	huma.Post(api, "/api/v1/tokens/{token}/confirm", s.confirm)
	huma.Post(api, "/api/v1/tokens/{token}/revoke", s.revoke)
	huma.Post(api, "/api/v1/users/{user}/tokens", s.enroll)
}

var states = map[string]token.State{"in stock": token.InStock, "in use": token.InUse, "expired": token.Expired, "destroyed": token.Destroyed}

var forms = map[string]token.Form{"software": token.Software, "hardware": token.Hardware}

func (s *Server) listTokens(ctx context.Context, in *struct {
	After string `query:"after" doc:"ID of the last token of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	State string `query:"state" enum:"in stock,in use,expired,destroyed"`
	Form  string `query:"form" enum:"software,hardware"`
}) (*tokenPage, error) {
	q := TokenQuery{State: states[in.State], Form: forms[in.Form], Now: s.Now(), Limit: in.Limit}
	if in.After != "" {
		var err error
		q.After, err = token.ParseID(in.After)
		if err != nil {
			return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", capital(err.Error()))
		}
	}
	all, err := s.Store.Tokens(ctx, q)
	if err != nil {
		return nil, s.problem(err)
	}
	page := &tokenPage{}
	page.Body.Tokens = make([]Token, len(all))
	for i, info := range all {
		page.Body.Tokens[i] = viewInfo(info, q.Now)
	}
	if len(all) == in.Limit {
		page.Body.Next = all[len(all)-1].Token.ID.String()
	}
	return page, nil
}

func (s *Server) showToken(ctx context.Context, in *struct {
	Token string `path:"token" maxLength:"128" doc:"serial, credential ID or ID"`
}) (*struct{ Body Token }, error) {
	info, err := s.token(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	if p := s.allowToken(ctx, operator.ReadTokens, in.Token, info.holding()); p != nil {
		return nil, p
	}
	return &struct{ Body Token }{viewInfo(info, s.Now())}, nil
}

func (s *Server) assign(ctx context.Context, in *struct {
	Token string `path:"token" maxLength:"128" doc:"serial, credential ID or ID"`
	Body  struct {
		User    string `json:"user" minLength:"1" maxLength:"253"`
		Share   bool   `json:"share,omitempty" doc:"others who hold the token keep it"`
		Pending bool   `json:"pending,omitempty" doc:"it opens nothing before its first right code"`
	}
}) (*doneReply, error) {
	who := s.ask(ctx, in.Body.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	info, err := s.token(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	if p := s.allowUser(ctx, operator.Assign, in.Body.User, o); p != nil {
		return nil, p
	}
	t, act := &info.Token, s.act(ctx)
	return done(s.apply(ctx, authn.Keys{Accounts: []authn.AccountID{o.Account}, Tokens: []token.ID{t.ID}},
		simple(func(h *authn.Held) (authn.Change, *authn.Refusal) {
			return act.Assign(h, o, t.ID, in.Body.Share, in.Body.Pending)
		})))
}

// askIf is ask for acts that need no name.
func (s *Server) askIf(ctx context.Context, name string) person {
	if name == "" {
		return person{}
	}
	return s.ask(ctx, name)
}

// holder is the one account that an act on a token means: the named user's, or the only one that holds it.
func (s *Server) holder(info *TokenInfo, who person) (authn.Owner, error) {
	if who.name != "" {
		return s.owner(who)
	}
	holders := info.holding()
	switch len(holders) {
	case 0:
		return authn.Owner{}, newProblem(http.StatusConflict, "not-assigned", wordNotAssigned(&info.Token))
	case 1:
		return authn.Owner{Account: holders[0]}, nil
	}
	return authn.Owner{}, newProblem(http.StatusConflict, "several-holders", wordSeveralHolders(&info.Token, len(holders)))
}

// holding are the accounts that hold the token, revoked holds left out.
func (info *TokenInfo) holding() []authn.AccountID {
	var ids []authn.AccountID
	for _, h := range info.Holders {
		if h.Standing != token.Revoked {
			ids = append(ids, h.Account)
		}
	}
	return ids
}

func (s *Server) confirm(ctx context.Context, in *struct {
	Token string `path:"token" maxLength:"128" doc:"serial, credential ID or ID"`
	Body  struct {
		Code authn.Secret `json:"code" doc:"what the token shows"`
		User string       `json:"user,omitempty" maxLength:"253" doc:"needed when several hold the token"`
	}
}) (*doneReply, error) {
	who := s.askIf(ctx, in.Body.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	info, err := s.token(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	if info.Token.Mode == token.TOTP && s.Clock.Doubt() {
		// A wrong clock would burn a step of the future and shut the token until then (S21).
		return nil, newProblem(http.StatusConflict, "clock-doubt", wordClockDoubt)
	}
	o, err := s.holder(&info, who)
	if err != nil {
		return nil, err
	}
	if p := s.allowToken(ctx, operator.Assign, in.Token, []authn.AccountID{o.Account}); p != nil {
		return nil, p
	}
	t, act := &info.Token, s.act(ctx)
	return done(s.apply(ctx, authn.Keys{Accounts: []authn.AccountID{o.Account}, Tokens: []token.ID{t.ID}},
		func(h *authn.Held) (authn.Change, *authn.Refusal, error) {
			return act.Confirm(h, o, t.ID, func(t *token.Token) (token.Match, error) {
				seed, err := s.Keys.OpenSeed(make([]byte, 0, token.MaxSeed), t.ID, t.Sealed)
				if err != nil {
					return token.Match{}, fmt.Errorf("opening the seed of token %v: %w", t.ID, err)
				}
				defer clear(seed)
				code, _ := token.CleanCode(in.Body.Code.Reveal()) // what is no code misses
				return t.Evaluate(seed, code, act.Now, token.LoginWindow), nil
			})
		}))
}

func (s *Server) revoke(ctx context.Context, in *struct {
	Token string `path:"token" maxLength:"128" doc:"serial, credential ID or ID"`
	Body  struct {
		User string `json:"user,omitempty" maxLength:"253" doc:"revoke it from this user only; absent: from everybody"`
	}
}) (*doneReply, error) {
	who := s.askIf(ctx, in.Body.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	info, err := s.token(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	t, holders := &info.Token, info.holding()
	from := holders
	if in.Body.User != "" {
		o, err := s.owner(who)
		if err != nil {
			return nil, err
		}
		from = []authn.AccountID{o.Account}
	}
	if p := s.allowToken(ctx, operator.Revoke, in.Token, from); p != nil {
		return nil, p
	}
	others := 0
	for _, id := range holders {
		if !slices.Contains(from, id) {
			others++
		}
	}
	act := s.act(ctx)
	return done(s.apply(ctx, authn.Keys{Accounts: from, Tokens: []token.ID{t.ID}},
		simple(func(h *authn.Held) (authn.Change, *authn.Refusal) { return act.Revoke(h, t.ID, from, others) })))
}

func (s *Server) enroll(ctx context.Context, in *struct {
	User string `path:"user" maxLength:"253" doc:"any spelling the directory knows, or an account ID"`
	Body struct {
		Name   string `json:"name,omitempty" maxLength:"128" doc:"what the owner calls the device"`
		Digits int    `json:"digits,omitempty" enum:"6,8" default:"6"`
	}
}) (*struct{ Body Enrolled }, error) {
	who := s.ask(ctx, in.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	if p := s.allowUser(ctx, operator.Assign, in.User, o); p != nil {
		return nil, p
	}
	if p := onSocket(ctx); p != nil {
		return nil, p
	}
	seed := token.NewSeed(token.SeedSize)
	defer clear(seed)
	t := &token.Token{
		ID: token.NewID(), Name: in.Body.Name, Form: token.Software, Mode: token.TOTP, Hash: token.SHA1,
		Digits: uint8(in.Body.Digits), Period: 30, State: token.InStock, Last: token.NoStep,
	}
	if err := s.seal(t, seed); err != nil {
		return nil, s.problem(err)
	}
	if err := t.Check(); err != nil {
		return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", err.Error())
	}
	act := s.act(ctx)
	_, err = s.apply(ctx, authn.Keys{Accounts: []authn.AccountID{o.Account}, Tokens: []token.ID{t.ID}},
		simple(func(h *authn.Held) (authn.Change, *authn.Refusal) { return act.Enroll(h, o, t) }))
	if err != nil {
		return nil, err
	}
	v := viewToken(t, act.Now)
	v.State = token.InUse.String()
	return &struct{ Body Enrolled }{Enrolled{
		Token:  v,
		URI:    token.FormatURI(t, seed, s.Issuer, o.User.Name),
		Secret: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed),
	}}, nil
}

func (s *Server) seal(t *token.Token, seed []byte) error {
	sealed, err := s.Keys.SealSeed(t.ID, seed)
	if err != nil {
		return fmt.Errorf("sealing the seed of token %v: %w", t.ID, err)
	}
	t.Sealed, t.Fingerprint = sealed, s.Keys.Fingerprint(seed)
	return nil
}
