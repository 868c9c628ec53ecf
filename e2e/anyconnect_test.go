package e2e

import (
	"fmt"
	"testing"
	"time"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// ldapSection is the configuration of a directory over TLS; more are further keys, indented by four blanks.
func ldapSection(dir *testenv.SlapdServer, more string) string {
	return fmt.Sprintf(`directory:
  type: ldap
  ldap:
    urls: [%q]
    ca_file: %s
    bind_dn: %s
    bind_password: %s
    base_dn: %s
    group_walk: member
%s`, dir.LDAPS, dir.CA, testenv.SlapdReaderDN, testenv.SlapdReaderPassword, testenv.SlapdBase, more)
}

// ldapSite is a site with a real directory over TLS: alice takes password and code in one field, carol is asked for the
// code, and both hold a time-based token.
func ldapSite(t *testing.T) (s *site, alice, carol *key) {
	t.Helper()
	dir := testenv.Slapd(t, testenv.SlapdOptions{})
	s = newSite(t, siteOptions{
		Directory: ldapSection(dir, "    failure_limit: 10\n"),
		Policies: fmt.Sprintf(`policies:
  - name: admins
    groups: [%q]
    first_factor: password
    code: joined
  - name: everybody
    groups: [%q]
    first_factor: password
    code: challenge
    reply:
      Framed-IP-Address: 198.18.8.77
`, dir.GroupDN("vpn-admins"), dir.GroupDN("everything")),
		Client: "    profile: ocserv\n",
	})
	s.start()
	keys := newKeys(t, token.TOTP, "T", 2)
	s.load(keys, []string{"alice", "carol"})
	return s, keys[0], keys[1]
}

// freshCode waits until a time-based token shows a step that has not been used, with some seconds left to type it.
func freshCode(k *key, used *int64) string {
	for {
		code, step := k.now()
		if step > *used && time.Now().Unix()%30 < 25 {
			*used = step
			return code
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// TestAnyConnect is the reason for all of this: a real VPN client signs in at a real VPN server with a password from a
// real directory and a code from a token, and cannot do it twice with the same code.
func TestAnyConnect(t *testing.T) {
	testenv.Need(t, "slapd")
	s, alice, carol := ldapSite(t)
	g := startGateway(t, s.Radius, s.Acct, secret, false)
	var usedA, usedC int64

	code := freshCode(alice, &usedA)
	if l := g.login("alice", testenv.SlapdPassword+code); !l.in {
		t.Fatalf("password and code in one field: refused: %s", l.output)
	}
	if l := g.login("alice", testenv.SlapdPassword+code); l.in || !l.refused {
		t.Fatalf("the same code a second time: in %v, refused %v: %s", l.in, l.refused, l.output)
	}
	if got := s.logins("--limit", "1"); len(got) != 1 || got[0].Reason != "already-used" {
		t.Errorf("the second attempt shows as %+v, want already-used", got)
	}
	if l := g.login("alice", "wrong"+code); l.in || !l.refused {
		t.Fatalf("wrong password: in %v, refused %v: %s", l.in, l.refused, l.output)
	}

	// The code is asked for; the first answer is wrong and the gateway asks again.
	l := g.login("carol", testenv.SlapdPassword, "000000", freshCode(carol, &usedC))
	if !l.in || l.prompts < 3 {
		t.Fatalf("challenge with one retry: in %v after %d forms: %s", l.in, l.prompts, l.output)
	}
	if l := g.login("carol", "wrong"); l.in || l.prompts > 2 {
		t.Fatalf("a wrong password must not lead to a question for the code: %+v", l)
	}
	if l := g.login("mallory", "wrong"); l.in || !l.refused {
		t.Fatalf("an unknown user: %+v", l)
	}
}

// TestTunnel opens a whole tunnel between two hosts, sends packets through it, and finds the session in the accounting.
func TestTunnel(t *testing.T) {
	testenv.NeedRoot(t)
	s, _, carol := ldapSite(t)
	g := startGateway(t, s.Radius, s.Acct, secret, true)
	var used int64
	u := g.open("carol", testenv.SlapdPassword, freshCode(carol, &used))
	if u.Address != "198.18.8.77" {
		t.Errorf("the client got %s, not the Framed-IP-Address of the policy", u.Address)
	}
	if err := u.ping(); err != nil {
		t.Errorf("no ping through the tunnel: %v", err)
	}
	time.Sleep(2500 * time.Millisecond) // one interim report
	u.stop()
	waitFor(t, 15*time.Second, "accounting Start and Stop are acknowledged", func() bool {
		page, _ := s.get("/metrics")
		return metricSum(page, "sekisho_radius_accounting_responses_total") >= 2
	})
	g.stop()
	s.stop()
	for _, status := range []int{1, 2} {
		if n := s.countSessions(status); n != 1 {
			t.Errorf("accounting records with status %d: %d, want 1", status, n)
		}
	}
}
