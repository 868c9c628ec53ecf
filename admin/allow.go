package admin

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

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

	"POST /api/v1/tokens/{token}/suspend":     {operator.Suspend, byHandler},
	"POST /api/v1/tokens/{token}/resume":      {operator.Suspend, byHandler},
	"POST /api/v1/tokens/{token}/lost":        {operator.Suspend, byHandler},
	"POST /api/v1/tokens/{token}/revoke-lost": {operator.RevokeLost, byHandler},
	"POST /api/v1/tokens/{token}/test":        {operator.Resync, byHandler},
	"POST /api/v1/tokens/{token}/resync":      {operator.Resync, byHandler},
	"POST /api/v1/tokens/{token}/reset-drift": {operator.Resync, byHandler},
	"POST /api/v1/tokens/{token}/retire":      {operator.Revoke, byHandler},
	"POST /api/v1/tokens/{token}/register":    {operator.Assign, byHandler},
	"POST /api/v1/tokens/extend":              {operator.Extend, byHandler},
	"POST /api/v1/tokens/revoke":              {operator.Revoke, byHandler},
	"POST /api/v1/tokens/reserve":             {operator.Assign, byHandler},

	"GET /api/v1/users":                     {operator.ReadTokens, byDoor}, // shows what the caller's scope covers
	"POST /api/v1/users/{user}/temporary":   {operator.Temporary, byHandler},
	"DELETE /api/v1/users/{user}/temporary": {operator.Temporary, byHandler},
	"POST /api/v1/users/{user}/first-login": {operator.Temporary, byHandler},
	"POST /api/v1/users/{user}/pin/force":   {operator.SetPIN, byHandler},
	"POST /api/v1/users/{user}/pin/reset":   {operator.SetPIN, byHandler},
	"POST /api/v1/users/{user}/waive":       {operator.Waive, byHandler},
	"POST /api/v1/users/{user}/undo":        {operator.Undo, byHandler},
	"POST /api/v1/undo":                     {operator.Undo, byHandler},
	"POST /api/v1/users/{user}/activations": {operator.Assign, byHandler},

	"GET /api/v1/activations":                      {operator.ReadTokens, byDoor}, // shows what the caller's scope covers
	"GET /api/v1/activations/{activation}":         {operator.ReadTokens, byHandler},
	"POST /api/v1/activations/{activation}/resend": {operator.Assign, byHandler},
	"POST /api/v1/activations/{activation}/revoke": {operator.Assign, byHandler},
	"POST /api/v1/invitations":                     {operator.Assign, byHandler},
	"POST /api/v1/letters":                         {operator.Assign, byHandler},
	"GET /api/v1/requests":                         {operator.ReadTokens, byDoor}, // shows what the caller's scope covers
	"GET /api/v1/requests/{request}":               {operator.ReadTokens, byHandler},
	"POST /api/v1/requests/{request}/approve":      {operator.Approve, byHandler},
	"POST /api/v1/requests/{request}/refuse":       {operator.Approve, byHandler},

	"GET /api/v1/names":                        {operator.ReadTokens, byHandler},
	"GET /api/v1/explain":                      {operator.ReadTokens, byHandler},
	"GET /api/v1/clients":                      {operator.ReadTokens, byDoor},
	"GET /api/v1/clients/{client}":             {operator.ReadTokens, byDoor},
	"POST /api/v1/clients/{client}/release-ma": {operator.Gateways, byDoor},
	"POST /api/v1/clock/accept":                {operator.Configuration, byDoor},
	"POST /api/v1/config/reload":               {operator.Configuration, byDoor},
	"POST /api/v1/backup":                      {operator.Keys, byDoor},
	"GET /api/v1/logins":                       {operator.ReadTokens, byDoor},  // shows what the caller's scope covers
	"GET /api/v1/audit":                        {operator.ReadAudit, byDoor},   // too
	"GET /api/v1/mails":                        {operator.ReadService, byDoor}, // shows what the caller's scope covers
	"GET /api/v1/mails/{mail}":                 {operator.ReadService, byHandler},
	"POST /api/v1/mails/{mail}/again":          {operator.Mails, byHandler},

	"POST /api/v1/audit/verify": {operator.ReadAudit, byDoor},

	"POST /api/v1/session":               {"", open},
	"POST /api/v1/session/link":          {"", open},
	"GET /api/v1/session":                {"", byDoor},
	"DELETE /api/v1/session":             {"", byDoor},
	"POST /api/v1/session/step-up":       {"", byDoor},
	"POST /api/v1/session/token":         {"", byDoor}, // for sessions that may register alone
	"POST /api/v1/session/token/confirm": {"", byDoor},
	"GET /api/v1/sessions":               {"", byHandler}, // one's own; all of them for masters
	"DELETE /api/v1/sessions/{session}":  {"", byHandler},

	"GET /api/v1/operators":                     {operator.ReadAudit, byDoor},
	"GET /api/v1/operators/rights":              {"", byDoor},
	"POST /api/v1/operators":                    {operator.Operators, byHandler},
	"PATCH /api/v1/operators/{operator}":        {operator.Operators, byHandler},
	"DELETE /api/v1/operators/{operator}":       {operator.Operators, byHandler},
	"POST /api/v1/operators/{operator}/link":    {operator.Operators, byHandler},
	"POST /api/v1/operators/{operator}/recover": {operator.Operators, byHandler},
	"POST /api/v1/operators/{operator}/raise":   {operator.Raise, byHandler},

	"GET /api/v1/keys":          {operator.Keys, byHandler}, // listing and revoking ask for no step-up
	"POST /api/v1/keys":         {operator.Keys, byHandler},
	"DELETE /api/v1/keys/{key}": {operator.Keys, byHandler},

	"GET /api/v1/approvals":                      {"", byHandler}, // one's own, and those that one can answer
	"POST /api/v1/approvals":                     {"", byHandler},
	"POST /api/v1/approvals/{approval}/agree":    {"", byHandler},
	"POST /api/v1/approvals/{approval}/refuse":   {"", byHandler},
	"POST /api/v1/approvals/{approval}/withdraw": {"", byHandler},
	"GET /api/v1/plots":                          {operator.ReadTokens, byDoor}, // of everybody: whose scope is narrower gets none

	"GET /api/openapi.json":     {"", byDoor},
	"GET /api/openapi.yaml":     {"", byDoor},
	"GET /api/openapi-3.0.json": {"", byDoor},
	"GET /api/openapi-3.0.yaml": {"", byDoor},
}

