package radius

import (
	"fmt"
	"slices"
	"strconv"

	"sekisho/authn"
)

// NamesConfig says how the names are read that people type at a client. Whose a name is, its realm decides: the realms
// are those of the directories. Zero values stand for the defaults.
type NamesConfig struct {
	// Strip says which forms of a realm are taken apart: both, prefix (EXAMPLE\user), suffix (user@example.com) or none.
	// What is not taken apart is part of the name. Default: both.
	Strip string `yaml:"strip"`
	// Realms are those taken from this client; names of any other are refused, and those without one unless they belong to
	// one of these. Default: all that directories claim.
	Realms []string `yaml:"realms"`
	// DefaultRealm is that of names without one. Default: none; they belong to `directory`.
	DefaultRealm string `yaml:"default_realm"`
}

var nameForms = map[string]authn.Forms{
	"both": authn.BothForms, "prefix": authn.PrefixForm, "suffix": authn.SuffixForm, "none": authn.NoForm,
}

// names settles how a client's names are read. Whether anybody claims its realms, only the whole configuration can tell.
func (s *settled) names(key string, c NamesConfig) (n authn.Names) {
	var ok bool
	if n.Strip, ok = nameForms[orDefault(c.Strip, "both")]; !ok {
		s.fault(key+".strip", strconv.Quote(c.Strip)+" is not known", "choose both, prefix, suffix or none")
	}
	for i, text := range c.Realms {
		n.Realms = append(n.Realms, s.realm(fmt.Sprintf("%s.realms[%d]", key, i), text))
	}
	if c.DefaultRealm != "" {
		n.Default = s.realm(key+".default_realm", c.DefaultRealm)
		if len(n.Realms) > 0 && !slices.Contains(n.Realms, n.Default) {
			s.fault(key+".default_realm", strconv.Quote(c.DefaultRealm)+" is not among the realms taken from this client", "add it to realms, or leave one of the two out")
		}
	}
	return n
}

func (s *settled) realm(key, text string) string {
	realm, err := authn.FoldRealm(text)
	if err != nil {
		s.fault(key, strconv.Quote(text)+" is no realm: "+err.Error(), `write what stands before the \ or behind the @, such as EXAMPLE or example.com`)
	}
	return realm
}
