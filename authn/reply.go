package authn

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// ReplyRule adds reply attributes to the Access-Accepts of some users at some gateways.
type ReplyRule struct {
	Name       string
	Clients    []string            // client or service names; empty: every client
	Groups     []string            // any of them, in the form of User.Groups; empty: everybody
	Attributes map[string][]string // each of these attributes of the user has one of its values, whatever the case of letters
	Set        []Attribute         // values may name ${user} and ${attribute.NAME}
	Required   bool                // who lacks an attribute that Set names is refused, rather than let in without the reply
}

func (r *ReplyRule) fits(c *Client, u *User) bool {
	if len(r.Clients) > 0 && !slices.Contains(r.Clients, c.Name) && !slices.Contains(r.Clients, c.Service) {
		return false
	}
	if len(r.Groups) > 0 && !memberOf(u, r.Groups) {
		return false
	}
	for name, wanted := range r.Attributes {
		if !slices.ContainsFunc(u.Attributes[name], func(has string) bool {
			return slices.ContainsFunc(wanted, func(want string) bool { return strings.EqualFold(has, want) })
		}) {
			return false
		}
	}
	return true
}

// Reply is one attribute of an Access-Accept and what decided it.
type Reply struct {
	Attribute
	Rule string // the rule's name; empty: the policy's own reply
}

// MaxReplyRules is how many rules there may be.
const MaxReplyRules = 256

