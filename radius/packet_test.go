package radius

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
)

// TestDiscards goes through the receive table: each packet gets silence, is counted once and explained once.
func TestDiscards(t *testing.T) {
	good := pap(1, "secret code")
	with := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	many := func(n int) []byte {
		p := papPacket(1, "x")
		for range n - 3 { // User-Name, User-Password, Message-Authenticator
			p.Add(rfc2865.CallbackNumber_Type, layeh.Attribute("1"))
		}
		return signed(p)
	}
	signedWith := func(f func(p *layeh.Packet)) []byte {
		p := papPacket(1, "x")
		f(p)
		return signed(p)
	}
	for _, x := range []struct {
		name    string
		on      port
		packet  []byte
		fault   fault
		counter counter
	}{
		{"19 octets", authPort, good[:19], faultLength, countMalformed},
		{"nothing", authPort, nil, faultLength, countMalformed},
		{"Length 19", authPort, with(func(b []byte) []byte { b[2], b[3] = 0, 19; return b }), faultLength, countMalformed},
		{"Length beyond the datagram", authPort, with(func(b []byte) []byte { b[3]++; return b }), faultLength, countMalformed},
		{"Length 4097", authPort, with(func(b []byte) []byte {
			b = append(b, make([]byte, 5000)...)
			binary.BigEndian.PutUint16(b[2:], 4097)
			return b
		}), faultLength, countMalformed},
		{"accounting on the port for logins", authPort, with(func(b []byte) []byte { b[0] = 4; return b }), faultCode, countUnknownTypes},
		{"login on the port for accounting", acctPort, good, faultCode, countUnknownTypes},
		{"an Accept", authPort, with(func(b []byte) []byte { b[0] = 2; return b }), faultCode, countUnknownTypes},
		{"attribute of length 0", authPort, rawZeroLength(good), faultAttribute, countMalformed},
		{"attribute of length 1", authPort, with(func(b []byte) []byte { b[headerLen+1] = 1; return b }), faultAttribute, countMalformed},
		{"attribute over the end", authPort, with(func(b []byte) []byte {
			b = rawAttr(b, 30, []byte("abc"))
			b[len(b)-4]++
			return b
		}), faultAttribute, countMalformed},
		{"half an attribute", authPort, with(func(b []byte) []byte {
			b = append(b, 30)
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
			return b
		}), faultAttribute, countMalformed},
		{"attribute of type 0", authPort, rawAttr(good, 0, []byte("abc")), faultAttribute, countMalformed},
		{"201 attributes", authPort, many(201), faultTooMany, countMalformed},
		{"short Message-Authenticator", authPort, rawAttr(unsigned(papPacket(1, "x")), attrMessageAuth, make([]byte, 15)), faultMessageAuthForm, countMalformed},
		{"two Message-Authenticators", authPort, rawAttr(good, attrMessageAuth, make([]byte, 16)), faultMessageAuthForm, countMalformed},
		{"no Message-Authenticator", authPort, unsigned(papPacket(1, "x")), faultMessageAuthMissing, countDropped},
		{"wrong Message-Authenticator", authPort, with(func(b []byte) []byte { b[headerLen+2] ^= 1; return b }), faultMessageAuthWrong, countBadAuthenticators},
		{"changed after signing", authPort, with(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), faultMessageAuthWrong, countBadAuthenticators},
		{"other secret", authPort, signed(newRequestPacket(1, "something else")), faultMessageAuthWrong, countBadAuthenticators},
		{"accounting without authenticator", acctPort, rawAttr(append([]byte{4, 1, 0, 20}, make([]byte, 16)...), attrAcctStatusType, []byte{0, 0, 0, 1}), faultAuthenticator, countBadAuthenticators},
		{"PAP and CHAP", authPort, signedWith(func(p *layeh.Packet) { p.Add(attrCHAPPassword, make([]byte, 17)) }), faultSeveralPasswords, countMalformed},
		{"PAP and EAP", authPort, signedWith(func(p *layeh.Packet) { p.Add(attrEAPMessage, []byte{2, 1, 0, 4}) }), faultSeveralPasswords, countMalformed},
		{"PAP and MS-CHAPv2", authPort, signedWith(func(p *layeh.Packet) {
			p.Add(attrVendorSpecific, append([]byte{0, 0, 1, 55, 25, 52}, make([]byte, 50)...))
		}), faultSeveralPasswords, countMalformed},
		{"two names", authPort, signedWith(func(p *layeh.Packet) { p.Add(attrUserName, []byte("dory")) }), faultRepeated, countMalformed},
		{"two States", authPort, signedWith(func(p *layeh.Packet) { p.Add(attrState, []byte("a")); p.Add(attrState, []byte("b")) }), faultRepeated, countMalformed},
		{"neither password nor State", authPort, signed(newRequestPacket(1, testSecret)), faultNoPassword, countMalformed},
		{"no name", authPort, signedWith(func(p *layeh.Packet) { p.Del(attrUserName) }), faultNoName, countMalformed},
		{"Status-Server without Message-Authenticator", authPort, append([]byte{12, 1, 0, 20}, make([]byte, 16)...), faultMessageAuthMissing, countDropped},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t, accept)
			r.none(x.on, x.packet)
			r.wantFault(x.fault)
			if n := r.client().counts[x.on][x.counter].Load(); n != 1 {
				t.Errorf("%s counted %d times", columns[x.counter].auth, n)
			}
			if len(r.auth.seen()) != 0 {
				t.Error("it reached the Authenticator")
			}
			if len(r.cache.entries) != 0 {
				t.Error("it reached the reply cache")
			}
			r.none(x.on, x.packet)
			if n := strings.Count(r.log.String(), faults[x.fault].text); n != 1 {
				t.Errorf("explained %d times:\n%s", n, r.log)
			}
		})
	}
	t.Run("200 attributes", func(t *testing.T) { newRig(t, accept).one(many(200)) })
}

