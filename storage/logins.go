package storage

import (
	"bytes"
	"context"
	"iter"
	"time"

	"sekisho/authn"
)

// LoginFilter narrows a listing of events; zero fields narrow nothing.
type LoginFilter struct {
	Account authn.AccountID
	Name    []byte // as typed, for attempts that found no account
	Client  string
	Reason  authn.Reason
	Acts    bool      // acts of the life cycle too
	Since   time.Time // oldest wanted
	Before  uint64    // number of the oldest event of the page before; 0: from the newest
	Limit   int       // at most 1000; 0 stands for 100
}

// journalChunk is how many rows one short read of a listing takes.
const journalChunk = 64

// Logins lists events, newest first, with their personal parts where those were not erased.
func (db *DB) Logins(ctx context.Context, f LoginFilter) ([]authn.Event, error) {
	read, err := db.reader()
	if err != nil {
		return nil, err
	}
	limit := pageSize(f.Limit)
	to := db.committed.Load()
	if f.Before > 0 {
		to = min(to, f.Before-1)
	}
	var page []authn.Event
	ended := false
	for to > 0 && !ended && len(page) < limit {
		n, err := db.readJournal(ctx, read, journalColumns, 0, to, journalChunk, true, func(r *journalRow) error {
			if len(page) >= limit || ended {
				return nil
			}
			events, _, err := r.events()
			if err != nil {
				return err
			}
			var people [][]byte
			for i := len(events) - 1; i >= 0 && len(page) < limit; i-- {
				ev := &events[i]
				if ev.Seq > to || !f.fitsCore(ev) {
					continue
				}
				if people == nil {
					if people, err = r.people(db.secrets); err != nil {
						return err
					}
				}
				if ev.Personal, err = personOf(people[i]); err != nil {
					return err
				}
				if f.Name == nil || bytes.Equal(f.Name, ev.Personal.Name) || ev.Personal.Hashed == db.secrets.nobodysName(f.Name) {
					page = append(page, *ev)
				}
			}
			to = r.first - 1
			ended = !f.Since.IsZero() && r.at < f.Since.UnixMicro()
			return nil
		})
		if err != nil {
			return nil, err
		}
		if n < journalChunk {
			break
		}
	}
	return page, nil
}

func (f *LoginFilter) fitsCore(ev *authn.Event) bool {
	return (f.Acts || ev.Kind == authn.LoginEvent) && (f.Account == 0 || f.Account == ev.Account) &&
		(f.Client == "" || f.Client == ev.Client) && (f.Reason == 0 || f.Reason == ev.Reason) &&
		(f.Since.IsZero() || !ev.At.Before(f.Since))
}

// personOf reads one personal part; an erased or absent one is zero.
func personOf(record []byte) (authn.Personal, error) {
	if len(record) == 0 {
		return authn.Personal{}, nil
	}
	return decodePersonal(record)
}

// Follow gives every event after seq, and then each one as it becomes durable, until ctx ends. After an error, which ctx's
// end is not, the sequence ends; start again from the last number seen.
func (db *DB) Follow(ctx context.Context, seq uint64) iter.Seq2[authn.Event, error] {
	return func(yield func(authn.Event, error) bool) {
		for ctx.Err() == nil {
			more := db.watch.next()
			var batch []authn.Event
			read, err := db.reader()
			if err == nil {
				_, err = db.readJournal(ctx, read, journalColumns, seq+1, 1<<63-1, journalChunk, false, func(r *journalRow) error {
					events, _, err := r.events()
					if err != nil {
						return err
					}
					people, err := r.people(db.secrets)
					if err != nil {
						return err
					}
					for i := range events {
						if events[i].Seq <= seq {
							continue
						}
						if events[i].Personal, err = personOf(people[i]); err != nil {
							return err
						}
						batch = append(batch, events[i])
					}
					return nil
				})
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(authn.Event{}, err)
				return
			}
			for _, ev := range batch {
				seq = ev.Seq
				if !yield(ev, nil) {
					return
				}
			}
			if len(batch) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-db.stopped:
				return
			case <-more:
			}
		}
	}
}

// Cores gives the events numbered from..to without their personal parts, newest first, until f says no or ctx ends. An event
// is valid only within its call.
func (db *DB) Cores(ctx context.Context, from, to uint64, f func(*authn.Event) bool) error {
	read, err := db.reader()
	if err != nil {
		return err
	}
	to = min(to, db.committed.Load())
	for more := true; more && to >= from && to > 0; {
		n, err := db.readJournal(ctx, read, journalColumns, from, to, journalChunk, true, func(r *journalRow) error {
			if !more {
				return nil
			}
			events, _, err := r.events()
			if err != nil {
				return err
			}
			for i := len(events) - 1; i >= 0 && more; i-- {
				if ev := &events[i]; ev.Seq >= from && ev.Seq <= to {
					more = f(ev)
				}
			}
			to = r.first - 1
			return nil
		})
		if err != nil {
			return err
		}
		more = more && n == journalChunk
	}
	return nil
}
