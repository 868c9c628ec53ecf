package token

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoOctets and protoNumber write fields of a message as an app does.
func protoOctets(number int, text []byte) []byte {
	return append(binary.AppendUvarint([]byte{byte(number<<3 | 2)}, uint64(len(text))), text...)
}

func protoNumber(number int, v uint64) []byte {
	return binary.AppendUvarint([]byte{byte(number << 3)}, v)
}

// appEntry is one entry; numbers are hash, digits, kind and counter, of which 0 is left out.
func appEntry(seed []byte, name, issuer string, numbers ...uint64) []byte {
	e := append(protoOctets(1, seed), protoOctets(2, []byte(name))...)
	e = append(e, protoOctets(3, []byte(issuer))...)
	for i, n := range numbers {
		if n > 0 {
			e = append(e, protoNumber(4+i, n)...)
		}
	}
	return e
}

// appBundle is code at of size of an export.
func appBundle(id, size, at uint64, entries ...[]byte) string {
	var m []byte
	for _, e := range entries {
		m = append(m, protoOctets(1, e)...)
	}
	m = append(m, protoNumber(2, 1)...)
	m = append(m, protoNumber(3, size)...)
	m = append(m, protoNumber(4, at)...)
	m = append(m, protoNumber(5, id)...)
	return "otpauth-migration://offline?data=" + url.QueryEscape(base64.StdEncoding.EncodeToString(m))
}

