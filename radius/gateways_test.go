package radius

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	layeh "layeh.com/radius"

	"sekisho/authn"
)

const (
	vendorASA       = 3076
	vendorFortinet  = 12356
	vendorMS        = 311
	personsAddress  = "198.51.100.7"
	passwordAndCode = "word 12:34123456"
)

// sentBy makes a packet as a gateway sends it: its attributes in its order, nothing else. The Request Authenticator is
// fixed, so that the packet can be kept.
func sentBy(id byte, attributes ...layeh.AVP) *layeh.Packet {
	p := layeh.New(layeh.CodeAccessRequest, []byte(testSecret))
	p.Identifier = id
	for i := range p.Authenticator {
		p.Authenticator[i] = id ^ byte(i*37)
	}
	for _, a := range attributes {
		p.Add(a.Type, a.Attribute)
	}
	return p
}

func text(typ layeh.Type, s string) layeh.AVP { return layeh.AVP{Type: typ, Attribute: []byte(s)} }

func number(typ layeh.Type, n uint32) layeh.AVP {
	return layeh.AVP{Type: typ, Attribute: binary.BigEndian.AppendUint32(nil, n)}
}

func address(typ layeh.Type, s string) layeh.AVP {
	return layeh.AVP{Type: typ, Attribute: netip.MustParseAddr(s).AsSlice()}
}

func vendor(id uint32, typ byte, value string) layeh.AVP {
	return layeh.AVP{Type: attrVendorSpecific, Attribute: vendorValue(id, typ, []byte(value))}
}

func pairs(texts ...string) (all []layeh.AVP) {
	for _, s := range texts {
		all = append(all, vendor(vendorCisco, ciscoAVPair, s))
	}
	return all
}

// hidden adds User-Password behind the first attribute, which is the name.
func hidden(p *layeh.Packet, password string) *layeh.Packet {
	value, err := layeh.NewUserPassword([]byte(password), p.Secret, p.Authenticator[:])
	must(err)
	p.Attributes = append(layeh.Attributes{p.Attributes[0], {Type: attrUserPassword, Attribute: value}}, p.Attributes[1:]...)
	return p
}

// asa is what an ASA says about a login with AnyConnect.
func asa(id byte) *layeh.Packet {
	all := []layeh.AVP{
		text(attrUserName, "alice"), number(5, 0x5000), text(30, "203.0.113.1"), text(attrCallingStation, personsAddress), number(61, 5),
		text(66, personsAddress), address(attrNASIPAddress, "192.0.2.1"),
	}
	all = append(all, pairs("mdm-tlv=device-platform=win", "mdm-tlv=device-mac=00-00-5e-00-53-01", "mdm-tlv=device-platform-version=10.0.26100 ",
		"mdm-tlv=device-public-mac=00-00-5e-00-53-01", "mdm-tlv=ac-user-agent=AnyConnect Windows 5.1.7.80",
		"mdm-tlv=device-type=Example Inc. Notebook", "mdm-tlv=device-uid-global=0123456789ABCDEF0123456789ABCDEF01234567",
		"audit-session-id=c0000201000050006a021e50", "ip:source-ip="+personsAddress)...)
	all = append(all, vendor(vendorASA, 146, "SEKISHO-PILOT"), vendor(vendorASA, 150, "\x00\x00\x00\x02"), pairs("coa-push=true")[0])
	return sentBy(id, all...)
}

// fortigate is what a FortiGate says about a login to its SSL VPN.
func fortigate(id byte) *layeh.Packet {
	return sentBy(id, text(attrUserName, "alice"), text(attrNASIdentifier, "FGT-EDGE"), address(attrNASIPAddress, "192.0.2.1"),
		text(30, "203.0.113.1"), text(attrCallingStation, personsAddress), text(77, "vpn-ssl"), vendor(vendorFortinet, 3, "root"),
		text(attrAcctSessionID, "5a0c91e2"))
}

func msCHAP2(p *layeh.Packet) *layeh.Packet {
	for _, a := range []layeh.AVP{vendor(vendorMS, 11, strings.Repeat("c", 16)), vendor(vendorMS, msCHAP2Response, strings.Repeat("r", 50))} {
		p.Add(a.Type, a.Attribute)
	}
	return p
}

func chap(p *layeh.Packet, password string) *layeh.Packet {
	sum := md5.Sum(append(append([]byte{9}, password...), p.Authenticator[:]...))
	p.Add(attrCHAPPassword, append([]byte{9}, sum[:]...))
	return p
}

