package storage

import (
	"sync/atomic"
	"unsafe"
)

// slabSize is how many records share a slab: one row of each of the slab tables.
const slabSize = 64

// slab is slabSize records side by side, and what is known about their rows.
type slab[R any] struct {
	records [slabSize]R

	// Newest events that the rows hold: whole that of the record's row, state that of what logins own.
	whole, state uint64
	// Oldest event that the rows do not hold, 0 when they are up to date; wholly when both rows are behind. Written under
	// the queue's lock, cleared while no decision runs.
	since  uint64
	wholly bool
}

// slabGroup is how many slabs are made at once: in one piece, so that little is lost to the allocator's size classes.
const slabGroup = 8

// slabs holds records by slot: the slab's number times slabSize, and the place in it. Slots stay the same from start to
// start. Records are found without a lock; growing is the caller's to guard.
type slabs[R any] struct {
	table atomic.Pointer[[]*[slabGroup]slab[R]]
	count uint32   // slabs in use
	free  []uint32 // slots that hold nothing
}

func newSlabs[R any]() *slabs[R] {
	s := &slabs[R]{}
	s.table.Store(&[]*[slabGroup]slab[R]{})
	return s
}

func (s *slabs[R]) slab(number uint32) *slab[R] {
	return &(*s.table.Load())[number/slabGroup][number%slabGroup]
}

// at gives the record in a slot that exists.
func (s *slabs[R]) at(slot uint32) *R {
	return &s.slab(slot / slabSize).records[slot%slabSize]
}

// extend makes slabs up to number; the new slots are not in the list of free ones.
func (s *slabs[R]) extend(count uint32) {
	table := *s.table.Load()
	for uint32(len(table))*slabGroup < count {
		// Readers see the old length; what lies behind it is theirs to see only after Store.
		table = append(table, new([slabGroup]slab[R]))
	}
	s.table.Store(&table)
	s.count = max(s.count, count)
}

// fresh gives the number of a new slab whose slots are the caller's to use or to give back.
func (s *slabs[R]) fresh() uint32 {
	s.extend(s.count + 1)
	return s.count - 1
}

// take gives a free slot.
func (s *slabs[R]) take() uint32 {
	if len(s.free) == 0 {
		first := s.fresh() * slabSize
		for i := range uint32(slabSize) {
			s.free = append(s.free, first+slabSize-1-i)
		}
	}
	slot := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return slot
}

// texts keeps octets that never change: names, identities, seeds. They are only added, in large pieces, and stay where they
// are while the state lives, so that what was handed out stays valid. Replaced ones are lost until the next start: acts
// replace them, logins never do. Growing is the caller's to guard.
type texts struct {
	pieces atomic.Pointer[[][]byte]
	used   uint32 // octets of the last piece
}

const textPiece = 1 << 17

func newTexts() *texts {
	t := &texts{}
	t.pieces.Store(&[][]byte{})
	return t
}

// add copies the parts behind each other and gives where they begin. They have at most textPiece octets together.
func (t *texts) add(parts ...string) uint32 {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	pieces := *t.pieces.Load()
	if len(pieces) == 0 || int(t.used)+size > textPiece {
		pieces = append(pieces, make([]byte, textPiece))
		t.pieces.Store(&pieces)
		t.used = 0
	}
	at := t.used
	room := pieces[len(pieces)-1][at:]
	for _, p := range parts {
		room = room[copy(room, p):]
	}
	t.used += uint32(size)
	return uint32(len(pieces)-1)*textPiece + at
}

// octets gives n octets from a place on, without a copy. Nobody may change them.
func (t *texts) octets(at, n uint32) []byte {
	if n == 0 {
		return nil
	}
	piece := (*t.pieces.Load())[at/textPiece]
	return piece[at%textPiece : at%textPiece+n : at%textPiece+n]
}

func (t *texts) text(at, n uint32) string { return alias(t.octets(at, n)) }

// alias reads octets that never change as a string, without a copy.
func alias(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}
