package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"sekisho/directory"
	"sekisho/internal/testenv"
	"sekisho/token"
)

// radclient sends one login with FreeRADIUS's client and gives what came back: Access-Accept, Access-Reject, or nothing.
func (s *site) radclient(name, password string) string {
	s.t.Helper()
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	cmd := exec.Command("radclient", "-x", "-r", "3", "-t", "2", "127.0.0.1:"+strconv.Itoa(s.Radius), "auth", secret)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("Message-Authenticator = 0x00, NAS-Identifier = \"e2e\", User-Name = \"%s\", User-Password = \"%s\"\n",
		quote.Replace(name), quote.Replace(password)))
	out, _ := cmd.CombinedOutput() // it fails for a refusal, and for silence
	for _, answer := range []string{"Access-Accept", "Access-Reject"} {
		if strings.Contains(string(out), "Received "+answer) {
			return answer
		}
	}
	if !strings.Contains(string(out), "No reply") {
		s.t.Fatalf("radclient: %s", out)
	}
	return ""
}

// TestTwoDirectories lets two people of one name, in an LDAP server and in a file, log in by the realm they type, with the
// names on the wire as radclient sends them. An outage of the one directory does not touch the other.
func TestTwoDirectories(t *testing.T) {
	testenv.Need(t, "slapd")
	testenv.Need(t, "radclient")
	dir := testenv.Slapd(t, testenv.SlapdOptions{})
	hash, err := directory.HashPassword("partner's own")
	if err != nil {
		t.Fatal(err)
	}
	users := t.TempDir() + "/users.yaml"
	if err := os.WriteFile(users, fmt.Appendf(nil, "users:\n  - {name: alice, id: p-1, password: '%s'}\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	section := strings.Replace(ldapSection(dir, "    failure_limit: 20\n    user_filter: (|(uid=%s)(mail=%s))\n"), "directory:\n",
		"directory:\n  realms: [LAB]\n  upn_suffixes: [lab.test]\n", 1)
	s := newSite(t, siteOptions{
		Directory: section + fmt.Sprintf("directories:\n  - {name: partner, type: file, realms: [PARTNER, partner.example], file: {file: %s}}\n", users),
		Policies:  "policies:\n  - name: all\n",
		Client:    "    retry_after: 500ms\n", // bounds the time to a refusal
	})
	s.start()
	keys := newKeys(t, token.HOTP, "D", 2)
	s.load(keys, []string{`LAB\alice`, "alice@partner.example"})
	passwords, counters := []string{testenv.SlapdPassword, "partner's own"}, make([]int64, 2)

	try := func(name string, who int, want string) {
		t.Helper()
		if got := s.radclient(name, passwords[who]+keys[who].code(counters[who])); got != want {
			t.Errorf("%q with the password and code of person %d: %q, want %q", name, who, got, want)
		}
		if want == "Access-Accept" {
			counters[who]++
		}
	}
	for _, name := range []string{"alice", `LAB\alice`, `lab\ALICE`, "alice@LAB", "alice@lab.test", "Alice@Lab.Test", "ＬＡＢ￥ａｌｉｃｅ"} {
		try(name, 0, "Access-Accept")
	}
	for _, name := range []string{`PARTNER\alice`, "alice@partner", "alice@Partner.Example", `partner.example\Alice`} {
		try(name, 1, "Access-Accept")
	}
	try(`PARTNER\alice`, 0, "Access-Reject")
	try(`LAB\alice`, 1, "Access-Reject")
	for _, name := range []string{"alice@other.example", `OTHER\alice`, `LAB\PARTNER\alice`, `LAB\alice@partner.example`, `LAB\`, `LAB\*`, `PARTNER\alice)(uid=*`} {
		try(name, 0, "Access-Reject")
	}

	out := s.cli("user", "show", "--as", "alice@lab.test", "--client", "gw")
	for _, want := range []string{"It is a UPN suffix of directory ldap and belongs to the name.", "It knows them as alice, id ", "At client gw policy all holds."} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}

	dir.Stop()
	try(`LAB\alice`, 0, "")
	try("alice@partner.example", 1, "Access-Accept")
	try("alice@other.example", 1, "Access-Reject")
}
