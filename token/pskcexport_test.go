package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekisho/internal/testenv"
)

// exported is a token on its way out.
type exported struct {
	Token Token
	Seed  []byte
	User  string
}

// drawExported makes any token that may be stored, with serial and seed of number i.
func drawExported(t *rapid.T, i int) exported {
	label := func(name string) string {
		return strings.TrimSpace(rapid.StringOfN(rapid.RuneFrom([]rune("aZ9 <>&\"'日本/é:;,.")), 0, 12, -1).Draw(t, name))
	}
	e := exported{Seed: testSeed(i, rapid.IntRange(MinSeed, MaxSeed).Draw(t, "octets"))}
	k := Token{State: InStock, Last: NoStep, ID: NewID(), Form: rapid.SampledFrom([]Form{Software, Hardware}).Draw(t, "form"),
		Mode: rapid.SampledFrom([]Mode{HOTP, TOTP}).Draw(t, "mode"), Hash: rapid.SampledFrom([]Hash{SHA1, SHA256, SHA512}).Draw(t, "hash"),
		Digits: uint8(rapid.IntRange(MinDigits, MaxDigits).Draw(t, "digits")), Name: label("name")}
	if k.Form == Hardware || rapid.Bool().Draw(t, "serial") {
		k.Serial = fmt.Sprintf("S%d%s", i, label("serial"))
	}
	if k.Serial == "" || rapid.Bool().Draw(t, "user") {
		e.User = fmt.Sprintf("u%d%s", i, label("user"))
	}
	if rapid.Bool().Draw(t, "credential") {
		k.CredentialID = fmt.Sprintf("AB%010d", i)
	}
	k.Last = rapid.Int64Range(NoStep, MaxCounter-1).Draw(t, "last")
	if k.Mode == TOTP {
		k.Period = uint16(rapid.IntRange(MinPeriod, MaxPeriod).Draw(t, "period"))
		k.Drift = rapid.Int16().Draw(t, "drift")
		if k.Drift != 0 {
			k.DriftDay = rapid.Uint16().Draw(t, "day")
		}
	}
	if rapid.Bool().Draw(t, "dates") {
		k.Start = rapid.Int64Range(1, 1<<32).Draw(t, "start")
		k.Expiry = k.Start + rapid.Int64Range(1, 1<<32).Draw(t, "life")
	}
	e.Token = k
	return e
}

