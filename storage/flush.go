package storage

import (
	"cmp"
	"fmt"
	"slices"
)

// flushChunk is how many rows one transaction of a flush brings up to date.
const flushChunk = 256

// flushPass brings the rows of accounts and tokens up to date behind the journal, in chunks between commits, so that the
// next start has little to replay. Only what is committed goes into a row; an entry with a change still waiting is left
// for the next pass.
type flushPass struct {
	active   bool
	upTo     uint64         // committed when the pass began
	low      uint64         // oldest change that was left behind
	accounts []dirtyAccount // in the order of the rows: neighbours share a page, which is then written once
	tokens   []dirtyToken
}

// begin starts a pass unless one is under way.
func (p *flushPass) begin(db *DB) {
	if p.active {
		return
	}
	d := &db.state.Load().dirty
	*p = flushPass{active: true, upTo: db.committed.Load()}
	p.low = p.upTo + 1
	d.mu.Lock()
	p.accounts, p.tokens = d.accounts, d.tokens
	d.accounts, d.tokens = nil, nil
	d.mu.Unlock()
	slices.SortFunc(p.accounts, func(a, b dirtyAccount) int { return cmp.Compare(int64(a.id), int64(b.id)) })
	slices.SortFunc(p.tokens, func(a, b dirtyToken) int { return cmp.Compare(int64(a.id), int64(b.id)) })
}

// step writes the next chunk of an active pass. After an error memory and rows part; recovery reloads both.
func (p *flushPass) step(db *DB) error {
	if !p.active {
		return nil
	}
	var writes []write
	st := db.state.Load()
	for len(writes) < flushChunk && len(p.accounts) > 0 {
		e := p.accounts[len(p.accounts)-1]
		p.accounts = p.accounts[:len(p.accounts)-1]
		if w, since := e.entry.row(db.committed.Load()); w != nil {
			writes = append(writes, *w)
		} else {
			p.low = min(p.low, since)
			st.dirty.mu.Lock()
			st.dirty.accounts = append(st.dirty.accounts, e)
			st.dirty.mu.Unlock()
		}
	}
	for len(writes) < flushChunk && len(p.tokens) > 0 {
		e := p.tokens[len(p.tokens)-1]
		p.tokens = p.tokens[:len(p.tokens)-1]
		if w, since := e.entry.row(db.committed.Load()); w != nil {
			writes = append(writes, *w)
		} else {
			p.low = min(p.low, since)
			st.dirty.mu.Lock()
			st.dirty.tokens = append(st.dirty.tokens, e)
			st.dirty.mu.Unlock()
		}
	}
	if len(p.accounts)+len(p.tokens) == 0 {
		p.active = false
		flushed := min(p.upTo, p.low-1)
		writes = append(writes, write{flushedStmt, []any{int64(flushed)}})
		db.flushed = flushed
	}
	if err := db.transact([]*entry{{writes: writes, done: func(error) {}}}); err != nil {
		p.active = false
		return fmt.Errorf("bringing rows up to date: %w", err)
	}
	return nil
}

// row gives the statement that brings the row up to date, or since when it is behind if a change still waits.
func (e *accountEntry) row(committed uint64) (*write, uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seq > committed {
		return nil, e.since
	}
	e.since = 0
	return &write{flushAccountStmt, []any{int64(e.a.Generation), appendAssignments(nil, e.a.Assignments), appendGuard(nil, &e.a.Guard),
		int64(e.seq), int64(e.a.ID)}}, 0
}

func (e *tokenEntry) row(committed uint64) (*write, uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seq > committed {
		return nil, e.since
	}
	e.since = 0
	return &write{flushTokenStmt, []any{e.t.Last, int(e.t.Drift), int(e.t.DriftDay), int64(e.seq), int64(e.t.ID)}}, 0
}
