package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
)

// Errors of a snapshot that nobody is to blame for.
var (
	ErrSnapshotBusy = errors.New("another copy of the database is being made; wait for its end")
	ErrSnapshotRoom = errors.New("the disk has no room for a copy of the database")
	errSnapshotCut  = errors.New("the database had to recover while it was copied; try again when the service is well")
)

const (
	snapshotStep = 64   // pages between two commits: 256 KiB, about a millisecond (S8)
	snapshotSync = 2048 // pages between two syncs of the copy, so that a commit never waits behind much of it
)

// Snapshot writes a consistent copy of the database to path, which must not exist, while logins go on. The copy has every
// change that was committed up to a moment between call and return. progress, which may be nil, is told how many pages of
// how many are there. Seeds in it are sealed, and the keys of that are wrapped under the outer key, which is not in it.
//
// The committer copies on its own connection, a few pages between two commits, so SQLite carries what is committed
// meanwhile into the copy and no step is done twice. seq is the newest event in it. A recovery, Close, a disk that fills up and the end of ctx end the copy;
// after an error there is no file. One copy at a time: [ErrSnapshotBusy]. [ErrSnapshotRoom]: it would not fit.
func (db *DB) Snapshot(ctx context.Context, path string, progress func(done, total int)) (seq uint64, err error) {
	if !db.copying.TryLock() {
		return 0, ErrSnapshotBusy
	}
	defer db.copying.Unlock()
	if err := db.snapshotRoom(filepath.Dir(path)); err != nil {
		return 0, err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return 0, fmt.Errorf("copying the database: %w", err)
	}
	err = db.copyTo(ctx, path, out, progress)
	if err == nil {
		seq, err = CheckCopy(ctx, path)
	}
	if err == nil {
		err = out.Sync()
	}
	err = errors.Join(err, out.Close())
	if err != nil {
		removeCopy(path)
		return 0, fmt.Errorf("copying the database: %w", err)
	}
	return seq, nil
}

// removeCopy takes a copy away with what SQLite may have put beside it.
func removeCopy(path string) {
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(path + end)
	}
}

// copyTo has the committer copy step by step. out is the same file, for syncing it: it stays open until SQLite has closed
// its own descriptor.
func (db *DB) copyTo(ctx context.Context, path string, out *os.File, progress func(done, total int)) error {
	var from *file
	var own *sqlite.Backup
	err := db.onCommitter(ctx, func() (err error) {
		from = db.file
		own, err = from.beginCopy(path)
		return err
	})
	if err != nil {
		return err
	}
	for more, steps := true, 1; more; steps++ {
		var left, total int
		err := db.onCommitter(ctx, func() (err error) {
			if db.file != from || from.copy != own {
				return errSnapshotCut
			}
			more, left, total, err = from.stepCopy()
			return err
		})
		if err == nil && db.lowSpace.Load() {
			err = ErrSnapshotRoom
		}
		if err != nil {
			db.giveUpCopy(own)
			return err
		}
		if progress != nil {
			progress(total-left, total)
		}
		if steps%(snapshotSync/snapshotStep) == 0 {
			if err := unix.Fdatasync(int(out.Fd())); err != nil {
				db.giveUpCopy(own)
				return err
			}
		}
	}
	return db.onCommitter(context.WithoutCancel(ctx), func() error {
		if db.file != from || from.copy != own {
			return errSnapshotCut
		}
		return from.endCopy()
	})
}

// onCommitter has f called on the committer between two commits and gives its error.
func (db *DB) onCommitter(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.Healthy(); err != nil {
		return fmt.Errorf("%w: %w", errSnapshotCut, err)
	}
	result := make(chan error, 1)
	select {
	case db.between <- func() { result <- f() }:
		return <-result
	case <-db.stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// giveUpCopy ends a copy, when the committer comes to it. Another one may have begun by then.
func (db *DB) giveUpCopy(own *sqlite.Backup) {
	go func() {
		select {
		case db.between <- func() {
			if db.file.copy == own {
				_ = db.file.endCopy()
			}
		}:
		case <-db.stopped: // closing the file ends it
		}
	}()
}

// runBetween does what waits for the committer and does not wait for more.
func (db *DB) runBetween() {
	select {
	case f := <-db.between:
		f()
	default:
	}
}

// snapshotRoom refuses a copy that would bring the disk below its watermark.
func (db *DB) snapshotRoom(dir string) error {
	need := int64(max(db.cfg.FreeSpace, 0))*mib + recoverRoom
	for _, name := range []string{db.cfg.Path, db.cfg.Path + "-wal"} {
		if st, err := os.Stat(name); err == nil {
			need += st.Size()
		}
	}
	free, err := freeSpace(dir)
	if err == nil && free < need {
		err = fmt.Errorf("%w: %d MiB are free in %s and %d are needed with the watermark; make room", ErrSnapshotRoom, free/mib, dir, need/mib+1)
	}
	return err
}

// beginCopy opens the copy and binds it to the writing connection. A copy that was given up and not ended yet ends first.
//
// The copy is synced by whoever asked for it, never by SQLite on the committer, and needs no journal: half a copy is
// thrown away.
func (f *file) beginCopy(path string) (b *sqlite.Backup, err error) {
	_ = f.endCopy()
	to := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_pragma=journal_mode(off)&_pragma=synchronous(off)&_pragma=cache_size(-1024)"}
	err = f.conn.Raw(func(c any) error {
		from, ok := c.(interface {
			NewBackup(to string) (*sqlite.Backup, error)
		})
		if !ok {
			return fmt.Errorf("a %T cannot copy", c)
		}
		b, err = from.NewBackup(to.String())
		return err
	})
	if err == nil {
		f.copy = b
	}
	return b, err
}

// stepCopy copies a few pages more.
func (f *file) stepCopy() (more bool, left, total int, err error) {
	err = f.conn.Raw(func(any) (err error) {
		more, err = f.copy.Step(snapshotStep)
		left, total = f.copy.Remaining(), f.copy.PageCount()
		return err
	})
	return more, left, total, err
}

// endCopy lets go of the copy, whole or not. It comes before the connection is closed.
func (f *file) endCopy() error {
	if f.copy == nil {
		return nil
	}
	b := f.copy
	f.copy = nil
	return f.conn.Raw(func(any) error { return b.Finish() })
}

// CheckCopy looks whether a file is a whole database of ours, makes it one file that opens without a WAL, and gives the
// number of the newest event in it. Nobody else may have it open.
func CheckCopy(ctx context.Context, path string) (seq uint64, err error) {
	if _, err := os.Stat(path); err != nil {
		return 0, fmt.Errorf("checking a copy: %w", err)
	}
	at := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "mode=rw&_pragma=busy_timeout(5000)&_pragma=journal_mode(delete)&_pragma=synchronous(full)&_pragma=cache_size(-4096)"}
	db, err := sql.Open("sqlite", at.String())
	if err != nil {
		return 0, fmt.Errorf("checking a copy: %w", err)
	}
	db.SetMaxOpenConns(1)
	var verdict string
	if err = db.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&verdict); err == nil && verdict != "ok" {
		err = errors.New(verdict)
	}
	if err == nil {
		err = db.QueryRowContext(ctx, "select seq from meta where id = 1").Scan(&seq)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return 0, fmt.Errorf("checking %s: it is not a whole database: %w", path, err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("checking %s: its WAL did not go into it", path)
	}
	return seq, nil
}
