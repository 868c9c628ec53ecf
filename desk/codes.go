package desk

import (
	"context"
	"time"

	"sekisho/authn"
	"sekisho/life"
)

// CodePurpose is what the key of the hashes of temporary, recovery and first-login codes is derived for.
const CodePurpose = "life-codes"

// hashCode is what is kept of a code of one account.
func (d *Desk) hashCode(p life.Purpose, account authn.AccountID, code life.Typed) [32]byte {
	return life.HashCode(d.Keys.Derive(CodePurpose), p, life.AccountID(account), code)
}

// TemporaryView is a set of temporary codes; never a code (P6).
type TemporaryView struct {
	Until time.Time // zero: there is no set
	Most  int
	Used  int
	By    string // who gave them
}

// ViewTemporary gives a holder's set without its codes.
func ViewTemporary(t life.Temporary) TemporaryView {
	return TemporaryView{Until: instant(t.Until), Most: int(t.Most), Used: int(t.Spent), By: t.By}
}

// temporaryOf is the set that a change leaves.
func temporaryOf(c life.Change, account authn.AccountID) TemporaryView {
	for i := range c.Holders {
		if c.Holders[i].Account == life.AccountID(account) {
			return ViewTemporary(c.Holders[i].Temporary)
		}
	}
	return TemporaryView{}
}

// GiveTemporary begins a set of temporary codes. until zero is the site's default.
func (d *Desk) GiveTemporary(ctx context.Context, a Actor, account authn.AccountID, until time.Time) (v TemporaryView, err error) {
	o := about(a, "temporary-codes.issue", account, 0)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.GiveTemporary(t.state, life.AccountID(account), unix(until))
		v = temporaryOf(c, account)
		return c, no, nil
	}
	if _, err := d.do(ctx, o); err != nil {
		return TemporaryView{}, err
	}
	return v, nil
}

// ShowTemporary draws the next code of the actor's own set and gives it; the one shown before is void.
func (d *Desk) ShowTemporary(ctx context.Context, a Actor) (code authn.Secret, v TemporaryView, err error) {
	drawn := life.DrawDigits()
	o := about(a, "temporary-codes.show", a.Account, 0)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.ShowTemporary(t.state, d.hashCode(life.ForTemporary, a.Account, drawn))
		v = temporaryOf(c, a.Account)
		return c, no, nil
	}
	if _, err := d.do(ctx, o); err != nil {
		return authn.Secret{}, TemporaryView{}, err
	}
	return authn.NewSecret(drawn), v, nil
}

// EndTemporary ends the set.
func (d *Desk) EndTemporary(ctx context.Context, a Actor, account authn.AccountID) (Done, error) {
	o := about(a, "temporary-codes.end", account, 0)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.EndTemporary(s, life.AccountID(account))
	})
	return d.do(ctx, o)
}

// SetRecovery draws the actor's own recovery code, in place of the one before, and gives it, to be printed once.
func (d *Desk) SetRecovery(ctx context.Context, a Actor) (code authn.Secret, err error) {
	drawn := life.DrawRecovery()
	o := about(a, "recovery.set", a.Account, 0)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.SetRecovery(t.state, d.hashCode(life.ForRecovery, a.Account, drawn))
		return c, no, nil
	}
	if _, err := d.do(ctx, o); err != nil {
		return authn.Secret{}, err
	}
	return authn.NewSecret(drawn), nil
}

// Recover gives temporary codes for the recovery code as typed, and the next recovery code in its place.
func (d *Desk) Recover(ctx context.Context, a Actor, code authn.Secret) (next authn.Secret, v TemporaryView, err error) {
	drawn := life.DrawRecovery()
	o := about(a, "temporary-codes.reset", a.Account, 0)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		given := life.CleanRecovery(string(code.Reveal()))
		c, no := t.act.Recover(t.state, d.hashCode(life.ForRecovery, a.Account, given), d.hashCode(life.ForRecovery, a.Account, drawn))
		v = temporaryOf(c, a.Account)
		return c, no, nil
	}
	if _, err := d.do(ctx, o); err != nil {
		return authn.Secret{}, TemporaryView{}, err
	}
	return authn.NewSecret(drawn), v, nil
}

// GiveFirstLogin gives somebody who never had a token a code for one login. attributes names the set that the reply is
// limited to; empty: none. until zero is the site's default.
func (d *Desk) GiveFirstLogin(ctx context.Context, a Actor, account authn.AccountID, attributes string, until time.Time) (code authn.Secret, ends time.Time, err error) {
	drawn := life.DrawDigits()
	o := about(a, "first-login.issue", account, 0)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.GiveFirstLogin(t.state, life.AccountID(account), d.hashCode(life.ForFirst, account, drawn), attributes, unix(until))
		if no == nil {
			ends = instant(c.Holders[0].First.Until)
		}
		return c, no, nil
	}
	if _, err := d.do(ctx, o); err != nil {
		return authn.Secret{}, time.Time{}, err
	}
	return authn.NewSecret(drawn), ends, nil
}
