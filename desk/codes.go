package desk

import (
	"context"
	"time"

	"sekisho/authn"
)

// TemporaryView is a set of temporary codes; never a code (P6).
type TemporaryView struct {
	Until time.Time // zero: there is no set
	Most  int
	Used  int
	By    string // who gave them
}

// GiveTemporary begins a set of temporary codes. until zero is the site's default.
func (d *Desk) GiveTemporary(ctx context.Context, a Actor, account authn.AccountID, until time.Time) (TemporaryView, error) {
	return TemporaryView{}, errLater
}

// ShowTemporary draws the next code of the actor's own set and gives it; the one shown before is void.
func (d *Desk) ShowTemporary(ctx context.Context, a Actor) (code authn.Secret, v TemporaryView, err error) {
	return code, v, errLater
}

// EndTemporary ends the set.
func (d *Desk) EndTemporary(ctx context.Context, a Actor, account authn.AccountID) (Done, error) {
	return Done{}, errLater
}

// SetRecovery draws the actor's own recovery code, in place of the one before, and gives it, to be printed once.
func (d *Desk) SetRecovery(ctx context.Context, a Actor) (code authn.Secret, err error) {
	return code, errLater
}

// Recover gives temporary codes for the recovery code as typed, and the next recovery code in its place.
func (d *Desk) Recover(ctx context.Context, a Actor, typed authn.Secret) (next authn.Secret, v TemporaryView, err error) {
	return next, v, errLater
}

// GiveFirstLogin gives somebody who never had a token a code for one login. attributes names the set that the reply is
// limited to; empty: none. until zero is the site's default.
func (d *Desk) GiveFirstLogin(ctx context.Context, a Actor, account authn.AccountID, attributes string, until time.Time) (code authn.Secret, ends time.Time, err error) {
	return code, ends, errLater
}
