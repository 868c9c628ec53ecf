package console

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"sekisho/admin"
	"sekisho/operator"
)

// view is what every page has.
type view struct {
	Lang    string // ja or en
	Theme   string // dark, light, or empty: the browser's
	Page    string // of the menu
	Title   string
	Here    string // path and query of this page
	Version string
	Me      *session
	Said    *said
	Problem *problem
	Command string // the same from the command line
}

func (v *view) base() *view { return v }

// viewer is any page's data.
type viewer interface{ base() *view }

// session is who is signed in, by the API's word.
type session struct {
	Name   string           `json:"name"`
	Role   string           `json:"role"`
	Door   string           `json:"door"`
	Scope  operator.Scope   `json:"scope"`
	Rights []operator.Right `json:"rights"`
}

// Can reports that the role has a right; no right is everybody's. Whether it holds for a person is the API's to say.
func (v *view) Can(right operator.Right) bool {
	return v.Me != nil && (right == "" || slices.Contains(v.Me.Rights, right))
}

// Other is the language that the page can be switched to.
func (v *view) Other() string {
	if v.Lang == "ja" {
		return "en"
	}
	return "ja"
}

// problem is a refusal in words of the page's language.
type problem struct {
	Status         int
	Code, Sentence string
	Places         []admin.Place
}

// said is what an act left to say on the next page: a word of the catalogue and what stands in it.
type said struct {
	Key  string
	Args []any
}

// menu is every page of the menu with the right that shows it.
type menuItem struct {
	Page, Path string
	Right      operator.Right
}

var menu = []menuItem{
	{"home", "/", operator.ReadTokens},
	{"help-desk", "/help-desk", operator.ReadTokens},
	{"users", "/users", operator.ReadTokens},
	{"tokens", "/tokens", operator.ReadTokens},
	{"import", "/import", operator.Import},
	{"activations", "/activations", operator.ReadTokens},
	{"requests", "/requests", operator.ReadTokens},
	{"logins", "/logins", operator.ReadTokens},
	{"approvals", "/approvals", ""},
	{"gateways", "/gateways", operator.ReadTokens},
	{"audit", "/audit", operator.ReadAudit},
	{"operators", "/operators", operator.ReadAudit},
	{"sessions", "/sessions", ""},
	{"diagnostics", "/diagnostics", operator.ReadService},
}

// Menu is the part of the menu that the role may see.
func (v *view) Menu() []menuItem {
	var all []menuItem
	for _, m := range menu {
		if v.Can(m.Right) {
			all = append(all, m)
		}
	}
	return all
}

const (
	langCookie  = "__Host-sekisho_lang"
	themeCookie = "__Host-sekisho_theme"
	saidCookie  = "__Host-sekisho_said"
)

// language is the browser's choice on the page, else the browser's own.
func languageOf(r *http.Request) string {
	if c, err := r.Cookie(langCookie); err == nil && (c.Value == "ja" || c.Value == "en") {
		return c.Value
	}
	_, i := language.MatchStrings(languages, r.Header.Get("Accept-Language"))
	return [...]string{"en", "ja"}[i]
}

var languages = language.NewMatcher([]language.Tag{language.English, language.Japanese})

// open begins a page: who is signed in, in which language, and what the page before left to say. Where nobody is signed in
// it answers itself and gives nil.
func (p *Pages) open(w http.ResponseWriter, r *http.Request, page string) *view {
	v := p.bare(r, page)
	v.Me = &session{}
	if problem := p.ask(r, http.MethodGet, "/api/v1/session", nil, v.Me); problem != nil {
		if problem.Status == http.StatusUnauthorized {
			p.toSignIn(w, r)
			return nil
		}
		v.Me = nil
		p.fail(w, r, v, problem)
		return nil
	}
	for _, m := range menu {
		if m.Page == page && !v.Can(m.Right) {
			p.fail(w, r, v, &admin.Problem{Status: http.StatusForbidden, Code: "no-right"})
			return nil
		}
	}
	v.hear(w, r)
	return v
}

// hear shows what the page before had to say.
func (v *view) hear(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(saidCookie); err == nil && r.Method == http.MethodGet {
		v.Said = readSaid(c.Value)
		http.SetCookie(w, cookie(saidCookie, "", -1))
	}
}

// bare is a page without anybody.
func (p *Pages) bare(r *http.Request, page string) *view {
	v := &view{Lang: languageOf(r), Page: page, Version: p.Version, Here: "/"}
	if r.Method == http.MethodGet {
		v.Here = r.URL.RequestURI()
	}
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "dark" || c.Value == "light") {
		v.Theme = c.Value
	}
	v.Title = word(v.Lang, "page."+page)
	return v
}

// cookie is one of ours; age in seconds, 0 for the browser's session.
func cookie(name, value string, age int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// sayNext lets the next page say something.
func sayNext(w http.ResponseWriter, key string, args ...string) {
	text := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(append([]string{key}, args...), "\x00")))
	http.SetCookie(w, cookie(saidCookie, text, 60))
}

func readSaid(text string) *said {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	parts := strings.Split(string(b), "\x00")
	if _, known := words["said."+parts[0]]; !known {
		return nil
	}
	s := &said{Key: "said." + parts[0]}
	for _, a := range parts[1:] {
		s.Args = append(s.Args, a)
	}
	return s
}

