package directory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// pairOf gives a connection as the dialer would and its other end.
func pairOf(t *testing.T) (near *conn, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close(); _ = far.Close() })
	return &conn{Conn: raw, raw: raw, url: "ldap://test"}, far
}

// asked is one question as a server reads it, by a decoder that is not ours.
type asked struct {
	id   int64
	name string
}

func readQuestions(t *testing.T, far net.Conn, n int) []asked {
	t.Helper()
	all := make([]asked, 0, n)
	in := bufio.NewReader(far)
	for range n {
		p, err := ber.ReadPacket(in)
		if err != nil {
			t.Errorf("reading question %d: %v", len(all), err)
			return all
		}
		filter, err := ldap.DecompileFilter(p.Children[1].Children[6])
		if err != nil {
			t.Error(err)
		}
		all = append(all, asked{p.Children[0].Value.(int64), strings.TrimSuffix(strings.TrimPrefix(filter, "(uid="), ")")})
	}
	return all
}

func queryFor(name string) *query {
	return &query{base: "dc=fake", scope: 2, sizeLimit: 2, seconds: 1, filter: filter{tag: 0xa3, parts: []filter{{tag: tagOctets, value: []byte("uid")}, {tag: tagOctets, name: true}}},
		name: name, attributes: attributeSelection([]string{"uid"})}
}

// TestAnswersReachTheirQuestions has many ask at once and some give up; the answers come in any order, those to who gave up
// among them, in pieces of any size. Nobody may get another one's.
func TestAnswersReachTheirQuestions(t *testing.T) {
	const many = 200
	for round := range 10 {
		c, far := pairOf(t)
		l := newLine(c, 1<<20, time.Minute)
		gaveUp := make(chan struct{}, many)
		impatient, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				name := fmt.Sprintf("user-%d-%d", round, i)
				ctx := t.Context()
				if i%4 == 0 {
					ctx = impatient
				}
				p, err := l.send(time.Now().Add(time.Minute), queryFor(name))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				res, err := p.result(ctx)
				if i%4 == 0 {
					gaveUp <- struct{}{}
					if !errors.Is(err, context.Canceled) {
						t.Errorf("%s gave up: %v", name, err)
					}
					return
				}
				if err != nil || len(res.Entries) != 1 || res.Entries[0].GetAttributeValue("uid") != name || res.Entries[0].DN != "uid="+name {
					t.Errorf("%s got %+v %v", name, res, err)
				}
			})
		}
		questions := readQuestions(t, far, many)
		cancel()
		for range many / 4 {
			<-gaveUp
		}
		rand.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
		var octets, dones []byte
		for _, q := range questions {
			octets = append(octets, message(q.id, entryOp("uid="+q.name, "uid", q.name)).Bytes()...)
			done := message(q.id, resultOp(ldap.ApplicationSearchResultDone, 0, "")).Bytes()
			if rand.IntN(2) == 0 {
				octets = append(octets, done...)
			} else {
				dones = append(dones, done...)
			}
		}
		octets = append(octets, dones...)
		for len(octets) > 0 {
			n := min(len(octets), 1+rand.IntN(500))
			if _, err := far.Write(octets[:n]); err != nil {
				break // the last answer that somebody waited for was among what was sent
			}
			octets = octets[n:]
		}
		wg.Wait()
		if _, err := l.send(time.Now().Add(time.Minute), queryFor("late")); !errors.Is(err, errLineRetired) {
			t.Errorf("a line that left questions unanswered takes another: %v", err)
		}
	}
}

