package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
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
	l.base, l.stop = context.WithCancel(context.Background())
	l.dialer.breaker = breaker{servers: make([]breakerServer, len(s.servers)), probe: l.dialer.probeServer, base: l.base}
	l.searches = newPool(s.SearchConnections, l.dialer.dialService)
	l.binds = newPool(s.BindConnections, l.dialer.dialBind)
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
	e, err := l.entry(ctx, name)
	if err != nil {
		return nil, err
	}
	u, err := l.user(e, name, now)
	if err != nil {
		return nil, err
	}
	groups, err := l.groups(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("walking the groups: %w", err)
	}
	u.Groups = slices.Sorted(maps.Keys(groups))
	return u, nil
}

// entry searches the one entry of a name. References to other servers (RFC 4511 section 4.5.3), which Active Directory adds
// to every search from the top of a domain, are passed over: what lies there is not below base_dn for Sekisho.
func (l *LDAP) entry(ctx context.Context, name string) (*ldap.Entry, error) {
	res, err := l.search(ctx, &ldap.SearchRequest{
		BaseDN:     l.dialer.BaseDN,
		Scope:      ldap.ScopeWholeSubtree,
		SizeLimit:  2, // the second one tells that the name is ambiguous
		Filter:     userFilter(l.dialer.UserFilter, name),
		Attributes: l.dialer.asked,
	})
	if err != nil && (!isFull(err) || len(res.Entries) < 2) {
		return nil, err
	}
	switch len(res.Entries) {
	case 0:
		return nil, authn.ErrUnknownUser
	case 1:
		return res.Entries[0], nil
	}
	return nil, authn.ErrAmbiguousUser
}

// search runs one search as the service account. A connection that the server closed while it was idle is replaced once.
// Alongside an error there may be the entries that came before it.
func (l *LDAP) search(ctx context.Context, req *ldap.SearchRequest) (res *ldap.SearchResult, err error) {
	err = l.asService(ctx, func(c *conn) (err error) {
		res, err = l.ask(ctx, c, req)
		return err
	})
	return res, err
}

// searchAll runs one search with any number of answers, page by page (RFC 2696): servers cut an answer at 500 or 1,000
// entries. One that does not know pages gives all at once.
func (l *LDAP) searchAll(ctx context.Context, req *ldap.SearchRequest) (all []*ldap.Entry, err error) {
	err = l.asService(ctx, func(c *conn) error {
		all = nil
		paging := ldap.NewControlPaging(pageSize)
		req.Controls = []ldap.Control{paging}
		for {
			res, err := l.ask(ctx, c, req)
			if err != nil {
				return err
			}
			all = append(all, res.Entries...)
			next, _ := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
			if next == nil || len(next.Cookie) == 0 || len(all) > maxGroups {
				return nil
			}
			paging.SetCookie(next.Cookie)
		}
	})
	if isFull(err) {
		return nil, fmt.Errorf("%w: raise the limit for the service account (OpenLDAP: size.prtotal)", err)
	}
	if len(all) > maxGroups {
		return nil, fmt.Errorf("the directory has more than %d answers", maxGroups)
	}
	return all, err
}

// ask is one exchange of a search.
func (l *LDAP) ask(ctx context.Context, c *conn, req *ldap.SearchRequest) (res *ldap.SearchResult, err error) {
	req.TimeLimit = int((l.dialer.Timeout + time.Second - 1) / time.Second)
	ctx, cancel := context.WithTimeout(ctx, l.dialer.Timeout)
	defer cancel()
	err = c.within(ctx, func() (err error) {
		res, err = c.Search(req)
		return err
	})
	return res, err
}

// asService does something on a connection of the service account, twice where the first one had died in the pool.
func (l *LDAP) asService(ctx context.Context, do func(*conn) error) error {
	again, err := l.asServiceOnce(ctx, do, false)
	if again && ctx.Err() == nil {
		_, err = l.asServiceOnce(ctx, do, true)
	}
	return err
}

func (l *LDAP) asServiceOnce(ctx context.Context, do func(*conn) error, fresh bool) (again bool, err error) {
	c, reused, err := l.searches.get(ctx, fresh)
	if err != nil {
		return false, err
	}
	whole := false
	defer func() { l.searches.put(c, whole) }()
	err = do(c)
	whole = err == nil || isFull(err)
	return l.judge(ctx, c, reused, err), err
}

// judge tells the breaker how an exchange went. It reports a connection that had died in the pool, which says nothing
// about the server; one that hung does, and another try would hang as long.
func (l *LDAP) judge(ctx context.Context, c *conn, reused bool, err error) (died bool) {
	switch {
	case !isOutage(err):
		l.dialer.breaker.answered(c.server)
	case reused && !c.cut && isNetwork(err):
		return true
	case ctx.Err() == nil:
		l.dialer.breaker.failed(c.server, err)
	}
	return false
}

// isNetwork tells an exchange that broke from one that ended with a result code of the server.
func isNetwork(err error) bool {
	if err == nil {
		return false
	}
	var result *ldap.Error
	return !errors.As(err, &result) || result.ResultCode >= ldap.ErrorNetwork
}

// isOutage tells a server that should be left for another one.
func isOutage(err error) bool {
	return isNetwork(err) && !errors.Is(err, errAnswerTooLong) || ldap.IsErrorAnyOf(err, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable)
}

// referral names, for an error, the servers to which an answer refers (RFC 4511 section 4.1.10). They are not followed: a
// referral names a server that nobody configured, and the service account's password would go there.
func referral(err error) string {
	var result *ldap.Error
	if !errors.As(err, &result) || result.ResultCode != ldap.LDAPResultReferral || result.Packet == nil || len(result.Packet.Children) < 2 {
		return ""
	}
	var to []string
	for _, field := range result.Packet.Children[1].Children {
		if field.ClassType != ber.ClassContext || field.Tag != 3 {
			continue
		}
		for _, uri := range field.Children {
			to = append(to, fmt.Sprintf("%.200q", uri.Data.String()))
		}
	}
	return " to " + strings.Join(to, ", ") + "; referrals are not followed: name that server in urls, or another base_dn"
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
	c, reused, err := l.binds.get(ctx, false)
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
	l.judge(ctx, c, reused, err)
	return answer, err
}

// BindTime is the 99th percentile of binds over the last 10 minutes, in steps of 250 ms upward (S20). A bind that hung
// counts as its whole time; before the first bind it is one step.
func (l *LDAP) BindTime() time.Duration { return l.times.p99(time.Now()) }

// FailureLimit is what the config says, else what the directory told, else 5. 0: the directory never locks.
func (l *LDAP) FailureLimit() authn.Lockout { return *l.limit.Load() }
