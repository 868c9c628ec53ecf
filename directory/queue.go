package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxWaiting bounds who waits in one queue.
const maxWaiting = 1024

// errBusy refuses whom the directory could not serve in time. It is told at once, so that those who were let in are served
// and nobody is kept waiting for nothing.
var errBusy = errors.New("the directory has too much to do")

// queue lets a bounded number of exchanges with one directory run at once; others wait in their order. It measures how fast
// places come free and turns away who would wait longer than they can: a slow directory then does only what is still of
// use, and a hung one holds no more people than fit in front of it.
//
// The number of places is between least and most. It halves when an exchange runs out of time and grows by one with every
// round of answers, so that a directory that is too slow for many questions at once is asked fewer.
type queue struct {
	least, most int

	mu      sync.Mutex
	places  int
	taken   int
	waiting []*waiter     // the first one is served next
	spare   []*waiter     // to be used again
	pace    time.Duration // smoothed time from one place that came free to the next, while none was free
	seen    int           // how many times went into pace, up to paceOver
	last    time.Time     // when one came free, or when the last one was taken
	good    int           // answers since places last changed
	halved  time.Time

	refused atomic.Uint64
}

type waiter struct {
	turn  chan struct{} // room for one
	timer *time.Timer
}

func newQueue(least, most int) *queue {
	return &queue{least: least, most: most, places: most}
}

// tryEnter takes a place if one is free.
func (q *queue) tryEnter() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.take()
}

func (q *queue) take() bool {
	if q.taken >= q.places || len(q.waiting) > 0 {
		return false
	}
	if q.taken++; q.taken == q.places {
		q.last = time.Now()
	}
	return true
}

// enter takes a place, waiting for one at most for patience and no longer than to the context's end. Who cannot have one
// by then is refused at once.
func (q *queue) enter(ctx context.Context, patience time.Duration) error {
	q.mu.Lock()
	if q.take() {
		q.mu.Unlock()
		return nil
	}
	now := time.Now()
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, end.Sub(now))
	}
	delay := q.delay(now)
	// What was measured is never quite so: whoever is let in should be served, so an eighth of the time is kept in hand.
	if delay > patience-patience/8 || len(q.waiting) >= maxWaiting {
		n := len(q.waiting)
		q.mu.Unlock()
		q.refused.Add(1)
		return fmt.Errorf("%w: %d wait already, and who comes now would for %v", errBusy, n, delay.Round(time.Millisecond))
	}
	w := q.join(patience)
	q.mu.Unlock()
	return q.wait(ctx, w)
}

// join lines somebody up; the caller holds the lock.
func (q *queue) join(patience time.Duration) *waiter {
	var w *waiter
	if last := len(q.spare) - 1; last >= 0 {
		w, q.spare = q.spare[last], q.spare[:last]
		w.timer.Reset(patience)
	} else {
		w = &waiter{turn: make(chan struct{}, 1), timer: time.NewTimer(patience)}
	}
	q.waiting = append(q.waiting, w)
	return w
}

// done lets a waiter be used again; the caller holds the lock.
func (q *queue) done(w *waiter) {
	w.timer.Stop()
	if len(q.spare) < keptWaiters {
		q.spare = append(q.spare, w)
	}
}

const keptWaiters = 64

// wait waits for the turn of w, which belongs to nobody else after it.
func (q *queue) wait(ctx context.Context, w *waiter) error {
	err := context.DeadlineExceeded
	select {
	case <-w.turn:
		q.mu.Lock()
		q.done(w)
		q.mu.Unlock()
		return nil
	case <-w.timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.done(w)
	if at := slices.Index(q.waiting, w); at >= 0 {
		q.waiting = slices.Delete(q.waiting, at, at+1)
		return fmt.Errorf("waiting behind %d others: %w", at, err)
	}
	<-w.turn // it came at the last moment
	return nil
}

// leave gives a place back; inTime tells that the exchange did not run out of time.
func (q *queue) leave(inTime bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Time{}
	if q.taken >= q.places || !inTime {
		now = time.Now()
		if !q.last.IsZero() {
			q.seen = min(q.seen+1, paceOver)
			q.pace += (now.Sub(q.last) - q.pace) / time.Duration(q.seen)
		}
		q.last = now
	}
	q.adapt(inTime, now)
	q.taken--
	for len(q.waiting) > 0 && q.taken < q.places {
		w := q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.taken++
		w.turn <- struct{}{}
	}
}

// paceOver is over about how many times pace is smoothed.
const paceOver = 16

// halveOnce is how long after places were halved they are not halved again: those who were under way then run out of time
// together.
const halveOnce = time.Second

func (q *queue) adapt(inTime bool, now time.Time) {
	switch {
	case inTime && q.places < q.most:
		if q.good++; q.good >= q.places {
			q.places, q.good = q.places+1, 0
		}
	case !inTime && now.Sub(q.halved) > halveOnce:
		q.places, q.good, q.halved = max(q.least, q.places/2), 0, now
	}
}

// delay is how long somebody who comes now would wait; the caller holds the lock. Since the last place came free at least
// that much has passed without one, which is how a directory that hangs is known before anything of it fails.
func (q *queue) delay(now time.Time) time.Duration {
	if q.taken < q.places && len(q.waiting) == 0 {
		return 0
	}
	return time.Duration(len(q.waiting)+1)*q.pace + now.Sub(q.last)
}

// QueueLoad is how a queue in front of a directory stands.
type QueueLoad struct {
	Running int    // exchanges under way
	Waiting int    // who wait for a place
	Refused uint64 // who were turned away, since the start
}

func (q *queue) load() QueueLoad {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueLoad{Running: q.taken, Waiting: len(q.waiting), Refused: q.refused.Load()}
}

// busyFor is how long somebody who comes now would wait.
func (q *queue) busyFor() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken < q.places && len(q.waiting) == 0 {
		return 0
	}
	return q.delay(time.Now())
}
