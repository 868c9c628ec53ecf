package radius

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
)

// batch is an Authenticator that decides when a committer would: all that came in together. It makes no memory.
type batch struct {
	verdict authn.Verdict
	delay   time.Duration
	mu      sync.Mutex
	dones   []func(authn.Decision)
}

func (b *batch) Authenticate(_ *authn.Login, done func(authn.Decision)) {
	b.mu.Lock()
	b.dones = append(b.dones, done)
	b.mu.Unlock()
}

func (b *batch) RejectDelay(*authn.Client) time.Duration { return b.delay }

func (b *batch) commit() {
	for _, done := range b.dones {
		done(authn.Decision{Verdict: b.verdict, Account: 7, Reply: staff, Batched: true})
	}
	b.dones = b.dones[:0]
}

// staff is a Class attribute.
var staff = []byte("\x19\x07staff")

// course drives a server over real sockets on one goroutine: the functions of receiving, deciding and answering are
// those of the product, and nothing else runs.
type course struct {
	*live
	t       testing.TB
	auth    *batch
	in      *inbox
	gateway *socket
	got     *inbox
	back    path
	packets [64][]byte
	n       uint64
}

func newCourse(t testing.TB, auth *batch) *course {
	t.Helper()
	l := &live{store: &fakeStore{raised: map[netip.Addr]bool{}}, log: &safeBuffer{}}
	c := &course{live: l, t: t, auth: auth}
	l.Server = &Server{Config: Config{Listen: []string{"127.0.0.1:0"}, ListenAccounting: []string{"127.0.0.1:0"}, Clients: []ClientConfig{{
		Name: "loop", Addresses: []string{"127.0.0.0/8"}, Secret: authn.NewSecret([]byte(testSecret)), Deadline: 30 * time.Second,
		RetryAfter: time.Minute}}},
		Authenticator: auth, Sessions: l.store, Ratchets: l.store, Log: slog.New(slog.DiscardHandler)}
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	c.cache.limit = 1 << 20 // a steady state is soon reached
	var err error
	if c.gateway, err = openSocket(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.gateway.conn.Close() })
	c.in, c.got = newInbox(l.sockets[authPort][0]), newInbox(c.gateway)
	c.back = path{via: c.gateway, local: c.gateway.local, remote: l.sockets[authPort][0].local}
	for i := range c.packets {
		c.packets[i] = pap(byte(i), "secret code")
	}
	return c
}

// fresh makes another request of each packet.
func (c *course) fresh() {
	key := c.settled.Load().clients[0].current()
	for _, b := range c.packets {
		c.n++
		binary.BigEndian.PutUint64(b[4:], c.n)
		clear(b[headerLen+2 : headerLen+18])
		d := key.pool.Get().(*digester)
		d.mac.Reset()
		d.mac.Write(b)
		copy(b[headerLen+2:], d.mac.Sum(d.sum[:0]))
		key.pool.Put(d)
	}
}

// ask sends all packets and lets the server take them.
func (c *course) ask() {
	for _, b := range c.packets {
		c.gateway.queue(b, &c.back, c.failed)
	}
	c.gateway.flush(c.failed)
	c.take(c.in, len(c.packets), true)
}

// answered takes so many answers.
func (c *course) answered(n int) { c.take(c.got, n, false) }

func (c *course) take(in *inbox, n int, handle bool) {
	for n > 0 {
		if err := in.wait(); err != nil {
			c.t.Fatal(err)
		}
		for i := range in.n {
			b, p, ok := in.datagram(i, time.Now().UnixNano())
			if !ok || len(b) < headerLen {
				c.t.Fatal("a datagram without address")
			}
			if handle {
				c.handle(authPort, b, p)
			}
		}
		n -= in.n
	}
}

// aged makes the cache's entries old enough to make room, so that it holds no more of them however long this goes on.
func (c *course) aged() {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	for c.cache.oldest != nil && c.cache.bytes > c.cache.limit/2 {
		c.cache.remove(c.cache.oldest)
	}
}

func (c *course) accepts() {
	c.fresh()
	c.ask()
	c.auth.commit()
	c.Flush()
	c.answered(len(c.packets))
	c.aged()
}

// refuses lets refusals wait for a moment that comes at once.
func (c *course) refuses() {
	c.fresh()
	c.ask()
	c.auth.commit()
	c.answered(len(c.packets))
	c.aged()
}

func (c *course) repeats() {
	c.ask()
	c.answered(len(c.packets))
}

// courses are the ways of a request, each after what leads to it.
var courses = []struct {
	name    string
	verdict authn.Verdict
	delay   time.Duration
	before  func(*course)
	round   func(*course)
	counter counter
}{
	{"Accept", authn.Accept, 0, nil, (*course).accepts, countAccepts},
	{"DelayedReject", authn.Reject, 2 * time.Millisecond, nil, (*course).refuses, countRejects},
	{"Retransmission", authn.Accept, 0, (*course).accepts, (*course).repeats, countDuplicates},
}

// TestNothingIsAllocated: a login costs no memory, from the receive buffer to the answer in the kernel.
func TestNothingIsAllocated(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, x := range courses {
		t.Run(x.name, func(t *testing.T) {
			c := newCourse(t, &batch{verdict: x.verdict, delay: x.delay})
			if x.before != nil {
				x.before(c)
			}
			for range 2 * turnsKept / len(c.packets) {
				x.round(c)
			}
			counted := &c.settled.Load().clients[0].counts[authPort][x.counter]
			before := counted.Load()
			const rounds = 100
			perRound := testing.AllocsPerRun(rounds, func() { x.round(c) })
			if n := counted.Load() - before; n != (rounds+1)*uint64(len(c.packets)) {
				t.Fatalf("%d requests counted, want %d", n, (rounds+1)*len(c.packets))
			}
			if perRound != 0 {
				t.Errorf("%v allocations for %d requests", perRound, len(c.packets))
			}
		})
	}
}

// BenchmarkLogin is one request from its datagram to the answer in the kernel, the gateway's part included.
func BenchmarkLogin(b *testing.B) {
	for _, x := range courses {
		b.Run(x.name, func(b *testing.B) {
			c := newCourse(b, &batch{verdict: x.verdict, delay: x.delay})
			if x.before != nil {
				x.before(c)
			}
			for range 2 * turnsKept / len(c.packets) {
				x.round(c)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += len(c.packets) {
				x.round(c)
			}
		})
	}
}
