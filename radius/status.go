package radius

import "time"

// status answers the question whether this server is alive (RFC 5997). It needs a Message-Authenticator whatever the
// client's policy, has no effect that a user could see, moves no ratchet, and stays silent while logins could not be
// answered, so that the gateway turns to its next server.
func (s *Server) status(on port, c *client, p *packet, from *path, now time.Time) fault {
	if !c.status {
		return faultCode
	}
	if p.maAt == 0 {
		return faultMessageAuthMissing
	}
	secret := c.verify(func(k *sharedSecret) bool { return k.verifyMessageAuth(p.raw, p.maAt) })
	switch {
	case secret == nil:
		return faultMessageAuthWrong
	case !c.allowStatus(now):
		return faultStatusRate
	case s.Healthy != nil && !s.Healthy():
		return faultUnhealthy
	}
	code := AccessAccept
	if on == acctPort {
		code = AccountingResponse
	}
	b := p.end(p.begin(nil, code, true), secret, true)
	if b == nil {
		return faultReplySize
	}
	_ = from.via.send(b, from)
	return noFault
}
