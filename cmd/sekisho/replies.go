package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sekisho/authn"
	"sekisho/internal/conf"
	"sekisho/radius"
	"sekisho/radius/dictionary"
)

// ReplyConfig adds attributes to the Access-Accepts of some users at some gateways. Every rule that fits contributes; each
// attribute is decided by the policy's own reply, else by the first rule that sets it.
type ReplyConfig struct {
	// Name is shown by the logins that the rule decided something for; unique. Required.
	Name string `yaml:"name"`
	// Clients are names of clients or services. Default: every one.
	Clients []string `yaml:"clients"`
	// Groups are DNs of groups, or names with a file directory; members of any of them fit. Default: everybody.
	Groups []string `yaml:"groups"`
	// Attributes of the user, by the names in the directory's attributes, with the values of which each has to have one,
	// whatever the case of letters. Default: everybody.
	Attributes map[string][]string `yaml:"attributes"`
	// Set are the reply attributes by their dictionary names. ${user} in a value stands for the canonical name,
	// ${attribute.NAME} for what the directory says, one attribute for each of its values. Required.
	Set map[string][]string `yaml:"set"`
	// Required refuses who lacks an attribute of the directory that Set names. Default: the rule does not set it for them,
	// and a later one may.
	Required bool `yaml:"required"`
}

// mappedAttributes are the user's attributes that a directory gives unless told otherwise.
var mappedAttributes = []string{"name", "reading", "mail", "phone", "language", "department"}

// userAttributes are the names that rules can use.
func (c *Config) userAttributes() []string {
	known := slices.Clone(mappedAttributes)
	for _, d := range c.directories() {
		known = slices.AppendSeq(known, maps.Keys(d.LDAP.Attributes))
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// sentence says what a rule does.
func (r ReplyConfig) sentence() string {
	who, where := "everybody", "every client"
	if len(r.Groups) > 0 {
		who = fmt.Sprintf("members of %v", r.Groups)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Attributes)) {
		who += fmt.Sprintf(" with %s of %v", name, r.Attributes[name])
	}
	if len(r.Clients) > 0 {
		where = fmt.Sprint(r.Clients)
	}
	s := fmt.Sprintf("%s at %s: %s", who, where, strings.Join(slices.Sorted(maps.Keys(r.Set)), ", "))
	if r.Required {
		s += "; refused without"
	}
	return s
}

// replyBook gives the reply rules as logins see them.
func (c *Config) replyBook(d *dictionary.Dictionary) *authn.ReplyBook {
	book := &authn.ReplyBook{Encode: func(list []authn.Attribute) ([]byte, error) { return radius.CompileReply(d, list) }}
	for _, r := range c.Replies {
		book.Rules = append(book.Rules, &authn.ReplyRule{
			Name: r.Name, Clients: r.Clients, Groups: foldGroups(r.Groups), Attributes: r.Attributes, Set: replies(r.Set), Required: r.Required,
		})
	}
	return book
}

// replies lists attributes in the order of their names, values of one name in the order of the file.
func replies(reply map[string][]string) []authn.Attribute {
	var all []authn.Attribute
	for _, name := range slices.Sorted(maps.Keys(reply)) {
		for _, value := range reply[name] {
			all = append(all, authn.Attribute{Name: name, Value: value})
		}
	}
	return all
}

// checkReplies reports what is wrong with the rules.
func (c *Config) checkReplies(doc *conf.Doc, d *dictionary.Dictionary) (warnings []string) {
	if len(c.Replies) > authn.MaxReplyRules {
		doc.Fault("replies", fmt.Sprintf("there are %d rules", len(c.Replies)), fmt.Sprintf("give %d at most", authn.MaxReplyRules))
	}
	clients := c.Radius.List()
	names := map[string]bool{}
	for i, r := range c.Replies {
		key := fmt.Sprintf("replies[%d]", i)
		switch {
		case strings.TrimSpace(r.Name) == "":
			doc.Fault(key+".name", "is missing", "name the rule; logins that it decided something for show the name")
		case names[r.Name]:
			doc.Fault(key+".name", strconv.Quote(r.Name)+" is also the name of another rule", "give each rule a name of its own")
		}
		names[r.Name] = true
		for j, name := range r.Clients {
			if !slices.ContainsFunc(clients, func(k radius.ClientInfo) bool { return k.Login.Name == name || k.Login.Service == name }) {
				doc.Fault(fmt.Sprintf("%s.clients[%d]", key, j), "there is no client or service "+strconv.Quote(name), "name one of radius.clients")
			}
		}
		c.checkGroups(doc, key+".groups", r.Groups)
		for _, name := range slices.Sorted(maps.Keys(r.Attributes)) {
			c.checkUserAttribute(doc, key+".attributes."+name, name)
			if len(r.Attributes[name]) == 0 {
				doc.Fault(key+".attributes."+name, "has no value, so nobody fits", "list the values that fit")
			}
		}
		if len(r.Set) == 0 {
			doc.Fault(key+".set", "is missing", "give attributes by their dictionary names, such as Class: staff")
		}
		c.checkReply(doc, d, key+".set", r.Set)
		warnings = append(warnings, leftOut(r, key, clients, d)...)
	}
	return append(warnings, c.bannerTwice()...)
}

// checkReply reports each fault of a set of reply attributes at its key.
func (c *Config) checkReply(doc *conf.Doc, d *dictionary.Dictionary, key string, set map[string][]string) {
	before := len(doc.Faults())
	var literals []authn.Attribute
	spelled := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		at := key + "." + name
		known, err := radius.ReplyName(d, name)
		switch {
		case errors.Is(err, radius.ErrUnknownAttribute):
			doc.Fault(at, err.Error(), attributeAdvice(d, name))
			continue
		case err != nil:
			doc.Fault(at, err.Error(), "")
			continue
		case spelled[known] != "":
			doc.Fault(at, "is set twice, also as "+spelled[known], "put all values under one name")
		case len(set[name]) == 0:
			doc.Fault(at, "has no value", "give one, or leave the attribute out")
		}
		spelled[known] = name
		for i, value := range set[name] {
			at := at
			if len(set[name]) > 1 {
				at += fmt.Sprintf("[%d]", i)
			}
			attribute, err := authn.CheckReplyValue(value)
			switch {
			case err != nil:
				doc.Fault(at, err.Error(), "")
			case attribute != "":
				c.checkUserAttribute(doc, at, attribute)
			case !authn.OwnReplyValue(value):
				one := authn.Attribute{Name: name, Value: strings.ReplaceAll(value, "$${", "${")}
				if _, err := radius.CompileReply(d, []authn.Attribute{one}); err != nil {
					doc.Fault(at, strings.TrimPrefix(err.Error(), name+": "), "")
				}
				literals = append(literals, one)
			}
		}
	}
	if len(doc.Faults()) == before { // what is wrong with all of them together
		if _, err := radius.CompileReply(d, literals); err != nil {
			doc.Fault(key, err.Error(), "")
		}
	}
}

