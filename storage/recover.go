package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"sekisho/authn"
)

// recover ends accepting after a commit that failed or whose outcome is unknown and comes back when the disk is sure
// again (S6): everybody waiting is held; the file is opened anew and its WAL must go into it; what the file then holds of
// the attempt is answered, all else fails; memory is loaded anew and keeps the stricter of both; one more commit must
// succeed. It reports false when the DB closed meanwhile. Only the committer calls it.
func (db *DB) recover(cause error, attempt []*entry, rest ...*entry) bool {
	fault := fmt.Errorf("%w: %w", ErrFault, cause)
	db.health.Store(&fault)
	rest = append(rest, db.queue.stop(fault)...)
	db.metrics.healthy.Set(0)
	db.log.Error("the database takes no more changes until it has recovered", "error", oneLine(cause))
	db.flush = flushPass{}
	if resultCode(cause) == sqliteFull {
		db.giveUpBallast()
	}
	expected := db.commits + 1
	settled, asked := false, time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		m, err := db.reopen()
		if !settled && (err == nil || time.Since(asked) > patience) {
			settled = true
			if err == nil {
				db.committed.Store(m.seq) // whoever is answered finds their event in the listings
			}
			if err == nil && m.commits == expected && !isRefusal(cause) {
				db.answer(attempt, nil)
			} else {
				db.answer(attempt, fault)
			}
			db.answer(rest, fault)
		}
		if err == nil {
			err = db.restart(m)
		}
		if err == nil {
			db.health.Store(nil)
			db.metrics.healthy.Set(1)
			db.log.Info("the database has recovered and takes changes again", "seq", db.committed.Load())
			return true
		}
		if diskFull(err) && db.giveUpBallast() {
			continue
		}
		db.log.Warn("the database has not recovered yet", "error", oneLine(err), "retry_in", wait)
		select {
		case <-db.closing:
			if !settled {
				db.answer(attempt, fault)
				db.answer(rest, fault)
			}
			return false
		case <-time.After(wait):
		}
	}
}

// patience is how long askers wait for the file to be read back; their gateways have given up by then.
const patience = 2 * time.Second

func isRefusal(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}

// giveUpBallast makes room; false when there was no ballast any more.
func (db *DB) giveUpBallast() bool {
	if !db.ballast.release() {
		return false
	}
	db.log.Warn("the disk is full: the ballast was given up so that logins go on; free some space")
	return true
}

// sqliteIOError covers failed writes and syncs; on a full disk some come as this instead of as full.
const sqliteIOError = 10

func diskFull(err error) bool {
	code := resultCode(err)
	return code == sqliteFull || code == sqliteIOError || errors.Is(err, errNoRoom)
}

// recoverRoom is how much has to be free before logins go on: a WAL that grows while a batch is written and its pages
// move into the file. With less, an empty probe succeeds and the next login fails again.
const recoverRoom = mib

var errNoRoom = errors.New("the disk is full")

// room refuses to go on where the next batch would meet a full disk.
func (db *DB) room() error {
	free, err := freeSpace(filepath.Dir(db.cfg.Path))
	if err == nil && free < recoverRoom {
		err = fmt.Errorf("%w: %d KiB are free and %d are needed", errNoRoom, free>>10, recoverRoom>>10)
	}
	return err
}

// errLost stops a process whose file forgot what was answered: somebody took its WAL away, or the disk does not keep what it
// says it keeps. Nothing but an operator can say what to go on with.
var errLost = errors.New("the database has lost events that were answered; stop, bring back the file and its -wal, or adopt what is left: sekisho restore --adopt")

// reopen opens the file anew, empties the WAL into it and reads where it ends.
func (db *DB) reopen() (meta, error) {
	ctx := context.Background()
	db.fileMu.Lock()
	old := db.file
	db.file = &file{}
	db.fileMu.Unlock()
	old.close()
	if err := db.lock.reopening(); err != nil {
		return meta{}, err
	}
	f, err := openFile(ctx, db.cfg.Path)
	if err != nil {
		return meta{}, err
	}
	m, found, err := f.meta(ctx)
	if err == nil && (!found || !bytes.Equal(m.incarnation, db.incarnation)) {
		err = errFenced
	}
	if have := db.committed.Load(); err == nil && m.seq < have {
		err = fmt.Errorf("%w: it ends at event %d, and event %d was answered", errLost, m.seq, have)
	}
	if err == nil {
		err = f.prepare(ctx)
	}
	if err != nil {
		f.close()
		return meta{}, err
	}
	db.fileMu.Lock()
	db.file = f
	db.fileMu.Unlock()
	return m, nil
}

// restart proves by one commit that the disk takes writes, then loads memory anew and lets decisions go on.
func (db *DB) restart(m meta) error {
	db.reloads.Lock()
	defer db.reloads.Unlock()
	db.gate.Lock()
	defer db.gate.Unlock()
	db.commits = m.commits
	db.committed.Store(m.seq)
	db.flushed = m.flushed
	st, err := db.load(context.Background(), m, nil)
	if err != nil {
		return err
	}
	if err := db.room(); err != nil {
		return err
	}
	if err := db.transact(nil, nil); err != nil {
		return fmt.Errorf("probing with one commit: %w", err)
	}
	st.keepStricter(db.state.Load())
	st.reserveAgain(db.undoneImports())
	db.state.Store(st)
	db.queue.resume(m.seq + 1)
	return nil
}

// keepStricter takes from the state before the fault what must not be forgotten: burnt steps and counts. What accounts
// remember for minutes is lost, as at a restart.
func (st *state) keepStricter(old *state) {
	for _, slot := range st.tokenIDs.all() {
		r := st.tokens.at(slot)
		if o, ok := old.tokenSlot(r.id); ok {
			r.last = max(r.last, old.tokens.at(o).last)
		}
	}
	var im, before accountImage
	for _, slot := range st.accountIDs.all() {
		r := st.accounts.at(slot)
		if o, ok := old.accountSlot(authn.AccountID(r.id)); ok {
			st.openAccount(r, &im)
			old.openAccount(old.accounts.at(o), &before)
			im.a.Guard.Merge(&before.a.Guard)
			st.sealGuard(r, &im.a)
		}
	}
	for fp, last := range old.tombstones {
		st.bury(fp, last)
	}
	st.noteNewest(old.newest.Load())
}
