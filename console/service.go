package console

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"sekisho/admin"
)

// auditPage is GET /audit: acts of operators, newest first, and whether the chain holds.
type auditPage struct {
	view
	Events   []event
	Next     string
	Verified *admin.Verified
}

func (p *Pages) audit(w http.ResponseWriter, r *http.Request) {
	if v := p.open(w, r, "audit"); v != nil {
		p.showAudit(w, r, &auditPage{view: *v})
	}
}

func (p *Pages) showAudit(w http.ResponseWriter, r *http.Request, page *auditPage) {
	page.Command = "sekisho logins --acts"
	q := url.Values{"acts": {"true"}, "limit": {"100"}}
	if after := r.URL.Query().Get("after"); after != "" {
		q.Set("after", after)
	}
	list, problem := p.events(r, q)
	if problem != nil {
		p.fail(w, r, &page.view, problem)
		return
	}
	page.Events = p.withFixes(&page.view, list.Events)
	if list.Next != "" {
		page.Next = "/audit?after=" + url.QueryEscape(list.Next)
	}
	p.show(w, http.StatusOK, "audit", page)
}

// verifyAudit is POST /audit/verify.
func (p *Pages) verifyAudit(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "audit")
	if v == nil {
		return
	}
	page := &auditPage{view: *v, Verified: &admin.Verified{}}
	page.Here = "/audit"
	if problem := p.ask(r, http.MethodPost, "/api/v1/audit/verify", nil, page.Verified); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	p.showAudit(w, r, page)
}

// diagnosticsPage is GET /diagnostics: how each part is, and a text for whoever helps.
type diagnosticsPage struct {
	view
	Health  *admin.Health
	Parts   []part
	Clients []admin.ClientDetail
	Support string
	Acts    []actLink
}

func (p *Pages) diagnostics(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "diagnostics")
	if v == nil {
		return
	}
	page := &diagnosticsPage{view: *v, Health: &admin.Health{}}
	page.Command = "sekisho health"
	if problem := p.ask(r, http.MethodGet, "/api/v1/health", nil, page.Health); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	page.Parts = partsOf(page.Health)
	for _, name := range p.clientNames(r) {
		var c admin.ClientDetail
		if p.ask(r, http.MethodGet, apiPath("clients", name), nil, &c) == nil {
			page.Clients = append(page.Clients, c)
		}
	}
	page.Support = p.support(page)
	for _, name := range []string{"reload", "accept-clock"} {
		if v.Can(actKinds["service"][name].Right) {
			page.Acts = append(page.Acts, actLink{"service", name, "/service/" + name + "?back=/diagnostics", actKinds["service"][name].Grave})
		}
	}
	p.show(w, http.StatusOK, "diagnostics", page)
}

// support is a text to send to whoever helps. It holds what the page shows: no names of people, no addresses, no secrets.
func (p *Pages) support(page *diagnosticsPage) string {
	var b strings.Builder
	fmt.Fprintf(&b, "sekisho %s, %s/%s, %s\n", page.Health.Version, runtime.GOOS, runtime.GOARCH, p.Now().UTC().Format(time.RFC3339))
	for _, part := range page.Parts {
		fmt.Fprintf(&b, "%s: %s\n", strings.TrimSpace(part.Name+" "+part.Of), part.Text)
	}
	for i, c := range page.Clients {
		fmt.Fprintf(&b, "gateway %d: profile %s, message-authenticator %s, challenge %s\n", i+1, c.Profile, c.MessageAuthenticator, c.Challenge)
	}
	return b.String()
}
