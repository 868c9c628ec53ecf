package token

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func inBase32(b []byte) string { return base32.StdEncoding.EncodeToString(b) }

// Files in the shapes that vendors ship, each with seeds of our own.
func TestReadTokensOfVendors(t *testing.T) {
	a, b := testSeed(1, 20), testSeed(2, 20)
	x, y := hex.EncodeToString(a), hex.EncodeToString(b)
	type fields struct {
		serial, user string
		digits       uint8
		period       uint16
		mode         Mode
		hash         Hash
		expiry       int64
	}
	plain := []fields{{"1001", "", 6, 30, TOTP, SHA1, 0}, {"1002", "", 6, 30, TOTP, SHA1, 0}}
	users := []fields{{"1001", "a@example.com", 6, 30, TOTP, SHA1, 0}, {"1002", "b@example.com", 6, 30, TOTP, SHA1, 0}}
	for _, c := range []struct {
		name, text string
		o          ReadOptions
		want       []fields
	}{
		{name: "cloud directory", text: "upn,serial number,secret key,time interval,manufacturer,model\r\n" +
			"a@example.com,1001," + inBase32(a) + ",30,Maker,M1\r\nb@example.com,1002," + inBase32(b) + ",30,Maker,M1\r\n", want: users},
		{name: "semicolons and quotes", text: `"S/N";"Seed (hex)"` + "\n" + `"1001";"` + x + "\"\n" + `"1002";"` + y + "\"\n", want: plain},
		{name: "tabs", text: "Serial No.\tSEED\n1001\t" + strings.ToUpper(x) + "\n1002\t" + strings.ToUpper(y) + "\n", want: plain},
		{name: "spreadsheet", text: "sep=;\nserial;seed;comment;\n1001;" + x + ";;\n1002;" + y + ";=HYPERLINK(1);\n;;;\n", want: plain},
		{name: "base64", text: "token_serial,secret\n1001," + base64.StdEncoding.EncodeToString(a) + "\n1002," + base64.StdEncoding.EncodeToString(b) + "\n", want: plain},
		{name: "base32 in groups", text: "serial,key\n1001," + strings.ToLower(inBase32(a)[:16]+" "+inBase32(a)[16:]) + "\n1002," + strings.ToLower(inBase32(b)) + "\n", want: plain},
		{name: "without header", text: "1001," + x + ",hotp,8,x\n1002," + y + ",hotp,8,x\n", o: ReadOptions{NoHeader: true, Columns: map[string]string{"serial": "1", "secret": "2", "type": "3", "digits": "4"}},
			want: []fields{{"1001", "", 8, 0, HOTP, SHA1, 0}, {"1002", "", 8, 0, HOTP, SHA1, 0}}},
		{name: "without header, known encoding", text: x + "|\t1001\n" + y + "|\t1002\n", o: ReadOptions{NoHeader: true, Columns: map[string]string{"serial": "2", "secret_hex": "1"}}, want: nil},
		{name: "columns by name", text: "Gerät,Geheim,Person,PUK,user\n1001," + x + ",a@example.com,1,q\n1002," + y + ",b@example.com,2,q\n",
			o: ReadOptions{Columns: map[string]string{"serial": "gerät", "secret": "GEHEIM", "user": "Person"}, Skip: []string{"puk"}}, want: users},
		{name: "columns by number", text: "Nr,Wert,Wer\n1001," + x + ",a@example.com\n1002," + y + ",b@example.com\n",
			o: ReadOptions{Columns: map[string]string{"serial": "1", "secret": "2", "user": "3"}}, want: users},
		{name: "everything", text: "Serial Number,OTP Type,Algorithm,OTP Length,Time Step (s),Seed,Expiration Date\n" +
			"1001,OATH-TOTP,HMAC-SHA-256,8,60 sec," + x + ",12/31/2030\n1002,Event,SHA1,6,," + y + ",2030-12-31T00:00:00Z\n",
			want: []fields{{"1001", "", 8, 60, TOTP, SHA256, 1924905600}, {"1002", "", 6, 0, HOTP, SHA1, 1924905600}}},
		{name: "Japanese", text: "シリアル番号,シード,有効期限,ユーザーID\n1001," + x + ",2030年12月31日,a@example.com\n1002," + y + ",2030/12/31,b@example.com\n",
			want: []fields{{"1001", "a@example.com", 6, 30, TOTP, SHA1, 1924905600}, {"1002", "b@example.com", 6, 30, TOTP, SHA1, 1924905600}}},
		{name: "encoding by option", text: "serial,seed\n1001," + x + "\n1002," + y + "\n", o: ReadOptions{Encoding: Hex}, want: plain},
	} {
		for form, text := range map[string]string{"": c.text, ", with mark": "\ufeff" + c.text, ", UTF-16": inUTF16(c.text, binary.LittleEndian), ", UTF-16BE": inUTF16(c.text, binary.BigEndian)} {
			rows, err := readAll(text, c.o)
			if c.want == nil {
				if err == nil {
					t.Errorf("%s%s: read", c.name, form)
				}
				continue
			}
			var got []fields
			for _, r := range rows {
				k := r.Token
				got = append(got, fields{k.Serial, r.User, k.Digits, k.Period, k.Mode, k.Hash, k.Expiry})
			}
			if err != nil || !cmp.Equal(c.want, got, cmp.AllowUnexported(fields{})) {
				t.Errorf("%s%s: %v %s", c.name, form, err, cmp.Diff(c.want, got, cmp.AllowUnexported(fields{})))
				continue
			}
			if !bytes.Equal(rows[0].Seed, a) || !bytes.Equal(rows[1].Seed, b) {
				t.Errorf("%s%s: other seeds", c.name, form)
			}
		}
	}
}

