package storage

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sekisho/authn"
)

// maxRaw bounds the attributes of one accounting record: no RADIUS packet is longer.
const maxRaw = 4096

// SaveSession keeps one accounting record, once for each (NAS, ID, Status, At). done tells when it is durable, for a
// repeated record too, so that a gateway that repeats gets its acknowledgement. It is called in the queue's order and must
// not block.
func (db *DB) SaveSession(s *authn.Session, done func(error)) error {
	if len(s.NAS) > maxText || len(s.ID) > maxText || len(s.Name) > maxText || len(s.Station) > maxText || len(s.Raw) > maxRaw {
		return errors.New("saving an accounting record: a field is longer than a RADIUS packet")
	}
	framed, err := s.Framed.MarshalBinary()
	if err != nil {
		return fmt.Errorf("saving an accounting record: %w", err)
	}
	var personal []byte
	for _, part := range [][]byte{s.Name, s.Station, framed, s.Raw} {
		personal = appendFramed(personal, part)
	}
	sealed, err := db.secrets.seal("session", 0, personal)
	if err != nil {
		return err
	}
	return db.enqueue(&entry{done: done, writes: []write{{sessionStmt, []any{[]byte(s.NAS), []byte(s.ID), int64(s.Status), s.At.UnixMicro(), s.Client,
		s.Received.UnixMicro(), int64(s.Seconds), int64(s.In), int64(s.Out), int64(s.Cause), sealed}}}})
}

// enqueue takes a place for an entry that decides nothing and pushes it.
func (db *DB) enqueue(e *entry) error {
	if err := db.queue.reserve(); err != nil {
		return err
	}
	db.gate.RLock()
	defer db.gate.RUnlock()
	err := db.queue.push(e, nil)
	if err != nil {
		db.queue.release(1)
	}
	return err
}

// RatchetRaised reports whether the single-address client at addr has once sent a Message-Authenticator, so that it is
// required from then on.
func (db *DB) RatchetRaised(client string, addr netip.Addr) bool {
	st := db.state.Load()
	st.mu.RLock()
	defer st.mu.RUnlock()
	_, ok := st.ratchets[ratchetKey{client, addr.String()}]
	return ok
}

// RaiseRatchet requires Message-Authenticator from the client from now on, over restarts. It holds at once; done, which
// may be nil, tells when it is durable.
func (db *DB) RaiseRatchet(client string, addr netip.Addr, done func(error)) error {
	now := db.now()
	ev := &authn.Event{At: now, Kind: authn.ActEvent, Client: client, Act: "client.require-ma", Actor: "sekisho", Step: -1,
		Detail: "the client sent a Message-Authenticator; one is required from now on"}
	return db.turnRatchet(ev, client, addr, now, raiseStmt, done)
}

// ReleaseRatchet undoes RaiseRatchet; act says who did it. It is ErrNotFound where nothing was raised.
func (db *DB) ReleaseRatchet(client string, addr netip.Addr, act *authn.Event, done func(error)) error {
	if !db.RatchetRaised(client, addr) {
		return fmt.Errorf("client %s at %v: Message-Authenticator is not required by the ratchet: %w", client, addr, authn.ErrNotFound)
	}
	return db.turnRatchet(act, client, addr, time.Time{}, releaseStmt, done)
}

func (db *DB) turnRatchet(ev *authn.Event, client string, addr netip.Addr, since time.Time, stmt statement, done func(error)) error {
	if done == nil {
		done = func(error) {}
	}
	if err := db.queue.reserve(); err != nil {
		return err
	}
	db.gate.RLock()
	defer db.gate.RUnlock()
	e, err := newEntry(ev, done)
	if err != nil {
		db.queue.release(1)
		return fmt.Errorf("writing an event: %w", err)
	}
	k := ratchetKey{client, addr.String()}
	args := []any{k.client, k.address}
	if stmt == raiseStmt {
		args = append(args, since.Unix())
	}
	e.act, e.writes = true, []write{{stmt, args}}
	st := db.state.Load()
	err = db.queue.push(e, numberedFunc(func(seq uint64) {
		ev.Seq = seq
		st.mu.Lock()
		defer st.mu.Unlock()
		if stmt == raiseStmt {
			st.ratchets[k] = since.Unix()
		} else {
			delete(st.ratchets, k)
		}
	}))
	if err != nil {
		db.queue.release(1)
	}
	return err
}

// Ratchet is one client of which Message-Authenticator is required because it once sent it.
type Ratchet struct {
	Client  string
	Address string
	Since   time.Time
}

// Ratchets lists them all.
func (db *DB) Ratchets() []Ratchet {
	st := db.state.Load()
	st.mu.RLock()
	defer st.mu.RUnlock()
	all := make([]Ratchet, 0, len(st.ratchets))
	for k, since := range st.ratchets {
		all = append(all, Ratchet{k.client, k.address, time.Unix(since, 0).UTC()})
	}
	return all
}
