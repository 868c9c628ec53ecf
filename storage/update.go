package storage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"sekisho/authn"
	"sekisho/token"
)

var _ authn.Store = (*DB)(nil)

// locked is what one Update holds: entries in the order of their IDs.
type locked struct {
	st       *state
	accounts []*accountEntry
	tokens   []*tokenEntry
	held     authn.Held // what f sees

	// Room for what nearly every login holds: one account and a few tokens.
	room struct {
		account     [1]*accountEntry
		heldAccount [1]*authn.Account
		ids         [4]token.ID
		tokens      [4]*tokenEntry
		heldTokens  [4]*token.Token
	}
}

// lock takes the accounts' locks in the order of the IDs, then those of the tokens they hold and of the others asked for,
// in the order of theirs. What does not exist is left out.
func (st *state) lock(keys authn.Keys) (*locked, *authn.Held) {
	l := &locked{st: st}
	l.accounts, l.tokens = l.room.account[:0], l.room.tokens[:0]
	held := &l.held
	held.Spent, held.Accounts, held.Tokens = st.spent, l.room.heldAccount[:0], l.room.heldTokens[:0]
	tokens := append(l.room.ids[:0], keys.Tokens...)
	accounts := keys.Accounts
	if len(accounts) > 1 {
		accounts = slices.Compact(slices.Sorted(slices.Values(accounts)))
	}
	for _, id := range accounts {
		e := st.account(id)
		if e == nil {
			continue
		}
		e.mu.Lock()
		l.accounts = append(l.accounts, e)
		for _, as := range e.a.Assignments {
			tokens = append(tokens, as.Token)
		}
	}
	for _, id := range keys.Accounts {
		var a *authn.Account
		if e := l.account(id); e != nil {
			a = e.a
		}
		held.Accounts = append(held.Accounts, a)
	}
	slices.Sort(tokens)
	for _, id := range slices.Compact(tokens) {
		e := st.token(id)
		if e == nil {
			continue
		}
		e.mu.Lock()
		l.tokens = append(l.tokens, e)
		held.Tokens = append(held.Tokens, e.t)
	}
	return l, held
}

func (l *locked) unlock() {
	for _, e := range l.tokens {
		e.mu.Unlock()
	}
	for _, e := range l.accounts {
		e.mu.Unlock()
	}
}

func (l *locked) account(id authn.AccountID) *accountEntry {
	for _, e := range l.accounts {
		if e.a.ID == id {
			return e
		}
	}
	return nil
}

func (l *locked) token(id token.ID) *tokenEntry {
	i, ok := slices.BinarySearchFunc(l.tokens, id, func(e *tokenEntry, id token.ID) int { return cmp.Compare(e.t.ID, id) })
	if !ok {
		return nil
	}
	return l.tokens[i]
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
	st := db.state.Load()
	l, held := st.lock(keys)
	defer l.unlock()

	ch, err := l.decide(held, f)
	if err != nil {
		return err
	}
	rows := len(ch.Accounts)+len(ch.Tokens) > 0
	if ch.Event == nil {
		if rows {
			return errors.New("a change of accounts or tokens needs an event that says who did what")
		}
		l.remember(keys, ch.Memory)
		done(nil)
		return nil
	}
	if rows && ch.Event.Kind == authn.ActEvent && db.lowSpace.Load() { // a login that makes an account goes on
		return fmt.Errorf("saving %s: %w", ch.Event.Act, ErrLowSpace)
	}
	e, err := newEntry(ch.Event, done)
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	e.login = ch.Event.Kind == authn.LoginEvent && !rows
	if rows {
		if err := l.replace(&ch); err != nil {
			return err
		}
	}
	if err := l.holds(ch.Event); err != nil {
		return err
	}
	l.apply(ch.Event)
	l.remember(keys, ch.Memory)
	for _, t := range ch.Tokens {
		e.addToken(l.token(t.ID).t)
	}
	for _, a := range ch.Accounts {
		e.addAccount(l.account(a.ID).a)
	}
	// An error here leaves memory ahead of the disk; the recovery that is under way then reloads it.
	err = db.queue.push(e, func(seq uint64) { l.touch(&ch, seq) })
	kept = err == nil
	return err
}

// View runs f under the same locks and changes nothing.
func (db *DB) View(keys authn.Keys, f func(*authn.Held)) error {
	db.gate.RLock()
	defer db.gate.RUnlock()
	l, held := db.state.Load().lock(keys)
	defer l.unlock()
	f(held)
	return nil
}

