package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/internal/testenv"
)

// ldapConfig is a config for a server that testenv started.
func ldapConfig(s *testenv.SlapdServer) LDAPConfig {
	return LDAPConfig{
		URLs: []string{s.LDAPS}, CAFile: s.CA, GroupWalk: walkMember,
		BindDN: testenv.SlapdReaderDN, BindPassword: authn.NewSecret([]byte(testenv.SlapdReaderPassword)),
		BaseDN: testenv.SlapdBase, Timeout: 5 * time.Second, ConnectTimeout: 5 * time.Second,
	}
}

func openLDAP(t testing.TB, c LDAPConfig) *LDAP {
	t.Helper()
	l, err := OpenLDAP("corp", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func secret(s string) authn.Secret { return authn.NewSecret([]byte(s)) }

func lookup(t testing.TB, l authn.Directory, name string) *authn.User {
	t.Helper()
	u, err := l.Lookup(t.Context(), []byte(name))
	if err != nil {
		t.Fatalf("looking up %s: %v", name, err)
	}
	return u
}

// TestSlapd asks one real server in every way that does not change it.
func TestSlapd(t *testing.T) {
	extra := &strings.Builder{}
	person := func(uid, sn string) {
		fmt.Fprintf(extra, "dn: uid=%[1]s,ou=people,%s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[3]s\nuserPassword: %s\n\n",
			uid, testenv.SlapdBase, sn, testenv.SlapdPassword)
	}
	person("muller", "x")
	person("i", "x")
	person("star", "*")
	fmt.Fprintf(extra, "dn: cn=both,ou=people,%s\nobjectClass: inetOrgPerson\nuid: zelda\nuid: asmith\ncn: both\nsn: both\n\n", testenv.SlapdBase)
	// A chain of groups deeper than a walk may go, and a group that hides its member from memberOf.
	dn := "uid=muller,ou=people," + testenv.SlapdBase
	for i := range 6 {
		fmt.Fprintf(extra, "dn: cn=deep%[1]d,ou=groups,%s\nobjectClass: groupOfNames\ncn: deep%[1]d\nmember: %[3]s\n\n", i, testenv.SlapdBase, dn)
		dn = fmt.Sprintf("cn=deep%d,ou=groups,%s", i, testenv.SlapdBase)
	}
	srv := testenv.Slapd(t, testenv.SlapdOptions{Users: 20, LDIF: extra.String()})
	l := openLDAP(t, ldapConfig(srv))

	t.Run("transports", func(t *testing.T) {
		for name, change := range map[string]func(*LDAPConfig){
			"ldaps":    func(*LDAPConfig) {},
			"starttls": func(c *LDAPConfig) { c.URLs, c.StartTLS = []string{srv.URL}, true },
			"loopback": func(c *LDAPConfig) { c.URLs, c.CAFile = []string{srv.URL}, "" },
			"second server": func(c *LDAPConfig) {
				c.URLs = []string{fmt.Sprintf("ldaps://127.0.0.1:%d", testenv.Port(t)), srv.LDAPS}
			},
		} {
			t.Run(name, func(t *testing.T) {
				c := ldapConfig(srv)
				change(&c)
				l := openLDAP(t, c)
				alice := lookup(t, l, "alice")
				if r, err := l.Authenticate(t.Context(), alice, secret(testenv.SlapdPassword)); err != nil || !r.OK {
					t.Fatalf("right password: %+v %v", r, err)
				}
				if r, err := l.Authenticate(t.Context(), alice, secret("wrong")); err != nil || r != (authn.BindResult{}) {
					t.Fatalf("wrong password: %+v %v", r, err)
				}
			})
		}
	})

	t.Run("certificate", func(t *testing.T) {
		for name, change := range map[string]func(*LDAPConfig){
			"unknown CA":        func(c *LDAPConfig) { c.CAFile = testenv.PKI(t).CA },
			"other name":        func(c *LDAPConfig) { c.ServerName = "other.lab.test" },
			"StartTLS other CA": func(c *LDAPConfig) { c.URLs, c.StartTLS, c.CAFile = []string{srv.URL}, true, testenv.PKI(t).CA },
		} {
			c := ldapConfig(srv)
			change(&c)
			_, err := openLDAP(t, c).Lookup(t.Context(), []byte("alice"))
			mustBeOutage(t, name, err)
			if !strings.Contains(err.Error(), "x509") {
				t.Errorf("%s: the error does not tell why: %v", name, err)
			}
		}
	})

	t.Run("service account refused", func(t *testing.T) {
		c := ldapConfig(srv)
		c.BindPassword = secret("canary-password")
		_, err := openLDAP(t, c).Lookup(t.Context(), []byte("alice"))
		mustBeOutage(t, "lookup", err)
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("password in the error: %v", err)
		}
	})

	t.Run("groups", func(t *testing.T) {
		for name, want := range map[string]string{
			"alice":    "everything vpn vpn-admins",
			"bob":      "everything vpn vpn-admins",
			"carol":    "everything vpn",
			"ringo":    "ring-a ring-b",
			"user0020": "",
		} {
			var dns []string
			for _, g := range strings.Fields(want) {
				dns = append(dns, srv.GroupDN(g))
			}
			slices.Sort(dns)
			if got := lookup(t, l, name).Groups; !slices.Equal(got, dns) {
				t.Errorf("%s: groups %q, want %q", name, got, dns)
			}
		}
		flat := ldapConfig(srv)
		flat.GroupWalk = walkDirect
		if got := lookup(t, openLDAP(t, flat), "bob").Groups; !slices.Equal(got, []string{srv.GroupDN("vpn-admins")}) {
			t.Errorf("direct groups only: %q", got)
		}
		if got := lookup(t, l, "muller").Groups; len(got) != 6 {
			t.Errorf("chain of 6 groups without memberOf: %q", got)
		}
		shallow := ldapConfig(srv)
		shallow.GroupDepth = 3
		_, err := openLDAP(t, shallow).Lookup(t.Context(), []byte("muller"))
		mustBeOutage(t, "walk that is not finished", err)
	})

	t.Run("states", func(t *testing.T) {
		for name, want := range map[string]struct{ barred, bind authn.Reason }{
			"alice":      {0, authn.OK},
			"locked":     {authn.UserLocked, authn.UserLocked},
			"disabled":   {authn.UserDisabled, authn.OK}, // slapd itself knows nothing of this attribute
			"left":       {authn.UserExpired, authn.OK},
			"mustchange": {authn.PasswordMustChange, authn.PasswordMustChange},
			"expired":    {0, authn.PasswordExpired},
		} {
			u := lookup(t, l, name)
			if u.Barred != want.barred {
				t.Errorf("%s: barred %v, want %v", name, u.Barred, want.barred)
			}
			r, err := l.Authenticate(t.Context(), u, secret(testenv.SlapdPassword))
			wanted := authn.BindResult{OK: want.bind == authn.OK}
			if !wanted.OK {
				wanted.Barred = want.bind
			}
			if err != nil || r != wanted {
				t.Errorf("%s: bind %+v %v, want %+v", name, r, err, wanted)
			}
		}
		// The bind that follows on the same connection is not touched by any of this.
		if r, err := l.Authenticate(t.Context(), lookup(t, l, "bob"), secret(testenv.SlapdPassword)); err != nil || !r.OK {
			t.Errorf("bob after them: %+v %v", r, err)
		}
	})

	t.Run("lockout", func(t *testing.T) {
		u := lookup(t, l, "user0007")
		for range 3 {
			if r, err := l.Authenticate(t.Context(), u, secret("wrong")); err != nil || r.OK {
				t.Fatalf("%+v %v", r, err)
			}
		}
		want := authn.BindResult{Barred: authn.UserLocked}
		if r, err := l.Authenticate(t.Context(), u, secret(testenv.SlapdPassword)); err != nil || r != want {
			t.Errorf("after 3 failures: %+v %v", r, err)
		}
		// The lock has an end that only the server knows: it bars nobody at look-up.
		if again := lookup(t, openLDAP(t, ldapConfig(srv)), "user0007"); again.Barred != 0 {
			t.Errorf("barred %v by a lock that ends", again.Barred)
		}
	})

	t.Run("failure limit", func(t *testing.T) {
		for deadline := time.Now().Add(10 * time.Second); l.FailureLimit() != (authn.Lockout{Wrong: 3, Window: time.Minute}); {
			if time.Now().After(deadline) {
				t.Fatalf("limit %+v, want 3 as in pwdMaxFailure, for a minute", l.FailureLimit())
			}
			time.Sleep(10 * time.Millisecond)
		}
		for limit, want := range map[int]int{7: 7, -1: 0} {
			c := ldapConfig(srv)
			c.FailureLimit = limit
			if got := openLDAP(t, c).FailureLimit().Wrong; got != want {
				t.Errorf("failure_limit %d: %d, want %d", limit, got, want)
			}
		}
	})

	t.Run("absent and ambiguous", func(t *testing.T) {
		for name, want := range map[string]error{
			"nobody": authn.ErrUnknownUser, "twin": authn.ErrAmbiguousUser, "TWIN ": authn.ErrAmbiguousUser,
		} {
			if u, err := l.Lookup(t.Context(), []byte(name)); !errors.Is(err, want) || u != nil {
				t.Errorf("%s: %v %v, want %v", name, u, err, want)
			}
		}
		missing := ldapConfig(srv)
		missing.BaseDN = "ou=nowhere," + testenv.SlapdBase
		_, err := openLDAP(t, missing).Lookup(t.Context(), []byte("alice"))
		mustBeOutage(t, "missing base", err)
	})

	t.Run("id and name", func(t *testing.T) {
		u := lookup(t, l, "alice")
		if len(u.ID) != 36 || u.Directory != "corp" || u.Name != "alice" || u.DN != srv.UserDN("alice") {
			t.Errorf("%+v", u)
		}
		a, z := lookup(t, l, "asmith"), lookup(t, l, "zelda")
		if a.ID != z.ID || a.Name != z.Name {
			t.Errorf("two values of uid: %+v %+v", a, z)
		}
		noID := ldapConfig(srv)
		noID.IDAttribute = "employeeNumber"
		_, err := openLDAP(t, noID).Lookup(t.Context(), []byte("alice"))
		mustBeOutage(t, "no id", err)
	})

	t.Run("hostile names", func(t *testing.T) {
		names := []string{
			"*", "al*", "*ice", "a*e", "al?ce", "alice)(uid=*", "*)(uid=*))(|(uid=*", "alice)(|(uid=*", "alice\\", "\\61lice",
			"\\2a", "alice,ou=people", "uid=alice", "alice)(&(uid=alice)", "(uid=alice)", "|(uid=alice)", "alice;uid=bob",
			"alice\nbob", "alice\x7f", "&", "!", "=", "<alice", ">alice", "~alice", "alice\u200b", "\u00adalice", "аlice",
			"al\u0131ce", "a\u0308lice", strings.Repeat("é", 126), strings.Repeat("a", 253), "alice'", "alice\"", "alice#", "#alice",
		}
		for _, name := range names {
			u, err := l.Lookup(t.Context(), []byte(name))
			if !errors.Is(err, authn.ErrUnknownUser) {
				t.Errorf("%q: %v %v, want no such user", name, u, err)
			}
		}
		// sn=* is a value like any other; a name that is "*" finds exactly its owner.
		bySurname := ldapConfig(srv)
		bySurname.UserFilter = "(&(objectClass=person)(sn=%s))"
		if u := lookup(t, openLDAP(t, bySurname), "*"); u.Name != "star" {
			t.Errorf("surname *: %+v", u)
		}
		// A rule of the server that matches more than it should is caught by comparing what came back.
		loose := ldapConfig(srv)
		loose.UserFilter = "(|(uid=%s)(uid=muller))"
		if u, err := openLDAP(t, loose).Lookup(t.Context(), []byte("nobody")); !errors.Is(err, authn.ErrUnknownUser) {
			t.Errorf("filter that names somebody else: %v %v", u, err)
		}
	})

	t.Run("spellings", func(t *testing.T) {
		id := lookup(t, l, "muller").ID
		found, unknown := 0, 0
		all := spellings("muller")
		for _, s := range all {
			u, err := l.Lookup(t.Context(), []byte(s))
			switch {
			case err == nil && u.ID == id:
				found++
			case errors.Is(err, authn.ErrUnknownUser):
				unknown++
			default:
				t.Errorf("%q: %+v %v", s, u, err)
			}
		}
		if len(all) < 200 || found < 150 {
			t.Errorf("%d spellings, %d of them found", len(all), found)
		}
		t.Logf("%d spellings of one person: %d the same id, %d unknown", len(all), found, unknown)
	})

	t.Run("many at once", func(t *testing.T) {
		fresh := openLDAP(t, ldapConfig(srv))
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				name := fmt.Sprintf("user%04d", 10+i%10)
				u, err := fresh.Lookup(t.Context(), []byte(name))
				if err != nil {
					t.Error(err)
					return
				}
				password, want := testenv.SlapdPassword, true
				if u.Name != name {
					t.Errorf("%s became %s", name, u.Name)
				}
				if r, err := fresh.Authenticate(t.Context(), u, secret(password)); err != nil || r.OK != want {
					t.Errorf("%s: %+v %v", name, r, err)
				}
			})
		}
		wg.Wait()
		if got := fresh.BindTime(); got < 250*time.Millisecond || got%(250*time.Millisecond) != 0 {
			t.Errorf("bind time %v", got)
		}
	})

	t.Run("cache", func(t *testing.T) {
		fresh := openLDAP(t, ldapConfig(srv))
		if u, ok := fresh.Peek([]byte("alice"), time.Now()); ok {
			t.Errorf("known before it was asked: %+v", u)
		}
		lookup(t, fresh, "alice")
		for at, want := range map[time.Duration]bool{0: true, 29 * time.Second: true, 30 * time.Second: false} {
			if u, ok := fresh.Peek([]byte(" alice "), time.Now().Add(at)); ok != want || ok && u.Name != "alice" {
				t.Errorf("after %v: %v %v", at, u, ok)
			}
		}
		_, _ = fresh.Lookup(t.Context(), []byte("nobody"))
		if u, ok := fresh.Peek([]byte("nobody"), time.Now()); ok {
			t.Errorf("an absent user is peeked: %+v", u)
		}
	})

	t.Run("server gone and back", func(t *testing.T) {
		lone := testenv.Slapd(t, testenv.SlapdOptions{})
		l := openLDAP(t, ldapConfig(lone))
		u := lookup(t, l, "alice")
		lone.Stop()
		_, err := l.Lookup(t.Context(), []byte("bob"))
		mustBeOutage(t, "lookup", err)
		_, err = l.Authenticate(t.Context(), u, secret(testenv.SlapdPassword))
		mustBeOutage(t, "bind", err)
	})
}

