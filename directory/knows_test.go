package directory

import (
	"bytes"
	"testing"

	"sekisho/internal/testenv"

	"github.com/go-ldap/ldap/v3"
)

// TestKnowsByID: whoever the directory has is known by the ID that a look-up gave, and nobody else is.
func TestKnowsByID(t *testing.T) {
	l := openLDAP(t, ldapConfig(testenv.Slapd(t, testenv.SlapdOptions{})))
	u := lookup(t, l, "alice")
	for id, want := range map[string]bool{u.ID: true, "00000000-0000-4000-8000-000000000000": false} {
		got, err := l.Knows(t.Context(), id)
		if err != nil || got != want {
			t.Errorf("Knows(%q) = %v, %v; want %v", id, got, err, want)
		}
	}
	l.Close()
	if _, err := l.Knows(t.Context(), u.ID); err == nil {
		t.Error("a directory that cannot be asked gave an answer")
	}
}

// TestGUIDBackAndForth: the octets of a GUID's text are those that the text was made of.
func TestGUIDBackAndForth(t *testing.T) {
	octets := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	l := &LDAP{dialer: dialer{settled: settled{LDAPConfig: LDAPConfig{IDAttribute: "objectGUID"}}}}
	id, err := l.id(&ldap.Entry{Attributes: []*ldap.EntryAttribute{{Name: "objectGUID", ByteValues: [][]byte{octets}}}})
	if err != nil {
		t.Fatal(err)
	}
	back, err := guidOctets(id)
	if err != nil || !bytes.Equal(back, octets) {
		t.Errorf("%s became %v, %v; want %v", id, back, err, octets)
	}
	for _, bad := range []string{"", "0102", "zz020304-0506-0708-0910-111213141516", id + "00"} {
		if _, err := guidOctets(bad); err == nil {
			t.Errorf("%q was taken for a GUID", bad)
		}
	}
}
