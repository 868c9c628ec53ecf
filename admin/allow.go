package admin

import (
	"context"
	"net/http"
	"slices"

	"sekisho/authn"
	"sekisho/operator"
)

// This file says who may call what. The door (guard) makes a [caller] of whoever calls and finds the route in the table
// below; what the route does is decided by [Server.allow], which asks the rules of package operator.

// access is what a route asks of its caller.
type access struct {
	right operator.Right // empty: none, whoever is signed in
	// by says who asks allow: the door before the handler runs, for what concerns no person, or the handler itself, which
	// knows whom it is about. Until it has asked, the handler can change nothing (see Server.act).
	by asker
}

type asker uint8

const (
	byDoor    asker = iota + 1
	byHandler       // it calls allow with its target
	open            // nobody has to be signed in: this is how people do that
)

// routes is every route with what it asks for. A route that is missing here is refused, and fails a test.
var routes = map[string]access{
	"GET /api/v1/health": {operator.ReadService, byDoor},

	"GET /api/v1/tokens":                  {operator.ReadTokens, byDoor}, // shows what the caller's scope covers
	"GET /api/v1/tokens/{token}":          {operator.ReadTokens, byHandler},
	"POST /api/v1/tokens/import":          {operator.Import, byHandler}, // a dry run asks for no proof
	"POST /api/v1/tokens/export":          {operator.ExportSeeds, byHandler},
	"POST /api/v1/tokens/{token}/assign":  {operator.Assign, byHandler},
	"POST /api/v1/tokens/{token}/confirm": {operator.Assign, byHandler},
	"POST /api/v1/tokens/{token}/revoke":  {operator.Revoke, byHandler},

	"GET /api/v1/users/{user}":         {operator.ReadTokens, byHandler},
	"POST /api/v1/users/{user}/tokens": {operator.Assign, byHandler},
	"PUT /api/v1/users/{user}/pin":     {operator.SetPIN, byHandler},
	"POST /api/v1/users/{user}/unlock": {operator.Unlock, byHandler},
	"POST /api/v1/users/{user}/erase":  {operator.Erase, byHandler},

	"GET /api/v1/names":                        {operator.ReadTokens, byHandler},
	"GET /api/v1/explain":                      {operator.ReadTokens, byHandler},
	"GET /api/v1/clients":                      {operator.ReadTokens, byDoor},
	"GET /api/v1/clients/{client}":             {operator.ReadTokens, byDoor},
	"POST /api/v1/clients/{client}/release-ma": {operator.Gateways, byDoor},
	"POST /api/v1/clock/accept":                {operator.Configuration, byDoor},
	"POST /api/v1/config/reload":               {operator.Configuration, byDoor},
	"POST /api/v1/backup":                      {operator.Keys, byDoor},
	"GET /api/v1/logins":                       {operator.ReadTokens, byDoor}, // shows what the caller's scope covers
	"GET /api/v1/audit":                        {operator.ReadAudit, byDoor},  // too
	"POST /api/v1/audit/verify":                {operator.ReadAudit, byDoor},

	"GET /api/openapi.json":     {"", byDoor},
	"GET /api/openapi.yaml":     {"", byDoor},
	"GET /api/openapi-3.0.json": {"", byDoor},
	"GET /api/openapi-3.0.yaml": {"", byDoor},
}

// caller is who makes one call.
type caller struct {
	operator.Principal
	peer  Peer // of the local socket
	asked bool // allow has said yes
}

type callerKey struct{}

// may reports that the caller has a right, whoever it is about.
func (c *caller) may(right operator.Right) bool {
	return c.Role.Has(right) && (c.Only == nil || slices.Contains(c.Only, right))
}

// callerOf gives the caller that the door put into the context; nil for a context that came through none.
func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// PrincipalOf tells who calls.
func PrincipalOf(ctx context.Context) operator.Principal {
	if c := callerOf(ctx); c != nil {
		return c.Principal
	}
	return operator.Principal{}
}

