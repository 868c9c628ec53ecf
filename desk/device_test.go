package desk_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// TestO7RegisterByGroup: a serial exists for the members of the group that it is kept for, and for nobody else.
func TestO7RegisterByGroup(t *testing.T) {
	h := newHouse(t)
	taro, jiro := h.account("taro"), h.account("jiro")
	d := h.stock("SN000001")
	_, _, err := h.desk.Register(ctx, self(taro), taro, "SN000001", d.code(h, 0))
	h.refused(err, life.NotFound)
	_, err = h.desk.Reserve(ctx, admin, []token.ID{d.ID}, "staff")
	h.ok(err)
	_, _, err = h.desk.Register(ctx, self(jiro), jiro, "SN000001", d.code(h, 0))
	h.refused(err, life.NotFound)
	id, _, err := h.desk.Register(ctx, self(taro), taro, " ｓｎ000001 ", d.code(h, 0))
	h.ok(err)
	if id != d.ID || h.standing(taro, d.ID) != token.Active || h.token(d.ID).State != token.InUse || h.token(d.ID).Last != d.StepAt(h.now()) {
		t.Errorf("registered %v: hold %v, token %+v", id, h.standing(taro, d.ID), h.token(d.ID))
	}
	if m := h.mail(authn.MailDeviceAdded); m.Account != taro || m.Fields["device"] != "SN000001" {
		t.Errorf("the mail is %+v", m)
	}
}

// TestO7SomebodyElseOfTheSameName: the groups are those of whom the account is of, not of who has the name now.
func TestO7SomebodyElseOfTheSameName(t *testing.T) {
	h := newHouse(t)
	d := h.stock("SN000001")
	_, err := h.desk.Reserve(ctx, admin, []token.ID{d.ID}, "staff")
	h.ok(err)
	former, err := h.desk.Open(ctx, &authn.User{Directory: "corp", ID: "somebody else", Name: "taro"})
	h.ok(err)
	_, _, err = h.desk.Register(ctx, self(former), former, "SN000001", d.code(h, 0))
	h.refused(err, life.NotFound)
}

// TestO7TwoUsersOneStockToken: of two who register one token of the open stock at once one gets it.
func TestO7TwoUsersOneStockToken(t *testing.T) {
	h := newHouse(t)
	h.rules.OpenStock = true
	accounts := []authn.AccountID{h.account("taro"), h.account("hanako"), h.account("jiro"), h.account("keiko")}
	d := h.stock("SN000001")
	won := atOnce(t, func(n int) error {
		who := accounts[n%len(accounts)]
		_, _, err := h.desk.Register(ctx, self(who), who, "SN000001", d.code(h, n/len(accounts)))
		return err
	})
	info, err := h.db.Token(d.ID)
	h.ok(err)
	if won != 1 || len(info.Holders) != 1 {
		t.Errorf("%d registrations counted and %d hold the token; want 1 of each", won, len(info.Holders))
	}
}

// TestO7GrantCountsWhoIsElsewhere: two grants of one token at once leave one holder, without a common account to lock.
func TestO7GrantCountsWhoIsElsewhere(t *testing.T) {
	h := newHouse(t)
	accounts := []authn.AccountID{h.account("taro"), h.account("hanako"), h.account("jiro"), h.account("keiko")}
	d := h.stock("SN000001")
	won := atOnce(t, func(n int) error {
		_, err := h.desk.Grant(ctx, admin, life.Reserve, accounts[n%len(accounts)], d.ID, false)
		return err
	})
	info, err := h.db.Token(d.ID)
	h.ok(err)
	if won != 1 || len(info.Holders) != 1 {
		t.Errorf("%d grants counted and %d hold the token; want 1 of each", won, len(info.Holders))
	}
}

