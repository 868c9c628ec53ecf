package authn_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

func (h *house) explain(c *authn.Client, name, station string) *authn.Explanation {
	h.t.Helper()
	x, err := h.auth.Explain(context.Background(), authn.Inquiry{Client: c, Name: []byte(name), Station: []byte(station)})
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

// last is where a case of an explanation ends.
func last(t *testing.T, x *authn.Explanation, k authn.CaseKind, c authn.Class) authn.CaseStep {
	t.Helper()
	for _, got := range x.Cases {
		if got.Kind == k && got.Class == c {
			return got.Steps[len(got.Steps)-1]
		}
	}
	t.Errorf("no case %d of class %v in %+v", k, c, x.Cases)
	return authn.CaseStep{}
}

// TestExplainSaysWhatHappens asks first and logs in then: what was said is what is answered, in every state an account gets
// into, and asking changes nothing.
func TestExplainSaysWhatHappens(t *testing.T) {
	type scene struct {
		policy authn.Policy
		change func(*house, *person)
		typed  string // beside the code
		class  authn.Class
	}
	locked := func(f func(*authn.Guard, time.Time)) func(*house, *person) {
		return func(h *house, p *person) {
			h.edit(p, func(a *authn.Account) { f(&a.Guard, h.clock.now()) }, authn.ResetGuard)
		}
	}
	known := func(then func(*authn.Guard, time.Time)) func(*house, *person) {
		return func(h *house, p *person) {
			gw := gate()
			gw.GatewayProves = true
			d := p.devices[0]
			h.try(gw, p.name, d.code(h.step(d)), home)
			h.clock.advance(time.Minute)
			if then != nil {
				locked(then)(h, p)
			}
		}
	}
	gateway := authn.Policy{First: authn.Gateway}
	password := authn.Policy{First: authn.Password, Joined: true}
	held := func(s token.Standing) func(*house, *person) {
		return func(h *house, p *person) {
			h.edit(p, func(a *authn.Account) { a.Assignments[0].Standing = s }, 0)
		}
	}
	for name, c := range map[string]scene{
		"as it should be":      {policy: gateway},
		"password":             {policy: password, typed: "pass word "},
		"code first":           {policy: authn.Policy{First: authn.Password, Joined: true, CodeFirst: true}, typed: "pass word "},
		"suspended":            {policy: gateway, change: held(token.Suspended)},
		"revoked":              {policy: password, change: held(token.Revoked), typed: "pass word "},
		"pending":              {policy: gateway, change: held(token.Pending)},
		"pending, may":         {policy: authn.Policy{First: authn.Gateway, ActivateAtLogin: true}, change: held(token.Pending)},
		"PIN, none set":        {policy: authn.Policy{First: authn.PIN, Joined: true}, typed: "4711"},
		"stopped":              {policy: gateway, change: locked(func(g *authn.Guard, _ time.Time) { g.Stopped = authn.StopAccount })},
		"waits at a new place": {policy: gateway, change: locked(func(g *authn.Guard, now time.Time) { g.Row[0], g.Wait[0] = 12, now.Add(time.Hour).Unix() })},
		"pot is empty": {policy: password, typed: "pass word ", change: locked(func(g *authn.Guard, now time.Time) {
			g.Charges = []authn.Charge{{Pot: authn.PotU, Day: token.Day(now), Amount: 1 << 50}}
		})},
		"pair's pot is empty": {policy: gateway, change: locked(func(g *authn.Guard, now time.Time) {
			g.Charges = []authn.Charge{{Pot: authn.PotU, Day: token.Day(now), Amount: 1 << 50}, {Pot: authn.PotPair, Day: token.Day(now), Amount: 1 << 50}}
		})},
		"known": {policy: gateway, change: known(nil), class: authn.ClassKnown},
		"waits at a known place": {policy: gateway, class: authn.ClassKnown,
			change: known(func(g *authn.Guard, now time.Time) { g.Row[1], g.Wait[1] = 12, now.Add(time.Hour).Unix() })},
		"clock in doubt":   {policy: gateway, change: func(h *house, _ *person) { h.auth.Clock.BeginDoubt() }},
		"nobody fits":      {policy: authn.Policy{First: authn.Gateway, Groups: []string{"cn=others"}}},
		"denied":           {policy: authn.Policy{Deny: true, Users: []string{"bob"}}},
		"locked elsewhere": {policy: gateway, change: func(h *house, _ *person) { h.dir.set(func(p *people) { p.users["bob"].Barred = authn.UserLocked }) }},
		"no reply": {policy: authn.Policy{First: authn.Gateway, Reply: []authn.Attribute{{Name: "Class", Value: "x"}}}, change: func(h *house, _ *person) {
			h.auth.Replies = &authn.ReplyBook{Rules: []*authn.ReplyRule{{Name: "ip", Set: []authn.Attribute{{Name: "IP", Value: "${attribute.ip}"}}, Required: true}}, Encode: spell}
		}},
		"first of two was typed": {policy: gateway, change: func(h *house, p *person) {
			locked(func(g *authn.Guard, now time.Time) { g.Row[0], g.Wait[0] = 12, now.Add(time.Hour).Unix() })(h, p)
			gw := gate()
			gw.GatewayProves = true
			h.try(gw, "bob", p.devices[0].code(h.step(p.devices[0])), home)
			h.clock.advance(30 * time.Second)
		}},
		"no binds left": {policy: password, typed: "pass word ", change: func(h *house, p *person) {
			h.dir.set(func(p *people) { p.threshold = 5 })
			h.try(gate(), "bob", "pass ward "+h.wrong(p, 1), home)
		}},
		"too many failures a minute": {policy: gateway, change: func(h *house, p *person) {
			gw := gate()
			gw.GatewayProves = true
			for i := range 7 {
				h.try(gw, "bob", h.wrong(p, i), home)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.policy.Name, c.policy.Window = "p", token.LoginWindow
			h := newHouse(t, &c.policy)
			gw := gate()
			gw.GatewayProves, gw.CanChallenge = true, false
			p := h.person("bob", "pass word ", 1)
			if c.change != nil {
				c.change(h, p)
			}
			before, seq, binds := h.account(p), h.db.Seq(), h.dir.sent.Load()
			x := h.explain(gw, "BOB", home)
			if again := h.explain(gw, "BOB", home); !reflect.DeepEqual(x, again) {
				t.Errorf("asked twice, told %+v and %+v", x, again)
			}
			if after := h.account(p); !reflect.DeepEqual(before, after) || h.db.Seq() != seq || h.dir.sent.Load() != binds {
				t.Errorf("asking changed the account from %+v to %+v, or wrote events, or sent binds", before, after)
			}
			predicted := authn.CaseStep{Verdict: authn.Reject, Reason: x.Refused}
			if x.Refused == 0 {
				predicted = authn.CaseStep{}
				for _, k := range x.Cases {
					if k.Kind == authn.BothRight && k.Class == c.class {
						predicted = k.Steps[0]
					}
				}
			}
			text := c.typed + p.devices[0].code(h.step(p.devices[0]))
			if c.policy.CodeFirst {
				text = p.devices[0].code(h.step(p.devices[0])) + c.typed
			}
			d := h.try(gw, "bob", text, home)
			if d.Verdict != predicted.Verdict || d.Reason != predicted.Reason {
				t.Errorf("told %v (%v), answered %v (%v)", predicted.Verdict, predicted.Reason, d.Verdict, d.Reason)
			}
			if e := h.events(); x.Refused == 0 && d.Reason != authn.SourceLimit && int(e[0].Row) != int(predicted.Row) {
				t.Errorf("told row %d, decided by row %d", predicted.Row, e[0].Row)
			}
		})
	}
}

// TestExplainDetails holds what is said beside the verdicts.
func TestExplainDetails(t *testing.T) {
	leavers := &authn.Policy{Name: "leavers", Groups: []string{"cn=leavers"}, Deny: true}
	other := &authn.Policy{Name: "wifi", Clients: []string{"wifi"}, First: authn.Gateway}
	staff := &authn.Policy{Name: "staff", First: authn.Password, Ask: true, Window: token.LoginWindow, Reply: []authn.Attribute{{Name: "Class", Value: "staff"}}}
	h := newHouse(t, leavers, other, staff)
	h.auth.Replies = &authn.ReplyBook{Rules: []*authn.ReplyRule{{Name: "all", Set: []authn.Attribute{{Name: "Filter-Id", Value: "open"}}}}, Encode: spell}
	gw := gate()
	p := h.person("bob", "pass word", 2)
	d := h.try(gw, "bob", "pass word", home)
	want(t, "the question", d, authn.Challenge, authn.AskCode)
	want(t, "the answer", h.try(gw, "bob", p.devices[0].code(h.step(p.devices[0])), home, d.State...), authn.Accept, authn.OK)

	x := h.explain(gw, " bob", home)
	if len(x.Reading) == 0 || !strings.Contains(x.Reading[len(x.Reading)-1].English, "asked for bob") {
		t.Errorf("how the name is read: %q", x.Reading)
	}
	if want := []authn.PolicyFit{{"leavers", true, false}, {"wifi", false, true}, {"staff", true, true}}; !reflect.DeepEqual(x.Policies, want) || x.Policy != staff {
		t.Errorf("policies %+v, %v holds", x.Policies, x.Policy)
	}
	if x.Class != authn.ClassKnown || x.Source.String() != home+"/32" {
		t.Errorf("class %v of %v", x.Class, x.Source)
	}
	if len(x.Tokens) != 2 || !x.Tokens[0].Opens || !x.Tokens[0].Used || x.Tokens[1].Used {
		t.Errorf("tokens %+v", x.Tokens)
	}
	if len(x.Reply) != 2 || x.Reply[0].Rule != "" || x.Reply[1].Rule != "all" {
		t.Errorf("reply %+v", x.Reply)
	}
	if n := x.Guards[authn.ClassUnknown].Pot.Misses(); n != 100 { // 4e-4 at 4e-6 a miss: of one token only the next code is left
		t.Errorf("%d misses left", n)
	}
	for _, c := range []authn.Class{authn.ClassKnown, authn.ClassUnknown} {
		if s := last(t, x, authn.BothRight, c); s.Verdict != authn.Accept || s.Reason != authn.OK || s.Row != 9 {
			t.Errorf("class %v, both right: %+v", c, s)
		}
		if s := last(t, x, authn.CodeWrong, c); s.Verdict != authn.Challenge || s.Reason != authn.WrongCode {
			t.Errorf("class %v, wrong code: %+v", c, s)
		}
		if s := last(t, x, authn.FirstWrong, c); s.Verdict != authn.Reject || s.Reason != authn.WrongPassword || s.Row != 12 {
			t.Errorf("class %v, wrong password: %+v", c, s)
		}
	}
	// Two codes in a row, told as such.
	h.edit(p, func(a *authn.Account) { a.Guard.Stopped = authn.StopU }, authn.ResetGuard)
	x = h.explain(gw, "bob", "203.0.113.9")
	for _, k := range x.Cases {
		if k.Kind == authn.BothRight && k.Class == authn.ClassUnknown {
			if len(k.Steps) != 3 || !k.Steps[1].Pair || k.Steps[1].Reason != authn.AskSecondCode || k.Steps[2].Reason != authn.OKSecondCode {
				t.Errorf("in PAIR: %+v", k.Steps)
			}
		}
	}
	// Who has no token yet.
	staff.Unenrolled = &authn.Unenrolled{Until: h.clock.now().Add(time.Hour), Reply: []authn.Attribute{{Name: "Class", Value: "little"}}}
	h.user("new", "pass word")
	x = h.explain(gw, "new", "")
	if s := last(t, x, authn.FirstAlone, authn.ClassUnknown); !x.Unenrolled || s.Reason != authn.OKUnenrolled || len(x.Reply) != 1 || x.Reply[0].Value != "little" {
		t.Errorf("without a token: %+v", x)
	}
	if x := h.explain(gw, "nobody", ""); x.Refused != authn.UnknownUser || x.User != nil {
		t.Errorf("nobody: %+v", x)
	}
	h.dir.set(func(p *people) { p.lookups, p.uncached = errDown, true })
	if _, err := h.auth.Explain(context.Background(), authn.Inquiry{Client: gw, Name: []byte("bob")}); err == nil {
		t.Error("a directory that is down is no error")
	}
}
