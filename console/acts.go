package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sekisho/admin"
	"sekisho/operator"
)

// act is one thing that a page can do: a page that tells what it does and what it changes, asks for what it needs, and then
// one call of the API.
type act struct {
	Right   operator.Right
	Fields  []string // of the form, in order; each is a field of the call, see actField
	Grave   bool     // it takes something away
	Try     bool     // the API tells beforehand what would change
	Method  string   // of the call; empty: POST
	Path    string   // of the call below that of its subject; empty: the act's own name
	Command string   // after "sekisho "; SUBJECT stands for the subject; empty: there is none
}

// actKinds are the acts by what they are about.
var actKinds = map[string]map[string]act{
	"tokens": {
		"assign":      {Right: operator.Assign, Fields: []string{"user", "pending", "share"}, Command: "token assign SUBJECT"},
		"confirm":     {Right: operator.Assign, Fields: []string{"code"}, Command: "token confirm SUBJECT"},
		"register":    {Right: operator.Assign, Fields: []string{"user", "code", "reason"}, Command: "token register SUBJECT"},
		"revoke":      {Right: operator.Revoke, Fields: []string{"reason", "reference"}, Grave: true, Try: true, Command: "token revoke SUBJECT"},
		"suspend":     {Right: operator.Suspend, Fields: []string{"reason", "reference"}, Try: true, Command: "token suspend SUBJECT"},
		"resume":      {Right: operator.Suspend, Fields: []string{"reason", "reference"}, Try: true, Command: "token resume SUBJECT"},
		"lost":        {Right: operator.Suspend, Fields: []string{"stolen", "reason", "reference"}, Grave: true, Try: true, Command: "token lost SUBJECT"},
		"revoke-lost": {Right: operator.RevokeLost, Fields: []string{"why", "reason!", "reference"}, Grave: true, Try: true, Command: "token revoke-lost SUBJECT"},
		"test":        {Right: operator.Resync, Fields: []string{"code"}, Command: "token test SUBJECT"},
		"resync":      {Right: operator.Resync, Fields: []string{"first", "second"}, Command: "token resync SUBJECT"},
		"reset-drift": {Right: operator.Resync, Fields: []string{"reason"}, Try: true, Command: "token reset-drift SUBJECT"},
		"retire":      {Right: operator.Revoke, Fields: []string{"reason!"}, Grave: true, Try: true, Command: "token retire SUBJECT"},
	},
	"users": {
		"unlock":        {Right: operator.Unlock, Command: "user unlock SUBJECT"},
		"activations":   {Right: operator.Assign, Fields: []string{"reason", "reference"}},
		"temporary":     {Right: operator.Temporary, Fields: []string{"reason!", "reference"}},
		"temporary-end": {Right: operator.Temporary, Method: http.MethodDelete, Path: "temporary"},
		"pin-force":     {Right: operator.SetPIN, Fields: []string{"reason"}, Try: true, Path: "pin/force"},
		"pin-reset":     {Right: operator.SetPIN, Fields: []string{"reason"}, Grave: true, Try: true, Path: "pin/reset"},
		"waive":         {Right: operator.Waive, Fields: []string{"reason!"}, Try: true},
		"undo":          {Right: operator.Undo, Fields: []string{"reason"}, Try: true},
	},
	"gateways": {
		"release-ma": {Right: operator.Gateways, Grave: true, Command: "client release-ma SUBJECT"},
	},
	"requests": {
		"approve": {Right: operator.Approve, Fields: []string{"reason"}},
		"refuse":  {Right: operator.Approve, Fields: []string{"sentence!"}, Grave: true},
	},
	"activations": {
		"resend": {Right: operator.Assign},
		"revoke": {Right: operator.Assign, Fields: []string{"reason"}, Grave: true},
	},
	"approvals": {
		"agree":    {},
		"refuse":   {Fields: []string{"sentence"}, Grave: true},
		"withdraw": {},
	},
	"operators": {
		"remove": {Right: operator.Operators, Grave: true, Method: http.MethodDelete, Path: "-"},
	},
	"sessions": {
		"end": {Grave: true, Method: http.MethodDelete, Path: "-"},
	},
	"service": {
		"reload":       {Right: operator.Configuration, Path: "config/reload", Command: "config reload"},
		"accept-clock": {Right: operator.Configuration, Grave: true, Path: "clock/accept", Command: "clock accept"},
	},
}

// actPage is GET and POST /KIND/{subject}/{act}.
type actPage struct {
	view
	Kind, Name string // of the act
	Subject    string
	Action     string // where the form goes
	Act        act
	User       string // whose hold is meant, where the act is about one of several
	Who        string // their name
	Fields     []actField
	Effects    []admin.Effect
	From       string // from when a token may be registered again
	Back       string
	Result     string // of a test
}

// actField is one field of an act's form.
type actField struct {
	Name, Value string
	Required    bool
}

