package directory

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
	"sekisho/internal/testenv"
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
	patient := openLDAP(t, slow)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := patient.Lookup(ctx, []byte("alice"))
	mustBeOutage(t, "look-up", err)
	_, err = patient.Authenticate(ctx, fakeUser("alice"), secret("right"))
	mustBeOutage(t, "bind", err)
	if took := time.Since(began); took > slack {
		t.Errorf("the caller waited %v", took)
	}
	if got := patient.BindTime(); got != 40*time.Second+250*time.Millisecond && got != 40*time.Second {
		t.Errorf("a bind that hung counts as %v, not as its whole time", got)
	}
}

func TestHopelessPasswordsAreNotSent(t *testing.T) {
	f := newFake(t, "ldap")
	f.bind = func(c *fakeConn, id int64, _, _ string) { c.result(id, ldap.ApplicationBindResponse, 0, "") } // as AD for an empty one
	l := openLDAP(t, f.config())
	for _, p := range []string{"", " ", "\t\r\n ", "\x00", "\x00secret", "secret\x00", "   \x00"} {
		if r, err := l.Authenticate(t.Context(), fakeUser("alice"), secret(p)); err != nil || r != (authn.BindResult{}) {
			t.Errorf("%q: %+v %v", p, r, err)
		}
	}
	for what, u := range map[string]*authn.User{
		"no DN":           {Directory: "corp", ID: "1", Name: "alice"},
		"other directory": {Directory: "other", ID: "1", DN: "uid=alice,dc=fake"},
		"none":            nil,
	} {
		if r, err := l.Authenticate(t.Context(), u, secret("right")); err == nil || r.OK {
			t.Errorf("%s: %+v %v", what, r, err)
		}
	}
	if n := f.userBinds.Load(); n != 0 {
		t.Errorf("%d binds were sent", n)
	}
	if r, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("right")); err != nil || !r.OK || f.userBinds.Load() != 1 {
		t.Errorf("a real password: %+v %v, %d binds", r, err, f.userBinds.Load())
	}
}

func TestBindIsSentOnce(t *testing.T) {
	f := newFake(t, "ldap")
	l := openLDAP(t, f.config())
	ask := func() (authn.BindResult, error) {
		return l.Authenticate(t.Context(), fakeUser("alice"), secret("right"))
	}
	if r, err := ask(); err != nil || !r.OK {
		t.Fatalf("%+v %v", r, err)
	}
	// The next bind goes out on the same connection, and the server dies on it.
	f2 := newFake(t, "ldap")
	f2.bind = func(c *fakeConn, id int64, _, password string) {
		if password == "die" {
			_ = c.Close()
			return
		}
		c.result(id, ldap.ApplicationBindResponse, 0, "")
	}
	config := f2.config()
	config.URLs = append(config.URLs, f.url) // another server would be there to ask
	l = openLDAP(t, config)
	if r, err := ask(); err != nil || !r.OK {
		t.Fatalf("%+v %v", r, err)
	}
	for _, fresh := range []bool{false, true} {
		before, elsewhere := f2.userBinds.Load(), f.userBinds.Load()
		_, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("die"))
		if !fresh || f2.userBinds.Load() > before {
			mustBeOutage(t, "bind", err)
		}
		if sent := f2.userBinds.Load() - before + f.userBinds.Load() - elsewhere; sent != 1 {
			t.Errorf("fresh %v: the bind was sent %d times", fresh, sent)
		}
	}
}

func TestClosedIdleConnections(t *testing.T) {
	f := newFake(t, "ldap")
	l := openLDAP(t, f.config())
	for i := range 5 {
		name := fmt.Sprintf("user%d", i)
		if u := lookup(t, l, name); u.ID != "id-of-"+name {
			t.Fatalf("%+v", u)
		}
		// Whether the close was noticed before the next use or not: the search is asked again on a new connection.
		f.hangUp()
	}
	// A search that fails on a connection that was alive in the pool is repeated once, on a new one; then it is an outage.
	f.search = func(c *fakeConn, _ int64, _, _ string) { _ = c.Close() }
	before := f.searches.Load()
	_, err := l.Lookup(t.Context(), []byte("last"))
	mustBeOutage(t, "look-up", err)
	if n := f.searches.Load() - before; n < 1 || n > 2 {
		t.Errorf("%d searches", n)
	}
}

// TestConnectionDiesUnderTheSearch pins the retry down: the pooled connection is alive when the search is sent.
func TestConnectionDiesUnderTheSearch(t *testing.T) {
	f := newFake(t, "ldap")
	var mu sync.Mutex
	used := map[*fakeConn]int{}
	f.search = func(c *fakeConn, id int64, _, filter string) {
		mu.Lock()
		used[c]++
		n := used[c]
		mu.Unlock()
		if n > 2 { // each look-up has two searches: user and groups
			_ = c.Close()
			return
		}
		if name, ok := strings.CutPrefix(filter, "(uid="); ok {
			c.user(id, strings.TrimSuffix(name, ")"))
		}
		c.done(id)
	}
	l := openLDAP(t, f.config())
	for i := range 4 {
		lookup(t, l, fmt.Sprintf("user%d", i))
	}
	if n := f.conns.Load(); n != 4 {
		t.Errorf("%d connections for 4 look-ups that each found the last connection dying", n)
	}
}

