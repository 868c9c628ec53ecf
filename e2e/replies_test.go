package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// salesPeople are dora, of whom the directory knows department, address and two routes, and emil, of whom it does not.
var salesPeople = func() string {
	person := func(name string, more ...string) string {
		return fmt.Sprintf("dn: uid=%[1]s,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nuserPassword: %[3]s\n%[4]s\n\n",
			name, testenv.SlapdBase, testenv.SlapdPassword, strings.Join(more, "\n"))
	}
	return person("dora", "departmentNumber: Sales", "employeeNumber: 10.9.0.7", "carLicense: 10.1.0.0/16", "carLicense: 10.2.0.0/16") +
		person("emil", "departmentNumber: HR")
}()

// replySite has reply rules over department and other attributes of a real directory; both people hold a counter token.
func replySite(t *testing.T, profile string) (s *site, dora, emil *key) {
	t.Helper()
	dir := testenv.Slapd(t, testenv.SlapdOptions{LDIF: salesPeople})
	s = newSite(t, siteOptions{
		Directory: ldapSection(dir, "    failure_limit: 20\n    attributes: {department: [departmentNumber], address: [employeeNumber], route: [carLicense]}\n"),
		Policies: `policies:
  - {name: all, code: either, reply: {Session-Timeout: 3600}}
replies:
  - name: sales
    attributes: {department: [sales]}
    set:
      Class: "OU=sales;"
      ASA-Group-Policy: GP-SALES
      ASA-Banner: "営業部の皆様へ / Sales"
      ASA-IPsec-Split-Tunneling-Policy: Split-Tunneling
      Fortinet-Group-Name: not-for-this-gateway
      Session-Timeout: 1
  - name: own
    set: {Framed-IP-Address: "${attribute.address}", Cisco-AVPair: "ip:route=${attribute.route}"}
  - name: everybody
    set: {Class: "OU=staff;", Filter-Id: everybody, ASA-Primary-DNS: 10.0.0.53}
`,
		Client: "    profile: " + profile + "\n",
	})
	s.start()
	keys := newKeys(t, token.HOTP, "R", 2)
	s.load(keys, []string{"dora", "emil"})
	return s, keys[0], keys[1]
}

var answerLine = regexp.MustCompile(`(?m)^\t(\S+) = (.*)$`)

// attributes sends one request with FreeRADIUS's client, whose dictionaries are its own, and gives the answer's attributes.
func (s *site) attributes(name, password, state string) (answer string, attributes []string, newState string) {
	s.t.Helper()
	cmd := exec.Command(testenv.Need(s.t, "radclient"), "-x", "-r", "3", "-t", "3", "127.0.0.1:"+strconv.Itoa(s.Radius), "auth", secret)
	request := fmt.Sprintf("Message-Authenticator = 0x00, User-Name = %q, User-Password = %q", name, password)
	if state != "" {
		request += ", State = " + state
	}
	cmd.Stdin = strings.NewReader(request + "\n")
	out, _ := cmd.CombinedOutput() // it fails for everything but an Accept
	_, reply, received := strings.Cut(string(out), "Received ")
	if !received {
		s.t.Fatalf("radclient: %s", out)
	}
	answer, _, _ = strings.Cut(reply, " ")
	for _, m := range answerLine.FindAllStringSubmatch(reply, -1) {
		switch m[1] {
		case "Message-Authenticator":
		case "State":
			newState = m[2]
		default:
			attributes = append(attributes, m[1]+" = "+m[2])
		}
	}
	return answer, attributes, newState
}

