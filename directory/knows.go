package directory

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Knows asks whether there is still a user of an immutable ID, whatever they are called now. false is the directory's word that
// there is none; where it cannot tell there is an error.
func (l *LDAP) Knows(ctx context.Context, id string) (bool, error) {
	value := ldap.EscapeFilter(id)
	if strings.EqualFold(l.dialer.IDAttribute, "objectGUID") {
		octets, err := guidOctets(id)
		if err != nil {
			return false, err
		}
		value = ""
		for _, o := range octets {
			value += fmt.Sprintf("\\%02x", o)
		}
	}
	res, err := l.search(ctx, &ldap.SearchRequest{BaseDN: l.dialer.BaseDN, Scope: ldap.ScopeWholeSubtree, SizeLimit: 1,
		Filter: "(" + l.dialer.IDAttribute + "=" + value + ")", Attributes: []string{l.dialer.IDAttribute}})
	if res != nil && len(res.Entries) > 0 {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("directory %s: %w", l.name, err)
	}
	return false, nil
}

// guidOctets are the octets of an objectGUID from its text.
func guidOctets(text string) ([]byte, error) {
	v, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(v) != 16 {
		return nil, fmt.Errorf("%.40q is no objectGUID", text)
	}
	binary.LittleEndian.PutUint32(v, binary.BigEndian.Uint32(v))
	binary.LittleEndian.PutUint16(v[4:], binary.BigEndian.Uint16(v[4:]))
	binary.LittleEndian.PutUint16(v[6:], binary.BigEndian.Uint16(v[6:]))
	return v, nil
}

// Knows asks whether the file has a user of an ID.
func (f *File) Knows(_ context.Context, id string) (bool, error) {
	_, has := f.hashes[id]
	return has, nil
}
