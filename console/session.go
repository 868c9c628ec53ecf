package console

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
	v := &signInPage{view: *p.bare(r, "sign-in"), Back: ours(r.FormValue("back"))}
	v.Here = "/sign-in?back=" + url.QueryEscape(v.Back)
	v.hear(w, r)
	p.show(w, http.StatusOK, "sign-in", v)
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

// held is an act that waits: the form that was sent, kept in the page's own form.
type held struct {
	Act    string // its path
	Fields []field
}

type field struct{ Name, Value string }

// heldField begins the names of the fields that are held for the act.
const heldField = "held."

func hold(r *http.Request) held {
	h := held{Act: r.URL.EscapedPath()}
	for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
		for _, value := range r.PostForm[name] {
			h.Fields = append(h.Fields, field{heldField + name, value})
		}
	}
	return h
}

// release makes the request of a held act again.
func (p *Pages) release(w http.ResponseWriter, r *http.Request) (again *http.Request, ok bool) {
	again = r.Clone(r.Context())
	again.RequestURI = ours(r.PostFormValue("act"))
	again.URL, _ = url.Parse(again.RequestURI) // ours parsed it
	again.Form, again.PostForm = url.Values{}, url.Values{}
	for name, values := range r.PostForm {
		if name, mine := strings.CutPrefix(name, heldField); mine {
			again.Form[name], again.PostForm[name] = values, values
		}
	}
	switch again.URL.Path {
	case "/step-up", "/approvals", "/import", "/sign-in", "/sign-out":
		p.refuse(w, r, http.StatusBadRequest, "bad-input", "")
		return nil, false
	}
	return again, true
}

// stepUpPage asks for both factors and holds the act that waits for them.
type stepUpPage struct {
	view
	held
	Back  string
	Alone bool // nothing is held
}

// askStepUp shows the page that asks for both factors before the act of r.
func (p *Pages) askStepUp(w http.ResponseWriter, r *http.Request, v *view, back string, a *admin.Problem) {
	page := &stepUpPage{view: *v, held: hold(r), Back: back}
	page.Title, page.Here, page.Command = word(v.Lang, "page.step-up"), back, ""
	if a != nil {
		page.view.Problem = problemIn(v.Lang, a)
	}
	p.show(w, http.StatusForbidden, "step-up", page)
}

// askAlone asks for both factors where nothing can be held, because the act is a file: afterwards the page comes again.
func (p *Pages) askAlone(w http.ResponseWriter, v *view, back string, a *admin.Problem) {
	page := &stepUpPage{view: *v, Back: back, Alone: true}
	page.Title, page.Here, page.Command = word(v.Lang, "page.step-up"), back, ""
	if a != nil {
		page.view.Problem = problemIn(v.Lang, a)
	}
	p.show(w, http.StatusForbidden, "step-up", page)
}

// back returns to where a form stood.
func back(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, ours(r.PostFormValue("back")), http.StatusSeeOther)
}

// stepUpRoutes serves POST /step-up: it shows the factors to the API and, where they are right, repeats the act that waited.
func (p *Pages) stepUpRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /step-up", func(w http.ResponseWriter, r *http.Request) {
		v := p.open(w, r, "step-up")
		if v == nil {
			return
		}
		again, ok := r, true
		if r.PostFormValue("act") != "" {
			again, ok = p.release(w, r)
		}
		if !ok {
			return
		}
		problem := p.ask(r, http.MethodPost, "/api/v1/session/step-up", map[string]string{
			"password": r.PostFormValue("password"), "code": r.PostFormValue("code"),
		}, nil)
		switch {
		case problem != nil && again == r:
			p.askAlone(w, v, ours(r.PostFormValue("back")), problem)
		case problem != nil:
			p.askStepUp(w, again, v, ours(again.PostFormValue("back")), problem)
		case again == r:
			back(w, r)
		default:
			mux.ServeHTTP(w, again)
		}
	})
}

// refused answers what a call of an act came to: the way on where both factors or a second person are wanted, a sign-in where
// the session ended, and false for everything else.
func (p *Pages) refused(w http.ResponseWriter, r *http.Request, v *view, back string, problem *admin.Problem) bool {
	switch {
	case problem.Code == "step-up":
		p.askStepUp(w, r, v, back, nil)
	case problem.Code == "second-person" && problem.Approval != "":
		p.askSecond(w, r, v, back, problem)
	case problem.Status == http.StatusUnauthorized:
		p.toSignIn(w, r)
	default:
		return false
	}
	return true
}
