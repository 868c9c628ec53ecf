package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/admin"
	"sekisho/directory"
	"sekisho/internal/testenv"
	"sekisho/token"
)

const operatorPassword = "Correct horse 9"

// house is a whole service with an operators' listener. mio, noa (masters), adam (admin), hal (helpdesk) and una (auditor) are
// operators with an event-based token each; alice of staff, bob of the board and nina are people.
type house struct {
	*inProcess
	url    string
	ca     string
	pool   *x509.CertPool
	tokens map[string]*hotpToken
}

// hotpToken is somebody's token in their hand.
type hotpToken struct {
	mu   sync.Mutex
	seed token.Seed
	next int64
}

func (h *hotpToken) code() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	return string((&token.Token{Mode: token.HOTP, Hash: token.SHA1, Digits: 6}).Code(h.seed, h.next-1))
}

func startHouse(t testing.TB, more ...string) *house {
	t.Helper()
	dir := t.TempDir()
	if err := token.NewOuterKeyFile(filepath.Join(dir, "sealing.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	hash, err := directory.HashPassword(operatorPassword)
	if err != nil {
		t.Fatal(err)
	}
	users := "users:\n"
	for _, u := range []string{"mio", "noa", "adam", "hal", "una", "nina"} {
		users += fmt.Sprintf("  - {name: %s, password: %q, groups: [it]}\n", u, hash)
	}
	users += fmt.Sprintf("  - {name: alice, password: %q, groups: [staff]}\n  - {name: bob, password: %[1]q, groups: [board]}\n", hash)
	if err := os.WriteFile(filepath.Join(dir, "users.yaml"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	pki := testenv.PKI(t)
	auth, acct, web := testenv.Port(t), testenv.Port(t), testenv.Port(t)
	h := &house{ca: pki.CA, url: fmt.Sprintf("https://127.0.0.1:%d", web), pool: x509.NewCertPool(), tokens: map[string]*hotpToken{}}
	path := writeConfig(t, dir, fmt.Sprintf(`storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  listen: 127.0.0.1:%[2]d
  listen_accounting: 127.0.0.1:%[3]d
  clients: [{name: gw, addresses: 127.0.0.1, secret: %[4]s}]
directory: {type: file, file: {file: %[1]s/users.yaml}}
policies: [{name: all, first_factor: pin}]
admin:
  socket: %[1]s/admin.sock
  listen: 127.0.0.1:%[5]d
  url: %[6]s
  cert_file: %[7]s
  key_file: %[8]s
  vip_groups: [board]
%[9]s
`, dir, auth, acct, serveSecret, web, h.url, pki.ServerCert, pki.ServerKey, strings.Join(more, "\n")))
	h.inProcess = serving(t, path)
	pem, err := os.ReadFile(pki.CA)
	if err != nil || !h.pool.AppendCertsFromPEM(pem) {
		t.Fatalf("reading the authority: %v", err)
	}
	file := "serial,secret_base32,mode,user\n"
	for _, u := range []string{"mio", "noa", "adam", "hal", "una", "nina", "alice", "bob"} {
		h.tokens[u] = &hotpToken{seed: token.NewSeed(token.SeedSize)}
		file += "T-" + u + "," + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.tokens[u].seed) + ",hotp," + u + "\n"
	}
	h.tokens["spare"] = &hotpToken{seed: token.NewSeed(token.SeedSize)}
	file += "T-spare," + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.tokens["spare"].seed) + ",hotp,\n"
	if err := h.api.call(t.Context(), http.MethodPost, "/api/v1/tokens/import", strings.NewReader(file), nil); err != nil {
		t.Fatal(err)
	}
	for u, role := range map[string]string{"mio": "master", "noa": "master", "adam": "admin", "hal": "helpdesk", "una": "auditor"} {
		h.root(t, "POST", "/api/v1/operators", map[string]any{"name": u, "role": role}, nil)
	}
	return h
}

// root calls over the local socket.
func (h *house) root(t testing.TB, method, path string, body, reply any) {
	t.Helper()
	if err := h.api.call(t.Context(), method, path, body, reply); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// deskOf is an operator at their browser, or a program.
type deskOf struct {
	t      testing.TB
	h      *house
	http   *http.Client
	cookie string
	header http.Header
}

func (h *house) stranger(t testing.TB) *deskOf {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = h.pool
	t.Cleanup(transport.CloseIdleConnections)
	return &deskOf{t: t, h: h, http: &http.Client{Transport: transport}, header: http.Header{}}
}

// answer is what a call brought.
type answer struct {
	status int
	body   []byte
	admin.Problem
	header http.Header
}

func (d *deskOf) call(method, path string, body any) answer {
	d.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			d.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.h.url+path, r)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header = d.header.Clone()
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if d.cookie != "" {
		req.AddCookie(&http.Cookie{Name: admin.SessionCookie, Value: d.cookie})
	}
	res, err := d.http.Do(req)
	if err != nil {
		d.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, header: res.Header}
	a.body, _ = io.ReadAll(res.Body)
	if res.StatusCode >= 400 {
		_ = json.Unmarshal(a.body, &a.Problem)
	}
	return a
}

// wants checks a status and, of a refusal, its code.
func (d *deskOf) wants(a answer, what string, status int, code string) answer {
	d.t.Helper()
	if a.status != status || a.Code != code {
		d.t.Errorf("%s: %d %s, want %d %s: %.300s", what, a.status, a.Code, status, code, a.body)
	}
	return a
}

func (d *deskOf) keep(a answer) {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == admin.SessionCookie {
			d.cookie = c.Value
		}
	}
}

func shown(name, code string) map[string]string {
	return map[string]string{"name": name, "password": operatorPassword, "code": code}
}

// signIn signs an operator in.
func (h *house) signIn(t testing.TB, name string) *deskOf {
	t.Helper()
	d := h.stranger(t)
	d.keep(d.wants(d.call("POST", "/api/v1/session", shown(name, h.tokens[name].code())), "sign-in of "+name, 200, ""))
	return d
}

func (d *deskOf) stepUp(name string) {
	d.t.Helper()
	d.wants(d.call("POST", "/api/v1/session/step-up", map[string]string{"password": operatorPassword, "code": d.h.tokens[name].code()}), "step-up of "+name, 200, "")
}

// race makes n calls at once and counts the statuses.
func race(n int, call func(i int) answer) map[int]int {
	var wait sync.WaitGroup
	var mu sync.Mutex
	counts := map[int]int{}
	begin := make(chan struct{})
	for i := range n {
		wait.Go(func() {
			<-begin
			a := call(i)
			mu.Lock()
			defer mu.Unlock()
			counts[a.status]++
		})
	}
	close(begin)
	wait.Wait()
	return counts
}

// TestFirstOperator goes the way of an installation: link over the socket, own token, sign-in by both factors.
func TestFirstOperator(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	h.root(t, "POST", "/api/v1/operators", map[string]any{"name": "nina", "role": "master"}, nil)
	h.root(t, "POST", "/api/v1/tokens/T-nina/revoke", map[string]any{}, nil)
	var link admin.OperatorLink
	h.root(t, "POST", "/api/v1/operators/nina/link", nil, &link)
	if !strings.HasPrefix(link.Link, h.url+"/link#") || time.Until(link.Until) > time.Hour {
		t.Errorf("%+v", link)
	}
	sessions := make([]*deskOf, 64)
	for i := range sessions {
		sessions[i] = h.stranger(t)
	}
	counts := race(64, func(i int) answer {
		a := sessions[i].call("POST", "/api/v1/session/link", map[string]string{"secret": link.Secret})
		sessions[i].keep(a)
		return a
	})
	if counts[200] != 1 || counts[401] != 63 {
		t.Fatalf("64 uses of one link: %v", counts)
	}
	var d *deskOf
	for _, s := range sessions {
		if s.cookie != "" {
			d = s
		}
	}
	d.wants(d.call("GET", "/api/v1/tokens", nil), "a list before there is a token", 403, "register-first")
	d.wants(d.call("POST", "/api/v1/operators", map[string]any{"name": "alice", "role": "master"}), "an act before there is a token", 403, "register-first")
	a := d.wants(d.call("POST", "/api/v1/session/token", map[string]any{"name": "phone"}), "a software token", 200, "")
	var own admin.OwnToken
	if err := json.Unmarshal(a.body, &own); err != nil || own.Secret == "" {
		t.Fatalf("%s", a.body)
	}
	u, err := url.Parse(own.URI)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		t.Fatal(err)
	}
	totp := &token.Token{Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30}
	step := time.Now().Unix() / 30
	confirm := map[string]string{"token": own.Token, "code": string(totp.Code(seed, step))}
	d.wants(d.call("POST", "/api/v1/session/token/confirm", confirm), "the right code", 200, "")
	d.wants(d.call("GET", "/api/v1/tokens", nil), "the session by link afterwards", 403, "register-first")
	a = d.wants(d.call("POST", "/api/v1/session", shown("nina", string(totp.Code(seed, step+1)))), "the sign-in", 200, "")
	d.keep(a)
	d.wants(d.call("GET", "/api/v1/tokens", nil), "a list", 200, "")
	var who admin.Whoami
	if err := json.Unmarshal(a.body, &who); err != nil || who.Role != "master" || who.Door != "password" || who.Register || len(who.Rights) < 20 {
		t.Errorf("%s", a.body)
	}
	set := a.header.Get("Set-Cookie")
	for _, flag := range []string{"__Host-sekisho_admin=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(set, flag) || strings.Contains(set, "Domain") {
			t.Errorf("cookie %q lacks %s", set, flag)
		}
	}
}

