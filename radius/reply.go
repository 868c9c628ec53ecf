package radius

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"sekisho/authn"
	"sekisho/radius/dictionary"
)

const (
	maxValue   = 253  // octets of one attribute's value
	maxMessage = 1012 // octets of a Reply-Message, four attributes
	maxState   = 253
	framedUser = 2 // the Service-Type of a tunnel
)

// begin starts an answer: header with the Request Authenticator and, where the answer carries one, a zeroed
// Message-Authenticator as the first attribute, which defeats BlastRADIUS even at gateways that never check it.
// It uses the room of b.
func (p *packet) begin(b []byte, code Code, withMA bool) []byte {
	b = append(b[:0], byte(code), p.id, 0, 0)
	b = append(b, p.authenticator()...)
	if withMA {
		b = append(b, attrMessageAuth, messageAuthLen)
		b = append(b, zero16[:]...)
	}
	return b
}

// end copies Proxy-State and signs; nil when the answer would be longer than a packet may be.
func (p *packet) end(b []byte, key *sharedSecret, withMA bool) []byte {
	b = p.appendProxyState(b)
	if len(b) > maxPacket {
		return nil
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	key.signReply(b, withMA)
	return b
}

// answer builds the packet for a Decision, or says why there is none. The answer never repeats what the request said, Proxy-State
// apart; it is left in r.out. It corrects d to the verdict that is sent.
func (r *request) answer(d *authn.Decision) (f fault) {
	if d.Verdict == authn.Challenge && !r.client.login.CanChallenge {
		r.server.Log.Error("RADIUS: a challenge for a gateway that cannot ask is a refusal; please report it", "client", r.client.name)
		*d = authn.Decision{Verdict: authn.Reject, Delayed: true}
	}
	p := &r.packet
	var b []byte
	switch d.Verdict {
	case authn.Accept:
		b = p.begin(r.out, AccessAccept, true)
		b = appendReply(b, d.Reply, r.client.taken)
		b = appendText(b, d.Message)
	case authn.Reject:
		b = p.begin(r.out, AccessReject, true)
		if p.kinds&kindEAP != 0 {
			b = appendEAPFailure(b, p.eap) // a Reply-Message beside EAP is forbidden (RFC 3579 section 2.6.5)
		} else {
			b = appendText(b, d.Message)
		}
	case authn.Challenge:
		if n := len(d.State); n == 0 || n > maxState {
			r.server.Log.Error("RADIUS: no answer, because a challenge had no usable State; please report it", "client", r.client.name)
			return faultNoAnswer
		}
		text := d.Message
		if text == "" {
			text = r.client.login.Prompts.First // ocserv shows no question without one
		}
		b = p.begin(r.out, AccessChallenge, true)
		b = append(b, attrState, byte(len(d.State)+2))
		b = append(b, d.State...)
		b = appendText(b, text)
	default:
		return faultNoAnswer
	}
	if b = p.end(b, r.secret, true); b == nil {
		return faultReplySize
	}
	r.out = b
	return noFault
}

// appendText adds Reply-Message attributes, each valid UTF-8 by itself (RFC 2865 section 5.18).
func appendText(b []byte, text string) []byte {
	if len(text) > maxMessage {
		text = cutText(text, maxMessage)
	}
	for text != "" {
		part := cutText(text, maxValue)
		b = append(b, attrReplyMessage, byte(len(part)+2))
		b = append(b, part...)
		text = text[len(part):]
	}
	return b
}

// cutText gives the longest beginning of at most n octets that ends between two runes.
func cutText(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for end := n; end > n-utf8.UTFMax; end-- {
		if utf8.RuneStart(text[end]) {
			return text[:end]
		}
	}
	return text[:n] // no UTF-8 at all
}

// appendEAPFailure ends an EAP conversation (RFC 3579 section 2.1 and 3.1, RFC 3748 section 4.2).
func appendEAPFailure(b, request []byte) []byte {
	var id byte
	if len(request) >= 2 {
		id = request[1]
	}
	return append(b, attrEAPMessage, 6, 4, id, 0, 4)
}

// taken says which reply attributes a kind of gateway takes; the others are left out for it.
type taken struct {
	framedOnly bool     // a Service-Type other than Framed fails its logins
	vendors    []uint32 // of those that the dictionaries know without a site's own; nil: every one
}

// vendor tells whether a vendor's attributes are taken. Those of a vendor that a site has added always are: it knows why.
func (t taken) vendor(id uint32) bool {
	return id == 0 || t.vendors == nil || slices.Contains(t.vendors, id) || !dictionary.BuiltIn(id)
}

// one tells whether an encoded attribute is taken.
func (t taken) one(attribute []byte) bool {
	switch attribute[0] {
	case attrServiceType:
		return !t.framedOnly || attribute[len(attribute)-1] == framedUser
	case attrVendor:
		return t.vendor(binary.BigEndian.Uint32(attribute[2:]))
	}
	return true
}

// appendReply adds those attributes of an Accept, as CompileReply gave them, that the gateway takes.
func appendReply(b, compiled []byte, t taken) []byte {
	for len(compiled) >= 2 {
		n := int(compiled[1])
		if t.one(compiled[:n]) {
			b = append(b, compiled[:n]...)
		}
		compiled = compiled[n:]
	}
	return b
}
