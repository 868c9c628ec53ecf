package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/sync/singleflight"

	"sekisho/authn"
)

// maxFlights bounds the look-ups that are under way or wait for a connection.
const maxFlights = 1024

// LDAP is a directory behind LDAP. Look-ups and binds use connections of their own, so that a slow bind holds up no look-up
// and no search ever runs with a user's rights.
type LDAP struct {
	name     string
	dialer   dialer
	searches *pool
	binds    *pool
	cache    cache
	flights  singleflight.Group
	flying   atomic.Int32
	times    bindTimes
	limit    atomic.Pointer[authn.Lockout] // what FailureLimit tells
	base     context.Context
	stop     context.CancelFunc
}

var _ authn.Directory = (*LDAP)(nil)

// OpenLDAP prepares a directory; name is what [authn.User].Directory will say. Faults of the config are reported as by
// [LDAPConfig.Check]. The server is not waited for: it may be down when Sekisho starts.
func OpenLDAP(name string, c LDAPConfig) (*LDAP, error) {
	s, faults := c.settle()
	if err := faults.err(); err != nil {
		return nil, fmt.Errorf("opening directory %s: %w", name, err)
	}
	l := &LDAP{name: name, dialer: dialer{settled: s}}
	l.searches = newPool(s.SearchConnections, l.dialer.dialService)
	l.binds = newPool(s.BindConnections, l.dialer.dialBind)
	l.base, l.stop = context.WithCancel(context.Background())
	l.limit.Store(&authn.Lockout{Wrong: max(0, c.FailureLimit), Window: c.FailureWindow})
	if c.FailureLimit == 0 {
		l.limit.Store(&authn.Lockout{Wrong: assumedFailureLimit})
		go l.learnFailureLimit()
	}
	return l, nil
}

// Close ends look-ups under way and closes every connection.
func (l *LDAP) Close() {
	l.stop()
	l.searches.close()
	l.binds.close()
}

// lookupTime bounds a look-up with all of its searches.
func (l *LDAP) lookupTime() time.Duration { return l.dialer.ConnectTimeout + 2*l.dialer.Timeout }

// bindTime bounds a bind.
func (l *LDAP) bindTime() time.Duration { return l.dialer.ConnectTimeout + l.dialer.Timeout }

// Peek answers from the cache. The user is shared: nobody may change it.
func (l *LDAP) Peek(name []byte, now time.Time) (*authn.User, bool) {
	key, err := foldName(name)
	if err != nil {
		return nil, false
	}
	e, ok := l.cache.get(key, now)
	return e.user, ok && e.err == nil
}

// Lookup asks the directory who a name is, at most once at a time per name. The user is shared: nobody may change it.
func (l *LDAP) Lookup(ctx context.Context, name []byte) (*authn.User, error) {
	key, err := foldName(name)
	if err != nil {
		return nil, err
	}
	if e, ok := l.cache.get(key, time.Now()); ok {
		return e.user, e.err
	}
	// The look-up belongs to everybody who waits for it, so it does not end with the context of the first.
	answer := l.flights.DoChan(key, func() (any, error) { return l.fly(key) })
	select {
	case r := <-answer:
		u, _ := r.Val.(*authn.User)
		return u, r.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for directory %s: %w", l.name, ctx.Err())
	}
}

// fly is one look-up. It turns a panic into an error, because singleflight would end the program. Its value is not quoted:
// it can hold the name, and people type passwords there.
func (l *LDAP) fly(name string) (u *authn.User, err error) {
	defer func() {
		if p := recover(); p != nil {
			u, err = nil, fmt.Errorf("looking up in directory %s: panic of a %T", l.name, p)
		}
	}()
	defer l.flying.Add(-1)
	if l.flying.Add(1) > maxFlights {
		return nil, fmt.Errorf("directory %s: %d look-ups are under way already", l.name, maxFlights)
	}
	ctx, cancel := context.WithTimeout(l.base, l.lookupTime())
	defer cancel()
	asked := time.Now() // what was found is as old as the question
	u, err = l.find(ctx, name, asked)
	switch {
	case err == nil:
		l.cache.put(name, cached{user: u, until: asked.Add(l.dialer.Cache)}, asked)
	case errors.Is(err, authn.ErrUnknownUser) || errors.Is(err, authn.ErrAmbiguousUser):
		l.cache.put(name, cached{err: err, until: asked.Add(min(absentFor, l.dialer.Cache))}, asked)
	default:
		err = fmt.Errorf("looking up in directory %s: %w", l.name, err)
	}
	return u, err
}