// TestSignInTellsNothing: whatever is wrong, the answer is the same (I8); a code opens once.
func TestSignInTellsNothing(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	d := h.stranger(t)
	used := h.tokens["mio"].code()
	d.keep(d.wants(d.call("POST", "/api/v1/session", shown("mio", used)), "the sign-in", 200, ""))
	cookie := d.cookie
	d.cookie = ""
	var first []byte
	for what, body := range map[string]map[string]string{
		"a used code": shown("mio", used), "a wrong code": shown("adam", "000000"), "no code": shown("una", ""),
		"a wrong password": {"name": "hal", "password": "wrong", "code": h.tokens["hal"].code()},
		"nobody":           shown("zoe", "123456"), "no operator": shown("alice", h.tokens["alice"].code()),
	} {
		begun := time.Now()
		a := d.wants(d.call("POST", "/api/v1/session", body), what, 401, "sign-in-refused")
		if first == nil {
			first = a.body
		}
		if !bytes.Equal(a.body, first) || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s", what, a.body)
		}
		if took := time.Since(begun); took < 900*time.Millisecond {
			t.Errorf("%s: refused after %v, before its moment", what, took)
		}
	}
	d.cookie = cookie
	for what, value := range map[string]string{"forged": strings.Repeat("A", 43), "changed": "B" + cookie[1:], "cut": cookie[:20], "nothing": "x"} {
		d.cookie = value
		d.wants(d.call("GET", "/api/v1/session", nil), what+" cookie", 401, "sign-in")
	}
	d.cookie = cookie
	d.wants(d.call("GET", "/api/v1/session", nil), "the good cookie", 200, "")
	d.wants(d.call("DELETE", "/api/v1/session", nil), "sign-out", 204, "")
	d.wants(d.call("GET", "/api/v1/session", nil), "an ended cookie", 401, "sign-in")
	code := h.tokens["noa"].code()
	if counts := race(16, func(int) answer { return h.stranger(t).call("POST", "/api/v1/session", shown("noa", code)) }); counts[200] != 1 {
		t.Errorf("16 sign-ins with one code: %v", counts)
	}
}

