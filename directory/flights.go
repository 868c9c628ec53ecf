package directory

import (
	"sync"

	"sekisho/authn"
)

// maxFlights bounds the look-ups that are under way or wait for a place.
const maxFlights = 1024

// flights are the look-ups under way, by folded name. Who asks about a name that is being looked up waits for the same
// answer. Binds never share one: each is about a password of its own.
type flights struct {
	mu    sync.Mutex
	under map[string]*flight
}

// flight is one look-up; user and err are set before done is closed.
type flight struct {
	done chan struct{}
	user *authn.User
	err  error
}

// join gives the look-up of a name; mine tells that the caller has to begin it. It is nil when too many are under way.
func (fs *flights) join(name string) (f *flight, mine bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.under[name]; f != nil {
		return f, false
	}
	if len(fs.under) >= maxFlights {
		return nil, false
	}
	if fs.under == nil {
		fs.under = make(map[string]*flight)
	}
	f = &flight{done: make(chan struct{})}
	fs.under[name] = f
	return f, true
}

// land ends a look-up and tells everybody who waits for it.
func (fs *flights) land(name string, f *flight, u *authn.User, err error) {
	f.user, f.err = u, err
	fs.mu.Lock()
	delete(fs.under, name)
	fs.mu.Unlock()
	close(f.done)
}
