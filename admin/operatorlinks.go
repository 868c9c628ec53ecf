package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

// OperatorLink lets one operator register a token of their own; this answer alone shows it.
type OperatorLink struct {
	Link   string    `json:"link" doc:"URL; the secret alone where admin.url is not set"`
	Secret string    `json:"secret"`
	Until  time.Time `json:"until"`
}

type linkReply struct{ Body OperatorLink }

func (s *Server) operatorLink(ctx context.Context, in *struct {
	Operator string `path:"operator" maxLength:"253"`
}) (*linkReply, error) {
	account, err := s.existingOperator(ctx, operator.Operators, in.Operator)
	if err != nil {
		return nil, err
	}
	return s.giveLink(ctx, account, "operator.link")
}

func (s *Server) giveLink(ctx context.Context, account authn.AccountID, name string) (*linkReply, error) {
	secret := newSecret()
	act := s.act(ctx)
	until := act.Now.Add(linkLife)
	key := operatorKey(account)
	var event *authn.Event
	err := s.save(authn.Keys{Accounts: []authn.AccountID{account}, Records: []authn.RecordKey{key}}, func(h *authn.Held) (authn.Change, error) {
		r := h.Records[0]
		if r == nil {
			return authn.Change{}, newProblem(http.StatusNotFound, operator.NotFound.String(), wordNotFound)
		}
		d, err := unpack[operatorData](r)
		if err != nil {
			return authn.Change{}, err
		}
		d.LinkUntil = until
		next := d.record(account, r)
		next.Lookup = s.lookup(authn.OperatorRecord, secret)
		c := act.Note(name, "until "+moment(until))
		c.Event.Account, c.Records = account, []*authn.Record{next}
		event = c.Event
		return c, nil
	})
	if err != nil {
		return nil, s.problem(err)
	}
	s.logAct(event)
	text := secretText(secret)
	v := OperatorLink{Link: text, Secret: text, Until: until}
	if s.URL != "" {
		v.Link = s.URL + "/link#" + text
	}
	return &linkReply{v}, nil
}

// recoverOperator makes somebody a master again whose token, or whose record, is lost: for the machine's administrator.
func (s *Server) recoverOperator(ctx context.Context, in *struct {
	Operator string `path:"operator" maxLength:"253"`
}) (*linkReply, error) {
	if p := onSocket(ctx); p != nil {
		return nil, p
	}
	if err := s.administrator(ctx); err != nil {
		return nil, err
	}
	who := s.ask(ctx, in.Operator)
	s.acts.Lock()
	defer s.acts.Unlock()
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	if p := s.allowUser(ctx, operator.Operators, in.Operator, o); p != nil {
		return nil, p
	}
	if _, err := s.makeOperator(ctx, o, operator.Master, operator.Scope{}, true); err != nil {
		return nil, s.problem(err)
	}
	return s.giveLink(ctx, o.Account, "operator.recover")
}

// signInByLink spends an operator's link. The session may register a token of their own, and nothing else.
func (s *Server) signInByLink(ctx context.Context, in *struct {
	Body struct {
		Secret authn.Secret `json:"secret"`
	}
}) (*sessionReply, error) {
	arrived := time.Now()
	refuse := func() (*sessionReply, error) {
		s.wait(ctx, arrived)
		return nil, newProblem(http.StatusUnauthorized, "link-over", wordLinkOver)
	}
	secret := parseSecret(string(in.Body.Secret.Reveal()))
	if secret == nil {
		return refuse()
	}
	hash := s.lookup(authn.OperatorRecord, secret)
	account := authn.AccountID(s.Store.RecordOf(authn.OperatorRecord, hash))
	if account == 0 {
		return refuse()
	}
	act := authn.Act{Now: s.Now()}
	cookie, err := s.beginSession(ctx, account, sessionData{Door: operator.Link, NoToken: true}, func(r *authn.Record, op *operatorData, c *authn.Change) error {
		if r.Lookup != hash || !act.Now.Before(op.LinkUntil) {
			return errSignIn
		}
		op.LinkUntil = time.Time{}
		next := op.record(account, r)
		next.Lookup = [16]byte{}
		note := authn.Act{Actor: op.Name, Now: act.Now}.Note("operator.link-used", "")
		note.Event.Account = account
		c.Event, c.Records = note.Event, append(c.Records, next)
		return nil
	})
	if errors.Is(err, errSignIn) {
		return refuse()
	}
	if err != nil {
		return nil, s.problem(err)
	}
	return s.signedIn(ctx, cookie)
}