// TestK11SecondDevice: who adds a device proves it by a code of the first one, and only so.
func TestK11SecondDevice(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	first := h.phone(taro)
	_, err := h.desk.Enrol(ctx, self(taro), desk.EnrolOrder{Account: taro, By: first.ID, Code: secret("000000")})
	h.refused(err, life.WrongCode)
	v, err := h.desk.Enrol(ctx, self(taro), desk.EnrolOrder{Account: taro, Name: "Tablet", By: first.ID, Code: first.code(h, 0)})
	h.ok(err)
	if v.Label != "Sekisho:taro (2)" || len(v.Key) != 32 {
		t.Errorf("the app will show %q with a key of %d characters", v.Label, len(v.Key))
	}
	second := h.scan(v)
	_, err = h.desk.Confirm(ctx, self(taro), taro, second.ID, second.code(h, 0))
	h.ok(err)
	if h.active(taro) != 2 {
		t.Errorf("%d devices work, want 2", h.active(taro))
	}
	h.advance(time.Minute)
	_, err = h.desk.Enrol(ctx, self(taro), desk.EnrolOrder{Account: taro, By: first.ID, Code: first.code(h, 0)})
	h.refused(err, life.DeviceLimit)
}

// TestK11WrongFirstCodesCost: what somebody tries at a page is charged to the account as at a login, and ends (S4).
func TestK11WrongFirstCodesCost(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, err := h.desk.Enrol(ctx, admin, desk.EnrolOrder{Account: taro})
	h.ok(err)
	d := h.scan(v)
	spent := func() int64 {
		a, err := h.db.Account(taro)
		h.ok(err)
		return a.Guard.Spent(authn.PotK, h.now())
	}
	_, err = h.desk.Confirm(ctx, self(taro), taro, d.ID, h.wrong(d))
	h.refused(err, life.WrongCode)
	if want := d.GuessCost(81); spent() != want {
		t.Errorf("a wrong first code cost %d, want %d", spent(), want)
	}
	acts := h.acts()
	if last := acts[len(acts)-1]; last != "assignment.confirm" {
		t.Errorf("the last act in the chain is %q", last)
	}
	before := spent()
	_, err = h.desk.Confirm(ctx, self(taro), taro, d.ID, secret("12345"))
	h.refused(err, life.CodeForm)
	if spent() != before {
		t.Error("what cannot be a code cost something")
	}
	h.desk.Limits.Pot[authn.ClassKnown] = spent() + d.GuessCost(81) - 1
	for _, code := range []authn.Secret{h.wrong(d), d.code(h, 0)} { // the answer tells nothing of the code
		_, err = h.desk.Confirm(ctx, self(taro), taro, d.ID, code)
		h.refused(err, life.BudgetUsed)
	}
	if spent() != before || h.standing(taro, d.ID) != token.Pending {
		t.Error("a code that could not be paid for did something")
	}
	h.desk.Limits = authn.NormalLimits
	for range 4 {
		_, err = h.desk.Confirm(ctx, self(taro), taro, d.ID, h.wrong(d))
		h.refused(err, life.WrongCode)
	}
	_, err = h.desk.Confirm(ctx, self(taro), taro, d.ID, d.code(h, 0))
	h.refused(err, life.TriesUsed)
}

// wrong is a code that the device never shows nearby.
func (h *house) wrong(d device) authn.Secret {
	at := d.StepAt(h.now())
	for n := 0; ; n++ {
		code := []byte{'9', '9', '9', byte('0' + n/100%10), byte('0' + n/10%10), byte('0' + n%10)}
		hit := false
		for s := at - 60; s <= at+60; s++ {
			hit = hit || d.Token.Code(d.seed, s) == string(code)
		}
		if !hit {
			return authn.NewSecret(code)
		}
	}
}