// caller is who makes one call, and the call.
type caller struct {
	operator.Principal
	peer    Peer            // of the local socket
	account authn.AccountID // their own; zero: none, as for programs and the local socket
	session uint64          // zero: none
	typed   string          // the name they signed in with
	fresh   time.Time       // of OIDC: the last sign-in at the provider
	maker   string          // of a program: who made its key
	remote  netip.AddrPort
	agent   string

	call     string // method and path with query
	body     []byte
	approval string // the number of one, as the header brought it
	second   string // who agreed to this call
	asked    bool   // allow has said yes
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
	if p := s.decideFor(ctx, c, right, t, c.Door == operator.LocalSocket && c.peer.administers()); p != nil {
		return p
	}
	c.asked = true
	return nil
}

// allowAgreed is allow for a second person: they need what the act itself needs.
func (s *Server) allowAgreed(ctx context.Context, right operator.Right, t operator.Target) *Problem {
	return s.decideFor(ctx, callerOf(ctx), right, t, true)
}

// decideFor asks the rules, and takes what a yes costs: the step-up, the second person's word, one of the day's acts. Who is
// the machine's administrator has the keys anyway, and needs nobody's word for what the keys open.
func (s *Server) decideFor(ctx context.Context, c *caller, right operator.Right, t operator.Target, agreed bool) *Problem {
	if c.NoToken {
		return answerProblem(operator.RegisterOnly, right, c.Principal)
	}
	answer := operator.Decide(c.Principal, right, t, s.Policy, agreed, s.Now())
	if answer == operator.SecondPerson {
		if p := s.second(ctx, c, right, aboutText(c, t)); p != nil {
			return p
		}
		answer = operator.Yes
	}
	if answer != operator.Yes {
		return answerProblem(answer, right, c.Principal)
	}
	if operator.Takes(c.Principal, right, t, s.Policy) {
		if p := s.takeProof(ctx, c, right); p != nil {
			return p
		}
	}
	if operator.ClassOf(right) == operator.Helps && c.Role == operator.Helpdesk && c.account != 0 {
		return s.takeDaily(ctx, c)
	}
	return nil
}

