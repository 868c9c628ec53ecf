package directory

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
)

// slowDirectory is a fake that does so many searches and binds a second altogether and lets the others wait.
type slowDirectory struct {
	mu    sync.Mutex
	next  time.Time
	every time.Duration
}

func (s *slowDirectory) turn() {
	s.mu.Lock()
	at := s.next
	if now := time.Now(); at.Before(now) {
		at = now
	}
	s.next = at.Add(s.every)
	s.mu.Unlock()
	time.Sleep(time.Until(at))
}

// TestOverload offers ten times what a directory can do. It is no check of figures but shows them; what it checks is that
// nobody is told anything wrong, that most of what the directory does is of use, and that everybody is let in afterwards.
func TestOverload(t *testing.T) {
	length, rate := 2*time.Second, 2000
	if os.Getenv("SEKISHO_PROOF") == "" {
		length, rate = 500*time.Millisecond, 500
	}
	slow := &slowDirectory{every: time.Second / time.Duration(2*rate)} // a login is a search and a bind
	f := newFake(t, "ldap")
	f.search = func(c *fakeConn, id int64, _, filter string) {
		slow.turn()
		c.user(id, filter[len("(uid="):len(filter)-1])
		c.done(id)
	}
	f.bind = func(c *fakeConn, id int64, _, _ string) {
		slow.turn()
		c.result(id, 0x1, 0, "")
	}
	config := f.config()
	config.GroupWalk, config.ConnectTimeout, config.Timeout = walkDirect, 10*time.Second, time.Second
	l := openLDAP(t, config)
	var mu sync.Mutex
	var took []time.Duration
	var refused, failed, name atomic.Int64
	login := func() {
		began := time.Now()
		typed := fmt.Appendf(nil, "user%d", name.Add(1))
		u, err := l.Lookup(t.Context(), typed)
		if err == nil {
			var r authn.BindResult
			if r, err = l.Authenticate(t.Context(), u, secret("right")); err == nil && !r.OK {
				t.Errorf("%s: %+v", typed, r)
			}
			if errors.Is(err, errBusy) && !errors.Is(err, authn.ErrNotSent) {
				t.Errorf("a bind that was refused counts: %v", err)
			}
		}
		switch {
		case err == nil:
			mu.Lock()
			took = append(took, time.Since(began))
			mu.Unlock()
		case errors.Is(err, errBusy):
			refused.Add(1)
		case errors.Is(err, authn.ErrUnknownUser) || errors.Is(err, authn.ErrAmbiguousUser):
			t.Error(err)
		default:
			failed.Add(1)
		}
	}
	offer := func(perSecond int, length time.Duration) {
		var wg sync.WaitGroup
		places := make(chan struct{}, 3000) // as those of the RADIUS server
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		began, offered := time.Now(), 0
		for time.Since(began) < length {
			<-tick.C
			for ; offered < int(time.Since(began).Seconds()*float64(perSecond)); offered++ {
				select {
				case places <- struct{}{}:
					wg.Go(func() { login(); <-places })
				default:
				}
			}
		}
		wg.Wait()
	}
	began := time.Now()
	offer(10*rate, length)
	seconds := time.Since(began).Seconds()
	if len(took) == 0 {
		t.Fatal("nobody was let in")
	}
	slices.Sort(took)
	t.Logf("%d offered: %.0f/s let in, p50 %v, p99 %v; %d refused, %d failed; %d searches for %d binds", name.Load(), float64(len(took))/seconds,
		took[len(took)/2], took[len(took)*99/100], refused.Load(), failed.Load(), f.searches.Load(), f.userBinds.Load())
	if s, b := f.searches.Load(), f.userBinds.Load(); int(s) > 2*int(b)+100 || int(b) > 2*len(took)+100 {
		t.Errorf("%d searches and %d binds for %d logins", s, b, len(took))
	}
	before := refused.Load() + failed.Load()
	for range 20 {
		login()
	}
	if n := refused.Load() + failed.Load() - before; n > 0 {
		t.Errorf("%d of 20 logins one by one failed afterwards", n)
	}
}

// TestNoSearchForABindThatWouldWait: while binds wait for longer than half of the timeout, nobody new is looked up; who is
// known already is not held up by it.
func TestNoSearchForABindThatWouldWait(t *testing.T) {
	f := newFake(t, "ldap")
	l := openLDAP(t, patient(f))
	known := lookup(t, l, "alice")
	for l.binding.tryEnter() {
	}
	l.binding.mu.Lock()
	l.binding.last = time.Now().Add(-l.dialer.Timeout)
	l.binding.mu.Unlock()
	before := f.searches.Load()
	if _, err := l.Lookup(t.Context(), []byte("bob")); !errors.Is(err, errBusy) {
		t.Errorf("%v", err)
	}
	if n := f.searches.Load() - before; n != 0 {
		t.Errorf("%d searches", n)
	}
	if u := lookup(t, l, "alice"); u != known {
		t.Errorf("%+v", u)
	}
	if _, err := l.Authenticate(t.Context(), known, secret("right")); !errors.Is(err, errBusy) || !errors.Is(err, authn.ErrNotSent) {
		t.Errorf("a bind without a place: %v", err)
	}
	l.binding.leave(true)
	if u := lookup(t, l, "bob"); u.Name != "bob" {
		t.Errorf("%+v", u)
	}
}
