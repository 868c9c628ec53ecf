package authn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"sekisho/authn"
)

// namedSite is a site of three directories: corp, which names without a realm belong to, with a UPN suffix; lab; and one
// whose realm is beyond ASCII.
func namedSite(t testing.TB) authn.Directories {
	t.Helper()
	return authn.Directories{
		{Name: "corp", Realms: realms(t, "EXAMPLE", "example.com"), UPNSuffixes: realms(t, "example.co.jp")},
		{Name: "lab", Realms: realms(t, "LAB", "lab.example.com")},
		{Name: "osaka", Realms: realms(t, "大阪", "Straße")},
	}
}

func realms(t testing.TB, names ...string) (folded []string) {
	t.Helper()
	for _, n := range names {
		f, err := authn.FoldRealm(n)
		if err != nil {
			t.Fatal(err)
		}
		folded = append(folded, f)
	}
	return folded
}

// read is a reading as text: "directory: name", or why it is nobody's.
func read(n *authn.Names, ds authn.Directories, typed string) string {
	r := n.Read(ds, []byte(typed))
	if r.Branch == nil {
		return "nobody: " + strings.TrimPrefix(r.Err().Error(), authn.ErrUnknownUser.Error()+": ")
	}
	return r.Branch.Name + ": " + string(r.Name)
}

