package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/admin"
)

// homePage is GET /: is all well, what happens now, what is to be done.
type homePage struct {
	view
	Health *admin.Health
	Parts  []part
	Events []event
	Follow string
	Plots  *plots
	ToDo   []todo
	Empty  []string // first steps of a service that has nothing yet: words step.KEY
}

// part is one part of the service and how it is.
type part struct{ Name, Of, State, Text string } // Of: which directory

// todo is one thing to look after.
type todo struct {
	Key  string // of the words todo.KEY
	Args []any
	Path string
}

// soon is how long before its end a token is told about.
const soon = 30 * 24 * time.Hour

// scanned is how many tokens the home page looks through; more are the token list's to show.
const scanned = 1000

func (p *Pages) home(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "home")
	if v == nil {
		return
	}
	page := &homePage{view: *v}
	page.Command = "sekisho health"
	if v.Can("service.read") {
		health := &admin.Health{}
		if p.ask(r, http.MethodGet, "/api/v1/health", nil, health) == nil {
			page.Health, page.Parts = health, partsOf(health)
		}
	}
	if v.Can("tokens.read") {
		list, problem := p.events(r, url.Values{"limit": {"8"}})
		if problem != nil {
			p.fail(w, r, v, problem)
			return
		}
		page.Events = p.withFixes(v, list.Events)
		page.Follow = "/api/v1/logins?follow=true&limit=1"
		page.Plots = p.plots(r, "24h")
		p.lookAfter(r, page)
	}
	p.show(w, http.StatusOK, "home", page)
}

func partsOf(h *admin.Health) []part {
	var all []part
	for name, text := range h.Parts {
		state := "ok"
		if text != "ok" {
			state = "warning"
		}
		if strings.HasPrefix(text, "ok") {
			state = "ok"
		}
		kind, of, _ := strings.Cut(name, " ")
		all = append(all, part{kind, of, state, text})
	}
	slices.SortFunc(all, func(a, b part) int { return strings.Compare(a.Name+a.Of, b.Name+b.Of) })
	return all
}

// lookAfter lists what is to be done, and the first steps where there is nothing yet.
func (p *Pages) lookAfter(r *http.Request, page *homePage) {
	var clients struct {
		Clients []admin.Client `json:"clients"`
	}
	if p.ask(r, http.MethodGet, "/api/v1/clients", nil, &clients) == nil {
		if len(clients.Clients) == 0 {
			page.Empty = append(page.Empty, "gateway")
		}
		for _, c := range clients.Clients {
			if c.MessageAuthenticator != "required" && c.Ratchet == "" {
				page.ToDo = append(page.ToDo, todo{"message-authenticator", []any{c.Name}, "/gateways/" + url.PathEscape(c.Name)})
			}
		}
	}
	var tokens admin.TokenList
	if p.ask(r, http.MethodGet, "/api/v1/tokens?limit="+strconv.Itoa(scanned), nil, &tokens) == nil {
		if len(tokens.Tokens) == 0 {
			page.Empty = append(page.Empty, "import")
		}
		expired, expiring, pending := 0, 0, 0
		now := p.Now()
		for _, t := range tokens.Tokens {
			if !holds(t) {
				continue
			}
			switch at, err := time.Parse(time.RFC3339, t.Expiry); {
			case t.State == "expired":
				expired++
			case err == nil && at.Before(now.Add(soon)):
				expiring++
			}
			for _, h := range t.Holders {
				if h.Standing == "pending" && t.State == "in use" {
					pending++
				}
			}
		}
		for key, n := range map[string]int{"expired": expired, "expiring": expiring, "pending": pending} {
			path := "/tokens?state=in+use"
			if key == "expired" {
				path = "/tokens?state=expired"
			}
			if n > 0 {
				page.ToDo = append(page.ToDo, todo{key, []any{n}, path})
			}
		}
	}
	slices.SortStableFunc(page.ToDo, func(a, b todo) int { return strings.Compare(a.Key, b.Key) })
	if len(page.Events) == 0 {
		page.Empty = append(page.Empty, "login")
	}
}

// holds reports that somebody has the token.
func holds(t admin.Token) bool {
	return slices.ContainsFunc(t.Holders, func(h admin.Holder) bool { return h.Standing != "revoked" })
}
