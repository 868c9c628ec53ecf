package dictionary

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"sekisho/internal/testenv"
)

func load(files map[string]string, builtIn bool) (*Dictionary, error) {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	d := New()
	return d, d.load("main", func(path string) ([]byte, error) { return fs.ReadFile(fsys, path) }, builtIn)
}

func TestLoad(t *testing.T) {
	d, err := load(map[string]string{
		"main": "# a site's own\n$INCLUDE more\r\nVENDOR Acme 99999 format=1,1 # numbers\nBEGIN-VENDOR Acme\nATTRIBUTE Acme-Role 1 string\n" +
			"attribute_less\n", "more": ""}, false)
	if err == nil || err.Error() != "main:6: attribute_less is not supported; there may be VENDOR, BEGIN-VENDOR, END-VENDOR, ATTRIBUTE, VALUE and $INCLUDE\nmain:7: BEGIN-VENDOR Acme has no END-VENDOR" {
		t.Errorf("error %v", err)
	}
	if d.Find("acme-role") == nil {
		t.Error("what is right was not taken")
	}
	d, err = load(map[string]string{
		"main": "VENDOR Acme 99999\nBEGIN-VENDOR Acme\nATTRIBUTE Acme-Level 0x02 integer has_tag\nVALUE acme-level High 0x10\nVALUE Acme-Level High 16\n" +
			"END-VENDOR acme\n$INCLUDE sub/cisco\n",
		"sub/cisco": "$INCLUDE other\nVENDOR Cisco-ASA 3076\nATTRIBUTE ASA-New 230 text Cisco-ASA\nATTRIBUTE ASA-Banner1 15 string Cisco-ASA\n",
		"sub/other": "VENDOR B 5\nBEGIN-VENDOR B\nATTRIBUTE B-1 1 ipv4addr\nEND-VENDOR B\n",
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	level := d.Find("ACME-LEVEL")
	if n, ok := level.Value("high"); level.Vendor != 99999 || level.Number != 2 || !level.Tagged || !ok || n != 16 {
		t.Errorf("%+v", level)
	}
	if a := d.Find("ASA-New"); a == nil || a.Vendor != 3076 || a.Type != Text || d.Vendor(3076) != "Cisco-ASA" {
		t.Errorf("%+v", a)
	}
	if !BuiltIn(3076) || BuiltIn(99999) || BuiltIn(0) {
		t.Error("the built-in vendors are wrong")
	}
	if fresh := New(); fresh.Find("ASA-New") != nil || fresh.Find("Acme-Level") != nil || fresh.Vendor(99999) != "" {
		t.Error("one dictionary changed another")
	}
	var last *Attribute
	for _, a := range d.All() {
		if last != nil && (a.Vendor < last.Vendor || a.Vendor == last.Vendor && a.Number < last.Number) {
			t.Errorf("%s stands behind %s", a.Name, last.Name)
		}
		last = a
	}
}

func TestLoadFaults(t *testing.T) {
	const acme = "VENDOR Acme 99999\nBEGIN-VENDOR Acme\n"
	for line, want := range map[string]string{
		"ATTRIBUTE Own 1 string":                                "main:1: Own: outside of BEGIN-VENDOR",
		"VENDOR Acme 0":                                         `"0" is not the number of a vendor`,
		"VENDOR Acme 16777216":                                  "is not the number of a vendor",
		"VENDOR A:b 7":                                          "cannot be the name",
		"VENDOR Acme 7 format=2,1":                              "format=2,1 is not supported",
		"VENDOR Cisco 7":                                        "name and number belong together",
		"VENDOR Other 9":                                        "name and number belong together",
		"VENDOR Acme":                                           "VENDOR with 1 words behind it; there have to be 2 or 3",
		"BEGIN-VENDOR Acme":                                     "has no VENDOR line before",
		"END-VENDOR Cisco":                                      "without its BEGIN-VENDOR",
		acme + "BEGIN-VENDOR Cisco":                             "main:3: BEGIN-VENDOR inside of BEGIN-VENDOR Acme",
		acme + "ATTRIBUTE A 256 string":                         "only 1 to 255",
		acme + "ATTRIBUTE A 0 string":                           "only 1 to 255",
		acme + "ATTRIBUTE A 1.2 string":                         "only 1 to 255",
		acme + "ATTRIBUTE A 1 tlv":                              "type tlv is not supported",
		acme + "ATTRIBUTE A 1 octets[8]":                        "type octets[8] is not supported",
		acme + "ATTRIBUTE A 1 string encrypt=2":                 "encrypt=2 is not supported",
		acme + "ATTRIBUTE A 1 string concat":                    "concat is not supported",
		acme + "ATTRIBUTE A 1 ipaddr has_tag":                   "has_tag goes with",
		acme + "ATTRIBUTE A:1 1 string":                         "cannot be the name",
		acme + "ATTRIBUTE Class 1 string":                       "main:3: Class is already known with another meaning: vendor 0, number 25, octets",
		acme + "ATTRIBUTE A 1 string Nobody":                    "vendor Nobody has no VENDOR line",
		"VALUE Nothing A 1":                                     "has no ATTRIBUTE line",
		"VALUE Class A 1":                                       "which is no integer",
		"VALUE Service-Type New 4294967296":                     "is not a number",
		"VALUE Service-Type Framed-User 3":                      "already known as 2",
		"VALUE Service-Type " + strings.Repeat("a", 129) + " 3": "more than 128",
		"BEGIN-TLV X":                                           "BEGIN-TLV is not supported",
		"$INCLUDE main":                                         "is being read already",
		"$INCLUDE nowhere":                                      "main:1: reading the dictionary",
		"\x00":                                                  "this is no dictionary",
		"\xff":                                                  "this is no dictionary",
	} {
		_, err := load(map[string]string{"main": line}, false)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
	_, err := load(map[string]string{"main": strings.Repeat("NONSENSE\n", 10_000)}, false)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != maxFaults {
		t.Errorf("10,000 lines of nonsense: %.100v", err)
	}
	wide := map[string]string{"main": strings.Repeat("$INCLUDE other\n", 100), "other": ""}
	if _, err := load(wide, false); err == nil || !strings.Contains(err.Error(), "more than 64 files") {
		t.Errorf("100 includes: %v", err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "missing"), t.TempDir()} {
		if err := New().Load(path); err == nil || !strings.HasPrefix(err.Error(), path+": reading the dictionary: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	big := filepath.Join(t.TempDir(), "big")
	if err := errors.Join(os.WriteFile(big, nil, 0o600), os.Truncate(big, maxFile+1)); err != nil {
		t.Fatal(err)
	}
	if err := New().Load(big); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a large file: %v", err)
	}
}

// unknownElsewhere are attributes that FreeRADIUS 3.2 has under another name or not at all.
var unknownElsewhere = map[string]bool{"ASA-Access-Hours": true}

// TestAgainstFreeRADIUS compares every attribute and value name with the dictionaries of another implementation.
func TestAgainstFreeRADIUS(t *testing.T) {
	const folder = "/usr/share/freeradius"
	files, err := filepath.Glob(filepath.Join(folder, "dictionary.*"))
	if err != nil || len(files) == 0 {
		testenv.LeaveOut(t, "there are no dictionaries in "+folder+" (Debian package freeradius-common)")
	}
	type meaning struct{ vendor, number, kind string }
	vendors := map[string]string{}
	attributes := map[string]meaning{}
	values := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		vendor := "0"
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "#")
			w := append(strings.Fields(line), "", "", "", "")
			switch w[0] {
			case "VENDOR":
				vendors[w[1]] = w[2]
			case "BEGIN-VENDOR":
				vendor = vendors[w[1]]
			case "END-VENDOR":
				vendor = "0"
			case "ATTRIBUTE":
				attributes[w[1]] = meaning{vendor, w[2], w[3]}
			case "VALUE":
				values[strings.ToLower(w[1]+" "+w[2])] = w[3]
			}
		}
	}
	for _, a := range New().All() {
		if unknownElsewhere[a.Name] {
			continue
		}
		got := meaning{itoa(a.Vendor), itoa(uint32(a.Number)), a.Type.String()}
		if attributes[a.Name] != got {
			t.Errorf("%s is %v, there %v", a.Name, got, attributes[a.Name])
		}
		for _, v := range a.Values {
			if n := values[strings.ToLower(a.Name+" "+v.Name)]; n != itoa(v.Number) {
				t.Errorf("%s of %s is %d, there %s", v.Name, a.Name, v.Number, n)
			}
		}
	}
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// FuzzLoad: no file makes the parser panic or run away, and what it takes can be found again.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"standard.dict", "cisco_asa.dict"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("VENDOR A 1\nATTRIBUTE x 1 string A\n$INCLUDE main\n$INCLUDE other")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := load(map[string]string{"main": text, "other": text}, true)
		for _, a := range d.All() {
			if d.Find(a.Name) != a || a.Number == 0 || a.Type == 0 || a.Vendor != 0 && d.Vendor(a.Vendor) == "" {
				t.Fatalf("%+v (%v)", a, err)
			}
		}
	})
}

