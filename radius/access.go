package radius

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"sekisho/authn"
)

// Service-Types that ask for something else than a login.
const (
	serviceCallCheck     = 10 // whether a call is to be taken, by its number (RFC 2865 section 5.6)
	serviceAuthorizeOnly = 17 // attributes without a proof, after a CoA-Request of the server (RFC 5176 section 3.2)
)

// access takes an Access-Request from its proof to the Authenticator.
func (s *Server) access(c *client, p *packet, from path, now time.Time) fault {
	secret, f := s.authentic(c, p, from.remote.Addr().WithZone(""))
	if f != noFault {
		return f
	}
	if f := p.meaning(); f != noFault {
		return f
	}
	key := requestKey{from.local, from.remote, p.code, p.id}
	e, reply, found := s.cache.begin(key, p.raw, now, func() bool { return s.logins.take(c, p.state != nil) })
	switch found {
	case isDuplicate:
		s.repeat(authPort, c, key, reply, from)
		return noFault
	case isFull:
		return faultOverload
	case isConflict:
		s.conflict(c, from.remote.Addr(), now)
	}
	s.open.Add(1)
	newRequest(s, c, secret, p, from, e, now).start()
	return noFault
}

// authentic applies the client's Message-Authenticator policy and gives the secret of the request (RFC 3579 section 3.2,
// draft-ietf-radext-deprecating-radius). Nothing before it has changed anything.
func (s *Server) authentic(c *client, p *packet, source netip.Addr) (*sharedSecret, fault) {
	raised := c.messageAuth == messageAuthRatchet && s.Ratchets.RatchetRaised(c.name, source)
	if p.maAt == 0 {
		switch {
		case c.messageAuth == messageAuthRequired, raised, p.kinds&kindEAP != 0:
			return nil, faultMessageAuthMissing
		case c.limitProxies && p.proxyState > 0:
			return nil, faultProxyState
		}
		return c.current(), noFault
	}
	secret := c.verify(func(k *sharedSecret) bool { return k.verifyMessageAuth(p.raw, p.maAt) })
	if secret == nil {
		return nil, faultMessageAuthWrong
	}
	if c.messageAuth == messageAuthRatchet && !raised && p.kinds&kindEAP == 0 {
		s.Ratchets.RaiseRatchet(c.name, source)
		s.Log.Info("RADIUS: the gateway sends Message-Authenticator; from now on it is required of it", "client", c.name, "source", source.String())
	}
	return secret, noFault
}

// meaning checks what RFC 2865 section 4.1 and 5.44 ask of an Access-Request as a whole.
func (p *packet) meaning() fault {
	switch {
	case p.kinds.several():
		return faultSeveralPasswords
	case p.repeated:
		return faultRepeated
	case p.kinds == 0 && p.state == nil:
		return faultNoPassword
	case p.name == nil && p.state == nil:
		return faultNoName
	}
	return noFault
}

// repeat answers a duplicate: with the same octets, or not at all while the first is worked on.
func (s *Server) repeat(on port, c *client, key requestKey, reply []byte, to path) {
	c.counts[on][countDuplicates].Add(1)
	if reply != nil {
		s.cache.again(key, reply, func() { _ = to.via.send(reply, &to) })
	}
}

// conflict raises the alarm of S17: a gateway that uses a Request Authenticator twice is broken or imitated.
func (s *Server) conflict(c *client, source netip.Addr, now time.Time) {
	s.conflicts.Add(1)
	s.sayText(&s.lines, slog.LevelError, source, "conflict",
		"ALARM: the gateway used a Request Authenticator again for another packet; its random numbers are broken, or somebody forges its requests",
		now, "client", c.name)
}

// request is one Access-Request or Accounting-Request between its checks and its answer.
type request struct {
	server  *Server
	client  *client
	secret  *sharedSecret
	path    path
	entry   *entry
	packet  packet // over its own copy of the datagram
	arrived time.Time

	login    authn.Login
	password [128]byte

	decided atomic.Bool
	closed  atomic.Bool
}

// newRequest copies what has to outlive the receive buffer.
func newRequest(s *Server, c *client, secret *sharedSecret, p *packet, from path, e *entry, now time.Time) *request {
	r := &request{server: s, client: c, secret: secret, path: from, entry: e, arrived: now}
	r.packet = packet{raw: slices.Clone(p.raw), code: p.code, id: p.id}
	r.packet.walk() // the same octets pass again
	return r
}

// start hands the login over, or refuses here what the Authenticator need not see: what is no login counts as nobody's
// failure, and nobody is looked for.
func (r *request) start() {
	defer r.recovered()
	if r.client.probe(r.packet.name) {
		r.decide(authn.Decision{Verdict: authn.Reject, Delayed: true})
		return
	}
	if text := r.fill(); text != "" {
		r.server.sayText(&r.server.lines, slog.LevelWarn, r.path.remote.Addr(), "refused", text, r.arrived, "client", r.client.name)
		r.decide(authn.Decision{Verdict: authn.Reject, Delayed: true})
		return
	}
	r.client.authenticator.Authenticate(&r.login, r.decide)
}

