package mail

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"sekisho/authn"
)

// Store is where the outbox keeps messages: as records of the kind [authn.MessageRecord].
type Store interface {
	Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error
	Record(key authn.RecordKey) (*authn.Record, error)
	Records(q authn.RecordQuery) ([]*authn.Record, error)
}

// Box is the [Outbox] in a store. It is for one process: what it has claimed and not settled it knows from memory. Make it
// with its Store alone.
type Box struct {
	Store Store

	mu    sync.Mutex
	due   []waiting       // found at the last look, the one to be sent first at the end
	taken map[uint64]bool // claimed here and not settled
	owed  map[uint64]owed // settled here, and the store did not take it
}

var _ Outbox = (*Box)(nil)

type waiting struct {
	id  uint64
	due int64
}

// owed is what became of one try of a message.
type owed struct {
	m   authn.Message
	try int
}

// pageSize is how many records one look takes at a time.
const pageSize = 1000

// errSame abandons an update that would change nothing.
var errSame = errors.New("nothing to change")

// save runs one update and waits until it is durable. same tells that there was nothing to change.
func save(s Store, keys authn.Keys, f func(*authn.Held) (authn.Change, error)) (same bool, err error) {
	saved := make(chan error, 1)
	err = s.Update(keys, f, func(err error) { saved <- err })
	if errors.Is(err, errSame) {
		return true, nil
	}
	if err == nil {
		err = <-saved
	}
	return false, err
}

// change puts what f makes of a message in its place. f reports false where it stays as it is.
func (b *Box) change(id uint64, f func(authn.Message) (authn.Message, bool)) (changed bool, err error) {
	key := authn.RecordKey{Kind: authn.MessageRecord, ID: id}
	same, err := save(b.Store, authn.Keys{Records: []authn.RecordKey{key}}, func(h *authn.Held) (authn.Change, error) {
		if h.Records[0] == nil {
			return authn.Change{}, errSame // erased meanwhile
		}
		m, err := authn.MessageOf(h.Records[0])
		if err != nil {
			return authn.Change{}, err
		}
		m, ok := f(m)
		if !ok {
			return authn.Change{}, errSame
		}
		r, err := m.Record()
		return authn.Change{Records: []*authn.Record{r}}, err
	})
	return err == nil && !same, err
}

// Claim is [Outbox]'s.
func (b *Box) Claim(now time.Time) (*authn.Message, error) {
	if err := b.settleOwed(); err != nil {
		return nil, err
	}
	looked := false
	for {
		id, ok := b.next()
		if !ok && looked {
			return nil, nil
		}
		if !ok {
			if err := b.look(now); err != nil {
				return nil, err
			}
			looked = true
			continue
		}
		var before, claimed authn.Message
		send := false
		_, err := b.change(id, func(m authn.Message) (authn.Message, bool) {
			before = m
			claimed, send = m.Claim(now)
			return claimed, send || claimed.State != m.State
		})
		if err != nil {
			if send { // whether the claim is durable is not known, and nothing was sent
				b.owe(before, claimed.Tries)
			}
			return nil, fmt.Errorf("claiming mail %d: %w", id, err)
		}
		if send {
			b.mu.Lock()
			if b.taken == nil {
				b.taken = map[uint64]bool{}
			}
			b.taken[id] = true
			b.mu.Unlock()
			return &claimed, nil
		}
	}
}

// next takes the message that is to be sent first of those found.
func (b *Box) next() (uint64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.due)
	if n == 0 {
		return 0, false
	}
	w := b.due[n-1]
	b.due = b.due[:n-1]
	return w.id, true
}

