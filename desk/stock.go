package desk

import (
	"context"
	"time"

	"sekisho/token"
)

// Retire destroys a token of the stock that is broken or lost there.
func (d *Desk) Retire(ctx context.Context, a Actor, id token.ID) (Done, error) {
	return Done{}, errLater
}

// Extend moves the expiry of tokens ahead, all or none (P11).
func (d *Desk) Extend(ctx context.Context, a Actor, ids []token.ID, to time.Time) (Done, error) {
	return Done{}, errLater
}

// Reserve keeps tokens of the stock for the members of a group, who may register them by serial; "" ends that.
func (d *Desk) Reserve(ctx context.Context, a Actor, ids []token.ID, group string) (Done, error) {
	return Done{}, errLater
}
