package main

import (
	"encoding/base32"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/admin"
	"sekisho/token"
)

// TestConsoleFirstOperator goes from a link to the console with a browser without script: the link opens once, the key is
// shown once, a wrong code leads nowhere, and the session of the link opens no other page.
func TestConsoleFirstOperator(t *testing.T) {
	t.Parallel()
	s := startConsole(t)
	s.do("POST", "/api/v1/operators", map[string]string{"name": "dave", "role": "master"})
	var link admin.OperatorLink
	if err := s.api.call(t.Context(), "POST", "/api/v1/operators/dave/link", struct{}{}, &link); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(link.Link, s.home+"/link#") {
		t.Fatalf("the link leads to %q", strings.SplitN(link.Link, "#", 2)[0])
	}
	v := s.visitor("ja")
	v.open("/link")
	if status := v.submit("/link", "secret", "nothing"); status != 401 {
		t.Errorf("no link: %d", status)
	}
	v.open("/link")
	if v.submit("/link", "secret", " "+link.Link+" "); v.at != "/own-token" {
		t.Fatalf("the link leads to %s\n%s", v.at, v.page)
	}
	other := s.visitor("en")
	other.open("/link")
	if status := other.submit("/link", "secret", link.Secret); status != 401 {
		t.Errorf("the link opens again: %d", status)
	}
	if v.submit("/own-token"); !strings.Contains(v.page, `class="qr"`) {
		t.Fatalf("no key: %s", v.page)
	}
	uri, err := url.Parse(html.UnescapeString(regexp.MustCompile(`href="(otpauth:[^"]+)"`).FindStringSubmatch(v.page)[1]))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(uri.Query().Get("secret"))
	if err != nil {
		t.Fatal(err)
	}
	app := token.Token{Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30}
	step := app.StepAt(time.Now())
	if status := v.submit("/own-token/confirm", "code", app.Code(seed, step+1000)); status < 400 || strings.Contains(v.page, uri.Query().Get("secret")) {
		t.Errorf("a wrong code: %d, or the key is shown again", status)
	}
	if v.submit("/own-token/confirm", "code", app.Code(seed, step)); v.at != "/sign-in" {
		t.Fatalf("after the right code: %s\n%s", v.at, v.page)
	}
	v.says("it is in service", "利用を開始しました")
	if v.submit("/sign-in", "name", "dave", "password", pagesPassword, "code", app.Code(seed, step+1)); v.at != "/" {
		t.Fatalf("the new token does not sign in: %s\n%s", v.at, v.page)
	}
}
