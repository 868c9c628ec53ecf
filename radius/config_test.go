package radius

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/internal/conf"
)

const configText = `
listen: ["127.0.0.1:1812", "[::1]:1812"]
clients:
  - name: fw1
    addresses: [192.0.2.1, 192.0.2.128/25, "2001:db8::/48"]
    secret: 0123456789abcdef0123456789abcdef
    next_secret: fedcba9876543210fedcba9876543210
    first_factor: gateway
    challenge: blind
    challenge_tries: 5
    prompts: ja
    reject_delay: 500ms
    retry_after: 5s
    deadline: 12s
  - name: ocserv
    addresses: 127.0.0.1
    profile: ocserv
    secret: 0123456789abcdef0123456789abcdeg
    service: vpn
    status_server: false
`

func TestConfig(t *testing.T) {
	var c Config
	if err := conf.Parse(&c, "test.yaml", []byte(configText)).Err(); err != nil {
		t.Fatal(err)
	}
	if faults, warnings := c.Check(); len(faults)+len(warnings) != 0 {
		t.Fatalf("faults %v, warnings %v", faults, warnings)
	}
	got := c.AuthnClients()
	want := authn.Client{Name: "fw1", Service: "fw1", GatewayProves: true, CanChallenge: true, Blind: true, Tries: 5, Prompts: prompts["ja"], Language: authn.Japanese,
		RejectDelay: 500 * time.Millisecond, RetryAfter: 5 * time.Second, Deadline: 12 * time.Second}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("fw1 is %+v", got[0])
	}
	want = authn.Client{Name: "ocserv", Service: "vpn", TrustStation: true, CanChallenge: true, Tries: 3, Prompts: authn.DefaultPrompts,
		RejectDelay: time.Second, RetryAfter: 10 * time.Second, Deadline: 8 * time.Second}
	if !reflect.DeepEqual(got[1], want) {
		t.Errorf("ocserv is %+v", got[1])
	}
	s := c.settle()
	if len(s.clients[0].secrets) != 2 || s.clients[0].messageAuth != messageAuthRequired || !s.clients[0].limitProxies || !s.clients[0].status {
		t.Error("fw1 is not as configured")
	}
	if oc := s.clients[1]; oc.messageAuth != messageAuthRatchet || !oc.limitProxies || oc.status || !oc.taken.framedOnly {
		t.Error("ocserv is not as its profile says")
	}
	if s.maxInFlight != 4096 || s.acct[0] != ":1813" {
		t.Error("defaults are missing")
	}
}

