package storage

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// Keep says how long what is kept (S25). Events younger than a day are never touched.
type Keep struct {
	Events  time.Duration // events as a whole, and accounting records
	Origins time.Duration // addresses and stations of events; whom accounting records name
}

// nobodyLife is how long the name of nobody is kept as it was typed: people type passwords there.
const nobodyLife = 24 * time.Hour

// Kept says what one pass of [DB.Retain] did.
type Kept struct {
	Hashed   int    // names of nobody that are hashes now
	Origins  int    // events that lost address and station
	Cut      uint64 // newest event that was removed by this pass; 0: none was
	Sessions int    // accounting records that were removed
}

// keeping is how far retention has come: the row of its table.
type keeping struct {
	cut            uint64
	link           []byte
	cutAt          int64
	names, origins uint64
	sessions       int64
}

func (k *keeping) write(s *secrets) write {
	return write{keepingStmt, []any{int64(k.cut), k.link, k.cutAt, k.mac(s), int64(k.names), int64(k.origins), k.sessions}}
}

// mac signs where the journal begins, so that nobody else can cut it.
func (k *keeping) mac(s *secrets) []byte {
	var b [16]byte
	binary.BigEndian.PutUint64(b[0:], k.cut)
	binary.BigEndian.PutUint64(b[8:], uint64(k.cutAt))
	return s.mac(nil, &s.cut, b[:], k.link)
}

// keeping reads the row; the zero value where no pass was made yet.
func (db *DB) keeping(ctx context.Context, q querier) (keeping, error) {
	k := keeping{link: []byte{}}
	err := each(ctx, q, "select cut, cut_link, cut_at, cut_mac, names, origins, sessions from keeping where id = 1", func(rows *sql.Rows) error {
		var mac []byte
		if err := rows.Scan(&k.cut, &k.link, &k.cutAt, &mac, &k.names, &k.origins, &k.sessions); err != nil {
			return err
		}
		if k.link == nil {
			k.link = []byte{} // as an empty one is read
		}
		if !bytes.Equal(mac, k.mac(db.secrets)) {
			return fmt.Errorf("%w at its beginning: where it was cut is not signed by this store", ErrChain)
		}
		return nil
	})
	if err != nil {
		return k, fmt.Errorf("reading where the journal begins: %w", err)
	}
	return k, nil
}

// begins gives the link before the first row of the journal; nil where nothing was cut.
func (k *keeping) begins() []byte {
	if len(k.link) == 0 {
		return nil
	}
	return k.link
}

// Retain removes what is older than keep says, as of now, in short transactions while logins go on; last steps, tombstones
// and whatever a start needs stay. The journal is cut behind a row whose link is signed, and the chain is verified from there
// on. A pass that ends early goes on with the next.
func (db *DB) Retain(ctx context.Context, keep Keep, now time.Time) (Kept, error) {
	db.passes.Lock()
	defer db.passes.Unlock()
	var done Kept
	read, err := db.reader()
	if err != nil {
		return done, err
	}
	k, err := db.keeping(ctx, read)
	if err != nil {
		return done, err
	}
	k.names, k.origins = max(k.names, k.cut), max(k.origins, k.cut)
	day := now.Add(-24 * time.Hour)
	older := func(life time.Duration) time.Time {
		if t := now.Add(-life); t.Before(day) {
			return t
		}
		return day
	}
	if done.Hashed, err = db.hashNames(ctx, &k, older(nobodyLife)); err != nil {
		return done, fmt.Errorf("hashing names of nobody: %w", err)
	}
	if done.Origins, err = db.dropOrigins(ctx, &k, older(keep.Origins)); err != nil {
		return done, fmt.Errorf("removing addresses: %w", err)
	}
	if err := db.emptySessions(ctx, &k, older(keep.Origins)); err != nil {
		return done, err
	}
	if done.Sessions, err = db.dropSessions(ctx, older(keep.Events)); err != nil {
		return done, err
	}
	if done.Cut, err = db.cut(ctx, &k, older(keep.Events)); err != nil {
		return done, fmt.Errorf("cutting the journal: %w", err)
	}
	if done != (Kept{}) {
		if err := db.emptyWAL(ctx); err != nil {
			db.log.Info("the log of the database still holds what was removed, sealed, until it is written over", "error", oneLine(err))
		}
	}
	return done, nil
}

// lastBefore is the newest event of the rows that lie, one after the other behind an event, before a moment.
func (db *DB) lastBefore(ctx context.Context, after uint64, at time.Time) (uint64, error) {
	read, err := db.reader()
	if err != nil {
		return 0, err
	}
	var last uint64
	err = each(ctx, read, fmt.Sprintf(`select coalesce((select first_seq - 1 from journal where first_seq > %d and at >= %d order by first_seq limit 1), (select seq from meta), 0)`,
		after, at.UnixMicro()), func(rows *sql.Rows) error { return rows.Scan(&last) })
	return last, err
}

