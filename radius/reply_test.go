package radius

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
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
	sent, err := CompileReply([]authn.Attribute{
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
	} {
		got, err := CompileReply([]authn.Attribute{{Name: x.name, Value: x.value}})
		if err != nil || !bytes.Equal(got, unhex(t, x.hex)) {
			t.Errorf("%s %s: % x, %v", x.name, x.value, got, err)
		}
	}
	for _, x := range []struct{ name, value, want string }{
		{"State", "x", `"State" is not known`}, {"Filter-Id", "", "is empty"}, {"Filter-Id", strings.Repeat("a", 254), "254 octets"},
		{"Class", "0x1", "pairs of hexadecimal digits"}, {"Session-Timeout", "soon", "not a number from 1"}, {"Session-Timeout", "0", "too small"},
		{"Acct-Interim-Interval", "5", "at least 60"}, {"Service-Type", "Frame", "one of its names"}, {"Framed-IP-Address", "::1", "not an IPv4"},
		{"Framed-IPv6-Address", "10.0.0.1", "not an IPv6"}, {"Framed-IPv6-Prefix", "2001:db8::1/64", "not an IPv6 prefix"},
	} {
		_, err := CompileReply([]authn.Attribute{{Name: "Filter-Id", Value: "ok"}, {Name: x.name, Value: x.value}})
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "reply attribute 2") {
			t.Errorf("%s %q: %v", x.name, x.value, err)
		}
	}
	var many []authn.Attribute
	for range 6 {
		many = append(many, authn.Attribute{Name: "Class", Value: strings.Repeat("a", 250)})
	}
	if _, err := CompileReply(many); err == nil || !strings.Contains(err.Error(), "1512 octets") {
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
