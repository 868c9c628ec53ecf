package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// LDAP is a directory behind LDAP. Look-ups and binds use connections of their own, so that a slow bind holds up no look-up
// and no search ever runs with a user's rights.
type LDAP struct {
	name    string
	dialer  dialer
	lines   lines  // for searches
	asking  *queue // for a place among the searches
	binds   pool
	binding *queue // for a connection to bind on
	cache   cache
	flights flights
	times   bindTimes
	limit   atomic.Pointer[authn.Lockout] // what FailureLimit tells
	base    context.Context
	stop    context.CancelFunc
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
	l.lines = lines{dial: l.dialer.dialService, size: s.SearchConnections, start: func(c *conn) *line {
		return newLine(c, s.MaxAnswer, s.Timeout)
	}}
	l.asking = newQueue(s.SearchConnections, lineDepth*s.SearchConnections)
	l.binds = pool{dial: l.dialer.dial}
	l.binding = newQueue(s.BindConnections, s.BindConnections)
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
	l.lines.close()
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
	now := time.Now()
	if e, ok := l.cache.get(key, now); ok {
		return e.user, e.err
	}
	f, mine := l.flights.join(key)
	if f == nil {
		l.asking.refused.Add(1)
		return nil, fmt.Errorf("directory %s: %w: %d look-ups are under way already", l.name, errBusy, maxFlights)
	}
	if mine {
		l.lead(ctx, f, key, now)
	}
	select {
	case <-f.done:
		return f.user, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for directory %s: %w", l.name, ctx.Err())
	}
}

// lead begins a look-up. It belongs to everybody who waits for it, so it does not end with the context of the first; as
// long as that one waits anyhow, it is the one who works on it.
func (l *LDAP) lead(ctx context.Context, f *flight, name string, asked time.Time) {
	// A search is of no use to somebody who then finds no place for the bind; it would only make the binds slower.
	if wait := l.binding.busyFor(); wait > l.dialer.Timeout/2 {
		l.binding.refused.Add(1)
		l.land(f, name, asked, nil, fmt.Errorf("%w: a bind would have to wait for %v", errBusy, wait.Round(time.Millisecond)))
		return
	}
	first, sent := l.askAtOnce(name, asked)
	if !sent {
		go l.fly(f, name, asked, nil)
		return
	}
	if l.dialer.GroupWalk != walkDirect || l.dialer.active() || !first.wait(ctx) || first.q.err != nil {
		go l.fly(f, name, asked, &first)
		return
	}
	l.work(l.base, f, name, asked, &first)
}

// askAtOnce sends the search for a user if that can be done without waiting and connecting.
func (l *LDAP) askAtOnce(name string, now time.Time) (p pending, sent bool) {
	if !l.asking.tryEnter() {
		return p, false
	}
	if line := l.lines.open(now); line != nil {
		q := l.userQuery(name)
		p, err := line.send(now.Add(l.dialer.Timeout), &q)
		if err == nil {
			return p, true
		}
	}
	l.asking.leave(true)
	return p, false
}

// fly is a look-up on a goroutine of its own.
func (l *LDAP) fly(f *flight, name string, asked time.Time, first *pending) {
	ctx, cancel := context.WithDeadline(l.base, asked.Add(l.lookupTime()))
	defer cancel()
	l.work(ctx, f, name, asked, first)
}

// work is one look-up, whose first question may be under way already. It turns a panic into an error, because that would
// end the program. Its value is not quoted: it can hold the name, and people type passwords there.
func (l *LDAP) work(ctx context.Context, f *flight, name string, asked time.Time, first *pending) {
	var u *authn.User
	var err error
	defer func() {
		if p := recover(); p != nil {
			u, err = nil, fmt.Errorf("panic of a %T", p)
		}
		l.land(f, name, asked, u, err)
	}()
	u, err = l.find(ctx, name, asked, first)
}