func (db *DB) hashNames(ctx context.Context, k *keeping, before time.Time) (int, error) {
	upTo, err := db.lastBefore(ctx, k.names, before)
	if err != nil {
		return 0, err
	}
	return db.rewrite(ctx, k.names, upTo, func(ev *authn.Event, part []byte) ([]byte, bool, error) {
		if ev.Account != 0 || ev.Kind != authn.LoginEvent {
			return nil, false, nil
		}
		p, err := decodePersonal(part)
		if err != nil || len(p.Name) == 0 {
			return nil, false, err
		}
		p.Hashed, p.Name = db.secrets.nobodysName(p.Name), nil
		out, err := appendReduced(nil, &p)
		return out, true, err
	}, func(through uint64) []write {
		k.names = through
		return []write{k.write(db.secrets)}
	}, nil)
}

func (db *DB) dropOrigins(ctx context.Context, k *keeping, before time.Time) (int, error) {
	upTo, err := db.lastBefore(ctx, k.origins, before)
	if err != nil {
		return 0, err
	}
	return db.rewrite(ctx, k.origins, upTo, func(_ *authn.Event, part []byte) ([]byte, bool, error) {
		p, err := decodePersonal(part)
		if err != nil || !p.Source.IsValid() && len(p.Station) == 0 {
			return nil, false, err
		}
		out, err := appendReduced(nil, &authn.Personal{Name: p.Name, Hashed: p.Hashed})
		return out, true, err
	}, func(through uint64) []write {
		k.origins = through
		return []write{k.write(db.secrets)}
	}, nil)
}

func (db *DB) emptySessions(ctx context.Context, k *keeping, before time.Time) error {
	err := db.eachSession(ctx, k.sessions, before.UnixMicro(), func(s *sessionKey, personal []byte) ([]write, error) {
		if len(personal) == 0 {
			return nil, nil
		}
		return []write{{sessionPeopleStmt, s.args()}}, nil
	})
	if err != nil || before.UnixMicro() <= k.sessions {
		return err
	}
	k.sessions = before.UnixMicro()
	return db.commitWrites(ctx, nil, k.write(db.secrets))
}

func (db *DB) dropSessions(ctx context.Context, before time.Time) (n int, err error) {
	err = db.eachSession(ctx, 0, before.UnixMicro(), func(s *sessionKey, _ []byte) ([]write, error) {
		n++
		return []write{{sessionDropStmt, s.args()}}, nil
	})
	return n, err
}

// cut removes the rows before a moment, as far as the rows of accounts and tokens hold what they did. The chain goes on from
// the event of the cut at least, which is written together with the first rows that go.
func (db *DB) cut(ctx context.Context, k *keeping, before time.Time) (uint64, error) {
	upTo, err := db.lastBefore(ctx, k.cut, before)
	if err != nil || upTo <= k.cut {
		return 0, err
	}
	read, err := db.reader()
	if err != nil {
		return 0, err
	}
	var flushed uint64
	if err := each(ctx, read, "select flushed from meta", func(rows *sql.Rows) error { return rows.Scan(&flushed) }); err != nil {
		return 0, err
	}
	upTo = min(upTo, flushed)
	act := &authn.Event{At: db.now(), Kind: authn.ActEvent, Act: "audit.cut", Actor: "sekisho", Step: token.NoStep,
		Detail: fmt.Sprintf("events before %s, up to event %d at most", before.UTC().Format(time.RFC3339), upTo)}
	for was := k.cut; ; act = nil {
		begun := time.Now()
		next, first, octets := *k, uint64(0), 0
		_, err := db.readJournal(ctx, read, journalColumns, k.cut+1, upTo, passRows, false, func(r *journalRow) error {
			if octets > passOctets || r.last() > upTo || r.first <= k.cut {
				return nil
			}
			octets += len(r.cores) + len(r.personal)
			first, next.cut, next.link, next.cutAt = r.first, r.last(), bytes.Clone(r.chain), r.at
			return nil
		})
		if err != nil || first == 0 {
			if k.cut == was {
				return 0, err
			}
			return k.cut, err
		}
		if err := db.commitWrites(ctx, act, next.write(db.secrets), write{cutStmt, []any{int64(first)}}); err != nil {
			return 0, err
		}
		*k = next
		if err := pause(ctx, time.Since(begun)); err != nil {
			return k.cut, err
		}
	}
}