func attributeAdvice(d *dictionary.Dictionary, name string) string {
	base, _, _ := strings.Cut(name, ":")
	var known []string
	for _, a := range d.All() {
		known = append(known, a.Name)
	}
	advice := "'sekisho attributes' lists all there are"
	if near := conf.Nearest(base, append(known, radius.Banner)); near != "" {
		advice = fmt.Sprintf("did you mean %q? %s", near, advice)
	}
	return advice
}

// checkUserAttribute wants a name that some directory gives; another would silently never fit.
func (c *Config) checkUserAttribute(doc *conf.Doc, key, name string) {
	if known := c.userAttributes(); !slices.Contains(known, name) {
		doc.Fault(key, fmt.Sprintf("no directory gives an attribute %q", name), "name it in the directory's attributes, or use "+strings.Join(known, ", "))
	}
}

// leftOut warns of clients for which a rule names attributes that such a gateway does not take.
func leftOut(r ReplyConfig, key string, clients []radius.ClientInfo, d *dictionary.Dictionary) (warnings []string) {
	for _, k := range clients {
		if !slices.Contains(r.Clients, k.Login.Name) && !slices.Contains(r.Clients, k.Login.Service) {
			continue
		}
		var out []string
		for _, a := range replies(r.Set) {
			if k.LeavesOut(d, a) && !slices.Contains(out, a.Name) {
				out = append(out, a.Name)
			}
		}
		if len(out) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s: client %q is of profile %s, which does not take %s; it is left out there",
				key, k.Login.Name, k.Profile, strings.Join(out, ", ")))
		}
	}
	return warnings
}

// bannerTwice warns where a banner could be put together from two rules.
func (c *Config) bannerTwice() []string {
	whole, part := false, false
	look := func(set map[string][]string) {
		for name := range set {
			whole = whole || strings.EqualFold(name, radius.Banner)
			part = part || strings.EqualFold(name, radius.Banner+"1") || strings.EqualFold(name, radius.Banner+"2")
		}
	}
	for _, r := range c.Replies {
		look(r.Set)
	}
	for _, p := range c.Policies {
		look(p.Reply)
	}
	if whole && part {
		return []string{"replies: both " + radius.Banner + " and its parts " + radius.Banner + "1 and " + radius.Banner + "2 are set; who gets both sees one text behind the other"}
	}
	return nil
}
