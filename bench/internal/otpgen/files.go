package otpgen

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// Format is a file of users that a server or a directory reads.
type Format func(w io.Writer, seed, kind string, n int) error

// Formats by the name that `radload gen -format` takes.
var Formats = map[string]Format{
	"csv":            WriteCSV,
	"freeradius":     WriteFreeRADIUS,
	"freeradius-pap": WriteFreeRADIUSPlain,
	"ldif":           WriteLDIF,
	"oath":           WriteOATH,
}

// WriteCSV writes what `sekisho token import` reads: one token a row, with the user it belongs to.
func WriteCSV(w io.Writer, seed, kind string, n int) error {
	period := "30"
	if kind == "hotp" {
		period = ""
	}
	c := csv.NewWriter(w)
	if err := c.Write([]string{"serial", "secret_base32", "mode", "hash", "digits", "period", "counter", "user"}); err != nil {
		return err
	}
	for i := range n {
		u := Derive(seed, i)
		counter := ""
		if kind == "hotp" {
			counter = "0"
		}
		row := []string{Serial(i), u.SecretBase32(), kind, "SHA1", "6", period, counter, u.Name}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// Serial is the engraved number of user i's token.
func Serial(i int) string { return "BENCH" + strconv.Itoa(10_000_000+i) }

// WriteFreeRADIUS writes a users file for rlm_totp, which knows TOTP with SHA-1, 6 digits and 30 s alone.
func WriteFreeRADIUS(w io.Writer, seed, _ string, n int) error {
	return each(w, seed, n, func(b *bufio.Writer, u *User) {
		fmt.Fprintf(b, "%s\tTOTP-Secret := \"%s\"\n", u.Name, u.SecretBase32())
	})
}

// WriteFreeRADIUSPlain writes a users file with passwords and no codes.
func WriteFreeRADIUSPlain(w io.Writer, seed, _ string, n int) error {
	return each(w, seed, n, func(b *bufio.Writer, u *User) {
		fmt.Fprintf(b, "%s\tCleartext-Password := \"%s\"\n", u.Name, u.Password[:])
	})
}

// Suffix is the root of the directory that WriteLDIF makes, People the place of its users.
const (
	Suffix = "dc=bench,dc=test"
	People = "ou=people," + Suffix
)

// WriteLDIF writes a directory from its root on, for slapadd. Users have {SSHA} passwords.
func WriteLDIF(w io.Writer, seed, _ string, n int) error {
	_, err := fmt.Fprintf(w, "dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: Bench\ndc: bench\n\n"+
		"dn: %s\nobjectClass: organizationalUnit\nou: people\n\n", Suffix, People)
	if err != nil {
		return err
	}
	return each(w, seed, n, func(b *bufio.Writer, u *User) {
		fmt.Fprintf(b, "dn: uid=%s,%s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\nuserPassword: %s\n\n",
			u.Name, People, u.Name, u.Name, u.Name, ssha(u.Password[:], u.Secret[:8]))
	})
}

// ssha is OpenLDAP's {SSHA} form of a password.
func ssha(password, salt []byte) string {
	h := sha1.New()
	h.Write(password)
	h.Write(salt)
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(h.Sum(nil), salt...))
}

// WriteOATH writes pam_oath's users file.
func WriteOATH(w io.Writer, seed, kind string, n int) error {
	word := "HOTP"
	if kind == "totp" {
		word = "HOTP/T30/6"
	}
	return each(w, seed, n, func(b *bufio.Writer, u *User) {
		fmt.Fprintf(b, "%s %s - %s\n", word, u.Name, hex.EncodeToString(u.Secret[:]))
	})
}

// WriteGoogleAuthenticator fills a folder with one file a user, as pam_google_authenticator keeps them.
func WriteGoogleAuthenticator(dir, seed, kind string, n int) error {
	options := "\" HOTP_COUNTER 1\n\" WINDOW_SIZE 5\n"
	if kind == "totp" {
		options = "\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n"
	}
	for i := range n {
		u := Derive(seed, i)
		if err := os.WriteFile(filepath.Join(dir, u.Name), []byte(u.SecretBase32()+"\n"+options), 0o400); err != nil {
			return err
		}
	}
	return nil
}

func each(w io.Writer, seed string, n int, line func(*bufio.Writer, *User)) error {
	b := bufio.NewWriterSize(w, 1<<20)
	for i := range n {
		u := Derive(seed, i)
		line(b, &u)
	}
	return b.Flush()
}
