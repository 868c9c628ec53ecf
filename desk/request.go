package desk

import (
	"context"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// RequestView is a request of a person (K5).
type RequestView struct {
	ID       uint64
	Number   string // that people read out: 1234-567
	Account  authn.AccountID
	Name     string // of the user
	Kind     life.RequestKindName
	Why      life.Why
	Tokens   []token.ID // ticked: they end when the link is made after approval
	Pledge   string     // version agreed to
	Stage    life.Stage
	Made     time.Time
	By       string    // who decided; "policy" where policy did
	Decided  time.Time // zero: it is open
	Sentence string    // of a refusal
}

// RequestOrder is a request to be made.
type RequestOrder struct {
	Account authn.AccountID
	Kind    life.RequestKindName
	Why     life.Why
	Tokens  []token.ID
	Pledge  string
}

// Apply makes a request. Where policy approves its kind by itself it is carried out at once.
func (d *Desk) Apply(ctx context.Context, a Actor, o RequestOrder) (RequestView, error) {
	return RequestView{}, errLater
}

// Request gives one by its ID; a refusal of the code not-found where there is none.
func (d *Desk) Request(ctx context.Context, id uint64) (RequestView, error) {
	return RequestView{}, errLater
}

// FindRequest gives one by the number that people read out, however it was typed.
func (d *Desk) FindRequest(ctx context.Context, number string) (RequestView, error) {
	return RequestView{}, errLater
}

// Requests lists a page. Kind is set here, and States are those of [RequestState].
func (d *Desk) Requests(ctx context.Context, q authn.RecordQuery) ([]RequestView, error) {
	return nil, errLater
}

// Approve lets a request be carried out, in one change: the ticked tokens end, and where a device is to be registered its
// link is made and mailed (P3).
func (d *Desk) Approve(ctx context.Context, a Actor, id uint64) (RequestView, Done, error) {
	return RequestView{}, Done{}, errLater
}

// Refuse turns a request down with a sentence for the person.
func (d *Desk) Refuse(ctx context.Context, a Actor, id uint64, sentence string) (RequestView, error) {
	return RequestView{}, errLater
}

// Withdraw takes an own request back.
func (d *Desk) Withdraw(ctx context.Context, a Actor, id uint64) (RequestView, error) {
	return RequestView{}, errLater
}
