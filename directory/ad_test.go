package directory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// testSID is an identifier of the fake domain: S-1-5-21-1-2-3-last.
func testSID(last uint32) sid {
	raw, _ := hex.DecodeString("010500000000000515000000010000000200000003000000" + "00000000")
	return sid(raw).sibling(last)
}

// testGUID is the id that alice has in the fake domain.
const testGUID = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"

// adFake answers as Active Directory does. alice is in ga, ga in gb, gb in gc, gc in ga; her primary group is Domain Users,
// which is in gd.
func adFake(t testing.TB) *fake {
	f := newFake(t, "ldap")
	const alice = "CN=Alice Smith,OU=Staff,DC=corp"
	groups := map[uint32]string{513: "CN=Domain Users,DC=corp", 1001: "CN=ga,DC=corp", 1002: "CN=gb,DC=corp", 1003: "CN=gc,DC=corp", 1004: "CN=gd,DC=corp"}
	above := map[string][]string{alice: {"CN=ga,DC=corp"}, "CN=ga,DC=corp": {"CN=gb,DC=corp"}, "CN=gb,DC=corp": {"CN=gc,DC=corp"},
		"CN=gc,DC=corp": {"CN=ga,DC=corp"}, "CN=Domain Users,DC=corp": {"CN=gd,DC=corp"}}
	f.search = func(c *fakeConn, id int64, base, filter string) {
		switch {
		case strings.Contains(filter, "objectCategory=person") && strings.Contains(filter, "=twin"):
			c.entry(id, "CN=One,DC=corp", "sAMAccountName", "twin")
			c.entry(id, "CN=Two,DC=corp", "userPrincipalName", "twin")
		case strings.Contains(filter, "objectCategory=person") && (strings.Contains(strings.ToLower(filter), "name=alice)") || strings.Contains(strings.ToLower(filter), "=alice.smith@")):
			c.entry(id, alice, "sAMAccountName", "alice", "userPrincipalName", "Alice.Smith@other.example", "objectGUID", testGUID,
				"objectSid", string(testSID(1105)), "primaryGroupID", "513", "memberOf", "CN=ga,DC=corp", "displayName", "Alice Smith",
				"msDS-PhoneticDisplayName", "ありす", "telephoneNumber", "1", "mobile", "2", "userAccountControl", "512")
		case slices.Contains(c.asks, "tokenGroups"):
			c.entry(id, base, "tokenGroups", strings.Join([]string{string(testSID(513)), string(testSID(1001)), string(testSID(1002)),
				string(testSID(1003)), string(testSID(1004)), string(testSID(9999))}, "|"))
		case strings.Contains(filter, inChain):
			for member, level := range above {
				if strings.Contains(filter, "="+member+")") {
					seen := map[string]bool{}
					for len(level) > 0 && !seen[level[0]] {
						seen[level[0]] = true
						c.entry(id, level[0])
						level = above[level[0]]
					}
				}
			}
		case strings.Contains(filter, "objectSid"):
			for number, dn := range groups {
				term, _ := ldap.CompileFilter(testSID(number).filter())
				if text, _ := ldap.DecompileFilter(term); strings.Contains(filter, text) {
					c.entry(id, dn)
				}
			}
		case strings.Contains(filter, "(member="):
			for member, level := range above {
				if strings.Contains(filter, "="+member+")") {
					c.entry(id, level[0])
				}
			}
		}
		reference := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
		reference.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "ldap://ForestDnsZones.corp/DC=ForestDnsZones,DC=corp", ""))
		c.send(id, reference)
		c.done(id)
	}
	return f
}

func adConfig(f *fake) LDAPConfig {
	c := f.config()
	c.Preset, c.BaseDN, c.GroupWalk = "ad", "OU=Staff,DC=corp", ""
	c.ConnectTimeout, c.Timeout = 5*time.Second, 5*time.Second
	return c
}

// TestWalksOfActiveDirectory: every way finds the same groups, the ring ends, the primary group and what it is in count.
func TestWalksOfActiveDirectory(t *testing.T) {
	all := []string{"cn=domain users,dc=corp", "cn=ga,dc=corp", "cn=gb,dc=corp", "cn=gc,dc=corp", "cn=gd,dc=corp"}
	for walk, want := range map[string][]string{"": all, walkTokens: all, walkChain: all, walkMember: all, walkDirect: all[:2]} {
		config := adConfig(adFake(t))
		config.GroupWalk = walk
		u := lookup(t, openLDAP(t, config), "alice")
		if !slices.Equal(u.Groups, want) {
			t.Errorf("%s: %q, want %q", walk, u.Groups, want)
		}
	}
}

