package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// silent is a service whose parts know nothing and forbid everything: what reaches them is a mistake of the test.
func silent(t *testing.T, log io.Writer) *Server {
	t.Helper()
	return &Server{
		Store: nil, Directories: authn.Directories{{Name: "dead", Directory: deadDirectory{}}}, Clock: deadClock{},
		Health: func() Health { return Health{OK: true, Version: "test"} },
		Now:    time.Now, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

type deadClock struct{}

func (deadClock) Doubt() bool  { panic("the clock is broken") }
func (deadClock) Accept() bool { return false }

// doubtful is a clock in doubt.
type doubtful struct{ accepted bool }

func (*doubtful) Doubt() bool    { return true }
func (d *doubtful) Accept() bool { d.accepted = true; return true }

// brokenStore saves nothing: now refuses, or takes the change and fails at its commit.
type brokenStore struct {
	Store
	now, later error
}

func (b brokenStore) Update(_ authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	if b.now != nil {
		return b.now
	}
	if _, err := f(&authn.Held{}); err != nil {
		return err
	}
	done(b.later)
	return nil
}

// TestNothingIsClaimedThatWasNotSaved breaks the store under an act: the answer is a fault without internals, and the act
// has no effect.
func TestNothingIsClaimedThatWasNotSaved(t *testing.T) {
	disk := errors.New("disk I/O error at /var/lib/x")
	for name, tt := range map[string]struct {
		store  brokenStore
		status int
		code   string
	}{
		"at once": {brokenStore{now: disk}, 500, "not-saved"}, "at the commit": {brokenStore{later: disk}, 500, "not-saved"},
		"busy": {brokenStore{now: authn.ErrBusy}, 503, "busy"}, "saved": {brokenStore{}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := silent(t, io.Discard), &doubtful{}
			s.Store, s.Clock, s.Forget = tt.store, c, func(...authn.AccountID) {}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "POST", "/api/v1/clock/accept", ""))
			if w.Code != tt.status || c.accepted != (tt.status == 200) {
				t.Errorf("%d, accepted %v: %s", w.Code, c.accepted, w.Body)
			}
			if tt.code != "" && (problemOf(t, w).Code != tt.code || strings.Contains(w.Body.String(), "/var/lib")) {
				t.Errorf("%s", w.Body)
			}
		})
	}
}

// oneToken is a store with one token and nobody who holds it.
type oneToken struct {
	Store
	token token.Token
}

func (s oneToken) FindToken(context.Context, string) (token.ID, error) { return s.token.ID, nil }
func (s oneToken) Token(token.ID) (TokenInfo, error)                   { return TokenInfo{Token: s.token}, nil }

// TestConfirmWaitsForTheClock: with the clock in doubt no time-based code is compared, or burnt, by an operator either
// (S21). Counters go on.
func TestConfirmWaitsForTheClock(t *testing.T) {
	for mode, want := range map[token.Mode]string{token.TOTP: "clock-doubt", token.HOTP: "not-assigned"} {
		s := silent(t, io.Discard)
		s.Clock, s.Store = &doubtful{}, oneToken{token: token.Token{ID: 7, Mode: mode}}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "POST", "/api/v1/tokens/7/confirm", `{"code": "123456"}`))
		if p := problemOf(t, w); p.Code != want || p.Status != 409 {
			t.Errorf("%v: %d %s, want %s", mode, p.Status, p.Code, want)
		}
	}
}

// slowStore saves an act when it is told to.
type slowStore struct {
	Store
	taken chan func(error)
}

func (s slowStore) Update(_ authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	if _, err := f(&authn.Held{}); err != nil {
		return err
	}
	s.taken <- done
	return nil
}

