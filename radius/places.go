package radius

import "sync"

// places bounds how many requests are held at once and shares the bound fairly. A client may hold at most as many places
// as are still free: alone it gets half of them, and however many it asks for, the next client finds room (a dynamic
// threshold, as in the buffers of shared-memory switches). A quarter more is kept for requests that carry a State, because
// behind each of them stands somebody who has already got through the first round.
type places struct {
	limit int

	mu    sync.Mutex
	taken int
	by    map[*standing]int
}

func newPlaces(limit int) *places { return &places{limit: limit, by: map[*standing]int{}} }

// take takes a place, or reports that there is none for this client.
func (p *places) take(c *client, preferred bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.limit
	if preferred {
		limit += p.limit / 4
	}
	if p.by[c.standing] >= limit-p.taken {
		return false
	}
	p.taken++
	p.by[c.standing]++
	return true
}

// resize changes the bound; what is held stays held.
func (p *places) resize(limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
}

// give gives a place back.
func (p *places) give(c *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[c.standing]--; p.by[c.standing] == 0 {
		delete(p.by, c.standing)
	}
}

// held is how many are taken.
func (p *places) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}