// TestGatewayPackets holds packets as the gateways of the profiles send them. testdata/gateways keeps their octets, so that
// what is read today is read tomorrow.
func TestGatewayPackets(t *testing.T) {
	type seen struct {
		text, code, station string
		method              authn.Method
	}
	one := seen{passwordAndCode, "", personsAddress, authn.PAP}
	for _, x := range []struct {
		file, profile string
		packet        []byte
		want          seen
	}{
		{"asa", "asa", unsigned(hidden(asa(1), passwordAndCode)), one},
		{"asa-mschapv2", "asa", unsigned(msCHAP2(asa(2))), seen{"", "", personsAddress, authn.MSCHAP}},
		{"asa-second-server", "asa", unsigned(hidden(asa(3), "123456")), seen{"123456", "", personsAddress, authn.PAP}},
		{"ftd", "ftd", unsigned(hidden(asa(4), passwordAndCode)), one},
		{"fortigate", "fortigate", signed(hidden(fortigate(5), passwordAndCode)), one},
		{"fortigate-mschapv2", "fortigate", signed(msCHAP2(fortigate(6))), seen{"", "", personsAddress, authn.MSCHAP}},
		{"fortigate-chap", "fortigate", signed(chap(fortigate(7), passwordAndCode)), seen{"", "", personsAddress, authn.CHAP}},
		{"fortigate-before-7.2.10", "fortigate", unsigned(hidden(fortigate(8), passwordAndCode)), one},
		{"ocserv", "ocserv", unsigned(hidden(sentBy(9, text(attrUserName, "alice"), address(attrNASIPAddress, "192.0.2.1"), text(attrNASIdentifier, "ocserv"),
			text(attrCallingStation, personsAddress), text(77, "Open AnyConnect VPN Agent v9.01-3"), number(attrServiceType, 8), number(61, 0)), passwordAndCode)), one},
		{"strongswan", "strongswan", signed(hidden(sentBy(10, text(attrUserName, "alice"), number(61, 5), number(attrServiceType, 2), number(5, 7),
			text(87, "sekisho-pilot"), address(attrNASIPAddress, "192.0.2.1"), text(30, "203.0.113.1[4500]"), text(attrCallingStation, personsAddress+"[4500]"),
			text(attrNASIdentifier, "strongSwan")), passwordAndCode)), seen{passwordAndCode, "", personsAddress + "[4500]", authn.PAP}},
		{"openvpn", "openvpn", unsigned(hidden(openvpn(11), passwordAndCode)), one},
		{"openvpn-static-challenge", "openvpn", unsigned(hidden(openvpn(12), static("word 12:34", "123456"))), seen{"word 12:34", "123456", personsAddress, authn.PAP}},
		{"paloalto", "paloalto", unsigned(hidden(sentBy(13, text(attrUserName, "alice"), text(attrNASIdentifier, "sekisho"), address(attrNASIPAddress, "192.0.2.1"),
			vendor(25461, 7, personsAddress), vendor(25461, 8, "Windows")), passwordAndCode)), seen{passwordAndCode, "", "", authn.PAP}},
		{"opnsense", "opnsense", unsigned(hidden(sentBy(14, text(attrUserName, "alice"), number(attrServiceType, 1), number(7, 1), text(attrNASIdentifier, "fw.example"),
			number(5, 0), number(61, 15)), passwordAndCode)), seen{passwordAndCode, "", "", authn.PAP}},
		{"mikrotik", "mikrotik", unsigned(hidden(sentBy(15, text(attrUserName, "alice"), number(attrServiceType, 2), number(7, 1), number(5, 15728643), number(61, 5),
			text(attrCallingStation, personsAddress), text(30, "203.0.113.1"), text(attrAcctSessionID, "81c00003"), text(attrNASIdentifier, "router"),
			address(attrNASIPAddress, "192.0.2.1")), passwordAndCode)), one},
	} {
		t.Run(x.file, func(t *testing.T) {
			path := filepath.Join("testdata", "gateways", x.file+".hex")
			if *update {
				must(os.WriteFile(path, []byte(hexLines(x.packet)), 0o644))
			}
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b := unhex(t, strings.Join(strings.Fields(string(kept)), ""))
			if string(b) != string(x.packet) {
				t.Errorf("%s is not what the test makes", path)
			}
			c := gatewayConfig()
			c.Profile = x.profile
			r := newRig(t, accept, c)
			checkReply(t, b, r.one(b), testSecret, AccessAccept)
			l := r.auth.seen()[0]
			got := seen{string(l.Text.Reveal()), string(l.Code.Reveal()), string(l.Station), l.Method}
			if got != x.want || string(l.Name) != "alice" || l.HasCode != (x.want.code != "") {
				t.Errorf("got %+v of %q, want %+v", got, l.Name, x.want)
			}
			r.wantFault(noFault)
		})
	}
}

func openvpn(id byte) *layeh.Packet {
	return sentBy(id, text(attrUserName, "alice"), address(attrNASIPAddress, "192.0.2.1"), number(5, 1), number(attrServiceType, 5), number(7, 1),
		text(attrCallingStation, personsAddress), text(attrNASIdentifier, "openvpn"), number(61, 5), text(attrAcctSessionID, "0123456789ABCDEF0123456789ABCDEF"))
}

// hexLines writes octets as lines of 32.
func hexLines(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(32, len(b))
		s.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return s.String()
}

// TestRepetitions is how each gateway repeats a request whose answer was lost (RFC 5080 section 2.2.2): the same octets from
// the same port get the same octets back and are one login. strongSwan's times are 2 s and 1.4 times more each, radcli's
// 10 s.
func TestRepetitions(t *testing.T) {
	for name, waits := range map[string][]time.Duration{
		"ocserv":     {10 * time.Second, 10 * time.Second},
		"asa":        {10 * time.Second, 10 * time.Second},
		"strongswan": {2 * time.Second, 2800 * time.Millisecond, 3920 * time.Millisecond, 5488 * time.Millisecond},
		"fortigate":  {5 * time.Second},
		"mikrotik":   {3 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := gatewayConfig()
				c.Profile = name
				r := newRig(t, accept, c)
				b := pap(1, passwordAndCode)
				first := r.one(b)
				for _, d := range waits {
					time.Sleep(d)
					if string(r.one(b)) != string(first) {
						t.Errorf("%v later the answer is another one", d)
					}
				}
				if n := len(r.auth.seen()); n != 1 {
					t.Errorf("%d logins of one", n)
				}
				// The same request in a packet of its own is a new login: what it finds is for the login to tell.
				again := papPacket(1, passwordAndCode)
				p := signed(again)
				r.deliverFrom(authPort, p, netip.AddrPortFrom(gateway.Addr(), gateway.Port()+1))
				if n := len(r.auth.seen()); n != 2 {
					t.Errorf("%d logins of two", n)
				}
			})
		})
	}
}
