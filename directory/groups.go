package directory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

const (
	maxGroups    = 10_000 // of one user
	groupsPerAsk = 50     // DNs or SIDs in one filter
	pageSize     = 500    // entries in one answer; servers as installed give 500 (slapd) or 1,000 (Active Directory)
)

// inChain is LDAP_MATCHING_RULE_IN_CHAIN (MS-ADTS section 3.1.1.3.4.4.3).
const inChain = "1.2.840.113556.1.4.1941"

// Found tells how a group came to be a user's: a number above 0 is the levels that a walk by members climbed.
type Found int

// The other ways.
const (
	FoundDirect  Found = -iota // in the user's own attribute
	FoundPrimary               // named by primaryGroupID
	FoundChain                 // by the in-chain rule
	FoundToken                 // in tokenGroups
)

// String tells it in words.
func (f Found) String() string {
	switch f {
	case FoundDirect:
		return "in the user's own entry"
	case FoundPrimary:
		return "primary group"
	case FoundChain:
		return "by the in-chain rule"
	case FoundToken:
		return "in tokenGroups"
	}
	return fmt.Sprintf("by members, level %d", int(f))
}

// groupSet is the groups found so far, by [FoldGroup].
type groupSet map[string]Found

// add takes groups in and gives those that are new.
func (s groupSet) add(groups []string, how Found) (fresh []string, err error) {
	for _, g := range groups {
		key := FoldGroup(g)
		if _, known := s[key]; known || key == "" {
			continue
		}
		s[key] = how
		fresh = append(fresh, g)
	}
	if len(s) > maxGroups {
		return nil, fmt.Errorf("the user is in more than %d groups", maxGroups)
	}
	return fresh, nil
}

// groups gives all groups of a user by group_walk. A walk that fails is an error, never fewer groups. Groups outside of
// group_base_dn are found by the user's own attribute only.
func (l *LDAP) groups(ctx context.Context, user *ldap.Entry) (groupSet, error) {
	seen := groupSet{}
	if l.dialer.GroupWalk == walkTokens {
		return seen, l.tokenGroups(ctx, user, seen)
	}
	primary, err := l.primaryGroup(ctx, user)
	if err != nil {
		return nil, err
	}
	if primary, err = seen.add(primary, FoundPrimary); err != nil {
		return nil, err
	}
	if l.dialer.GroupWalk == walkChain {
		found, err := l.groupsAbove(ctx, append(primary, user.DN), ":"+inChain+":")
		if err != nil {
			return nil, err
		}
		_, err = seen.add(found, FoundChain)
		return seen, err
	}
	direct, err := l.ownGroups(ctx, user)
	if err != nil {
		return nil, err
	}
	if direct, err = seen.add(direct, FoundDirect); err != nil || l.dialer.GroupWalk == walkDirect {
		return seen, err
	}
	return seen, l.climb(ctx, append(append(direct, primary...), user.DN), seen)
}

// climb asks level by level which groups one of the last level's is a member of, until a level brings nothing new. Rings
// end by themselves, because no group is asked about twice. A walk that is not finished after group_depth levels is an
// error: half of the groups could let the wrong people in or past the code.
func (l *LDAP) climb(ctx context.Context, level []string, seen groupSet) error {
	for depth := 1; len(level) > 0; depth++ {
		if depth > l.dialer.GroupDepth+1 {
			return fmt.Errorf("groups are nested deeper than group_depth %d", l.dialer.GroupDepth)
		}
		above, err := l.groupsAbove(ctx, level, "")
		if err != nil {
			return err
		}
		if level, err = seen.add(above, Found(depth)); err != nil {
			return err
		}
	}
	return nil
}

// groupsAbove gives the DNs of the groups of which one of the DNs is a member, by equality or another rule.
func (l *LDAP) groupsAbove(ctx context.Context, members []string, rule string) ([]string, error) {
	terms := make([]string, len(members))
	for i, dn := range members {
		terms[i] = fmt.Sprintf("(%s%s=%s)", l.dialer.MemberAttribute, rule, ldap.EscapeFilter(dn))
	}
	return l.groupsBy(ctx, terms)
}

// groupsBySID gives the DNs of the groups that have these identifiers.
func (l *LDAP) groupsBySID(ctx context.Context, sids []sid) ([]string, error) {
	terms := make([]string, len(sids))
	for i, s := range sids {
		terms[i] = s.filter()
	}
	return l.groupsBy(ctx, terms)
}