// TestAnActWhoseAskerLeftIsForgotten: a revocation that is saved after its caller broke off still drops the cached answers
// (S13).
func TestAnActWhoseAskerLeftIsForgotten(t *testing.T) {
	s, store := silent(t, io.Discard), slowStore{taken: make(chan func(error), 1)}
	forgotten := make(chan authn.AccountID, 1)
	s.Store, s.Forget = store, func(ids ...authn.AccountID) { forgotten <- ids[0] }
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := s.apply(ctx, authn.Keys{Accounts: []authn.AccountID{7}}, simple(func(*authn.Held) (authn.Change, *authn.Refusal) {
		return authn.Act{}.Note("test", ""), nil
	}))
	var p *Problem
	if !errors.As(err, &p) || p.Code != "unknown-outcome" {
		t.Errorf("%v", err)
	}
	(<-store.taken)(nil)
	select {
	case id := <-forgotten:
		if id != 7 {
			t.Errorf("account %v", id)
		}
	case <-time.After(10 * time.Second):
		t.Error("the cached answers stayed")
	}
}

// TestAccountsWhileTheDirectoryIsDown: acts that need no directory go on by account ID (I7).
func TestAccountsWhileTheDirectoryIsDown(t *testing.T) {
	h := newHouse(t)
	h.stock(1, "", "annie")
	var u User
	h.ok("GET", "/api/v1/users/annie", nil, &u)
	h.api.Directories[0].Directory = deadDirectory{}
	for name, want := range map[string]int{u.Account: 200, authn.AccountID(token.NewID()).String(): 503, "annie": 503} {
		if w := h.call("GET", "/api/v1/users/"+name, nil); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, want, w.Body)
		}
	}
	var l UserList
	if h.ok("GET", "/api/v1/users", nil, &l); len(l.Users) != 1 || l.Users[0].State != "in-service" {
		t.Errorf("the list of users without the directory: %+v", l)
	}
	h.no(503, "directory-down", "GET", "/api/v1/users?group=staff", nil)
	h.ok("POST", "/api/v1/tokens/H1/revoke", `{}`, nil)
}

// stuckDirectory answers nobody before it is told to.
type stuckDirectory struct {
	deadDirectory
	asked, answer chan struct{}
}

func (d stuckDirectory) Lookup(ctx context.Context, name []byte) (*authn.User, error) {
	d.asked <- struct{}{}
	<-d.answer
	return d.deadDirectory.Lookup(ctx, name)
}

// TestASlowDirectoryHoldsUpNoOtherAct: acts go one at a time, and one that waits for the directory does not keep the next
// from being done: that may be the revocation of a stolen token (I7).
func TestASlowDirectoryHoldsUpNoOtherAct(t *testing.T) {
	for _, tt := range []struct{ method, path, body, kind string }{
		{"POST", "/api/v1/tokens/7/assign", `{"user": "annie"}`, ""},
		{"POST", "/api/v1/tokens/7/confirm", `{"user": "annie", "code": "123456"}`, ""},
		{"POST", "/api/v1/tokens/7/revoke", `{"user": "annie"}`, ""},
		{"POST", "/api/v1/users/annie/tokens", `{}`, ""},
		{"PUT", "/api/v1/users/annie/pin", `{"pin": "7391"}`, ""},
		{"POST", "/api/v1/users/annie/unlock", "", ""},
		{"POST", "/api/v1/tokens/import", "serial,secret_hex,user\nA1,3132333435363738393031323334353637383930,annie\n", "text/csv"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			s, d := silent(t, io.Discard), stuckDirectory{asked: make(chan struct{}), answer: make(chan struct{})}
			s.Directories[0].Directory, s.Clock, s.Forget = d, &doubtful{}, func(...authn.AccountID) {}
			keys, err := token.NewKeys()
			if err != nil {
				t.Fatal(err)
			}
			s.Keys = keys
			s.Store = brokenStore{Store: oneToken{token: token.Token{ID: 7, Mode: token.HOTP}}}
			h, slow := s.Handler(), httptest.NewRecorder()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r := as(Peer{0, "root"}, tt.method, tt.path, tt.body)
				if tt.kind != "" {
					r.Header.Set("Content-Type", tt.kind)
				}
				h.ServeHTTP(slow, r)
			}()
			select {
			case <-d.asked:
			case <-ended:
				t.Fatalf("the directory was not asked: %s", slow.Body)
			}
			quick := make(chan int)
			go func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, as(Peer{0, "root"}, "POST", "/api/v1/clock/accept", ""))
				quick <- w.Code
			}()
			select {
			case code := <-quick:
				if code != 200 {
					t.Errorf("the other act: %d", code)
				}
			case <-time.After(10 * time.Second):
				t.Error("the other act waits for the directory")
				go func() { <-quick }()
			}
			close(d.answer)
			<-ended
			if p := problemOf(t, slow); p.Code != "directory-down" {
				t.Errorf("%s", slow.Body)
			}
		})
	}
}