func TestReadTokensFromAppBundles(t *testing.T) {
	first := appBundle(77, 2, 0, appEntry(testSeed(1, 20), "Example:hanako", "Example", 1, 1, 2), appEntry(testSeed(2, 32), "taro@example.com", "", 2, 2, 2))
	second := appBundle(77, 2, 1, append(appEntry(testSeed(3, 20), "jiro", "Example", 0, 0, 1, 41), protoOctets(8, []byte("an id"))...))
	text := "\r\n" + second + "\r\n" + first + "\notpauth://totp/saburo?secret=" + inBase32(testSeed(4, 20)) + "\n"
	want := []struct {
		user string
		t    Token
		seed []byte
		line int
	}{
		{"jiro", Token{Form: Software, Mode: HOTP, Hash: SHA1, Digits: 6, State: InStock, Last: 40}, testSeed(3, 20), 2},
		{"hanako", Token{Form: Software, Mode: TOTP, Hash: SHA1, Digits: 6, Period: 30, State: InStock, Last: NoStep}, testSeed(1, 20), 3},
		{"taro@example.com", Token{Form: Software, Mode: TOTP, Hash: SHA256, Digits: 8, Period: 30, State: InStock, Last: NoStep}, testSeed(2, 32), 3},
		{"saburo", Token{Form: Software, Mode: TOTP, Hash: SHA1, Digits: 6, Period: 30, State: InStock, Last: NoStep}, testSeed(4, 20), 4},
	}
	unescaped, err := url.QueryUnescape(text) // as some readers of QR codes give it
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{text, unescaped} {
		rows, err := readAll(text, ReadOptions{})
		if err != nil || len(rows) != len(want) {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for i, w := range want {
			r := rows[i]
			if r.User != w.user || r.Line != w.line || !bytes.Equal(r.Seed, w.seed) || r.Token.Check() != nil || tokenText(r.Token) != tokenText(w.t) {
				t.Errorf("row %d: %+v", i, r)
			}
		}
	}
}

func tokenText(t Token) string {
	return fmt.Sprint(t.Mode, t.Hash, t.Form, t.Digits, t.Period, t.Last)
}

func TestAppBundleFaults(t *testing.T) {
	entry := func(numbers ...uint64) string {
		return appBundle(1, 1, 0, appEntry(testSeed(1, 20), "hanako", "Example", numbers...))
	}
	good := entry(1, 1, 2)
	part := func(size, at uint64, i int) string {
		return appBundle(1, size, at, appEntry(testSeed(i, 20), "u"+string(rune('a'+i)), "", 1, 1, 2)) + "\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"a code is missing":  {part(3, 0, 1) + part(3, 2, 2), "line 1: the app's export has 3 codes and 2 of them are here: code 2 is missing"},
		"a code twice":       {part(2, 0, 1) + part(2, 1, 2) + part(2, 1, 3), "line 3: line 2 is code 2 of the same export"},
		"other number":       {part(2, 0, 1) + part(3, 1, 2), "line 2: it is one of 3 codes, and line 1 of the same export is one of 2"},
		"beyond the last":    {part(2, 2, 1), "it says that it is code 3 of 2"},
		"very many":          {part(1<<40, 1<<39, 1), "which cannot be"},
		"the same secret":    {good + "\n" + appBundle(2, 1, 0, appEntry(testSeed(1, 20), "taro", "", 1, 1, 2)), `line 2, key "entry 1": line 1 has the same secret`},
		"MD5":                {entry(4, 1, 2), `line 1, key "entry 1": its hash is 4`},
		"no kind":            {entry(1, 1, 0), "its kind is 0: want 1 (counter) or 2 (time)"},
		"seven digits":       {entry(1, 3, 2), "its number of digits is of kind 3"},
		"negative counter":   {entry(1, 1, 1, 1<<63), "its counter is out of range"},
		"short secret":       {appBundle(1, 1, 0, appEntry(testSeed(1, 10), "hanako", "", 1, 1, 2)), "the secret has 10 octets: want 16 to 128"},
		"no account":         {appBundle(1, 1, 0, appEntry(testSeed(1, 20), "", "Example", 1, 1, 2)), "it names no account"},
		"control characters": {appBundle(1, 1, 0, appEntry(testSeed(1, 20), "a\nb", "", 1, 1, 2)), "without control characters"},
		"no entry":           {appBundle(1, 1, 0), "it holds no entry"},
		"version":            {"otpauth-migration://offline?data=" + url.QueryEscape(base64.StdEncoding.EncodeToString(append(protoNumber(2, 9), protoOctets(1, appEntry(testSeed(1, 20), "a", "", 1, 1, 2))...))), "its version is 9"},
		"cut":                {good[:len(good)-30], "line 1"},
		"no data":            {"otpauth-migration://offline?date=x", "want one parameter data"},
		"not base64":         {"otpauth-migration://offline?data=!!!!", "its data is not base64"},
		"elsewhere":          {strings.Replace(good, "offline", "online", 1), "want otpauth-migration://offline"},
		"groups":             {"otpauth-migration://offline?data=CwsL", "its data cannot be read"},
	} {
		rows, err := readAll(c.text, ReadOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d rows, %v: want %s", name, len(rows), err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), good[50:70]) {
			t.Errorf("%s: the error shows the data: %v", name, err)
		}
	}
	// Told to go on, the entries that came are kept.
	n, faults := 0, 0
	err := ReadTokens(strings.NewReader(part(2, 0, 1)), ReadOptions{Bad: func(*RowError) error { faults++; return nil }}, func(Row) error { n++; return nil })
	if err != nil || n != 1 || faults != 1 {
		t.Errorf("%d rows, %d faults, %v", n, faults, err)
	}
}

// Octets that the protobuf library writes, with fields and kinds that we pass over.
func TestAppBundleAgainstProtowire(t *testing.T) {
	var e []byte
	e = protowire.AppendTag(e, 9, protowire.Fixed64Type)
	e = protowire.AppendFixed64(e, 5)
	e = protowire.AppendTag(e, 1, protowire.BytesType)
	e = protowire.AppendBytes(e, []byte("12345678901234567890"))
	e = protowire.AppendTag(e, 2, protowire.BytesType)
	e = protowire.AppendString(e, "x:hanako")
	for number, v := range map[protowire.Number]uint64{4: 1, 5: 2, 6: 1, 7: 1 << 40} {
		e = protowire.AppendTag(e, number, protowire.VarintType)
		e = protowire.AppendVarint(e, v)
	}
	m := protowire.AppendTag(nil, 1, protowire.BytesType)
	m = protowire.AppendBytes(m, e)
	m = protowire.AppendTag(m, 5, protowire.VarintType)
	id := int64(-5)
	m = protowire.AppendVarint(m, uint64(id))
	m = protowire.AppendTag(m, 2000, protowire.Fixed32Type)
	m = protowire.AppendFixed32(m, 7)
	rows, err := readAll("otpauth-migration://offline?data="+url.QueryEscape(base64.StdEncoding.EncodeToString(m)), ReadOptions{})
	if err != nil || len(rows) != 1 || string(rows[0].Seed) != "12345678901234567890" || rows[0].Token.Last != 1<<40-1 || rows[0].Token.Digits != 8 || rows[0].User != "hanako" {
		t.Errorf("%v %+v", err, rows)
	}
}

func FuzzAppBundle(f *testing.F) {
	f.Add(append(protoOctets(1, appEntry(testSeed(1, 20), "hanako", "Example", 1, 1, 2)), protoNumber(3, 1)...))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, message []byte) {
		checkRows(t, strings.NewReader("otpauth-migration://offline?data="+url.QueryEscape(base64.StdEncoding.EncodeToString(message))), ReadOptions{})
	})
}
