package authn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sekisho/token"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

func TestWaits(t *testing.T) {
	want := []time.Duration{0, 0, 0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute,
		16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour}
	for row, w := range want {
		if got := waitAfter(uint8(row)); got != w {
			t.Errorf("after miss %d in a row: wait %v, want %v", row, got, w)
		}
	}
	for row := len(want); row <= 255; row++ {
		if got := waitAfter(uint8(row)); got != time.Hour {
			t.Fatalf("after miss %d in a row: wait %v, want an hour", row, got)
		}
	}
}

func TestPresets(t *testing.T) {
	for name, c := range map[string]struct {
		limits   Limits
		u, k, p  float64
		sum      float64
		rowU     uint8
		rowK     uint8
		run      uint8
		inYear   int64
		perMinut int
	}{
		"normal": {NormalLimits, 4e-4, 5.9e-4, 1e-5, 1e-3, 60, 40, 10, 50, 5},
		"strict": {StrictLimits, 1e-4, 1.9e-4, 1e-5, 3e-4, 60, 40, 10, 50, 5},
	} {
		l := c.limits
		near := func(what string, got int64, want float64) {
			if got != int64(math.Round(want/token.GuessUnit)) {
				t.Errorf("%s: %s is %d units, want %g", name, what, got, want)
			}
		}
		near("pot[U]", l.Pot[ClassUnknown], c.u)
		near("pot[K]", l.Pot[ClassKnown], c.k)
		near("pot[PAIR]", l.PairPot, c.p)
		near("the sum", l.Pot[ClassUnknown]+l.Pot[ClassKnown]+l.PairPot, c.sum)
		if math.Abs(l.YearlyGuessChance()-c.sum) > 1e-18 {
			t.Errorf("%s: yearly chance %g, want %g", name, l.YearlyGuessChance(), c.sum)
		}
		if l.Row[ClassUnknown] != c.rowU || l.Row[ClassKnown] != c.rowK || l.TheftRun != c.run || l.TheftYear != c.inYear || l.SourceRate != c.perMinut {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestGuessCosts(t *testing.T) {
	for _, c := range []struct {
		digits       uint8
		n            int
		single, pair int64
	}{
		{6, 3, 30_000_000_000, 180_000}, // 3e-6 and 1.8e-11
		{6, 5, 50_000_000_000, 300_000},
		{7, 3, 3_000_000_000, 1_800},
		{8, 1, 100_000_000, 6}, // 6e-16: nothing is lost to rounding
	} {
		tok := &token.Token{Digits: c.digits}
		if s, p := tok.GuessCost(c.n), tok.PairCost(c.n); s != c.single || p != c.pair {
			t.Errorf("%d digits, %d candidates: %d and %d, want %d and %d", c.digits, c.n, s, p, c.single, c.pair)
		}
	}
}

// miss is row 10 once, as a login would do it.
func miss(acc *Account, c Class, cost int64, now time.Time) *Event {
	e := &Event{}
	settle(&settlement{step: Step{Row: 10, Do: DoReject, Effects: CountMiss | CountSource | KeepText}, acc: acc, class: c,
		eval: &evaluation{cost: cost}, limits: &NormalLimits, now: now, counts: true}, e)
	if e.GuardSet {
		acc.Guard.Apply(e.Guard)
	}
	return e
}

func accept(acc *Account, source uint64, now time.Time) *Event {
	e := &Event{}
	tok := &token.Token{ID: 1, Digits: 6, Form: token.Software, Mode: token.TOTP, Period: 30}
	settle(&settlement{step: Step{Row: 9, Do: DoAccept, Effects: Burn | Clear | Know}, acc: acc, source: source, limits: &NormalLimits, now: now,
		counts: true, eval: &evaluation{digits: 6, fits: []fitted{{token: tok, match: token.Match{Result: token.Fresh, Step: 7}}}}}, e)
	if e.GuardSet {
		acc.Guard.Apply(e.Guard)
	}
	return e
}

func theft(acc *Account, now time.Time) *Event {
	e := &Event{}
	settle(&settlement{step: Step{Row: 11, Do: DoReject, Effects: CountTheft | CountSource | KeepText}, acc: acc, eval: &evaluation{},
		limits: &NormalLimits, now: now, counts: true}, e)
	acc.Guard.Apply(e.Guard)
	return e
}

func TestMissesInARow(t *testing.T) {
	for class, stop := range map[Class]struct {
		at   uint8
		stop Stop
	}{ClassUnknown: {60, StopU}, ClassKnown: {40, StopK}} {
		acc := &Account{ID: 1}
		now := noon
		for i := uint8(1); i <= stop.at; i++ {
			e := miss(acc, class, 1, now)
			g := &acc.Guard
			if g.Row[class] != i || g.Row[1-class] != 0 {
				t.Fatalf("%v: rows %v after miss %d", class, g.Row, i)
			}
			w := waitAfter(i)
			if shut := g.shut(class, now); shut != (w > 0) {
				t.Fatalf("%v: after miss %d shut is %v", class, i, shut)
			}
			if w > 0 && !g.shut(class, now.Add(w-time.Millisecond)) {
				t.Errorf("%v: after miss %d the wait is shorter than %v", class, i, w)
			}
			if i < stop.at && g.shut(class, now.Add(w+time.Second)) {
				t.Errorf("%v: after miss %d the wait is longer than %v", class, i, w)
			}
			if g.shut(1-class, now) {
				t.Errorf("%v: after miss %d the other class waits", class, i)
			}
			if got := slices.Contains(e.Notices, NoticeFailures); got != (i == 3) {
				t.Errorf("%v: notice of failures after miss %d: %v", class, i, got)
			}
			if got := slices.Contains(e.Notices, NoticePair); got != (i == 3 && class == ClassUnknown) {
				t.Errorf("%v: notice of two codes after miss %d: %v", class, i, got)
			}
			if got := slices.Contains(e.Notices, NoticeStopped); got != (i == stop.at) {
				t.Errorf("%v: notice of a stop after miss %d: %v", class, i, got)
			}
			if got := g.Stopped; (got == stop.stop) != (i == stop.at) {
				t.Fatalf("%v: stops %b after miss %d", class, got, i)
			}
			now = now.Add(time.Minute)
		}
		// Row 19: neither time nor an accept from elsewhere ends a stop; row and wait end, and the charges stay.
		spent := acc.Guard.Spent(classPot(class), now)
		accept(acc, 0, now)
		g := &acc.Guard
		if g.Row != [2]uint8{} || g.Wait != [2]int64{} || g.Stopped != stop.stop || !g.shut(class, now.Add(days(300))) {
			t.Errorf("%v: after an accept %+v", class, g)
		}
		if got := g.Spent(classPot(class), now); got != spent || spent != int64(stop.at) {
			t.Errorf("%v: %d spent after an accept, %d before", class, got, spent)
		}
	}
}

// TestWaitsOfAClockAhead holds S21: a wait that no row can give was begun while the clock stood ahead. When that is put right
// the owner must not be kept out until then; one of the right length goes on.
func TestWaitsOfAClockAhead(t *testing.T) {
	for row := 1; row <= 60; row++ {
		for _, ahead := range []time.Duration{time.Minute, time.Hour, days(1), days(3650)} {
			acc := &Account{ID: 1}
			for i := range row {
				miss(acc, ClassKnown, 1, noon.Add(ahead).Add(-time.Duration(row-1-i)*days(1)))
			}
			g := &acc.Guard
			g.Stopped = 0 // the rows' ends are another matter
			w := waitAfter(uint8(row))
			if got := g.shut(ClassKnown, noon.Add(ahead)); got != (w > 0) {
				t.Fatalf("row %d: shut %v while the clock stands ahead", row, got)
			}
			if g.shut(ClassKnown, noon) {
				t.Errorf("row %d, clock set back by %v: the owner is kept out until %v", row, ahead, time.Unix(g.Wait[ClassKnown], 0).UTC())
			}
			if w > 0 && !g.shut(ClassKnown, noon.Add(ahead-clockSlack)) {
				t.Errorf("row %d: a step of the clock that is no jump ends the wait", row)
			}
		}
	}
}

// TestShortMemoryOfAClockAhead: neither pairs nor refused texts of a clock that stood ahead hold once it is right.
func TestShortMemoryOfAClockAhead(t *testing.T) {
	for _, ahead := range []time.Duration{-days(365), -time.Hour, 0, time.Second, time.Minute, time.Hour, days(365)} {
		then := noon.Add(ahead)
		m := Memory{Pairs: []Pair{{Source: 3, Until: then.Add(pairLife).Unix(), Tries: 3}}, Wrong: []WrongText{{Hash: 5, Code: 6, Source: 3, At: then.UnixMilli()}}}
		holds := ahead.Abs() <= clockSlack-time.Second
		if got := m.pair(3, "gw", noon) != nil; got != holds {
			t.Errorf("begun %v from now: the pair waits: %v", ahead, got)
		}
		if got := m.repeated(5, 3, noon); got != holds {
			t.Errorf("refused %v from now: repeated: %v", ahead, got)
		}
		if got := m.counted(6, noon); got != holds {
			t.Errorf("refused %v from now: counted: %v", ahead, got)
		}
		if got := len(keepWrong(m.Wrong, WrongText{}, noon)); (got == 2) != holds {
			t.Errorf("refused %v from now: %d texts are kept", ahead, got)
		}
	}
}

func TestWithGuessChance(t *testing.T) {
	for _, l := range []Limits{NormalLimits, StrictLimits} {
		for _, chance := range []float64{LeastGuessChance, 3e-4, MostGuessChance, 0.0025, WorstGuessChance} {
			got := l.WithGuessChance(chance)
			if math.Abs(got.YearlyGuessChance()-chance) > 2*token.GuessUnit || got.Pot[ClassUnknown] <= 0 || got.Pot[ClassUnknown] >= got.Pot[ClassKnown] || got.PairPot != l.PairPot {
				t.Errorf("%g: %+v, in all %g", chance, got, got.YearlyGuessChance())
			}
		}
		if got := l.WithGuessChance(l.YearlyGuessChance()); got.YearlyGuessChance() != l.YearlyGuessChance() {
			t.Errorf("its own chance changes %+v to %+v", l, got)
		}
	}
}

func TestTheft(t *testing.T) {
	acc := &Account{ID: 1}
	for i := 1; i <= 10; i++ {
		e := theft(acc, noon)
		if !slices.Contains(e.Notices, NoticeTheft) {
			t.Errorf("theft %d: no notice", i)
		}
		if got := acc.Guard.Stopped == StopAccount; got != (i == 10) {
			t.Errorf("theft %d in a row: stopped %v", i, got)
		}
	}
	accept(acc, 0, noon)
	if acc.Guard.TheftRun != 0 || acc.Guard.Stopped != StopAccount {
		t.Errorf("after an accept: run %d, stops %b; want 0 and the account's", acc.Guard.TheftRun, acc.Guard.Stopped)
	}

	// The owner logs in between: only the count of 365 days goes on.
	acc = &Account{ID: 2}
	now := noon
	for i := 1; i <= 50; i++ {
		if acc.Guard.Stopped != 0 {
			t.Fatalf("stopped after %d thefts in a year, want 50", i-1)
		}
		theft(acc, now)
		accept(acc, 0, now)
		now = now.Add(days(7))
	}
	if acc.Guard.Stopped != StopAccount {
		t.Error("50 thefts within 365 days did not stop the account")
	}
	// 49 in each 365 days never do.
	acc = &Account{ID: 3}
	now = noon
	for range 200 {
		theft(acc, now)
		accept(acc, 0, now)
		now = now.Add(days(365)/48 + time.Hour)
	}
	if acc.Guard.Stopped != 0 {
		t.Error("fewer than 50 thefts in any 365 days stopped the account")
	}
}

// TestPotsAreExact spends to the last unit: the pot pays exactly while the sum of a year stays within it.
func TestPotsAreExact(t *testing.T) {
	const cost = 30_000_000_000 // 3 candidates of six digits
	for class, want := range map[Class]int{ClassUnknown: 133, ClassKnown: 196} {
		acc := &Account{ID: 1}
		n, last := 0, []Notice(nil)
		for NormalLimits.canPay(&acc.Guard, class, cost, noon) {
			last = miss(acc, class, cost, noon).Notices
			accept(acc, 0, noon) // success clears no pot
			n++
		}
		if n != want || acc.Guard.Spent(classPot(class), noon) != int64(n)*cost {
			t.Errorf("class %v: %d guesses, %d spent; want %d", class, n, acc.Guard.Spent(classPot(class), noon), want)
		}
		if !slices.Contains(last, NoticePair) {
			t.Errorf("class %v: the person was not told that two codes are needed now", class)
		}
		for d, can := range map[int]bool{0: false, 364: false, 365: false, 366: true} {
			if got := NormalLimits.canPay(&acc.Guard, class, cost, noon.Add(days(d))); got != can {
				t.Errorf("class %v, %d days later: pot pays %v, want %v", class, d, got, can)
			}
		}
		exact := NormalLimits.Pot[class] - acc.Guard.Spent(classPot(class), noon)
		if !NormalLimits.canPay(&acc.Guard, class, exact, noon) || NormalLimits.canPay(&acc.Guard, class, exact+1, noon) {
			t.Errorf("class %v: the last unit is not counted exactly", class)
		}
	}
}

// TestPotsRoll holds the promise of S4 over random years: in no window of 365 days more is spent than the pot has.
func TestPotsRoll(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		acc := &Account{ID: 1}
		type spent struct {
			at   time.Time
			cost int64
		}
		var all []spent
		now := noon
		for range 3000 {
			now = now.Add(time.Duration(r.Int64N(int64(days(2)))))
			cost := (1 + r.Int64N(30)) * 10_000_000_000
			if NormalLimits.canPay(&acc.Guard, ClassUnknown, cost, now) {
				miss(acc, ClassUnknown, cost, now)
				all = append(all, spent{now, cost})
			}
		}
		from, sum := 0, int64(0)
		for _, s := range all {
			sum += s.cost
			for s.at.Sub(all[from].at) >= days(365) {
				sum -= all[from].cost
				from++
			}
			if sum > NormalLimits.Pot[ClassUnknown] {
				t.Fatalf("%d units in the 365 days before %v", sum, s.at)
			}
		}
		if len(acc.Guard.Charges) > 2*366 {
			t.Fatalf("%d buckets are kept", len(acc.Guard.Charges))
		}
	}
}

func TestKnownSources(t *testing.T) {
	acc := &Account{ID: 1}
	accept(acc, 7, noon)
	g := &acc.Guard
	for d, want := range map[int]bool{0: true, 29: true, 30: true, 31: false} {
		if got := g.Knows(7, noon.Add(days(d))); got != want {
			t.Errorf("%d days after the accept: known %v, want %v", d, got, want)
		}
	}
	if g.Knows(0, noon) || g.Knows(8, noon) {
		t.Error("no source, or another one, is known")
	}
	accept(acc, 7, noon.Add(days(20)))
	if !g.Knows(7, noon.Add(days(45))) {
		t.Error("a later accept does not renew a source")
	}
	for i := range uint64(200) {
		accept(acc, 100+i, noon.Add(days(50)))
		if len(g.Known) > knownLimit {
			t.Fatalf("%d sources are kept", len(g.Known))
		}
	}
	if g.Knows(7, noon.Add(days(50))) {
		t.Error("the oldest source was not the one to go")
	}
}

// TestGuardReplay holds S8: the events of a life, each applied once, twice or again later, end in the same guard.
func TestGuardReplay(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	live, replayed := &Account{ID: 1}, Guard{}
	now := noon
	for range 2000 {
		now = now.Add(time.Duration(r.Int64N(int64(12 * time.Hour))))
		var e *Event
		switch r.IntN(4) {
		case 0:
			e = miss(live, Class(r.IntN(2)), r.Int64N(1000), now)
		case 1:
			e = theft(live, now)
		default:
			e = accept(live, r.Uint64N(40), now)
		}
		if !e.GuardSet {
			continue
		}
		for range 1 + r.IntN(2) {
			replayed.Apply(e.Guard)
		}
	}
	same := func(a, b *Guard) bool {
		return a.Row == b.Row && a.Wait == b.Wait && a.TheftRun == b.TheftRun && a.Stopped == b.Stopped && a.Digits == b.Digits &&
			slices.Equal(a.Charges, b.Charges) && slices.Equal(a.Known, b.Known)
	}
	if !same(&live.Guard, &replayed) {
		t.Errorf("replayed: %+v\nlive: %+v", replayed, live.Guard)
	}
}

func TestGuardMerge(t *testing.T) {
	today := token.Day(noon)
	a := Guard{Row: [2]uint8{3, 0}, Wait: [2]int64{10, 50}, Stopped: StopU, TheftRun: 2, Charges: []Charge{{PotU, today, 5}, {PotK, today, 9}}}
	b := Guard{Row: [2]uint8{1, 4}, Wait: [2]int64{20, 0}, Stopped: StopK, TheftRun: 7, Charges: []Charge{{PotU, today, 8}, {PotK, today - 1, 2}}}
	m := a
	m.Charges = slices.Clone(a.Charges)
	m.Merge(&b)
	if m.Row != [2]uint8{3, 4} || m.Wait != [2]int64{20, 50} || m.Stopped != StopU|StopK || m.TheftRun != 7 {
		t.Errorf("merged: %+v", m)
	}
	if u, k := m.Spent(PotU, noon), m.Spent(PotK, noon); u != 8 || k != 11 {
		t.Errorf("merged pots: %d and %d, want 8 and 11", u, k)
	}
}
