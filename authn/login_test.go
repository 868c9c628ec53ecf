package authn_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// TestPolicyForms logs in through every form a policy can take, wrong in every way first.
func TestPolicyForms(t *testing.T) {
	pin := func(h *house, p *person) {
		hash, err := authn.HashPIN(h.db.Keys().Derive(authn.PINPurpose), p.account, []byte("4711x"))
		if err != nil {
			t.Fatal(err)
		}
		h.edit(p, func(a *authn.Account) { a.PIN = hash }, 0)
	}
	for name, c := range map[string]struct {
		policy  authn.Policy
		gateway bool
		setUp   func(*house, *person)
		join    func(factor, code string) string
		factor  string
		wrong   authn.Reason // of the first factor, beside a wrong code
	}{
		"code by gateway":   {policy: authn.Policy{First: authn.Gateway}, gateway: true, join: func(_, c string) string { return c }},
		"code alone":        {policy: authn.Policy{First: authn.NoFactor}, join: func(_, c string) string { return c }},
		"PIN and code":      {policy: authn.Policy{First: authn.PIN, Joined: true}, setUp: pin, factor: "4711x", join: func(f, c string) string { return f + c }, wrong: authn.WrongBoth},
		"code and PIN":      {policy: authn.Policy{First: authn.PIN, Joined: true, CodeFirst: true}, setUp: pin, factor: "4711x", join: func(f, c string) string { return c + f }, wrong: authn.WrongBoth},
		"password and code": {policy: authn.Policy{First: authn.Password, Joined: true}, factor: "pass 2026", join: func(f, c string) string { return f + c }, wrong: authn.WrongBoth},
		"code and password": {policy: authn.Policy{First: authn.Password, Joined: true, CodeFirst: true}, factor: "pass 2026", join: func(f, c string) string { return c + f }, wrong: authn.WrongBoth},
		"either, joined":    {policy: authn.Policy{First: authn.Password, Joined: true, Ask: true}, factor: "pass 2026", join: func(f, c string) string { return f + c }, wrong: authn.WrongBoth},
	} {
		t.Run(name, func(t *testing.T) {
			c.policy.Name, c.policy.Window = "p", token.LoginWindow
			h := newHouse(t, &c.policy)
			gw := gate()
			gw.GatewayProves = c.gateway
			p := h.person("bob", "pass 2026", 2)
			if c.setUp != nil {
				c.setUp(h, p)
			}
			d := p.devices[1]
			want(t, "wrong code", h.try(gw, "bob", c.join(c.factor, h.wrong(p, 1)), home), authn.Reject, authn.WrongCode)
			if c.factor != "" {
				want(t, "both wrong", h.try(gw, "bob", c.join("wrong", h.wrong(p, 2)), home), authn.Reject, c.wrong)
				want(t, "wrong first factor", h.try(gw, "bob", c.join("wrong", d.code(h.step(d))), home), authn.Reject, authn.WrongFirstRightCode)
				if h.last(d) != token.NoStep {
					t.Error("a wrong first factor burnt the code")
				}
			}
			good := c.join(c.factor, d.code(h.step(d)))
			got := h.try(gw, "BOB", good, home)
			want(t, "right", got, authn.Accept, authn.OK)
			if got.Policy != h.auth.Policies[0] || got.Account != p.account || got.Delayed || got.Seq == 0 {
				t.Errorf("the accept is %+v", got)
			}
			if h.last(d) != h.step(d) {
				t.Errorf("last step %d, want %d", h.last(d), h.step(d))
			}
			want(t, "the same code again", h.try(gw, "bob", good, home), authn.Reject, authn.AlreadyUsed)
			want(t, "from elsewhere", h.try(gw, "bob", good, "203.0.113.9"), authn.Reject, authn.AlreadyUsed)
			a := h.account(p)
			if a.Guard.Row != [2]uint8{} || a.Guard.TheftRun != 0 || len(a.Guard.Known) != 1 {
				t.Errorf("the guard after an accept: %+v", a.Guard)
			}
			if spent := a.Guard.Spent(authn.PotU, h.clock.now()); spent != 2*3*10_000_000_000 {
				t.Errorf("one miss at two tokens costs %d units", spent)
			}
			want(t, "nobody", h.try(gw, "nobody", good, home), authn.Reject, authn.UnknownUser)
		})
	}
}

