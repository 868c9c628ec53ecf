package token

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestIDs(t *testing.T) {
	for _, id := range []ID{1, 31, 32, 1<<63 - 1, 0x0123456789abcdef, NewID()} {
		text := id.String()
		if len(text) != 13 {
			t.Errorf("%q has %d characters", text, len(text))
		}
		for _, s := range []string{text, strings.ToLower(text)} {
			if got, err := ParseID(s); err != nil || got != id {
				t.Errorf("%q: %d, %v: want %d", s, got, err, id)
			}
		}
	}
	good := ID(1).String() // AAAAAAAAAAAAC
	for _, s := range []string{"", "A", good[:12], good + "A", good[:12] + "D", good[:12] + "1", good[:6] + "\n" + good[7:], good[:11] + "ı", good + "\n", "        " + good} {
		if id, err := ParseID(s); err == nil {
			t.Errorf("%q: read as %v", s, id)
		}
	}
}

// TestRandom draws a million IDs and seeds (B53); a generator of 24 bits would repeat itself thousands of times.
func TestRandom(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 20_000
	}
	ids, seeds := make(map[ID]bool, n), make(map[[SeedSize]byte]bool, n)
	var union ID
	for range n {
		id := NewID()
		union |= id
		ids[id] = true
		seeds[[SeedSize]byte(NewSeed(SeedSize))] = true
	}
	if len(ids) != n || len(seeds) != n || ids[0] || union != 1<<63-1 {
		t.Errorf("%d IDs and %d seeds of %d are different; bits %x", len(ids), len(seeds), n, uint64(union))
	}
	for _, n := range []int{0, MinSeed, SeedSize - 1, MaxSeed + 1} {
		func() {
			defer func() { _ = recover() }()
			NewSeed(n)
			t.Errorf("a seed of %d octets was made", n)
		}()
	}
}

func TestStateAt(t *testing.T) {
	expiry := time.Date(2027, 1, 1, 9, 0, 0, 0, time.FixedZone("JST", 9*3600))
	tok := totp(SHA1, 6)
	tok.Expiry = expiry.Unix()
	for at, want := range map[time.Time]State{
		expiry.Add(-time.Nanosecond): InUse, // 08:59:59.999 passes
		expiry:                       Expired,
		expiry.AddDate(1, 0, 0):      Expired,
	} {
		if got := tok.StateAt(at); got != want {
			t.Errorf("%v: %v: want %v", at, got, want)
		}
	}
	tok.State = Destroyed
	if got := tok.StateAt(expiry); got != Destroyed {
		t.Errorf("destroyed and expired: %v", got)
	}
	tok.State, tok.Expiry = InStock, 0
	if got := tok.StateAt(expiry); got != InStock {
		t.Errorf("without expiry: %v", got)
	}
}

