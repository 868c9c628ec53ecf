package operator

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)

// The defaults of P10, written down a second time from the text and not from the table.
func TestEveryCell(t *testing.T) {
	everybody := []Right{ReadTokens, ReadService}
	auditor := []Right{ReadAudit}
	helpdesk := []Right{Suspend, Assign, Resync, Unlock, Temporary, Approve, SetPIN, Mails}
	admin := slices.Concat(helpdesk, []Right{ReadAudit, Revoke, RevokeLost, Import, Mass, Undo, Campaigns})
	want := map[Role][]Right{
		Nobody:   nil,
		Auditor:  slices.Concat(everybody, auditor),
		Helpdesk: slices.Concat(everybody, helpdesk),
		Admin:    slices.Concat(everybody, admin),
		Master:   Rights(),
	}
	cells := 0
	for role := Nobody; role <= Master; role++ {
		for _, right := range Rights() {
			cells++
			if got := role.Has(right); got != slices.Contains(want[role], right) {
				t.Errorf("%v has %s: %v", role, right, got)
			}
		}
		if role.Has("tokens.everything") {
			t.Errorf("%v has a right that does not exist", role)
		}
	}
	if cells != 5*26 {
		t.Errorf("%d cells, want %d: a right was added; say here who has it", cells, 5*26)
	}
}