func TestDiesBetweenSearchAndBind(t *testing.T) {
	f := newFake(t, "ldaps")
	config := f.config()
	config.ConnectTimeout = 5 * time.Second
	l := openLDAP(t, config)
	u := lookup(t, l, "alice")
	f.close()
	r, err := l.Authenticate(t.Context(), u, secret("right"))
	mustBeOutage(t, "bind", err)
	if r != (authn.BindResult{}) {
		t.Errorf("%+v", r)
	}
	if again, ok := l.Peek([]byte("alice"), time.Now()); !ok || again != u {
		t.Errorf("the cache lost the user: %+v", again)
	}
}

func TestNextServerIsTried(t *testing.T) {
	hung, good := newFake(t, "ldap"), newFake(t, "ldap")
	hung.search = func(*fakeConn, int64, string, string) {}
	hung.bind = func(*fakeConn, int64, string, string) {}
	config := good.config()
	config.URLs = append(hung.config().URLs, config.URLs...)
	l := openLDAP(t, config)
	_, err := l.Lookup(t.Context(), []byte("alice"))
	mustBeOutage(t, "first look-up", err)
	if u := lookup(t, l, "alice"); u.Name != "alice" {
		t.Errorf("%+v", u)
	}
	if r, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("right")); err != nil || !r.OK {
		t.Errorf("%+v %v", r, err)
	}
}

func TestStormAsksOnce(t *testing.T) {
	f := newFake(t, "ldap")
	release := make(chan struct{})
	f.search = func(c *fakeConn, id int64, _, filter string) {
		<-release
		if strings.HasPrefix(filter, "(uid=") {
			c.user(id, "alice")
		}
		c.done(id)
	}
	config := f.config()
	config.Timeout, config.NestedGroups = 10*time.Second, false
	l := openLDAP(t, config)
	var ready, wg sync.WaitGroup
	for range 200 {
		ready.Add(1)
		wg.Go(func() {
			ready.Done()
			if u, err := l.Lookup(t.Context(), []byte("ａｌｉｃｅ ")); err != nil || u.ID != "id-of-alice" {
				t.Errorf("%+v %v", u, err)
			}
		})
	}
	ready.Wait()
	close(release)
	wg.Wait()
	if n := f.searches.Load(); n != 1 {
		t.Errorf("%d searches for one name", n)
	}
}

// TestStormOutlivesItsFirstCaller: who waits for a look-up does not lose it when the one who began it gives up.
func TestStormOutlivesItsFirstCaller(t *testing.T) {
	f := newFake(t, "ldap")
	begun, release := make(chan struct{}, 10), make(chan struct{})
	f.search = func(c *fakeConn, id int64, _, _ string) {
		begun <- struct{}{}
		<-release
		c.user(id, "alice")
		c.done(id)
	}
	config := f.config()
	config.Timeout, config.NestedGroups = 10*time.Second, false
	l := openLDAP(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := l.Lookup(ctx, []byte("alice"))
		first <- err
	}()
	<-begun
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first caller: %v", err)
	}
	close(release)
	lookup(t, l, "alice")
	if n := f.searches.Load(); n != 1 {
		t.Errorf("%d searches", n)
	}
}

