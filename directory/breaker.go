package directory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	restFirst   = time.Second // after the first failure; doubled by each one after it
	restLongest = time.Minute
)

// ServerHealth is one server of a directory as its connections find it.
type ServerHealth struct {
	URL   string
	Down  bool      // it failed, and no probe has been answered since
	Since time.Time // when it became so; zero: never asked
	Err   error     // the last failure, while it is down
}

// breaker remembers which servers fail, so that a dead one costs a login nothing while another one works: servers that are
// down are asked last. A server that fails is probed, by one connection at a time, after a rest that grows from a second
// to a minute with each failure in a row; an answered probe brings it back. Failures are forgotten only by an answer to a
// login, so that a server that greets everybody and answers nobody rests longer each time.
type breaker struct {
	servers   []breakerServer
	preferred atomic.Int32 // index of the server that answered last
	probe     func(ctx context.Context, server int) error
	base      context.Context // ends the probing
}

type breakerServer struct {
	mu       sync.Mutex
	state    ServerHealth
	failures int         // in a row
	watched  bool        // somebody probes it
	marred   atomic.Bool // down or failures > 0, without the lock
}

// order gives the servers as they are to be asked: from the one that answered last, those that are down behind all others,
// and of these first the one that failed the fewest times.
func (b *breaker) order() []int {
	first := int(b.preferred.Load())
	order, failures := make([]int, len(b.servers)), make([]int, len(b.servers))
	for i := range b.servers {
		order[i] = (first + i) % len(b.servers)
		failures[i] = b.servers[i].down()
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(failures[i], failures[j]) })
	return order
}

// down is 0 for a server that is up, else its failures in a row.
func (s *breakerServer) down() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.state.Down {
		return 0
	}
	return s.failures
}

// connected makes a server the first to be asked.
func (b *breaker) connected(server int) { b.preferred.Store(int32(server)) }

// answered ends a run of failures. It costs nothing where there is none.
func (b *breaker) answered(server int) {
	s := &b.servers[server]
	if !s.marred.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = 0
	s.up(time.Now())
	s.marred.Store(false)
}

// failed takes a server down and begins to probe it.
func (b *breaker) failed(server int, err error) {
	s := &b.servers[server]
	s.mu.Lock()
	rest, watched := s.fail(time.Now(), err), s.watched
	s.watched = true
	s.mu.Unlock()
	b.preferred.CompareAndSwap(int32(server), int32((server+1)%len(b.servers)))
	if !watched {
		go b.watch(server, rest)
	}
}

// watch probes until the server is up again.
func (b *breaker) watch(server int, rest time.Duration) {
	s := &b.servers[server]
	for {
		timer := time.NewTimer(rest)
		select {
		case <-b.base.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		var err error
		if s.health().Down {
			err = b.probe(b.base, server)
		}
		s.mu.Lock()
		if err == nil {
			s.up(time.Now())
			s.watched = false
			s.mu.Unlock()
			return
		}
		rest = s.fail(time.Now(), err)
		s.mu.Unlock()
	}
}

// up ends being down.
func (s *breakerServer) up(now time.Time) {
	if s.state.Down {
		s.state.Down, s.state.Since, s.state.Err = false, now, nil
	}
}

// fail counts a failure and gives the rest that follows it.
func (s *breakerServer) fail(now time.Time, err error) time.Duration {
	if !s.state.Down {
		s.state.Down, s.state.Since = true, now
	}
	s.state.Err = err
	s.failures++
	s.marred.Store(true)
	return restAfter(s.failures)
}

// restAfter is how long a server is left alone after so many failures in a row.
func restAfter(failures int) time.Duration {
	return min(restLongest, restFirst<<min(failures-1, 6))
}

func (s *breakerServer) health() ServerHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Health tells how each server is, in the order of the config.
func (l *LDAP) Health() []ServerHealth {
	all := make([]ServerHealth, len(l.dialer.servers))
	for i := range all {
		all[i] = l.dialer.breaker.servers[i].health()
		all[i].URL = l.dialer.servers[i].url
	}
	return all
}
