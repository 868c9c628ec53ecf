package radius

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
)

var update = flag.Bool("update", false, "write the pages of docs/gateways and the packets of testdata anew")

// TestGuides compares docs/gateways with what the program prints for the example addresses: they are one text.
func TestGuides(t *testing.T) {
	folder := filepath.Join("..", "docs", "gateways")
	for name := range profiles {
		c := Config{Clients: []ClientConfig{{Name: name, Profile: name, Addresses: []string{"192.0.2.10"}, Secret: authn.NewSecret([]byte(testSecret))}}}
		page, known := c.Guide(name, "192.0.2.53")
		if !known {
			t.Fatal(name)
		}
		path := filepath.Join(folder, name+".md")
		if *update {
			must(os.WriteFile(path, []byte(page), 0o644))
		}
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(kept) != page {
			t.Errorf("%s differs from what the program prints; write it anew with go test ./radius -run Guides -update", path)
		}
		for _, part := range []string{"\n## In sekisho.yaml\n", "\n## What works\n", "\n## What it sends, takes and cannot do\n", "\n## How to test\n",
			"\n## Way back\n", "192.0.2.53", "SHARED-SECRET", "profile: " + name + "\n"} {
			if !strings.Contains(page, part) {
				t.Errorf("%s lacks %q", name, part)
			}
		}
		if strings.Contains(page, testSecret) || strings.Contains(page, "<no value>") || strings.Contains(page, "\n\n\n") {
			t.Errorf("%s holds the secret, a gap or too many empty lines", name)
		}
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil || len(pages) != len(profiles)+1 {
		t.Errorf("%d pages for %d profiles and the list of them: %v", len(pages), len(profiles), err)
	}
}

// TestGuideValues: a page takes the client's own values.
func TestGuideValues(t *testing.T) {
	c := Config{Listen: []string{"198.51.100.5:1645"}, ListenAccounting: []string{":1646"}, Clients: []ClientConfig{
		{Name: "vpn1", Profile: "asa", Addresses: []string{"192.0.2.16/28", "2001:db8::1"}, Secret: authn.NewSecret([]byte(testSecret)), RetryAfter: 4500 * time.Millisecond, Deadline: 12 * time.Second},
		{Name: "vpn2", Profile: "openvpn", Addresses: []string{"192.0.2.64/28"}, Secret: authn.NewSecret([]byte(testSecret))},
	}}
	page, _ := c.Guide("vpn1", "203.0.113.1")
	for _, want := range []string{"(inside) host 198.51.100.5\n", "authentication-port 1645\n", "accounting-port 1646\n", " timeout 14\n", "retry-interval 5\n",
		"addresses: [192.0.2.16/28, 2001:db8::1]\n", "secret_file: /etc/sekisho/vpn1.secret\n", "show vpn1`"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if page, _ = c.Guide("vpn2", "203.0.113.1"); !strings.Contains(page, "NAS-IP-Address=192.0.2.64\n") {
		t.Error("the gateway's own address is not that of its client")
	}
	if _, known := c.Guide("vpn3", ""); known {
		t.Error("a client that there is not has a page")
	}
}

// TestSettings: every key but the secrets is listed with the value that holds and where it comes from.
func TestSettings(t *testing.T) {
	no := false
	cc := gatewayConfig()
	cc.Profile, cc.StatusServer, cc.Deadline = "asa", &no, 9*time.Second
	info := Config{Clients: []ClientConfig{cc}}.List()[0]
	got := map[string]Setting{}
	for _, s := range info.Settings {
		got[s.Key] = s
	}
	// Two secrets are not listed; the section names is, key by key.
	if n := reflect.TypeFor[ClientConfig]().NumField() - 3 + reflect.TypeFor[NamesConfig]().NumField(); len(got) != n {
		t.Errorf("%d settings of %d", len(got), n)
	}
	for key, want := range map[string]Setting{
		"name": {Value: "fw1", Origin: "config"}, "addresses": {Value: "192.0.2.1", Origin: "config"}, "profile": {Value: "asa", Origin: "config"},
		"message_authenticator": {Value: "ratchet", Origin: "profile asa"}, "challenge": {Value: "plain", Origin: "profile asa"},
		"trust_station": {Value: "on", Origin: "profile asa"}, "retry_after": {Value: "10s", Origin: "profile asa"},
		"static_challenge": {Value: "off", Origin: "profile asa"}, "status_server": {Value: "off", Origin: "config"},
		"deadline": {Value: "9s", Origin: "config"}, "reject_delay": {Value: "1s", Origin: "default"}, "prompts": {Value: "both", Origin: "default"},
		"first_factor": {Value: "none", Origin: "default"}, "limit_proxy_state": {Value: "on", Origin: "default"}, "service": {Value: "fw1", Origin: "default"},
		"names.strip": {Value: "both", Origin: "default"}, "names.realms": {Value: "", Origin: "default"},
		"challenge_tries": {Value: "3", Origin: "default"}, "password_encoding": {Value: "", Origin: "default"}, "probe_users": {Value: "", Origin: "default"},
	} {
		want.Key = key
		if got[key] != want {
			t.Errorf("got %+v, want %+v", got[key], want)
		}
	}
}
