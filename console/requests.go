package console

import (
	"net/http"
	"net/url"

	"sekisho/admin"
)

// requestsPage is GET /requests: what people applied for, the open ones first of all.
type requestsPage struct {
	view
	State    string
	States   []string
	Requests []requestRow
	Next     string
	CSV      string
}

type requestRow struct {
	admin.Request
	Acts []actLink
}

var requestStates = []string{"open", "approved", "refused", "withdrawn", "lapsed"}

func (p *Pages) requests(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "requests")
	if v == nil {
		return
	}
	page := &requestsPage{view: *v, State: "open", States: requestStates}
	if r.URL.Query().Has("state") {
		page.State = r.URL.Query().Get("state")
	}
	q := url.Values{}
	if page.State != "" {
		q.Set("state", page.State)
	}
	page.CSV = "/api/v1/requests?" + q.Encode() + "&format=csv"
	if after := r.URL.Query().Get("after"); after != "" {
		q.Set("after", after)
	}
	var list admin.RequestList
	if problem := p.ask(r, http.MethodGet, "/api/v1/requests?"+q.Encode(), nil, &list); problem != nil {
		page.view.Problem = problemIn(v.Lang, problem)
		p.show(w, problem.Status, "requests", page)
		return
	}
	for _, x := range list.Requests {
		row := requestRow{Request: x}
		if x.State == "open" {
			row.Acts = v.links("requests", x.ID, "/requests", url.Values{"who": {x.User}}, "approve", "refuse")
		}
		page.Requests = append(page.Requests, row)
	}
	if list.Next != "" {
		page.Next = "/requests?" + url.Values{"state": {page.State}, "after": {list.Next}}.Encode()
	}
	p.show(w, http.StatusOK, "requests", page)
}

// activationsPage is GET /activations: links that people register devices with, and how far each one has come.
type activationsPage struct {
	view
	Activations []activationRow
	Next        string
}

type activationRow struct {
	admin.Activation
	Acts []actLink
}

func (p *Pages) activations(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "activations")
	if v == nil {
		return
	}
	page := &activationsPage{view: *v}
	q := url.Values{}
	if after := r.URL.Query().Get("after"); after != "" {
		q.Set("after", after)
	}
	var list admin.ActivationList
	if problem := p.ask(r, http.MethodGet, "/api/v1/activations?"+q.Encode(), nil, &list); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	for _, x := range list.Activations {
		row := activationRow{Activation: x}
		if x.State == "open" || x.State == "started" {
			row.Acts = v.links("activations", x.ID, "/activations", url.Values{"who": {x.User}}, "resend", "revoke")
		}
		page.Activations = append(page.Activations, row)
	}
	if list.Next != "" {
		page.Next = "/activations?after=" + url.QueryEscape(list.Next)
	}
	p.show(w, http.StatusOK, "activations", page)
}
