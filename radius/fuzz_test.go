package radius

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
)

// FuzzPacket reads octets with this package and with layeh's, and plays them against a server.
//
// Allowed differences: this package also refuses codes that no port takes, attributes of type 0, more than 200 of them and
// Message-Authenticators of a wrong form; layeh's refuses nothing that is taken here.
func FuzzPacket(f *testing.F) {
	for _, s := range []string{rfcPAP, rfcCHAP, rfcFirst, rfcSecond, rfcStatusAuth, rfcStatusAcct} {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		must(err)
		f.Add(b)
	}
	f.Add(pap(1, "secret code"))
	f.Add(rawZeroLength(pap(1, "x")))
	f.Add(rawAttr(pap(1, "x"), attrVendorSpecific, []byte{0, 0, 1, 55, 25, 0}))
	c := gatewayConfig()
	c.MessageAuthenticator = "off"
	r := newRig(f, accept, c)
	f.Fuzz(func(t *testing.T, b []byte) {
		orig := bytes.Clone(b)
		p, fault := parse(b, func(c Code) bool { return authPort.takes(c) || acctPort.takes(c) })
		theirs, err := layeh.Parse(b, []byte(testSecret))
		if !bytes.Equal(b, orig) {
			t.Fatal("parse changed the packet")
		}
		switch fault {
		case noFault:
			if err != nil {
				t.Fatalf("taken here, refused by layeh: %v", err)
			}
			compare(t, &p, theirs)
		case faultLength, faultAttribute:
			// layeh's takes an attribute of type 0 and reads no further than the first fault either.
			if err == nil && !hasTypeZero(theirs) {
				t.Fatalf("%v, but taken by layeh", fault)
			}
		}
		from := netip.AddrPortFrom(gateway.Addr(), uint16(len(b)))
		for on := range port(2) {
			r.deliverFrom(on, b, from)
		}
		if got := parseSafely(p, fault); got != nil && len(got.Raw) != len(p.attributes()) {
			t.Fatal("a record lost attributes")
		}
		r.out.sent, r.out.at = nil, nil
		r.auth.logins, r.auth.dones, r.store.saved, r.store.dones = nil, nil, nil, nil
	})
}

func hasTypeZero(p *layeh.Packet) bool {
	_, ok := p.Lookup(0)
	return ok
}

func parseSafely(p packet, f fault) *authn.Session {
	if f != noFault {
		return nil
	}
	s, _ := parseSession(p.attributes(), time.Now())
	return s
}

// compare holds what both implementations read against each other.
func compare(t *testing.T, p *packet, theirs *layeh.Packet) {
	t.Helper()
	if int(p.code) != int(theirs.Code) || p.id != theirs.Identifier || !bytes.Equal(p.authenticator(), theirs.Authenticator[:]) {
		t.Fatal("the headers differ")
	}
	for typ, ours := range map[layeh.Type][]byte{attrUserName: p.name, attrState: p.state, attrUserPassword: p.password, attrCallingStation: p.station} {
		if want, ok := theirs.Lookup(typ); ok != (ours != nil) || !bytes.Equal(want, ours) {
			t.Fatalf("attribute %d is % x here and % x there", typ, ours, []byte(want))
		}
	}
	if n := len(p.password); n >= 16 && n <= 128 && n%16 == 0 && !p.repeated {
		var room [128]byte
		text, _, _ := bytes.Cut(newSharedSecret([]byte(testSecret)).reveal(&room, p.authenticator(), p.password), []byte{0})
		if want := rfc2865.UserPassword_Get(theirs); !bytes.Equal(text, want) {
			t.Fatalf("password %q here and %q there", text, want)
		}
	}
	proxies := 0
	for _, a := range theirs.Attributes {
		if a.Type == attrProxyState {
			proxies += 2 + len(a.Attribute)
		}
	}
	if proxies != p.proxyState || len(p.appendProxyState(nil)) != proxies {
		t.Fatalf("%d octets of Proxy-State here, %d there", p.proxyState, proxies)
	}
}
