package storage

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of one transaction of the committer: about 20 ms at the measured 4 us an event and 25 us a row (S8).
const (
	maxBatch = 4096 // entries
	maxRows  = 400  // rows beside the journal
)

// errFenced stops a process whose file was taken over by another one.
var errFenced = errors.New("another process has taken the database over: its incarnation is not ours any more")

// refusal is an error of one statement; the transaction was rolled back cleanly and the disk is not to blame.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// run is the committer: the one goroutine that writes. There is no timer for batches: while one commit is under way the
// next batch gathers.
func (db *DB) run() {
	defer close(db.stopped)
	tick := time.NewTicker(db.cfg.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-db.queue.wake:
		case <-tick.C:
			db.flush.begin(db)
		case f := <-db.between:
			f()
		case <-db.closing:
			db.drain()
			return
		}
		for {
			batch, rows := db.gather()
			if len(batch) == 0 && rows.empty() {
				break
			}
			if !db.commitBatch(batch, rows) {
				return
			}
			if db.committed.Load()-db.flushed >= uint64(db.cfg.FlushEvents) {
				db.flush.begin(db)
			}
			db.runBetween()
		}
	}
}

// drain commits what still waits and brings every row up to date: a clean stop.
func (db *DB) drain() {
	db.flush.begin(db)
	for {
		batch, rows := db.gather()
		if len(batch) == 0 && rows.empty() {
			return
		}
		if !db.commitBatch(batch, rows) {
			return
		}
	}
}

// gather takes what waits, with the rows of slabs that go with it. Rows are written from memory, so while they are, nothing
// is decided, and everything decided so far is in the batch: rows are never ahead of the journal.
func (db *DB) gather() ([]*entry, *slabRows) {
	db.batch = db.queue.take(db.batch[:0])
	rows := &db.rows
	rows.reset()
	slabs := db.flush.active
	for _, e := range db.batch {
		slabs = slabs || len(e.accounts)+len(e.tokens) > 0
	}
	if !slabs {
		return db.batch, rows
	}
	db.gate.Lock()
	defer db.gate.Unlock()
	st := db.state.Load()
	var newest uint64
	db.batch, newest = db.queue.takeAll(db.batch)
	st.mu.RLock() // an import that became live shows its slabs one by one
	defer st.mu.RUnlock()
	for _, e := range db.batch {
		rows.addOf(st, e, newest)
	}
	db.flush.add(db, st, rows, newest)
	return db.batch, rows
}

// commitBatch makes a batch durable and answers it. It reports false when the DB closed during a recovery.
func (db *DB) commitBatch(batch []*entry, rows *slabRows) bool {
	start := time.Now()
	err := db.transact(batch, rows)
	if err == nil {
		err = db.lock.check()
	}
	if err == nil {
		if rows.flushed != 0 {
			db.flushed = rows.flushed
		}
		db.metrics.commit(len(batch), time.Since(start))
		db.answer(batch, nil)
		return true
	}
	if isRefusal(err) {
		db.giveBack(rows)
		if len(batch) == 0 {
			return db.recover(fmt.Errorf("bringing rows up to date: %w", err), nil)
		}
		return db.commitAlone(batch)
	}
	return db.recover(err, batch)
}

// commitAlone tries each entry of a refused batch by itself, so that one entry stops nobody else (S7).
//
// An act's slabs are written as they stand, so they may show what entries behind it did. They claim no event after the
// act's own: those that commit are applied once more, which changes nothing, and of those that do not a step stays burnt.
func (db *DB) commitAlone(batch []*entry) bool {
	for i, e := range batch {
		err := db.transact(batch[i:i+1], db.rowsOf(e))
		if err == nil {
			err = db.lock.check()
		}
		if err == nil {
			db.answer(batch[i:i+1], nil)
			continue
		}
		rest := batch[i+1:]
		refused, ok := errors.AsType[*refusal](err)
		if !ok {
			return db.recover(err, batch[i:i+1], rest...)
		}
		act := e.act
		if !db.refuse(e, rest, refused) {
			return false
		}
		if act {
			return true // rest was answered too
		}
	}
	return true
}

