package main

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"runtime"
	"time"

	"sekisho/bench/internal/mmsg"
	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/rad"
)

// receive answers refusals and repeated requests at once and queues accepted logins for commit.
func (s *server) receive(secret []byte, batch int) {
	runtime.LockOSThread()
	var (
		in    = mmsg.New(batch, 4096, true)
		out   = mmsg.New(batch, 0, true)
		ctx   = rad.NewCtx(secret)
		mac   = hmac.New(md5.New, secret)
		coder = otpgen.NewCoder()
		dup   = map[uint64]*seen{}
		bufs  = make([][]byte, batch)
		pw    []byte
	)
	for i := range bufs {
		bufs[i] = make([]byte, 0, 256)
	}
	for {
		n, err := in.Recv(s.fd, true)
		check(err)
		step := time.Now().Unix() / 30
		queued := false
		for i := range n {
			p := in.Msg(i)
			if !authentic(p, mac) {
				continue
			}
			peer := in.Peer(i)
			key := uint64(binary.BigEndian.Uint32(peer.Addr[:]))<<24 | uint64(peer.Port)<<8 | uint64(p[1])
			d := dup[key]
			if d == nil {
				d = &seen{}
				dup[key] = d
			} else if string(d.auth[:]) == string(p[4:20]) {
				if d.done.Load() {
					out.Put(d.resp, peer)
				}
				continue
			}
			d.done.Store(false)
			copy(d.auth[:], p[4:20])
			ui, counter, ok := s.login(p, ctx, coder, step, &pw)
			code := byte(rad.CodeReject)
			if ok {
				code = rad.CodeAccept
			}
			b := rad.Begin(bufs[i], code, p[1], &d.auth)
			ctx.SignResponse(b, p[4:20])
			d.resp = append(d.resp[:0], b...)
			if !ok {
				d.done.Store(true)
				out.Put(b, peer)
				continue
			}
			s.mu.Lock()
			g := s.cur
			g.log = binary.LittleEndian.AppendUint32(g.log, uint32(ui))
			g.log = binary.LittleEndian.AppendUint64(g.log, uint64(counter))
			g.resp = append(g.resp, b...)
			g.end = append(g.end, len(g.resp))
			g.peer = append(g.peer, *peer)
			g.seen = append(g.seen, d)
			s.mu.Unlock()
			queued = true
		}
		if queued {
			s.cond.Signal()
		}
		check(out.Send(s.fd))
	}
}

// authentic checks form and Message-Authenticator of an Access-Request.
func authentic(p []byte, mac hash.Hash) bool {
	if len(p) < rad.HeaderLen || p[0] != rad.CodeRequest || int(binary.BigEndian.Uint16(p[2:])) != len(p) {
		return false
	}
	ma := rad.Find(p, rad.AttrMsgAuth)
	if len(ma) != 16 {
		return false
	}
	got := [16]byte(ma)
	clear(ma)
	mac.Reset()
	mac.Write(p)
	var s [16]byte
	ok := hmac.Equal(mac.Sum(s[:0]), got[:])
	copy(ma, got[:])
	return ok
}

// login checks the code and takes its counter in memory; it is not yet durable.
func (s *server) login(p []byte, ctx *rad.Ctx, coder *otpgen.Coder, step int64, buf *[]byte) (int32, int64, bool) {
	ui, ok := s.index[string(rad.Find(p, rad.AttrUserName))]
	if !ok {
		return 0, 0, false
	}
	u := &s.users[ui]
	h := rad.Find(p, rad.AttrUserPassword)
	if len(h) < 16 || len(h) > 128 || len(h)%16 != 0 {
		return 0, 0, false
	}
	pw := ctx.UnhidePAP((*buf)[:0], p[4:20], h)
	*buf = pw
	if len(pw) < 6 {
		return 0, 0, false
	}
	code := pw[len(pw)-6:]
	if s.pass && subtle.ConstantTimeCompare(pw[:len(pw)-6], u.pw[:]) != 1 {
		return 0, 0, false
	}
	lo, hi := u.last+1, u.last+1+s.window
	if !s.hotp {
		lo, hi = max(lo, step-s.window), step+s.window
	}
	var c [8]byte
	try := func(k int64) bool {
		return k >= lo && k <= hi && subtle.ConstantTimeCompare(coder.Append(c[:0], u.secret[:], uint64(k), 6), code) == 1
	}
	if !s.hotp && try(step) { // most likely first
		u.last = step
		return ui, step, true
	}
	for k := lo; k <= hi; k++ {
		if (s.hotp || k != step) && try(k) {
			u.last = k
			return ui, k, true
		}
	}
	return 0, 0, false
}
