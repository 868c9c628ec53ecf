package authn

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// eachFacts calls f for every combination of facts that can differ in effect: outside the lock the fit of the code is not
// known, under it the slots matter only to a claim. Invariants are checked over all of them, reachable or not.
func eachFacts(locked bool, shard, shards int, f func(*Facts)) {
	fits := []Fit{NotEvaluated}
	slots := []Slots{SlotsUnknown, SlotFree, SlotsFlying, SlotsSpent}
	seconds := 1
	if locked {
		fits = []Fit{NotEvaluated, NoFit, FitsOpen, FitsPending, FitsShut, FitsUsed, NoTokens}
		slots = slots[:1]
		seconds = 8
	}
	const (
		bools   = 16
		without = 0x80 // marks a factor of somebody who never held a token; the table would refuse other factors by row 3 too
	)
	for bits := shard; bits < 1<<bools; bits += shards {
		b := func(i int) bool { return bits>>i&1 == 1 }
		base := Facts{Locked: locked, Repeated: b(0), Exempt: b(1), Asks: b(2), Blind: b(3), HasCode: b(4), LastTry: b(5), Known: b(6),
			SourceOver: b(7), Stopped: b(8), ClassShut: b(9), PotEmpty: b(10), PairFull: b(11), Pair: b(12), Empty: b(13), Claimed: b(14), NoPIN: b(15)}
		for _, finding := range []Finding{NotAsked, Found, NobodyFound, SeveralFound, Barred, NoAnswer} {
			for _, round := range []Round{FirstRound, AnswerRound, BadRound, SpentRound} {
				x := base
				x.Finding, x.Round, x.Why = finding, round, DeniedByPolicy
				if finding != Found || round == BadRound || round == SpentRound {
					f(&x) // nothing else is looked at: the invariants hold for the rest by the same path
					continue
				}
				for _, x.Factor = range []FirstFactor{NoFactor, PIN, Password, Gateway, Password + without, Gateway + without} {
					if x.Unenrolled = x.Factor >= without; x.Unenrolled {
						x.Factor -= without
						if x.Exempt || round != FirstRound {
							continue
						}
					}
					for _, x.Proof = range []Proof{Open, Right, Wrong} {
						for _, x.Slots = range slots {
							for _, x.Fit = range fits {
								for k := range seconds {
									if x.Unenrolled && k&3 != 0 {
										continue // there is no code and no pair
									}
									x.Second, x.WaitBegins, x.ClockDoubt = k&1 == 1, k&2 == 2, k&4 == 4
									x.Shut = 0
									if x.Fit == FitsShut {
										x.Shut = []Reason{TokenExpired, TokenSuspended}[k&1]
									}
									f(&x)
								}
							}
						}
					}
				}
			}
		}
	}
}

// breach says which promise of S1 a step breaks; empty when it keeps them all. It states the promises by themselves, not
// row by row.
func breach(f *Facts, s Step) string {
	proven := f.Proof == Right || f.Factor == Gateway || f.Factor == NoFactor
	exempt := f.Exempt || f.Unenrolled && f.Round == FirstRound
	final := s.Do >= DoAccept
	account := s.Effects &^ (CountSource | KeepText | KeepPassword | AlarmPair | ReleasePair)
	switch {
	case s.Do == 0 || s.Row == 0:
		return "no answer"
	case final && s.Reason == 0:
		return "an ending without a reason"
	case s.Do == DoAccept && !f.Locked:
		return "accepted outside the lock"
	case s.Do == DoAccept && (f.Finding != Found || f.Round > AnswerRound || f.Stopped):
		return "accepted somebody unknown, barred or stopped, or on a bad State"
	case s.Do == DoAccept && f.Repeated && !f.Claimed:
		return "accepted a repeated text"
	case s.Do == DoAccept && exempt && !(f.Factor == Gateway || f.Factor == Password && f.Proof == Right):
		return "an exempt person without a proven first factor"
	case s.Do == DoAccept && !exempt && !proven:
		return "accepted without a first factor"
	case s.Do == DoAccept && !exempt && f.Fit != FitsOpen && f.Fit != FitsPending:
		return "accepted without a code that opens"
	case s.Do == DoAccept && !exempt && !s.Has(Burn):
		return "accepted without burning the step"
	case s.Do == DoAccept && !exempt && s.Pair && !f.Second:
		return "accepted one code where two are asked for"
	case s.Do == DoAccept && !exempt && !s.Pair && (f.ClassShut || f.PotEmpty):
		return "a single code past its limits"
	case s.Do == DoAccept && s.Pair && f.PairFull:
		return "a pair past its limit"
	case s.Do == DoAccept && f.Fit == FitsPending && !exempt && !s.Has(Activate):
		return "a pending token opened without becoming active"
	case s.Do == DoBind && (f.Locked || f.Empty || f.Proof != Open || f.Slots != SlotFree || f.Factor != Password || f.Finding != Found):
		return "a bind that must not be sent"
	case s.Do == DoBind && s.Pair && !f.Claimed:
		return "a bind in PAIR before the second code"
	case s.Do == DoBind && f.SourceOver && !f.Known && !f.Claimed:
		return "a bind past row 4"
	case !final && s.Effects != 0:
		return "an effect before the end"
	case s.Do == DoDiscard && account != 0:
		return "a discard that spends"
	case s.Has(CountMiss) && (!proven || f.Fit != NoFit && f.Fit != NotEvaluated || s.Pair):
		return "a miss counted without a right first factor, or in PAIR"
	case s.Has(CountTheft) && (proven && !(f.Factor == Password && f.Proof == Wrong) && f.Proof != Wrong && !f.Empty):
		return "a theft counted with a right first factor"
	case account != 0 && !f.Locked:
		return "the account changed outside the lock"
	case f.Fit == FitsUsed && account != 0 && !exempt:
		return "a used code that costs something"
	case s.Has(Burn) && f.Fit != FitsOpen && f.Fit != FitsPending && f.Fit != FitsShut:
		return "a burn without a match"
	case s.Has(Burn) && f.ClockDoubt && f.Fit == NotEvaluated:
		return "a burn while the clock is in doubt"
	case final && f.Claimed && s.Effects&(ReleasePair|EndPair|StartPair) == 0 && !exempt:
		return "a claim that nobody gives back"
	case s.Has(TellPerson) && !proven:
		return "the token's state told without proof"
	case s.Do == DoAsk && f.Round == FirstRound && !f.Asks && !f.Blind:
		return "a challenge where none is allowed"
	case exempt && s.Has(CountMiss|CountTheft|Burn):
		return "an exempt person was counted"
	case (s.Reason == OKUnenrolled) != (s.Do == DoAccept && exempt && !f.Exempt):
		return "let in without a token, and it does not show, or the other way round"
	case s.Reason == OKUnenrolled && f.ClockDoubt:
		return "let in without a token while the clock is in doubt"
	}
	return ""
}

