package storage

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
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

// state is everything that decisions look at, in memory. Records are locked one by one: accounts in the order of their
// slots, then tokens in the order of theirs. mu guards what finds them and is held for moments, after the records' locks.
type state struct {
	mu          sync.RWMutex
	accounts    *slabs[accountRecord]
	tokens      *slabs[tokenRecord]
	texts       *texts
	directories directories
	accountIDs  index
	users       index // by directory and external
	tokenIDs    index
	serials     index               // of living tokens
	seeds       index               // by fingerprint, of living tokens
	shared      map[uint32][]uint32 // slots of a token's holders beside the one in its record
	tombstones  map[[16]byte]int64  // last step of destroyed ones (S9)
	claims      claims              // of imports under way
	counts      [token.Destroyed + 1]int
	ratchets    map[ratchetKey]int64 // Unix seconds
	newest      atomic.Int64         // Unix seconds at which the newest TOTP step ever burnt begins

	moresMu sync.Mutex // guards taking and giving back in mores
	mores   *slabs[accountMore]

	grants  map[uint64][]authn.Grant // of batches that a replay may make live, by the number of their event
	nonces  nonceSet
	records records
	spent   func(nonce [12]byte) bool // that of nonces
	dirty   dirtySlabs                // guarded like slab.since
}

// claims are what imports under way have reserved, beside what lives.
type claims struct {
	users   map[userKey]authn.AccountID
	serials map[string]token.ID
	seeds   map[[16]byte]token.ID
}

type userKey struct{ directory, external string }

type ratchetKey struct{ client, address string }

// dirtySlabs are the numbers of slabs whose rows are behind.
type dirtySlabs struct{ accounts, tokens []uint32 }

func newState() *state {
	s := &state{
		accounts: newSlabs[accountRecord](), tokens: newSlabs[tokenRecord](), mores: newSlabs[accountMore](), texts: newTexts(),
		shared: map[uint32][]uint32{}, tombstones: map[[16]byte]int64{}, ratchets: map[ratchetKey]int64{}, grants: map[uint64][]authn.Grant{},
		claims: claims{map[userKey]authn.AccountID{}, map[string]token.ID{}, map[[16]byte]token.ID{}},
		nonces: nonceSet{at: map[[12]byte]int64{}},
	}
	s.spent = s.nonces.spent
	return s
}

// The hashes under which records are found. Their seed is new in each process, so that nobody can choose names that meet
// in one place. IDs and fingerprints are random already.
var hashSeed = maphash.MakeSeed()

func hashUser(directory, external string) uint64 {
	return maphash.String(hashSeed, external) ^ maphash.String(hashSeed, directory)<<1
}

func hashID(id uint64) uint64 { return maphash.Comparable(hashSeed, id) }

func hashSerial(serial string) uint64 { return maphash.String(hashSeed, serial) }

func hashSeedPrint(fingerprint [16]byte) uint64 { return binary.LittleEndian.Uint64(fingerprint[:]) }

// accountSlot finds an account; the caller holds mu.
func (s *state) accountSlot(id authn.AccountID) (uint32, bool) {
	return s.accountIDs.find(hashID(uint64(id)), func(slot uint32) bool { return s.accounts.at(slot).id == uint64(id) })
}

func (s *state) tokenSlot(id token.ID) (uint32, bool) {
	return s.tokenIDs.find(hashID(uint64(id)), func(slot uint32) bool { return s.tokens.at(slot).id == id })
}

// userSlot finds the account of a directory's user. Identities lie in records that may be locked, but change only under mu.
func (s *state) userSlot(directory, external string) (uint32, bool) {
	return s.users.find(hashUser(directory, external), func(slot uint32) bool {
		r := s.accounts.at(slot)
		have, _ := s.namesOf(r)
		return have == external && s.directories.name(r.directory) == directory
	})
}

func (s *state) serialSlot(serial string) (uint32, bool) {
	return s.serials.find(hashSerial(serial), func(slot uint32) bool { return s.serialOf(s.tokens.at(slot)) == serial })
}

func (s *state) serialOf(r *tokenRecord) string {
	return s.texts.text(r.text+uint32(r.seed), uint32(r.serial))
}

func (s *state) seedSlot(fingerprint [16]byte) (uint32, bool) {
	return s.seeds.find(hashSeedPrint(fingerprint), func(slot uint32) bool { return s.tokens.at(slot).fingerprint == fingerprint })
}

