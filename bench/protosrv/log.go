package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"

	"sekisho/bench/internal/mmsg"

	"golang.org/x/sys/unix"
)

// The log is a file of zeroes written beforehand, so that an fdatasync has no metadata to commit. A record is its length,
// its CRC-32 and so many entries of user (4 octets) and counter (8), little-endian; a length of zero ends it.
const (
	logSize   = 256 << 20
	entrySize = 12
)

// openLog lays the log out or replays it, and goes on behind its last record.
func (s *server) openLog(dir string) {
	f, err := os.OpenFile(filepath.Join(dir, "proto.log"), os.O_RDWR|os.O_CREATE, 0o600)
	check(err)
	s.file = f
	st, err := f.Stat()
	check(err)
	if st.Size() < logSize {
		zeroes := make([]byte, 1<<20)
		for at := int64(0); at < logSize; at += int64(len(zeroes)) {
			_, err = f.WriteAt(zeroes, at)
			check(err)
		}
		check(f.Sync())
	}
	n := 0
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		record := nextRecord(r)
		if record == nil {
			break
		}
		s.off += int64(8 + len(record))
		for ; len(record) > 0; record = record[entrySize:] {
			u := &s.users[binary.LittleEndian.Uint32(record)]
			u.last = max(u.last, int64(binary.LittleEndian.Uint64(record[4:])))
			n++
		}
	}
	log.Printf("log: %d logins replayed", n)
}

// nextRecord is nil behind the last whole record.
func nextRecord(r io.Reader) []byte {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			check(err)
		}
		return nil
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if n == 0 || n%entrySize != 0 || n > 1<<24 {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil || crc32.ChecksumIEEE(b) != binary.LittleEndian.Uint32(head[4:]) {
		return nil
	}
	return b
}

// commit makes groups durable, one at a time, and sends their answers.
func (s *server) commit() {
	runtime.LockOSThread()
	out := mmsg.New(256, 0, true)
	next := &group{}
	var record []byte
	small := false
	for {
		g := s.take(next, small)
		small = len(g.end) < 16
		record = binary.LittleEndian.AppendUint32(record[:0], uint32(len(g.log)))
		record = binary.LittleEndian.AppendUint32(record, crc32.ChecksumIEEE(g.log))
		record = append(record, g.log...)
		if s.off+int64(len(record)) > logSize {
			s.off = 0 // a product would fold the log into a snapshot here
		}
		_, err := s.file.WriteAt(record, s.off)
		check(err)
		s.off += int64(len(record))
		if s.sync {
			check(unix.Fdatasync(int(s.file.Fd())))
		}
		at := 0
		for i, end := range g.end {
			out.Put(g.resp[at:end], &g.peer[i])
			g.seen[i].done.Store(true)
			at = end
			if out.N == out.Cap() {
				check(out.Send(s.fd))
			}
		}
		check(out.Send(s.fd))
		g.log, g.resp, g.end, g.peer, g.seen = g.log[:0], g.resp[:0], g.end[:0], g.peer[:0], g.seen[:0]
		next = g
	}
}

// take waits for logins and gives their group; new ones gather in next.
func (s *server) take(next *group, small bool) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.cur.end) == 0 {
		s.cond.Wait()
	}
	if s.gather > 0 && small {
		s.mu.Unlock()
		ts := unix.NsecToTimespec(int64(s.gather))
		_ = unix.Nanosleep(&ts, nil)
		s.mu.Lock()
	}
	g := s.cur
	s.cur = next
	return g
}
