package selfservice

import (
	"net/http"
	"strings"
	"time"
)

// signInForm is the first page. Who is signed in already goes on to the own page.
func (s *Server) signInForm(q *request) error {
	if q.session != nil && q.session.Level == SignedIn {
		return goTo(q, "/my")
	}
	return s.show(q, "signin", nil)
}

// signIn takes name, password and, of who has a working token, a code. Every refusal has the same words, so that nobody learns
// who exists, who has a token, or which of the three was wrong. A code that is not needed is not looked at as one either: it
// would tell who has a token.
func (s *Server) signIn(q *request) error {
	name, password, code := q.PostFormValue("name"), q.PostFormValue("password"), cleanCode(q.PostFormValue("code"))
	q.typed = map[string]string{"name": name}
	arrived := time.Now()
	refused := func() error {
		s.Prover.Hold(q.Context(), arrived)
		return s.again(q, "signin", nil, q.wrong("sign-in", "signin.refused"))
	}
	if strings.TrimSpace(name) == "" || password == "" {
		return s.again(q, "signin", nil, q.wrong("form", "signin.empty"))
	}
	session := Session{Level: SignedIn}
	var who *Person
	var err error
	if code != "" {
		who, err = s.Prover.Both(q.Context(), name, secret(password), secret(code), s.from(q.Request))
		session.Code = q.now.Unix()
	} else {
		who, err = s.Prover.Password(q.Context(), name, secret(password), s.from(q.Request))
	}
	if err != nil {
		return unavailable(err)
	}
	if who == nil {
		return refused()
	}
	if code == "" {
		h, tokens, _, err := s.Desk().Holder(q.Context(), who.Account)
		if err != nil {
			return err
		}
		if len(working(devices(&h, tokens, q.now))) > 0 {
			return refused()
		}
	}
	session.Account, session.Name = who.Account, who.Name
	if err := s.enter(q, session); err != nil {
		return err
	}
	return goTo(q, "/my")
}

// unavailable is the page for a directory or a store that does not answer: nothing was decided.
func unavailable(err error) error {
	return &outage{failure{http.StatusServiceUnavailable, "no-answer", "error.outage", "/"}, err}
}

// outage is a failure whose cause the log tells.
type outage struct {
	failure
	cause error
}

func (o *outage) Unwrap() []error { return []error{&o.failure, o.cause} }

func (s *Server) signOut(q *request) error {
	if q.session != nil {
		if err := s.sessions.end(q.session.Account, q.session.ID); err != nil {
			return err
		}
	}
	setCookie(q.w, sessionCookie, "", -1)
	return goTo(q, "/?done=signedout")
}

func (s *Server) appsPage(q *request) error { return s.show(q, "apps", nil) }
