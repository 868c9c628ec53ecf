package backup

import (
	"bytes"
	"crypto/hpke"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Header stands in the clear before a backup: what it is, for people who look at a folder full of them. It is
// authenticated: a changed header does not open.
type Header struct {
	Format    int       `json:"format"`
	Made      time.Time `json:"made"`
	Host      string    `json:"host"`
	Version   string    `json:"version"`
	Seq       uint64    `json:"seq"` // newest event inside
	Size      int64     `json:"size"`
	Recipient string    `json:"recipient"`
}

const (
	magic     = "sekisho backup\n"
	format    = 1
	chunkSize = 1 << 16
	maxHeader = 4096
	tagSize   = 16
)

// What a chunk is, in its associated data: that the last one is marked keeps a cut file from opening as a shorter one.
var (
	middle = []byte{0}
	last   = []byte{1}
)

// Writer seals what is written to it. Close writes the last chunk; without it the backup does not open.
type Writer struct {
	w      io.Writer
	s      *hpke.Sender
	buf    []byte
	err    error
	closed bool
}

// NewWriter begins a backup for one recipient.
func NewWriter(w io.Writer, to Recipient, h Header) (*Writer, error) {
	if to.IsZero() {
		return nil, errors.New("sealing a backup: there is no recipient")
	}
	h.Format, h.Recipient = format, to.String()
	head, err := json.Marshal(h)
	if err != nil || len(head) > maxHeader {
		return nil, fmt.Errorf("sealing a backup: its header does not fit: %w", err)
	}
	enc, s, err := hpke.NewSender(to.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(head))
	if err != nil {
		return nil, fmt.Errorf("sealing a backup: %w", err)
	}
	var out bytes.Buffer
	out.WriteString(magic)
	out.Write(head)
	out.WriteByte('\n')
	out.Write(enc)
	if _, err := w.Write(out.Bytes()); err != nil {
		return nil, err
	}
	return &Writer{w: w, s: s, buf: make([]byte, 0, chunkSize)}, nil
}

func info(head []byte) []byte { return append([]byte(magic), head...) }

// Write takes plain octets.
func (w *Writer) Write(b []byte) (n int, err error) {
	for len(b) > 0 && w.err == nil {
		if len(w.buf) == chunkSize { // a full chunk waits until it is known not to be the last
			w.chunk(middle)
		}
		k := copy(w.buf[len(w.buf):chunkSize], b)
		w.buf, b, n = w.buf[:len(w.buf)+k], b[k:], n+k
	}
	return n, w.err
}

func (w *Writer) chunk(kind []byte) {
	sealed, err := w.s.Seal(kind, w.buf)
	if err == nil {
		_, err = w.w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(sealed))), sealed...))
	}
	clear(w.buf)
	w.buf, w.err = w.buf[:0], err
}

// Close ends the backup. It does not close what it was written to.
func (w *Writer) Close() error {
	if !w.closed && w.err == nil {
		w.chunk(last)
	}
	w.closed = true
	return w.err
}

// Reader opens a backup. It gives only octets of whole, unchanged chunks in their order; io.EOF means that the end was
// reached as it was written.
type Reader struct {
	Header Header
	r      io.Reader
	o      *hpke.Recipient
	buf    []byte
	ended  bool
	err    error
}

// Errors of a backup that does not open.
var (
	ErrNotBackup = errors.New("this is no backup of Sekisho")
	ErrDamaged   = errors.New("the backup is damaged, was changed, or belongs to another key")
	ErrCut       = errors.New("the backup ends too early")
)

// ReadHeader tells what a backup is without a key. Nothing vouches for it yet.
func ReadHeader(r io.Reader) (Header, error) {
	h, _, err := readHeader(r)
	return h, err
}

func readHeader(r io.Reader) (h Header, head []byte, err error) {
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(r, start); err != nil || string(start) != magic {
		return h, nil, ErrNotBackup
	}
	var one [1]byte
	for {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return h, nil, ErrCut
		}
		if one[0] == '\n' {
			break
		}
		if head = append(head, one[0]); len(head) > maxHeader {
			return h, nil, ErrNotBackup
		}
	}
	d := json.NewDecoder(bytes.NewReader(head))
	if err := d.Decode(&h); err != nil {
		return h, nil, fmt.Errorf("%w: its header is %w", ErrNotBackup, err)
	}
	if h.Format != format {
		return h, nil, fmt.Errorf("the backup has the form %d and this program reads %d; use the version that made it: %.40q", h.Format, format, h.Version)
	}
	return h, head, nil
}

// NewReader begins to open a backup.
func NewReader(r io.Reader, by Identity) (*Reader, error) {
	h, head, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	if own := by.Recipient().String(); !strings.EqualFold(h.Recipient, own) {
		return nil, fmt.Errorf("the backup was made for %.80s and the key is that of %s; use the other key", h.Recipient, own)
	}
	enc := make([]byte, keySize)
	if _, err := io.ReadFull(r, enc); err != nil {
		return nil, ErrCut
	}
	o, err := hpke.NewRecipient(enc, by.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(head))
	if err != nil {
		return nil, ErrDamaged
	}
	return &Reader{Header: h, r: r, o: o}, nil
}

// Read gives plain octets.
func (r *Reader) Read(b []byte) (int, error) {
	for len(r.buf) == 0 && r.err == nil {
		r.next()
	}
	if len(r.buf) == 0 {
		return 0, r.err
	}
	n := copy(b, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

func (r *Reader) next() {
	if r.ended {
		var one [1]byte
		if n, _ := r.r.Read(one[:]); n > 0 {
			r.err = ErrDamaged // something stands behind the end
			return
		}
		r.err = io.EOF
		return
	}
	var size [4]byte
	if _, err := io.ReadFull(r.r, size[:]); err != nil {
		r.err = ErrCut
		return
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < tagSize || n > chunkSize+tagSize {
		r.err = ErrDamaged
		return
	}
	sealed := make([]byte, n)
	if _, err := io.ReadFull(r.r, sealed); err != nil {
		r.err = ErrCut
		return
	}
	kind := middle
	if n < chunkSize+tagSize {
		kind = last
	}
	plain, err := r.o.Open(kind, sealed)
	if err != nil && n == chunkSize+tagSize {
		// A full chunk can be the last one. A failed try does not move the counter (RFC 9180 §5.2).
		kind = last
		plain, err = r.o.Open(kind, sealed)
	}
	if err != nil {
		r.err = ErrDamaged
		return
	}
	r.buf, r.ended = plain, &kind[0] == &last[0]
}

// Check walks over a backup without a key: is it there to its end? A changed octet shows only to who holds the key.
func Check(r io.Reader) (Header, error) {
	h, _, err := readHeader(r)
	if err != nil {
		return h, err
	}
	if _, err := io.CopyN(io.Discard, r, keySize); err != nil {
		return h, ErrCut
	}
	var plain int64
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return h, ErrCut
		}
		n := binary.BigEndian.Uint32(size[:])
		if n < tagSize || n > chunkSize+tagSize {
			return h, ErrDamaged
		}
		if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
			return h, ErrCut
		}
		plain += int64(n) - tagSize
	}
	if plain != h.Size {
		return h, fmt.Errorf("%w: it holds %d octets of %d", ErrCut, plain, h.Size)
	}
	return h, nil
}