// TestWebDoor: cross-site posts, forwarded addresses, large bodies and headers.
func TestWebDoor(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	d := h.signIn(t, "mio")
	for _, header := range []http.Header{{"Origin": {"https://evil.example"}}, {"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}} {
		d.header = header
		d.wants(d.call("POST", "/api/v1/clock/accept", nil), fmt.Sprint(header), 403, "cross-origin")
		d.wants(d.call("DELETE", "/api/v1/session", nil), fmt.Sprint(header), 403, "cross-origin")
	}
	d.header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	d.wants(d.call("POST", "/api/v1/clock/accept", nil), "from its own page", 409, "clock-not-in-doubt")
	d.header = http.Header{"X-Forwarded-For": {"203.0.113.7"}}
	noa := h.stranger(t)
	noa.header = d.header
	noa.keep(noa.wants(noa.call("POST", "/api/v1/session", shown("noa", h.tokens["noa"].code())), "a forwarded sign-in", 200, ""))
	if a := noa.call("GET", "/api/v1/sessions", nil); strings.Contains(string(a.body), "203.0.113.7") || !strings.Contains(string(a.body), "127.0.0.1") {
		t.Errorf("X-Forwarded-For is believed: %s", a.body)
	}
	d.header = http.Header{}
	large := `{"name": "` + strings.Repeat("x", 10<<20) + `"}`
	if a := d.call("POST", "/api/v1/operators", large); a.status != 413 || a.Code != "too-large" {
		t.Errorf("10 MB: %d %s", a.status, a.Code)
	}
	d.header = http.Header{"X-Long": {strings.Repeat("x", 100<<10)}}
	if a := d.call("GET", "/api/v1/session", nil); a.status != 431 {
		t.Errorf("100 KB of header: %d", a.status)
	}
	d.header = http.Header{}
	a := d.wants(d.call("GET", "/api/v1/nothing", nil), "no page", 404, "not-found")
	for _, name := range []string{"Content-Security-Policy", "Cache-Control", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"} {
		if a.header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
}

// TestProofs: what asks for a step-up, how long one lasts, and that one act of the strictest class takes it.
func TestProofs(t *testing.T) {
	h := startHouse(t)
	d := h.signIn(t, "mio")
	key := map[string]any{"name": "backup", "role": "auditor", "rights": []string{"audit.read", "tokens.read"}, "expires": time.Now().Add(time.Hour)}
	d.wants(d.call("POST", "/api/v1/keys", key), "a key just after sign-in", 403, "step-up")
	d.wants(d.call("POST", "/api/v1/session/step-up", map[string]string{"password": operatorPassword, "code": "000000"}), "a wrong step-up", 401, "sign-in-refused")
	d.wants(d.call("POST", "/api/v1/keys", key), "a key after a wrong step-up", 403, "step-up")
	d.stepUp("mio")
	counts := race(64, func(int) answer { return d.call("POST", "/api/v1/keys", key) })
	if counts[200] != 1 || counts[403] != 63 {
		t.Errorf("64 keys by one step-up: %v", counts)
	}
	d.stepUp("mio")
	a := d.wants(d.call("POST", "/api/v1/keys", key), "a key", 200, "")
	var made admin.APIKey
	if err := json.Unmarshal(a.body, &made); err != nil || made.Secret == "" {
		t.Fatalf("%s", a.body)
	}
	if a := d.call("GET", "/api/v1/keys", nil); strings.Contains(string(a.body), made.Secret) || !strings.Contains(string(a.body), made.ID) {
		t.Errorf("list: %s", a.body)
	}
	program := h.stranger(t)
	program.header.Set("Authorization", "Bearer "+made.Secret)
	program.wants(program.call("GET", "/api/v1/tokens", nil), "a program reads", 200, "")
	program.wants(program.call("GET", "/api/v1/health", nil), "a right that it was not given", 403, "no-right")
	program.wants(program.call("POST", "/api/v1/tokens/T-bob/revoke", map[string]any{}), "a right that its role has not", 403, "no-right")
	program.wants(program.call("POST", "/api/v1/session/step-up", map[string]string{"password": "x", "code": "1"}), "a program steps up", 409, "no-step-up")
	t.Setenv("SEKISHO_API_KEY", made.Secret)
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"token", "list", "--server", h.url, "--ca", h.ca}, nil, &out, &errs); status != 0 || !strings.Contains(out.String(), "T-bob") {
		t.Errorf("token list --server: %d %s %s", status, &out, &errs)
	}
	if status := run(t.Context(), []string{"operator", "list", "--server", strings.Replace(h.url, "127.0.0.1", "192.0.2.1", 1)[len("https"):]}, nil, &out, &errs); status != 2 {
		t.Errorf("a server without https: %d", status)
	}
	d.wants(d.call("DELETE", "/api/v1/keys/"+made.ID, nil), "revoking it", 204, "")
	program.wants(program.call("GET", "/api/v1/tokens", nil), "a revoked key", 401, "sign-in")
	program.header.Set("Authorization", "Bearer "+made.Secret[:len(made.Secret)-1]+"a")
	program.wants(program.call("GET", "/api/v1/tokens", nil), "a changed key", 401, "sign-in")
}