// Replies works out the reply attributes of a user at a client under a policy, in the order in which they are sent.
//
// The policy's own reply comes first, then the rules in their order. Each attribute name is decided by the first that sets
// it, with all the values that it gives; later ones add none to it. So what a policy says stays, whatever the rules say.
//
// A value that names an attribute which the user lacks sets nothing: a later rule may. Where the rule is Required it is an
// error instead, and so is a directory's value that could not be one of RADIUS. The error is a [ReplyError].
func Replies(rules []*ReplyRule, c *Client, u *User, p *Policy) ([]Reply, error) {
	all, err := addReplies(nil, &ReplyRule{Set: p.Reply}, u)
	for _, r := range rules {
		if err != nil {
			return nil, err
		}
		if r.fits(c, u) {
			all, err = addReplies(all, r, u)
		}
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// addReplies adds what a rule sets and nobody before it has.
func addReplies(all []Reply, r *ReplyRule, u *User) ([]Reply, error) {
	before := all
	for _, a := range r.Set {
		if slices.ContainsFunc(before, func(b Reply) bool { return strings.EqualFold(b.Name, a.Name) }) {
			continue
		}
		values, err := expand(a.Value, u)
		if errors.Is(err, errLacks) && !r.Required {
			continue
		}
		if err != nil {
			return nil, &ReplyError{Rule: r.Name, Name: a.Name, Err: err}
		}
		for _, v := range values {
			all = append(all, Reply{Attribute{a.Name, v}, r.Name})
		}
	}
	return all, nil
}

// ReplyError says which reply attribute cannot be sent.
type ReplyError struct {
	Rule string // empty: the policy's own reply
	Name string // of the attribute; empty: all together
	Err  error
}

// Error names the rule, the attribute and the cause, which can hold a value of the directory.
func (e *ReplyError) Error() string { return e.where() + ": " + e.Err.Error() }

func (e *ReplyError) Unwrap() error { return e.Err }

// where is the part without personal data.
func (e *ReplyError) where() string {
	return strings.TrimSpace(cmp.Or(e.Rule, "policy") + " " + e.Name)
}

// References to the user in a value: ${user} is the canonical name, ${attribute.NAME} what the directory says. $${ stands
// for ${ itself.
const (
	userReference      = "user"
	attributeReference = "attribute."
)

var errLacks = errors.New("the user has no such attribute")

// CheckReplyValue finds what is wrong with the references of a value: an unknown or unfinished one, or two attributes. It
// gives the name of the attribute that the value needs, if any.
func CheckReplyValue(value string) (attribute string, err error) {
	for part, rest := "", value; ; {
		var ok bool
		if _, part, rest, ok, err = cutReference(rest); err != nil || !ok {
			return attribute, err
		}
		name, isAttribute := strings.CutPrefix(part, attributeReference)
		switch {
		case part == userReference:
		case !isAttribute || name == "":
			return "", fmt.Errorf("${%s} is not known; write ${user} or ${attribute.NAME}, and $${ for a plain ${", part)
		case attribute != "":
			return "", errors.New("names two attributes of the user; one is what a value takes")
		default:
			attribute = name
		}
	}
}

// OwnReplyValue reports that a value is different from user to user.
func OwnReplyValue(value string) bool {
	if !strings.Contains(value, "${") {
		return false // the usual case, on the path of every login
	}
	for rest := value; ; {
		_, _, after, ok, err := cutReference(rest)
		if ok || err != nil {
			return ok
		}
		if rest = after; rest == "" {
			return false
		}
	}
}

// cutReference splits a value around its first reference; literal ${ before it are unescaped.
func cutReference(value string) (before, name, after string, ok bool, err error) {
	var b strings.Builder
	for {
		i := strings.Index(value, "${")
		if i < 0 {
			b.WriteString(value)
			return b.String(), "", "", false, nil
		}
		if i > 0 && value[i-1] == '$' {
			b.WriteString(value[:i-1] + "${")
			value = value[i+2:]
			continue
		}
		b.WriteString(value[:i])
		name, after, ok = strings.Cut(value[i+2:], "}")
		if !ok {
			return "", "", "", false, errors.New("${ has no }; write $${ for a plain ${")
		}
		return b.String(), name, after, true, nil
	}
}

// expand fills a value in: one result for each value of the attribute that it names, and one where it names none.
func expand(value string, u *User) ([]string, error) {
	if !strings.Contains(value, "${") {
		return []string{value}, nil
	}
	out := []string{""}
	for rest := value; ; {
		before, name, after, found, err := cutReference(rest)
		if err != nil {
			return nil, err
		}
		own := []string{""}
		switch attribute, isAttribute := strings.CutPrefix(name, attributeReference); {
		case !found:
		case isAttribute:
			own = u.Attributes[attribute]
		case name == userReference:
			own = []string{u.Name}
		}
		if len(own) == 0 || len(own) == 1 && own[0] == "" && found {
			return nil, fmt.Errorf("%s: %w", name, errLacks)
		}
		var longer []string
		for _, start := range out {
			for _, o := range own {
				if !utf8.ValidString(o) || strings.ContainsFunc(o, unicode.IsControl) {
					return nil, fmt.Errorf("%s: the directory's value has control characters or is no UTF-8", name)
				}
				longer = append(longer, start+before+o)
			}
		}
		if out = longer; !found {
			return out, nil
		}
		rest = after
	}
}

// ReplyBook works out and encodes reply attributes for logins. It is complete after one literal and shared by all of them;
// the replies of users that differ in nothing but their name are encoded once.
type ReplyBook struct {
	Rules []*ReplyRule // at most [MaxReplyRules]
	// Encode puts attributes into the form in which they are sent. It is a function of its input alone.
	Encode func([]Attribute) ([]byte, error)

	once sync.Once
	own  [MaxReplyRules]bool // rules whose values differ from user to user
	mu   sync.RWMutex
	kept map[replyKey]*grant
}

// replyKey is what replies without values of the user depend on.
type replyKey struct {
	policy *Policy
	rules  [MaxReplyRules / 64]uint64 // that fit, a bit each
}

// maxGrants bounds what a ReplyBook keeps. Real sites have some dozens.
const maxGrants = 1024

// grant is what an Accept carries.
type grant struct {
	encoded []byte
	rules   string // names of the rules that decided something, bounded, for log and event
}

var noGrant = new(grant)

// grant gives the reply of a user at a client under a policy. The error is a [ReplyError].
func (b *ReplyBook) grant(c *Client, u *User, p *Policy) (*grant, error) {
	if b == nil {
		return noGrant, nil
	}
	b.once.Do(b.prepare)
	key := replyKey{policy: p}
	own := false
	for i, r := range b.Rules {
		if r.fits(c, u) {
			key.rules[i/64] |= 1 << (i % 64)
			own = own || b.own[i]
		}
	}
	own = own || ownValues(p.Reply)
	if !own {
		b.mu.RLock()
		g := b.kept[key]
		b.mu.RUnlock()
		if g != nil {
			return g, nil
		}
	}
	g, err := b.encode(c, u, p)
	if err != nil || own {
		return g, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.kept) >= maxGrants {
		clear(b.kept)
	}
	b.kept[key] = g
	return g, nil
}

// restricted gives the reply of who is let in without a token: neither the policy's own nor any rule's.
func (b *ReplyBook) restricted(u *User, p *Policy) (*grant, error) {
	if b == nil {
		return noGrant, nil
	}
	alone := ReplyBook{Encode: b.Encode}
	return alone.encode(nil, u, &Policy{Reply: p.Unenrolled.Reply})
}

// limited gives the reply that a rule sets, alone. The error says what is missing.
func (b *ReplyBook) limited(u *User, name string) (*grant, *ReplyError) {
	fault := &ReplyError{Rule: name, Err: errors.New("a code for a first login names this rule, and there is none of this name")}
	if b == nil {
		return nil, fault
	}
	for _, r := range b.Rules {
		if r.Name != name {
			continue
		}
		alone := ReplyBook{Encode: b.Encode}
		g, err := alone.encode(nil, u, &Policy{Reply: r.Set})
		if err != nil {
			fault.Err = err
			return nil, fault
		}
		g.rules = name
		return g, nil
	}
	return nil, fault
}

func (b *ReplyBook) prepare() {
	b.kept = map[replyKey]*grant{}
	for i, r := range b.Rules {
		b.own[i] = ownValues(r.Set)
	}
}

func ownValues(list []Attribute) bool {
	return slices.ContainsFunc(list, func(a Attribute) bool { return OwnReplyValue(a.Value) })
}

func (b *ReplyBook) encode(c *Client, u *User, p *Policy) (*grant, error) {
	replies, err := Replies(b.Rules, c, u, p)
	if err != nil {
		return nil, err
	}
	list := make([]Attribute, len(replies))
	for i, r := range replies {
		list[i] = r.Attribute
	}
	encoded, err := b.Encode(list)
	if err != nil {
		for _, r := range replies { // which one is it?
			if _, alone := b.Encode([]Attribute{r.Attribute}); alone != nil {
				return nil, &ReplyError{Rule: r.Rule, Name: r.Name, Err: alone}
			}
		}
		return nil, &ReplyError{Err: err}
	}
	return &grant{encoded: encoded, rules: decidedBy(replies)}, nil
}

// maxDecided bounds the names of rules in a log line and an event, in octets.
const maxDecided = 120

// decidedBy lists the rules that decided something, in their order, each once.
func decidedBy(replies []Reply) string {
	var names []string
	for _, r := range replies {
		if r.Rule != "" && !slices.Contains(names, r.Rule) {
			names = append(names, r.Rule)
		}
	}
	list := ""
	for i, name := range names {
		next := name
		if i > 0 {
			next = list + ", " + name
		}
		if len(next) > maxDecided {
			return strings.TrimPrefix(fmt.Sprintf("%s and %d more", list, len(names)-i), " and ")
		}
		list = next
	}
	return list
}
