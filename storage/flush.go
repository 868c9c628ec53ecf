package storage

import (
	"slices"
)

// flushRound is how many slabs one transaction of a flush brings up to date. Nothing is decided while they are written
// down, about 3 us each.
const flushRound = 64

// slabRow is one row that goes with a transaction; its octets are part of slabRows.blob.
type slabRow struct {
	stmt     statement
	number   uint32
	seq      uint64
	from, to int
}

// slabRows are the rows of slabs that go with a transaction. The nil value stands for none.
type slabRows struct {
	rows    []slabRow
	blob    []byte
	taken   []takenSlab
	flushed uint64 // set when the flush ends with this transaction: the rows then hold every event up to it
	im      accountImage
}

// takenSlab is what a slab that counts as up to date was before, should the transaction not come about.
type takenSlab struct {
	account bool
	number  uint32
	since   uint64
	wholly  bool
}

func (r *slabRows) empty() bool { return r == nil || len(r.rows) == 0 && r.flushed == 0 }

func (r *slabRows) reset() {
	clear(r.blob) // seeds are sealed, names are not
	r.rows, r.blob, r.taken, r.flushed = r.rows[:0], r.blob[:0], r.taken[:0], 0
}

func (r *slabRows) row(stmt statement, number uint32, seq uint64, write func([]byte) []byte) {
	from := len(r.blob)
	r.blob = write(r.blob)
	r.rows = append(r.rows, slabRow{stmt, number, seq, from, len(r.blob)})
}

// has tells whether the rows of a slab are there already.
func (r *slabRows) has(stmt statement, number uint32) bool {
	return slices.ContainsFunc(r.rows, func(x slabRow) bool { return x.stmt == stmt && x.number == number })
}

// addOf adds the slabs that travel with an entry. Rows hold every event up to newest. Nothing is decided meanwhile.
func (r *slabRows) addOf(st *state, e *entry, newest uint64) {
	for _, n := range e.tokens {
		if !r.has(putTokenSlabStmt, n) {
			r.token(st, n, newest, true)
		}
	}
	for _, n := range e.accounts {
		if !r.has(putAccountSlabStmt, n) {
			r.account(st, n, newest, true)
		}
	}
}

func (r *slabRows) account(st *state, number uint32, newest uint64, wholly bool) {
	sl := st.accounts.slab(number)
	if wholly || sl.wholly {
		r.row(putAccountSlabStmt, number, newest, func(b []byte) []byte { return st.appendAccountSlab(b, number, &r.im) })
	}
	r.row(putAccountStateStmt, number, newest, func(b []byte) []byte { return st.appendAccountState(b, number, &r.im) })
	r.taken = append(r.taken, takenSlab{true, number, sl.since, sl.wholly})
	sl.since, sl.wholly = 0, false
}

func (r *slabRows) token(st *state, number uint32, newest uint64, wholly bool) {
	sl := st.tokens.slab(number)
	if wholly || sl.wholly {
		r.row(putTokenSlabStmt, number, newest, func(b []byte) []byte { return st.appendTokenSlab(b, number) })
	}
	r.row(putTokenStateStmt, number, newest, func(b []byte) []byte { return st.appendTokenState(b, number) })
	r.taken = append(r.taken, takenSlab{false, number, sl.since, sl.wholly})
	sl.since, sl.wholly = 0, false
}

// write puts the rows into the open transaction.
func (r *slabRows) write(f *file) error {
	if r == nil {
		return nil
	}
	for _, x := range r.rows {
		if _, err := f.exec(x.stmt, int64(x.number), int64(x.seq), r.blob[x.from:x.to]); err != nil {
			return err
		}
	}
	if r.flushed == 0 {
		return nil
	}
	_, err := f.exec(flushedStmt, int64(r.flushed))
	return err
}

// giveBack marks slabs as behind again whose rows were not written.
func (db *DB) giveBack(r *slabRows) {
	db.gate.Lock()
	defer db.gate.Unlock()
	st := db.state.Load()
	for _, x := range r.taken {
		if x.since == 0 {
			continue
		}
		if x.account {
			sl := st.accounts.slab(x.number)
			if sl.since == 0 {
				st.dirty.accounts = append(st.dirty.accounts, x.number)
			}
			sl.since, sl.wholly = x.since, sl.wholly || x.wholly
		} else {
			sl := st.tokens.slab(x.number)
			if sl.since == 0 {
				st.dirty.tokens = append(st.dirty.tokens, x.number)
			}
			sl.since, sl.wholly = x.since, sl.wholly || x.wholly
		}
	}
	st.dirty.accounts = append(st.dirty.accounts, db.flush.accounts...)
	st.dirty.tokens = append(st.dirty.tokens, db.flush.tokens...)
	db.flush = flushPass{}
}

// rowsOf gives the slabs of one entry that is written by itself.
func (db *DB) rowsOf(e *entry) *slabRows {
	if len(e.accounts)+len(e.tokens) == 0 {
		return nil
	}
	db.gate.Lock()
	defer db.gate.Unlock()
	st := db.state.Load()
	st.mu.RLock()
	defer st.mu.RUnlock()
	db.rows.reset()
	db.rows.addOf(st, e, e.last())
	for _, x := range db.rows.taken { // what came after the entry is still to be written
		if x.account {
			st.accounts.slab(x.number).since, st.accounts.slab(x.number).wholly = x.since, x.wholly
		} else {
			st.tokens.slab(x.number).since, st.tokens.slab(x.number).wholly = x.since, x.wholly
		}
	}
	return &db.rows
}

// flushPass brings the rows of slabs up to date behind the journal, a round with each commit, so that the next start has
// little to replay. A row is written once for all that logins changed in its 64 records, in the order of the numbers, which
// is the order of the pages.
type flushPass struct {
	active   bool
	accounts []uint32
	tokens   []uint32
}

// begin starts a pass unless one is under way.
func (p *flushPass) begin(db *DB) {
	if p.active {
		return
	}
	db.gate.Lock()
	defer db.gate.Unlock()
	d := &db.state.Load().dirty
	*p = flushPass{active: true, accounts: d.accounts, tokens: d.tokens}
	*d = dirtySlabs{}
	slices.Sort(p.accounts)
	slices.Sort(p.tokens)
}

// add puts the next round of an active pass among the rows of a transaction. Nothing is decided meanwhile.
func (p *flushPass) add(db *DB, st *state, r *slabRows, newest uint64) {
	if !p.active {
		return
	}
	for n := 0; n < db.flushRound && len(p.tokens) > 0; p.tokens = p.tokens[1:] {
		if number := p.tokens[0]; st.tokens.slab(number).since != 0 {
			r.token(st, number, newest, false)
			n++
		}
	}
	for n := 0; n < db.flushRound && len(p.tokens) == 0 && len(p.accounts) > 0; p.accounts = p.accounts[1:] {
		if number := p.accounts[0]; st.accounts.slab(number).since != 0 {
			r.account(st, number, newest, false)
			n++
		}
	}
	if len(p.tokens)+len(p.accounts) > 0 {
		return
	}
	*p = flushPass{}
	r.flushed = newest
	for _, n := range st.dirty.accounts {
		if since := st.accounts.slab(n).since; since != 0 {
			r.flushed = min(r.flushed, since-1)
		}
	}
	for _, n := range st.dirty.tokens {
		if since := st.tokens.slab(n).since; since != 0 {
			r.flushed = min(r.flushed, since-1)
		}
	}
	if r.flushed <= db.flushed {
		r.flushed = 0
	}
}
