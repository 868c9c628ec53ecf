package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
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

// A mark file has two slots that are written in turn, so that a power cut in the middle of a write leaves the other one:
//
//	magic 8 | number of the write 8 | length of the text 2 | SHA-256 of all of that and the text, cut to 16 | text (JSON)
//
// The valid slot with the larger number counts. A slot is as large as the page that a file system writes at least.
const (
	markSlot  = 4096
	markHead  = 8 + 8 + 2 + 16
	markMagic = "sekimark"
)

func (k mark) slot(number uint64) ([]byte, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, markSlot)
	b = append(b, markMagic...)
	b = binary.BigEndian.AppendUint64(b, number)
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	b = append(b, make([]byte, 16)...)
	if b = append(b, text...); len(b) > markSlot {
		return nil, fmt.Errorf("%d octets: a mark has at most %d", len(b), markSlot)
	}
	sum := sha256.Sum256(b)
	copy(b[markHead-16:], sum[:16])
	return b[:markSlot], nil
}

// decodeMark reads one slot.
func decodeMark(slot []byte) (k mark, number uint64, err error) {
	if len(slot) < markHead || string(slot[:8]) != markMagic {
		return mark{}, 0, errors.New("this is not a mark")
	}
	end := markHead + int(binary.BigEndian.Uint16(slot[16:]))
	if end > len(slot) {
		return mark{}, 0, errors.New("it is cut short")
	}
	b := bytes.Clone(slot[:end])
	clear(b[markHead-16 : markHead])
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:16], slot[markHead-16:markHead]) {
		return mark{}, 0, errors.New("its checksum does not fit")
	}
	if err := json.Unmarshal(b[markHead:], &k); err != nil {
		return mark{}, 0, err
	}
	k.found = true
	return k, binary.BigEndian.Uint64(slot[8:]), nil
}

func readMark(path string) (mark, error) {
	k, _, err := readMarkFile(path)
	return k, err
}

// readMarkFile gives the newer of the slots and the number of its write; zero when there is no file.
func readMarkFile(path string) (mark, uint64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return mark{}, 0, nil
	}
	if err != nil {
		return mark{}, 0, fmt.Errorf("reading the mark: %w", err)
	}
	if len(b) > 2*markSlot {
		return mark{}, 0, fmt.Errorf("reading the mark %s: %d octets: this is not a mark", path, len(b))
	}
	var best mark
	var number uint64
	var faults []error
	for slot := range slices.Chunk(b, markSlot) {
		k, n, err := decodeMark(slot)
		if err != nil {
			faults = append(faults, err)
		} else if !best.found || n > number {
			best, number = k, n
		}
	}
	if !best.found {
		return mark{}, 0, fmt.Errorf("reading the mark %s: it is damaged (%w); if you trust the database file: sekisho restore --adopt", path, errors.Join(faults...))
	}
	return best, number, nil
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

// write replaces the mark file whole: a crash leaves the old one or the new one.
func (k mark) write(path string) error {
	err := k.replace(path)
	if err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	return nil
}

func (k mark) replace(path string) error {
	b, err := k.slot(1)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".mark-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, b...)) // both slots, so that later writes need no room
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// rewrite writes the mark into the older slot of the file that is there: octets in place and one fdatasync, which leaves
// the journal of the file system alone and so does not hold commits up.
func (k mark) rewrite(path string, number uint64) error {
	b, err := k.slot(number)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, int64(number%2)*markSlot)
	if err == nil {
		err = unix.Fdatasync(int(f.Fd()))
	}
	return errors.Join(err, f.Close())
}

// writeMark brings the mark up to date if anything changed. A file that is gone or damaged is made anew.
func (db *DB) writeMark() error {
	pos := db.heads.Load()
	newest := db.state.Load().newest.Load()
	if db.lastMark.found && db.lastMark.Seq == pos.seq && db.lastMark.Newest == newest {
		return nil
	}
	k := mark{Incarnation: db.incarnation, Machine: db.machine, Epoch: db.epoch, Seq: pos.seq, Head: pos.head, Newest: newest, found: true}
	if _, number, err := readMarkFile(db.cfg.Mark); err != nil || number == 0 || k.rewrite(db.cfg.Mark, number+1) != nil {
		if err := k.write(db.cfg.Mark); err != nil {
			return err
		}
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
