package directory

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// assumedFailureLimit stands in while a directory does not tell when it locks a user.
const assumedFailureLimit = 5

// forever is the window of a directory that forgets wrong passwords only after a right one.
const forever = 24 * time.Hour

// learnFailureLimit asks until the directory answers. It is asked once per run of the program: a changed threshold needs
// a restart, or failure_limit.
func (l *LDAP) learnFailureLimit() {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		ctx, cancel := context.WithTimeout(l.base, l.lookupTime())
		lock, err := l.askFailureLimit(ctx)
		cancel()
		if err == nil {
			if lock != nil {
				l.limit.Store(lock)
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

// askFailureLimit reads the threshold from Active Directory's domain object and from the password settings objects that
// the service account may read, else from the password policies below the base: the smallest threshold and the longest
// window count, because which policy is whose may not be readable. Nil where the directory does not tell.
func (l *LDAP) askFailureLimit(ctx context.Context) (*authn.Lockout, error) {
	root, err := l.search(ctx, &ldap.SearchRequest{Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)",
		Attributes: []string{"defaultNamingContext"}})
	if err != nil {
		return nil, err
	}
	domain := ""
	if len(root.Entries) == 1 {
		domain = value(root.Entries[0], "defaultNamingContext")
	}
	if domain == "" {
		res, err := l.search(ctx, &ldap.SearchRequest{BaseDN: l.dialer.BaseDN, Scope: ldap.ScopeWholeSubtree,
			Filter: "(objectClass=pwdPolicy)", Attributes: []string{"pwdMaxFailure", "pwdLockout", "pwdFailureCountInterval"}})
		if err != nil {
			return nil, err
		}
		return strictest(res.Entries, ppolicyLockout), nil
	}
	policies, err := l.search(ctx, &ldap.SearchRequest{BaseDN: domain, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)",
		Attributes: []string{"lockoutThreshold", "lockOutObservationWindow"}})
	if err != nil {
		return nil, err
	}
	// Only administrators may read these as Active Directory comes; then the container does not seem to exist.
	fine, err := l.search(ctx, &ldap.SearchRequest{BaseDN: "CN=Password Settings Container,CN=System," + domain,
		Scope: ldap.ScopeSingleLevel, Filter: "(objectClass=msDS-PasswordSettings)",
		Attributes: []string{"msDS-LockoutThreshold", "msDS-LockoutObservationWindow"}})
	if err != nil && isNetwork(err) {
		return nil, err
	}
	entries := policies.Entries
	if err == nil {
		entries = append(entries, fine.Entries...)
	}
	return strictest(entries, adLockout), nil
}

// strictest brings the policies of a directory together; nil where none tells.
func strictest(entries []*ldap.Entry, read func(*ldap.Entry) (authn.Lockout, error)) *authn.Lockout {
	var all *authn.Lockout
	for _, e := range entries {
		lock, err := read(e)
		if err != nil {
			continue
		}
		if all == nil {
			all = &authn.Lockout{}
		}
		if lock.Wrong > 0 {
			if all.Wrong == 0 || lock.Wrong < all.Wrong {
				all.Wrong = lock.Wrong
			}
			all.Window = max(all.Window, lock.Window)
		}
	}
	return all
}

// ppolicyLockout reads draft-behera-ldap-password-policy-10 section 5.2. No lock without pwdLockout; pwdFailureCountInterval
// in seconds, 0: until a right password.
func ppolicyLockout(e *ldap.Entry) (authn.Lockout, error) {
	wrong, err := strconv.Atoi(value(e, "pwdMaxFailure"))
	if err != nil {
		return authn.Lockout{}, fmt.Errorf("pwdMaxFailure of %s is not a number", e.DN)
	}
	if strings.EqualFold(value(e, "pwdLockout"), "false") {
		return authn.Lockout{}, nil
	}
	lock := authn.Lockout{Wrong: max(0, wrong), Window: forever}
	if seconds, err := strconv.Atoi(value(e, "pwdFailureCountInterval")); err == nil && seconds > 0 {
		lock.Window = min(forever, time.Duration(seconds)*time.Second)
	}
	return lock, nil
}

// adLockout reads a domain object or a password settings object. The window is in negative steps of 100 ns.
func adLockout(e *ldap.Entry) (authn.Lockout, error) {
	wrong, err := strconv.Atoi(orDefault(value(e, "lockoutThreshold"), value(e, "msDS-LockoutThreshold")))
	if err != nil {
		return authn.Lockout{}, fmt.Errorf("the lockout threshold of %s is not a number", e.DN)
	}
	lock := authn.Lockout{Wrong: max(0, wrong)}
	ticks, err := strconv.ParseInt(orDefault(value(e, "lockOutObservationWindow"), value(e, "msDS-LockoutObservationWindow")), 10, 64)
	if err == nil && ticks < 0 {
		lock.Window = forever
		if ticks > -int64(forever/100) {
			lock.Window = time.Duration(-ticks) * 100
		}
	}
	return lock, nil
}