// TestSecondPerson: what two must agree on needs another one, is for that very call, and opens once.
func TestSecondPerson(t *testing.T) {
	t.Parallel()
	h := startHouse(t, "  second_person: [{right: tokens.revoke-lost, vip: true}, {right: config.manage}]")
	adam, mio, una := h.signIn(t, "adam"), h.signIn(t, "mio"), h.signIn(t, "una")
	call := func() answer {
		return adam.call("POST", "/api/v1/tokens/T-bob/revoke-lost", map[string]any{"why": "lost", "reason": "left in a train", "reference": "A-1"})
	}
	id := adam.wants(call(), "alone", 409, "second-person").Approval
	if again := call(); again.Approval != id {
		t.Errorf("the same call has another number: %s, %s", id, again.Approval)
	}
	mio.wants(mio.call("POST", "/api/v1/approvals/"+id+"/agree", nil), "before it is asked for", 409, "approval-over")
	adam.wants(adam.call("POST", "/api/v1/approvals", map[string]any{"id": id, "reason": "he called"}), "asking", 200, "")
	adam.wants(adam.call("POST", "/api/v1/approvals/"+id+"/agree", nil), "by oneself", 409, "approval-own")
	una.wants(una.call("POST", "/api/v1/approvals/"+id+"/agree", nil), "without the right", 404, "not-found")
	if a := mio.call("GET", "/api/v1/approvals?state=asked", nil); !strings.Contains(string(a.body), `bob`) || !strings.Contains(string(a.body), id) {
		t.Errorf("what is to be agreed to: %s", a.body)
	}
	adam.header.Set("Approval", id)
	adam.wants(call(), "before anybody agreed", 409, "approval-over")
	mio.wants(mio.call("POST", "/api/v1/approvals/"+id+"/agree", nil), "agreeing", 200, "")
	adam.wants(adam.call("POST", "/api/v1/tokens/T-bob/revoke-lost", map[string]any{"why": "lost", "reason": "another", "reference": "A-1"}), "another call", 409, "approval-other")
	mio.header.Set("Approval", id)
	mio.wants(mio.call("POST", "/api/v1/tokens/T-bob/revoke-lost", map[string]any{"why": "lost", "reason": "left in a train", "reference": "A-1"}), "somebody else's", 409, "approval-foreign")
	adam.wants(call(), "the call with its agreement", 200, "")
	adam.wants(call(), "once more", 404, "unknown-token")

	noa := h.signIn(t, "noa")
	mio.header.Del("Approval")
	reload := func() answer { return mio.call("POST", "/api/v1/config/reload", nil) }
	id = mio.wants(reload(), "a reload alone", 409, "second-person").Approval
	mio.wants(mio.call("POST", "/api/v1/approvals", map[string]any{"id": id, "reason": "new gateway"}), "asking", 200, "")
	noa.wants(noa.call("POST", "/api/v1/approvals/"+id+"/agree", nil), "agreeing", 200, "")
	mio.header.Set("Approval", id)
	if counts := race(64, func(int) answer { return reload() }); counts[200] != 1 || counts[409] != 63 {
		t.Errorf("64 uses of one agreement: %v", counts)
	}
	mio.header.Del("Approval")
	id = mio.wants(reload(), "a reload alone", 409, "second-person").Approval
	mio.wants(mio.call("POST", "/api/v1/approvals", map[string]any{"id": id, "reason": "one more"}), "asking again", 200, "")
	noa.wants(noa.call("POST", "/api/v1/approvals/"+id+"/refuse", map[string]any{"sentence": ""}), "refusing without a word", 409, "sentence-missing")
	noa.wants(noa.call("POST", "/api/v1/approvals/"+id+"/refuse", map[string]any{"sentence": "not on a Friday"}), "refusing", 200, "")
	mio.header.Set("Approval", id)
	mio.wants(reload(), "what was refused", 409, "approval-over")
}

