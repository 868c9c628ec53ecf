package selfservice_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/directory"
	"sekisho/life"
	"sekisho/selfservice"
	"sekisho/storage"
	"sekisho/token"
)

// house is the pages over a real desk and a real store. Its clock stands until a test moves it. Who signs in is told by the
// house itself: every person has the same password, and codes are right when the test says so.
type house struct {
	t      *testing.T
	config selfservice.Config
	db     *storage.DB
	opens  func() *storage.DB
	desk   *desk.Desk
	rules  life.Rules
	server *httptest.Server
	pages  http.Handler
	clock  atomic.Int64
	typing []selfservice.Typing
	down   atomic.Bool // the directory does not answer

	mu    sync.Mutex
	codes map[string]bool // that sign in, each once
	held  int             // refusals that waited
	log   bytes.Buffer
}

const password = "Correct horse 9"

const everybody = `users:
  - {name: alice, groups: [staff], mail: alice@example.jp}
  - {name: bob, groups: [staff], mail: bob@example.jp}
  - {name: <b>eve</b>, mail: eve@example.jp}
`

func newHouse(t *testing.T, change ...func(*selfservice.Config)) *house {
	t.Helper()
	h := &house{t: t, rules: life.Defaults(), codes: map[string]bool{}}
	h.clock.Store(time.Date(2026, 11, 20, 3, 0, 5, 0, time.UTC).Unix())
	h.rules.Zone = time.FixedZone("JST", 9*3600)
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	outer, err := token.LoadOuterKey(write("outer.key", base64.StdEncoding.EncodeToString(key)+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	users, err := directory.OpenFile("corp", directory.FileConfig{File: write("users.yaml", everybody)})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&h.log, nil))
	config := storage.Config{Path: filepath.Join(folder, "data", "sekisho.db"), Mark: filepath.Join(folder, "mark", "mark"),
		MachineID: write("machine-id", "0123456789abcdef\n"), Ballast: -1, FreeSpace: -1}
	for _, d := range []string{"data", "mark"} {
		if err := os.Mkdir(filepath.Join(folder, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.opens = func() *storage.DB {
		db, err := storage.Open(context.Background(), config, outer, storage.Env{Now: h.now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	h.config = selfservice.Config{Listen: "127.0.0.1:0", URL: "https://vpn.example.jp", Organization: "例示大学", HelpPhone: "03-0000-0000", HelpHours: "9:00-17:00"}
	for _, f := range change {
		f(&h.config)
	}
	h.desk = &desk.Desk{
		Directories: authn.Directories{{Name: "corp", Directory: users}}, Limits: authn.NormalLimits,
		Rules: func() life.Rules { r := h.rules; r.Request.Pledge = h.config.PledgeVersion(); return r },
		Links: func(s string) string { return "/a/" + s }, Home: "https://vpn.example.jp",
		Issuer: "Sekisho", Forget: func(...authn.AccountID) {}, Wake: func() {}, Now: h.now, Log: log,
	}
	h.start()
	h.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.pages.ServeHTTP(w, r) }))
	t.Cleanup(func() { h.server.Close(); _ = h.db.Close() })
	return h
}

// start opens the store and makes the pages on it.
func (h *house) start() {
	h.t.Helper()
	h.db = h.opens()
	h.desk.Store, h.desk.Keys = store{h.db}, h.db.Keys()
	s := &selfservice.Server{Config: h.config, Prover: h, Desk: func() selfservice.Desk { return h.desk }, Rules: h.desk.Rules, People: h,
		Sessions: h.db, Zone: h.rules.Zone, Now: h.now, Log: h.desk.Log}
	var err error
	if h.pages, err = s.Handler(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) now() time.Time          { return time.Unix(h.clock.Load(), 0).UTC() }
func (h *house) advance(d time.Duration) { h.clock.Add(int64(d / time.Second)) }

var _ selfservice.Prover = (*house)(nil)

func (h *house) Password(_ context.Context, name string, typed authn.Secret, _ netip.Addr) (*selfservice.Person, error) {
	if h.down.Load() {
		return nil, fmt.Errorf("the directory is down")
	}
	u, err := h.desk.Directories[0].Directory.Lookup(context.Background(), []byte(name))
	if err != nil || string(typed.Reveal()) != password {
		return nil, nil
	}
	id, err := h.desk.Open(context.Background(), u)
	return &selfservice.Person{Account: id, Name: u.Name}, err
}

func (h *house) PasswordOf(ctx context.Context, account authn.AccountID, typed authn.Secret, from netip.Addr) (*selfservice.Person, error) {
	acc, err := h.db.Account(account)
	if err != nil {
		return nil, err
	}
	return h.Password(ctx, acc.Name, typed, from)
}

func (h *house) Both(ctx context.Context, name string, typed, code authn.Secret, from netip.Addr) (*selfservice.Person, error) {
	h.mu.Lock()
	right := h.codes[string(code.Reveal())]
	delete(h.codes, string(code.Reveal()))
	h.mu.Unlock()
	if !right {
		return nil, nil
	}
	return h.Password(ctx, name, typed, from)
}

func (h *house) Hold(context.Context, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held++
}

func (h *house) Typing(context.Context, authn.AccountID) ([]selfservice.Typing, error) {
	return h.typing, nil
}

func (h *house) Attempts(context.Context, authn.AccountID, int) ([]selfservice.Attempt, error) {
	return []selfservice.Attempt{{At: h.now(), Where: "vpn-gw", JA: "理由", EN: "why it was refused"}}, nil
}

// store is the database in the desk's words, as the service has it.
type store struct{ *storage.DB }

func (s store) Token(id token.ID) (token.Token, []authn.AccountID, error) {
	info, err := s.DB.Token(id)
	var holders []authn.AccountID
	for _, h := range info.Holders {
		if h.Standing != token.Revoked {
			holders = append(holders, h.Account)
		}
	}
	return info.Token, holders, err
}

func (s store) FindToken(ctx context.Context, name string) (token.ID, error) {
	id, _ := s.TokenBySerial(name)
	return id, nil
}

func (s store) AccountsOf(ctx context.Context, directory string, after authn.AccountID) ([]*authn.Account, error) {
	return s.DB.Accounts(ctx, storage.AccountFilter{Directory: directory, After: after, Limit: 1000})
}

func (s store) Expiring(context.Context, time.Time, token.ID) ([]token.Token, error) { return nil, nil }

func (h *house) account(name string) authn.AccountID {
	h.t.Helper()
	u, err := h.desk.Directories[0].Directory.Lookup(context.Background(), []byte(name))
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := h.desk.Open(context.Background(), u)
	h.ok(err)
	return id
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

var operator = desk.Actor{By: life.ByMaster, Name: "keiko", Reason: "test"}

// link makes an activation link for a person, good for so many devices as the rules say.
func (h *house) link(name string) string {
	h.t.Helper()
	_, link, err := h.desk.Issue(context.Background(), operator, desk.LinkOrder{Account: h.account(name), Letter: true})
	h.ok(err)
	return link
}

// mailed makes one that travels by mail, and reads it from there.
func (h *house) view(link string) desk.ActivationView {
	h.t.Helper()
	v, err := h.desk.FindLink(context.Background(), authn.NewSecret([]byte(strings.TrimPrefix(link, "/a/"))))
	h.ok(err)
	return v
}

func (h *house) holder(name string) life.Holder {
	h.t.Helper()
	holder, _, _, err := h.desk.Holder(context.Background(), h.account(name))
	h.ok(err)
	return holder
}

// device shows codes, as a token or an app does.
type device struct {
	h *house
	token.Token
	seed token.Seed
}

func (d device) code(ahead int) string {
	return d.Code(d.seed, d.StepAt(d.h.now())+int64(ahead))
}

// stock puts a hardware token into the stock.
func (h *house) stock(serial string) device {
	h.t.Helper()
	seed := token.NewSeed(token.SeedSize)
	k := token.Token{ID: token.NewID(), Serial: serial, Form: token.Hardware, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, State: token.InStock,
		Last: token.NoStep, Fingerprint: h.db.Keys().Fingerprint(seed), Expiry: h.now().AddDate(3, 0, 0).Unix()}
	var err error
	k.Sealed, err = h.db.Keys().SealSeed(k.ID, seed)
	h.ok(err)
	saved := make(chan error, 1)
	h.ok(h.db.Update(authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Tokens: []*token.Token{&k}, Event: &authn.Event{At: h.now(), Kind: authn.ActEvent, Act: "test.import", Step: token.NoStep}}, nil
	}, func(err error) { saved <- err }))
	h.ok(<-saved)
	return device{h, k, seed}
}

// phone registers a device of a person through an operator.
func (h *house) phone(name, label string) device {
	h.t.Helper()
	account := h.account(name)
	v, err := h.desk.Enrol(context.Background(), operator, desk.EnrolOrder{Account: account, Name: label})
	h.ok(err)
	u, err := token.ParseURI(v.URI)
	h.ok(err)
	u.Token.ID = v.Token
	d := device{h, u.Token, u.Seed}
	_, err = h.desk.Confirm(context.Background(), operator, account, d.ID, authn.NewSecret([]byte(d.code(0))))
	h.ok(err)
	h.advance(time.Minute)
	return d
}

// surfer is one browser without script.
type surfer struct {
	h    *house
	http *http.Client
	lang string
	at   string // path of the page that is shown
	page string
	code int // status
	head http.Header
}

func (h *house) surfer(lang string) *surfer {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	h.ok(err)
	client := *h.server.Client()
	client.Jar = jar
	return &surfer{h: h, http: &client, lang: lang}
}

func (b *surfer) do(r *http.Request) *surfer {
	b.h.t.Helper()
	r.Header.Set("Accept-Language", b.lang)
	got, err := b.http.Do(r)
	b.h.ok(err)
	body, err := io.ReadAll(got.Body)
	_ = got.Body.Close()
	b.h.ok(err)
	b.page, b.code, b.at, b.head = string(body), got.StatusCode, got.Request.URL.Path, got.Header
	return b
}

func (b *surfer) request(method, path string, body io.Reader) *http.Request {
	b.h.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, b.h.server.URL+path, body)
	b.h.ok(err)
	return r
}

func (b *surfer) open(path string) *surfer {
	b.h.t.Helper()
	return b.do(b.request(http.MethodGet, path, nil))
}

// send submits a form as a button of the page does; pairs are names and values.
func (b *surfer) send(path string, pairs ...string) *surfer {
	b.h.t.Helper()
	return b.sendFrom(b.h.server.URL, path, pairs...)
}

func (b *surfer) sendFrom(origin, path string, pairs ...string) *surfer {
	b.h.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r := b.request(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	return b.do(r)
}

// is fails where another page is shown, or one without all of the texts.
func (b *surfer) is(what string, code int, path string, texts ...string) *surfer {
	b.h.t.Helper()
	if b.code != code || b.at != path {
		b.h.t.Fatalf("%s: page %s with %d, want %s with %d:\n%s", what, b.at, b.code, path, code, strip(b.page))
	}
	for _, x := range texts {
		if !strings.Contains(b.page, x) {
			b.h.t.Fatalf("%s: page %s has no %q:\n%s", what, b.at, x, strip(b.page))
		}
	}
	return b
}

func (b *surfer) lacks(what string, texts ...string) {
	b.h.t.Helper()
	for _, x := range texts {
		if strings.Contains(b.page, x) {
			b.h.t.Errorf("%s: page %s shows %q:\n%s", what, b.at, x, strip(b.page))
		}
	}
}

var tags = regexp.MustCompile(`(?s)<svg.*?</svg>|<[^>]*>|\n\s*\n`)

func strip(page string) string { return tags.ReplaceAllString(page, "\n") }

var uriOnPage = regexp.MustCompile(`href="(otpauth://[^"]+)"`)

// scan is the app that reads what the page shows.
func (b *surfer) scan() device {
	b.h.t.Helper()
	m := uriOnPage.FindStringSubmatch(b.page)
	if m == nil {
		b.h.t.Fatalf("page %s (%d) shows no secret:\n%s", b.at, b.code, strip(b.page))
	}
	u, err := token.ParseURI(strings.ReplaceAll(m[1], "&amp;", "&"))
	b.h.ok(err)
	return device{b.h, u.Token, u.Seed}
}

// signIn signs a person in, with a code where one of their devices works.
func (b *surfer) signIn(name string) *surfer {
	b.h.t.Helper()
	form := []string{"name", name, "password", password}
	for _, hold := range func() []life.Hold { h := b.h.holder(name); return h.Holds }() {
		if hold.Standing == token.Active {
			b.h.mu.Lock()
			b.h.codes["987654"] = true
			b.h.mu.Unlock()
			form = append(form, "code", "987654")
			break
		}
	}
	return b.send("/signin", form...).is("signing in", 200, "/my")
}
