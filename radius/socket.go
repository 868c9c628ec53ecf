package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	batchSize   = 64      // datagrams read by one system call
	socketQueue = 4 << 20 // octets the kernel may queue; it gives what it allows
	oobSize     = 64      // holds one IPV6_PKTINFO
)

// message is one datagram as the x/net packages pass it.
type message = ipv4.Message

// socket is one bound UDP socket that knows which of its addresses a datagram was sent to.
type socket struct {
	conn  *net.UDPConn
	local netip.AddrPort // as bound
	v6    bool
	batch func(ms []message, flags int) (int, error)
	write func(ms []message, flags int) (int, error)

	answers answers
}

// openSockets binds an address of the config: one socket, or one each for IPv4 and IPv6 where no host is given.
func openSockets(text string) ([]*socket, error) {
	a, err := listenAddress(text)
	if err != nil {
		return nil, err
	}
	if a.Addr().IsValid() {
		s, err := openSocket(a)
		if err != nil {
			return nil, err
		}
		return []*socket{s}, nil
	}
	s4, err := openSocket(netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()))
	if err != nil {
		return nil, err
	}
	s6, err := openSocket(netip.AddrPortFrom(netip.IPv6Unspecified(), s4.local.Port()))
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return []*socket{s4}, nil // a machine without IPv6
	}
	if err != nil {
		_ = s4.conn.Close()
		return nil, err
	}
	return []*socket{s4, s6}, nil
}

func openSocket(a netip.AddrPort) (*socket, error) {
	network := "udp4"
	if a.Addr().Is6() {
		network = "udp6"
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(context.Background(), network, a.String())
	if err != nil {
		return nil, fmt.Errorf("opening udp %s: %w", a, err)
	}
	conn := pc.(*net.UDPConn)
	s := &socket{conn: conn, v6: a.Addr().Is6(), local: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	s.local = netip.AddrPortFrom(s.local.Addr().Unmap(), s.local.Port())
	_ = conn.SetReadBuffer(socketQueue) // best effort: the kernel caps it
	_ = conn.SetWriteBuffer(socketQueue)
	if s.v6 {
		p := ipv6.NewPacketConn(conn)
		err, s.batch = p.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true), p.ReadBatch
		s.write = p.WriteBatch
	} else {
		p := ipv4.NewPacketConn(conn)
		err, s.batch = p.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true), p.ReadBatch
		s.write = p.WriteBatch
	}
	s.answers.init()
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("asking udp %s for destination addresses: %w", a, err)
	}
	return s, nil
}

// path is where a datagram came from and which address it asked: all that its answer needs.
type path struct {
	via           sender
	local, remote netip.AddrPort
	zone          uint32 // interface of a link-local IPv6 local address
}

// sender sends an answer along the path back. The answer is handed to the kernel before send returns, so that whoever
// changes an account afterwards knows that no earlier Accept is still on its way (S13).
// queue keeps an answer for the next [Server.Flush], so that many leave by one system call; b stays as it is meanwhile.
type sender interface {
	send(b []byte, p *path) error
	queue(b []byte, p *path, failed func(netip.Addr, error))
}

var _ sender = (*socket)(nil)

// pathOf reads the addresses of a received message.
func (s *socket) pathOf(m *message) (path, bool) {
	from, ok := m.Addr.(*net.UDPAddr)
	if !ok {
		return path{}, false
	}
	remote := from.AddrPort()
	p := path{via: s, local: s.local, remote: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
	for oob := m.OOB[:m.NN]; len(oob) > 0; {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// ipi_spec_dst is the local address of the datagram, also where it was sent to a broadcast address.
			p.local = netip.AddrPortFrom(netip.AddrFrom4([4]byte(data[4:8])), s.local.Port())
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a := netip.AddrFrom16([16]byte(data[:16]))
			p.local = netip.AddrPortFrom(a, s.local.Port())
			if a.IsLinkLocalUnicast() {
				p.zone = nativeUint32(data[16:20])
			}
		}
		oob = rest
	}
	return p, true
}

func (s *socket) send(b []byte, p *path) error {
	var oob [oobSize]byte
	_, _, err := s.conn.WriteMsgUDPAddrPort(b, s.control(&oob, p), p.remote)
	return err
}

// control builds the ancillary data that sets the source address of an answer.
func (s *socket) control(room *[oobSize]byte, p *path) []byte {
	h := room[:]
	if s.v6 {
		n := putControlHeader(h, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		a := p.local.Addr().As16()
		copy(h[n:], a[:])
		putNativeUint32(h[n+16:], p.zone)
		return h[:unix.CmsgSpace(unix.SizeofInet6Pktinfo)]
	}
	n := putControlHeader(h, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	a := p.local.Addr().As4()
	copy(h[n+4:], a[:])
	return h[:unix.CmsgSpace(unix.SizeofInet4Pktinfo)]
}

// receive reads datagrams until the socket is closed or its read deadline is set, and hands each to handle, whose slice
// is good only during the call.
func (s *socket) receive(handle func(b []byte, p path)) error {
	ms := make([]message, batchSize)
	room := make([]byte, batchSize*(maxPacket+oobSize))
	for i := range ms {
		at := i * (maxPacket + oobSize)
		ms[i].Buffers = [][]byte{room[at : at+maxPacket : at+maxPacket]}
		ms[i].OOB = room[at+maxPacket : at+maxPacket+oobSize : at+maxPacket+oobSize]
	}
	for failures := 0; ; {
		n, err := s.batch(ms, 0)
		switch {
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			// What a network may throw at an unconnected socket passes; what stays would spin.
			if failures++; failures > 1000 {
				return fmt.Errorf("reading from udp %s: %w", s.local, err)
			}
			continue
		}
		failures = 0
		for i := range ms[:n] {
			if p, ok := s.pathOf(&ms[i]); ok {
				handle(ms[i].Buffers[0][:ms[i].N], p)
			}
		}
	}
}
