package directory

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// slack is what a busy machine may add to a deadline.
const slack = 5 * time.Second

// noLeak fails when goroutines are left after everything was closed.
func noLeak(t *testing.T) (check func()) {
	t.Helper()
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines became %d:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func write(c net.Conn, octets []byte) { _, _ = c.Write(octets) }

// TestHostileDirectory lets a directory misbehave in every way; look-ups and binds must end by their deadline with an
// outage, never with an answer, and leave nothing behind.
func TestHostileDirectory(t *testing.T) {
	hang := func(net.Conn) bool { return false }
	speak := func(octets []byte) func(net.Conn) bool {
		return func(c net.Conn) bool { write(c, octets); return false }
	}
	garbage := make([]byte, 4096)
	_, _ = rand.Read(garbage)
	// misbehave gives both operations the same answer.
	misbehave := func(answer func(c *fakeConn, id int64)) func(*fake) {
		return func(f *fake) {
			f.search = func(c *fakeConn, id int64, _, _ string) { answer(c, id) }
			f.bind = func(c *fakeConn, id int64, _, _ string) { answer(c, id) }
		}
	}
	result := func(code int64) func(*fake) {
		return func(f *fake) {
			f.search = func(c *fakeConn, id int64, _, _ string) { c.result(id, ldap.ApplicationSearchResultDone, code, "no") }
			f.bind = func(c *fakeConn, id int64, _, _ string) { c.result(id, ldap.ApplicationBindResponse, code, "no") }
		}
	}
	var deep []byte
	for range 5000 {
		deep = append(deep, 0x30, 0x80)
	}
	cases := []struct {
		name   string
		scheme string
		setUp  func(*fake)
	}{
		{"refuses", "ldap", func(f *fake) { f.close() }},
		{"hangs at accept", "ldap", func(f *fake) { f.accept = hang }},
		{"hangs in TLS", "ldaps", func(f *fake) { f.accept = hang }},
		{"hangs after TLS", "ldaps", misbehave(func(*fakeConn, int64) {})},
		{"hangs in StartTLS", "starttls", func(f *fake) { f.start = func(*fakeConn, int64) {} }},
		{"hangs after StartTLS", "starttls", misbehave(func(*fakeConn, int64) {})},
		{"hangs in the handshake after StartTLS", "starttls", func(f *fake) {
			f.start = func(c *fakeConn, id int64) {
				c.result(id, ldap.ApplicationExtendedResponse, 0, "")
				_, _ = io.Copy(io.Discard, c)
			}
		}},
		{"refuses StartTLS", "starttls", func(f *fake) {
			f.start = func(c *fakeConn, id int64) { c.result(id, ldap.ApplicationExtendedResponse, 2, "no") }
		}},
		{"garbage at once", "ldap", func(f *fake) { f.accept = speak(garbage) }},
		{"garbage instead of TLS", "ldaps", func(f *fake) { f.accept = speak(garbage) }},
		{"HTTP", "ldap", func(f *fake) { f.accept = speak([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }},
		{"garbage as answer", "ldap", misbehave(func(c *fakeConn, _ int64) { write(c, garbage) })},
		{"empty sequences", "ldap", misbehave(func(c *fakeConn, _ int64) { write(c, []byte{0x30, 0, 0x30, 0, 0x30, 0}) })},
		{"message without operation", "ldap", misbehave(func(c *fakeConn, id int64) { write(c, []byte{0x30, 3, 2, 1, byte(id)}) })},
		{"operation without content", "ldap", misbehave(func(c *fakeConn, id int64) {
			write(c, []byte{0x30, 5, 2, 1, byte(id), 0x61, 0})
			write(c, []byte{0x30, 5, 2, 1, byte(id), 0x65, 0})
		})},
		{"length of 2 GiB", "ldap", misbehave(func(c *fakeConn, _ int64) { write(c, []byte{0x04, 0x84, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3}) })},
		{"5,000 levels deep", "ldap", misbehave(func(c *fakeConn, _ int64) { write(c, deep) })},
		{"answers to other questions", "ldap", misbehave(func(c *fakeConn, id int64) {
			c.result(id+7, ldap.ApplicationBindResponse, 0, "")
			c.result(id+7, ldap.ApplicationSearchResultDone, 0, "")
			c.result(0, ldap.ApplicationExtendedResponse, 52, "going down")
		})},
		{"half an answer", "ldap", misbehave(func(c *fakeConn, id int64) {
			octets := message(id, resultOp(ldap.ApplicationBindResponse, 0, "x")).Bytes()
			write(c, octets[:len(octets)-1])
		})},
		{"half an answer, then closes", "ldap", misbehave(func(c *fakeConn, id int64) {
			write(c, []byte{0x30, 0x0c, 2, 1, byte(id)})
			_ = c.Close()
		})},
		{"closes on each question", "ldaps", misbehave(func(c *fakeConn, _ int64) { _ = c.Close() })},
		{"one octet at a time", "ldap", misbehave(func(c *fakeConn, id int64) {
			for _, b := range message(id, entryOp("uid=x", "uid", strings.Repeat("x", 2000))).Bytes() {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(2 * time.Millisecond)
			}
		})},
		{"endless entries", "ldap", misbehave(func(c *fakeConn, id int64) {
			octets := message(id, entryOp("uid=alice,dc=fake", "uid", "alice", "entryUUID", "1")).Bytes()
			for {
				if _, err := c.Write(octets); err != nil {
					return
				}
			}
		})},
		{"endless value", "ldap", misbehave(func(c *fakeConn, id int64) {
			write(c, []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xf0, 2, 1, byte(id), 0x64, 0x84, 0x7f, 0xff, 0xff, 0x00, 0x04, 0x84, 0x7f, 0xff, 0xf0, 0x00})
			for {
				if _, err := c.Write(garbage); err != nil {
					return
				}
			}
		})},
		{"endless tiny elements", "ldap", misbehave(func(c *fakeConn, id int64) {
			write(c, []byte{0x30, 0x80, 2, 1, byte(id)})
			tiny := bytes.Repeat([]byte{5, 0}, 4096)
			for {
				if _, err := c.Write(tiny); err != nil {
					return
				}
			}
		})},
		{"operations error", "ldap", result(1)},
		{"time limit", "ldap", result(3)},
		{"size limit without entries", "ldap", result(4)},
		{"referral", "ldap", result(10)},
		{"busy", "ldap", result(51)},
		{"unavailable", "ldap", result(52)},
		{"unknown result code", "ldap", result(4242)},
		{"result code of the library itself", "ldap", result(ldap.ErrorNetwork)},
		{"negative result code", "ldap", result(-1)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.scheme)
			c.setUp(f)
			l := openLDAP(t, f.config())
			for range 2 {
				began := time.Now()
				u, err := l.Lookup(t.Context(), []byte("alice"))
				if took := time.Since(began); took > l.lookupTime()+slack {
					t.Errorf("the look-up took %v", took)
				}
				mustBeOutage(t, "look-up", err)
				if u != nil {
					t.Errorf("an outage with a user: %+v", u)
				}
				began = time.Now()
				r, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("right"))
				if took := time.Since(began); took > l.bindTime()+slack {
					t.Errorf("the bind took %v", took)
				}
				mustBeOutage(t, "bind", err)
				if r != (authn.BindResult{}) {
					t.Errorf("an outage with an answer: %+v", r)
				}
			}
		})
	}
}

