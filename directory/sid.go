package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// sid is a security identifier as Active Directory keeps it (MS-DTYP section 2.4.2.2): revision, number of
// sub-authorities, authority in 6 octets big-endian, sub-authorities in 4 octets little-endian each.
type sid []byte

// parseSID checks the form.
func parseSID(raw []byte) (sid, error) {
	if len(raw) < 12 || raw[0] != 1 || raw[1] > 15 || len(raw) != 8+4*int(raw[1]) {
		return nil, errors.New("it is not a security identifier")
	}
	return sid(raw), nil
}

// sibling is the identifier of the same domain with another last number: how a user names the primary group.
func (s sid) sibling(last uint32) sid {
	other := append(sid(nil), s...)
	binary.LittleEndian.PutUint32(other[len(other)-4:], last)
	return other
}

// String gives the usual form, S-1-5-21-....
func (s sid) String() string {
	var b strings.Builder
	authority := uint64(binary.BigEndian.Uint16(s[2:]))<<32 | uint64(binary.BigEndian.Uint32(s[4:]))
	fmt.Fprintf(&b, "S-%d-%d", s[0], authority)
	for i := 8; i < len(s); i += 4 {
		fmt.Fprintf(&b, "-%d", binary.LittleEndian.Uint32(s[i:]))
	}
	return b.String()
}

// filter compares objectSid, with every octet escaped (RFC 4515 section 3).
func (s sid) filter() string {
	var b strings.Builder
	b.WriteString("(objectSid=")
	for _, c := range s {
		fmt.Fprintf(&b, `\%02x`, c)
	}
	b.WriteByte(')')
	return b.String()
}