func TestTableKeepsItsPromises(t *testing.T) {
	for _, locked := range []bool{false, true} {
		shards := runtime.GOMAXPROCS(0)
		step := 1
		if raceEnabled || testing.Short() {
			step = 61
			t.Logf("every %dth of the high combinations only, because the race detector is on", step)
		}
		var wg sync.WaitGroup
		counts := make([]int, shards)
		for i := range shards {
			wg.Go(func() {
				bad := 0
				eachFacts(locked, i, shards*step, func(f *Facts) {
					counts[i]++
					if why := breach(f, Table(*f)); why != "" && bad < 5 {
						bad++
						t.Errorf("%s: %s -> %+v", why, show(f), Table(*f))
					}
				})
			})
		}
		wg.Wait()
		sum := 0
		for _, n := range counts {
			sum += n
		}
		t.Logf("locked %v: %d combinations", locked, sum)
	}
}

func show(f *Facts) string { return fmt.Sprintf("%+v", *f) }

// TestBlindDialogueLooksTheSame holds S19: in a blind dialogue a right and a wrong first factor, a stopped account and an
// unknown person get the same kind of answer to the same code.
func TestBlindDialogueLooksTheSame(t *testing.T) {
	eachFacts(true, 0, 7, func(f *Facts) {
		if !f.Blind || !f.Asks || f.Factor != Password || f.Exempt || f.Finding != Found || f.Round != AnswerRound || f.Proof != Right ||
			f.Repeated || f.Claimed || f.Pair || f.Fit != NoFit || f.Stopped {
			return
		}
		right := Table(*f)
		w := *f
		w.Proof = Wrong
		if wrong := Table(w); wrong.Do != right.Do {
			t.Fatalf("right first factor %+v, wrong one %+v: %s", right, wrong, show(f))
		}
	})
	first := Facts{Blind: true, Asks: true, Factor: Password, Finding: Found}
	for name, change := range map[string]func(*Facts){
		"right":    func(f *Facts) { f.Proof = Right },
		"wrong":    func(f *Facts) { f.Proof = Wrong },
		"empty":    func(f *Facts) { f.Empty = true },
		"stopped":  func(f *Facts) { f.Stopped = true },
		"waiting":  func(f *Facts) { f.Known, f.ClassShut = true, true },
		"unknown":  func(f *Facts) { f.Finding = NobodyFound },
		"several":  func(f *Facts) { f.Finding = SeveralFound },
		"barred":   func(f *Facts) { f.Finding, f.Why = Barred, UserLocked },
		"spent":    func(f *Facts) { f.Slots = SlotsSpent },
		"pair":     func(f *Facts) { f.PotEmpty = true },
		"pairFull": func(f *Facts) { f.PotEmpty, f.PairFull = true, true },
	} {
		f := first
		change(&f)
		if s := Table(f); s.Do != DoAsk {
			t.Errorf("%s: first round of a blind dialogue gave %+v, want a challenge", name, s)
		}
	}
}

// TestTableEnds walks from every start: whatever the world answers, an attempt ends after a few steps.
func TestTableEnds(t *testing.T) {
	eachFacts(false, 0, 5, func(f *Facts) {
		if f.Claimed || f.Proof != Open || f.Slots != SlotsUnknown {
			return
		}
		x := *f
		for range 12 {
			s := Table(x)
			x.Pair = x.Pair || s.Pair
			switch s.Do {
			case DoLookup:
				x.Finding = Found
			case DoSlots:
				x.Slots = SlotsFlying
			case DoWait:
				x.Slots = SlotFree
			case DoBind:
				x.Proof, x.Slots = Right, SlotsUnknown
			case DoLock:
				x.Locked, x.Fit, x.Second = true, FitsOpen, true
				if x.Factor == PIN {
					x.Proof = Right
				}
			case DoClaim:
				x.Locked, x.Claimed, x.Slots = false, true, SlotsUnknown
			default:
				return
			}
		}
		t.Fatalf("no end after 12 steps: %s", show(f))
	})
}

func TestReasonsAreComplete(t *testing.T) {
	codes := make(map[string]bool)
	for _, r := range Reasons() {
		if r.String() == "" || codes[r.String()] {
			t.Errorf("reason %d: code %q is empty or stands twice", r, r)
		}
		codes[r.String()] = true
		if r.Sentence() == "" || r.Japanese() == "" {
			t.Errorf("reason %s lacks a sentence", r)
		}
	}
}