func TestNames(t *testing.T) {
	site := namedSite(t)
	one := authn.Directories{{Name: "ldap"}}
	twoRealms := `nobody: it has more than one \ or @, so it could be read in two ways`
	half := "nobody: one of the two parts is empty"
	tests := []struct {
		what  string
		names authn.Names
		site  authn.Directories
		want  map[string]string
	}{
		{"no realms anywhere: nothing is taken apart", authn.Names{}, one, map[string]string{
			"annie": "ldap: annie", ` annie　`: "ldap: annie", `EXAMPLE\annie`: `ldap: EXAMPLE\annie`, "annie@example.com": "ldap: annie@example.com",
			"@": "ldap: @", `a\b@c`: `ldap: a\b@c`,
		}},
		{"by default", authn.Names{}, site, map[string]string{
			"annie": "corp: annie", "Annie": "corp: Annie", "ａｎｎｉｅ": "corp: annie",
			`EXAMPLE\annie`: "corp: annie", `example\annie`: "corp: annie", `ＥＸＡＭＰＬＥ＼annie`: "corp: annie", `EXAMPLE \ annie`: "corp: annie",
			"example.com\\annie": "corp: annie", "annie@EXAMPLE": "corp: annie", "annie＠Example．COM ": "corp: annie",
			"EXAMPLE¥annie": "corp: annie", "EXAMPLE￥annie": "corp: annie", "EXAMPLE﹨annie": "corp: annie",
			`LAB\annie`: "lab: annie", "annie@lab.example.com": "lab: annie", "LAB¥a¥b": "lab: a¥b",
			"annie@example.co.jp": "corp: annie@example.co.jp", "annie @ Example.co.jp": "corp: annie@Example.co.jp",
			`大阪\annie`: "osaka: annie", "annie@STRASSE": "osaka: annie", "annie@straße": "osaka: annie", "annie@STRAßE": "osaka: annie",
			"annie@other.example": "nobody: no directory claims the realm other.example", `OTHER\annie`: "nobody: no directory claims the realm OTHER",
			"OTHER¥annie": "corp: OTHER¥annie", "¥annie": "corp: ¥annie",
			`example.co.jp\annie`: "nobody: no directory claims the realm example.co.jp",
			"annie@example":       "corp: annie", "annie@exampl": "nobody: no directory claims the realm exampl",
			`EXAMPLE\annie@example.com`: twoRealms, `LAB\annie@example.com`: twoRealms, `EXAMPLE\LAB\annie`: twoRealms,
			"annie@lab.example.com@example.com": twoRealms, `annie@x\example.com`: twoRealms, `LAB¥annie@example.com`: twoRealms,
			"annie@": half, "@example.com": half, `EXAMPLE\`: half, `\annie`: half, `EXAMPLE\ `: half, "@": half, " @ ": half, `\`: half,
			"annie@example.com.": "nobody: no directory claims the realm example.com.", "annie@example .com": "nobody: no directory claims the realm example .com",
			"EXAMPLE/annie": "corp: EXAMPLE/annie", "EXAMPLE%annie": "corp: EXAMPLE%annie",
		}},
		{"prefix alone", authn.Names{Strip: authn.PrefixForm}, site, map[string]string{
			`LAB\annie`: "lab: annie", "annie@lab.example.com": "corp: annie@lab.example.com", `LAB\annie@mail.example`: "lab: annie@mail.example",
			"LAB¥annie": "lab: annie",
		}},
		{"suffix alone", authn.Names{Strip: authn.SuffixForm}, site, map[string]string{
			`LAB\annie`: `corp: LAB\annie`, "LAB¥annie": "corp: LAB¥annie", "annie@lab.example.com": "lab: annie", `a\b@lab`: `lab: a\b`,
		}},
		{"one realm, whatever is typed", authn.Names{Strip: authn.NoForm, Default: "lab"}, site, map[string]string{
			"annie": "lab: annie", `EXAMPLE\annie`: `lab: EXAMPLE\annie`, "annie@example.com": "lab: annie@example.com",
		}},
		{"a default realm", authn.Names{Default: "lab"}, site, map[string]string{
			"annie": "lab: annie", `EXAMPLE\annie`: "corp: annie", "annie@other.example": "nobody: no directory claims the realm other.example",
		}},
		{"some realms", authn.Names{Realms: realms(t, "LAB", "example.co.jp")}, site, map[string]string{
			`LAB\annie`: "lab: annie", `lab\annie`: "lab: annie", "annie@lab.example.com": "nobody: this client does not take the realm lab.example.com",
			`EXAMPLE\annie`: "nobody: this client does not take the realm EXAMPLE", "annie": "nobody: this client takes names with a realm only",
			"annie@example.co.jp": "corp: annie@example.co.jp",
		}},
		{"some realms, the first directory's among them", authn.Names{Realms: realms(t, "Example.com")}, site, map[string]string{
			"annie": "corp: annie", "annie@example.com": "corp: annie", `EXAMPLE\annie`: "nobody: this client does not take the realm EXAMPLE",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			for typed, want := range tt.want {
				if got := read(&tt.names, tt.site, typed); got != want {
					t.Errorf("%q: %s, want %s", typed, got, want)
				}
			}
		})
	}
}

// TestNamesThatAreNone: octets that no directory may be asked for are nobody's, at any site.
func TestNamesThatAreNone(t *testing.T) {
	for _, site := range []authn.Directories{namedSite(t), {{Name: "ldap"}}} {
		for _, typed := range []string{"", " ", "\u3000\u00a0", "\x00", "annie\x00", "annie\xff", "\xc3\x28", "\xed\xa0\x80", "an\nnie", "\x1bannie",
			strings.Repeat("a", 254), strings.Repeat("\ufdfa", 80), `EXAMPLE\` + strings.Repeat("a", 246), "EXAMPLE\\an\x00nie"} {
			var n authn.Names
			r := n.Read(site, []byte(typed))
			if r.Branch != nil || !errors.Is(r.Err(), authn.ErrUnknownUser) {
				t.Errorf("%q: %v %q", typed, r.Err(), r.Name)
			}
			if steps := r.Steps(site, &n, []byte(typed)); len(steps) != 1 || !strings.HasPrefix(steps[0].English, "No directory is asked: the name ") {
				t.Errorf("%q: %q", typed, steps)
			}
			if _, err := site.Lookup(context.Background(), &r); !errors.Is(err, authn.ErrUnknownUser) {
				t.Errorf("%q: looked up with %v", typed, err)
			}
		}
	}
	longest := strings.Repeat("a", 245)
	if got := read(&authn.Names{}, namedSite(t), `EXAMPLE\`+longest); got != "corp: "+longest {
		t.Errorf("a name of 253 octets: %s", got)
	}
}

// TestNameSteps holds the sentences by which a reading is told.
func TestNameSteps(t *testing.T) {
	site := namedSite(t)
	for _, tt := range []struct {
		names authn.Names
		site  authn.Directories
		typed string
		want  []string
	}{
		{authn.Names{}, authn.Directories{{Name: "ldap"}}, "annie@example.com", []string{
			"No directory claims a realm, so the name is not taken apart.", "Directory ldap is asked for annie@example.com."}},
		{authn.Names{}, site, " ＬＡＢ＼Annie", []string{
			`Blanks around a name and the width of letters make no difference: it is read as LAB\Annie.`, `What stands before the \ is the realm: LAB.`,
			"Directory lab has the users of this realm.", "Directory lab is asked for Annie."}},
		{authn.Names{}, site, "annie@example.co.jp", []string{"What stands behind the @ is the realm: example.co.jp.",
			"It is a UPN suffix of directory corp and belongs to the name.", "Directory corp is asked for annie@example.co.jp."}},
		{authn.Names{}, site, "annie", []string{"It has no realm.", "Names without a realm belong to directory corp.", "Directory corp is asked for annie."}},
		{authn.Names{Default: "lab", Strip: authn.NoForm}, site, `X\annie`, []string{"This client takes no name apart.",
			"Names without a realm belong to lab at this client.", `Directory lab is asked for X\annie.`}},
		{authn.Names{}, site, "annie@other.\u202eexample", []string{"What stands behind the @ is the realm: other.\ufffdexample.",
			"No directory is asked: no directory claims the realm other.\ufffdexample."}},
		{authn.Names{}, site, "a@b@c", []string{`No directory is asked: it has more than one \ or @, so it could be read in two ways.`}},
	} {
		r := tt.names.Read(tt.site, []byte(tt.typed))
		var got []string
		for _, s := range r.Steps(tt.site, &tt.names, []byte(tt.typed)) {
			got = append(got, s.English)
			if s.Japanese == "" || s.Japanese == s.English || strings.Contains(s.Japanese, "%!") {
				t.Errorf("%q has no Japanese, or not all of it: %q", s.English, s.Japanese)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%q:\n%q\nwant\n%q", tt.typed, got, tt.want)
		}
	}
}

func TestFoldRealm(t *testing.T) {
	for in, want := range map[string]string{"EXAMPLE": "example", " Example.COM ": "example.com", "ＬＡＢ": "lab", "Straße": "strasse"} {
		if got, err := authn.FoldRealm(in); err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", " ", "@example.com", `EXAMPLE\`, "a b", "a\u3000b", "a¥", "a\x00", "\xff", strings.Repeat("a", 254)} {
		if got, err := authn.FoldRealm(in); err == nil {
			t.Errorf("%q became the realm %q", in, got)
		}
	}
}

// TestFoldCase compares the short way with the tables of Unicode, for every octet it takes.
func TestFoldCase(t *testing.T) {
	for c := range 0x80 {
		text := "A" + string(rune(c)) + "z"
		if want := norm.NFKC.String(cases.Fold().String(text)); authn.FoldCase(text) != want {
			t.Errorf("%q became %q; want %q", text, authn.FoldCase(text), want)
		}
	}
	if got := authn.FoldCase("STRAßE"); got != "strasse" {
		t.Errorf("STRAßE became %q", got)
	}
}

// decorated writes a name of a realm as somebody might type it.
func decorated(t *rapid.T, name, prefix, suffix string) string {
	inside := rapid.SampledFrom([]string{"", "", " ", "\u00a0", "\u3000"})
	around := rapid.SampledFrom([]string{"", "", " ", "\t", "\u00a0", "\u3000", " \r\n"})
	vary := func(s string) string {
		runes := []rune(s)
		for i, r := range runes {
			switch rapid.IntRange(0, 4).Draw(t, "how") {
			case 0:
				runes[i] = []rune(strings.ToUpper(string(r)))[0]
			case 1:
				if r > ' ' && r < 0x7f {
					runes[i] = r + 0xfee0 // full width
				}
			}
		}
		return string(runes)
	}
	typed := vary(name)
	switch forms := rapid.IntRange(0, 2).Draw(t, "form"); {
	case forms == 1 && prefix != "":
		typed = vary(prefix) + inside.Draw(t, "b1") + rapid.SampledFrom([]string{`\`, "＼", "¥", "￥"}).Draw(t, "sep") + inside.Draw(t, "b2") + typed
	case forms == 2 && suffix != "":
		typed += inside.Draw(t, "b1") + rapid.SampledFrom([]string{"@", "＠", "﹫"}).Draw(t, "sep") + inside.Draw(t, "b2") + vary(suffix)
	}
	return around.Draw(t, "b3") + typed + around.Draw(t, "b4")
}

// TestEverySpellingIsOnePerson decorates names in every way that is promised to make no difference (B18): each reads to
// the same name of the same directory.
func TestEverySpellingIsOnePerson(t *testing.T) {
	site := namedSite(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9._é営業-]{1,12}`).Draw(t, "name")
		typed := decorated(t, name, "example", "example.com")
		if len(typed) > authn.MaxName {
			t.Skip()
		}
		r := new(authn.Names).Read(site, []byte(typed))
		if r.Branch == nil || r.Branch.Name != "corp" || authn.FoldCase(string(r.Name)) != authn.FoldCase(name) {
			t.Fatalf("%q: %v, asked for %q", typed, r.Err(), r.Name)
		}
	})
}

