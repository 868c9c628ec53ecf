package storage

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sekisho/authn"
	"sekisho/token"
)

// accountRecord is one account in memory, without pointers: a login reads it in one or two cache lines and the garbage
// collector never. What few accounts have lies in an accountMore.
type accountRecord struct {
	id     uint64 // 0: the slot is free
	mu     sync.Mutex
	hold   [1]hold // where there is only one
	wait   [2]int64
	source authn.KnownSource // where there is only one

	text       uint32 // texts: external, name
	more       uint32 // slot of its accountMore + 1; 0: none
	generation uint32
	external   uint16 // octets
	name       uint16
	directory  uint16 // see directories
	row        [2]uint8
	theftRun   uint8
	stopped    authn.Stop
	digits     uint8
	holds      uint8 // 0 or 1: that many, in hold; 2: see more
}

// hold is an assignment with the slot of its token, so that a login need not look for it.
type hold struct {
	token    token.ID
	since    int64
	slot     uint32 // + 1; 0: not found yet
	standing token.Standing
}

// accountMore is what does not fit into an accountRecord.
type accountMore struct {
	holds   []hold
	charges []authn.Charge
	known   []authn.KnownSource // all of them, where there are several
	pin     authn.PINHash
	memory  authn.Memory
	spare   bool
}

func (m *accountMore) empty() bool {
	return len(m.holds) == 0 && len(m.charges) == 0 && len(m.known) == 0 && m.pin.IsZero() && !m.spare && m.memory.Pairs == nil && m.memory.Wrong == nil
}

// tokenRecord is one token in memory.
type tokenRecord struct {
	id       token.ID // 0: the slot is free
	mu       sync.Mutex
	last     int64
	start    int64
	expiry   int64
	text     uint32 // texts: seed, serial, credential ID, name
	version  uint32 // of the seed's data key
	holder   uint32 // slot of one account that holds it + 1; others are in state.shared. Guarded by state.mu
	drift    int16
	driftDay uint16
	period   uint16
	seed     uint16 // octets, like the next three
	serial   uint8
	credID   uint8
	name     uint8
	form     token.Form
	mode     token.Mode
	hash     token.Hash
	digits   uint8
	state    token.State

	fingerprint [16]byte
}

// Bounds of the texts of a record.
const (
	maxSerial = 255
	maxSeed   = 1024
)

// accountImage is an account as rules see it, with room for what nearly every account has.
type accountImage struct {
	a     authn.Account
	holds [2]token.Assignment
	known [1]authn.KnownSource
}

// openAccount shows a record as the image that rules see. What is behind it stays the record's: the caller holds its lock
// for as long as it looks at the image.
func (st *state) openAccount(r *accountRecord, im *accountImage) {
	a := &im.a
	a.ID, a.Directory = authn.AccountID(r.id), st.directories.name(r.directory)
	a.External, a.Name = st.namesOf(r)
	a.Generation = r.generation
	a.PIN, a.Spare, a.Memory = authn.PINHash{}, false, authn.Memory{}
	g := &a.Guard
	g.Row, g.Wait, g.TheftRun, g.Stopped, g.Digits = r.row, r.wait, r.theftRun, r.stopped, r.digits
	g.Charges, g.Known, a.Assignments = nil, nil, nil
	if r.source.Hash != 0 {
		im.known[0] = r.source
		g.Known = im.known[:1:1]
	}
	if r.holds == 1 {
		h := &r.hold[0]
		im.holds[0] = token.Assignment{Token: h.token, Standing: h.standing, Since: h.since}
		a.Assignments = im.holds[:1:1]
	}
	if r.more == 0 {
		return
	}
	m := st.mores.at(r.more - 1)
	a.PIN, a.Spare, a.Memory, g.Charges = m.pin, m.spare, m.memory, m.charges
	if len(m.known) > 0 {
		g.Known = m.known
	}
	if r.holds > 1 {
		a.Assignments = im.holds[:0]
		for _, h := range m.holds {
			a.Assignments = append(a.Assignments, token.Assignment{Token: h.token, Standing: h.standing, Since: h.since})
		}
	}
}

