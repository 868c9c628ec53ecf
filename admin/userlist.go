package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

// UserRow is one line of the list of users: the columns that operators know, with stable codes and RFC 3339 instants.
type UserRow struct {
	User      string `json:"user" doc:"login ID"`
	Name      string `json:"name,omitempty" doc:"as the directory has it; empty: it does not say, or did not answer"`
	Class     string `json:"class" doc:"master, admin, helpdesk or auditor of an operator; user for everybody else"`
	Serial    string `json:"serial,omitempty" doc:"of the token that the state is about"`
	State     string `json:"state" doc:"in-service, expired, revoked, waiting, suspended, exempt or none"`
	StateJA   string `json:"state_ja"`
	Expiry    string `json:"expiry,omitempty" doc:"of that token; RFC 3339"`
	More      int    `json:"more,omitempty" doc:"further tokens of the same state"`
	From      string `json:"register_from,omitempty" doc:"from when a token may be registered again; RFC 3339"`
	Directory string `json:"directory"`
	Account   string `json:"account"`
}

// UserList is a page of users.
type UserList struct {
	Listing
	Users []UserRow `json:"users"`
}

var userColumns = []column[UserRow]{
	{"login_id", func(u *UserRow) string { return u.User }},
	{"name", func(u *UserRow) string { return u.Name }},
	{"class", func(u *UserRow) string { return u.Class }},
	{"serial", func(u *UserRow) string { return u.Serial }},
	{"state", func(u *UserRow) string { return u.State }},
	{"expiry", func(u *UserRow) string { return u.Expiry }},
	{"more", func(u *UserRow) string { return number(u.More) }},
	{"register_from", func(u *UserRow) string { return u.From }},
	{"directory", func(u *UserRow) string { return u.Directory }},
	{"account", func(u *UserRow) string { return u.Account }},
}

// listUsers is GET /api/v1/users: everybody to whom something was ever given. People who are in a directory alone have no
// row; GET /api/v1/users/{user} finds them.
func (s *Server) listUsers(ctx context.Context, in *struct {
	Paging
	Expiring
	State     string `query:"state" enum:"in-service,expired,revoked,waiting,suspended,exempt,none"`
	Name      string `query:"user" maxLength:"253" doc:"beginning of the login ID"`
	Serial    string `query:"serial" maxLength:"128" doc:"beginning of the serial of a token that they hold or held"`
	Directory string `query:"directory" maxLength:"253"`
	Group     string `query:"group" maxLength:"1024" doc:"only members, as the directory has them now"`
}) (*listReply[UserList], error) {
	people := s.newPeople(ctx, in.Group)
	now := s.Now()
	all, next, err := gather(&in.Paging, func(after string, n int) (page []UserRow, next string, err error) {
		q := AccountQuery{Directory: in.Directory, Name: in.Name, Limit: n}
		if after != "" {
			id, err := token.ParseID(after)
			if err != nil {
				return nil, "", badAfter(err)
			}
			q.After = authn.AccountID(id)
		}
		accounts, err := s.Store.Accounts(ctx, q)
		if err != nil {
			return nil, "", s.problem(err)
		}
		if len(accounts) == n {
			next = accounts[n-1].ID.String()
		}
		var kept []*authn.Account
		for _, a := range accounts {
			h, tokens, err := s.holding(ctx, a)
			if err != nil {
				return nil, "", err
			}
			u := life.StateOf(&h, tokens, now)
			if in.State != "" && in.State != string(u.Stage) || !in.fits(u.Expiry) || in.Serial != "" && !anySerial(tokens, in.Serial) {
				continue
			}
			row := UserRow{User: authn.Shown([]byte(a.Name)), Class: "user", Serial: u.Serial, State: string(u.Stage), StateJA: u.Stage.Japanese(),
				Expiry: instant(u.Expiry), More: u.More, From: instant(u.From), Directory: a.Directory, Account: a.ID.String()}
			if role := s.personOf(ctx, authn.Owner{Account: a.ID}).Operator; role != operator.Nobody {
				row.Class = role.String()
			}
			page, kept = append(page, row), append(kept, a)
		}
		page, err = people.fill(page, kept)
		return page, next, err
	})
	if err != nil {
		return nil, err
	}
	return answer(&in.Paging, "users", userColumns, all, next, func(l Listing, all []UserRow) UserList { return UserList{l, all} }), nil
}

func anySerial(tokens []token.Token, prefix string) bool {
	return slices.ContainsFunc(tokens, func(t token.Token) bool { return strings.HasPrefix(strings.ToUpper(t.Serial), strings.ToUpper(prefix)) })
}

// people asks directories about those who stand in one listing. A directory that does not answer once is asked no more: its
// users lack their names, and where rows hang on its word (a group, an operator's scope) the listing ends.
type people struct {
	s     *Server
	ctx   context.Context
	group string
	needs bool // rows hang on what the directory says
	dead  map[string]bool
}

func (s *Server) newPeople(ctx context.Context, group string) *people {
	return &people{s, ctx, group, group != "" || !PrincipalOf(ctx).Scope.All(), map[string]bool{}}
}

// Bounds of the questions of one listing.
const (
	namesAtOnce = 8
	namesTime   = 5 * time.Second // for a page, where nothing but names hangs on it
)

// fill adds names and leaves out rows that are not to be shown. accounts are those of the rows.
func (p *people) fill(rows []UserRow, accounts []*authn.Account) ([]UserRow, error) {
	ctx := p.ctx
	if !p.needs {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, namesTime)
		defer cancel()
	}
	found, failed := make([]*authn.User, len(rows)), make([]error, len(rows))
	var g errgroup.Group
	g.SetLimit(namesAtOnce)
	for i, a := range accounts {
		if b := p.s.branch(a.Directory); b != nil && !p.dead[a.Directory] {
			g.Go(func() error {
				found[i], failed[i] = b.Directory.Lookup(ctx, []byte(a.Name))
				return nil
			})
		}
	}
	_ = g.Wait()
	for i, err := range failed {
		if err == nil || isNobody(err) {
			continue
		}
		if p.needs {
			p.s.Log.Error("the directory did not answer", "directory", accounts[i].Directory, "error", err)
			return nil, newProblem(http.StatusServiceUnavailable, "directory-down", wordDirectoryDown)
		}
		p.dead[accounts[i].Directory] = true
	}
	kept := rows[:0]
	for i := range rows {
		u := found[i]
		if u != nil && u.ID != accounts[i].External {
			u = nil // another person has the name meanwhile
		}
		if p.needs && !p.shows(accounts[i], u) {
			continue
		}
		if u != nil && len(u.Attributes["name"]) > 0 {
			rows[i].Name = authn.Shown([]byte(u.Attributes["name"][0]))
		}
		kept = append(kept, rows[i])
	}
	return kept, nil
}

// shows reports a row that the filter wants and that the operator may see.
func (p *people) shows(a *authn.Account, u *authn.User) bool {
	person := operator.Person{Directory: a.Directory}
	if u != nil {
		person.Groups = u.Groups
	}
	return PrincipalOf(p.ctx).Scope.Covers(person) &&
		(p.group == "" || slices.ContainsFunc(person.Groups, func(g string) bool { return strings.EqualFold(g, p.group) }))
}

// branch finds a directory by its name; nil when the configuration has none of it.
func (s *Server) branch(name string) *authn.Branch {
	for i := range s.Directories {
		if s.Directories[i].Name == name {
			return &s.Directories[i]
		}
	}
	return nil
}
