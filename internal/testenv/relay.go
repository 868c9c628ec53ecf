package testenv

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// RelayOptions says what a [Relay] does to datagrams, in each direction alike and independently for each datagram. The
// zero value passes everything on at once.
type RelayOptions struct {
	Seed      uint64        // of every choice; the same seed and the same order of arrival give the same choices
	Drop      int           // percent that are lost
	Duplicate int           // percent that arrive twice
	Reorder   int           // percent that are held back, so that later ones overtake them
	Hold      time.Duration // how long one is held back at most; 0: 20 ms
}

const (
	relayHold    = 20 * time.Millisecond
	relayClients = 4096  // client addresses at a time; a further one takes the place of the one that was quiet longest
	relayHeld    = 65536 // datagrams held back at a time; further ones pass at once
	relayBuffer  = 4 << 20
)

// Relay carries UDP datagrams between clients and target ("host:port") over a bad network and gives the address that
// clients send to, on the target's loopback family. Each client address gets its own socket towards the target, so the
// target tells clients apart by port as it would without the relay. The relay ends with the test.
func Relay(t testing.TB, target string, o RelayOptions) (addr string) {
	t.Helper()
	for name, percent := range map[string]int{"Drop": o.Drop, "Duplicate": o.Duplicate, "Reorder": o.Reorder} {
		if percent < 0 || percent > 100 {
			t.Fatalf("relay: %s is %d: want 0 to 100 percent", name, percent)
		}
	}
	upstream, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		t.Fatalf("relay: %v", err)
	}
	host := "127.0.0.1:0"
	if upstream.IP.To4() == nil {
		host = "[::1]:0"
	}
	listen, err := net.ResolveUDPAddr("udp", host)
	if err != nil {
		t.Fatalf("relay: %v", err)
	}
	front, err := net.ListenUDP("udp", listen)
	if err != nil {
		t.Fatalf("relay: %v", err)
	}
	_ = front.SetReadBuffer(relayBuffer)
	if o.Hold == 0 {
		o.Hold = relayHold
	}
	r := &relay{
		front:    front,
		upstream: upstream,
		options:  o,
		choices:  rand.New(rand.NewPCG(o.Seed, 0)),
		back:     map[netip.AddrPort]*way{},
		held:     map[*time.Timer]struct{}{},
	}
	r.running.Go(r.requests)
	t.Cleanup(r.close)
	return front.LocalAddr().String()
}

type relay struct {
	front    *net.UDPConn
	upstream *net.UDPAddr
	options  RelayOptions
	running  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	choices *rand.Rand
	back    map[netip.AddrPort]*way // by client address
	held    map[*time.Timer]struct{}
}

// way is one client's own socket towards the target.
type way struct {
	*net.UDPConn
	used time.Time // when the client last sent something
}

// requests reads what clients send until the front socket is closed.
func (r *relay) requests() {
	buf := make([]byte, 65536)
	for {
		n, client, err := r.front.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error about an earlier answer
		}
		back, ok := r.socket(client)
		if !ok {
			continue
		}
		r.pass(buf[:n], func(p []byte) { _, _ = back.Write(p) })
	}
}

// answers reads what the target sends to one client until that client's socket is closed.
func (r *relay) answers(back *net.UDPConn, client netip.AddrPort) {
	buf := make([]byte, 65536)
	for {
		n, err := back.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the target's port is closed just now
		}
		r.pass(buf[:n], func(p []byte) { _, _ = r.front.WriteToUDPAddrPort(p, client) })
	}
}

// socket is the client's own way to the target, made at its first datagram.
func (r *relay) socket(client netip.AddrPort) (*way, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if back, ok := r.back[client]; ok || r.closed {
		if ok {
			back.used = time.Now()
		}
		return back, ok
	}
	if len(r.back) >= relayClients {
		r.forgetOne()
	}
	conn, err := net.DialUDP("udp", nil, r.upstream)
	if err != nil {
		return nil, false
	}
	_ = conn.SetReadBuffer(relayBuffer)
	back := &way{conn, time.Now()}
	r.back[client] = back
	r.running.Go(func() { r.answers(conn, client) })
	return back, true
}

// forgetOne closes the socket of the client that was quiet longest. It is called with mu held.
func (r *relay) forgetOne() {
	var oldest netip.AddrPort
	var since time.Time
	for client, back := range r.back {
		if since.IsZero() || back.used.Before(since) {
			oldest, since = client, back.used
		}
	}
	_ = r.back[oldest].Close()
	delete(r.back, oldest)
}

// pass sends a datagram on: never, once or twice, at once or later.
func (r *relay) pass(p []byte, send func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.options
	// All choices are drawn for every datagram, so that one percentage does not shift the others' sequence.
	drop, twice := r.percent(o.Drop), r.percent(o.Duplicate)
	var delays [2]time.Duration
	for i := range delays {
		late, by := r.percent(o.Reorder), time.Duration(r.choices.Int64N(int64(o.Hold)))+1
		if late {
			delays[i] = by
		}
	}
	if drop {
		return
	}
	r.sendAfter(delays[0], p, send)
	if twice {
		r.sendAfter(delays[1], p, send)
	}
}

func (r *relay) percent(n int) bool { return r.choices.IntN(100) < n }

// sendAfter sends p now or, from a copy, after d. It is called with mu held.
func (r *relay) sendAfter(d time.Duration, p []byte, send func([]byte)) {
	if r.closed {
		return
	}
	if d == 0 || len(r.held) >= relayHeld {
		send(p)
		return
	}
	kept := append([]byte(nil), p...)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.held, timer)
		if !r.closed {
			send(kept)
		}
	})
	r.held[timer] = struct{}{}
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	for timer := range r.held {
		timer.Stop()
	}
	_ = r.front.Close()
	for _, back := range r.back {
		_ = back.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}
