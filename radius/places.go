package radius

import "sync"

// places bounds how many requests are held at once and shares the bound fairly. A client may hold at most as many places
// as are still free: alone it gets half of them, and however many it asks for, the next client finds room (a dynamic
// threshold, as in the buffers of shared-memory switches). A quarter more is kept for requests that carry a State, because
// behind each of them stands somebody who has already got through the first round.
type places struct {
	what whatFor

	mu    sync.Mutex
	limit int
	taken int
}

// whatFor are the sorts of places, of which each client counts its own.
type whatFor uint8

const (
	loginPlaces whatFor = iota
	recordPlaces
	waitPlaces
	placesEnd
)

func newPlaces(limit int, what whatFor) *places { return &places{limit: limit, what: what} }

// take takes a place, or reports that there is none for this client.
func (p *places) take(c *client, preferred bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.limit
	if preferred {
		limit += p.limit / 4
	}
	if c.held[p.what] >= limit-p.taken {
		return false
	}
	p.taken++
	c.held[p.what]++
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
	c.held[p.what]--
}

// held is how many are taken.
func (p *places) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}
