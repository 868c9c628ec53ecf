package directory

import (
	"sync"
	"time"
)

const (
	bindStep    = 250 * time.Millisecond // S20
	bindSteps   = 161                    // up to 40 s, which is more than connect_timeout and timeout together
	bindMinutes = 10
)

// bindTimes counts how long binds took, by minute and step.
type bindTimes struct {
	mu      sync.Mutex
	minutes [bindMinutes]bindMinute
}

type bindMinute struct {
	number int64 // minutes since the Unix epoch
	counts [bindSteps]uint32
}

// add counts one bind that ended now.
func (b *bindTimes) add(now time.Time, took time.Duration) {
	step := max(0, min(bindSteps-1, int((took-1)/bindStep)))
	number := now.Unix() / 60
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &b.minutes[uint64(number)%bindMinutes]
	if m.number != number {
		*m = bindMinute{number: number}
	}
	m.counts[step]++
}

// p99 is the time within which 99 of 100 binds of the last 10 minutes ended, in whole steps upward; one step when there
// were none.
func (b *bindTimes) p99(now time.Time) time.Duration {
	newest := now.Unix() / 60
	b.mu.Lock()
	defer b.mu.Unlock()
	var sums [bindSteps]int
	total := 0
	for i := range b.minutes {
		if m := &b.minutes[i]; m.number > newest-bindMinutes && m.number <= newest {
			for step, n := range m.counts {
				sums[step] += int(n)
				total += int(n)
			}
		}
	}
	within := 0
	for step, n := range sums {
		if within += n; total > 0 && within*100 >= total*99 {
			return time.Duration(step+1) * bindStep
		}
	}
	return bindStep
}