// TestLineBreaksUnderMany: everybody whose question was under way gets an error, whatever the connection died of.
func TestLineBreaksUnderMany(t *testing.T) {
	const many = 100
	for name, c := range map[string]struct {
		octets func(questions []asked) []byte
		says   error // of everybody; nil: of any kind
	}{
		"closed":                 {octets: func([]asked) []byte { return nil }},
		"an id never asked":      {octets: func([]asked) []byte { return message(many+1, resultOp(5, 0, "")).Bytes() }, says: errOtherQuestion},
		"another operation":      {octets: func(q []asked) []byte { return message(q[0].id, resultOp(1, 0, "")).Bytes() }, says: errBER},
		"farewell":               {octets: func([]asked) []byte { return message(0, resultOp(24, 52, "going down")).Bytes() }, says: errSaidFarewell},
		"unasked, no operation":  {octets: func([]asked) []byte { return message(0, resultOp(5, 0, "")).Bytes() }, says: errOtherQuestion},
		"negative id":            {octets: func([]asked) []byte { return []byte{0x30, 5, 2, 1, 0xff, 0x65, 0} }, says: errBER},
		"id of five octets":      {octets: func([]asked) []byte { return []byte{0x30, 9, 2, 5, 0, 0, 0, 0, 1, 0x65, 0} }, says: errBER},
		"indefinite length":      {octets: func([]asked) []byte { return []byte{0x30, 0x80, 2, 1, 1, 0x65, 0, 0, 0} }, says: errBER},
		"tag of two octets":      {octets: func([]asked) []byte { return []byte{0x30, 6, 2, 1, 1, 0x7f, 5, 0} }, says: errBER},
		"no sequence":            {octets: func([]asked) []byte { return []byte{0x31, 5, 2, 1, 1, 0x65, 0} }, says: errBER},
		"more than its sequence": {octets: func([]asked) []byte { return []byte{0x30, 5, 2, 1, 1, 0x65, 1, 0} }, says: errBER},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pairOf(t)
			l := newLine(near, 1<<20, time.Minute)
			var wg sync.WaitGroup
			for i := range many {
				wg.Go(func() {
					_, err := l.ask(t.Context(), time.Now().Add(time.Minute), queryFor(fmt.Sprint(i)))
					if !isNetwork(err) || errors.Is(err, context.DeadlineExceeded) || c.says != nil && !errors.Is(err, c.says) {
						t.Errorf("%v, want %v", err, c.says)
					}
				})
			}
			questions := readQuestions(t, far, many)
			write(far, c.octets(questions))
			_ = far.Close()
			wg.Wait()
			if _, err := l.send(time.Now().Add(time.Minute), queryFor("x")); err == nil {
				t.Error("a line that broke takes another question")
			}
		})
	}
}

// TestTooLongForOne: the one whose answer is too long is told so; the others only that the connection is gone, so that they
// ask again.
func TestTooLongForOne(t *testing.T) {
	for name, octets := range map[string]func(id int64) []byte{
		"announced": func(id int64) []byte { return []byte{0x30, 0x84, 0, 0x10, 0, 0, 2, 1, byte(id), 0x64} },
		"one by one": func(id int64) (all []byte) {
			for range 5 {
				all = append(all, message(id, entryOp("uid=x", "uid", strings.Repeat("x", 1000))).Bytes()...)
			}
			return all
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pairOf(t)
			l := newLine(near, 4096, time.Minute)
			var wg sync.WaitGroup
			for i := range 10 {
				wg.Go(func() {
					want := errNeighbour
					if i == 3 {
						want = errAnswerTooLong
					}
					if _, err := l.ask(t.Context(), time.Now().Add(time.Minute), queryFor(fmt.Sprint(i))); !errors.Is(err, want) {
						t.Errorf("%d: %v, want %v", i, err, want)
					}
				})
			}
			for _, q := range readQuestions(t, far, 10) {
				if q.name == "3" {
					write(far, octets(q.id))
				}
			}
			wg.Wait()
		})
	}
}

// TestUnknownNotice: what a server says without being asked and without ending anything is passed over, and so are
// references and intermediate answers.
func TestUnknownNotice(t *testing.T) {
	near, far := pairOf(t)
	l := newLine(near, 1<<20, time.Minute)
	go func() {
		for _, q := range readQuestions(t, far, 1) {
			intermediate := ber.Encode(ber.ClassApplication, ber.TypeConstructed, 25, nil, "")
			reference := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
			for _, p := range []*ber.Packet{message(0, resultOp(24, 0, "")), message(q.id, intermediate), message(q.id, reference),
				message(q.id, entryOp("uid=x", "uid", "x")), message(q.id, resultOp(5, 0, ""))} {
				write(far, p.Bytes())
			}
		}
	}()
	res, err := l.ask(t.Context(), time.Now().Add(time.Minute), queryFor("x"))
	if err != nil || len(res.Entries) != 1 {
		t.Errorf("%+v %v", res, err)
	}
}

