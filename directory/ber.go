package directory

import (
	"errors"
	"fmt"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Tags of LDAP messages (RFC 4511 appendix B), as they stand in the first octet.
const (
	tagBoolean    = 0x01
	tagInteger    = 0x02
	tagOctets     = 0x04
	tagEnumerated = 0x0a
	tagSequence   = 0x30
	tagSet        = 0x31

	opBindRequest       = 0x60
	opBindResponse      = 0x61
	opSearchRequest     = 0x63
	opSearchEntry       = 0x64
	opSearchDone        = 0x65
	opSearchReference   = 0x73
	opExtendedRequest   = 0x77
	opExtendedResponse  = 0x78
	opIntermediate      = 0x79
	tagControls         = 0xa0
	tagReferral         = 0xa3 // in a result
	tagSimple           = 0x80 // password of a bind
	tagExtendedName     = 0x80 // of a request
	tagPolicyError      = 0x81 // in the control of a password policy
	maxMessageID        = 1<<31 - 1
	maxHeader           = 6 // octets of tag and length
	noticeDisconnection = 0 // the message id of what was not asked for (RFC 4511 section 4.4)
)

// errBER tells an answer that is not the BER that LDAP allows (RFC 4511 section 5.1).
var errBER = errors.New("the answer is not well-formed")

// element takes the first element of b apart. It has a tag of one octet and a definite length of at most 4 octets, which
// is all that LDAP uses; a length may be longer than it need be, because Active Directory's always are.
func element(b []byte) (tag byte, body, rest []byte, err error) {
	header, length, err := header(b)
	if err != nil || header == 0 || length > len(b)-header {
		return 0, nil, nil, errBER
	}
	return b[0], b[header : header+length], b[header+length:], nil
}

// header gives the octets of tag and length and the length; header is 0 while more octets are needed to tell.
func header(b []byte) (header, length int, err error) {
	if len(b) == 0 {
		return 0, 0, nil
	}
	if b[0]&0x1f == 0x1f {
		return 0, 0, errBER
	}
	if len(b) < 2 {
		return 0, 0, nil
	}
	if b[1] < 0x80 {
		return 2, int(b[1]), nil
	}
	n := int(b[1] & 0x7f)
	if n == 0 || n > 4 {
		return 0, 0, errBER
	}
	if len(b) < 2+n {
		return 0, 0, nil
	}
	for _, c := range b[2 : 2+n] {
		length = length<<8 | int(c)
	}
	if length > 1<<31-1 {
		return 0, 0, errBER
	}
	return 2 + n, length, nil
}

// expect takes the first element of b, which has to have the tag.
func expect(b []byte, tag byte) (body, rest []byte, err error) {
	got, body, rest, err := element(b)
	if err != nil || got != tag {
		return nil, nil, errBER
	}
	return body, rest, nil
}

// integer reads the content of an INTEGER or ENUMERATED of at most 4 octets.
func integer(body []byte) (int, error) {
	if len(body) == 0 || len(body) > 4 {
		return 0, errBER
	}
	v := int(int8(body[0]))
	for _, c := range body[1:] {
		v = v<<8 | int(c)
	}
	return v, nil
}

// envelope is one LDAP message (RFC 4511 section 4.1.1). Its parts lie in the octets it was read from.
type envelope struct {
	id       int
	op       byte
	body     []byte
	controls []byte // the controls one behind the other; empty: none
}

// readMessage takes a whole message apart.
func readMessage(octets []byte) (m envelope, err error) {
	all, rest, err := expect(octets, tagSequence)
	if err != nil || len(rest) > 0 {
		return m, errBER
	}
	id, all, err := expect(all, tagInteger)
	if err != nil {
		return m, err
	}
	if m.id, err = integer(id); err != nil || m.id < 0 {
		return m, errBER
	}
	if m.op, m.body, all, err = element(all); err != nil {
		return m, err
	}
	if len(all) > 0 {
		// What stands behind the controls is of a later version of the protocol (RFC 4511 section 4).
		if m.controls, _, err = expect(all, tagControls); err != nil {
			return m, err
		}
	}
	return m, nil
}

// questionOf gives the id of a message of which only the beginning is there; ok is false when it cannot be told yet.
func questionOf(octets []byte) (id int, ok bool) {
	n, _, err := header(octets)
	if err != nil || n == 0 || octets[0] != tagSequence {
		return 0, false
	}
	body, _, err := expect(octets[n:], tagInteger)
	if err != nil {
		return 0, false
	}
	id, err = integer(body)
	return id, err == nil
}

// readResult gives the error that an LDAPResult stands for (RFC 4511 section 4.1.9); nil for success. Codes of more than
// two octets and negative ones are no codes; those that the LDAP library keeps for its own failures count as such.
func readResult(body []byte) error {
	field, rest, err := expect(body, tagEnumerated)
	if err != nil {
		return err
	}
	code, err := integer(field)
	if err != nil {
		return err
	}
	matched, rest, err := expect(rest, tagOctets)
	if err != nil {
		return err
	}
	text, rest, err := expect(rest, tagOctets)
	if err != nil {
		return err
	}
	switch {
	case code == 0:
		return nil
	case code < 0 || code > 1<<16-1:
		return fmt.Errorf("%w: result code %d", errBER, code)
	}
	result := &ldap.Error{ResultCode: uint16(code), MatchedDN: string(matched), Err: errors.New(string(text))}
	if code == ldap.LDAPResultReferral {
		return fmt.Errorf("%w to %s; referrals are not followed: name that server in urls, or another base_dn", result, referral(rest))
	}
	return result
}

// referral names the servers to which a result refers (RFC 4511 section 4.1.10). They are not followed: a referral names a
// server that nobody configured, and the service account's password would go there.
func referral(fields []byte) string {
	var to []string
	uris, _, err := expect(fields, tagReferral)
	for err == nil && len(uris) > 0 {
		var uri []byte
		if uri, uris, err = expect(uris, tagOctets); err == nil {
			to = append(to, fmt.Sprintf("%.200q", uri))
		}
	}
	return strings.Join(to, ", ")
}

// readEntry makes an entry of the content of a SearchResultEntry (RFC 4511 section 4.5.2). The entry shares nothing with b.
func readEntry(b []byte) (*ldap.Entry, error) {
	dn, rest, err := expect(b, tagOctets)
	if err != nil {
		return nil, err
	}
	list, _, err := expect(rest, tagSequence)
	if err != nil {
		return nil, err
	}
	// One copy of all octets for texts and one for raw values, instead of two for every value.
	raw := append([]byte(nil), list...)
	text := string(list)
	e := &ldap.Entry{DN: string(dn)}
	at := func(part []byte) string { // raw lies at the same place in text
		from := cap(raw) - cap(part)
		return text[from : from+len(part)]
	}
	for all := raw; len(all) > 0; {
		var attr, name, values []byte
		if attr, all, err = expect(all, tagSequence); err != nil {
			return nil, err
		}
		if name, attr, err = expect(attr, tagOctets); err != nil {
			return nil, err
		}
		if values, _, err = expect(attr, tagSet); err != nil {
			return nil, err
		}
		a := &ldap.EntryAttribute{Name: at(name)}
		for len(values) > 0 {
			var v []byte
			if v, values, err = expect(values, tagOctets); err != nil {
				return nil, err
			}
			a.Values, a.ByteValues = append(a.Values, at(v)), append(a.ByteValues, v)
		}
		e.Attributes = append(e.Attributes, a)
	}
	return e, nil
}

// control gives the value of the control with an object identifier; found tells that it is there.
func control(controls []byte, oid string) (value []byte, found bool, err error) {
	for len(controls) > 0 {
		var c, kind []byte
		if c, controls, err = expect(controls, tagSequence); err != nil {
			return nil, false, err
		}
		if kind, c, err = expect(c, tagOctets); err != nil {
			return nil, false, err
		}
		if string(kind) != oid {
			continue
		}
		for len(c) > 0 { // criticality and value
			var tag byte
			var body []byte
			if tag, body, c, err = element(c); err != nil {
				return nil, false, err
			}
			if tag == tagOctets {
				value = body
			}
		}
		return value, true, nil
	}
	return nil, false, nil
}

// pagingCookie reads the answer's control of paged results (RFC 2696); empty: there are no more pages.
func pagingCookie(controls []byte) ([]byte, error) {
	value, found, err := control(controls, ldap.ControlTypePaging)
	if err != nil || !found {
		return nil, err
	}
	fields, _, err := expect(value, tagSequence)
	if err != nil {
		return nil, err
	}
	_, fields, err = expect(fields, tagInteger)
	if err != nil {
		return nil, err
	}
	cookie, _, err := expect(fields, tagOctets)
	return append([]byte(nil), cookie...), err
}

// enclose makes what stands in b from start on the content of an element.
func enclose(b []byte, start int, tag byte) []byte {
	length := len(b) - start
	head := appendHeader(make([]byte, 0, maxHeader), tag, length)
	b = append(b, head...)
	copy(b[start+len(head):], b[start:start+length])
	copy(b[start:], head)
	return b
}

func appendHeader(b []byte, tag byte, length int) []byte {
	switch {
	case length < 0x80:
		return append(b, tag, byte(length))
	case length < 1<<8:
		return append(b, tag, 0x81, byte(length))
	case length < 1<<16:
		return append(b, tag, 0x82, byte(length>>8), byte(length))
	}
	return append(b, tag, 0x84, byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
}

func appendText[T string | []byte](b []byte, tag byte, text T) []byte {
	return append(appendHeader(b, tag, len(text)), text...)
}

// appendInt writes a number from 0 to 2^31-1.
func appendInt(b []byte, tag byte, v int) []byte {
	n := 1
	for v>>(8*n-1) > 0 {
		n++
	}
	b = append(b, tag, byte(n))
	for n--; n >= 0; n-- {
		b = append(b, byte(v>>(8*n)))
	}
	return b
}

// policyControl asks for the password policy's word (draft-behera-ldap-password-policy-10 section 6.1).
var policyControl = func() []byte {
	b := appendText(nil, tagOctets, ldap.ControlTypeBeheraPasswordPolicy)
	return enclose(enclose(b, 0, tagSequence), 0, tagControls)
}()

// appendBind writes a simple bind (RFC 4511 section 4.2); with policy set it asks for the password policy's word.
func appendBind(b []byte, id int, dn string, password []byte, policy bool) []byte {
	start := len(b)
	b = appendInt(b, tagInteger, id)
	op := len(b)
	b = append(b, tagInteger, 1, 3)
	b = appendText(b, tagOctets, dn)
	b = appendText(b, tagSimple, password)
	b = enclose(b, op, opBindRequest)
	if policy {
		b = append(b, policyControl...)
	}
	return enclose(b, start, tagSequence)
}

// startTLS is the name of the operation that begins TLS (RFC 4511 section 4.14.1).
const startTLS = "1.3.6.1.4.1.1466.20037"

func appendStartTLS(b []byte, id int) []byte {
	start := len(b)
	b = appendInt(b, tagInteger, id)
	op := len(b)
	b = appendText(b, tagExtendedName, startTLS)
	return enclose(enclose(b, op, opExtendedRequest), start, tagSequence)
}

// query is a search that can be written. Filter, attributes and controls are BER already.
type query struct {
	base       string
	scope      int
	sizeLimit  int
	seconds    int // time limit
	filter     filter
	name       string // what the filter compares
	attributes []byte // an AttributeSelection
	controls   []byte // with their tag; empty: none
}

// appendQuery writes a SearchRequest (RFC 4511 section 4.5.1).
func appendQuery(b []byte, id int, q *query) []byte {
	start := len(b)
	b = appendInt(b, tagInteger, id)
	op := len(b)
	b = appendText(b, tagOctets, q.base)
	b = append(b, tagEnumerated, 1, byte(q.scope), tagEnumerated, 1, 0) // aliases are not followed
	b = appendInt(b, tagInteger, q.sizeLimit)
	b = appendInt(b, tagInteger, q.seconds)
	b = append(b, tagBoolean, 1, 0) // values too
	b = q.filter.append(b, q.name)
	b = append(b, q.attributes...)
	b = enclose(b, op, opSearchRequest)
	b = append(b, q.controls...)
	return enclose(b, start, tagSequence)
}

// attributeSelection is the list of attributes that a search asks for.
func attributeSelection(names []string) []byte {
	var b []byte
	for _, n := range names {
		b = appendText(b, tagOctets, n)
	}
	return enclose(b, 0, tagSequence)
}

// pagingControl asks for a page (RFC 2696).
func pagingControl(size int, cookie []byte) []byte {
	b := appendText(nil, tagOctets, ldap.ControlTypePaging)
	value := len(b)
	b = appendInt(b, tagInteger, size)
	b = appendText(b, tagOctets, cookie)
	b = enclose(enclose(b, value, tagSequence), value, tagOctets)
	return enclose(enclose(b, 0, tagSequence), 0, tagControls)
}

// filter is a search filter in BER, in pieces between which a name is put.
type filter struct {
	tag   byte
	parts []filter
	value []byte // without parts: the content
	name  bool   // the content is the name
}

// namePlace stands for the name in the text of a filter; nobody writes it into one.
const namePlace = "\x00name\x00"

// compileFilter reads a filter (RFC 4515); where it compares with namePlace, the name of each query will stand.
func compileFilter(text string) (filter, error) {
	p, err := ldap.CompileFilter(text)
	if err != nil {
		return filter{}, fmt.Errorf("filter %.200q: %w", text, err)
	}
	return filterOf(p), nil
}

// anything is the filter (objectClass=*), which fits every entry (RFC 4511 section 4.5.1.7.5).
var anything = filter{tag: 0x87, value: []byte("objectClass")}

func filterOf(p *ber.Packet) filter {
	f := filter{tag: byte(p.ClassType) | byte(p.TagType) | byte(p.Tag)}
	if p.TagType == ber.TypePrimitive {
		f.value = p.Data.Bytes()
		f.name = string(f.value) == namePlace
		return f
	}
	for _, c := range p.Children {
		f.parts = append(f.parts, filterOf(c))
	}
	return f
}

func (f *filter) append(b []byte, name string) []byte {
	switch {
	case f.name:
		return appendText(b, f.tag, name)
	case f.parts == nil:
		return appendText(b, f.tag, f.value)
	}
	start := len(b)
	for i := range f.parts {
		b = f.parts[i].append(b, name)
	}
	return enclose(b, start, f.tag)
}
