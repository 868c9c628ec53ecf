package directory

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

func TestFoldName(t *testing.T) {
	for in, want := range map[string]string{
		"alice":                  "alice",
		"Alice":                  "Alice",
		"  alice\t\r\n":          "alice",
		"\u3000ａｌｉｃｅ\u00a0":      "alice",
		"ﾀﾅｶ":                    "タナカ",
		"e\u0301":                "é",
		"LAB\\alice":             "LAB\\alice",
		"a b":                    "a b",
		strings.Repeat("a", 253): strings.Repeat("a", 253),
	} {
		if got, err := foldName([]byte(in)); err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", " ", "\t\r\n", "\u3000\u00a0", "\x00", "alice\x00", "al\x00ice", "alice\xff", "\xc3\x28", "\xed\xa0\x80",
		"al\nice", "\x1balice", "alice\u0085x", strings.Repeat("a", 254), strings.Repeat(" ", 249) + "alice",
		strings.Repeat("é", 127), strings.Repeat("\ufdfa", 80)} {
		if got, err := foldName([]byte(in)); !errors.Is(err, authn.ErrUnknownUser) {
			t.Errorf("%q: %q %v, want no such user", in, got, err)
		}
	}
}

func TestSameName(t *testing.T) {
	for _, c := range []struct {
		value, asked string
		want         bool
	}{
		{"alice", "alice", true}, {"ALICE", "alice", true}, {"alice", "ALICE", true}, {" alice ", "alice", true},
		{"ａｌｉｃｅ", "alice", true}, {"Straße", "STRASSE", true}, {"é", "É", true},
		{"alice", "alic", false}, {"alice", "alice2", false}, {"alicé", "alice", false}, {"alıce", "alice", false},
		{"alice\xff", "alice", false}, {"", "alice", false}, {"alice", "*", false},
	} {
		folded, err := foldName([]byte(c.asked))
		if got := sameName(c.value, folded); err != nil || got != c.want {
			t.Errorf("%q for %q: %v", c.value, c.asked, got)
		}
	}
}

func TestFoldGroup(t *testing.T) {
	for in, want := range map[string]string{
		"VPN":                               "vpn",
		" VPN ":                             "vpn",
		"CN=VPN, OU=Groups,DC=Corp":         "cn=vpn,ou=groups,dc=corp",
		`cn=A\2CB,dc=corp`:                  `cn=a\,b,dc=corp`,
		`cn=A\,B,dc=corp`:                   `cn=a\,b,dc=corp`,
		"cn=営業,dc=corp":                     "cn=営業,dc=corp",
		`cn=\E5\96\B6\E6\A5\AD,dc=corp`:     "cn=営業,dc=corp",
		`cn=\ x\ ,dc=corp`:                  `cn=\ x\ ,dc=corp`,
		`cn=\#x,dc=corp`:                    `cn=\#x,dc=corp`,
		`cn=a\,dc\=corp,dc=x`:               `cn=a\,dc=corp,dc=x`,
		"cn=one+OU=Two,dc=corp":             "cn=one+ou=two,dc=corp",
		"":                                  "",
		"cn=vpn,,dc=corp":                   "cn=vpn,,dc=corp",
		`CN=Vertrieb \"Süd\"\+Nord,DC=corp`: `cn=vertrieb \"süd\"\+nord,dc=corp`,
	} {
		got := FoldGroup(in)
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := FoldGroup(got); again != got {
			t.Errorf("%q: folded twice it is %q", in, again)
		}
	}
}

// FuzzName: whatever is typed, the filter is one equality with the folded name, and folding twice changes nothing.
func FuzzName(f *testing.F) {
	for _, s := range []string{"alice", "ａｌｉｃｅ ", "*)(uid=*", "\\2a", "a\x00b", "\xff", "é", "\u1e9b\u0323", "ﷺ", "'\"<>", "\u2126"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, name []byte) {
		folded, err := foldName(name)
		if err != nil {
			if !errors.Is(err, authn.ErrUnknownUser) {
				t.Fatalf("%q: %v", name, err)
			}
			return
		}
		if again, err := foldName([]byte(folded)); err != nil || again != folded {
			t.Fatalf("%q: folded %q, folded again %q %v", name, folded, again, err)
		}
		if !utf8.ValidString(folded) || len(folded) > authn.MaxName || !sameName(folded, folded) || !sameName(string(name), folded) {
			t.Fatalf("%q: folded %q", name, folded)
		}
		p, err := ldap.CompileFilter(userFilter("(&(objectClass=person)(uid=%s))", folded))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if len(p.Children) != 2 || p.Children[1].Tag != ldap.FilterEqualityMatch || len(p.Children[1].Children) != 2 ||
			p.Children[1].Children[1].Data.String() != folded {
			t.Fatalf("%q became another filter", name)
		}
	})
}

func FuzzFoldGroup(f *testing.F) {
	for _, s := range []string{"vpn", "CN=a,DC=b", `cn=\ ,dc=x`, `cn=\00`, "cn=#04024869", "a=b+c=d", `cn=\`, "cn=\u0130", `\ 0=`, `1.2=x`, "\r=0="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, group string) {
		if once := FoldGroup(group); utf8.ValidString(group) && FoldGroup(once) != once {
			t.Fatalf("%q: %q, then %q", group, once, FoldGroup(once))
		}
	})
}
