package desk

import (
	"context"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// Grant gives a token of the stock to a user: in service at once (life.Assign) or waiting for its first right code
// (life.Reserve). share lets a token that others hold be held by one more.
func (d *Desk) Grant(ctx context.Context, a Actor, verb life.Verb, account authn.AccountID, id token.ID, share bool) (Done, error) {
	return Done{}, errLater
}

// Register brings a hardware token into service by its serial and a code (O7), and tells which one it was.
func (d *Desk) Register(ctx context.Context, a Actor, account authn.AccountID, serial string, code authn.Secret) (token.ID, Done, error) {
	return 0, Done{}, errLater
}

// Defer puts the registration of a token that waits off (O8).
func (d *Desk) Defer(ctx context.Context, a Actor, account authn.AccountID, id token.ID) (Done, error) {
	return Done{}, errLater
}

// EnrolOrder is a software token to be made.
type EnrolOrder struct {
	Account  authn.AccountID
	Name     string       // what the owner calls the device; may be empty
	Digits   int          // 6 or 8; 0: 6
	Replaces []token.ID   // devices that end with the first right code
	By       token.ID     // of a person who adds a device (K11): the working token that proves it
	Code     authn.Secret // of it
}

// Enrol makes a software token that waits for its first right code.
func (d *Desk) Enrol(ctx context.Context, a Actor, o EnrolOrder) (SecretView, error) {
	return SecretView{}, errLater
}

// Confirm puts a token that waits into service by a right code, which is burnt.
func (d *Desk) Confirm(ctx context.Context, a Actor, account authn.AccountID, id token.ID, code authn.Secret) (Done, error) {
	return Done{}, errLater
}

// Pair makes the first right code of a token that waits end other tokens of the same user (O9).
func (d *Desk) Pair(ctx context.Context, a Actor, account authn.AccountID, id token.ID, old []token.ID) (Done, error) {
	return Done{}, errLater
}

// Rename changes what the owner calls a device.
func (d *Desk) Rename(ctx context.Context, a Actor, account authn.AccountID, id token.ID, name string) (Done, error) {
	return Done{}, errLater
}
