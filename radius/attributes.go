package radius

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sekisho/authn"
	"sekisho/radius/dictionary"
)

const (
	// maxReply bounds what is added to one Accept, so that the packet stays clear of fragments and of 4096 octets.
	maxReply = 1200

	attrVendor = 26
	maxTag     = 0x1f // RFC 2868 section 3.1

	// Banner is the name under which a text goes out as ASA-Banner1 and, where it is too long for one attribute, as
	// ASA-Banner2: an ASA shows them as one text.
	Banner    = "ASA-Banner"
	MaxBanner = 2 * 247
)

// least values that make sense: what is below is a mistake, or harms (RFC 2869 section 5.16 for the interim interval).
var least = map[string]uint32{"Framed-MTU": 64, "Session-Timeout": 1, "Idle-Timeout": 1, "Port-Limit": 1, "Acct-Interim-Interval": 60}

// ErrUnknownAttribute says that no dictionary has an attribute of this name.
var ErrUnknownAttribute = errors.New("no dictionary has such an attribute")

// CompileReply encodes reply attributes in their order, a vendor's each in a Vendor-Specific attribute of its own, which
// every gateway can read. Names are those of the dictionary, in any case of letters; tunnel attributes may have a tag, as
// in Tunnel-Type:1. Octets are given as text, or as 0x and hexadecimal digits. Every fault is reported, joined, with the
// name of its attribute.
func CompileReply(d *dictionary.Dictionary, list []authn.Attribute) ([]byte, error) {
	var b []byte
	var faults []error
	var seen []string
	for _, a := range list {
		attr, tag, err := findAttribute(d, a.Name)
		if err == nil && !attr.Repeats() {
			once := fmt.Sprintf("%s:%d", attr.Name, tag)
			if slices.Contains(seen, once) {
				err = errors.New("comes twice; it is one setting")
			}
			seen = append(seen, once)
		}
		if err == nil && strings.EqualFold(a.Name, Banner) {
			b, err = appendBanner(d, b, a.Value)
		} else if err == nil {
			b, err = appendAttribute(b, attr, tag, a.Value)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", a.Name, err))
		}
	}
	if len(b) > maxReply {
		faults = append(faults, fmt.Errorf("the attributes take %d octets together; leave some out, at most %d fit", len(b), maxReply))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return b, nil
}

// ReplyName gives the dictionary's spelling of a reply attribute's name; names that differ only in it are one.
func ReplyName(d *dictionary.Dictionary, name string) (string, error) {
	if strings.EqualFold(name, Banner) {
		return Banner, nil
	}
	a, tag, err := findAttribute(d, name)
	if err != nil {
		return "", err
	}
	if tag != 0 {
		return fmt.Sprintf("%s:%d", a.Name, tag), nil
	}
	return a.Name, nil
}

// findAttribute reads a name with its tag; 0 is no tag.
func findAttribute(d *dictionary.Dictionary, name string) (a *dictionary.Attribute, tag byte, err error) {
	if strings.EqualFold(name, Banner) {
		name = "ASA-Banner1"
	}
	base, tagText, tagged := strings.Cut(name, ":")
	if a = d.Find(base); a == nil {
		return nil, 0, ErrUnknownAttribute
	}
	if !tagged {
		return a, 0, nil
	}
	n, err := strconv.ParseUint(tagText, 10, 8)
	switch {
	case !a.Tagged:
		return nil, 0, fmt.Errorf("%s takes no tag; leave :%s out", a.Name, tagText)
	case err != nil || n == 0 || n > maxTag:
		return nil, 0, fmt.Errorf("%q is not a tag; write %s:1 to %s:%d", tagText, a.Name, a.Name, maxTag)
	}
	return a, byte(n), nil
}

// appendBanner splits a text over ASA-Banner1 and ASA-Banner2, between two runes.
func appendBanner(d *dictionary.Dictionary, b []byte, text string) ([]byte, error) {
	first, second := d.Find("ASA-Banner1"), d.Find("ASA-Banner2")
	head := cutText(text, first.MaxLength())
	if len(text)-len(head) > second.MaxLength() {
		return b, fmt.Errorf("has %d octets; about %d fit into ASA-Banner1 and ASA-Banner2", len(text), MaxBanner)
	}
	b, err := appendAttribute(b, first, 0, head)
	if err != nil || head == text {
		return b, err
	}
	return appendAttribute(b, second, 0, text[len(head):])
}

// appendAttribute encodes one attribute; after an error b is unchanged.
func appendAttribute(b []byte, a *dictionary.Attribute, tag byte, value string) ([]byte, error) {
	octets, err := encodeValue(a, value)
	switch {
	case err != nil:
		return b, err
	case len(octets) > a.MaxLength():
		return b, fmt.Errorf("has %d octets; at most %d fit", len(octets), a.MaxLength())
	}
	switch {
	case a.Tagged && a.Type == dictionary.Integer:
		if octets[0] != 0 {
			return b, fmt.Errorf("%s is too large; beside a tag there are 24 bits", value)
		}
		octets[0] = tag
	case tag != 0:
		octets = append([]byte{tag}, octets...)
	}
	if a.Vendor != 0 {
		b = append(b, attrVendor, byte(len(octets)+8))
		b = binary.BigEndian.AppendUint32(b, a.Vendor)
	}
	b = append(b, a.Number, byte(len(octets)+2))
	return append(b, octets...), nil
}

// encodeValue writes a value as its type asks (RFC 8044 section 3).
func encodeValue(a *dictionary.Attribute, value string) ([]byte, error) {
	if value == "" {
		return nil, errors.New("is empty; give a value or leave the attribute out")
	}
	switch a.Type {
	case dictionary.Text:
		if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }) {
			return nil, errors.New("has control characters or is no UTF-8")
		}
		return []byte(value), nil
	case dictionary.Octets:
		return encodeOctets(value)
	case dictionary.Integer:
		v, err := encodeInteger(a, value)
		return binary.BigEndian.AppendUint32(nil, v), err
	case dictionary.IPv4:
		ip, err := netip.ParseAddr(value)
		if err != nil || !ip.Is4() {
			return nil, fmt.Errorf("%q is not an IPv4 address", value)
		}
		return ip.AsSlice(), nil
	case dictionary.IPv6:
		ip, err := netip.ParseAddr(value)
		if err != nil || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IPv6 address", value)
		}
		return ip.AsSlice(), nil
	case dictionary.IPv6Prefix:
		return encodeIPv6Prefix(value)
	case dictionary.Interface:
		ip, err := netip.ParseAddr("::" + value)
		if err != nil || strings.Count(value, ":") != 3 || strings.Contains(value, ".") || ip.Zone() != "" {
			return nil, fmt.Errorf("%q is not an interface identifier such as 200:ff:fe00:1", value)
		}
		return ip.AsSlice()[8:], nil
	}
	return nil, fmt.Errorf("its type %s cannot be written", a.Type)
}