// mustBeOutage fails unless err is an error that says the directory could not answer.
func mustBeOutage(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, authn.ErrUnknownUser) || errors.Is(err, authn.ErrAmbiguousUser) {
		t.Errorf("%s: %v, want an outage", what, err)
	}
}

// spellings gives ways to write an ASCII name that some part of a system may take for the same.
func spellings(name string) []string {
	seen := map[string]bool{}
	add := func(s string) { seen[s] = true }
	for mask := range 1 << len(name) { // every mix of cases
		b := []byte(name)
		for i := range b {
			if mask>>i&1 == 1 {
				b[i] -= 'a' - 'A'
			}
		}
		add(string(b))
	}
	wide := func(s string) string {
		return strings.Map(func(r rune) rune { return r - '!' + '！' }, s)
	}
	for i := range len(name) { // full-width and other compatibility letters
		add(name[:i] + wide(name[i:i+1]) + name[i+1:])
		add(wide(name[:i]) + name[i:])
		add(name[:i] + string(rune(0x1d400+int(name[i]-'a')+26)) + name[i+1:]) // mathematical bold
		add(name[:i] + string(rune(0x24d0+int(name[i]-'a'))) + name[i+1:])     // circled
		add(name[:i] + "\u200b" + name[i:])
		add(name[:i] + "\u00ad" + name[i:])
		add(name[:i] + " " + name[i:])
		add(name[:i+1] + "\u0308" + name[i+1:])
		add(name[:i+1] + "\u0301" + name[i+1:])
	}
	blanks := []string{"", " ", "  ", "\t", "\r\n", "\u00a0", "\u3000", "\u2003", "\ufeff", "\u2028"}
	for _, before := range blanks {
		for _, after := range blanks {
			add(before + name + after)
		}
	}
	for _, s := range []string{"LAB\\" + name, "lab/" + name, name + "@lab.test", name + "\x00", name + "\x00x", name + ".", "\"" + name + "\"",
		"mu\u013a\u013cer", "mullᵉr", "mu\u217c\u217cer", "müller", "mµller", "mｕllｅr"} {
		add(s)
	}
	all := make([]string, 0, len(seen))
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}
