package console

import (
	"net/http"
	"net/url"

	"sekisho/admin"
)

// gatewaysPage is GET /gateways.
type gatewaysPage struct {
	view
	Clients []admin.Client
}

func (p *Pages) gateways(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "gateways")
	if v == nil {
		return
	}
	page := &gatewaysPage{view: *v}
	page.Command = "sekisho client list"
	var reply struct {
		Clients []admin.Client `json:"clients"`
	}
	if problem := p.ask(r, http.MethodGet, "/api/v1/clients", nil, &reply); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	page.Clients = reply.Clients
	p.show(w, http.StatusOK, "gateways", page)
}

// gatewayPage is GET /gateways/{client}: settings with their origin, the last logins, and how to set the gateway up.
type gatewayPage struct {
	view
	Client admin.ClientDetail
	Events []event
	Acts   []actLink
}

func (p *Pages) gateway(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "gateways")
	if v == nil {
		return
	}
	page := &gatewayPage{view: *v}
	name := r.PathValue("client")
	page.Command = "sekisho client show " + shell(name)
	if problem := p.ask(r, http.MethodGet, apiPath("clients", name), nil, &page.Client); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	page.Title = name
	if page.Client.Ratchet != "" {
		page.Acts = v.links("gateways", name, "/gateways/"+url.PathEscape(name), nil, "release-ma")
	}
	if list, problem := p.events(r, url.Values{"client": {name}, "limit": {"5"}}); problem == nil {
		page.Events = p.withFixes(v, list.Events)
	}
	p.show(w, http.StatusOK, "gateway", page)
}
