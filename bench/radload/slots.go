package main

import (
	"time"

	"sekisho/bench/internal/rad"
	"sekisho/bench/internal/report"
)

// slotCount is what one worker saw of one part of the counted time.
type slotCount struct {
	sent, accepted, came int64
	latency              hist // of Access-Accepts, by when they were asked for
}

// newSlots makes room for all of them, so that counting does not allocate.
func newSlots(c *config) []slotCount {
	if c.slot <= 0 {
		return nil
	}
	return make([]slotCount, (c.length+c.slot-1)/c.slot)
}

// slotAt is the part that a moment belongs to, nil outside the counted time.
func (w *worker) slotAt(t int64) *slotCount {
	if len(w.slots) == 0 {
		return nil
	}
	since := t - w.c.counted.Load()
	if i := since / int64(w.c.slot); since >= 0 && i < int64(len(w.slots)) {
		return &w.slots[i]
	}
	return nil
}

func (w *worker) countSent(from int64) {
	if s := w.slotAt(from); s != nil {
		s.sent++
	}
}

func (w *worker) countSlot(sl *slot, code byte, t int64) {
	if code != rad.CodeAccept || len(w.slots) == 0 {
		return
	}
	if s := w.slotAt(sl.from); s != nil {
		s.accepted++
		s.latency.add(t - sl.from)
	}
	if s := w.slotAt(t); s != nil {
		s.came++
	}
}

// slots adds up what the workers saw; burst is the 99th percentile of Access-Accepts over the slots of the burst.
func slots(c *config, workers []*worker) (all []report.Slot, burst float64) {
	var inBurst hist
	for i := range newSlots(c) {
		one := report.Slot{From: (time.Duration(i) * c.slot).Seconds()}
		var latency hist
		for _, w := range workers {
			s := &w.slots[i]
			one.Sent += s.sent
			one.Accepted += s.accepted
			one.Came += s.came
			latency.merge(&s.latency)
		}
		one.AcceptP99 = latency.quantile(.99)
		all = append(all, one)
		if from := time.Duration(i) * c.slot; c.burst.rate > 0 && from >= c.burst.from && from < c.burst.from+c.burst.duration {
			inBurst.merge(&latency)
		}
	}
	return all, inBurst.quantile(.99)
}

// pace is how far apart a worker's requests of an open loop are due, in nanoseconds; 0 in a closed loop.
type pace struct {
	usual, burst float64
	from, to     int64 // the burst, from the beginning of the counted time
}

func (w *worker) pace() pace {
	c := w.c
	var p pace
	if c.rate > 0 {
		p.usual = 1e9 / (c.rate / float64(c.workers))
	}
	if c.burst.rate > 0 {
		p.burst = 1e9 / (c.burst.rate / float64(c.workers))
		p.from, p.to = int64(c.burst.from), int64(c.burst.from+c.burst.duration)
	}
	return p
}

// gap is how long after a request that is due at a moment the next one is; counted is when the counted time began, 0
// before that.
func (p *pace) gap(due float64, counted int64) float64 {
	if since := int64(due) - counted; p.burst > 0 && counted > 0 && since >= p.from && since < p.to {
		return p.burst
	}
	return p.usual
}

// lateMost is how late a request of a run with a burst may leave. What waits for a free identifier longer is dropped:
// else the burst would go on after its end until all of it is sent.
const lateMost = float64(50 * time.Millisecond)

// dropLate gives the moment from which on requests are still sent.
func (w *worker) dropLate(p *pace, due float64, t int64, phase int32) float64 {
	if p.burst == 0 || due >= float64(t)-lateMost {
		return due
	}
	if phase == counting {
		w.unsent += int64((float64(t) - due) / p.gap(due, w.c.counted.Load()))
	}
	return float64(t)
}
