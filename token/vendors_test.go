package token

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// told is what a row of a vendor's file says, for comparison as text.
func told(rows []Row) string {
	var b strings.Builder
	for _, r := range rows {
		t := r.Token
		fmt.Fprintf(&b, "%s %v %v %d digits %d s last %d exp %d; ", t.Serial, t.Mode, t.Hash, t.Digits, t.Period, t.Last, t.Expiry)
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func safenetFile(tokens string) string {
	return "<?xml version=\"1.0\"?>\n<!-- a carton -->\n<Tokens>\n" + tokens + "</Tokens>\n"
}

func safenetToken(serial, inside string) string {
	return "<Token serial=\"" + serial + "\">\n<CaseModel>5</CaseModel><Model>101</Model><ProductName>Name</ProductName>\n" +
		"<Applications><Application ConnectorID=\"{1}\">\n" + inside + "</Application></Applications></Token>\n"
}

func feitianFile(devices string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc:1.0">` + "\n" + devices + "</KeyContainer>\n"
}

func feitianDevice(serial, algorithm, format, data string, seed []byte) string {
	return "<Device>\n<DeviceInfo><Manufacturer>Maker</Manufacturer><SerialNo>" + serial + "</SerialNo></DeviceInfo>\n<Key KeyId=\"" + serial +
		"\" KeyAlgorithm=\"http://www.ietf.org/keyprov/pskc#" + algorithm + "\">" + format + "<Data><Secret>" + plainValue(seed) + "</Secret>" + data + "</Data></Key></Device>\n"
}

// Files in the shapes of vendors that have no norm, each with seeds of our own.
func TestVendorFiles(t *testing.T) {
	a, b := testSeed(1, 20), testSeed(2, 20)
	x, y := hex.EncodeToString(a), hex.EncodeToString(b)
	const usage, parameters = `<Usage OTP="true"><ResponseFormat Format="DECIMAL" Length="8"/></Usage>`, `<AlgorithmParameters><ResponseFormat Encoding="DECIMAL" Length="6"/></AlgorithmParameters>`
	for _, c := range []struct {
		name, text string
		o          ReadOptions
		warnings   int
		want       string
	}{
		{name: "SafeNet", text: safenetFile(safenetToken("0004A1", "<Seed>"+x+"</Seed><MovingFactor>1</MovingFactor>") + safenetToken("0004A2", "<Seed>"+y+"</Seed>")), warnings: 2,
			want: "0004A1 hotp SHA1 6 digits 0 s last 0 exp 0; 0004A2 hotp SHA1 6 digits 0 s last -1 exp 0"},
		{name: "SafeNet, time-based by assumption", text: safenetFile(safenetToken("0004A1", "<Seed>"+x+"</Seed>")), o: ReadOptions{Assume: Assumed{Mode: TOTP, Digits: 8, Period: 60}},
			want: "0004A1 totp SHA1 8 digits 60 s last -1 exp 0"},
		{name: "SafeNet, new element", text: safenetFile("<Token serial=\"0004A1\"><Colour>red</Colour><Seed>" + x + "</Seed></Token>"), warnings: 2, want: "0004A1 hotp SHA1 6 digits 0 s last -1 exp 0"},
		{name: "Feitian XML", text: feitianFile(feitianDevice("2600124", "totp", usage, "<TimeInterval><PlainValue>60</PlainValue></TimeInterval>", a) +
			feitianDevice("2600125", "hotp", parameters, "<Counter><PlainValue>3</PlainValue></Counter>", b)),
			want: "2600124 totp SHA1 8 digits 60 s last -1 exp 0; 2600125 hotp SHA1 6 digits 0 s last 2 exp 0"},
		{name: "Feitian XML without namespace", text: strings.Replace(feitianFile(feitianDevice("2600124", "hotp", usage, "", a)), ` xmlns="urn:ietf:params:xml:ns:keyprov:pskc:1.0"`, "", 1),
			want: "2600124 hotp SHA1 8 digits 0 s last -1 exp 0"},
		{name: "Feitian text", text: "2600124\t" + x + "\r\n2600125   " + strings.ToUpper(y) + "\r\n", warnings: 2, want: "2600124 totp SHA1 6 digits 30 s last -1 exp 0; 2600125 totp SHA1 6 digits 30 s last -1 exp 0"},
		{name: "Feitian text, with commas", text: "\ufeff2600124," + x + "\n\n2600125," + y, o: ReadOptions{Assume: Assumed{Mode: HOTP}}, want: "2600124 hotp SHA1 6 digits 0 s last -1 exp 0; 2600125 hotp SHA1 6 digits 0 s last -1 exp 0"},
		{name: "Yubico, traditional", text: "LOGGING START,11/26/2026 10:00\nOATH-HOTP,11/26/2026 10:00,1,ubhe00000001,," + x + ",,,0,0,0,6,0,0,0,0,0,0\nLOGGING START,11/26/2026 10:01\n" +
			"OATH-HOTP,11/26/2026 10:01,2,ubhe00000002,," + y + ",,,0,0,0,8,0,0,0,0,0,0\n", want: "ubhe00000001 hotp SHA1 6 digits 0 s last -1 exp 0; ubhe00000002 hotp SHA1 8 digits 0 s last -1 exp 0"},
		{name: "Yubico, its own", text: "# slot 1\n508326,,0," + x + ",,2026-11-26T10:00:00,\n1382042,,5," + y + ",,2026-11-26T10:01:00,\n", warnings: 2,
			want: "508326 hotp SHA1 6 digits 0 s last -1 exp 0; 1382042 hotp SHA1 6 digits 0 s last 4 exp 0"},
		{name: "Yubico, 8 digits by assumption", text: "508326,,0," + x + ",,2026-11-26T10:00:00,\n508327,,0," + y + ",,2026-11-26T10:00:00,\n", o: ReadOptions{Assume: Assumed{Digits: 8}},
			want: "508326 hotp SHA1 8 digits 0 s last -1 exp 0; 508327 hotp SHA1 8 digits 0 s last -1 exp 0"},
		{name: "Token2 for a cloud directory", text: "upn,serial number,secret key,time interval,manufacturer,model\r\na@example.com,868001," + inBase32(a) + ",30,Token2,C202\r\n",
			want: "868001 totp SHA1 6 digits 30 s last -1 exp 0"},
		{name: "Token2", text: "Serial,Seed,Algorithm,Period\r\n868001," + x + ",SHA1,60\r\n868002," + y + ",SHA256,30\r\n", want: "868001 totp SHA1 6 digits 60 s last -1 exp 0; 868002 totp SHA256 6 digits 30 s last -1 exp 0"},
		{name: "CSV with assumptions", text: "serial,secret_hex,period\n1," + x + ",\n2," + y + ",30\n", o: ReadOptions{Assume: Assumed{Hash: SHA256, Digits: 7, Period: 60}},
			want: "1 totp SHA256 7 digits 60 s last -1 exp 0; 2 totp SHA256 7 digits 30 s last -1 exp 0"},
	} {
		rows, err := readAll(c.text, c.o)
		warnings := 0
		for _, r := range rows {
			warnings += len(r.Warnings)
			if r.Token.Form != Hardware || r.Token.State != InStock || !(bytes.Equal(r.Seed, a) || bytes.Equal(r.Seed, b)) {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
		if err != nil || told(rows) != c.want || warnings != c.warnings {
			t.Errorf("%s: %v, %d warnings\n got %s\nwant %s", c.name, err, warnings, told(rows), c.want)
		}
	}
}

func TestVendorFileFaults(t *testing.T) {
	x := hex.EncodeToString(testSeed(1, 20))
	good := safenetToken("0004A1", "<Seed>"+x+"</Seed>")
	yubico := func(line string) string { return "508326,,0," + x + ",,t,\n" + line + "\n" }
	for name, c := range map[string]struct {
		text string
		o    ReadOptions
		want string
	}{
		"SafeNet without a serial":    {text: safenetFile(strings.Replace(good, `serial="0004A1"`, "", 1)), want: "line 4, <Token>: it has no attribute serial"},
		"SafeNet, small letters":      {text: safenetFile(strings.ReplaceAll(good, "Seed>", "seed>")), want: `line 6, key "0004A1", <Application>: it has no Seed`},
		"SafeNet, short seed":         {text: safenetFile(safenetToken("1", "<Seed>123412354a</Seed>")), want: "<Seed>: the secret has 5 octets"},
		"SafeNet, two applications":   {text: safenetFile(safenetToken("1", "<Seed>"+x+"</Seed></Application><Application>")), want: "<Applications>: want one Application"},
		"SafeNet, counter":            {text: safenetFile(safenetToken("1", "<Seed>"+x+"</Seed><MovingFactor>-1</MovingFactor>")), want: `<MovingFactor>: "-1"`},
		"SafeNet, other element":      {text: safenetFile("<Key/>"), want: "<Key>: want Token"},
		"SafeNet, cut":                {text: safenetFile(good)[:200], want: "the file breaks off here"},
		"SafeNet, twice":              {text: safenetFile(good + good), want: "line 8, key \"0004A1\", column serial: line 4 has the same one"},
		"SafeNet, bomb":               {text: "<!DOCTYPE Tokens [<!ENTITY a \"b\">]>" + safenetFile(good)[len("<?xml version=\"1.0\"?>"):], o: ReadOptions{Format: SafeNet}, want: "it declares a document type"},
		"SafeNet, second root":        {text: safenetFile(good) + "<Tokens/>", want: "it stands after the end"},
		"SafeNet, none":               {text: "<?xml version=\"1.0\"?>", o: ReadOptions{Format: SafeNet}, want: "the file holds no Tokens"},
		"SafeNet, other root":         {text: "<html/>", o: ReadOptions{Format: SafeNet}, want: "<html>: want Tokens"},
		"SafeNet, huge":               {text: safenetFile(safenetToken("1", "<Seed>"+strings.Repeat("a", maxPackage)+"</Seed>")), want: "one element has more than"},
		"Feitian, a package of PSKC":  {text: feitianFile(feitianDevice("1", "hotp", "", "", testSeed(1, 20)) + "<KeyPackage/>"), want: "the file has packages of another kind before it"},
		"PSKC, a device of Feitian":   {text: container("<Device/>"), want: "the file has packages of another kind before it"},
		"Feitian, old data":           {text: feitianFile(strings.Replace(feitianDevice("1", "hotp", "", "", testSeed(1, 20)), "<Secret>", `<Secret Name="x"/><Secret>`, 1)), want: "<Secret>: it stands there twice"},
		"Feitian text, three words":   {text: "2600124 " + x + "\n2600125 a b\n", want: "line 2: want a serial and a secret in hexadecimal"},
		"Feitian text, no hex":        {text: "2600124 " + x + "\n2600125 zz" + x[2:] + "\n", want: "line 2, column secret: the secret is not hexadecimal"},
		"Feitian text, cut":           {text: "2600124 " + x + "\n2600125 " + hex.EncodeToString(testSeed(2, 20))[:36], want: "line 2: its secret has 18 octets"},
		"Feitian text, shortened":     {text: "2600124 " + x + "\n2.6E+12 " + x + "\n", want: "line 2, column serial: it is what a spreadsheet makes"},
		"Yubico OTP":                  {text: "LOGGING START,t\nYubico OTP,t,1,vvgutbiedkvi,ab86c04de6a3," + x[:32] + ",,,0,0,0,0,0,0,0,0,0,0\n", want: "line 2: Yubico OTP is not taken: want OATH-HOTP"},
		"static password":             {text: "Static Password: Scan Code,t,1,1e1f,,,,,0\n", want: "line 1: Static Password is not taken"},
		"challenge":                   {text: "OATH-HOTP,t,1,a,," + x + ",,,0,0,0,6,0\nChallenge-Response: HMAC-SHA1,t,1,,," + x + ",,,0\n", want: "line 2: Challenge-Response is not taken"},
		"other kind":                  {text: "OATH-HOTP,t,1,a,," + x + ",,,0,0,0,6,0\nOATH-TOTP,t,1\n", want: `line 2: "OATH-TOTP": want OATH-HOTP`},
		"traditional, no identity":    {text: "OATH-HOTP,t,1,,," + x + ",,,0,0,0,6,0\n", want: "line 1, column public identity: it is empty"},
		"traditional, digits":         {text: "OATH-HOTP,t,1,a,," + x + ",,,0,0,0,9,0\n", want: `line 1, column digits: "9"`},
		"traditional, cut":            {text: "OATH-HOTP,t,1,a,," + x + ",,,0,0,0", want: "line 1: it has 11 fields: want 12 or more"},
		"traditional, same identity":  {text: "OATH-HOTP,t,1,a,," + x + ",,,0,0,0,6,0\nOATH-HOTP,t,1,A,," + hex.EncodeToString(testSeed(2, 20)) + ",,,0,0,0,6,0\n", want: "line 2, column serial: line 1 has the same one"},
		"Yubico's own, Yubico OTP":    {text: yubico("508327,cccccccccccc,83cebdfb7b93," + x[:32] + ",,t,"), want: "line 2: Yubico OTP is not taken"},
		"Yubico's own, static":        {text: yubico("508327,,," + x[:32] + ",,t,"), want: "line 2: Static Password is not taken"},
		"Yubico's own, moving factor": {text: yubico("508327,,abc," + x + ",,t,"), want: `line 2, column counter: "abc"`},
		"Yubico's own, secret":        {text: yubico("508327,,0,zz,,t,"), want: "line 2, column secret: the secret is not hexadecimal"},
		"Yubico's own, cut":           {text: yubico("508327,,0"), want: "line 2: it has 3 fields"},
	} {
		rows, err := readAll(c.text, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d rows, %v: want %s", name, len(rows), err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), x[4:20]) || len(err.Error()) > 1000) {
			t.Errorf("%s: the error shows the secret or is long: %.1200v", name, err)
		}
	}
}

// A secret of 32 octets in a file that names no hash is told, in these formats too.
func TestVendorFilesGuessHash(t *testing.T) {
	long := hex.EncodeToString(testSeed(1, 32))
	for _, text := range []string{safenetFile(safenetToken("1", "<Seed>"+long+"</Seed>")), "2600124 " + long + "\n"} {
		rows, err := readAll(text, ReadOptions{Assume: Assumed{Digits: 6}})
		if err != nil || len(rows[0].Warnings) != 1 || !strings.Contains(rows[0].Warnings[0], "32 octets, as for SHA256") {
			t.Errorf("%v, %+v", err, rows)
		}
		rows, err = readAll(text, ReadOptions{Assume: Assumed{Digits: 6, Hash: SHA256}})
		if err != nil || rows[0].Token.Hash != SHA256 || len(rows[0].Warnings) != 0 {
			t.Errorf("assumed: %v, %+v", err, rows)
		}
	}
}

func TestParseFormatAndAssumed(t *testing.T) {
	for at, name := range formatNames {
		if f, err := ParseFormat(strings.ToUpper(name)); err != nil || int(f) != at {
			t.Errorf("%s: %d, %v", name, f, err)
		}
	}
	if _, err := ParseFormat("xls"); err == nil {
		t.Error("xls was taken")
	}
	a, err := ParseAssumed([]string{"mode=hotp", "Hash=sha-256", "digits=8", "period=60"})
	if err != nil || a != (Assumed{HOTP, SHA256, 8, 60}) {
		t.Errorf("%+v, %v", a, err)
	}
	for _, bad := range []string{"mode", "mode=x", "digits=9", "period=5", "hash=md5", "colour=red", ""} {
		if _, err := ParseAssumed([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzVendorFiles(f *testing.F) {
	x := hex.EncodeToString(testSeed(1, 20))
	f.Add(safenetFile(safenetToken("0004A1", "<Seed>"+x+"</Seed><MovingFactor>1</MovingFactor>")), uint8(SafeNet))
	f.Add(feitianFile(feitianDevice("2600124", "hotp", "", "", testSeed(1, 20))), uint8(Feitian))
	f.Add("2600124\t"+x+"\n", uint8(Feitian))
	f.Add("OATH-HOTP,t,1,ubhe00000001,,"+x+",,,0,0,0,6,0\n508326,,0,"+x+",,t,\n", uint8(Yubico))
	f.Fuzz(func(t *testing.T, text string, format uint8) {
		checkRows(t, strings.NewReader(text), ReadOptions{Format: Format(int(format) % len(formatNames))})
	})
}
