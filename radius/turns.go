package radius

import (
	"sync"
	"sync/atomic"

	"sekisho/authn"
)

// turnsKept is how many turns rest before one is used again.
const turnsKept = 4096

// turn is the right to answer one request, once. It is apart from the request because a request is used again at once,
// and whoever was given done may call it twice: a turn that was spent does nothing, and is spoilt by a second call.
type turn struct {
	of     atomic.Pointer[request] // nil: spent
	spoilt atomic.Bool             // never used again
	server *Server
	decide func(authn.Decision) // methods bound once, so that a login makes no closure
	saved  func(error)
}

// spend gives the request to the first who asks.
func (t *turn) spend() *request { return t.of.Swap(nil) }

// take is spend for those outside the package; a second call is a mistake of theirs.
func (t *turn) take() *request {
	r := t.spend()
	if r == nil && !t.spoilt.Swap(true) {
		t.server.Log.Error("RADIUS: a request was answered twice, and the second answer not sent; please report it")
	}
	return r
}

// turns are those at rest, a ring: the one that has rested longest is used next. A second answer would have to come more
// than turnsKept requests after the first to meet a turn in use.
type turns struct {
	mu      sync.Mutex
	ring    [turnsKept]*turn
	next, n int
}

// of gives a request its turn.
func (ts *turns) of(r *request) *turn {
	t := ts.rested()
	for t != nil && t.spoilt.Load() {
		t = ts.rested()
	}
	if t == nil {
		t = &turn{server: r.server}
		t.decide, t.saved = t.decided, t.wasSaved
	}
	t.of.Store(r)
	return t
}

// rested takes the oldest of a full ring; nil while it fills.
func (ts *turns) rested() *turn {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.n < turnsKept {
		return nil
	}
	t := ts.ring[ts.next]
	ts.ring[ts.next] = nil
	ts.n--
	ts.next = (ts.next + 1) % turnsKept
	return t
}

// rest takes a spent turn back.
func (ts *turns) rest(t *turn) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.spoilt.Load() || ts.n == turnsKept {
		return
	}
	ts.ring[(ts.next+ts.n)%turnsKept] = t
	ts.n++
}
