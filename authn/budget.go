package authn

import (
	"fmt"
	"sync"
	"time"
)

const (
	budgetPeriod  = 30 * time.Minute // at least
	budgetLongest = 24 * time.Hour
	refusedPeriod = 5 * time.Minute
	budgetMargin  = 2 // binds left to the directory's own threshold
	budgetUsers   = 50_000
)

// purse is which share of the bind budget an attempt draws on.
type purse uint8

const (
	purseUnknown purse = iota
	purseKnown
	purseReserve // row 14
)

// shares divides a directory's failure threshold (S3): 2 below it in all, one of that for row 14, then one for known
// sources, then up to three for unknown ones, then the second known one.
func shares(threshold int) (s [3]int) {
	sum := threshold - budgetMargin
	if sum >= 1 {
		s[purseReserve] = 1
	}
	if sum >= 2 {
		s[purseKnown] = 1
	}
	s[purseUnknown] = min(3, max(0, sum-2))
	if sum >= 6 {
		s[purseKnown] = 2
	}
	return s
}

// LockoutWarning says what a directory's failure threshold means for logins with a password when it leaves too few binds
// for one code to be enough; empty where it is high enough, or 0 for a directory that locks nobody.
func LockoutWarning(threshold int) string {
	s, what := shares(threshold), ""
	switch {
	case threshold == 0 || s[purseUnknown] > 0:
		return ""
	case s[purseReserve] == 0:
		what = "no password can be checked at all"
	case s[purseKnown] == 0:
		what = "everybody needs two codes in a row at every login"
	default:
		what = "everybody needs two codes in a row from each new place"
	}
	return fmt.Sprintf("the directory locks a user after %d wrong passwords, and Sekisho stays %d below that: %s; raise its threshold to 5 or more, better 10",
		threshold, budgetMargin, what)
}

// budget keeps one user's wrong binds below the directory's lockout threshold, so that Sekisho never locks anybody out
// of their directory account. It lives in memory; the zero value is ready.
type budget struct {
	mu    sync.Mutex
	users map[string]*bindings
	swept time.Time
}

// bindings are the binds of one user. Wrong ones count until none came for 30 minutes, or for the directory's own window
// where that is longer: a directory that counts from the last failure would add up what a sliding window lets through.
type bindings struct {
	flying   [3]int
	wrong    [3]int
	last     time.Time // when the newest of wrong came back
	refused  []refusedText
	accepted uint64 // keyed hash of the password last accepted; 0: none
	past     bool   // a bind past the budget is in flight
	waiters  []chan struct{}
	period   time.Duration // how long wrong binds count after the last one
	touched  time.Time
}

type refusedText struct {
	hash uint64
	at   time.Time
}

// slot is a place for one bind, taken by reserve and given back by done.
type slot struct {
	purse purse
	past  bool // past the budget, for the password last accepted
}

// answer is what the budget says to a bind that is about to be sent.
type answer struct {
	slots  Slots
	slot   slot          // set with SlotFree
	stale  bool          // the password was refused less than 5 minutes ago: wrong without asking
	signal chan struct{} // closed when a bind in flight has ended; set with SlotsFlying
}

// reserve takes a free slot, so that two attempts never share one, or says why there is none. A zero lock means that the
// directory locks nobody. The password last accepted may be asked past the budget, once at a time: were it changed in the
// directory, the first refusal ends that.
func (b *budget) reserve(user string, p purse, password uint64, lock Lockout, now time.Time) answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.user(user, now)
	for _, r := range u.refused {
		if r.hash == password && now.Sub(r.at) < refusedPeriod {
			return answer{stale: true}
		}
	}
	limit := shares(lock.Wrong)[p]
	if lock.Wrong == 0 {
		limit = 1 << 30
	}
	u.period = min(max(budgetPeriod, lock.Window), budgetLongest)
	u.expire(now)
	taken := u.flying[p] + u.wrong[p]
	last := password != 0 && password == u.accepted
	switch {
	case taken < limit, last && !u.past:
		s := slot{p, taken >= limit}
		u.past = u.past || s.past
		u.flying[p]++
		return answer{slots: SlotFree, slot: s}
	case u.flying[p] > 0, last:
		c := make(chan struct{})
		u.waiters = append(u.waiters, c)
		return answer{slots: SlotsFlying, signal: c}
	}
	return answer{slots: SlotsSpent}
}

// look says what reserve would, for a password that nothing is known of, and takes nothing.
func (b *budget) look(user string, p purse, lock Lockout, now time.Time) Slots {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.users[user]
	if lock.Wrong == 0 {
		return SlotFree
	}
	limit, flying, wrong := shares(lock.Wrong)[p], 0, 0
	if u != nil {
		flying = u.flying[p]
		if now.Sub(u.last) < u.period {
			wrong = u.wrong[p]
		}
	}
	switch {
	case flying+wrong < limit:
		return SlotFree
	case flying > 0:
		return SlotsFlying
	}
	return SlotsSpent
}

func purseOf(known bool) purse {
	if known {
		return purseKnown
	}
	return purseUnknown
}

// done gives a reserved slot back. A wrong password keeps it; so does a bind that was sent and brought no
// answer. A right one clears the user's wrong binds, as the directory does with its own count; what was refused in the
// last 5 minutes stays refused.
func (b *budget) done(user string, s slot, password uint64, proof Proof, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.user(user, now)
	switch proof {
	case Right:
		u.wrong, u.accepted = [3]int{}, password
	case Wrong:
		if u.accepted == password {
			u.accepted = 0
		}
		u.refused = append(u.refused, refusedText{password, now})
		if len(u.refused) > textsKept {
			u.refused = u.refused[1:]
		}
		fallthrough
	case Open:
		u.wrong[s.purse]++
		u.last = now
	}
	u.release(s)
}

// giveBack gives back the slot of a bind that was never sent.
func (b *budget) giveBack(user string, s slot, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.user(user, now).release(s)
}

// release ends a bind in flight and wakes those who wait for one.
func (u *bindings) release(s slot) {
	u.flying[s.purse]--
	u.past = u.past && !s.past
	for _, c := range u.waiters {
		close(c)
	}
	u.waiters = nil
}

func (b *budget) user(user string, now time.Time) *bindings {
	if b.users == nil {
		b.users = make(map[string]*bindings)
	}
	u := b.users[user]
	if u == nil {
		if len(b.users) >= budgetUsers && now.Sub(b.swept) >= time.Minute {
			b.sweep(now)
			b.swept = now
		}
		u = &bindings{period: budgetPeriod}
		b.users[user] = u
	}
	u.touched = now
	return u
}

// sweep forgets users whose wrong binds are over.
func (b *budget) sweep(now time.Time) {
	for name, u := range b.users {
		if now.Sub(u.touched) >= u.period && u.flying == [3]int{} {
			delete(b.users, name)
		}
	}
}

func (u *bindings) expire(now time.Time) {
	if now.Sub(u.last) >= u.period {
		u.wrong = [3]int{}
	}
}
