package desk_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
)

// TestP6TemporaryCodes are drawn one at a time on the owner's page; operators see counts.
func TestP6TemporaryCodes(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	_, _, err := h.desk.ShowTemporary(ctx, self(taro))
	h.refused(err, life.TempNone)
	v, err := h.desk.GiveTemporary(ctx, desk.Actor{By: life.ByHelpDesk, Name: "keiko"}, taro, time.Time{})
	h.ok(err)
	if want := time.Date(2026, 11, 20, 18, 0, 0, 0, h.rules.Zone); !v.Until.Equal(want) || v.Most != 5 || v.Used != 0 || v.By != "keiko" {
		t.Errorf("given %+v; want 5 until %v", v, want)
	}
	if m := h.mail(authn.MailTemporary); m.Fields["until"] != "2026-11-20 18:00 JST" {
		t.Errorf("the mail tells %v", m.Fields)
	}
	first, _, err := h.desk.ShowTemporary(ctx, self(taro))
	h.ok(err)
	second, _, err := h.desk.ShowTemporary(ctx, self(taro))
	h.ok(err)
	if first.Len() != 8 || bytes.Equal(first.Reveal(), second.Reveal()) {
		t.Error("the page shows the same code again, or none of eight digits")
	}
	live := h.holder(taro).Temporary.Live
	if want := life.HashCode(h.db.Keys().Derive(desk.CodePurpose), life.ForTemporary, life.AccountID(taro), second.Reveal()); live != want {
		t.Error("what is kept is not the hash of the code that was shown last")
	}
	_, err = h.desk.EndTemporary(ctx, self(taro), taro)
	h.ok(err)
	_, _, err = h.desk.ShowTemporary(ctx, self(taro))
	h.refused(err, life.TempEnded)
}

// TestY6RecoveryCode works once, in any spelling, and leaves another one behind.
func TestY6RecoveryCode(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	_, _, err := h.desk.Recover(ctx, self(taro), secret("AAAA"))
	h.refused(err, life.NoRecovery)
	code, err := h.desk.SetRecovery(ctx, self(taro))
	h.ok(err)
	spelt := strings.ToLower(string(code.Reveal()[:4]) + "-" + string(code.Reveal()[4:8]) + " " + string(code.Reveal()[8:]))
	_, _, err = h.desk.Recover(ctx, self(taro), secret("222222222222222A"))
	h.refused(err, life.WrongCode)
	if n := len(h.holder(taro).Recovery.Tries); n != 1 {
		t.Errorf("%d wrong tries are kept, want 1", n)
	}
	next, v, err := h.desk.Recover(ctx, self(taro), secret(spelt))
	h.ok(err)
	if v.Most != 5 || next.Len() != 16 || bytes.Equal(next.Reveal(), code.Reveal()) {
		t.Errorf("recovered %+v with another code of %d characters", v, next.Len())
	}
	_, _, err = h.desk.Recover(ctx, self(taro), code)
	h.refused(err, life.WrongCode)
	won := atOnce(t, func(int) error { _, _, err := h.desk.Recover(ctx, self(taro), next); return err })
	if won != 1 {
		t.Errorf("one recovery code worked %d times at once", won)
	}
}

// TestP5FirstLogin is for who never had a token.
func TestP5FirstLogin(t *testing.T) {
	h := newHouse(t)
	taro, jiro := h.account("taro"), h.account("jiro")
	h.phone(jiro)
	code, ends, err := h.desk.GiveFirstLogin(ctx, admin, taro, "registration", time.Time{})
	h.ok(err)
	if code.Len() != 8 || !ends.After(h.now()) || h.holder(taro).First.Attributes != "registration" {
		t.Errorf("a code of %d digits until %v: %+v", code.Len(), ends, h.holder(taro).First)
	}
	_, _, err = h.desk.GiveFirstLogin(ctx, admin, jiro, "", time.Time{})
	h.refused(err, life.HasToken)
}

// TestK8PIN: chosen by the person, forced and ended by operators who never see one.
func TestK8PIN(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	_, err := h.desk.ChoosePIN(ctx, self(taro), secret(""))
	h.refused(err, life.PINLength)
	_, err = h.desk.ChoosePIN(ctx, self(taro), secret("1234"))
	h.refused(err, life.PINRun)
	_, err = h.desk.ChoosePIN(ctx, self(taro), secret("tango8"))
	h.ok(err)
	matches := func(pin string) bool {
		a, err := h.db.Account(taro)
		h.ok(err)
		return a.PIN.Matches(h.db.Keys().Derive(authn.PINPurpose), taro, []byte(pin))
	}
	if !matches("tango8") {
		t.Error("the PIN that was chosen does not match at logins")
	}
	_, err = h.desk.ForcePIN(ctx, admin, taro, h.now().Add(time.Hour))
	h.ok(err)
	if p := h.holder(taro).PIN; !p.Forced || p.Due != h.now().Add(time.Hour).Unix() {
		t.Errorf("forced: %+v", p)
	}
	_, err = h.desk.ChoosePIN(ctx, self(taro), secret("tango8"))
	h.refused(err, life.PINHistory)
	_, err = h.desk.ChoosePIN(ctx, self(taro), secret("waltz3"))
	h.ok(err)
	_, err = h.desk.ResetPIN(ctx, admin, taro)
	h.ok(err)
	if matches("waltz3") || h.holder(taro).PIN.Forced {
		t.Error("a PIN that was ended still opens")
	}
	for _, old := range []string{"waltz3", "tango8"} {
		_, err = h.desk.ChoosePIN(ctx, self(taro), secret(old))
		h.refused(err, life.PINHistory)
	}
}
