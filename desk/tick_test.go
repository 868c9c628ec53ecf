package desk_test

import (
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// TestO9Reminders: each reminder once, whatever the number of ticks, and none to who has switched.
func TestO9Reminders(t *testing.T) {
	h := newHouse(t)
	taro, hanako := h.account("taro"), h.account("hanako")
	old, next := h.stock("SN000001"), h.stock("SN000002")
	for _, who := range []authn.AccountID{taro, hanako} {
		_, err := h.desk.Grant(ctx, admin, life.Assign, who, old.ID, true)
		h.ok(err)
	}
	_, err := h.desk.Grant(ctx, admin, life.Assign, hanako, next.ID, false)
	h.ok(err)
	expiry := h.now().AddDate(0, 0, 31)
	h.setExpiry(old.ID, expiry)
	reminded := func() (all []authn.Message) {
		for _, m := range h.mails() {
			if m.Kind == authn.MailExpiry {
				all = append(all, m)
			}
		}
		return all
	}
	h.ok(h.desk.Tick(ctx)) // the first round of a site owes nothing
	if n := len(reminded()); n != 0 {
		t.Fatalf("%d reminders at once", n)
	}
	for want, days := range []int{0, 1, 0, 16, 0, 7, 0, 6, 0} { // 30, 14, 7 and 1 days before
		h.advance(time.Duration(days) * 24 * time.Hour)
		for range 3 {
			h.advance(20 * time.Minute)
			h.ok(h.desk.Tick(ctx))
		}
		if n := len(reminded()); n != (want+1)/2 {
			t.Fatalf("on %v there were %d reminders, want %d", h.now(), n, (want+1)/2)
		}
	}
	m := reminded()[0]
	if m.Account != taro || m.Fields["last4"] != "0001" || m.Fields["date"] != "2026-12-21" || m.Fields["instant"] == "" || !m.Until.Equal(expiry) {
		t.Errorf("the first reminder is %+v", m)
	}
}

// TestO9TwoRoundsOfReminders: of two that make the same reminders one counts, and tokens are listed four times an hour.
func TestO9TwoRoundsOfReminders(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.stock("SN000001")
	_, err := h.desk.Grant(ctx, admin, life.Assign, taro, d.ID, false)
	h.ok(err)
	h.setExpiry(d.ID, h.now().AddDate(0, 0, 31))
	h.ok(h.desk.Tick(ctx))
	h.advance(24 * time.Hour)
	h.between(func() { h.ok(h.desk.Tick(ctx)) })
	if err := h.desk.Tick(ctx); err == nil {
		t.Error("a round that was overtaken went on")
	}
	if n := len(h.mails()); n != 1 {
		t.Errorf("%d reminders of one expiry", n)
	}
	listed := h.desk.Store.(*store).listed
	h.advance(15*time.Minute - time.Second)
	h.ok(h.desk.Tick(ctx))
	if h.desk.Store.(*store).listed != listed {
		t.Error("tokens were listed before their time")
	}
}

func (h *house) setExpiry(id token.ID, at time.Time) {
	h.update(authn.Keys{Tokens: []token.ID{id}}, func(held *authn.Held) (authn.Change, error) {
		k := *held.Token(id)
		k.Expiry = at.Unix()
		return authn.Change{Tokens: []*token.Token{&k}, Event: &authn.Event{At: h.now(), Kind: authn.ActEvent, Act: "test.expiry", Step: token.NoStep}}, nil
	})
}

// TestO9RemindersOfALargeSite are made in several changes, and each holder gets one.
func TestO9RemindersOfALargeSite(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	h.ok(h.desk.Tick(ctx))
	for n := range 150 {
		d := h.stock("SN" + string(rune('A'+n/26)) + string(rune('A'+n%26)))
		h.setExpiry(d.ID, h.now().AddDate(0, 0, 30).Add(20*time.Hour))
		h.update(authn.Keys{Accounts: []authn.AccountID{taro}, Tokens: []token.ID{d.ID}}, func(held *authn.Held) (authn.Change, error) {
			a, k := *held.Accounts[0], *held.Token(d.ID)
			a.Assignments = append([]token.Assignment{}, a.Assignments...)
			a.Assignments = append(a.Assignments, token.Assignment{Token: d.ID, Standing: token.Active, Since: 1})
			k.State = token.InUse
			return authn.Change{Accounts: []*authn.Account{&a}, Tokens: []*token.Token{&k},
				Event: &authn.Event{At: h.now(), Kind: authn.ActEvent, Act: "test.hold", Step: token.NoStep}}, nil
		})
	}
	h.advance(24 * time.Hour)
	h.ok(h.desk.Tick(ctx))
	if n := len(h.mails()); n != 150 {
		t.Errorf("%d reminders for 150 tokens", n)
	}
}

// TestK3OldLinksEnd: a link that lapsed a month ago ends, and with it what it showed and nobody confirmed.
func TestK3OldLinksEnd(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	start, err := h.desk.Start(ctx, self(taro), h.link(), secret("s"))
	h.ok(err)
	h.advance(30 * 24 * time.Hour)
	h.ok(h.desk.Tick(ctx))
	if h.standing(taro, start.Token) != token.Pending {
		t.Fatal("the link ended while it could be sent again")
	}
	h.advance(24 * time.Hour)
	h.ok(h.desk.Tick(ctx))
	after, err := h.desk.Activation(ctx, v.ID)
	h.ok(err)
	if after.Stage != life.Revoked || h.standing(taro, start.Token) != token.Revoked {
		t.Errorf("after a month the link is %s and its token %v", after.Stage, h.standing(taro, start.Token))
	}
}
