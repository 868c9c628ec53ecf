package selfservice

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// Level is what was proven in a session, and so which pages it opens.
type Level uint8

// The levels. They are stored: append, never renumber.
const (
	ByLink     Level = iota + 1 // the link of a mail and the password: to register the devices of that link
	ByPassword                  // the password alone: to say that a device is lost, and to ask for another one
	SignedIn                    // all that the person has: the password, and a code where there is a working token
)

// Session is one sign-in of one browser. What the cookie holds is kept nowhere but hashed.
type Session struct {
	ID       uint64 // of its record, for its owner's list
	Account  authn.AccountID
	Name     string // as the directory writes it
	Level    Level
	Browser  string // a short description for its owner's list
	From     string // the address it began at
	Began    int64  // Unix seconds
	Seen     int64  // the same, a minute behind at most
	Code     int64  // when a code was last accepted in it; 0: never
	Link     string // secret of the activation link under way
	Start    string // secret that its start is bound to: another browser does not have it
	Begun    int    // starts of the link when this session's was made
	Until    int64  // Unix seconds until which that start shows its secret
	Pending  *Pending
	Done     string // name of the device that was just registered, for the page after it
	NeedsPIN bool   // that page asks for a PIN
}

// Pending is a device that My page adds: its secret is shown until the first right code comes.
type Pending struct {
	Token              token.ID
	URI, Key           string
	Label, Old, Device string
	Until              int64 // Unix seconds
}

const (
	sessionIdle  = 15 * time.Minute // as people.md's session.user_idle
	linkIdle     = 30 * time.Minute // as long as one start shows its secret
	sessionTotal = 8 * time.Hour
	seenEvery    = time.Minute

	// personSession is the State of their records: operators' sessions are of the same kind and open nothing here.
	personSession = 2
)

func (s *Session) ends() int64 {
	idle := sessionIdle
	if s.Level == ByLink {
		idle = linkIdle
	}
	return min(s.Seen+int64(idle/time.Second), s.Began+int64(sessionTotal/time.Second))
}

// SessionStore is what sessions are kept in.
type SessionStore interface {
	Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error
	Keyed(domain byte, parts ...[]byte) [16]byte
	authn.Records
}

// sessions keeps them, so that a restart of the service ends none.
type sessions struct {
	store SessionStore
	swept atomic.Int64 // Unix seconds
}

// lookupDomain is the domain of Store.Keyed for secrets that find records.
const lookupDomain = 'L'

func (ss *sessions) lookup(secret string) [16]byte {
	return ss.store.Keyed(lookupDomain, []byte{byte(authn.SessionRecord)}, []byte(secret))
}

// begin keeps a new session and gives the secret for its cookie. The session that the browser had before ends: no sign-in goes
// on under a secret that somebody else may have put there.
func (ss *sessions) begin(s Session, before *Session, now time.Time) (secret string, err error) {
	secret = newSecret()
	var b [8]byte
	_, _ = rand.Read(b[:])
	s.ID = binary.BigEndian.Uint64(b[:])>>1 | 1
	s.Began, s.Seen = now.Unix(), now.Unix()
	key := authn.RecordKey{Kind: authn.SessionRecord, ID: s.ID}
	keys := []authn.RecordKey{key}
	if before != nil {
		keys = append(keys, authn.RecordKey{Kind: authn.SessionRecord, ID: before.ID})
	}
	err = ss.save(keys, func(h *authn.Held) (authn.Change, error) {
		c, err := s.change(ss.lookup(secret))
		if before != nil && h.Records[1] != nil {
			c.Gone = keys[1:]
		}
		return c, err
	})
	return secret, err
}

func (s *Session) change(lookup [16]byte) (authn.Change, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return authn.Change{}, fmt.Errorf("writing a session: %w", err)
	}
	return authn.Change{Records: []*authn.Record{{RecordKey: authn.RecordKey{Kind: authn.SessionRecord, ID: s.ID},
		Account: s.Account, State: personSession, Due: s.ends(), Lookup: lookup, Data: data}}}, nil
}

