package storage

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// Sentinels of acts that fit nowhere.
var (
	ErrSerialTaken = fmt.Errorf("another living token has this serial: %w", authn.ErrExists)
	ErrSeedTaken   = fmt.Errorf("another living token has this seed; assign that one to several users instead: %w", authn.ErrExists)
	ErrUserTaken   = fmt.Errorf("this user of the directory already has an account: %w", authn.ErrExists)
)

// nonceLife is how long a State lives (S18): its nonce has to be known as spent for as long.
const nonceLife = 120 * time.Second

// state is everything that decisions look at, in memory. Entries are locked one by one: accounts in the order of their
// IDs, then tokens in the order of theirs. mu guards the maps alone and is held for moments, after the entries' locks.
type state struct {
	mu         sync.RWMutex
	accounts   map[authn.AccountID]*accountEntry
	tokens     map[token.ID]*tokenEntry
	users      map[userKey]authn.AccountID
	serials    map[string]token.ID   // of living tokens
	seeds      map[[16]byte]token.ID // by fingerprint, of living tokens
	tombstones map[[16]byte]int64    // last step of destroyed ones (S9)
	counts     [token.Destroyed + 1]int
	ratchets   map[ratchetKey]int64 // Unix seconds
	newest     int64                // Unix seconds at which the newest TOTP step ever burnt begins

	grants map[uint64][]authn.Grant // of batches that a replay may make live, by the number of their event
	nonces nonceSet
	spent  func(nonce [12]byte) bool // that of nonces
	dirty  dirtyRows
}

type userKey struct{ directory, external string }

type ratchetKey struct{ client, address string }

// accountEntry is one account with its lock. seq is the newest event that touched it; since the oldest one that its row
// does not hold yet, 0 when the row is up to date.
type accountEntry struct {
	mu         sync.Mutex
	a          *authn.Account
	seq, since uint64
}

type tokenEntry struct {
	mu         sync.Mutex
	t          *token.Token
	holders    []authn.AccountID // guarded by state.mu
	seq, since uint64
}

// dirtyRows lists entries whose rows are behind.
type dirtyRows struct {
	mu       sync.Mutex
	accounts []dirtyAccount
	tokens   []dirtyToken
}

type (
	dirtyAccount struct {
		id    authn.AccountID
		entry *accountEntry
	}
	dirtyToken struct {
		id    token.ID
		entry *tokenEntry
	}
)

func newState() *state {
	s := &state{
		accounts: map[authn.AccountID]*accountEntry{}, tokens: map[token.ID]*tokenEntry{},
		users: map[userKey]authn.AccountID{}, serials: map[string]token.ID{}, seeds: map[[16]byte]token.ID{},
		tombstones: map[[16]byte]int64{}, ratchets: map[ratchetKey]int64{}, grants: map[uint64][]authn.Grant{},
		nonces: nonceSet{at: map[[12]byte]int64{}},
	}
	s.spent = s.nonces.spent
	return s
}

func (s *state) account(id authn.AccountID) *accountEntry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.accounts[id]
}

func (s *state) token(id token.ID) *tokenEntry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tokens[id]
}

// putAccount adds an account or replaces its image. The caller holds mu and, for an old account, its lock.
func (s *state) putAccount(a *authn.Account) *accountEntry {
	e := s.accounts[a.ID]
	if e == nil {
		e = &accountEntry{}
		s.accounts[a.ID] = e
	} else {
		for _, as := range e.a.Assignments {
			if t := s.tokens[as.Token]; t != nil {
				t.holders = slices.DeleteFunc(slices.Clone(t.holders), func(id authn.AccountID) bool { return id == a.ID })
			}
		}
		delete(s.users, userKey{e.a.Directory, e.a.External})
	}
	e.a = a
	s.users[userKey{a.Directory, a.External}] = a.ID
	for _, as := range a.Assignments {
		if t := s.tokens[as.Token]; t != nil {
			t.holders = append(slices.Clip(t.holders), a.ID)
		}
	}
	return e
}

// listHolder notes an account among the holders of tokens that a batch gave it. The caller holds mu and the account's lock.
func (s *state) listHolder(a *authn.Account, holds []token.Assignment) {
	for _, h := range holds {
		if t := s.tokens[h.Token]; t != nil && a.Assignment(h.Token) != nil && !slices.Contains(t.holders, a.ID) {
			t.holders = append(slices.Clip(t.holders), a.ID)
		}
	}
}

// putToken adds a token or replaces its image. The caller holds mu and, for an old token, its lock.
func (s *state) putToken(t *token.Token) *tokenEntry {
	e := s.tokens[t.ID]
	if e == nil {
		e = &tokenEntry{}
		s.tokens[t.ID] = e
	} else {
		s.forget(e.t)
	}
	e.t = t
	s.counts[t.State]++
	if t.State == token.Destroyed {
		s.bury(t)
		return e
	}
	if t.Serial != "" {
		s.serials[t.Serial] = t.ID
	}
	s.seeds[t.Fingerprint] = t.ID
	return e
}

// forget takes a token's image out of the indexes.
func (s *state) forget(t *token.Token) {
	s.counts[t.State]--
	if t.State == token.Destroyed {
		return
	}
	if s.serials[t.Serial] == t.ID {
		delete(s.serials, t.Serial)
	}
	if s.seeds[t.Fingerprint] == t.ID {
		delete(s.seeds, t.Fingerprint)
	}
}

// bury remembers a destroyed token's seed and last step, so that importing the seed again continues there (S9).
func (s *state) bury(t *token.Token) {
	if last, ok := s.tombstones[t.Fingerprint]; !ok || last < t.Last {
		s.tombstones[t.Fingerprint] = t.Last
	}
}

