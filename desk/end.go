package desk

import (
	"context"
	"slices"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// plain is a rule that needs nothing but act and state.
func plain(rule func(life.Act, life.State) (life.Change, *life.Refusal)) func(*table) (life.Change, *life.Refusal, error) {
	return func(t *table) (life.Change, *life.Refusal, error) {
		c, no := rule(t.act, t.state)
		return c, no, nil
	}
}

// about is an act on one account and, where id is not zero, one token.
func about(a Actor, what string, account authn.AccountID, id token.ID) order {
	o := order{Actor: a, what: what, accounts: []authn.AccountID{account}}
	if id != 0 {
		o.tokens = []token.ID{id}
	}
	return o
}

// Suspend stops a token for a while: a person one of their own, operators anybody's.
func (d *Desk) Suspend(ctx context.Context, a Actor, account authn.AccountID, id token.ID) (Done, error) {
	o := about(a, "assignment.suspend", account, id)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.Suspend(s, life.AccountID(account), id)
	})
	return d.do(ctx, o)
}

// ReportLost stops a token that is lost or stolen; the person may resume it for a time, then it is revoked (P3).
func (d *Desk) ReportLost(ctx context.Context, a Actor, account authn.AccountID, id token.ID, stolen bool) (Done, error) {
	o := about(a, "assignment.report-lost", account, id)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.ReportLost(s, life.AccountID(account), id, stolen)
	})
	return d.do(ctx, o)
}

// Resume ends a suspension; a person needs a code of that token, operators give none.
func (d *Desk) Resume(ctx context.Context, a Actor, account authn.AccountID, id token.ID, code authn.Secret) (Done, error) {
	o := about(a, "assignment.resume", account, id)
	o.codes = a.By == life.ByPerson
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.Resume(t.state, life.AccountID(account), id, typed(code))
		if o.codes {
			c, no = t.afford(account, id, t.act.Rules.Login, c, no)
		}
		return c, no, nil
	}
	return d.do(ctx, o)
}

// Revoke ends chosen holds, all or none (O2).
func (d *Desk) Revoke(ctx context.Context, a Actor, r life.Revocation) (Done, error) {
	o := order{Actor: a, what: "assignment.revoke", accounts: holdersOf(r.Holds)}
	for _, c := range r.Holds {
		o.tokens = append(o.tokens, c.Token)
	}
	if a.Account != 0 && a.By != life.ByPerson { // whether their own last token ends counts (O10)
		o.accounts = append(o.accounts, a.Account)
	}
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) { return act.Revoke(s, r) })
	return d.do(ctx, o)
}

func holdersOf(all []life.Chosen) (accounts []authn.AccountID) {
	for _, c := range all {
		if id := authn.AccountID(c.Account); !slices.Contains(accounts, id) {
			accounts = append(accounts, id)
		}
	}
	return accounts
}

// RevokeAll ends a token for everybody who holds it (O2). confirmed is how many users the operator agreed to; it counts above
// the rules' AskAbove.
func (d *Desk) RevokeAll(ctx context.Context, a Actor, id token.ID, confirmed int) (Done, error) {
	o := order{Actor: a, what: "assignment.revoke", everyone: []token.ID{id}}
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		all := life.AllHolders(s, id)
		if len(all) == 0 {
			return life.Change{}, &life.Refusal{Code: life.NotAssigned, About: labelIn(s, id)}
		}
		return act.Revoke(s, life.Revocation{Holds: all, Confirmed: confirmed})
	})
	return d.do(ctx, o)
}

func labelIn(s life.State, id token.ID) string {
	for i := range s.Tokens {
		if s.Tokens[i].ID == id && s.Tokens[i].Serial != "" {
			return s.Tokens[i].Serial
		}
	}
	return id.String()
}

// RevokeLost ends a token for everybody who holds it, for good: why is life.WhyLost, WhyStolen or WhyBroken (O5).
func (d *Desk) RevokeLost(ctx context.Context, a Actor, id token.ID, why life.Why) (Done, error) {
	o := order{Actor: a, what: "assignment.revoke-lost", everyone: []token.ID{id}}
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) { return act.RevokeLost(s, id, why) })
	return d.do(ctx, o)
}

// SelfReset ends the software tokens that a person says they no longer have (Y1); nil means all of them. A link made
// afterwards with [LinkOrder].Again registers the next one.
func (d *Desk) SelfReset(ctx context.Context, a Actor, ids []token.ID) (Done, error) {
	o := order{Actor: a, what: "assignment.revoke", accounts: []authn.AccountID{a.Account}, tokens: ids}
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) { return act.SelfReset(s, ids) })
	return d.do(ctx, o)
}

// Undo takes revocations back as far as it goes and names what it could not restore (S9). Where it could restore nothing the
// refusal of the first is the error.
func (d *Desk) Undo(ctx context.Context, a Actor, all []life.Chosen) (Done, []life.Undone, error) {
	o := order{Actor: a, what: "assignment.undo", accounts: holdersOf(all)}
	for _, c := range all {
		o.tokens = append(o.tokens, c.Token)
	}
	var failed []life.Undone
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		var c life.Change
		c, failed = t.act.UndoAll(t.state, all)
		switch {
		case len(all) == 0:
			return life.Change{}, notFound(""), nil
		case len(failed) == len(all):
			return life.Change{}, &failed[0].Refusal, nil
		}
		return c, nil, nil
	}
	done, err := d.do(ctx, o)
	return done, failed, err
}

// Waive ends a cooldown early (O4).
func (d *Desk) Waive(ctx context.Context, a Actor, account authn.AccountID) (Done, error) {
	o := about(a, "cooldown.waive", account, 0)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.Waive(s, life.AccountID(account))
	})
	return d.do(ctx, o)
}
