package authn

import (
	"encoding/binary"
	"time"

	"sekisho/token"
)

// AccountID is the random, immutable number of an account; shown like [token.ID].
type AccountID uint64

// String gives the 13 characters in which people see the ID.
func (id AccountID) String() string { return token.ID(id).String() }

func (id AccountID) octets() (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], uint64(id))
	return b
}

// Account is what Sekisho keeps about one user: which tokens they hold, their PIN, and what their failures have cost.
// Guard belongs to logins and travels in events; the rest changes by acts of the life cycle.
type Account struct {
	ID          AccountID
	Directory   string // with External: the User this is
	External    string
	Name        string // canonical name when last seen; for people, never a key
	Generation  uint32 // raised by every act on the account; States, pairs and memos of an older one are dead (S13)
	Assignments []token.Assignment
	PIN         PINHash
	Spare       bool // the holder's record may have codes that open without a token; see [Spares]
	Guard       Guard
	Memory      Memory // not stored; lost at a restart
}

// PINHash is a PIN under a keyed hash (S23). The zero value matches nothing.
type PINHash struct {
	Salt [16]byte
	Sum  [32]byte
}

// IsZero reports that no PIN was ever set.
func (h PINHash) IsZero() bool { return h == PINHash{} }

// Class tells logins from where the person usually is (K) from all others (U), so that strangers spend another budget
// than the owner.
type Class uint8

// The classes.
const (
	ClassUnknown Class = iota
	ClassKnown
)

// String gives the letter of the login table.
func (c Class) String() string { return [...]string{"U", "K"}[c&1] }

// Stop is a set of doors that only an operator or a re-binding opens again (S1 row 19).
type Stop uint8

// The stops.
const (
	StopU       Stop = 1 << iota // the row of unknown sources reached its end
	StopK                        // the row of known sources did
	StopAccount                  // theft: right codes with wrong first factors
)

// Pot names a yearly budget of guesses, or the yearly count of thefts.
type Pot uint8

// The pots.
const (
	PotU Pot = iota + 1
	PotK
	PotPair
	PotTheft // counts, not chances
)

// Charge is what one day took from one pot: in token.GuessUnit, for PotTheft in attempts.
type Charge struct {
	Pot    Pot
	Day    uint16 // see token.Day
	Amount int64
}

// KnownSource remembers that an Accept came from somewhere: a keyed hash of account and source, and the day.
type KnownSource struct {
	Hash uint64
	Day  uint16
}

// Guard is what an account's failures have cost so far and where its owner is known (S1, S4). Its zero value is that of a
// fresh account. Methods that change it are Apply alone; the rules read it.
type Guard struct {
	Row      [2]uint8 // misses in a row, by Class
	Wait     [2]int64 // Unix seconds until which the class is refused single codes, by Class
	TheftRun uint8
	Stopped  Stop
	Digits   uint8    // length of the code last accepted; 0: none yet (S2)
	Charges  []Charge // by day, oldest first; at most 366 days of each pot
	Known    []KnownSource
}

const (
	year       = 365 // days a charge counts
	knownDays  = 30  // days a source stays known
	knownLimit = 32  // sources remembered per account
)

// Spent sums a pot over the rolling year that ends today.
func (g *Guard) Spent(p Pot, now time.Time) int64 {
	today := token.Day(now)
	var sum int64
	for _, c := range g.Charges {
		if c.Pot == p && int(c.Day)+year >= int(today) {
			sum += c.Amount
		}
	}
	return sum
}

// Today is what today has already taken from a pot.
func (g *Guard) Today(p Pot, now time.Time) int64 {
	today := token.Day(now)
	for _, c := range g.Charges {
		if c.Pot == p && c.Day == today {
			return c.Amount
		}
	}
	return 0
}

// Knows reports whether an Accept came from the source within 30 days.
func (g *Guard) Knows(source uint64, now time.Time) bool {
	if source == 0 {
		return false
	}
	today := token.Day(now)
	for _, k := range g.Known {
		if k.Hash == source && int(k.Day)+knownDays >= int(today) {
			return true
		}
	}
	return false
}

// GuardAfter is the part of an event that says how the guard stands after it: values, never deltas, so that applying it
// twice does no harm (S8).
type GuardAfter struct {
	Row      [2]uint8
	Wait     [2]int64
	TheftRun uint8
	Stopped  Stop
	Digits   uint8
	Charge   Charge      // the one bucket that changed; Pot zero: none
	Known    KnownSource // the source that was confirmed; Hash zero: none
}

// After is the guard as it stands, ready for the changes of one event.
func (g *Guard) After() GuardAfter {
	return GuardAfter{Row: g.Row, Wait: g.Wait, TheftRun: g.TheftRun, Stopped: g.Stopped, Digits: g.Digits}
}

// Apply brings the guard to where an event left it.
func (g *Guard) Apply(a GuardAfter) {
	g.Row, g.Wait, g.TheftRun, g.Stopped, g.Digits = a.Row, a.Wait, a.TheftRun, a.Stopped, a.Digits
	if a.Charge.Pot != 0 {
		g.charge(a.Charge)
	}
	if a.Known.Hash != 0 {
		g.know(a.Known)
	}
}

// charge sets one bucket and drops what is older than a year.
func (g *Guard) charge(c Charge) {
	kept := g.Charges[:0]
	found := false
	for _, old := range g.Charges {
		if old.Pot == c.Pot && old.Day == c.Day {
			old.Amount = max(old.Amount, c.Amount)
			found = true
		}
		if int(old.Day)+year >= int(c.Day) {
			kept = append(kept, old)
		}
	}
	if !found {
		kept = append(kept, c)
	}
	g.Charges = kept
}

func (g *Guard) know(k KnownSource) {
	oldest := -1
	for i := range g.Known {
		if g.Known[i].Hash == k.Hash {
			g.Known[i].Day = max(g.Known[i].Day, k.Day)
			return
		}
		if oldest < 0 || g.Known[i].Day < g.Known[oldest].Day {
			oldest = i
		}
	}
	if len(g.Known) < knownLimit {
		g.Known = append(g.Known, k)
		return
	}
	g.Known[oldest] = k
}

// Merge keeps the stricter of two guards, as after a failed commit whose outcome stays unknown (S6): counts keep their
// larger value.
func (g *Guard) Merge(o *Guard) {
	for c := range g.Row {
		g.Row[c] = max(g.Row[c], o.Row[c])
		g.Wait[c] = max(g.Wait[c], o.Wait[c])
	}
	g.TheftRun = max(g.TheftRun, o.TheftRun)
	g.Stopped |= o.Stopped
	for _, c := range o.Charges {
		g.charge(c)
	}
}

// Memory is what an account remembers for minutes and only in memory.
type Memory struct {
	Pairs []Pair
	Wrong []WrongText
}

// Pair is a right code that waits for the next one (S1 rows 13 to 15).
type Pair struct {
	Source  uint64 // keyed hash of the source; 0: none trusted
	Client  string // where there is no source, pairs are per client
	Token   token.ID
	Step    int64 // of the first code, burnt
	Until   int64 // Unix seconds
	Tries   int8  // misses left
	Claimed int64 // Unix milliseconds until which a login holds it, waiting for its bind; 0: nobody does
}

// WrongText is a refused text, kept as a keyed hash for 30 s (S1 row 1).
type WrongText struct {
	Hash   uint64 // of text and, for the first factor's part, everything typed
	Code   uint64 // of the code alone, with station and service: an episode counts once per code
	Source uint64
	At     int64 // Unix milliseconds
}
