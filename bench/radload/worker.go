package main

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"sekisho/bench/internal/mmsg"
	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/rad"

	"golang.org/x/sys/unix"
	"layeh.com/radius/rfc2759"
)

// slot is one (socket, identifier).
type slot struct {
	busy, counted bool
	tries         int
	user          int
	from          int64 // first sent (closed loop) or meant to be sent (open loop), ns
	deadline      int64
	auth          [16]byte
	pkt           []byte
	ms            string // MS-CHAPv2: the Authenticator Response the server must send
}

type sock struct {
	fd    int
	slots [256]slot
	free  [256]byte // FIFO of free identifiers: reuse as late as possible
	fh    int
	nfree int
	out   *mmsg.Batch
}

type worker struct {
	c     *config
	us    *users
	no    int
	phase *atomic.Int32
	ctx   *rad.Ctx
	coder *otpgen.Coder
	rng   *rand.ChaCha8
	socks []*sock
	rr    int
	in    *mmsg.Batch
	pfd   []unix.PollFd
	cur   int
	pw    []byte

	outstanding, limit                                                    int
	h, lag                                                                hist
	answered                                                              atomic.Int64
	sent, accept, reject, challenge, timeouts                             int64
	warmTimeouts, unsent, retrans, bad, noMA, stray, stall, started, quot int64
	err                                                                   error
}

var epoch = time.Now()
var epochUnix = epoch.UnixNano()

func now() int64 { return int64(time.Since(epoch)) }

