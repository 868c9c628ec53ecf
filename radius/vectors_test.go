package radius

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"sekisho/authn"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rfcClient is the gateway of the examples: secret xyzzy5461, no Message-Authenticator.
func rfcClient() ClientConfig {
	return ClientConfig{Name: "rfc", Addresses: []string{"192.0.2.1"}, Secret: authn.NewSecret([]byte("xyzzy5461")),
		MessageAuthenticator: "off", Challenge: "plain"}
}

const (
	rfcPAP       = "0100 0038 0f403f9473978057bd83d5cb98f4227a 01066e656d6f 02120dbe708d93d413ce3196e43f782a0aee 0406c0a80110 050600000003"
	rfcPAPAccept = "0200 0026 86fe220e7624ba2a1005f6bf9b55e0b2 060600000001 0f0600000000 0e06c0a80103"
	rfcCHAP      = "0101 0047 2aee86f08d0d55969ca5978e0d3367a2 0108666c6f707379 031316e9755 7c316185895f293ff634407727 5 0406c0a80110 050600000014 060600000002 070600000001"
	rfcCHAPOK    = "0201 0038 15efbc7dab26cfa3dc34d9c03c8601a4 060600000002 070600000001 0806fffffffe 0a0600000002 0d0600000001 0c06000005dc"
	rfcFirst     = "0102 0039 f3a47a1f6a6d76710b947ab93041a039 01076d6f707379 02123365757377 8289b570885e15084825c5 0406c0a80110 050600000007"
	rfcChallenge = "0b02 004e 36f3c8764ae8c71157403c0c71ff9c45 1230 4368616c6c656e67652033323736393433302e2020456e74657220726573706f6e73652061742070726f6d70742e 180a3332373639343330"
	rfcSecond    = "0103 0043 b122556d428a13d0d6253807c457ecf0 01076d6f707379 0212692c1f205fc081b919b95195f561a581 0406c0a80110 050600000007 18 0a 3332373639343330"
	rfcReject    = "0303 0014 a42f4fca45916c4e09c8340f9e746aa0"

	rfcStatusAuth   = "0cda 0026 8a54f4686fb394c52866e302185d0623 5012 5a665e2e1e8411f3e243822097c84fa3"
	rfcStatusAuthOK = "02da 0014 ef0d552a4bf2d693ec2b6fe8b5411d66"
	rfcStatusAcct   = "0cb3 0026 925f6b66dd5fed571fcb1db7ad388260 5012 e8d6eabda910875cd91fdade26367858"
	rfcStatusAcctOK = "05b3 0014 0f6f92145f107e2f504e860a4860669c"                                                    // printed with code 02, but computed for 05
	rfcStatusMore   = "0c47 002c bf58de56ae408ad3b70c8513f9b03fbe 0406c0000210 5012 852d6fec61e7ed74b8e32dac2f2a5fb2" // with NAS-IP-Address
)

// TestRFC2865Examples takes the packets of RFC 2865 section 7.
func TestRFC2865Examples(t *testing.T) {
	for _, x := range []struct {
		name, packet, user, password, state string
		method                              authn.Method
	}{
		{"7.1 Telnet", rfcPAP, "nemo", "arctangent", "", authn.PAP},
		{"7.2 CHAP", rfcCHAP, "flopsy", "", "", authn.CHAP},
		{"7.3 first", rfcFirst, "mopsy", "challenge", "", authn.PAP},
		{"7.3 second", rfcSecond, "mopsy", "99101462", "32769430", authn.PAP},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t, accept, rfcClient())
			b := unhex(t, x.packet)
			reply := r.one(b)
			checkReply(t, b, reply, "xyzzy5461", AccessAccept)
			l := r.auth.seen()[0]
			if string(l.Name) != x.user || string(l.Text.Reveal()) != x.password || string(l.State) != x.state || l.Method != x.method {
				t.Errorf("login of %q by %v with %d octets and State %q", l.Name, l.Method, l.Text.Len(), l.State)
			}
		})
	}
	t.Run("7.3 second as printed", func(t *testing.T) {
		// The State's length octet is printed as 10 hex where it has to be 0a: the attribute runs over the end.
		r := newRig(t, accept, rfcClient())
		b := unhex(t, strings.Replace(rfcSecond, "18 0a", "18 10", 1))
		r.none(authPort, b)
		r.wantFault(faultAttribute)
	})
}

// TestResponseAuthenticators signs the answers of RFC 2865 section 7 and RFC 5997 section 6 again.
func TestResponseAuthenticators(t *testing.T) {
	s := newSharedSecret([]byte("xyzzy5461"))
	for name, x := range map[string][2]string{
		"2865 7.1": {rfcPAP, rfcPAPAccept}, "2865 7.2": {rfcCHAP, rfcCHAPOK}, "2865 7.3 challenge": {rfcFirst, rfcChallenge},
		"2865 7.3 reject": {rfcSecond, rfcReject}, "5997 6.1": {rfcStatusAuth, rfcStatusAuthOK}, "5997 6.2": {rfcStatusAcct, rfcStatusAcctOK},
	} {
		want := unhex(t, x[1])
		got := bytes.Clone(want)
		copy(got[4:20], unhex(t, x[0])[4:20])
		s.signReply(got, false)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", name, got[4:20], want[4:20])
		}
	}
}

// TestRFC5997Examples asks with the packets of RFC 5997 section 6. The answers differ from those printed there, which have
// no Message-Authenticator.
func TestRFC5997Examples(t *testing.T) {
	for _, x := range []struct {
		name, packet string
		on           port
		code         Code
	}{{"6.1", rfcStatusAuth, authPort, AccessAccept}, {"6.2", rfcStatusAcct, acctPort, AccountingResponse}, {"6.3", rfcStatusMore, authPort, AccessAccept}} {
		r := newRig(t, nil, rfcClient())
		b := unhex(t, x.packet)
		got := r.deliver(x.on, b)
		if len(got) != 1 {
			t.Fatalf("%s: no answer; %s", x.name, r.log)
		}
		checkReply(t, b, got[0], "xyzzy5461", x.code)
		b[25] ^= 1
		r.none(x.on, b)
		r.wantFault(faultMessageAuthWrong)
	}
}
