package console

import (
	"net/http"
	"net/url"
	"strings"

	"sekisho/admin"
)

// usersPage is GET /users: find somebody by name, serial or device.
type usersPage struct {
	view
	Query   string
	User    *admin.User
	Token   *admin.Token
	Nobody  bool
	Reading *admin.NameReading
}

func (p *Pages) users(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "users")
	if v == nil {
		return
	}
	page := &usersPage{view: *v, Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	if page.Query != "" {
		page.Command = "sekisho user show " + shell(page.Query)
		if problem := p.find(r, page); problem != nil {
			page.view.Problem = problemIn(v.Lang, problem)
		}
	}
	if r.URL.Query().Get("part") == "found" {
		p.part(w, "users", "found", page)
		return
	}
	p.show(w, http.StatusOK, "users", page)
}

// find looks for a user and for a token; not finding is no problem.
func (p *Pages) find(r *http.Request, page *usersPage) *admin.Problem {
	user, tok := &admin.User{}, &admin.Token{}
	problem := p.ask(r, http.MethodGet, apiPath("users", page.Query), nil, user)
	if problem == nil {
		page.User = user
	} else if problem.Status == http.StatusNotFound {
		problem = nil
	}
	if p.ask(r, http.MethodGet, apiPath("tokens", page.Query), nil, tok) == nil {
		page.Token = tok
	}
	page.Nobody = page.User == nil && page.Token == nil && problem == nil
	return problem
}

// userPage is GET /users/{user}: what the directory says, tokens, locks, and what became of each login.
type userPage struct {
	view
	Ref    string // as in the address
	User   admin.User
	Events []event
	All    string // path of the whole list of logins
	Secret *admin.Enrolled
}

// timelineLength is how many attempts a user's page shows.
const timelineLength = 20

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
	p.show(w, http.StatusOK, "user", page)
}

func (p *Pages) loadUser(r *http.Request, page *userPage) *admin.Problem {
	if problem := p.ask(r, http.MethodGet, apiPath("users", page.Ref), nil, &page.User); problem != nil {
		return problem
	}
	if page.User.Account != "" {
		page.Ref = page.User.Account
	}
	page.Title, page.view.Page = page.User.Name, "users"
	page.Command = "sekisho user show " + shell(page.User.Name)
	q := url.Values{"user": {page.Ref}, "limit": {"20"}, "acts": {"true"}}
	events, problem := p.events(r, q)
	if problem == nil {
		page.Events = p.withFixes(&page.view, events)
	}
	page.All = "/logins?" + url.Values{"user": {page.Ref}, "acts": {"true"}}.Encode()
	return nil
}

// userAct is POST /users/{user}/{act}.
func (p *Pages) userAct(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("user")
	switch act := r.PathValue("act"); act {
	case "unlock":
		p.act(w, r, "users", http.MethodPost, apiPath("users", ref, "unlock"), nil, nil, func() {
			sayNext(w, "unlocked")
			back(w, r)
		})
	default:
		p.notFound(w, r)
	}
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
		if p.ask(r, http.MethodGet, apiPath("tokens", ref), nil, &page.Token) == nil && len(page.Token.Holders) == 1 {
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
