package directory

import (
	"context"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sekisho/authn"
)

// TestEverySpellingIsOneID drives typed names through the reading and a directory to the id that accounts hang on (B18):
// case, width, blanks, the realm's form and its sign make no difference; anything else is another person or nobody.
func TestEverySpellingIsOneID(t *testing.T) {
	open := func(name, users string) authn.Branch {
		f, err := parseFile(name, name+".yaml", []byte("users:\n"+users))
		if err != nil {
			t.Fatal(err)
		}
		return authn.Branch{Name: name, Directory: f}
	}
	corp := open("corp", "  - {name: annie, id: a}\n  - {name: 山田, id: y}\n  - {name: ßen, id: s}\n  - {name: annie@mail.example, id: m}\n")
	corp.Realms, corp.UPNSuffixes = []string{"corp", "corp.example"}, []string{"mail.example"}
	lab := open("lab", "  - {name: annie, id: l}\n")
	lab.Realms = []string{"lab"}
	ds := authn.Directories{corp, lab}
	find := func(typed string) string {
		r := new(authn.Names).Read(ds, []byte(typed))
		u, err := ds.Lookup(context.Background(), &r)
		switch {
		case errors.Is(err, authn.ErrUnknownUser):
			return "nobody"
		case err != nil:
			t.Fatal(err)
		}
		return u.Directory + "/" + u.ID
	}
	for typed, want := range map[string]string{
		"annie": "corp/a", `lab\ANNIE`: "lab/l", "annie@Mail.example": "corp/m", `CORP\annie`: "corp/a", "ßen": "corp/s", "SSEN@corp": "corp/s",
		"annıe": "nobody", "ann\u0456e": "nobody", "an\u00adnie": "nobody", "ann\u200bie": "nobody", "annie\u200f": "nobody", "an nie": "nobody",
		"annie@mail.example@corp": "nobody", `lab\annie@mail.example`: "nobody", `mail.example\annie`: "nobody", "annie@corp.exampl\u0435": "nobody",
		"annie@sub.corp.example": "nobody", "annie@example": "nobody", `lab\山田`: "nobody", "annie\x00@corp": "nobody", "annie*": "nobody",
	} {
		if got := find(typed); got != want {
			t.Errorf("%q is %s, want %s", typed, got, want)
		}
	}
	blanks := rapid.StringMatching("[ \u00a0\u2003\u3000]{0,3}")
	signs := map[bool][]string{true: {`\`, "＼", "﹨", "¥", "￥"}, false: {"@", "＠", "﹫"}}
	rapid.Check(t, func(t *rapid.T) {
		who := rapid.SampledFrom([]struct{ name, realm, want string }{
			{"annie", "corp", "corp/a"}, {"annie", "corp.example", "corp/a"}, {"annie", "lab", "lab/l"}, {"山田", "corp", "corp/y"}, {"ßen", "corp", "corp/s"},
			{"annie", "", "corp/a"}, {"山田", "", "corp/y"},
		}).Draw(t, "who")
		vary := func(s string) string {
			return strings.Map(func(r rune) rune {
				if rapid.Bool().Draw(t, "upper") && r < 0x80 {
					r = []rune(strings.ToUpper(string(r)))[0]
				}
				if rapid.Bool().Draw(t, "wide") && r > ' ' && r < 0x7f {
					r += 0xfee0
				}
				return r
			}, s)
		}
		typed := vary(who.name)
		prefix := rapid.Bool().Draw(t, "prefix")
		if who.realm != "" {
			parts := []string{blanks.Draw(t, "before"), rapid.SampledFrom(signs[prefix]).Draw(t, "sign"), blanks.Draw(t, "behind")}
			if sign := strings.Join(parts, ""); prefix {
				typed = vary(who.realm) + sign + typed
			} else {
				typed += sign + vary(who.realm)
			}
		}
		typed = blanks.Draw(t, "first") + typed + blanks.Draw(t, "last")
		if got := find(typed); got != who.want {
			t.Fatalf("%q is %s, want %s", typed, got, who.want)
		}
	})
}
