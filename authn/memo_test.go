package authn_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// portal is a gateway that brings a login twice; door is another client of the same service.
func portal() (gw, door *authn.Client) {
	gw = gate()
	gw.GatewayProves, gw.RepeatWithin, gw.CanChallenge = true, authn.MaxRepeatWithin, false
	other := *gw
	other.Name = "door"
	return gw, &other
}

func (h *house) signed(c *authn.Client, name, text, station string) authn.Decision {
	h.t.Helper()
	l := h.login(c, name, text, station, nil)
	l.Signed = true
	return h.send(l)
}

// TestMemoRepeats: what a gateway asks again, after a lost answer or through its second door, gets the same verdict;
// nothing is burnt, charged or counted for it, and the events show it.
func TestMemoRepeats(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
	gw, door := portal()
	p := h.person("bob", "pass word ", 1)
	d := p.devices[0]
	bad := "pass word " + h.wrong(p, 1)
	want(t, "wrong code", h.signed(gw, "bob", bad, ""), authn.Reject, authn.WrongCode)
	spent := h.account(p)
	again := h.signed(door, "bob", bad, "")
	want(t, "wrong code again", again, authn.Reject, authn.RepeatedText)
	if now := h.account(p); !again.Repeat || now.Guard.Row != spent.Guard.Row || len(now.Guard.Charges) != 1 || now.Guard.Charges[0] != spent.Guard.Charges[0] {
		t.Errorf("a repeated refusal was charged: %+v, then %+v", spent.Guard, now.Guard)
	}
	good := "pass word " + d.code(h.step(d))
	first := h.signed(gw, "bob", good, "203.0.113.9")
	want(t, "portal", first, authn.Accept, authn.OK)
	binds, burnt := h.dir.sent.Load(), h.last(d)
	for n, c := range []*authn.Client{door, gw, door} {
		h.clock.advance(9 * time.Second)
		got := h.signed(c, "BOB", good, "203.0.113.9")
		want(t, fmt.Sprint("gateway ", n), got, authn.Accept, authn.OKRepeated)
		if !got.Repeat || got.Seq == 0 || got.Account != p.account || got.Policy != first.Policy {
			t.Errorf("the repeated accept is %+v", got)
		}
	}
	if e := h.events()[0]; e.Reason != authn.OKRepeated || e.Row != 1 || e.Token != d.ID || e.Step != token.NoStep || len(e.Burnt) != 0 || e.GuardSet {
		t.Errorf("the event is %+v", e)
	}
	if h.dir.sent.Load() != binds || h.last(d) != burnt {
		t.Error("a repeated accept asked the directory, or burnt something")
	}
	h.clock.advance(3 * time.Second) // 30 in all: a repetition does not make it live longer
	want(t, "after 30 s", h.signed(gw, "bob", good, "203.0.113.9"), authn.Reject, authn.AlreadyUsed)
}

