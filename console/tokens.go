package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sekisho/admin"
)

// tokensPage is GET /tokens.
type tokensPage struct {
	view
	Filter    tokenFilter
	States    []string
	Forms     []string
	Tokens    []admin.Token
	Next, CSV string
	Narrowed  bool
	First     bool
	Batches   []string // acts on several that the role may do
}

type tokenFilter struct{ State, Form, Serial, Before string }

var (
	tokenStates = []string{"in use", "in stock", "expired", "destroyed"}
	tokenForms  = []string{"hardware", "software"}
)

func tokenFilterOf(r *http.Request) tokenFilter {
	q := r.URL.Query()
	return tokenFilter{State: q.Get("state"), Form: q.Get("form"), Serial: strings.TrimSpace(q.Get("serial")), Before: q.Get("before")}
}

// address is the filter as the page's own query has it.
func (f tokenFilter) address() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.State, "form": f.Form, "serial": f.Serial, "before": f.Before} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// query is the filter as the API's has it.
func (p *Pages) tokenQuery(f tokenFilter) url.Values {
	q := f.address()
	q.Del("before")
	if f.Before != "" {
		q.Set("expires_before", p.dayIn(f.Before))
	}
	return q
}

func (p *Pages) tokens(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "tokens")
	if v == nil {
		return
	}
	f := tokenFilterOf(r)
	page := &tokensPage{view: *v, Filter: f, States: tokenStates, Forms: tokenForms, Narrowed: f != tokenFilter{}}
	for _, name := range batchNames {
		if v.Can(batches[name].Right) {
			page.Batches = append(page.Batches, name)
		}
	}
	page.Command = "sekisho token list" + option("--state", f.State) + option("--form", f.Form)
	q := p.tokenQuery(f)
	sheet := p.tokenQuery(f)
	sheet.Set("format", "csv")
	page.CSV = "/api/v1/tokens?" + sheet.Encode()
	after := r.URL.Query().Get("after")
	if page.First = after == ""; !page.First {
		q.Set("after", after)
	}
	var list admin.TokenList
	if problem := p.ask(r, http.MethodGet, "/api/v1/tokens?"+q.Encode(), nil, &list); problem != nil {
		page.view.Problem = problemIn(v.Lang, problem)
		p.show(w, problem.Status, "tokens", page)
		return
	}
	page.Tokens = list.Tokens
	if list.Next != "" {
		address := f.address()
		address.Set("after", list.Next)
		page.Next = "/tokens?" + address.Encode()
	}
	p.show(w, http.StatusOK, "tokens", page)
}

// tokenPage is GET /tokens/{token}.
type tokenPage struct {
	view
	Token   admin.Token
	Acts    []actLink   // on the token itself
	Holders []holderRow // with the acts on each one's hold
}

type holderRow struct {
	admin.Holder
	Acts []actLink
}

// actLink leads to the page of an act.
type actLink struct {
	Kind, Name string
	Path       string
	Grave      bool
}

// links are the pages of those acts that the role may do.
func (v *view) links(kind, subject, back string, more url.Values, names ...string) []actLink {
	var all []actLink
	for _, name := range names {
		a := actKinds[kind][name]
		if !v.Can(a.Right) {
			continue
		}
		q := url.Values{"back": {back}}
		for key, values := range more {
			q[key] = values
		}
		all = append(all, actLink{kind, name, "/" + kind + "/" + url.PathEscape(subject) + "/" + name + "?" + q.Encode(), a.Grave})
	}
	return all
}

// holdActs are the acts on somebody's hold of a token, by how it stands.
func (v *view) holdActs(t *admin.Token, standing, account, name, back string) []actLink {
	who := url.Values{"hold": {account}, "who": {name}}
	switch standing {
	case "pending":
		return v.links("tokens", t.ID, back, who, "confirm", "revoke")
	case "active":
		return v.links("tokens", t.ID, back, who, "suspend", "lost", "revoke")
	case "suspended":
		return v.links("tokens", t.ID, back, who, "resume", "revoke")
	}
	return nil
}

func (p *Pages) token(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "token")
	if v == nil {
		return
	}
	page := &tokenPage{view: *v}
	t := &page.Token
	if problem := p.ask(r, http.MethodGet, apiPath("tokens", r.PathValue("token")), nil, t); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	page.Title = word(v.Lang, "page.token") + " " + t.ID
	if t.Serial != "" {
		page.Title = word(v.Lang, "page.token") + " " + t.Serial
	}
	page.view.Page = "tokens"
	page.Command = "sekisho token show " + shell(r.PathValue("token"))
	back := "/tokens/" + t.ID
	for _, h := range t.Holders {
		page.Holders = append(page.Holders, holderRow{h, v.holdActs(t, h.Standing, h.Account, h.User, back)})
	}
	if t.State != "destroyed" {
		names := []string{"test", "resync"}
		if t.Drift != 0 {
			names = append(names, "reset-drift")
		}
		if t.State != "expired" {
			names = append([]string{"assign"}, names...)
			if t.Form == "hardware" {
				names = slices.Insert(names, 1, "register")
			}
		}
		if t.State == "in stock" {
			names = append(names, "retire")
		}
		if t.Form == "hardware" {
			names = append(names, "revoke-lost")
		}
		page.Acts = v.links("tokens", t.ID, back, nil, names...)
	}
	p.show(w, http.StatusOK, "token", page)
}
