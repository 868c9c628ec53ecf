package radius

import (
	"encoding/base64"
	"strings"
	"testing"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
)

func static(password, code string) string {
	return "SCRV1:" + base64.StdEncoding.EncodeToString([]byte(password)) + ":" + base64.StdEncoding.EncodeToString([]byte(code))
}

// TestStaticChallenge: the two fields of an OpenVPN static challenge come apart at clients that send them; everything that
// only looks like them is one text, and a wrong one.
func TestStaticChallenge(t *testing.T) {
	yes, no := true, false
	type fields struct {
		text, code string
		two        bool
	}
	for _, x := range []struct {
		name, profile string
		set           *bool
		sent          string
		want          fields
	}{
		{"openvpn", "openvpn", nil, static("word 12:34", "123456"), fields{"word 12:34", "123456", true}},
		{"opnsense", "opnsense", nil, static("パスワード", "12 34 56"), fields{"パスワード", "12 34 56", true}},
		{"as a test vector writes it", "openvpn", nil, "SCRV1:c2VjcmV0:MTIzNDU2", fields{"secret", "123456", true}},
		{"switched on", "generic", &yes, static("word", "123456"), fields{"word", "123456", true}},
		{"switched off", "openvpn", &no, static("word", "123456"), fields{static("word", "123456"), "", false}},
		{"a gateway that sends none", "asa", nil, static("word", "123456"), fields{static("word", "123456"), "", false}},
		{"one field", "openvpn", nil, "word123456", fields{"word123456", "", false}},
		{"no code", "openvpn", nil, static("word", ""), fields{"word", "", true}},
		{"no password", "openvpn", nil, static("", "123456"), fields{"", "123456", true}},
		{"one field too few", "openvpn", nil, "SCRV1:d29yZA==", fields{"SCRV1:d29yZA==", "", false}},
		{"one field too many", "openvpn", nil, "SCRV1:d29yZA==:MTI=:MTI=", fields{"SCRV1:d29yZA==:MTI=:MTI=", "", false}},
		{"no base64", "openvpn", nil, "SCRV1:word:123456", fields{"SCRV1:word:123456", "", false}},
		{"no padding", "openvpn", nil, "SCRV1:d29yZA:MTI=", fields{"SCRV1:d29yZA:MTI=", "", false}},
		{"stray bits", "openvpn", nil, "SCRV1:d29yZB==:MTI=", fields{"SCRV1:d29yZB==:MTI=", "", false}},
		{"a line break", "openvpn", nil, "SCRV1:d29y\nZA==:MTI=", fields{"SCRV1:d29y\nZA==:MTI=", "", false}},
		{"a NUL", "openvpn", nil, static("a\x00b", "1"), fields{static("a\x00b", "1"), "", false}},
		{"small letters", "openvpn", nil, "scrv1:d29yZA==:MTI=", fields{"scrv1:d29yZA==:MTI=", "", false}},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := gatewayConfig()
			c.Profile, c.StaticChallenge = x.profile, x.set
			r := newRig(t, accept, c)
			r.one(pap(1, x.sent))
			l := r.auth.seen()[0]
			got := fields{string(l.Text.Reveal()), string(l.Code.Reveal()), l.HasCode}
			if got != x.want {
				t.Errorf("got %+v, want %+v", got, x.want)
			}
		})
	}
}

// TestPasswordEncoding: octets that are UTF-8 stay, others are read by the client's character set, and what is no text of
// it either stays too.
func TestPasswordEncoding(t *testing.T) {
	for _, x := range []struct{ encoding, sent, want string }{
		{"", "gr\xfc\xdfe123456", "gr\xfc\xdfe123456"},
		{"iso-8859-1", "gr\xfc\xdfe123456", "grüße123456"},
		{"iso-8859-1", "grüße123456", "grüße123456"},
		{"iso-8859-1", "plain", "plain"},
		{"windows-1252", "\x80\xe9t\xe9", "€été"},
		{"windows-1252", "\x81\xe9", "\x81\xe9"},
		{"shift_jis", "\x83p\x83X\x83\x8f\x81[\x83h123456", "パスワード123456"},
		{"shift_jis", "パスワード123456", "パスワード123456"},
		{"shift_jis", "\x83", "\x83"},
		{"euc-jp", "\xa5\xd1\xa5\xb9\xa5\xef\xa1\xbc\xa5\xc9123456", "パスワード123456"},
	} {
		c := gatewayConfig()
		c.PasswordEncoding = x.encoding
		r := newRig(t, accept, c)
		r.one(pap(1, x.sent))
		if got := string(r.auth.seen()[0].Text.Reveal()); got != x.want {
			t.Errorf("%s: %q became %q, want %q", x.encoding, x.sent, got, x.want)
		}
	}
	c := gatewayConfig()
	c.Profile, c.PasswordEncoding = "openvpn", "iso-8859-1"
	r := newRig(t, accept, c)
	r.one(pap(1, static("gr\xfc\xdfe", "123456")))
	if l := r.auth.seen()[0]; string(l.Text.Reveal()) != "grüße" || string(l.Code.Reveal()) != "123456" {
		t.Errorf("the fields became %q and %q", l.Text.Reveal(), l.Code.Reveal())
	}
	c.MessageAuthenticator = "off"
	r = newRig(t, accept, c)
	r.one(unsigned(papPacket(1, "gr\xfc\xdfe89abcdef012")))
	if strings.Contains(r.log.String(), "probably wrong shared secret") {
		t.Error("a password of the declared character set is taken for the output of a wrong secret")
	}
}