// deadDirectory is an outage, for everybody.
type deadDirectory struct{}

func (deadDirectory) Peek([]byte, time.Time) (*authn.User, bool) { return nil, false }
func (deadDirectory) Lookup(context.Context, []byte) (*authn.User, error) {
	return nil, errors.New("connection refused by 192.0.2.1")
}
func (deadDirectory) Authenticate(context.Context, *authn.User, authn.Secret) (authn.BindResult, error) {
	return authn.BindResult{}, errors.New("down")
}
func (deadDirectory) BindTime() time.Duration     { return 0 }
func (deadDirectory) FailureLimit() authn.Lockout { return authn.Lockout{} }

func as(p Peer, method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r.WithContext(context.WithValue(r.Context(), peerKey{}, p))
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	if p.Status != w.Code || p.Type != "urn:sekisho:"+p.Code || p.Title == "" || p.Detail == "" {
		t.Errorf("no whole problem: %+v", p)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("content type %q", kind)
	}
	return p
}

// TestWhoMayCall holds the door: root, the service's own user, configured ones; nobody else, and nobody without proof.
func TestWhoMayCall(t *testing.T) {
	s := silent(t, io.Discard)
	s.Operators = Operators{Names: []string{"helpdesk", "4711"}}
	h := s.Handler()
	for _, tt := range []struct {
		peer Peer
		want int
	}{
		{Peer{0, "root"}, 200}, {Peer{uint32(os.Geteuid()), "me"}, 200}, {Peer{5000, "helpdesk"}, 200}, {Peer{4711, "uid 4711"}, 200},
		{Peer{5001, "mallory"}, 403}, {Peer{47, "uid 47"}, 403},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, as(tt.peer, "GET", "/api/v1/health", ""))
		if w.Code != tt.want {
			t.Errorf("%v: %d, want %d", tt.peer, w.Code, tt.want)
		}
		if w.Code == 403 && problemOf(t, w).Code != "not-an-operator" {
			t.Errorf("%v: %s", tt.peer, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/health", nil))
	if w.Code != 401 || problemOf(t, w).Code != "sign-in" {
		t.Errorf("without credentials: %d", w.Code)
	}
}

func TestProblems(t *testing.T) {
	var log bytes.Buffer
	h := silent(t, &log).Handler()
	root := Peer{0, "root"}
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/api/v1/tokens?after=nonsense", "", 422, "bad-input"},
		{"GET", "/api/v1/tokens?limit=0", "", 422, "bad-input"},
		{"GET", "/api/v1/users/annie", "", 503, "directory-down"},
		{"PUT", "/api/v1/users/annie/pin", `{"pim": "7391"}`, 422, "bad-input"},
		{"PUT", "/api/v1/users/annie/pin", `{"pin": `, 400, "bad-input"},
		{"POST", "/api/v1/users/" + strings.Repeat("x", 300) + "/unlock", "", 422, "bad-input"},
		{"GET", "/api/v1/logins?limit=1001", "", 422, "bad-input"},
		{"GET", "/api/v1/logins?since=yesterday", "", 422, "bad-input"},
		{"GET", "/api/v1/logins?reason=nonsense", "", 422, "bad-input"},
		{"POST", "/api/v1/clock/accept", "", 500, "fault"}, // a panic ends this request alone
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, as(root, tt.method, tt.path, tt.body))
		p := problemOf(t, w)
		if w.Code != tt.status || p.Code != tt.code {
			t.Errorf("%s %s: %d %s, want %d %s: %s", tt.method, tt.path, w.Code, p.Code, tt.status, tt.code, w.Body)
		}
		if strings.Contains(w.Body.String(), "192.0.2.1") || strings.Contains(w.Body.String(), "7391") {
			t.Errorf("%s %s tells what stays inside: %s", tt.method, tt.path, w.Body)
		}
	}
	if !strings.Contains(log.String(), "connection refused by 192.0.2.1") || !strings.Contains(log.String(), "deadClock.Doubt") {
		t.Errorf("the log lacks what the answers hide: %s", &log)
	}
	if strings.Contains(log.String(), "the clock is broken") {
		t.Errorf("the log quotes the value of a panic, which can hold a PIN: %s", &log)
	}
}

