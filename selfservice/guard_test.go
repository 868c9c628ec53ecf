package selfservice_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sekisho/selfservice"
)

// TestHeaders: every answer, errors included, forbids what comes from elsewhere, is kept nowhere and tells nobody where it was
// linked from (B46, B48). Nothing on a page stands in it that the policy would have to allow.
func TestHeaders(t *testing.T) {
	h := newHouse(t)
	b := h.surfer("en")
	for _, path := range []string{"/", "/nothing", "/my", h.link("alice"), "/a/nothing", "/help-me", "/token", "/apps"} {
		b.open(path)
		for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := b.head.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		policy := b.head.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, want)
			}
		}
		for _, no := range []string{"unsafe", "http:", "https:", "*"} {
			if strings.Contains(policy, no) {
				t.Errorf("%s: the policy %q allows %s", path, policy, no)
			}
		}
		b.lacks(path, "<style", " style=", "onclick", "<script>", "javascript:")
		if !strings.Contains(b.page, `<html lang="en">`) || !strings.Contains(b.page, "<h1>") {
			t.Errorf("%s is no page in English:\n%s", path, b.page)
		}
	}
}

// TestLanguages: the browser's language holds until the person chooses another one, on any page.
func TestLanguages(t *testing.T) {
	h := newHouse(t)
	b := h.surfer("fr, ja;q=0.8")
	b.open("/").is("the second best", 200, "/", `<html lang="ja">`, "ユーザ名", "?lang=en")
	b.open("/?lang=en").is("chosen", 200, "/", `<html lang="en">`, "User name", "?lang=ja")
	b.open("/help-me").is("and kept", 200, "/help-me", `<html lang="en">`)
	b.open("/nothing").is("on errors too", 404, "/nothing", `<html lang="en">`, "no-page")
}

// TestForeignForms: what another site sends is refused and does nothing (B48).
func TestForeignForms(t *testing.T) {
	h := newHouse(t)
	phone := h.phone("alice", "my phone")
	b := h.surfer("en").signIn("alice")
	path := "/my/device/" + phone.ID.String() + "/block"
	b.sendFrom("https://evil.example", path).is("from another site", 403, path, "cross-site")
	if got := h.holder("alice").Holds[0].Standing; got.String() != "active" {
		t.Errorf("the device is %s", got)
	}
	b.send(path).is("from here", 200, "/my", "The device was stopped")
}

