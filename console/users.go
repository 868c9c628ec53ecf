package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sekisho/admin"
)

// usersPage is GET /users: the list that operators know (O6), and whatever a search finds.
type usersPage struct {
	view
	Query     string
	Filter    userFilter
	States    []string
	Users     []admin.UserRow
	Next, CSV string
	Found     *found
}

// found is what a search came to: people and tokens whose name or serial begins so, and whoever the directory knows by that
// very name.
type found struct {
	Query  string
	User   *admin.User // by the directory, where the list has them not
	Users  []admin.UserRow
	Tokens []admin.Token
	Nobody bool
}

type userFilter struct{ State, Directory, Group, Before string }

var userStates = []string{"in-service", "waiting", "suspended", "expired", "revoked", "exempt", "none"}

// mostFound is how many people and how many tokens a search shows.
const mostFound = 10

func (f userFilter) address() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.State, "directory": f.Directory, "group": f.Group, "before": f.Before} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

func (p *Pages) userQuery(f userFilter) url.Values {
	q := f.address()
	q.Del("before")
	if f.Before != "" {
		q.Set("expires_before", p.dayIn(f.Before))
	}
	return q
}

func (p *Pages) users(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "users")
	if v == nil {
		return
	}
	in := r.URL.Query()
	page := &usersPage{view: *v, Query: strings.TrimSpace(in.Get("q")), States: userStates,
		Filter: userFilter{in.Get("state"), in.Get("directory"), in.Get("group"), in.Get("before")}}
	problem := p.fillUsers(r, page)
	if problem != nil {
		page.view.Problem = problemIn(v.Lang, problem)
	}
	switch {
	case in.Get("part") == "found":
		p.part(w, "users", "list", page)
	case problem != nil:
		p.show(w, problem.Status, "users", page)
	default:
		p.show(w, http.StatusOK, "users", page)
	}
}

func (p *Pages) fillUsers(r *http.Request, page *usersPage) (problem *admin.Problem) {
	if page.Query != "" {
		page.Command = "sekisho user show " + shell(page.Query)
		page.Found, problem = p.find(r, page.Query)
		return problem
	}
	q := p.userQuery(page.Filter)
	sheet := p.userQuery(page.Filter)
	sheet.Set("format", "csv")
	page.CSV = "/api/v1/users?" + sheet.Encode()
	if after := r.URL.Query().Get("after"); after != "" {
		q.Set("after", after)
	}
	var list admin.UserList
	if problem := p.ask(r, http.MethodGet, "/api/v1/users?"+q.Encode(), nil, &list); problem != nil {
		return problem
	}
	page.Users = list.Users
	if list.Next != "" {
		address := page.Filter.address()
		address.Set("after", list.Next)
		page.Next = "/users?" + address.Encode()
	}
	return nil
}

// find looks for people and tokens; not finding is no problem.
func (p *Pages) find(r *http.Request, query string) (*found, *admin.Problem) {
	out := &found{Query: query}
	limit := strconv.Itoa(mostFound)
	var users admin.UserList
	for _, by := range []string{"user", "serial"} {
		var list admin.UserList
		q := url.Values{by: {query}, "limit": {limit}}
		if problem := p.ask(r, http.MethodGet, "/api/v1/users?"+q.Encode(), nil, &list); problem != nil {
			return nil, problem
		}
		for _, u := range list.Users {
			if !slices.ContainsFunc(users.Users, func(x admin.UserRow) bool { return x.Account == u.Account }) {
				users.Users = append(users.Users, u)
			}
		}
	}
	out.Users = users.Users
	var tokens admin.TokenList
	if problem := p.ask(r, http.MethodGet, "/api/v1/tokens?"+url.Values{"serial": {query}, "limit": {limit}}.Encode(), nil, &tokens); problem != nil {
		return nil, problem
	}
	out.Tokens = tokens.Tokens
	user := &admin.User{}
	switch problem := p.ask(r, http.MethodGet, apiPath("users", query), nil, user); {
	case problem == nil:
		if !slices.ContainsFunc(out.Users, func(x admin.UserRow) bool { return x.Account == user.Account }) {
			out.User = user
		}
	case problem.Status != http.StatusNotFound && len(out.Users)+len(out.Tokens) == 0:
		return nil, problem
	}
	out.Nobody = out.User == nil && len(out.Users)+len(out.Tokens) == 0
	return out, nil
}