func TestFoundEntryMustFit(t *testing.T) {
	guid := "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	for name, c := range map[string]struct {
		attrs  []string
		dn     string
		idAttr string
		want   error  // nil: an outage, unless id is set
		id     string // of the user that is found
	}{
		"fits":              {attrs: []string{"uid", "Alice", "entryUUID", "AB"}, id: "ab"},
		"among others":      {attrs: []string{"uid", "x|ALICE|y", "entryUUID", "ab"}, id: "ab"},
		"other case of key": {attrs: []string{"UID", "alice", "ENTRYUUID", "ab"}, id: "ab"},
		"other name":        {attrs: []string{"uid", "bob", "entryUUID", "ab"}, want: authn.ErrUnknownUser},
		"no name":           {attrs: []string{"entryUUID", "ab"}, want: authn.ErrUnknownUser},
		"name not UTF-8":    {attrs: []string{"uid", "alice\xff", "entryUUID", "ab"}, want: authn.ErrUnknownUser},
		"name in cn only":   {attrs: []string{"cn", "alice", "uid", "bob", "entryUUID", "ab"}, want: authn.ErrUnknownUser},
		"no id":             {attrs: []string{"uid", "alice"}},
		"two ids":           {attrs: []string{"uid", "alice", "entryUUID", "a|b"}},
		"empty id":          {attrs: []string{"uid", "alice", "entryUUID", ""}},
		"endless id":        {attrs: []string{"uid", "alice", "entryUUID", strings.Repeat("a", 129)}},
		"no DN":             {attrs: []string{"uid", "alice", "entryUUID", "ab"}, dn: "-"},
		"GUID":              {attrs: []string{"uid", "alice", "objectGUID", guid}, idAttr: "objectGUID", id: "04030201-0605-0807-090a-0b0c0d0e0f10"},
		"short GUID":        {attrs: []string{"uid", "alice", "objectGUID", guid[1:]}, idAttr: "objectGUID"},
		"part of groups":    {attrs: []string{"uid", "alice", "entryUUID", "ab", "memberOf;range=0-1499", "cn=a,dc=fake"}},
		"state unreadable":  {attrs: []string{"uid", "alice", "entryUUID", "ab", "userAccountControl", "many"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "ldap")
			dn := orDefault(c.dn, "uid=alice,dc=fake")
			f.search = func(fc *fakeConn, id int64, _, filter string) {
				if strings.HasPrefix(filter, "(uid=") {
					fc.entry(id, strings.TrimPrefix(dn, "-"), c.attrs...)
				}
				fc.done(id)
			}
			config := f.config()
			config.IDAttribute = c.idAttr
			config.ConnectTimeout, config.Timeout = 5*time.Second, 5*time.Second
			u, err := openLDAP(t, config).Lookup(t.Context(), []byte("alice"))
			switch {
			case c.id != "":
				if err != nil || u.ID != c.id {
					t.Errorf("%+v %v", u, err)
				}
			case c.want != nil:
				if !errors.Is(err, c.want) {
					t.Errorf("%+v %v, want %v", u, err, c.want)
				}
			default:
				mustBeOutage(t, "look-up", err)
			}
		})
	}
}

// TestGroupWalkIsAllOrNothing breaks the walk at each of its searches.
func TestGroupWalkIsAllOrNothing(t *testing.T) {
	for broken := range 5 {
		f := newFake(t, "ldap")
		n := 0
		f.search = func(c *fakeConn, id int64, _, filter string) {
			if n++; n == broken+1 {
				c.result(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultAdminLimitExceeded, "")
				return
			}
			switch {
			case strings.HasPrefix(filter, "(uid="):
				c.entry(id, "uid=alice,dc=fake", "uid", "alice", "entryUUID", "1", "memberOf", "CN=One, DC=Fake")
			case strings.Contains(filter, "CN=One"):
				c.entry(id, "cn=two,dc=fake")
			case strings.Contains(filter, "cn=two"):
				c.entry(id, "cn=three,dc=fake")
			}
			c.done(id)
		}
		config := f.config()
		config.ConnectTimeout, config.Timeout = 5*time.Second, 5*time.Second
		u, err := openLDAP(t, config).Lookup(t.Context(), []byte("alice"))
		if broken < 4 {
			mustBeOutage(t, fmt.Sprintf("search %d broken", broken+1), err)
			continue
		}
		want := []string{"cn=one,dc=fake", "cn=three,dc=fake", "cn=two,dc=fake"}
		if err != nil || !slices.Equal(u.Groups, want) {
			t.Errorf("%+v %v", u, err)
		}
	}
}

func TestFailureLimitOfActiveDirectory(t *testing.T) {
	for threshold, want := range map[string]int{"10": 10, "0": 0, "": assumedFailureLimit} {
		f := newFake(t, "ldap")
		asked := make(chan struct{})
		f.search = func(c *fakeConn, id int64, base, _ string) {
			switch base {
			case "":
				c.entry(id, "", "defaultNamingContext", "DC=corp")
			case "DC=corp":
				if threshold != "" {
					c.entry(id, "DC=corp", "lockoutThreshold", threshold)
				}
				defer close(asked)
			}
			c.done(id)
		}
		config := f.config()
		config.FailureLimit = 0
		config.ConnectTimeout, config.Timeout = 5*time.Second, 5*time.Second
		l := openLDAP(t, config)
		<-asked
		deadline := time.Now().Add(slack)
		for l.FailureLimit() != want && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if got := l.FailureLimit(); got != want {
			t.Errorf("threshold %q: %d, want %d", threshold, got, want)
		}
	}
}

// TestBERDepth: the library keeps a copy of the content per level, so depth has to be bounded.
func TestBERDepth(t *testing.T) {
	p := ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "x", "")
	for range 20 {
		around := ber.NewSequence("")
		around.AppendChild(p)
		p = around
	}
	if _, err := ber.DecodePacketErr(p.Bytes()); err == nil {
		t.Error("20 levels are taken")
	}
}

func TestUnreachableAddress(t *testing.T) {
	config := LDAPConfig{URLs: []string{fmt.Sprintf("ldap://127.0.0.1:%d", testenv.Port(t))}, BaseDN: "dc=fake", FailureLimit: -1}
	l := openLDAP(t, config)
	_, err := l.Lookup(t.Context(), []byte("alice"))
	mustBeOutage(t, "look-up", err)
	l.Close()
	_, err = l.Lookup(t.Context(), []byte("alice"))
	mustBeOutage(t, "after Close", err)
}
