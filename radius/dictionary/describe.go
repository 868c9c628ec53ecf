package dictionary

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unicode/utf8"
)

const vendorSpecific = 26

// Describe reads an attribute from a packet, given its number and value, as lines "Name = value": one, or one for each
// attribute inside a Vendor-Specific one. Text is quoted, so that no terminal takes orders from it; what the dictionary
// does not know or the value does not fit is shown in hexadecimal, and nothing for an unknown attribute of the standards.
func (d *Dictionary) Describe(number uint8, value []byte) []string {
	if number != vendorSpecific {
		a := d.numbered(0, number)
		if a == nil {
			return nil
		}
		return []string{a.describe(value)}
	}
	if len(value) < 4 {
		return []string{fmt.Sprintf("Vendor-Specific = 0x%x", value)}
	}
	vendor := binary.BigEndian.Uint32(value)
	var lines []string
	for rest := value[4:]; len(rest) > 0; {
		if len(rest) < 2 || int(rest[1]) < 2 || int(rest[1]) > len(rest) {
			return append(lines, fmt.Sprintf("Vendor-Specific of %d = 0x%x", vendor, rest))
		}
		one := rest[2:rest[1]]
		if a := d.numbered(vendor, rest[0]); a != nil {
			lines = append(lines, a.describe(one))
		} else {
			lines = append(lines, fmt.Sprintf("Attribute %d of vendor %d = 0x%x", rest[0], vendor, one))
		}
		rest = rest[rest[1]:]
	}
	return lines
}

func (d *Dictionary) numbered(vendor uint32, number uint8) *Attribute {
	for _, a := range d.attributes {
		if a.Vendor == vendor && a.Number == number {
			return a
		}
	}
	return nil
}

func (a *Attribute) describe(value []byte) string {
	name := a.Name
	if a.Tagged && len(value) > 0 && value[0] > 0 && value[0] <= 0x1f {
		name = fmt.Sprintf("%s:%d", name, value[0])
		if a.Type == Text {
			value = value[1:]
		}
	}
	if a.Tagged && a.Type == Integer && len(value) == 4 {
		value = append([]byte{0}, value[1:]...)
	}
	return name + " = " + a.text(value)
}

func (a *Attribute) text(value []byte) string {
	switch a.Type {
	case Text, Octets:
		if utf8.Valid(value) {
			return fmt.Sprintf("%q", value)
		}
	case Integer:
		if len(value) != 4 {
			break
		}
		n := binary.BigEndian.Uint32(value)
		for _, v := range a.Values {
			if v.Number == n {
				return v.Name
			}
		}
		return fmt.Sprint(n)
	case IPv4, IPv6:
		if ip, ok := netip.AddrFromSlice(value); ok && ip.Is4() == (a.Type == IPv4) {
			return ip.String()
		}
	case IPv6Prefix:
		if len(value) < 2 || len(value) > 18 || value[1] > 128 {
			break
		}
		var full [16]byte
		copy(full[:], value[2:])
		return netip.PrefixFrom(netip.AddrFrom16(full), int(value[1])).String()
	case Interface:
		if len(value) == 8 {
			return fmt.Sprintf("%x:%x:%x:%x", binary.BigEndian.Uint16(value), binary.BigEndian.Uint16(value[2:]), binary.BigEndian.Uint16(value[4:]), binary.BigEndian.Uint16(value[6:]))
		}
	}
	return fmt.Sprintf("0x%x", value)
}
