package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// One sign-in, in order:
//
//	who       the directory says whose name it is, the operator's record whether they may
//	rule      the rule of logins compares password and code, counts, burns and writes the event: one call, as a gateway's
//	session   the record is made where the operator still is one; the cookie leaves
//
// Whoever is no operator is refused by the same rule, for want of a policy, and every refusal leaves at the same moment
// after its arrival with the same words (I8, S20).

// Admission decides sign-ins by the rule of logins; [authn.Authenticator] does, with [SignInPolicies].
type Admission interface {
	Authenticate(l *authn.Login, done func(authn.Decision))
	RejectDelay(c *authn.Client) time.Duration
}

// Services of the policies by which operators sign in: with password and code, or with the password alone where every token
// of theirs has ended, to register another one.
const (
	SignInService = "operators' sign-in"
	AloneService  = "operators' sign-in by password"
)

// SignInPolicies are those of the sign-in. They fit no gateway.
func SignInPolicies(w token.Window) []*authn.Policy {
	return []*authn.Policy{
		{Name: "operators", Clients: []string{SignInService}, First: authn.Password, Joined: true, Window: w},
		{Name: "operators", Clients: []string{AloneService}, First: authn.Password, Alone: true},
	}
}

// noService has no policy: whoever is no operator is refused there.
const noService = "nobody's sign-in"

// signInClient is how a sign-in appears to the rule: name is its client's in events.
func signInClient(name, service string) *authn.Client {
	// An Accept makes its source a known one, and a password alone is not enough for that.
	return &authn.Client{Name: name, Service: service, TrustStation: service != AloneService, RejectDelay: time.Second, Deadline: 20 * time.Second}
}

// Clients of the rule, as events name them.
const (
	signInAt = "admin"
	stepUpAt = "admin-step-up"
)

// Credentials are what a person shows.
type Credentials struct {
	Password authn.Secret `json:"password" doc:"of the directory"`
	Code     authn.Secret `json:"code,omitempty" doc:"of an own token"`
}

// prove has the rule of logins judge a password and a code.
func (s *Server) prove(ctx context.Context, at, service, name string, p Credentials, arrived time.Time) authn.Decision {
	packet := make([]byte, 16)
	_, _ = rand.Read(packet) // never fails; no sign-in is another one's repetition (S17)
	c := callerOf(ctx)
	code, _ := token.CleanCode(p.Code.Reveal())
	l := &authn.Login{Client: signInClient(at, service), Name: []byte(name), Text: p.Password, Code: authn.NewSecret(code), HasCode: true,
		Station: []byte(c.from()), Source: c.remote, Packet: packet, Arrived: arrived, Method: authn.PAP, Signed: true}
	decided := make(chan authn.Decision, 1)
	s.Admission.Authenticate(l, func(d authn.Decision) {
		decided <- authn.Decision{Verdict: d.Verdict, Reason: d.Reason, Account: d.Account, Seq: d.Seq}
	})
	return <-decided
}

// wait lets a refusal leave at the first whole multiple of the delay after its arrival (S20).
func (s *Server) wait(ctx context.Context, arrived time.Time) {
	delay := s.Admission.RejectDelay(signInClient(signInAt, SignInService))
	past := time.Since(arrived)
	t := time.NewTimer((past/delay+1)*delay - past)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// refuseSignIn waits and words every refusal alike, an outage apart.
func (s *Server) refuseSignIn(ctx context.Context, d authn.Decision, arrived time.Time) *Problem {
	s.wait(ctx, arrived)
	if d.Verdict == authn.Discard {
		return newProblem(http.StatusServiceUnavailable, "try-again", wordTryAgain)
	}
	return errSignIn
}

type sessionReply struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      Whoami
}

// Whoami is the caller as the service sees them.
type Whoami struct {
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	Door     string   `json:"door" doc:"local-socket, password, oidc, link or key"`
	Scope    *Scope   `json:"scope,omitempty" doc:"absent: everybody"`
	Rights   []string `json:"rights"`
	Register bool     `json:"register_only,omitempty" doc:"an own token has to be registered first; nothing else goes"`
	SignedIn string   `json:"signed_in,omitempty" doc:"RFC 3339"`
	Proven   string   `json:"proven_until,omitempty" doc:"until then acts need no further step-up, those on keys, operators and masses apart"`
	Session  string   `json:"session,omitempty"`
}

// Scope is the people an operator sees.
type Scope struct {
	Directories []string `json:"directories,omitempty"`
	Groups      []string `json:"groups,omitempty"`
}

func viewScope(s operator.Scope) *Scope {
	if s.All() {
		return nil
	}
	return &Scope{s.Directories, s.Groups}
}

func (s *Scope) rule() operator.Scope {
	if s == nil {
		return operator.Scope{}
	}
	return operator.Scope{Directories: s.Directories, Groups: s.Groups}
}

