package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"fmt"
	"html"
	"io"
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

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/directory"
	"sekisho/internal/testenv"
	"sekisho/token"
)

// consoleSite is a whole service with the console on a listener of its own: sato is a master, aoki a help desk, and bob,
// carol, dave and mallory are people. Everybody but dave and mallory holds a counter token.
type consoleSite struct {
	*inProcess
	t      testing.TB
	home   string
	radius string
	pool   *x509.CertPool
	next   map[string]int64 // counter of each person's token
}

const markup = "<b>mallory</b>" // a name that would be a tag

var consolePeople = []string{"sato", "aoki", "bob", "carol"}

func consoleSeed(name string) []byte { return []byte(fmt.Sprintf("%-20s", "seed of "+name)) }

func startConsole(t testing.TB) *consoleSite {
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
	users := "users:\n"
	for _, name := range append([]string{"dave", markup}, consolePeople...) {
		users += fmt.Sprintf("  - {name: %q, password: %q, groups: [staff]}\n", name, hash)
	}
	if err := os.WriteFile(filepath.Join(dir, "users.yaml"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	pki := testenv.PKI(t)
	auth, acct, web := testenv.Port(t), testenv.Port(t), testenv.Port(t)
	s := &consoleSite{t: t, home: fmt.Sprintf("https://127.0.0.1:%d", web), radius: fmt.Sprintf("127.0.0.1:%d", auth), pool: x509.NewCertPool(), next: map[string]int64{}}
	path := writeConfig(t, dir, fmt.Sprintf(`storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  listen: 127.0.0.1:%[2]d
  listen_accounting: 127.0.0.1:%[3]d
  clients:
    - {name: asa-tokyo, addresses: 127.0.0.1, secret: %[4]s, profile: asa, message_authenticator: ratchet, reject_delay: 100ms}
    - {name: fortigate-osaka, addresses: 192.0.2.10, profile: fortigate, secret: %[4]s}
directory: {type: file, file: {file: %[1]s/users.yaml}}
policies: [{name: staff}]
admin:
  socket: %[1]s/admin.sock
  listen: 127.0.0.1:%[5]d
  url: %[6]s
  cert_file: %[7]s
  key_file: %[8]s
`, dir, auth, acct, serveSecret, web, s.home, pki.ServerCert, pki.ServerKey))
	s.inProcess = serving(t, path)
	pem, err := os.ReadFile(pki.CA)
	if err != nil || !s.pool.AppendCertsFromPEM(pem) {
		t.Fatalf("reading the authority: %v", err)
	}
	file := "serial,secret_base32,mode,form,user,expiry\n"
	row := func(serial int, seed, user, expiry string) {
		file += fmt.Sprintf("%d,%s,hotp,hardware,%s,%s\n", serial, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(seed)), user, expiry)
	}
	for i, name := range consolePeople {
		expiry := "2031-05-31"
		if name == "carol" {
			expiry = time.Now().AddDate(0, 0, 20).Format("2006-01-02")
		}
		row(40012301+i, string(consoleSeed(name)), name, expiry)
	}
	for i := range 3 {
		row(40012401+i, fmt.Sprintf("a seed in stock, no %d", i), "", "2031-05-31")
	}
	s.do("POST", "/api/v1/tokens/import", strings.NewReader(file))
	s.do("POST", "/api/v1/operators", map[string]string{"name": "sato", "role": "master"})
	s.do("POST", "/api/v1/operators", map[string]string{"name": "aoki", "role": "helpdesk"})
	return s
}

// do calls the API as the machine's administrator.
func (s *consoleSite) do(method, path string, in any) {
	s.t.Helper()
	if err := s.api.call(s.t.Context(), method, path, in, nil); err != nil {
		s.t.Fatal(err)
	}
}

// code is what a person's token shows next.
func (s *consoleSite) code(name string) string {
	hotp := token.Token{Mode: token.HOTP, Hash: token.SHA1, Digits: 6}
	n := s.next[name]
	s.next[name]++
	return hotp.Code(consoleSeed(name), n)
}

// login tries to log in at the gateway and gives the code of the answer.
func (s *consoleSite) login(name, text string) byte {
	s.t.Helper()
	c := &radiusClient{user: name, method: "pap", secret: authn.NewSecret([]byte(serveSecret)), station: "198.51.100.7"}
	_, raw, err := c.request(text, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := net.Dial("udp", s.radius)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(raw)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer := make([]byte, 4096)
	if _, err = conn.Read(answer); err != nil {
		s.t.Fatal(err)
	}
	return answer[0]
}

// visitor is a browser without script.
type visitor struct {
	*consoleSite
	http *http.Client
	lang string
	at   string // path of the page
	page string
}

func (s *consoleSite) visitor(lang string) *visitor {
	jar, _ := cookiejar.New(nil) // never fails
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.pool, MinVersion: tls.VersionTLS12}}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &visitor{s, &http.Client{Transport: tr, Jar: jar}, lang, "", ""}
}