// TestNoLogins: what asks for something else than a login is answered with Access-Reject before anybody is looked for, and
// a health check writes no line.
func TestNoLogins(t *testing.T) {
	typed := func(v uint32) func(*layeh.Packet) {
		return func(p *layeh.Packet) { must(rfc2865.ServiceType_Add(p, rfc2865.ServiceType(v))) }
	}
	named := func(name string) func(*layeh.Packet) {
		return func(p *layeh.Packet) { must(rfc2865.UserName_SetString(p, name)) }
	}
	for _, x := range []struct {
		name   string
		change func(*layeh.Packet)
		login  bool
		log    string
	}{
		{"access list", func(p *layeh.Packet) {
			named("#ACSACL#-IP-staff-4f2b1c9d")(p)
			p.Add(attrVendorSpecific, ciscoPair("aaa:service=vpn"))
			p.Add(attrVendorSpecific, ciscoPair("aaa:event=acl-download"))
		}, false, "access list"},
		{"authorise only", typed(serviceAuthorizeOnly), false, "Authorize-Only"},
		{"authorise only with a State", func(p *layeh.Packet) { typed(serviceAuthorizeOnly)(p); p.Add(attrState, []byte("x")) }, false, "Authorize-Only"},
		{"call check", typed(serviceCallCheck), false, "Call-Check"},
		{"health check", named("radius-probe"), false, ""},
		{"health check in capitals", named("RADIUS-Probe"), false, ""},
		{"nearly a health check", named("radius-probe2"), true, ""},
		{"a login of another service type", typed(8), true, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := gatewayConfig()
			c.Profile, c.ProbeUsers, c.Challenge = "asa", []string{"radius-probe"}, "none"
			r := newRig(t, accept, c)
			p := papPacket(1, "secret code")
			x.change(p)
			b := signed(p)
			want := AccessReject
			if x.login {
				want = AccessAccept
			}
			reply := checkReply(t, b, r.one(b), testSecret, want)
			if !x.login && len(reply.Attributes) != 1 {
				t.Errorf("the refusal says more than another one: %v", reply.Attributes)
			}
			if got := len(r.auth.seen()) == 1; got != x.login {
				t.Errorf("a login: %v", got)
			}
			if log := r.log.String(); !strings.Contains(log, x.log) || x.log == "" && strings.Contains(log, "level=WARN") {
				t.Errorf("the log says\n%s", log)
			}
			r.wantFault(noFault)
		})
	}
	c := gatewayConfig()
	c.ProbeUsers = []string{"nemo"}
	r := newRig(t, accept, c)
	p := newRequestPacket(1, testSecret)
	p.Add(attrEAPMessage, []byte{2, 9, 0, 9, 1, 'n', 'e', 'm', 'o'})
	b := signed(p)
	reply := checkReply(t, b, r.one(b), testSecret, AccessReject)
	if eap := reply.Get(attrEAPMessage); len(eap) != 4 || eap[0] != 4 || eap[1] != 9 {
		t.Errorf("a probe by EAP got %x", eap)
	}
}

// ciscoPair is the value of a Vendor-Specific attribute with one Cisco-AVPair.
func ciscoPair(text string) layeh.Attribute {
	return vendorValue(vendorCisco, ciscoAVPair, []byte(text))
}

func vendorValue(vendor uint32, typ byte, value []byte) layeh.Attribute {
	return append(layeh.Attribute{byte(vendor >> 24), byte(vendor >> 16), byte(vendor >> 8), byte(vendor), typ, byte(len(value) + 2)}, value...)
}

// FuzzStaticChallenge: whatever comes apart goes together again.
func FuzzStaticChallenge(f *testing.F) {
	f.Add([]byte(static("word", "123456")))
	f.Add([]byte("SCRV1::"))
	f.Add([]byte("SCRV1:d29y\nZA==:MTI="))
	f.Fuzz(func(t *testing.T, text []byte) {
		password, code, ok := splitStatic(text)
		if ok && static(string(password), string(code)) != string(text) {
			t.Errorf("%q became %q and %q", text, password, code)
		}
		c := client{twoFields: true}
		var l authn.Login
		c.typed(&l, text)
		if !ok && string(l.Text.Reveal()) != string(text) {
			t.Error("one text was changed")
		}
	})
}