// decide runs f, a second time when another Update spent the same State meanwhile: f then sees it spent.
func (l *locked) decide(held *authn.Held, f func(*authn.Held) (authn.Change, error)) (authn.Change, error) {
	for range 2 {
		ch, err := f(held)
		if err != nil || ch.Event == nil || ch.Event.Nonce == [12]byte{} {
			return ch, err
		}
		if l.st.nonces.spend(ch.Event.Nonce, ch.Event.At) {
			return ch, nil
		}
	}
	return authn.Change{}, errors.New("the decision spends a State that is spent already")
}

// remember sets what the first account keeps for minutes.
func (l *locked) remember(keys authn.Keys, m *authn.Memory) {
	if m == nil || len(keys.Accounts) == 0 {
		return
	}
	if e := l.account(keys.Accounts[0]); e != nil {
		e.a.Memory = *m
	}
}

// replace brings the images of an act into memory, whole or not at all.
func (l *locked) replace(ch *authn.Change) error {
	st := l.st
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, a := range ch.Accounts {
		if st.accounts[a.ID] != nil && l.account(a.ID) == nil {
			return fmt.Errorf("account %v is not held by this update", a.ID)
		}
	}
	for _, t := range ch.Tokens {
		if st.tokens[t.ID] != nil && l.token(t.ID) == nil {
			return fmt.Errorf("token %v is not held by this update", t.ID)
		}
	}
	if err := st.admit(ch.Accounts, ch.Tokens); err != nil {
		return err
	}
	for _, image := range ch.Tokens {
		t := cloneToken(image)
		if old := st.tokens[t.ID]; old != nil {
			last := old.t.Last
			if ch.Reset&authn.ResetStep == 0 {
				t.Drift, t.DriftDay = old.t.Drift, old.t.DriftDay
				t.Last = last
			}
			t.Last = max(t.Last, last)
		} else if last, ok := st.tombstones[t.Fingerprint]; ok {
			t.Last = max(t.Last, last)
		}
		l.add(st.putToken(t))
	}
	for _, image := range ch.Accounts {
		a := cloneAccount(image)
		a.Memory = authn.Memory{}
		if old := st.accounts[a.ID]; old != nil {
			if ch.Reset&authn.ResetGuard == 0 {
				a.Guard = old.a.Guard
			}
			if a.Generation == old.a.Generation {
				a.Memory = old.a.Memory
			}
		}
		l.addAccount(st.putAccount(a))
	}
	return nil
}

// add holds a new token too. Nobody else can wait for it while state.mu is held, so the order of the locks stands.
func (l *locked) add(e *tokenEntry) {
	i, ok := slices.BinarySearchFunc(l.tokens, e.t.ID, func(x *tokenEntry, id token.ID) int { return cmp.Compare(x.t.ID, id) })
	if ok {
		return
	}
	e.mu.Lock()
	l.tokens = slices.Insert(l.tokens, i, e)
}

func (l *locked) addAccount(e *accountEntry) {
	if l.account(e.a.ID) == nil {
		e.mu.Lock()
		l.accounts = append(l.accounts, e)
	}
}

// holds refuses an event whose effects reach past the locks: replay would apply what live state did not.
func (l *locked) holds(ev *authn.Event) error {
	if touchesAccount(ev) && l.account(ev.Account) == nil {
		return fmt.Errorf("the event changes account %v, which is not held by this update", ev.Account)
	}
	for _, b := range ev.Burnt {
		if l.token(b.Token) == nil {
			return fmt.Errorf("the event changes token %v, which is not held by this update", b.Token)
		}
	}
	return nil
}

// apply brings memory to where the event leaves it, with the functions that replay uses.
func (l *locked) apply(ev *authn.Event) {
	if touchesAccount(ev) {
		accountAfter(l.account(ev.Account).a, ev)
	}
	for _, b := range ev.Burnt {
		t := l.token(b.Token).t
		tokenAfter(t, b)
		l.st.noteBurnt(t)
	}
}

// touch gives the event its number and notes which rows are behind from it on. Rows that travel with it are not.
func (l *locked) touch(ch *authn.Change, seq uint64) {
	ev := ch.Event
	ev.Seq = seq
	for _, a := range ch.Accounts {
		l.account(a.ID).seq = seq
	}
	for _, t := range ch.Tokens {
		l.token(t.ID).seq = seq
	}
	if touchesAccount(ev) {
		l.st.touchAccount(l.account(ev.Account), seq)
	}
	for _, b := range ev.Burnt {
		l.st.touchToken(l.token(b.Token), seq)
	}
}
