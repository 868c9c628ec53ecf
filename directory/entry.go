package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// maxID is the longest id in octets. entryUUID and objectGUID have 36.
const maxID = 128

// userAttributes are the attributes a look-up asks for.
func (s *settled) userAttributes() []string {
	attrs := append([]string{s.NameAttribute, s.IDAttribute}, s.nameAttrs...)
	attrs = append(attrs, stateAttributes...)
	if s.GroupWalk == walkDirect || s.GroupWalk == walkMember {
		attrs = append(attrs, s.GroupAttribute)
	}
	if s.active() {
		attrs = append(attrs, "objectSid", "primaryGroupID")
	}
	for _, m := range s.mapped {
		attrs = append(attrs, m.from...)
	}
	slices.SortFunc(attrs, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.CompactFunc(attrs, strings.EqualFold)
}

// user reads an entry that was found by a name; the groups are still to be found.
func (l *LDAP) user(e *ldap.Entry, name string, now time.Time) (*authn.User, error) {
	if !l.carries(e, name) {
		return nil, fmt.Errorf("%w: the entry found carries another name", authn.ErrUnknownUser)
	}
	if e.DN == "" {
		return nil, errors.New("the entry has no DN") // a bind to it would be anonymous and succeed
	}
	id, err := l.id(e)
	if err != nil {
		return nil, err
	}
	canonical := l.canonicalName(e)
	if canonical == "" {
		return nil, fmt.Errorf("the entry has no %s; see name_attribute", l.dialer.NameAttribute)
	}
	reason, err := barred(e, now)
	if err != nil {
		return nil, err
	}
	return &authn.User{Directory: l.name, ID: strings.Clone(id), Name: strings.Clone(canonical), DN: e.DN, Barred: reason, Attributes: attributes(l.dialer.mapped, e)}, nil
}

// carries reports whether one of the attributes that the filter compared holds the name that was asked for.
func (l *LDAP) carries(e *ldap.Entry, name string) bool {
	for _, attr := range l.dialer.nameAttrs {
		for _, v := range e.GetEqualFoldAttributeValues(attr) {
			if sameName(v, name) {
				return true
			}
		}
	}
	return false
}

// id reads the immutable id: text in lower case, or a GUID from its 16 octets.
func (l *LDAP) id(e *ldap.Entry) (string, error) {
	attr := l.dialer.IDAttribute
	values := e.GetEqualFoldRawAttributeValues(attr)
	if len(values) != 1 || len(values[0]) == 0 {
		return "", fmt.Errorf("the entry has %d values of %s where it needs one; see id_attribute", len(values), attr)
	}
	v := values[0]
	if strings.EqualFold(attr, "objectGUID") {
		if len(v) != 16 {
			return "", fmt.Errorf("%s of the entry has %d octets instead of 16", attr, len(v))
		}
		return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(v), binary.LittleEndian.Uint16(v[4:]),
			binary.LittleEndian.Uint16(v[6:]), v[8:10], v[10:]), nil
	}
	if len(v) > maxID || !utf8.Valid(v) {
		return "", fmt.Errorf("%s of the entry is not text of at most %d octets", attr, maxID)
	}
	return strings.ToLower(string(v)), nil
}

// canonicalName is the value in the entry's own DN where there are several, because the order of values means nothing.
func (l *LDAP) canonicalName(e *ldap.Entry) string {
	values := e.GetEqualFoldAttributeValues(l.dialer.NameAttribute)
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !utf8.ValidString(v) || foldText(v) == "" })
	switch len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	}
	if dn, err := ldap.ParseDN(e.DN); err == nil && len(dn.RDNs) > 0 {
		for _, a := range dn.RDNs[0].Attributes {
			if strings.EqualFold(a.Type, l.dialer.NameAttribute) && slices.Contains(values, a.Value) {
				return a.Value
			}
		}
	}
	return slices.Min(values)
}