// TestO9PairEndsTheOldToken: the old token ends in the change that brings the new one into service.
func TestO9PairEndsTheOldToken(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	old, next := h.stock("SN000001"), h.stock("SN000002")
	_, err := h.desk.Grant(ctx, admin, life.Assign, taro, old.ID, false)
	h.ok(err)
	_, err = h.desk.Grant(ctx, admin, life.Reserve, taro, next.ID, false)
	h.ok(err)
	_, err = h.desk.Pair(ctx, admin, taro, next.ID, []token.ID{old.ID})
	h.ok(err)
	if h.standing(taro, old.ID) != token.Active {
		t.Fatal("the old token ended before the new one's first code")
	}
	_, _, err = h.desk.Register(ctx, self(taro), taro, "SN000002", next.code(h, 0))
	h.ok(err)
	if h.standing(taro, old.ID) != token.Revoked || h.token(old.ID).State != token.InStock || h.standing(taro, next.ID) != token.Active {
		t.Errorf("old %v (%v), new %v", h.standing(taro, old.ID), h.token(old.ID).State, h.standing(taro, next.ID))
	}
}

// TestO8Defer counts exactly, whatever comes at once.
func TestO8Defer(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.stock("SN000001")
	_, err := h.desk.Grant(ctx, admin, life.Reserve, taro, d.ID, false)
	h.ok(err)
	if won := atOnce(t, func(int) error { _, err := h.desk.Defer(ctx, self(taro), taro, d.ID); return err }); won != 3 {
		t.Errorf("registering was put off %d times, want 3", won)
	}
}

// TestK7Rename: a new name stands in the chain; somebody else's device has no name to be changed.
func TestK7Rename(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	_, err := h.desk.Rename(ctx, self(taro), taro, d.ID, "Old phone")
	h.ok(err)
	if got := h.token(d.ID).Name; got != "Old phone" || !slices.Contains(h.acts(), "token.rename") {
		t.Errorf("it is called %q, and the acts are %q", got, h.acts())
	}
	_, err = h.desk.Rename(ctx, self(h.account("jiro")), taro, d.ID, "Mine")
	h.refused(err, life.NotFound)
	_, err = h.desk.Rename(ctx, self(taro), taro, d.ID, "two\nlines")
	var no *authn.Refusal
	if !errors.As(err, &no) || no.Code != "bad-input" {
		t.Errorf("a name of two lines: %v", err)
	}
}

// TestS13RevokeAgainstConfirm: whichever comes first, what was revoked opens nothing.
func TestS13RevokeAgainstConfirm(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, err := h.desk.Enrol(ctx, admin, desk.EnrolOrder{Account: taro})
	h.ok(err)
	d := h.scan(v)
	code := d.code(h, 0)
	atOnce(t, func(n int) error {
		if n == 32 {
			_, err := h.desk.Revoke(ctx, admin, life.Revocation{Holds: []life.Chosen{{Account: life.AccountID(taro), Token: d.ID}}})
			if err != nil {
				t.Errorf("the revocation: %v", err)
			}
			return err
		}
		_, err := h.desk.Confirm(ctx, self(taro), taro, d.ID, code)
		return err
	})
	if h.standing(taro, d.ID) != token.Revoked || h.token(d.ID).State != token.Destroyed {
		t.Errorf("after the revocation the hold is %v and the token %v", h.standing(taro, d.ID), h.token(d.ID).State)
	}
}

// TestS13ActsRaiseTheGeneration: what was open before an act on what somebody holds is dead.
func TestS13ActsRaiseTheGeneration(t *testing.T) {
	h := newHouse(t)
	var forgot []authn.AccountID
	h.desk.Forget = func(all ...authn.AccountID) { forgot = append(forgot, all...) }
	taro := h.account("taro")
	d := h.phone(taro)
	before, err := h.db.Account(taro)
	h.ok(err)
	forgot = nil
	_, err = h.desk.Suspend(ctx, admin, taro, d.ID)
	h.ok(err)
	after, err := h.db.Account(taro)
	h.ok(err)
	if after.Generation != before.Generation+1 || !slices.Contains(forgot, taro) {
		t.Errorf("generation %d after %d; forgotten: %v", after.Generation, before.Generation, forgot)
	}
}