// allow says whether the caller may do something to a target now: nil for yes. A problem with the code not-found stands for
// people who do not exist for this caller; handlers that know a name word it as for a name that nobody has (see hidden).
func (s *Server) allow(ctx context.Context, right operator.Right, t operator.Target) *Problem {
	c := callerOf(ctx)
	if c == nil {
		return answerProblem(operator.NoRight, right, operator.Principal{})
	}
	answer := operator.Decide(c.Principal, right, t, s.Policy, c.peer.administers() && c.Door == operator.LocalSocket, s.Now())
	if answer != operator.Yes {
		return answerProblem(answer, right, c.Principal)
	}
	c.asked = true
	return nil
}

// allowUser is allow for the person of a name; somebody out of scope is answered as a name that nobody has.
func (s *Server) allowUser(ctx context.Context, right operator.Right, name string, o authn.Owner) *Problem {
	return hidden(s.allow(ctx, right, s.target(ctx, o)), newProblem(http.StatusNotFound, "unknown-user", wordUnknownUser(name)))
}

// allowToken is allow for the holders of a token; one whose holders are out of scope is answered as one that does not exist.
func (s *Server) allowToken(ctx context.Context, right operator.Right, name string, holders []authn.AccountID) *Problem {
	owners := make([]authn.Owner, len(holders))
	for i, id := range holders {
		owners[i] = authn.Owner{Account: id}
	}
	return hidden(s.allow(ctx, right, s.target(ctx, owners...)), newProblem(http.StatusNotFound, "unknown-token", wordUnknownToken(name)))
}

// onSocket keeps calls for the local socket that show a seed, or take a PIN, in clear: whoever helps people from afar must
// not come to hold what they let in with (B47).
func onSocket(ctx context.Context) *Problem {
	if PrincipalOf(ctx).Door == operator.LocalSocket {
		return nil
	}
	return newProblem(http.StatusForbidden, "socket-only", wordSocketOnly)
}

// hidden gives the problem that a name gets which nobody has, where allow said that its person does not exist.
func hidden(p, unknown *Problem) *Problem {
	if p != nil && p.Code == operator.NotFound.String() {
		return unknown
	}
	return p
}

// answerProblem words an answer that is not yes.
func answerProblem(a operator.Answer, right operator.Right, p operator.Principal) *Problem {
	switch a {
	case operator.NotFound:
		return newProblem(http.StatusNotFound, a.String(), wordNotFound)
	case operator.NoOperators:
		return newProblem(http.StatusForbidden, a.String(), wordNoOperators)
	case operator.NotOneself:
		return newProblem(http.StatusForbidden, a.String(), wordNotOneself)
	case operator.RegisterOnly:
		return newProblem(http.StatusForbidden, a.String(), wordRegisterFirst)
	case operator.StepUp:
		return newProblem(http.StatusForbidden, a.String(), wordStepUp)
	case operator.SecondPerson:
		return newProblem(http.StatusConflict, a.String(), wordSecondPerson)
	}
	return newProblem(http.StatusForbidden, operator.NoRight.String(), wordNoRight(p, right))
}

// target is what an act on some people is about, as the rules want to know it. The people come from owner, newOwner or
// holder, so the directory has been asked where it had to be.
func (s *Server) target(ctx context.Context, owners ...authn.Owner) operator.Target {
	t := operator.Target{Count: len(owners)}
	for _, o := range owners {
		t.People = append(t.People, s.personOf(ctx, o))
	}
	return t
}

// personOf is one person for the rules. A directory is asked about somebody's groups only where the caller's scope has
// groups; while it does not answer, they have none.
func (s *Server) personOf(ctx context.Context, o authn.Owner) operator.Person {
	p := operator.Person{}
	if o.User == nil {
		o.User = s.userOf(ctx, o.Account)
	}
	if o.User != nil {
		p.Directory, p.Groups = o.User.Directory, o.User.Groups
	}
	return p
}

// userOf is the directory's user of an account, as far as the caller's scope needs it.
func (s *Server) userOf(ctx context.Context, id authn.AccountID) *authn.User {
	a, err := s.Store.Account(id)
	if err != nil {
		return nil
	}
	known := &authn.User{Directory: a.Directory, ID: a.External, Name: a.Name}
	if len(PrincipalOf(ctx).Scope.Groups) == 0 {
		return known
	}
	for i := range s.Directories {
		if b := &s.Directories[i]; b.Name == a.Directory {
			if u, err := b.Directory.Lookup(ctx, []byte(a.Name)); err == nil && u.ID == a.External {
				return u
			}
		}
	}
	return known
}
