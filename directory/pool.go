package directory

import (
	"context"
	"errors"
	"sync"
	"time"
)

// idleLimit is how long an unused connection is trusted. Firewalls forget quiet connections without a word to either end.
const idleLimit = 60 * time.Second

var errClosed = errors.New("the directory is closed")

// pool keeps the connections for binds. A connection that saw an error is thrown away with its error. How many are in use
// is the matter of a [queue].
type pool struct {
	dial func(context.Context) (*conn, error)

	mu     sync.Mutex
	idle   []*conn // the last one was used last
	closed bool
}

// get gives an idle connection that is not known to be dead, else a new one, by the context's end or the given moment.
func (p *pool) get(ctx context.Context, until time.Time) (c *conn, reused bool, err error) {
	for {
		c, err := p.take()
		switch {
		case err != nil:
			return nil, false, err
		case c == nil:
			ctx, cancel := context.WithDeadline(ctx, until)
			defer cancel()
			c, err := p.dial(ctx)
			return c, false, err
		case time.Since(c.used) < idleLimit && c.alive():
			return c, true, nil
		}
		c.drop()
	}
}

// take gives the idle connection that was used last, or nil.
func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if len(p.idle) == 0 {
		return nil, nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c, nil
}

// put gives a connection back; whole is false after any error.
func (p *pool) put(c *conn, whole bool) {
	p.mu.Lock()
	keep := whole && !p.closed && !c.cut
	if keep {
		c.used = time.Now()
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.drop()
	}
}

// close ends idle connections at once and those in use when they come back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.drop()
	}
}