// TestWaits: misses in a row from a known source are refused for a while, and the owner is not asked for two codes.
func TestWaitsOfAKnownSource(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	p := h.person("bob", "", 1)
	d := p.devices[0]
	want(t, "first", h.try(gw, "bob", d.code(h.step(d)), home), authn.Accept, authn.OK)
	for i := range 3 {
		h.clock.advance(11 * time.Second)
		want(t, "miss", h.try(gw, "bob", h.wrong(p, i), home), authn.Reject, authn.WrongCode)
	}
	h.clock.advance(28 * time.Second)
	want(t, "within the wait", h.try(gw, "bob", d.code(h.step(d)), home), authn.Reject, authn.MustWait)
	want(t, "elsewhere, with its own row", h.try(gw, "bob", h.wrong(p, 9), "203.0.113.9"), authn.Reject, authn.WrongCode)
	h.clock.advance(31 * time.Second)
	want(t, "after it", h.try(gw, "bob", d.code(h.step(d)), home), authn.Accept, authn.OK)
}

// TestSecondCode: at a new place, after strangers' failures, two codes in a row open, with each kind of first factor.
func TestSecondCode(t *testing.T) {
	for _, first := range []authn.FirstFactor{authn.Gateway, authn.Password} {
		h := newHouse(t, &authn.Policy{Name: "p", First: first, Joined: first == authn.Password, Window: token.LoginWindow})
		gw := gate()
		gw.GatewayProves = true
		p := h.person("bob", "secret ", 1)
		d := p.devices[0]
		pw := ""
		if first == authn.Password {
			pw = "secret "
		}
		for i := range 3 {
			h.clock.advance(11 * time.Second)
			want(t, "miss", h.try(gw, "bob", pw+h.wrong(p, i), "203.0.113.9"), authn.Reject, authn.WrongCode)
		}
		// As after more of them: the wait of the third is over in half a minute.
		h.edit(p, func(a *authn.Account) {
			a.Guard.Row[authn.ClassUnknown], a.Guard.Wait[authn.ClassUnknown] = 12, h.clock.now().Add(time.Hour).Unix()
		}, authn.ResetGuard)
		binds := h.dir.sent.Load()
		want(t, "first code", h.try(gw, "bob", pw+d.code(h.step(d)), home), authn.Reject, authn.FirstOfTwo)
		want(t, "the same again", h.try(gw, "bob", pw+d.code(h.step(d)), home), authn.Reject, authn.AlreadyUsed)
		if h.dir.sent.Load() != binds {
			t.Error("the directory was asked before the second code")
		}
		h.clock.advance(30 * time.Second)
		want(t, "a miss between", h.try(gw, "bob", pw+h.wrong(p, 50), home), authn.Reject, authn.SecondMissed)
		if first == authn.Password {
			want(t, "with a wrong password", h.try(gw, "bob", "other "+d.code(h.step(d)), home), authn.Reject, authn.WrongFirstRightCode)
			want(t, "the pair ended", h.try(gw, "bob", pw+d.code(h.step(d)), home), authn.Reject, authn.FirstOfTwo)
			h.clock.advance(30 * time.Second)
			h.dir.set(func(p *people) { p.binds = errDown })
			want(t, "directory down", h.try(gw, "bob", pw+d.code(h.step(d)), home), authn.Discard, authn.DirectoryDown)
			h.dir.set(func(p *people) { p.binds = nil })
			if h.last(d) == h.step(d) {
				t.Error("an outage burnt the code")
			}
		}
		want(t, "second code", h.try(gw, "bob", pw+d.code(h.step(d)), home), authn.Accept, authn.OKSecondCode)
		h.clock.advance(30 * time.Second)
		want(t, "one code is enough again", h.try(gw, "bob", pw+d.code(h.step(d)), home), authn.Accept, authn.OK)
		if a := h.account(p); a.Guard.Spent(authn.PotPair, h.clock.now()) != 2*60_000 { // the used step is no candidate
			t.Errorf("the miss in PAIR cost %d units", a.Guard.Spent(authn.PotPair, h.clock.now()))
		}
	}
}