// TestScopesAndDays: who is out of scope does not exist, a help desk's day ends, and a change of role ends sessions.
func TestScopesAndDays(t *testing.T) {
	t.Parallel()
	h := startHouse(t, "  acts_per_day: 2")
	h.root(t, "PATCH", "/api/v1/operators/hal", map[string]any{"role": "helpdesk", "scope": map[string]any{"groups": []string{"staff"}}}, nil)
	h.root(t, "PUT", "/api/v1/users/alice/pin", map[string]any{"pin": "7391"}, nil)
	hal := h.signIn(t, "hal")
	norm := func(a answer, name string) string { return strings.ReplaceAll(string(a.body), name, "NAME") }
	for _, path := range []string{"/api/v1/users/%s", "/api/v1/names?typed=%s"} {
		hidden, nobody := hal.call("GET", fmt.Sprintf(path, "bob"), nil), hal.call("GET", fmt.Sprintf(path, "zoe"), nil)
		if hidden.status != nobody.status || norm(hidden, "bob") != norm(nobody, "zoe") {
			t.Errorf("%s: %s\n%s", path, hidden.body, nobody.body)
		}
	}
	hidden, nobody := hal.call("GET", "/api/v1/tokens/T-bob", nil), hal.call("GET", "/api/v1/tokens/T-zoe", nil)
	if hidden.status != 404 || norm(hidden, "T-bob") != norm(nobody, "T-zoe") {
		t.Errorf("token: %s\n%s", hidden.body, nobody.body)
	}
	hal.wants(hal.call("POST", "/api/v1/tokens/T-bob/suspend", map[string]any{}), "out of scope", 404, "unknown-token")
	if a := hal.wants(hal.call("GET", "/api/v1/tokens", nil), "list", 200, ""); strings.Contains(string(a.body), "T-bob") || !strings.Contains(string(a.body), "T-alice") {
		t.Errorf("list: %s", a.body)
	}
	hal.wants(hal.call("POST", "/api/v1/users/alice/pin/force", map[string]any{}), "act 1", 200, "")
	hal.wants(hal.call("POST", "/api/v1/tokens/T-alice/suspend", map[string]any{}), "act 2", 200, "")
	hal.wants(hal.call("POST", "/api/v1/users/alice/pin/force", map[string]any{}), "act 3", 429, "daily-limit")
	mio := h.signIn(t, "mio")
	mio.wants(mio.call("POST", "/api/v1/operators/hal/raise", map[string]any{"to": 3, "until": time.Now().Add(time.Hour)}), "raising", 200, "")
	hal.wants(hal.call("POST", "/api/v1/users/alice/pin/force", map[string]any{}), "act 3 after that", 409, "pin-forced")
	hal.wants(hal.call("POST", "/api/v1/users/alice/pin/force", map[string]any{}), "act 4", 429, "daily-limit")
	mio.stepUp("mio")
	mio.wants(mio.call("PATCH", "/api/v1/operators/hal", map[string]any{"role": "auditor"}), "a new role", 200, "")
	hal.wants(hal.call("GET", "/api/v1/session", nil), "the session after it", 401, "sign-in")
}

