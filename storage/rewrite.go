package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekisho/authn"
)

// Bounds of what a pass over the journal writes in one transaction, well under 20 ms (S8).
const (
	passRows   = 32
	passOctets = 256 << 10
)

// commitWrites has statements, and an event with them or alone, made durable in one transaction among the others, and waits
// for that.
func (db *DB) commitWrites(ctx context.Context, ev *authn.Event, writes ...write) error {
	for {
		done := make(chan error, 1)
		e := &entry{}
		var err error
		if ev != nil {
			if e, err = newEntry(ev, nil); err != nil {
				return fmt.Errorf("writing an event: %w", err)
			}
		}
		e.writes, e.done = writes, func(err error) { done <- err }
		err = db.enqueue(e)
		if errors.Is(err, authn.ErrBusy) { // logins go first
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		return <-done // what was queued is always answered
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// verdictOn is what a pass does with one personal part: the part that takes its place, when changed is set.
type verdictOn func(ev *authn.Event, part []byte) (instead []byte, changed bool, err error)

// rewrite goes through the personal parts of the events after..upTo, oldest first, and puts others in their place, a few rows
// in one transaction with what along gives for the events up to there. It rests as long as it works. The caller holds
// db.passes. changed counts parts; progress, which may be nil, is told the newest event that was looked at.
func (db *DB) rewrite(ctx context.Context, after, upTo uint64, decide verdictOn, along func(through uint64) []write, progress func(through uint64)) (changed int, err error) {
	read, err := db.reader()
	if err != nil {
		return 0, err
	}
	for after < upTo {
		begun := time.Now()
		var writes []write
		octets, through, parts := 0, after, 0
		n, err := db.readJournal(ctx, read, journalColumns, after+1, upTo, passRows, false, func(r *journalRow) error {
			if octets > passOctets || r.last() <= after {
				return nil
			}
			through = r.last()
			if len(r.personal) == 0 {
				return nil
			}
			n, sealed, err := db.rewriteRow(r, decide)
			if n > 0 && err == nil {
				writes = append(writes, write{personalStmt, []any{sealed, int64(r.first)}})
				octets, parts = octets+len(sealed), parts+n
			}
			return err
		})
		if err != nil {
			return changed, err
		}
		if n == 0 || through == after {
			through = upTo
		}
		if along != nil {
			writes = append(writes, along(through)...)
		}
		if len(writes) > 0 {
			if err := db.commitWrites(ctx, nil, writes...); err != nil {
				return changed, err
			}
		}
		after, changed = through, changed+parts
		if progress != nil {
			progress(through)
		}
		if err := pause(ctx, time.Since(begun)); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// rewriteRow gives the sealed personal parts of a row after a pass; n is how many are others.
func (db *DB) rewriteRow(r *journalRow, decide verdictOn) (n int, sealed []byte, err error) {
	people, err := r.people(db.secrets)
	if err != nil {
		return 0, nil, err
	}
	var out []byte
	var ev authn.Event
	i := 0
	var fault error
	err = r.eachInPlace(&ev, func() {
		part := people[i]
		i++
		if len(part) > 0 && fault == nil {
			instead, changed, err := decide(&ev, part)
			if err != nil {
				fault = fmt.Errorf("event %d: %w", ev.Seq, err)
			} else if changed {
				part, n = instead, n+1
			}
		}
		out = appendFramed(out, part)
	})
	if err = errors.Join(err, fault); err != nil || n == 0 {
		return 0, nil, err
	}
	sealed, err = db.secrets.seal("journal", r.first, out)
	return n, sealed, err
}

// emptyWAL moves the WAL into the file and cuts it to nothing, so that what was overwritten does not stay in it. Where a reader
// is in the way it is tried again; the next checkpoint does it in the end.
func (db *DB) emptyWAL(ctx context.Context) error {
	for try := 1; ; try++ {
		err := db.onCommitter(ctx, func() error {
			conn := db.file.conn
			if _, err := conn.ExecContext(ctx, "pragma busy_timeout = 0"); err != nil {
				return err
			}
			defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "pragma busy_timeout = 5000") }()
			return db.file.checkpoint(ctx)
		})
		if err == nil || try == 20 || ctx.Err() != nil {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
