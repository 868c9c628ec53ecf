package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/internal/testenv"
	"sekisho/token"
)

func (s *site) logged(text string) int {
	b, _ := os.ReadFile(s.log)
	return bytes.Count(b, []byte(text))
}

// TestLowLockoutThreshold wants a directory that locks people after three wrong passwords named in the log: what it means
// and what to do. The threshold stands in the directory alone.
func TestLowLockoutThreshold(t *testing.T) {
	testenv.Need(t, "slapd")
	s := newSite(t, siteOptions{Directory: ldapSection(testenv.Slapd(t, testenv.SlapdOptions{}), ""), Policies: "policies:\n  - name: all\n"})
	s.start()
	waitFor(t, 15*time.Second, "a warning about the threshold", func() bool {
		return s.logged("locks a user after 3 wrong passwords") == 1 && s.logged("raise its threshold") == 1
	})
}

// TestNames sends names that are no names to a real directory: each is refused like any unknown user and shown harmlessly,
// and a name in another spelling is the same person.
func TestNames(t *testing.T) {
	testenv.Need(t, "slapd")
	s := newSite(t, siteOptions{Directory: ldapSection(testenv.Slapd(t, testenv.SlapdOptions{}), "    failure_limit: 10\n"),
		Policies: "policies:\n  - name: all\n"})
	s.start()
	k := newKeys(t, token.HOTP, "N", 1)[0]
	s.load([]*key{k}, []string{"alice"})
	gw := s.gw()
	names := map[string]string{
		"a filter":             "*",
		"a filter of two ends": "alice)(uid=*",
		"an or":                "x)(|(uid=alice",
		"a DN":                 "uid=alice,ou=people," + testenv.SlapdBase,
		"a backslash":          `\61lice`,
		"NUL":                  "alice\x00",
		"invalid UTF-8":        "alice\xff\xfe",
		"blanks":               "   ",
		"ideographic blank":    "　",
		"nothing":              "",
		"253 octets":           strings.Repeat("é", 126) + "x",
		"a line break":         "alice\nreject",
		"a terminal's orders":  "\x1b[2Jalice",
		"half of a pair":       "twin",
	}
	for what, name := range names {
		a, err := gw.login(context.Background(), name, testenv.SlapdPassword+k.code(0), nil)
		if err != nil || a.code != radius.CodeAccessReject {
			t.Errorf("%s: %v %v, want a refusal", what, a.code, err)
		}
	}
	lines := s.logins("--limit", "100")
	if len(lines) != len(names) {
		t.Errorf("%d attempts are listed, want %d", len(lines), len(names))
	}
	for _, l := range lines {
		if l.Reason != "unknown-user" && l.Reason != "ambiguous-user" {
			t.Errorf("user %q ended as %s", l.User, l.Reason)
		}
	}
	if out := s.cli("logins", "--limit", "100"); strings.ContainsAny(out, "\x00\x1b") || !utf8.ValidString(out) || strings.Count(out, "\n") != len(names) {
		t.Errorf("the listing is not one harmless line for each:\n%q", out)
	}
	for i, spelling := range []string{"ALICE", " alice ", "ａｌｉｃｅ"} {
		if a, err := gw.login(context.Background(), spelling, testenv.SlapdPassword+k.code(int64(i)), nil); err != nil || a.code != radius.CodeAccessAccept {
			t.Errorf("%q: %v %v, want an Accept", spelling, a.code, err)
		}
		if a, err := gw.login(context.Background(), "alice", testenv.SlapdPassword+k.code(int64(i)), nil); err != nil || a.code != radius.CodeAccessReject {
			t.Errorf("the code of %q once more: %v %v", spelling, a.code, err)
		}
	}
}

// TestCodesAsTyped sends codes as people and gateways write them.
func TestCodesAsTyped(t *testing.T) {
	s := newSite(t, siteOptions{})
	s.start()
	k := newKeys(t, token.HOTP, "W", 1)[0]
	s.load([]*key{k}, []string{"somebody"})
	gw := s.gw()
	// The first code with a leading zero comes after some others: the token follows in steps of its window.
	zero := int64(20)
	for ; !strings.HasPrefix(k.code(zero), "0"); zero++ {
	}
	wide := func(code string) string {
		return strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	}
	step := int64(0)
	try := func(what string, typed func(code string) string) {
		t.Helper()
		code := k.code(step)
		if a, err := gw.login(context.Background(), "somebody", typed(code), nil); err != nil || a.code != radius.CodeAccessAccept {
			t.Errorf("%s: %v %v, want an Accept", what, a.code, err)
		}
		if a, err := gw.login(context.Background(), "somebody", code, nil); err != nil || a.code != radius.CodeAccessReject {
			t.Errorf("%s, then the same code plainly: %v %v, want a refusal", what, a.code, err)
		}
		step++
	}
	plain := func(code string) string { return code }
	try("plainly", plain)
	try("in two groups", func(c string) string { return c[:3] + " " + c[3:] })
	try("blanks around", func(c string) string { return "  " + c + " " })
	try("full-width digits", wide)
	try("full-width digits in two groups", func(c string) string { return wide(c[:3]) + "　" + wide(c[3:]) })
	for step < zero {
		try("on the way", plain)
	}
	try("a leading zero", plain)
	for ; !strings.HasPrefix(k.code(step), "0"); try("on the way", plain) {
	}
	a, err := gw.login(context.Background(), "somebody", strings.TrimLeft(k.code(step), "0"), nil)
	if err != nil || a.code != radius.CodeAccessReject {
		t.Errorf("without its leading zero: %v %v, want a refusal", a.code, err)
	}
}

