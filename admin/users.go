package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

func (s *Server) userRoutes(api huma.API) {
	huma.Get(api, "/api/v1/users", s.listUsers)
	huma.Get(api, "/api/v1/users/{user}", s.showUser)
	huma.Put(api, "/api/v1/users/{user}/pin", s.setPIN)
	s.userActRoutes(api)
	huma.Post(api, "/api/v1/users/{user}/unlock", s.unlock)
}

func (s *Server) showUser(ctx context.Context, in *struct{ UserPath }) (*versioned[User], error) {
	o, err := s.owner(s.ask(ctx, in.User))
	if err != nil {
		return nil, err
	}
	if p := s.allowUser(ctx, operator.ReadTokens, in.User, o); p != nil {
		return nil, p
	}
	v, err := s.viewUser(ctx, o)
	if err != nil {
		return nil, err
	}
	return withVersion(v), nil
}

// viewUser shows somebody.
func (s *Server) viewUser(ctx context.Context, o authn.Owner) (User, error) {
	v := User{Tokens: []UserToken{}}
	if u := o.User; u != nil {
		v.Name, v.Directory, v.ID, v.DN, v.Groups = authn.Shown([]byte(u.Name)), u.Directory, authn.Shown([]byte(u.ID)), authn.Shown([]byte(u.DN)), u.Groups
		if u.Barred != 0 {
			v.Barred = u.Barred.String()
		}
	}
	a, err := s.Store.Account(o.Account)
	if errors.Is(err, authn.ErrNotFound) {
		v.State = string(life.HasNone)
		return v, nil
	}
	if err != nil {
		return v, s.problem(err)
	}
	now := s.Now()
	v.Account, v.PIN, v.Locks = a.ID.String(), !a.PIN.IsZero(), locks(&a.Guard, now)
	if o.User == nil {
		v.Name, v.Directory = authn.Shown([]byte(a.Name)), a.Directory
	}
	h, tokens, err := s.holding(ctx, a)
	if err != nil {
		return v, err
	}
	state := life.StateOf(&h, tokens, now)
	v.State, v.From = string(state.Stage), instant(state.From)
	if t := h.Temporary; t.Most > 0 && now.Unix() < t.Until {
		v.Temporary = &Temporary{instant(t.Until), int(t.Most), int(t.Spent), t.By}
	}
	for _, hold := range h.Holds {
		for i := range tokens {
			if tokens[i].ID == hold.Token {
				v.Tokens = append(v.Tokens, UserToken{Token: viewToken(&tokens[i], now), Standing: hold.Standing.String(), Since: instant(hold.Since)})
			}
		}
	}
	return v, nil
}

func (s *Server) setPIN(ctx context.Context, in *struct {
	User string `path:"user" maxLength:"253" doc:"any spelling the directory knows, or an account ID"`
	Body struct {
		PIN authn.Secret `json:"pin"`
	}
}) (*doneReply, error) {
	who := s.ask(ctx, in.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	if p := s.allowUser(ctx, operator.SetPIN, in.User, o); p != nil {
		return nil, p
	}
	if p := onSocket(ctx); p != nil {
		return nil, p
	}
	pin := in.Body.PIN.Reveal()
	if err := authn.CheckPIN(string(pin), o.User.Name, authn.MinPIN, authn.MaxPIN); err != nil {
		return nil, newProblem(http.StatusUnprocessableEntity, "weak-pin", capital(err.Error()))
	}
	hash, err := authn.HashPIN(s.Keys.Derive(authn.PINPurpose), o.Account, pin)
	if err != nil {
		return nil, s.problem(err)
	}
	act := s.act(ctx)
	return done(s.apply(ctx, authn.Keys{Accounts: []authn.AccountID{o.Account}},
		simple(func(h *authn.Held) (authn.Change, *authn.Refusal) { return act.SetPIN(h, o, hash) })))
}

func (s *Server) unlock(ctx context.Context, in *struct {
	User string `path:"user" maxLength:"253" doc:"any spelling the directory knows, or an account ID"`
}) (*doneReply, error) {
	who := s.ask(ctx, in.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	o, err := s.owner(who)
	if err != nil {
		return nil, err
	}
	if p := s.allowUser(ctx, operator.Unlock, in.User, o); p != nil {
		return nil, p
	}
	if _, err := s.Store.Account(o.Account); errors.Is(err, authn.ErrNotFound) {
		o.User = nil // there is nothing to unlock, and no reason to make an account
	}
	act := s.act(ctx)
	return done(s.apply(ctx, authn.Keys{Accounts: []authn.AccountID{o.Account}},
		simple(func(h *authn.Held) (authn.Change, *authn.Refusal) { return act.Unlock(h, o) })))
}

// holding is a user as the rules of the life cycle see them, and the tokens that they hold or held.
func (s *Server) holding(ctx context.Context, a *authn.Account) (life.Holder, []token.Token, error) {
	h, tokens, _, err := s.Desk.Holder(ctx, a.ID)
	if err != nil {
		return h, nil, s.problem(err)
	}
	return h, tokens, nil
}

// isNobody reports that a directory answered, and knows no one person of the name.
func isNobody(err error) bool {
	return errors.Is(err, authn.ErrUnknownUser) || errors.Is(err, authn.ErrAmbiguousUser)
}

// capital makes a sentence of an error's text.
func capital(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]&^0x20) + s[1:] + "."
}