// sameName stands for the length of a name that is the identity itself, as in many directories.
const sameName = 1<<16 - 1

func (st *state) namesOf(r *accountRecord) (external, name string) {
	if r.name == sameName {
		external = st.texts.text(r.text, uint32(r.external))
		return external, external
	}
	both := st.texts.text(r.text, uint32(r.external)+uint32(r.name))
	return both[:r.external], both[r.external:]
}

// sealGuard takes what logins own from an image back into its record; the caller holds the record's lock.
func (st *state) sealGuard(r *accountRecord, a *authn.Account) {
	g := &a.Guard
	r.row, r.wait, r.theftRun, r.stopped, r.digits = g.Row, g.Wait, g.TheftRun, g.Stopped, g.Digits
	r.source = authn.KnownSource{}
	if len(g.Known) > 0 {
		r.source = g.Known[0]
	}
	if r.more == 0 && len(g.Charges) == 0 && len(g.Known) < 2 {
		return
	}
	st.withMore(r, func(m *accountMore) {
		m.charges = append(m.charges[:0], g.Charges...)
		known := g.Known
		if len(known) < 2 {
			known = nil
		}
		m.known = append(m.known[:0], known...)
	})
}

// sealHolds takes assignments into a record; slots that were known stay known.
func (st *state) sealHolds(r *accountRecord, as []token.Assignment) {
	slots := func(id token.ID) uint32 {
		for _, h := range st.holdsOf(r) {
			if h.token == id {
				return h.slot
			}
		}
		return 0
	}
	holds := make([]hold, len(as))
	for i, x := range as {
		holds[i] = hold{x.Token, x.Since, slots(x.Token), x.Standing}
	}
	r.hold, r.holds = [1]hold{}, uint8(min(len(holds), 2))
	copy(r.hold[:], holds)
	if len(holds) < 2 {
		holds = nil
	}
	if r.more != 0 || holds != nil {
		st.withMore(r, func(m *accountMore) { m.holds = holds })
	}
}

// holdsOf gives the holds of a record, to be changed in place; the caller holds its lock.
func (st *state) holdsOf(r *accountRecord) []hold {
	if r.holds > 1 {
		return st.mores.at(r.more - 1).holds
	}
	return r.hold[:r.holds]
}

// remember sets what the account keeps for minutes.
func (st *state) remember(r *accountRecord, m authn.Memory) {
	if r.more != 0 || m.Pairs != nil || m.Wrong != nil {
		st.withMore(r, func(x *accountMore) { x.memory = m })
	}
}

// withMore changes what does not fit into the record, and gives the room back where nothing is left of it.
func (st *state) withMore(r *accountRecord, change func(*accountMore)) {
	if r.more == 0 {
		st.moresMu.Lock()
		r.more = st.mores.take() + 1
		st.moresMu.Unlock()
	}
	m := st.mores.at(r.more - 1)
	if change(m); !m.empty() {
		return
	}
	*m = accountMore{}
	st.moresMu.Lock()
	st.mores.free = append(st.mores.free, r.more-1)
	st.moresMu.Unlock()
	r.more = 0
}

// sealAccount takes a whole image into a record. The caller holds the record's lock and st.mu.
func (st *state) sealAccount(r *accountRecord, a *authn.Account) {
	if external, name := st.namesOf(r); r.id == 0 || external != a.External || name != a.Name {
		r.external, r.name = uint16(len(a.External)), uint16(len(a.Name))
		if name = a.Name; name == a.External {
			r.name, name = sameName, ""
		}
		r.text = st.texts.add(a.External, name)
	}
	r.id, r.generation, r.directory = uint64(a.ID), a.Generation, st.directories.number(a.Directory)
	st.sealGuard(r, a)
	st.sealHolds(r, a.Assignments)
	if r.more != 0 || !a.PIN.IsZero() || a.Spare {
		st.withMore(r, func(m *accountMore) { m.pin, m.spare = a.PIN, a.Spare })
	}
	st.remember(r, a.Memory)
}