// look finds what is due by now. What becomes due later comes later than all of it, so it need not look again before that
// is used up.
func (b *Box) look(now time.Time) error {
	var found []waiting
	err := b.each(authn.RecordQuery{States: []uint8{uint8(authn.MessageWaiting)}, DueBy: now.Unix()}, func(r *authn.Record) error {
		found = append(found, waiting{r.ID, r.Due})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(found, func(x, y waiting) int { return cmp.Or(cmp.Compare(y.due, x.due), cmp.Compare(y.id, x.id)) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due = found
	return nil
}

// each walks the messages that fit, by ID.
func (b *Box) each(q authn.RecordQuery, f func(*authn.Record) error) error {
	q.Kind, q.Limit = authn.MessageRecord, pageSize
	for {
		page, err := b.Store.Records(q)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := f(r); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		q.After = page[len(page)-1].ID
	}
}

// Settle is [Outbox]'s. What the store does not take is kept and tried again before the next claim.
func (b *Box) Settle(m authn.Message) error {
	b.mu.Lock()
	delete(b.taken, m.ID)
	b.mu.Unlock()
	err := b.settle(m, m.Tries)
	if err != nil {
		b.owe(m, m.Tries)
	}
	return err
}

// settle stores what became of the try with that number.
func (b *Box) settle(m authn.Message, try int) error {
	_, err := b.change(m.ID, func(now authn.Message) (authn.Message, bool) {
		return m, now.State == authn.MessageSending && now.Tries == try
	})
	return err
}

func (b *Box) owe(m authn.Message, try int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.owed == nil {
		b.owed = map[uint64]owed{}
	}
	b.owed[m.ID] = owed{m, try}
}

func (b *Box) settleOwed() error {
	b.mu.Lock()
	all := slices.Collect(maps.Values(b.owed))
	b.mu.Unlock()
	for _, o := range all {
		if err := b.settle(o.m, o.try); err != nil {
			return fmt.Errorf("storing that mail %d is %v: %w", o.m.ID, o.m.State, err)
		}
		b.mu.Lock()
		delete(b.owed, o.m.ID)
		b.mu.Unlock()
	}
	return nil
}

// Interrupted is [Outbox]'s.
func (b *Box) Interrupted(now time.Time) (n int, err error) {
	err = b.each(authn.RecordQuery{States: []uint8{uint8(authn.MessageSending)}}, func(r *authn.Record) error {
		b.mu.Lock()
		_, ours := b.owed[r.ID]
		ours = ours || b.taken[r.ID]
		b.mu.Unlock()
		if ours {
			return nil
		}
		changed, err := b.change(r.ID, func(m authn.Message) (authn.Message, bool) {
			return m.Uncertain("the program stopped before the mail server's answer was stored", now), m.State == authn.MessageSending
		})
		if changed {
			n++
		}
		return err
	})
	return n, err
}

// Sweep does what time alone asks for: messages that came too late lapse, links of those that cannot be sent again are erased,
// and those that ended long ago go.
func (b *Box) Sweep(now time.Time) error {
	states := []uint8{uint8(authn.MessageWaiting), uint8(authn.MessageHeld), uint8(authn.MessageSent), uint8(authn.MessageRefused),
		uint8(authn.MessageUnknown), uint8(authn.MessageLapsed), uint8(authn.MessageWithdrawn)}
	return b.each(authn.RecordQuery{States: states, DueBy: now.Unix()}, func(r *authn.Record) error {
		_, err := save(b.Store, authn.Keys{Records: []authn.RecordKey{r.RecordKey}}, func(h *authn.Held) (authn.Change, error) {
			if h.Records[0] == nil {
				return authn.Change{}, errSame
			}
			m, err := authn.MessageOf(h.Records[0])
			if err != nil {
				return authn.Change{}, err
			}
			after, changed, gone := m.Swept(now)
			if gone {
				return authn.Change{Gone: []authn.RecordKey{r.RecordKey}}, nil
			}
			next, err := after.Record()
			if err == nil && !changed && next.Due == h.Records[0].Due {
				err = errSame
			}
			return authn.Change{Records: []*authn.Record{next}}, err
		})
		return err
	})
}

// Release lets the held messages that fit go again, because the configuration may have what they need now.
func (b *Box) Release(now time.Time) error {
	return b.each(authn.RecordQuery{States: []uint8{uint8(authn.MessageHeld)}}, func(r *authn.Record) error {
		_, err := b.change(r.ID, func(m authn.Message) (authn.Message, bool) {
			after, refused := m.Again(now)
			return after, refused == nil && m.State == authn.MessageHeld
		})
		return err
	})
}
