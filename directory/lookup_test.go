package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

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
	config.Timeout, config.GroupWalk = 10*time.Second, walkDirect
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
	config.Timeout, config.GroupWalk = 10*time.Second, walkDirect
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
		for l.FailureLimit().Wrong != want && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if got := l.FailureLimit().Wrong; got != want {
			t.Errorf("threshold %q: %d, want %d", threshold, got, want)
		}
	}
}

// TestAttributesAreBounded: what cannot be shown or sent is left out, the rest stays in the order of the map.
func TestAttributesAreBounded(t *testing.T) {
	f := newFake(t, "ldap")
	f.search = func(c *fakeConn, id int64, _, _ string) {
		c.entry(id, "uid=alice,dc=fake", "uid", "alice", "entryUUID", "1", "mobile", "2", "TELEPHONENUMBER", "1", "mail", "bad\xff|good@x|a\nb|"+
			strings.Repeat("x", 1025), "cn", strings.Repeat("c|", 40)+"c", "displayName", "", "secret", "never asked for")
		c.done(id)
	}
	config := patient(f)
	config.Attributes = map[string][]string{"department": nil}
	l := openLDAP(t, config)
	got := lookup(t, l, "alice").Attributes
	if !slices.Equal(got["phone"], []string{"1", "2"}) || !slices.Equal(got["mail"], []string{"good@x"}) || len(got["name"]) != 16 || len(got) != 3 {
		t.Errorf("%q", got)
	}
	if asked := l.dialer.asked; slices.Contains(asked, "departmentNumber") || !slices.Contains(asked, "mobile") {
		t.Errorf("asked for %q", asked)
	}
}
