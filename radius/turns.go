package radius

import (
	"sync"
	"sync/atomic"

	"sekisho/authn"
)

const (
	turnsKept = 4096           // how many turns rest before one is used again
	turnsMost = 16 * turnsKept // how many rest after a flood
)

// turn is the right to answer one request, once. It is apart from the request because a request is used again at once,
// and whoever was given done may call it twice: a turn that was spent does nothing, and is spoilt by a second call.
type turn struct {
	of     atomic.Pointer[request] // nil: spent
	spoilt atomic.Bool             // never used again
	server *Server
	decide func(authn.Decision) // methods bound once, so that a login makes no closure
	saved  func(error)
	next   *turn // of those that rest
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

// turns are those at rest, of which the one that has rested longest is used next: a second answer would have to come more
// than turnsKept requests after the first to meet a turn in use.
type turns struct {
	mu             sync.Mutex
	oldest, newest *turn
	n              int
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

// rested takes the oldest where enough are at rest; else nil.
func (ts *turns) rested() *turn {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.n <= turnsKept {
		return nil
	}
	t := ts.oldest
	ts.oldest, t.next = t.next, nil
	ts.n--
	return t
}

// rest takes a spent turn back.
func (ts *turns) rest(t *turn) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.spoilt.Load() || ts.n == turnsMost {
		return
	}
	if ts.n == 0 {
		ts.oldest = t
	} else {
		ts.newest.next = t
	}
	ts.newest = t
	ts.n++
}
