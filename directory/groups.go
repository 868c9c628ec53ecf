package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

const (
	maxGroups    = 5000 // of one user
	groupsPerAsk = 50   // DNs in one filter
)

// groups gives all groups of a user. With nested groups it asks level by level which groups the user or a group of theirs
// is a member of, until a level brings nothing new; rings end by themselves, because no group is asked about twice. A walk
// that fails or is not finished after GroupDepth levels is an error, never fewer groups.
func (l *LDAP) groups(ctx context.Context, userDN string, direct []string) ([]string, error) {
	seen := make(map[string]bool)
	level := []string{userDN}
	for _, g := range direct {
		if key := FoldGroup(g); !seen[key] {
			seen[key] = true
			level = append(level, g)
		}
	}
	for depth := 0; l.dialer.NestedGroups && len(level) > 0; depth++ {
		if depth > l.dialer.GroupDepth {
			return nil, fmt.Errorf("groups are nested deeper than group_depth %d", l.dialer.GroupDepth)
		}
		above, err := l.groupsAbove(ctx, level)
		if err != nil {
			return nil, err
		}
		level = level[:0:0]
		for _, g := range above {
			if key := FoldGroup(g); !seen[key] {
				seen[key] = true
				level = append(level, g)
			}
		}
		if len(seen) > maxGroups {
			return nil, fmt.Errorf("the user is in more than %d groups", maxGroups)
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// groupsAbove gives the DNs of the groups of which one of the DNs is a direct member.
func (l *LDAP) groupsAbove(ctx context.Context, members []string) ([]string, error) {
	var found []string
	for some := range slices.Chunk(members, groupsPerAsk) {
		var filter strings.Builder
		filter.WriteString("(|")
		for _, dn := range some {
			fmt.Fprintf(&filter, "(%s=%s)", l.dialer.MemberAttribute, ldap.EscapeFilter(dn))
		}
		filter.WriteString(")")
		res, err := l.search(ctx, &ldap.SearchRequest{
			BaseDN:     l.dialer.GroupBaseDN,
			Scope:      ldap.ScopeWholeSubtree,
			Filter:     filter.String(),
			Attributes: []string{"1.1"}, // none (RFC 4511 section 4.5.1.8): the DN is enough
		})
		if err != nil {
			return nil, err
		}
		for _, e := range res.Entries {
			found = append(found, e.DN)
		}
	}
	return found, nil
}
