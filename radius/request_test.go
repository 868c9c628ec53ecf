package radius

import (
	"strings"
	"testing"
	"time"

	"sekisho/authn"
)

// TestAnsweredTwice: a second answer meets no other login, however soon the memory of the first is used again, and is told of.
func TestAnsweredTwice(t *testing.T) {
	r := newRig(t, nil)
	r.none(authPort, pap(0, "x"))
	first := r.auth.dones[0]
	first(authn.Decision{Verdict: authn.Accept})
	first(authn.Decision{Verdict: authn.Accept})
	for i := range 3 * turnsKept {
		r.auth.dones = r.auth.dones[:0]
		r.none(authPort, pap(byte(i), "x"))
		before := len(r.out.all())
		first(authn.Decision{Verdict: authn.Accept})
		if len(r.out.all()) != before {
			t.Fatalf("a second answer was sent to login %d", i)
		}
		r.auth.dones[0](authn.Decision{Verdict: authn.Reject})
		if len(r.out.all()) != before+1 {
			t.Fatalf("login %d got no answer of its own", i)
		}
	}
	if n := strings.Count(r.log.String(), "answered twice"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestPanickedIsNotUsedAgain: who panicked may still know the request.
func TestPanickedIsNotUsedAgain(t *testing.T) {
	r := newRig(t, nil)
	var known *authn.Login
	r.client().authenticator = watcher{func(l *authn.Login, done func(authn.Decision)) {
		if known == nil {
			known = l
			done(authn.Decision{Verdict: authn.Accept})
			panic(errTest)
		}
		if l == known {
			t.Error("the memory of a request that panicked was used again")
		}
		done(authn.Decision{Verdict: authn.Accept})
	}}
	for i := range 200 {
		r.one(pap(byte(i), "x"))
	}
	r.open.Wait()
}

type watcher struct {
	authenticate func(*authn.Login, func(authn.Decision))
}

func (w watcher) Authenticate(l *authn.Login, done func(authn.Decision)) { w.authenticate(l, done) }
func (watcher) RejectDelay(*authn.Client) time.Duration                  { return 0 }

// TestStale: what waited for longer than half of the time to its repetition is dropped and counted; a clock that was set drops nothing.
func TestStale(t *testing.T) {
	r := newRig(t, accept)
	at := path{via: r.out, local: here, remote: gateway, age: r.client().login.RetryAfter / 2}
	r.handle(authPort, pap(1, "x"), &at)
	if len(r.out.all()) != 1 {
		t.Fatal("a datagram that is still waited for was dropped")
	}
	at.age++
	r.handle(authPort, pap(2, "x"), &at)
	if len(r.out.all()) != 1 {
		t.Fatal("a stale datagram was answered")
	}
	r.wantFault(faultStale)
	wall := time.Now().UnixNano()
	for _, x := range []struct{ stamp, want time.Duration }{{-time.Second, time.Second}, {time.Hour, 0}, {-time.Hour, 0}, {-stampTrust, stampTrust}} {
		if got := age(wall+int64(x.stamp), wall); got != x.want {
			t.Errorf("stamped at %v: %v, want %v", x.stamp, got, x.want)
		}
	}
	if age(0, wall) != 0 {
		t.Error("no stamp is no age")
	}
}

// TestKernelStamps: the stamp of a datagram over a real socket is read.
func TestKernelStamps(t *testing.T) {
	c := newCourse(t, &batch{})
	if err := c.gateway.send(c.packets[0], &c.back); err != nil {
		t.Fatal(err)
	}
	if err := c.in.wait(); err != nil {
		t.Fatal(err)
	}
	// A wall clock half a minute ahead makes the datagram that old.
	_, p, ok := c.in.datagram(0, time.Now().Add(stampTrust/2).UnixNano())
	if !ok || p.age < stampTrust/2 {
		t.Errorf("age %v", p.age)
	}
}

// TestWithoutSegments: where the kernel does not cut messages up, answers leave one by one, and it is not asked again.
func TestWithoutSegments(t *testing.T) {
	c := newCourse(t, &batch{})
	a := &c.gateway.answers
	for range 3 {
		c.gateway.queue(c.packets[0], &c.back, c.failed)
	}
	if a.groups != 1 {
		t.Fatalf("%d groups of one destination", a.groups)
	}
	a.group[0].size = 1 // more pieces than the kernel makes of one message: it refuses
	c.gateway.flush(c.failed)
	c.take(c.in, 3, false)
	if a.segments {
		t.Error("it is asked again")
	}
	for range 2 {
		c.gateway.queue(c.packets[0], &c.back, c.failed)
	}
	if a.groups != 2 {
		t.Error("answers are still grouped")
	}
}

func FuzzControl(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		for {
			_, _, _, rest, ok := nextControl(b)
			if !ok {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			b = rest
		}
	})
}
