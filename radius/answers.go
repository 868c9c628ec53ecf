package radius

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	answerRoom  = 64 << 10 // octets of the answers that leave together
	maxSegments = 64       // answers in one message (UDP_MAX_SEGMENTS of older kernels)
	maxSegment  = 1232     // octets of an answer that goes through any IPv6 link whole
)

// answers are those of one socket that wait to leave together. They are copied, so that nothing else has to wait for them.
// Those of one size for one port are one message to the kernel, which cuts it up again (UDP_SEGMENT): it then looks for
// the way to the gateway once.
type answers struct {
	mu     sync.Mutex
	octets []byte // of all of them, one behind the other; never grows
	n      int
	slots  [batchSize]struct {
		octets []byte
		next   int // of the same group; -1: none
	}
	groups int
	group  [batchSize]group
	latest [64]int // where the group of a hash is, plus one

	segments bool                    // UDP_SEGMENT is not known to fail
	failed   func(netip.Addr, error) // of those that wait

	ms      [batchSize]mmsghdr
	iovs    [batchSize]unix.Iovec
	addrs   [batchSize][addrSize]byte
	control [batchSize][controlSize]byte

	write func(fd uintptr) bool
	out   []mmsghdr // arguments and results of write
	sent  int
	errno syscall.Errno
}

// group is the answers of one size for one destination.
type group struct {
	to          path
	size        int
	first, last int // slots
	count       int
}

func (a *answers) init() {
	a.octets, a.segments = make([]byte, 0, answerRoom), true
	a.write = func(fd uintptr) bool {
		a.sent, a.errno = mmsg(unix.SYS_SENDMMSG, fd, a.out)
		return a.errno != unix.EAGAIN
	}
}

func (s *socket) queue(b []byte, p *path, failed func(netip.Addr, error)) {
	a := &s.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = failed
	if len(a.octets)+len(b) > answerRoom {
		s.writeQueued(failed)
	}
	if a.add(b, p); a.n == batchSize {
		s.writeQueued(failed)
	}
}

// add keeps a copy of an answer with those it can leave with.
func (a *answers) add(b []byte, p *path) {
	at := len(a.octets)
	a.octets = append(a.octets, b...)
	slot := &a.slots[a.n]
	slot.octets, slot.next = a.octets[at:], -1
	latest := &a.latest[(int(p.remote.Port())^len(b)*5)%len(a.latest)]
	if *latest > 0 {
		if g := &a.group[*latest-1]; a.joins(g, len(b), p) {
			a.slots[g.last].next = a.n
			g.last = a.n
			g.count++
			a.n++
			return
		}
	}
	a.group[a.groups] = group{to: *p, size: len(b), first: a.n, last: a.n, count: 1}
	a.groups++
	*latest = a.groups
	a.n++
}

func (a *answers) joins(g *group, size int, p *path) bool {
	return a.segments && size <= maxSegment && g.size == size && g.count < maxSegments &&
		g.to.remote == p.remote && g.to.local == p.local && g.to.zone == p.zone && g.to.scope == p.scope
}

// flush hands everything queued to the kernel before it returns.
func (s *socket) flush(failed func(netip.Addr, error)) {
	s.answers.mu.Lock()
	defer s.answers.mu.Unlock()
	s.writeQueued(failed)
}

// send hands one answer to the kernel before it returns.
func (s *socket) send(b []byte, p *path) error {
	a := &s.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	s.writeQueued(a.failed) // those that wait go first, so that this one is alone
	a.add(b, p)
	var problem error
	s.writeQueued(func(_ netip.Addr, err error) { problem = err })
	return problem
}

// writeQueued passes over an answer that the kernel does not take; the caller holds the lock.
func (s *socket) writeQueued(failed func(netip.Addr, error)) {
	a := &s.answers
	if a.n == 0 {
		return
	}
	iov := 0
	for i := range a.groups {
		iov += s.compose(i, &a.group[i], iov)
	}
	for at := 0; at < a.groups; {
		n, err := s.transmit(a.ms[at:a.groups])
		at += n
		if err == nil {
			continue
		}
		g := &a.group[at]
		if g.count == 1 {
			failed(g.to.remote.Addr(), err)
		} else {
			s.writeSingly(g, at, failed)
		}
		at++
	}
	a.octets, a.n, a.groups = a.octets[:0], 0, 0
	clear(a.latest[:])
}

// compose makes message i of a group, with vectors from a number on, and gives how many it took.
func (s *socket) compose(i int, g *group, iov int) int {
	a := &s.answers
	n := 0
	for k := g.first; k >= 0; k = a.slots[k].next {
		a.iovs[iov+n].Base = &a.slots[k].octets[0]
		a.iovs[iov+n].SetLen(len(a.slots[k].octets))
		n++
	}
	m := &a.ms[i].msg
	m.Iov = &a.iovs[iov]
	m.SetIovlen(n)
	m.Name, m.Namelen = &a.addrs[i][0], putAddr(&a.addrs[i], &g.to, s.v6)
	m.Control = &a.control[i][0]
	used := s.putSource(a.control[i][:], &g.to)
	if n > 1 {
		used += putSegment(a.control[i][used:], g.size)
	}
	m.SetControllen(used)
	return n
}

// putSegment writes the control message that cuts a message into answers of a size.
func putSegment(b []byte, size int) int {
	clear(b[:unix.CmsgSpace(2)])
	n := putControlHeader(b, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(b[n:], uint16(size))
	return unix.CmsgSpace(2)
}

// writeSingly sends the answers of a group that was not taken as one message. When the kernel takes them so, it is the
// cutting that it cannot do, or not over this device, and it is not asked for again.
func (s *socket) writeSingly(g *group, at int, failed func(netip.Addr, error)) {
	a := &s.answers
	m := &a.ms[at].msg
	m.SetIovlen(1)
	m.SetControllen(s.putSource(a.control[at][:], &g.to))
	for k := g.first; k >= 0; k = a.slots[k].next {
		m.Iov.Base = &a.slots[k].octets[0]
		if _, err := s.transmit(a.ms[at : at+1]); err != nil {
			failed(g.to.remote.Addr(), err)
			continue
		}
		a.segments = false
	}
}

// transmit sends messages until one is not taken, which an error is about, and gives how many were.
func (s *socket) transmit(ms []mmsghdr) (int, error) {
	a := &s.answers
	a.out = ms
	for {
		a.sent = 0
		if err := s.raw.Write(a.write); err != nil {
			return 0, err
		}
		switch a.errno {
		case 0:
			return a.sent, nil
		case unix.EINTR:
		default:
			return 0, a.errno
		}
	}
}

// Flush sends the answers that were kept for it: those to Decisions with Batched set. It is for the store to call when
// the answers of a commit are handed out.
func (s *Server) Flush() {
	for _, sock := range s.sockets[authPort] {
		sock.flush(s.failed)
	}
}

// unsent tells of an answer that the kernel did not take. It is as good as lost on the way: the gateway repeats.
func (s *Server) unsent(remote netip.Addr, err error) {
	s.sayText(&s.lines, slog.LevelWarn, remote, "send", "an answer could not be sent", s.now(), slog.Any("error", err))
}