// TestNothingIsLeftBehind runs hostile directories one by one and counts goroutines.
func TestNothingIsLeftBehind(t *testing.T) {
	check := noLeak(t)
	for name, answer := range map[string]func(c *fakeConn, id int64){
		"hangs":   func(*fakeConn, int64) {},
		"closes":  func(c *fakeConn, _ int64) { _ = c.Close() },
		"garbage": func(c *fakeConn, _ int64) { write(c, []byte("\x30\x05garbage")) },
		"twice": func(c *fakeConn, id int64) {
			for range 20 {
				c.result(id, ldap.ApplicationBindResponse, 49, "")
				c.done(id)
			}
		},
		"endless": func(c *fakeConn, id int64) {
			octets := message(id, entryOp("uid=alice", "uid", "alice")).Bytes()
			for {
				if _, err := c.Write(octets); err != nil {
					return
				}
			}
		},
	} {
		for _, scheme := range []string{"ldap", "ldaps", "starttls"} {
			f := newFake(t, scheme)
			f.search = func(c *fakeConn, id int64, _, _ string) { answer(c, id) }
			f.bind = func(c *fakeConn, id int64, _, _ string) { answer(c, id) }
			config := f.config()
			config.ConnectTimeout = 5 * time.Second
			l, err := OpenLDAP("corp", config)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					_, _ = l.Lookup(t.Context(), fmt.Appendf(nil, "%s%d", name, i))
					_, _ = l.Authenticate(t.Context(), fakeUser("alice"), secret("right"))
				})
			}
			wg.Wait()
			l.Close()
			f.close()
		}
	}
	check()
}

