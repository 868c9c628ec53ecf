package directory

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
	"sekisho/internal/testenv"
)

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
	dying, other := newFake(t, "ldap"), newFake(t, "ldap")
	dying.bind = func(c *fakeConn, id int64, _, password string) {
		if password == "die" {
			_ = c.Close()
			return
		}
		c.result(id, ldap.ApplicationBindResponse, 0, "")
	}
	for _, pooled := range []bool{true, false} {
		config := patient(dying)
		config.URLs = append(config.URLs, other.config().URLs...) // another server would be there to ask
		l := openLDAP(t, config)
		if pooled {
			if r, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("right")); err != nil || !r.OK {
				t.Fatalf("%+v %v", r, err)
			}
		}
		before := dying.userBinds.Load()
		_, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("die"))
		if errors.Is(err, authn.ErrNotSent) {
			t.Errorf("a bind that was sent does not count: %v", err)
		}
		mustBeOutage(t, "bind", err)
		if n, m := dying.userBinds.Load()-before, other.userBinds.Load(); n != 1 || m != 0 {
			t.Errorf("pooled %v: the bind was sent %d times, and %d times to the other server", pooled, n, m)
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
	config := patient(f)
	config.GroupWalk = walkMember
	l := openLDAP(t, config)
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

// patient is the fake's config with deadlines that no test waits for.
func patient(f *fake) LDAPConfig {
	c := f.config()
	c.ConnectTimeout, c.Timeout, c.GroupWalk = 10*time.Second, 30*time.Second, walkDirect
	return c
}

func TestAnswerIsBounded(t *testing.T) {
	for _, scheme := range []string{"ldap", "ldaps", "starttls"} {
		f := newFake(t, scheme)
		f.search = func(c *fakeConn, id int64, _, filter string) {
			name := strings.TrimSuffix(strings.TrimPrefix(filter, "(uid="), ")")
			group := "cn=" + strings.Repeat("g", 990) + ",dc=fake"
			groups := strings.Repeat(group+"|", 40) + group // some 40 KiB
			c.entry(id, "uid="+name, "uid", name, "entryUUID", name, "memberOf", groups)
			for name == "endless" {
				if _, err := c.Write(message(id, entryOp("uid=x", "uid", groups)).Bytes()); err != nil {
					return
				}
			}
			c.done(id)
		}
		config := patient(f)
		config.MaxAnswer = 64 << 10
		l := openLDAP(t, config)
		for i := range 4 { // the bound is for each answer, not for the connection
			lookup(t, l, fmt.Sprint("user", i))
		}
		if n := f.conns.Load(); n != 1 {
			t.Errorf("%s: %d connections for answers within the bound", scheme, n)
		}
		began := time.Now()
		_, err := l.Lookup(t.Context(), []byte("endless"))
		mustBeOutage(t, scheme, err)
		if !errors.Is(err, errAnswerTooLong) || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %v after %v", scheme, err, time.Since(began))
		}
	}
}

func TestBindAnswerIsBounded(t *testing.T) {
	f := newFake(t, "ldap")
	f.bind = func(c *fakeConn, id int64, _, password string) {
		c.result(id, ldap.ApplicationBindResponse, 49, strings.Repeat("x", map[string]int{"short": 15 << 10, "long": 17 << 10}[password]))
	}
	l := openLDAP(t, patient(f))
	for range 3 {
		if r, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("short")); err != nil || r.OK {
			t.Errorf("%+v %v", r, err)
		}
	}
	if _, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("long")); !errors.Is(err, errAnswerTooLong) {
		t.Errorf("%v", err)
	}
}

func TestConnectingHasItsOwnDeadline(t *testing.T) {
	hung, good := newFake(t, "ldaps"), newFake(t, "ldap")
	hung.accept = func(net.Conn) bool { return false }
	config := patient(good)
	config.URLs = append(hung.config().URLs, config.URLs...)
	config.ConnectTimeout = 100 * time.Millisecond
	l := openLDAP(t, config)
	began := time.Now()
	lookup(t, l, "alice")
	if r, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("right")); err != nil || !r.OK {
		t.Errorf("%+v %v", r, err)
	}
	if took := time.Since(began); took > slack {
		t.Errorf("the next server was tried after %v", took)
	}
}

