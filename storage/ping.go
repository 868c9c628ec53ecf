package storage

import (
	"context"
	"errors"
	"time"

	"sekisho/authn"
)

// Ping sends an empty transaction through the committer and waits for its commit. nil means that the committer works;
// [ErrFault] that it has told why it does not, and tries to recover; the error of ctx that it gave no answer, so that
// something in it or in the disk hangs. It waits for a place where the queue is full.
func (db *DB) Ping(ctx context.Context) error {
	answer := make(chan error, 1)
	for {
		err := db.enqueue(&entry{done: func(err error) { answer <- err }})
		if !errors.Is(err, authn.ErrBusy) {
			if err != nil {
				return err
			}
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
