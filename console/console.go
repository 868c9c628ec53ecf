// Package console is the operators' pages. It is a client of the JSON API that happens to live in the same process: each page
// asks the API with the cookie that the browser sent, so that rights, second looks, refusals and the audit are the API's and
// no rule lives in a page.
//
//	browser -> Handler -> a page's method -> Pages.ask, once or more -> template -> browser
//	browser -> POST    -> Pages.act -> the API -> a message, and back to the page; or a refusal; or the page that asks for
//	                      both factors again and then repeats the very act
//
// Pages work without script. The modules in static/ add search as you type, the live list of logins and copying.
// Words stand in words*.go, in Japanese and English; a test keeps them complete.
package console

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

//go:embed templates static
var files embed.FS

// Pages are the console. All fields are needed.
type Pages struct {
	API     http.Handler   // admin's: asked within the process
	Zone    *time.Location // in which pages show moments
	Version string
	Now     func() time.Time
	Log     *slog.Logger

	templates map[string]map[string]*template.Template // by language and name
}

// maxForm is how long a form may be, one with a seed file apart.
const maxForm = 256 << 10

// Handler serves every page. What it is mounted on has to serve the API below /api/ too, for the live list of logins.
func (p *Pages) Handler() http.Handler {
	p.templates = parse(p.Zone)
	mux := http.NewServeMux()
	static, _ := fs.Sub(files, "static") // its name is in the embed line
	mux.Handle("GET /static/", http.StripPrefix("/static/", cached(http.FileServerFS(static))))
	mux.HandleFunc("GET /sign-in", p.signIn)
	mux.HandleFunc("POST /sign-in", p.doSignIn)
	mux.HandleFunc("POST /sign-out", p.signOut)
	mux.HandleFunc("POST /look", p.look)
	mux.HandleFunc("GET /link", p.link)
	mux.HandleFunc("POST /link", p.useLink)
	mux.HandleFunc("GET /own-token", p.ownToken)
	mux.HandleFunc("POST /own-token", p.makeOwn)
	mux.HandleFunc("POST /own-token/confirm", p.confirmOwn)
	mux.HandleFunc("GET /{$}", p.home)
	mux.HandleFunc("GET /logins", p.logins)
	mux.HandleFunc("GET /explain", p.explain)
	mux.HandleFunc("GET /tokens", p.tokens)
	mux.HandleFunc("GET /tokens/{token}", p.token)
	mux.HandleFunc("GET /users", p.users)
	mux.HandleFunc("GET /users/{user}", p.user)
	mux.HandleFunc("GET /help-desk", p.helpDesk)
	mux.HandleFunc("GET /gateways", p.gateways)
	mux.HandleFunc("GET /gateways/{client}", p.gateway)
	mux.HandleFunc("GET /import", p.importForm)
	mux.HandleFunc("POST /import", p.doImport)
	mux.HandleFunc("GET /requests", p.requests)
	mux.HandleFunc("GET /activations", p.activations)
	mux.HandleFunc("GET /approvals", p.approvals)
	mux.HandleFunc("GET /operators", p.operators)
	mux.HandleFunc("POST /operators", p.addOperator)
	mux.HandleFunc("GET /sessions", p.sessions)
	mux.HandleFunc("GET /audit", p.audit)
	mux.HandleFunc("POST /audit/verify", p.verifyAudit)
	mux.HandleFunc("GET /diagnostics", p.diagnostics)
	mux.HandleFunc("/", p.notFound)
	p.actRoutes(mux)
	p.batchRoutes(mux)
	p.stepUpRoutes(mux)
	p.secondRoutes(mux)
	return p.guard(mux)
}

// guard keeps foreign pages out and sets what every answer carries.
func (p *Pages) guard(next http.Handler) http.Handler {
	same := http.NewCrossOriginProtection()
	same.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.refuse(w, r, http.StatusForbidden, "cross-origin", "")
	}))
	inner := same.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/import" {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		}
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		defer func() {
			if fault := recover(); fault != nil {
				// The value can hold what a form brought, so its type has to do.
				p.Log.Error("the console met a fault", "path", r.URL.Path, "fault", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
				http.Error(w, word(languageOf(r), "problem.fault"), http.StatusInternalServerError)
			}
		}()
		inner.ServeHTTP(w, r)
	})
}

// cached lets browsers keep what changes only with the program, which the version in its address tells.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=86400")
		next.ServeHTTP(w, r)
	})
}
