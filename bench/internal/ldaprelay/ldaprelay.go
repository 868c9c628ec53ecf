// Package ldaprelay stands between a server and its directory and makes the directory slow, or hang: it goes on taking
// connections then and answers nothing.
package ldaprelay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Relay listens on 127.0.0.1.
type Relay struct {
	target   string
	listener net.Listener
	hung     atomic.Bool

	mu    sync.Mutex
	pause time.Duration // between two requests, all connections together; 0: none
	next  time.Time
	conns map[net.Conn]bool
}

// New makes a relay to a directory's host and port.
func New(target string) (*Relay, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{target: target, listener: l, conns: map[net.Conn]bool{}}
	go r.accept()
	return r, nil
}

// URL is where clients find it.
func (r *Relay) URL() string { return "ldap://" + r.listener.Addr().String() }

// Pace lets at most so many requests through in a second, in the order in which they come; 0: as many as come.
func (r *Relay) Pace(perSecond float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pause = 0
	if perSecond > 0 {
		r.pause = time.Duration(float64(time.Second) / perSecond)
	}
}

// Hang swallows what comes from either side from now on, or no longer. What was swallowed is gone: connections of a hung
// directory are cut when it ends, as its restart would.
func (r *Relay) Hang(on bool) {
	if r.hung.Swap(on) && !on {
		r.cut()
	}
}

// Close ends everything.
func (r *Relay) Close() error {
	err := r.listener.Close()
	r.cut()
	return err
}

func (r *Relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close()
	}
	clear(r.conns)
}

func (r *Relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		go r.serve(c)
	}
}

func (r *Relay) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp4", r.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	r.mu.Lock()
	r.conns[client] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.conns, client)
		r.mu.Unlock()
	}()
	go func() {
		defer func() { _ = client.Close() }()
		b := make([]byte, 32<<10)
		for {
			n, err := server.Read(b)
			if err != nil {
				return
			}
			if r.hung.Load() {
				continue
			}
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	}()
	in := bufio.NewReader(client)
	var message []byte
	for {
		if message, err = readMessage(in, message[:0]); err != nil {
			return
		}
		if r.hung.Load() {
			continue
		}
		r.wait()
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// wait takes the next place in the row of requests. What a late wake-up lost of the last 5 ms is caught up with.
func (r *Relay) wait() {
	r.mu.Lock()
	if r.pause == 0 {
		r.mu.Unlock()
		return
	}
	now := time.Now()
	if earliest := now.Add(-5 * time.Millisecond); r.next.Before(earliest) {
		r.next = earliest
	}
	at := r.next
	r.next = at.Add(r.pause)
	r.mu.Unlock()
	time.Sleep(at.Sub(now))
}

// mostMessage is longer than any request of the bench.
const mostMessage = 1 << 20

var errMessage = errors.New("no LDAP message")

// readMessage appends one LDAPMessage (RFC 4511 section 4.1.1) with its head: a BER sequence of definite length.
func readMessage(r *bufio.Reader, b []byte) ([]byte, error) {
	tag, err := r.ReadByte()
	if err != nil {
		return b, err
	}
	first, err := r.ReadByte()
	if err != nil {
		return b, err
	}
	if tag != 0x30 || first == 0x80 || first > 0x84 {
		return b, fmt.Errorf("%w: it begins with %#x %#x", errMessage, tag, first)
	}
	b = append(b, tag, first)
	length := int(first)
	if first > 0x80 {
		length = 0
		for range int(first & 0x7f) {
			c, err := r.ReadByte()
			if err != nil {
				return b, err
			}
			b = append(b, c)
			length = length<<8 | int(c)
		}
	}
	if length > mostMessage {
		return b, fmt.Errorf("%w: of %d octets", errMessage, length)
	}
	n := len(b)
	b = append(b, make([]byte, length)...)
	_, err = io.ReadFull(r, b[n:])
	return b, err
}
