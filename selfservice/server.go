package selfservice

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/life"
)

//go:embed static
var static embed.FS

// Person is who somebody was proven to be.
type Person struct {
	Account authn.AccountID
	Name    string // as the directory writes it
}

// Prover says who somebody is, by the rules of logins: what is wrong is counted, what is used is burnt and everything is
// recorded as at a gateway. A nil Person is a refusal. An error means that nobody could say.
type Prover interface {
	// Password proves a typed name by the directory's password alone.
	Password(ctx context.Context, name string, password authn.Secret, from netip.Addr) (*Person, error)
	// PasswordOf proves the owner of an account so.
	PasswordOf(ctx context.Context, account authn.AccountID, password authn.Secret, from netip.Addr) (*Person, error)
	// Both proves a typed name by password and code.
	Both(ctx context.Context, name string, password, code authn.Secret, from netip.Addr) (*Person, error)
	// Hold waits until a refusal of what arrived at a moment may leave, so that its time does not tell what was wrong (S20).
	Hold(ctx context.Context, arrived time.Time)
}

// Typing says what a person types at some gateways.
type Typing struct {
	Gateway   string // name of the service; empty: all of them
	First     authn.FirstFactor
	Joined    bool
	CodeFirst bool
	Ask       bool
}

// Attempt is one login of a person, for their own eyes.
type Attempt struct {
	At     time.Time
	OK     bool
	Where  string // name of the gateway; empty: these pages
	JA, EN string // one sentence what happened
}

// People tells a person's own things.
type People interface {
	// Typing says what the owner of an account types, one entry where it is the same everywhere.
	Typing(ctx context.Context, account authn.AccountID) ([]Typing, error)
	// Attempts are the owner's last logins, the latest first.
	Attempts(ctx context.Context, account authn.AccountID, most int) ([]Attempt, error)
}

// Server is the pages. It is complete after one literal.
type Server struct {
	Config   Config
	Prover   Prover
	Desk     func() Desk // of the configuration that holds now
	Rules    func() life.Rules
	People   People
	Sessions SessionStore
	Zone     *time.Location // of the times that people read
	Now      func() time.Time
	Log      *slog.Logger

	sessions *sessions
	pages    map[string]pages // by language
	logo     []byte
	proxies  []netip.Prefix
}

// Handler gives the pages. It fails where a file that the configuration names cannot be read.
func (s *Server) Handler() (http.Handler, error) {
	s.sessions = &sessions{store: s.Sessions}
	for _, text := range s.Config.TrustedProxies {
		p, err := prefix(text)
		if err != nil {
			return nil, fmt.Errorf("self_service.trusted_proxies: %w", err)
		}
		s.proxies = append(s.proxies, p)
	}
	if s.Config.Logo != "" {
		var err error
		if s.logo, err = os.ReadFile(s.Config.Logo); err != nil {
			return nil, fmt.Errorf("reading the logo of the pages: %w", err)
		}
	}
	var err error
	if s.pages, err = loadPages(s.zone()); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	s.files(mux)
	s.routes(mux)
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &failure{http.StatusForbidden, "cross-site", "error.foreign", "/"})
	}))
	return s.headers(s.rescue(guard.Handler(mux))), nil
}

func (s *Server) zone() *time.Location {
	if s.Zone == nil {
		return time.UTC
	}
	return s.Zone
}

// routes lists every page. Those of one subject stand in one file.
func (s *Server) routes(mux *http.ServeMux) {
	anybody := func(pattern string, h handler) { mux.Handle(pattern, s.page(0, h)) }
	level := func(l Level) func(string, handler) {
		return func(pattern string, h handler) { mux.Handle(pattern, s.page(l, h)) }
	}
	anybody("GET /{$}", s.signInForm)
	anybody("POST /signin", s.signIn)
	anybody("POST /signout", s.signOut)
	anybody("GET /apps", s.appsPage)

	anybody("GET /a/{secret}", s.linkForm)
	anybody("POST /a/{secret}", s.linkPassword)
	anybody("POST /a/{secret}/resend", s.linkResend)
	level(ByLink)("GET /activate", s.activateForm)
	level(ByLink)("POST /activate", s.activateCode)
	level(ByLink)("POST /activate/again", s.activateAgain)
	level(ByLink)("GET /activate/done", s.activateDone)
	level(ByLink)("POST /activate/pin", s.activatePIN)

	anybody("GET /help-me", s.helpForm)
	anybody("POST /help-me", s.helpPassword)
	s.helpRoutes(level(ByPassword))
	s.myRoutes(level(SignedIn))
	if s.Config.tokenPage() {
		anybody("GET /token", s.tokenForm)
		anybody("POST /token/test", s.tokenTest)
		anybody("POST /token/resync", s.tokenResync)
	}
	mux.Handle("/", s.page(0, func(*request) error { return &failure{http.StatusNotFound, "no-page", "error.nopage", "/"} }))
}

