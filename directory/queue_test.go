package directory

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestQueueRefusesInTime: a directory does one exchange in 10 ms on each of two places. Who comes when 20 wait would wait
// 100 ms and is refused when that is too long.
func TestQueueRefusesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, 2)
		work := func() { time.Sleep(10 * time.Millisecond); q.leave(true) }
		var served, refused, longest atomic.Int64
		var wg sync.WaitGroup
		come := func(patience time.Duration) {
			wg.Go(func() {
				began := time.Now()
				if err := q.enter(t.Context(), patience); err != nil {
					if !errors.Is(err, errBusy) || time.Since(began) != 0 {
						t.Errorf("after %v: %v", time.Since(began), err)
					}
					refused.Add(1)
					return
				}
				if waited := int64(time.Since(began)); waited > longest.Load() {
					longest.Store(waited)
				}
				served.Add(1)
				work()
			})
		}
		for range 2000 { // ten times what it can do, for 2 s
			come(100 * time.Millisecond)
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if s := served.Load(); s < 390 || s > 425 {
			t.Errorf("%d served in 2 s, want 400", s)
		}
		if l := time.Duration(longest.Load()); l > 105*time.Millisecond {
			t.Errorf("somebody waited %v", l)
		}
		// It is back to normal at once.
		before := refused.Load()
		for range 10 {
			come(10 * time.Millisecond)
			time.Sleep(10 * time.Millisecond)
		}
		wg.Wait()
		if n := refused.Load() - before; n > 0 {
			t.Errorf("%d refused without need", n)
		}
		if load := q.load(); load.Running != 0 || load.Waiting != 0 || load.Refused != uint64(before) {
			t.Errorf("%+v", load)
		}
	})
}

// TestHungQueueFillsNoMore: after a moment without any answer nobody is let in to wait for one.
func TestHungQueueFillsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(4, 4)
		for q.tryEnter() {
		}
		var wg sync.WaitGroup
		var refused, late atomic.Int64
		for range 1000 {
			wg.Go(func() {
				switch err := q.enter(t.Context(), 500*time.Millisecond); {
				case errors.Is(err, errBusy):
					refused.Add(1)
				case errors.Is(err, context.DeadlineExceeded):
					late.Add(1)
				default:
					t.Errorf("let in: %v", err)
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		wg.Wait()
		if l := late.Load(); l == 0 || l > 51 {
			t.Errorf("%d waited in vain, want those of the first 500 ms", l)
		}
	})
}

// TestQueueKeepsItsOrder and its count, when some of those who wait leave.
func TestQueueKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 1)
		if !q.tryEnter() {
			t.Fatal("full from the start")
		}
		var order []int
		var wg sync.WaitGroup
		leaving, cancel := context.WithCancel(t.Context())
		for i := range 10 {
			ctx := t.Context()
			if i%3 == 0 {
				ctx = leaving
			}
			wg.Go(func() {
				if err := q.enter(ctx, time.Hour); err == nil {
					order = append(order, i) // one at a time: there is one place
					q.leave(true)
				} else if i%3 != 0 {
					t.Errorf("%d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		q.leave(true)
		wg.Wait()
		if len(order) != 6 || order[0] != 1 || order[5] != 8 {
			t.Errorf("%v", order)
		}
		if load := q.load(); load.Running != 0 || load.Waiting != 0 {
			t.Errorf("%+v", load)
		}
	})
}

// TestQueueUnderRace has many come, wait and give up at the same moment as places come free; none may be lost or made.
func TestQueueUnderRace(t *testing.T) {
	q := newQueue(3, 3)
	var inside atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration((i+j)%7)*20*time.Microsecond)
				if q.enter(ctx, time.Second) == nil {
					if inside.Add(1) > 3 {
						t.Error("more than there are places")
					}
					inside.Add(-1)
					q.leave(true)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if load := q.load(); load.Running != 0 || load.Waiting != 0 {
		t.Errorf("%+v", load)
	}
}

// TestPlacesFollowTheDirectory: fewer after one runs out of time, once for those who were under way together; more again
// with answers.
func TestPlacesFollowTheDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(8, 128)
		for q.tryEnter() {
		}
		if n := q.load().Running; n != 128 {
			t.Errorf("%d places at the start", n)
		}
		time.Sleep(2 * time.Second)
		for range 128 {
			q.leave(false)
		}
		if q.places != 64 {
			t.Errorf("%d places after one outage", q.places)
		}
		for range 10 {
			time.Sleep(2 * time.Second)
			_ = q.tryEnter()
			q.leave(false)
		}
		if q.places != 8 {
			t.Errorf("%d places after many, want the least", q.places)
		}
		for range 8 + 9 + 10 {
			_ = q.tryEnter()
			q.leave(true)
		}
		if q.places != 11 {
			t.Errorf("%d places after answers, want 11", q.places)
		}
	})
}