func TestUserOfActiveDirectory(t *testing.T) {
	l := openLDAP(t, adConfig(adFake(t)))
	for _, name := range []string{"alice", "ALICE", " ａlice", "alice.smith@OTHER.example"} {
		u := lookup(t, l, name)
		if u.ID != "04030201-0605-0807-090a-0b0c0d0e0f10" || u.Name != "alice" || u.Attributes["reading"][0] != "ありす" ||
			!slices.Equal(u.Attributes["phone"], []string{"1", "2"}) {
			t.Errorf("%q: %+v", name, u)
		}
	}
	if _, err := l.Lookup(t.Context(), []byte("twin")); !errors.Is(err, authn.ErrAmbiguousUser) {
		t.Errorf("a name that is one's account and another's UPN: %v", err)
	}
	if r, err := l.ReportUser(t.Context(), []byte("twin")); !errors.Is(err, authn.ErrAmbiguousUser) || len(r.Entries) != 2 {
		t.Errorf("report: %+v %v", r, err)
	}
}

func TestTokenGroupsThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct{ tokens, says string }{
		"none":      {"", "Windows Authorization Access Group"},
		"not a SID": {"garbage", "tokenGroups"},
		"long SID":  {string(testSID(513)) + "x", "tokenGroups"},
		"short SID": {string(testSID(513)[:10]), "tokenGroups"},
		"too many":  {strings.Repeat(string(testSID(513))+"|", maxGroups+1), "more than"},
	} {
		f := adFake(t)
		usual := f.search
		f.search = func(fc *fakeConn, id int64, base, filter string) {
			switch {
			case !slices.Contains(fc.asks, "tokenGroups"):
				usual(fc, id, base, filter)
				return
			case c.tokens == "":
				fc.entry(id, base)
			default:
				fc.entry(id, base, "tokenGroups", c.tokens)
			}
			fc.done(id)
		}
		_, err := openLDAP(t, adConfig(f)).Lookup(t.Context(), []byte("alice"))
		mustBeOutage(t, name, err)
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRanges: a long list that comes in ranges is read to its end, or there is no answer.
func TestRanges(t *testing.T) {
	for name, c := range map[string]struct {
		ranges map[string][2]string // asked for -> name, values
		want   int                  // groups; 0: an outage
	}{
		"three": {map[string][2]string{"memberOf": {"memberOf;range=0-1", "cn=a|cn=b"}, "memberOf;range=2-*": {"MEMBEROF;Range=2-3", "cn=c|cn=d"},
			"memberOf;range=4-*": {"memberOf;range=4-*", "cn=e"}}, 5},
		"the rest is missing":  {map[string][2]string{"memberOf": {"memberOf;range=0-1", "cn=a|cn=b"}}, 0},
		"no way on":            {map[string][2]string{"memberOf": {"memberOf;range=0-1", "cn=a|cn=b"}, "memberOf;range=2-*": {"memberOf;range=0-1", "cn=a|cn=b"}}, 0},
		"not a range":          {map[string][2]string{"memberOf": {"memberOf;x-y", "cn=a"}}, 0},
		"not a number":         {map[string][2]string{"memberOf": {"memberOf;range=0-x", "cn=a"}}, 0},
		"a number without end": {map[string][2]string{"memberOf": {"memberOf;range=0-99999999999999999999", "cn=a"}}, 0},
	} {
		f := newFake(t, "ldap")
		f.search = func(fc *fakeConn, id int64, _, filter string) {
			for asked, r := range c.ranges {
				if slices.Contains(fc.asks, asked) && (strings.HasPrefix(filter, "(uid=") || asked != "memberOf") {
					fc.entry(id, "uid=alice,dc=fake", "uid", "alice", "entryUUID", "1", r[0], r[1])
				}
			}
			fc.done(id)
		}
		config := f.config()
		config.GroupWalk, config.ConnectTimeout, config.Timeout = walkDirect, 5*time.Second, 5*time.Second
		u, err := openLDAP(t, config).Lookup(t.Context(), []byte("alice"))
		if c.want == 0 {
			mustBeOutage(t, name, err)
			continue
		}
		if err != nil || len(u.Groups) != c.want {
			t.Errorf("%s: %+v %v, want %d groups", name, u, err, c.want)
		}
	}
}

// TestReferrals: an answer that refers to another server is an outage that names it, and nobody goes there.
func TestReferrals(t *testing.T) {
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = elsewhere.Close() }()
	uri := "ldap://" + elsewhere.Addr().String() + "/DC=other"
	refer := func(tag ber.Tag) *ber.Packet {
		op := resultOp(tag, ldap.LDAPResultReferral, "")
		to := ber.Encode(ber.ClassContext, ber.TypeConstructed, 3, nil, "")
		to.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, uri, ""))
		op.AppendChild(to)
		return op
	}
	f := newFake(t, "ldap")
	f.search = func(c *fakeConn, id int64, _, _ string) { c.send(id, refer(ldap.ApplicationSearchResultDone)) }
	f.bind = func(c *fakeConn, id int64, _, _ string) { c.send(id, refer(ldap.ApplicationBindResponse)) }
	l := openLDAP(t, patient(f))
	_, lookErr := l.Lookup(t.Context(), []byte("alice"))
	_, bindErr := l.Authenticate(t.Context(), fakeUser("alice"), secret("right"))
	for what, err := range map[string]error{"look-up": lookErr, "bind": bindErr} {
		mustBeOutage(t, what, err)
		if err == nil || !strings.Contains(err.Error(), uri) || !strings.Contains(err.Error(), "referrals are not followed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if h := l.Health()[0]; h.Down {
		t.Errorf("a server that refers counts as down: %+v", h)
	}
	_ = elsewhere.(*net.TCPListener).SetDeadline(time.Now())
	if c, err := elsewhere.Accept(); err == nil {
		_ = c.Close()
		t.Error("the referral was followed")
	}
}

