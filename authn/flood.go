package authn

import (
	"bytes"
	"sync"
	"time"
)

// flood gathers refusals that come by the dozen (S25): from the 20th without a right first factor per client, source and
// account or name in a minute, they share one line of the chain with a count. The zero value is ready.
type flood struct {
	mu   sync.Mutex
	seen tally
	held map[[16]byte]*Event
}

// flooding reports that a refusal was added to a shared line instead of getting one of its own.
func (t *attempt) flooding(s Step, now time.Time) bool {
	if !t.flooded {
		t.flooded, t.gathered = true, t.gather(s, now)
	}
	return t.gathered
}

func (t *attempt) gather(s Step, now time.Time) bool {
	id := t.account.octets()
	branch, name := "", id[:]
	if t.account == 0 {
		branch, name = t.name.spelling(t.l.Name)
	}
	addr := t.l.Source.Addr().As16()
	key := t.a.mark(letters(t.l.Client.Name), octets(addr[:]), octets(t.l.Station), letters(branch), octets(name))
	f := &t.a.floods
	if f.seen.add(key, now) < floodFrom {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		f.held = make(map[[16]byte]*Event)
	}
	e := f.held[key]
	if e == nil {
		e = new(Event) // it outlives this attempt
		*e = *t.event(s, now)
		e.Digest, e.Burnt, e.Notices = [16]byte{}, nil, nil
		// The caller of the login takes its octets back once it is answered.
		e.Personal.Name, e.Personal.Station = bytes.Clone(e.Personal.Name), bytes.Clone(e.Personal.Station)
		f.held[key] = e
	}
	e.Count++
	return true
}

// flushFloods writes the shared lines of other minutes than now's: of those before it and, where the clock was set back, of
// those that have not come yet.
func (a *Authenticator) flushFloods(now time.Time) {
	f := &a.floods
	f.mu.Lock()
	var ready []*Event
	for key, e := range f.held {
		if e.At.Unix()/60 != now.Unix()/60 {
			ready = append(ready, e)
			delete(f.held, key)
		}
	}
	f.mu.Unlock()
	for _, e := range ready {
		err := a.Store.Update(Keys{}, func(*Held) (Change, error) { return Change{Event: e}, nil }, func(error) {})
		if err != nil {
			a.Log.Warn("a minute's shared refusals could not be recorded", "client", e.Client, "attempts", e.Count, "error", err)
		}
	}
}