func encodeOctets(value string) ([]byte, error) {
	digits, isHex := strings.CutPrefix(value, "0x")
	if !isHex {
		return []byte(value), nil
	}
	octets, err := hex.DecodeString(digits)
	if err != nil || len(octets) == 0 {
		return nil, fmt.Errorf("%q is not 0x and pairs of hexadecimal digits", value)
	}
	return octets, nil
}

func encodeInteger(a *dictionary.Attribute, value string) (uint32, error) {
	if v, ok := a.Value(value); ok {
		return v, nil
	}
	v, err := strconv.ParseUint(value, 10, 32)
	switch {
	case err != nil && len(a.Values) > 0:
		return 0, fmt.Errorf("%q is neither a number nor one of its names: %s", value, valueNames(a))
	case err != nil:
		return 0, fmt.Errorf("%q is not a number from %d to 4294967295", value, least[a.Name])
	case uint32(v) < least[a.Name]:
		return 0, fmt.Errorf("%d is too small; at least %d", v, least[a.Name])
	}
	return uint32(v), nil
}

func valueNames(a *dictionary.Attribute) string {
	names := make([]string, len(a.Values))
	for i, v := range a.Values {
		names[i] = v.Name
	}
	return strings.Join(names, ", ")
}

// encodeIPv6Prefix writes a reserved octet, the length and only the octets that the prefix covers (RFC 3162 section 2.3).
func encodeIPv6Prefix(value string) ([]byte, error) {
	p, err := netip.ParsePrefix(value)
	if err != nil || !p.Addr().Is6() || p.Addr().Is4In6() || p != p.Masked() {
		return nil, fmt.Errorf("%q is not an IPv6 prefix such as 2001:db8::/64", value)
	}
	return append([]byte{0, byte(p.Bits())}, p.Addr().AsSlice()[:(p.Bits()+7)/8]...), nil
}

// Dictionary gives the built-in attributes and those of the config's own files. The error has a line for each fault, with
// file and line number.
func (c Config) Dictionary() (*dictionary.Dictionary, error) {
	d := dictionary.New()
	var faults []error
	for _, path := range c.Dictionaries {
		faults = append(faults, d.Load(path))
	}
	return d, errors.Join(faults...)
}

// dictionaries checks the config's own files; a later one may use vendors of those before it.
func (s *settled) dictionaries(paths []string) {
	d := dictionary.New()
	for i, path := range paths {
		err := d.Load(path)
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		for _, fault := range joined.Unwrap() {
			s.fault(fmt.Sprintf("dictionaries[%d]", i), fault.Error(), "correct the line or take it out; only what replies use is needed")
		}
	}
}

// taken is which reply attributes a kind of gateway takes.
func (p *profile) taken() taken {
	t := taken{framedOnly: p.framedOnly}
	for _, name := range p.vendors {
		if id, ok := dictionary.BuiltInVendor(name); ok {
			t.vendors = append(t.vendors, id)
		}
	}
	return t
}
