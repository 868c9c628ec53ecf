package token

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"hash"
	"math"
	"sync"
	"time"
)

var powers = [...]uint32{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000}

// generator makes the codes of one token. It is HMAC (RFC 2104) over a hash that goes back to where it stood after the key:
// that is worked out once for all steps of a window, and a code then takes half the work. It is used again and again, so
// that nothing goes to the heap. Its owner calls wipe.
type generator struct {
	digits uint8
	made   [SHA512 + 1]resumable // each hash, made when it is first needed
	hash   resumable
	block  [sha512.BlockSize]byte // the key, filled up, XOR a pad
	inner  state                  // after key XOR ipad
	outer  state                  // after key XOR opad
	step   [8]byte
	sum    [sha512.Size]byte
	text   [MaxDigits]byte
}

// resumable is a hash that can go back to an earlier state.
type resumable interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// state is a hash's own form of where it stands; the longest, that of SHA-512, has 204 octets.
type state struct {
	octets [256]byte
	n      int
}

func (s *state) take(h resumable) {
	b, err := h.AppendBinary(s.octets[:0])
	if err != nil || len(b) > len(s.octets) {
		panic("a hash of the standard library does not tell its state") // it always does
	}
	s.n = len(b)
}

func (s *state) resume(h resumable) {
	if err := h.UnmarshalBinary(s.octets[:s.n]); err != nil {
		panic("a hash of the standard library does not take its state back") // it always does
	}
}

var generators = sync.Pool{New: func() any { return new(generator) }}

func (g *generator) init(t *Token, seed []byte) {
	g.digits = t.Digits
	h := t.Hash
	if h != SHA256 && h != SHA512 {
		h = SHA1
	}
	if g.made[h] == nil {
		g.make(h)
	}
	g.hash = g.made[h]
	block := g.block[:g.hash.BlockSize()]
	if len(seed) > len(block) {
		g.hash.Reset()
		_, _ = g.hash.Write(seed)
		seed = g.hash.Sum(g.sum[:0])
	}
	clear(block[copy(block, seed):])
	for i := range block {
		block[i] ^= 0x36
	}
	g.hash.Reset()
	_, _ = g.hash.Write(block)
	g.inner.take(g.hash)
	for i := range block {
		block[i] ^= 0x36 ^ 0x5c
	}
	g.hash.Reset()
	_, _ = g.hash.Write(block)
	g.outer.take(g.hash)
}

func (g *generator) make(h Hash) {
	switch h {
	case SHA512:
		g.made[h] = sha512.New().(resumable)
	case SHA256:
		g.made[h] = sha256.New().(resumable)
	default:
		g.made[h] = sha1.New().(resumable)
	}
}

// wipe forgets the token.
func (g *generator) wipe() {
	g.hash.Reset()
	clear(g.block[:])
	g.inner, g.outer = state{}, state{}
	clear(g.sum[:])
	clear(g.text[:])
}

// code is HOTP(K, C) of RFC 4226 §5.3 as text with its leading zeros; it holds until the next call.
func (g *generator) code(step int64) []byte {
	binary.BigEndian.PutUint64(g.step[:], uint64(step))
	g.inner.resume(g.hash)
	_, _ = g.hash.Write(g.step[:])
	sum := g.hash.Sum(g.sum[:0])
	g.outer.resume(g.hash)
	_, _ = g.hash.Write(sum)
	sum = g.hash.Sum(g.sum[:0])
	at := sum[len(sum)-1] & 0xf
	v := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff % powers[g.digits]
	for i := int(g.digits) - 1; i >= 0; i-- {
		g.text[i] = byte('0' + v%10)
		v /= 10
	}
	return g.text[:g.digits]
}

func (g *generator) matches(step int64, code []byte) bool {
	return step >= 0 && subtle.ConstantTimeCompare(g.code(step), code) == 1
}

// Code is the code that the token shows at a step (RFC 4226 §5.3, RFC 6238 §4.2), leading zeros kept. It is for whoever
// owns the seed: enrolment, tests, the demo. Checking a code is [Token.Evaluate]'s work.
func (t *Token) Code(seed []byte, step int64) string {
	g := generators.Get().(*generator)
	g.init(t, seed)
	defer generators.Put(g)
	defer g.wipe()
	return string(g.code(step))
}

// StepAt is the step that a TOTP token without drift shows at a moment; for an HOTP token the counter after the last one
// used.
func (t *Token) StepAt(now time.Time) int64 {
	if t.Mode == HOTP {
		return t.Last + 1
	}
	s := now.Unix()
	p := int64(t.Period)
	if s < 0 {
		return 0
	}
	return s / p
}

// Window is how far from the expected step a code may lie. Wider windows cost guessing chance: S4 charges every step
// that is evaluated.
type Window struct {
	Back, Ahead int // TOTP steps around now and drift
	LookAhead   int // HOTP counters after the last one used; RFC 4226 §7.4 calls it s
}

// LoginWindow is what a login allows unless the configuration says otherwise.
var LoginWindow = Window{Back: 1, Ahead: 1, LookAhead: 5}

