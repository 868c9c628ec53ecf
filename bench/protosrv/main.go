// protosrv is a prototype of the proposed hot path, only to see that the derived
// ceiling can be reached: batched receive, users and their last used counters in
// memory, one append-only log with group commit, the Access-Accept sent only
// after fdatasync. Not a product: one client secret, no configuration.
package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
	"flag"
	"hash"
	"hash/crc32"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"sekisho/bench/internal/mmsg"
	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/rad"

	"golang.org/x/sys/unix"
)

type user struct {
	last   int64 // highest counter/step used; -1: none
	secret [20]byte
	pw     [10]byte
}

type server struct {
	fd     int
	file   *os.File
	off    int64
	users  []user
	index  map[string]int32
	hotp   bool
	pass   bool
	window int64
	sync   bool
	gather time.Duration

	mu   sync.Mutex
	cond *sync.Cond
	cur  *group
}

// group is what one commit makes durable, and the answers waiting for it.
type group struct {
	log  []byte
	resp []byte // answers back to back
	end  []int
	peer []unix.RawSockaddrInet4
	keys []uint64
	seen []*seen
}

// seen is the answer to one (peer, port, id), so that a retransmission gets the same (RFC 5080 2.2.2).
type seen struct {
	auth [16]byte
	done bool
	resp []byte
}

func main() {
	addr := flag.String("addr", "127.0.0.1:11830", "")
	secret := flag.String("secret", "testing123", "")
	users := flag.Int("users", 1000, "number of users")
	seed := flag.String("seed", "bench", "what their secrets are derived from, as radload's")
	dir := flag.String("dir", "", "for the log")
	kind := flag.String("kind", "totp", "totp|hotp")
	layout := flag.String("layout", "otp", "otp|passotp")
	batch := flag.Int("batch", 64, "")
	window := flag.Int64("window", 1, "TOTP steps each side; HOTP look-ahead")
	noSync := flag.Bool("no-sync", false, "do not fdatasync (to see what durability costs)")
	gather := flag.Duration("gather", 0, "a commit that follows a small one (under 16 logins) first waits so long for more")
	flag.Parse()
	t0 := time.Now()
	s := &server{index: map[string]int32{}, hotp: *kind == "hotp", pass: *layout == "passotp", window: *window, sync: !*noSync, gather: *gather}
	s.cond = sync.NewCond(&s.mu)
	s.load(*seed, *users)
	s.openLog(*dir)
	runtime.GC()
	ua, err := net.ResolveUDPAddr("udp4", *addr)
	check(err)
	s.fd, err = mmsg.Socket(&unix.SockaddrInet4{Port: ua.Port, Addr: [4]byte(ua.IP.To4())}, false, nil, 8<<20)
	check(err)
	log.Printf("%d users in %v", len(s.users), time.Since(t0))
	s.cur = &group{}
	go s.commit()
	go s.receive([]byte(*secret), *batch)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT)
	<-ch
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// load derives the users as radload does.
func (s *server) load(seed string, n int) {
	s.users = make([]user, n)
	for i := range s.users {
		u := otpgen.Derive(seed, i)
		s.users[i] = user{last: -1, secret: u.Secret, pw: u.Password}
		s.index[u.Name] = int32(i)
	}
}

const logSize = 256 << 20

// openLog replays the log and goes on after it. Record: length, crc32, then (user, counter) pairs of 12 bytes.
func (s *server) openLog(dir string) {
	f, err := os.OpenFile(dir+"/proto.log", os.O_RDWR|os.O_CREATE, 0o600)
	check(err)
	s.file = f
	st, err := f.Stat()
	check(err)
	if st.Size() < logSize {
		z := make([]byte, 1<<20)
		for i := 0; i < logSize>>20; i++ {
			_, err = f.WriteAt(z, int64(i)<<20)
			check(err)
		}
		check(f.Sync())
	}
	r := bufio.NewReaderSize(f, 1<<20)
	n := 0
	for {
		var h [8]byte
		if _, err := r.Read(h[:1]); err != nil {
			break
		}
		for i := 1; i < 8; i++ {
			h[i], _ = r.ReadByte()
		}
		l := int(binary.LittleEndian.Uint32(h[:]))
		if l == 0 || l%12 != 0 || l > 1<<24 {
			break
		}
		b := make([]byte, l)
		for i := range b {
			b[i], _ = r.ReadByte()
		}
		if crc32.ChecksumIEEE(b) != binary.LittleEndian.Uint32(h[4:]) {
			break
		}
		for ; len(b) > 0; b = b[12:] {
			u := &s.users[binary.LittleEndian.Uint32(b)]
			u.last = max(u.last, int64(binary.LittleEndian.Uint64(b[4:])))
			n++
		}
		s.off += int64(8 + l)
	}
	log.Printf("log: %d logins replayed", n)
}

// commit makes groups durable, one at a time, and sends their answers.
func (s *server) commit() {
	runtime.LockOSThread()
	out := mmsg.New(256, 0, true)
	next := &group{}
	var hdr [8]byte
	var rec []byte
	small := false
	for {
		s.mu.Lock()
		for len(s.cur.end) == 0 {
			s.cond.Wait()
		}
		if s.gather > 0 && small {
			s.mu.Unlock()
			ts := unix.NsecToTimespec(int64(s.gather))
			unix.Nanosleep(&ts, nil)
			s.mu.Lock()
		}
		small = len(s.cur.end) < 16
		g := s.cur
		s.cur = next
		s.mu.Unlock()
		binary.LittleEndian.PutUint32(hdr[:], uint32(len(g.log)))
		binary.LittleEndian.PutUint32(hdr[4:], crc32.ChecksumIEEE(g.log))
		rec = append(append(rec[:0], hdr[:]...), g.log...)
		if s.off+int64(len(rec)) > logSize {
			s.off = 0 // a product would fold the log into a snapshot here
		}
		_, err := s.file.WriteAt(rec, s.off)
		check(err)
		s.off += int64(len(rec))
		if s.sync {
			check(unix.Fdatasync(int(s.file.Fd())))
		}
		at := 0
		for i, e := range g.end {
			out.Put(g.resp[at:e], &g.peer[i])
			g.seen[i].done = true // torn reads are harmless in a prototype: the receiver only drops or resends
			at = e
			if out.N == out.Cap() {
				out.Send(s.fd)
			}
		}
		out.Send(s.fd)
		g.log, g.resp, g.end, g.peer, g.seen = g.log[:0], g.resp[:0], g.end[:0], g.peer[:0], g.seen[:0]
		next = g
	}
}

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
		for i := 0; i < n; i++ {
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
				if d.done {
					out.Put(d.resp, peer)
				}
				continue
			}
			d.done = false
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
				d.done = true
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
		out.Send(s.fd)
	}
}

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