func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*Token){
		"":                              func(*Token) {},
		"period 9 s":                    func(t *Token) { t.Period = 9 },
		"period 121 s":                  func(t *Token) { t.Period = 121 },
		"period 0 s":                    func(t *Token) { t.Period = 0 },
		"event-based token has none":    func(t *Token) { t.Mode = HOTP },
		"want hotp or totp":             func(t *Token) { t.Mode = 0 },
		"want SHA1, SHA256 or SHA512":   func(t *Token) { t.Hash = 4 },
		"want software or hardware":     func(t *Token) { t.Form = 0 },
		"5 digits":                      func(t *Token) { t.Digits = 5 },
		"9 digits":                      func(t *Token) { t.Digits = 9 },
		"state 0":                       func(t *Token) { t.State = 0 },
		"expired: a token is kept":      func(t *Token) { t.State = Expired },
		"last step -2":                  func(t *Token) { t.Last = -2 },
		"last step 4611686018427387904": func(t *Token) { t.Last = MaxCounter + 1 },
		"is not after start":            func(t *Token) { t.Start, t.Expiry = 100, 100 },
		"serial: want text":             func(t *Token) { t.Serial = "a\x1b[31m" },
		"credential ID: want text":      func(t *Token) { t.CredentialID = "\xff" },
		"name: want text":               func(t *Token) { t.Name = "a\nb" },
		"at most 64 octets":             func(t *Token) { t.Serial = strings.Repeat("x", 65) },
	} {
		tok := totp(SHA1, 6)
		change(tok)
		err := tok.Check()
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

func TestWords(t *testing.T) {
	for _, v := range []fmt.Stringer{
		HOTP, TOTP, Mode(9), SHA1, SHA256, SHA512, Hash(9), Software, Hardware, Form(9),
		InStock, InUse, Expired, Destroyed, State(9), Pending, Active, Suspended, Revoked, Standing(9),
	} {
		if s := v.String(); s == "" || strings.Contains(s, "%!") {
			t.Errorf("%T: %q", v, s)
		}
	}
}

// TestSecretsStayInside is the canary: one seed goes through everything here that can fail or print, and no spelling of
// it comes out (I6).
func TestSecretsStayInside(t *testing.T) {
	canary := Seed("canary-seed-20octets")
	k := testKeys(t)
	sealed, err := k.SealSeed(7, canary)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	say := func(err error) {
		if err == nil {
			t.Error("a case that should fail does not")
			return
		}
		fmt.Fprintf(&out, "%v\n%+v\n%#v\n", err, err, err)
	}
	b32 := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(canary)
	b64, hx := base64.StdEncoding.EncodeToString(canary), hex.EncodeToString(canary)

	_, err = k.OpenSeed(nil, 8, sealed)
	say(err)
	_, err = testKeys(t).OpenSeed(nil, 7, sealed)
	say(err)
	_, err = k.SealSeed(7, canary[:10])
	say(err)
	for _, uri := range []string{
		b32, "otpauth://" + b32, "otpauth://totp/x?" + b32, "otpauth://totp/x?secret=" + b32 + "&digits=" + b32,
		"otpauth://totp/x?secret=" + b32 + "&" + b32 + "&" + b32, "otpauth://totp/x?secret=" + b32 + "%", "otpauth://totp/x?secret=" + b32 + "8",
		"otpauth://totp/x?secret=" + b64, "otpauth://totp/x%0ay?secret=" + b32, "otpauth://totp/x?period=" + b32 + "&secret=" + b32,
		"otpauth://totp/x?algorithm=" + b32 + "&secret=" + b32, "otpauth://hotp/x?counter=" + b32 + "&secret=" + b32, "otpauth://[" + b32,
	} {
		_, err = ParseURI(uri)
		say(err)
	}
	for _, text := range []string{
		hx + "," + b32 + "," + b64, "user,secret_hex\nx," + b32, "user,secret_hex\nx," + hx + "0", "user,secret_base32\nx," + hx,
		"user,secret_base32\nx," + b32 + "\ny," + b32, "user,secret_base64\nx,y," + b64, "user,secret_base64\nx,\"" + b64, "user,secret_base64\nx,a\"" + b64,
		"user,secret_hex,mode,hash,digits\n" + hx + "," + hx + "," + hx + "," + hx + "," + hx,
		"user,secret_hex,digits,period,counter,start,expiry,form\n\x01," + hx + "," + hx + ",,,,,\nx," + hx + ",,,,,," + hx + "\nx," + hx + ",,,," + hx + ",,",
		"serial,secret_hex,form\n" + hx + hx + hx + "," + hx + ",",
	} {
		say(ReadTokens(strings.NewReader(text), ReadOptions{}, func(Row) error { return nil }))
	}
	for _, v := range []any{
		canary, &canary, Row{Seed: canary}, &Row{Seed: canary}, URI{Seed: canary}, []Seed{canary}, map[string]Seed{"x": canary}, sealed, k,
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d", "%o", "%b", "%c"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Error(err)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	text := strings.ToLower(out.String())
	var octets, octetsInHex []string
	for _, c := range canary[:6] {
		octets, octetsInHex = append(octets, fmt.Sprint(c)), append(octetsInHex, fmt.Sprintf("0x%x", c))
	}
	for _, spelling := range []string{
		"canary", b32[:10], b64[:8], hx[:12], strings.Join(octets, " "), strings.Join(octets, ", "), strings.Join(octetsInHex, ", "),
	} {
		if i := strings.Index(text, strings.ToLower(spelling)); i >= 0 {
			t.Errorf("%q came out: …%s…", spelling, text[max(0, i-80):min(len(text), i+80)])
		}
	}
}