func newWorker(c *config, us *users, no int, phase *atomic.Int32) *worker {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	w := &worker{c: c, us: us, no: no, phase: phase, ctx: rad.NewCtx(c.secret), coder: otpgen.NewCoder(), rng: rand.NewChaCha8(seed), cur: no}
	w.in = mmsg.New(64, 4096, false)
	for i := 0; i < c.sockets; i++ {
		fd, err := mmsg.Socket(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, false, &c.addr, 4<<20)
		fail(err)
		s := &sock{fd: fd, nfree: 256, out: mmsg.New(256, 0, false)}
		for j := range s.slots {
			s.slots[j].pkt = make([]byte, 0, 512)
			s.free[j] = byte(j)
		}
		w.socks = append(w.socks, s)
		w.pfd = append(w.pfd, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	w.limit = c.window / c.workers
	if w.limit < 1 {
		w.limit = 1
	}
	if c.rate > 0 {
		w.limit = c.sockets * 256
	}
	w.quot = c.count / int64(c.workers)
	return w
}

// loop runs until told to stop and all is answered or given up.
func (w *worker) loop() {
	runtime.LockOSThread()
	c := w.c
	var gap float64
	if c.rate > 0 {
		gap = 1e9 / (c.rate / float64(c.workers))
	}
	start := now() + int64(gap)*int64(w.no)/int64(c.workers)
	next := float64(start)
	nextScan := start + int64(2*time.Millisecond)
	lastPhase := int32(0)
	for {
		ph := w.phase.Load()
		t := now()
		if ph == 2 && lastPhase != 2 && c.rate > 0 && c.count == 0 && next < float64(t) {
			w.unsent += int64((float64(t) - next) / gap) // due before the stop and never sent
		}
		lastPhase = ph
		more := ph < 2 && (c.count == 0 || w.started < w.quot)
		// send
		wake := t + int64(5*time.Millisecond)
		if more {
			if c.rate > 0 {
				for next <= float64(t) && w.outstanding < w.limit && (c.count == 0 || w.started < w.quot) {
					if !w.start(int64(next), t, ph == 1) {
						break
					}
					next += gap
				}
				if int64(next) < wake && w.outstanding < w.limit {
					wake = int64(next)
				}
			} else {
				for w.outstanding < w.limit && (c.count == 0 || w.started < w.quot) {
					if !w.start(t, t, ph == 1) {
						break
					}
				}
			}
		}
		for _, s := range w.socks {
			if s.out.N > 0 {
				if w.err = s.out.Send(s.fd); w.err != nil {
					return
				}
			}
		}
		if !more && w.outstanding == 0 {
			break
		}
		// wait and receive
		d := wake - now()
		if d < 0 {
			d = 0
		}
		ts := unix.NsecToTimespec(d)
		n, err := unix.Ppoll(w.pfd, &ts, nil)
		if err != nil && err != unix.EINTR {
			w.err = err
			return
		}
		if n > 0 {
			t = now()
			for i := range w.pfd {
				if w.pfd[i].Revents == 0 {
					continue
				}
				k, err := w.in.Recv(w.socks[i].fd, false)
				if err != nil {
					w.err = err
					return
				}
				for j := 0; j < k; j++ {
					w.response(w.socks[i], w.in.Msg(j), t)
				}
			}
		}
		if t = now(); t >= nextScan {
			w.scan(t)
			nextScan = t + int64(2*time.Millisecond)
		}
	}
}

// start builds one request and queues it; false when no user has a fresh code now.
func (w *worker) start(from, t int64, counted bool) bool {
	c, us := w.c, w.us
	u := w.cur
	var counter uint64
	if !c.raw && c.layout != "pass" { // the freshness of the code
		if c.kind == "hotp" {
			counter = uint64(us.next[u])
			us.next[u]++
		} else {
			step := (epochUnix + t) / int64(30*time.Second)
			k := us.next[u]
			if k < step-c.back {
				k = step - c.back
			}
			if k > step+c.fwd {
				if !c.reuse {
					w.stall += int64(time.Millisecond)
					time.Sleep(time.Millisecond)
					return false
				}
				k = step
			}
			us.next[u] = k + 1
			counter = uint64(k)
		}
	}
	w.cur += c.workers
	if w.cur >= len(us.name) {
		w.cur = w.no
	}
	var s *sock
	for {
		s = w.socks[w.rr]
		if w.rr++; w.rr == len(w.socks) {
			w.rr = 0
		}
		if s.nfree > 0 {
			break
		}
	}
	id := s.free[s.fh]
	s.fh = (s.fh + 1) & 255
	s.nfree--
	sl := &s.slots[id]
	for i := 0; i < 16; i += 8 {
		v := w.rng.Uint64()
		for j := 0; j < 8; j++ {
			sl.auth[i+j] = byte(v >> (8 * j))
		}
	}
	sl.busy, sl.counted, sl.tries, sl.user, sl.from = true, counted, 0, u, from
	sl.deadline = t + int64(c.timeout)
	b := rad.Begin(sl.pkt, rad.CodeRequest, id, &sl.auth)
	if !c.raw {
		b = append(b, rad.AttrUserName, byte(len(us.name[u])+2))
		b = append(b, us.name[u]...)
		pw := w.pw[:0]
		switch c.layout {
		case "pass", "passotp":
			pw = append(pw, us.pw[u][:]...)
		case "pinotp":
			pw = append(pw, us.pin[u][:]...)
		}
		if c.layout != "pass" {
			pw = w.coder.Append(pw, us.secret[u][:], counter, c.digits)
		}
		if c.wrong {
			pw[len(pw)-1] ^= 1
		}
		w.pw = pw
		b = rad.AppendAttr(b, rad.AttrNASIPAddress, nasIP)
		switch c.auth {
		case "pap":
			b = w.ctx.AppendPAP(b, &sl.auth, pw)
		case "chap":
			b = w.ctx.AppendCHAP(b, id, pw, sl.auth[:])
		case "mschapv2":
			b = w.mschap(b, sl, us.name[u], pw)
		}
		w.ctx.FinishRequest(b)
	} else {
		b[3] = byte(len(b))
	}
	sl.pkt = b
	s.out.Put(b, nil)
	w.outstanding++
	w.started++
	if counted {
		w.sent++
		if c.rate > 0 {
			w.lag.add(t - from)
		}
	}
	return true
}

var nasIP = []byte{127, 0, 0, 1}

func (w *worker) mschap(b []byte, sl *slot, name string, pw []byte) []byte {
	var ac, pc [16]byte
	copy(ac[:], sl.auth[:])
	for i := range pc {
		pc[i] = ac[i] ^ 0x5a
	}
	nt, err := rfc2759.GenerateNTResponse(ac[:], pc[:], []byte(name), pw)
	fail(err)
	sl.ms, err = rfc2759.GenerateAuthenticatorResponse(ac[:], pc[:], nt, []byte(name), pw)
	fail(err)
	var v [50]byte // ident, flags, peer challenge, 8 reserved, response
	copy(v[2:], pc[:])
	copy(v[26:], nt)
	b = rad.AppendMS(b, rad.MSCHAPChallenge, ac[:])
	return rad.AppendMS(b, rad.MSCHAP2Response, v[:])
}

// response takes one datagram from the server.
func (w *worker) response(s *sock, p []byte, t int64) {
	if len(p) < rad.HeaderLen {
		w.bad++
		return
	}
	sl := &s.slots[p[1]]
	if !sl.busy {
		w.stray++
		return
	}
	code := p[0]
	if !w.c.raw {
		ma, err := w.ctx.CheckResponse(p, &sl.auth)
		if err == nil && w.c.rma && !ma {
			err = rad.ErrMsgAuth
		}
		if err == nil && code == rad.CodeAccept && w.c.auth == "mschapv2" {
			if v := rad.FindMS(p, rad.MSCHAP2Success); len(v) != 43 || string(v[1:]) != sl.ms {
				err = rad.ErrAuth
			}
		}
		if err != nil { // not the server's word: the request stays open
			w.bad++
			return
		}
		if !ma && sl.counted {
			w.noMA++
		}
	}
	if sl.counted {
		w.h.add(t - sl.from)
		switch {
		case code == rad.CodeAccept || w.c.raw:
			w.accept++
		case code == rad.CodeReject:
			w.reject++
		case code == rad.CodeChallenge:
			w.challenge++
		default:
			w.bad++
		}
	}
	w.answered.Add(1)
	w.release(s, p[1])
}

func (w *worker) release(s *sock, id byte) {
	s.slots[id].busy = false
	s.free[(s.fh+s.nfree)&255] = id
	s.nfree++
	w.outstanding--
}

// scan retransmits and gives up.
func (w *worker) scan(t int64) {
	if w.outstanding == 0 {
		return
	}
	for _, s := range w.socks {
		if s.nfree == 256 {
			continue
		}
		for id := range s.slots {
			sl := &s.slots[id]
			if !sl.busy || sl.deadline > t {
				continue
			}
			if sl.tries >= w.c.retries {
				if sl.counted {
					w.timeouts++
				} else {
					w.warmTimeouts++
				}
				w.release(s, byte(id))
				continue
			}
			sl.tries++
			if sl.counted {
				w.retrans++
			}
			sl.deadline = t + int64(w.c.timeout)
			s.out.Put(sl.pkt, nil)
		}
	}
}
