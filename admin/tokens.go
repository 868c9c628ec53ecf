package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

// Enrolled is a new software token, its secret included: this answer alone shows it.
type Enrolled struct {
	Token  Token  `json:"token"`
	URI    string `json:"uri" doc:"otpauth URI; holds the secret"`
	Secret string `json:"secret" doc:"base32, for typing"`
}

// Done tells what an act left behind.
type Done struct {
	Seq    uint64 `json:"seq" doc:"of the event in the audit chain; 0: none was written"`
	Detail string `json:"detail"`

	DryRun       bool     `json:"dry_run,omitempty" doc:"nothing was changed"`
	Effects      []Effect `json:"effects,omitempty" doc:"of a dry run: what would change"`
	RegisterFrom string   `json:"register_from,omitempty" doc:"of a dry run: from when what is revoked may be registered again; RFC 3339"`
	OnlyRegister bool     `json:"only_register,omitempty" doc:"the caller has no working token left; the session goes on for registering one"`
}

type doneReply struct{ Body Done }

func done(e *authn.Event, err error) (*doneReply, error) {
	if err != nil {
		return nil, err
	}
	return &doneReply{Done{Seq: e.Seq, Detail: e.Detail}}, nil
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
	s.tokenActRoutes(api)
}

func (s *Server) showToken(ctx context.Context, in *struct{ TokenPath }) (*versioned[Token], error) {
	info, err := s.token(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	if p := s.allowToken(ctx, operator.ReadTokens, in.Token, info.holding()); p != nil {
		return nil, p
	}
	return withVersion(viewInfo(info, s.Now())), nil
}

func (s *Server) assign(ctx context.Context, in *struct {
	TokenPath
	Matching
	Dry
	Body struct {
		Because
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
	if p := in.check(viewInfo(info, s.Now())); p != nil {
		return nil, p
	}
	verb := life.Assign
	if in.Body.Pending {
		verb = life.Reserve
	}
	d := deed{right: operator.Assign, people: []authn.Owner{o}, dry: in.DryRun, why: in.Body.Because, hide: unknownUser(in.Body.User)}
	return reply(s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		account, err := s.account(ctx, o)
		if err != nil {
			return desk.Done{}, err
		}
		return d.Grant(ctx, a, verb, account, info.Token.ID, in.Body.Share)
	}))
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
	TokenPath
	Body struct {
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
	if p := s.clockFor(&info.Token); p != nil {
		return nil, p
	}
	o, err := s.holder(&info, who)
	if err != nil {
		return nil, err
	}
	d := deed{right: operator.Assign, people: []authn.Owner{o}, hide: unknownToken(in.Token)}
	return reply(s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		return d.Confirm(ctx, a, o.Account, info.Token.ID, in.Body.Code)
	}))
}

// revoke takes a token away, from one user or from all who hold it (O2).
func (s *Server) revoke(ctx context.Context, in *struct {
	TokenPath
	Matching
	Dry
	Body struct {
		Because
		User      string `json:"user,omitempty" maxLength:"253" doc:"revoke it from this user only; absent: from everybody"`
		Confirmed int    `json:"confirmed,omitempty" doc:"how many users it is; needed above mass.ask_above"`
	}
}) (*doneReply, error) {
	who := s.askIf(ctx, in.Body.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	info, err := s.token(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	d := deed{right: operator.Revoke, people: owners(&info), dry: in.DryRun, why: in.Body.Because, hide: unknownToken(in.Token)}
	var from authn.AccountID
	if in.Body.User != "" {
		o, err := s.owner(who)
		if err != nil {
			return nil, err
		}
		d.people, from = []authn.Owner{o}, o.Account
	}
	if p := in.check(viewInfo(info, s.Now())); p != nil {
		return nil, p
	}
	left := ""
	done, err := s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (done desk.Done, err error) {
		if in.Body.User == "" {
			done, err = d.RevokeAll(ctx, a, info.Token.ID, in.Body.Confirmed)
		} else {
			done, err = d.Revoke(ctx, a, life.Revocation{Holds: []life.Chosen{{Account: life.AccountID(from), Token: info.Token.ID}}})
		}
		left = tokenAfter(done.Steps)
		return done, err
	})
	if err == nil && left != "" {
		done.Detail = left
	}
	return reply(done, err)
}

// tokenAfter is where a revocation left the token.
func tokenAfter(steps []life.Step) string {
	left := ""
	for _, st := range steps {
		if left == "" {
			left = "still held by others"
		}
		if st.Kind == life.TokenKind {
			left = string(st.To)
		}
	}
	return left
}

func (s *Server) enroll(ctx context.Context, in *struct {
	UserPath
	Body struct {
		Name   string `json:"name,omitempty" maxLength:"128" doc:"what the owner calls the device"`
		Digits int    `json:"digits,omitempty" enum:"6,8" default:"6"`
	}
}) (*struct{ Body Enrolled }, error) {
	holdsSecret(ctx)
	who := s.ask(ctx, in.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	var made desk.SecretView
	d := deed{right: operator.Assign, people: []authn.Owner{o}, hide: unknownUser(in.User)}
	_, err = s.do(ctx, d, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		if p := onSocket(ctx); p != nil {
			return desk.Done{}, p
		}
		account, err := s.account(ctx, o)
		if err != nil {
			return desk.Done{}, err
		}
		made, err = d.Enrol(ctx, a, desk.EnrolOrder{Account: account, Name: in.Body.Name, Digits: in.Body.Digits})
		return desk.Done{}, err
	})
	if err != nil {
		return nil, err
	}
	info, err := s.Store.Token(made.Token)
	if err != nil {
		return nil, s.problem(err)
	}
	return &struct{ Body Enrolled }{Enrolled{Token: viewToken(&info.Token, s.Now()), URI: made.URI, Secret: made.Key}}, nil
}

func (s *Server) seal(t *token.Token, seed []byte) error {
	sealed, err := s.Keys.SealSeed(t.ID, seed)
	if err != nil {
		return fmt.Errorf("sealing the seed of token %v: %w", t.ID, err)
	}
	t.Sealed, t.Fingerprint = sealed, s.Keys.Fingerprint(seed)
	return nil
}