// land ends a look-up. What was found is as old as the question.
func (l *LDAP) land(f *flight, name string, asked time.Time, u *authn.User, err error) {
	switch {
	case err == nil:
		l.cache.put(name, cached{user: u, until: asked.Add(l.dialer.Cache)}, asked)
	case errors.Is(err, authn.ErrUnknownUser) || errors.Is(err, authn.ErrAmbiguousUser):
		l.cache.put(name, cached{err: err, until: asked.Add(min(absentFor, l.dialer.Cache))}, asked)
	default:
		err = fmt.Errorf("looking up in directory %s: %w", l.name, err)
	}
	l.flights.land(name, f, u, err)
}

// find searches the user and walks their groups. first is the search for the user where that is under way.
func (l *LDAP) find(ctx context.Context, name string, now time.Time, first *pending) (*authn.User, error) {
	e, err := l.entry(ctx, name, first)
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
	if len(groups) > 0 {
		u.Groups = slices.Sorted(maps.Keys(groups))
	}
	return u, nil
}

// userQuery is the search for the entry of a name.
func (l *LDAP) userQuery(name string) query {
	return query{
		base:       l.dialer.BaseDN,
		scope:      ldap.ScopeWholeSubtree,
		sizeLimit:  2, // the second one tells that the name is ambiguous
		seconds:    l.dialer.seconds(),
		filter:     l.dialer.userFilter,
		name:       name,
		attributes: l.dialer.selection,
	}
}

