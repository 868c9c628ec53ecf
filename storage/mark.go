package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrNotLiving says that the database file is not the one that last ran here: a restored backup, a copy, or a file moved
// from another machine. Its used steps may be behind.
var ErrNotLiving = errors.New("the database is not the one that ran here last")

// mark is a file outside the database that remembers how far it had come (S11). What a whole machine set back in time
// takes back together with it stays undetectable from here.
type mark struct {
	Incarnation []byte `json:"incarnation"`    // of the newest start
	Next        []byte `json:"next,omitempty"` // of the start that was taking over when the mark was written
	Machine     []byte `json:"machine"`
	Epoch       uint64 `json:"epoch"`
	Seq         uint64 `json:"seq"`    // newest durable event
	Head        []byte `json:"head"`   // link of the chain there
	Newest      int64  `json:"newest"` // Unix seconds at which the newest used TOTP step begins
	found       bool
}

func readMark(path string) (mark, error) {
	var m mark
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("reading the mark: %w", err)
	}
	if len(b) > 4096 {
		return m, fmt.Errorf("reading the mark %s: %d octets: this is not a mark", path, len(b))
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return mark{}, fmt.Errorf("reading the mark %s: it is damaged (%w); if you trust the database file: sekisho restore --adopt", path, err)
	}
	m.found = true
	return m, nil
}

// fits says whether the database is the one that the mark last saw.
func (k mark) fits(m meta, machine []byte) error {
	var why string
	switch fresh := m.incarnation == nil; {
	case fresh && k.Seq == 0:
		return nil // the first start, or one after a first start that was cut short
	case fresh:
		why = fmt.Sprintf("it is new and empty, and the mark knows %d events", k.Seq)
	case !k.found:
		why = "there is no mark beside it"
	case !bytes.Equal(k.Machine, machine) || !bytes.Equal(m.machine, machine):
		why = "it or its mark comes from another machine"
	case !bytes.Equal(m.incarnation, k.Incarnation) && !bytes.Equal(m.incarnation, k.Next):
		why = "since this file was in use another one, or another copy of it, was"
	case m.seq < k.Seq:
		why = fmt.Sprintf("it ends at event %d and had already come to %d", m.seq, k.Seq)
	case m.epoch < k.Epoch:
		why = fmt.Sprintf("it is of epoch %d and had already come to %d", m.epoch, k.Epoch)
	default:
		return nil
	}
	return fmt.Errorf("%w: %s. Codes used since may not be known in it. If this file is the one to go on with (a restored backup, a moved machine): sekisho restore --adopt", ErrNotLiving, why)
}

// write replaces the mark whole: a crash leaves the old one or the new one.
func (k mark) write(path string) error {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".mark-*")
	if err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("writing the mark: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	err = errors.Join(d.Sync(), d.Close())
	if err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	return nil
}

// writeMark brings the mark up to date if anything changed.
func (db *DB) writeMark() error {
	pos := db.heads.Load()
	newest := db.state.Load().newest.Load()
	if db.lastMark.found && db.lastMark.Seq == pos.seq && db.lastMark.Newest == newest {
		return nil
	}
	k := mark{Incarnation: db.incarnation, Machine: db.machine, Epoch: db.epoch, Seq: pos.seq, Head: pos.head, Newest: newest, found: true}
	if err := k.write(db.cfg.Mark); err != nil {
		return err
	}
	db.lastMark = k
	return nil
}

// machineID is a hash of what names this machine, so that the id itself stays where it is.
func machineID(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the machine's id: %w", err)
	}
	sum := sha256.Sum256(append([]byte("sekisho machine\x00"), bytes.TrimSpace(b)...))
	return sum[:16], nil
}

// lockFile makes sure that one process owns the database. The lock lies on a file of its own, because SQLite's locks on
// the database file are lost whenever any descriptor of it is closed.
func lockFile(path string) (*os.File, error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another process (%s): one database has one server; stop that one first", path, bytes.TrimSpace(holder[:n]))
		}
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "process %d\n", os.Getpid())
	}
	return f, nil
}

// freeSpace is what an ordinary user may still write to the file system of dir, in octets.
func freeSpace(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// ballast is a file that takes up room until the disk is full and is then given up: a full disk would otherwise keep even
// the recovery from writing.
type ballast struct {
	path string
	size int64
}

func newBallast(path string, size int64) *ballast { return &ballast{path, max(size, 0)} }

// release gives the room back; false when there was none to give.
func (b *ballast) release() bool { return os.Remove(b.path) == nil }

// fill makes the file where it is missing and there is room. The octets are written, so that the room is really taken.
func (b *ballast) fill() {
	if b.size == 0 {
		return
	}
	if st, err := os.Stat(b.path); err == nil && st.Size() == b.size {
		return
	}
	if free, err := freeSpace(filepath.Dir(b.path)); err != nil || free < 2*b.size {
		return
	}
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	chunk := make([]byte, mib)
	for left := b.size; left > 0 && err == nil; left -= int64(len(chunk)) {
		_, err = f.Write(chunk[:min(left, int64(len(chunk)))])
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		b.release()
	}
}
