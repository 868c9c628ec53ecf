package desk

import (
	"context"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// named finds the token of a serial or credential ID as people type it.
func (d *Desk) named(ctx context.Context, name string) (token.ID, error) {
	name = cleanSerial(name)
	id, err := d.Store.FindToken(ctx, name)
	if err == nil && id == 0 {
		return 0, &life.Refusal{Code: life.NoSuchToken, About: name}
	}
	return id, err
}

// Test tells whether a token works (V1); name is its serial or credential ID. An actor without an account is somebody who is
// not signed in.
func (d *Desk) Test(ctx context.Context, a Actor, name string, code authn.Secret) (life.Verdict, error) {
	id, err := d.named(ctx, name)
	if err != nil {
		return life.Unconfirmed, err
	}
	var verdict life.Verdict
	o := order{Actor: a, what: "token.test", everyone: []token.ID{id}, codes: true}
	o.rule = func(t *table) (c life.Change, no *life.Refusal, err error) {
		verdict, c, no = t.act.Test(t.state, id, typed(code))
		return c, no, nil
	}
	_, err = d.do(ctx, o)
	if err != nil {
		return life.Unconfirmed, err
	}
	return verdict, nil
}

// Resync finds a token by two of its codes in a row and follows it from there (V2).
func (d *Desk) Resync(ctx context.Context, a Actor, name string, first, second authn.Secret) (Done, error) {
	id, err := d.named(ctx, name)
	if err != nil {
		return Done{}, err
	}
	o := order{Actor: a, what: "token.resync", everyone: []token.ID{id}, codes: true}
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.Resync(t.state, id, typed(first), typed(second))
		return c, no, nil
	}
	return d.do(ctx, o)
}

// ResetDrift makes a token's clock the site's again.
func (d *Desk) ResetDrift(ctx context.Context, a Actor, id token.ID) (Done, error) {
	o := order{Actor: a, what: "token.reset-drift", tokens: []token.ID{id}}
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) { return act.ResetDrift(s, id) })
	return d.do(ctx, o)
}

// SelfUnlock lets a signed-in person end misses in a row and waits by two right codes in a row of a working token.
func (d *Desk) SelfUnlock(ctx context.Context, a Actor, id token.ID, first, second authn.Secret) (Done, error) {
	o := about(a, "assignment.self-unlock", a.Account, id)
	o.codes, o.unlocks = true, true
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		var l life.Locks
		if own := t.account(a.Account); own != nil {
			g, now := &own.Guard, t.act.Now
			l = life.Locks{Stopped: g.Stopped != 0, Rows: g.Row != [2]uint8{} || g.Waits(authn.ClassUnknown, now) || g.Waits(authn.ClassKnown, now)}
		}
		c, no := t.act.SelfUnlock(t.state, l, id, typed(first), typed(second))
		return c, no, nil
	}
	return d.do(ctx, o)
}