// fill makes the Login, or says why the request is refused without one. An attribute that bears the proof and has a
// wrong value is refused and not dropped (RFC 2865 section 5): else a person with a long password could make the gateway
// take this server for dead.
func (r *request) fill() (refusal string) {
	p := &r.packet
	switch {
	case p.aclProbe:
		return "a Cisco gateway asked for an access list (aaa:event=acl-download), which is not served here"
	case p.serviceType == serviceAuthorizeOnly:
		// The State of such a request comes from a CoA-Request (RFC 5080 section 2.1.1), which this server does not send.
		return "Service-Type Authorize-Only proves nobody; take this server out of the gateway's authorization"
	case p.serviceType == serviceCallCheck:
		return "Service-Type Call-Check asks about a call and not about a person, which is not served here"
	case p.kinds == kindARAP:
		return "ARAP-Password is not taken; set the gateway to PAP"
	}
	l := &r.login
	*l = authn.Login{Client: &r.client.login, Name: p.name, State: p.state, Station: p.station,
		Source: r.path.remote, Packet: p.raw, Arrived: r.arrived, Method: authn.PAP, Signed: p.maAt != 0}
	switch p.kinds {
	case kindCHAP:
		l.Method = authn.CHAP
	case kindMSCHAP:
		l.Method = authn.MSCHAP
	case kindEAP:
		l.Method = authn.EAP
	case kindPAP:
		n := len(p.password)
		if n < 16 || n > len(r.password) || n%16 != 0 {
			return "User-Password is not 16, 32, ... or 128 octets long (RFC 2865 section 5.2)"
		}
		text, rest, _ := bytes.Cut(r.secret.reveal(&r.password, p.authenticator(), p.password), []byte{0})
		if p.maAt == 0 && garbled(r.client.utf8(text), rest) {
			r.server.sayText(&r.server.lines, slog.LevelWarn, r.path.remote.Addr(), "garbled",
				"probably wrong shared secret: a User-Password without Message-Authenticator decodes to no text", r.arrived, "client", r.client.name)
		}
		r.client.typed(l, text)
	}
	return ""
}

// garbled reports that a password looks like the output of the wrong secret: control characters or no UTF-8, and no
// padding that proves the secret right. A gateway that sends ISO-8859-1 pads with NULs and so passes.
func garbled(text, rest []byte) bool {
	if len(rest) > 0 && len(bytes.Trim(rest, "\x00")) == 0 {
		return false
	}
	return !utf8.Valid(text) || bytes.ContainsFunc(text, unicode.IsControl)
}

// decide takes the Decision, whose durable part is done, and answers now or in its slot.
func (r *request) decide(d authn.Decision) {
	if !r.decided.CompareAndSwap(false, true) {
		return
	}
	defer r.recovered()
	s := r.server
	s.logins.give(r.client)
	now := s.now()
	b, f := r.answer(&d)
	if f != noFault {
		r.drop(f)
		return
	}
	late := r.arrived.Add(r.client.login.Deadline)
	if d.Verdict == authn.Reject || d.Delayed {
		at := slot(r.arrived, now, r.client.authenticator.RejectDelay(&r.client.login))
		if at.After(late) {
			// The entry stays without an answer, so that a repetition learns no more than silence either.
			r.silent(faultLate)
			return
		}
		if !at.After(now) {
			r.send(b, &d, true)
			return
		}
		r.later(b, d, at.Sub(now))
		return
	}
	// An Accept that comes too late is not sent, but a gateway that still repeats its request gets it.
	r.send(b, &d, !now.After(late))
}

// later sends an answer by itself when its time has come.
func (r *request) later(b []byte, d authn.Decision, wait time.Duration) {
	s := r.server
	if !s.waiting.take(r.client, false) {
		r.silent(faultOverload)
		return
	}
	d.Batched = false
	time.AfterFunc(wait, func() {
		defer r.recovered()
		s.waiting.give(r.client)
		r.send(b, &d, true)
	})
}

// slot is when a refusal leaves: at arrival + k x d, the first k of 1, 2, ... for which it was ready (S20).
func slot(arrived, ready time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return ready
	}
	k := max(1, (ready.Sub(arrived)+d-1)/d)
	return arrived.Add(k * d)
}

// send caches the answer and sends it unless its time is over or another request has taken its place.
func (r *request) send(b []byte, d *authn.Decision, inTime bool) {
	defer r.close()
	if !r.server.cache.answer(r.entry, b, d.Account, d.Verdict == authn.Accept) {
		return
	}
	if !inTime {
		r.count(faultLate)
		return
	}
	switch d.Verdict {
	case authn.Accept:
		r.client.counts[authPort][countAccepts].Add(1)
	case authn.Reject:
		r.client.counts[authPort][countRejects].Add(1)
	case authn.Challenge:
		r.client.counts[authPort][countChallenges].Add(1)
	}
	if d.Batched {
		r.path.via.queue(b, &r.path, r.server.failed)
		return
	}
	r.transmit(b)
}

// transmit hands the answer to the kernel.
func (r *request) transmit(b []byte) {
	if err := r.path.via.send(b, &r.path); err != nil {
		r.server.unsent(r.path.remote.Addr(), err)
	}
}

// drop ends a request without an answer and lets a repetition be worked on afresh.
func (r *request) drop(f fault) {
	r.server.cache.forget(r.entry)
	r.silent(f)
}

// silent ends a request without an answer, for its repetitions too.
func (r *request) silent(f fault) {
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
	if r.closed.CompareAndSwap(false, true) {
		r.server.open.Done()
	}
}

// recovered ends this request, and no other, when something panicked in it.
func (r *request) recovered() {
	v := recover()
	if v == nil {
		return
	}
	r.server.panicked(v, r.client, r.port())
	if r.decided.CompareAndSwap(false, true) {
		r.held().give(r.client)
	}
	r.drop(noFault)
}

// held is where the request holds its place until it is decided.
func (r *request) held() *places {
	if r.packet.code == AccountingRequest {
		return r.server.records
	}
	return r.server.logins
}