// rawZeroLength makes the last attribute one of length 0, where a careless reader would spin.
func rawZeroLength(b []byte) []byte {
	b = append(bytes.Clone(b), 30, 0)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func TestUnknownClient(t *testing.T) {
	r := newRig(t, accept)
	for range 3 {
		if got := r.deliverFrom(authPort, pap(1, "x"), netip.MustParseAddrPort("198.51.100.9:1000")); len(got) != 0 {
			t.Fatal("an unknown client got an answer")
		}
	}
	if r.unknown.Load() != 3 {
		t.Errorf("counted %d", r.unknown.Load())
	}
	if n := strings.Count(r.log.String(), "198.51.100.9"); n != 1 {
		t.Errorf("mentioned %d times", n)
	}
}

func TestPaddingIsCut(t *testing.T) {
	r := newRig(t, accept)
	b := pap(1, "secret code")
	checkReply(t, b, r.one(append(bytes.Clone(b), "padding"...)), testSecret, AccessAccept)
	if got := r.auth.seen()[0].Packet; !bytes.Equal(got, b) {
		t.Errorf("the login's packet has %d octets instead of %d", len(got), len(b))
	}
	acct := acctPacket(t, 1, func(*layeh.Packet) {})
	if got := r.deliver(acctPort, append(bytes.Clone(acct), 0, 0, 0)); len(got) != 1 {
		t.Error("padded accounting got no answer")
	}
}

// TestLenience holds what must not be refused.
func TestLenience(t *testing.T) {
	for name, change := range map[string]func(p *layeh.Packet){
		"unknown attribute":           func(p *layeh.Packet) { p.Add(250, []byte("?")) },
		"unknown vendor":              func(p *layeh.Packet) { p.Add(attrVendorSpecific, []byte{0, 1, 2, 3, 9, 9, 9}) },
		"vendor attribute too short":  func(p *layeh.Packet) { p.Add(attrVendorSpecific, []byte{0, 0}) },
		"broken Microsoft attribute":  func(p *layeh.Packet) { p.Add(attrVendorSpecific, []byte{0, 0, 1, 55, 25, 200, 1}) },
		"NAS-IP-Address of 3 octets":  func(p *layeh.Packet) { p.Add(attrNASIPAddress, []byte{1, 2, 3}) },
		"Service-Type of 1 octet":     func(p *layeh.Packet) { p.Add(attrServiceType, []byte{17}) },
		"empty name":                  func(p *layeh.Packet) { p.Set(attrUserName, nil) },
		"name with NUL and bad UTF-8": func(p *layeh.Packet) { p.Set(attrUserName, []byte("a\x00\xff")) },
		"two Calling-Station-Ids": func(p *layeh.Packet) {
			p.Add(attrCallingStation, []byte("198.51.100.1"))
			p.Add(attrCallingStation, []byte("198.51.100.2"))
		},
		"Proxy-State with Message-Authenticator": func(p *layeh.Packet) { p.Add(attrProxyState, []byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			p := papPacket(1, "secret code")
			change(p)
			b := signed(p)
			r := newRig(t, accept)
			checkReply(t, b, r.one(b), testSecret, AccessAccept)
		})
	}
	t.Run("Message-Authenticator last", func(t *testing.T) {
		b := rawAttr(unsigned(papPacket(1, "x")), attrMessageAuth, make([]byte, 16))
		b = sign(b, testSecret, len(b)-16)
		r := newRig(t, accept)
		checkReply(t, b, r.one(b), testSecret, AccessAccept)
	})
	t.Run("State instead of a name", func(t *testing.T) {
		p := papPacket(1, "x")
		p.Del(attrUserName)
		p.Add(attrState, []byte("abc"))
		r := newRig(t, accept)
		r.one(signed(p))
		if l := r.auth.seen()[0]; l.Name != nil || string(l.State) != "abc" {
			t.Errorf("name %q, State %q", l.Name, l.State)
		}
	})
}

func TestPasswords(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 8)
	for name, x := range map[string]struct{ sent, want string }{
		"short": {"a", "a"}, "16": {long[:16], long[:16]}, "17": {long[:17], long[:17]}, "128": {long, long},
		"cut at NUL": {"abc\x00garbage", "abc"}, "empty": {"\x00\x00", ""}, "Latin-1": {"gr\xfc\xdfe", "gr\xfc\xdfe"},
		"full width": {"１２３４５６", "１２３４５６"}, "blanks": {" 012 345 ", " 012 345 "},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, accept)
			r.one(pap(1, x.sent))
			if got := string(r.auth.seen()[0].Text.Reveal()); got != x.want {
				t.Errorf("got %q", got)
			}
		})
	}
	for _, n := range []int{0, 1, 15, 17, 129, 130, 144, 240} {
		// A person can type what is too long. Silence would make the gateway believe that this server is dead.
		r := newRig(t, accept)
		p := newRequestPacket(1, testSecret)
		p.Add(attrUserPassword, bytes.Repeat([]byte{7}, n))
		b := signed(p)
		checkReply(t, b, r.one(b), testSecret, AccessReject)
		if len(r.auth.seen()) != 0 {
			t.Errorf("%d octets reached the Authenticator", n)
		}
		if !strings.Contains(r.log.String(), "User-Password is not 16, 32") {
			t.Errorf("%d octets are not explained: %s", n, r.log)
		}
	}
}

