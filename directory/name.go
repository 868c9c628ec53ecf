package directory

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"

	"sekisho/authn"
)

// foldName is [authn.FoldName] as text.
func foldName(name []byte) (string, error) {
	folded, err := authn.FoldName(name)
	return string(folded), err
}

// foldText is NFKC without blanks around. NFKC turns ideographic and no-break blanks into plain ones, so it comes first.
func foldText(s string) string {
	return strings.TrimSpace(norm.NFKC.String(s))
}

// sameName tells whether an attribute's value is the name that was asked for, whatever rule made the directory return it.
func sameName(value, folded string) bool {
	return utf8.ValidString(value) && authn.FoldCase(foldText(value)) == authn.FoldCase(folded)
}

// FoldGroup gives the form in which [authn.User].Groups names a group: lower case, and a DN without optional blanks and
// escapes. Policies are compared after their groups passed through it.
func FoldGroup(group string) string {
	dn, ok := parseDN(group)
	if !ok {
		// What is no DN with a blank around it can be one without.
		group = strings.ToLower(strings.TrimSpace(group))
		if dn, ok = parseDN(group); !ok {
			return group
		}
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
	_, ok := parseDN(text)
	return ok
}

// attributeType is the left side of an RDN: a name or an object identifier (RFC 4514 section 3). The library takes more,
// escaped blanks among it, which could not be written again as they were.
var attributeType = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)*)$`)

// parseDN reads a text that names an entry other than the root.
func parseDN(text string) (*ldap.DN, bool) {
	dn, err := ldap.ParseDN(text)
	if err != nil || len(dn.RDNs) == 0 {
		return nil, false
	}
	for _, rdn := range dn.RDNs {
		for _, a := range rdn.Attributes {
			if !attributeType.MatchString(a.Type) {
				return nil, false
			}
		}
	}
	return dn, true
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
