package radius

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc3162"
	"layeh.com/radius/rfc6911"
	"layeh.com/radius/vendors/microsoft"
	"layeh.com/radius/vendors/mikrotik"

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

// TestRepliesAgainstLayeh compares encoded attributes with those of a library that was generated from other dictionaries.
func TestRepliesAgainstLayeh(t *testing.T) {
	p := layeh.New(layeh.CodeAccessAccept, []byte("x"))
	ip := net.IPv4(10, 0, 0, 53)
	must(rfc2865.Class_SetString(p, "OU=staff;"))
	must(rfc2865.FramedProtocol_Set(p, rfc2865.FramedProtocol_Value_PPP))
	must(rfc2865.FramedIPNetmask_Set(p, net.IPv4(255, 255, 255, 0)))
	must(rfc2868.TunnelType_Set(p, 1, rfc2868.TunnelType_Value_L2TP))
	must(rfc2868.TunnelPrivateGroupID_SetString(p, 1, "7"))
	must(rfc3162.FramedInterfaceID_Set(p, net.HardwareAddr{0, 1, 0, 2, 0, 3, 0, 4}))
	must(rfc6911.DNSServerIPv6Address_Set(p, net.ParseIP("2001:db8::53")))
	must(microsoft.MSPrimaryDNSServer_Set(p, ip))
	must(microsoft.MSSecondaryNBNSServer_Set(p, ip))
	must(mikrotik.MikrotikRateLimit_SetString(p, "5M/10M"))
	must(mikrotik.MikrotikAddressList_SetString(p, "vpn-sales"))
	must(mikrotik.MikrotikTotalLimitGigawords_Set(p, 3))
	want, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := CompileReply(dictionary.New(), []authn.Attribute{
		{Name: "Class", Value: "OU=staff;"}, {Name: "Framed-Protocol", Value: "PPP"}, {Name: "Framed-IP-Netmask", Value: "255.255.255.0"},
		{Name: "Tunnel-Type:1", Value: "L2TP"}, {Name: "Tunnel-Private-Group-Id:1", Value: "7"}, {Name: "Framed-Interface-Id", Value: "1:2:3:4"},
		{Name: "DNS-Server-IPv6-Address", Value: "2001:db8::53"}, {Name: "MS-Primary-DNS-Server", Value: "10.0.0.53"},
		{Name: "MS-Secondary-NBNS-Server", Value: "10.0.0.53"}, {Name: "Mikrotik-Rate-Limit", Value: "5M/10M"},
		{Name: "Mikrotik-Address-List", Value: "vpn-sales"}, {Name: "Mikrotik-Total-Limit-Gigawords", Value: "3"},
	})
	if err != nil || !bytes.Equal(got, want[headerLen:]) {
		t.Errorf("ours % x (%v), theirs % x", got, err, want[headerLen:])
	}
}

// TestBanner: one text becomes the two attributes of an ASA, cut between two characters.
func TestBanner(t *testing.T) {
	for text, parts := range map[string]int{
		"short": 1, strings.Repeat("a", 247): 1, strings.Repeat("a", 248): 2, strings.Repeat("a", 494): 2,
		strings.Repeat("番", 82): 1, strings.Repeat("番", 164): 2, strings.Repeat("番", 165): 0, strings.Repeat("a", 495): 0,
	} {
		b, err := CompileReply(dictionary.New(), []authn.Attribute{{Name: "ASA-Banner", Value: text}})
		var got string
		n := 0
		for rest := b; len(rest) > 0; rest = rest[rest[1]:] {
			part := string(rest[8:rest[1]])
			if number := []byte{15, 36}[n]; rest[6] != number || !utf8.ValidString(part) {
				t.Errorf("%.10s: part %d is attribute %d, %.10q", text, n, rest[6], part)
			}
			got += part
			n++
		}
		if n != parts || (err == nil) != (parts > 0) || err == nil && got != text {
			t.Errorf("%.10s, %d octets: %d parts, %v", text, len(text), n, err)
		}
	}
}

