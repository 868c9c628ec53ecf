package selfservice

import (
	"errors"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
)

// tokenForm is the page on which a token is tested and its clock put right, with sign-in or without (V1, V2).
func (s *Server) tokenForm(q *request) error {
	q.typed = map[string]string{"serial": cleanSerial(q.FormValue("serial"))}
	return s.show(q, "token", nil)
}

// tokenActor is who uses the page. Without a sign-in it is nobody, and the rules keep to the pots of strangers.
func (q *request) tokenActor() desk.Actor {
	if q.session != nil && q.session.Level == SignedIn {
		return q.session.actor()
	}
	return desk.Actor{By: life.ByPerson}
}

// tokenProblem is a refusal as this page tells it: who is not signed in gets one sentence for whatever the token is, so that
// the page reveals neither which tokens there are nor whose. What is wrong with the form itself is told to everybody.
func (q *request) tokenProblem(err error) *problem {
	p := q.problemOf(err)
	if p == nil || q.session != nil && q.session.Level == SignedIn {
		return p
	}
	var no *life.Refusal
	if errors.As(err, &no) {
		switch no.Code {
		case life.EqualCodes:
			return p
		}
	}
	return q.wrong("not-confirmed", "token.unconfirmed")
}

const (
	leastSerial = 6
	mostSerial  = 32
)

// tokenFields reads the form; a problem is one of the form itself.
func (q *request) tokenFields(fields ...string) (serial string, codes []authn.Secret, p *problem) {
	serial = cleanSerial(q.PostFormValue("serial"))
	q.typed = map[string]string{"serial": serial}
	if len(serial) < leastSerial || len(serial) > mostSerial {
		return "", nil, q.wrong("serial-form", "token.serialform")
	}
	for _, c := range serial {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return "", nil, q.wrong("serial-form", "token.serialform")
		}
	}
	for _, f := range fields {
		code := cleanCode(q.PostFormValue(f))
		for _, c := range code {
			if c < '0' || c > '9' {
				code = ""
			}
		}
		if len(code) < 6 || len(code) > 10 {
			return "", nil, q.wrong("code-form", "token.codeform")
		}
		codes = append(codes, secret(code))
	}
	return serial, codes, nil
}

// tokenResult is what a test or a resynchronisation found.
type tokenResult struct{ Result string }

func (s *Server) tokenTest(q *request) error {
	serial, codes, p := q.tokenFields("code")
	if p != nil {
		return s.again(q, "token", nil, p)
	}
	verdict, err := s.Desk().Test(q.Context(), q.tokenActor(), serial, codes[0])
	if p := q.tokenProblem(err); p != nil {
		return s.again(q, "token", nil, p)
	}
	if err != nil {
		return err
	}
	switch verdict {
	case life.Works:
		return s.show(q, "token", tokenResult{"works"})
	case life.OutOfStep:
		return s.show(q, "token", tokenResult{"outofstep"})
	}
	return s.again(q, "token", nil, q.wrong("not-confirmed", "token.unconfirmed"))
}

func (s *Server) tokenResync(q *request) error {
	serial, codes, p := q.tokenFields("first", "second")
	if p != nil {
		return s.again(q, "token", nil, p)
	}
	_, err := s.Desk().Resync(q.Context(), q.tokenActor(), serial, codes[0], codes[1])
	if p := q.tokenProblem(err); p != nil {
		return s.again(q, "token", nil, p)
	}
	if err != nil {
		return err
	}
	return s.show(q, "token", tokenResult{"resynced"})
}