func (v *visitor) send(r *http.Request) int {
	v.t.Helper()
	r.Header.Set("Accept-Language", v.lang)
	res, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.page, v.at = string(b), res.Request.URL.RequestURI()
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") ||
		res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		v.t.Errorf("%s: headers %v", v.at, res.Header)
	}
	return res.StatusCode
}

func (v *visitor) open(path string) int {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.home+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.send(r)
}

var (
	formPart   = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*>.*?</form>`)
	actionPart = regexp.MustCompile(`action="([^"]*)"`)
	hiddenPart = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// submit sends the page's form that has an action, with its hidden fields and what is typed: pairs of names and texts.
func (v *visitor) submit(action string, pairs ...string) int {
	v.t.Helper()
	for _, form := range formPart.FindAllString(v.page, -1) {
		to := v.at
		if m := actionPart.FindStringSubmatch(form[:strings.Index(form, ">")]); m != nil {
			to = html.UnescapeString(m[1])
		}
		if to != action && strings.SplitN(to, "?", 2)[0] != action {
			continue
		}
		values := url.Values{}
		for _, m := range hiddenPart.FindAllStringSubmatch(form, -1) {
			values.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
		for i := 0; i < len(pairs); i += 2 {
			values.Add(pairs[i], pairs[i+1])
		}
		return v.post(to, values)
	}
	v.t.Fatalf("no form for %s on %s:\n%s", action, v.at, v.page)
	return 0
}

func (v *visitor) post(path string, values url.Values) int {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.home+path, strings.NewReader(values.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.send(r)
}

// says fails where the page lacks a text.
func (v *visitor) says(what string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(v.page, text) {
			v.t.Errorf("%s: the page %s does not say %q:\n%s", what, v.at, text, v.page)
		}
	}
}

// lacks fails where the page has a text.
func (v *visitor) lacks(what string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if strings.Contains(v.page, text) {
			v.t.Errorf("%s: the page %s says %q", what, v.at, text)
		}
	}
}

func (v *visitor) signIn(name string) {
	v.t.Helper()
	v.open("/sign-in")
	if status := v.submit("/sign-in", "name", name, "password", pagesPassword, "code", v.code(name)); status != 200 || v.at != "/" {
		v.t.Fatalf("signing in as %s: %d at %s\n%s", name, status, v.at, v.page)
	}
}

// TestConsoleSignIn: nobody sees a page without a session, every wrong sign-in gets one sentence, and a session ends with its
// sign-out. The page that was asked for comes after the sign-in, and no other site's.
func TestConsoleSignIn(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	v := s.visitor("en")
	for _, path := range []string{"/", "/logins?span=24h", "/tokens", "/users/bob", "/import", "/operators", "/no-page"} {
		if v.open(path); !strings.HasPrefix(v.at, "/sign-in?back="+url.QueryEscape(path)) {
			t.Errorf("%s without a session leads to %s", path, v.at)
		}
	}
	var first string
	for what, pairs := range map[string][]string{
		"code":    {"name", "sato", "password", pagesPassword, "code", "000000"},
		"nobody":  {"name", "nobody", "password", pagesPassword, "code", "123456"},
		"no role": {"name", "bob", "password", pagesPassword, "code", s.code("bob")},
	} {
		v.open("/sign-in")
		status := v.submit("/sign-in", pairs...)
		sentence := regexp.MustCompile(`(?s)role="alert">.*?</div>`).FindString(v.page)
		if first == "" {
			first = sentence
		}
		if status != 401 || sentence == "" || sentence != first {
			t.Errorf("%s: %d %q", what, status, sentence)
		}
	}
	v.open("/logins?span=7d")
	if v.submit("/sign-in", "name", "sato", "password", pagesPassword, "code", s.code("sato")); v.at != "/logins?span=7d" {
		t.Errorf("after the sign-in the page is %s", v.at)
	}
	v.says("who", ">sato<")
	v.open("/sign-in?back=" + url.QueryEscape("https://evil.example/"))
	v.lacks("a foreign way back", "evil.example")
	v.open("/")
	if v.submit("/sign-out"); !strings.HasPrefix(v.at, "/sign-in") {
		t.Errorf("signed out to %s", v.at)
	}
	if v.open("/tokens"); !strings.HasPrefix(v.at, "/sign-in") {
		t.Error("the session goes on after its sign-out")
	}
}

