package directory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/internal/conf"
	"sekisho/internal/testenv"
)

func TestConfigChecks(t *testing.T) {
	good := func() LDAPConfig {
		return LDAPConfig{URLs: []string{"ldaps://ldap.corp.test"}, BaseDN: "dc=corp,dc=test"}
	}
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*LDAPConfig)
		keys   string // of the faults, in order
	}{
		"good":                  {func(*LDAPConfig) {}, ""},
		"StartTLS":              {func(c *LDAPConfig) { c.URLs, c.StartTLS = []string{"ldap://ldap.corp.test:1389/"}, true }, ""},
		"loopback in the clear": {func(c *LDAPConfig) { c.URLs = []string{"ldap://localhost", "ldap://127.0.0.2", "ldap://[::1]:389"} }, ""},
		"clear":                 {func(c *LDAPConfig) { c.URLs = []string{"ldap://ldap.corp.test", "ldaps://x", "ldap://10.0.0.1"} }, "urls[0] urls[2]"},
		"clear by a name that looks like loopback": {func(c *LDAPConfig) { c.URLs = []string{"ldap://localhost.corp.test", "ldap://127.0.0.1.corp.test"} }, "urls[0] urls[1]"},
		"no URL": {func(c *LDAPConfig) { c.URLs = nil }, "urls"},
		"odd URLs": {func(c *LDAPConfig) {
			c.URLs = []string{"", "ldap.corp.test", "http://x", "ldaps://", "ldaps://x/dc=y", "ldaps://a:b@x", "ldaps://x?y"}
		}, "urls[0] urls[1] urls[2] urls[3] urls[4] urls[5] urls[6]"},
		"CA missing":               {func(c *LDAPConfig) { c.CAFile = noPEM + ".not" }, "ca_file"},
		"CA without certificate":   {func(c *LDAPConfig) { c.CAFile = noPEM }, "ca_file"},
		"CA":                       {func(c *LDAPConfig) { c.CAFile = testenv.PKI(t).CA }, ""},
		"no base":                  {func(c *LDAPConfig) { c.BaseDN = "" }, "base_dn"},
		"odd base":                 {func(c *LDAPConfig) { c.BaseDN = "corp.test"; c.GroupBaseDN = "groups" }, "base_dn group_base_dn"},
		"account of AD":            {func(c *LDAPConfig) { c.BindDN, c.BindPassword = "reader@corp.test", secret("x") }, ""},
		"old account of AD":        {func(c *LDAPConfig) { c.BindDN, c.BindPassword = `CORP\reader`, secret("x") }, ""},
		"account without password": {func(c *LDAPConfig) { c.BindDN = "cn=reader" }, "bind_dn"},
		"password without account": {func(c *LDAPConfig) { c.BindPassword = secret("x") }, "bind_dn"},
		"two attributes":           {func(c *LDAPConfig) { c.UserFilter = "(&(objectClass=person)(|(uid=%s)(mail=%s)))" }, ""},
		"name in a pattern":        {func(c *LDAPConfig) { c.UserFilter = "(uid=%s*)" }, "user_filter"},
		"name in a range":          {func(c *LDAPConfig) { c.UserFilter = "(uid>=%s)" }, "user_filter"},
		"name with more":           {func(c *LDAPConfig) { c.UserFilter = "(userPrincipalName=%s@corp.test)" }, "user_filter"},
		"name as attribute":        {func(c *LDAPConfig) { c.UserFilter = "(&(uid=%s)(%s=x))" }, "user_filter"},
		"no name":                  {func(c *LDAPConfig) { c.UserFilter = "(uid=alice)" }, "user_filter"},
		"other verb":               {func(c *LDAPConfig) { c.UserFilter = "(&(uid=%s)(cn=%d))" }, "user_filter"},
		"not a filter":             {func(c *LDAPConfig) { c.UserFilter = "(&(uid=%s)" }, "user_filter"},
		"odd attributes": {func(c *LDAPConfig) {
			c.NameAttribute, c.IDAttribute, c.GroupAttribute, c.MemberAttribute = "a b", "1", "x;y", "("
		}, "name_attribute id_attribute group_attribute member_attribute"},
		"AD": {func(c *LDAPConfig) { c.Preset = "ad" }, ""},
		"other preset": {func(c *LDAPConfig) {
			c.Preset = "novell"
			c.UserFilter, c.NameAttribute, c.IDAttribute = "(cn=%s)", "cn", "guid"
			c.GroupAttribute, c.MemberAttribute = "g", "m"
		}, "preset"},
		"walks of AD": {func(c *LDAPConfig) { c.GroupWalk = walkTokens }, "group_walk"},
		"other walk":  {func(c *LDAPConfig) { c.GroupWalk = "nested" }, "group_walk"},
		"attributes": {func(c *LDAPConfig) {
			c.Attributes = map[string][]string{"name": nil, "costcentre": {"departmentNumber", "displayName;lang-ja;phonetic"}}
		}, ""},
		"odd attribute map": {func(c *LDAPConfig) {
			c.Attributes = map[string][]string{"Cost": {"x"}, "a": {"x y"}, "b": {"USERPASSWORD"}}
		}, "attributes.Cost attributes.a attributes.b"},
		"many attributes": {func(c *LDAPConfig) {
			c.Attributes = map[string][]string{}
			for i := range 40 {
				c.Attributes[fmt.Sprint("a", i)] = []string{"x"}
			}
		}, "attributes"},
		"window alone": {func(c *LDAPConfig) { c.FailureWindow = time.Hour }, "failure_window"},
		"out of range": {func(c *LDAPConfig) {
			c.GroupDepth, c.ConnectTimeout, c.Timeout, c.SearchConnections, c.BindConnections = 51, time.Millisecond, time.Minute, -1, 1000
			c.MaxAnswer, c.FailureLimit, c.Cache = 1000, -2, 301*time.Second
		}, "group_depth connect_timeout timeout search_connections bind_connections max_answer failure_limit cache"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			c.change(&config)
			faults := config.Check()
			var keys []string
			for _, f := range faults {
				keys = append(keys, f.Key)
				if f.Problem == "" || f.Advice == "" {
					t.Errorf("%+v says too little", f)
				}
			}
			if got := strings.Join(keys, " "); got != c.keys {
				t.Errorf("faults at %q, want %q:\n%v", got, c.keys, faults)
			}
			l, err := OpenLDAP("corp", config)
			if (err == nil) != (c.keys == "") {
				t.Errorf("OpenLDAP: %v", err)
			}
			if l != nil {
				l.Close()
			}
		})
	}
}

