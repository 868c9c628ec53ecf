package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekisho/internal/testenv"
)

func TestTestMail(t *testing.T) {
	dir := t.TempDir()
	server := testenv.SMTP(t, func(verb, argument string) string {
		if verb == "RCPT" && strings.Contains(argument, "nobody@") {
			return "550 5.1.1 no such user"
		}
		return ""
	})
	config := filepath.Join(dir, "sekisho.yaml")
	key := filepath.Join(dir, "sealing.key")
	sekisho := func(args ...string) (status int, out, errs string) {
		var o, e bytes.Buffer
		status = run(t.Context(), args, strings.NewReader(""), &o, &e)
		return status, o.String(), e.String()
	}
	if status, _, errs := sekisho("keys", "new", key); status != 0 {
		t.Fatal(errs)
	}
	secret := filepath.Join(dir, "vpn.secret")
	text := "keys: {file: " + key + "}\nradius: {clients: [{name: vpn, addresses: 192.0.2.10, secret_file: " + secret + "}]}\n" +
		"directory: {type: none}\npolicies: [{name: all, first_factor: pin}]\n" +
		"mail: {server: \"" + server.Address + "\", from: vpn@lab.test, help_phone: 03-0000-0000}\n"
	for name, content := range map[string]string{config: text, secret: "0123456789abcdef0123456789abcdef"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, errs := sekisho("test", "mail", "hanako@lab.test", "--config", config)
	if status != 0 || !strings.Contains(out, server.Address+" took the mail: ") || len(server.Messages()) != 1 {
		t.Errorf("status %d, %q, %q, %d mails", status, out, errs, len(server.Messages()))
	}
	status, _, errs = sekisho("test", "mail", "nobody@lab.test", "--config", config)
	if status != 1 || !strings.Contains(errs, "refuses the mail for good: 550 5.1.1 no such user") {
		t.Errorf("status %d, %q", status, errs)
	}
	page := filepath.Join(dir, "mail.html")
	status, out, errs = sekisho("test", "mail", "--preview", "--kind", "expiry", "--language", "en", "--html", page, "--config", config)
	if status != 0 || !strings.HasPrefix(out, "Subject: [VPN] Change your token by 2026-04-01\n\nDear ") || !strings.Contains(out, "03-0000-0000") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if b, err := os.ReadFile(page); err != nil || !bytes.Contains(b, []byte(`<div lang="en">`)) {
		t.Errorf("%v\n%s", err, b)
	}
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{2, "--kind \"x\" is no mail", []string{"--kind", "x"}},
		{2, "choose ja or en", []string{"--language", "fr"}},
		{2, "name the address", nil},
	} {
		status, _, errs := sekisho(append([]string{"test", "mail", "--config", config}, c.args...)...)
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%v: status %d, %q", c.args, status, errs)
		}
	}
	if n := len(server.Messages()); n != 1 {
		t.Errorf("%d mails after previews and refusals, want 1", n)
	}
}
