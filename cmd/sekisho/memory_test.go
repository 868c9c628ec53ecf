package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 100, 1 << 20: 100, 24 << 20: 100, 48 << 20: 50, 96 << 20: 25, 240 << 20: 10, 1 << 40: 8} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d octets live: %d %%, want %d %%", live, got, want)
		}
	}
}
