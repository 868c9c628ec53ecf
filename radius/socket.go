package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketQueue is how many octets the kernel may queue for a socket; it gives what it allows.
const socketQueue = 4 << 20

// socket is one bound UDP socket that knows which of its addresses a datagram was sent to.
type socket struct {
	conn  *net.UDPConn
	raw   syscall.RawConn
	local netip.AddrPort // as bound
	v6    bool

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
	s.answers.init()
	if err := s.askControl(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("asking udp %s for destination addresses: %w", a, err)
	}
	return s, nil
}

// askControl lets each datagram come with the address it was sent to, and with its time.
func (s *socket) askControl() (err error) {
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		return err
	}
	problem := s.raw.Control(func(fd uintptr) {
		if s.v6 {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
		askStamps(int(fd))
	})
	return errors.Join(problem, err)
}

// path is where a datagram came from and which address it asked: all that its answer needs.
type path struct {
	via           sender
	local, remote netip.AddrPort
	zone          uint32        // interface of a link-local IPv6 local address
	scope         uint32        // that of the remote address
	age           time.Duration // how long the datagram waited to be read
}

// key is what the reply cache knows a request by.
func (p *path) key(code Code, id byte) requestKey { return requestKey{p.local, p.remote, code, id} }

// sender sends an answer along the path back. The answer is handed to the kernel before send returns, so that whoever
// changes an account afterwards knows that no earlier Accept is still on its way (S13).
// queue keeps a copy of an answer for the next flush, so that many leave by one system call.
type sender interface {
	send(b []byte, p *path) error
	queue(b []byte, p *path, failed func(netip.Addr, error))
}

var _ sender = (*socket)(nil)

// putSource writes the control message that sets the source address of an answer, and gives its length.
func (s *socket) putSource(b []byte, p *path) int {
	clear(b[:unix.CmsgSpace(unix.SizeofInet6Pktinfo)])
	if s.v6 {
		n := putControlHeader(b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		a := p.local.Addr().As16()
		copy(b[n:], a[:])
		putNativeUint32(b[n+16:], p.zone)
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	n := putControlHeader(b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	a := p.local.Addr().As4()
	copy(b[n+4:], a[:])
	return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
}
