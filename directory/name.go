package directory

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"sekisho/authn"
)

// maxName is the longest name in octets, as typed and as folded: the length of a RADIUS attribute's value.
const maxName = 253

// foldName brings the spellings of one name together: blanks around it go, compatibility forms such as full-width letters
// become the plain ones (Unicode NFKC). Case stays, because only the directory knows whether it matters there.
//
// What no directory may be asked for is [authn.ErrUnknownUser]: nothing but blanks, control characters (NUL ends strings
// in some servers), invalid UTF-8, more than 253 octets.
func foldName(name []byte) (string, error) {
	if len(name) > maxName {
		return "", fmt.Errorf("%w: the name has more than %d octets", authn.ErrUnknownUser, maxName)
	}
	if !utf8.Valid(name) {
		return "", fmt.Errorf("%w: the name is not UTF-8", authn.ErrUnknownUser)
	}
	folded := foldText(string(name))
	switch {
	case folded == "":
		return "", fmt.Errorf("%w: the name is blank", authn.ErrUnknownUser)
	case len(folded) > maxName:
		return "", fmt.Errorf("%w: the name has more than %d octets", authn.ErrUnknownUser, maxName)
	case strings.ContainsFunc(folded, unicode.IsControl):
		return "", fmt.Errorf("%w: the name has a control character", authn.ErrUnknownUser)
	}
	return folded, nil
}

// foldText is NFKC without blanks around. NFKC turns ideographic and no-break blanks into plain ones, so it comes first.
func foldText(s string) string {
	return strings.TrimSpace(norm.NFKC.String(s))
}

// foldCase makes folded texts comparable without regard to case. Folding can undo the normal form, so that is restored.
func foldCase(folded string) string {
	if isASCII(folded) {
		return strings.ToLower(folded) // the same, at a fraction of the cost
	}
	return norm.NFKC.String(cases.Fold().String(folded))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// sameName tells whether an attribute's value is the name that was asked for, whatever rule made the directory return it.
func sameName(value, folded string) bool {
	return utf8.ValidString(value) && foldCase(foldText(value)) == foldCase(folded)
}

// FoldGroup gives the form in which [authn.User].Groups names a group: lower case, and a DN without optional blanks and
// escapes. Policies are compared after their groups passed through it.
func FoldGroup(group string) string {
	dn, err := ldap.ParseDN(group)
	if err != nil || len(dn.RDNs) == 0 {
		return strings.ToLower(strings.TrimSpace(group))
	}
	var b strings.Builder
	for i, rdn := range dn.RDNs {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, a := range rdn.Attributes {
			if j > 0 {
				b.WriteByte('+')
			}
			b.WriteString(strings.ToLower(a.Type))
			b.WriteByte('=')
			writeDNValue(&b, strings.ToLower(a.Value))
		}
	}
	return b.String()
}

// IsDN tells whether a text is the DN of an entry.
func IsDN(text string) bool {
	dn, err := ldap.ParseDN(text)
	return err == nil && len(dn.RDNs) > 0
}

// writeDNValue escapes what RFC 4514 section 2.4 asks to escape and leaves other text readable, Japanese included.
func writeDNValue(b *strings.Builder, value string) {
	for i := range len(value) {
		c := value[i]
		switch {
		case strings.IndexByte(`"+,;<>\`, c) >= 0,
			i == 0 && (c == ' ' || c == '#'),
			i == len(value)-1 && c == ' ':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == 0:
			b.WriteString(`\00`)
		default:
			b.WriteByte(c)
		}
	}
}
