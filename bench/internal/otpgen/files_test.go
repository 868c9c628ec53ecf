package otpgen

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

// What an importer reads from the CSV gives the very codes that the load generator sends.
func TestCSVHoldsTheSecrets(t *testing.T) {
	c := NewCoder()
	at := time.Unix(1_700_000_000, 0)
	for _, kind := range []string{"hotp", "totp"} {
		var b bytes.Buffer
		if err := WriteCSV(&b, "bench", kind, 50); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(rows[0], ","); got != "serial,secret_base32,mode,hash,digits,period,counter,user" {
			t.Errorf("header %s", got)
		}
		if len(rows) != 51 {
			t.Fatalf("%d rows", len(rows))
		}
		for i, row := range rows[1:] {
			secret, mode, period, counter, user := row[1], row[2], row[5], row[6], row[7]
			u := Derive("bench", i)
			if user != u.Name || mode != kind || (kind == "hotp") != (period == "") || (kind == "hotp") != (counter == "0") {
				t.Fatalf("row %v", row)
			}
			var want string
			var step uint64
			if kind == "hotp" {
				want, err = hotp.GenerateCode(secret, 0)
			} else {
				step = uint64(at.Unix() / 30)
				want, err = totp.GenerateCodeCustom(secret, at, totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix})
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(c.Append(nil, u.Secret[:], step, 6)); got != want {
				t.Fatalf("%s %s: %s, want %s", kind, user, got, want)
			}
		}
	}
}

// The first user of the default seed, byte by byte: a change would make old -state files and imports useless.
func TestFilesStay(t *testing.T) {
	const secret, password = "L75PVWD3NLNMKBKHUAO62NVL6F7EMTX5", "FkDCjGxkdk"
	for name, want := range map[string]string{
		"csv":            "BENCH10000000," + secret + ",hotp,SHA1,6,,0,user000000\n",
		"freeradius":     "user000000\tTOTP-Secret := \"" + secret + "\"\n",
		"freeradius-pap": "user000000\tCleartext-Password := \"" + password + "\"\n",
		"ldif":           "dn: uid=user000000,ou=people,dc=bench,dc=test\n",
		"oath":           "HOTP user000000 - ",
	} {
		var b bytes.Buffer
		if err := Formats[name](&b, "bench", "hotp", 1); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s:\n%s\nwant in it\n%s", name, &b, want)
		}
	}
}

func TestSSHA(t *testing.T) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(ssha([]byte("secret"), []byte("saltsalt")), "{SSHA}"))
	if err != nil || len(b) != sha1.Size+8 {
		t.Fatalf("%d octets: %v", len(b), err)
	}
	if want := sha1.Sum([]byte("secretsaltsalt")); !bytes.Equal(b[:sha1.Size], want[:]) || string(b[sha1.Size:]) != "saltsalt" {
		t.Errorf("%x", b)
	}
}
