package authn_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/authn"
	"sekisho/token"
)

// spell encodes attributes as text.
func spell(list []authn.Attribute) (b []byte, err error) {
	for _, a := range list {
		b = append(b, a.Name+"="+a.Value+" "...)
	}
	return b, nil
}

// bear is a policy that lets people in without a token for ten days.
func bear(h *house, first authn.FirstFactor) *authn.Policy {
	p := &authn.Policy{Name: "staff", First: first, Joined: first == authn.Password, Window: token.LoginWindow,
		Reply: []authn.Attribute{{Name: "Class", Value: "everything"}}}
	if h != nil {
		p.Unenrolled = &authn.Unenrolled{Until: h.clock.now().Add(10 * 24 * time.Hour), Reply: []authn.Attribute{{Name: "Class", Value: "little"}}}
		h.auth.Policies = []*authn.Policy{p}
		// A rule for everybody: who has no token is not meant.
		h.auth.Replies = &authn.ReplyBook{Rules: []*authn.ReplyRule{{Name: "all", Set: []authn.Attribute{{Name: "Filter-Id", Value: "too much"}}}}, Encode: spell}
	}
	return p
}

// TestUnenrolled: who never held a token gets in with a proven first factor and the restricted attributes, until the date;
// who held one does not, whatever became of it.
func TestUnenrolled(t *testing.T) {
	h := newHouse(t)
	policy := bear(h, authn.Password)
	registry := prometheus.NewRegistry()
	h.auth.Metrics = authn.NewMetrics(registry)
	gw := gate()
	h.user("new", "pass 2026")
	for name, hold := range map[string]token.Standing{"gone": token.Revoked, "ill": token.Suspended, "post": token.Pending, "lost": token.Active} {
		p := h.person(name, "pass 2026", 1, standing(hold))
		want(t, "password alone of a person with a token that is "+hold.String(), h.try(gw, p.name, "pass 2026", home), authn.Reject, authn.WrongCode)
	}
	expired := h.person("late", "pass 2026", 1, func(_ *authn.Account, ts []*token.Token) { ts[0].Expiry = h.clock.now().Unix() - 1 })
	want(t, "password alone of a person whose token expired", h.try(gw, expired.name, "pass 2026", home), authn.Reject, authn.WrongCode)

	want(t, "wrong password", h.try(gw, "new", "guess", home), authn.Reject, authn.WrongPassword)
	want(t, "no password", h.try(gw, "new", "", home), authn.Reject, authn.EmptyPassword)
	want(t, "digits behind it belong to it", h.try(gw, "new", "pass 2026123456", home), authn.Reject, authn.WrongPassword)
	d := h.try(gw, "new", "pass 2026", home)
	want(t, "right password", d, authn.Accept, authn.OKUnenrolled)
	if string(d.Reply) != "Class=little " {
		t.Errorf("the reply is %q, want the restricted attributes alone", d.Reply)
	}
	e := h.events()[0]
	if e.Reason != authn.OKUnenrolled || e.Row != 3 || e.Policy != "staff" || e.Account == 0 || e.Token != 0 {
		t.Errorf("the event does not mark it: %+v", e)
	}
	again := h.try(gw, "new", "pass 2026", home)
	want(t, "the second time", again, authn.Accept, authn.OKUnenrolled)
	if again.Account != d.Account {
		t.Errorf("accounts %v and %v of one person", d.Account, again.Account)
	}
	gauge := func(n float64) {
		t.Helper()
		if got := value(t, registry, "sekisho_unenrolled_people"); got != n {
			t.Errorf("%v people without a token, want %v", got, n)
		}
	}
	gauge(1)

	h.auth.Clock.BeginDoubt()
	want(t, "a clock in doubt", h.try(gw, "new", "pass 2026", home), authn.Discard, authn.ClockDoubt)
	h.auth.Clock = &authn.Clock{}

	// A token ends it, from the moment it was given out.
	dev := h.newDevice()
	acc := h.account(&person{account: d.Account})
	acc.Generation++
	acc.Assignments = append(acc.Assignments, token.Assignment{Token: dev.ID, Standing: token.Active, Since: 1})
	h.act(authn.Keys{Accounts: []authn.AccountID{acc.ID}}, authn.Change{Accounts: []*authn.Account{&acc}, Tokens: []*token.Token{dev.Token}})
	want(t, "password alone with a token", h.try(gw, "new", "pass 2026", home), authn.Reject, authn.WrongCode)
	with := h.try(gw, "new", "pass 2026"+dev.code(h.step(dev)), home)
	want(t, "password and code", with, authn.Accept, authn.OK)
	if string(with.Reply) != "Class=everything Filter-Id=too much " {
		t.Errorf("the reply is %q, want the policy's and the rule's", with.Reply)
	}
	gauge(0)

	h.user("other", "pass 2026")
	for name, until := range map[string]time.Duration{"at the end": 0, "after it": -time.Second, "a date too far ahead": authn.UnenrolledMost + time.Second} {
		policy.Unenrolled.Until = h.clock.now().Add(until)
		want(t, name, h.try(gw, "other", "pass 2026", home), authn.Reject, authn.NoToken)
	}
	policy.Unenrolled.Until = h.clock.now().Add(authn.UnenrolledMost)
	want(t, "90 days", h.try(gw, "other", "pass 2026", home), authn.Accept, authn.OKUnenrolled)
}

