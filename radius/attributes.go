package radius

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/rfc3162"
	"layeh.com/radius/rfc4818"
	"layeh.com/radius/rfc6911"

	"sekisho/authn"
)

// maxReply bounds what one policy adds to an Accept, so that the packet stays clear of fragments and of 4096 octets.
const maxReply = 1200

// replyAttribute is one attribute that a policy may send: its type, how its value is written, and names for values.
type replyAttribute struct {
	name   string
	typ    layeh.Type
	encode func(a *replyAttribute, value string) (layeh.Attribute, error)
	least  uint32 // integers
	values map[string]uint32
}

// replyAttributes are the attributes of RFC 2865, 2869, 3162, 4818 and 6911 that make sense in an Access-Accept. What the
// server sets itself (State, Message-Authenticator, Proxy-State, EAP-Message) is not among them.
var replyAttributes = []replyAttribute{
	{name: "Service-Type", typ: rfc2865.ServiceType_Type, encode: encodeInteger, values: valueNames(rfc2865.ServiceType_Strings)},
	{name: "Framed-Protocol", typ: rfc2865.FramedProtocol_Type, encode: encodeInteger, values: valueNames(rfc2865.FramedProtocol_Strings)},
	{name: "Framed-IP-Address", typ: rfc2865.FramedIPAddress_Type, encode: encodeIPv4},
	{name: "Framed-IP-Netmask", typ: rfc2865.FramedIPNetmask_Type, encode: encodeIPv4},
	{name: "Framed-Routing", typ: rfc2865.FramedRouting_Type, encode: encodeInteger, values: valueNames(rfc2865.FramedRouting_Strings)},
	{name: "Filter-Id", typ: rfc2865.FilterID_Type, encode: encodeText},
	{name: "Framed-MTU", typ: rfc2865.FramedMTU_Type, encode: encodeInteger, least: 64},
	{name: "Framed-Compression", typ: rfc2865.FramedCompression_Type, encode: encodeInteger, values: valueNames(rfc2865.FramedCompression_Strings)},
	{name: "Reply-Message", typ: rfc2865.ReplyMessage_Type, encode: encodeText},
	{name: "Framed-Route", typ: rfc2865.FramedRoute_Type, encode: encodeText},
	{name: "Class", typ: rfc2865.Class_Type, encode: encodeOctets},
	{name: "Session-Timeout", typ: rfc2865.SessionTimeout_Type, encode: encodeInteger, least: 1},
	{name: "Idle-Timeout", typ: rfc2865.IdleTimeout_Type, encode: encodeInteger, least: 1},
	{name: "Termination-Action", typ: rfc2865.TerminationAction_Type, encode: encodeInteger, values: valueNames(rfc2865.TerminationAction_Strings)},
	{name: "Port-Limit", typ: rfc2865.PortLimit_Type, encode: encodeInteger, least: 1},
	{name: "Acct-Interim-Interval", typ: rfc2869.AcctInterimInterval_Type, encode: encodeInteger, least: 60},
	{name: "Framed-Pool", typ: rfc2869.FramedPool_Type, encode: encodeText},
	{name: "Framed-IPv6-Prefix", typ: rfc3162.FramedIPv6Prefix_Type, encode: encodeIPv6Prefix},
	{name: "Framed-IPv6-Route", typ: rfc3162.FramedIPv6Route_Type, encode: encodeText},
	{name: "Framed-IPv6-Pool", typ: rfc3162.FramedIPv6Pool_Type, encode: encodeText},
	{name: "Delegated-IPv6-Prefix", typ: rfc4818.DelegatedIPv6Prefix_Type, encode: encodeIPv6Prefix},
	{name: "Framed-IPv6-Address", typ: rfc6911.FramedIPv6Address_Type, encode: encodeIPv6},
}

// byName finds a reply attribute by its name in lower case.
var byName = func() map[string]*replyAttribute {
	m := make(map[string]*replyAttribute, len(replyAttributes))
	for i := range replyAttributes {
		m[strings.ToLower(replyAttributes[i].name)] = &replyAttributes[i]
	}
	return m
}()

