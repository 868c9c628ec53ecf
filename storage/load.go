package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// verdictLife is how long before a start an answered request is still told apart from a new one (S17).
const verdictLife = 60 * time.Second

// load reads rows and journal into a new state: the rows as they were last brought up to date, then every later event by
// the same functions that apply it live. It checks the chain over what it replays and leaves the head in db.head.
func (db *DB) load(ctx context.Context, m meta) (*state, error) {
	st := newState()
	steps := []struct {
		what, query string
		row         func(*sql.Rows) error
	}{
		{"tombstones", "select fingerprint, last from tombstone", func(rows *sql.Rows) error {
			var fp []byte
			var last int64
			if err := rows.Scan(&fp, &last); err != nil {
				return err
			}
			if len(fp) != 16 {
				return errCodec
			}
			st.tombstones[[16]byte(fp)] = last
			return nil
		}},
		{"tokens", "select " + tokenColumns + " from token where " + visible, func(rows *sql.Rows) error {
			t, seq, err := scanToken(rows)
			if err != nil {
				return err
			}
			st.putToken(t).seq = seq
			if t.Mode == token.TOTP && t.Last != token.NoStep {
				st.newest = max(st.newest, t.Last*int64(t.Period))
			}
			return nil
		}},
		{"accounts", "select " + accountColumns + " from account where " + visible, func(rows *sql.Rows) error {
			a, seq, err := scanAccount(rows)
			if err != nil {
				return err
			}
			st.putAccount(a).seq = seq
			return nil
		}},
		{"grants", fmt.Sprintf("select g.account, g.holds, b.seq from batch_grant g join batch b on b.id = g.batch where b.live = 1 and b.seq > %d", m.flushed),
			func(rows *sql.Rows) error {
				var account, seq int64
				var holds []byte
				if err := rows.Scan(&account, &holds, &seq); err != nil {
					return err
				}
				g := authn.Grant{Account: authn.AccountID(account)}
				var err error
				if g.Holds, err = decodeAssignments(holds); err != nil {
					return err
				}
				st.grants[uint64(seq)] = append(st.grants[uint64(seq)], g)
				return nil
			}},
		{"ratchets", "select client, address, since from ratchet", func(rows *sql.Rows) error {
			var k ratchetKey
			var since int64
			if err := rows.Scan(&k.client, &k.address, &since); err != nil {
				return err
			}
			st.ratchets[k] = since
			return nil
		}},
	}
	for _, s := range steps {
		if err := each(ctx, db.file.conn, s.query, s.row); err != nil {
			return nil, fmt.Errorf("loading %s: %w", s.what, err)
		}
	}
	err := db.replay(ctx, st, m)
	st.grants = nil
	return st, err
}

func each(ctx context.Context, q querier, query string, f func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// replay applies the events that rows do not hold yet (S8) and collects the States spent lately. It goes back further
// than the rows need, to the States' life, so that the chain's tail is checked at each start even after a clean stop.
func (db *DB) replay(ctx context.Context, st *state, m meta) error {
	since := db.now().Add(-nonceLife)
	from := m.flushed + 1
	before, err := db.file.rowBefore(ctx, since)
	if err != nil {
		return err
	}
	from = min(from, before)
	check := chainCheck{secrets: db.secrets}
	begun := false
	for {
		n, err := db.readJournal(ctx, db.file.conn, max(from, check.next), 1<<63-1, 1024, false, func(r *journalRow) error {
			if r.last() < check.next {
				return nil
			}
			if !begun {
				// The link before the first row read is taken as it stands; the whole chain is VerifyChain's to check.
				begun = true
				head, err := db.linkBefore(ctx, r.first)
				if err != nil {
					return err
				}
				check.head = head
			}
			if err := check.row(r); err != nil {
				return err
			}
			events, _, err := r.events()
			if err != nil {
				return err
			}
			for i := range events {
				st.replayEvent(&events[i], since)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("replaying the journal: %w", err)
		}
		if n < 1024 {
			break
		}
	}
	if check.next > 0 && check.next-1 != m.seq {
		return fmt.Errorf("%w: the journal ends at event %d and the database says %d", ErrChain, check.next-1, m.seq)
	}
	if check.next == 0 && m.seq > m.flushed {
		return fmt.Errorf("%w: the journal is empty and the database says it ends at event %d", ErrChain, m.seq)
	}
	db.head = check.head
	return nil
}

// rowBefore finds the last journal row from before a moment, reading from the end; 0 when there is none.
func (f *file) rowBefore(ctx context.Context, at time.Time) (uint64, error) {
	var first uint64
	err := f.conn.QueryRowContext(ctx, `select first_seq from journal where at < ? order by first_seq desc limit 1`, at.UnixMicro()).Scan(&first)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("reading the journal: %w", err)
	}
	return first, nil
}

func (db *DB) linkBefore(ctx context.Context, first uint64) ([]byte, error) {
	var head []byte
	rows, err := db.file.read.QueryContext(ctx, `select link from journal where first_seq < ? order by first_seq desc limit 1`, clampSeq(first))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		if err := rows.Scan(&head); err != nil {
			return nil, err
		}
	}
	return head, rows.Err()
}

// replayEvent applies one event to rows older than it.
func (st *state) replayEvent(ev *authn.Event, since time.Time) {
	if e := st.accounts[ev.Account]; e != nil && e.seq < ev.Seq && touchesAccount(ev) {
		accountAfter(e.a, ev)
		st.touchAccount(e, ev.Seq)
	}
	for _, g := range st.grants[ev.Seq] {
		if e := st.accounts[g.Account]; e != nil && e.seq < ev.Seq {
			e.a.Take(g.Holds)
			st.listHolder(e.a, g.Holds)
			st.touchAccount(e, ev.Seq)
		}
	}
	for _, b := range ev.Burnt {
		e := st.tokens[b.Token]
		if e == nil || e.seq >= ev.Seq {
			continue
		}
		tokenAfter(e.t, b)
		st.noteBurnt(e.t)
		st.touchToken(e, ev.Seq)
	}
	if ev.Nonce != [12]byte{} && ev.At.After(since) {
		st.nonces.at[ev.Nonce] = ev.At.Unix()
	}
}

// answered is what a repetition after the start needs of an event. A busy minute brings a million of them, so they hold no
// pointers for the garbage collector to follow.
type answered struct {
	at      int64 // Unix microseconds
	account authn.AccountID
	token   token.ID
	verdict authn.Verdict
	reason  authn.Reason
}

// loadVerdicts remembers what was answered in the last 60 s before the start.
func (db *DB) loadVerdicts(ctx context.Context, now time.Time) error {
	since := now.Add(-verdictLife)
	verdicts := map[[16]byte]answered{}
	db.verdicts.Store(&verdicts)
	from, err := db.file.rowBefore(ctx, since)
	if err != nil {
		return err
	}
	for {
		n, err := db.readJournal(ctx, db.file.conn, from, 1<<63-1, 1024, false, func(r *journalRow) error {
			events, _, err := r.events()
			if err != nil {
				return err
			}
			for i := range events {
				ev := &events[i]
				if ev.Kind == authn.LoginEvent && ev.Digest != [16]byte{} && !ev.At.Before(since) {
					verdicts[ev.Digest] = answered{ev.At.UnixMicro(), ev.Account, ev.Token, ev.Verdict, ev.Reason}
				}
			}
			from = r.last() + 1
			return nil
		})
		if err != nil {
			return err
		}
		if n < 1024 {
			return nil
		}
	}
}
