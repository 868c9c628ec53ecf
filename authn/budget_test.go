package authn

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestShares(t *testing.T) {
	want := map[int][3]int{ // unknown, known, reserve
		1: {}, 2: {}, 3: {0, 0, 1}, 4: {0, 1, 1}, 5: {1, 1, 1}, 6: {2, 1, 1}, 7: {3, 1, 1}, 8: {3, 2, 1}, 10: {3, 2, 1}, 20: {3, 2, 1},
	}
	for n := 1; n <= 20; n++ {
		s := shares(n)
		if w, ok := want[n]; ok && s != w {
			t.Errorf("threshold %d: shares %v, want %v", n, s, w)
		}
		if sum := s[0] + s[1] + s[2]; sum > max(0, n-2) || sum > 6 {
			t.Errorf("threshold %d: the shares add up to %d", n, sum)
		}
	}
}

func TestBudget(t *testing.T) {
	now := noon
	var b budget
	const ten = 10
	take := func(p purse, password uint64) answer { return b.reserve("u", p, password, Lockout{Wrong: ten}, now) }

	// Three for unknown sources, of which those in flight count as wrong.
	var slots []slot
	for i := range uint64(3) {
		a := take(purseUnknown, 10+i)
		if a.slots != SlotFree {
			t.Fatalf("slot %d: %v", i, a.slots)
		}
		slots = append(slots, a.slot)
	}
	a := take(purseUnknown, 20)
	if a.slots != SlotsFlying || a.signal == nil {
		t.Fatalf("a fourth bind: %+v, want to wait", a)
	}
	if take(purseKnown, 20).slots != SlotFree || take(purseKnown, 21).slots != SlotFree || take(purseReserve, 22).slots != SlotFree {
		t.Error("known sources and row 14 have no slots of their own")
	}
	b.done("u", slots[0], 10, Wrong, now)
	select {
	case <-a.signal:
	default:
		t.Error("the waiting login was not woken")
	}
	b.done("u", slots[1], 11, Open, now) // sent, and never answered
	b.done("u", slots[2], 12, Wrong, now)
	if got := take(purseUnknown, 20).slots; got != SlotsSpent {
		t.Errorf("three wrong binds: %v, want spent", got)
	}
	if a := take(purseUnknown, 10); !a.stale {
		t.Error("a password refused just now is not refused again")
	}
	if a := take(purseUnknown, 11); a.stale {
		t.Error("a password that nobody answered counts as refused")
	}
	now = now.Add(5 * time.Minute)
	if a := take(purseKnown, 10); a.stale {
		t.Error("a password is refused again after five minutes")
	}
	now = now.Add(25*time.Minute - time.Second)
	if got := take(purseUnknown, 20).slots; got != SlotsSpent {
		t.Errorf("after 29:59: %v, want spent", got)
	}
	now = now.Add(time.Second)
	if got := take(purseUnknown, 20).slots; got != SlotFree {
		t.Errorf("after 30 minutes: %v, want free", got)
	}
	if got := b.reserve("other", purseUnknown, 1, Lockout{Wrong: 2}, now).slots; got != SlotsSpent {
		t.Errorf("a directory that locks at 2: %v, want nothing to be sent", got)
	}
	for i := range uint64(100) {
		if got := b.reserve("free", purseUnknown, i, Lockout{Wrong: 0}, now).slots; got != SlotFree {
			t.Fatalf("a directory that locks nobody: %v", got)
		}
	}
}

// TestSlowGuesserReachesNoThreshold asks a directory that counts as Active Directory does: the count goes on until
// nothing wrong came for a whole window. Three guesses in any half hour would add up there.
func TestSlowGuesserReachesNoThreshold(t *testing.T) {
	for _, window := range []time.Duration{0, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour} {
		var b budget
		lock := Lockout{Wrong: 10, Window: window}
		count, most, sent := 0, 0, 0
		var last time.Time
		for at := noon; at.Before(noon.Add(48 * time.Hour)); at = at.Add(time.Minute) {
			a := b.reserve("u", purse(sent%3), uint64(1000+sent), lock, at)
			if a.slots != SlotFree {
				sent += 1000 // the next purse, another password
				continue
			}
			b.done("u", a.slot, uint64(1000+sent), Wrong, at)
			if at.Sub(last) >= max(window, 30*time.Minute) {
				count = 0
			}
			sent, last = sent+1, at
			count++
			most = max(most, count)
		}
		if most > lock.Wrong-budgetMargin || most < 3 {
			t.Errorf("window %v: the directory counted up to %d", window, most)
		}
	}
	var b budget
	forever := Lockout{Wrong: 10, Window: 1000 * time.Hour}
	for range 3 {
		b.done("u", b.reserve("u", purseUnknown, 1, forever, noon).slot, 1, Open, noon)
	}
	if got := b.reserve("u", purseUnknown, 2, forever, noon.Add(budgetLongest-1)).slots; got != SlotsSpent {
		t.Errorf("before the longest memory ends: %v", got)
	}
	if got := b.reserve("u", purseUnknown, 2, forever, noon.Add(budgetLongest)).slots; got != SlotFree {
		t.Errorf("after it: %v", got)
	}
}

