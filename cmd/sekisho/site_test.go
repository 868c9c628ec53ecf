package main

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"sekisho/authn"
)

// sameRequest makes a login whose header is the same each time, so that equal answers are equal octets.
func sameRequest(t *testing.T, user, text string) []byte {
	t.Helper()
	c := &radiusClient{secret: authn.NewSecret([]byte(serveSecret))}
	p := radius.New(radius.CodeAccessRequest, c.secret.Reveal())
	p.Identifier, p.Authenticator = 7, [16]byte{1, 2, 3}
	p.Add(rfc2869.MessageAuthenticator_Type, make([]byte, 16))
	_ = rfc2865.UserName_SetString(p, user)
	_ = rfc2865.UserPassword_SetString(p, text)
	raw, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	copy(raw[22:], c.messageAuthenticator(raw))
	return raw
}

// askFresh sends octets from a port of its own.
func (r *running) askFresh(t *testing.T, raw []byte) []byte {
	t.Helper()
	conn, err := net.Dial("udp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return gateway{conn}.ask(t, raw, 10*time.Second)
}

// TestRefusalsAreOneRefusal holds I8: whatever was wrong, and whether there is such a person, the octets of a refusal are
// the same. Who proved both factors is told what is wrong with the token, and only they (P4); not even they where the
// configuration says so.
func TestRefusalsAreOneRefusal(t *testing.T) {
	const page = "https://otp.example.com/"
	for name, tells := range map[string]bool{"tell_after_proof: true": true, "tell_after_proof: false": false} {
		r := startSite(t, "prompts: en", "first_factor: pin, activate_at_login: false", "login: {"+name+", register_url: '"+page+"'}")
		if err := r.call(t.Context(), http.MethodPut, "/api/v1/users/annie/pin", map[string]any{"pin": "4711x"}, nil); err != nil {
			t.Fatal(err)
		}
		code := func(n int64) string { return r.hotp.Code(r.seed, n) }
		if got := r.askFresh(t, sameRequest(t, "annie", "4711x"+code(0))); len(got) == 0 || got[0] != 2 {
			t.Fatalf("no Access-Accept: %x", got)
		}
		var first []byte
		for _, c := range []struct{ what, user, text string }{
			{"nobody", "nobody", "4711x" + code(1)},
			{"both wrong", "annie", "4712x000000"},
			{"wrong code", "annie", "4711x" + code(9000)},
			{"wrong PIN", "annie", "4712x" + code(1)},
			{"no code", "annie", "4711x"},
			{"used code", "annie", "4711x" + code(0)},
			{"nothing", "annie", ""},
		} {
			got := r.askFresh(t, sameRequest(t, c.user, c.text))
			if first == nil {
				first = got
			}
			if len(got) == 0 || got[0] != 3 || !bytes.Equal(got, first) {
				t.Errorf("%s: %x, want %x", c.what, got, first)
			}
		}
		if err := r.call(t.Context(), http.MethodPost, "/api/v1/tokens/H1/revoke", map[string]string{}, nil); err != nil {
			t.Fatal(err)
		}
		if got := r.askFresh(t, sameRequest(t, "annie", "4712x"+code(2))); !bytes.Equal(got, first) {
			t.Errorf("wrong PIN and the code of a revoked token: %x, want %x", got, first)
		}
		got := r.askFresh(t, sameRequest(t, "annie", "4711x"+code(2)))
		if told := strings.Contains(string(got), "Token revoked, contact the help desk"); len(got) == 0 || got[0] != 3 || told != tells || bytes.Equal(got, first) == tells {
			t.Errorf("%s: both factors of a revoked token: %q", name, got)
		}
	}
}

// TestRepeatedLogins: a gateway that asks again from a new socket, with the same identifier and a new authenticator, as
// openvpn-auth-radius does after a lost answer, gets the verdict again; without Message-Authenticator, or once the token is
// revoked, it does not.
func TestRepeatedLogins(t *testing.T) {
	r := startSite(t, "first_factor: gateway, message_authenticator: ratchet, repeat_within: 30s", "first_factor: gateway")
	client := &radiusClient{user: "annie", method: "pap", secret: authn.NewSecret([]byte(serveSecret)), station: "198.51.100.7"}
	login := func(text, station string, signed bool) byte {
		t.Helper()
		c := *client
		c.station = station
		p, raw, err := c.request(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !signed {
			p.Attributes.Del(rfc2869.MessageAuthenticator_Type)
			if raw, err = p.Encode(); err != nil {
				t.Fatal(err)
			}
		}
		raw[1] = 7
		if signed {
			copy(raw[22:], make([]byte, 16))
			copy(raw[22:], c.messageAuthenticator(raw))
		}
		got := r.askFresh(t, raw)
		if len(got) == 0 {
			return 0
		}
		return got[0]
	}
	code := func(n int64) string { return r.hotp.Code(r.seed, n) }
	for _, c := range []struct {
		what    string
		text    string
		station string
		signed  bool
		want    byte
	}{
		{"unsigned", code(0), "198.51.100.7", false, 2},
		{"unsigned, again", code(0), "198.51.100.7", false, 3},
		{"signed", code(1), "198.51.100.7", true, 2},
		{"again", code(1), "198.51.100.7", true, 2},
		{"once more", code(1), "198.51.100.7", true, 2},
		{"elsewhere", code(1), "198.51.100.8", true, 3},
	} {
		if got := login(c.text, c.station, c.signed); got != c.want {
			t.Errorf("%s: code %d, want %d", c.what, got, c.want)
		}
	}
	if err := r.call(t.Context(), http.MethodPost, "/api/v1/tokens/H1/revoke", map[string]string{}, nil); err != nil {
		t.Fatal(err)
	}
	if got := login(code(1), "198.51.100.7", true); got != 3 {
		t.Errorf("after the revocation: code %d, want a refusal", got)
	}
}