// TestConfigIsRead: every key can be given in YAML, and the password also by a file.
func TestConfigIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var c LDAPConfig
	doc := conf.Parse(&c, "test.yaml", []byte(`
urls: [ldaps://a, ldaps://b]
starttls: true
ca_file: /ca.pem
server_name: ldap.corp
bind_dn: cn=reader
bind_password_file: `+file+`
base_dn: dc=corp
user_filter: (mail=%s)
name_attribute: mail
id_attribute: objectGUID
group_attribute: isMemberOf
preset: ad
group_walk: in_chain
attributes: {mail: mail, cost_centre: [departmentNumber, extensionAttribute1]}
member_attribute: uniqueMember
group_base_dn: ou=groups
group_depth: 3
connect_timeout: 250ms
timeout: 2s
search_connections: 4
bind_connections: 5
max_answer: 65536
failure_limit: 9
cache: 1m
`))
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	if len(c.URLs) != 2 || string(c.BindPassword.Reveal()) != "s3cret" || c.Timeout != 2*time.Second || c.Cache != time.Minute ||
		c.MaxAnswer != 65536 || c.Preset != "ad" || c.GroupWalk != walkChain || len(c.Attributes["cost_centre"]) != 2 || !c.StartTLS {
		t.Errorf("%+v", c)
	}
}

func TestPresets(t *testing.T) {
	ad := LDAPConfig{Preset: "ad", BaseDN: "ou=Staff,OU=Tokyo,DC=corp,dc=example", Attributes: map[string][]string{"reading": nil, "costcentre": {"departmentNumber"}}}.withDefaults()
	if ad.GroupBaseDN != "DC=corp,dc=example" && ad.GroupBaseDN != "dc=corp,dc=example" || ad.NameAttribute != "sAMAccountName" || ad.GroupWalk != walkTokens {
		t.Errorf("%+v", ad)
	}
	if len(ad.Attributes["reading"]) != 0 || len(ad.Attributes["mail"]) != 1 || len(ad.Attributes["costcentre"]) != 1 {
		t.Errorf("attributes %q", ad.Attributes)
	}
	for dn, want := range map[string]string{"ou=people": "ou=people", "": "", "dc=x": "dc=x", "dc=a,ou=b": "dc=a,ou=b", "x": "x"} {
		if got := domainOf(dn); got != want {
			t.Errorf("domain of %q: %q, want %q", dn, got, want)
		}
	}
	for _, p := range []string{"", "ad"} {
		lines := strings.Join(LDAPConfig{Preset: p, URLs: []string{"ldaps://a"}, BaseDN: "dc=x"}.Explain(), "\n")
		for _, part := range []string{"preset\t" + orDefault(p, "openldap"), "users\tbelow dc=x by (", "groups\t", "attribute mail\tmail", "ldaps://a"} {
			if !strings.Contains(lines, part) {
				t.Errorf("preset %q: no %q in\n%s", p, part, lines)
			}
		}
	}
}
