package storage

import "sync"

// watch wakes whoever follows the journal after a commit. With nobody waiting it costs the committer one lock.
type watch struct {
	mu      sync.Mutex
	waiting chan struct{}
}

// next gives a channel that closes after the next commit.
func (w *watch) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = make(chan struct{})
	}
	return w.waiting
}

func (w *watch) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting != nil {
		close(w.waiting)
		w.waiting = nil
	}
}