func TestAnErrorEndsItsConnection(t *testing.T) {
	f := newFake(t, "ldap")
	f.search = func(c *fakeConn, id int64, _, _ string) { c.result(id, ldap.ApplicationSearchResultDone, 80, "") }
	f.bind = func(c *fakeConn, id int64, _, password string) {
		code := map[string]int64{"right": 0, "wrong": 49, "busy": 51}[password]
		c.result(id, ldap.ApplicationBindResponse, code, "")
	}
	l := openLDAP(t, patient(f))
	for i := range 3 {
		_, err := l.Lookup(t.Context(), fmt.Append(nil, i))
		mustBeOutage(t, "look-up", err)
	}
	if n := f.conns.Load(); n != 3 {
		t.Errorf("%d connections for 3 searches that failed", n)
	}
	before := f.conns.Load()
	for _, password := range []string{"right", "wrong", "right", "busy", "right", "wrong"} {
		_, _ = l.Authenticate(t.Context(), fakeUser("alice"), secret(password))
	}
	if n := f.conns.Load() - before; n != 2 {
		t.Errorf("%d connections for binds with one failure among answers", n)
	}
}

func TestDeadConnectionIsNotUsedForABind(t *testing.T) {
	f := newFake(t, "ldap")
	l := openLDAP(t, patient(f))
	bind := func() {
		t.Helper()
		if r, err := l.Authenticate(t.Context(), fakeUser("alice"), secret("right")); err != nil || !r.OK {
			t.Fatalf("%+v %v", r, err)
		}
	}
	bind()
	idle := l.binds.idle[0]
	f.hangUp()
	for deadline := time.Now().Add(slack); idle.alive() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	bind()
	if n := f.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
	l.binds.idle[0].used = time.Now().Add(-idleLimit)
	bind()
	if n := f.conns.Load(); n != 3 {
		t.Errorf("a connection that lay idle for too long was used: %d", n)
	}
	bind()
	if n := f.conns.Load(); n != 3 {
		t.Errorf("a good connection was not used again: %d", n)
	}
}

func TestWaitingForAConnectionHasADeadline(t *testing.T) {
	f := newFake(t, "ldap")
	l := openLDAP(t, f.config())
	for _, q := range []*queue{l.asking, l.binding} {
		for q.tryEnter() {
		}
	}
	began := time.Now()
	_, err := l.Lookup(t.Context(), []byte("alice"))
	mustBeOutage(t, "look-up", err)
	_, err = l.Authenticate(t.Context(), fakeUser("alice"), secret("right"))
	mustBeOutage(t, "bind", err)
	if !errors.Is(err, authn.ErrNotSent) {
		t.Errorf("a bind that found no connection counts: %v", err)
	}
	if took := time.Since(began); took > l.lookupTime()+l.bindTime()+slack {
		t.Errorf("waited %v", took)
	}
	for i := range maxFlights {
		l.flights.join(fmt.Sprint(i))
	}
	_, err = l.Lookup(t.Context(), []byte("bob"))
	mustBeOutage(t, "one look-up too many", err)
	if err != nil && !strings.Contains(err.Error(), "under way") {
		t.Error(err)
	}
}

func TestUnreachableAddress(t *testing.T) {
	config := LDAPConfig{URLs: []string{fmt.Sprintf("ldap://127.0.0.1:%d", testenv.Port(t))}, BaseDN: "dc=fake", FailureLimit: -1}
	l := openLDAP(t, config)
	_, err := l.Lookup(t.Context(), []byte("alice"))
	mustBeOutage(t, "look-up", err)
	_, err = l.Authenticate(t.Context(), fakeUser("alice"), secret("right"))
	mustBeOutage(t, "bind", err)
	if !errors.Is(err, authn.ErrNotSent) {
		t.Errorf("a bind that was never sent counts: %v", err)
	}
	l.Close()
	_, err = l.Lookup(t.Context(), []byte("alice"))
	mustBeOutage(t, "after Close", err)
}
