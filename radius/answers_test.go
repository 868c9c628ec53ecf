package radius

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/authn"
)

func batchedAccept(*authn.Login) authn.Decision {
	return authn.Decision{Verdict: authn.Accept, Account: 7, Batched: true}
}

// TestBatchedAnswers: answers of a commit wait for its end and leave together, each from the address that was asked; a
// full batch leaves by itself, and a stop leaves nothing behind.
func TestBatchedAnswers(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) {
			auth := &fakeAuth{}
			l := serve(t, auth, func(c *Config) { c.Listen = []string{listen} })
			at, _ := l.Addresses()
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at[0]))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			requests := make([][]byte, batchSize+2)
			for i := range requests {
				requests[i] = pap(byte(i), "x")
				if _, err := conn.Write(requests[i]); err != nil {
					t.Fatal(err)
				}
				for len(auth.seen()) <= i {
					time.Sleep(time.Millisecond) // waits for the receiver; nothing is measured
				}
			}
			answers := func(want int) {
				t.Helper()
				b := make([]byte, maxPacket)
				for range want {
					_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
					n, err := conn.Read(b)
					if err != nil {
						t.Fatal(err)
					}
					checkReply(t, requests[b[1]], b[:n], testSecret, AccessAccept)
				}
				_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if _, err := conn.Read(b); err == nil {
					t.Fatal("an answer left before the flush")
				}
			}
			auth.mu.Lock()
			dones := auth.dones
			auth.mu.Unlock()
			dones[0](batchedAccept(nil))
			answers(0)
			l.Flush()
			answers(1)
			for _, done := range dones[1 : batchSize+1] {
				done(batchedAccept(nil))
			}
			answers(batchSize) // a full batch does not wait
			dones[batchSize+1](batchedAccept(nil))
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			answers(1)
		})
	}
}

// TestBatchedAnswerNotTaken: one answer that the kernel refuses holds up no other.
func TestBatchedAnswerNotTaken(t *testing.T) {
	l := serve(t, &fakeAuth{}, nil)
	sock := l.sockets[authPort][0]
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	good := path{via: sock, local: sock.local, remote: peer.LocalAddr().(*net.UDPAddr).AddrPort()}
	bad := good
	bad.remote = netip.AddrPortFrom(bad.remote.Addr(), 0) // port 0 is EINVAL
	for _, p := range []path{good, bad, good} {
		sock.queue([]byte("x"), &p, l.unsent)
	}
	l.Flush()
	for range 2 {
		_ = peer.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := peer.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	if log := l.log.String(); !strings.Contains(log, "could not be sent") {
		t.Errorf("nobody heard of the answer that was not taken: %s", log)
	}
	if _, _, err := sock.conn.WriteMsgUDPAddrPort([]byte("x"), nil, bad.remote); !errors.Is(err, unix.EINVAL) {
		t.Errorf("port 0 is no error here any more: %v", err)
	}
}