// TestNoticeOfDisconnection: a server that says it goes away is believed at once, although its connection stays open
// (RFC 4511 section 4.4.1).
func TestNoticeOfDisconnection(t *testing.T) {
	near, far := pairOf(t)
	l := newLine(near, 1<<20, time.Minute)
	go func() {
		readQuestions(t, far, 1)
		write(far, message(0, resultOp(24, 52, "going down")).Bytes())
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := l.ask(ctx, time.Now().Add(time.Minute), queryFor("x"))
	if !errors.Is(err, errSaidFarewell) {
		t.Errorf("%v; want the farewell", err)
	}
	if _, ok := l.load(time.Now()); ok {
		t.Error("the connection still counts as open")
	}
}

// TestMessageIDsEnd: a connection takes no more questions when its ids are used up; none is used twice.
func TestMessageIDsEnd(t *testing.T) {
	near, far := pairOf(t)
	near.next = maxMessageID - 1
	l := newLine(near, 1<<20, time.Minute)
	p, err := l.send(time.Now().Add(time.Minute), queryFor("last"))
	if err != nil || p.id != maxMessageID {
		t.Fatalf("%+v %v", p, err)
	}
	if _, err := l.send(time.Now().Add(time.Minute), queryFor("more")); !errors.Is(err, errLineRetired) {
		t.Errorf("%v", err)
	}
	if _, ok := l.load(time.Now()); ok {
		t.Error("it counts as open")
	}
	q := readQuestions(t, far, 1)
	write(far, message(q[0].id, resultOp(5, 0, "")).Bytes())
	if _, err := p.result(t.Context()); err != nil {
		t.Error(err)
	}
	bind, _ := pairOf(t)
	bind.next = maxMessageID
	if _, err := bind.bind(t.Context(), time.Now().Add(time.Minute), "uid=x", []byte("x"), true); !errors.Is(err, authn.ErrNotSent) {
		t.Errorf("%v", err)
	}
}

// TestNotSent: a bind counts unless nothing of it left.
func TestNotSent(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		before func(near *conn, far net.Conn)
		after  func(far net.Conn)
		not    bool
	}{
		"too late":         {ctx: ended, not: true},
		"closed before":    {before: func(near *conn, _ net.Conn) { near.drop() }, not: true},
		"closed after":     {after: func(far net.Conn) { _ = far.Close() }},
		"half an answer":   {after: func(far net.Conn) { write(far, []byte{0x30, 20, 2}); _ = far.Close() }},
		"another's answer": {after: func(far net.Conn) { write(far, message(9, resultOp(1, 0, "")).Bytes()) }},
		"search result":    {after: func(far net.Conn) { write(far, message(1, resultOp(5, 0, "")).Bytes()) }},
		"farewell":         {after: func(far net.Conn) { write(far, message(0, resultOp(24, 52, "")).Bytes()) }},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pairOf(t)
			if c.before != nil {
				c.before(near, far)
			}
			if c.after != nil {
				go func() {
					_, _ = ber.ReadPacket(far)
					c.after(far)
				}()
			}
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			_, err := near.bind(ctx, time.Now().Add(time.Minute), "uid=x", []byte("secret"), true)
			if err == nil || errors.Is(err, authn.ErrNotSent) != c.not {
				t.Errorf("%v, not sent: %v", err, c.not)
			}
			for _, b := range near.out[:cap(near.out)] {
				if b != 0 {
					t.Fatal("the password is left in the buffer")
				}
			}
		})
	}
}

// TestOctetsBeforeTLS: what comes in the clear behind the answer to StartTLS is not taken for what comes under TLS.
func TestOctetsBeforeTLS(t *testing.T) {
	f := newFake(t, "starttls")
	f.start = func(c *fakeConn, id int64) {
		octets := message(id, resultOp(ldap.ApplicationExtendedResponse, 0, "")).Bytes()
		write(c, append(octets, message(2, resultOp(ldap.ApplicationBindResponse, 0, "")).Bytes()...))
	}
	_, err := openLDAP(t, patient(f)).Authenticate(t.Context(), fakeUser("alice"), secret("x"))
	mustBeOutage(t, "bind", err)
	if !errors.Is(err, errBER) || !errors.Is(err, authn.ErrNotSent) {
		t.Errorf("%v", err)
	}
}

// TestFirstOfAFlightLeaves: the one who works on a look-up gives up; the others get its answer, from the same search.
func TestFirstOfAFlightLeaves(t *testing.T) {
	f := newFake(t, "ldap")
	begun, release := make(chan struct{}, 10), make(chan struct{})
	f.search = func(c *fakeConn, id int64, _, filter string) {
		name := strings.TrimSuffix(strings.TrimPrefix(filter, "(uid="), ")")
		if name == "alice" {
			begun <- struct{}{}
			<-release
		}
		c.user(id, name)
		c.done(id)
	}
	l := openLDAP(t, patient(f))
	lookup(t, l, "bob") // so that there is a connection
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := l.Lookup(ctx, []byte("alice"))
		first <- err
	}()
	<-begun
	go func() {
		u, err := l.Lookup(t.Context(), []byte("alice"))
		if err == nil && u.Name != "alice" {
			err = fmt.Errorf("it is %s", u.Name)
		}
		second <- err
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("the second: %v", err)
	}
	if n := f.searches.Load(); n != 2 {
		t.Errorf("%d searches", n)
	}
}
