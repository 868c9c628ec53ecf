package main

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// logStore keeps the index in memory; changes are appended with a checksum, then fdatasync.
type logStore struct {
	f   *os.File
	m   []uint64
	buf []byte
	off int64
}

// openLog makes the log anew; with pre it is written full of zeroes first, so that later writes change no metadata and
// fdatasync needs no journal commit.
func openLog(dir string, pre bool) (store, error) {
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if pre {
		z := make([]byte, 1<<20)
		for i := 0; i < 256; i++ {
			if _, err := f.Write(z); err != nil {
				return nil, err
			}
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
	}
	return &logStore{f: f, m: make([]uint64, 1<<21)}, nil
}

func (l *logStore) Load(int) error { return nil }

func (l *logStore) Commit(ops []*op) error {
	l.buf = append(l.buf[:0], 0, 0, 0, 0, 0, 0, 0, 0)
	for _, o := range ops {
		if o.OK = l.m[o.ID] < o.Counter; o.OK {
			l.m[o.ID] = o.Counter // also against a second change of it in this batch
			l.buf = binary.LittleEndian.AppendUint64(l.buf, o.ID)
			l.buf = binary.LittleEndian.AppendUint64(l.buf, o.Counter)
		}
	}
	binary.LittleEndian.PutUint32(l.buf, uint32(len(l.buf)))
	binary.LittleEndian.PutUint32(l.buf[4:], crc32.ChecksumIEEE(l.buf[8:]))
	if l.off+int64(len(l.buf)) > 256<<20 {
		l.off = 0
	}
	if _, err := l.f.WriteAt(l.buf, l.off); err != nil {
		return err
	}
	l.off += int64(len(l.buf))
	return unix.Fdatasync(int(l.f.Fd()))
}

func (l *logStore) Close() error { return l.f.Close() }
