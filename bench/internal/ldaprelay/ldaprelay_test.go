package ldaprelay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// echo is a directory that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, r *Relay) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", strings.TrimPrefix(r.URL(), "ldap://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a message and wants it back, or nothing for as long as it is waited for.
func ask(t *testing.T, c net.Conn, message []byte, wait time.Duration) error {
	t.Helper()
	if _, err := c.Write(message); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, message) {
		t.Fatalf("%x came back as %x", message, got)
	}
	return nil
}

func TestRelay(t *testing.T) {
	r, err := New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	short := []byte{0x30, 2, 5, 0}
	long := append([]byte{0x30, 0x82, 1, 0}, make([]byte, 256)...)
	c := dial(t, r)
	for _, message := range [][]byte{short, long} {
		if err := ask(t, c, message, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	r.Hang(true)
	var late net.Error
	if err := ask(t, c, short, 50*time.Millisecond); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("a hung directory's connection: %v, want silence", err)
	}
	if err := ask(t, dial(t, r), short, 50*time.Millisecond); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("a new connection to a hung directory: %v, want silence", err)
	}
	r.Hang(false)
	if err := ask(t, dial(t, r), short, time.Minute); err != nil {
		t.Errorf("after the hang: %v", err)
	}
	r.Pace(1000)
	begin, fresh := time.Now(), dial(t, r)
	const requests = 50
	for range requests {
		if err := ask(t, fresh, short, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	// What is caught up with is 5 ms. Slower it may be on a busy machine, faster never.
	if took := time.Since(begin); took < requests*time.Millisecond-6*time.Millisecond {
		t.Errorf("%d requests within %v at 1000/s", requests, took)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte{0x30, 2, 5, 0})
	f.Add([]byte{0x30, 0x81, 1, 7})
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readMessage(bufio.NewReader(bytes.NewReader(in)), nil)
		if err == nil && !bytes.HasPrefix(in, got) {
			t.Errorf("%x was read as %x", in, got)
		}
		if len(got) > mostMessage+6 {
			t.Errorf("%d octets were made room for", len(got))
		}
	})
}