// FuzzNames: whatever is typed, it is read without a panic; a directory is asked only for what was typed, in one spelling;
// a realm goes only where it is claimed.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"annie", `EXAMPLE\annie`, "annie@example.com", "annie@example.co.jp", "a@b@c", `\@`, "EXAMPLE¥annie", "¥", "\xff", "a\x00b",
		"annie @ straße", "ﷺ@lab", "LAB\\\u202e"} {
		f.Add([]byte(s), uint8(0))
	}
	site := namedSite(f)
	rules := []authn.Names{{}, {Strip: authn.PrefixForm}, {Strip: authn.SuffixForm}, {Strip: authn.NoForm, Default: "lab"}, {Realms: realms(f, "LAB", "example.co.jp")}}
	f.Fuzz(func(t *testing.T, typed []byte, rule uint8) {
		n := rules[int(rule)%len(rules)]
		before := bytes.Clone(typed)
		r := n.Read(site, typed)
		steps := r.Steps(site, &n, typed)
		if !bytes.Equal(before, typed) {
			t.Fatal("the typed octets were changed")
		}
		for _, s := range steps {
			if both := s.English + s.Japanese; !utf8.ValidString(both) || strings.ContainsAny(both, "\x00\x1b\n\u202e") {
				t.Fatalf("a sentence is not harmless: %q", s)
			}
		}
		if r.Branch == nil {
			if !errors.Is(r.Err(), authn.ErrUnknownUser) {
				t.Fatalf("%q: %v", typed, r.Err())
			}
			return
		}
		folded, err := authn.FoldName(r.Name)
		if err != nil || !bytes.Equal(folded, r.Name) {
			t.Fatalf("%q: asked for %q, which is folded to %q (%v)", typed, r.Name, folded, err)
		}
		whole, _ := authn.FoldName(typed)
		if !bytes.Contains(whole, r.Name) && !bytes.Contains(r.Name, []byte("@")) {
			t.Fatalf("%q: asked for %q", typed, r.Name)
		}
		// What is taken off is never a realm that nobody claims.
		if rest := len(whole) - len(r.Name); rest > 0 && n.Strip == authn.NoForm {
			t.Fatalf("%q was taken apart", typed)
		}
		if r.Branch.Name == "osaka" && !strings.Contains(authn.FoldCase(string(whole)), "大阪") && !strings.Contains(authn.FoldCase(string(whole)), "strasse") {
			t.Fatalf("%q went to osaka", typed)
		}
	})
}

