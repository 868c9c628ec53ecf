//go:build race

package token

// raceEnabled: under the race detector sync.Pool drops values on purpose, so allocation counts say nothing.
const raceEnabled = true
