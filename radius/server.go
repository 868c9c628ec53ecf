package radius

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"sekisho/authn"
)

// Authenticator decides logins.
//
// Implementations guarantee: Authenticate takes the login over and calls done exactly once, on any goroutine, perhaps
// before it returns, after everything the decision counts, burns or spends is durable. It never blocks for anything slow.
// RejectDelay is D of S20 for a client; it answers from memory.
type Authenticator interface {
	Authenticate(l *authn.Login, done func(authn.Decision))
	RejectDelay(c *authn.Client) time.Duration
}

// Sessions keeps accounting records. SaveSession takes the record over and calls done once it is durable, or known not to
// be; an error means at once that it cannot be taken, and done is not called. It does not block.
type Sessions interface {
	SaveSession(s *authn.Session, done func(error)) error
}

// Ratchets remembers, over restarts, which clients have shown that they send Message-Authenticator. RatchetRaised answers
// from memory and is true from the moment RaiseRatchet was called, which queues a durable write and does not block.
type Ratchets interface {
	RatchetRaised(client string, addr netip.Addr) bool
	RaiseRatchet(client string, addr netip.Addr)
}

// Server answers gateways. All exported fields but the last three are required. [Server.Replace] gives it another Config
// and Authenticator while it runs.
type Server struct {
	Config        Config        // of the start
	Authenticator Authenticator // of the start
	Sessions      Sessions
	Ratchets      Ratchets
	Log           *slog.Logger
	Registerer    prometheus.Registerer // nil: counters are kept and not shown
	Healthy       func() bool           // asked per Status-Server, from memory; nil: always
	Now           func() time.Time      // with monotonic part; nil: time.Now

	settled   atomic.Pointer[settled]
	failed    func(netip.Addr, error) // unsent
	sockets   [2][]*socket            // by port
	cache     *replyCache
	requests  sync.Pool // of *request
	turns     turns
	delays    delays
	logins    *places // Access-Requests before their decision
	records   *places // Accounting-Requests before they are saved
	waiting   *places // refusals before their time
	open      sync.WaitGroup
	strangers quiet // lines about addresses of no client, apart so that forged ones cannot hide the others
	lines     quiet
	unknown   tally
	conflicts tally
}

// Listen checks the config and binds every address. After an error nothing stays bound.
func (s *Server) Listen() error {
	if err := s.prepare(); err != nil {
		return err
	}
	for p, texts := range [2][]string{s.settled.Load().auth, s.settled.Load().acct} {
		for _, text := range texts {
			sockets, err := openSockets(text)
			if err != nil {
				s.unlisten()
				return err
			}
			s.sockets[p] = append(s.sockets[p], sockets...)
		}
	}
	if s.Registerer != nil {
		if err := s.Registerer.Register(newMetrics(s)); err != nil {
			s.unlisten()
			return fmt.Errorf("registering the RADIUS metrics: %w", err)
		}
	}
	return nil
}

// unlisten is for a Listen that failed; once Serve runs, Flush may look at the sockets at any time.
func (s *Server) unlisten() {
	s.close()
	s.sockets = [2][]*socket{}
}

// prepare makes everything but the sockets.
func (s *Server) prepare() error {
	set := s.Config.settle()
	if len(set.faults) > 0 {
		return set.faults
	}
	if s.Authenticator == nil || s.Sessions == nil || s.Ratchets == nil || s.Log == nil {
		return errors.New("starting RADIUS: Authenticator, Sessions, Ratchets and Log are needed")
	}
	s.failed = s.unsent
	s.requests.New = func() any { return newRequest(s) }
	s.delays.init(s)
	set.serve(s.Authenticator)
	s.settled.Store(set)
	n := set.maxInFlight
	s.cache, s.logins, s.records, s.waiting = newReplyCache(cacheBytes), newPlaces(n, loginPlaces), newPlaces(n, recordPlaces), newPlaces(waitingPlaces(n), waitPlaces)
	return nil
}

// Addresses gives what Listen has bound, for logins and for accounting.
func (s *Server) Addresses() (auth, acct []netip.AddrPort) {
	for _, sock := range s.sockets[authPort] {
		auth = append(auth, sock.local)
	}
	for _, sock := range s.sockets[acctPort] {
		acct = append(acct, sock.local)
	}
	return auth, acct
}