// TestRepliesAfterOneStepAndAfterAChallenge: another implementation reads the same attributes after password and code in
// one field and after a challenge, and they are those that `explain` shows with their rules.
func TestRepliesAfterOneStepAndAfterAChallenge(t *testing.T) {
	testenv.Need(t, "slapd")
	testenv.Need(t, "radclient")
	s, dora, emil := replySite(t, "asa")
	for name, c := range map[string]struct {
		key  *key
		want []string
	}{
		"dora": {dora, []string{"Session-Timeout = 3600", `ASA-Banner1 = "営業部の皆様へ / Sales"`, `ASA-Group-Policy = "GP-SALES"`,
			"ASA-IPsec-Split-Tunneling-Policy = Split-Tunneling", "Class = 0x4f553d73616c65733b",
			`Cisco-AVPair = "ip:route=10.1.0.0/16"`, `Cisco-AVPair = "ip:route=10.2.0.0/16"`, "Framed-IP-Address = 10.9.0.7",
			"ASA-Primary-DNS = 10.0.0.53", `Filter-Id = "everybody"`}},
		"emil": {emil, []string{"Session-Timeout = 3600", "ASA-Primary-DNS = 10.0.0.53", "Class = 0x4f553d73746166663b", `Filter-Id = "everybody"`}},
	} {
		answer, got, _ := s.attributes(name, testenv.SlapdPassword+c.key.code(0), "")
		if answer != "Access-Accept" || !slices.Equal(got, c.want) {
			t.Errorf("%s in one step: %s\n%s\nwant\n%s", name, answer, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		answer, asked, state := s.attributes(name, testenv.SlapdPassword, "")
		if answer != "Access-Challenge" || state == "" || len(asked) != 1 {
			t.Fatalf("%s is asked: %s with %q", name, answer, asked)
		}
		answer, got, _ = s.attributes(name, c.key.code(1), state)
		if answer != "Access-Accept" || !slices.Equal(got, c.want) {
			t.Errorf("%s after a challenge: %s\n%s\nwant\n%s", name, answer, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		s.explained(name, len(c.want))
	}
}

// explained holds that explain shows as many attributes as were sent, and apart the one for another vendor's gateway.
func (s *site) explained(name string, sent int) {
	s.t.Helper()
	var x struct {
		Reply    []struct{ Name, Rule string }
		NotTaken []struct{ Name string } `json:"reply_not_taken"`
	}
	if err := json.Unmarshal([]byte(s.cli("explain", name, "--client", "gw", "--json")), &x); err != nil {
		s.t.Fatal(err)
	}
	rules := map[string]string{}
	for _, r := range x.Reply {
		rules[r.Name] = r.Rule
	}
	want := map[string]string{"Session-Timeout": "", "Filter-Id": "everybody", "Class": "everybody"}
	if name == "dora" {
		if len(x.NotTaken) != 1 || x.NotTaken[0].Name != "Fortinet-Group-Name" {
			s.t.Errorf("explain %s leaves out %v, want Fortinet-Group-Name", name, x.NotTaken)
		}
		want["Class"], want["Framed-IP-Address"] = "sales", "own"
	}
	for attribute, rule := range want {
		if got, has := rules[attribute]; !has || got != rule {
			s.t.Errorf("explain %s: %s decided by %q, want %q", name, attribute, got, rule)
		}
	}
	if len(x.Reply) != sent {
		s.t.Errorf("explain %s shows %d attributes, want %d", name, len(x.Reply), sent)
	}
}

// TestGroupOfOcserv: a real VPN server takes the group from Class, after one step and after a challenge; nobody gets into a
// group by asking for it.
func TestGroupOfOcserv(t *testing.T) {
	testenv.Need(t, "slapd")
	s, dora, emil := replySite(t, "ocserv")
	g := startGateway(t, s.Radius, s.Acct, secret, false, "select-group = sales", "select-group = staff")
	for _, c := range []struct {
		what, name, group string
		answers           []string
		in                bool
	}{
		{"one step", "dora", "sales", []string{testenv.SlapdPassword + dora.code(0)}, true},
		{"challenge", "dora", "sales", []string{testenv.SlapdPassword, dora.code(1)}, true},
		{"another's group", "dora", "staff", []string{testenv.SlapdPassword + dora.code(2)}, false},
		{"everybody's", "emil", "staff", []string{testenv.SlapdPassword + emil.code(0)}, true},
		{"not his", "emil", "sales", []string{testenv.SlapdPassword + emil.code(1)}, false},
	} {
		if l := g.loginTo(c.group, c.name, c.answers...); l.in != c.in {
			t.Errorf("%s: %s at group %s: in %v, want %v: %s", c.what, c.name, c.group, l.in, c.in, l.output)
		}
		if got := s.logins("--limit", "1"); len(got) != 1 || got[0].Verdict != "accept" {
			t.Errorf("%s: the attempt shows as %+v, want accept", c.what, got)
		}
	}
}
