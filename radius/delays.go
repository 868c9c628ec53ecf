package radius

import (
	"sync"
	"time"
)

// delayGrain is how long refusals may wait for others, so that those of a flood leave together.
const delayGrain = time.Millisecond

// delays are the refusals that wait for their moment (S20): a heap with the next one first, and one timer for all.
type delays struct {
	server *Server

	mu      sync.Mutex
	heap    []*request // by leaves
	timer   *time.Timer
	set     time.Time // when the timer goes off; zero: it is not set
	ran     time.Time // when it last did
	running bool
}

func (d *delays) init(s *Server) { d.server = s }

// add lets an answer leave at r.leaves.
func (d *delays) add(r *request, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.push(r)
	d.arm(now)
}

// arm sets the timer for the first of the heap; the caller holds the lock.
func (d *delays) arm(now time.Time) {
	if d.running || len(d.heap) == 0 {
		return
	}
	at := d.heap[0].leaves
	if soonest := d.ran.Add(delayGrain); at.Before(soonest) {
		at = soonest
	}
	if !d.set.IsZero() && !at.Before(d.set) {
		return
	}
	d.set = at
	if d.timer == nil {
		d.timer = time.AfterFunc(at.Sub(now), d.run)
		return
	}
	d.timer.Reset(at.Sub(now))
}

// run sends what is due.
func (d *delays) run() {
	now := d.server.now()
	for r := d.due(now); r != nil; r = d.due(now) {
		r.leave()
	}
	d.server.Flush()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running, d.set, d.ran = false, time.Time{}, now
	d.arm(d.server.now())
}

// due takes the next one out whose moment has come; nil when there is none.
func (d *delays) due(now time.Time) *request {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = true
	if len(d.heap) == 0 || d.heap[0].leaves.After(now) {
		return nil
	}
	return d.pop()
}

func (d *delays) push(r *request) {
	d.heap = append(d.heap, r)
	h := d.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].leaves.Before(h[up].leaves) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (d *delays) pop() *request {
	h := d.heap
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], nil
	h = h[:last]
	d.heap = h
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(h) && h[child].leaves.Before(h[least].leaves) {
				least = child
			}
		}
		if least == i {
			return first
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// slot is when a refusal leaves: at arrival + k x d, the first k of 1, 2, ... for which it was ready (S20).
func slot(arrived, ready time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return ready
	}
	k := max(1, (ready.Sub(arrived)+d-1)/d)
	return arrived.Add(k * d)
}

// later lets the answer in r.out wait for its moment, and reports whether it does.
func (r *request) later(at, now time.Time) bool {
	s := r.server
	if !s.waiting.take(r.client, false) {
		r.silent(faultOverload)
		return false
	}
	r.leaves = at
	s.delays.add(r, now)
	return true
}

// leave sends an answer whose moment has come, with others that leave now.
func (r *request) leave() {
	r.server.waiting.give(r.client)
	r.guarded(func() { r.send(true, true) })
	r.let()
}