// TestMemoAttacked: it opens for nobody and nowhere else, and for nobody any more once the account has changed.
func TestMemoAttacked(t *testing.T) {
	type try struct {
		change func(*house, *person, *authn.Client)
		client func(gw *authn.Client) *authn.Client
		text   func(good string) string
		who    string
		from   string
		bare   bool // without Message-Authenticator
		want   authn.Reason
	}
	elsewhere := func(change func(*authn.Client)) func(*authn.Client) *authn.Client {
		return func(gw *authn.Client) *authn.Client {
			c := *gw
			change(&c)
			return &c
		}
	}
	act := func(f func(*authn.Account)) func(*house, *person, *authn.Client) {
		return func(h *house, p *person, _ *authn.Client) { h.edit(p, f, 0) }
	}
	for name, c := range map[string]try{
		"other station":        {from: "203.0.113.9", want: authn.AlreadyUsed},
		"no station":           {from: "-", want: authn.AlreadyUsed},
		"other service":        {client: elsewhere(func(c *authn.Client) { c.Service, c.Name = "mail", "mail" }), want: authn.AlreadyUsed},
		"where it is off":      {client: elsewhere(func(c *authn.Client) { c.RepeatWithin = 0 }), want: authn.AlreadyUsed},
		"where it is short":    {client: elsewhere(func(c *authn.Client) { c.RepeatWithin = 5 * time.Second }), want: authn.AlreadyUsed},
		"not signed":           {bare: true, want: authn.AlreadyUsed},
		"wrong password":       {text: func(s string) string { return "x" + s }, want: authn.AlreadyUsed},
		"password in capitals": {text: func(s string) string { return "PASS WORD " + s[len(s)-6:] }, want: authn.AlreadyUsed},
		"somebody else":        {who: "eve", want: authn.WrongBoth},
		"revoked":              {change: act(func(a *authn.Account) { a.Assignments[0].Standing = token.Revoked }), want: authn.AlreadyUsed},
		"suspended":            {change: act(func(a *authn.Account) { a.Assignments[0].Standing = token.Suspended }), want: authn.AlreadyUsed},
		"any change":           {change: act(func(*authn.Account) {}), want: authn.AlreadyUsed},
		"another policy": {change: func(h *house, _ *person, _ *authn.Client) {
			other := *h.auth.Policies[0]
			h.auth.Policies = []*authn.Policy{&other}
		}, want: authn.AlreadyUsed},
		"barred since": {change: func(h *house, _ *person, _ *authn.Client) {
			h.dir.set(func(p *people) { p.users["bob"].Barred = authn.UserLocked })
		}, want: authn.UserLocked},
		"clock set back": {change: func(h *house, _ *person, _ *authn.Client) { h.clock.advance(-20 * time.Second) }, want: authn.AlreadyUsed},
		"expired since":  {change: func(h *house, p *person, _ *authn.Client) { h.clock.advance(8 * time.Second) }, want: authn.AlreadyUsed},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
			gw, _ := portal()
			end := h.clock.now().Add(15 * time.Second)
			p := h.person("bob", "pass word ", 1, func(_ *authn.Account, ts []*token.Token) {
				if name == "expired since" {
					ts[0].Expiry = end.Unix()
				}
			})
			h.person("eve", "secret ", 1)
			good := "pass word " + p.devices[0].code(h.step(p.devices[0]))
			want(t, "first", h.signed(gw, "bob", good, home), authn.Accept, authn.OK)
			h.clock.advance(7 * time.Second)
			want(t, "it works at all", h.signed(gw, "bob", good, home), authn.Accept, authn.OKRepeated)
			if c.change != nil {
				c.change(h, p, gw)
			}
			from, who, text, client := home, "bob", good, gw
			switch c.from {
			case "":
			case "-":
				from = ""
			default:
				from = c.from
			}
			if c.who != "" {
				who = c.who
			}
			if c.text != nil {
				text = c.text(good)
			}
			if c.client != nil {
				client = c.client(gw)
			}
			l := h.login(client, who, text, from, nil)
			l.Signed = !c.bare
			want(t, name, h.send(l), authn.Reject, c.want)
		})
	}
	// A memo of a login that was not signed is none either.
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw, _ := portal()
	p := h.person("bob", "", 1)
	code := p.devices[0].code(h.step(p.devices[0]))
	want(t, "not signed", h.try(gw, "bob", code, home), authn.Accept, authn.OK)
	want(t, "signed", h.signed(gw, "bob", code, home), authn.Reject, authn.AlreadyUsed)
}

// TestMemoOfALoginUnderWay: asked again while the directory still thinks, a login waits for the first one's verdict: one
// bind, one event that burns, and an Accept for each.
func TestMemoOfALoginUnderWay(t *testing.T) {
	for name, right := range map[string]bool{"accepted": true, "no answer": false} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
			gw, _ := portal()
			p := h.person("bob", "pass word ", 1)
			hold := make(chan struct{})
			h.dir.set(func(p *people) {
				if p.hold = hold; !right {
					p.binds = errDown
				}
			})
			good := "pass word " + p.devices[0].code(h.step(p.devices[0]))
			var wg sync.WaitGroup
			var mu sync.Mutex
			got := map[authn.Reason]int{}
			for range 8 {
				wg.Go(func() {
					d := h.signed(gw, "bob", good, home)
					mu.Lock()
					got[d.Reason]++
					mu.Unlock()
				})
			}
			for h.dir.sent.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			close(hold)
			wg.Wait()
			if right && (got[authn.OK] != 1 || got[authn.OKRepeated] != 7 || h.dir.sent.Load() != 1) {
				t.Errorf("answers %v with %d binds", got, h.dir.sent.Load())
			}
			if !right && got[authn.DirectoryDown] != 8 {
				t.Errorf("answers %v, want no repetition of no answer", got)
			}
		})
	}
}
