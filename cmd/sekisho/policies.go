package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sekisho/authn"
	"sekisho/directory"
	"sekisho/internal/conf"
	"sekisho/radius/dictionary"
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
			Name: p.Name, Clients: p.Clients, Directories: p.Directories, Groups: foldGroups(p.Groups), Deny: p.Deny, First: first,
			Joined: withFactor && p.Code != "challenge", CodeFirst: p.CodeFirst,
			Ask:          withFactor && p.Code != "joined",
			ExemptGroups: foldGroups(p.ExemptGroups), ActivateAtLogin: p.ActivateAtLogin, Window: c.window(), Reply: replies(p.Reply),
		}
		for _, name := range p.Users {
			all[i].Users = append(all[i].Users, authn.FoldUserName(name))
		}
		if u := p.Unenrolled; u.given() {
			until, _ := u.until() // checked when it was loaded
			all[i].Unenrolled = &authn.Unenrolled{Until: until, Reply: replies(u.Reply)}
		}
	}
	return all
}

func (u UnenrolledConfig) given() bool { return u.Until != "" || len(u.Reply) > 0 }

// until is the first moment at which nobody is let in any more: the end of a day, or a moment as it stands.
func (u UnenrolledConfig) until() (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, u.Until); err == nil {
		return t, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, u.Until, time.Local)
	if err != nil {
		return day, fmt.Errorf("%q is neither a day nor a moment", u.Until)
	}
	return day.AddDate(0, 0, 1), nil
}

// check reports what cannot be read; whether it makes sense in its policy is authn's to say.
func (u UnenrolledConfig) check(doc *conf.Doc, key string) {
	if !u.given() {
		return
	}
	if u.Until == "" {
		doc.Fault(key+".until", "is missing", "give the last day, at most 90 days ahead, such as 2026-12-31")
	} else if _, err := u.until(); err != nil {
		doc.Fault(key+".until", err.Error(), "give the last day as YYYY-MM-DD, or a moment such as 2026-12-31T18:00:00+09:00")
	}
}

// checkUsers wants canonical names: one in another spelling would silently stand for nobody.
func checkUsers(doc *conf.Doc, key string, users []string) {
	for i, name := range users {
		switch at := fmt.Sprintf("%s[%d]", key, i); {
		case authn.FoldUserName(name) == "":
			doc.Fault(at, "is blank", "name a user, or leave it out")
		case strings.ContainsRune(name, '\\'):
			doc.Fault(at, strconv.Quote(name)+" is how some gateways send a name, not the name itself", "write it as 'sekisho user show' prints it")
		}
	}
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

// checkPolicies reports what is wrong with the policies, together and with the clients.
func (c *Config) checkPolicies(doc *conf.Doc, d *dictionary.Dictionary, now time.Time) (warnings []string) {
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
		checkUsers(doc, key+"users", p.Users)
		p.Unenrolled.check(doc, key+"unenrolled")
		c.checkReply(doc, d, key+"unenrolled.reply", p.Unenrolled.Reply)
		oneOf(doc, key+"code", p.Code, "joined", "challenge", "either")
		c.checkReply(doc, d, key+"reply", p.Reply)
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
	warnings, err := authn.CheckPolicies(c.policies(), pointers, oneFactor, now)
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