func TestConfigFaults(t *testing.T) {
	good := func() ClientConfig { return gatewayConfig() }
	no := false
	for _, x := range []struct {
		name, key, want string
		warning         bool
		change          func(c *Config, cl *ClientConfig)
	}{
		{"no port", "listen[0]", "is not address and port", false, func(c *Config, _ *ClientConfig) { c.Listen = []string{"127.0.0.1"} }},
		{"host name", "listen_accounting[1]", "is not an IP address", false, func(c *Config, _ *ClientConfig) { c.ListenAccounting = []string{":1813", "localhost:1"} }},
		{"port", "listen[0]", "no port", false, func(c *Config, _ *ClientConfig) { c.Listen = []string{":http"} }},
		{"in flight", "max_in_flight", "out of range", false, func(c *Config, _ *ClientConfig) { c.MaxInFlight = 3 }},
		{"no name", "clients[0].name", "is empty", false, func(_ *Config, cl *ClientConfig) { cl.Name = "" }},
		{"same name", "clients[1].name", "also the name of clients[0]", false, func(c *Config, _ *ClientConfig) {
			cl := good()
			cl.Addresses = []string{"192.0.2.9"}
			c.Clients = append(c.Clients, cl)
		}},
		{"same address", "clients[1].addresses[0]", "also belongs to clients[0]", false, func(c *Config, _ *ClientConfig) {
			cl := good()
			cl.Name = "other"
			c.Clients = append(c.Clients, cl)
		}},
		{"no address", "clients[0].addresses", "is empty", false, func(_ *Config, cl *ClientConfig) { cl.Addresses = nil }},
		{"bad address", "clients[0].addresses[1]", "neither an IP address", false, func(_ *Config, cl *ClientConfig) { cl.Addresses = []string{"192.0.2.1", "fw.example"} }},
		{"host bits", "clients[0].addresses[0]", "bits set behind", false, func(_ *Config, cl *ClientConfig) { cl.Addresses = []string{"192.0.2.1/24"} }},
		{"no secret", "clients[0].secret", "is missing", false, func(_ *Config, cl *ClientConfig) { cl.Secret = authn.Secret{} }},
		{"short secret", "clients[0].secret", "12 octets", true, func(_ *Config, cl *ClientConfig) { cl.Secret = authn.NewSecret([]byte("123456789012")) }},
		{"profile", "clients[0].profile", "not a profile", false, func(_ *Config, cl *ClientConfig) { cl.Profile = "pix" }},
		{"mode", "clients[0].message_authenticator", "not known", false, func(_ *Config, cl *ClientConfig) { cl.MessageAuthenticator = "yes" }},
		{"ratchet for a prefix", "clients[0].message_authenticator", "exactly one address", false, func(_ *Config, cl *ClientConfig) {
			cl.MessageAuthenticator, cl.Addresses = "ratchet", []string{"192.0.2.0/24"}
		}},
		{"ratchet for two", "clients[0].message_authenticator", "exactly one address", false, func(_ *Config, cl *ClientConfig) {
			cl.MessageAuthenticator, cl.Addresses = "ratchet", []string{"192.0.2.1", "192.0.2.2"}
		}},
		{"open to BlastRADIUS", "clients[0].limit_proxy_state", "BlastRADIUS", true, func(_ *Config, cl *ClientConfig) {
			cl.MessageAuthenticator, cl.LimitProxyState = "off", &no
		}},
		{"first factor", "clients[0].first_factor", "not known", false, func(_ *Config, cl *ClientConfig) { cl.FirstFactor = "pin" }},
		{"challenge", "clients[0].challenge", "not known", false, func(_ *Config, cl *ClientConfig) { cl.Challenge = "maybe" }},
		{"tries", "clients[0].challenge_tries", "out of range", false, func(_ *Config, cl *ClientConfig) { cl.ChallengeTries = 11 }},
		{"prompts", "clients[0].prompts", "not a language", false, func(_ *Config, cl *ClientConfig) { cl.Prompts = "de" }},
		{"encoding", "clients[0].password_encoding", "not known", false, func(_ *Config, cl *ClientConfig) { cl.PasswordEncoding = "latin9" }},
		{"nameless probe", "clients[0].probe_users[1]", "is empty", false, func(_ *Config, cl *ClientConfig) { cl.ProbeUsers = []string{"probe", ""} }},
		{"repeats for long", "clients[0].repeat_within", "31s is out of range; give 0s to 30s", false, func(_ *Config, cl *ClientConfig) { cl.RepeatWithin = 31 * time.Second }},
		{"repeats what is not signed", "clients[0].repeat_within", "needs Message-Authenticator", false, func(_ *Config, cl *ClientConfig) {
			cl.RepeatWithin, cl.MessageAuthenticator = time.Second, "off"
		}},
		{"repeats", "clients[0].repeat_within", "lets the same password and code in again", true, func(_ *Config, cl *ClientConfig) { cl.RepeatWithin = time.Second }},
		{"delay", "clients[0].reject_delay", "out of range", false, func(_ *Config, cl *ClientConfig) { cl.RejectDelay = time.Millisecond }},
		{"delay behind deadline", "clients[0].reject_delay", "not below the deadline", false, func(_ *Config, cl *ClientConfig) { cl.RejectDelay, cl.Deadline = 2*time.Second, time.Second }},
		{"delay behind retry", "clients[0].reject_delay", "not below retry_after", true, func(_ *Config, cl *ClientConfig) { cl.RejectDelay = 4 * time.Second }},
		{"nobody", "clients", "no client", true, func(c *Config, _ *ClientConfig) { c.Clients = nil }},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := Config{Clients: []ClientConfig{good()}}
			x.change(&c, &c.Clients[0])
			faults, warnings := c.Check()
			got, others := faults, warnings
			if x.warning {
				got, others = warnings, faults
			}
			if len(got) != 1 || len(others) != 0 || got[0].Key != x.key || !strings.Contains(got[0].Error(), x.want) || got[0].Advice == "" {
				t.Errorf("faults %v; warnings %v", faults, warnings)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		c := Config{Listen: []string{"x"}, MaxInFlight: -1, Clients: []ClientConfig{{Profile: "?", Prompts: "?"}}}
		if faults, _ := c.Check(); len(faults) != 7 {
			t.Errorf("%d faults:\n%v", len(faults), faults)
		}
		if err := (&Server{Config: c}).Listen(); err == nil {
			t.Error("a server started with them")
		}
	})
}

// TestPromptsFit: every question is at most 253 octets, also with its numbers, and differs from the others (P15).
func TestPromptsFit(t *testing.T) {
	for lang, p := range prompts {
		if len(p.First) > maxValue || len(p.Again)+8 > maxValue || len(p.Next) > maxValue || p.First == p.Again || p.Again == p.Next || p.First == p.Next {
			t.Errorf("%s: %+v", lang, p)
		}
	}
}

func TestLongestPrefixWins(t *testing.T) {
	mk := func(name string, prefixes ...string) *client {
		c := &client{name: name}
		for _, p := range prefixes {
			c.prefixes = append(c.prefixes, netip.MustParsePrefix(p))
		}
		return c
	}
	table := newClientTable([]*client{mk("all", "0.0.0.0/0"), mk("net", "192.0.2.0/24"), mk("one", "192.0.2.7/32", "2001:db8::7/128"), mk("six", "2001:db8::/32")})
	for a, want := range map[string]string{"192.0.2.7": "one", "192.0.2.8": "net", "198.51.100.1": "all", "2001:db8::7": "one", "2001:db8::8": "six", "2001:db9::1": ""} {
		got := ""
		if c := table.find(netip.MustParseAddr(a)); c != nil {
			got = c.name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
}