func TestDecide(t *testing.T) {
	fresh := Principal{Name: "m", Role: Master, Door: Password, Proven: now.Add(-time.Second), SignedIn: now.Add(-time.Hour)}
	with := func(change func(*Principal)) Principal {
		p := fresh
		change(&p)
		return p
	}
	tokyo := Person{Directory: "main", Groups: []string{"cn=Tokyo,dc=x"}}
	osaka := Person{Directory: "main", Groups: []string{"cn=Osaka,dc=x"}}
	only := func(p ...Person) Target { return Target{People: p} }
	scoped := with(func(p *Principal) { p.Scope = Scope{Groups: []string{"CN=tokyo,DC=x"}} })
	for _, c := range []struct {
		name   string
		p      Principal
		right  Right
		t      Target
		agreed bool
		want   Answer
	}{
		{"master revokes", fresh, Revoke, only(tokyo), false, Yes},
		{"auditor reads", with(func(p *Principal) { p.Role = Auditor }), ReadAudit, Target{}, false, Yes},
		{"auditor revokes", with(func(p *Principal) { p.Role = Auditor }), Revoke, only(tokyo), false, NoRight},
		{"help desk revokes", with(func(p *Principal) { p.Role = Helpdesk }), Revoke, only(tokyo), false, NoRight},
		{"help desk suspends", with(func(p *Principal) { p.Role = Helpdesk; p.Proven = time.Time{} }), Suspend, only(tokyo), false, Yes},
		{"help desk reads the audit", with(func(p *Principal) { p.Role = Helpdesk }), ReadAudit, Target{}, false, NoRight},
		{"nobody", with(func(p *Principal) { p.Role = Nobody }), ReadTokens, Target{}, false, NoRight},
		{"unknown right", fresh, "x", Target{}, false, NoRight},

		{"in scope", scoped, Revoke, only(tokyo), false, Yes},
		{"out of scope", scoped, Revoke, only(osaka), false, NotFound},
		{"one of two out of scope", scoped, Revoke, only(tokyo, osaka), false, NotFound},
		{"out of scope without the right", with(func(p *Principal) { p.Role = Auditor; p.Scope = scoped.Scope }), Revoke, only(osaka), false, NotFound},
		{"another directory", with(func(p *Principal) { p.Scope = Scope{Directories: []string{"b"}} }), ReadTokens, only(tokyo), false, NotFound},
		{"scoped master and the keys", scoped, Keys, Target{}, false, NoRight},

		{"help desk on an operator", with(func(p *Principal) { p.Role = Helpdesk }), Suspend, only(Person{Operator: Auditor}), false, NoOperators},
		{"admin on an operator", with(func(p *Principal) { p.Role = Admin }), Revoke, only(Person{Operator: Helpdesk}), false, NoOperators},
		{"master on an operator", fresh, Revoke, only(Person{Operator: Admin}), false, Yes},
		{"admin on their own token", with(func(p *Principal) { p.Role = Admin }), Revoke, only(Person{Operator: Admin, Self: true}), false, Yes},
		{"master unlocks themself", fresh, Unlock, only(Person{Operator: Master, Self: true}), true, NotOneself},
		{"out of their own scope", scoped, Revoke, only(Person{Self: true, Operator: Master}), false, Yes},
		{"approves their own", fresh, Approve, only(Person{Self: true, Operator: Master}), false, NotOneself},

		{"proof too old", with(func(p *Principal) { p.Proven = now.Add(-ProofLife) }), Revoke, only(tokyo), false, StepUp},
		{"proof just in time", with(func(p *Principal) { p.Proven = now.Add(-ProofLife + 1) }), Revoke, only(tokyo), false, Yes},
		{"never proven", with(func(p *Principal) { p.Proven = time.Time{} }), Revoke, only(tokyo), false, StepUp},
		{"signed in just now", with(func(p *Principal) { p.Proven = time.Time{}; p.SignedIn = now.Add(-time.Minute) }), Revoke, only(tokyo), false, Yes},
		{"signed in two minutes ago", with(func(p *Principal) { p.Proven = time.Time{}; p.SignedIn = now.Add(-FreshLife) }), Revoke, only(tokyo), false, StepUp},
		{"a sign-in opens no seeds", with(func(p *Principal) { p.Proven = time.Time{}; p.SignedIn = now }), ExportSeeds, Target{}, true, StepUp},
		{"proof of the future", with(func(p *Principal) { p.Proven = now.Add(time.Second) }), Revoke, only(tokyo), false, StepUp},
		{"keys a minute later", with(func(p *Principal) { p.Proven = now.Add(-GuardsLife) }), Keys, Target{}, true, StepUp},
		{"many at once", with(func(p *Principal) { p.Proven = now.Add(-5 * time.Minute) }), Revoke, Target{Count: 21}, true, StepUp},
		{"the machine's administrator", Principal{Name: "root", Role: Master, Door: LocalSocket}, Keys, Target{}, false, Yes},

		{"seeds alone", fresh, ExportSeeds, Target{}, false, SecondPerson},
		{"seeds together", fresh, ExportSeeds, Target{}, true, Yes},
		{"twenty revoked", fresh, Revoke, Target{Count: 20}, false, Yes},
		{"twenty-one revoked", fresh, Revoke, Target{Count: 21}, false, SecondPerson},
		{"lost token of a VIP", fresh, RevokeLost, Target{People: []Person{tokyo}, Vip: true}, false, SecondPerson},
		{"lost token of somebody", fresh, RevokeLost, only(tokyo), false, Yes},
		{"unlock a master", fresh, Unlock, only(Person{Operator: Master}), false, SecondPerson},
		{"unlock somebody", fresh, Unlock, only(tokyo), false, Yes},

		{"own token ended", with(func(p *Principal) { p.NoToken = true }), Revoke, only(tokyo), false, RegisterOnly},
		{"own token ended, reads", with(func(p *Principal) { p.NoToken = true }), ReadTokens, Target{}, false, Yes},
		{"key within its rights", with(func(p *Principal) { p.Door = Key; p.Only = []Right{Assign} }), Assign, only(tokyo), false, Yes},
		{"key beyond its rights", with(func(p *Principal) { p.Door = Key; p.Only = []Right{Assign} }), Revoke, only(tokyo), false, NoRight},
	} {
		if got := Decide(c.p, c.right, c.t, Policy{}, c.agreed, now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	late := with(func(p *Principal) { p.Proven = now.Add(-GuardsLife) })
	if got := Decide(late, Revoke, only(tokyo), Policy{EveryTime: true}, false, now); got != StepUp {
		t.Errorf("each time: %v", got)
	}
	if got := Decide(fresh, ExportSeeds, Target{}, Policy{SecondPerson: []Pair{}}, false, now); got != Yes {
		t.Errorf("a site without second persons: %v", got)
	}
}

func TestScopeWithin(t *testing.T) {
	for _, c := range []struct {
		inner, outer Scope
		want         bool
	}{
		{Scope{}, Scope{}, true},
		{Scope{Groups: []string{"a"}}, Scope{}, true},
		{Scope{}, Scope{Groups: []string{"a"}}, false},
		{Scope{Groups: []string{"A"}}, Scope{Groups: []string{"a", "b"}}, true},
		{Scope{Groups: []string{"a", "c"}}, Scope{Groups: []string{"a", "b"}}, false},
		{Scope{Groups: []string{"a"}}, Scope{Directories: []string{"x"}}, false},
		{Scope{Directories: []string{"x"}, Groups: []string{"a"}}, Scope{Directories: []string{"x"}}, true},
		{Scope{Directories: []string{"X"}}, Scope{Directories: []string{"x"}}, false},
	} {
		if got := c.inner.Within(c.outer); got != c.want {
			t.Errorf("%v within %v: %v", c.inner, c.outer, got)
		}
	}
}

func TestApproval(t *testing.T) {
	digest := Digest(ExportSeeds, "POST /api/v1/tokens/export", []byte("{}"))
	asked := Approval{ID: 1, Right: ExportSeeds, Digest: digest, AskedBy: "m1", Asked: now, State: Asked}
	m1, m2 := Principal{Name: "m1", Role: Master, Door: Password}, Principal{Name: "m2", Role: Master, Door: Password}
	code := func(r *Refusal) string {
		if r == nil {
			return ""
		}
		return r.Code
	}
	for _, c := range []struct {
		name     string
		by       Principal
		agree    bool
		sentence string
		at       time.Time
		code     string
		state    ApprovalState
	}{
		{"agreed", m2, true, "", now, "", Agreed},
		{"refused", m2, false, "not today", now, "", Refused},
		{"refused without a word", m2, false, "", now, "sentence-missing", Asked},
		{"by oneself", m1, true, "", now, "approval-own", Asked},
		{"by an admin", Principal{Name: "a", Role: Admin, Door: Password}, true, "", now, "no-right", Asked},
		{"by a program", Principal{Name: "key:x", Role: Master, Door: Key}, true, "", now, "approval-key", Asked},
		{"too late", m2, true, "", now.Add(AskedLife), "approval-over", Lapsed},
	} {
		got, no := asked.Decide(c.by, c.agree, c.sentence, c.at)
		if code(no) != c.code || got.State != c.state {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, got.State, code(no), c.state, c.code)
		}
	}
	agreed, _ := asked.Decide(m2, true, "", now)
	for _, c := range []struct {
		name   string
		a      Approval
		by     Principal
		digest [32]byte
		at     time.Time
		code   string
	}{
		{"used", agreed, m1, digest, now, ""},
		{"not agreed", asked, m1, digest, now, "approval-over"},
		{"by the second person", agreed, m2, digest, now, "approval-foreign"},
		{"for another body", agreed, m1, Digest(ExportSeeds, "POST /api/v1/tokens/export", []byte("{ }")), now, "approval-other"},
		{"for another right", agreed, m1, Digest(Keys, "POST /api/v1/tokens/export", []byte("{}")), now, "approval-other"},
		{"an hour later", agreed, m1, digest, now.Add(AgreedLife), "approval-over"},
	} {
		got, no := c.a.Use(c.by, c.digest, c.at)
		if code(no) != c.code || (c.code == "") != (got.State == Used) {
			t.Errorf("%s: %v, %q; want %q", c.name, got.State, code(no), c.code)
		}
	}
	used, _ := agreed.Use(m1, digest, now)
	if _, no := used.Use(m1, digest, now); code(no) != "approval-over" {
		t.Errorf("used twice: %q", code(no))
	}
	if got, no := agreed.Withdraw(m1, now); no != nil || got.State != Withdrawn {
		t.Errorf("withdrawn: %v %v", got.State, no)
	}
	if _, no := agreed.Withdraw(m2, now); code(no) != "approval-foreign" {
		t.Errorf("withdrawn by another: %v", no)
	}
	// What separates the parts of a digest cannot be moved from one to the next.
	if Digest("a", "b\x00c", []byte("d")) == Digest("a", "b", []byte("c\x00d")) {
		t.Error("two acts have one digest")
	}
}

func TestKeys(t *testing.T) {
	master := Principal{Name: "m", Role: Master, Door: Password}
	expires := now.Add(30 * 24 * time.Hour)
	key, secret, no := NewKey(master, "portal", Admin, []Right{Assign, ReadTokens}, Scope{}, expires, now)
	if no != nil {
		t.Fatal(no)
	}
	if id, ok := KeyID(secret); !ok || id != key.ID || !strings.HasPrefix(secret, "sekisho_") {
		t.Errorf("the secret %d octets long names key %d, %v; want %d", len(secret), id, ok, key.ID)
	}
	p, ok := key.Open(secret, now)
	if !ok || p.Name != "key:portal" || p.Door != Key || p.Role != Admin || len(p.Only) != 2 {
		t.Errorf("opened: %+v, %v", p, ok)
	}
	wrong := secret[:len(secret)-3] + "aaa"
	if wrong == secret {
		wrong = secret[:len(secret)-3] + "bbb"
	}
	for name, c := range map[string]struct {
		k  APIKey
		s  string
		at time.Time
	}{
		"wrong":    {key, wrong, now},
		"empty":    {key, "", now},
		"expired":  {key, secret, expires},
		"revoked":  {func() APIKey { k := key; k.Revoked = now; return k }(), secret, now},
		"no right": {func() APIKey { k := key; k.Only = nil; return k }(), secret, now},
	} {
		if _, ok := c.k.Open(c.s, c.at); ok {
			t.Errorf("%s: opened", name)
		}
	}
	for _, s := range []string{"", "sekisho_", "sekisho_a", strings.ToUpper(secret), secret + "a", "x" + secret} {
		if _, ok := KeyID(s); ok {
			t.Errorf("%q names a key", s)
		}
	}
	for _, c := range []struct {
		name    string
		by      Principal
		label   string
		role    Role
		only    []Right
		scope   Scope
		expires time.Time
		code    string
	}{
		{"no name", master, " ", Admin, []Right{Assign}, Scope{}, expires, "key-name"},
		{"no rights", master, "x", Admin, nil, Scope{}, expires, "key-rights"},
		{"unknown right", master, "x", Admin, []Right{"x"}, Scope{}, expires, "key-rights"},
		{"beyond the role", master, "x", Helpdesk, []Right{Revoke}, Scope{}, expires, "key-rights"},
		{"for people only", master, "x", Master, []Right{ExportSeeds}, Scope{}, expires, "key-rights"},
		{"makes operators", master, "x", Master, []Right{Operators}, Scope{}, expires, "key-rights"},
		{"over one's own role", Principal{Name: "a", Role: Admin}, "x", Master, []Right{Assign}, Scope{}, expires, "key-role"},
		{"over one's own scope", Principal{Name: "m", Role: Master, Scope: Scope{Groups: []string{"g"}}}, "x", Admin, []Right{Assign}, Scope{}, expires, "key-scope"},
		{"a key makes a wider key", Principal{Name: "key:x", Role: Admin, Only: []Right{ReadTokens}}, "x", Admin, []Right{Assign}, Scope{}, expires, "key-rights"},
		{"in the past", master, "x", Admin, []Right{Assign}, Scope{}, now, "key-expiry"},
		{"for ever", master, "x", Admin, []Right{Assign}, Scope{}, now.Add(LongestKey + 1), "key-expiry"},
	} {
		if _, _, no := NewKey(c.by, c.label, c.role, c.only, c.scope, c.expires, now); no == nil || no.Code != c.code {
			t.Errorf("%s: %v, want %s", c.name, no, c.code)
		}
	}
}

func FuzzKeyID(f *testing.F) {
	f.Add("sekisho_abc")
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok := KeyID(s); ok && (len(s) != len(keyPrefix)+45 || !strings.HasPrefix(s, keyPrefix)) {
			t.Errorf("%q names a key", s)
		}
	})
}

