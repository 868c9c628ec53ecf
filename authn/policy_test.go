package authn

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPolicyFor(t *testing.T) {
	asa := &Client{Name: "asa1", Service: "vpn"}
	wifi := &Client{Name: "ap", Service: "wifi"}
	policies := []*Policy{
		{Name: "denied", Groups: []string{"cn=leavers,ou=groups,dc=example,dc=com"}, Deny: true},
		{Name: "admins", Clients: []string{"vpn"}, Groups: []string{"cn=admins,ou=groups,dc=example,dc=com"}},
		{Name: "one gateway", Clients: []string{"ap"}},
		{Name: "rest", Groups: []string{"staff"}},
	}
	dn := func(cn string) string { return "cn=" + cn + ",ou=groups,dc=example,dc=com" }
	for name, c := range map[string]struct {
		client *Client
		groups []string
		want   string
	}{
		"by group":                       {asa, []string{dn("staff"), dn("admins")}, "admins"},
		"first of the list wins":         {asa, []string{dn("admins"), dn("leavers")}, "denied"},
		"service does not fit":           {wifi, []string{dn("admins")}, "one gateway"},
		"by client name":                 {wifi, nil, "one gateway"},
		"everybody else":                 {asa, []string{"staff"}, "rest"},
		"nobody":                         {asa, []string{dn("guests")}, ""},
		"same name in another place":     {asa, []string{"cn=admins,ou=students,dc=example,dc=com"}, ""},
		"a name is not a DN":             {asa, []string{dn("staff")}, ""},
		"a part of a name is not a name": {asa, []string{dn("staffing")}, ""},
		"no groups":                      {asa, nil, ""},
	} {
		got := For(policies, c.client, &User{Groups: c.groups})
		if (got == nil) != (c.want == "") || got != nil && got.Name != c.want {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
	p := &Policy{ExemptGroups: []string{dn("kiosk")}}
	if p.Exempts(&User{}) || p.Exempts(&User{Groups: []string{dn("kiosks")}}) || !p.Exempts(&User{Groups: []string{dn("kiosk")}}) ||
		p.Exempts(&User{Groups: []string{"cn=kiosk,ou=students,dc=example,dc=com"}}) {
		t.Error("exempt is not positive membership alone")
	}
	if (&Policy{}).Exempts(&User{Groups: []string{dn("kiosk")}}) {
		t.Error("a policy without exempt groups exempts")
	}
}

func bears(d time.Duration) *Unenrolled {
	return &Unenrolled{Until: noon.Add(d), Reply: []Attribute{{Name: "Class", Value: "little"}}}
}

func TestCheckPolicies(t *testing.T) {
	gateway := &Client{Name: "gw", Service: "gw", GatewayProves: true, CanChallenge: true}
	plain := &Client{Name: "old", Service: "old"}
	blind := &Client{Name: "pci", Service: "pci", CanChallenge: true, Blind: true}
	for name, c := range map[string]struct {
		policy  Policy
		clients []*Client
		words   map[string]bool
		fault   string // part of the fault; empty: none
		warning string
	}{
		"joined":                   {policy: Policy{First: Password, Joined: true}, clients: []*Client{plain}},
		"joined PIN":               {policy: Policy{First: PIN, Joined: true}, clients: []*Client{plain}},
		"gateway":                  {policy: Policy{First: Gateway}, clients: []*Client{gateway}},
		"gateway that proves none": {policy: Policy{First: Gateway}, clients: []*Client{plain}, fault: "does not say first_factor: gateway"},
		"a code alone":             {policy: Policy{}, clients: []*Client{plain}, fault: "one factor"},
		"a code alone, in words":   {policy: Policy{}, clients: []*Client{plain}, words: map[string]bool{"p": true}},
		"exempt without factor":    {policy: Policy{ExemptGroups: []string{"x"}}, clients: []*Client{plain}, words: map[string]bool{"p": true}, fault: "exempt_groups"},
		"exempt with PIN":          {policy: Policy{First: PIN, Joined: true, ExemptGroups: []string{"x"}}, clients: []*Client{plain}, fault: "exempt_groups"},
		"exempt with password":     {policy: Policy{First: Password, Joined: true, ExemptGroups: []string{"x"}}, clients: []*Client{plain}},
		"neither form":             {policy: Policy{First: Password}, clients: []*Client{plain}, fault: "neither"},
		"challenge after a PIN":    {policy: Policy{First: PIN, Joined: true, Ask: true}, clients: []*Client{gateway}, fault: "only a password"},
		"challenge it cannot show": {policy: Policy{First: Password, Ask: true}, clients: []*Client{plain}, fault: "cannot show a challenge"},
		"plain challenge":          {policy: Policy{First: Password, Ask: true}, clients: []*Client{gateway}, warning: "confirms that the password was right"},
		"blind challenge":          {policy: Policy{First: Password, Ask: true}, clients: []*Client{blind}},
		"either form":              {policy: Policy{First: Password, Ask: true, Joined: true}, clients: []*Client{blind}},
		"unknown client":           {policy: Policy{First: Password, Joined: true, Clients: []string{"gone"}}, clients: []*Client{plain}, fault: `no client or service "gone"`},
		"deny":                     {policy: Policy{Deny: true}, clients: []*Client{plain}},
		"unenrolled": {policy: Policy{First: Password, Joined: true, Unenrolled: bears(90 * 24 * time.Hour)}, clients: []*Client{plain},
			warning: "until 2027-02-20T12:00:00Z people without a token are let in"},
		"unenrolled that ended": {policy: Policy{First: Gateway, Unenrolled: bears(0)}, clients: []*Client{gateway}, warning: "unenrolled ended at 2026-11-22T12:00:00Z"},
		"unenrolled too long": {policy: Policy{First: Password, Joined: true, Unenrolled: bears(90*24*time.Hour + time.Second)}, clients: []*Client{plain},
			fault: "more than 90 days ahead; choose 2027-02-20 or sooner"},
		"unenrolled with PIN": {policy: Policy{First: PIN, Joined: true, Unenrolled: bears(time.Hour)}, clients: []*Client{plain}, fault: "unenrolled needs first_factor",
			warning: "until"},
		"unenrolled with nothing": {policy: Policy{Unenrolled: bears(time.Hour)}, clients: []*Client{plain}, words: map[string]bool{"p": true},
			fault: "unenrolled needs first_factor", warning: "until"},
		"unenrolled with everything": {policy: Policy{First: Gateway, Unenrolled: &Unenrolled{Until: noon.Add(time.Hour)}}, clients: []*Client{gateway},
			fault: "unenrolled has no reply", warning: "until"},
		"unenrolled and denied": {policy: Policy{Deny: true, Unenrolled: bears(time.Hour)}, clients: []*Client{plain}, fault: "lets nobody in"},
	} {
		c.policy.Name = "p"
		warnings, err := CheckPolicies([]*Policy{&c.policy}, c.clients, c.words, noon)
		switch {
		case c.fault == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault) || !strings.Contains(err.Error(), `policy "p"`)):
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		}
		if got := strings.Join(warnings, "\n"); (got == "") != (c.warning == "") || !strings.Contains(got, c.warning) {
			t.Errorf("%s: warnings %q, want %q", name, got, c.warning)
		}
	}
	_, err := CheckPolicies([]*Policy{{Name: "a", Deny: true}, {Name: "a", Deny: true}, {Deny: true}}, nil, nil, noon)
	if err == nil || !strings.Contains(err.Error(), "twice") || !strings.Contains(err.Error(), "no name") {
		t.Errorf("two names and none: %v", err)
	}
}

