package desk

import (
	"context"
	"time"

	"sekisho/authn"
)

// ChoosePIN sets the PIN that a signed-in person chose (K8).
func (d *Desk) ChoosePIN(ctx context.Context, a Actor, pin authn.Secret) (Done, error) {
	return Done{}, errLater
}

// ForcePIN makes a person choose a new PIN at the next sign-in; from due on, if it is not zero, the old one opens nothing.
func (d *Desk) ForcePIN(ctx context.Context, a Actor, account authn.AccountID, due time.Time) (Done, error) {
	return Done{}, errLater
}

// ResetPIN ends a PIN; the person chooses the next one on their own page.
func (d *Desk) ResetPIN(ctx context.Context, a Actor, account authn.AccountID) (Done, error) {
	return Done{}, errLater
}
