package console

import (
	"net/http"
	"net/url"
	"slices"

	"sekisho/admin"
)

// approvalsPage is GET /approvals: what waits for a second person.
type approvalsPage struct {
	view
	Approvals []approvalRow
	Next      string
}

type approvalRow struct {
	admin.Approval
	Acts []actLink
}

func (p *Pages) approvals(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "approvals")
	if v == nil {
		return
	}
	page := &approvalsPage{view: *v}
	q := url.Values{}
	if after := r.URL.Query().Get("after"); after != "" {
		q.Set("after", after)
	}
	var list struct {
		Approvals []admin.Approval `json:"approvals"`
		Next      string           `json:"next"`
	}
	if problem := p.ask(r, http.MethodGet, "/api/v1/approvals?"+q.Encode(), nil, &list); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	for _, a := range list.Approvals {
		row := approvalRow{Approval: a}
		if a.State == "asked" {
			names := []string{"agree", "refuse"}
			if a.Own {
				names = []string{"withdraw"}
			}
			row.Acts = v.links("approvals", a.ID, "/approvals", url.Values{"who": {a.AskedBy}}, names...)
		}
		page.Approvals = append(page.Approvals, row)
	}
	// What waits comes first, whatever its age.
	slices.SortStableFunc(page.Approvals, func(a, b approvalRow) int { return len(b.Acts) - len(a.Acts) })
	if list.Next != "" {
		page.Next = "/approvals?after=" + url.QueryEscape(list.Next)
	}
	p.show(w, http.StatusOK, "approvals", page)
}

// secondPage is what the first of two people sees: ask, and do it once somebody agreed.
type secondPage struct {
	view
	held
	Approval, State string
	Back            string
}

// askSecond shows the page for an act that two people have to agree on.
func (p *Pages) askSecond(w http.ResponseWriter, r *http.Request, v *view, back string, a *admin.Problem) {
	page := &secondPage{view: *v, held: hold(r), Approval: a.Approval, State: a.ApprovalState, Back: back}
	page.Title, page.Here, page.Command = word(v.Lang, "page.second"), back, ""
	p.show(w, http.StatusConflict, "second", page)
}

func (p *Pages) secondRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /approvals", func(w http.ResponseWriter, r *http.Request) {
		v := p.open(w, r, "approvals")
		if v == nil {
			return
		}
		again, ok := p.release(w, r)
		if !ok {
			return
		}
		id := r.PostFormValue("approval")
		if r.PostFormValue("go") != "" {
			again.Header.Set("Approval", id)
			mux.ServeHTTP(w, again)
			return
		}
		page := &secondPage{view: *v, held: hold(again), Approval: id, State: "asked", Back: ours(again.PostFormValue("back"))}
		page.Title, page.Here = word(v.Lang, "page.second"), page.Back
		status := http.StatusOK
		problem := p.ask(r, http.MethodPost, "/api/v1/approvals", map[string]string{"id": id, "reason": r.PostFormValue("why")}, nil)
		if problem != nil {
			page.view.Problem, page.State, status = problemIn(v.Lang, problem), "", problem.Status
		}
		p.show(w, status, "second", page)
	})
}

// operatorsPage is GET /operators.
type operatorsPage struct {
	view
	Operators []operatorRow
	Roles     []string
}

type operatorRow struct {
	admin.Operator
	Acts []actLink
}

var operatorRoles = []string{"auditor", "helpdesk", "admin", "master"}

func (p *Pages) operators(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "operators")
	if v == nil {
		return
	}
	page := &operatorsPage{view: *v, Roles: operatorRoles}
	page.Command = "sekisho operator list"
	var list struct {
		Operators []admin.Operator `json:"operators"`
	}
	if problem := p.ask(r, http.MethodGet, "/api/v1/operators", nil, &list); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	for _, o := range list.Operators {
		page.Operators = append(page.Operators, operatorRow{o, v.links("operators", o.Account, "/operators", url.Values{"who": {o.Name}}, "remove")})
	}
	p.show(w, http.StatusOK, "operators", page)
}

// addOperator is POST /operators.
func (p *Pages) addOperator(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "operators")
	if v == nil {
		return
	}
	in := map[string]any{"name": r.PostFormValue("name"), "role": r.PostFormValue("role")}
	if group := r.PostFormValue("group"); group != "" {
		in["scope"] = admin.Scope{Groups: []string{group}}
	}
	problem := p.ask(r, http.MethodPost, "/api/v1/operators", in, nil)
	switch {
	case problem == nil:
		sayNext(w, "act", word(v.Lang, "operator.add"))
		http.Redirect(w, r, "/operators", http.StatusSeeOther)
	case !p.refused(w, r, v, "/operators", problem):
		v.Here = "/operators"
		p.fail(w, r, v, problem)
	}
}

// sessionsPage is GET /sessions: where operators are signed in.
type sessionsPage struct {
	view
	Sessions []sessionRow
}

type sessionRow struct {
	admin.Session
	Acts []actLink
}

func (p *Pages) sessions(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "sessions")
	if v == nil {
		return
	}
	page := &sessionsPage{view: *v}
	var list struct {
		Sessions []admin.Session `json:"sessions"`
	}
	if problem := p.ask(r, http.MethodGet, "/api/v1/sessions", nil, &list); problem != nil {
		p.fail(w, r, v, problem)
		return
	}
	for _, s := range list.Sessions {
		row := sessionRow{Session: s}
		if !s.This {
			row.Acts = v.links("sessions", s.ID, "/sessions", url.Values{"who": {s.Name}}, "end")
		}
		page.Sessions = append(page.Sessions, row)
	}
	p.show(w, http.StatusOK, "sessions", page)
}