// TestReadingCostsNothing: nearly every name is ASCII, and reading it takes no memory.
func TestReadingCostsNothing(t *testing.T) {
	site := namedSite(t)
	var n authn.Names
	for _, typed := range []string{"annie", `EXAMPLE\annie`, "annie@lab.example.com", "annie@example.co.jp"} {
		name := []byte(typed)
		if got := testing.AllocsPerRun(100, func() { _ = n.Read(site, name) }); got != 0 {
			t.Errorf("%q: %v allocations", typed, got)
		}
	}
}

// TestAppendFolded: names in ASCII are folded as all others are, without memory.
func TestAppendFolded(t *testing.T) {
	room := make([]byte, 0, authn.MaxName)
	for _, name := range []string{"alice", " ALICE ", "田中", "Straße", "ＡＬＩＣＥ", "a\x00b", "", " ", "a\xff", strings.Repeat("x", 254), "[Z]@{z}"} {
		want := ""
		folded, wrong := authn.FoldName([]byte(name))
		if wrong == nil {
			want = authn.FoldCase(string(folded))
		}
		if got, err := authn.AppendFolded(room, []byte(name)); string(got) != want || !errors.Is(err, wrong) {
			t.Errorf("%q: %q %v, want %q %v", name, got, err, want, wrong)
		}
	}
	name := []byte(" Alice.SMITH ")
	if n := testing.AllocsPerRun(100, func() { room, _ = authn.AppendFolded(room[:0], name) }); n != 0 || string(room) != "alice.smith" {
		t.Errorf("%v allocations, %q", n, room)
	}
}