// TestChallenge walks a plain dialogue with a retry inside.
func TestChallenge(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Ask: true, Window: token.LoginWindow})
	gw := gate()
	p := h.person("carol", "secret", 1)
	d := p.devices[0]
	want(t, "wrong password", h.try(gw, "carol", "guess", home), authn.Reject, authn.WrongPassword)
	binds := h.dir.sent.Load()
	want(t, "the same wrong one", h.try(gw, "carol", "guess", home), authn.Reject, authn.RepeatedText)
	want(t, "empty", h.try(gw, "carol", "", home), authn.Reject, authn.EmptyPassword)
	if h.dir.sent.Load() != binds {
		t.Error("a repeated or empty password reached the directory")
	}

	ask := h.try(gw, "carol", "secret", home)
	want(t, "password", ask, authn.Challenge, authn.AskCode)
	if ask.Delayed || ask.Message != authn.DefaultPrompts.First || len(ask.State) != authn.StateLength {
		t.Errorf("the question: %+v", ask)
	}
	want(t, "the State of another", h.try(gw, "carol", d.code(h.step(d)), "203.0.113.9", ask.State...), authn.Reject, authn.BadState)
	again := h.try(gw, "carol", h.wrong(p, 1), home, ask.State...)
	want(t, "wrong code", again, authn.Challenge, authn.WrongCode)
	if !strings.Contains(again.Message, "(2/3)") || again.Message == ask.Message {
		t.Errorf("the second question: %q", again.Message)
	}
	want(t, "the old State", h.try(gw, "carol", d.code(h.step(d)), home, ask.State...), authn.Reject, authn.SpentState)
	want(t, "right code", h.try(gw, "carol", d.code(h.step(d)), home, again.State...), authn.Accept, authn.OK)
	want(t, "State and code again", h.try(gw, "carol", d.code(h.step(d)), home, again.State...), authn.Reject, authn.SpentState)

	// Used codes are asked for again too, up to the number of tries.
	ask = h.try(gw, "carol", "secret", home)
	for i := 2; i <= 3; i++ {
		ask = h.try(gw, "carol", d.code(h.step(d)), home, ask.State...)
		want(t, "used", ask, authn.Challenge, authn.AlreadyUsed)
		if !strings.Contains(ask.Message, fmt.Sprintf("(%d/3)", i)) {
			t.Errorf("question %d: %q", i, ask.Message)
		}
	}
	want(t, "used to the end", h.try(gw, "carol", d.code(h.step(d)), home, ask.State...), authn.Reject, authn.AlreadyUsed)

	ask = h.try(gw, "carol", "secret", home)
	h.clock.advance(122 * time.Second)
	want(t, "late", h.try(gw, "carol", d.code(h.step(d)), home, ask.State...), authn.Reject, authn.BadState)
	ask = h.try(gw, "carol", "secret", home)
	h.edit(p, func(*authn.Account) {}, 0)
	want(t, "after an act on the account", h.try(gw, "carol", d.code(h.step(d)), home, ask.State...), authn.Reject, authn.BadState)
	ask = h.try(gw, "carol", "secret", home)
	h.edit(p, func(a *authn.Account) { a.Guard.Stopped = authn.StopAccount }, authn.ResetGuard)
	want(t, "stopped", h.try(gw, "carol", "secret", home), authn.Reject, authn.AccountStopped)
}

// TestChallengeOfTwoCodes: in PAIR the password waits in memory until the second code.
func TestChallengeOfTwoCodes(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Ask: true, Window: token.LoginWindow})
	gw := gate()
	p := h.person("carol", "secret", 1)
	d := p.devices[0]
	h.edit(p, func(a *authn.Account) { a.Guard.Stopped = authn.StopU }, authn.ResetGuard)
	ask := h.try(gw, "carol", "secret", home)
	want(t, "password", ask, authn.Challenge, authn.AskCode)
	if h.dir.sent.Load() != 0 {
		t.Error("a bind before the second code")
	}
	first := h.try(gw, "carol", d.code(h.step(d)), home, ask.State...)
	want(t, "first code", first, authn.Challenge, authn.AskSecondCode)
	if !strings.HasPrefix(first.Message, authn.DefaultPrompts.Next) {
		t.Errorf("the question: %q", first.Message)
	}
	h.clock.advance(30 * time.Second)
	want(t, "second code", h.try(gw, "carol", d.code(h.step(d)), home, first.State...), authn.Accept, authn.OKSecondCode)
	if a := h.account(p); h.dir.sent.Load() != 1 || a.Guard.Stopped != authn.StopU {
		t.Errorf("%d binds, stops %b", h.dir.sent.Load(), a.Guard.Stopped)
	}
	if ask = h.try(gw, "carol", "secret", home); ask.Verdict != authn.Challenge || h.dir.sent.Load() != 2 {
		t.Errorf("from the known place: %v, %d binds", ask.Verdict, h.dir.sent.Load())
	}
}

