package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 100, 1 << 20: 100, 8 << 20: 100, 16 << 20: 50, 32 << 20: 25, 80 << 20: 10, 1 << 40: 4} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d octets live: %d %%, want %d %%", live, got, want)
		}
	}
}
