package desk

import (
	"context"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// Test tells whether a token works (V1); name is its serial or credential ID. An actor without an account is somebody who is
// not signed in.
func (d *Desk) Test(ctx context.Context, a Actor, name string, code authn.Secret) (life.Verdict, error) {
	return 0, errLater
}

// Resync finds a token by two of its codes in a row and follows it from there (V2).
func (d *Desk) Resync(ctx context.Context, a Actor, name string, first, second authn.Secret) (Done, error) {
	return Done{}, errLater
}

// ResetDrift makes a token's clock the site's again.
func (d *Desk) ResetDrift(ctx context.Context, a Actor, id token.ID) (Done, error) {
	return Done{}, errLater
}

// SelfUnlock lets a signed-in person end misses in a row and waits by two right codes in a row of a working token.
func (d *Desk) SelfUnlock(ctx context.Context, a Actor, id token.ID, first, second authn.Secret) (Done, error) {
	return Done{}, errLater
}
