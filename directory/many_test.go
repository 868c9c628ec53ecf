package directory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/internal/testenv"
)

// TestManyGroups asks a server with 10,000 groups about people who are in all and in many of them; the server cuts answers
// at 500 entries.
func TestManyGroups(t *testing.T) {
	const all, many = 10_000, 1_234
	var text strings.Builder
	for _, name := range []string{"hoarder", "collector"} {
		fmt.Fprintf(&text, "dn: uid=%[1]s,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: x\n\n", name, testenv.SlapdBase)
	}
	for i := range all {
		fmt.Fprintf(&text, "dn: cn=g%05[1]d,ou=groups,%[2]s\nobjectClass: groupOfNames\ncn: g%05[1]d\nmember: uid=hoarder,ou=people,%[2]s\n", i, testenv.SlapdBase)
		if i < many {
			fmt.Fprintf(&text, "member: uid=collector,ou=people,%s\n", testenv.SlapdBase)
		}
		text.WriteString("\n")
	}
	srv := testenv.Slapd(t, testenv.SlapdOptions{Users: 1000, LDIF: text.String()})
	config := ldapConfig(srv)
	config.Timeout = 30 * time.Second
	l := openLDAP(t, config)
	for name, want := range map[string]int{"hoarder": all, "collector": many, "alice": 3, "user0001": 2, "user1000": 0} {
		began := time.Now()
		if u := lookup(t, l, name); len(u.Groups) != want {
			t.Errorf("%s: %d groups, want %d", name, len(u.Groups), want)
		}
		t.Logf("%s: %d groups in %v", name, want, time.Since(began))
	}
}