// TestBlindDialogue holds S19: whoever it is and whatever is wrong, the gateway sees the same answers until the end.
func TestBlindDialogue(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "no", Groups: []string{"leavers"}, Deny: true},
		&authn.Policy{Name: "p", First: authn.Password, Ask: true, ExemptGroups: []string{"kiosk"}, Window: token.LoginWindow})
	gw := gate()
	gw.Blind = true
	h.user("left", "secret", "leavers")
	h.user("exempt", "other", "kiosk")
	h.user("bare", "secret")
	locked := h.person("locked", "secret", 1)
	h.dir.users["locked"].Barred = authn.UserLocked
	stopped := h.person("stopped", "secret", 1)
	h.edit(stopped, func(a *authn.Account) { a.Guard.Stopped = authn.StopAccount }, authn.ResetGuard)
	tired := h.person("tired", "secret", 1)
	h.edit(tired, func(a *authn.Account) { a.Guard.Row = [2]uint8{2, 2} }, authn.ResetGuard)
	right := h.person("right", "secret", 1)
	wrong := h.person("wrong", "other", 1)
	pair := h.person("pair", "secret", 1)
	h.edit(pair, func(a *authn.Account) { a.Guard.Stopped = authn.StopU }, authn.ResetGuard)
	thief := h.person("thief", "other", 1)
	code := func(p *person) string { return p.devices[0].code(h.step(p.devices[0])) }
	text := map[string]string{"nobody": "", "left": "", "exempt": "", "bare": "", "locked": h.wrong(locked, 1), "stopped": code(stopped), "tired": h.wrong(tired, 1),
		"right": h.wrong(right, 1), "wrong": h.wrong(wrong, 1), "pair": h.wrong(pair, 1), "thief": code(thief)}
	var model []authn.Decision
	for _, name := range append([]string{"nobody"}, "left", "exempt", "bare", "locked", "stopped", "tired", "right", "wrong", "pair", "thief") {
		var got []authn.Decision
		var state []byte
		answer := "secret"
		for range 4 {
			d := h.try(gw, name, answer, home, state...)
			got = append(got, d)
			if state, answer = d.State, text[name]; answer == "" {
				answer = "123456"
			}
		}
		if model == nil {
			if model = got; got[2].Verdict != authn.Challenge || got[3].Verdict != authn.Reject {
				t.Fatalf("an unknown person: %+v", got)
			}
		}
		for i, d := range got {
			m := model[i]
			if d.Verdict != m.Verdict || d.Delayed != m.Delayed || d.Message != m.Message || len(d.State) != len(m.State) {
				t.Errorf("%s, round %d: %v %v %q (%v); an unknown person gets %v %v %q", name, i+1, d.Verdict, d.Delayed, d.Message, d.Reason, m.Verdict, m.Delayed, m.Message)
			}
		}
		h.clock.advance(time.Minute) // each has their own minute of row 4
	}
	// A State works once, for a person who does not exist too.
	ask := h.try(gw, "nobody", "x", home)
	want(t, "first", h.try(gw, "nobody", "123456", home, ask.State...), authn.Challenge, authn.UnknownUser)
	want(t, "again", h.try(gw, "nobody", "123456", home, ask.State...), authn.Reject, authn.SpentState)
	// The same wrong password again within 30 s is asked for a code like the first time.
	for i := range 2 {
		if d := h.try(gw, "wrong", "guess", "203.0.113.77"); d.Verdict != authn.Challenge {
			t.Errorf("wrong password, time %d: %v (%v)", i+1, d.Verdict, d.Reason)
		}
	}
	// Row 4 comes for the unknown as for the known.
	h.clock.advance(time.Minute)
	for _, name := range []string{"nobody", "wrong"} {
		n := 0
		for ; n < 40; n++ {
			ask := h.try(gw, name, fmt.Sprint("pw", n), "203.0.113.5")
			if ask.Verdict == authn.Reject {
				break
			}
			h.try(gw, name, h.wrong(wrong, n+7000), "203.0.113.5", ask.State...)
		}
		if n != 6 {
			t.Errorf("%s: refused after %d dialogues of one failure, want 6", name, n)
		}
	}
}

func TestExempt(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, ExemptGroups: []string{"kiosk"}, Window: token.LoginWindow})
	h.user("alice", "word 123456", "kiosk")
	gw := gate()
	want(t, "wrong", h.try(gw, "alice", "nope", home), authn.Reject, authn.WrongPassword)
	if h.db.AccountOf("corp", "id-alice") != 0 {
		t.Error("a refusal made an account")
	}
	got := h.try(gw, "alice", "word 123456", home)
	want(t, "right, digits at the end and all", got, authn.Accept, authn.OKExempt)
	if id := h.db.AccountOf("corp", "id-alice"); id == 0 || id != got.Account {
		t.Errorf("the first accept made account %v, said %v", id, got.Account)
	}
	want(t, "again", h.try(gw, "alice", "word 123456", home), authn.Accept, authn.OKExempt)
	// Many first accepts at once make one account.
	h.user("ada", "secret", "kiosk")
	answers := make(chan authn.Decision, 32)
	for range 32 {
		h.auth.Authenticate(h.login(gw, "ada", "secret", home, nil), func(d authn.Decision) { answers <- d })
	}
	id := (<-answers).Account
	for range 31 {
		if d := <-answers; d.Verdict != authn.Accept || d.Account != id {
			t.Fatalf("%+v, the first accept was account %v", d, id)
		}
	}
}

