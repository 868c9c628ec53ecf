package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/testenv"
)

func TestRest(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 32 * time.Second,
		7: time.Minute, 8: time.Minute, 1000: time.Minute} {
		if got := restAfter(failures); got != want {
			t.Errorf("%d failures: %v, want %v", failures, got, want)
		}
	}
}

// prober stands for servers whose probes fail as long as dead says so.
type prober struct {
	dead  atomic.Bool
	began time.Time
	mu    sync.Mutex
	at    []time.Duration // when it was asked
}

func (p *prober) probe(context.Context, int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = append(p.at, time.Since(p.began).Round(time.Second))
	if p.dead.Load() {
		return errors.New("still dead")
	}
	return nil
}

// take gives the probes since it was last called.
func (p *prober) take() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.at
	p.at = nil
	return at
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p := &prober{began: time.Now()}
		p.dead.Store(true)
		b := &breaker{servers: make([]breakerServer, 3), base: ctx, probe: p.probe}
		wantOrder := func(what string, want ...int) {
			t.Helper()
			if got := b.order(); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		wantOrder("at the start", 0, 1, 2)
		b.connected(1)
		wantOrder("the last good one first", 1, 2, 0)
		for range 5 { // logins at once
			b.failed(1, errors.New("gone"))
		}
		wantOrder("one is down", 2, 0, 1)
		time.Sleep(100 * time.Second)
		synctest.Wait()
		// Five failures at once count; then each probe in vain.
		if got, want := p.take(), []time.Duration{time.Second, 33 * time.Second, 93 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("probes at %v, want %v", got, want)
		}
		b.failed(2, errors.New("hiccup"))
		b.failed(0, errors.New("hiccup"))
		b.failed(0, errors.New("hiccup"))
		wantOrder("all are down: the fewest failures first", 2, 0, 1)
		p.dead.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantOrder("all are back", 1, 2, 0)
		if h := b.servers[1].health(); h.Down || h.Err != nil {
			t.Errorf("%+v", h)
		}

		// It greets probes and fails logins: the rests go on growing. An answer to a login ends that.
		p.take()
		b.failed(1, errors.New("gone"))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if at := p.take(); len(at) != 0 {
			t.Errorf("probed after %v although it failed many times before", at)
		}
		b.answered(1)
		wantOrder("an answer brings it back at once", 2, 0, 1)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if at := p.take(); len(at) != 0 {
			t.Errorf("a server that answers is probed: %v", at)
		}
		b.failed(1, errors.New("gone"))
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if at := p.take(); len(at) != 1 {
			t.Errorf("probes %v after one failure, want one after a second", at)
		}
		p.dead.Store(true)
		b.failed(1, errors.New("gone")) // left to cancel, which ends the probing
	})
}

// TestDeadServersCostNothing: of a dead port, a server that hangs and a good one, new connections go to the good one,
// wherever the list begins.
func TestDeadServersCostNothing(t *testing.T) {
	hung, good := newFake(t, "ldaps"), newFake(t, "ldap")
	hung.accept = func(net.Conn) bool { return false }
	config := good.config()
	config.URLs = []string{fmt.Sprintf("ldaps://127.0.0.1:%d", testenv.Port(t)), hung.config().URLs[0], good.url}
	config.ConnectTimeout, config.Timeout = time.Second, 30*time.Second
	l := openLDAP(t, config)
	l.dialer.breaker.probe = func(context.Context, int) error { return errors.New("not now") }
	for i := range 20 {
		l.dialer.breaker.preferred.Store(0) // as after a fault of the good one
		c, err := l.dialer.dial(t.Context())
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		c.drop()
	}
	if n := hung.conns.Load(); n != 1 {
		t.Errorf("%d connections to a server that hangs", n)
	}
	h := l.Health()
	if !h[0].Down || !h[1].Down || h[2].Down || h[0].Err == nil || h[0].URL != config.URLs[0] || h[1].Since.IsZero() {
		t.Errorf("%+v", h)
	}
}

// TestServerComesBack: nobody logs in, and still the server is known to be up again.
func TestServerComesBack(t *testing.T) {
	f := newFake(t, "ldap")
	var well atomic.Bool
	f.search = func(c *fakeConn, id int64, _, _ string) {
		if !well.Load() {
			_ = c.Close()
			return
		}
		c.done(id)
	}
	l := openLDAP(t, patient(f))
	_, err := l.Lookup(t.Context(), []byte("alice"))
	mustBeOutage(t, "look-up", err)
	if !l.Health()[0].Down {
		t.Error("it is not known to be down")
	}
	well.Store(true)
	for deadline := time.Now().Add(20 * time.Second); l.Health()[0].Down; {
		if time.Now().After(deadline) {
			t.Fatal("it does not come back")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
