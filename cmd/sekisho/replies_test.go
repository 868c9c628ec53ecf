package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sekisho/authn"
)

const replySite = `keys: {file: DIR/sealing.key}
radius:
  clients:
    - {name: asa, profile: asa, addresses: 192.0.2.1, secret_file: DIR/vpn.secret}
    - {name: fortigate, profile: fortigate, addresses: 192.0.2.2, secret_file: DIR/vpn.secret}
    - {name: paloalto, profile: paloalto, addresses: 192.0.2.3, secret_file: DIR/vpn.secret}
    - {name: mikrotik, profile: mikrotik, addresses: 192.0.2.4, secret_file: DIR/vpn.secret}
    - {name: ocserv, profile: ocserv, addresses: 192.0.2.5, secret_file: DIR/vpn.secret, service: linux}
directory: {type: ldap, ldap: {urls: [ldaps://127.0.0.1], bind_dn: cn=a, bind_password_file: DIR/directory.password, base_dn: dc=example, failure_limit: 50}}
policies:
  - {name: all, reply: {Session-Timeout: 3600}}
`

// TestDocumentedReplies loads every example of docs/reply-attributes.md and sends it.
func TestDocumentedReplies(t *testing.T) {
	text, err := os.ReadFile("../../docs/reply-attributes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(yaml|)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	person := &authn.User{Name: "yamada", Groups: []string{"cn=vpn-admins,ou=groups,dc=example,dc=com", "cn=contractors,ou=groups,dc=example,dc=com"},
		Attributes: map[string][]string{"department": {"Sales"}, "vpn-address": {"10.9.0.7"}, "vpn-filter": {"inside"}}}
	examples := 0
	for _, b := range blocks {
		if b[1] == "" {
			continue
		}
		examples++
		dir, environ := site(t)
		example := strings.ReplaceAll(b[2], "/etc/sekisho/", dir+"/")
		for _, dictionary := range blocks {
			if dictionary[1] == "" {
				if err := os.WriteFile(filepath.Join(dir, "dictionary.acme"), []byte(dictionary[2]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "conf.d", "example.yaml"), []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		c, warnings, err := loadConfig(writeConfig(t, dir, strings.ReplaceAll(replySite, "DIR", dir)), environ)
		if err != nil {
			t.Errorf("%s%v", example, err)
			continue
		}
		if strings.Contains(strings.Join(warnings, "\n"), "replies") {
			t.Errorf("%swarnings %q", example, warnings)
		}
		d, err := c.Radius.Dictionary()
		if err != nil {
			t.Fatal(err)
		}
		book := c.replyBook(d)
		sent := 0
		for _, k := range c.Radius.List() {
			list, err := authn.Replies(book.Rules, &k.Login, person, c.policies()[0])
			if err != nil {
				t.Errorf("%s%v", example, err)
			}
			var plain []authn.Attribute
			for _, r := range list {
				plain = append(plain, r.Attribute)
			}
			if _, err := book.Encode(plain); err != nil {
				t.Errorf("%s%v", example, err)
			}
			sent += len(plain) - 1
		}
		if sent == 0 {
			t.Errorf("%snobody gets anything", example)
		}
	}
	if examples < 8 {
		t.Errorf("the page has %d examples; does the test still read it?", examples)
	}
}

func TestReplyFaults(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"names":     {"[{set: {Class: a}}, {name: a, set: {Class: a}}, {name: a, set: {Class: a}}]", []string{"replies[0].name: is missing", `replies[2].name: "a" is also the name of another rule`}},
		"no set":    {"[{name: a}]", []string{"replies[0].set: is missing"}},
		"client":    {"[{name: a, clients: [asa, linux, ocserv, nobody], set: {Class: a}}]", []string{`replies[0].clients[3]: there is no client or service "nobody"`}},
		"group":     {"[{name: a, groups: [sales], set: {Class: a}}]", []string{`replies[0].groups[0]: "sales" is not a DN`}},
		"condition": {"[{name: a, attributes: {departmnt: [x], mail: []}, set: {Class: a}}]", []string{`replies[0].attributes.departmnt: no directory gives an attribute "departmnt"`, "replies[0].attributes.mail: has no value"}},
		"attribute": {"[{name: a, set: {ASA-Group-Polcy: a, Nonsense: b}}]", []string{`replies[0].set.ASA-Group-Polcy: no dictionary has such an attribute; did you mean "ASA-Group-Policy"?`,
			"replies[0].set.Nonsense: no dictionary has such an attribute; 'sekisho attributes' lists all there are"}},
		"two spellings": {"[{name: a, set: {Class: a, class: b}}]", []string{"replies[0].set.class: is set twice, also as Class"}},
		"values": {"[{name: a, set: {Framed-Route: [ok, ''], Session-Timeout: soon, ASA-Banner1: " + strings.Repeat("x", 300) + ", Filter-Id: '${attribute.acl}', Class: '${usr}'}}]",
			[]string{"replies[0].set.Framed-Route[1]: is empty", `replies[0].set.Session-Timeout: "soon" is not a number`, "replies[0].set.ASA-Banner1: has 300 octets; at most 247 fit",
				`replies[0].set.Filter-Id: no directory gives an attribute "acl"`, "replies[0].set.Class: ${usr} is not known"}},
		"twice":  {"[{name: a, set: {Session-Timeout: [1, 2]}}]", []string{"replies[0].set: Session-Timeout: comes twice"}},
		"all":    {"[{name: a, set: {Class: ['" + strings.Repeat("x", 250) + "', a, b, c, '" + strings.Repeat("y", 250) + "', '" + strings.Repeat("y", 250) + "', '" + strings.Repeat("y", 250) + "', '" + strings.Repeat("y", 250) + "']}}]", []string{"replies[0].set: the attributes take 1269 octets together"}},
		"tag":    {"[{name: a, set: {'Tunnel-Type:99': VLAN}}]", []string{`replies[0].set.Tunnel-Type:99: "99" is not a tag`}},
		"number": {"[" + strings.Repeat("{name: a, set: {Class: a}},", 257) + "]", []string{"replies: there are 257 rules; give 256 at most"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, environ := site(t)
			_, _, err := loadConfig(writeConfig(t, dir, strings.ReplaceAll(replySite, "DIR", dir)+"replies: "+c.text+"\n"), environ)
			if err == nil {
				t.Fatal("no fault")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("message\n%.2000v\nlacks %q", err, w)
				}
			}
		})
	}
}

func TestReplyWarnings(t *testing.T) {
	dir, environ := site(t)
	c, warnings, err := loadConfig(writeConfig(t, dir, strings.ReplaceAll(replySite, "DIR", dir)+`replies:
  - {name: a, clients: [fortigate, asa], set: {ASA-Group-Policy: x, ASA-Banner: a, Class: x}}
  - {name: b, clients: [linux], set: {Service-Type: Login-User, ASA-Banner1: a}}
  - {name: c, attributes: {department: [x]}, groups: ["cn=a"], set: {PaloAlto-User-Group: "${user}"}, required: true}
`), environ)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(warnings, "\n")
	for _, w := range []string{
		`replies[0]: client "fortigate" is of profile fortigate, which does not take ASA-Banner, ASA-Group-Policy; it is left out there`,
		`replies[1]: client "ocserv" is of profile ocserv, which does not take ASA-Banner1, Service-Type`,
		"replies: both ASA-Banner and its parts",
	} {
		if !strings.Contains(all, w) {
			t.Errorf("warnings\n%s\nlack %q", all, w)
		}
	}
	if strings.Contains(all, `client "asa"`) || strings.Contains(all, "replies[2]") {
		t.Errorf("warnings without need: %s", all)
	}
	if got := c.Replies[2].sentence(); got != "members of [cn=a] with department of [x] at every client: PaloAlto-User-Group; refused without" {
		t.Errorf("the summary says %q", got)
	}
}

// TestDictionaryFaults: a file of the site that is no dictionary is a fault of the configuration, with its line.
func TestDictionaryFaults(t *testing.T) {
	dir, environ := site(t)
	if err := os.WriteFile(filepath.Join(dir, "dictionary.acme"), []byte("VENDOR Acme 99999\nBEGIN-TLV x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(strings.ReplaceAll(replySite, "DIR", dir), "radius:\n", "radius:\n  dictionaries: ["+dir+"/dictionary.acme, "+dir+"/none]\n", 1)
	_, _, err := loadConfig(writeConfig(t, dir, text), environ)
	if err == nil || !strings.Contains(err.Error(), "radius.dictionaries[0]: "+dir+"/dictionary.acme:2: BEGIN-TLV is not supported") ||
		!strings.Contains(err.Error(), "radius.dictionaries[1]: "+dir+"/none: reading the dictionary: no such file") {
		t.Errorf("error %v", err)
	}
}
