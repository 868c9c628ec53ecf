package desk_test

import (
	"slices"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// nobody is somebody who is not signed in.
var nobody = desk.Actor{By: life.ByPerson}

// TestV1Test tells of a token by serial and code, burns what it found, and is slow for who guesses.
func TestV1Test(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.stock("SN000001")
	_, err := h.desk.Grant(ctx, admin, life.Assign, taro, d.ID, false)
	h.ok(err)
	verdict, err := h.desk.Test(ctx, nobody, "sn000001", d.code(h, 0))
	h.ok(err)
	if verdict != life.Works || h.token(d.ID).Last != d.StepAt(h.now()) {
		t.Errorf("verdict %v, last step %d", verdict, h.token(d.ID).Last)
	}
	_, err = h.desk.Test(ctx, nobody, "SN000001", d.code(h, 0))
	h.refused(err, life.AlreadyUsed)
	verdict, err = h.desk.Test(ctx, nobody, "SN000001", d.code(h, 50))
	h.ok(err)
	if verdict != life.OutOfStep {
		t.Errorf("a code of half an hour ahead: %v", verdict)
	}
	won := atOnce(t, func(int) error { _, err := h.desk.Test(ctx, nobody, "SN000001", h.wrong(d)); return err })
	_, err = h.desk.Test(ctx, nobody, "SN000001", d.code(h, 1))
	h.refused(err, life.TriesUsed)
	_, err = h.desk.Test(ctx, nobody, "SN999999", d.code(h, 1))
	h.refused(err, life.NoSuchToken)
	a, err := h.db.Account(taro)
	h.ok(err)
	if won != 0 || a.Guard.Spent(authn.PotK, h.now()) != 0 || a.Guard.Row != [2]uint8{} {
		t.Errorf("tests without sign-in cost the account %+v", a.Guard)
	}
}

// TestV2Resync finds a token that is out of step, once, and tells its holders.
func TestV2Resync(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.stock("SN000001")
	_, err := h.desk.Grant(ctx, admin, life.Assign, taro, d.ID, false)
	h.ok(err)
	_, err = h.desk.Resync(ctx, nobody, "SN000001", d.code(h, 40), d.code(h, 40))
	h.refused(err, life.EqualCodes)
	won := atOnce(t, func(int) error {
		_, err := h.desk.Resync(ctx, nobody, "SN000001", d.code(h, 40), d.code(h, 41))
		return err
	})
	k := h.token(d.ID)
	if won != 1 || k.Drift != 41 || k.Last != d.StepAt(h.now())+41 {
		t.Errorf("%d of 64 resyncs with the same codes counted; the token is at drift %d, step %d", won, k.Drift, k.Last)
	}
	_, err = h.desk.ResetDrift(ctx, admin, d.ID)
	h.ok(err)
	if after := h.token(d.ID); after.Drift != 0 || after.Last != k.Last {
		t.Errorf("after the reset the drift is %d and the last step %d; want 0 and %d as before", after.Drift, after.Last, k.Last)
	}
}

// TestV4SelfUnlock: two right codes in a row end rows and waits; pots and stops stay.
func TestV4SelfUnlock(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	_, err := h.desk.SelfUnlock(ctx, self(taro), d.ID, d.code(h, 0), d.code(h, 1))
	h.refused(err, life.NothingLocked)
	guard := func(f func(*authn.Guard)) {
		h.update(authn.Keys{Accounts: []authn.AccountID{taro}}, func(held *authn.Held) (authn.Change, error) {
			next := *held.Accounts[0]
			f(&next.Guard)
			return authn.Change{Accounts: []*authn.Account{&next}, Reset: authn.ResetGuard,
				Event: &authn.Event{At: h.now(), Kind: authn.ActEvent, Act: "test.guard", Step: token.NoStep}}, nil
		})
	}
	guard(func(g *authn.Guard) {
		g.Row, g.Wait = [2]uint8{7, 5}, [2]int64{h.now().Unix() + 100, 0}
		g.Charges = []authn.Charge{{Pot: authn.PotU, Day: token.Day(h.now()), Amount: 12345}}
	})
	_, err = h.desk.SelfUnlock(ctx, self(taro), d.ID, h.wrong(d), d.code(h, 1))
	h.refused(err, life.WrongCode)
	_, err = h.desk.SelfUnlock(ctx, self(taro), d.ID, d.code(h, 0), d.code(h, 1))
	h.ok(err)
	a, err := h.db.Account(taro)
	h.ok(err)
	if a.Guard.Row != [2]uint8{} || a.Guard.Wait != [2]int64{} || a.Guard.Spent(authn.PotU, h.now()) != 12345 {
		t.Errorf("the guard is %+v; want rows and waits gone and the charge there", a.Guard)
	}
	if !slices.Contains(h.acts(), "assignment.self-unlock") || h.token(d.ID).Last != d.StepAt(h.now())+1 {
		t.Error("the codes were not burnt, or the chain does not tell")
	}
	guard(func(g *authn.Guard) { g.Stopped = authn.StopAccount })
	h.advance(2 * time.Minute)
	_, err = h.desk.SelfUnlock(ctx, self(taro), d.ID, d.code(h, 0), d.code(h, 1))
	h.refused(err, life.Stopped)
}

// TestP11Extend moves expiries, all or none.
func TestP11Extend(t *testing.T) {
	h := newHouse(t)
	one, two := h.stock("SN000001"), h.stock("SN000002")
	master := desk.Actor{By: life.ByMaster, Name: "m", Reason: "deliveries are late"}
	to := time.Unix(one.Expiry, 0).AddDate(0, 0, 10)
	_, err := h.desk.Extend(ctx, master, []token.ID{one.ID, two.ID, token.NewID()}, to)
	h.refused(err, life.NoSuchToken)
	if h.token(one.ID).Expiry != one.Expiry {
		t.Error("one token was extended, and the act refused")
	}
	_, err = h.desk.Extend(ctx, master, []token.ID{one.ID, two.ID}, to)
	h.ok(err)
	if h.token(one.ID).Expiry != to.Unix() || h.token(two.ID).Expiry != to.Unix() {
		t.Error("not all tokens were extended")
	}
	_, err = h.desk.Extend(ctx, master, []token.ID{one.ID}, to.AddDate(0, 0, 21))
	h.refused(err, life.ExtendMost)
	_, err = h.desk.Retire(ctx, desk.Actor{By: life.ByAdmin, Name: "a", Reason: "broken display"}, one.ID)
	h.ok(err)
	if h.token(one.ID).State != token.Destroyed {
		t.Error("a retired token is still there")
	}
}
