package authn

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// For finds the policy of a user at a client: the first of the list that names both. nil when there is none.
func For(policies []*Policy, c *Client, u *User) *Policy {
	for _, p := range policies {
		if p.atClient(c) && p.forUser(u) {
			return p
		}
	}
	return nil
}

func (p *Policy) atClient(c *Client) bool {
	return len(p.Clients) == 0 || slices.Contains(p.Clients, c.Name) || slices.Contains(p.Clients, c.Service)
}

func (p *Policy) forUser(u *User) bool {
	switch {
	case len(p.Directories) > 0 && !slices.Contains(p.Directories, u.Directory):
		return false
	case len(p.Groups) == 0 && len(p.Users) == 0:
		return true
	case memberOf(u, p.Groups):
		return true
	}
	return len(p.Users) > 0 && namesUser(p.Users, u.Name)
}

// namesUser is whether FoldUserName of a name is among them.
func namesUser(folded []string, name string) bool {
	if !isASCII(name) {
		return slices.Contains(folded, FoldUserName(name))
	}
	name = strings.TrimSpace(name) // the same without memory: what is folded has small letters alone
	return slices.ContainsFunc(folded, func(f string) bool {
		if len(f) != len(name) {
			return false
		}
		for i := range len(f) {
			c := name[i]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			if f[i] != c {
				return false
			}
		}
		return true
	})
}

// FoldUserName gives the form in which [Policy].Users names people: the canonical name without blanks around it, in NFKC
// and without regard to case, as directories compare names. A name stands for the people of that name in each of
// [Policy].Directories.
func FoldUserName(name string) string { return string(spelling([]byte(name))) }

// allows reports whether the policy lets people in now who never held a token. The end is compared with now at each login
// too: a clock that was set back must not make the time longer than it may be.
func (u *Unenrolled) allows(now time.Time) bool {
	return u != nil && now.Before(u.Until) && !u.Until.After(now.Add(UnenrolledMost))
}

// check gives what is wrong with it and what an operator should read.
func (u *Unenrolled) check(p *Policy, now time.Time) (faults, warnings []string) {
	if p.First != Password && p.First != Gateway {
		faults = append(faults, "unenrolled needs first_factor password or gateway: without a code nothing else would be proven")
	}
	if len(u.Reply) == 0 {
		faults = append(faults, "unenrolled has no reply; give attributes that restrict such a login, or the gateway's default would hold for it")
	}
	until := u.Until.Format(time.RFC3339)
	switch {
	case u.Until.After(now.Add(UnenrolledMost)):
		faults = append(faults, fmt.Sprintf("unenrolled.until is more than 90 days ahead; choose %s or sooner", now.Add(UnenrolledMost).Format(time.DateOnly)))
	case !now.Before(u.Until):
		warnings = append(warnings, fmt.Sprintf("unenrolled ended at %s, so nobody is let in without a token any more; take it out", until))
	default:
		warnings = append(warnings, fmt.Sprintf("until %s people without a token are let in with the first factor alone", until))
	}
	return faults, warnings
}

// Exempts reports positive membership in a group that needs no code.
func (p *Policy) Exempts(u *User) bool { return memberOf(u, p.ExemptGroups) }

// memberOf compares octet by octet: both sides are in the form that the directory folds groups to. A DN is never taken by
// one of its values, because who may make groups somewhere in the tree could give one any name.
func memberOf(u *User, groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(u.Groups, g) })
}

// CheckPolicies says what is wrong with a list of policies, all faults at once; warnings are sentences that an operator
// should read but that stop nothing. oneFactor tells for which policies the config accepts a lone code in words.
func CheckPolicies(policies []*Policy, clients []*Client, oneFactor map[string]bool, now time.Time) (warnings []string, err error) {
	var faults []error
	bad := func(p *Policy, format string, a ...any) {
		faults = append(faults, fmt.Errorf("policy %q: "+format, append([]any{p.Name}, a...)...))
	}
	seen := make(map[string]bool)
	for _, p := range policies {
		if p.Name == "" {
			bad(p, "it has no name")
		}
		if seen[p.Name] {
			bad(p, "the name stands twice")
		}
		seen[p.Name] = true
		for _, c := range p.Clients {
			if !slices.ContainsFunc(clients, func(k *Client) bool { return k.Name == c || k.Service == c }) {
				bad(p, "there is no client or service %q", c)
			}
		}
		if p.Deny {
			if p.Unenrolled != nil {
				bad(p, "it denies, so unenrolled lets nobody in; take one of them out")
			}
			continue
		}
		if p.Unenrolled != nil {
			wrong, worth := p.Unenrolled.check(p, now)
			for _, w := range wrong {
				bad(p, "%s", w)
			}
			for _, w := range worth {
				warnings = append(warnings, fmt.Sprintf("policy %q: %s", p.Name, w))
			}
		}
		if !p.Joined && !p.Ask {
			switch p.First {
			case PIN, Password:
				bad(p, "it says neither that the code comes in one field nor that it is asked for; set code: joined, challenge or either")
			}
		}
		if p.Ask && p.First != Password {
			bad(p, "only a password can be followed by a challenge; set code: joined")
		}
		if p.First == PIN && len(p.ExemptGroups) > 0 || p.First == NoFactor && len(p.ExemptGroups) > 0 {
			bad(p, "exempt_groups need first_factor password or gateway: without a code nothing else would be proven")
		}
		if p.First == NoFactor && !oneFactor[p.Name] {
			bad(p, "a code alone is one factor; say accept_one_factor: with your reason, or first_factor: gateway on the client")
		}
		for _, c := range clients {
			if !p.atClient(c) {
				continue
			}
			if p.First == Gateway && !c.GatewayProves {
				bad(p, "client %q does not say first_factor: gateway; without it a code alone would let people in", c.Name)
			}
			if p.Ask && !p.Joined && !c.CanChallenge {
				bad(p, "client %q cannot show a challenge; set code: joined for it", c.Name)
			}
			if p.Ask && p.First == Password && c.CanChallenge && !c.Blind {
				warnings = append(warnings, fmt.Sprintf("policy %q at client %q: the challenge confirms that the password was right; challenge: blind hides it", p.Name, c.Name))
			}
			if c.CanChallenge && c.Blind && p.First == Password && p.Joined && !p.Ask {
				warnings = append(warnings, fmt.Sprintf("policy %q at client %q: the client's dialogues are blind, but this policy takes both in one field, so refusals differ", p.Name, c.Name))
			}
		}
	}
	return warnings, errors.Join(faults...)
}
