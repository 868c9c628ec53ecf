package radius

import (
	"encoding/binary"
)

// Sizes of RFC 2865 section 3, and the most attributes that a packet may bring.
const (
	headerLen     = 20
	maxPacket     = 4096
	maxAttributes = 200
)

// Code is the first octet of a packet (RFC 2865 section 3, 2866 section 3, 5997 section 4).
type Code byte

// The codes this package speaks.
const (
	AccessRequest      Code = 1
	AccessAccept       Code = 2
	AccessReject       Code = 3
	AccountingRequest  Code = 4
	AccountingResponse Code = 5
	AccessChallenge    Code = 11
	StatusServer       Code = 12
)

// Attribute types that the wire itself looks at.
const (
	attrUserName       = 1
	attrUserPassword   = 2
	attrCHAPPassword   = 3
	attrNASIPAddress   = 4
	attrServiceType    = 6
	attrFramedIP       = 8
	attrReplyMessage   = 18
	attrState          = 24
	attrVendorSpecific = 26
	attrCallingStation = 31
	attrNASIdentifier  = 32
	attrProxyState     = 33
	attrAcctStatusType = 40
	attrAcctDelayTime  = 41
	attrAcctInOctets   = 42
	attrAcctOutOctets  = 43
	attrAcctSessionID  = 44
	attrAcctTime       = 46
	attrAcctCause      = 49
	attrAcctInGiga     = 52
	attrAcctOutGiga    = 53
	attrEventTimestamp = 55
	attrARAPPassword   = 70
	attrEAPMessage     = 79
	attrMessageAuth    = 80
	attrNASIPv6Address = 95
	attrFramedIPv6     = 168
)

// messageAuthLen is the whole attribute: type, length and 16 octets.
const messageAuthLen = 18

// packet is a datagram whose form is sound: the slices point into it, nothing was copied and nothing is proven.
type packet struct {
	raw        []byte // exactly Length octets, padding cut
	code       Code
	id         byte
	maAt       int // where the 16 octets of the Message-Authenticator begin; 0: none
	proxyState int // octets of all Proxy-State attributes, headers included

	name, state, station []byte // nil: absent
	password             []byte // User-Password, still hidden
	eap                  []byte // first EAP-Message; may be empty, see kinds
	serviceType          uint32 // 0: absent
	kinds                kind   // which sorts of password came
	repeated             bool   // an attribute that decides about the login came more than once
	aclProbe             bool   // Cisco's download of an access list, which is no login
}

// kind is a set of ways in which a password can travel.
type kind uint8

const (
	kindPAP kind = 1 << iota
	kindCHAP
	kindMSCHAP
	kindEAP
	kindARAP
)

// several reports more than one kind.
func (k kind) several() bool { return k&(k-1) != 0 }

// authenticator is the Request Authenticator.
func (p *packet) authenticator() []byte { return p.raw[4:headerLen] }

// attributes are the octets after the header.
func (p *packet) attributes() []byte { return p.raw[headerLen:] }

// parseHeader checks the lengths of RFC 2865 section 3 and cuts padding, before anything is hashed.
func parseHeader(b []byte) ([]byte, fault) {
	if len(b) < headerLen {
		return nil, faultLength
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < headerLen || n > maxPacket || n > len(b) {
		return nil, faultLength
	}
	return b[:n], noFault
}

// parse reads a datagram in place. codes are those the port takes.
func parse(b []byte, codes func(Code) bool) (p packet, f fault) {
	if p.raw, f = parseHeader(b); f != noFault {
		return p, f
	}
	p.code, p.id = Code(p.raw[0]), p.raw[1]
	if !codes(p.code) {
		return p, faultCode
	}
	return p, p.walk()
}

// walk visits each attribute once. The form of all of them is checked, meaning is only noted.
func (p *packet) walk() fault {
	count := 0
	for at := headerLen; at < len(p.raw); {
		if at+2 > len(p.raw) {
			return faultAttribute
		}
		typ, n := p.raw[at], int(p.raw[at+1])
		if typ == 0 || n < 2 || at+n > len(p.raw) {
			return faultAttribute
		}
		if count++; count > maxAttributes {
			return faultTooMany
		}
		if f := p.note(typ, at, p.raw[at+2:at+n:at+n]); f != noFault {
			return f
		}
		at += n
	}
	return noFault
}

// note keeps what one attribute says. Unknown ones are left alone (RFC 2865 section 5).
func (p *packet) note(typ byte, at int, value []byte) fault {
	switch typ {
	case attrUserName:
		p.once(&p.name, value)
	case attrUserPassword:
		p.kinds |= kindPAP
		p.once(&p.password, value)
	case attrCHAPPassword:
		p.kinds |= kindCHAP
	case attrARAPPassword:
		p.kinds |= kindARAP
	case attrEAPMessage:
		if p.kinds&kindEAP == 0 {
			p.eap = value
		}
		p.kinds |= kindEAP
	case attrState:
		p.once(&p.state, value)
	case attrCallingStation:
		if p.station == nil {
			p.station = value
		}
	case attrServiceType:
		if len(value) == 4 {
			p.serviceType = binary.BigEndian.Uint32(value)
		}
	case attrProxyState:
		p.proxyState += 2 + len(value)
	case attrVendorSpecific:
		p.noteVendor(value)
	case attrMessageAuth:
		if len(value) != 16 || p.maAt != 0 {
			return faultMessageAuthForm
		}
		p.maAt = at + 2
	}
	return noFault
}

// once keeps the value of an attribute of which a packet may hold one.
func (p *packet) once(to *[]byte, value []byte) {
	if *to != nil {
		p.repeated = true
		return
	}
	*to = value
}

// Vendors whose attributes the wire looks at, and which of theirs.
const (
	vendorCisco       = 9
	ciscoAVPair       = 1
	vendorMicrosoft   = 311
	msCHAPResponse    = 1
	msCHAP2Response   = 25
	ciscoACLProbeText = "aaa:event=acl-download"
)

// noteVendor looks through one Vendor-Specific attribute, which may hold several (RFC 2865 section 5.26). What does not
// have that form is ignored: some vendors use others.
func (p *packet) noteVendor(value []byte) {
	if len(value) < 4 {
		return
	}
	vendor := binary.BigEndian.Uint32(value)
	if vendor != vendorCisco && vendor != vendorMicrosoft {
		return
	}
	for rest := value[4:]; len(rest) >= 2; {
		typ, n := rest[0], int(rest[1])
		if n < 2 || n > len(rest) {
			return
		}
		switch {
		case vendor == vendorMicrosoft && (typ == msCHAPResponse || typ == msCHAP2Response):
			p.kinds |= kindMSCHAP
		case vendor == vendorCisco && typ == ciscoAVPair && string(rest[2:n]) == ciscoACLProbeText:
			p.aclProbe = true
		}
		rest = rest[n:]
	}
}

// appendProxyState copies every Proxy-State as it came, in order (RFC 2865 section 5.33).
func (p *packet) appendProxyState(b []byte) []byte {
	if p.proxyState == 0 {
		return b
	}
	for rest := p.attributes(); len(rest) >= 2; rest = rest[rest[1]:] {
		if rest[0] == attrProxyState {
			b = append(b, rest[:rest[1]]...)
		}
	}
	return b
}