// admit says whether new images may enter beside what lives; the caller holds mu.
func (s *state) admit(accounts []*authn.Account, tokens []*token.Token) error {
	users := map[userKey]bool{}
	for _, a := range accounts {
		k := userKey{a.Directory, a.External}
		if id, ok := s.users[k]; users[k] || ok && id != a.ID {
			return fmt.Errorf("account %v (%s): %w", a.ID, a.Directory, ErrUserTaken)
		}
		if len(a.Assignments) > maxHolds {
			return fmt.Errorf("account %v: %d tokens: at most %d", a.ID, len(a.Assignments), maxHolds)
		}
		users[k] = true
	}
	serials, seeds := map[string]bool{}, map[[16]byte]bool{}
	for _, t := range tokens {
		if err := s.admitToken(t); err != nil {
			return err
		}
		if t.State == token.Destroyed {
			continue
		}
		if t.Serial != "" && serials[t.Serial] {
			return fmt.Errorf("token %v, serial %q: %w", t.ID, t.Serial, ErrSerialTaken)
		}
		if seeds[t.Fingerprint] {
			return fmt.Errorf("token %v, serial %q: %w", t.ID, t.Serial, ErrSeedTaken)
		}
		serials[t.Serial], seeds[t.Fingerprint] = true, true
	}
	return nil
}

// admitToken says whether one new image of a token may enter beside what lives; the caller holds mu.
func (s *state) admitToken(t *token.Token) error {
	if t.State < token.InStock || t.State > token.Destroyed || t.State == token.Expired {
		return fmt.Errorf("token %v: %v is not a state to keep", t.ID, t.State)
	}
	if t.State == token.Destroyed {
		return nil
	}
	if id, ok := s.serials[t.Serial]; t.Serial != "" && ok && id != t.ID {
		return fmt.Errorf("token %v, serial %q: %w", t.ID, t.Serial, ErrSerialTaken)
	}
	if id, ok := s.seeds[t.Fingerprint]; ok && id != t.ID {
		return fmt.Errorf("token %v, serial %q: %w", t.ID, t.Serial, ErrSeedTaken)
	}
	return nil
}

// cloneAccount copies an account so deeply that nothing is shared.
func cloneAccount(a *authn.Account) *authn.Account {
	c := *a
	c.Assignments = slices.Clone(a.Assignments)
	c.Guard.Charges = slices.Clone(a.Guard.Charges)
	c.Guard.Known = slices.Clone(a.Guard.Known)
	c.Memory.Pairs = slices.Clone(a.Memory.Pairs)
	c.Memory.Wrong = slices.Clone(a.Memory.Wrong)
	return &c
}

func cloneToken(t *token.Token) *token.Token {
	c := *t
	c.Sealed.Data = slices.Clone(t.Sealed.Data)
	return &c
}

// accountAfter brings one account to where an event left it (S8).
func accountAfter(a *authn.Account, ev *authn.Event) {
	if ev.GuardSet {
		a.Guard.Apply(ev.Guard)
	}
	for _, b := range ev.Burnt {
		if !b.Activated {
			continue
		}
		for i := range a.Assignments {
			if as := &a.Assignments[i]; as.Token == b.Token && as.Standing == token.Pending {
				as.Standing, as.Since = token.Active, ev.At.Unix()
			}
		}
	}
}

// tokenAfter brings one token to where an event left it; the larger last step stays.
func tokenAfter(t *token.Token, b authn.Burnt) {
	t.Last = max(t.Last, b.Last)
	t.Drift, t.DriftDay = b.Drift, b.DriftDay
}

// touchesAccount reports whether applying the event changes its account.
func touchesAccount(ev *authn.Event) bool {
	if ev.Account == 0 {
		return false
	}
	return ev.GuardSet || slices.ContainsFunc(ev.Burnt, func(b authn.Burnt) bool { return b.Activated })
}

// noteBurnt keeps what follows from a burnt step beside the token itself; the caller holds the token's lock.
func (s *state) noteBurnt(t *token.Token) {
	if t.Mode != token.TOTP && t.State != token.Destroyed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Mode == token.TOTP {
		s.newest = max(s.newest, t.Last*int64(t.Period))
	}
	if t.State == token.Destroyed {
		s.bury(t)
	}
}

// touchAccount marks an account's row as behind since an event; the caller holds the account's lock.
func (s *state) touchAccount(e *accountEntry, seq uint64) {
	e.seq = seq
	if e.since == 0 {
		e.since = seq
		s.dirty.mu.Lock()
		s.dirty.accounts = append(s.dirty.accounts, dirtyAccount{e.a.ID, e})
		s.dirty.mu.Unlock()
	}
}

func (s *state) touchToken(e *tokenEntry, seq uint64) {
	e.seq = seq
	if e.since == 0 {
		e.since = seq
		s.dirty.mu.Lock()
		s.dirty.tokens = append(s.dirty.tokens, dirtyToken{e.t.ID, e})
		s.dirty.mu.Unlock()
	}
}

// nonceSet remembers spent States for as long as they could still be shown.
type nonceSet struct {
	mu    sync.Mutex
	at    map[[12]byte]int64 // Unix seconds
	sweep int64
}

func (n *nonceSet) spent(nonce [12]byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.at[nonce]
	return ok
}

// spend reports false when the nonce was spent before.
func (n *nonceSet) spend(nonce [12]byte, at time.Time) bool {
	now, life := at.Unix(), int64(nonceLife/time.Second)
	n.mu.Lock()
	defer n.mu.Unlock()
	if now-n.sweep >= life {
		n.sweep = now
		for k, t := range n.at {
			if now-t > life {
				delete(n.at, k)
			}
		}
	}
	if _, ok := n.at[nonce]; ok {
		return false
	}
	n.at[nonce] = now
	return true
}
