package selfservice

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/life"
)

//go:embed templates
var templates embed.FS

// pages are the templates of one language by name.
type pages map[string]*template.Template

func loadPages(zone *time.Location) (map[string]pages, error) {
	files, err := templates.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	all := map[string]pages{}
	for _, lang := range []string{"ja", "en"} {
		funcs := template.FuncMap{
			"t":     func(key string, args ...any) string { return say(lang, key, args...) },
			"when":  func(unix int64) string { return when(lang, zone, unix) },
			"words": func(w Words) string { return w.in(lang) },
			"ja":    func() bool { return lang == "ja" },
		}
		all[lang] = pages{}
		for _, f := range files {
			name := strings.TrimSuffix(f.Name(), ".html")
			if name == "layout" {
				continue
			}
			t, err := template.New("layout.html").Funcs(funcs).ParseFS(templates, "templates/layout.html", "templates/"+f.Name())
			if err != nil {
				return nil, fmt.Errorf("reading the page %s: %w", name, err)
			}
			all[lang][name] = t
		}
	}
	return all, nil
}

// when writes an instant for people; zero is empty.
func when(lang string, zone *time.Location, unix int64) string {
	if unix == 0 {
		return ""
	}
	at := time.Unix(unix, 0).In(zone)
	if lang == "ja" {
		return at.Format("2006年1月2日 15:04")
	}
	return at.Format("2 Jan 2006, 15:04 MST")
}

// view is what a template is given.
type view struct {
	Lang    string
	Name    string // of the page
	Path    string // for the switch of languages
	Config  *Config
	Session *Session
	Problem *problem          // shown on top of the page; nil: none
	Done    string            // key of a sentence that something was done; empty: nothing was
	Typed   map[string]string // what the person typed before and need not type again
	Data    any
	Apps    []App
	Token   bool // the page /token is on
}

// problem is why something was not done, in words.
type problem struct {
	Code string // short, for the help desk
	Text string // what happened and what to do
}

// failure is a page of its own that says why there is no other.
type failure struct {
	status int
	code   string
	text   string // key of its sentence
	retry  string // where to go on
}

func (f *failure) Error() string { return f.code }

// show renders a page. Nothing is sent before the whole of it is there.
func (s *Server) show(q *request, name string, data any) error {
	return s.render(q, http.StatusOK, name, data, nil)
}

// again shows a page with the reason why the form on it was not taken.
func (s *Server) again(q *request, name string, data any, p *problem) error {
	return s.render(q, http.StatusUnprocessableEntity, name, data, p)
}

func (s *Server) render(q *request, status int, name string, data any, p *problem) error {
	v := &view{Lang: q.lang, Name: name, Path: q.URL.Path, Config: &s.Config, Session: q.session, Problem: p, Typed: q.typed, Data: data,
		Apps: s.Config.apps(), Token: s.Config.tokenPage()}
	if key := q.URL.Query().Get("done"); q.Method == http.MethodGet && key != "" {
		if _, ok := texts["done."+key]; ok {
			v.Done = "done." + key
		}
	}
	var b bytes.Buffer
	if err := s.pages[q.lang][name].Execute(&b, v); err != nil {
		return fmt.Errorf("making the page %s: %w", name, err)
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.w.Header().Set("Content-Language", q.lang)
	q.w.WriteHeader(status)
	_, _ = b.WriteTo(q.w)
	return nil
}

// goTo ends a form that was taken: reloading the page after it sends nothing again.
func goTo(q *request, path string) error {
	http.Redirect(q.w, q.Request, path, http.StatusSeeOther)
	return nil
}

// problemOf gives a refusal's words; nil for a fault.
func (q *request) problemOf(err error) *problem {
	var no *life.Refusal
	if errors.As(err, &no) {
		if q.lang == "en" {
			return &problem{string(no.Code), no.English()}
		}
		return &problem{string(no.Code), no.Japanese()}
	}
	var other *authn.Refusal
	if errors.As(err, &other) {
		return &problem{other.Code, other.Error()}
	}
	return nil
}

// wrong is a problem of the form itself.
func (q *request) wrong(code, key string, args ...any) *problem {
	return &problem{code, say(q.lang, key, args...)}
}

// answerError shows what a handler gave back: its failure, the refusal of a rule, or a fault.
func (s *Server) answerError(q *request, err error) {
	var out *outage
	if errors.As(err, &out) {
		s.Log.Error("a self-service page could not decide", "page", pattern(q.Request), "error", out.cause)
	}
	var f *failure
	if errors.As(err, &f) {
		s.fail(q.w, q.Request, f)
		return
	}
	if p := q.problemOf(err); p != nil {
		s.failWith(q.w, q.Request, http.StatusConflict, p, "/")
		return
	}
	s.fault(q.w, q.Request, err)
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, f *failure) {
	lang := s.language(w, r)
	s.failWith(w, r, f.status, &problem{f.code, say(lang, f.text)}, f.retry)
}

// fault shows a page for what went wrong here. The number on it finds the line of the log.
func (s *Server) fault(w http.ResponseWriter, r *http.Request, err error) {
	number := faultNumber()
	s.Log.Error("a self-service page failed", "fault", number, "page", pattern(r), "error", err)
	s.failWith(w, r, http.StatusInternalServerError, &problem{"fault " + number, say(s.language(w, r), "error.fault")}, "/")
}

// pattern is the page without what a link keeps secret.
func pattern(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	return r.Method
}

// failData is the page of a failure.
type failData struct{ Retry string }

func (s *Server) failWith(w http.ResponseWriter, r *http.Request, status int, p *problem, retry string) {
	q := &request{Request: r, w: w, lang: s.language(w, r)}
	if err := s.render(q, status, "error", failData{retry}, p); err != nil {
		s.Log.Error("the page of an error failed", "error", err)
		http.Error(w, p.Text, http.StatusInternalServerError)
	}
}
