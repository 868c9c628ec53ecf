package mail

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"sekisho/authn"
)

func TestEveryTemplate(t *testing.T) {
	all, err := LoadTemplates("")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		for _, language := range languages {
			text, err := all.Render(Sample(kind, language))
			if err != nil {
				t.Errorf("%s.%s: %v", kind, language, err)
				continue
			}
			if n := utf8.RuneCountInString(text.Subject); n == 0 || language == "ja" && n > 32 {
				t.Errorf("%s.%s: subject of %d characters: %s", kind, language, n, text.Subject)
			}
			if strings.Contains(text.Plain, "{{") || strings.Contains(text.Plain, "Help:") {
				t.Errorf("%s.%s: an empty help desk left its line, or a field was not filled:\n%s", kind, language, text.Plain)
			}
			for name, value := range fields[kind] {
				if !strings.Contains(text.Plain+text.Subject, value) {
					t.Errorf("%s: no template shows %s", kind, name)
				}
			}
			if !strings.HasPrefix(text.Language, language) {
				t.Errorf("%s.%s: language %s", kind, language, text.Language)
			}
		}
		for _, language := range languages {
			if _, ok := all.of[string(kind)+"."+language]; !ok {
				t.Errorf("%s has no text in %s", kind, language)
			}
		}
	}
}

func TestSiteTemplates(t *testing.T) {
	for _, c := range []struct{ name, file, text, fault string }{
		{"good", "activation.ja.txt", "Subject: 登録 {{name}}\n\n{{link}}\n", ""},
		{"with a mark and DOS lines", "activation.en.txt", "\ufeffSubject: Register\r\n\r\n{{link}}\r\n", ""},
		{"unknown field", "activation.ja.txt", "Subject: x\n\n  see {{secret}}\n", `activation.ja.txt:3:7: this mail has no field "secret"`},
		{"field of another kind", "expiry.ja.txt", "Subject: {{link}}\n\nx\n", `expiry.ja.txt:1:9: this mail has no field "link"`},
		{"not closed", "activation.ja.txt", "Subject: x\n\n{{link\n", "activation.ja.txt:3:1: {{ is not closed"},
		{"no subject", "activation.ja.txt", "hello\n\nx\n", "activation.ja.txt:1:1: a template begins"},
		{"empty", "activation.ja.txt", "", "activation.ja.txt:1:1: a template begins"},
		{"unknown kind", "welcome.ja.txt", "Subject: x\n\nx\n", "welcome.ja.txt: no mail is called so"},
		{"unknown language", "activation.fr.txt", "Subject: x\n\nx\n", "activation.fr.txt: no mail is called so"},
		{"nothing there", "readme.md", "x", "holds no template"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			all, err := LoadTemplates(dir)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("error %v; want %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			language := strings.Split(c.file, ".")[1]
			text, err := all.Render(Sample(authn.MailActivation, language))
			if err != nil || !strings.HasPrefix(text.Plain, fields[authn.MailActivation]["link"]) {
				t.Errorf("%v\n%s", err, text.Plain)
			}
		})
	}
	if _, err := LoadTemplates(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing folder was taken")
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("Subject: x\n\n{{link}}\n", "name")
	f.Add("件名: {{ until }}\n\n{{}}\n", "a\r\nb")
	f.Fuzz(func(t *testing.T, text, value string) {
		tpl, err := parse(text, fields[authn.MailActivation])
		if err != nil {
			return
		}
		values := map[string]string{"name": value, "link": value}
		if s := tpl.subject.fill(values); strings.ContainsAny(strings.TrimSpace(strings.Join(strings.Fields(s), " ")), "\r\n") {
			t.Errorf("the subject has a line break: %q", s)
		}
		for _, l := range strings.Split(markup("ja", tpl.fill(values)), "<") {
			if l != "" && strings.HasPrefix(l, "script") {
				t.Errorf("markup in %q", l)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	good := Config{Server: "mail.example.jp", From: "VPN <vpn@example.jp>"}
	for _, c := range []struct {
		name   string
		change func(*Config)
		key    string
	}{
		{"good", func(*Config) {}, ""},
		{"off", func(c *Config) { *c = Config{} }, ""},
		{"loopback in the clear", func(c *Config) { c.Server, c.TLS = "127.0.0.1:25", "none" }, ""},
		{"in the clear", func(c *Config) { c.TLS = "none" }, "tls"},
		{"unknown TLS", func(c *Config) { c.TLS = "ssl" }, "tls"},
		{"no sender", func(c *Config) { c.From = "" }, "from"},
		{"bad port", func(c *Config) { c.Server = "mail.example.jp:0" }, "server"},
		{"URL", func(c *Config) { c.Server = "smtp://mail.example.jp" }, "server"},
		{"user alone", func(c *Config) { c.User = "vpn" }, "user"},
		{"timeout", func(c *Config) { c.Timeout = time1 }, "timeout"},
		{"pace", func(c *Config) { c.PerMinute = 6001 }, "per_minute"},
		{"CA", func(c *Config) { c.CAFile = "/nonexistent" }, "ca_file"},
		{"reply", func(c *Config) { c.ReplyTo = "x" }, "reply_to"},
		{"templates", func(c *Config) { c.Templates = "/nonexistent" }, "templates"},
	} {
		cfg := good
		c.change(&cfg)
		faults := cfg.Check()
		switch {
		case c.key == "" && len(faults) > 0:
			t.Errorf("%s: %v", c.name, faults)
		case c.key != "" && (len(faults) != 1 || faults[0].Key != c.key || faults[0].Advice == ""):
			t.Errorf("%s: %v; want one fault of %s", c.name, faults, c.key)
		}
	}
}

const time1 = 1 // a nanosecond
