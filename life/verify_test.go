package life

import (
	"testing"
	"time"

	"sekisho/token"
)

// The test of a token: what it says in and beside the window, and what it burns.
func TestV1(t *testing.T) {
	for off, want := range map[int64]Verdict{-121: Unconfirmed, -120: OutOfStep, -2: OutOfStep, -1: Works, 0: Works, 1: Works, 2: OutOfStep, 120: OutOfStep, 121: Unconfirmed} {
		h := newHouse().as(ByPerson)
		got, c, no := h.a.Test(h.s, hard, h.shows(hard, off))
		if got != want || (no == nil) != (want != Unconfirmed) {
			t.Errorf("%d steps off: %d, %v", off, got, no)
		}
		h.apply(c)
		if len(h.record(hard).Tests) != 1 || len(c.Holders) != 0 || len(c.Notices) != 0 {
			t.Errorf("%d steps off: change %+v", off, c)
		}
		last := token.NoStep
		if want == Works {
			last = h.token(hard).StepAt(noon) + off
		}
		if h.token(hard).Last != last {
			t.Errorf("%d steps off: last step %d, want %d", off, h.token(hard).Last, last)
		}
		if want == OutOfStep { // the same code is no proof for a resync
			_, no := h.a.Resync(h.s, hard, h.shows(hard, off), h.shows(hard, off+1))
			refused(t, "resync with a tested code", no, WrongCode, time.Time{})
		}
	}
}

// Resync: two codes in order, a gap that is bounded, only forward, and logins go on from there.
func TestV2(t *testing.T) {
	for _, e := range []struct {
		first, second int64
		code          Code
	}{{-120, -119, ""}, {120, 121, ""}, {115, 125, ""}, {-121, -120, WrongCode}, {121, 122, WrongCode}, {50, 60, ""}, {50, 61, WrongCode}, {60, 50, WrongCode}, {0, 1, ""}} {
		h := newHouse().as(ByPerson)
		c, no := h.a.Resync(h.s, hard, h.shows(hard, e.first), h.shows(hard, e.second))
		if e.code != "" {
			refused(t, "resync", no, e.code, time.Time{})
			if len(c.Records) != 1 || len(c.Records[0].Pot) != 1 || len(c.Tokens) != 0 {
				t.Errorf("%+v: change %+v", e, c)
			}
			continue
		}
		if no != nil {
			t.Errorf("%+v: %v", e, no.Code)
			continue
		}
		h.apply(c)
		tok := h.token(hard)
		if at := tok.StepAt(noon); tok.Last != at+e.second || int64(tok.Drift) != e.second {
			t.Errorf("%+v: last %d, drift %d", e, tok.Last-at, tok.Drift)
		}
		if m := tok.Evaluate(seed(hard), h.shows(hard, e.second), noon, token.LoginWindow); m.Result != token.Used {
			t.Errorf("%+v: the second code still opens", e)
		}
		if m := tok.Evaluate(seed(hard), h.shows(hard, e.second+1), noon, token.LoginWindow); m.Result != token.Fresh {
			t.Errorf("%+v: the next code opens nothing", e)
		}
		// Forward only: the codes that were used, and those before, find nothing any more.
		h.later(time.Hour) // the tries of the last ten minutes are another matter
		off := int64(-120)
		_, no = h.a.Resync(h.s, hard, h.shows(hard, e.first+off), h.shows(hard, e.second+off))
		refused(t, "the same two again", no, WrongCode, time.Time{})
	}
	// Staff may follow a clock that is a day off, either way.
	for _, off := range []int64{-2880, 2879} {
		h := newHouse()
		h.must(t, "staff resync")(h.a.Resync(h.s, hard, h.shows(hard, off), h.shows(hard, off+1)))
		tok := h.token(hard)
		if m := tok.Evaluate(seed(hard), h.shows(hard, off+2), noon, token.LoginWindow); int64(tok.Drift) != off+1 || m.Result != token.Fresh {
			t.Errorf("a day off: drift %d, want %d; the next code: %v", tok.Drift, off+1, m.Result)
		}
	}
	h := newHouse().as(ByPerson)
	at := func(n int64) Typed { return Typed(h.token(count).Code(seed(count), n)) }
	for _, e := range []struct {
		first, second int64
		found         bool
	}{{99, 102, true}, {99, 103, false}, {100, 101, false}, {0, 1, true}} {
		if _, no := h.a.Resync(h.s, count, at(e.first), at(e.second)); (no == nil) != e.found {
			t.Errorf("counters %d, %d: %v", e.first, e.second, no)
		}
	}
}

