package selfservice

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// cleanCode brings a code as people type it to its digits: full-width ones become plain, blanks and hyphens between groups go.
// What else is in it stays, and is refused where it is looked at.
func cleanCode(typed string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' || r == 'ー' || r == '−' || r == '‐' {
			return -1
		}
		return r
	}, norm.NFKC.String(typed))
}

// cleanSerial does the same for serial numbers and credential IDs, whose letters are capitals.
func cleanSerial(typed string) string { return strings.ToUpper(cleanCode(typed)) }

// cleanPIN gives full-width letters and digits as plain ones, as a gateway will get them.
func cleanPIN(typed string) string { return strings.TrimSpace(norm.NFKC.String(typed)) }

// mostName is the longest name of a device in characters.
const mostName = 40

// cleanName makes a device's name one line without blanks around it.
func cleanName(typed string) string {
	name := []rune(strings.Join(strings.FieldsFunc(norm.NFC.String(typed), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " "))
	return string(name[:min(len(name), mostName)])
}

// groups writes a key in groups of 4, for reading aloud and copying by hand.
func groups(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// newSecret gives 256 random bits as text that can stand in a cookie.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