// openToken shows a record as an image; see openAccount.
func (st *state) openToken(r *tokenRecord, t *token.Token) {
	all := st.texts.octets(r.text, uint32(r.seed)+uint32(r.serial)+uint32(r.credID)+uint32(r.name))
	seed, rest := all[:r.seed:r.seed], alias(all[r.seed:])
	if len(seed) == 0 {
		seed = nil
	}
	*t = token.Token{ID: r.id, Serial: rest[:r.serial], CredentialID: rest[r.serial:][:r.credID], Name: rest[int(r.serial)+int(r.credID):],
		Form: r.form, Mode: r.mode, Hash: r.hash, Digits: r.digits, Period: r.period, State: r.state, Start: r.start, Expiry: r.expiry,
		Fingerprint: r.fingerprint, Sealed: token.SealedSeed{Version: r.version, Data: seed}, Last: r.last, Drift: r.drift, DriftDay: r.driftDay}
}

// sealToken takes a whole image into a record. The caller holds the record's lock and st.mu.
func (st *state) sealToken(r *tokenRecord, t *token.Token) {
	var old token.Token
	st.openToken(r, &old)
	seed := alias(t.Sealed.Data)
	if alias(old.Sealed.Data) != seed || old.Serial != t.Serial || old.CredentialID != t.CredentialID || old.Name != t.Name {
		r.text = st.texts.add(seed, t.Serial, t.CredentialID, t.Name)
	}
	r.id, r.last, r.start, r.expiry, r.version, r.fingerprint = t.ID, t.Last, t.Start, t.Expiry, t.Sealed.Version, t.Fingerprint
	r.seed, r.serial, r.credID, r.name = uint16(len(seed)), uint8(len(t.Serial)), uint8(len(t.CredentialID)), uint8(len(t.Name))
	r.form, r.mode, r.hash, r.digits, r.state, r.period = t.Form, t.Mode, t.Hash, t.Digits, t.State, t.Period
	r.drift, r.driftDay = t.Drift, t.DriftDay
}

// fits refuses images that no record holds. The rules' own bounds are narrower; this one keeps memory and rows readable.
func fits(accounts []*authn.Account, tokens []*token.Token) error {
	for _, a := range accounts {
		switch {
		case a.ID == 0:
			return fmt.Errorf("an account without an ID")
		case len(a.Assignments) > maxHolds:
			return fmt.Errorf("account %v: %d tokens: at most %d", a.ID, len(a.Assignments), maxHolds)
		case len(a.External) > maxText || len(a.Name) > maxText || len(a.Directory) > maxText:
			return fmt.Errorf("account %v: a name has at most %d octets", a.ID, maxText)
		}
	}
	for _, t := range tokens {
		switch {
		case t.ID == 0:
			return fmt.Errorf("a token without an ID")
		case t.State < token.InStock || t.State > token.Destroyed || t.State == token.Expired:
			return fmt.Errorf("token %v: %v is not a state to keep", t.ID, t.State)
		case len(t.Serial) > maxSerial || len(t.CredentialID) > maxSerial || len(t.Name) > maxSerial || len(t.Sealed.Data) > maxSeed:
			return fmt.Errorf("token %v: serial, credential ID and name have at most %d octets, a sealed seed %d", t.ID, maxSerial, maxSeed)
		}
	}
	return nil
}

// directories numbers the few directories that accounts come from. Adding is guarded by state.mu.
type directories struct{ names atomic.Pointer[[]string] }

// maxDirectories bounds them; a config names a handful.
const maxDirectories = 1 << 16

func (d *directories) list() []string {
	if names := d.names.Load(); names != nil {
		return *names
	}
	return nil
}

func (d *directories) name(n uint16) string {
	if names := d.list(); int(n) < len(names) {
		return names[n]
	}
	return ""
}

// number gives the number of a directory, a new one where it has none.
func (d *directories) number(name string) uint16 {
	names := d.list()
	if n := slices.Index(names, name); n >= 0 {
		return uint16(n)
	}
	more := append(slices.Clone(names), strings.Clone(name))
	d.names.Store(&more)
	return uint16(len(names))
}

// room says whether one more name has a number, or can get one.
func (d *directories) room(name string) bool {
	return len(d.list()) < maxDirectories || slices.Contains(d.list(), name)
}