// find searches the user and walks their groups.
func (l *LDAP) find(ctx context.Context, name string, now time.Time) (*authn.User, error) {
	res, err := l.search(ctx, &ldap.SearchRequest{
		BaseDN:     l.dialer.BaseDN,
		Scope:      ldap.ScopeWholeSubtree,
		SizeLimit:  2, // the second one tells that the name is ambiguous
		Filter:     userFilter(l.dialer.UserFilter, name),
		Attributes: l.userAttributes(),
	})
	if err != nil && (!isFull(err) || len(res.Entries) < 2) {
		return nil, err
	}
	switch len(res.Entries) {
	case 0:
		return nil, authn.ErrUnknownUser
	case 1:
	default:
		return nil, authn.ErrAmbiguousUser
	}
	u, direct, err := l.user(res.Entries[0], name, now)
	if err != nil {
		return nil, err
	}
	if u.Groups, err = l.groups(ctx, u.DN, direct); err != nil {
		return nil, fmt.Errorf("walking the groups: %w", err)
	}
	return u, nil
}

// search runs one search as the service account. A connection that the server closed while it was idle is replaced once.
// Alongside an error there may be the entries that came before it.
func (l *LDAP) search(ctx context.Context, req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	req.TimeLimit = int((l.dialer.Timeout + time.Second - 1) / time.Second)
	res, reused, err := l.searchOnce(ctx, req, false)
	if reused && isNetwork(err) && ctx.Err() == nil {
		res, _, err = l.searchOnce(ctx, req, true)
	}
	return res, err
}

func (l *LDAP) searchOnce(ctx context.Context, req *ldap.SearchRequest, fresh bool) (*ldap.SearchResult, bool, error) {
	c, reused, err := l.searches.get(ctx, fresh)
	if err != nil {
		return nil, false, err
	}
	whole := false
	defer func() { l.searches.put(c, whole) }()
	exchange, cancel := context.WithTimeout(ctx, l.dialer.Timeout)
	defer cancel()
	var res *ldap.SearchResult
	err = c.within(exchange, func() (err error) {
		res, err = c.Search(req)
		return err
	})
	whole = err == nil || isFull(err)
	if isNetwork(err) {
		l.dialer.avoid(c)
	}
	if exchange.Err() != nil {
		reused = false // it hung; another try would hang as long
	}
	return res, reused, err
}

// isNetwork tells an exchange that broke from one that ended with a result code of the server.
func isNetwork(err error) bool {
	if err == nil {
		return false
	}
	var result *ldap.Error
	return !errors.As(err, &result) || result.ResultCode >= ldap.ErrorNetwork
}

// isFull tells an answer that ended at the size limit.
func isFull(err error) bool { return ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) }

// Authenticate binds as the user. A password that cannot be one is wrong without a bind: an empty one makes a server answer
// "success" for nobody (RFC 4513 section 5.1.2), and some servers stop reading at NUL. A bind that was sent is never sent
// again (S3).
func (l *LDAP) Authenticate(ctx context.Context, u *authn.User, password authn.Secret) (authn.BindResult, error) {
	if hopeless(password.Reveal()) {
		return authn.BindResult{}, nil
	}
	if u == nil || u.Directory != l.name || u.DN == "" {
		return authn.BindResult{}, fmt.Errorf("directory %s: the user is not one of its own", l.name)
	}
	began := time.Now()
	bound, cancel := context.WithTimeout(ctx, l.bindTime())
	defer cancel()
	result, err := l.bind(bound, u.DN, password)
	now := time.Now()
	took := now.Sub(began)
	switch {
	case err == nil:
		l.times.add(now, took)
	case bound.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		l.times.add(now, max(took, l.bindTime())) // how long it would have hung nobody knows
	}
	if err != nil {
		return authn.BindResult{}, fmt.Errorf("asking directory %s about a password: %w", l.name, err)
	}
	return result, nil
}

// hopeless tells passwords that no directory is asked about.
func hopeless(password []byte) bool {
	return len(bytes.TrimSpace(password)) == 0 || bytes.IndexByte(password, 0) >= 0
}

func (l *LDAP) bind(ctx context.Context, dn string, password authn.Secret) (authn.BindResult, error) {
	c, _, err := l.binds.get(ctx, false)
	if err != nil {
		return authn.BindResult{}, fmt.Errorf("%w: %w", authn.ErrNotSent, err)
	}
	whole := false
	defer func() { l.binds.put(c, whole) }()
	exchange, cancel := context.WithTimeout(ctx, l.dialer.Timeout)
	defer cancel()
	var res *ldap.SimpleBindResult
	err = c.within(exchange, func() (err error) {
		res, err = c.SimpleBind(&ldap.SimpleBindRequest{
			Username: dn,
			Password: string(password.Reveal()),
			Controls: []ldap.Control{ldap.NewControlBeheraPasswordPolicy()},
		})
		return err
	})
	answer, err := bindAnswer(res, err)
	// A wrong password is a whole answer too: the connection is anonymous after it and good for the next bind.
	whole = err == nil
	if isNetwork(err) {
		l.dialer.avoid(c)
	}
	return answer, err
}

// BindTime is the 99th percentile of binds over the last 10 minutes, in steps of 250 ms upward (S20). A bind that hung
// counts as its whole time; before the first bind it is one step.
func (l *LDAP) BindTime() time.Duration { return l.times.p99(time.Now()) }

// FailureLimit is what the config says, else what the directory told, else 5. 0: the directory never locks.
func (l *LDAP) FailureLimit() authn.Lockout { return *l.limit.Load() }