func (s *Server) files(mux *http.ServeMux) {
	sub, _ := fs.Sub(static, "static")
	serve := func(name, kind string) {
		data, _ := fs.ReadFile(sub, name) // the files are in the program
		mux.HandleFunc("GET /static/"+name, func(w http.ResponseWriter, _ *http.Request) { sendFile(w, kind, data) })
	}
	serve("style.css", "text/css; charset=utf-8")
	serve("page.js", "text/javascript; charset=utf-8")
	mux.HandleFunc("GET /logo", func(w http.ResponseWriter, r *http.Request) {
		if s.logo == nil {
			http.NotFound(w, r)
			return
		}
		sendFile(w, logoType(path.Base(s.Config.Logo)), s.logo)
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
}

func sendFile(w http.ResponseWriter, kind string, data []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(data)
}

// headers are those of every answer. Nothing of another site is ever loaded, and nothing is kept.
func (s *Server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "+
			"base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(s.Config.URL, "https://") && s.Config.CertFile != "" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// rescue turns a panic into a page. Its value may hold what was typed, so only faults of the runtime are quoted.
func (s *Server) rescue(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			what := fmt.Sprintf("a %T", p)
			if e, ok := p.(runtime.Error); ok {
				what = e.Error()
			}
			s.fault(w, r, fmt.Errorf("a page ended in an internal fault: %s\n%s", what, debug.Stack()))
		}()
		next.ServeHTTP(w, r)
	})
}

// mostForm is the longest form in octets that is read.
const mostForm = 64 << 10

// request is one request on its way through a handler.
type request struct {
	*http.Request
	w       http.ResponseWriter
	now     time.Time
	lang    string
	session *Session // nil: none
	typed   map[string]string
}

// handler makes one page. An error is a *failure, a refusal of the rules, or a fault.
type handler func(*request) error

// page is what every page goes through: form, language, session.
func (s *Server) page(least Level, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := &request{Request: r, w: w, now: s.Now(), lang: s.language(w, r)}
		err := s.prepare(q, least)
		if err == nil {
			err = h(q)
		}
		if err != nil {
			s.answerError(q, err)
		}
	})
}

func (s *Server) prepare(q *request, least Level) error {
	q.Body = http.MaxBytesReader(q.w, q.Body, mostForm)
	if q.Method == http.MethodPost {
		if err := q.ParseForm(); err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				return &failure{http.StatusRequestEntityTooLarge, "form-too-large", "error.large", "/"}
			}
			return &failure{http.StatusBadRequest, "form-broken", "error.form", "/"}
		}
	}
	if err := s.sessions.sweep(q.now); err != nil {
		return err
	}
	if c, err := q.Cookie(sessionCookie); err == nil {
		var err error
		if q.session, err = s.sessions.find(c.Value, q.now); err != nil {
			return err
		}
	}
	if least > 0 && (q.session == nil || q.session.Level < least) {
		return &failure{http.StatusUnauthorized, "session-ended", "error.session", "/"}
	}
	return nil
}

const (
	sessionCookie  = "__Host-sekisho"
	languageCookie = "__Host-sekisho_lang"
)

func setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// enter begins a session and gives the browser its cookie.
func (s *Server) enter(q *request, session Session) error {
	session.Browser, session.From = browser(q.UserAgent()), s.from(q.Request).String()
	secret, err := s.sessions.begin(session, q.session, q.now)
	if err != nil {
		return err
	}
	setCookie(q.w, sessionCookie, secret, int(sessionTotal/time.Second))
	q.session = &session
	return nil
}

// cookie is the secret of the browser's session.
func (q *request) secret() string {
	c, err := q.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// language is the person's choice, else the browser's, else the site's.
func (s *Server) language(w http.ResponseWriter, r *http.Request) string {
	if l := r.URL.Query().Get("lang"); l == "ja" || l == "en" {
		setCookie(w, languageCookie, l, 365*24*3600)
		return l
	}
	if c, err := r.Cookie(languageCookie); err == nil && (c.Value == "ja" || c.Value == "en") {
		return c.Value
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		tag, _, _ = strings.Cut(tag, "-")
		if tag = strings.ToLower(tag); tag == "ja" || tag == "en" {
			return tag
		}
	}
	if s.Config.Language == "en" {
		return "en"
	}
	return "ja"
}

// from is the address that a person comes from. A forwarded one counts only where a trusted proxy says so, and only the last
// one that is no such proxy itself: what stands before it anybody can write.
func (s *Server) from(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	addr := at.Addr().Unmap()
	trusted := func(a netip.Addr) bool {
		for _, p := range s.proxies {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && trusted(addr); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = a.Unmap()
	}
	return addr
}

// browser describes one in a word or two that its owner recognises.
func browser(agent string) string {
	has := func(word string) bool { return strings.Contains(agent, word) }
	system := "?"
	switch {
	case has("iPhone"):
		system = "iPhone"
	case has("iPad"):
		system = "iPad"
	case has("Android"):
		system = "Android"
	case has("Windows"):
		system = "Windows"
	case has("Macintosh"):
		system = "Mac"
	case has("Linux"):
		system = "Linux"
	}
	switch {
	case has("Edg"):
		return system + " / Edge"
	case has("Firefox") || has("FxiOS"):
		return system + " / Firefox"
	case has("Chrome") || has("CriOS"):
		return system + " / Chrome"
	case has("Safari"):
		return system + " / Safari"
	}
	return system
}

// faultNumber is under what a fault is found in the log.
func faultNumber() string {
	var b [5]byte
	_, _ = rand.Read(b[:])
	return base32.StdEncoding.EncodeToString(b[:])
}
