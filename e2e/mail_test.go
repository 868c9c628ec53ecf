package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"layeh.com/radius"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// mailLine is one mail of `sekisho mail list --json`.
type mailLine struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	State    string `json:"state"`
	User     string `json:"user"`
	To       string `json:"to"`
	Tries    int    `json:"tries"`
	Answer   string `json:"answer"`
	CanAgain bool   `json:"can_again"`
}

// mails runs `sekisho mail list`.
func (s *site) mails(args ...string) []mailLine {
	s.t.Helper()
	var l struct{ Mails []mailLine }
	if err := json.Unmarshal([]byte(s.cli(append([]string{"mail", "list", "--json"}, args...)...)), &l); err != nil {
		s.t.Fatal(err)
	}
	return l.Mails
}

// mailSite is an installation whose users have addresses and whose mails go to a scripted server.
func mailSite(t *testing.T, server *testenv.ScriptedSMTP) *site {
	t.Helper()
	users := `users:
- {name: hanako, mail: hanako@lab.test, attributes: {name: [Hanako Seki], language: [en-GB]}}
- {name: taro, mail: taro@lab.test, attributes: {name: [関 太郎]}}
- {name: nobox}
`
	file := t.TempDir() + "/users.yaml"
	if err := os.WriteFile(file, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, siteOptions{Directory: fmt.Sprintf("directory: {type: file, file: {file: %s}}\nlogin: {register_url: \"https://vpn.lab.test/\"}\n"+
		"mail: {server: \"%s\", from: \"VPN <vpn@lab.test>\", help_phone: 03-0000-0000, per_minute: 6000}\n", file, server.Address)})
	s.start()
	return s
}

// miss is three logins with wrong codes.
func (s *site) miss(k *key, user string) {
	s.t.Helper()
	for i := range 3 {
		a, err := s.gw().login(context.Background(), user, k.code(1000+int64(i)), nil)
		if err != nil || a.code != radius.CodeAccessReject {
			s.t.Fatalf("a wrong code: %v, %v", a.code, err)
		}
	}
}

// letter takes a mail apart.
func letter(t *testing.T, raw string) (to, subject, text string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header.Get("To"), subject, string(b)
}

// TestP18FailuresAreMailed types a wrong code three times: the person gets one mail, in their language and the other one, at
// the directory's address; operators see what became of it.
func TestP18FailuresAreMailed(t *testing.T) {
	server := testenv.SMTP(t, nil)
	s := mailSite(t, server)
	keys := newKeys(t, token.HOTP, "M", 3)
	s.load(keys, []string{"hanako", "taro", "nobox"})
	for i, user := range []string{"hanako", "taro", "nobox"} {
		s.miss(keys[i], user)
	}
	waitFor(t, 60*time.Second, "two mails and a refusal", func() bool {
		return len(s.mails("--state", "sent")) == 2 && len(s.mails("--state", "refused")) == 1
	})
	if n := len(server.Messages()); n != 2 {
		t.Fatalf("%d mails, want 2", n)
	}
	for _, raw := range server.Messages() {
		to, subject, text := letter(t, raw)
		en, ja := strings.Index(text, "Dear "), strings.Index(text, "様")
		for _, want := range []string{"https://vpn.lab.test/", "03-0000-0000", "wrong one-time passwords", "誤ったワンタイムパスワード"} {
			if !strings.Contains(text, want) {
				t.Errorf("the mail to %s lacks %q:\n%s", to, want, text)
			}
		}
		switch to {
		case "<hanako@lab.test>":
			if subject != "[VPN] Sign-ins keep failing" || en < 0 || ja < en || !strings.Contains(text, "Dear Hanako Seki") {
				t.Errorf("hanako reads English; %q\n%s", subject, text)
			}
		case "<taro@lab.test>":
			if subject != "【VPN認証】接続の失敗が続いています" || ja < 0 || en < ja || !strings.Contains(text, "関 太郎 様") {
				t.Errorf("taro reads Japanese; %q\n%s", subject, text)
			}
		default:
			t.Errorf("a mail to %s", to)
		}
	}
	if m := s.mails("--user", "hanako"); len(m) != 1 || m[0].Kind != "failures" || m[0].Answer != "250 2.0.0 taken as 1" || m[0].To != "hanako@lab.test" {
		t.Errorf("hanako's mails: %+v", m)
	}
	if m := s.mails("--state", "refused"); m[0].User != "nobox" || !strings.Contains(m[0].Answer, "no mail address") || !m[0].CanAgain {
		t.Errorf("%+v", m)
	}
	sheet := s.cli("mail", "list", "--kind", "failures", "--csv")
	if n := strings.Count(sheet, "\r\n"); n != 4 || !strings.Contains(sheet, "hanako@lab.test") {
		t.Errorf("%d lines:\n%s", n, sheet)
	}
	page, _ := s.get("/metrics")
	for _, want := range []string{`sekisho_mail_tries_total{result="sent"} 2`, `sekisho_mail_messages{state="refused"} 1`, `sekisho_mail_oldest_waiting_seconds 0`} {
		if !strings.Contains(page, want) {
			t.Errorf("metrics lack %s", want)
		}
	}

	// Nothing is told again by a restart.
	s.stop()
	s.start()
	s.miss(keys[0], "hanako")
	if n := len(s.mails()); n != 3 {
		t.Errorf("%d mails after a restart and more wrong codes, want the 3 that there were", n)
	}
}