func (s *Server) sessionRoutes(api huma.API) {
	huma.Post(api, "/api/v1/session", s.signIn)
	huma.Post(api, "/api/v1/session/link", s.signInByLink)
	huma.Get(api, "/api/v1/session", s.whoami)
	huma.Delete(api, "/api/v1/session", s.signOut)
	huma.Post(api, "/api/v1/session/step-up", s.stepUp)
	huma.Post(api, "/api/v1/session/token", s.registerOwn)
	huma.Post(api, "/api/v1/session/token/confirm", s.confirmOwn)
	huma.Get(api, "/api/v1/sessions", s.listSessions)
	huma.Delete(api, "/api/v1/sessions/{session}", s.endSession)
}

func (s *Server) signIn(ctx context.Context, in *struct {
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"253" doc:"any spelling the directory knows"`
		Credentials
	}
}) (*sessionReply, error) {
	arrived := time.Now()
	who := s.ask(ctx, in.Body.Name)
	var account authn.AccountID
	if who.err == nil {
		account = s.Store.AccountOf(who.user.Directory, who.user.ID)
	}
	op, _, err := s.operator(account)
	if err != nil {
		return nil, s.problem(err)
	}
	service := noService
	if op != nil {
		service = SignInService
		if acc, err := s.Store.Account(account); err == nil && !s.living(acc, s.Now()) {
			service = AloneService
		}
	}
	d := s.prove(ctx, signInAt, service, in.Body.Name, in.Body.Credentials, arrived)
	session := sessionData{Door: operator.Password, Typed: in.Body.Name}
	switch {
	case op == nil || d.Account != account:
		return nil, s.refuseSignIn(ctx, d, arrived)
	case d.Verdict == authn.Accept && service == SignInService:
		session.SignedIn = s.Now()
	case d.Verdict == authn.Accept:
		session.NoToken = true
	default:
		return nil, s.refuseSignIn(ctx, d, arrived)
	}
	cookie, err := s.beginSession(ctx, account, session, nil)
	if errors.Is(err, errSignIn) {
		return nil, s.refuseSignIn(ctx, d, arrived)
	}
	if err != nil {
		return nil, s.problem(err)
	}
	return s.signedIn(ctx, cookie)
}

// signedIn is the answer to a sign-in.
func (s *Server) signedIn(ctx context.Context, cookie *http.Cookie) (*sessionReply, error) {
	c := &caller{}
	if !s.bySession(ctx, c, cookie.Value) {
		return nil, errSignIn
	}
	return &sessionReply{*cookie, s.who(c)}, nil
}

func (s *Server) who(c *caller) Whoami {
	v := Whoami{Name: authn.Shown([]byte(c.Name)), Role: c.Role.String(), Door: c.Door.String(), Scope: viewScope(c.Scope), Rights: []string{},
		Register: c.NoToken, SignedIn: moment(c.SignedIn)}
	for _, r := range operator.Rights() {
		if c.may(r) && !c.NoToken {
			v.Rights = append(v.Rights, string(r))
		}
	}
	if c.session != 0 {
		v.Session = token.ID(c.session).String()
	}
	if !c.Proven.IsZero() {
		v.Proven = moment(c.Proven.Add(operator.ProofLife))
	}
	return v
}

func (s *Server) whoami(ctx context.Context, _ *struct{}) (*struct{ Body Whoami }, error) {
	return &struct{ Body Whoami }{s.who(callerOf(ctx))}, nil
}

func (s *Server) signOut(ctx context.Context, _ *struct{}) (*struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}, error) {
	c := callerOf(ctx)
	if c.session != 0 {
		key := authn.RecordKey{Kind: authn.SessionRecord, ID: c.session}
		err := s.save(authn.Keys{Records: []authn.RecordKey{key}}, func(h *authn.Held) (authn.Change, error) {
			if h.Records[0] == nil {
				return authn.Change{}, nil
			}
			return authn.Change{Gone: []authn.RecordKey{key}}, nil
		})
		if err != nil {
			return nil, s.problem(err)
		}
	}
	return &struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
	}{*endCookie()}, nil
}

// stepUp is the second look at an operator (P9): both factors once more, in a session that goes on.
func (s *Server) stepUp(ctx context.Context, in *struct{ Body Credentials }) (*struct{ Body Whoami }, error) {
	arrived, c := time.Now(), callerOf(ctx)
	if c.session == 0 || c.NoToken {
		return nil, newProblem(http.StatusConflict, "no-step-up", wordNoStepUp)
	}
	d := s.prove(ctx, stepUpAt, SignInService, c.typed, in.Body, arrived)
	if d.Verdict != authn.Accept || d.Account != c.account {
		return nil, s.refuseSignIn(ctx, d, arrived)
	}
	now := s.Now()
	if err := s.changeSession(ctx, c.session, func(d *sessionData) error { d.Proven = now; return nil }); err != nil {
		return nil, s.problem(err)
	}
	c.Proven, c.Spent = now, false
	return &struct{ Body Whoami }{s.who(c)}, nil
}
