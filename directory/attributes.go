package directory

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// Bounds on what is kept of a person beside name and groups.
const (
	maxAttributes      = 32   // names
	maxAttributeValues = 16   // of one name
	maxAttributeValue  = 1024 // octets
)

var (
	mappedName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	// An option tells values of one attribute apart, as in displayName;lang-ja (RFC 3866).
	optionedName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*$`)
	// What proves somebody is never read, whatever rights the service account has.
	proofs = []string{"userPassword", "unicodePwd", "ntPwdHash", "dBCSPwd", "supplementalCredentials", "sambaNTPassword",
		"sambaLMPassword", "krbPrincipalKey", "ms-Mcs-AdmPwd", "msLAPS-Password"}
)

// mapped is one name of [authn.User].Attributes and the directory's attributes that fill it, in this order.
type mapped struct {
	name string
	from []string
}

// attributeMap reads the key attributes.
func attributeMap(faults *Faults, key string, attributes map[string][]string) []mapped {
	var all []mapped
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		from := attributes[name]
		at := key + "." + name
		if !mappedName.MatchString(name) {
			faults.add(at, "this is not a name that rules could use", "write up to 32 small letters, digits, - and _, a letter first")
		}
		for _, a := range from {
			switch {
			case !optionedName.MatchString(a):
				faults.add(at, fmt.Sprintf("%q is not the name of an attribute", a), "write names such as displayName")
			case slices.ContainsFunc(proofs, func(p string) bool { return strings.EqualFold(p, a) }):
				faults.add(at, a+" proves who somebody is; it must not be read", "leave it out")
			}
		}
		if len(from) > 0 {
			all = append(all, mapped{name, from})
		}
	}
	if len(all) > maxAttributes {
		faults.add(key, fmt.Sprintf("there are %d", len(all)), fmt.Sprintf("give %d at most", maxAttributes))
	}
	return all
}

// attributes fills the map from an entry. Values that are not plain text of at most 1,024 octets are left out, and all
// behind the 16th.
func attributes(names []mapped, e *ldap.Entry) map[string][]string {
	found := make(map[string][]string, len(names))
	for _, n := range names {
		var values []string
		for _, from := range n.from {
			values = append(values, e.GetEqualFoldAttributeValues(from)...)
		}
		if values = plainTexts(values); len(values) > 0 {
			for i := range values {
				values[i] = strings.Clone(values[i]) // the rest of the answer is not to be kept with it
			}
			found[n.name] = values
		}
	}
	return found
}

// plainTexts keeps what can be shown and sent.
func plainTexts(values []string) []string {
	values = slices.DeleteFunc(values, func(v string) bool {
		return v == "" || len(v) > maxAttributeValue || !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl)
	})
	return values[:min(len(values), maxAttributeValues)]
}