// TestOpenAPI compares the description of the API with docs/openapi.json, so that every change of the contract is seen.
// UPDATE=1 writes it.
func TestOpenAPI(t *testing.T) {
	w := httptest.NewRecorder()
	silent(t, io.Discard).Handler().ServeHTTP(w, as(Peer{0, "root"}, "GET", "/api/openapi.json", ""))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"openapi":"3.1`) {
		t.Fatalf("%d: %.200s", w.Code, w.Body)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, w.Body.Bytes(), "", " "); err != nil {
		t.Fatal(err)
	}
	text.WriteByte('\n')
	const file = "../docs/openapi.json"
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(committed, text.Bytes()) {
		t.Errorf("%s is not what the service gives (%v); look at the difference that UPDATE=1 makes", file, err)
	}
	for _, path := range []string{"/docs", "/schemas/Token.json"} {
		w := httptest.NewRecorder()
		silent(t, io.Discard).Handler().ServeHTTP(w, as(Peer{0, "root"}, "GET", path, ""))
		if w.Code != 404 {
			t.Errorf("%s: %d; nothing that loads scripts from elsewhere is served", path, w.Code)
		}
	}
}

// TestSocket speaks over a real socket: the kernel says who calls, a dead socket is replaced, a living one and other
// files are not.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file in the way: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	l, err := Listen(path)
	if err != nil {
		t.Fatalf("a dead socket: %v", err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another server answers") {
		t.Errorf("a living socket: %v", err)
	}
	server := silent(t, io.Discard).HTTPServer()
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	res, err := client.Get("http://sekisho/api/v1/health")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != 200 {
		t.Errorf("own user over the socket: %s", res.Status)
	}
	client.CloseIdleConnections()
}

// TestOneUserHoldsFewConnections: the local socket is open to everybody, and descriptors that one user hoards would be
// missing elsewhere (I7).
func TestOneUserHoldsFewConnections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 2*mostCalls)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	var first net.Conn
	for range mostCalls {
		dial()
		first = <-accepted
	}
	over := dial()
	_ = over.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := over.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("one connection too many: %v", err)
	}
	_, _ = first.Close(), first.Close() // twice gives one place back
	dial()
	<-accepted
	over = dial()
	_ = over.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := over.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("one connection too many after a place was given back: %v", err)
	}
}

// TestShown keeps names from the network harmless: one line, no control characters, nothing lost (B50).
// TestViewsHoldNoSecrets prints what listings show of a token and an event that hold some.
func TestViewsHoldNoSecrets(t *testing.T) {
	tok := &token.Token{ID: 7, Serial: "S1", Last: 5, Sealed: token.SealedSeed{Version: 1, Data: []byte("canary-seed")}, Fingerprint: [16]byte{'c', 'a', 'n', 'a', 'r', 'y'}}
	e := &authn.Event{Kind: authn.LoginEvent, Reason: authn.WrongCode, Digest: [16]byte{'c', 'a', 'n', 'a', 'r', 'y'}, Nonce: [12]byte{'c', 'a', 'n'}}
	b, err := json.Marshal([]any{viewToken(tok, time.Now()), viewEvent(e)})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("cana")) || bytes.Contains(b, []byte("Y2FuYX")) {
		t.Errorf("a secret shows: %s", b)
	}
	if !bytes.Contains(b, []byte(authn.WrongCode.Sentence())) {
		t.Errorf("the event lacks its sentence: %s", b)
	}
}