// TestOnlyWhatTheGatewayTakes: a vendor's attributes go to gateways of a profile that takes them, a site's own to all.
func TestOnlyWhatTheGatewayTakes(t *testing.T) {
	own := filepath.Join(t.TempDir(), "dictionary.acme")
	if err := os.WriteFile(own, []byte("VENDOR Acme 99999\nBEGIN-VENDOR Acme\nATTRIBUTE Acme-Role 1 string\nEND-VENDOR Acme\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Config{Dictionaries: []string{own}}.Dictionary()
	if err != nil {
		t.Fatal(err)
	}
	list := []authn.Attribute{{Name: "Class", Value: "a"}, {Name: "Service-Type", Value: "Login-User"}, {Name: "ASA-Group-Policy", Value: "a"},
		{Name: "Fortinet-Group-Name", Value: "a"}, {Name: "Acme-Role", Value: "a"}, {Name: "MS-Primary-DNS-Server", Value: "10.0.0.53"},
		{Name: "Service-Type", Value: "Framed-User"}}
	for profile, want := range map[string]string{
		"generic":   "Class Service-Type ASA-Group-Policy Fortinet-Group-Name Acme-Role MS-Primary-DNS-Server Service-Type=2",
		"asa":       "Class Service-Type ASA-Group-Policy Acme-Role MS-Primary-DNS-Server Service-Type=2",
		"fortigate": "Class Service-Type Fortinet-Group-Name Acme-Role Service-Type=2",
		"ocserv":    "Class Acme-Role MS-Primary-DNS-Server Service-Type=2",
	} {
		info := ClientInfo{Profile: profile}
		var sent []string
		for i, a := range list {
			b, err := CompileReply(d, []authn.Attribute{a})
			if err != nil {
				t.Fatal(err)
			}
			out := appendReply(nil, b, profiles[profile].taken())
			if info.LeavesOut(d, a) != (len(out) == 0) {
				t.Errorf("%s %s: LeavesOut and the wire disagree", profile, a.Name)
			}
			if len(out) > 0 && i == len(list)-1 {
				a.Name += "=2"
			}
			if len(out) > 0 {
				sent = append(sent, a.Name)
			}
		}
		if got := strings.Join(sent, " "); got != want {
			t.Errorf("%s gets %s, want %s", profile, got, want)
		}
	}
	if !(ClientInfo{Profile: "fortigate"}).LeavesOut(d, authn.Attribute{Name: "ASA-Group-Policy", Value: "${user}"}) {
		t.Error("a value of the user hides the vendor")
	}
	for name, p := range profiles {
		for _, v := range p.vendors {
			if _, ok := dictionary.BuiltInVendor(v); !ok {
				t.Errorf("profile %s: vendor %q is in no dictionary", name, v)
			}
		}
	}
}

// FuzzCompileReply: any name and value give a fault or attributes that layeh's package can read, within every bound.
func FuzzCompileReply(f *testing.F) {
	for _, a := range dictionary.New().All() {
		f.Add(a.Name, "1")
	}
	f.Add("ASA-Banner", strings.Repeat("番", 100))
	f.Add("Tunnel-Type:1", "VLAN")
	f.Add("Class", "0x00")
	f.Add("Framed-Interface-Id", "1:2:3:4%a")
	d := dictionary.New()
	f.Fuzz(func(t *testing.T, name, value string) {
		b, err := CompileReply(d, []authn.Attribute{{Name: name, Value: value}})
		if err != nil {
			if b != nil {
				t.Fatal("a fault with attributes")
			}
			return
		}
		attrs, err := layeh.ParseAttributes(b)
		if err != nil || len(attrs) == 0 || len(attrs) > 2 || len(b) > maxReply {
			t.Fatalf("%s=%q: % x, %v", name, value, b, err)
		}
		if known, err := ReplyName(d, name); err != nil || !strings.EqualFold(known, name) && !strings.Contains(name, ":") {
			t.Fatalf("%q is called %q (%v)", name, known, err)
		}
		for _, a := range attrs {
			lines := d.Describe(uint8(a.Type), a.Attribute)
			if base, _, _ := strings.Cut(name, ":"); len(lines) != 1 || !strings.HasPrefix(strings.ToLower(lines[0]), strings.ToLower(base)) {
				t.Fatalf("%s=%q is described as %q", name, value, lines)
			}
		}
		appendReply(nil, b, profiles["ocserv"].taken())
	})
}