// user gives whose a directory's user is, claims of imports included.
func (s *state) user(k userKey) (authn.AccountID, bool) {
	if slot, ok := s.userSlot(k.directory, k.external); ok {
		return authn.AccountID(s.accounts.at(slot).id), true
	}
	id, ok := s.claims.users[k]
	return id, ok
}

func (s *state) serial(serial string) (token.ID, bool) {
	if slot, ok := s.serialSlot(serial); ok {
		return s.tokens.at(slot).id, true
	}
	id, ok := s.claims.serials[serial]
	return id, ok
}

func (s *state) seed(fingerprint [16]byte) (token.ID, bool) {
	if slot, ok := s.seedSlot(fingerprint); ok {
		return s.tokens.at(slot).id, true
	}
	id, ok := s.claims.seeds[fingerprint]
	return id, ok
}

// putAccount makes an account in a slot or replaces its image there. The caller holds mu and the record's lock.
func (s *state) putAccount(slot uint32, a *authn.Account) {
	r := s.accounts.at(slot)
	fresh := r.id == 0
	renamed := fresh
	if !fresh {
		s.unlistHolder(slot, r)
		external, _ := s.namesOf(r)
		if renamed = external != a.External || s.directories.name(r.directory) != a.Directory; renamed {
			s.users.drop(hashUser(s.directories.name(r.directory), external), slot)
		}
	}
	s.sealAccount(r, a)
	if fresh {
		s.accountIDs.put(hashID(r.id), slot)
	}
	if renamed {
		s.users.put(hashUser(a.Directory, a.External), slot)
	}
	s.listHolder(slot, r)
}

// listHolder notes an account among the holders of its tokens. The caller holds mu and the account's lock.
func (s *state) listHolder(slot uint32, r *accountRecord) {
	holds := s.holdsOf(r)
	for i := range holds {
		h := &holds[i]
		if !s.locate(h) {
			continue
		}
		t := s.tokens.at(h.slot - 1)
		switch {
		case t.holder == slot+1 || slices.Contains(s.shared[h.slot-1], slot):
		case t.holder == 0:
			t.holder = slot + 1
		default:
			s.shared[h.slot-1] = append(slices.Clip(s.shared[h.slot-1]), slot)
		}
	}
}

// locate notes where the token of a hold lies; false where there is none. The caller holds mu and the account's lock.
func (s *state) locate(h *hold) bool {
	if h.slot == 0 {
		slot, ok := s.tokenSlot(h.token)
		if !ok {
			return false
		}
		h.slot = slot + 1
	}
	return true
}

func (s *state) unlistHolder(slot uint32, r *accountRecord) {
	for _, h := range s.holdsOf(r) {
		if h.slot == 0 {
			continue
		}
		t, others := s.tokens.at(h.slot-1), s.shared[h.slot-1]
		others = slices.DeleteFunc(slices.Clone(others), func(x uint32) bool { return x == slot })
		if t.holder == slot+1 {
			t.holder = 0
			if len(others) > 0 {
				t.holder, others = others[0]+1, others[1:]
			}
		}
		if len(others) > 0 {
			s.shared[h.slot-1] = others
		} else {
			delete(s.shared, h.slot-1)
		}
	}
}

// holders gives who holds a token; the caller holds mu.
func (s *state) holders(slot uint32) []uint32 {
	r := s.tokens.at(slot)
	if r.holder == 0 {
		return nil
	}
	return append([]uint32{r.holder - 1}, s.shared[slot]...)
}

// putToken makes a token in a slot or replaces its image there. The caller holds mu and the record's lock.
func (s *state) putToken(slot uint32, t *token.Token) {
	r := s.tokens.at(slot)
	if r.id == 0 {
		s.tokenIDs.put(hashID(uint64(t.ID)), slot)
	} else {
		s.forget(slot, r)
	}
	s.sealToken(r, t)
	s.noteStep(r)
	s.counts[t.State]++
	if t.State == token.Destroyed {
		s.bury(r.fingerprint, r.last)
		return
	}
	if r.serial > 0 {
		s.serials.put(hashSerial(t.Serial), slot)
	}
	s.seeds.put(hashSeedPrint(t.Fingerprint), slot)
}

// forget takes a token's image out of the indexes.
func (s *state) forget(slot uint32, r *tokenRecord) {
	s.counts[r.state]--
	if r.state == token.Destroyed {
		return
	}
	if r.serial > 0 {
		s.serials.drop(hashSerial(s.serialOf(r)), slot)
	}
	s.seeds.drop(hashSeedPrint(r.fingerprint), slot)
}

