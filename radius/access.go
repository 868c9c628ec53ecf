package radius

import (
	"bytes"
	"log/slog"
	"net/netip"
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
func (s *Server) access(c *client, p *packet, from *path, now time.Time) fault {
	secret, f := s.authentic(c, p, from.remote.Addr().WithZone(""))
	if f != noFault {
		return f
	}
	if f := p.meaning(); f != noFault {
		return f
	}
	key := from.key(p.code, p.id)
	e, found := s.cache.begin(key, p.raw, now, func() bool { return s.logins.take(c, p.state != nil) })
	switch found {
	case isDuplicate:
		s.repeat(authPort, c, key, p, from)
		return noFault
	case isFull:
		return faultOverload
	case isConflict:
		s.conflict(c, from.remote.Addr(), now)
	}
	s.request(c, secret, p, from, e, now).start()
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
func (s *Server) repeat(on port, c *client, key requestKey, p *packet, to *path) {
	c.counts[on][countDuplicates].Add(1)
	s.cache.again(key, p.raw, func(reply []byte) { _ = to.via.send(reply, to) })
}

// conflict raises the alarm of S17: a gateway that uses a Request Authenticator twice is broken or imitated.
func (s *Server) conflict(c *client, source netip.Addr, now time.Time) {
	s.conflicts.Add(1)
	s.sayText(&s.lines, slog.LevelError, source, "conflict",
		"ALARM: the gateway used a Request Authenticator again for another packet; its random numbers are broken, or somebody forges its requests",
		now, slog.String("client", c.name))
}

// start hands the login over, or refuses here what the Authenticator need not see: what is no login counts as nobody's
// failure, and nobody is looked for.
func (r *request) start() {
	defer r.let()
	defer r.contained()
	if r.client.probe(r.packet.name) {
		r.turn.decide(authn.Decision{Verdict: authn.Reject, Delayed: true})
		return
	}
	if text := r.fill(); text != "" {
		r.server.sayText(&r.server.lines, slog.LevelWarn, r.path.remote.Addr(), "refused", text, r.arrived, slog.String("client", r.client.name))
		r.turn.decide(authn.Decision{Verdict: authn.Reject, Delayed: true})
		return
	}
	r.client.authenticator.Authenticate(&r.login, r.turn.decide)
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
				"probably wrong shared secret: a User-Password without Message-Authenticator decodes to no text", r.arrived, slog.String("client", r.client.name))
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

// decided takes the Decision, whose durable part is done, and answers now or in its slot.
func (t *turn) decided(d authn.Decision) {
	r := t.take()
	if r == nil {
		return
	}
	r.server.logins.give(r.client)
	waits := false
	r.guarded(func() { waits = r.decide(&d) })
	if !waits {
		r.let()
	}
}

// decide reports whether the answer waits for its moment.
func (r *request) decide(d *authn.Decision) (waits bool) {
	now := r.server.now()
	if f := r.answer(d); f != noFault {
		r.drop(f)
		return false
	}
	r.verdict, r.account = d.Verdict, d.Account
	late := r.arrived.Add(r.client.login.Deadline)
	if d.Verdict != authn.Reject && !d.Delayed {
		// An Accept that comes too late is not sent, but a gateway that still repeats its request gets it.
		r.send(d.Batched, !now.After(late))
		return false
	}
	at := slot(r.arrived, now, r.client.authenticator.RejectDelay(&r.client.login))
	switch {
	case at.After(late):
		// The entry stays without an answer, so that a repetition learns no more than silence either.
		r.silent(faultLate)
		return false
	case at.After(now):
		return r.later(at, now)
	}
	r.send(d.Batched, true)
	return false
}

// send caches the answer and sends it unless its time is over or another request has taken its place.
func (r *request) send(batched, inTime bool) {
	defer r.close()
	if !r.keep() {
		return
	}
	if !inTime {
		r.count(faultLate)
		return
	}
	switch r.verdict {
	case authn.Accept:
		r.client.counts[authPort][countAccepts].Add(1)
	case authn.Reject:
		r.client.counts[authPort][countRejects].Add(1)
	case authn.Challenge:
		r.client.counts[authPort][countChallenges].Add(1)
	}
	if batched {
		r.path.via.queue(r.out, &r.path, r.server.failed)
		return
	}
	r.transmit()
}
