package desk

import (
	"context"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// ActivationView is a link with which somebody registers devices. It never holds the link itself.
type ActivationView struct {
	ID       uint64
	Account  authn.AccountID
	Name     string // of the user
	Stage    life.Stage
	Letter   bool // it travels by letter
	Made     time.Time
	Until    time.Time // at which it lapses
	Uses     int       // devices it is good for
	Used     int
	Starts   int // starts it is good for
	Begun    int
	Sent     int // mails in the last day
	Replaces []token.ID
}

// Left is how many devices the link is still good for.
func (v *ActivationView) Left() int { return max(0, v.Uses-v.Used) }

// SecretView is a new secret on its way to its owner's app. It is shown once and logged never.
type SecretView struct {
	Token token.ID
	URI   string // otpauth
	Key   string // the secret in base32, for typing
	Label string // of the entry that the app will show, "Issuer:user (2)"
	Old   string // label of the entry that it takes the place of and that is to be deleted; empty: none
}

// StartView is what the page of an activation shows.
type StartView struct {
	SecretView
	Activation ActivationView
	Device     int       // which device of Of it is, from 1
	Of         int       // devices of the link
	Until      time.Time // until when the page shows this secret
}

// LinkOrder is a link to be made.
type LinkOrder struct {
	Account  authn.AccountID
	Letter   bool       // it is printed, lives longer and is not mailed
	Again    bool       // it follows a reset or a request: the mail says so
	Replaces []token.ID // devices that end with the first right code of the first one registered
}

// Issue makes a link for a user and mails it, unless it travels by letter. The URL comes back for letters alone; empty
// without a self-service URL.
func (d *Desk) Issue(ctx context.Context, a Actor, o LinkOrder) (v ActivationView, url string, err error) {
	return v, "", errLater
}

// FindLink gives the activation of a link's secret and changes nothing: mail scanners may ask as often as they like. A link
// that never was, or was sent again since, is a refusal of the code not-found.
func (d *Desk) FindLink(ctx context.Context, link authn.Secret) (ActivationView, error) {
	return ActivationView{}, errLater
}

// Activation gives one by its ID; a refusal of the code not-found where there is none.
func (d *Desk) Activation(ctx context.Context, id uint64) (ActivationView, error) {
	return ActivationView{}, errLater
}

// Activations lists a page. Kind is set here, and States are those of [LinkState].
func (d *Desk) Activations(ctx context.Context, q authn.RecordQuery) ([]ActivationView, error) {
	return nil, errLater
}

// Start shows a secret to one browser session; the actor is the signed-in person the link is for, with the password proven.
// The same session sees the same secret for a while; another session starts anew and voids the one before.
func (d *Desk) Start(ctx context.Context, a Actor, link, session authn.Secret) (StartView, error) {
	return StartView{}, errLater
}

// Finish brings the device of a start into service by its first right code. name is what its owner calls it; empty: nothing.
func (d *Desk) Finish(ctx context.Context, a Actor, link, session, code authn.Secret, name string) (ActivationView, Done, error) {
	return ActivationView{}, Done{}, errLater
}

// Resend sends a link again under a new secret; the old one is void. The URL comes back for letters alone.
func (d *Desk) Resend(ctx context.Context, a Actor, id uint64) (v ActivationView, url string, err error) {
	return v, "", errLater
}

// RevokeLink ends a link; devices that it registered stay.
func (d *Desk) RevokeLink(ctx context.Context, a Actor, id uint64) (ActivationView, error) {
	return ActivationView{}, errLater
}