// Serve answers until the context ends; then it takes nothing new, finishes what is being worked on within the clients'
// deadlines, and closes the sockets. It needs a Listen before and runs once.
func (s *Server) Serve(ctx context.Context) error {
	defer s.close()
	group, ctx := errgroup.WithContext(ctx)
	for p, sockets := range s.sockets {
		readers := 1
		if port(p) == authPort {
			readers = min(max(runtime.NumCPU()/2, 1), 8)
		}
		for _, sock := range sockets {
			for range readers {
				group.Go(func() error {
					return sock.receive(func(b []byte, from *path) { s.handle(port(p), b, from) })
				})
			}
		}
	}
	group.Go(func() error {
		<-ctx.Done()
		for _, sockets := range s.sockets {
			for _, sock := range sockets {
				_ = sock.conn.SetReadDeadline(time.Unix(1, 0))
			}
		}
		return nil
	})
	err := group.Wait()
	s.finish()
	s.Flush() // what a commit has handed out and not yet flushed
	return err
}

// finish waits for requests under way, for at most the longest deadline of a client.
func (s *Server) finish() {
	longest := s.settled.Load().longest
	done := make(chan struct{})
	go func() { s.open.Wait(); close(done) }()
	t := time.NewTimer(longest)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		s.Log.Warn("stopped with requests unanswered", "logins", s.logins.held(), "accounting", s.records.held(), "refusals", s.waiting.held())
	}
}

func (s *Server) close() {
	for _, sockets := range s.sockets {
		for _, sock := range sockets {
			_ = sock.conn.Close()
		}
	}
}

// Forget silences the cached Accepts of accounts: after a token was revoked or a person shut out, even a repetition of
// the packet that got in gets no second Accept (S13).
func (s *Server) Forget(accounts ...authn.AccountID) {
	set := make(map[authn.AccountID]bool, len(accounts))
	for _, a := range accounts {
		set[a] = true
	}
	s.cache.silence(set)
}

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// handle takes one datagram as far as it gets without waiting. b and from are only valid during the call.
func (s *Server) handle(on port, b []byte, from *path) {
	now := s.now()
	source := from.remote.Addr().WithZone("")
	c := s.settled.Load().table.find(source)
	if c == nil {
		s.unknown.Add(1)
		s.say(&s.strangers, source, faultUnknownClient, now, slog.Attr{})
		return
	}
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, c, on)
		}
	}()
	f := faultStale
	if !c.stale(from) {
		f = s.take(on, c, b, from, now)
	}
	if f != noFault {
		s.discard(on, c, f, source, now)
	}
}

// take handles a datagram of a client.
func (s *Server) take(on port, c *client, b []byte, from *path, now time.Time) fault {
	pkt, f := parse(b, on.takes)
	if pkt.code == AccessRequest || pkt.code == AccountingRequest {
		c.counts[on][countRequests].Add(1)
	}
	if f != noFault {
		return f
	}
	switch pkt.code {
	case AccessRequest:
		return s.access(c, &pkt, from, now)
	case AccountingRequest:
		return s.accounting(c, &pkt, from, now)
	default: // a Status-Server, by what the ports take
		return s.status(on, c, &pkt, from, now)
	}
}

// discard counts what gets no answer, and says why.
func (s *Server) discard(on port, c *client, f fault, source netip.Addr, now time.Time) {
	c.faults[f].Add(1)
	c.counts[on][faults[f].counter].Add(1)
	s.say(&s.lines, source, f, now, slog.String("client", c.name))
}

// say writes one line per source, subject and minute.
func (s *Server) say(q *quiet, source netip.Addr, f fault, now time.Time, more slog.Attr) {
	s.sayText(q, slog.LevelWarn, source, f.String(), faults[f].text, now, more)
}

// sayText does nothing that costs memory where the line is not wanted. An empty Attr is left out by slog.
func (s *Server) sayText(q *quiet, level slog.Level, source netip.Addr, subject, text string, now time.Time, more slog.Attr) {
	if !s.Log.Enabled(context.Background(), level) {
		return
	}
	held, ok := q.allow(source, subject, now)
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("source", source.String()), slog.String("reason", subject), more}
	if held > 0 {
		attrs = append(attrs, slog.Uint64("more_like_it", held))
	}
	s.Log.LogAttrs(context.Background(), level, "RADIUS: "+text, attrs...)
}

// panicked keeps a fault in one request from ending others. The value of a panic can hold anything that the request
// brought, so only faults of the runtime are quoted.
func (s *Server) panicked(v any, c *client, on port) {
	c.faults[faultPanic].Add(1)
	c.counts[on][countDropped].Add(1)
	what := fmt.Sprintf("a %T", v)
	if e, ok := v.(runtime.Error); ok {
		what = e.Error()
	}
	s.Log.Error("RADIUS: an internal fault ended one request; please report it", "client", c.name, "panic", what, "stack", string(debug.Stack()))
}