func (p *Pages) actRoutes(mux *http.ServeMux) {
	for kind := range actKinds {
		if kind == "service" {
			mux.HandleFunc("GET /service/{act}", p.actForm(kind))
			mux.HandleFunc("POST /service/{act}", p.doAct(kind))
			continue
		}
		mux.HandleFunc("GET /"+kind+"/{subject}/{act}", p.actForm(kind))
		mux.HandleFunc("POST /"+kind+"/{subject}/{act}", p.doAct(kind))
	}
}

// actOf makes the page of an act; nil where there is none or the role may not do it, which was answered.
func (p *Pages) actOf(w http.ResponseWriter, r *http.Request, kind string) *actPage {
	menuPage := kind
	if kind == "service" {
		menuPage = "diagnostics"
	}
	v := p.open(w, r, menuPage)
	if v == nil {
		return nil
	}
	name := r.PathValue("act")
	a, known := actKinds[kind][name]
	switch {
	case !known:
		p.fail(w, r, v, &admin.Problem{Status: http.StatusNotFound, Code: "no-page"})
		return nil
	case !v.Can(a.Right):
		p.fail(w, r, v, &admin.Problem{Status: http.StatusForbidden, Code: "no-right"})
		return nil
	}
	page := &actPage{view: *v, Kind: kind, Name: name, Subject: r.PathValue("subject"), Act: a, User: r.FormValue("hold"), Who: r.FormValue("who"),
		Back: ours(r.FormValue("back")), Action: r.URL.Path}
	if page.Back == "/" {
		page.Back = "/" + kind
		if kind == "tokens" || kind == "users" || kind == "gateways" {
			page.Back += "/" + url.PathEscape(page.Subject)
		}
	}
	page.Title = word(v.Lang, "act."+kind+"."+name)
	page.Here = page.Back
	for _, f := range a.Fields {
		field, required := strings.CutSuffix(f, "!")
		page.Fields = append(page.Fields, actField{field, r.FormValue(field), required || slices.Contains([]string{"user", "code", "first", "second", "why"}, field)})
	}
	if a.Command != "" {
		page.Command = "sekisho " + strings.ReplaceAll(a.Command, "SUBJECT", shell(page.Subject))
		for _, more := range []string{"user", "code", "first", "second"} {
			if slices.Contains(a.Fields, more) {
				page.Command += " " + strings.ToUpper(more)
			}
		}
		page.Command += option("--user", page.Who)
	}
	return page
}

// call is the path of the API's call.
func (a *actPage) call() string {
	path := a.Act.Path
	if path == "" {
		path = a.Name
	}
	switch a.Kind {
	case "service":
		return "/api/v1/" + path
	case "gateways":
		return apiPath("clients", a.Subject) + "/" + path
	}
	if path == "-" {
		return apiPath(a.Kind, a.Subject)
	}
	return apiPath(a.Kind, a.Subject) + "/" + path
}

// body is what the call is given.
func (a *actPage) body(r *http.Request) map[string]any {
	in := map[string]any{}
	if a.User != "" && a.Kind == "tokens" {
		in["user"] = a.User
	}
	for _, f := range a.Fields {
		value := r.FormValue(f.Name)
		switch f.Name {
		case "pending", "share", "stolen":
			in[f.Name] = value != ""
		default:
			if value != "" {
				in[f.Name] = value
			}
		}
	}
	return in
}

// method is that of the API's call.
func (a *actPage) method() string {
	if a.Act.Method != "" {
		return a.Act.Method
	}
	return http.MethodPost
}

func (p *Pages) actForm(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		page := p.actOf(w, r, kind)
		if page == nil {
			return
		}
		status := http.StatusOK
		if page.Act.Try {
			in := page.body(r)
			in["reason"] = "-" // it is asked for when it is done
			if slices.Contains(page.Act.Fields, "why") {
				in["why"] = "lost"
			}
			var would admin.Done
			if problem := p.ask(r, page.method(), page.call()+"?dry_run=true", in, &would); problem != nil {
				page.view.Problem, status = problemIn(page.Lang, problem), problem.Status
				page.Fields = nil
				p.show(w, status, "act", page)
				return
			}
			page.Effects, page.From = would.Effects, would.RegisterFrom
		}
		p.show(w, status, "act", page)
	}
}

func (p *Pages) doAct(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		page := p.actOf(w, r, kind)
		if page == nil {
			return
		}
		var in any
		if page.method() != http.MethodDelete && (len(page.Act.Fields) > 0 || page.Kind == "tokens" || page.Kind == "activations") {
			in = page.body(r)
		}
		var out struct {
			Result string `json:"result"`
		}
		problem := p.ask(r, page.method(), page.call(), in, &out)
		switch {
		case problem == nil && out.Result != "":
			page.Result = out.Result
			p.show(w, http.StatusOK, "act", page)
		case problem == nil:
			sayNext(w, "act", page.Title)
			http.Redirect(w, r, page.Back, http.StatusSeeOther)
		case p.refused(w, r, &page.view, page.Back, problem):
		default:
			page.view.Problem = problemIn(page.Lang, problem)
			for i := range page.Fields { // codes are typed anew, the rest stays
				if slices.Contains([]string{"code", "first", "second"}, page.Fields[i].Name) {
					page.Fields[i].Value = ""
				}
			}
			p.show(w, problem.Status, "act", page)
		}
	}
}
