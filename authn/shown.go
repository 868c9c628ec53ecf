package authn

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Shown makes octets from the network harmless to read: printable text stays, a backslash is doubled, everything else becomes
// \xHH, so that one record stays one line and no terminal takes orders from a user name (B50).
func Shown(octets []byte) string {
	var b strings.Builder
	for len(octets) > 0 {
		r, n := utf8.DecodeRune(octets)
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r):
			for _, o := range octets[:n] {
				fmt.Fprintf(&b, `\x%02x`, o)
			}
		default:
			b.Write(octets[:n])
		}
		octets = octets[n:]
	}
	return b.String()
}