// TestConsoleActs goes through an act from its page over the second look to what it left: what was chosen survives the
// second look, a wrong code does nothing, and the word comes on the page where the act began.
func TestConsoleActs(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	v := s.visitor("en")
	v.signIn("sato")
	standing := func() string {
		t.Helper()
		var tok admin.Token
		if err := s.api.call(t.Context(), "GET", "/api/v1/tokens/40012303", nil, &tok); err != nil {
			t.Fatal(err)
		}
		return tok.Holders[0].Standing
	}
	act := func(name string) string {
		t.Helper()
		v.open("/users/bob")
		m := regexp.MustCompile(`href="(/tokens/[0-9A-Z]+/` + name + `\?[^"]+)"`).FindStringSubmatch(v.page)
		if m == nil {
			t.Fatalf("no way to %s:\n%s", name, v.page)
		}
		path := html.UnescapeString(m[1])
		v.open(path)
		return strings.SplitN(path, "?", 2)[0]
	}
	to := act("suspend")
	v.says("before", "40012303", "active", "suspended", "sekisho token suspend")
	if v.submit(to, "reason", "asked by phone"); standing() != "suspended" {
		t.Fatalf("suspended: %s\n%s", standing(), v.page)
	}
	v.says("after", `role="status"`, "Done: Suspend", "suspended")
	if !strings.HasPrefix(v.at, "/users/") {
		t.Errorf("after the act the page is %s", v.at)
	}
	v.submit(act("resume"))
	if standing() != "active" {
		t.Errorf("resumed: %s", standing())
	}

	// Sign-ins count as a second look for two minutes, acts on masses and operators apart.
	v.open("/tokens")
	id := regexp.MustCompile(`name="token" value="([0-9A-Z]+)" aria-label="[^"]*40012303"`).FindStringSubmatch(v.page)
	if id == nil {
		t.Fatalf("no tick for the token:\n%s", v.page)
	}
	v.post("/batch", url.Values{"act": {"revoke"}, "token": {id[1]}})
	v.says("a batch", "40012303", "revoked")
	v.submit("/batch/do", "reason", "the project ended")
	if standing() != "revoked" {
		t.Fatalf("revoked: %s\n%s", standing(), v.page)
	}
	v.submit("/batch/undo")
	if standing() != "active" {
		t.Errorf("undone: %s\n%s", standing(), v.page)
	}

	v.open("/operators")
	if status := v.submit("/operators", "name", "carol", "role", "auditor"); status != 403 {
		t.Fatalf("an operator without a second look: %d\n%s", status, v.page)
	}
	v.says("the second look", `name="held.name" value="carol"`, `name="held.role" value="auditor"`)
	if status := v.submit("/step-up", "password", pagesPassword, "code", "000000"); status == 200 {
		t.Error("a wrong code was taken")
	}
	v.says("a wrong code", `role="alert"`, `name="held.name" value="carol"`)
	v.submit("/step-up", "password", pagesPassword, "code", s.code("sato"))
	v.says("the act behind the second look", "Done: Add an operator", ">carol<")
}

// TestConsoleRoles: a role sees what it may do and nothing else, and what it may not do is refused where somebody types the
// address.
func TestConsoleRoles(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	v := s.visitor("en")
	v.signIn("aoki")
	v.says("the help desk's menu", `href="/help-desk"`, `href="/users"`)
	v.lacks("the help desk's menu", `href="/import"`, `href="/audit"`, `href="/operators"`)
	for _, path := range []string{"/import", "/audit", "/operators", "/tokens/40012303/revoke", "/service/reload"} {
		if status := v.open(path); status != 403 {
			t.Errorf("%s: %d", path, status)
		}
	}
	v.open("/tokens/40012303")
	v.lacks("acts", "/revoke?", "/revoke-lost?")
	v.says("acts", "/suspend?", "/resync?")
	if status := v.post("/tokens/40012303/revoke", url.Values{"reason": {"x"}}); status != 403 {
		t.Errorf("a form that was never shown: %d", status)
	}
}