// TestTheLastMasterStays, however two of them go for each other.
func TestTheLastMasterStays(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	mio, noa := h.signIn(t, "mio"), h.signIn(t, "noa")
	mio.stepUp("mio")
	noa.stepUp("noa")
	var done atomic.Int32
	race(2, func(i int) answer {
		d, other := mio, "noa"
		if i == 1 {
			d, other = noa, "mio"
		}
		a := d.call("DELETE", "/api/v1/operators/"+other, nil)
		if a.status == 204 {
			done.Add(1)
		}
		return a
	})
	if done.Load() != 1 {
		t.Errorf("%d masters went", done.Load())
	}
	var list struct{ Operators []admin.Operator }
	h.root(t, "GET", "/api/v1/operators", nil, &list)
	for _, o := range list.Operators {
		if o.Role == "master" {
			for _, body := range []map[string]any{{"role": "admin"}, {"role": "master", "scope": map[string]any{"groups": []string{"it"}}}} {
				if err := h.api.call(t.Context(), "PATCH", "/api/v1/operators/"+o.Name, body, nil); err == nil || !strings.Contains(err.Error(), "last master") {
					t.Errorf("%v: %v", body, err)
				}
			}
			return
		}
	}
	t.Error("no master is left")
}

// TestSessionsEnd: one's own and, for masters, everybody's are listed and ended; revoking the token leaves registering.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	mio, una, adam := h.signIn(t, "mio"), h.signIn(t, "una"), h.signIn(t, "adam")
	una.wants(una.call("GET", "/api/v1/sessions?all=true", nil), "everybody's for an auditor", 403, "no-right")
	var list struct{ Sessions []admin.Session }
	if err := json.Unmarshal(mio.call("GET", "/api/v1/sessions?all=true", nil).body, &list); err != nil || len(list.Sessions) != 3 {
		t.Fatalf("%v %+v", err, list)
	}
	for _, s := range list.Sessions {
		if s.Name == "mio" {
			una.wants(una.call("DELETE", "/api/v1/sessions/"+s.ID, nil), "another's", 404, "not-found")
		}
	}
	for _, s := range list.Sessions {
		if s.Name == "una" {
			mio.wants(mio.call("DELETE", "/api/v1/sessions/"+s.ID, nil), "by a master", 204, "")
		}
	}
	una.wants(una.call("GET", "/api/v1/session", nil), "an ended session", 401, "sign-in")
	h.root(t, "POST", "/api/v1/tokens/T-adam/revoke", map[string]any{}, nil)
	adam.wants(adam.call("GET", "/api/v1/tokens", nil), "without a token", 403, "register-first")
	adam.wants(adam.call("POST", "/api/v1/session/token", map[string]any{}), "a software token without a link", 403, "link-needed")
	adam.wants(adam.call("POST", "/api/v1/session/step-up", map[string]string{"password": operatorPassword, "code": "1"}), "a step-up without a token", 409, "no-step-up")
}

