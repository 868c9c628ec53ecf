package radius

import (
	"sync/atomic"
	"time"

	"sekisho/authn"
)

// roomKept is the most octets of a packet whose room a request keeps for its next use.
const roomKept = 1024

// request is one Access-Request or Accounting-Request between its checks and its answer. Its memory is used again for
// another when both who hold it have let it go: the receiver, whose Authenticator may still read the login, and the answer.
type request struct {
	server  *Server
	client  *client
	secret  *sharedSecret
	path    path
	entry   *entry // nil: the cache knows what came of it
	packet  packet // over its own copy of the datagram
	arrived time.Time
	turn    *turn
	holders atomic.Int32
	spoilt  atomic.Bool // something panicked in it: never used again, whoever may still know it

	login    authn.Login
	password [128]byte

	// The answer; these belong to who spent the turn.
	out     []byte
	verdict authn.Verdict
	account authn.AccountID
	leaves  time.Time // of a refusal that waits
	closed  bool
}

func newRequest(s *Server) *request { return &request{server: s} }

// request copies what has to outlive the receive buffer.
func (s *Server) request(c *client, secret *sharedSecret, p *packet, from *path, e *entry, now time.Time) *request {
	s.open.Add(1)
	r := s.requests.Get().(*request)
	r.client, r.secret, r.path, r.entry, r.arrived, r.closed = c, secret, *from, e, now, false
	r.packet = packet{raw: append(r.packet.raw[:0], p.raw...), code: p.code, id: p.id}
	r.packet.walk() // the same octets pass again
	r.holders.Store(2)
	r.turn = s.turns.of(r)
	return r
}

// let is called by each of its two holders when they are through with it. What was secret is wiped.
func (r *request) let() {
	if r.holders.Add(-1) > 0 {
		return
	}
	s := r.server
	s.turns.rest(r.turn)
	if r.spoilt.Load() {
		return
	}
	clear(r.password[:])
	r.login, r.turn, r.client, r.secret, r.entry = authn.Login{}, nil, nil, nil, nil
	r.packet = packet{raw: room(r.packet.raw)}
	r.out = room(r.out)
	s.requests.Put(r)
}

// room gives the room of a slice for the next use, unless it is an unusual lot.
func room(b []byte) []byte {
	if cap(b) > roomKept {
		return nil
	}
	return b[:0]
}

// keep puts the answer into the cache and reports whether it may be sent.
func (r *request) keep() bool {
	e := r.entry
	r.entry = nil
	return r.server.cache.answer(e, r.out, r.account, r.verdict == authn.Accept)
}

// transmit hands the answer to the kernel.
func (r *request) transmit() {
	if err := r.path.via.send(r.out, &r.path); err != nil {
		r.server.unsent(r.path.remote.Addr(), err)
	}
}

// drop ends a request without an answer and lets a repetition be worked on afresh.
func (r *request) drop(f fault) {
	if e := r.entry; e != nil {
		r.entry = nil
		r.server.cache.forget(e)
	}
	r.silent(f)
}

// silent ends a request without an answer, for its repetitions too.
func (r *request) silent(f fault) {
	if e := r.entry; e != nil {
		r.entry = nil
		r.server.cache.leave(e)
	}
	r.count(f)
	r.close()
}

func (r *request) count(f fault) {
	if f != noFault {
		r.server.discard(r.port(), r.client, f, r.path.remote.Addr(), r.server.now())
	}
}

func (r *request) port() port {
	if r.packet.code == AccountingRequest {
		return acctPort
	}
	return authPort
}

// close tells a stopping server that nothing more comes from this request.
func (r *request) close() {
	if !r.closed {
		r.closed = true
		r.server.open.Done()
	}
}

// guarded does a part of the answer; when that panics, this request ends without one, and no other.
func (r *request) guarded(part func()) {
	defer func() {
		if v := recover(); v != nil {
			r.panicked(v)
			r.drop(noFault)
		}
	}()
	part()
}

// contained is deferred by who hands the request over: a panic there ends it, unless it has its answer already.
func (r *request) contained() {
	v := recover()
	if v == nil {
		return
	}
	r.panicked(v)
	if r.turn.spend() != nil {
		r.held().give(r.client)
		r.drop(noFault)
		r.let()
	}
}

func (r *request) panicked(v any) {
	r.spoilt.Store(true)
	r.server.panicked(v, r.client, r.port())
}

// held is where the request holds its place until it is decided.
func (r *request) held() *places {
	if r.packet.code == AccountingRequest {
		return r.server.records
	}
	return r.server.logins
}
