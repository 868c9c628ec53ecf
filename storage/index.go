package storage

import (
	"math/bits"
	"slices"
)

// index finds slots by hash: an open-addressing table of 8 octets an entry, without pointers, so that a million entries
// cost the garbage collector nothing. An entry is a 32-bit fragment of the hash over slot + 1; the caller compares what lies
// in the slot, because fragments coincide. Entries lie in a row from their home on, which the fragment alone gives, so
// growing looks at nothing but the table.
type index struct {
	cells []uint64
	n     int
}

const leastCells = 16

// home is where an entry of this fragment would lie if the place were free.
func (x *index) home(cell uint64) int {
	hi, _ := bits.Mul64(cell>>32<<32, uint64(len(x.cells)))
	return int(hi)
}

func (x *index) after(i int) int {
	if i++; i == len(x.cells) {
		return 0
	}
	return i
}

// find gives the first slot under the hash that is says yes to.
func (x *index) find(hash uint64, is func(slot uint32) bool) (uint32, bool) {
	for i, slot, ok := x.first(hash); ok; i, slot, ok = x.next(hash, i) {
		if is(slot) {
			return slot, true
		}
	}
	return 0, false
}

// first and next walk the slots under one hash.
func (x *index) first(hash uint64) (at int, slot uint32, ok bool) {
	if x.n == 0 {
		return 0, 0, false
	}
	return x.seek(hash, x.home(hash))
}

func (x *index) next(hash uint64, at int) (int, uint32, bool) { return x.seek(hash, x.after(at)) }

func (x *index) seek(hash uint64, i int) (int, uint32, bool) {
	for ; x.cells[i] != 0; i = x.after(i) {
		if c := x.cells[i]; c>>32 == hash>>32 {
			return i, uint32(c) - 1, true
		}
	}
	return 0, 0, false
}

// put adds a slot under a hash; the caller knows that it is not there yet.
func (x *index) put(hash uint64, slot uint32) {
	if x.n+1 > len(x.cells)-len(x.cells)/5 {
		x.grow(max(leastCells, len(x.cells)+len(x.cells)/2))
	}
	x.place(hash>>32<<32 | uint64(slot+1))
	x.n++
}

func (x *index) place(cell uint64) {
	i := x.home(cell)
	for x.cells[i] != 0 {
		i = x.after(i)
	}
	x.cells[i] = cell
}

// reserve makes room for n entries at once.
func (x *index) reserve(n int) {
	if want := n + n/3 + leastCells; want > len(x.cells) {
		x.grow(want)
	}
}

func (x *index) grow(size int) {
	old := x.cells
	x.cells = make([]uint64, size)
	for _, c := range old {
		if c != 0 {
			x.place(c)
		}
	}
}

// drop takes a slot out. What follows in the row moves up, so that no search ends early at the gap.
func (x *index) drop(hash uint64, slot uint32) {
	at, found, ok := x.first(hash)
	for ok && found != slot {
		at, found, ok = x.next(hash, at)
	}
	if !ok {
		return
	}
	x.n--
	gap := at
	for i := x.after(gap); x.cells[i] != 0; i = x.after(i) {
		// An entry may fill the gap unless its home lies between the gap and its place.
		if h := x.home(x.cells[i]); (i-h+len(x.cells))%len(x.cells) >= (i-gap+len(x.cells))%len(x.cells) {
			x.cells[gap] = x.cells[i]
			gap = i
		}
	}
	x.cells[gap] = 0
}

// all gives every slot, for tests and adoption; in no order.
func (x *index) all() []uint32 {
	slots := make([]uint32, 0, x.n)
	for _, c := range x.cells {
		if c != 0 {
			slots = append(slots, uint32(c)-1)
		}
	}
	slices.Sort(slots)
	return slots
}
