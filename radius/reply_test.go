package radius

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
	"sekisho/radius/dictionary"
)

func TestChallenge(t *testing.T) {
	c := gatewayConfig()
	c.Challenge = "plain"
	d := authn.Decision{Verdict: authn.Challenge, State: []byte("c3RhdGU"), Message: "番号を入力 / Enter the code"}
	r := newRig(t, func(*authn.Login) authn.Decision { return d }, c)
	b := pap(1, "x")
	reply := checkReply(t, b, r.one(b), testSecret, AccessChallenge)
	if rfc2865.State_GetString(reply) != "c3RhdGU" || rfc2865.ReplyMessage_GetString(reply) != d.Message {
		t.Errorf("State %q, Reply-Message %q", rfc2865.State_GetString(reply), rfc2865.ReplyMessage_GetString(reply))
	}
	d.Message = ""
	b = pap(2, "x")
	reply = checkReply(t, b, r.one(b), testSecret, AccessChallenge)
	if got := rfc2865.ReplyMessage_GetString(reply); got != authn.DefaultPrompts.First {
		t.Errorf("an empty question became %q", got)
	}
	d.State = nil
	r.none(authPort, pap(3, "x"))

	d.State = []byte("c3RhdGU")
	r = newRig(t, func(*authn.Login) authn.Decision { return d })
	b = pap(1, "x")
	checkReply(t, b, r.one(b), testSecret, AccessReject) // this gateway cannot ask
}

func TestAcceptCarriesReply(t *testing.T) {
	sent, err := CompileReply(dictionary.New(), []authn.Attribute{
		{Name: "Class", Value: "OU=staff;"}, {Name: "Filter-Id", Value: "inside"}, {Name: "Framed-IP-Address", Value: "10.0.0.5"},
		{Name: "Session-Timeout", Value: "28800"}, {Name: "Service-Type", Value: "Login-User"}, {Name: "Reply-Message", Value: "ようこそ"},
	})
	if err != nil {
		t.Fatal(err)
	}
	decide := func(*authn.Login) authn.Decision { return authn.Decision{Verdict: authn.Accept, Reply: sent} }
	p := papPacket(1, "x")
	p.Add(attrProxyState, []byte("first"))
	p.Add(attrProxyState, []byte("second"))
	b := signed(p)
	r := newRig(t, decide)
	reply := checkReply(t, b, r.one(b), testSecret, AccessAccept)
	var order []string
	for _, a := range reply.Attributes {
		if a.Type == attrProxyState {
			order = append(order, string(a.Attribute))
		}
	}
	if rfc2865.Class_GetString(reply) != "OU=staff;" || rfc2865.FilterID_GetString(reply) != "inside" ||
		rfc2865.FramedIPAddress_Get(reply).String() != "10.0.0.5" || rfc2865.SessionTimeout_Get(reply) != 28800 ||
		rfc2865.ServiceType_Get(reply) != rfc2865.ServiceType_Value_LoginUser || rfc2865.ReplyMessage_GetString(reply) != "ようこそ" ||
		strings.Join(order, " ") != "first second" {
		t.Errorf("answer %v", reply.Attributes)
	}
	if bytes.Contains(r.out.all()[0], []byte("nemo")) {
		t.Error("the answer repeats what the request said")
	}

	oc := gatewayConfig()
	oc.Profile = "ocserv"
	r = newRig(t, decide, oc)
	reply = checkReply(t, b, r.one(b), testSecret, AccessAccept)
	if _, has := reply.Lookup(attrServiceType); has {
		t.Error("ocserv got a Service-Type other than Framed")
	}
}

func TestTextIsCutBetweenRunes(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("a", 253), strings.Repeat("a", 254), strings.Repeat("番", 200),
		strings.Repeat("a", 252) + "é" + strings.Repeat("𠮷", 100), strings.Repeat("b", 5000), strings.Repeat("\xbf", 600)} {
		b := appendText(nil, text)
		var got string
		for rest := b; len(rest) > 0; rest = rest[rest[1]:] {
			part := string(rest[2:rest[1]])
			if rest[0] != attrReplyMessage || part == "" {
				t.Fatalf("attribute % x", rest[:2])
			}
			if utf8.ValidString(text) && !utf8.ValidString(part) {
				t.Errorf("%.10q was cut inside a rune", text)
			}
			got += part
		}
		if want := text; got != want && (len(got) < maxMessage-8 || !strings.HasPrefix(want, got)) {
			t.Errorf("%.10q: %d octets of %d came out", text, len(got), len(want))
		}
	}
}

// TestReplySize: Proxy-State is the gateway's, but the answer stays within 4096 octets or is not sent.
func TestReplySize(t *testing.T) {
	for n, want := range map[int]bool{15: true, 16: false} {
		r := newRig(t, func(*authn.Login) authn.Decision {
			return authn.Decision{Verdict: authn.Reject, Message: strings.Repeat("a", 240)}
		})
		p := newRequestPacket(1, testSecret)
		must(rfc2865.UserPassword_SetString(p, "x"))
		for range n {
			p.Add(attrProxyState, bytes.Repeat([]byte("p"), 243))
		}
		b := signed(p)
		if got := r.deliver(authPort, b); (len(got) == 1) != want {
			t.Errorf("%d Proxy-States: %d answers", n, len(got))
		}
		if !want {
			r.wantFault(faultReplySize)
		}
	}
}

