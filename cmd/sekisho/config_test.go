package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/directory"
	"sekisho/internal/conf"
	"sekisho/token"
)

// site writes what a configuration refers to and gives the variables that point there.
func site(t *testing.T) (dir string, environ []string) {
	t.Helper()
	dir = t.TempDir()
	key := filepath.Join(dir, "sealing.key")
	if err := token.NewOuterKeyFile(key); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vpn.secret", "directory.password"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, nil
}

// shipped gives a file of configs/ with the paths of this test's site.
func shipped(t *testing.T, name, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../configs", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "/etc/sekisho/", dir+"/")
}

func writeConfig(t testing.TB, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "sekisho.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestShippedConfigsLoad(t *testing.T) {
	for _, name := range []string{"sekisho.yaml", "sekisho.minimal.yaml"} {
		t.Run(name, func(t *testing.T) {
			dir, environ := site(t)
			_, warnings, err := loadConfig(writeConfig(t, dir, shipped(t, name, dir)), environ)
			if err != nil {
				t.Error(err)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings: %q", warnings)
			}
		})
	}
}

// TestShippedConfigHasEveryKey takes the # away from every key of configs/sekisho.yaml: each is known, and no key of the
// program is missing in the file.
func TestShippedConfigHasEveryKey(t *testing.T) {
	dir, _ := site(t)
	text := regexp.MustCompile(`(?m)^( *)#([a-z_]+:.*)$`).ReplaceAllString(shipped(t, "sekisho.yaml", dir), "$1$2")
	text = strings.ReplaceAll(text, "next_secret_file: "+dir+"/vpn.secret.next", "next_secret_file: "+dir+"/vpn.secret")
	text = strings.ReplaceAll(text, "mail.password", "vpn.secret")
	var c Config
	doc := conf.Parse(&c, "sekisho.yaml", []byte(text))
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	var walk func(v reflect.Type, path string)
	walked := map[reflect.Type]bool{} // a section that stands twice is explained once
	walk = func(v reflect.Type, path string) {
		if walked[v] {
			return
		}
		walked[v] = true
		for i := range v.NumField() {
			f := v.Field(i)
			if !f.IsExported() {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" || name == "-" {
				t.Errorf("%s.%s has no key", v, f.Name)
				continue
			}
			key := strings.TrimPrefix(path+"."+name, ".")
			if !doc.Given(key) {
				t.Errorf("configs/sekisho.yaml lacks %s", key)
			}
			switch k := f.Type; {
			case k.Kind() == reflect.Struct && strings.Contains(k.PkgPath(), "sekisho") && k.Name() != "Secret":
				walk(k, key)
			case k.Kind() == reflect.Slice && k.Elem().Kind() == reflect.Struct:
				walk(k.Elem(), key+"[0]")
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
}

// TestConfigFaults holds what is said about values that have the right type and make no sense.
func TestConfigFaults(t *testing.T) {
	const good = `keys: {file: DIR/sealing.key}
radius:
  clients:
    - {name: vpn, addresses: 192.0.2.10, secret_file: DIR/vpn.secret}
directory: {type: none}
policies:
  - name: all
    first_factor: pin
`
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"no key file", "DIR/sealing.key", "DIR/nothing", []string{"sekisho.yaml:1:8: keys.file: ", "no such file"}},
		{"key file for everybody", "DIR/sealing.key", "DIR/open.key", []string{"keys.file: ", "open.key"}},
		{"no keys", "keys: {file: DIR/sealing.key}", "keys:", []string{"keys.file: is missing; make a key with 'sekisho keys new FILE'"}},
		{"backup recipient", "directory: {type: none}", "directory: {type: none}\nbackup: {recipient: sekisho-recipient-abc}", []string{"sekisho.yaml:6:10: backup.recipient: ", "cut short or is mistyped", "backup key"}},
		{"directory type", "type: none", "type: ldp", []string{`directory.type: "ldp" is none of the choices; choose ldap, file, none`}},
		{"no directory", "directory: {type: none}", "", []string{"directory.type: is missing"}},
		{"ldap without urls", "type: none", "type: ldap", []string{"directory.ldap."}},
		{"client address", "192.0.2.10", "192.0.2.300", []string{"sekisho.yaml:4:", "radius.clients[0].addresses[0]"}},
		{"first factor", "first_factor: pin", "first_factor: pinn", []string{`sekisho.yaml:8:5: policies[0].first_factor: "pinn" is none of the choices`}},
		{"code", "first_factor: pin", "code: join", []string{`policies[0].code: "join" is none of the choices; choose joined, challenge, either`}},
		{"one factor without words", "first_factor: pin", "first_factor: none", []string{"sekisho.yaml:7:5: policies[0]: ", "accept_one_factor"}},
		{"one factor with a tick", "first_factor: pin", "first_factor: none\n    accept_one_factor: ok", []string{"accept_one_factor: 2 characters are no reason"}},
		{"exempt without a first factor", "first_factor: pin", "first_factor: none\n    accept_one_factor: a reason of enough words\n    exempt_groups: [a]",
			[]string{"exempt_groups need first_factor password or gateway"}},
		{"groups without a directory", "first_factor: pin", "first_factor: pin\n    groups: [staff]",
			[]string{"sekisho.yaml:9:", "policies[0].groups[0]: there are no groups with directory.type none"}},
		{"a group by its name in LDAP", "{type: none}\npolicies:\n  - name: all\n    first_factor: pin",
			"{type: ldap, ldap: {urls: [ldaps://d.example], base_dn: dc=example}}\npolicies:\n  - name: all\n    groups: [staff]\n    exempt_groups: [\"cn=kiosk,dc=example\", kiosk]",
			[]string{`sekisho.yaml:8:14: policies[0].groups[0]: "staff" is not a DN; write the group's DN; 'sekisho user show NAME' lists`,
				`sekisho.yaml:9:44: policies[0].exempt_groups[1]: "kiosk" is not a DN`}},
		{"gateway that proves nothing", "first_factor: pin", "first_factor: gateway", []string{`client "vpn" does not say first_factor: gateway`}},
		{"no such client", "first_factor: pin", "first_factor: pin\n    clients: [asa]", []string{`there is no client or service "asa"`}},
		{"two of one name", "first_factor: pin", "first_factor: pin\n  - {name: all, first_factor: pin}", []string{"the name stands twice"}},
		{"no policy", "policies:\n  - name: all\n    first_factor: pin\n", "", []string{"policies: there is none, so nobody could log in"}},
		{"reply attribute", "first_factor: pin", "first_factor: pin\n    reply: {Clas: x}", []string{`sekisho.yaml:9:13: policies[0].reply.Clas: no dictionary has such an attribute; did you mean "Class"?`}},
		{"window", "directory:", "login: {window_steps: 9}\ndirectory:", []string{"sekisho.yaml:5:9: login.window_steps: 9 is out of range; give 0 to 3"}},
		{"date only", "directory:", "expiry: {date_only: noon}\ndirectory:", []string{`sekisho.yaml:5:10: expiry.date_only: "noon": want a time of day and a zone, such as 09:00 Asia/Tokyo`}},
		{"users", "first_factor: pin", "first_factor: pin\n    users: [alice, ' ', 'CORP\\bob']",
			[]string{"policies[0].users[1]: is blank", `sekisho.yaml:9:25: policies[0].users[2]: "CORP\\bob" is how some gateways send a name`}},
		{"unenrolled without a date", "first_factor: pin", "unenrolled: {reply: {Class: x}}", []string{"policies[0].unenrolled.until: is missing; give the last day"}},
		{"unenrolled with no date", "first_factor: pin", "unenrolled: {until: soon, reply: {Class: x}}",
			[]string{`sekisho.yaml:8:18: policies[0].unenrolled.until: "soon" is neither a day nor a moment`}},
		{"unenrolled for years", "first_factor: pin", "unenrolled: {until: 2999-12-31, reply: {Class: x}}", []string{"unenrolled.until is more than 90 days ahead"}},
		{"unenrolled with a wrong reply", "first_factor: pin", "unenrolled: {until: 2999-12-31, reply: {Clas: x}}", []string{`policies[0].unenrolled.reply.Clas: no dictionary has such an attribute; did you mean "Class"?`}},
		{"register page", "directory:", "login: {register_url: 'otp.example.com'}\ndirectory:", []string{`login.register_url: "otp.example.com" is no address of a page; give an https`}},
		{"register page with a password", "directory:", "login: {register_url: 'https://a:b@otp.example.com'}\ndirectory:", []string{"login.register_url: the address holds a user name"}},
		{"own networks", "directory:", "networks: {own: [198.51.100.0/24, here]}\ndirectory:", []string{`networks.own[1]: "here" is no address or prefix; write it like`}},
		{"long register page", "directory:", "login: {register_url: 'https://otp.example.com/" + strings.Repeat("x", 200) + "'}\ndirectory:", []string{"login.register_url: with it a Reply-Message has"}},
		{"more guesses than may be", "directory:", "limits: {yearly_chance: 0.002}\ndirectory:",
			[]string{"limits.yearly_chance: 0.002 is more than the 0.001 that guessers may be left; lower it, or say in limits.accept_yearly_chance"}},
		{"more guesses with a tick", "directory:", "limits: {yearly_chance: 0.002, accept_yearly_chance: ok}\ndirectory:",
			[]string{"limits.accept_yearly_chance: 2 characters are no reason", "limits.yearly_chance: 0.002 is more than"}},
		{"any number of guesses", "directory:", "limits: {yearly_chance: 0.5, accept_yearly_chance: a reason of enough words}\ndirectory:",
			[]string{"limits.yearly_chance: 0.5 is out of range; give 0.0001 to 0.01"}},
		{"no number", "directory:", "limits: {yearly_chance: .nan}\ndirectory:", []string{`limits.yearly_chance: ".nan" is not a number`}},
		{"preset", "directory:", "limits: {preset: pci}\ndirectory:", []string{`limits.preset: "pci" is none of the choices; choose normal, strict`}},
		{"storage", "directory:", "storage: {queue: 1}\ndirectory:", []string{"sekisho.yaml:5:11: storage.queue: 1: want 16 to 1000000"}},
		{"log level", "directory:", "log: {level: loud}\ndirectory:", []string{`log.level: "loud" is none of the choices`}},
		{"a policy for a directory that is none", "first_factor: pin", "first_factor: pin\n    directories: [none, lab]",
			[]string{`sekisho.yaml:9:25: policies[0].directories[1]: there is no directory "lab"; write the name of a directory`}},
		{"passwords that nobody has", "first_factor: pin", "first_factor: password", []string{
			"sekisho.yaml:8:5: policies[0].first_factor: directory none has no passwords; set first_factor: pin or gateway"}},
		{"two directories of one name", "policies:", "directories: [{type: none, realms: [LAB]}]\npolicies:",
			[]string{`sekisho.yaml:6:15: directories[0].name: "none" is also the name of another directory; give each a name of its own`}},
		{"a further directory without realms", "policies:", "directories: [{name: lab, type: none}]\npolicies:",
			[]string{"directories[0].realms: is missing, so nobody of this directory could log in"}},
		{"a further directory of no type", "policies:", "directories: [{name: lab, realms: [LAB]}]\npolicies:", []string{"directories[0].type: is missing; choose ldap, file, none"}},
		{"a further ldap without urls", "policies:", "directories: [{name: lab, type: ldap, realms: [LAB]}]\npolicies:", []string{"directories[0].ldap.urls: "}},
		{"a realm of two directories", "{type: none}", "{type: none, realms: [LAB]}\ndirectories: [{name: lab, type: none, upn_suffixes: [x.example, ｌａｂ]}]",
			[]string{`sekisho.yaml:6:65: directories[0].upn_suffixes[1]: "ｌａｂ" is claimed by directory.realms[0] too; leave it where its users are`}},
		{"a realm with its sign", "{type: none}", "{type: none, realms: ['@example.com', 'a b']}", []string{
			`directory.realms[0]: "@example.com" is no realm: a realm has no blank, no @ and no \; write what stands before the \ or behind the @`, "directory.realms[1]: "}},
		{"realms of a client that nobody claims", "secret_file: DIR/vpn.secret", "secret_file: DIR/vpn.secret, names: {realms: [LAB], default_realm: lab}", []string{
			`radius.clients[0].names.realms[0]: no directory claims the realm "LAB"; add it to the realms of the directory`, `names.default_realm: no directory claims the realm "lab"`}},
		{"a client's default realm that it does not take", "secret_file: DIR/vpn.secret", "secret_file: DIR/vpn.secret, names: {strip: ends, realms: [LAB], default_realm: X}", []string{
			`radius.clients[0].names.default_realm: "X" is not among the realms taken from this client`, `names.strip: "ends" is not known; choose both, prefix, suffix or none`}},
		{"a UPN suffix as default realm", "secret_file: DIR/vpn.secret}\ndirectory: {type: none}", "secret_file: DIR/vpn.secret, names: {default_realm: x.example}}\ndirectory: {type: none, upn_suffixes: [x.example]}",
			[]string{`"x.example" is a UPN suffix, which belongs to the name; name one of the directory's realms`}},
		{"several at once", "first_factor: pin", "first_factor: x\nlog: {level: y, formt: z}", []string{"policies[0].first_factor", "log.level", `unknown key "log.formt"; did you mean "format"?`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, environ := site(t)
			if err := os.WriteFile(filepath.Join(dir, "open.key"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(good, tt.old) {
				t.Fatalf("the good configuration has no %q", tt.old)
			}
			text := strings.ReplaceAll(strings.Replace(good, tt.old, tt.new, 1), "DIR", dir)
			_, _, err := loadConfig(writeConfig(t, dir, text), environ)
			for _, w := range tt.want {
				if !strings.Contains(fmt.Sprint(err), w) {
					t.Errorf("message\n%v\nlacks %q", err, w)
				}
			}
		})
	}
	dir, environ := site(t)
	if _, _, err := loadConfig(writeConfig(t, dir, strings.ReplaceAll(good, "DIR", dir)), environ); err != nil {
		t.Errorf("the good configuration: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	dir, environ := site(t)
	text := strings.ReplaceAll(`keys: {file: DIR/sealing.key}
radius:
  clients:
    - {name: vpn, addresses: 192.0.2.10, secret: short, message_authenticator: "off", challenge: plain}
directory: {type: ldap, ldap: {urls: [ldaps://d.example], base_dn: "dc=example", failure_limit: 4}}
policies:
  - {name: all, code: challenge}
`, "DIR", dir)
	_, warnings, err := loadConfig(writeConfig(t, dir, text), environ)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(warnings, "\n")
	for _, w := range []string{"radius.clients[0].secret", "confirms that the password was right",
		"directory.ldap.failure_limit: the directory locks a user after 4 wrong passwords", "two codes in a row from each new place; raise its threshold"} {
		if !strings.Contains(all, w) {
			t.Errorf("warnings\n%s\nlack %q", all, w)
		}
	}
}

// TestUnenrolledDays: a day counts whole in the zone of the machine, and what lets people in without a token is warned of.
func TestUnenrolledDays(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2027-01-31":                time.Date(2027, 2, 1, 0, 0, 0, 0, time.Local),
		"2027-01-31T18:00:00+09:00": time.Date(2027, 1, 31, 9, 0, 0, 0, time.UTC),
	} {
		if got, err := (UnenrolledConfig{Until: text}).until(); err != nil || !got.Equal(want) {
			t.Errorf("%s ends at %v (%v), want %v", text, got, err, want)
		}
	}
	dir, environ := site(t)
	text := strings.ReplaceAll(`keys: {file: DIR/sealing.key}
radius:
  clients:
    - {name: vpn, addresses: 192.0.2.10, secret: 0123456789abcdef0123456789abcdef}
directory: {type: file, file: {file: DIR/users.yaml}}
policies:
  - {name: all, unenrolled: {until: DAY, reply: {Class: little}}}
`, "DIR", dir)
	if err := os.WriteFile(filepath.Join(dir, "users.yaml"), []byte("users: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(text, "DAY", time.Now().AddDate(0, 0, 30).Format(time.DateOnly))
	c, warnings, err := loadConfig(writeConfig(t, dir, text), environ)
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(warnings, "\n"); !strings.Contains(all, `policy "all": until `) || !strings.Contains(all, "people without a token are let in with the first factor alone") {
		t.Errorf("warnings %q", all)
	}
	if p := c.policies()[0]; p.Unenrolled == nil || len(p.Unenrolled.Reply) != 1 {
		t.Errorf("the policy is %+v", p)
	}
}

// TestPasswordsOfSeveralDirectories: a policy that would ask people for a password whose directory has none is warned of,
// unless a policy before it takes all of them.
func TestPasswordsOfSeveralDirectories(t *testing.T) {
	const head = `keys: {file: DIR/sealing.key}
radius: {clients: [{name: vpn, addresses: 192.0.2.10, secret_file: DIR/vpn.secret, first_factor: gateway}]}
directory: {type: ldap, ldap: {urls: [ldaps://d.example], base_dn: "dc=example", failure_limit: -1}}
directories: [{name: partner, type: none, realms: [PARTNER]}]
policies:
`
	for policies, warned := range map[string]bool{
		"  - {name: all}": true,
		"  - {name: partners, directories: [partner], first_factor: pin}\n  - {name: all}":                 false,
		"  - {name: partners, directories: [partner], first_factor: pin, clients: [vpn]}\n  - {name: all}": true,
		"  - {name: partners, directories: [partner], first_factor: pin, users: [pam]}\n  - {name: all}":   true,
		"  - {name: no, directories: [partner], deny: true}\n  - {name: all}":                              false,
		"  - {name: all, directories: [ldap]}":                                                             false,
		"  - {name: all, groups: ['cn=vpn,dc=example']}":                                                   false,
		"  - {name: pins, first_factor: pin}":                                                              false,
	} {
		dir, environ := site(t)
		_, warnings, err := loadConfig(writeConfig(t, dir, strings.ReplaceAll(head+policies, "DIR", dir)), environ)
		if err != nil {
			t.Errorf("%s: %v", policies, err)
		}
		got := strings.Contains(strings.Join(warnings, "\n"), `policy "all" asks users of directory partner for a password, which they do not have; put a policy with directories: [partner] before it, and set first_factor: pin or gateway there`)
		if got != warned {
			t.Errorf("%s: warned %v, want %v: %q", policies, got, warned, warnings)
		}
	}
}

// TestGroupsInAnySpelling wants the DNs of policies in the form in which the directory gives a user's groups.
func TestGroupsInAnySpelling(t *testing.T) {
	c := Config{Policies: []PolicyConfig{{Groups: []string{"CN=VPN, OU=Groups,DC=example"}, ExemptGroups: []string{"Kiosk"}}}}
	p := c.policies()[0]
	member := &authn.User{Groups: []string{directory.FoldGroup("cn=vpn,ou=groups,dc=Example"), "kiosk"}}
	if authn.For([]*authn.Policy{p}, &authn.Client{}, member) != p || !p.Exempts(member) {
		t.Errorf("groups %q and %q do not fit %q", p.Groups, p.ExemptGroups, member.Groups)
	}
}

// TestDefaultConfigFile holds that a command without --config reads the file of the packaging, whatever flags others have.
func TestDefaultConfigFile(t *testing.T) {
	a := &app{}
	a.root()
	if got := a.configFile(); got != "/etc/sekisho/sekisho.yaml" {
		t.Errorf("without --config %q is read", got)
	}
	if err := a.root().ParseFlags(nil); err != nil || a.configFile() != defaultConfig {
		t.Errorf("with no flags %q is read (%v)", a.configFile(), err)
	}
}
