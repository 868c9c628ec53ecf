package radius

import (
	"encoding/binary"
	"net/netip"
	"time"

	"sekisho/authn"
)

// Acct-Status-Types of RFC 2866 section 5.1 that speak of a whole gateway and need no session.
const (
	acctOn  = 7
	acctOff = 8
)

// accounting takes an Accounting-Request from its proof to Sessions. Its Request Authenticator covers the whole packet, so
// a Message-Authenticator, which RFC 3579 section 3.3 forbids here, is not looked at.
func (s *Server) accounting(c *client, p *packet, from *path, now time.Time) fault {
	secret := c.verify(func(k *sharedSecret) bool { return k.verifyAccounting(p.raw) })
	if secret == nil {
		return faultAuthenticator
	}
	session, f := parseSession(p.attributes(), now)
	if f != noFault {
		return f
	}
	key := from.key(p.code, p.id)
	e, found := s.cache.begin(key, p.raw, now, func() bool { return s.records.take(c, false) })
	switch found {
	case isDuplicate:
		s.repeat(acctPort, c, key, p, from)
		return noFault
	case isFull:
		return faultOverload
	case isConflict:
		s.conflict(c, from.remote.Addr(), now)
	}
	session.Client = c.name
	if session.NAS == "" {
		session.NAS = from.remote.Addr().String()
	}
	s.request(c, secret, p, from, e, now).save(session)
	return noFault
}

// save hands a record over and acknowledges it when it is durable; what is not saved is not acknowledged, so the gateway
// repeats it (RFC 2866 section 2).
func (r *request) save(session *authn.Session) {
	defer r.let()
	defer r.contained()
	if err := r.server.Sessions.SaveSession(session, r.turn.saved); err != nil {
		r.turn.saved(err)
	}
}

// wasSaved takes what came of a record.
func (t *turn) wasSaved(err error) {
	r := t.take()
	if r == nil {
		return
	}
	r.server.records.give(r.client)
	r.guarded(func() { r.acknowledge(err) })
	r.let()
}

func (r *request) acknowledge(err error) {
	if err != nil {
		r.drop(faultUnsaved)
		return
	}
	// No Message-Authenticator: old gateways do not expect one in accounting, and nothing in this answer is worth forging.
	b := r.packet.end(r.packet.begin(r.out, AccountingResponse, false), r.secret, false)
	if b == nil {
		r.drop(faultReplySize)
		return
	}
	defer r.close()
	r.out, r.verdict, r.account = b, 0, 0
	if r.keep() {
		r.client.counts[acctPort][countResponses].Add(1)
		r.transmit()
	}
}

// parseSession reads the attributes of an Accounting-Request whose form is sound. It copies what it keeps.
func parseSession(attributes []byte, now time.Time) (*authn.Session, fault) {
	raw := append([]byte(nil), attributes...)
	s := &authn.Session{Received: now, Raw: raw}
	var (
		nasAddr   netip.Addr
		delay     uint32
		hasStatus bool
		at        time.Time
	)
	for rest := raw; len(rest) >= 2; rest = rest[rest[1]:] {
		value := rest[2:rest[1]]
		number, isNumber := uint32(0), len(value) == 4
		if isNumber {
			number = binary.BigEndian.Uint32(value)
		}
		switch typ := rest[0]; typ {
		case attrUserName:
			s.Name = value
		case attrCallingStation:
			s.Station = value
		case attrNASIdentifier:
			s.NAS = string(value)
		case attrAcctSessionID:
			s.ID = string(value)
		case attrNASIPAddress, attrNASIPv6Address:
			if a, ok := netip.AddrFromSlice(value); ok && !a.IsLinkLocalUnicast() && !nasAddr.IsValid() {
				nasAddr = a
			}
		case attrFramedIP, attrFramedIPv6:
			if a, ok := netip.AddrFromSlice(value); ok && (typ == attrFramedIP || !s.Framed.IsValid()) {
				s.Framed = a
			}
		case attrEventTimestamp:
			if isNumber && number != 0 {
				at = time.Unix(int64(number), 0).UTC()
			}
		case attrAcctStatusType:
			if isNumber {
				s.Status, hasStatus = number, true
			}
		case attrAcctDelayTime, attrAcctTime, attrAcctInOctets, attrAcctOutOctets, attrAcctInGiga, attrAcctOutGiga, attrAcctCause:
			if isNumber {
				count(s, typ, number, &delay)
			}
		}
	}
	if !hasStatus || s.ID == "" && s.Status != acctOn && s.Status != acctOff {
		return nil, faultAccounting
	}
	if s.NAS == "" && nasAddr.IsValid() {
		s.NAS = nasAddr.String()
	}
	if at.IsZero() {
		// Whole seconds, as the gateway counts the delay: a repetition with a longer delay then names the same event.
		at = now.Add(-time.Duration(delay) * time.Second).Truncate(time.Second).UTC()
	}
	s.At = at
	return s, noFault
}

// count takes over one number of a record (RFC 2866 section 5, RFC 2869 section 5.1 and 5.2).
func count(s *authn.Session, typ byte, n uint32, delay *uint32) {
	switch typ {
	case attrAcctDelayTime:
		*delay = n
	case attrAcctTime:
		s.Seconds = n
	case attrAcctInOctets:
		s.In = s.In&^0xffffffff | uint64(n)
	case attrAcctOutOctets:
		s.Out = s.Out&^0xffffffff | uint64(n)
	case attrAcctInGiga:
		s.In = s.In&0xffffffff | uint64(n)<<32
	case attrAcctOutGiga:
		s.Out = s.Out&0xffffffff | uint64(n)<<32
	case attrAcctCause:
		s.Cause = n
	}
}