func TestCompileReply(t *testing.T) {
	for _, x := range []struct{ name, value, hex string }{
		{"Class", "OU=a;", "19074f553d613b"}, {"class", "0x00ff", "190400ff"}, {"Session-Timeout", "60", "1b060000003c"},
		{"Service-Type", "Framed-User", "060600000002"}, {"Service-Type", "2", "060600000002"}, {"Framed-Protocol", "ppp", "070600000001"},
		{"Framed-IP-Address", "10.1.2.3", "08060a010203"}, {"Framed-IPv6-Prefix", "2001:db8::/64", "610c00402001 0db800000000"},
		{"Framed-IPv6-Address", "2001:db8::1", "a81220010db8000000000000000000000001"},
		{"Framed-Interface-Id", "1:2:3:ff", "600a00010002000300ff"},
		{"ASA-Group-Policy", "staff", "1a0d 00000c04 1907 7374616666"}, {"Fortinet-Group-Name", "vpn", "1a0b 00003044 0105 76706e"},
		{"PaloAlto-User-Group", "vpn", "1a0b 00006375 0505 76706e"}, {"Mikrotik-Rate-Limit", "1M", "1a0a 00003a8c 0804 314d"},
		{"MS-Primary-DNS-Server", "10.0.0.53", "1a0c 00000137 1c06 0a000035"}, {"Cisco-AVPair", "a=b", "1a0b 00000009 0105 613d62"},
		{"ASA-IPsec-Split-Tunneling-Policy", "split-tunneling", "1a0c 00000c04 3706 00000001"}, {"ASA-Banner", "hi", "1a0a 00000c04 0f04 6869"},
		{"Tunnel-Type:1", "VLAN", "4006 0100000d"}, {"Tunnel-Type", "VLAN", "4006 0000000d"}, {"Tunnel-Medium-Type:31", "IEEE-802", "4106 1f000006"},
		{"Tunnel-Private-Group-Id:1", "7", "5104 0137"}, {"Tunnel-Private-Group-Id", "7", "5103 37"}, {"Route-IPv6-Information", "::/0", "aa04 0000"},
	} {
		got, err := CompileReply(dictionary.New(), []authn.Attribute{{Name: x.name, Value: x.value}})
		if err != nil || !bytes.Equal(got, unhex(t, strings.ReplaceAll(x.hex, " ", ""))) {
			t.Errorf("%s %s: % x, %v", x.name, x.value, got, err)
		}
	}
	for _, x := range []struct{ name, value, want string }{
		{"State", "x", "State: no dictionary"}, {"Filter-Id", "", "is empty"}, {"Filter-Id", strings.Repeat("a", 254), "Filter-Id: has 254 octets; at most 253 fit"},
		{"Class", "0x1", "pairs of hexadecimal digits"}, {"Session-Timeout", "soon", "not a number from 1"}, {"Session-Timeout", "0", "too small"},
		{"Acct-Interim-Interval", "5", "at least 60"}, {"Service-Type", "Frame", "one of its names: Login-User"}, {"Framed-IP-Address", "::1", "not an IPv4"},
		{"Framed-IPv6-Address", "10.0.0.1", "not an IPv6"}, {"Framed-IPv6-Prefix", "2001:db8::1/64", "not an IPv6 prefix"},
		{"Framed-Interface-Id", "1:2:3", "not an interface"}, {"Framed-Interface-Id", "::1", "not an interface"},
		{"ASA-Banner1", strings.Repeat("a", 248), "ASA-Banner1: has 248 octets; at most 247 fit"}, {"asa-banner", strings.Repeat("a", 495), "has 495 octets"},
		{"Tunnel-Type:32", "VLAN", "not a tag"}, {"Tunnel-Type:0", "VLAN", "not a tag"}, {"Class:1", "x", "takes no tag"},
		{"Tunnel-Preference:1", "16777216", "24 bits"}, {"Filter-Id", "a\x00", "control characters"}, {"Filter-Id", "a\xff", "no UTF-8"},
		{"Session-Timeout", "4294967296", "not a number"},
	} {
		_, err := CompileReply(dictionary.New(), []authn.Attribute{{Name: "Filter-Id", Value: "ok"}, {Name: x.name, Value: x.value}})
		if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %q: %v", x.name, x.value, err)
		}
	}
	_, err := CompileReply(dictionary.New(), []authn.Attribute{{Name: "Session-Timeout", Value: "1"}, {Name: "session-timeout", Value: "2"}, {Name: "Tunnel-Type:1", Value: "3"},
		{Name: "Tunnel-Type:2", Value: "3"}, {Name: "Class", Value: "a"}, {Name: "Class", Value: "b"}})
	if err == nil || err.Error() != "session-timeout: comes twice; it is one setting" {
		t.Errorf("twice: %v", err)
	}
	var many []authn.Attribute
	for range 6 {
		many = append(many, authn.Attribute{Name: "Class", Value: strings.Repeat("a", 250)})
	}
	if _, err := CompileReply(dictionary.New(), many); err == nil || !strings.Contains(err.Error(), "1512 octets") {
		t.Errorf("too much: %v", err)
	}
}

// FuzzReplyMessage checks that any text gives attributes that layeh's package can read.
func FuzzReplyMessage(f *testing.F) {
	f.Add("番号を入力")
	f.Add(strings.Repeat("𠮷", 80))
	f.Fuzz(func(t *testing.T, text string) {
		b := appendText(nil, text)
		attrs, err := layeh.ParseAttributes(b)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, a := range attrs {
			got += string(a.Attribute)
		}
		if !strings.HasPrefix(text, got) || len(text) <= maxMessage && got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
