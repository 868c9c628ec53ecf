package storage

import (
	"context"
	"slices"

	"sekisho/authn"
)

// Noticed gives durable events behind seq that owe notices, oldest first and without personal parts, texts or the state of
// tokens, and the number up to which it looked: go on from there. It looks at a bounded part of the journal, and returns seq
// itself where nothing is behind it.
func (db *DB) Noticed(ctx context.Context, seq uint64) (owing []authn.Event, upTo uint64, err error) {
	read, err := db.reader()
	if err != nil {
		return nil, seq, err
	}
	upTo = seq
	var ev authn.Event
	_, err = db.readJournal(ctx, read, coresColumns, seq+1, db.committed.Load(), journalChunk, false, func(r *journalRow) error {
		return r.eachInPlace(&ev, func() {
			if ev.Seq <= seq {
				return
			}
			upTo = ev.Seq
			if len(ev.Notices) > 0 {
				owing = append(owing, authn.Event{Seq: ev.Seq, At: ev.At, Kind: ev.Kind, Account: ev.Account, Verdict: ev.Verdict, Reason: ev.Reason,
					Token: ev.Token, Step: ev.Step, Notices: slices.Clone(ev.Notices), Guard: ev.Guard, GuardSet: ev.GuardSet})
			}
		})
	})
	return owing, upTo, err
}