// TestLongPassword sends User-Password of 128 octets, which is the most (RFC 2865 section 5.2), of 129, and of
// lengths that are no blocks: the gateway is refused, the log says why once.
func TestLongPassword(t *testing.T) {
	s := newSite(t, siteOptions{})
	s.start()
	gw := s.gw()
	raw, p, err := gw.request("somebody", strings.Repeat("x", 128), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := gw.exchange(context.Background(), raw, p); err != nil || a.code != radius.CodeAccessReject {
		t.Errorf("128 octets: %v %v, want a refusal", a.code, err)
	}
	for _, n := range []int{0, 15, 129, 144, 253} {
		p := radius.New(radius.CodeAccessRequest, gw.secret)
		p.Add(80, make([]byte, 16))
		_ = rfc2865.UserName_SetString(p, "somebody")
		p.Add(rfc2865.UserPassword_Type, make([]byte, n))
		raw, err := signed(p, gw.secret)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := gw.exchange(context.Background(), raw, p); err != nil || a.code != radius.CodeAccessReject {
			t.Errorf("%d octets: %v %v, want a refusal", n, a.code, err)
		}
	}
	if n := s.logged("User-Password is not 16, 32, ... or 128 octets long"); n != 1 {
		t.Errorf("the log says %d times why, want once for the source and minute", n)
	}
}

// TestUnknownClient sends from an address that is no client's.
func TestUnknownClient(t *testing.T) {
	s := newSite(t, siteOptions{})
	b, err := os.ReadFile(s.path("sekisho.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "addresses: 127.0.0.1", "addresses: 127.0.0.9", 1)
	if err := os.WriteFile(s.path("sekisho.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	gw := s.gw()
	gw.retry, gw.tries = 300*time.Millisecond, 1
	for range 3 {
		if a, err := gw.login(context.Background(), "somebody", "123456", nil); err == nil {
			t.Fatalf("answered: %v", a.code)
		}
	}
	page, _ := s.get("/metrics")
	if n := metricSum(page, "sekisho_radius_unknown_clients_total"); n != 3 {
		t.Errorf("%v packets of strangers are counted, want 3", n)
	}
	if n := s.logged("no client entry covers"); n != 1 {
		t.Errorf("the log names the stranger %d times, want once", n)
	}
}

// TestConfigFaultsAreNamed wants every fault of a configuration at once, each with its place and what to do.
func TestConfigFaultsAreNamed(t *testing.T) {
	s := newSite(t, siteOptions{})
	b, err := os.ReadFile(s.path("sekisho.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(s.dir, "open.secret")
	if err := os.WriteFile(open, []byte(secret), 0o644); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ old, new, want string }{
		"unknown key":           {"reject_delay", "reject_dely", `faulty.yaml:14:5: unknown key "radius.clients[0].reject_dely"; did you mean "reject_delay"?`},
		"wrong type":            {"reject_delay: 100ms", "reject_delay: soon", "faulty.yaml:14:19: radius.clients[0].reject_delay: "},
		"missing file":          {"secret: " + secret, "secret_file: /nonexistent/secret", "faulty.yaml:13:5: radius.clients[0].secret_file: "},
		"world-readable secret": {"secret: " + secret, "secret_file: " + open, "chmod"},
	} {
		if !strings.Contains(string(b), c.old) {
			t.Fatalf("the configuration has no %q", c.old)
		}
		file := s.path("faulty.yaml")
		if err := os.WriteFile(file, []byte(strings.Replace(string(b), c.old, c.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"check-config", file}, {"serve", "--config", file}} {
			out, status := s.try("", command...)
			if status != 1 || !strings.Contains(out, c.want) || strings.Count(out, "faulty.yaml:") != 1 {
				t.Errorf("%s, %s: status %d:\n%s", what, command[0], status, out)
			}
		}
	}
}
