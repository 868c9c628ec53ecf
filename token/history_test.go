package token

import (
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// verifyAndBurn is what a login does with a token: evaluate, and on a fresh code burn the step and follow the drift.
func verifyAndBurn(tok *Token, seed, code []byte, now time.Time, w Window) Match {
	m := tok.Evaluate(seed, code, now, w)
	if m.Result == Fresh {
		drift, day := tok.DriftAfter(m.Step, now)
		tok.Last, tok.Drift, tok.DriftDay = m.Step, drift, day
	}
	return m
}

// TestHistories is B2 and B3: over any history of clocks that jump, drifting devices, windows that change and codes typed
// again, accepted steps strictly grow, and each verdict is that of a model which knows nothing but the rule: a code opens
// when it belongs to an unused step of the window and is not that of the last step.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tok := totp(SHA1+Hash(rapid.IntRange(0, 2).Draw(t, "hash")), uint8(rapid.IntRange(MinDigits, MaxDigits).Draw(t, "digits")))
		tok.Period = uint16(rapid.IntRange(MinPeriod, MaxPeriod).Draw(t, "period"))
		tok.Form = rapid.SampledFrom([]Form{Software, Hardware}).Draw(t, "form")
		if rapid.Bool().Draw(t, "hotp") {
			hotpAfter(NoStep)(tok)
		}
		seed := rapid.SliceOfN(rapid.Byte(), MinSeed, MaxSeed).Draw(t, "seed")
		now := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "now"), 0)
		window := rapid.Custom(func(t *rapid.T) Window {
			return Window{rapid.IntRange(0, 4).Draw(t, "back"), rapid.IntRange(0, 4).Draw(t, "ahead"), rapid.IntRange(1, 12).Draw(t, "lookahead")}
		})
		var accepted []int64
		typed := []int64{0}

		enter := func(t *rapid.T, step int64) {
			w := window.Draw(t, "window")
			before := *tok
			code := []byte(tok.Code(seed, step))
			low, high := max(0, before.StepAt(now)+int64(before.Drift)-int64(w.Back)), before.StepAt(now)+int64(before.Drift)+int64(w.Ahead)
			if before.Mode == HOTP {
				low, high = before.Last+1, before.Last+int64(w.LookAhead)
			}
			want := NoStep
			for s := low; s <= high; s++ {
				if s > before.Last && before.Code(seed, s) == string(code) {
					want = s
				}
			}
			if before.Last != NoStep && before.Code(seed, before.Last) == string(code) {
				want = NoStep
			}
			m := verifyAndBurn(tok, seed, code, now, w)
			if (m.Result == Fresh) != (want != NoStep) || (m.Result == Fresh && m.Step != want) {
				t.Fatalf("%+v: the model has step %d (last %d, window %d to %d)", m, want, before.Last, low, high)
			}
			if m.Result == Fresh {
				if len(accepted) > 0 && m.Step <= accepted[len(accepted)-1] {
					t.Fatalf("step %d was accepted after %d", m.Step, accepted[len(accepted)-1])
				}
				accepted = append(accepted, m.Step)
			}
			if m.Result == Used && m.Step > before.Last {
				t.Fatalf("%+v: step %d was never used", m, m.Step)
			}
			if tok.Drift < -driftCap || tok.Drift > driftCap || (tok.Form == Software && tok.Drift != 0) || (tok.Mode == HOTP && tok.Drift != 0) {
				t.Fatalf("drift %d", tok.Drift)
			}
			typed = append(typed, step)
		}
		t.Repeat(map[string]func(*rapid.T){
			"time goes on": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "seconds")) * time.Second)
			},
			"days pass": func(t *rapid.T) {
				now = now.AddDate(0, 0, rapid.IntRange(1, 30).Draw(t, "days"))
			},
			"the clock is set back": func(t *rapid.T) {
				now = now.Add(-time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
			},
			"a code near now": func(t *rapid.T) {
				enter(t, max(0, tok.StepAt(now)+rapid.Int64Range(-8, 8).Draw(t, "off")))
			},
			"a code typed again": func(t *rapid.T) {
				enter(t, rapid.SampledFrom(typed).Draw(t, "step"))
			},
			"the last code": func(t *rapid.T) {
				enter(t, max(0, tok.Last))
			},
		})
	})
}

// TestAcceptedStepsGrow is B2 by numbers: random moments, drifts, windows and codes, no model, one invariant.
func TestAcceptedStepsGrow(t *testing.T) {
	cases := 200_000
	switch {
	case os.Getenv("SEKISHO_SOAK") == "1":
		cases = 100_000_000
	case os.Getenv("SEKISHO_PROOF") == "1":
		cases = 10_000_000
		t.Logf("%d cases; SEKISHO_SOAK=1 runs 100,000,000", cases)
	default:
		t.Logf("%d cases; SEKISHO_PROOF=1 runs 10,000,000, SEKISHO_SOAK=1 100,000,000", cases)
	}
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(21, uint64(worker)))
			tok, seed, now, accepted := totp(SHA1, 6), randomOctets(r, 20), time.Unix(1e9, 0), 0
			for i := range cases / workers {
				if i%1000 == 0 {
					tok, seed, now = totp(SHA1, 6), randomOctets(r, 20), time.Unix(1e9+r.Int64N(1e9), 0)
				}
				now = now.Add(time.Duration(r.IntN(90)-30) * time.Second)
				if r.IntN(50) == 0 {
					now = now.AddDate(0, 0, 7)
				}
				w := Window{Back: r.IntN(3), Ahead: r.IntN(3)}
				last := tok.Last
				code := tok.Code(seed, tok.StepAt(now)+int64(tok.Drift)+r.Int64N(7)-3)
				m := verifyAndBurn(tok, seed, []byte(code), now, w)
				if m.Result != Fresh {
					continue
				}
				accepted++
				if m.Step <= last {
					t.Errorf("step %d was accepted after %d", m.Step, last)
					return
				}
			}
			if accepted < cases/workers/20 {
				t.Errorf("only %d of %d codes were accepted: the test tries nothing", accepted, cases/workers)
			}
		})
	}
	wg.Wait()
}

// TestDriftingClocks is B4: a device whose clock is off by any whole second up to ten minutes shows each of its codes for
// a whole period; typed each second, none opens twice, and none at all once the device is outside the window.
func TestDriftingClocks(t *testing.T) {
	for _, period := range []uint16{30, 60} {
		for off := int64(-600); off <= 600; off++ {
			tok := totp(SHA1, 6)
			tok.Period = period
			seen := map[int64]bool{}
			start := int64(1e9 + 7)
			for at := start; at < start+4*int64(period); at += 7 {
				shown := (at + off) / int64(period)
				m := verifyAndBurn(tok, seed20, []byte(tok.Code(seed20, shown)), time.Unix(at, 0), LoginWindow)
				if m.Result != Fresh {
					continue
				}
				if seen[m.Step] {
					t.Fatalf("period %d s, %d s off: step %d opened twice", period, off, m.Step)
				}
				seen[m.Step] = true
			}
			if inside := max(off, -off) < int64(period); inside && len(seen) < 4 || max(off, -off) > 3*int64(period) && len(seen) != 0 {
				t.Fatalf("period %d s, %d s off: %d steps opened", period, off, len(seen))
			}
		}
	}
}
