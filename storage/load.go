package storage

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"sekisho/authn"
)

// verdictLife is how long before a start an answered request is still told apart from a new one (S17).
const verdictLife = 60 * time.Second

// load reads rows and journal into a new state, and into v, which may be nil, what was answered lately: the rows as they were last brought up to date, then every later event by
// the same functions that apply it live. It checks the chain over what it replays and leaves the head in db.head.
func (db *DB) load(ctx context.Context, m meta, v *verdicts) (*state, error) {
	st := newState()
	if err := db.loadSlabs(ctx, st); err != nil {
		return nil, err
	}
	if err := db.loadRecords(ctx, st); err != nil {
		return nil, err
	}
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
			st.bury([16]byte(fp), last)
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
	err := db.replay(ctx, st, m, v)
	st.grants = nil
	return st, err
}

// loadSlabs reads accounts and tokens, tokens first, so that who holds them finds them.
func (db *DB) loadSlabs(ctx context.Context, st *state) error {
	for _, s := range []struct {
		table  string
		batch  bool // rows of imports that are not live are left out
		load   func(number uint32, seq uint64, blob []byte) error
		expect func(slabs int)
	}{
		{"token_slab", true, st.loadTokenSlab, func(n int) {
			st.tokenIDs.reserve(n * slabSize)
			st.seeds.reserve(n * slabSize)
		}},
		{"token_state", false, st.loadTokenState, nil},
		{"account_slab", true, st.loadAccountSlab, func(n int) {
			st.accountIDs.reserve(n * slabSize)
			st.users.reserve(n * slabSize)
		}},
		{"account_state", false, st.loadAccountState, nil},
	} {
		query := "select number, seq, records from " + s.table
		if s.batch {
			var n int
			if err := db.file.conn.QueryRowContext(ctx, "select count(*) from "+s.table+" where "+visible).Scan(&n); err != nil {
				return fmt.Errorf("loading %s: %w", s.table, err)
			}
			s.expect(n)
			query += " where " + visible
		} else {
			query += " where number in (select number from " + strings.Replace(s.table, "state", "slab", 1) + " where " + visible + ")"
		}
		var blob sql.RawBytes
		err := each(ctx, db.file.conn, query+" order by number", func(rows *sql.Rows) error {
			var number uint32
			var seq uint64
			if err := rows.Scan(&number, &seq, &blob); err != nil {
				return err
			}
			if number >= maxSlabs {
				return fmt.Errorf("slab %d: %w", number, errCodec)
			}
			if err := s.load(number, seq, blob); err != nil {
				return fmt.Errorf("slab %d: %w", number, err)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("loading %s: %w", s.table, err)
		}
	}
	return nil
}

// maxSlabs bounds slab numbers, so that a damaged row does not make this program ask for all memory.
const maxSlabs = 1 << 20

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
func (db *DB) replay(ctx context.Context, st *state, m meta, v *verdicts) error {
	since := db.now().Add(-nonceLife)
	from := m.flushed + 1
	before, err := db.file.rowBefore(ctx, since)
	if err != nil {
		return err
	}
	from = min(from, before)
	v.begin(from, db.started)
	check := chainCheck{secrets: db.secrets}
	begun := false
	var ev authn.Event
	var im accountImage
	for {
		n, err := db.readJournal(ctx, db.file.conn, coresColumns, max(from, check.next), 1<<63-1, 1024, false, func(r *journalRow) error {
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
			return r.eachInPlace(&ev, func() {
				st.replayEvent(&ev, since, &im)
				v.note(&ev)
			})
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
		return head, nil
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	k, err := db.keeping(ctx, db.file.conn)
	return k.begins(), err
}

// replayEvent applies one event to rows older than it.
func (st *state) replayEvent(ev *authn.Event, since time.Time, im *accountImage) {
	if touchesAccount(ev) {
		if slot, ok := st.accountSlot(ev.Account); ok {
			sl := st.accounts.slab(slot / slabSize)
			guard, holds := ev.GuardSet && sl.state < ev.Seq, activates(ev) && sl.whole < ev.Seq
			if guard || holds {
				r := st.accounts.at(slot)
				st.openAccount(r, im)
				st.accountAfter(r, im, ev, guard, holds)
				st.touchAccount(slot, ev.Seq, holds)
			}
		}
	}
	for _, g := range st.grants[ev.Seq] {
		if slot, ok := st.accountSlot(g.Account); ok && st.accounts.slab(slot/slabSize).whole < ev.Seq {
			r := st.accounts.at(slot)
			st.grant(r, im, g.Holds)
			st.listHolder(slot, r)
			st.touchAccount(slot, ev.Seq, true)
		}
	}
	for i := range ev.Burnt {
		b := &ev.Burnt[i]
		if slot, ok := st.tokenSlot(b.Token); ok && st.tokens.slab(slot/slabSize).state < ev.Seq {
			st.burn(st.tokens.at(slot), b)
			st.touchToken(slot, ev.Seq)
		}
	}
	if ev.Nonce != [12]byte{} && ev.At.After(since) {
		st.nonces.at[ev.Nonce] = ev.At.Unix()
	}
}

// verdicts tell which event of the last 60 s before the start answered a request (S17): 8 octets each, since a busy minute
// brings a million of them. The digest leads to the event's number and the journal has the rest.
type verdicts struct {
	first  uint64    // number of the event in place 0
	since  time.Time // what was answered before counts as new
	places index
}

func (v *verdicts) begin(first uint64, now time.Time) {
	if v != nil {
		*v = verdicts{first: first, since: now.Add(-verdictLife)}
	}
}

// note keeps where an event is if it answered a login lately.
func (v *verdicts) note(ev *authn.Event) {
	if v != nil && answeredLogin(ev) && !ev.At.Before(v.since) && ev.Seq-v.first < 1<<32-1 {
		v.places.put(hashDigest(ev.Digest), uint32(ev.Seq-v.first))
	}
}

func answeredLogin(ev *authn.Event) bool {
	return ev.Kind == authn.LoginEvent && ev.Digest != [16]byte{}
}

// hashDigest needs no mixing: a digest is a keyed hash.
func hashDigest(digest [16]byte) uint64 { return binary.LittleEndian.Uint64(digest[:]) }

// Verdict finds the event that answered the same request within 60 s before the last start (S17); the newest one, without
// its personal part. Where the journal cannot be read the request counts as new.
func (db *DB) Verdict(digest [16]byte, now time.Time, into *authn.Event) bool {
	v := db.verdicts.Load()
	if v == nil {
		return false
	}
	at, place, ok := v.places.first(hashDigest(digest))
	if !ok {
		return false
	}
	found := false
	for ; ok; at, place, ok = v.places.next(hashDigest(digest), at) {
		ev, err := db.event(v.first + uint64(place))
		if err != nil {
			db.log.Warn("an earlier answer could not be looked up; the request counts as new", "error", oneLine(err))
			continue
		}
		if ev.Digest == digest && answeredLogin(&ev) && now.Sub(ev.At) <= verdictLife && (!found || ev.Seq > into.Seq) {
			*into, found = ev, true
		}
	}
	return found
}

// event reads one event from the journal.
func (db *DB) event(seq uint64) (authn.Event, error) {
	read, err := db.reader()
	if err != nil {
		return authn.Event{}, err
	}
	var found authn.Event
	_, err = db.readJournal(context.Background(), read, coresColumns, seq, seq, 1, false, func(r *journalRow) error {
		events, _, err := r.events()
		if err == nil && seq >= r.first && seq-r.first < uint64(len(events)) {
			found = events[seq-r.first]
		}
		return err
	})
	return found, err
}
