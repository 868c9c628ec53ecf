package radius

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize   = 128 // datagrams read or written by one system call
	addrSize    = unix.SizeofSockaddrInet6
	controlSize = 128 // holds an IPV6_PKTINFO with a time stamp or a segment size
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2): a message and how many octets of it were moved.
type mmsghdr struct {
	msg unix.Msghdr
	n   uint32
}

// mmsg makes one of the two system calls for as many messages as there are.
func mmsg(call, fd uintptr, ms []mmsghdr) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(call, fd, uintptr(unsafe.Pointer(&ms[0])), uintptr(len(ms)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// inbox is the memory for the datagrams of one read, made once. One goroutine uses it.
type inbox struct {
	socket  *socket
	ms      [batchSize]mmsghdr
	iovs    [batchSize]unix.Iovec
	addrs   [batchSize][addrSize]byte
	control [batchSize][controlSize]byte
	octets  [batchSize][maxPacket]byte
	paths   [batchSize]path

	read  func(fd uintptr) bool
	n     int
	errno syscall.Errno
}

func newInbox(s *socket) *inbox {
	in := &inbox{socket: s}
	for i := range in.ms {
		in.iovs[i].Base = &in.octets[i][0]
		in.iovs[i].SetLen(maxPacket)
		m := &in.ms[i].msg
		m.Name, m.Control, m.Iov = &in.addrs[i][0], &in.control[i][0], &in.iovs[i]
		m.SetIovlen(1)
	}
	in.read = func(fd uintptr) bool {
		in.n, in.errno = mmsg(unix.SYS_RECVMMSG, fd, in.ms[:])
		return in.errno != unix.EAGAIN
	}
	return in
}

// wait reads what is there, at least one datagram.
func (in *inbox) wait() error {
	for i := range in.ms[:max(in.n, 1)] {
		in.ready(i)
	}
	if in.n == 0 {
		for i := range in.ms {
			in.ready(i)
		}
	}
	in.n = 0
	if err := in.socket.raw.Read(in.read); err != nil {
		return err
	}
	if in.errno != 0 {
		return in.errno
	}
	return nil
}

// ready gives a message its whole room back: the kernel writes what it used.
func (in *inbox) ready(i int) {
	in.ms[i].msg.Namelen = addrSize
	in.ms[i].msg.SetControllen(controlSize)
}

// datagram is received message i, whose path is good as long as its octets.
func (in *inbox) datagram(i int, wall int64) (b []byte, p *path, ok bool) {
	m := &in.ms[i]
	p = &in.paths[i]
	used := min(int(m.msg.Controllen), controlSize)
	if !in.socket.readPath(p, in.addrs[i][:m.msg.Namelen], in.control[i][:used], wall) {
		return nil, nil, false
	}
	// What is longer than a packet may be was cut by the kernel; its Length field tells.
	return in.octets[i][:m.n], p, true
}

// readPath reads the addresses and the age of a received message; wall is the time of its reading.
func (s *socket) readPath(p *path, addr, control []byte, wall int64) bool {
	*p = path{via: s, local: s.local}
	var ok bool
	if p.remote, p.scope, ok = readAddr(addr); !ok {
		return false
	}
	for len(control) > 0 {
		level, typ, data, rest, ok := nextControl(control)
		if !ok {
			break
		}
		switch {
		case level == unix.IPPROTO_IP && typ == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// ipi_spec_dst is the local address of the datagram, also where it was sent to a broadcast address.
			p.local = netip.AddrPortFrom(netip.AddrFrom4([4]byte(data[4:8])), s.local.Port())
		case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a := netip.AddrFrom16([16]byte(data[:16]))
			p.local = netip.AddrPortFrom(a, s.local.Port())
			if a.IsLinkLocalUnicast() {
				p.zone = nativeUint32(data[16:20])
			}
		case level == unix.SOL_SOCKET && typ == unix.SO_TIMESTAMPNS:
			p.age = age(readStamp(data), wall)
		}
		control = rest
	}
	return true
}

// readAddr reads a sockaddr_in or sockaddr_in6. An address that means something on one link only carries that link's
// number as its zone.
func readAddr(b []byte) (a netip.AddrPort, scope uint32, ok bool) {
	if len(b) < unix.SizeofSockaddrInet4 {
		return a, 0, false
	}
	port := binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port), 0, true
	case unix.AF_INET6:
		if len(b) < addrSize {
			return a, 0, false
		}
		ip := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
		if scope = nativeUint32(b[24:28]); scope != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(scope), 10))
		}
		return netip.AddrPortFrom(ip, port), scope, true
	}
	return a, 0, false
}

// putAddr writes the address of an answer and gives its length.
func putAddr(b *[addrSize]byte, p *path, v6 bool) uint32 {
	*b = [addrSize]byte{}
	binary.BigEndian.PutUint16(b[2:], p.remote.Port())
	if !v6 {
		binary.NativeEndian.PutUint16(b[:], unix.AF_INET)
		a := p.remote.Addr().As4()
		copy(b[4:], a[:])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(b[:], unix.AF_INET6)
	a := p.remote.Addr().As16()
	copy(b[8:], a[:])
	putNativeUint32(b[24:], p.scope)
	return addrSize
}

// receive reads datagrams until the socket is closed or its read deadline is set, and hands each to handle, whose
// arguments are good only during the call.
func (s *socket) receive(handle func(b []byte, p *path)) error {
	in := newInbox(s)
	for failures := 0; ; {
		err := in.wait()
		switch {
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err == syscall.EINTR: //nolint:errorlint // as the system call gave it
			continue
		case err != nil:
			// What a network may throw at an unconnected socket passes; what stays would spin.
			if failures++; failures > 1000 {
				return fmt.Errorf("reading from udp %s: %w", s.local, err)
			}
			continue
		}
		failures = 0
		wall := time.Now().UnixNano()
		for i := range in.n {
			if b, p, ok := in.datagram(i, wall); ok {
				handle(b, p)
			}
		}
	}
}
