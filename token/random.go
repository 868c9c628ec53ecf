package token

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
)

// SeedSize is how many octets a new seed has: 160 bits, what RFC 4226 §4 R6 recommends and every app takes.
const SeedSize = 20

// Seed is the secret of a token in plain, on its way in or out. It prints as "[seed]" through every verb, log handler and
// encoder, so that a struct that holds one can be printed. Whoever holds one clears it when done (S23).
type Seed []byte

// Format hides the seed from fmt.
func (Seed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[seed]")) }

// LogValue hides the seed from slog.
func (Seed) LogValue() slog.Value { return slog.StringValue("[seed]") }

// MarshalText hides the seed from JSON, YAML and XML encoders.
func (Seed) MarshalText() ([]byte, error) { return []byte("[seed]"), nil }

// NewID draws an ID: 63 random bits, so that databases with signed integers keep it, and never 0, which means none.
func NewID() ID {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails: the program ends where the system has no randomness
		if id := ID(binary.BigEndian.Uint64(b[:]) >> 1); id != 0 {
			return id
		}
	}
}

// NewSeed draws a seed of n octets, [SeedSize] unless a token asks for more. Fewer than [SeedSize] or more than [MaxSeed]
// is a fault of the program: imported seeds may be shorter, those made here are not.
func NewSeed(n int) Seed {
	if n < SeedSize || n > MaxSeed {
		panic(fmt.Sprintf("a new seed of %d octets: want %d to %d", n, SeedSize, MaxSeed))
	}
	seed := make(Seed, n)
	_, _ = rand.Read(seed)
	return seed
}