func TestRefusedByState(t *testing.T) {
	policy := &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow}
	h := newHouse(t, policy)
	now := h.clock.now().Unix()
	gw := gate()
	gw.GatewayProves = true
	for name, c := range map[string]struct {
		change change
		why    authn.Reason
		told   string
	}{
		"expired":   {func(_ *authn.Account, ts []*token.Token) { ts[0].Expiry = now }, authn.TokenExpired, "expired"},
		"early":     {func(_ *authn.Account, ts []*token.Token) { ts[0].Start = now + 60 }, authn.TokenNotStarted, "cannot be used yet"},
		"suspended": {standing(token.Suspended), authn.TokenSuspended, "suspended"},
		"revoked":   {standing(token.Revoked), authn.TokenRevoked, "revoked"},
		"pending":   {pending, authn.TokenPending, "not registered"},
	} {
		p := h.person(name, "", 1, c.change)
		d := p.devices[0]
		want(t, name+", wrong code", h.try(gw, name, h.wrong(p, 1), home), authn.Reject, authn.WrongCode)
		before := h.account(p).Guard
		got := h.try(gw, name, d.code(h.step(d)), home)
		want(t, name, got, authn.Reject, c.why)
		if !strings.Contains(got.Message, c.told) {
			t.Errorf("%s: told %q", name, got.Message)
		}
		if g := h.account(p).Guard; g.Row != before.Row || g.Spent(authn.PotU, h.clock.now()) != 0 || h.last(d) != h.step(d) {
			t.Errorf("%s: guard %+v, last step %d", name, g, h.last(d))
		}
		want(t, name+" again", h.try(gw, name, d.code(h.step(d)), home), authn.Reject, authn.AlreadyUsed)
	}
	p := h.person("nothing", "", 0)
	want(t, "no token", h.try(gw, "nothing", "123456", home), authn.Reject, authn.NoToken)
	if g := h.account(p).Guard; g.Row != [2]uint8{} {
		t.Errorf("no token: %+v", g)
	}
	h.user("stranger", "")
	want(t, "no account", h.try(gw, "stranger", "123456", home), authn.Reject, authn.NoToken)

	policy.ActivateAtLogin = true
	p = h.person("new", "", 1, pending)
	d := p.devices[0]
	want(t, "activated", h.try(gw, "new", d.code(h.step(d)), home), authn.Accept, authn.OKPending)
	if a := h.account(p); a.Assignments[0].Standing != token.Active {
		t.Errorf("the assignment is %v", a.Assignments[0].Standing)
	}
	h.clock.advance(time.Minute)
	want(t, "and later", h.try(gw, "new", d.code(h.step(d)), home), authn.Accept, authn.OK)
}

// TestOutages: what cannot be known is not answered, and burns nothing.
func TestOutages(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
	gw := gate()
	p := h.person("bob", "secret", 1)
	d := p.devices[0]
	good := func() string { return "secret" + d.code(h.step(d)) }
	h.dir.set(func(p *people) { p.uncached, p.lookups = true, errDown })
	want(t, "look-up fails", h.try(gw, "bob", good(), home), authn.Discard, authn.DirectoryDown)
	h.dir.set(func(p *people) { p.lookups = authn.ErrAmbiguousUser })
	want(t, "ambiguous", h.try(gw, "bob", good(), home), authn.Reject, authn.AmbiguousUser)
	h.dir.set(func(p *people) { p.lookups, p.binds = nil, errDown })
	want(t, "bind fails", h.try(gw, "bob", good(), home), authn.Discard, authn.DirectoryDown)
	h.dir.set(func(p *people) { p.binds, p.barred = nil, authn.UserLocked })
	for _, text := range []string{good(), "secret000001", "secret000002", "secret000003"} { // one password, and it stays locked
		want(t, "locked in the directory", h.try(gw, "bob", text, home), authn.Reject, authn.UserLocked)
	}
	h.dir.set(func(p *people) { p.barred, p.panics = 0, true })
	want(t, "the directory's code panics", h.try(gw, "bob", good(), home), authn.Discard, authn.Fault)
	h.dir.set(func(p *people) { p.panics, p.hold = false, make(chan struct{}) })
	short := gate()
	short.Deadline = 50 * time.Millisecond
	if got := h.try(short, "bob", good(), home); got.Verdict != authn.Discard {
		t.Errorf("a bind that hangs: %v (%v)", got.Verdict, got.Reason)
	}
	h.dir.set(func(p *people) { p.hold = nil })
	past := h.login(gw, "bob", good(), home, nil)
	past.Arrived = time.Now().Add(-gw.Deadline)
	want(t, "too late", h.send(past), authn.Discard, authn.TooLate)
	if h.last(d) != token.NoStep {
		t.Errorf("step %d was burnt without an answer", h.last(d))
	}
	want(t, "at last", h.try(gw, "bob", good(), home), authn.Accept, authn.OK)
	chap := h.login(gw, "bob", good(), home, nil)
	chap.Method = authn.CHAP
	want(t, "CHAP", h.send(chap), authn.Reject, authn.MethodNotTaken)
}

