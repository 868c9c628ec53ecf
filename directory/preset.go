package directory

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// The ways to a user's groups, values of group_walk.
const (
	walkDirect = "direct"       // the user's own group attribute
	walkMember = "member"       // level by level: which groups have one of these for a member
	walkChain  = "in_chain"     // the server walks: matching rule LDAP_MATCHING_RULE_IN_CHAIN
	walkTokens = "token_groups" // the server has walked: the constructed attribute tokenGroups
)

// preset is what one kind of directory has for defaults.
type preset struct {
	userFilter      string
	nameAttribute   string
	idAttribute     string
	groupAttribute  string
	memberAttribute string
	groupWalk       string
	active          bool // Active Directory: a primary group beside the list, groups by SID, groups anywhere in the domain
	attributes      map[string][]string
}

var presets = map[string]preset{
	"openldap": {
		userFilter: "(uid=%s)", nameAttribute: "uid", idAttribute: "entryUUID",
		groupAttribute: "memberOf", memberAttribute: "member", groupWalk: walkDirect,
		attributes: map[string][]string{
			"name": {"displayName", "cn"}, "mail": {"mail"}, "phone": {"telephoneNumber", "mobile"},
			"language": {"preferredLanguage"}, "department": {"departmentNumber"},
		},
	},
	"ad": {
		// A computer is of class user too; its category is another one.
		userFilter:    "(&(objectCategory=person)(objectClass=user)(|(sAMAccountName=%s)(userPrincipalName=%s)))",
		nameAttribute: "sAMAccountName", idAttribute: "objectGUID",
		groupAttribute: "memberOf", memberAttribute: "member", groupWalk: walkTokens, active: true,
		attributes: map[string][]string{
			"name": {"displayName"}, "reading": {"msDS-PhoneticDisplayName"}, "mail": {"mail"},
			"phone": {"telephoneNumber", "mobile"}, "language": {"preferredLanguage"}, "department": {"department"},
		},
	},
}

// Effective is the config with its defaults filled in, those of its preset too.
func (c LDAPConfig) Effective() LDAPConfig { return c.withDefaults() }

// withDefaults fills in what the config left out.
func (c LDAPConfig) withDefaults() LDAPConfig {
	c.Preset = orDefault(c.Preset, "openldap")
	p := presets[c.Preset]
	c.UserFilter = orDefault(c.UserFilter, p.userFilter)
	c.NameAttribute = orDefault(c.NameAttribute, p.nameAttribute)
	c.IDAttribute = orDefault(c.IDAttribute, p.idAttribute)
	c.GroupAttribute = orDefault(c.GroupAttribute, p.groupAttribute)
	c.MemberAttribute = orDefault(c.MemberAttribute, p.memberAttribute)
	c.GroupWalk = orDefault(c.GroupWalk, p.groupWalk)
	if p.active {
		c.GroupBaseDN = orDefault(c.GroupBaseDN, domainOf(c.BaseDN))
	}
	attributes := maps.Clone(p.attributes)
	for name, from := range c.Attributes {
		if attributes == nil {
			attributes = map[string][]string{}
		}
		attributes[name] = from
	}
	c.Attributes = attributes
	c.GroupBaseDN = orDefault(c.GroupBaseDN, c.BaseDN)
	c.GroupDepth = orDefault(c.GroupDepth, defaultGroupDepth)
	c.ConnectTimeout = orDefault(c.ConnectTimeout, defaultConnectTimeout)
	c.Timeout = orDefault(c.Timeout, defaultTimeout)
	c.SearchConnections = orDefault(c.SearchConnections, defaultSearches)
	c.BindConnections = orDefault(c.BindConnections, defaultBinds)
	c.MaxAnswer = orDefault(c.MaxAnswer, defaultMaxAnswer)
	c.Cache = orDefault(c.Cache, defaultCache)
	return c
}

// domainOf gives the dc= end of a DN, which is the DN of an Active Directory domain; the DN itself where it has none.
func domainOf(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return dn
	}
	first := len(parsed.RDNs)
	for first > 0 && strings.EqualFold(parsed.RDNs[first-1].Attributes[0].Type, "dc") {
		first--
	}
	if first == len(parsed.RDNs) {
		return dn
	}
	return (&ldap.DN{RDNs: parsed.RDNs[first:]}).String()
}

// Explain tells line by line, each "what<TAB>how", what a config means with the defaults of its preset.
func (c LDAPConfig) Explain() []string {
	c = c.withDefaults()
	walk := map[string]string{
		walkDirect: c.GroupAttribute + " of the user; groups of groups do not count",
		walkMember: c.GroupAttribute + " of the user, then the groups whose " + c.MemberAttribute + " names the user or a group so far, level by level",
		walkChain:  "the groups whose " + c.MemberAttribute + " leads to the user over any number of groups, found by the server",
		walkTokens: "tokenGroups of the user: all security groups over any number of groups, found by the server",
	}[c.GroupWalk]
	if presets[c.Preset].active {
		walk += "; the primary group counts"
	}
	lines := []string{
		"preset\t" + c.Preset,
		"servers\t" + strings.Join(c.URLs, " "),
		"users\tbelow " + c.BaseDN + " by " + c.UserFilter,
		"name, id\t" + c.NameAttribute + ", " + c.IDAttribute,
		"groups\t" + walk + "; searched below " + c.GroupBaseDN,
	}
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		if from := c.Attributes[name]; len(from) > 0 {
			lines = append(lines, "attribute "+name+"\t"+strings.Join(from, ", "))
		}
	}
	return lines
}