// OwnToken is a token that its operator registers.
type OwnToken struct {
	Token  string `json:"token" doc:"ID"`
	URI    string `json:"uri,omitempty" doc:"otpauth URI; holds the secret, which this answer alone shows"`
	Secret string `json:"secret,omitempty" doc:"base32, for typing"`
	Done   bool   `json:"done" doc:"it is in service: sign in with it"`
}

type ownTokenReply struct{ Body OwnToken }

// registering gives the caller of a session that may register alone.
func registering(ctx context.Context) (*caller, desk.Actor, *Problem) {
	c := callerOf(ctx)
	if !c.NoToken {
		return nil, desk.Actor{}, newProblem(http.StatusConflict, "not-registering", wordNotRegistering)
	}
	return c, desk.Actor{By: life.ByPerson, Account: c.account, Name: c.Name, Proven: true}, nil
}

// registerOwn brings an own hardware token into service by its serial and a code; who came by a link may have a software
// token made instead. A password alone gets nobody a new secret.
func (s *Server) registerOwn(ctx context.Context, in *struct {
	Body struct {
		Serial string       `json:"serial,omitempty" maxLength:"128" doc:"of a hardware token in stock; absent: a software token"`
		Code   authn.Secret `json:"code,omitempty" doc:"that it shows"`
		Name   string       `json:"name,omitempty" maxLength:"128" doc:"of the device"`
	}
}) (*ownTokenReply, error) {
	c, actor, p := registering(ctx)
	if p != nil {
		return nil, p
	}
	if in.Body.Serial != "" {
		id, _, err := s.Desk.Register(ctx, actor, c.account, in.Body.Serial, in.Body.Code)
		if err != nil {
			return nil, s.problem(err)
		}
		return &ownTokenReply{OwnToken{Token: id.String(), Done: true}}, nil
	}
	if c.Door != operator.Link {
		return nil, newProblem(http.StatusForbidden, "link-needed", wordLinkNeeded)
	}
	actor.By = life.ByMaster // whoever gave the link out
	v, err := s.Desk.Enrol(ctx, actor, desk.EnrolOrder{Account: c.account, Name: in.Body.Name})
	if err != nil {
		return nil, s.problem(err)
	}
	return &ownTokenReply{OwnToken{Token: v.Token.String(), URI: v.URI, Secret: v.Key}}, nil
}

// confirmOwn brings the software token into service by its first right code. The session is over then: they sign in with it.
func (s *Server) confirmOwn(ctx context.Context, in *struct {
	Body struct {
		Token string       `json:"token" maxLength:"20"`
		Code  authn.Secret `json:"code"`
	}
}) (*ownTokenReply, error) {
	c, actor, p := registering(ctx)
	if p != nil {
		return nil, p
	}
	id, err := token.ParseID(in.Body.Token)
	if err != nil || c.Door != operator.Link {
		return nil, newProblem(http.StatusNotFound, "unknown-token", wordUnknownToken(in.Body.Token))
	}
	actor.By = life.ByMaster
	if _, err := s.Desk.Confirm(ctx, actor, c.account, id, in.Body.Code); err != nil {
		return nil, s.problem(err)
	}
	return &ownTokenReply{OwnToken{Token: id.String(), Done: true}}, nil
}
