package desk

import (
	"context"
	"time"

	"sekisho/authn"
	"sekisho/life"
)

// ChoosePIN sets the PIN that a signed-in person chose (K8).
func (d *Desk) ChoosePIN(ctx context.Context, a Actor, pin authn.Secret) (Done, error) {
	key := d.Keys.Derive(authn.PINPurpose)
	o := about(a, "pin.choose", a.Account, 0)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		hash := authn.PINHash{}
		if pin.Len() > 0 { // the rules refuse an empty one in their own words
			var err error
			if hash, err = authn.HashPIN(key, a.Account, pin.Reveal()); err != nil {
				return life.Change{}, nil, err
			}
		}
		c, no := t.act.ChoosePIN(t.state, life.Typed(pin.Reveal()), life.PINHash(hash), func(old life.PINHash) bool {
			return authn.PINHash(old).Matches(key, a.Account, pin.Reveal())
		})
		return c, no, nil
	}
	return d.do(ctx, o)
}

// ForcePIN makes a person choose a new PIN at the next sign-in; from due on, if it is not zero, the old one opens nothing.
func (d *Desk) ForcePIN(ctx context.Context, a Actor, account authn.AccountID, due time.Time) (Done, error) {
	o := about(a, "pin.force-change", account, 0)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.ForcePIN(s, life.AccountID(account), unix(due))
	})
	return d.do(ctx, o)
}

// ResetPIN ends a PIN; the person chooses the next one on their own page.
func (d *Desk) ResetPIN(ctx context.Context, a Actor, account authn.AccountID) (Done, error) {
	o := about(a, "pin.reset", account, 0)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.ResetPIN(s, life.AccountID(account))
	})
	return d.do(ctx, o)
}

// unix gives the seconds of the rules, in which zero means none.
func unix(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

// instant is the reverse.
func instant(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0)
}
