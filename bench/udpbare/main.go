// udpbare answers every datagram as cheaply as each way of doing it allows: it shows the ceiling of the machine and of the
// load generator.
//
//	-mode loop       one socket, one goroutine, net.UDPConn ReadFromUDPAddrPort
//	-mode goroutine  one socket, a goroutine for each packet (as layeh.com/radius does)
//	-mode reuseport  -n sockets with SO_REUSEPORT, one goroutine each
//	-mode xnet       -n sockets, golang.org/x/net ipv4 ReadBatch/WriteBatch
//	-mode mmsg       -n sockets, raw recvmmsg/sendmmsg, no allocation
//	-sign            answer with a signed Access-Accept; without it, echo
//	-verify          first check Message-Authenticator and unhide User-Password
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"flag"
	"fmt"
	"hash"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"sekisho/bench/internal/mmsg"
	"sekisho/bench/internal/rad"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

var (
	mode   = flag.String("mode", "loop", "loop|goroutine|reuseport|xnet|mmsg")
	addr   = flag.String("addr", "127.0.0.1:11899", "where to listen, IPv4")
	n      = flag.Int("n", 2, "sockets")
	batch  = flag.Int("batch", 64, "messages in a batch")
	sign   = flag.Bool("sign", false, "answer with a signed Access-Accept; without it, echo")
	verify = flag.Bool("verify", false, "first check Message-Authenticator and unhide User-Password")
	secret = flag.String("secret", "testing123", "shared secret")
)

// answerer makes one answer in out.
type answerer struct {
	ctx *rad.Ctx
	pw  []byte
	mac hash.Hash
	sum [16]byte
}

func newAnswerer() *answerer {
	return &answerer{ctx: rad.NewCtx([]byte(*secret)), mac: hmac.New(md5.New, []byte(*secret))}
}

// answer is nil for what is no authentic request; it may use the memory of in and out.
func (a *answerer) answer(in, out []byte) []byte {
	if !*sign {
		return in
	}
	if len(in) < rad.HeaderLen {
		return nil
	}
	l := int(binary.BigEndian.Uint16(in[2:]))
	if l < rad.HeaderLen || l > len(in) {
		return nil
	}
	in = in[:l]
	if *verify {
		ma := rad.Find(in, rad.AttrMsgAuth)
		if len(ma) != 16 {
			return nil
		}
		got := [16]byte(ma)
		clear(ma)
		a.mac.Reset()
		a.mac.Write(in)
		if !hmac.Equal(a.mac.Sum(a.sum[:0]), got[:]) {
			return nil
		}
		a.pw = a.ctx.UnhidePAP(a.pw[:0], in[4:20], rad.Find(in, rad.AttrUserPassword))
		if len(a.pw) < 6 {
			return nil
		}
	}
	auth := [16]byte(in[4:20])
	out = rad.Begin(out, rad.CodeAccept, in[1], &auth)
	a.ctx.SignResponse(out, auth[:])
	return out
}

// listen opens one socket, beside others on the same port when reuse.
func listen(reuse bool) *net.UDPConn {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			if reuse {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
		})
	}}
	c, err := lc.ListenPacket(context.Background(), "udp4", *addr)
	if err != nil {
		log.Fatal(err)
	}
	return c.(*net.UDPConn)
}

// loop answers one packet after the other.
func loop(c *net.UDPConn) {
	a := newAnswerer()
	in, out := make([]byte, rad.MaxPacket), make([]byte, 0, rad.MaxPacket)
	for {
		k, from, err := c.ReadFromUDPAddrPort(in)
		if err != nil {
			return
		}
		if o := a.answer(in[:k], out); o != nil {
			_, _ = c.WriteToUDPAddrPort(o, from)
		}
	}
}

// inGoroutines makes a goroutine for each packet.
func inGoroutines(c *net.UDPConn) {
	pool := sync.Pool{New: func() any { return newAnswerer() }}
	var in [rad.MaxPacket]byte
	for {
		k, from, err := c.ReadFromUDPAddrPort(in[:])
		if err != nil {
			return
		}
		packet := bytes.Clone(in[:k])
		go func() {
			a := pool.Get().(*answerer)
			if o := a.answer(packet, nil); o != nil {
				_, _ = c.WriteToUDPAddrPort(o, from)
			}
			pool.Put(a)
		}()
	}
}

// batches reads and writes by golang.org/x/net.
func batches(c *ipv4.PacketConn) {
	a := newAnswerer()
	in, out := make([]ipv4.Message, *batch), make([]ipv4.Message, *batch)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, rad.MaxPacket)}
		out[i].Buffers = [][]byte{make([]byte, rad.MaxPacket)}
	}
	for {
		k, err := c.ReadBatch(in, 0)
		if err != nil {
			return
		}
		m := 0
		for _, msg := range in[:k] {
			if o := a.answer(msg.Buffers[0][:msg.N], out[m].Buffers[0]); o != nil {
				out[m].Buffers[0], out[m].Addr = o, msg.Addr
				m++
			}
		}
		for sent := 0; sent < m; {
			n, err := c.WriteBatch(out[sent:m], 0)
			if err != nil {
				break
			}
			sent += n
		}
	}
}

// rawBatches reads and writes by recvmmsg and sendmmsg without allocating.
func rawBatches(fd int) {
	runtime.LockOSThread()
	a := newAnswerer()
	in, out := mmsg.New(*batch, rad.MaxPacket, true), mmsg.New(*batch, 0, true)
	buffers := make([][]byte, *batch)
	for i := range buffers {
		buffers[i] = make([]byte, 0, rad.MaxPacket)
	}
	for {
		k, err := in.Recv(fd, true)
		if err != nil {
			log.Fatal(err)
		}
		for i := range k {
			if o := a.answer(in.Msg(i), buffers[i]); o != nil {
				out.Put(o, in.Peer(i))
			}
		}
		if err := out.Send(fd); err != nil {
			log.Fatal(err)
		}
	}
}

func main() {
	flag.Parse()
	switch *mode {
	case "loop":
		go loop(listen(false))
	case "goroutine":
		go inGoroutines(listen(false))
	case "reuseport":
		for range *n {
			go loop(listen(true))
		}
	case "xnet":
		for range *n {
			go batches(ipv4.NewPacketConn(listen(true)))
		}
	case "mmsg":
		ua, err := net.ResolveUDPAddr("udp4", *addr)
		if err != nil {
			log.Fatal(err)
		}
		for range *n {
			fd, err := mmsg.Socket(&unix.SockaddrInet4{Port: ua.Port, Addr: [4]byte(ua.IP.To4())}, true, nil, 4<<20)
			if err != nil {
				log.Fatal(err)
			}
			go rawBatches(fd)
		}
	default:
		fmt.Fprintf(os.Stderr, "udpbare: -mode %s is not known\n", *mode)
		os.Exit(2)
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT)
	<-ch
}
