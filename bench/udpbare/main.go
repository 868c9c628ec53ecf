// udpbare answers every datagram, as cheaply as each way of doing it allows: it
// shows the ceiling of the machine and of the load generator.
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
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"flag"
	"fmt"
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
	mode   = flag.String("mode", "loop", "")
	addr   = flag.String("addr", "127.0.0.1:11899", "")
	n      = flag.Int("n", 2, "sockets")
	batch  = flag.Int("batch", 64, "messages in a batch")
	sign   = flag.Bool("sign", false, "")
	verify = flag.Bool("verify", false, "")
	secret = flag.String("secret", "testing123", "")
)

// answerer makes one answer in out.
type answerer struct {
	ctx *rad.Ctx
	pw  []byte
	mac interface {
		Write([]byte) (int, error)
		Sum([]byte) []byte
		Reset()
	}
	sum [16]byte
}

func newAnswerer() *answerer {
	return &answerer{ctx: rad.NewCtx([]byte(*secret)), mac: hmac.New(md5.New, []byte(*secret))}
}

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

func listen(reuse bool) *net.UDPConn {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			if reuse {
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
		})
	}}
	c, err := lc.ListenPacket(context.Background(), "udp4", *addr)
	if err != nil {
		log.Fatal(err)
	}
	return c.(*net.UDPConn)
}

func loop(c *net.UDPConn) {
	a := newAnswerer()
	in, out := make([]byte, 4096), make([]byte, 0, 4096)
	for {
		k, from, err := c.ReadFromUDPAddrPort(in)
		if err != nil {
			return
		}
		if o := a.answer(in[:k], out); o != nil {
			c.WriteToUDPAddrPort(o, from)
		}
	}
}

func main() {
	flag.Parse()
	switch *mode {
	case "loop":
		go loop(listen(false))
	case "reuseport":
		for i := 0; i < *n; i++ {
			go loop(listen(true))
		}
	case "goroutine":
		c := listen(false)
		pool := sync.Pool{New: func() any { return newAnswerer() }}
		go func() {
			var in [4096]byte
			for {
				k, from, err := c.ReadFrom(in[:])
				if err != nil {
					return
				}
				go func(p []byte, from net.Addr) {
					a := pool.Get().(*answerer)
					if o := a.answer(p, nil); o != nil {
						c.WriteTo(o, from)
					}
					pool.Put(a)
				}(append([]byte(nil), in[:k]...), from)
			}
		}()
	case "xnet":
		for i := 0; i < *n; i++ {
			c := ipv4.NewPacketConn(listen(true))
			go func() {
				a := newAnswerer()
				in, out := make([]ipv4.Message, *batch), make([]ipv4.Message, *batch)
				for i := range in {
					in[i].Buffers = [][]byte{make([]byte, 4096)}
					out[i].Buffers = [][]byte{make([]byte, 4096)}
				}
				for {
					k, err := c.ReadBatch(in, 0)
					if err != nil {
						return
					}
					m := 0
					for j := 0; j < k; j++ {
						if o := a.answer(in[j].Buffers[0][:in[j].N], out[m].Buffers[0]); o != nil {
							out[m].Buffers[0], out[m].Addr = o, in[j].Addr
							m++
						}
					}
					for off := 0; off < m; {
						s, err := c.WriteBatch(out[off:m], 0)
						if err != nil {
							break
						}
						off += s
					}
				}
			}()
		}
	case "mmsg":
		ua, err := net.ResolveUDPAddr("udp4", *addr)
		if err != nil {
			log.Fatal(err)
		}
		for i := 0; i < *n; i++ {
			fd, err := mmsg.Socket(&unix.SockaddrInet4{Port: ua.Port, Addr: [4]byte(ua.IP.To4())}, true, nil, 4<<20)
			if err != nil {
				log.Fatal(err)
			}
			go func() {
				runtime.LockOSThread()
				a := newAnswerer()
				in, out := mmsg.New(*batch, 4096, true), mmsg.New(*batch, 0, true)
				bufs := make([][]byte, *batch)
				for i := range bufs {
					bufs[i] = make([]byte, 0, 4096)
				}
				for {
					k, err := in.Recv(fd, true)
					if err != nil {
						log.Fatal(err)
					}
					for j := 0; j < k; j++ {
						if o := a.answer(in.Msg(j), bufs[j]); o != nil {
							out.Put(o, in.Peer(j))
						}
					}
					out.Send(fd)
				}
			}()
		}
	default:
		fmt.Fprintln(os.Stderr, "unknown mode")
		os.Exit(2)
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT)
	<-ch
}
