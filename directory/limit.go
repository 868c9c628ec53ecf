package directory

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// assumedFailureLimit stands in while a directory does not tell when it locks a user.
const assumedFailureLimit = 5

// learnFailureLimit asks until the directory answers. It is asked once per run of the program: a changed threshold needs
// a restart, or failure_limit.
func (l *LDAP) learnFailureLimit() {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		ctx, cancel := context.WithTimeout(l.base, l.lookupTime())
		limit, known, err := l.askFailureLimit(ctx)
		cancel()
		if err == nil {
			if known {
				l.limit.Store(int64(limit))
			}
			return
		}
		select {
		case <-l.base.Done():
			return
		case <-time.After(wait):
		}
	}
}

// askFailureLimit reads the threshold from Active Directory's domain object, else from the password policies below the
// base: the smallest one counts, because which policy is whose may not be readable.
func (l *LDAP) askFailureLimit(ctx context.Context) (limit int, known bool, err error) {
	root, err := l.search(ctx, &ldap.SearchRequest{Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)",
		Attributes: []string{"defaultNamingContext"}})
	if err != nil {
		return 0, false, err
	}
	if len(root.Entries) == 1 {
		if domain := value(root.Entries[0], "defaultNamingContext"); domain != "" {
			return l.smallest(ctx, domain, ldap.ScopeBaseObject, "(objectClass=*)", "lockoutThreshold")
		}
	}
	return l.smallest(ctx, l.dialer.BaseDN, ldap.ScopeWholeSubtree, "(objectClass=pwdPolicy)", "pwdMaxFailure")
}

// smallest is the smallest positive value of an attribute. Where entries with other values were found there is no lock: 0.
func (l *LDAP) smallest(ctx context.Context, base string, scope int, filter, attr string) (limit int, known bool, err error) {
	res, err := l.search(ctx, &ldap.SearchRequest{BaseDN: base, Scope: scope, Filter: filter,
		Attributes: []string{attr, "pwdLockout"}})
	if err != nil {
		return 0, false, err
	}
	for _, e := range res.Entries {
		n, err := strconv.Atoi(value(e, attr))
		if err != nil {
			continue
		}
		known = true
		locks := !strings.EqualFold(value(e, "pwdLockout"), "false")
		if n > 0 && locks && (limit == 0 || n < limit) {
			limit = n
		}
	}
	return limit, known, nil
}
