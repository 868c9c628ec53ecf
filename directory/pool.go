package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// idleLimit is how long an unused connection is trusted. Firewalls forget quiet connections without a word to either end.
const idleLimit = 60 * time.Second

var errClosed = errors.New("the directory is closed")

// pool keeps the connections of one kind. A slot stands for a connection in use; a connection that saw an error is thrown
// away with its error.
type pool struct {
	dial  func(context.Context) (*conn, error)
	slots chan struct{}

	mu     sync.Mutex
	idle   []*conn // the last one was used last
	closed bool
}

func newPool(size int, dial func(context.Context) (*conn, error)) *pool {
	return &pool{dial: dial, slots: make(chan struct{}, size)}
}

// get waits for a slot and gives a connection: an idle one that is not known to be dead, else a new one. With fresh set the
// idle ones are thrown away, because one of them just proved dead.
func (p *pool) get(ctx context.Context, fresh bool) (c *conn, reused bool, err error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, false, fmt.Errorf("waiting for one of %d connections: %w", cap(p.slots), ctx.Err())
	}
	c, err = p.take(fresh)
	if c == nil && err == nil {
		c, err = p.dial(ctx)
	} else {
		reused = true
	}
	if err != nil {
		<-p.slots
		return nil, false, err
	}
	return c, reused, nil
}

// take gives an idle connection that can be trusted, or nil.
func (p *pool) take(fresh bool) (*conn, error) {
	var stale []*conn
	defer func() {
		for _, c := range stale {
			c.drop()
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		c := p.idle[last]
		p.idle = p.idle[:last]
		if !fresh && !c.dead() && time.Since(c.used) < idleLimit {
			return c, nil
		}
		stale = append(stale, c)
	}
	return nil, nil
}

// put gives a connection back; whole is false after any error.
func (p *pool) put(c *conn, whole bool) {
	defer func() { <-p.slots }()
	p.mu.Lock()
	keep := whole && !p.closed && !c.dead()
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