// TestConsoleWithstands: names with markup, forms of other sites, forms too long, addresses that are none.
func TestConsoleWithstands(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	s.login(markup, "x123456")
	s.login("<script>alert(1)</script>", "x123456")
	v := s.visitor("en")
	v.signIn("sato")
	for _, path := range []string{"/", "/logins", "/logins?user=" + url.QueryEscape(markup), "/users?q=" + url.QueryEscape(markup), "/users/" + url.PathEscape(markup),
		"/help-desk?q=" + url.QueryEscape(markup), "/explain?client=asa-tokyo&user=" + url.QueryEscape(markup), "/tokens/" + url.PathEscape(markup),
		"/tokens?serial=" + url.QueryEscape(markup)} {
		if status := v.open(path); status >= 500 {
			t.Errorf("%s: %d", path, status)
		}
		v.lacks("markup", "<b>mallory", "<script>alert", "ZgotmplZ", "%!")
	}
	for path, want := range map[string]int{"/nothing": 404, "/tokens/99999999": 404, "/users/nobody-of-this-name": 404, "/gateways/none": 404,
		"/tokens/40012303/fly": 404, "/logins?after=x": 422, "/tokens?state=flying": 422, "/users?before=yesterday": 422} {
		if status := v.open(path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
		v.says("a refusal", `role="alert"`)
	}
	if status := v.post("/look", url.Values{"lang": {"ja"}, "back": {strings.Repeat("x", 10<<20)}}); status >= 500 {
		t.Errorf("10 MB: %d", status)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.home+"/tokens/40012303/suspend", strings.NewReader("reason=x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := v.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	var tok admin.Token
	if err := s.api.call(t.Context(), "GET", "/api/v1/tokens/40012303", nil, &tok); err != nil || res.StatusCode != 403 || tok.Holders[0].Standing != "active" {
		t.Errorf("a form of another site: %d, %v %+v", res.StatusCode, err, tok.Holders)
	}
}

// consolePages is every page that can be opened, with a name for its picture.
var consolePages = []struct{ name, path string }{
	{"home", "/"}, {"help-desk", "/help-desk?q=bob"}, {"users", "/users"}, {"find", "/users?q=400123"}, {"user", "/users/bob"}, {"tokens", "/tokens"},
	{"token", "/tokens/40012303"}, {"revoke", "/tokens/40012303/revoke"}, {"import", "/import"}, {"activations", "/activations"}, {"requests", "/requests"},
	{"logins", "/logins?span=24h"}, {"explain", "/explain?user=bob&client=asa-tokyo"}, {"approvals", "/approvals"}, {"gateways", "/gateways"},
	{"gateway", "/gateways/asa-tokyo"}, {"audit", "/audit"}, {"operators", "/operators"}, {"sessions", "/sessions"}, {"diagnostics", "/diagnostics"},
	{"not-found", "/nothing"},
}

// TestConsolePagesInBothLanguages opens every page without script in both languages: whole, in the right language, with the
// way to the other one.
func TestConsolePagesInBothLanguages(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	s.busy()
	v := s.visitor("en")
	v.signIn("sato")
	for _, lang := range []string{"en", "ja"} {
		v.post("/look", url.Values{"lang": {lang}, "back": {"/"}})
		for _, p := range consolePages {
			status := v.open(p.path)
			if want := map[bool]int{true: 404, false: 200}[p.name == "not-found"]; status != want {
				t.Errorf("%s in %s: %d\n%s", p.path, lang, status, v.page)
			}
			v.says(p.name, `<html lang="`+lang+`"`, "</html>", `<h1>`, `name="lang"`)
			v.lacks(p.name, "%!", "ZgotmplZ", "&lt;nil&gt;", "<script>", " style=", " onclick=")
		}
	}
	v.open("/logins")
	v.says("Japanese", "認証履歴", "ワンタイムパスワードが違います")
}

// busy makes logins of every kind.
func (s *consoleSite) busy() {
	for range 3 {
		s.login("bob", pagesPassword+s.code("bob"))
	}
	for i := range 4 {
		s.login("carol", fmt.Sprintf("%s%06d", pagesPassword, 1234+i))
	}
	s.login("dave", pagesPassword+"123456")
	s.login(markup, "wrong123456")
	s.login("bob", "wrong"+s.code("bob"))
}

// TestConsoleImport previews a file, which changes nothing, and brings it in; a file with a bad row is refused with its line.
func TestConsoleImport(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	v := s.visitor("en")
	v.signIn("sato")
	send := func(query, file string) int {
		t.Helper()
		body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"seeds.csv\"\r\nContent-Type: text/csv\r\n\r\n" + file + "\r\n--b--\r\n"
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.home+"/import?"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		return v.send(r)
	}
	here := func() bool { return s.api.call(t.Context(), "GET", "/api/v1/tokens/50000001", nil, nil) == nil }
	good := "serial,secret_hex,user\n50000001,00112233445566778899aabbccddeeff00112233,dave\n"
	if status := send("dry_run=true", good); status != 200 || here() {
		t.Errorf("a preview: %d, imported %v", status, here())
	}
	v.says("a preview", "What the file holds", "1 to 1 users")
	if status := send("dry_run=false", good); status != 403 || here() {
		t.Errorf("an import without a second look: %d, imported %v", status, here())
	}
	if v.submit("/step-up", "password", pagesPassword, "code", s.code("sato")); v.at != "/import" {
		t.Errorf("after the second look the page is %s", v.at)
	}
	if status := send("dry_run=false", good+"50000002,zz,dave\n"); status != 422 || here() {
		t.Errorf("a bad row: %d, imported %v", status, here())
	}
	v.says("a bad row", "line 3")
	send("dry_run=false", good)
	v.submit("/step-up", "password", pagesPassword, "code", s.code("sato"))
	if status := send("dry_run=false", good); status != 200 || !here() {
		t.Errorf("an import: %d, imported %v\n%s", status, here(), v.page)
	}
}