// bury remembers a destroyed token's seed and last step, so that importing the seed again continues there (S9).
func (s *state) bury(fingerprint [16]byte, step int64) {
	if last, ok := s.tombstones[fingerprint]; !ok || last < step {
		s.tombstones[fingerprint] = step
	}
}

// admit says whether new images may enter beside what lives; the caller holds mu.
func (s *state) admit(accounts []*authn.Account, tokens []*token.Token) error {
	if err := fits(accounts, tokens); err != nil {
		return err
	}
	users := map[userKey]bool{}
	for _, a := range accounts {
		k := userKey{a.Directory, a.External}
		if id, ok := s.user(k); users[k] || ok && id != a.ID {
			return fmt.Errorf("account %v (%s): %w", a.ID, a.Directory, ErrUserTaken)
		}
		if !s.directories.room(a.Directory) {
			return fmt.Errorf("account %v (%s): there are %d directories, the most a database keeps", a.ID, a.Directory, maxDirectories)
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
	if t.State == token.Destroyed {
		return nil
	}
	if id, ok := s.serial(t.Serial); t.Serial != "" && ok && id != t.ID {
		return fmt.Errorf("token %v, serial %q: %w", t.ID, t.Serial, ErrSerialTaken)
	}
	if id, ok := s.seed(t.Fingerprint); ok && id != t.ID {
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

// accountAfter brings one account to where an event left it (S8): the guard when guard says so, and what a code activated
// when holds does. The caller holds the record's lock; im is what it shows.
func (st *state) accountAfter(r *accountRecord, im *accountImage, ev *authn.Event, guard, holds bool) {
	if guard && ev.GuardSet {
		im.a.Guard.Apply(ev.Guard)
		st.sealGuard(r, &im.a)
	}
	if !holds || !activates(ev) {
		return
	}
	for i := range st.holdsOf(r) {
		h := &st.holdsOf(r)[i]
		if h.standing == token.Pending && slices.ContainsFunc(ev.Burnt, func(b authn.Burnt) bool { return b.Activated && b.Token == h.token }) {
			h.standing, h.since = token.Active, ev.At.Unix()
		}
	}
}

// touchesAccount reports whether applying the event changes its account.
func touchesAccount(ev *authn.Event) bool {
	if ev.Account == 0 {
		return false
	}
	return ev.GuardSet || activates(ev)
}

// burn brings one token to where an event left it; the larger last step stays. The caller holds the record's lock.
func (s *state) burn(r *tokenRecord, b *authn.Burnt) {
	r.last = max(r.last, b.Last)
	r.drift, r.driftDay = b.Drift, b.DriftDay
	s.noteBurnt(r)
}

// noteBurnt keeps what follows from a burnt step beside the token itself.
func (s *state) noteBurnt(r *tokenRecord) {
	s.noteStep(r)
	if r.state == token.Destroyed {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bury(r.fingerprint, r.last)
	}
}

// noteStep keeps when the last step began by the site's clock: that of a token may be a day off.
func (s *state) noteStep(r *tokenRecord) {
	if r.mode == token.TOTP && r.last != token.NoStep {
		s.noteNewest((r.last - int64(r.drift)) * int64(r.period))
	}
}

func (s *state) noteNewest(at int64) {
	for {
		old := s.newest.Load()
		if at <= old || s.newest.CompareAndSwap(old, at) {
			return
		}
	}
}

// touchAccount marks rows as behind since an event: that of what logins own, and with wholly also the other.
func (s *state) touchAccount(slot uint32, seq uint64, wholly bool) {
	sl := s.accounts.slab(slot / slabSize)
	sl.wholly = sl.wholly || wholly
	if sl.since == 0 {
		sl.since = seq
		s.dirty.accounts = append(s.dirty.accounts, slot/slabSize)
	}
}

func (s *state) touchToken(slot uint32, seq uint64) {
	sl := s.tokens.slab(slot / slabSize)
	if sl.since == 0 {
		sl.since = seq
		s.dirty.tokens = append(s.dirty.tokens, slot/slabSize)
	}
}

// activates reports whether applying the event changes what its account holds.
func activates(ev *authn.Event) bool {
	return ev.Account != 0 && slices.ContainsFunc(ev.Burnt, func(b authn.Burnt) bool { return b.Activated })
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
