package radius

import (
	"reflect"
	"strings"
	"testing"

	"sekisho/authn"
	"sekisho/internal/conf"
)

func TestNamesOfAClient(t *testing.T) {
	const head = "clients:\n  - {name: a, addresses: 192.0.2.1, secret: 0123456789abcdef, names: "
	for text, want := range map[string]authn.Names{
		"{}":              {},
		"{strip: both}":   {},
		"{strip: none}":   {Strip: authn.NoForm},
		"{strip: suffix}": {Strip: authn.SuffixForm},
		"{strip: prefix, realms: [EXAMPLE, ｌａｂ], default_realm: Lab}": {Strip: authn.PrefixForm, Realms: []string{"example", "lab"}, Default: "lab"},
		"{default_realm: Example.COM}":                                {Default: "example.com"},
	} {
		var c Config
		if err := conf.Parse(&c, "t.yaml", []byte(head+text+"}\n")).Err(); err != nil {
			t.Fatal(err)
		}
		if faults, _ := c.Check(); len(faults) > 0 {
			t.Errorf("%s: %v", text, faults)
		}
		if got := c.AuthnClients()[0].Names; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"{strip: all}":                          `clients[0].names.strip: "all" is not known; choose both, prefix, suffix or none`,
		"{realms: ['@lab']}":                    `clients[0].names.realms[0]: "@lab" is no realm: a realm has no blank, no @ and no \; write what stands before`,
		"{default_realm: 'a b'}":                `clients[0].names.default_realm: "a b" is no realm`,
		"{realms: [A, B], default_realm: C}":    `"C" is not among the realms taken from this client; add it to realms`,
		"{realms: [A, \"\"], default_realm: a}": `clients[0].names.realms[1]: "" is no realm: the realm is blank`,
	} {
		var c Config
		if err := conf.Parse(&c, "t.yaml", []byte(head+text+"}\n")).Err(); err != nil {
			t.Fatal(err)
		}
		faults, _ := c.Check()
		if len(faults) != 1 || !strings.Contains(faults.Error(), want) {
			t.Errorf("%s:\n%v\nlacks %q", text, faults, want)
		}
	}
}
