package life

import (
	"testing"
	"time"

	"sekisho/token"
)

// The people and tokens of the tests. taro and hanako are in the group that token hard is reserved to; boss is a master
// with a token of his own, and there is another master elsewhere.
const (
	taro   AccountID = 1
	hanako AccountID = 2
	boss   AccountID = 3
	clerk  AccountID = 4 // of the help desk

	hard  token.ID = 10
	spare token.ID = 11 // hardware, reserved to no group
	soft  token.ID = 20
	soft2 token.ID = 21
	soft3 token.ID = 22
	fresh token.ID = 23 // software, not made yet
	own   token.ID = 30 // the boss's
	count token.ID = 40 // event-based hardware
)

var noon = time.Date(2026, 11, 28, 12, 0, 7, 0, time.FixedZone("JST", 9*3600))

type house struct {
	s    State
	a    Act
	link Activation
	req  Request
}

func newHouse() *house {
	h := &house{a: Act{By: ByAdmin, Account: 99, Name: "op", Reason: "asked by phone", Reference: "1234-567", Proven: true, Now: noon, Rules: Defaults()}}
	h.a.Rules.Zone = noon.Location()
	h.s = State{Seeds: map[token.ID]token.Seed{}, Elsewhere: map[token.ID]int{}, MastersElsewhere: 1,
		Holders: []Holder{{Account: taro, Name: "taro", Groups: []string{"g"}}, {Account: hanako, Name: "hanako", Groups: []string{"g"}},
			{Account: boss, Name: "boss", Role: ByMaster}, {Account: clerk, Name: "clerk", Role: ByHelpDesk}}}
	for _, t := range []token.Token{{ID: hard, Serial: "10000010", Form: token.Hardware, Expiry: noon.Add(100 * day).Unix()}, {ID: spare, Serial: "10000011", Form: token.Hardware},
		{ID: soft, Name: "phone"}, {ID: soft2, Name: "tablet"}, {ID: soft3, Name: "old phone"}, {ID: own, Serial: "10000030", Form: token.Hardware},
		{ID: count, Serial: "10000040", Form: token.Hardware, Mode: token.HOTP}} {
		h.s.Tokens = append(h.s.Tokens, complete(t))
		h.s.Seeds[t.ID] = seed(t.ID)
		r := Record{Token: t.ID}
		if t.ID == hard || t.ID == count {
			r.Group = "g"
		}
		h.s.Records = append(h.s.Records, r)
	}
	h.s.Seeds[fresh] = seed(fresh)
	h.hold(boss, own, token.Active)
	return h
}

func complete(t token.Token) token.Token {
	t.Hash, t.Digits, t.State, t.Last = token.SHA1, 6, token.InStock, token.NoStep
	t.Sealed = token.SealedSeed{Version: 1, Data: []byte{1}}
	if t.Mode == 0 {
		t.Mode = token.TOTP
	}
	if t.Mode == token.TOTP {
		t.Period = 30
	}
	if t.Form == 0 {
		t.Form = token.Software
	}
	return t
}

func seed(id token.ID) token.Seed {
	s := make(token.Seed, 20)
	for i := range s {
		s[i] = byte(id) + byte(i)
	}
	return s
}

func (h *house) token(id token.ID) *token.Token {
	for i := range h.s.Tokens {
		if h.s.Tokens[i].ID == id {
			return &h.s.Tokens[i]
		}
	}
	return nil
}

func (h *house) record(id token.ID) *Record {
	for i := range h.s.Records {
		if h.s.Records[i].Token == id {
			return &h.s.Records[i]
		}
	}
	h.s.Records = append(h.s.Records, Record{Token: id})
	return &h.s.Records[len(h.s.Records)-1]
}

func (h *house) holder(id AccountID) *Holder {
	for i := range h.s.Holders {
		if h.s.Holders[i].Account == id {
			return &h.s.Holders[i]
		}
	}
	return nil
}

// hold puts a hold where a test wants it; revoked ones were in service until a minute ago.
func (h *house) hold(who AccountID, id token.ID, s token.Standing) *Hold {
	if h.token(id) == nil {
		h.s.Tokens = append(h.s.Tokens, complete(token.Token{ID: id}))
	}
	p, t := h.holder(who), h.token(id)
	hold := Hold{Assignment: token.Assignment{Token: id, Standing: s, Since: h.a.Now.Add(-time.Minute).Unix()}}
	t.State = token.InUse
	switch s {
	case token.Suspended:
		hold.Why = WhyPerson
	case token.Revoked:
		hold.Before, hold.Why, hold.Was = token.Active, WhyOperator, 1
		t.State = token.InStock
		if t.Form == token.Software {
			t.State = token.Destroyed
			h.record(id).Ended = hold.Since
		}
	}
	if old := p.Hold(id); old != nil {
		*old = hold
		return old
	}
	p.Holds = append(p.Holds, hold)
	return &p.Holds[len(p.Holds)-1]
}

// shows is the code that a token shows so many steps from now.
func (h *house) shows(id token.ID, off int64) Typed {
	t := h.token(id)
	if t == nil {
		n := complete(token.Token{ID: id})
		t = &n
	}
	return Typed(t.Code(seed(id), t.StepAt(h.a.Now)+off))
}

// wrong is no code of a token anywhere near.
func (h *house) wrong(id token.ID) Typed {
	for _, try := range []string{"000000", "111111", "222222", "333333", "444444", "555555"} {
		near := false
		for off := int64(-3000); off <= 3000 && !near; off++ {
			near = string(h.shows(id, off)) == try
		}
		if !near {
			return Typed(try)
		}
	}
	panic("no wrong code")
}

// as makes the actor one of a kind: a person is taro, the staff have names.
func (h *house) as(by Who) *house {
	h.a.By = by
	h.a.Account = 99
	if by == ByPerson || by == ByLogin {
		h.a.Account = taro
	}
	return h
}

// apply takes a change over.
func (h *house) apply(c Change) {
	for _, p := range c.Holders {
		if old := h.holder(p.Account); old != nil {
			*old = p
		} else {
			h.s.Holders = append(h.s.Holders, p)
		}
	}
	for _, t := range c.Tokens {
		if old := h.token(t.ID); old != nil {
			*old = t
		} else {
			h.s.Tokens = append(h.s.Tokens, t)
		}
		if h.s.Seeds[t.ID] == nil {
			h.s.Seeds[t.ID] = seed(t.ID)
		}
	}
	for _, r := range c.Records {
		*h.record(r.Token) = r
	}
}

// must applies a change that no rule may refuse.
func (h *house) must(t testing.TB, what string) func(Change, *Refusal) Change {
	return func(c Change, no *Refusal) Change {
		t.Helper()
		if no != nil {
			t.Fatalf("%s: %s: %v", what, no.Code, no)
		}
		h.apply(c)
		return c
	}
}

// refused asserts code and instant of a refusal.
func refused(t testing.TB, what string, no *Refusal, code Code, from time.Time) {
	t.Helper()
	switch {
	case no == nil:
		t.Errorf("%s: it was done, want %s", what, code)
	case no.Code != code || !no.From.Equal(from):
		t.Errorf("%s: %s from %v, want %s from %v", what, no.Code, no.From, code, from)
	}
}

func (h *house) later(d time.Duration) *house {
	h.a.Now = h.a.Now.Add(d)
	return h
}
