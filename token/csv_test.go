package token

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// collect reads a file to its end and keeps copies of the seeds.
func collect(text string) ([]Row, error) {
	var rows []Row
	err := ReadTokens(strings.NewReader(text), ReadOptions{}, func(r Row) error {
		r.Seed = bytes.Clone(r.Seed)
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

const hex20, hex20b = "3132333435363738393031323334353637383930", "4132333435363738393031323334353637383930"

func TestReadTokens(t *testing.T) {
	text := "\ufeffSerial, user,secret_base32,mode,hash,digits,period,counter,start,expiry,form,credential_id\r\n" +
		"HW-1,erin,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,hotp,SHA-256,8,,17,2026-01-01T00:00:00Z,2027-01-01T09:00:00+09:00,,ABCD00000001\r\n" +
		",,,,,,,,,,,\r\n" +
		"\r\n" +
		"\"HW,\"\"2\"\"\" , \"花子\",iezd gnbv gy3t qojq gezd gnbv gy3t qojq====,,,,60,,,,,\r\n" +
		",frank,IIZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,TOTP,sha512,7,120,0,,,software,"
	rows, err := collect(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []Row{
		{Line: 2, Token: Token{Serial: "HW-1", CredentialID: "ABCD00000001", Form: Hardware, Mode: HOTP, Hash: SHA256, Digits: 8, State: InStock,
			Start: 1767225600, Expiry: 1798761600, Last: 16}, Seed: Seed("12345678901234567890"), User: "erin",
			StartText: "2026-01-01T00:00:00Z", ExpiryText: "2027-01-01T09:00:00+09:00"},
		{Line: 5, Token: Token{Serial: `HW,"2"`, Form: Hardware, Mode: TOTP, Hash: SHA1, Digits: 6, Period: 60, State: InStock, Last: NoStep},
			Seed: Seed("A2345678901234567890"), User: "花子"},
		{Line: 6, Token: Token{Form: Software, Mode: TOTP, Hash: SHA512, Digits: 7, Period: 120, State: InStock, Last: NoStep},
			Seed: Seed("B2345678901234567890"), User: "frank"},
	}
	if diff := cmp.Diff(want, rows, cmp.Transformer("octets", func(s Seed) string { return string(s) })); diff != "" {
		t.Error(diff)
	}
	for i := range rows {
		if err := rows[i].Token.Check(); err != nil {
			t.Error(err)
		}
	}
	// One octet at a time gives the same.
	n := 0
	if err := ReadTokens(iotest.OneByteReader(strings.NewReader(text)), ReadOptions{}, func(Row) error { n++; return nil }); err != nil || n != 3 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestReadTokensSecrets(t *testing.T) {
	for header, secret := range map[string]string{
		"secret_hex":    "31 32 33 34 35 36 37 38 39 30 31 32 33 34 35 36 37 38 39 30",
		"SECRET_HEX":    strings.ToUpper(hex20),
		"secret_base32": "gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
		"secret_base64": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
		"Secret_Base64": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA",
	} {
		rows, err := collect("user," + header + "\nbob," + secret + "\n")
		if err != nil || string(rows[0].Seed) != "12345678901234567890" {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestReadTokensFaults(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "it is empty"},
		{"header only", "user,secret_hex\n", "holds no token"},
		{"no secret column", "user,serial\n", "line 1: no column holds the secrets: want one with the name secret"},
		{"two secret columns", "user,secret_hex,secret_base32\n", `line 1: the columns "secret_hex" and "secret_base32" both hold secrets`},
		{"unknown column", "user,secret_hex,pin\n", `line 1: column 3, "pin", is not known by its name`},
		{"column twice", "user,secret_hex,USER\n", `line 1: the columns "user" and "USER" both hold the user`},
		{"no header", "bob," + hex20 + "\n", `line 1: column 1, "bob", is not known by its name`},
		{"no header, secret first", hex20 + ",bob\n", "line 1: column 1, a text of 40 characters, is not known by its name"},
		{"Shift-JIS", "user,secret_hex\n\x89\xd4\x8eq," + hex20 + "\n", `line 2: it is not UTF-8; save the file as "CSV UTF-8"`},
		{"UTF-16 without a mark", "u\x00s\x00e\x00r\x00", "line 1: it is not UTF-8"},
		{"too few fields", "user,secret_hex\nbob\n", "line 2: it has 1 fields and the first line has 2"},
		{"too many fields", "user,secret_hex\nbob," + hex20 + ",x\n", "line 2: it has 3 fields"},
		{"open quote", "user,secret_hex\n\"bob," + hex20 + "\n", "line 2: field 1 begins with a quote"},
		{"text after a quote", "user,secret_hex\n\"bob\"x," + hex20 + "\n", "line 2: field 1 begins with a quote"},
		{"quote inside", "user,secret_hex\nb\"ob," + hex20 + "\n", "line 2: field 1 has a quote inside"},
		{"long line", "user,secret_hex\n" + strings.Repeat("x", maxLine) + "," + hex20 + "\n", "line 2: it is longer than 4096 octets"},
		{"Macintosh line ends", "user,secret_hex\r" + strings.Repeat("bob,"+hex20+"\r", 100), "line 1: it is longer than 4096 octets"},
		{"no secret", "user,secret_hex\nbob,\n", "line 2: it has no secret"},
		{"short secret", "user,secret_hex\nbob,313233\n", "line 2, column secret_hex: the secret has 3 octets: want 16 to 128"},
		{"long secret", "user,secret_hex\nbob," + strings.Repeat("31", 129) + "\n", "column secret_hex: the secret has 129 octets"},
		{"filler", "user,secret_hex\nbob," + strings.Repeat("00", 20) + "\n", "one octet repeated"},
		{"odd hex", "user,secret_hex\nbob," + hex20[1:] + "\n", "column secret_hex: the secret is not hexadecimal"},
		{"base32 with 1", "user,secret_base32\nbob,GEZDGNBVGY3TQOJQ1EZDGNBVGY3TQOJQ\n", "character 17 of the secret is not base32"},
		{"base32 cut", "user,secret_base32\nbob,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQA\n", "33 characters of base32"},
		{"base64 cut", "user,secret_base64\nbob,MTIzNDU2Nzg5MDEyMzQ1Njc4O\n", "not base64"},
		{"mode", "user,secret_hex,mode\nbob," + hex20 + ",sms\n", `line 2, column mode: "sms": want totp or hotp`},
		{"hash", "user,secret_hex,hash\nbob," + hex20 + ",MD5\n", `column hash: "MD5": want SHA1`},
		{"digits", "user,secret_hex,digits\nbob," + hex20 + ",9\n", `column digits: "9": want a number from 6 to 8`},
		{"digits 40", "user,secret_hex,digits\nbob," + hex20 + ",262\n", `column digits: "262": want a number from 6 to 8`},
		{"digits signed", "user,secret_hex,digits\nbob," + hex20 + ",+6\n", `column digits: "+6"`},
		{"period", "user,secret_hex,period\nbob," + hex20 + ",121\n", `column period: "121": want a number from 10 to 120`},
		{"period of hotp", "user,secret_hex,mode,period\nbob," + hex20 + ",hotp,30\n", "column period: an event-based token has none"},
		{"counter of totp", "user,secret_hex,counter\nbob," + hex20 + ",5\n", "column counter: a time-based token has none"},
		{"counter", "user,secret_hex,mode,counter\nbob," + hex20 + ",hotp,-1\n", `column counter: "-1"`},
		{"large counter", "user,secret_hex,mode,counter\nbob," + hex20 + ",hotp,99999999999999999999\n", "column counter: a text of 20 characters"},
		{"no date", "user,secret_hex,expiry\nbob," + hex20 + ",soon\n", `column expiry: "soon" is no date; want an instant`},
		{"expiry before start", "user,secret_hex,start,expiry\nbob," + hex20 + ",2027-01-01T00:00:00Z,2026-01-01T00:00:00Z\n", "line 2: expiry 2026-01-01T00:00:00Z is not after"},
		{"base64 damaged at its end", "user,secret_base64\nbob,MTIzNDU2Nzg5MDEyMzQ1Njc4OTB=\n", "not base64"},
		{"date of an empty clock", "user,secret_hex,expiry\nbob," + hex20 + ",1970-01-01T00:00:00Z\n", `column expiry: "1970-01-01T00:00:00Z": want an instant after 1970`},
		{"form", "user,secret_hex,form\nbob," + hex20 + ",card\n", `column form: "card"`},
		{"hardware without serial", "user,secret_hex,form\nbob," + hex20 + ",hardware\n", "column serial: a hardware token needs"},
		{"nobody's", "user,secret_hex\n ," + hex20 + "\n", "neither serial nor user"},
		{"control character", "serial,secret_hex\nA\x01," + hex20 + "\n", "line 2: serial: want text without control characters"},
		{"control character in user", "user,secret_hex\nb\x01b," + hex20 + "\n", "column user: want at most 253"},
		{"serial twice", "serial,secret_hex\nhw-1," + hex20 + "\n\nHW-1," + hex20b + "\n", "line 4, column serial: line 2 has the same one"},
		{"credential twice", "user,secret_hex,credential_id\nb," + hex20 + ",X\nc," + hex20b + ",x\n", "line 3, column credential_id: line 2 has"},
		{"secret twice", "user,secret_hex\nb," + hex20 + "\nc," + strings.ToUpper(hex20) + "00\n", "line 3: line 2 has the same secret"},
	} {
		rows, err := collect(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v: want %q", c.name, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), hex20[:10]) || strings.Contains(err.Error(), "GEZDGN") {
			t.Errorf("%s: the error shows the secret: %v", c.name, err)
		}
		if len(rows) > 1 {
			t.Errorf("%s: %d rows were handed out", c.name, len(rows))
		}
	}
}

func TestReadTokensReportsFaultsTogether(t *testing.T) {
	rows, err := collect("user,secret_hex,digits\na," + hex20 + ",9\nb,zz,6\nc," + hex20b + ",6\nd," + hex20b + ",6\n")
	if len(rows) != 0 {
		t.Errorf("%d rows were handed out after a fault", len(rows))
	}
	var first *RowError
	if !errors.As(err, &first) || first.Line != 2 || first.Column != "digits" {
		t.Errorf("%+v", first)
	}
	for _, want := range []string{"line 2, column digits", "line 3, column secret_hex", "line 5: line 4 has the same secret"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	_, err = collect("user,secret_hex\n" + strings.Repeat("a,zz\n", 1000))
	if n := strings.Count(err.Error(), "column secret_hex"); n != maxFaults || !strings.Contains(err.Error(), "not looked at") {
		t.Errorf("%d faults reported", n)
	}
}

func TestReadTokensStops(t *testing.T) {
	text := "user,secret_hex\nb," + hex20 + "\nc," + hex20b + "\n"
	full := errors.New("the store is full")
	calls := 0
	err := ReadTokens(strings.NewReader(text), ReadOptions{}, func(Row) error { calls++; return full })
	if !errors.Is(err, full) || calls != 1 || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%d calls, %v", calls, err)
	}
	calls = 0
	broken := io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := ReadTokens(broken, ReadOptions{}, func(Row) error { calls++; return nil }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken upload: %v", err)
	}
	var kept Seed
	if err := ReadTokens(strings.NewReader(text), ReadOptions{}, func(r Row) error { kept = r.Seed; return nil }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, make([]byte, 20)) {
		t.Error("the seed outlived the call that got it")
	}
}

func TestReadTokensLongFile(t *testing.T) {
	const rows = 100_000
	var text bytes.Buffer
	text.WriteString("serial,user,secret_hex\n")
	for i := range rows {
		fmt.Fprintf(&text, "S%06d,user%06d,%040x\n", i, i, i+1)
	}
	start, n := time.Now(), 0
	if err := ReadTokens(&text, ReadOptions{}, func(Row) error { n++; return nil }); err != nil || n != rows {
		t.Fatalf("%d rows, %v", n, err)
	}
	t.Logf("%d rows in %v", rows, time.Since(start).Round(time.Millisecond))
}

// checkRows holds what every reader promises, whatever the file: rows that a store may keep, and errors that name a place,
// are bounded and the same when bad rows go elsewhere.
func checkRows(t *testing.T, r io.Reader, o ReadOptions) {
	t.Helper()
	bad := 0
	o.Bad = func(e *RowError) error {
		bad++
		if e.Line < 1 || len(e.Error()) > 4*maxLine {
			t.Errorf("line %d: the error is %d octets long", e.Line, len(e.Error()))
		}
		return nil
	}
	_ = ReadTokens(r, o, func(r Row) error {
		if err := r.Token.Check(); err != nil {
			t.Errorf("line %d: a bad token was handed out: %v", r.Line, err)
		}
		if err := CheckSeed(r.Seed); err != nil {
			t.Errorf("line %d: a bad seed was handed out: %v", r.Line, err)
		}
		if r.Token.Serial == "" && r.User == "" {
			t.Errorf("line %d: nobody would find the token again", r.Line)
		}
		return nil
	})
}

func FuzzReadTokens(f *testing.F) {
	f.Add([]byte("serial,user,secret_hex,mode,counter\nA,bob,"+hex20+",hotp,5\n"), "", false)
	f.Add([]byte("\ufeffuser,secret_base32\r\n\"b\"\"ob\",GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\r\n"), "", false)
	f.Add([]byte("user,secret_base64,expiry\n,,\nx,MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=,2027-01-01T00:00:00Z"), "", false)
	f.Add([]byte("A;"+hex20+";31.12.2030\n"), "3", true)
	f.Add([]byte("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"), "", false)
	f.Fuzz(func(t *testing.T, text []byte, expiry string, noHeader bool) {
		o := ReadOptions{NoHeader: noHeader}
		if expiry != "" {
			o.Columns = map[string]string{"serial": "1", "secret": "2", "expiry": expiry}
		}
		checkRows(t, bytes.NewReader(text), o)
	})
}