// refuse answers an entry that cannot be written. After a login the worst is a burnt step; after an act memory shows rows
// that do not exist, and what was decided on them goes down with it.
func (db *DB) refuse(e *entry, rest []*entry, why *refusal) bool {
	db.log.Error("a change could not be written and was refused", "digest", fmt.Sprintf("%x", e.digest), "error", oneLine(why))
	if !e.act {
		db.answer([]*entry{e}, fmt.Errorf("writing the change: %w", why))
		return true
	}
	return db.recover(fmt.Errorf("writing an act: %w", why), []*entry{e}, rest...)
}

// answer tells the askers of a batch, in the order of the queue.
func (db *DB) answer(batch []*entry, err error) {
	db.queue.release(len(batch))
	for _, e := range batch {
		if !e.login {
			db.handedOut()
		}
		e.done(err)
		e.recycle()
	}
	db.handedOut()
	if err == nil {
		db.watch.wake()
	}
}

// transact writes a batch in one transaction. The error is a *refusal when a statement was at fault and nothing was
// written; after any other error it is unknown what was.
func (db *DB) transact(batch []*entry, rows *slabRows) error {
	if _, err := db.file.exec(beginStmt); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	next, err := db.write(batch, rows)
	if err != nil {
		if _, back := db.file.exec(rollbackStmt); back != nil && blamesStatement(err) {
			return fmt.Errorf("rolling back: %w", back)
		}
		if blamesStatement(err) {
			return &refusal{err}
		}
		return err
	}
	commit := func() error {
		_, err := db.file.exec(commitStmt)
		return err
	}
	if db.onCommit != nil {
		err = db.onCommit(commit)
	} else {
		err = commit()
	}
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	db.commits++
	db.head = next.head
	db.committed.Store(next.seq)
	db.heads.Store(&next)
	return nil
}

// position is where the chain stands.
type position struct {
	seq  uint64
	head []byte
}

// write puts the rows of a batch into the open transaction.
func (db *DB) write(batch []*entry, rows *slabRows) (position, error) {
	pos := position{db.committed.Load(), db.head}
	var first uint64
	count, named := 0, false
	cores, personal := db.cores[:0], db.personal[:0]
	for _, e := range batch {
		if e.core == nil {
			continue
		}
		if count == 0 {
			first = e.seq
		}
		count += 1 + len(e.more)
		pos.seq = e.last()
		cores, personal = appendFramed(cores, e.core), appendFramed(personal, e.personal)
		named = named || len(e.personal) > 0
		for i := range e.more {
			cores, personal = appendFramed(cores, e.more[i].core), appendFramed(personal, e.more[i].personal)
			named = named || len(e.more[i].personal) > 0
		}
	}
	db.cores, db.personal = cores, personal
	if count > 0 {
		sealed := []byte{}
		if named {
			var err error
			if sealed, err = db.secrets.seal("journal", first, personal); err != nil {
				return pos, err
			}
		}
		at := db.now().UnixMicro()
		pos.head = db.secrets.link(db.head, first, count, at, cores)
		if _, err := db.file.exec(journalStmt, int64(first), count, at, cores, sealed, pos.head); err != nil {
			return pos, fmt.Errorf("writing the journal: %w", err)
		}
	}
	for _, e := range batch {
		for _, w := range e.writes {
			for i, a := range w.args {
				if _, own := a.(ownSeq); own {
					w.args[i] = int64(e.seq)
				}
			}
			if _, err := db.file.exec(w.stmt, w.args...); err != nil {
				return pos, fmt.Errorf("writing a row: %w", err)
			}
		}
	}
	if err := rows.write(db.file); err != nil {
		return pos, fmt.Errorf("writing a slab: %w", err)
	}
	res, err := db.file.exec(metaStmt, int64(db.commits+1), int64(pos.seq), db.incarnation)
	if err != nil {
		return pos, fmt.Errorf("writing meta: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return pos, errFenced
	}
	return pos, nil
}