// groupsBy gives the DNs of the groups that one of the terms of a filter fits.
func (l *LDAP) groupsBy(ctx context.Context, terms []string) ([]string, error) {
	var found []string
	for len(terms) > 0 {
		n := min(len(terms), groupsPerAsk)
		filter := "(|" + strings.Join(terms[:n], "") + ")"
		if l.dialer.active() {
			filter = "(&(objectCategory=group)" + filter + ")" // spares the in-chain rule every other object
		}
		entries, err := l.searchAll(ctx, &ldap.SearchRequest{
			BaseDN:     l.dialer.GroupBaseDN,
			Scope:      ldap.ScopeWholeSubtree,
			Filter:     filter,
			Attributes: []string{"1.1"}, // none (RFC 4511 section 4.5.1.8): the DN is enough
		})
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			found = append(found, e.DN)
		}
		terms = terms[n:]
	}
	return found, nil
}

// ownGroups reads the user's group attribute. A server that cuts a long list into ranges (Active Directory: 1,500 values)
// names it memberOf;range=0-1499 and is asked for the rest.
func (l *LDAP) ownGroups(ctx context.Context, user *ldap.Entry) ([]string, error) {
	attr := l.dialer.GroupAttribute
	values, next, err := ranged(user, attr)
	for err == nil && next > 0 {
		if len(values) > maxGroups {
			return nil, fmt.Errorf("the user is in more than %d groups", maxGroups)
		}
		var res *ldap.SearchResult
		res, err = l.search(ctx, &ldap.SearchRequest{BaseDN: user.DN, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)",
			Attributes: []string{fmt.Sprintf("%s;range=%d-*", attr, next)}})
		if err != nil {
			break
		}
		if len(res.Entries) != 1 {
			return nil, fmt.Errorf("the server gave only part of %s", attr)
		}
		var more []string
		was := next
		more, next, err = ranged(res.Entries[0], attr)
		if err == nil && (len(more) == 0 || next != 0 && next <= was) {
			return nil, fmt.Errorf("the server gave only part of %s", attr)
		}
		values = append(values, more...)
	}
	return values, err
}

// ranged reads an attribute that may come in ranges (MS-ADTS section 3.1.1.3.1.3.3). next is where the next range begins;
// 0: this was all.
func ranged(e *ldap.Entry, attr string) (values []string, next int, err error) {
	values = e.GetEqualFoldAttributeValues(attr)
	for _, a := range e.Attributes {
		base, option, cut := strings.Cut(a.Name, ";")
		if !cut || !strings.EqualFold(base, attr) {
			continue
		}
		_, last, ok := strings.Cut(option, "-")
		if len(option) < 6 || !strings.EqualFold(option[:6], "range=") || !ok {
			return nil, 0, fmt.Errorf("the server gave only part of %s (%.40q)", attr, a.Name)
		}
		if last != "*" {
			n, err := strconv.Atoi(last)
			if err != nil || n < 0 || n > 1<<30 {
				return nil, 0, fmt.Errorf("the server gave only part of %s (%.40q)", attr, a.Name)
			}
			next = n + 1
		}
		values = append(values, a.Values...)
	}
	return values, next, nil
}

// primaryGroup gives the group that Active Directory names by its number and nowhere lists; none elsewhere, and none when
// it lies outside of group_base_dn.
func (l *LDAP) primaryGroup(ctx context.Context, user *ldap.Entry) ([]string, error) {
	number := value(user, "primaryGroupID")
	if !l.dialer.active() || number == "" {
		return nil, nil
	}
	last, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return nil, errors.New("primaryGroupID of the entry is not a number")
	}
	own, err := parseSID(user.GetEqualFoldRawAttributeValue("objectSid"))
	if err != nil {
		return nil, fmt.Errorf("reading objectSid: %w", err)
	}
	return l.groupsBySID(ctx, []sid{own.sibling(uint32(last))})
}

// tokenGroups reads what Active Directory has worked out itself: every security group, the primary one included. The
// attribute is made for one entry at a time, so it is asked for by itself.
func (l *LDAP) tokenGroups(ctx context.Context, user *ldap.Entry, seen groupSet) error {
	res, err := l.search(ctx, &ldap.SearchRequest{BaseDN: user.DN, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)",
		Attributes: []string{"tokenGroups"}})
	if err != nil {
		return err
	}
	var raw [][]byte
	if len(res.Entries) == 1 {
		raw = res.Entries[0].GetEqualFoldRawAttributeValues("tokenGroups")
	}
	// Everybody has a primary group, so none at all means that the attribute may not be read.
	if len(raw) == 0 {
		return errors.New("the server does not give tokenGroups of the user: put the service account into " +
			"'Windows Authorization Access Group', or set group_walk: in_chain")
	}
	if len(raw) > maxGroups {
		return fmt.Errorf("the user is in more than %d groups", maxGroups)
	}
	sids := make([]sid, len(raw))
	for i, r := range raw {
		if sids[i], err = parseSID(r); err != nil {
			return fmt.Errorf("reading tokenGroups: %w", err)
		}
	}
	found, err := l.groupsBySID(ctx, sids)
	if err != nil {
		return err
	}
	_, err = seen.add(found, FoundToken)
	return err
}