// TestAnOutageCostsNoSlots: a directory that is down for a moment must not leave everybody who tried meanwhile without binds
// for half an hour. A bind that may have been sent keeps its slot (S3).
func TestAnOutageCostsNoSlots(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, ExemptGroups: []string{"exempt"}, Window: token.LoginWindow})
	gw := gate()
	h.user("eve", "secret", "exempt")
	h.user("adam", "secret", "exempt")
	h.dir.set(func(p *people) { p.threshold, p.binds = 5, fmt.Errorf("%w: %w", authn.ErrNotSent, errDown) })
	for range 6 {
		want(t, "down", h.try(gw, "eve", "secret", home), authn.Discard, authn.DirectoryDown)
	}
	h.dir.set(func(p *people) { p.binds = errDown })
	want(t, "breaks off", h.try(gw, "adam", "secret", home), authn.Discard, authn.DirectoryDown)
	h.dir.set(func(p *people) { p.binds = nil })
	want(t, "up again", h.try(gw, "eve", "secret", home), authn.Accept, authn.OKExempt)
	want(t, "after a bind without an answer", h.try(gw, "adam", "secret", home), authn.Reject, authn.BindBudget)
}

// reserving is a store in which an import that is not live yet holds everybody's place.
type reserving struct {
	authn.Store
	tries atomic.Int64
}

func (r *reserving) AccountOf(string, string) authn.AccountID { return 77 }
func (r *reserving) Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	return r.Store.Update(keys, func(h *authn.Held) (authn.Change, error) {
		ch, err := f(h)
		if err == nil && len(ch.Accounts) > 0 {
			r.tries.Add(1)
			err = authn.ErrExists
		}
		return ch, err
	}, done)
}

// TestReservedByAnImport: an exempt person's first login while an import is bringing their account in ends, and does not try
// again and again until the gateway has given up.
func TestReservedByAnImport(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, ExemptGroups: []string{"exempt"}, Window: token.LoginWindow})
	gw := gate()
	gw.Deadline = 2 * time.Second
	h.user("eve", "secret", "exempt")
	r := &reserving{Store: h.db}
	h.auth.Store = r
	want(t, "under an import", h.try(gw, "eve", "secret", home), authn.Discard, authn.Overloaded)
	if n := r.tries.Load(); n > 2 {
		t.Errorf("%d tries", n)
	}
	h.auth.Store = h.db
	want(t, "after it", h.try(gw, "eve", "secret", home), authn.Accept, authn.OKExempt)
}

// TestSpellingsOfNobody: to the limit of failures a name that nobody has is one name in all its spellings, as a person's is;
// else a blind dialogue would end earlier for people who exist (S19).
func TestSpellingsOfNobody(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
	gw := gate()
	gw.Blind = true
	for _, name := range []string{"nobody", "NOBODY", " nobody", "nobody ", "ｎｏｂｏｄｙ", "Nobody"} {
		want(t, name, h.try(gw, name, "x", home), authn.Reject, authn.UnknownUser)
	}
	want(t, "the seventh", h.try(gw, "nobody", "x", home), authn.Reject, authn.SourceLimit)
	want(t, "another name", h.try(gw, "nobody2", "x", home), authn.Reject, authn.UnknownUser)
}

// broken is a store whose Update fails or panics in the rule.
type broken struct {
	authn.Store
	fail  error
	panic bool
	later error
}

func (b *broken) Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	switch {
	case b.fail != nil:
		return b.fail
	case b.panic:
		return b.Store.Update(keys, func(h *authn.Held) (authn.Change, error) { _, _ = f(h); panic("the rule is broken") }, done)
	case b.later != nil:
		go done(b.later)
		return nil
	}
	return b.Store.Update(keys, f, done)
}

