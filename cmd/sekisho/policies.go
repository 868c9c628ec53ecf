package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sekisho/authn"
	"sekisho/directory"
	"sekisho/internal/conf"
	"sekisho/radius"
)

// leastReason is how many characters accept_one_factor needs, so that it is a reason and not a tick.
const leastReason = 20

var firstFactors = map[string]authn.FirstFactor{
	"password": authn.Password, "pin": authn.PIN, "gateway": authn.Gateway, "none": authn.NoFactor,
}

// policies gives the policies as logins see them.
func (c *Config) policies() []*authn.Policy {
	all := make([]*authn.Policy, len(c.Policies))
	for i, p := range c.Policies {
		first := firstFactors[p.FirstFactor]
		withFactor := first == authn.Password || first == authn.PIN
		all[i] = &authn.Policy{
			Name: p.Name, Clients: p.Clients, Groups: foldGroups(p.Groups), Deny: p.Deny, First: first,
			Joined: withFactor && p.Code != "challenge", CodeFirst: p.CodeFirst,
			Ask:          withFactor && p.Code != "joined",
			ExemptGroups: foldGroups(p.ExemptGroups), ActivateAtLogin: p.ActivateAtLogin, Window: c.window(), Reply: replies(p.Reply),
		}
	}
	return all
}

// foldGroups brings groups into the form in which the directory gives a user's.
func foldGroups(groups []string) []string {
	folded := make([]string, len(groups))
	for i, g := range groups {
		folded[i] = directory.FoldGroup(g)
	}
	return folded
}

// checkGroups wants DNs where the directory has DNs: a plain name could be taken by a group that somebody makes elsewhere
// in the tree. Where there are no groups a policy that names some would silently hold for nobody.
func (c *Config) checkGroups(doc *conf.Doc, key string, groups []string) {
	for i, g := range groups {
		switch at := fmt.Sprintf("%s[%d]", key, i); {
		case c.onlyType("none"):
			doc.Fault(at, "there are no groups with directory.type none", "leave it out, or name a directory that has groups")
		case c.onlyType("ldap", "none") && !directory.IsDN(g):
			doc.Fault(at, strconv.Quote(g)+" is not a DN", "write the group's DN; 'sekisho user show NAME' lists those of a member")
		case strings.TrimSpace(g) == "":
			doc.Fault(at, "is blank", "name a group, or leave it out")
		}
	}
}

// replies lists attributes in the order of their names, values of one name in the order of the file.
func replies(reply map[string][]string) []authn.Attribute {
	var all []authn.Attribute
	names := make([]string, 0, len(reply))
	for name := range reply {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range reply[name] {
			all = append(all, authn.Attribute{Name: name, Value: value})
		}
	}
	return all
}

// checkPolicies reports what is wrong with the policies, together and with the clients.
func (c *Config) checkPolicies(doc *conf.Doc) (warnings []string) {
	if len(c.Policies) == 0 {
		doc.Fault("policies", "there is none, so nobody could log in", "add a policy; configs/sekisho.minimal.yaml shows one")
		return nil
	}
	oneFactor := map[string]bool{}
	for i, p := range c.Policies {
		key := fmt.Sprintf("policies[%d].", i)
		if _, ok := firstFactors[p.FirstFactor]; !ok {
			oneOf(doc, key+"first_factor", p.FirstFactor, "password", "pin", "gateway", "none")
		}
		c.checkGroups(doc, key+"groups", p.Groups)
		c.checkGroups(doc, key+"exempt_groups", p.ExemptGroups)
		oneOf(doc, key+"code", p.Code, "joined", "challenge", "either")
		if _, err := radius.CompileReply(replies(p.Reply)); err != nil {
			doc.Fault(key+"reply", err.Error(), "")
		}
		switch n := utf8.RuneCountInString(p.AcceptOneFactor); {
		case n >= leastReason:
			oneFactor[p.Name] = true
		case n > 0:
			doc.Fault(key+"accept_one_factor", fmt.Sprintf("%d characters are no reason", n),
				fmt.Sprintf("say in at least %d characters why a code alone is enough", leastReason))
		}
	}
	clients := c.Radius.AuthnClients()
	pointers := make([]*authn.Client, len(clients))
	for i := range clients {
		pointers[i] = &clients[i]
	}
	warnings, err := authn.CheckPolicies(c.policies(), pointers, oneFactor)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			doc.Fault(c.policyKey(e.Error()), e.Error(), "")
		}
	} else if err != nil {
		doc.Fault("policies", err.Error(), "")
	}
	return warnings
}

// policyKey finds the policy that a sentence begins with: `policy "staff": ...`.
func (c *Config) policyKey(sentence string) string {
	for i, p := range c.Policies {
		if strings.HasPrefix(sentence, "policy "+strconv.Quote(p.Name)+":") {
			return fmt.Sprintf("policies[%d]", i)
		}
	}
	return "policies"
}
