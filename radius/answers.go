package radius

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
)

// answers are those of one socket that wait to leave together.
type answers struct {
	mu    sync.Mutex
	n     int
	ms    [batchSize]message
	slots [batchSize]struct {
		octets [1][]byte
		oob    [oobSize]byte
		addr   net.UDPAddr
		remote netip.AddrPort
	}
}

func (a *answers) init() {
	for i := range a.ms {
		at := &a.slots[i]
		a.ms[i].Buffers, a.ms[i].Addr = at.octets[:], &at.addr
	}
}

func (s *socket) queue(b []byte, p *path, failed func(netip.Addr, error)) {
	a := &s.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	m, at := &a.ms[a.n], &a.slots[a.n]
	at.octets[0], at.remote = b, p.remote
	at.addr.IP = append(at.addr.IP[:0], p.remote.Addr().AsSlice()...)
	at.addr.Port, at.addr.Zone = int(p.remote.Port()), p.remote.Addr().Zone()
	m.OOB = s.control(&at.oob, p)
	if a.n++; a.n == batchSize {
		s.writeQueued(failed)
	}
}

// flush hands everything queued to the kernel before it returns.
func (s *socket) flush(failed func(netip.Addr, error)) {
	s.answers.mu.Lock()
	defer s.answers.mu.Unlock()
	s.writeQueued(failed)
}

// writeQueued passes over an answer that the kernel does not take; the caller holds the lock.
func (s *socket) writeQueued(failed func(netip.Addr, error)) {
	a := &s.answers
	for at := 0; at < a.n; {
		n, err := s.write(a.ms[at:a.n], 0)
		at += max(n, 0)
		if err != nil && at < a.n {
			failed(a.slots[at].remote.Addr(), err)
			at++
		}
	}
	for i := range a.n {
		a.slots[i].octets[0] = nil
	}
	a.n = 0
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
	s.sayText(&s.lines, slog.LevelWarn, remote, "send", "an answer could not be sent", s.now(), "error", err)
}
