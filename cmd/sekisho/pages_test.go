package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/directory"
	"sekisho/internal/testenv"
	"sekisho/life"
	"sekisho/storage"
	"sekisho/token"
)

const pagesPassword = "Correct horse 9"

// pagesSite is a whole service with self-service pages and two people, alice and bob.
type pagesSite struct {
	*inProcess
	home string
	pool *x509.CertPool
}

func startPages(t testing.TB, more ...string) *pagesSite {
	t.Helper()
	dir := t.TempDir()
	if err := token.NewOuterKeyFile(filepath.Join(dir, "sealing.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	hash, err := directory.HashPassword(pagesPassword)
	if err != nil {
		t.Fatal(err)
	}
	users := fmt.Sprintf("users:\n  - {name: alice, password: %q, mail: alice@example.com}\n  - {name: bob, password: %q}\n", hash, hash)
	if err := os.WriteFile(filepath.Join(dir, "users.yaml"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	pki := testenv.PKI(t)
	auth, acct, pages := testenv.Port(t), testenv.Port(t), testenv.Port(t)
	home := fmt.Sprintf("https://127.0.0.1:%d", pages)
	path := writeConfig(t, dir, fmt.Sprintf(`storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  listen: 127.0.0.1:%[2]d
  listen_accounting: 127.0.0.1:%[3]d
  clients: [{name: gw, addresses: 127.0.0.1, secret: %[4]s, reject_delay: 100ms}]
directory: {type: file, file: {file: %[1]s/users.yaml}}
policies: [{name: all, first_factor: pin}]
admin: {socket: %[1]s/admin.sock}
self_service:
  listen: 127.0.0.1:%[5]d
  url: %[6]s
  cert_file: %[7]s
  key_file: %[8]s
  organization: 例示大学
  help_phone: 03-0000-0000
  help_hours: 9:00-17:00
%[9]s
`, dir, auth, acct, serveSecret, pages, home, pki.ServerCert, pki.ServerKey, strings.Join(more, "\n")))
	s := &pagesSite{inProcess: serving(t, path), home: home, pool: x509.NewCertPool()}
	pem, err := os.ReadFile(pki.CA)
	if err != nil || !s.pool.AppendCertsFromPEM(pem) {
		t.Fatalf("reading the authority: %v", err)
	}
	return s
}

// account opens the account of a person.
func (s *pagesSite) account(t testing.TB, name string) authn.AccountID {
	t.Helper()
	p := s.parts.Load()
	u, err := p.directories[0].Directory.Lookup(t.Context(), []byte(name))
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.lifeCycle().Open(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *pagesSite) lifeCycle() *desk.Desk { return s.parts.Load().desk }

var bySomebody = desk.Actor{By: life.ByMaster, Name: "test", Reason: "test"}

// link makes an activation link for a person.
func (s *pagesSite) link(t testing.TB, name string) string {
	t.Helper()
	_, link, err := s.lifeCycle().Issue(t.Context(), bySomebody, desk.LinkOrder{Account: s.account(t, name), Letter: true})
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// surfer is one browser without script.
type surfer struct {
	t    testing.TB
	site *pagesSite
	http *http.Client
	lang string
	at   string // path of the page that is shown
	page string
	code int // status
	head http.Header
}

func (s *pagesSite) surfer(t testing.TB, lang string) *surfer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &surfer{t: t, site: s, http: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}, lang: lang}
}

func (b *surfer) do(r *http.Request) *surfer {
	b.t.Helper()
	r.Header.Set("Accept-Language", b.lang)
	got, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	_ = got.Body.Close()
	if err != nil {
		b.t.Fatal(err)
	}
	b.page, b.code, b.at, b.head = string(body), got.StatusCode, got.Request.URL.Path, got.Header
	return b
}

// open goes to a path or an address of the site.
func (b *surfer) open(path string) *surfer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, b.site.home+strings.TrimPrefix(path, b.site.home), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

// send submits a form as the page's own button does; pairs are names and values.
func (b *surfer) send(path string, pairs ...string) *surfer {
	b.t.Helper()
	return b.sendFrom(b.site.home, path, pairs...)
}

func (b *surfer) sendFrom(origin, path string, pairs ...string) *surfer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.site.home+strings.TrimPrefix(path, b.site.home), strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	return b.do(r)
}

// shows fails where the page does not have all of the texts.
func (b *surfer) shows(what string, texts ...string) *surfer {
	b.t.Helper()
	for _, x := range texts {
		if !strings.Contains(b.page, x) {
			b.t.Fatalf("%s: page %s (%d) has no %q:\n%s", what, b.at, b.code, x, strip(b.page))
		}
	}
	return b
}

func (b *surfer) is(what string, code int, path string) *surfer {
	b.t.Helper()
	if b.code != code || b.at != path {
		b.t.Fatalf("%s: page %s with %d, want %s with %d:\n%s", what, b.at, b.code, path, code, strip(b.page))
	}
	return b
}

var tags = regexp.MustCompile(`(?s)<(script|style|svg).*?</(script|style|svg)>|<[^>]*>|\n\s*\n`)

func strip(page string) string { return tags.ReplaceAllString(page, "\n") }

// phoneApp is an authenticator app with one secret.
type phoneApp struct {
	t    testing.TB
	seed token.Seed
	last int64
}

var keyOnPage = regexp.MustCompile(`data-copy="([A-Z2-7]+)"`)

// scan reads the secret of the page.
func (b *surfer) scan() *phoneApp {
	b.t.Helper()
	m := keyOnPage.FindStringSubmatch(b.page)
	if m == nil {
		b.t.Fatalf("page %s (%d) shows no secret:\n%s", b.at, b.code, strip(b.page))
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(m[1])
	if err != nil {
		b.t.Fatal(err)
	}
	return &phoneApp{t: b.t, seed: seed, last: time.Now().Unix()/30 - 2}
}

// next gives a code that was not typed yet; it waits for one where all that a login takes now were.
func (a *phoneApp) next() string {
	a.t.Helper()
	now := time.Now().Unix() / 30
	step := max(a.last+1, now-1)
	if step > now+1 {
		time.Sleep(time.Until(time.Unix((step-1)*30, 0)) + 50*time.Millisecond) // a code of the future comes with time alone
	}
	a.last = step
	return a.at(step)
}

func (a *phoneApp) at(step int64) string {
	t := token.Token{Form: token.Software, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30}
	return t.Code(a.seed, step)
}

// register takes a person from a link to a working device and gives its app.
func (b *surfer) register(link, name string) *phoneApp {
	b.t.Helper()
	b.open(link).send(link, "password", pagesPassword).is("after the password", 200, "/activate")
	phone := b.scan()
	b.send("/activate", "code", phone.next(), "device", name).is("after the code", 200, "/activate/done")
	return phone
}

// TestActivate goes from the link to a sign-in with the new device: K1, K2, K3, K7, K12, Y3.
func TestActivate(t *testing.T) {
	t.Parallel()
	s := startPages(t)
	link := s.link(t, "alice")
	b := s.surfer(t, "en")
	b.open(link).is("K2 the link", 200, strings.TrimPrefix(link, s.home)).shows("K2 a password is asked for", `type="password"`, "2 more device")
	if strings.Contains(b.page, "otpauth") {
		t.Error("K2: the link alone shows a secret")
	}
	b.send(link, "password", "wrong").is("K2 a wrong password", 422, strings.TrimPrefix(link, s.home)).shows("K2", "could not be confirmed")
	b.send(link, "password", pagesPassword).is("K2 the password", 200, "/activate").shows("K2", "<svg", "otpauth://totp/", "Device 1 of 2", "Copy the key")
	phone := b.scan()
	if b.open("/activate"); !bytes.Equal(b.scan().seed, phone.seed) {
		t.Error("K3: after a reload the secret is another one")
	}
	if b.open(link).is("K3 the link again in this browser", 200, "/activate"); !bytes.Equal(b.scan().seed, phone.seed) {
		t.Error("K3: in a second tab the secret is another one")
	}
	b.send("/activate", "code", phone.at(1)).is("Y3 a wrong code", 422, "/activate").shows("Y3", "not a code of")
	b.send("/activate", "code", fullWidth(phone.next()), "device", "my  phone").is("Y3 the code in full-width digits", 200, "/activate/done").
		shows("K8", "PIN that you will type", "new-password")
	b.send("/activate/pin", "pin", "4711x", "pin2", "4711y").is("K8 two PINs", 422, "/activate/pin").shows("K8", "The two PINs differ")
	b.send("/activate/pin", "pin", "４７１１x", "pin2", "4711x").is("K8 a PIN", 200, "/activate/done").
		shows("K12 what to type", "my phone", "7391k123456", "connect with the next one")
	c := s.surfer(t, "en")
	c.send("/signin", "name", "alice", "password", pagesPassword, "code", phone.next()).is("a sign-in with the device", 200, "/my").shows("K4", "my phone", "works")
	c.send("/signin", "name", "alice", "password", pagesPassword).is("without a code", 422, "/signin").shows("", "You could not be signed in")
	_, err := s.lifeCycle().FindLink(t.Context(), authn.NewSecret([]byte(link[strings.LastIndexByte(link, '/')+1:])))
	if err != nil {
		t.Fatal(err)
	}
}

func fullWidth(digits string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, digits[:3]) + "　" + digits[3:]
}

// ask sends a login to the gateway's port and gives the code of the answer, 0 for none.
func (s *pagesSite) ask(t *testing.T, user, text string) byte {
	t.Helper()
	conn, err := net.Dial("udp", s.config.Radius.Listen[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c := &radiusClient{user: user, method: "pap", secret: authn.NewSecret([]byte(serveSecret))}
	_, raw, err := c.request(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := (gateway{conn}).ask(t, raw, 10*time.Second); len(got) > 0 {
		return got[0]
	}
	return 0
}

// TestPagesAndGateway: from the link to a login at a gateway with the new device (K1 to K9); a code that was used at one door is
// used at the other; sign-ins stand in the log with their reasons; a restart of the pages' store loses no session.
func TestPagesAndGateway(t *testing.T) {
	t.Parallel()
	s := startPages(t)
	b := s.surfer(t, "en")
	phone := b.register(s.link(t, "alice"), "phone")
	b.send("/activate/pin", "pin", "4711x", "pin2", "4711x").is("K8", 200, "/activate/done")
	code := phone.next()
	if got := s.ask(t, "alice", "4711x"+code); got != 2 {
		t.Fatalf("K9: a login with the new device is answered with %d", got)
	}
	c := s.surfer(t, "en")
	c.send("/signin", "name", "alice", "password", pagesPassword, "code", code).is("a code that the gateway took", 422, "/signin")
	code = phone.next()
	c.send("/signin", "name", "Alice", "password", pagesPassword, "code", fullWidth(code)).is("the next one", 200, "/my").shows("", "phone")
	if got := s.ask(t, "alice", "4711x"+code); got != 3 {
		t.Errorf("a code that the pages took is answered with %d at the gateway", got)
	}
	c.open("/my/logins").is("my logins", 200, "/my/logins").shows("", "accepted", "refused", "gw", "these pages")
	c.send("/help-me", "what", "lost", "name", "alice", "password", pagesPassword).is("P3", 200, "/help-me/lost")
	id := regexp.MustCompile(`name="device" value="([A-Z2-7]+)"`).FindStringSubmatch(c.page)[1]
	c.send("/help-me/lost", "device", id).is("P3", 200, "/help-me/deleted")
	if got := s.ask(t, "alice", "4711x"+phone.next()); got != 3 {
		t.Errorf("P3: the lost device's code is answered with %d", got)
	}
	events, err := s.db.Logins(t.Context(), storage.LoginFilter{Client: pagesClient})
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[authn.Reason]int{}
	for _, e := range events {
		reasons[e.Reason]++
	}
	if reasons[authn.OKAlone] != 2 || reasons[authn.OK] != 1 || reasons[authn.AlreadyUsed] != 1 {
		t.Errorf("the events of the pages are %v", reasons)
	}
}

// TestPagesRefusals: every refusal of a sign-in is the same page and takes as long, whatever was wrong (B24, B25, S20).
func TestPagesRefusals(t *testing.T) {
	t.Parallel()
	s := startPages(t)
	s.surfer(t, "en").register(s.link(t, "alice"), "phone")
	for _, c := range [][3]string{{"nobody", "x", ""}, {"alice", "x", ""}, {"alice", pagesPassword, ""}, {"alice", pagesPassword, "000000"}, {"bob", pagesPassword, "000000"}} {
		begun := time.Now()
		s.surfer(t, "en").send("/signin", "name", c[0], "password", c[1], "code", c[2]).is("refused", 422, "/signin").shows("", "could not be signed in")
		if took := time.Since(begun); took < time.Second {
			t.Errorf("%v is refused after %s, before its time", c, took)
		}
	}
	s.surfer(t, "en").send("/signin", "name", "bob", "password", pagesPassword).is("bob has no device yet", 200, "/my").shows("", "no working device")
}

// TestPagesCertificate: a certificate that was changed is taken up, and one that cannot be read leaves the former one.
func TestPagesCertificate(t *testing.T) {
	one, two := testenv.PKI(t), testenv.PKI(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put := func(p *testenv.Certificates, at time.Time) {
		t.Helper()
		for from, to := range map[string]string{p.ServerCert: cert, p.ServerKey: key} {
			data, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(to, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	leaf := func(k *keyPair) string {
		t.Helper()
		k.looked = time.Time{}
		pair, err := k.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(pair.Certificate[0])
	}
	now := time.Now()
	put(one, now)
	k := &keyPair{cert: cert, key: key, log: slog.New(slog.DiscardHandler)}
	first := leaf(k)
	if leaf(k) != first {
		t.Error("an unchanged certificate is another one")
	}
	put(two, now.Add(time.Minute))
	second := leaf(k)
	if second == first {
		t.Error("a changed certificate is not taken up")
	}
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if leaf(k) != second {
		t.Error("a broken certificate takes the place of the former one")
	}
}

// TestPagesConfig: the pages need a directory that checks passwords.
func TestPagesConfig(t *testing.T) {
	dir, _ := site(t)
	_, _, err := loadConfig(writeConfig(t, dir, fmt.Sprintf(`keys: {file: %[1]s/sealing.key}
radius: {clients: [{name: vpn, addresses: 192.0.2.10, secret_file: %[1]s/vpn.secret}]}
directory: {type: none}
policies: [{name: all, first_factor: pin}]
self_service: {listen: 0.0.0.0:443, url: "http://vpn.example.com"}
`, dir)), nil)
	for _, want := range []string{"self_service.listen", "no directory here checks any", "self_service.url", "self_service.cert_file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the fault %v does not name %s", err, want)
		}
	}
}
