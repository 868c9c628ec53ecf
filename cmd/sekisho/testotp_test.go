package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestOTPCommand goes by the vectors of RFC 4226 appendix D and RFC 6238 appendix B.
func TestOTPCommand(t *testing.T) {
	const ascii, asHex = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "3132333435363738393031323334353637383930"
	for _, tt := range []struct {
		name, secret, args, code string
		at                       int64
		found                    bool
		want                     string
	}{
		{"first counter", asHex, "hex hotp", "755224", 0, true, "counter 0, 0 after the first one"},
		{"last counter of the table", ascii, "hotp", "520489", 0, true, "counter 9, 9 after"},
		{"another counter", ascii, "hotp", "000000", 0, false, "counters 0 to 120"},
		{"this moment", ascii, "8", "94287082", 59, true, "of this moment"},
		{"in groups and small letters", strings.ToLower(ascii[:16] + " " + ascii[16:]), "8", "94287082", 59, true, "of this moment"},
		{"behind", ascii, "8", "94287082", 59 + 60, true, "2 steps ago: the token's clock is some 1m0s behind"},
		{"before", ascii, "8", "07081804", 1111111109 - 300, true, "10 steps ahead: the token's clock is some 5m0s before"},
		{"far off", ascii, "8", "94287082", 1111111109, false, "another secret"},
		{"a URI", "otpauth://totp/x?digits=8&secret=" + ascii, "", "94287082", 59, true, "of this moment"},
	} {
		test := otpTest{encoding: "base32", hash: "SHA1", digits: 6, period: 30, window: 120}
		for arg := range strings.FieldsSeq(tt.args) {
			switch arg {
			case "hex":
				test.encoding = arg
			case "hotp":
				test.hotp = true
			case "8":
				test.digits = 8
			}
		}
		u, err := test.read(&app{in: strings.NewReader(tt.secret + "\n")})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if said, found := test.compare(&u, tt.code, time.Unix(tt.at, 0)); found != tt.found || !strings.Contains(said, tt.want) {
			t.Errorf("%s: %v, %s", tt.name, found, said)
		}
	}

	test := otpTest{encoding: "base32", hash: "SHA1", digits: 8, period: 30}
	u, err := test.read(&app{in: strings.NewReader(ascii)})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	test.show(&out, &u, time.Unix(59, 0))
	if !strings.Contains(out.String(), "94287082 from ") || !strings.Contains(out.String(), "now, for 1s more") || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("shown: %s", &out)
	}
	for name, bad := range map[string]otpTest{
		"not base32": {encoding: "base32", hash: "SHA1", digits: 6, period: 30},
		"digits":     {encoding: "hex", hash: "SHA1", digits: 9, period: 30},
		"hash":       {encoding: "hex", hash: "MD5", digits: 6, period: 30},
		"period":     {encoding: "hex", hash: "SHA1", digits: 6, period: 0},
		"encoding":   {encoding: "base64", hash: "SHA1", digits: 6, period: 30},
	} {
		if u, err := bad.read(&app{in: strings.NewReader("0123456789abcdef0123456789abcdef01234567\n")}); err == nil {
			t.Errorf("%s: it became %+v", name, u.Token)
		} else if strings.Contains(strings.ToLower(err.Error()), "89abcdef") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}
