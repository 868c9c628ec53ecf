package token

import (
	"bytes"
	"encoding/base32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	"pgregory.net/rapid"
)

func TestFormatURI(t *testing.T) {
	counter := totp(SHA512, 8)
	hotpAfter(16)(counter)
	for _, c := range []struct {
		token        *Token
		issuer, user string
		want         string
	}{
		{totp(SHA1, 6), "Example", "bob",
			"otpauth://totp/Example:bob?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example&algorithm=SHA1&digits=6&period=30"},
		{counter, "Example Corp", "erin@example.org (2)",
			"otpauth://hotp/Example%20Corp:erin%40example.org%20%282%29?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20Corp&algorithm=SHA512&digits=8&counter=17"},
		{totp(SHA1, 6), "", "a:b", "otpauth://totp/a%3Ab?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA1&digits=6&period=30"},
		{totp(SHA1, 6), "VPN: 認証", "a/b?c&d+e%f#g",
			"otpauth://totp/VPN%20%20%E8%AA%8D%E8%A8%BC:a%2Fb%3Fc%26d%2Be%25f%23g?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=VPN%20%20%E8%AA%8D%E8%A8%BC&algorithm=SHA1&digits=6&period=30"},
	} {
		if got := FormatURI(c.token, seed20, c.issuer, c.user); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestURIRoundTrip: what we write we read back, and pquerna/otp reads the same out of it.
func TestURIRoundTrip(t *testing.T) {
	text := rapid.StringMatching(`[ -~\p{Han}\p{Hiragana}]{0,40}`)
	rapid.Check(t, func(t *rapid.T) {
		tok := totp(SHA1+Hash(rapid.IntRange(0, 2).Draw(t, "hash")), uint8(rapid.IntRange(MinDigits, MaxDigits).Draw(t, "digits")))
		tok.ID, tok.Form = 0, Software
		tok.Period = uint16(rapid.IntRange(MinPeriod, MaxPeriod).Draw(t, "period"))
		if rapid.Bool().Draw(t, "hotp") {
			hotpAfter(rapid.Int64Range(NoStep, MaxCounter-1).Draw(t, "last"))(tok)
		}
		seed := rapid.SliceOfN(rapid.Byte(), MinSeed, MaxSeed).Filter(func(b []byte) bool { return CheckSeed(b) == nil }).Draw(t, "seed")
		issuer, user := strings.TrimSpace(text.Draw(t, "issuer")), strings.TrimSpace(text.Draw(t, "user"))

		uri := FormatURI(tok, seed, issuer, user)
		got, err := ParseURI(uri)
		if err != nil {
			t.Fatalf("%s: %v", uri, err)
		}
		want := URI{*tok, seed, strings.TrimSpace(strings.ReplaceAll(issuer, ":", " ")), user}
		want.Token.State = InStock
		if issuer == "" {
			// Without an issuer a colon in the user's name reads as one; ours always have an issuer.
			want.Issuer, want.User = got.Issuer, got.User
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("octets", func(s Seed) string { return string(s) })); diff != "" {
			t.Fatalf("%s:\n%s", uri, diff)
		}

		key, err := otp.NewKeyFromURL(uri)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key.Secret())
		if err != nil || !bytes.Equal(secret, seed) || key.Type() != tok.Mode.String() || key.Digits() != otp.Digits(tok.Digits) ||
			key.Algorithm().String() != tok.Hash.String() || (tok.Mode == TOTP && key.Period() != uint64(tok.Period)) ||
			strings.TrimSpace(key.Issuer()) != got.Issuer || (issuer != "" && key.AccountName() != user) {
			t.Fatalf("%s: pquerna/otp reads something else", uri)
		}
	})
}

func TestParseURI(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for _, c := range []struct{ uri, issuer, user string }{
		{"otpauth://totp/bob?secret=" + secret, "", "bob"},
		{" otpauth://TOTP/Example%3Abob?secret=" + secret + "\n", "Example", "bob"},
		{"otpauth://totp/Old:%20bob?issuer=New+Name&secret=" + strings.ToLower(secret), "New Name", "bob"},
		{"otpauth://totp/Ex:a:b?secret=GEZD+GNBV%20GY3T+QOJQ+GEZD+GNBV+GY3T+QOJQ%3D%3D&image=https%3A%2F%2Fx", "Ex", "a:b"},
		{"OTPAUTH://totp/?SECRET=" + secret + "&algorithm=HmacSHA1&digits=6&period=30&counter=7", "", ""},
	} {
		got, err := ParseURI(c.uri)
		want := URI{Token{Form: Software, Mode: TOTP, Hash: SHA1, Digits: 6, Period: 30, State: InStock, Last: NoStep}, seed20, c.issuer, c.user}
		if diff := cmp.Diff(want, got, cmp.Transformer("octets", func(s Seed) string { return string(s) })); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.uri, err, diff)
		}
	}

	for _, c := range []struct{ name, uri, want string }{
		{"empty", "", "want otpauth://"},
		{"other scheme", "https://totp/bob?secret=" + secret, "want otpauth://"},
		{"no URI", "otpauth://totp/%zz?secret=" + secret, "it is no URI"},
		{"control character", "otpauth://totp/bob?secret=" + secret + "\x00", "it is no URI"},
		{"opaque", "otpauth:totp/bob?secret=" + secret, "want otpauth://"},
		{"fragment", "otpauth://totp/bob?secret=" + secret + "#x", "want otpauth://"},
		{"password", "otpauth://a:b@totp/bob?secret=" + secret, "want otpauth://"},
		{"kind", "otpauth://sms/bob?secret=" + secret, `the kind of token: "sms"`},
		{"port", "otpauth://totp:80/bob?secret=" + secret, "the kind of token"},
		{"migration", "otpauth-migration://offline?data=" + secret, "want otpauth://"},
		{"secret as kind", "otpauth://" + secret + "/bob", "a text of 32 characters"},
		{"bad escape", "otpauth://totp/bob?secret=" + secret + "%zz", "not escaped"},
		{"semicolon", "otpauth://totp/bob?secret=" + secret + ";digits=6", "not escaped"},
		{"no secret", "otpauth://totp/bob?digits=6", "no secret"},
		{"secret twice", "otpauth://totp/bob?secret=" + secret + "&secret=" + secret, `"secret" is given twice`},
		{"digits twice", "otpauth://totp/bob?secret=" + secret + "&digits=6&Digits=8", `"digits" is given twice`},
		{"unknown twice", "otpauth://totp/bob?secret=" + secret + "&x=1&x=2", `"x" is given twice`},
		{"short secret", "otpauth://totp/bob?secret=JBSWY3DPEHPK3PXP", "the secret has 10 octets"},
		{"long secret", "otpauth://totp/bob?secret=" + strings.Repeat("GEZDGNBV", 26), "the secret has 130 octets"},
		{"bad letter", "otpauth://totp/bob?secret=" + secret[1:] + "8", "character 32 of the secret"},
		{"padding inside", "otpauth://totp/bob?secret=" + secret[:16] + "=" + secret[16:], "character 17"},
		{"digits 40", "otpauth://totp/bob?secret=" + secret + "&digits=40", `digits "40"`},
		{"digits 5", "otpauth://totp/bob?secret=" + secret + "&digits=5", `digits "5"`},
		{"period 0", "otpauth://totp/bob?secret=" + secret + "&period=0", `period "0"`},
		{"period 1e9", "otpauth://totp/bob?secret=" + secret + "&period=1e9", `period "1e9"`},
		{"algorithm", "otpauth://totp/bob?secret=" + secret + "&algorithm=MD5", `algorithm "MD5"`},
		{"Steam", "otpauth://totp/bob?secret=" + secret + "&encoder=steam", "only codes of digits"},
		{"no counter", "otpauth://hotp/bob?secret=" + secret, `counter ""`},
		{"large counter", "otpauth://hotp/bob?secret=" + secret + "&counter=4611686018427387904", "counter a text of 19 characters"},
		{"line end in the name", "otpauth://totp/bob%0a?secret=x&secret=" + secret, "given twice"},
		{"control character in the name", "otpauth://totp/b%07b?secret=" + secret, "without control characters"},
		{"long name", "otpauth://totp/" + strings.Repeat("b", 254) + "?secret=" + secret, "at most 253 octets"},
		{"invalid UTF-8", "otpauth://totp/b%ff?secret=" + secret, "UTF-8"},
		{"endless", "otpauth://totp/bob?secret=" + secret + "&x=" + strings.Repeat("x", maxURI), "want at most 4096"},
	} {
		got, err := ParseURI(c.uri)
		if err == nil || !strings.Contains(err.Error(), c.want) || got.Seed != nil {
			t.Errorf("%s: %v: want %q", c.name, err, c.want)
			continue
		}
		if strings.Contains(strings.ToUpper(err.Error()), secret[:8]) || strings.Contains(err.Error(), "JBSWY3DP") {
			t.Errorf("%s: the error shows the secret: %v", c.name, err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("otpauth://totp/Example:bob?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example&algorithm=SHA1&digits=6&period=30")
	f.Add("otpauth://hotp/bob?secret=gezd%20gnbvgy3tqojqgezdgnbvgy3tqojq&counter=5&counter=6")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			return
		}
		if err := u.Token.Check(); err != nil {
			t.Errorf("a bad token was read: %v", err)
		}
		again, err := ParseURI(FormatURI(&u.Token, u.Seed, u.Issuer, u.User))
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if !bytes.Equal(again.Seed, u.Seed) || again.Token.Code(u.Seed, 1) != u.Token.Code(u.Seed, 1) {
			t.Error("another token came back")
		}
	})
}

func FuzzSecrets(f *testing.F) {
	f.Add([]byte("GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"))
	f.Add([]byte(hex20))
	f.Add([]byte("MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		for _, decode := range []func([]byte) (Seed, error){decodeHex, decodeBase32, decodeBase64} {
			seed, err := decodeSecret(text, decode)
			if !bytes.Equal(text, before) {
				t.Fatal("the text was changed")
			}
			if err == nil && CheckSeed(seed) != nil {
				t.Error("a bad seed was read")
			}
			if err != nil && seed != nil {
				t.Error("a seed came with an error")
			}
		}
	})
}
