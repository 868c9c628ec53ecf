package desk_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// census is a directory whose word on who is there a test scripts.
type census struct {
	authn.Directory
	gone map[string]bool
	down bool
}

func (c *census) Knows(_ context.Context, id string) (bool, error) {
	if c.down {
		return false, errors.New("connection refused")
	}
	return !c.gone[id], nil
}

// newCensus gives every user of the house a device.
func newCensus(t *testing.T) (h *house, c *census, devices map[string]device) {
	h = newHouse(t)
	c = &census{Directory: h.desk.Directories[0].Directory, gone: map[string]bool{}}
	h.desk.Directories[0].Directory = c
	devices = map[string]device{}
	for _, name := range []string{"taro", "hanako", "jiro", "keiko"} {
		devices[name] = h.phone(h.account(name))
	}
	h.ok(h.desk.Tick(ctx)) // a site that begins has its first round in the night
	return h, c, devices
}

// night lets the next round come.
func (h *house) night() {
	h.t.Helper()
	h.advance(24 * time.Hour)
	h.ok(h.desk.Tick(ctx))
}

// TestP2GoneAndBack: who is gone has their tokens suspended, and as they were when they come back.
func TestP2GoneAndBack(t *testing.T) {
	h, c, devices := newCensus(t)
	taro, d := h.account("taro"), devices["taro"]
	c.gone["taro"] = true
	h.night()
	if h.standing(taro, d.ID) != token.Suspended || h.holder(taro).Presence.Gone == 0 || h.standing(h.account("jiro"), devices["jiro"].ID) != token.Active {
		t.Fatalf("after the round the hold is %v, %+v", h.standing(taro, d.ID), h.holder(taro).Presence)
	}
	_, err := h.desk.Resume(ctx, admin, taro, d.ID, authn.Secret{})
	h.refused(err, life.Quarantined)
	c.gone["taro"] = false
	h.night()
	if h.standing(taro, d.ID) != token.Active || h.holder(taro).Presence.Gone != 0 {
		t.Errorf("back in the directory the hold is %v", h.standing(taro, d.ID))
	}
}

// TestP2CleanUp waits for the whole quarantine.
func TestP2CleanUp(t *testing.T) {
	h, c, devices := newCensus(t)
	taro, d := h.account("taro"), devices["taro"]
	c.gone["taro"] = true
	h.night()
	h.advance(29 * 24 * time.Hour)
	h.ok(h.desk.Tick(ctx))
	if h.standing(taro, d.ID) != token.Suspended {
		t.Fatal("the quarantine ended early")
	}
	h.night()
	h.night()
	if h.standing(taro, d.ID) != token.Revoked || h.token(d.ID).State != token.Destroyed || !h.holder(taro).Presence.Cleaned {
		t.Errorf("after the quarantine the hold is %v", h.standing(taro, d.ID))
	}
}

// TestP2SilenceIsNoWord: a directory that does not answer, or knows nobody at all, changes nothing.
func TestP2SilenceIsNoWord(t *testing.T) {
	h, c, _ := newCensus(t)
	before := h.image()
	c.down = true
	if _, err := h.desk.Sweep(ctx, 0); err == nil {
		t.Error("a directory that is down was not noticed")
	}
	c.down = false
	for _, name := range []string{"taro", "hanako", "jiro", "keiko"} {
		c.gone[name] = true
	}
	if _, err := h.desk.Sweep(ctx, 4); err == nil {
		t.Error("a directory that knows nobody was not noticed")
	}
	if h.image() != before {
		t.Error("something was changed")
	}
}

// TestP2Brake: more than the rules allow change nobody, until a master agrees to the number.
func TestP2Brake(t *testing.T) {
	h, c, devices := newCensus(t)
	h.rules.StopLeast = 1
	c.gone["taro"], c.gone["jiro"] = true, true
	h.night()
	if h.active(h.account("taro"))+h.active(h.account("jiro")) != 2 {
		t.Fatal("the brake did not hold")
	}
	_, err := h.desk.Sweep(ctx, 1)
	h.refused(err, life.Braked)
	_, err = h.desk.Sweep(ctx, 2)
	h.ok(err)
	if h.standing(h.account("taro"), devices["taro"].ID) != token.Suspended || h.standing(h.account("jiro"), devices["jiro"].ID) != token.Suspended {
		t.Error("the number was agreed to, and nothing happened")
	}
}

// TestO9PairAtALogin: where a login takes the first code of the new token the old one ends with the next look at the clock.
func TestO9PairAtALogin(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	old, next := h.stock("SN000001"), h.stock("SN000002")
	_, err := h.desk.Grant(ctx, admin, life.Assign, taro, old.ID, false)
	h.ok(err)
	_, err = h.desk.Grant(ctx, admin, life.Reserve, taro, next.ID, false)
	h.ok(err)
	_, err = h.desk.Pair(ctx, admin, taro, next.ID, []token.ID{old.ID})
	h.ok(err)
	h.ok(h.desk.Tick(ctx))
	if h.standing(taro, old.ID) != token.Active {
		t.Fatal("the old token ended before the new one's first code")
	}
	step := next.StepAt(h.now())
	h.update(authn.Keys{Accounts: []authn.AccountID{taro}}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Event: &authn.Event{At: h.now(), Kind: authn.LoginEvent, Account: taro, Verdict: authn.Accept, Reason: authn.OK, Token: next.ID, Step: step,
			Burnt: []authn.Burnt{{Token: next.ID, Last: step, Activated: true}}}}, nil
	})
	h.ok(h.desk.Tick(ctx))
	if h.standing(taro, old.ID) != token.Revoked || h.standing(taro, next.ID) != token.Active {
		t.Errorf("old %v, new %v", h.standing(taro, old.ID), h.standing(taro, next.ID))
	}
	acts := len(h.acts())
	h.ok(h.desk.Tick(ctx))
	if len(h.acts()) != acts {
		t.Error("it ended twice")
	}
}