func export(t testing.TB, to *Recipient, tokens ...exported) string {
	var out bytes.Buffer
	w, err := NewPSKCWriter(&out, to)
	for i := range tokens {
		if err == nil {
			err = w.Write(&tokens[i].Token, tokens[i].Seed, tokens[i].User)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// reimported gives what an import makes of an export.
func reimported(text string, o ReadOptions, tokens []exported) (string, error) {
	rows, err := readAll(text, o)
	if err != nil {
		return "", err
	}
	if len(rows) != len(tokens) {
		return "", fmt.Errorf("%d rows of %d tokens", len(rows), len(tokens))
	}
	for i, r := range rows {
		want := tokens[i]
		want.Token.ID = 0
		if diff := cmp.Diff(want, exported{r.Token, r.Seed, r.User}); diff != "" || len(r.Warnings) > 0 {
			return fmt.Sprintf("row %d, %q:\n%s", i, r.Warnings, diff), nil
		}
	}
	return "", nil
}

// What was exported comes in as it was, counters, drift and dates included, under every kind of recipient.
func TestExportComesInAgain(t *testing.T) {
	key, der := ourKey()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		var tokens []exported
		for i := range rapid.IntRange(1, 4).Draw(t, "tokens") {
			tokens = append(tokens, drawExported(t, i))
		}
		to, o := &Recipient{Certificate: cert}, ReadOptions{PrivateKey: key}
		if n := rapid.SampledFrom([]int{0, 16, 24, 32}).Draw(t, "key"); n > 0 {
			to = &Recipient{Key: testSeed(50, n)}
			o = ReadOptions{Key: to.Key}
		}
		var out bytes.Buffer
		w, err := NewPSKCWriter(&out, to)
		for i := range tokens {
			if err == nil {
				err = w.Write(&tokens[i].Token, tokens[i].Seed, tokens[i].User)
			}
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff, err := reimported(out.String(), o, tokens); err != nil || diff != "" {
			t.Fatalf("%v %s\n%s", err, diff, out.String())
		}
		for _, e := range tokens {
			if bytes.Contains(out.Bytes(), e.Seed[:MinSeed]) {
				t.Fatal("a seed stands in the file")
			}
		}
	})
}

func someExported() []exported {
	return []exported{
		{Token{Serial: "8011200001", Form: Hardware, Mode: TOTP, Hash: SHA256, Digits: 8, Period: 60, State: InStock, Last: 29_000_000, Drift: -2, DriftDay: 20000, Expiry: 1924905600}, testSeed(1, 32), "hanako"},
		{Token{Serial: "8011200002", CredentialID: "ABHT00000017", Name: "spare", Form: Hardware, Mode: HOTP, Hash: SHA1, Digits: 6, State: InStock, Last: 41}, testSeed(2, 20), ""},
		{Token{ID: 5, Form: Software, Mode: TOTP, Hash: SHA1, Digits: 6, Period: 30, State: InStock, Last: NoStep}, testSeed(3, 20), "taro"},
	}
}

func TestExportUnderPassword(t *testing.T) {
	password := []byte("correct horse battery")
	tokens := someExported()
	text := export(t, &Recipient{Password: password}, tokens...)
	if diff, err := reimported(text, ReadOptions{Password: password}, tokens); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := readAll(text, ReadOptions{Password: []byte("correct horse batterz")}); err == nil || !strings.Contains(err.Error(), "the MAC is wrong: either the password is not the one of this file") {
		t.Errorf("another password: %v", err)
	}
	if again := export(t, &Recipient{Key: testSeed(50, 16)}, tokens...); again == export(t, &Recipient{Key: testSeed(50, 16)}, tokens...) {
		t.Error("two exports have the same random numbers")
	}
	// Each secret has a vector of its own: two tokens of one seed look nothing alike.
	twins := []exported{someExported()[0], someExported()[0]}
	parts := strings.Split(export(t, &Recipient{Key: testSeed(50, 16)}, twins...), "<xenc:CipherValue>")
	if len(parts) != 4 || parts[2][:20] == parts[3][:20] || parts[1][:20] == parts[2][:20] || strings.HasPrefix(parts[2], "AAAAAAAAAAAAAAAA") {
		t.Error("vectors are not random")
	}
}

// The file is one that others read: pskctool finds it right by the schema of RFC 6030 and takes it apart, and it holds what
// RFC 6030 has a place for without our extension.
func TestExportForOthers(t *testing.T) {
	_, der := ourKey()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pskctool := func(args ...string) string { return runPSKCTool(t, args...) }
	tokens := someExported()
	key, name := testSeed(50, 16), filepath.Join(t.TempDir(), "export.xml")
	text := ""
	for _, to := range []*Recipient{{Password: []byte("correct horse battery")}, {Certificate: cert}, {Key: key}} {
		text = export(t, to, tokens...)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if said := pskctool("--validate", name); !strings.HasPrefix(said, "OK") { // its exit status does not tell
			t.Errorf("pskctool --validate: %s\n%s", said, text)
		}
	}
	listed := pskctool("--info", name)
	for _, want := range []string{"Id: AAAAAAAAAAAAK", "SerialNo: 8011200001", "Key Counter: 42", "Policy ExpiryDate: 2030-12-31 00:00:00", "Key User Id: hanako", "FriendlyName: spare"} {
		if !strings.Contains(listed, want) {
			t.Errorf("pskctool does not find %s:\n%s", want, listed)
		}
	}
	plain := strings.ReplaceAll(text, "sekisho:Token", "sekisho:Other")
	rows, err := readAll(plain, ReadOptions{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	got := told(rows)
	if want := "8011200001 totp SHA256 8 digits 60 s last -1 exp 1924905600; 8011200002 hotp SHA1 6 digits 0 s last 41 exp 0; AAAAAAAAAAAAK totp SHA1 6 digits 30 s last -1 exp 0"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestExportRecipients(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	certificate := func(public any, from, until time.Time) *x509.Certificate {
		return &x509.Certificate{PublicKey: public, PublicKeyAlgorithm: x509.ECDSA, NotBefore: from, NotAfter: until}
	}
	key, _ := ourKey()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		to   Recipient
		want string
	}{
		"password":      {Recipient{Password: []byte("0123456789abcdef")}, ""},
		"key":           {Recipient{Key: testSeed(1, 32)}, ""},
		"certificate":   {Recipient{Certificate: certificate(&key.PublicKey, now.Add(-day), now.Add(day))}, ""},
		"nothing":       {Recipient{}, "give one of the three"},
		"two":           {Recipient{Password: []byte("0123456789abcdef"), Key: testSeed(1, 32)}, "give one of the three"},
		"empty":         {Recipient{Password: []byte{}}, "want 16 characters or more"},
		"short":         {Recipient{Password: []byte("0123456789abcde")}, "want 16 characters or more"},
		"not UTF-8":     {Recipient{Password: []byte("0123456789abcdef\xff")}, "want 16 characters"},
		"key of 20":     {Recipient{Key: testSeed(1, 20)}, "want 16, 24 or 32 octets"},
		"key of zeroes": {Recipient{Key: make([]byte, 32)}, "one octet repeated"},
		"EC":            {Recipient{Certificate: certificate(&ec.PublicKey, now, now)}, "has a key of ECDSA: want RSA"},
		"short RSA":     {Recipient{Certificate: certificate(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}, now, now)}, "1024 bits: want 2048"},
		"expired":       {Recipient{Certificate: certificate(&key.PublicKey, now.Add(-2*day), now.Add(-day))}, "is valid from"},
		"not yet":       {Recipient{Certificate: certificate(&key.PublicKey, now.Add(day), now.Add(2*day))}, "is valid from"},
	} {
		err := c.to.Check(now)
		if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v: want %q", name, err, c.want)
		}
	}
}

// An export that was given up, that was cut, or whose writer fails is no file.
func TestExportCut(t *testing.T) {
	tokens, key := someExported(), testSeed(50, 16)
	text := export(t, &Recipient{Key: key}, tokens...)
	for cut := 1; cut < len(text)-2; cut += 101 {
		if _, err := readAll(text[:cut], ReadOptions{Key: key}); err == nil {
			t.Fatalf("cut after %d octets, it was read", cut)
		}
	}
	w, err := NewPSKCWriter(&full{left: len(text) / 2}, &Recipient{Key: key})
	for i := range tokens {
		if err == nil {
			err = w.Write(&tokens[i].Token, tokens[i].Seed, "")
		}
	}
	if !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
	w, err = NewPSKCWriter(new(bytes.Buffer), &Recipient{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if !bytes.Equal(w.macKey, make([]byte, len(w.macKey))) {
		t.Error("the MAC key was not wiped")
	}
	if err := w.Write(&tokens[0].Token, testSeed(1, 4), ""); err == nil || strings.Contains(err.Error(), "8011") {
		t.Errorf("a short seed: %v", err)
	}
	bad := tokens[0].Token
	bad.Digits = 9
	if err := w.Write(&bad, testSeed(1, 20), ""); err == nil {
		t.Error("a token of 9 digits was written")
	}
}

var errFull = errors.New("full")

type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestOurExtensionFaults(t *testing.T) {
	key := testSeed(50, 16)
	text := export(t, &Recipient{Key: key}, someExported()[0])
	for name, c := range map[string][3]string{
		"form":      {`Form="hardware"`, `Form="glass"`, `<Token>: Form "glass": want software or hardware`},
		"no form":   {` Form="hardware"`, ``, "want software or hardware"},
		"last step": {`LastStep="29000000"`, `LastStep="-9"`, `<Token>: LastStep "-9"`},
		"drift":     {`Drift="-2"`, `Drift="40000"`, `<Token>: Drift "40000"`},
		"day":       {`DriftDay="20000"`, `DriftDay="x"`, `<Token>: DriftDay "x"`},
	} {
		changed := strings.Replace(text, c[0], c[1], 1)
		if changed == text {
			t.Fatalf("%s: %q is not in the file", name, c[0])
		}
		if _, err := readAll(changed, ReadOptions{Key: key}); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v: want %s", name, err, c[2])
		}
	}
}

func runPSKCTool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(testenv.Need(t, "pskctool"), args...).Output()
	if err != nil {
		t.Errorf("pskctool %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}
