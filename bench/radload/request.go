package main

import (
	"encoding/binary"
	"time"

	"sekisho/bench/internal/rad"

	"layeh.com/radius/rfc2759"
)

// start builds one request and queues it; false when no user has a fresh code now.
func (w *worker) start(from, t int64, counted bool) bool {
	user := w.cur
	counter, ok := w.fresh(user, t)
	if !ok {
		w.stalled += time.Millisecond
		time.Sleep(time.Millisecond)
		return false
	}
	if w.cur += w.c.workers; w.cur >= len(w.us.name) {
		w.cur = w.no
	}
	s, id := w.identifier()
	sl := &s.slots[id]
	sl.busy, sl.counted, sl.tries, sl.from = true, counted, 0, from
	sl.deadline = t + int64(w.c.timeout)
	w.build(sl, id, user, counter)
	s.out.Put(sl.pkt, nil)
	w.outstanding++
	w.started++
	if counted {
		w.sent++
		w.countSent(from)
		if w.c.rate > 0 {
			w.lag.add(t - from)
		}
	}
	return true
}

// fresh takes the counter or step of a code that the user has not sent before.
func (w *worker) fresh(user int, t int64) (counter uint64, ok bool) {
	c, next := w.c, &w.us.next[user]
	if c.raw || c.layout == "pass" {
		return 0, true
	}
	if c.kind == "hotp" {
		counter = uint64(*next)
		if !c.wrong && !c.unknown { // a refused code is not used up
			*next++
		}
		return counter, true
	}
	step := (epochUnix + t) / int64(30*time.Second)
	k := max(*next, step-c.back)
	if k > step+c.fwd {
		if !c.reuse {
			return 0, false
		}
		k = step
	}
	*next = k + 1
	return uint64(k), true
}

// identifier takes the one that has been free for longest on the next socket that has any; outstanding < limit holds
// that there is one.
func (w *worker) identifier() (*sock, byte) {
	for {
		s := w.socks[w.rr]
		if w.rr++; w.rr == len(w.socks) {
			w.rr = 0
		}
		if s.nfree > 0 {
			id := s.free[s.fh]
			s.fh = (s.fh + 1) & 255
			s.nfree--
			return s, id
		}
	}
}

var nasIP = []byte{127, 0, 0, 1}

// build makes the Access-Request in the slot's own buffer.
func (w *worker) build(sl *slot, id byte, user int, counter uint64) {
	binary.LittleEndian.PutUint64(sl.auth[:], w.rng.Uint64())
	binary.LittleEndian.PutUint64(sl.auth[8:], w.rng.Uint64())
	b := rad.Begin(sl.pkt, rad.CodeRequest, id, &sl.auth)
	if w.c.raw {
		b[3] = byte(len(b))
		sl.pkt = b
		return
	}
	us, text := w.us, w.text[:0]
	switch w.c.layout {
	case "pass", "passotp":
		text = append(text, us.password[user][:]...)
	case "pinotp":
		text = append(text, us.pin[user][:]...)
	}
	if w.c.layout != "pass" {
		text = w.coder.Append(text, us.secret[user][:], counter, w.c.digits)
	}
	if w.c.wrong {
		text[len(text)-1] ^= 1
	}
	w.text = text
	b = append(b, rad.AttrUserName, byte(len(us.name[user])+2))
	b = append(b, us.name[user]...)
	b = rad.AppendAttr(b, rad.AttrNASIPAddress, nasIP)
	switch w.c.auth {
	case "pap":
		b = w.ctx.AppendPAP(b, &sl.auth, text)
	case "chap":
		b = w.ctx.AppendCHAP(b, id, text, sl.auth[:])
	case "mschapv2":
		b = w.mschap(b, sl, us.name[user], text)
	}
	w.ctx.FinishRequest(b)
	sl.pkt = b
}

// mschap appends an MS-CHAPv2 response (RFC 2759) and notes what the server has to answer.
func (w *worker) mschap(b []byte, sl *slot, name string, text []byte) []byte {
	var challenge, peer [16]byte
	copy(challenge[:], sl.auth[:])
	for i := range peer {
		peer[i] = challenge[i] ^ 0x5a
	}
	nt, err := rfc2759.GenerateNTResponse(challenge[:], peer[:], []byte(name), text)
	fail(err)
	sl.ms, err = rfc2759.GenerateAuthenticatorResponse(challenge[:], peer[:], nt, []byte(name), text)
	fail(err)
	var v [50]byte // ident, flags, peer challenge, 8 reserved, response
	copy(v[2:], peer[:])
	copy(v[26:], nt)
	b = rad.AppendMS(b, rad.MSCHAPChallenge, challenge[:])
	return rad.AppendMS(b, rad.MSCHAP2Response, v[:])
}
