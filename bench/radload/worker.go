package main

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"sekisho/bench/internal/mmsg"
	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/rad"
	"sekisho/bench/internal/report"

	"golang.org/x/sys/unix"
)

// slot is one (socket, identifier) and the request that is open on it.
type slot struct {
	busy, counted bool
	tries         int
	from          int64 // first sent (closed loop) or due (open loop), in nanoseconds since epoch
	deadline      int64 // of the present try, likewise
	auth          [16]byte
	pkt           []byte
	ms            string // MS-CHAPv2: the Authenticator Response the server must send
}

// sock is one connected socket with its 256 identifiers.
type sock struct {
	fd    int
	slots [256]slot
	free  [256]byte // FIFO of free identifiers: reuse as late as possible
	fh    int       // head of free
	nfree int
	out   *mmsg.Batch
}

// worker is one generator thread with its own sockets and its own share of the users: every c.workers-th of them.
type worker struct {
	c     *config
	us    *users
	no    int
	phase *atomic.Int32
	ctx   *rad.Ctx
	coder *otpgen.Coder
	rng   *rand.ChaCha8
	socks []*sock
	rr    int // socks are used in turn
	in    *mmsg.Batch
	pfd   []unix.PollFd
	cur   int    // next user
	text  []byte // password and code of the request being built

	outstanding, limit int
	started, quota     int64
	answered           atomic.Int64
	latency, lag       hist
	accepted           hist // latencies of Access-Accepts alone
	slots              []slotCount
	err                error

	sent, accept, reject, challenge, timeouts           int64
	warmTimeouts, unsent, retrans, bad, unsigned, stray int64
	stalled                                             time.Duration
}

// addTo adds what the worker counted.
func (w *worker) addTo(r *report.Result) {
	r.Sent += w.sent
	r.Accept += w.accept
	r.Reject += w.reject
	r.Challenge += w.challenge
	r.Timeout += w.timeouts
	r.WarmupLost += w.warmTimeouts
	r.Unsent += w.unsent
	r.Retransmit += w.retrans
	r.Bad += w.bad
	r.Unsigned += w.unsigned
	r.Stray += w.stray
	r.Stalled += w.stalled.Seconds()
}

// Time is counted in nanoseconds since epoch, by the monotonic clock.
var (
	epoch     = time.Now()
	epochUnix = epoch.UnixNano()
)

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
	w.limit = max(1, c.window/c.workers)
	if c.rate > 0 {
		w.limit = c.sockets * 256
	}
	w.quota = c.count / int64(c.workers)
	w.slots = newSlots(c)
	return w
}

const (
	scanEvery = int64(2 * time.Millisecond) // how often open requests are looked at for retransmission
	wakeEvery = int64(5 * time.Millisecond) // how often the phase is looked at while nothing comes
)

// loop runs until told to stop and all is answered or given up.
func (w *worker) loop() {
	runtime.LockOSThread()
	pace := w.pace()
	gap := pace.usual
	begin := now() + int64(gap)*int64(w.no)/int64(w.c.workers)
	due := float64(begin)
	scanAt := begin + scanEvery
	stopSeen := false
	for {
		phase, t := w.phase.Load(), now()
		if phase == stopping && !stopSeen {
			stopSeen = true
			if gap > 0 && w.c.count == 0 && due < float64(t) {
				w.unsent += int64((float64(t) - due) / gap)
			}
		}
		wake := t + wakeEvery
		if phase == stopping || w.spent() {
			if w.outstanding == 0 {
				return
			}
		} else if gap > 0 {
			due = w.dropLate(&pace, due, t, phase)
			for due <= float64(t) && w.outstanding < w.limit && !w.spent() && w.start(int64(due), t, phase == counting) {
				due += pace.gap(due, w.c.counted.Load())
			}
			if w.outstanding < w.limit {
				wake = min(wake, int64(due))
			}
		} else {
			for w.outstanding < w.limit && !w.spent() && w.start(t, t, phase == counting) {
			}
		}
		if w.err = w.flush(); w.err != nil {
			return
		}
		if w.err = w.receive(wake); w.err != nil {
			return
		}
		if t = now(); t >= scanAt {
			w.scan(t)
			scanAt = t + scanEvery
		}
	}
}

// spent reports that the worker has sent its share of -count.
func (w *worker) spent() bool { return w.c.count > 0 && w.started >= w.quota }

// flush hands what start and scan queued to the kernel.
func (w *worker) flush() error {
	for _, s := range w.socks {
		if s.out.N == 0 {
			continue
		}
		if err := s.out.Send(s.fd); err != nil {
			return err
		}
	}
	return nil
}

// receive waits for responses until the moment wake and takes what is there.
func (w *worker) receive(wake int64) error {
	ts := unix.NsecToTimespec(max(0, wake-now()))
	n, err := unix.Ppoll(w.pfd, &ts, nil)
	if err != nil && err != unix.EINTR {
		return err
	}
	if n <= 0 {
		return nil
	}
	t := now()
	for i := range w.pfd {
		if w.pfd[i].Revents == 0 {
			continue
		}
		k, err := w.in.Recv(w.socks[i].fd, false)
		if err != nil {
			return err
		}
		for j := range k {
			w.response(w.socks[i], w.in.Msg(j), t)
		}
	}
	return nil
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
		if err == nil && w.c.requireMA && !ma {
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
			w.unsigned++
		}
	}
	if sl.counted {
		w.latency.add(t - sl.from)
		if code == rad.CodeAccept {
			w.accepted.add(t - sl.from)
		}
		w.countSlot(sl, code, t)
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
