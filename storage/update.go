package storage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"sekisho/authn"
	"sekisho/token"
)

var _ authn.Store = (*DB)(nil)

// locked is what one Update holds: records in the order of their slots, and what f sees of them. It is used again and again,
// so that a login makes no garbage; f may keep nothing of it.
type locked struct {
	st       *state
	accounts []lockedAccount
	tokens   []lockedToken
	held     authn.Held
	ch       authn.Change // what f ordered

	recordsHeld bool // state.records.mu

	// Room for what nearly every login holds. Images stay where they are while f looks at them.
	room struct {
		accounts [2]lockedAccount
		images   [2]accountImage
		tokens   [8]lockedToken
		codes    [8]token.Token
		account  [2]*authn.Account
		token    [8]*token.Token
	}
}

type lockedAccount struct {
	slot uint32
	r    *accountRecord
	im   *accountImage
}

type lockedToken struct {
	slot uint32
	r    *tokenRecord
	t    *token.Token
}

var lockedPool = sync.Pool{New: func() any { return new(locked) }}

// lock takes the accounts' locks in the order of their slots, then those of the tokens they hold and of the others asked
// for, in the order of theirs, then that of all records if any are named. What does not exist is left out. unlock gives all
// of it back.
func (st *state) lock(keys authn.Keys) *locked {
	l := lockedPool.Get().(*locked)
	l.st = st
	l.accounts, l.tokens = l.room.accounts[:0], l.room.tokens[:0]
	l.find(keys)
	for i := range l.accounts {
		x := &l.accounts[i]
		x.r.mu.Lock()
		for h := range st.holdsOf(x.r) {
			l.addHold(&st.holdsOf(x.r)[h])
		}
	}
	l.lockTokens()
	l.show(keys)
	if len(keys.Records) > 0 {
		l.showRecords(keys.Records)
	}
	return l
}

// find looks the keys up; nothing is locked yet.
func (l *locked) find(keys authn.Keys) {
	st := l.st
	st.mu.RLock()
	defer st.mu.RUnlock()
	for _, id := range keys.Accounts {
		if slot, ok := st.accountSlot(id); ok {
			l.accounts = append(l.accounts, lockedAccount{slot: slot, r: st.accounts.at(slot)})
		}
	}
	if len(l.accounts) > 1 {
		slices.SortFunc(l.accounts, func(a, b lockedAccount) int { return cmp.Compare(a.slot, b.slot) })
		l.accounts = slices.CompactFunc(l.accounts, func(a, b lockedAccount) bool { return a.slot == b.slot })
	}
	for _, id := range keys.Tokens {
		if slot, ok := st.tokenSlot(id); ok {
			l.tokens = append(l.tokens, lockedToken{slot: slot})
		}
	}
}

// addHold adds the token of a hold to what is to be locked, if it is there.
func (l *locked) addHold(h *hold) {
	if h.slot == 0 {
		l.st.mu.RLock()
		defer l.st.mu.RUnlock()
		if !l.st.locate(h) {
			return
		}
	}
	l.tokens = append(l.tokens, lockedToken{slot: h.slot - 1})
}

func (l *locked) lockTokens() {
	if len(l.tokens) > 1 {
		slices.SortFunc(l.tokens, func(a, b lockedToken) int { return cmp.Compare(a.slot, b.slot) })
		l.tokens = slices.CompactFunc(l.tokens, func(a, b lockedToken) bool { return a.slot == b.slot })
	}
	for i := range l.tokens {
		x := &l.tokens[i]
		x.r = l.st.tokens.at(x.slot)
		x.r.mu.Lock()
	}
}

// show makes the images that f sees.
func (l *locked) show(keys authn.Keys) {
	images := l.room.images[:]
	if len(l.accounts) > len(images) {
		images = make([]accountImage, len(l.accounts))
	}
	for i := range l.accounts {
		x := &l.accounts[i]
		x.im = &images[i]
		l.st.openAccount(x.r, x.im)
	}
	codes := l.room.codes[:]
	if len(l.tokens) > len(codes) {
		codes = make([]token.Token, len(l.tokens))
	}
	h := &l.held
	h.Spent, h.Accounts, h.Tokens = l.st.spent, l.room.account[:0], l.room.token[:0]
	for i := range l.tokens {
		x := &l.tokens[i]
		x.t = &codes[i]
		l.st.openToken(x.r, x.t)
		h.Tokens = append(h.Tokens, x.t)
	}
	for _, id := range keys.Accounts {
		var a *authn.Account
		if x := l.account(id); x != nil {
			a = &x.im.a
		}
		h.Accounts = append(h.Accounts, a)
	}
}

// unlock gives the locks back and clears what pointed to other people's things.
func (l *locked) unlock() {
	if l.recordsHeld {
		l.st.records.mu.Unlock()
		l.recordsHeld = false
	}
	for i := range l.tokens {
		l.tokens[i].r.mu.Unlock()
	}
	for i := range l.accounts {
		l.accounts[i].r.mu.Unlock()
	}
	clear(l.room.images[:min(len(l.accounts), len(l.room.images))])
	clear(l.room.codes[:min(len(l.tokens), len(l.room.codes))])
	l.st, l.accounts, l.tokens, l.held, l.ch = nil, nil, nil, authn.Held{}, authn.Change{}
	lockedPool.Put(l)
}