func TestHungDirectoryHoldsNobody(t *testing.T) {
	f := newFake(t, "ldap")
	f.accept = func(net.Conn) bool { return false }
	l := openLDAP(t, f.config())
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			began := time.Now()
			_, err := l.Lookup(t.Context(), fmt.Appendf(nil, "user%d", i))
			mustBeOutage(t, "look-up", err)
			if took := time.Since(began); took > l.lookupTime()+slack {
				t.Errorf("took %v", took)
			}
		})
	}
	wg.Wait()
	// The caller's deadline counts too where it is sooner.
	slow := f.config()
	slow.ConnectTimeout, slow.Timeout = 10*time.Second, 30*time.Second
	slowly := openLDAP(t, slow)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := slowly.Lookup(ctx, []byte("alice"))
	mustBeOutage(t, "look-up", err)
	_, err = slowly.Authenticate(ctx, fakeUser("alice"), secret("right"))
	mustBeOutage(t, "bind", err)
	if took := time.Since(began); took > slack {
		t.Errorf("the caller waited %v", took)
	}
	if got := slowly.BindTime(); got != slowly.bindTime() {
		t.Errorf("a bind that hung counts as %v, not as its whole time", got)
	}
}

// FuzzAnswer gives a look-up and a bind any octets for an answer: an outage or a well-formed answer may come of it, and
// nothing may hang or crash.
func FuzzAnswer(f *testing.F) {
	f.Add(message(1, entryOp("uid=alice,dc=fake", "uid", "alice", "entryUUID", "1")).Bytes())
	f.Add(append(message(1, entryOp("", "uid", "")).Bytes(), message(1, resultOp(5, 0, "")).Bytes()...))
	f.Add(message(1, resultOp(1, 49, adText("52e"))).Bytes())
	policy := ber.NewSequence("")
	policy.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, ldap.ControlTypeBeheraPasswordPolicy, ""))
	policy.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "\x30\x03\x81\x01\x01", ""))
	f.Add(message(1, resultOp(1, 49, ""), policy).Bytes())
	f.Add([]byte{0x30, 0x80, 2, 1, 1, 0x65, 0x80, 0, 0, 0, 0})
	f.Add([]byte{0x30, 3, 2, 1, 1})
	f.Fuzz(func(t *testing.T, answer []byte) {
		search := query{filter: anything, attributes: attributeSelection(nil)}
		for _, ask := range []func(context.Context, *conn) error{
			func(ctx context.Context, c *conn) error {
				_, err := newLine(c, 1<<16, slack).ask(ctx, time.Now().Add(slack), &search)
				return err
			},
			func(ctx context.Context, c *conn) error {
				controls, err := c.bind(ctx, time.Now().Add(slack), "uid=alice", []byte("x"), true)
				said, _ := policyReason(controls)
				_, err = bindAnswer(said, err)
				return err
			},
		} {
			near, far := net.Pipe()
			c := &conn{Conn: near, raw: near}
			var peer sync.WaitGroup
			peer.Go(func() {
				_, _ = far.Read(make([]byte, 4096))
				_, _ = far.Write(answer)
				_ = far.Close()
			})
			ctx, cancel := context.WithTimeout(t.Context(), slack)
			_ = ask(ctx, c)
			if ctx.Err() != nil {
				t.Errorf("the exchange hung on %x", answer)
			}
			cancel()
			c.drop()
			peer.Wait()
		}
	})
}