func TestLastAcceptedPasswordPassesTheBudget(t *testing.T) {
	var b budget
	a := b.reserve("u", purseUnknown, 1, Lockout{Wrong: 5}, noon)
	b.done("u", a.slot, 1, Right, noon)
	a = b.reserve("u", purseUnknown, 2, Lockout{Wrong: 5}, noon)
	b.done("u", a.slot, 2, Wrong, noon)
	if got := b.reserve("u", purseUnknown, 3, Lockout{Wrong: 5}, noon).slots; got != SlotsSpent {
		t.Fatalf("after one wrong bind of one: %v", got)
	}
	past := b.reserve("u", purseUnknown, 1, Lockout{Wrong: 5}, noon)
	if past.slots != SlotFree {
		t.Fatalf("the last accepted password: %v, want to be asked", past.slots)
	}
	// Once at a time: were it changed meanwhile, parallel logins would lock the user.
	if got := b.reserve("u", purseUnknown, 1, Lockout{Wrong: 5}, noon).slots; got != SlotsFlying {
		t.Errorf("a second one past the budget: %v, want to wait", got)
	}
	b.done("u", past.slot, 1, Wrong, noon)
	if a := b.reserve("u", purseUnknown, 1, Lockout{Wrong: 5}, noon); !a.stale {
		t.Errorf("refused once, it goes on: %+v", a)
	}
	if got := b.reserve("u", purseUnknown, 1, Lockout{Wrong: 5}, noon.Add(6*time.Minute)).slots; got != SlotsSpent {
		t.Errorf("refused once, it passes the budget again: %v", got)
	}
	// A right one forgives the wrong ones, but what was refused stays refused for its five minutes.
	a = b.reserve("u", purseKnown, 9, Lockout{Wrong: 5}, noon)
	b.done("u", a.slot, 9, Right, noon)
	if got := b.reserve("u", purseUnknown, 3, Lockout{Wrong: 5}, noon).slots; got != SlotFree {
		t.Errorf("after a right password: %v, want free", got)
	}
	if !b.reserve("u", purseUnknown, 2, Lockout{Wrong: 5}, noon).stale {
		t.Error("after a right password a refused one is asked again")
	}
}

// TestBudgetInParallel never lets more binds out than the shares, whatever comes at once: the directory counts them all
// as wrong.
func TestBudgetInParallel(t *testing.T) {
	for threshold := 1; threshold <= 20; threshold++ {
		synctest.Test(t, func(t *testing.T) {
			var b budget
			var sent, flying, most atomic.Int64
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					for {
						a := b.reserve("u", purse(i%3), uint64(1000+i), Lockout{Wrong: threshold}, time.Now())
						switch {
						case a.slots == SlotsFlying:
							<-a.signal
							continue
						case a.slots == SlotFree:
							sent.Add(1)
							n := flying.Add(1)
							for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
							}
							time.Sleep(time.Duration(rand.Int64N(int64(time.Second))))
							flying.Add(-1)
							b.done("u", a.slot, uint64(1000+i), Wrong, time.Now())
						}
						return
					}
				})
			}
			wg.Wait()
			s := shares(threshold)
			if want := int64(s[0] + s[1] + s[2]); sent.Load() != want || most.Load() > want {
				t.Errorf("threshold %d: %d binds sent, %d at once, want %d", threshold, sent.Load(), most.Load(), want)
			}
		})
	}
}

func TestBudgetForgets(t *testing.T) {
	var b budget
	name := []byte("user......")
	for i := range budgetUsers {
		for k, n := 4, i; k < 10; k, n = k+1, n/10 {
			name[k] = byte('0' + n%10)
		}
		a := b.reserve(string(name), purseUnknown, 1, Lockout{Wrong: 10}, noon)
		b.done(string(name), a.slot, 1, Wrong, noon)
	}
	b.reserve("late", purseUnknown, 1, Lockout{Wrong: 10}, noon.Add(time.Hour))
	if len(b.users) != 1 {
		t.Errorf("%d users are remembered an hour later", len(b.users))
	}
}

func TestLockoutWarning(t *testing.T) {
	for threshold, want := range map[int]string{0: "", 1: "at all", 2: "at all", 3: "at every login", 4: "each new place", 5: "", 10: ""} {
		got := LockoutWarning(threshold)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("threshold %d: %q, want %q", threshold, got, want)
		}
	}
}
