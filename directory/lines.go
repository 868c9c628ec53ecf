package directory

import (
	"context"
	"slices"
	"sync"
	"time"
)

// lineDepth is from how many searches on a connection on another one is taken, where another one may be. Servers work on
// the searches of a connection side by side; two connections let them read and write side by side, too.
const lineDepth = 16

// lines keeps the connections for searches.
type lines struct {
	dial  func(context.Context) (*conn, error)
	size  int
	start func(*conn) *line

	mu      sync.Mutex
	all     []*line
	dialing int
	dialed  *dialed // the next one to end; nil: nobody waits for that
	closed  bool
}

// dialed is the end of an attempt to connect; err is set before done is closed.
type dialed struct {
	done chan struct{}
	err  error
}

// open gives a line that is good for another question, if there is one without connecting.
func (ls *lines) open(now time.Time) *line {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l, full := ls.pick(now)
	if full && len(ls.all)+ls.dialing < ls.size {
		return nil
	}
	return l
}

// pick gives the first line that is not full, or the least busy one; the caller holds the lock.
func (ls *lines) pick(now time.Time) (best *line, full bool) {
	least, ended := 0, false
	for _, l := range ls.all {
		n, ok := l.load(now)
		if !ok {
			ended = true
			continue
		}
		if best == nil || n < least {
			best, least = l, n
		}
		if n < lineDepth {
			break
		}
	}
	if ended {
		ls.all = slices.DeleteFunc(ls.all, func(l *line) bool { _, ok := l.load(now); return !ok })
	}
	return best, least >= lineDepth
}

// get gives a line and connects where that is needed, by the context's end; reused tells that the line was there before.
func (ls *lines) get(ctx context.Context) (l *line, reused bool, err error) {
	for {
		ls.mu.Lock()
		if ls.closed {
			ls.mu.Unlock()
			return nil, false, errClosed
		}
		l, full := ls.pick(time.Now())
		room := len(ls.all)+ls.dialing < ls.size
		switch {
		case l != nil && (!full || !room):
			ls.mu.Unlock()
			return l, true, nil
		case room:
			ls.dialing++
			ls.mu.Unlock()
			l, err := ls.connect(ctx)
			return l, false, err
		}
		if ls.dialed == nil {
			ls.dialed = &dialed{done: make(chan struct{})}
		}
		wait := ls.dialed
		ls.mu.Unlock()
		select {
		case <-wait.done:
			// Where another one could not connect just now, this one would only stand in line for the same.
			if wait.err != nil {
				return nil, false, wait.err
			}
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// connect adds a line.
func (ls *lines) connect(ctx context.Context) (*line, error) {
	c, err := ls.dial(ctx)
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.dialing--
	if ls.dialed != nil {
		ls.dialed.err = err
		close(ls.dialed.done)
		ls.dialed = nil
	}
	if err != nil {
		return nil, err
	}
	if ls.closed {
		c.drop()
		return nil, errClosed
	}
	l := ls.start(c)
	ls.all = append(ls.all, l)
	return l, nil
}

// distrust retires the lines that were there at a moment, because one of them proved dead.
func (ls *lines) distrust(at time.Time) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all = slices.DeleteFunc(ls.all, func(l *line) bool {
		old := !l.born.After(at)
		if old {
			l.retire()
		}
		return old
	})
}

// close ends every line.
func (ls *lines) close() {
	ls.mu.Lock()
	all := ls.all
	ls.all, ls.closed = nil, true
	ls.mu.Unlock()
	for _, l := range all {
		l.end(errClosed)
	}
}