// CompileReply encodes a policy's reply attributes in their order. Names are those of the standard, in any case; every
// fault is reported, joined. Class takes text, or octets as 0x and hexadecimal digits.
func CompileReply(list []authn.Attribute) ([]byte, error) {
	var b []byte
	var faults []error
	for i, a := range list {
		attr := byName[strings.ToLower(a.Name)]
		if attr == nil {
			faults = append(faults, fmt.Errorf("reply attribute %d: %q is not known here; known are %s", i+1, a.Name, strings.Join(replyNames(), ", ")))
			continue
		}
		value, err := attr.encode(attr, a.Value)
		if err != nil {
			faults = append(faults, fmt.Errorf("reply attribute %d, %s: %w", i+1, attr.name, err))
			continue
		}
		b = append(b, byte(attr.typ), byte(len(value)+2))
		b = append(b, value...)
	}
	if len(b) > maxReply {
		faults = append(faults, fmt.Errorf("reply attributes take %d octets together; leave some out, at most %d fit", len(b), maxReply))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return b, nil
}

// replyNames lists what CompileReply knows.
func replyNames() []string {
	names := make([]string, 0, len(replyAttributes))
	for _, a := range replyAttributes {
		names = append(names, a.name)
	}
	slices.Sort(names)
	return names
}

// valueNames turns a dictionary's names of values round, in lower case.
func valueNames[T ~uint32](names map[T]string) map[string]uint32 {
	m := make(map[string]uint32, len(names))
	for v, name := range names {
		m[strings.ToLower(name)] = uint32(v)
	}
	return m
}

func encodeText(_ *replyAttribute, value string) (layeh.Attribute, error) {
	if value == "" {
		return nil, errors.New("is empty; give a text or leave the attribute out")
	}
	if len(value) > maxValue {
		return nil, fmt.Errorf("has %d octets; at most %d fit", len(value), maxValue)
	}
	return layeh.NewString(value)
}

func encodeOctets(a *replyAttribute, value string) (layeh.Attribute, error) {
	digits, isHex := strings.CutPrefix(value, "0x")
	if !isHex {
		return encodeText(a, value)
	}
	octets, err := hex.DecodeString(digits)
	if err != nil || len(octets) == 0 {
		return nil, fmt.Errorf("%q is not 0x and pairs of hexadecimal digits", value)
	}
	return encodeText(a, string(octets))
}

func encodeInteger(a *replyAttribute, value string) (layeh.Attribute, error) {
	if v, ok := a.values[strings.ToLower(value)]; ok {
		return layeh.NewInteger(v), nil
	}
	v, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		if a.values != nil {
			return nil, fmt.Errorf("%q is neither a number nor one of its names in the dictionary", value)
		}
		return nil, fmt.Errorf("%q is not a number from %d to 4294967295", value, a.least)
	}
	if uint32(v) < a.least {
		return nil, fmt.Errorf("%d is too small; at least %d", v, a.least)
	}
	return layeh.NewInteger(uint32(v)), nil
}

func encodeIPv4(_ *replyAttribute, value string) (layeh.Attribute, error) {
	ip, err := netip.ParseAddr(value)
	if err != nil || !ip.Is4() {
		return nil, fmt.Errorf("%q is not an IPv4 address", value)
	}
	return layeh.NewIPAddr(ip.AsSlice())
}

func encodeIPv6(_ *replyAttribute, value string) (layeh.Attribute, error) {
	ip, err := netip.ParseAddr(value)
	if err != nil || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" {
		return nil, fmt.Errorf("%q is not an IPv6 address", value)
	}
	return layeh.NewIPv6Addr(ip.AsSlice())
}

// encodeIPv6Prefix writes a reserved octet, the length and only the octets that the prefix covers (RFC 3162 section 2.3).
func encodeIPv6Prefix(_ *replyAttribute, value string) (layeh.Attribute, error) {
	p, err := netip.ParsePrefix(value)
	if err != nil || !p.Addr().Is6() || p != p.Masked() {
		return nil, fmt.Errorf("%q is not an IPv6 prefix such as 2001:db8::/64", value)
	}
	return append(layeh.Attribute{0, byte(p.Bits())}, p.Addr().AsSlice()[:(p.Bits()+7)/8]...), nil
}
