package authn

import (
	"math"
	"time"

	"sekisho/token"
)

// Limits bound what an account can lose to guessing (S1, S4). Chances are in token.GuessUnit (10^-16) per rolling year.
type Limits struct {
	Pot        [2]int64 // by Class
	PairPot    int64
	Row        [2]uint8 // misses in a row at which a class is stopped
	TheftRun   uint8    // right codes with wrong first factors in a row at which the account is stopped
	TheftYear  int64    // the same within 365 days
	SourceRate int      // failures a minute of one user from one unknown source (row 4)
}

// The presets. Normal keeps a year's guess chance at 1e-3, Strict at 3e-4.
var (
	NormalLimits = Limits{Pot: [2]int64{4_000_000_000_000, 5_900_000_000_000}, PairPot: 100_000_000_000,
		Row: [2]uint8{60, 40}, TheftRun: 10, TheftYear: 50, SourceRate: 5}
	StrictLimits = Limits{Pot: [2]int64{1_000_000_000_000, 1_900_000_000_000}, PairPot: 100_000_000_000,
		Row: [2]uint8{60, 40}, TheftRun: 10, TheftYear: 50, SourceRate: 5}
)

// YearlyGuessChance is the chance that someone who has the first factor and guesses codes for a year gets in: the sum of
// the pots, whatever the tokens, windows and layouts (S4).
func (l Limits) YearlyGuessChance() float64 {
	return float64(l.Pot[ClassUnknown]+l.Pot[ClassKnown]+l.PairPot) * token.GuessUnit
}

// MostGuessChance is the yearly chance that a site may leave to guessers without saying why (S4).
const MostGuessChance = 1e-3

// The bounds of WithGuessChance.
const (
	LeastGuessChance = 1e-4
	WorstGuessChance = 1e-2
)

// WithGuessChance gives the limits with other pots, so that YearlyGuessChance is the one given: those of single codes share
// what the pair's leaves as they do in l.
func (l Limits) WithGuessChance(chance float64) Limits {
	all := int64(math.Round(chance/token.GuessUnit)) - l.PairPot
	u := float64(l.Pot[ClassUnknown]) / float64(l.Pot[ClassUnknown]+l.Pot[ClassKnown])
	l.Pot[ClassUnknown] = int64(float64(all) * u)
	l.Pot[ClassKnown] = all - l.Pot[ClassUnknown]
	return l
}

const (
	waitFrom  = 3 // misses in a row from which a class waits
	waitFirst = 30 * time.Second
	waitMost  = time.Hour
)

// waitAfter is how long a class waits after its row-th miss in a row: 30 s x 2^(row-3), at most an hour.
func waitAfter(row uint8) time.Duration {
	if row < waitFrom {
		return 0
	}
	if row >= waitFrom+7 {
		return waitMost
	}
	return waitFirst << (row - waitFrom)
}

var classStop = [2]Stop{ClassUnknown: StopU, ClassKnown: StopK}

// shut reports whether a class may not try single codes now: it is stopped, or its wait has not ended.
func (g *Guard) shut(c Class, now time.Time) bool {
	return g.Stopped&classStop[c] != 0 || g.Waits(c, now)
}

// Waits reports whether the wait of a class has not ended. One that would last longer than its row can give was begun while
// the clock stood ahead: it is over, or its owner would be refused until then (S21).
func (g *Guard) Waits(c Class, now time.Time) bool {
	left := g.Wait[c] - now.Unix()
	return left > 0 && left <= int64((waitAfter(g.Row[c])+time.Second+clockSlack)/time.Second)
}

// canPay reports whether a pot has room for one more cost.
func (l Limits) canPay(g *Guard, c Class, cost int64, now time.Time) bool {
	return g.Spent(classPot(c), now)+cost <= l.Pot[c]
}

func classPot(c Class) Pot {
	if c == ClassKnown {
		return PotK
	}
	return PotU
}

// missBegins reports whether one more miss would begin a wait or a stop.
func (l Limits) missBegins(g *Guard, c Class) bool {
	return g.Row[c]+1 >= waitFrom || g.Row[c]+1 >= l.Row[c]
}
