package storage

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sekisho/authn"
)

// journalRow is one commit's worth of events.
type journalRow struct {
	first                  uint64
	count                  int
	at                     int64
	cores, personal, chain []byte
}

const journalColumns = "first_seq, count, at, cores, personal, link"

// coresColumns leaves the personal parts where they are.
const coresColumns = "first_seq, count, at, cores, x'', link"

// scan reads a row. Its octets are the driver's until the next one.
func (r *journalRow) scan(rows *sql.Rows) error {
	var cores, personal, chain sql.RawBytes
	err := rows.Scan(&r.first, &r.count, &r.at, &cores, &personal, &chain)
	r.cores, r.personal, r.chain = cores, personal, chain
	return err
}

// last is the number of the row's last event.
func (r *journalRow) last() uint64 { return r.first + uint64(r.count) - 1 }

// events takes the row apart, without personal parts. sums are their hashes, nil where an event has none.
func (r *journalRow) events() (events []authn.Event, sums [][]byte, err error) {
	cores, err := frames(r.cores, r.count)
	if err != nil {
		return nil, nil, fmt.Errorf("journal row %d: %w", r.first, err)
	}
	events, sums = make([]authn.Event, len(cores)), make([][]byte, len(cores))
	for i, core := range cores {
		sums[i], err = decodeCore(core, &events[i])
		if err != nil {
			return nil, nil, fmt.Errorf("journal row %d, event %d: %w", r.first, r.first+uint64(i), err)
		}
		events[i].Seq = r.first + uint64(i)
	}
	return events, sums, nil
}

// eachInPlace reads the row's events one after the other into ev, which holds on to the row: nothing of it stays valid
// longer.
func (r *journalRow) eachInPlace(ev *authn.Event, f func()) error {
	return eachFrame(r.cores, r.count, func(i int, core []byte) error {
		if _, err := decodeCoreInPlace(core, ev); err != nil {
			return fmt.Errorf("journal row %d, event %d: %w", r.first, r.first+uint64(i), err)
		}
		ev.Seq = r.first + uint64(i)
		f()
		return nil
	})
}

// people opens the personal parts of the row; erased ones are empty.
func (r *journalRow) people(s *secrets) ([][]byte, error) {
	if len(r.personal) == 0 {
		return make([][]byte, r.count), nil
	}
	plain, err := s.open("journal", r.first, r.personal)
	if err != nil {
		return nil, err
	}
	records, err := frames(plain, r.count)
	if err != nil {
		return nil, fmt.Errorf("journal row %d, personal parts: %w", r.first, err)
	}
	return records, nil
}

// readJournal calls f for the rows of one short read transaction: those that hold events from..to, at most limit of them,
// oldest or newest first. It returns how many there were. Nothing of a row stays valid longer than its call.
func (db *DB) readJournal(ctx context.Context, q querier, columns string, from, to uint64, limit int, newestFirst bool, f func(*journalRow) error) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	order := "asc"
	if newestFirst {
		order = "desc"
	}
	rows, err := q.QueryContext(ctx, `select `+columns+` from journal
		where first_seq >= coalesce((select max(first_seq) from journal where first_seq <= ?1), 0) and first_seq <= ?2
		order by first_seq `+order+` limit ?3`, clampSeq(from), clampSeq(to), limit)
	if err != nil {
		return 0, fmt.Errorf("reading the journal: %w", err)
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		var r journalRow
		if err := r.scan(rows); err != nil {
			return n, fmt.Errorf("reading the journal: %w", err)
		}
		n++
		if err := f(&r); err != nil {
			return n, err
		}
	}
	if err := rows.Err(); err != nil {
		return n, fmt.Errorf("reading the journal: %w", err)
	}
	return n, nil
}

// querier is a connection or a pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// clampSeq fits a number into SQLite's signed ones.
func clampSeq(seq uint64) int64 { return int64(min(seq, 1<<63-1)) }

// ErrChain says that the audit chain does not hold.
var ErrChain = errors.New("the audit chain is broken")

// chainCheck walks the chain row by row.
type chainCheck struct {
	secrets *secrets
	head    []byte
	next    uint64 // least number of the next row's first event
}

func (c *chainCheck) row(r *journalRow) error {
	if r.count < 1 || r.first < c.next {
		return fmt.Errorf("%w at journal row %d: its numbers overlap the row before", ErrChain, r.first)
	}
	if !bytes.Equal(c.secrets.link(c.head, r.first, r.count, r.at, r.cores), r.chain) {
		return fmt.Errorf("%w at journal row %d: its link does not fit the row or the one before it", ErrChain, r.first)
	}
	c.head, c.next = append(c.head[:0:0], r.chain...), r.last()+1
	return nil
}
