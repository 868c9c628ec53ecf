package directory

import (
	"sync"
	"time"

	"sekisho/authn"
)

const (
	cacheLimit = 10_000
	// absentFor is how long "no such user" and "several users" are remembered: long enough to take a storm of one wrong name
	// off the directory, short enough for a person who was just created.
	absentFor = 5 * time.Second
)

// cached is what a look-up found: a user, or why there is none.
type cached struct {
	user  *authn.User
	err   error
	until time.Time
}

// cache remembers look-ups by folded name. It is bounded and keeps no order: when it is full, an entry gives way that is
// over, or else any.
type cache struct {
	mu      sync.Mutex
	entries map[string]cached
}

func (c *cache) get(name string, now time.Time) (cached, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[name]
	return e, ok && now.Before(e.until)
}

func (c *cache) put(name string, e cached, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[string]cached)
	}
	if _, known := c.entries[name]; !known && len(c.entries) >= cacheLimit {
		c.makeRoom(now)
	}
	c.entries[name] = e
}

// makeRoom looks at a few entries, so that its cost does not grow with the cache.
func (c *cache) makeRoom(now time.Time) {
	looked, removed := 0, 0
	for name, e := range c.entries {
		if !now.Before(e.until) || looked == 15 && removed == 0 {
			delete(c.entries, name)
			removed++
		}
		if looked++; looked == 16 {
			return
		}
	}
}