func TestMethods(t *testing.T) {
	for name, x := range map[string]struct {
		typ    layeh.Type
		value  []byte
		method authn.Method
	}{
		"CHAP":      {attrCHAPPassword, make([]byte, 17), authn.CHAP},
		"MS-CHAP":   {attrVendorSpecific, slices.Concat([]byte{0, 0, 1, 55, 11, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 52}, make([]byte, 50)), authn.MSCHAP},
		"MS-CHAPv2": {attrVendorSpecific, slices.Concat([]byte{0, 0, 1, 55, 25, 52}, make([]byte, 50)), authn.MSCHAP},
		"EAP":       {attrEAPMessage, []byte{2, 77, 0, 5, 1}, authn.EAP},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(*authn.Login) authn.Decision {
				return authn.Decision{Verdict: authn.Reject, Reason: authn.MethodNotTaken, Message: "no"}
			})
			p := newRequestPacket(1, testSecret)
			p.Add(x.typ, x.value)
			b := signed(p)
			reply := checkReply(t, b, r.one(b), testSecret, AccessReject)
			if l := r.auth.seen()[0]; l.Method != x.method || l.Text.Len() != 0 {
				t.Errorf("method %v with %d octets", l.Method, l.Text.Len())
			}
			eap, hasEAP := reply.Lookup(attrEAPMessage)
			_, hasText := reply.Lookup(attrReplyMessage)
			if x.method == authn.EAP {
				if !hasEAP || !bytes.Equal(eap, []byte{4, 77, 0, 4}) || hasText {
					t.Errorf("EAP-Failure % x, Reply-Message %v", []byte(eap), hasText)
				}
			} else if hasEAP || !hasText {
				t.Errorf("EAP-Message %v, Reply-Message %v", hasEAP, hasText)
			}
		})
	}
}

// TestRefusedHere holds what is a refusal without anybody being asked.
func TestRefusedHere(t *testing.T) {
	for name, change := range map[string]func(p *layeh.Packet){
		"authorize only": func(p *layeh.Packet) { p.Add(attrServiceType, []byte{0, 0, 0, 17}) },
		"ARAP":           func(p *layeh.Packet) { p.Del(attrUserPassword); p.Add(attrARAPPassword, make([]byte, 16)) },
		"access list": func(p *layeh.Packet) {
			p.Add(attrVendorSpecific, append([]byte{0, 0, 0, 9, 1, byte(2 + len(ciscoACLProbeText))}, ciscoACLProbeText...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, accept)
			p := papPacket(1, "x")
			change(p)
			b := signed(p)
			checkReply(t, b, r.one(b), testSecret, AccessReject)
			if len(r.auth.seen()) != 0 {
				t.Error("it reached the Authenticator")
			}
		})
	}
}