// TestPoliciesOfDirectories: the people of one directory get nothing that was meant for people of the same name, or of a
// group of the same name, in another.
func TestPoliciesOfDirectories(t *testing.T) {
	corp := []*Policy{
		{Name: "user", Directories: []string{"corp"}, Users: []string{"annie"}},
		{Name: "group", Directories: []string{"corp"}, Groups: []string{"cn=vpn"}},
		{Name: "both", Directories: []string{"corp", "lab"}, Groups: []string{"cn=all"}},
		{Name: "corp", Directories: []string{"corp"}},
		{Name: "rest"},
	}
	for _, tt := range []struct {
		user *User
		want string
	}{
		{&User{Directory: "corp", Name: "annie"}, "user"}, {&User{Directory: "lab", Name: "annie"}, "rest"},
		{&User{Directory: "corp", Groups: []string{"cn=vpn"}}, "group"}, {&User{Directory: "lab", Groups: []string{"cn=vpn"}}, "rest"},
		{&User{Directory: "lab", Groups: []string{"cn=all"}}, "both"}, {&User{Directory: "corp", Name: "bob"}, "corp"},
	} {
		if p := For(corp, &Client{}, tt.user); p.Name != tt.want {
			t.Errorf("%+v: policy %s, want %s", tt.user, p.Name, tt.want)
		}
	}
}

// TestNamesUser compares the way without memory with FoldUserName.
func TestNamesUser(t *testing.T) {
	folded := []string{"alice", "田中", "strasse", "bob smith", "k"}
	for _, name := range []string{"alice", " ALICE ", "Alice", "alic", "alicee", "alice\t", "田中", " 田中", "Straße", "STRASSE", "Bob Smith", "bob  smith", "", " ", "\u212a", "K", "@lice", "ＡＬＩＣＥ"} {
		if got, want := namesUser(folded, name), slices.Contains(folded, FoldUserName(name)); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