// The arithmetic of the resync budget, exactly: what one try costs, how many a year has, and that success gives nothing
// back.
func TestV2Budget(t *testing.T) {
	h := newHouse().as(ByPerson)
	cost := h.a.Rules.resyncCost(h.token(hard), h.a.Rules.Range)
	if cost != 241*10*10_000 { // 241 steps x 10 x 1e-12, in 1e-16
		t.Fatalf("one try costs %d", cost)
	}
	if chance := h.a.Rules.GuessChance(h.token(hard), h.a.Rules.Range); chance < 2.4e-9 || chance > 2.5e-9 {
		t.Errorf("shown chance %g", chance)
	}
	h.a.Rules.ResyncBudget = 3 * cost
	for i, want := range []Code{"", WrongCode, WrongCode, BudgetUsed} {
		first, second := h.shows(hard, 20), h.shows(hard, 21)
		if want != "" {
			first = h.wrong(hard)
		}
		c, no := h.a.Resync(h.s, hard, first, second)
		h.apply(c)
		if want == "" && no != nil || want != "" && no.Code != want {
			t.Fatalf("try %d: %v", i, no)
		}
	}
	h.later(366 * day)
	if _, no := h.a.Resync(h.s, hard, h.shows(hard, 20), h.shows(hard, 21)); no != nil && no.Code == BudgetUsed {
		t.Error("after a year the budget is still used")
	}
}

// A reset drift, and the report of those that are off.
func TestDrift(t *testing.T) {
	h := newHouse().as(ByAdmin)
	h.hold(taro, hard, token.Active)
	h.hold(hanako, spare, token.Active)
	h.token(hard).Drift, h.token(hard).DriftDay, h.token(spare).Drift = 3, 9, -7
	if off := DriftReport(h.s.Tokens, 3, noon); len(off) != 2 || off[0].ID != spare {
		t.Errorf("report %v", off)
	}
	h.must(t, "reset")(h.a.ResetDrift(h.s, spare))
	if off := DriftReport(h.s.Tokens, 3, noon); len(off) != 1 || off[0].ID != hard {
		t.Errorf("report %v", off)
	}
	if off := DriftReport(h.s.Tokens, 4, noon); len(off) != 0 {
		t.Errorf("report %v", off)
	}
}

// Two right codes in a row end rows and waits, and nothing else does.
func TestSelfUnlock(t *testing.T) {
	for _, e := range []struct {
		what   string
		locks  Locks
		spoil  func(*house)
		second int64
		code   Code
	}{{"right", Locks{Rows: true}, nil, 1, ""}, {"stopped", Locks{true, true}, nil, 1, Stopped}, {"nothing", Locks{}, nil, 1, NothingLocked},
		{"no password", Locks{Rows: true}, func(h *house) { h.a.Proven = false }, 1, ProofNeeded}, {"by an operator", Locks{Rows: true}, func(h *house) { h.a.By = ByAdmin }, 1, NotAllowed},
		{"suspended token", Locks{Rows: true}, func(h *house) { h.hold(taro, hard, token.Suspended) }, 1, NotFound}, {"far apart", Locks{Rows: true}, nil, 30, WrongCode},
		{"tries", Locks{Rows: true}, func(h *house) { h.fill(&h.record(hard).Tests, 5) }, 1, TriesUsed}} {
		h := newHouse().as(ByPerson)
		h.hold(taro, hard, token.Active)
		if e.spoil != nil {
			e.spoil(h)
		}
		c, no := h.a.SelfUnlock(h.s, e.locks, hard, h.shows(hard, 0), h.shows(hard, e.second))
		switch {
		case e.code == "" && no != nil, e.code != "" && (no == nil || no.Code != e.code):
			t.Errorf("%s: %v", e.what, no)
		case e.code == "" && (len(c.Tokens) != 1 || c.Tokens[0].Last != h.token(hard).StepAt(noon)+1):
			t.Errorf("%s: %+v", e.what, c)
		}
	}
}