func TestDescribe(t *testing.T) {
	d := New()
	for _, x := range []struct {
		number uint8
		value  string
		want   string
	}{
		{25, "OU=a;", `Class = "OU=a;"`}, {25, "\xff", "Class = 0xff"}, {18, "a\x1b[2J", `Reply-Message = "a\x1b[2J"`},
		{6, "\x00\x00\x00\x02", "Service-Type = Framed-User"}, {6, "\x00\x00\x00\x63", "Service-Type = 99"}, {6, "\x01", "Service-Type = 0x01"},
		{8, "\x0a\x00\x00\x01", "Framed-IP-Address = 10.0.0.1"}, {8, "\x0a", "Framed-IP-Address = 0x0a"},
		{97, "\x00\x20\x20\x01\x0d\xb8", "Framed-IPv6-Prefix = 2001:db8::/32"}, {97, "\x00\xff", "Framed-IPv6-Prefix = 0x00ff"},
		{96, "\x00\x01\x00\x02\x00\x03\x00\xff", "Framed-Interface-Id = 1:2:3:ff"},
		{64, "\x01\x00\x00\x0d", "Tunnel-Type:1 = VLAN"}, {64, "\x00\x00\x00\x0d", "Tunnel-Type = VLAN"}, {81, "\x017", `Tunnel-Private-Group-Id:1 = "7"`}, {81, "77", `Tunnel-Private-Group-Id = "77"`},
		{26, "\x00\x00\x0c\x04\x19\x03a\x05\x06\x0a\x00\x00\x01", `ASA-Group-Policy = "a"|ASA-Primary-DNS = 10.0.0.1`},
		{26, "\x00\x00\x0c\x04\x19\x03a\x05\x09\x0a", `ASA-Group-Policy = "a"|Vendor-Specific of 3076 = 0x05090a`},
		{26, "\x00\x00\x0c", "Vendor-Specific = 0x00000c"}, {26, "\x00\x00\x00\x08\x01\x03a", "Attribute 1 of vendor 8 = 0x61"}, {24, "x", ""},
	} {
		if got := strings.Join(d.Describe(x.number, []byte(x.value)), "|"); got != x.want {
			t.Errorf("%d %q: %s, want %s", x.number, x.value, got, x.want)
		}
	}
}