// TestK1KilledWhileAMailIsUnderWay kills the service while the mail server has a mail and says nothing: nobody knows whether it
// arrived, so nobody sends it a second time but an operator.
func TestK1KilledWhileAMailIsUnderWay(t *testing.T) {
	reached := make(chan struct{}, 1)
	var silent atomic.Bool
	silent.Store(true)
	server := testenv.SMTP(t, func(verb, _ string) string {
		if verb == "." && silent.Load() {
			reached <- struct{}{}
			return testenv.Hang
		}
		return ""
	})
	s := mailSite(t, server)
	keys := newKeys(t, token.HOTP, "M", 1)
	s.load(keys, []string{"taro"})
	s.miss(keys[0], "taro")
	select {
	case <-reached:
	case <-time.After(60 * time.Second):
		t.Fatal("the mail server never got the mail")
	}
	s.kill()
	silent.Store(false)
	s.start()
	waitFor(t, 60*time.Second, "it is known as unknown", func() bool { return len(s.mails("--state", "unknown")) == 1 })
	m := s.mails()[0]
	if n := len(server.Messages()); n != 0 {
		t.Fatalf("%d mails were sent without an operator's word", n)
	}
	if out := s.cli("mail", "show", m.ID); !strings.Contains(out, "the program stopped before the mail server's answer was stored") || !strings.Contains(out, "sekisho mail again "+m.ID) {
		t.Errorf("%s", out)
	}
	s.cli("mail", "again", m.ID)
	waitFor(t, 60*time.Second, "it is sent", func() bool { return len(s.mails("--state", "sent")) == 1 })
	if n := len(server.Messages()); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
	if out, status := s.try("", "mail", "again", m.ID); status != 1 || !strings.Contains(out, "This mail has been sent") {
		t.Errorf("status %d: %s", status, out)
	}
	if out := s.cli("logins", "--acts"); !strings.Contains(out, "mail.again") {
		t.Errorf("the audit knows nothing of it:\n%s", out)
	}
}

// TestMailFollowsAReload: mails wait, a reload that names another server sends them, and the log has no address.
func TestMailFollowsAReload(t *testing.T) {
	away := testenv.SMTP(t, func(verb, _ string) string {
		if verb == "RCPT" {
			return "451 4.7.1 <hanako@lab.test> greylisted"
		}
		return ""
	})
	s := mailSite(t, away)
	keys := newKeys(t, token.HOTP, "M", 1)
	s.load(keys, []string{"hanako"})
	s.miss(keys[0], "hanako")
	waitFor(t, 60*time.Second, "the first try", func() bool { m := s.mails("--state", "waiting"); return len(m) == 1 && m[0].Tries == 1 })
	m := s.mails()[0]
	if m.Answer != "451 4.7.1 <hanako@lab.test> greylisted" {
		t.Errorf("the answer is not word for word: %q", m.Answer)
	}
	server := testenv.SMTP(t, nil)
	config, err := os.ReadFile(s.path("sekisho.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("sekisho.yaml"), []byte(strings.Replace(string(config), away.Address, server.Address, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cli("config", "reload")
	s.cli("mail", "again", m.ID)
	waitFor(t, 60*time.Second, "it is sent by the new server", func() bool { return len(server.Messages()) == 1 })
	waitFor(t, 60*time.Second, "it counts as sent", func() bool { return len(s.mails("--state", "sent")) == 1 })
	if b, err := os.ReadFile(s.log); err != nil || strings.Contains(string(b), "hanako@") || !strings.Contains(string(b), "greylisted") {
		t.Errorf("the log holds an address, or not the answer (%v):\n%s", err, b)
	}
}