// TestForms: forms that are too large or broken are refused with a page of their own.
func TestForms(t *testing.T) {
	h := newHouse(t)
	b := h.surfer("en")
	r := b.request(http.MethodPost, "/signin", io.MultiReader(strings.NewReader("name="), io.LimitReader(endless{}, 10<<20)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.do(r).is("10 MB", 413, "/signin", "form-too-large", "too large")
	r = b.request(http.MethodPost, "/signin", strings.NewReader("name=%zz"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.do(r).is("no form", 400, "/signin", "form-broken")
	b.open("/my").is("nobody is signed in", 401, "/my", "session-ended", "Sign in again")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// TestMarkup: names of people and what they type stand in pages as text (B50).
func TestMarkup(t *testing.T) {
	h := newHouse(t)
	b := h.surfer("en")
	b.send("/signin", "name", `"><script>alert(1)</script>`, "password", "x").is("typed", 422, "/signin")
	b.lacks("typed", "<script>alert")
	b.signIn("<b>eve</b>")
	b.lacks("a name of the directory", "<b>eve")
	h.phone("alice", `<img src=x>`)
	b = h.surfer("en").signIn("alice")
	b.lacks("a name of a device", "<img src=x")
}

// TestSessions: a sign-in makes a new secret, which is a __Host- cookie no script reads; it ends by idling, by its owner, and
// for its owner alone; a restart ends none.
func TestSessions(t *testing.T) {
	h := newHouse(t)
	b, c := h.surfer("en").signIn("bob"), h.surfer("en").signIn("bob")
	h.db.Close()
	h.start()
	b.open("/my").is("after a restart", 200, "/my")

	site, _ := url.Parse(h.server.URL)
	before := b.http.Jar.Cookies(site)
	r := b.request(http.MethodPost, "/signin", strings.NewReader(url.Values{"name": {"bob"}, "password": {password}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range before {
		r.AddCookie(c)
	}
	got, err := h.server.Client().Transport.RoundTrip(r)
	h.ok(err)
	_ = got.Body.Close()
	made := got.Cookies()[0]
	if made.Name != "__Host-sekisho" || !made.Secure || !made.HttpOnly || made.SameSite != http.SameSiteLaxMode || made.Path != "/" || made.Domain != "" {
		t.Errorf("the cookie is %v", made)
	}
	if made.Value == before[0].Value || len(made.Value) != 43 {
		t.Error("a sign-in goes on with the secret of the session before")
	}
	b.open("/my").is("the session before", 401, "/my")

	b.signIn("bob")
	b.open("/my/sessions").is("both", 200, "/my/sessions", "this one", "End all but this one")
	d := h.surfer("en").signIn("alice")
	d.send("/my/sessions/end", "all", "1")
	c.open("/my").is("another's word ends nothing", 200, "/my")
	b.send("/my/sessions/end", "all", "1").is("ended", 200, "/my/sessions")
	c.open("/my").is("the other one", 401, "/my")
	b.open("/my").is("this one", 200, "/my")
	b.send("/signout").is("signed out", 200, "/", "You are signed out")
	b.open("/my").is("after that", 401, "/my")

	b.signIn("bob")
	h.advance(14 * time.Minute)
	b.open("/my").is("14 minutes later", 200, "/my")
	h.advance(14 * time.Minute)
	b.open("/my").is("14 more", 200, "/my")
	h.advance(15 * time.Minute)
	b.open("/my").is("15 idle", 401, "/my")
}

// TestRefusals: whatever is wrong with a sign-in, the page is the same, and so is when it comes (B24, B27).
func TestRefusals(t *testing.T) {
	h := newHouse(t)
	h.phone("alice", "")
	var first string
	n := 0
	for _, c := range [][3]string{
		{"nobody", "wrong", ""}, {"alice", "wrong", ""}, {"alice", password, ""}, {"alice", password, "000000"}, {"bob", "wrong", ""},
		{"bob", password, "123456"}, {"nobody", "wrong", "123456"},
	} {
		b := h.surfer("en")
		b.send("/signin", "name", c[0], "password", c[1], "code", c[2]).is("refused", 422, "/signin", "could not be signed in")
		page := strings.ReplaceAll(b.page, `value="`+c[0]+`"`, "")
		if first == "" {
			first = page
		}
		if page != first {
			t.Errorf("%s: another page:\n%s", c, strip(page))
		}
		if n++; h.held != n {
			t.Errorf("%s: the refusal did not wait", c)
		}
	}
	h.down.Store(true)
	h.surfer("en").send("/signin", "name", "bob", "password", password).is("no directory", 503, "/signin", "no-answer", "Nothing was changed")
}

// TestConfigCheck names the key of each thing that is wrong.
func TestConfigCheck(t *testing.T) {
	for what, c := range map[string]struct {
		key    string
		config selfservice.Config
	}{
		"no address":         {"listen", selfservice.Config{Listen: "443", URL: "https://vpn.example.jp"}},
		"no URL":             {"url", selfservice.Config{Listen: "127.0.0.1:80"}},
		"in the clear":       {"url", selfservice.Config{Listen: "127.0.0.1:80", URL: "http://vpn.example.jp"}},
		"no certificate":     {"cert_file", selfservice.Config{Listen: "0.0.0.0:443", URL: "https://vpn.example.jp"}},
		"half a pair":        {"cert_file", selfservice.Config{Listen: "127.0.0.1:443", URL: "https://vpn.example.jp", CertFile: "x"}},
		"missing files":      {"cert_file", selfservice.Config{Listen: "127.0.0.1:443", URL: "https://vpn.example.jp", CertFile: "x", KeyFile: "y"}},
		"a proxy":            {"trusted_proxies[0]", selfservice.Config{Listen: "127.0.0.1:80", URL: "https://vpn.example.jp", TrustedProxies: []string{"proxy"}}},
		"a language":         {"language", selfservice.Config{Listen: "127.0.0.1:80", URL: "https://vpn.example.jp", Language: "de"}},
		"a logo":             {"logo", selfservice.Config{Listen: "127.0.0.1:80", URL: "https://vpn.example.jp", Logo: "logo.gif"}},
		"an app":             {"apps[0]", selfservice.Config{Listen: "127.0.0.1:80", URL: "https://vpn.example.jp", Apps: []selfservice.App{{Name: "x", IOS: "javascript:x"}}}},
		"a download":         {"client_url", selfservice.Config{Listen: "127.0.0.1:80", URL: "https://vpn.example.jp", ClientURL: "http://x"}},
		"a path in the URL":  {"url", selfservice.Config{Listen: "127.0.0.1:80", URL: "https://vpn.example.jp/otp"}},
		"a user in the URL":  {"url", selfservice.Config{Listen: "127.0.0.1:80", URL: "https://a@vpn.example.jp"}},
		"a query in the URL": {"url", selfservice.Config{Listen: "127.0.0.1:80", URL: "https://vpn.example.jp?x"}},
	} {
		faults := c.config.Check()
		if len(faults) == 0 || faults[0].Key != c.key || faults[0].Advice == "" {
			t.Errorf("%s: faults %v, want one of %s", what, faults, c.key)
		}
	}
	good := selfservice.Config{Listen: "127.0.0.1:80", URL: "https://vpn.example.jp"}
	if faults := good.Check(); faults != nil {
		t.Errorf("a good one has the faults %v", faults)
	}
}