// TestDoneOnce: one decision on every path, outages of the store and panics included, and a panic of the caller's own.
func TestDoneOnce(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	p := h.person("bob", "", 1)
	d := p.devices[0]
	b := &broken{Store: h.db}
	h.auth.Store = b
	for _, c := range []struct {
		set  broken
		want authn.Reason
	}{
		{broken{fail: authn.ErrBusy}, authn.Overloaded},
		{broken{fail: errors.New("disk full")}, authn.StoreDown},
		{broken{later: errors.New("the commit failed")}, authn.StoreDown},
		{broken{panic: true}, authn.Fault},
	} {
		b.fail, b.later, b.panic = c.set.fail, c.set.later, c.set.panic
		n := 0
		done := make(chan authn.Decision, 4)
		h.auth.Authenticate(h.login(gw, "bob", d.code(h.step(d)), home, nil), func(d authn.Decision) { n++; done <- d })
		want(t, c.want.String(), <-done, authn.Discard, c.want)
		if len(done) != 0 || n != 1 {
			t.Errorf("%v: done was called %d times", c.want, n)
		}
	}
	*b = broken{Store: h.db}
	n := 0
	gone := make(chan bool)
	h.auth.Authenticate(h.login(gw, "bob", d.code(h.step(d)), home, nil), func(authn.Decision) { n++; defer close(gone); panic("the caller is broken") })
	<-gone
	want(t, "after it all", h.try(gw, "bob", d.code(h.step(d)), home), authn.Reject, authn.AlreadyUsed)
	if n != 1 {
		t.Errorf("done was called %d times", n)
	}
}

// TestSamePacketAfterARestart holds S17.
func TestSamePacketAfterARestart(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Ask: true, Joined: true, Window: token.LoginWindow})
	gw := gate()
	p := h.person("bob", "secret", 1)
	d := p.devices[0]
	good := h.login(gw, "bob", "secret"+d.code(h.step(d)), home, nil)
	bad := h.login(gw, "bob", "secret"+h.wrong(p, 1), home, nil)
	want(t, "accept", h.send(good), authn.Accept, authn.OK)
	want(t, "reject", h.send(bad), authn.Reject, authn.WrongCode)
	ask := h.try(gw, "bob", "secret", home)
	second := h.login(gw, "bob", h.wrong(p, 2), home, ask.State)
	want(t, "challenge", h.send(second), authn.Challenge, authn.WrongCode)
	row := h.account(p).Guard.Row

	h.restart()
	for what, c := range map[string]struct {
		login *authn.Login
		v     authn.Verdict
		r     authn.Reason
	}{"accept": {good, authn.Accept, authn.OK}, "reject": {bad, authn.Reject, authn.WrongCode}, "challenge": {second, authn.Challenge, authn.WrongCode}} {
		c.login.Arrived = time.Now()
		got := h.send(c.login)
		want(t, what+" after a restart", got, c.v, c.r)
		if !got.Repeat || c.v == authn.Accept && got.Policy == nil || c.v == authn.Challenge && (len(got.State) == 0 || !strings.Contains(got.Message, "(2/3)")) {
			t.Errorf("%s after a restart: %+v", what, got)
		}
	}
	if got := h.account(p).Guard.Row; got != row {
		t.Errorf("a repetition counted: %v, before %v", got, row)
	}
	other := h.login(gw, "bob", "secret"+d.code(h.step(d)), home, nil)
	want(t, "another packet with the code", h.send(other), authn.Reject, authn.AlreadyUsed)
	h.edit(p, func(a *authn.Account) { a.Assignments[0].Standing = token.Revoked }, 0)
	if got := h.send(good); got.Verdict != authn.Discard {
		t.Errorf("the accepted packet after a revoke: %v", got.Verdict)
	}
}

// watched tells whether it is inside a View.
type watched struct {
	authn.Store
	inside atomic.Bool
}

func (w *watched) View(keys authn.Keys, f func(*authn.Held)) error {
	return w.Store.View(keys, func(h *authn.Held) {
		w.inside.Store(true)
		defer w.inside.Store(false)
		f(h)
	})
}

// TestRepeatedAcceptLeavesUnderTheLock: an Accept given again after a restart passes through no queue, so only the account's
// lock keeps it from leaving after the acknowledgement of a revocation (S13).
func TestRepeatedAcceptLeavesUnderTheLock(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	p := h.person("bob", "", 1)
	d := p.devices[0]
	good := h.login(gw, "bob", d.code(h.step(d)), home, nil)
	want(t, "accept", h.send(good), authn.Accept, authn.OK)
	h.restart()
	w := &watched{Store: h.db}
	h.auth.Store = w
	good.Arrived = time.Now()
	answers := 0
	h.auth.Authenticate(good, func(d authn.Decision) {
		answers++
		want(t, "after a restart", d, authn.Accept, authn.OK)
		if !w.inside.Load() {
			t.Error("the account's lock was free when the Accept left")
		}
	})
	if answers != 1 {
		t.Errorf("%d answers", answers)
	}
}