func (l *locked) account(id authn.AccountID) *lockedAccount {
	for i := range l.accounts {
		if l.accounts[i].r.id == uint64(id) {
			return &l.accounts[i]
		}
	}
	return nil
}

func (l *locked) token(id token.ID) *lockedToken {
	for i := range l.tokens {
		if l.tokens[i].r.id == id {
			return &l.tokens[i]
		}
	}
	return nil
}

// Update runs f under the locks of what it decides on and saves what f orders; see [authn.Store]. f may keep nothing of
// Held once it returned.
//
// The order of the steps is what makes a code pass once: the place in the queue comes first, so that nothing is burnt
// that cannot be saved; memory changes under the locks, so that the next f sees it; the entry joins the queue under the
// same locks, so that the chain has the order of the decisions.
func (db *DB) Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	if err := db.queue.reserve(); err != nil {
		return err
	}
	kept := false
	defer func() {
		if !kept {
			db.queue.release(1)
		}
	}()
	db.gate.RLock()
	defer db.gate.RUnlock()
	l := db.state.Load().lock(keys)
	defer l.unlock()

	if err := l.decide(f); err != nil {
		return err
	}
	ch := &l.ch
	rows, records := len(ch.Accounts)+len(ch.Tokens) > 0, len(ch.Records)+len(ch.Gone) > 0
	if ch.Event == nil && (rows || len(ch.More) > 0) {
		return errors.New("a change of accounts or tokens needs an event that says who did what")
	}
	if ch.Event == nil && !records {
		l.remember(keys, ch.Memory)
		done(nil)
		return nil
	}
	if err := db.spaceFor(ch); err != nil {
		return err
	}
	e, err := entryOf(ch, done)
	if err != nil {
		return err
	}
	e.login = e.core != nil && ch.Event.Kind == authn.LoginEvent && !rows
	if records {
		if err := l.admitRecords(keys.Records); err != nil {
			return err
		}
		if err := db.sealRecords(ch, e); err != nil {
			return err
		}
	}
	if rows {
		if err := l.replace(ch); err != nil {
			return err
		}
	}
	if ch.Event != nil {
		if err := l.holds(ch.Event); err != nil {
			return err
		}
		l.apply(ch.Event)
	}
	l.applyRecords()
	l.remember(keys, ch.Memory)
	if rows {
		l.addRows(e)
	}
	// An error here leaves memory ahead of the disk; the recovery that is under way then reloads it.
	err = db.queue.push(e, l)
	kept = err == nil
	return err
}

// spaceFor refuses acts while the disk is nearly full. Logins go on, those that make an account too, and so does what only
// takes away.
func (db *DB) spaceFor(ch *authn.Change) error {
	grows := len(ch.Accounts)+len(ch.Tokens)+len(ch.Records) > 0
	switch {
	case !grows || !db.lowSpace.Load():
		return nil
	case ch.Event == nil:
		return fmt.Errorf("saving records: %w", ErrLowSpace)
	case ch.Event.Kind == authn.ActEvent:
		return fmt.Errorf("saving %s: %w", ch.Event.Act, ErrLowSpace)
	}
	return nil
}

// entryOf writes the events of a change down.
func entryOf(ch *authn.Change, done func(error)) (*entry, error) {
	if ch.Event == nil {
		return &entry{done: done}, nil
	}
	for _, ev := range ch.More { // replay would apply what live state does not
		if ev.Kind != authn.ActEvent || len(ev.Burnt) > 0 || ev.GuardSet || ev.Nonce != [12]byte{} {
			return nil, errors.New("a further event of an act has effects of its own")
		}
	}
	e, err := newEntry(ch.Event, done)
	if err == nil {
		err = e.addEvents(ch.More)
	}
	if err != nil {
		return nil, fmt.Errorf("writing an event: %w", err)
	}
	return e, nil
}

// View runs f under the same locks and changes nothing.
func (db *DB) View(keys authn.Keys, f func(*authn.Held)) error {
	db.gate.RLock()
	defer db.gate.RUnlock()
	l := db.state.Load().lock(keys)
	defer l.unlock()
	f(&l.held)
	return nil
}

// decide runs f, a second time when another Update spent the same State meanwhile: f then sees it spent.
func (l *locked) decide(f func(*authn.Held) (authn.Change, error)) error {
	for range 2 {
		var err error
		if l.ch, err = f(&l.held); err != nil || l.ch.Event == nil || l.ch.Event.Nonce == [12]byte{} {
			return err
		}
		if l.st.nonces.spend(l.ch.Event.Nonce, l.ch.Event.At) {
			return nil
		}
	}
	return errors.New("the decision spends a State that is spent already")
}

