package radius

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestProfiles holds what every profile needs: a client with nothing but the profile has no fault and no warning, and
// every statement says where it comes from.
func TestProfiles(t *testing.T) {
	origin := regexp.MustCompile(`\(((seen|source|vendor|unconfirmed|RFC \d+)(, )?)+\)`)
	for name, p := range profiles {
		c := gatewayConfig()
		c.Profile = name
		faults, warnings := Config{Clients: []ClientConfig{c}}.Check()
		if len(faults)+len(warnings) > 0 {
			t.Errorf("%s: faults %v, warnings %v", name, faults, warnings)
		}
		if p.title == "" || len(p.sends) == 0 || len(p.takes) == 0 || len(p.cannot) == 0 || p.repeat == "" {
			t.Errorf("%s: something is not described", name)
		}
		if (p.otherMethods == nil) != (p.methodsAdvice == "") {
			t.Errorf("%s: other methods and how to switch them off belong together", name)
		}
		if p.noChallenge && p.challenge != "none" || p.noStation && p.trustStation || p.neverSendsMA && p.messageAuth == "required" {
			t.Errorf("%s: a default is what the gateway cannot do", name)
		}
		if name == defaultProfile {
			continue
		}
		for _, text := range append(append(p.sends, p.takes...), p.repeat) {
			if !origin.MatchString(text) {
				t.Errorf("%s: %q does not say where it comes from", name, text)
			}
		}
	}
}

// TestProfileDefaults holds the settings of S1 and S20 that a profile brings.
func TestProfileDefaults(t *testing.T) {
	for _, x := range []struct {
		profile, messageAuth  string
		challenge, station    bool
		retryAfter, leastWait time.Duration
	}{
		{"generic", "required", false, false, 3 * time.Second, time.Second},
		{"asa", "ratchet", true, true, 10 * time.Second, time.Second},
		{"ftd", "ratchet", true, true, 10 * time.Second, time.Second},
		{"ocserv", "ratchet", true, true, 10 * time.Second, time.Second},
		{"strongswan", "required", false, true, 2 * time.Second, time.Second},
		{"openvpn", "off", false, true, 10 * time.Second, time.Second},
		{"fortigate", "ratchet", true, true, 5 * time.Second, time.Second},
		{"paloalto", "ratchet", true, false, 3 * time.Second, time.Second},
		{"opnsense", "ratchet", false, false, 10 * time.Second, time.Second},
		{"mikrotik", "ratchet", false, true, 3 * time.Second, time.Second},
	} {
		c := gatewayConfig()
		c.Profile = x.profile
		info := Config{Clients: []ClientConfig{c}}.List()[0]
		l := info.Login
		if info.MessageAuthenticator != x.messageAuth || l.CanChallenge != x.challenge || l.Blind || l.TrustStation != x.station ||
			l.RetryAfter != x.retryAfter || l.RejectDelay != x.leastWait || l.Deadline != 8*time.Second {
			t.Errorf("%s: %+v", x.profile, info)
		}
	}
	if !strings.HasSuffix(profileNames(), ", paloalto or strongswan") {
		t.Errorf("the profiles are %s", profileNames())
	}
}

// TestProfileOverrides: what a profile sets gives way to the client's own words, and what a gateway cannot do is said.
func TestProfileOverrides(t *testing.T) {
	yes := true
	for _, x := range []struct {
		name, profile, key string
		change             func(*ClientConfig)
	}{
		{"a challenge that is taken for a refusal", "openvpn", "challenge", func(c *ClientConfig) { c.Challenge = "plain" }},
		{"a blind one too", "mikrotik", "challenge", func(c *ClientConfig) { c.Challenge = "blind" }},
		{"no Message-Authenticator ever", "openvpn", "message_authenticator", func(c *ClientConfig) { c.MessageAuthenticator = "required" }},
		{"nobody's address", "opnsense", "trust_station", func(c *ClientConfig) { c.TrustStation = &yes }},
	} {
		c := gatewayConfig()
		c.Profile = x.profile
		x.change(&c)
		faults, warnings := Config{Clients: []ClientConfig{c}}.Check()
		if len(faults) != 0 || len(warnings) != 1 || warnings[0].Key != "clients[0]."+x.key || warnings[0].Advice == "" {
			t.Errorf("%s: faults %v, warnings %v", x.name, faults, warnings)
		}
	}
	c := gatewayConfig()
	c.Profile, c.Addresses = "asa", []string{"192.0.2.0/24"}
	if got := (Config{Clients: []ClientConfig{c}}).List()[0].MessageAuthenticator; got != "off" {
		t.Errorf("a profile's ratchet of many addresses is %s", got)
	}
	c = gatewayConfig()
	c.RetryAfter = 300 * time.Millisecond
	if got := (Config{Clients: []ClientConfig{c}}).List()[0].Login.RejectDelay; got != 200*time.Millisecond {
		t.Errorf("refusals wait %v for a gateway that repeats after 300 ms", got)
	}
}