// TestRolesByRights holds the table of P10 against every call of the API, by each role, through HTTP.
func TestRolesByRights(t *testing.T) {
	t.Parallel()
	const m, a, hd, u = "m", "a", "h", "u"
	rights := map[string]string{
		"tokens.read": m + a + hd + u, "audit.read": m + a + u, "service.read": m + a + hd + u, "tokens.assign": m + a + hd, "tokens.suspend": m + a + hd,
		"tokens.revoke": m + a, "tokens.revoke-lost": m + a, "tokens.resync": m + a + hd, "users.unlock": m + a + hd, "users.pin": m + a + hd,
		"users.temporary": m + a + hd, "requests.approve": m + a + hd, "tokens.import": m + a, "tokens.mass": m + a, "acts.undo": m + a, "campaigns.run": m + a,
		"limits.waive": m, "limits.extend": m, "limits.raise": m, "seeds.export": m, "operators.manage": m, "clients.manage": m, "config.manage": m,
		"mails.manage": m + a + hd, "users.erase": m, "keys.manage": m,
	}
	h := startHouse(t)
	var doc struct {
		Paths map[string]map[string]struct {
			Right string `json:"x-right"`
		}
	}
	h.root(t, "GET", "/api/openapi.json", nil, &doc)
	cells := 0
	for letter, name := range map[string]string{m: "mio", a: "adam", hd: "hal", u: "una"} {
		d := h.signIn(t, name)
		for path, calls := range doc.Paths {
			for method, op := range calls {
				if op.Right == "" {
					continue
				}
				roles, known := rights[op.Right]
				if !known {
					t.Fatalf("%s %s: the right %s is not in this table", method, path, op.Right)
				}
				if method == "post" && (path == "/api/v1/config/reload" || path == "/api/v1/backup" || path == "/api/v1/audit/verify") && strings.Contains(roles, letter) {
					continue // they would do it; others test that
				}
				target := strings.NewReplacer("{token}", "T-none", "{user}", "zoe", "{operator}", "zoe", "{client}", "none").Replace(path)
				if i := strings.IndexByte(target, '{'); i >= 0 {
					target = target[:i] + "1111111111111" + target[strings.IndexByte(target, '}')+1:]
				}
				var body any
				if method != "get" && method != "delete" {
					body = map[string]any{}
				}
				got := d.call(strings.ToUpper(method), target, body)
				if refused := got.status == 403 && got.Code == "no-right"; refused == strings.Contains(roles, letter) || got.status == 500 {
					t.Errorf("%s: %s %s needs %s: %d %s", name, method, target, op.Right, got.status, got.body)
				}
				cells++
			}
		}
	}
	if cells < 4*40 {
		t.Errorf("only %d cells", cells)
	}
}
