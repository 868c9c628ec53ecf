package radius

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"

	"sekisho/authn"
)

// encodings are the character sets in which a gateway may send passwords, by the words of the config.
var encodings = map[string]encoding.Encoding{
	"iso-8859-1":   charmap.ISO8859_1,
	"windows-1252": charmap.Windows1252,
	"shift_jis":    japanese.ShiftJIS,
	"euc-jp":       japanese.EUCJP,
}

// typed puts what User-Password held into the login: as one text, or as the two fields of a static challenge.
func (c *client) typed(l *authn.Login, text []byte) {
	if c.twoFields {
		if password, code, ok := splitStatic(text); ok {
			l.Text, l.Code, l.HasCode = authn.NewSecret(c.utf8(password)), authn.NewSecret(code), true
			return
		}
	}
	l.Text = authn.NewSecret(c.utf8(text))
}

// utf8 gives a text in UTF-8, as directories keep passwords: octets that are none are read by the client's
// password_encoding. Without one, or where they are no text of it either, they stay as they came.
func (c *client) utf8(text []byte) []byte {
	if c.encoding == nil || utf8.Valid(text) {
		return text
	}
	decoded, err := c.encoding.NewDecoder().Bytes(text)
	if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) {
		return text
	}
	return decoded
}

// staticChallenge begins the form in which OpenVPN sends the answer to a static challenge in the place of the password:
// SCRV1:PASSWORD:CODE, both in base64 (OpenVPN's management-notes.txt, section on challenge and response).
const staticChallenge = "SCRV1:"

// splitStatic takes the two fields of a static challenge apart. What only looks like one is a text like any other.
func splitStatic(text []byte) (password, code []byte, ok bool) {
	rest, found := bytes.CutPrefix(text, []byte(staticChallenge))
	first, second, two := bytes.Cut(rest, []byte{':'})
	if !found || !two {
		return nil, nil, false
	}
	if password, ok = fromBase64(first); !ok {
		return nil, nil, false
	}
	code, ok = fromBase64(second)
	return password, code, ok
}

// fromBase64 wants base64 and nothing else, of a text without NUL: in the one-field form a NUL ends the text (RFC 2865
// section 5.2 pads with them), so no password holds one.
func fromBase64(b []byte) (text []byte, ok bool) {
	if bytes.ContainsAny(b, "\r\n") {
		return nil, false // the decoder would pass over them
	}
	text, err := base64.StdEncoding.Strict().AppendDecode(nil, b)
	return text, err == nil && bytes.IndexByte(text, 0) < 0
}
