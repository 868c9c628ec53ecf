package storage

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIndex holds the index against a map while entries come and go, with hashes that meet on purpose.
func TestIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		model := map[uint32]uint64{} // slot to hash
		hash := rapid.Custom(func(t *rapid.T) uint64 {
			top := rapid.SampledFrom([]uint64{0, 1, 1<<32 - 1, 1 << 31, 7, 8, 9}).Draw(t, "top")
			if rapid.Bool().Draw(t, "anywhere") {
				top = rapid.Uint64Range(0, 1<<32-1).Draw(t, "fragment")
			}
			return top<<32 | rapid.Uint64Range(0, 3).Draw(t, "rest")
		})
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			slot := rapid.Uint32Range(0, 60).Draw(t, "slot")
			h, there := model[slot]
			switch {
			case !there:
				h = hash.Draw(t, "hash")
				x.put(h, slot)
				model[slot] = h
			case rapid.IntRange(0, 2).Draw(t, "drop") > 0:
				x.drop(h, slot)
				delete(model, slot)
			default:
				x.drop(h, slot+1000) // not there: nothing happens
			}
			if x.n != len(model) {
				t.Fatalf("%d entries, want %d", x.n, len(model))
			}
			for slot, h := range model {
				if got, ok := x.find(h, func(s uint32) bool { return s == slot }); !ok || got != slot {
					t.Fatalf("slot %d under %x is not found", slot, h)
				}
			}
		}
		var want []uint32
		for slot := range model {
			want = append(want, slot)
		}
		slices.Sort(want)
		if got := x.all(); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}