func TestDaily(t *testing.T) {
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	desk, admin := Principal{Name: "h", Role: Helpdesk, Door: Password}, Principal{Name: "a", Role: Admin, Door: Password}
	var d Daily
	var no *Refusal
	for i := range ActsPerDay {
		if d, no = d.Take(desk, 0, tokyo, now); no != nil {
			t.Fatalf("act %d: %v", i+1, no)
		}
	}
	if _, no = d.Take(desk, 0, tokyo, now); no == nil || no.Code != "daily-limit" {
		t.Errorf("the act after the last: %v", no)
	}
	if _, no = d.Take(admin, 0, tokyo, now); no != nil {
		t.Errorf("an admin: %v", no)
	}
	// Midnight in Tokyo is 15:00 UTC.
	midnight := time.Date(2026, 4, 1, 15, 0, 0, 0, time.UTC)
	if _, no = d.Take(desk, 0, tokyo, midnight.Add(-1)); no == nil {
		t.Error("a new day began before midnight")
	}
	if next, no := d.Take(desk, 0, tokyo, midnight); no != nil || next.Done != 1 {
		t.Errorf("after midnight: %d, %v", next.Done, no)
	}
	raised, no := d.Raise(31, now.Add(time.Hour), now)
	if no != nil {
		t.Fatal(no)
	}
	if raised, no = raised.Take(desk, 0, tokyo, now); no != nil {
		t.Errorf("raised: %v", no)
	}
	if _, no = raised.Take(desk, 0, tokyo, now); no == nil {
		t.Error("the raised limit is none")
	}
	for name, c := range map[string]struct {
		to    int
		until time.Time
	}{"nothing": {0, now.Add(time.Hour)}, "too many": {10_001, now.Add(time.Hour)}, "past": {40, now}, "too long": {40, now.Add(25 * time.Hour)}} {
		if _, no := d.Raise(c.to, c.until, now); no == nil {
			t.Errorf("raised to %s", name)
		}
	}
	lapsed, _ := d.Raise(40, now.Add(time.Minute), now)
	if _, no := lapsed.Take(desk, 0, tokyo, now.Add(time.Minute)); no == nil {
		t.Error("a raised limit outlived its time")
	}
}

func TestChecklist(t *testing.T) {
	c := Checklist{Items: []string{"birth date", "employee number", "called back"}, Least: 2}
	for name, x := range map[string]struct {
		ticked []string
		code   string
	}{
		"enough":       {[]string{"birth date", "called back"}, ""},
		"one":          {[]string{"birth date"}, "checklist"},
		"the same one": {[]string{"birth date", "birth date"}, "checklist"},
		"none":         {nil, "checklist"},
		"of last week": {[]string{"birth date", "pet"}, "checklist-other"},
	} {
		if no := c.Check(x.ticked); (no == nil) != (x.code == "") || no != nil && no.Code != x.code {
			t.Errorf("%s: %v, want %q", name, no, x.code)
		}
	}
	c.Least = 0
	if no := c.Check([]string{"birth date", "called back"}); no == nil {
		t.Error("two of three are all")
	}
	if no := (Checklist{}).Check(nil); no != nil {
		t.Errorf("no list: %v", no)
	}
}

func TestParseRole(t *testing.T) {
	for r := Auditor; r <= Master; r++ {
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "nobody", "Master", "root"} {
		if _, err := ParseRole(s); err == nil {
			t.Errorf("%q is a role", s)
		}
	}
}