func inUTF16(s string, order binary.AppendByteOrder) string {
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// The encoding is settled once, by all secrets of the file.
func TestFindEncoding(t *testing.T) {
	file := func(secrets ...string) string {
		var b strings.Builder
		b.WriteString("serial,seed\n")
		for i, s := range secrets {
			fmt.Fprintf(&b, "%d,%s\n", i, s)
		}
		return b.String()
	}
	const both, both2 = "22334455667722334455667722334455", "AABBCCDDEEFF22AABBCCDDEEFF22AABB" // 16 octets as hex, 20 as base32
	a := testSeed(1, 20)
	for _, c := range []struct {
		name, text string
		o          ReadOptions
		want       int // octets of the first seed
		fault      string
	}{
		{name: "hex that could be base32, beside hex", text: file(both, hex20), want: 16},
		{name: "base32 that could be hex, beside base32", text: file(both, inBase32(a)), want: 20},
		{name: "both", text: file(both, both2), fault: "line 1, column seed: the secrets can be read as hex and as base32: say which of the two they are"},
		{name: "both, by option", text: file(both, both2), o: ReadOptions{Encoding: Base32}, want: 20},
		{name: "base64 of letters in one case", text: file(base64.StdEncoding.EncodeToString(a)), want: 20},
		{name: "mixed", text: file(hex20, base64.StdEncoding.EncodeToString(a), base64.StdEncoding.EncodeToString(testSeed(2, 20))), fault: "1 of 3 secrets look like hex, 0 like base32: say how they are written"},
		{name: "hex with a damaged one", text: file(hex20, hex20b, "zz"+hex20b[2:]), fault: "line 4, column seed: the secret is not hexadecimal"},
		{name: "hex with one cut to look like base64", text: file(hex20, hex20b, hex20[:39]+"/"), fault: "line 4, column seed: the secret is not hexadecimal"},
		{name: "hex with 0x", text: file("0x"+hex20, "0X"+hex20b), want: 20},
		{name: "short hex is no base64", text: file("00112233445566778899aabb", "a0112233445566778899aabb"), fault: "line 2, column seed: the secret has 12 octets"},
		{name: "short base32 is no base64", text: file(inBase32(a[:15]), inBase32(a[1:16])), fault: "line 2, column seed: the secret has 15 octets"},
		{name: "nothing", text: file("?", "??"), fault: "line 2, column seed: the secret is not 16 to 128 octets in hexadecimal, base32 or base64"},
		{name: "name and option differ", text: "serial,secret_hex\n1," + hex20, o: ReadOptions{Encoding: Base64}, fault: "by its name it is hex, and base64 was asked for"},
	} {
		rows, err := readAll(c.text, c.o)
		switch {
		case c.fault == "" && (err != nil || len(rows[0].Seed) != c.want):
			t.Errorf("%s: %v, %d rows", c.name, err, len(rows))
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: %v: want %s", c.name, err, c.fault)
		}
	}
}

func TestColumnFaults(t *testing.T) {
	text := "number,value,who\n1001," + hex20 + ",bob\n"
	for _, c := range []struct {
		o    ReadOptions
		want string
	}{
		{ReadOptions{}, `column 1, "number", is not known by its name`},
		{ReadOptions{Columns: map[string]string{"serial": "number", "secret": "value"}}, `column 3, "who", is not known`},
		{ReadOptions{Columns: map[string]string{"pin": "who"}}, `"pin" is not a field: want one of serial`},
		{ReadOptions{Columns: map[string]string{"model": "who"}}, `"model" is not a field`},
		{ReadOptions{Columns: map[string]string{"serial": "4"}}, `the column for serial: there is no column "4": the first line has 3 columns`},
		{ReadOptions{Columns: map[string]string{"serial": "1", "user": "number"}}, `column "number" is given for two fields`},
		{ReadOptions{Columns: map[string]string{"serial": "1"}, Skip: []string{"number"}}, `column "number" is given for a field and to be passed over`},
		{ReadOptions{Skip: []string{"puk"}}, `the column to pass over: there is no column "puk"`},
		{ReadOptions{Columns: map[string]string{"serial": "1"}, Skip: []string{"2", "3"}}, "no column holds the secrets"},
		{ReadOptions{NoHeader: true, Columns: map[string]string{"serial": "1"}}, "no column holds the secrets"},
		{ReadOptions{NoHeader: true, Columns: map[string]string{"serial": "number", "secret": "2"}}, `there is no column "number"`},
	} {
		if _, err := readAll(text, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v: want %s", c.o, err, c.want)
		}
	}
	// A token that was taken for a header does not show its secret as the name of a column.
	o := ReadOptions{Columns: map[string]string{"serial": "1", "secret": "2"}}
	if _, err := readAll("1001,"+hex20+"\n1002,zz\n", o); err == nil || strings.Contains(err.Error(), hex20) || !strings.Contains(err.Error(), "line 2, column 2") {
		t.Errorf("the first line as a header: %v", err)
	}
}

func TestCutAndOddFiles(t *testing.T) {
	text := "serial,expiry,seed_hex\n1001,2030-12-31," + hex20 + "\n1002,2030-12-31," + hex20b
	for cut, want := range map[int]string{
		4:  "line 3: its secret has 18 octets, the others 20",
		3:  "line 3, column seed_hex: the secret is not hexadecimal",
		2:  "line 3: its secret has 19 octets, the others 20, and the line has no end: the file seems to be cut off here",
		41: "line 3: it has 2 fields and the first line has 3; the file seems to be cut off here",
		53: "line 3: it has 1 fields and the first line has 3; the file seems to be cut off here",
	} {
		if _, err := readAll(text[:len(text)-cut], ReadOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without the last %d: %v: want %s", cut, err, want)
		}
	}
	rows, err := readAll(text+"00112233445566778899\n", ReadOptions{})
	if err != nil || len(rows[1].Warnings) != 1 || rows[1].Warnings[0] != "its secret has 30 octets and the first of the file 20" {
		t.Errorf("a longer secret: %v, %+v", err, rows)
	}
	lost := inUTF16("serial,seed\n1001,"+hex20+"\n", binary.LittleEndian)
	if _, err := readAll(lost[:len(lost)-1], ReadOptions{}); err == nil || !strings.Contains(err.Error(), "line 2: it has a character that was lost") {
		t.Errorf("half a character: %v", err)
	}
	if _, err := readAll("serial,seed_hex\n2.60012E+12,"+hex20+"\n", ReadOptions{}); err == nil || !strings.Contains(err.Error(), `line 2, column serial: "2.60012E+12" is what a spreadsheet makes of a long number`) {
		t.Errorf("a shortened serial: %v", err)
	}
	rows, err = readAll("serial,seed_hex,hash\n1,"+hex.EncodeToString(testSeed(1, 32))+",\n2,"+hex.EncodeToString(testSeed(2, 32))+",SHA256\n", ReadOptions{})
	if err != nil || len(rows[0].Warnings) != 1 || !strings.Contains(rows[0].Warnings[0], "32 octets, as for SHA256, and the file names no hash") || len(rows[1].Warnings) != 0 {
		t.Errorf("no hash: %v, %+v", err, rows)
	}
	if _, err := readAll("serial,seed_hex,\n1,"+hex20+",\n2,"+hex20b+",2030-12-31\n", ReadOptions{}); err == nil || !strings.Contains(err.Error(), "line 3, column 3: the header has no name for it") {
		t.Errorf("a column without a name: %v", err)
	}
	contradiction := "serial,type,mode,seed_hex\n1,HOTP,TOTP," + hex20 + "\n"
	if _, err := readAll(contradiction, ReadOptions{}); err == nil || !strings.Contains(err.Error(), `line 2, column mode: "TOTP" contradicts another column`) {
		t.Errorf("two modes: %v", err)
	}
}

// Ten thousand rows of nonsense: each gets its line, none its text, and without Bad only the first of them are kept.
func TestNonsense(t *testing.T) {
	const rows = 10_000
	var csv, uris, pskc strings.Builder
	csv.WriteString("serial,secret,expiry,digits\n")
	for i := range rows {
		junk := base64.StdEncoding.EncodeToString(testSeed(i, 128))
		fmt.Fprintf(&csv, "%s,%s;,%s,%s\n", junk[:20], junk[20:60], junk[60:80], junk[80:90])
		fmt.Fprintf(&uris, "otpauth://totp/%s?secret=%s&digits=%s\n", junk[:20], junk[20:60], junk[60:80])
		k := totpKey(junk[:10], "<PlainValue>"+junk[:9]+"</PlainValue>")
		k.digits = junk[10:20]
		pskc.WriteString(k.String())
	}
	for name, text := range map[string]string{"CSV": csv.String(), "URIs": uris.String(), "PSKC": container(pskc.String())} {
		if _, err := readAll(text, ReadOptions{}); err == nil || len(err.Error()) > 10_000 || !strings.Contains(err.Error(), "not looked at") {
			t.Errorf("%s: %.2000v", name, err)
		}
		last, n := 0, 0
		err := ReadTokens(strings.NewReader(text), ReadOptions{Bad: func(e *RowError) error {
			if n++; e.Line <= last || len(e.Error()) > 300 {
				t.Errorf("%s: after line %d: %v", name, last, e)
			}
			last = e.Line
			return nil
		}}, func(Row) error { t.Errorf("%s: a row was read", name); return nil })
		if err != nil || n != rows {
			t.Errorf("%s: %d bad rows, %v", name, n, err)
		}
	}
}