// TestClockInDoubt: time-based codes are held, counters go on.
func TestClockInDoubt(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	timed := h.person("timed", "", 1)
	counter := h.person("counter", "", 1, hotp)
	h.auth.Clock.BeginDoubt()
	d := timed.devices[0]
	want(t, "TOTP", h.try(gw, "timed", d.code(h.step(d)), home), authn.Discard, authn.ClockDoubt)
	want(t, "HOTP", h.try(gw, "counter", counter.devices[0].code(3), home), authn.Accept, authn.OK)
	want(t, "HOTP miss", h.try(gw, "counter", h.wrong(counter, 1), home), authn.Reject, authn.WrongCode)
	if a := h.account(timed); a.Guard.Row != [2]uint8{} || len(a.Guard.Charges) != 0 || h.last(d) != token.NoStep {
		t.Errorf("a held login counted: %+v", a.Guard)
	}
	h.auth.Clock.Accept(h.clock.now(), 0)
	want(t, "TOTP again", h.try(gw, "timed", d.code(h.step(d)), home), authn.Accept, authn.OK)
}

// TestSecretsStayOutOfTheLog lets every kind of ending happen with the log at its most talkative.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Ask: true, Window: token.LoginWindow})
	ctx, stop := contextWithCancel(t)
	finished := make(chan bool)
	go func() { defer close(finished); h.auth.Run(ctx) }()
	gw := gate()
	const canary = "CANARY-hunter2-"
	p := h.person("bob", canary, 1)
	d := p.devices[0]
	codes := []string{d.code(h.step(d)), h.wrong(p, 987_654)}
	ask := h.try(gw, "bob", canary, home)
	for _, c := range codes {
		for _, pw := range []string{canary, "CANARY-wrong"} {
			h.try(gw, "bob", pw+c, home)
			h.try(gw, "CANARY-as-name", pw+c, home)
		}
		h.try(gw, "bob", c, home, ask.State...)
	}
	h.dir.set(func(p *people) { p.binds = errDown })
	h.try(gw, "bob", "CANARY-down", "203.0.113.1")
	h.dir.set(func(p *people) { p.binds, p.panics = nil, true })
	h.try(gw, "bob", "CANARY-panic", "203.0.113.1")
	stop()
	<-finished
	out := h.log.String()
	if n := strings.Count(out, "msg=login"); n < 10 {
		t.Errorf("%d lines of logins; the canary saw nothing", n)
	}
	for _, secret := range append(codes, "CANARY", "hunter2", string(d.seed), string(ask.State)) {
		if strings.Contains(out, secret) {
			t.Errorf("the log has %q:\n%s", secret, out)
		}
	}
}

// TestFlood holds S25: from the 20th failure of a minute without a right factor, one row with a count.
func TestFlood(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
	gw := gate()
	gw.TrustStation = false // row 4 would end it sooner
	p := h.person("bob", "secret", 1)
	ctx, stop := contextWithCancel(t)
	finished := make(chan bool)
	for i := range 100 {
		name := []byte("eve")
		l := h.login(gw, "", "x", home, nil)
		l.Name = name
		if got := h.send(l); got.Verdict != authn.Reject || !got.Delayed {
			t.Fatalf("attempt %d: %+v", i, got)
		}
		copy(name, "---") // the caller takes its octets back
	}
	// Wrong in both factors of somebody who exists: decided under the lock, gathered all the same.
	for range 100 {
		h.try(gw, "bob", "guess"+h.wrong(p, 0), home)
	}
	want(t, "a right factor has its own row", h.try(gw, "bob", "secret"+h.wrong(p, 3), home), authn.Reject, authn.WrongCode)
	go func() { defer close(finished); h.auth.Run(ctx) }()
	stop()
	<-finished
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	h.open(h.auth.Policies)
	rows := map[authn.Reason]int{}
	counts := map[authn.Reason]uint32{}
	events := h.events()
	for _, e := range events {
		rows[e.Reason]++
		counts[e.Reason] += max(1, e.Count)
		if e.Reason == authn.UnknownUser && !bytes.Equal(e.Personal.Name, []byte("eve")) {
			t.Errorf("a row names %q", e.Personal.Name)
		}
	}
	if rows[authn.UnknownUser] != 20 || counts[authn.UnknownUser] != 100 {
		t.Errorf("100 attempts of nobody: %d rows that stand for %d", rows[authn.UnknownUser], counts[authn.UnknownUser])
	}
	both := rows[authn.WrongBoth] + rows[authn.BindBudget] + rows[authn.WrongPassword]
	if sum := counts[authn.WrongBoth] + counts[authn.BindBudget] + counts[authn.WrongPassword]; both != 20 || sum != 100 {
		t.Errorf("100 attempts with both wrong: %d rows that stand for %d: %v", both, sum, rows)
	}
	if rows[authn.WrongCode] != 1 {
		t.Errorf("%d rows for a right factor", rows[authn.WrongCode])
	}
}
