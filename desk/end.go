package desk

import (
	"context"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// Suspend stops a token for a while: a person one of their own, operators anybody's.
func (d *Desk) Suspend(ctx context.Context, a Actor, account authn.AccountID, id token.ID) (Done, error) {
	return Done{}, errLater
}

// ReportLost stops a token that is lost or stolen; the person may resume it for a time, then it is revoked (P3).
func (d *Desk) ReportLost(ctx context.Context, a Actor, account authn.AccountID, id token.ID, stolen bool) (Done, error) {
	return Done{}, errLater
}

// Resume ends a suspension; a person needs a code of that token, operators give none.
func (d *Desk) Resume(ctx context.Context, a Actor, account authn.AccountID, id token.ID, code authn.Secret) (Done, error) {
	return Done{}, errLater
}

// Revoke ends chosen holds, all or none (O2).
func (d *Desk) Revoke(ctx context.Context, a Actor, r life.Revocation) (Done, error) {
	return Done{}, errLater
}

// RevokeAll ends a token for everybody who holds it (O2). confirmed is how many users the operator agreed to; it counts above
// the rules' AskAbove.
func (d *Desk) RevokeAll(ctx context.Context, a Actor, id token.ID, confirmed int) (Done, error) {
	return Done{}, errLater
}

// RevokeLost ends a token for everybody who holds it, for good: why is life.WhyLost, WhyStolen or WhyBroken (O5).
func (d *Desk) RevokeLost(ctx context.Context, a Actor, id token.ID, why life.Why) (Done, error) {
	return Done{}, errLater
}

// SelfReset ends the software tokens that a person says they no longer have (Y1); nil means all of them. A link made
// afterwards with [LinkOrder].Again registers the next one.
func (d *Desk) SelfReset(ctx context.Context, a Actor, ids []token.ID) (Done, error) {
	return Done{}, errLater
}

// Undo takes revocations back as far as it goes and names what it could not restore (S9).
func (d *Desk) Undo(ctx context.Context, a Actor, all []life.Chosen) (Done, []life.Undone, error) {
	return Done{}, nil, errLater
}

// Waive ends a cooldown early (O4).
func (d *Desk) Waive(ctx context.Context, a Actor, account authn.AccountID) (Done, error) {
	return Done{}, errLater
}