// Result says how a code relates to a token.
type Result uint8

// The results of [Token.Evaluate].
const (
	Miss  Result = iota // the code of no step that was evaluated
	Fresh               // the code of a step that may be burnt
	Used                // the code of a step at or below the last one burnt: it opens nothing and charges nothing
)

// Match is what a code is to a token.
type Match struct {
	Result     Result
	Step       int64 // the highest step whose code it is; set for Fresh and Used
	Candidates int   // steps evaluated that could have opened: what a wrong guess is charged for (S4)
}

// usedLookBack is how many used HOTP counters are still known as used (S1 row 8).
const usedLookBack = 10

// Evaluate compares a code with the codes of the window and burns nothing. Every step of the window is computed whatever
// the outcome, so that the time taken does not tell which one fits; used steps are looked at only when no fresh one
// fits. The code of the last burnt step is a replay even where a fresh step has the same digits (S16).
//
// code must be exactly Digits ASCII digits; anything else misses, and its candidates count as evaluated.
func (t *Token) Evaluate(seed, code []byte, now time.Time, w Window) Match {
	low, high := t.Range(now, w)
	m := Match{Step: NoStep}
	if high >= low {
		m.Candidates = int(high - low + 1)
	}
	if len(code) != int(t.Digits) || len(code) < MinDigits {
		return m
	}
	g := generators.Get().(*generator)
	g.init(t, seed)
	defer generators.Put(g)
	defer g.wipe()
	for s := low; s <= high; s++ {
		if g.matches(s, code) {
			m.Result, m.Step = Fresh, s
		}
	}
	if t.Last == NoStep {
		return m
	}
	if g.matches(t.Last, code) {
		m.Result, m.Step = Used, t.Last
		return m
	}
	if m.Result == Fresh {
		return m
	}
	for s, end := t.usedRange(now, w); s <= end; s++ {
		if s != t.Last && g.matches(s, code) {
			m.Result, m.Step = Used, s
		}
	}
	return m
}

// Range is the window in steps, used ones left out: a login may burn low to high, both included, and none when high is
// less than low.
func (t *Token) Range(now time.Time, w Window) (low, high int64) {
	if t.Mode == HOTP {
		return t.Last + 1, min(t.Last+int64(w.LookAhead), MaxCounter)
	}
	at := t.StepAt(now) + int64(t.Drift)
	return max(t.Last+1, at-int64(w.Back)), at + int64(w.Ahead)
}

// usedRange is where a code is still told apart as used: HOTP the last ten counters, TOTP the steps of the window at or
// below the last. A last step in the future (a clock that was set back) leaves the whole window used.
func (t *Token) usedRange(now time.Time, w Window) (low, high int64) {
	if t.Mode == HOTP {
		return max(0, t.Last-usedLookBack+1), t.Last
	}
	at := t.StepAt(now) + int64(t.Drift)
	return max(0, at-int64(w.Back)), min(t.Last, at+int64(w.Ahead))
}

// Pots of guesses are kept in units of 10^-16, small enough for a guess at two codes of eight digits.
const GuessUnit = 1e-16

// GuessCost is the chance that a random code hits one of n steps, in [GuessUnit].
func (t *Token) GuessCost(n int) int64 {
	return int64(n) * (10_000_000_000_000_000 / int64(powers[t.Digits]))
}

// PairCost is the chance that two random codes in a row hit one of n steps and then one of the next two, three tries
// each (S1 row 15): n x 6 x 10^-2digits, in [GuessUnit].
func (t *Token) PairCost(n int) int64 {
	d := int64(powers[t.Digits])
	return int64(n) * 6 * (10_000_000_000_000_000 / (d * d))
}

const (
	driftEvery   = 7  // days between two changes of Drift (S22)
	driftCap     = 20 // steps, hardware only
	secondsInDay = 86_400
)

// Day numbers days since 1970-01-01 UTC; it is what rolling windows of a year are counted in.
func Day(now time.Time) uint16 {
	d := now.Unix() / secondsInDay
	return uint16(min(max(d, 0), math.MaxUint16))
}

// DriftAfter is the drift after the accept of a step (S22): a hardware token whose code came from beside the expected
// step moves by one step, at most once in seven days and never past 20 steps; a drift beyond them, from a resync, only
// comes back. Software runs on a phone that keeps time.
func (t *Token) DriftAfter(step int64, now time.Time) (drift int16, day uint16) {
	if t.Mode != TOTP || t.Form != Hardware {
		return 0, 0
	}
	off := step - t.StepAt(now) - int64(t.Drift)
	today := Day(now)
	switch {
	case t.DriftDay != 0 && int(today) < int(t.DriftDay)+driftEvery:
		return t.Drift, t.DriftDay
	case off > 0 && t.Drift < driftCap:
		return t.Drift + 1, today
	case off < 0 && t.Drift > -driftCap:
		return t.Drift - 1, today
	}
	return t.Drift, t.DriftDay
}
