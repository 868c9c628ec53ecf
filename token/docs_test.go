package token

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// Every example of docs/seed-files.md is read, with the options that stand behind its language as the import command has
// them.
func TestSeedFilesOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/seed-files.md")
	if err != nil {
		t.Fatal(err)
	}
	formats := map[string]Format{"csv": CSV, "xml": PSKC, "otpauth": URIs, "safenet": SafeNet, "feitian": Feitian, "yubico": Yubico}
	read := map[Format]int{}
	for i, block := range strings.Split(string(page), "\n```") {
		info, text, found := strings.Cut(block, "\n")
		words := strings.Fields(info)
		if i%2 == 0 || !found || len(words) == 0 {
			continue
		}
		want, known := formats[words[0]]
		if !known {
			t.Errorf("an example of kind %q", words[0])
			continue
		}
		rows, err := readAll(text, docsOptions(t, words[1:]))
		if err != nil {
			t.Errorf("%s: %v\n%s", info, err, text)
			continue
		}
		if format := (&ReadOptions{}).formatOf(bufio.NewReader(strings.NewReader(text))); format != want && !strings.Contains(info, "--no-header") {
			t.Errorf("%s: known as %s by how it begins", info, formatNames[format])
		}
		for _, r := range rows {
			if len(r.Warnings) > 0 || len(r.Seed) < MinSeed {
				t.Errorf("%s: line %d: %q", info, r.Line, r.Warnings)
			}
		}
		read[want] += len(rows)
	}
	if read[CSV] < 9 || read[PSKC] != 3 || read[URIs] != 4 || read[SafeNet] != 1 || read[Feitian] != 2 || read[Yubico] != 2 {
		t.Errorf("tokens read: %v", read)
	}
}

func docsOptions(t *testing.T, words []string) (o ReadOptions) {
	t.Helper()
	var err error
	for len(words) > 0 && err == nil {
		flag := words[0]
		words = words[1:]
		if flag == "--no-header" {
			o.NoHeader = true
			continue
		}
		value := words[0]
		words = words[1:]
		switch flag {
		case "--columns":
			o.Columns = map[string]string{}
			for _, pair := range strings.Split(value, ",") {
				field, column, _ := strings.Cut(pair, "=")
				o.Columns[field] = column
			}
		case "--skip-columns":
			o.Skip = strings.Split(value, ",")
		case "--secret-encoding":
			o.Encoding, err = ParseEncoding(value)
		case "--date-order":
			o.DateOrder, err = ParseDateOrder(value)
		case "--assume":
			o.Assume, err = ParseAssumed(strings.Split(value, ","))
		case "--key":
			o.Key, err = ParseTransportKey([]byte(value))
		case "--password":
			o.Password = []byte(value)
		default:
			t.Errorf("option %s", flag)
		}
	}
	if err != nil {
		t.Error(err)
	}
	return o
}

// The columns that the page names are known, so that it does not promise more than the reader keeps.
func TestColumnsOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/seed-files.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Split(fieldNames, ", ") {
		if !strings.Contains(string(page), "`"+field+"`") {
			t.Errorf("the page does not name %s", field)
		}
		if spellings[plainName(field)] != field {
			t.Errorf("%s is not a spelling of itself", field)
		}
	}
	for spelled, field := range map[string]string{"serial number": "serial", "S/N": "serial", "token serial": "serial", "device serial": "serial", "シリアル番号": "serial",
		"seed": "secret", "secret key": "secret", "shared secret": "secret", "seed (hex)": "secret_hex", "base32 key": "secret_base32", "シード": "secret",
		"upn": "user", "user name": "user", "assigned to": "user", "owner": "user", "ユーザー": "user", "OTP type": "mode", "algorithm": "mode",
		"hash algorithm": "hash", "HMAC": "hash", "OTP length": "digits", "code length": "digits", "桁数": "digits", "time step": "period", "time interval": "period",
		"event counter": "counter", "moving factor": "counter", "valid from": "start", "expiration date": "expiry", "valid until": "expiry", "end date": "expiry",
		"有効期限": "expiry", "form factor": "form", "OATH ID": "credential_id"} {
		if !strings.Contains(string(page), spelled) || spellings[plainName(spelled)] != field {
			t.Errorf("%s: %q, or the page does not name it", spelled, spellings[plainName(spelled)])
		}
	}
}