// entry searches the one entry of a name; first is that search where it is under way. References to other servers (RFC 4511
// section 4.5.3), which Active Directory adds to every search from the top of a domain, are passed over: what lies there is
// not below base_dn for Sekisho.
func (l *LDAP) entry(ctx context.Context, name string, first *pending) (*ldap.Entry, error) {
	var res *ldap.SearchResult
	var err error
	again := true
	if first != nil {
		again, res, err = l.collect(ctx, first, true)
	}
	if again {
		q := l.userQuery(name)
		res, err = l.searchBy(ctx, &q)
	}
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

// seconds is the time limit that searches name to the server.
func (s *settled) seconds() int { return int((s.Timeout + time.Second - 1) / time.Second) }

// search runs one search as the service account. Alongside an error there may be the entries that came before it.
func (l *LDAP) search(ctx context.Context, req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	q, err := l.queryOf(req)
	if err != nil {
		return nil, err
	}
	return l.searchBy(ctx, &q)
}

// queryOf makes a request ready to be written; its controls are left to the caller.
func (l *LDAP) queryOf(req *ldap.SearchRequest) (query, error) {
	f, err := compileFilter(req.Filter)
	return query{base: req.BaseDN, scope: req.Scope, sizeLimit: req.SizeLimit, seconds: l.dialer.seconds(), filter: f,
		attributes: attributeSelection(req.Attributes)}, err
}

func (l *LDAP) searchBy(ctx context.Context, q *query) (res *ldap.SearchResult, err error) {
	err = l.asService(ctx, func(on *line) (err error) {
		res, err = on.ask(ctx, time.Now().Add(l.dialer.Timeout), q)
		return err
	})
	if res == nil {
		res = &ldap.SearchResult{}
	}
	return res, err
}

// searchAll runs one search with any number of answers, page by page (RFC 2696): servers cut an answer at 500 or 1,000
// entries. One that does not know pages gives all at once.
func (l *LDAP) searchAll(ctx context.Context, req *ldap.SearchRequest) (all []*ldap.Entry, err error) {
	q, err := l.queryOf(req)
	if err != nil {
		return nil, err
	}
	err = l.asService(ctx, func(on *line) error {
		all = nil
		q.controls = pagingControl(pageSize, nil)
		for {
			res, err := on.ask(ctx, time.Now().Add(l.dialer.Timeout), &q)
			if err != nil {
				return err
			}
			all = append(all, res.Entries...)
			next, _ := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
			if next == nil || len(next.Cookie) == 0 || len(all) > maxGroups {
				return nil
			}
			q.controls = pagingControl(pageSize, next.Cookie)
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

// asService does something on a connection of the service account, twice where the first one had died since it was used.
func (l *LDAP) asService(ctx context.Context, do func(*line) error) error {
	if err := l.asking.enter(ctx, l.dialer.Timeout/2); err != nil {
		return err
	}
	began := time.Now()
	again, err := l.asServiceOnce(ctx, do)
	if again && ctx.Err() == nil {
		l.lines.distrust(began)
		_, err = l.asServiceOnce(ctx, do)
	}
	l.asking.leave(!errors.Is(err, context.DeadlineExceeded))
	return err
}

func (l *LDAP) asServiceOnce(ctx context.Context, do func(*line) error) (again bool, err error) {
	on, reused, err := l.lines.get(ctx)
	if err != nil {
		return false, err
	}
	err = do(on)
	return l.judgeLine(ctx, on, reused, err), err
}

// collect takes the answer to a question that [LDAP.askAtOnce] sent.
func (l *LDAP) collect(ctx context.Context, p *pending, reused bool) (again bool, res *ldap.SearchResult, err error) {
	on := p.line
	res, err = p.result(ctx)
	l.asking.leave(!errors.Is(err, context.DeadlineExceeded))
	if again = l.judgeLine(ctx, on, reused, err) && ctx.Err() == nil; again {
		l.lines.distrust(on.born)
	}
	return again, res, err
}

// judgeLine retires a line after an error and tells whether the search is worth another try.
func (l *LDAP) judgeLine(ctx context.Context, on *line, reused bool, err error) (again bool) {
	if err != nil && !isFull(err) {
		on.retire()
	}
	if errors.Is(err, errLineRetired) || errors.Is(err, errNeighbour) {
		return true
	}
	return l.judge(ctx, on.c.server, reused && !errors.Is(err, context.DeadlineExceeded), err)
}

// judge tells the breaker how an exchange went. It reports a connection that had died since it was used, which says nothing
// about the server; one that hung does, and another try would hang as long.
func (l *LDAP) judge(ctx context.Context, server int, reused bool, err error) (died bool) {
	switch {
	case !isOutage(err):
		l.dialer.breaker.answered(server)
	case reused && isNetwork(err):
		return true
	case ctx.Err() == nil:
		l.dialer.breaker.failed(server, err)
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
	until := began.Add(l.bindTime())
	result, err := l.bind(ctx, until, u.DN, password)
	now := time.Now()
	took := now.Sub(began)
	switch {
	case err == nil:
		l.times.add(now, took)
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
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

func (l *LDAP) bind(ctx context.Context, until time.Time, dn string, password authn.Secret) (authn.BindResult, error) {
	if err := l.binding.enter(ctx, min(l.dialer.Timeout, time.Until(until))); err != nil {
		return authn.BindResult{}, fmt.Errorf("%w: %w", authn.ErrNotSent, err)
	}
	inTime := true
	defer func() { l.binding.leave(inTime) }()
	c, reused, err := l.binds.get(ctx, until)
	if err != nil {
		inTime = !errors.Is(err, context.DeadlineExceeded)
		return authn.BindResult{}, fmt.Errorf("%w: %w", authn.ErrNotSent, err)
	}
	whole := false
	defer func() { l.binds.put(c, whole) }()
	end := time.Now().Add(l.dialer.Timeout)
	if until.Before(end) {
		end = until
	}
	controls, err := c.bind(ctx, end, dn, password.Reveal(), true)
	said, broken := policyReason(controls)
	if broken != nil && err == nil {
		err = fmt.Errorf("asking %s: %w", c.url, broken)
	}
	answer, err := bindAnswer(said, err)
	// A wrong password is a whole answer too: the connection is anonymous after it and good for the next bind.
	whole = err == nil
	inTime = !c.cut
	l.judge(ctx, c.server, reused && !c.cut, err)
	return answer, err
}

// BindTime is the 99th percentile of binds over the last 10 minutes, in steps of 250 ms upward (S20). A bind that hung
// counts as its whole time; before the first bind it is one step.
func (l *LDAP) BindTime() time.Duration { return l.times.p99(time.Now()) }

// FailureLimit is what the config says, else what the directory told, else 5. 0: the directory never locks.
func (l *LDAP) FailureLimit() authn.Lockout { return *l.limit.Load() }