// save runs an update and waits until it is durable.
func (ss *sessions) save(keys []authn.RecordKey, f func(*authn.Held) (authn.Change, error)) error {
	saved := make(chan error, 1)
	if err := ss.store.Update(authn.Keys{Records: keys}, f, func(err error) { saved <- err }); err != nil {
		return fmt.Errorf("saving a session: %w", err)
	}
	if err := <-saved; err != nil {
		return fmt.Errorf("saving a session: %w", err)
	}
	return nil
}

// find gives the session of a cookie; nil where there is none that still runs.
func (ss *sessions) find(secret string, now time.Time) (*Session, error) {
	if len(secret) != 43 { // 256 bits in base64
		return nil, nil
	}
	id := ss.store.RecordOf(authn.SessionRecord, ss.lookup(secret))
	if id == 0 {
		return nil, nil
	}
	s, err := ss.read(id)
	if s == nil || now.Unix() >= s.ends() {
		return nil, err
	}
	if now.Unix() >= s.Seen+int64(seenEvery/time.Second) {
		return s, ss.change(s, func(s *Session) { s.Seen = now.Unix() })
	}
	return s, nil
}

func (ss *sessions) read(id uint64) (*Session, error) {
	r, err := ss.store.Record(authn.RecordKey{Kind: authn.SessionRecord, ID: id})
	if errors.Is(err, authn.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	return decode(r)
}

func decode(r *authn.Record) (*Session, error) {
	if r.State != personSession {
		return nil, nil
	}
	s := &Session{}
	if err := json.Unmarshal(r.Data, s); err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	return s, nil
}

// change lets f change a session that is still there, and s with it.
func (ss *sessions) change(s *Session, f func(*Session)) error {
	keys := []authn.RecordKey{{Kind: authn.SessionRecord, ID: s.ID}}
	return ss.save(keys, func(h *authn.Held) (authn.Change, error) {
		r := h.Records[0]
		if r == nil {
			return authn.Change{}, nil // it was ended meanwhile
		}
		fresh, err := decode(r)
		if fresh == nil {
			return authn.Change{}, err
		}
		f(fresh)
		*s = *fresh
		c, err := fresh.change(r.Lookup)
		return c, err
	})
}

// end ends one session of an account; another's is not found.
func (ss *sessions) end(account authn.AccountID, id uint64) error {
	keys := []authn.RecordKey{{Kind: authn.SessionRecord, ID: id}}
	return ss.save(keys, func(h *authn.Held) (authn.Change, error) {
		r := h.Records[0]
		if r == nil || r.Account != account || r.State != personSession {
			return authn.Change{}, nil
		}
		return authn.Change{Gone: keys}, nil
	})
}

// of lists the running sessions of an account, the latest first.
func (ss *sessions) of(account authn.AccountID, now time.Time) (all []*Session, err error) {
	records, err := ss.store.Records(authn.RecordQuery{Kind: authn.SessionRecord, Account: account, States: []uint8{personSession}, Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	for _, r := range records {
		s, err := decode(r)
		if err != nil {
			return nil, err
		}
		if now.Unix() < s.ends() {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(b.Began, a.Began) })
	return all, nil
}

// endAll ends the other sessions of an account.
func (ss *sessions) endAll(account authn.AccountID, but uint64, now time.Time) error {
	all, err := ss.of(account, now)
	for _, s := range all {
		if s.ID != but && err == nil {
			err = ss.end(account, s.ID)
		}
	}
	return err
}

// sweep takes away what has ended, at most once a minute.
func (ss *sessions) sweep(now time.Time) error {
	last := ss.swept.Load()
	if now.Unix() < last+60 || !ss.swept.CompareAndSwap(last, now.Unix()) {
		return nil
	}
	old, err := ss.store.Records(authn.RecordQuery{Kind: authn.SessionRecord, States: []uint8{personSession}, DueBy: now.Unix(), Limit: 100})
	for _, r := range old {
		if err != nil {
			break
		}
		seen := bytes.Clone(r.Data)
		err = ss.save([]authn.RecordKey{r.RecordKey}, func(h *authn.Held) (authn.Change, error) {
			if h.Records[0] == nil || !bytes.Equal(h.Records[0].Data, seen) {
				return authn.Change{}, nil
			}
			return authn.Change{Gone: []authn.RecordKey{r.RecordKey}}, nil
		})
	}
	return err
}