// TestUnenrolledElsewhere: gateways that prove the first factor let in too; a PIN or nothing at all opens nothing; who is
// asked for codes is not asked for one that cannot be.
func TestUnenrolledElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		first   authn.FirstFactor
		ask     bool
		blind   bool
		text    string
		verdict authn.Verdict
		reason  authn.Reason
	}{
		"gateway":   {first: authn.Gateway, text: "", verdict: authn.Accept, reason: authn.OKUnenrolled},
		"PIN":       {first: authn.PIN, text: "4711", verdict: authn.Reject, reason: authn.NoPolicy},
		"nothing":   {first: authn.NoFactor, text: "123456", verdict: authn.Reject, reason: authn.NoPolicy},
		"challenge": {first: authn.Password, ask: true, text: "pass 2026", verdict: authn.Accept, reason: authn.OKUnenrolled},
		"blind":     {first: authn.Password, ask: true, blind: true, text: "pass 2026", verdict: authn.Accept, reason: authn.OKUnenrolled},
		"blind, wrong password": {first: authn.Password, ask: true, blind: true, text: "guess", verdict: authn.Challenge,
			reason: authn.WrongPassword},
	} {
		h := newHouse(t)
		p := bear(h, c.first)
		p.Joined, p.Ask = p.Joined && !c.ask, c.ask
		gw := gate()
		gw.GatewayProves, gw.Blind = true, c.blind
		h.user("new", "pass 2026")
		d := h.try(gw, "new", c.text, home)
		want(t, name, d, c.verdict, c.reason)
		if d.Verdict == authn.Challenge {
			want(t, name+", the code", h.try(gw, "new", "123456", home, d.State...), authn.Challenge, authn.WrongPassword)
		}
	}
}

// TestUnenrolledAfterARestart: the verdict of before is given again only while it would still be given (S17), and with the
// restricted attributes.
func TestUnenrolledAfterARestart(t *testing.T) {
	h := newHouse(t)
	bear(h, authn.Password)
	gw := gate()
	h.user("new", "pass 2026")
	l := h.login(gw, "new", "pass 2026", home, nil)
	want(t, "before", h.send(l), authn.Accept, authn.OKUnenrolled)
	book := h.auth.Replies
	h.restart()
	h.auth.Replies = book
	l.Arrived = time.Now()
	d := h.send(l)
	want(t, "after", d, authn.Accept, authn.OKUnenrolled)
	if !d.Repeat || string(d.Reply) != "Class=little " {
		t.Errorf("repeat %v, attributes %q", d.Repeat, d.Reply)
	}
	h.auth.Policies[0].Unenrolled.Until = h.clock.now()
	l.Arrived = time.Now()
	if d := h.send(l); d.Verdict != authn.Discard {
		t.Errorf("after the date: %+v, want silence", d)
	}
}

// TestDenyList: names in a policy are the canonical ones, however they were typed and written.
func TestDenyList(t *testing.T) {
	deny := &authn.Policy{Name: "leavers", Users: []string{authn.FoldUserName(" Ｂob "), authn.FoldUserName("STRASSE")}, Groups: []string{"cn=leavers"}, Deny: true}
	h := newHouse(t, deny, &authn.Policy{Name: "staff", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	for name, denied := range map[string]bool{"bob": true, "alice": false, "straße": true, "bobby": false} {
		p := h.person(name, "", 1)
		d := h.try(gw, name, p.devices[0].code(h.step(p.devices[0])), home)
		if denied {
			want(t, name, d, authn.Reject, authn.DeniedByPolicy)
		} else {
			want(t, name, d, authn.Accept, authn.OK)
		}
	}
	h.user("carol", "", "cn=leavers")
	want(t, "by group", h.try(gw, "carol", "123456", home), authn.Reject, authn.DeniedByPolicy)
	h.auth.Policies = []*authn.Policy{{Name: "one", Users: []string{"dora"}, First: authn.Gateway}}
	want(t, "a list of those who may", h.try(gw, "alice", "123456", home), authn.Reject, authn.NoPolicy)
}

// value is a metric without labels, or the sum over its labels.
func value(t *testing.T, r *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
