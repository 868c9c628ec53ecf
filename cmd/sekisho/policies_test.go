package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
)

// TestPolicyGuide loads every example of docs/policies.md, with a date that still lies ahead.
func TestPolicyGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	if len(examples) < 7 {
		t.Fatalf("the guide has %d examples", len(examples))
	}
	for _, x := range examples {
		dir, environ := site(t)
		text := strings.ReplaceAll(x[1], "/etc/sekisho/", dir+"/")
		text = strings.ReplaceAll(text, "2027-01-31", time.Now().AddDate(0, 0, 60).Format(time.DateOnly))
		clients := `
    - {name: bastion, addresses: [192.0.2.10], secret_file: DIR/vpn.secret, challenge: blind}
    - {name: branch, addresses: [192.0.2.11], secret_file: DIR/vpn.secret}`
		if strings.Contains(text, "radius:\n  clients:") {
			text = strings.Replace(text, "radius:\n  clients:", "radius:\n  clients:"+clients, 1)
		} else {
			text += "radius:\n  clients:" + clients + "\n"
		}
		text += `
keys: {file: DIR/sealing.key}
directory: {type: ldap, ldap: {urls: [ldaps://d.example], base_dn: "dc=example,dc=com"}}
`
		c, _, err := loadConfig(writeConfig(t, dir, strings.ReplaceAll(text, "DIR", dir)), environ)
		if err != nil {
			t.Errorf("%s\n%v", x[1], err)
			continue
		}
		if len(c.policies()) == 0 {
			t.Errorf("%s\nhas no policies", x[1])
		}
	}
}

// TestFirstPolicyHolds: the order of the file decides, also over gateways and people.
func TestFirstPolicyHolds(t *testing.T) {
	c := Config{Policies: []PolicyConfig{
		{Name: "leavers", Users: []string{" MALLORY"}, Deny: true}, {Name: "admins", Clients: []string{"bastion"}, Groups: []string{"Admins"}},
		{Name: "branch", Clients: []string{"branch"}, Groups: []string{"staff"}}, {Name: "none there", Clients: []string{"branch"}, Deny: true}, {Name: "rest"},
	}}
	policies := c.policies()
	for _, tt := range []struct {
		user   string
		groups []string
		client string
		want   string
	}{
		{"mallory", []string{"admins"}, "bastion", "leavers"}, {"alice", []string{"admins"}, "bastion", "admins"}, {"alice", []string{"admins"}, "branch", "none there"},
		{"bob", []string{"staff", "admins"}, "branch", "branch"}, {"bob", nil, "bastion", "rest"},
	} {
		p := authn.For(policies, &authn.Client{Name: tt.client, Service: tt.client}, &authn.User{Name: tt.user, Groups: tt.groups})
		if p == nil || p.Name != tt.want {
			t.Errorf("%s of %v at %s: %+v, want %s", tt.user, tt.groups, tt.client, p, tt.want)
		}
	}
	if p := authn.For(policies[:3], &authn.Client{Name: "bastion"}, &authn.User{Name: "carol"}); p != nil {
		t.Errorf("who fits none has policy %s", p.Name)
	}
}