// takeProof spends the step-up, so that of many calls with one step-up one goes through.
func (s *Server) takeProof(ctx context.Context, c *caller, right operator.Right) *Problem {
	stepUp := answerProblem(operator.StepUp, right, c.Principal)
	err := s.changeSession(ctx, c.session, func(d *sessionData) error {
		if d.Spent.Equal(d.Proven) || !d.Proven.Equal(c.Proven) {
			return stepUp
		}
		d.Spent = d.Proven
		return nil
	})
	if err != nil {
		return asProblem(s.problem(err))
	}
	c.Spent = true
	return nil
}

// takeDaily counts one act of a help desk (P10).
func (s *Server) takeDaily(ctx context.Context, c *caller) *Problem {
	key := operatorKey(c.account)
	err := s.save(authn.Keys{Records: []authn.RecordKey{key}}, func(h *authn.Held) (authn.Change, error) {
		if h.Records[0] == nil {
			return authn.Change{}, errSignIn
		}
		d, err := unpack[operatorData](h.Records[0])
		if err != nil {
			return authn.Change{}, err
		}
		daily, no := d.Daily.Take(c.Principal, s.ActsPerDay, s.zone(), s.Now())
		if no != nil {
			return authn.Change{}, newProblem(http.StatusTooManyRequests, no.Code, no.Sentence)
		}
		d.Daily = daily
		return authn.Change{Records: []*authn.Record{d.record(c.account, h.Records[0])}}, nil
	})
	if err != nil {
		return asProblem(s.problem(err))
	}
	return nil
}

// ownAccount is the caller's own account; zero where they have none.
func (s *Server) ownAccount(ctx context.Context) authn.AccountID {
	if c := callerOf(ctx); c != nil {
		return c.account
	}
	return 0
}

// secondOf names who agreed to the caller's act; empty: nobody did.
func secondOf(ctx context.Context) string {
	if c := callerOf(ctx); c != nil {
		return c.second
	}
	return ""
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
	t.Vip = s.vip(t.People)
	return t
}

// personOf is one person for the rules. A directory is asked about somebody's groups only where the caller's scope or the
// VIPs are groups; while it does not answer, they have none.
func (s *Server) personOf(ctx context.Context, o authn.Owner) operator.Person {
	p := operator.Person{}
	if o.User == nil {
		o.User = s.userOf(ctx, o.Account)
	}
	if o.User != nil {
		p.Name, p.Directory, p.Groups = o.User.Name, o.User.Directory, o.User.Groups
	}
	if d, _, err := s.operator(o.Account); err != nil {
		p.Operator = operator.Master // what cannot be read is held to be the most
	} else if d != nil {
		p.Operator = d.Role
	}
	p.Self = o.Account != 0 && o.Account == s.ownAccount(ctx)
	return p
}

// sees reports that an account's owner is in the caller's scope.
func (s *Server) sees(ctx context.Context, account authn.AccountID) bool {
	c := callerOf(ctx)
	if c == nil || c.Scope.All() {
		return c != nil
	}
	if account == 0 {
		return false
	}
	if account == c.account {
		return true
	}
	u := s.userOf(ctx, account)
	return u != nil && c.Scope.Covers(operator.Person{Directory: u.Directory, Groups: u.Groups})
}

// vip reports somebody of the groups whose loss of a token two people decide on.
func (s *Server) vip(people []operator.Person) bool {
	return slices.ContainsFunc(people, func(p operator.Person) bool {
		return slices.ContainsFunc(s.VIP, func(g string) bool {
			return slices.ContainsFunc(p.Groups, func(have string) bool { return strings.EqualFold(g, have) })
		})
	})
}

// userOf is the directory's user of an account, as far as the caller's scope needs it.
func (s *Server) userOf(ctx context.Context, id authn.AccountID) *authn.User {
	a, err := s.Store.Account(id)
	if err != nil {
		return nil
	}
	known := &authn.User{Directory: a.Directory, ID: a.External, Name: a.Name}
	if len(PrincipalOf(ctx).Scope.Groups) == 0 && len(s.VIP) == 0 {
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