// remember sets what the first account keeps for minutes.
func (l *locked) remember(keys authn.Keys, m *authn.Memory) {
	if m == nil || len(keys.Accounts) == 0 {
		return
	}
	if x := l.account(keys.Accounts[0]); x != nil {
		l.st.remember(x.r, *m)
	}
}

// replace brings the images of an act into memory, whole or not at all.
func (l *locked) replace(ch *authn.Change) error {
	st := l.st
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, a := range ch.Accounts {
		if _, there := st.accountSlot(a.ID); there && l.account(a.ID) == nil {
			return fmt.Errorf("account %v is not held by this update", a.ID)
		}
	}
	for _, t := range ch.Tokens {
		if _, there := st.tokenSlot(t.ID); there && l.token(t.ID) == nil {
			return fmt.Errorf("token %v is not held by this update", t.ID)
		}
	}
	if err := st.admit(ch.Accounts, ch.Tokens); err != nil {
		return err
	}
	for _, image := range ch.Tokens {
		l.replaceToken(image, ch.Reset)
	}
	for _, image := range ch.Accounts {
		l.replaceAccount(image, ch.Reset)
	}
	return nil
}

func (l *locked) replaceToken(image *token.Token, reset authn.Reset) {
	st, t := l.st, *image
	x := l.token(t.ID)
	if x != nil {
		if reset&authn.ResetStep == 0 {
			t.Drift, t.DriftDay, t.Last = x.r.drift, x.r.driftDay, x.r.last
		}
		t.Last = max(t.Last, x.r.last)
	} else {
		if last, ok := st.tombstones[t.Fingerprint]; ok {
			t.Last = max(t.Last, last)
		}
		x = l.addToken()
	}
	st.putToken(x.slot, &t)
}

func (l *locked) replaceAccount(image *authn.Account, reset authn.Reset) {
	st, a := l.st, *image
	a.Memory = authn.Memory{}
	x := l.account(a.ID)
	if x != nil {
		old := &x.im.a
		if reset&authn.ResetGuard == 0 {
			a.Guard = old.Guard
		}
		if a.Generation == old.Generation {
			a.Memory = old.Memory
		}
	} else {
		x = l.addAccount()
	}
	st.putAccount(x.slot, &a)
	st.openAccount(x.r, x.im) // the event of the same change applies on top
}

// addToken holds a new token's record too. Nobody else can wait for it while state.mu is held, so the order of the locks
// stands.
func (l *locked) addToken() *lockedToken {
	slot := l.st.tokens.take()
	r := l.st.tokens.at(slot)
	r.mu.Lock()
	l.tokens = append(l.tokens, lockedToken{slot, r, new(token.Token)})
	return &l.tokens[len(l.tokens)-1]
}

func (l *locked) addAccount() *lockedAccount {
	slot := l.st.accounts.take()
	r := l.st.accounts.at(slot)
	r.mu.Lock()
	l.accounts = append(l.accounts, lockedAccount{slot, r, new(accountImage)})
	return &l.accounts[len(l.accounts)-1]
}

// addRows lets the rows of what an act changed travel with its entry.
func (l *locked) addRows(e *entry) {
	for _, image := range l.ch.Tokens {
		x := l.token(image.ID)
		var t token.Token
		l.st.openToken(x.r, &t)
		e.addToken(&t, x.slot)
	}
	for _, image := range l.ch.Accounts {
		x := l.account(image.ID)
		var im accountImage
		l.st.openAccount(x.r, &im)
		e.addAccount(&im.a, x.slot)
	}
}

// holds refuses an event whose effects reach past the locks: replay would apply what live state did not.
func (l *locked) holds(ev *authn.Event) error {
	if touchesAccount(ev) && l.account(ev.Account) == nil {
		return fmt.Errorf("the event changes account %v, which is not held by this update", ev.Account)
	}
	for i := range ev.Burnt {
		if id := ev.Burnt[i].Token; l.token(id) == nil {
			return fmt.Errorf("the event changes token %v, which is not held by this update", id)
		}
	}
	return nil
}

// apply brings memory to where the event leaves it, with the functions that replay uses.
func (l *locked) apply(ev *authn.Event) {
	if touchesAccount(ev) {
		x := l.account(ev.Account)
		l.st.accountAfter(x.r, x.im, ev, true, true)
	}
	for i := range ev.Burnt {
		b := &ev.Burnt[i]
		l.st.burn(l.token(b.Token).r, b)
	}
}

// numbered gives the event its number and notes which rows are behind from it on.
func (l *locked) numbered(seq uint64) {
	ev := l.ch.Event
	if ev == nil {
		return
	}
	ev.Seq = seq
	for i, more := range l.ch.More {
		more.Seq = seq + 1 + uint64(i)
	}
	if touchesAccount(ev) {
		l.st.touchAccount(l.account(ev.Account).slot, seq, activates(ev))
	}
	for i := range ev.Burnt {
		l.st.touchToken(l.token(ev.Burnt[i].Token).slot, seq)
	}
}