// problemIn words a refusal. A code without words of ours shows the API's sentence.
func problemIn(lang string, a *admin.Problem) *problem {
	v := &problem{Status: a.Status, Code: a.Code, Sentence: a.Detail, Places: a.Errors}
	if lang == "ja" && a.SentenceJA != "" {
		v.Sentence = a.SentenceJA
		return v
	}
	if _, known := words["problem."+a.Code]; known && (lang == "ja" || a.Detail == "") {
		v.Sentence = word(lang, "problem."+a.Code)
	}
	return v
}

// show writes a page.
func (p *Pages) show(w http.ResponseWriter, status int, name string, data viewer) {
	v := data.base()
	var b bytes.Buffer
	if err := p.templates[v.Lang][name].ExecuteTemplate(&b, "layout", data); err != nil {
		p.Log.Error("a page could not be made", "page", name, "error", err)
		http.Error(w, word(v.Lang, "problem.fault"), http.StatusInternalServerError)
		return
	}
	p.write(w, status, b.Bytes())
}

// part writes a piece of a page, for a module that puts it in its place.
func (p *Pages) part(w http.ResponseWriter, name, part string, data viewer) {
	var b bytes.Buffer
	if err := p.templates[data.base().Lang][name].ExecuteTemplate(&b, part, data); err != nil {
		p.Log.Error("a part of a page could not be made", "page", name, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	p.write(w, http.StatusOK, b.Bytes())
}

func (p *Pages) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a browser that is gone needs no page
}

// fail shows a refusal as a page. A session that ended meanwhile leads to the sign-in.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, v *view, a *admin.Problem) {
	if a.Status == http.StatusUnauthorized {
		p.toSignIn(w, r)
		return
	}
	v.Title, v.Problem = word(v.Lang, "page.problem"), problemIn(v.Lang, a)
	p.show(w, a.Status, "problem", v)
}

// refuse shows a refusal of the console's own.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	p.fail(w, r, p.bare(r, "problem"), &admin.Problem{Status: status, Code: code, Detail: detail})
}

func (p *Pages) notFound(w http.ResponseWriter, r *http.Request) {
	if v := p.open(w, r, "problem"); v != nil {
		p.fail(w, r, v, &admin.Problem{Status: http.StatusNotFound, Code: "no-page"})
	}
}

// look is POST /look: language and colours. They are the browser's, not the operator's.
func (p *Pages) look(w http.ResponseWriter, r *http.Request) {
	const year = 365 * 24 * 3600
	switch lang := r.FormValue("lang"); lang {
	case "ja", "en":
		http.SetCookie(w, cookie(langCookie, lang, year))
	}
	switch theme := r.FormValue("theme"); theme {
	case "dark", "light":
		http.SetCookie(w, cookie(themeCookie, theme, year))
	case "auto":
		http.SetCookie(w, cookie(themeCookie, "", -1))
	}
	http.Redirect(w, r, ours(r.FormValue("back")), http.StatusSeeOther)
}

// ours is a path of the console, with its query; anything else becomes the home page.
func ours(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return u.RequestURI()
}

// parse makes the pages of both languages.
func parse(zone *time.Location) map[string]map[string]*template.Template {
	all := map[string]map[string]*template.Template{}
	pages, err := files.ReadDir("templates")
	if err != nil {
		panic(err) // they are embedded
	}
	for _, lang := range []string{"en", "ja"} {
		all[lang] = map[string]*template.Template{}
		common := template.Must(template.New("").Funcs(helpers(lang, zone)).ParseFS(files, "templates/layout.html", "templates/parts.html"))
		for _, f := range pages {
			name := strings.TrimSuffix(f.Name(), ".html")
			if name == "layout" || name == "parts" {
				continue
			}
			all[lang][name] = template.Must(template.Must(common.Clone()).ParseFS(files, "templates/"+f.Name()))
		}
	}
	return all
}

// helpers are what templates can call.
func helpers(lang string, zone *time.Location) template.FuncMap {
	return template.FuncMap{
		"t": func(key string, args ...any) string { return word(lang, key, args...) },
		"word": func(family, key string) string {
			if _, known := words[family+"."+key]; !known {
				return key
			}
			return word(lang, family+"."+key)
		},
		"at":    func(v any) moment { return momentOf(v, zone, "2006-01-02 15:04:05") },
		"brief": func(v any) moment { return momentOf(v, zone, "01-02 15:04") },
		"day":   func(v any) moment { return momentOf(v, zone, "2006-01-02 15:04") },
		"args":  func(all ...any) []any { return all },
		"said":  func(s *said) string { return word(lang, s.Key, s.Args...) },
		"path":  func(parts ...string) string { return strings.TrimPrefix(apiPath(parts...), "/api/v1") },
		"tone":  tone,
	}
}

// moment is an instant for a <time>.
type moment struct{ Machine, Human string }

func momentOf(v any, zone *time.Location, layout string) moment {
	var at time.Time
	switch x := v.(type) {
	case time.Time:
		at = x
	case string:
		var err error
		if at, err = time.Parse(time.RFC3339, x); err != nil {
			return moment{x, x}
		}
	default:
		return moment{Human: fmt.Sprint(v)}
	}
	if at.IsZero() {
		return moment{}
	}
	return moment{at.UTC().Format(time.RFC3339), at.In(zone).Format(layout)}
}

// tone is how a state looks beside its word: a sign and a colour.
func tone(state string) string {
	switch state {
	case "accept", "active", "in use", "in-service", "ok", "approved", "used up", "agreed", "set":
		return "good"
	case "reject", "revoked", "destroyed", "expired", "refused", "lapsed":
		return "bad"
	case "challenge", "pending", "suspended", "waiting", "open", "started", "asked", "warning":
		return "wait"
	}
	return "plain"
}