// TestSubCodes asks with answers as domain controllers give them, through the whole bind.
func TestSubCodes(t *testing.T) {
	f := newFake(t, "ldap")
	f.bind = func(c *fakeConn, id int64, _, code string) {
		if code == "0" {
			c.result(id, ldap.ApplicationBindResponse, 0, "")
			return
		}
		c.result(id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials, adText(code)+"\x00")
	}
	l := openLDAP(t, patient(f))
	for code, want := range map[string]authn.BindResult{
		"0": {OK: true}, "52e": {}, "525": {}, "530": {Barred: authn.UserHours}, "531": {Barred: authn.UserWorkstation},
		"532": {Barred: authn.PasswordExpired}, "533": {Barred: authn.UserDisabled}, "701": {Barred: authn.UserExpired},
		"773": {Barred: authn.PasswordMustChange}, "775": {Barred: authn.UserLocked}, "57": {}, "568": {},
	} {
		if got, err := l.Authenticate(t.Context(), fakeUser("alice"), secret(code)); err != nil || got != want {
			t.Errorf("data %s: %+v %v, want %+v", code, got, err, want)
		}
	}
}

// TestLockoutOfActiveDirectory: the domain's own policy, and the stricter ones that may be read.
func TestLockoutOfActiveDirectory(t *testing.T) {
	minutes := func(n int) string { return fmt.Sprint(-int64(n) * 600_000_000) }
	for name, c := range map[string]struct {
		domain, fine []string // threshold, window
		hidden       bool
		want         authn.Lockout
	}{
		"domain":             {domain: []string{"10", minutes(30)}, want: authn.Lockout{Wrong: 10, Window: 30 * time.Minute}},
		"stricter one":       {domain: []string{"10", minutes(30)}, fine: []string{"5", minutes(60)}, want: authn.Lockout{Wrong: 5, Window: time.Hour}},
		"one without a lock": {domain: []string{"10", minutes(30)}, fine: []string{"0", minutes(90)}, want: authn.Lockout{Wrong: 10, Window: 30 * time.Minute}},
		"only some locked":   {domain: []string{"0", minutes(30)}, fine: []string{"7", minutes(10)}, want: authn.Lockout{Wrong: 7, Window: 10 * time.Minute}},
		"not readable":       {domain: []string{"8", minutes(30)}, hidden: true, want: authn.Lockout{Wrong: 8, Window: 30 * time.Minute}},
		"endless window":     {domain: []string{"8", "-9223372036854775808"}, want: authn.Lockout{Wrong: 8, Window: forever}},
		"odd window":         {domain: []string{"8", "soon"}, want: authn.Lockout{Wrong: 8}},
	} {
		f := newFake(t, "ldap")
		f.search = func(fc *fakeConn, id int64, base, _ string) {
			switch {
			case base == "":
				fc.entry(id, "", "defaultNamingContext", "DC=corp")
			case base == "DC=corp":
				fc.entry(id, base, "lockoutThreshold", c.domain[0], "lockOutObservationWindow", c.domain[1])
			case c.hidden:
				fc.result(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultNoSuchObject, "")
				return
			case c.fine != nil:
				fc.entry(id, "CN=PSO,"+base, "msDS-LockoutThreshold", c.fine[0], "msDS-LockoutObservationWindow", c.fine[1])
			}
			fc.done(id)
		}
		got, err := openLDAP(t, patient(f)).ReportFailureLimit(t.Context())
		if err != nil || got == nil || *got != c.want {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestSID(t *testing.T) {
	s, err := parseSID(testSID(1105))
	if err != nil || s.String() != "S-1-5-21-1-2-3-1105" || s.sibling(513).String() != "S-1-5-21-1-2-3-513" {
		t.Errorf("%v %v", s, err)
	}
	if want := `(objectSid=\01\05\00\00\00\00\00\05\15\00\00\00\01\00\00\00\02\00\00\00\03\00\00\00\51\04\00\00)`; s.filter() != want {
		t.Errorf("%s, want %s", s.filter(), want)
	}
}

func FuzzSID(f *testing.F) {
	f.Add([]byte(testSID(1105)))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 5})
	f.Add([]byte{1, 255})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseSID(raw)
		if err != nil {
			return
		}
		if _, err := ldap.CompileFilter(s.filter()); err != nil {
			t.Errorf("%x: %v", raw, err)
		}
		if !strings.HasPrefix(s.String(), "S-1-") || s.sibling(7).String() == "" {
			t.Errorf("%x: %s", raw, s)
		}
	})
}
