package console

import (
	"net/http"
	"net/url"

	"sekisho/admin"
)

// signInPage is GET and POST /sign-in.
type signInPage struct {
	view
	Name, Back string
}

// toSignIn sends a browser without a session to the sign-in, and back here afterwards.
func (p *Pages) toSignIn(w http.ResponseWriter, r *http.Request) {
	back := "/"
	if r.Method == http.MethodGet {
		back = r.URL.RequestURI()
	}
	http.Redirect(w, r, "/sign-in?back="+url.QueryEscape(back), http.StatusSeeOther)
}

func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) {
	p.show(w, http.StatusOK, "sign-in", &signInPage{view: *p.bare(r, "sign-in"), Back: ours(r.FormValue("back"))})
}

// doSignIn is POST /sign-in. The answer to every refusal is the API's one sentence.
func (p *Pages) doSignIn(w http.ResponseWriter, r *http.Request) {
	v := &signInPage{view: *p.bare(r, "sign-in"), Name: r.PostFormValue("name"), Back: ours(r.PostFormValue("back"))}
	v.Here = "/sign-in"
	a, problem := p.askFully(r, http.MethodPost, "/api/v1/session", map[string]string{
		"name": v.Name, "password": r.PostFormValue("password"), "code": r.PostFormValue("code"),
	}, nil)
	if problem != nil {
		v.Problem = problemIn(v.Lang, problem)
		p.show(w, problem.Status, "sign-in", v)
		return
	}
	passCookies(w, a)
	http.Redirect(w, r, v.Back, http.StatusSeeOther)
}

// signOut is POST /sign-out.
func (p *Pages) signOut(w http.ResponseWriter, r *http.Request) {
	a, problem := p.askFully(r, http.MethodDelete, "/api/v1/session", nil, nil)
	if problem != nil && problem.Status != http.StatusUnauthorized {
		p.fail(w, r, p.bare(r, "problem"), problem)
		return
	}
	passCookies(w, a)
	sayNext(w, "signed-out")
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// passCookies hands on what the API wants the browser to keep.
func passCookies(w http.ResponseWriter, a *answer) {
	for _, c := range a.header.Values("Set-Cookie") {
		w.Header().Add("Set-Cookie", c)
	}
}

// stepUpPage asks for both factors and holds the act that waits for them.
type stepUpPage struct {
	view
	Act    string // path of the form that was sent
	Back   string
	Fields []field
}

type field struct{ Name, Value string }

// heldField begins the names of the fields that are held for the act.
const heldField = "held."

func (p *Pages) stepUpRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /step-up", func(w http.ResponseWriter, r *http.Request) { p.stepUp(w, r, mux) })
}

// askStepUp shows the page that asks for both factors before the act of r, whose form it holds.
func (p *Pages) askStepUp(w http.ResponseWriter, r *http.Request, v *view, back string, a *admin.Problem) {
	page := &stepUpPage{view: *v, Act: r.URL.EscapedPath(), Back: back}
	page.Command = ""
	page.Title, page.Here = word(v.Lang, "page.step-up"), page.Back
	for name, values := range r.PostForm {
		for _, value := range values {
			page.Fields = append(page.Fields, field{heldField + name, value})
		}
	}
	if a != nil {
		page.Problem = problemIn(v.Lang, a)
	}
	p.show(w, http.StatusForbidden, "step-up", page)
}

// stepUp is POST /step-up: it shows the factors to the API and, where they are right, repeats the act that waited.
func (p *Pages) stepUp(w http.ResponseWriter, r *http.Request, acts http.Handler) {
	v := p.open(w, r, "step-up")
	if v == nil {
		return
	}
	again := r.Clone(r.Context())
	again.RequestURI = ours(r.PostFormValue("act"))
	again.URL, _ = url.Parse(again.RequestURI) // ours parsed it
	again.Form, again.PostForm = url.Values{}, url.Values{}
	for name, values := range r.PostForm {
		if len(name) > len(heldField) && name[:len(heldField)] == heldField {
			again.Form[name[len(heldField):]], again.PostForm[name[len(heldField):]] = values, values
		}
	}
	if again.URL.Path == "/step-up" || again.URL.Path == "/import" {
		p.refuse(w, r, http.StatusBadRequest, "bad-input", "")
		return
	}
	a, problem := p.askFully(r, http.MethodPost, "/api/v1/session/step-up", map[string]string{
		"password": r.PostFormValue("password"), "code": r.PostFormValue("code"),
	}, nil)
	if problem != nil && problem.Status == http.StatusUnauthorized && problem.Code != "signed-out" && problem.Code != "not-signed-in" {
		problem.Status = http.StatusForbidden // wrong factors end no page
	}
	if problem != nil {
		if problem.Status == http.StatusUnauthorized {
			p.toSignIn(w, r)
			return
		}
		p.askStepUp(w, again, v, ours(again.PostFormValue("back")), problem)
		return
	}
	passCookies(w, a)
	acts.ServeHTTP(w, again)
}