// userPage is GET /users/{user}: what the directory says, tokens, locks, and what became of each login.
type userPage struct {
	view
	Ref    string // as in the address
	User   admin.User
	Events []event
	All    string // path of the whole list of logins
	Acts   []actLink
	Holds  []userHold
}

type userHold struct {
	admin.UserToken
	Acts []actLink
}

func (p *Pages) user(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "user")
	if v == nil {
		return
	}
	page := &userPage{view: *v, Ref: r.PathValue("user")}
	if problem := p.loadUser(r, page); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	page.view.Page = "users"
	p.show(w, http.StatusOK, "user", page)
}

// userActs are the acts on somebody, those that help first.
func (page *userPage) userActs(back string) []actLink {
	names := []string{"activations", "temporary"}
	if len(page.User.Locks) > 0 {
		names = append([]string{"unlock"}, names...)
	}
	if page.User.Temporary != nil {
		names = append(names, "temporary-end")
	}
	if page.User.PIN {
		names = append(names, "pin-force", "pin-reset")
	}
	if page.User.From != "" {
		names = append(names, "waive")
	}
	if slices.ContainsFunc(page.User.Tokens, func(t admin.UserToken) bool { return t.Standing == "revoked" }) {
		names = append(names, "undo")
	}
	return page.links("users", page.Ref, back, nil, names...)
}

func (p *Pages) loadUser(r *http.Request, page *userPage) *admin.Problem {
	if problem := p.ask(r, http.MethodGet, apiPath("users", page.Ref), nil, &page.User); problem != nil {
		return problem
	}
	if page.User.Account != "" {
		page.Ref = page.User.Account
	}
	page.Title = page.User.Name
	page.Command = "sekisho user show " + shell(page.User.Name)
	q := url.Values{"user": {page.Ref}, "limit": {"20"}, "acts": {"true"}}
	list, problem := p.events(r, q)
	if problem == nil {
		page.Events = p.withFixes(&page.view, list.Events)
	}
	back := "/users/" + url.PathEscape(page.Ref)
	if page.view.Here != "" && page.view.Page == "help-desk" {
		back = page.view.Here
	}
	for _, t := range page.User.Tokens {
		page.Holds = append(page.Holds, userHold{t, page.holdActs(&t.Token, t.Standing, page.Ref, page.User.Name, back)})
	}
	page.Acts = page.userActs(back)
	page.All = "/logins?" + url.Values{"user": {page.Ref}, "acts": {"true"}}.Encode()
	return nil
}

// helpDeskPage is GET /help-desk: find, state and last attempts beside each other, and the few acts of a call.
type helpDeskPage struct {
	view
	Query string
	Found *userPage
	Token *admin.Token
}

func (p *Pages) helpDesk(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "help-desk")
	if v == nil {
		return
	}
	page := &helpDeskPage{view: *v, Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	if page.Query != "" {
		ref := page.Query
		page.Token = &admin.Token{}
		if p.ask(r, http.MethodGet, apiPath("tokens", ref), nil, page.Token) != nil {
			page.Token = nil
		} else if len(page.Token.Holders) == 1 {
			ref = page.Token.Holders[0].Account
		}
		found := &userPage{view: *v, Ref: ref}
		problem := p.loadUser(r, found)
		switch {
		case problem == nil:
			found.Events = found.Events[:min(len(found.Events), 5)]
			page.Found, page.Command = found, found.Command
		case page.Token == nil || problem.Status != http.StatusNotFound:
			page.view.Problem = problemIn(v.Lang, problem)
		}
	}
	p.show(w, http.StatusOK, "help-desk", page)
}
