package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// importChunk is how many records of an import go into one transaction (S8): whole slabs.
const importChunk = 3 * slabSize

// RowError names the row of a batch that cannot come in. Row counts from 0 in Tokens or, with Account, in Accounts.
type RowError struct {
	Row     int
	Account bool
	Err     error
}

func (e *RowError) Error() string {
	if e.Account {
		return fmt.Sprintf("account %d: %v", e.Row+1, e.Err)
	}
	return fmt.Sprintf("token %d: %v", e.Row+1, e.Err)
}

func (e *RowError) Unwrap() error { return e.Err }

// maxRowErrors is how many faults of a batch are reported at once.
const maxRowErrors = 20

// Import brings in a batch, whole or not at all:
//
//	claim      every row is checked against what lives and its serial, seed and user reserved, in memory
//	chunks     the rows are written, one transaction each, where no decision sees them, in slabs of the batch's own
//	go live    under the locks of all accounts that get grants, what they hold is looked at again and the grants are given;
//	           one row and the event, in one commit, make the batch live
//
// A crash before that commit leaves rows that the next start removes; after it, what memory had is loaded and the grants are
// replayed at the event's place in the journal. A seed that was here before continues at the larger counter (S9). progress,
// which may be nil, is told how many rows of how many are written. The error joins a [RowError] for each row that does not
// fit, up to 20, or is the [authn.Refusal] of a grant; then nothing was imported.
func (db *DB) Import(ctx context.Context, b *authn.Batch, progress func(written, rows int)) error {
	db.imports.Lock()
	defer db.imports.Unlock()
	if db.lowSpace.Load() {
		return fmt.Errorf("importing: %w", ErrLowSpace)
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	db.dropLeftover()
	u, err := db.claim(b)
	if err != nil {
		return err
	}
	err = db.writeChunks(ctx, &u, progress)
	if err == nil {
		err = db.makeLive(ctx, b.Event, &u)
	}
	if err != nil {
		db.dropLeftover()
		return fmt.Errorf("importing: %w", err)
	}
	db.settleImport(u.id)
	return nil
}

// undone is a batch that did not become live, or not yet. Its rows may be on disk, so its serials, seeds and users stay
// reserved, over recoveries too: were one of them taken, the database would refuse that row.
type undone struct {
	id       int64
	accounts []*authn.Account
	tokens   []*token.Token
	grants   []authn.Grant // by account

	// Numbers of the slabs that take them, slabSize each, in order. Until the batch is live nobody else uses them.
	accountSlabs, tokenSlabs []uint32
}

func (u *undone) accountSlot(i int) uint32 {
	return u.accountSlabs[i/slabSize]*slabSize + uint32(i%slabSize)
}
func (u *undone) tokenSlot(i int) uint32 {
	return u.tokenSlabs[i/slabSize]*slabSize + uint32(i%slabSize)
}

func (db *DB) undoneImports() []undone {
	db.undoneMu.Lock()
	defer db.undoneMu.Unlock()
	return slices.Clone(db.undone)
}

// settleImport ends what is undone: the batch is live, or its rows are gone.
func (db *DB) settleImport(id int64) {
	db.undoneMu.Lock()
	defer db.undoneMu.Unlock()
	db.undone = slices.DeleteFunc(db.undone, func(u undone) bool { return u.id == id })
}

func newBatchID() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}

// claim checks every row against what lives and reserves its serial, seed and user, so that nothing can take them while
// the chunks are written. It gives copies with the last steps of seeds known before. Logins go on between its chunks; a
// recovery waits, because it would not know of the claim.
func (db *DB) claim(b *authn.Batch) (undone, error) {
	db.reloads.RLock()
	defer db.reloads.RUnlock()
	st := db.state.Load()
	u := undone{id: newBatchID(), accounts: make([]*authn.Account, 0, len(b.Accounts)), tokens: make([]*token.Token, 0, len(b.Tokens)),
		grants: slices.Clone(b.Grants)}
	slices.SortFunc(u.grants, func(a, b authn.Grant) int { return cmp.Compare(a.Account, b.Account) })
	var faults []error
	for i, image := range b.Tokens {
		t := cloneToken(image)
		if err := st.claimToken(t); err != nil {
			faults = append(faults, &RowError{i, false, err})
		} else {
			u.tokens = append(u.tokens, t)
		}
		if len(faults) == maxRowErrors {
			break
		}
	}
	for i, image := range b.Accounts {
		a := cloneAccount(image)
		if err := st.claimAccount(a); err != nil {
			faults = append(faults, &RowError{i, true, err})
		} else {
			u.accounts = append(u.accounts, a)
		}
		if len(faults) == maxRowErrors {
			break
		}
	}
	if len(faults) > 0 {
		st.disclaim(&u)
		return undone{}, errors.Join(faults...)
	}
	st.takeSlabs(&u)
	db.undoneMu.Lock()
	defer db.undoneMu.Unlock()
	db.undone = append(db.undone, u)
	return u, nil
}

// takeSlabs gives a batch slabs of its own.
func (st *state) takeSlabs(u *undone) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for range (len(u.tokens) + slabSize - 1) / slabSize {
		u.tokenSlabs = append(u.tokenSlabs, st.tokens.fresh())
	}
	for range (len(u.accounts) + slabSize - 1) / slabSize {
		u.accountSlabs = append(u.accountSlabs, st.accounts.fresh())
	}
}

func (st *state) claimToken(t *token.Token) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := fits(nil, []*token.Token{t}); err != nil {
		return err
	}
	_, there := st.tokenSlot(t.ID)
	switch err := st.admitToken(t); {
	case err != nil:
		return err
	case there:
		return errors.New("its ID is in use")
	case t.State == token.Destroyed:
		return errors.New("it is destroyed")
	}
	if last, ok := st.tombstones[t.Fingerprint]; ok {
		t.Last = max(t.Last, last)
	}
	st.reserve(t)
	return nil
}

func (st *state) claimAccount(a *authn.Account) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	a.Memory = authn.Memory{}
	if err := st.admit([]*authn.Account{a}, nil); err != nil {
		return err
	}
	if _, there := st.accountSlot(a.ID); there {
		return errors.New("its ID is in use")
	}
	st.claims.users[userKey{a.Directory, a.External}] = a.ID
	return nil
}

// reserve keeps a token's serial and seed for it; the caller holds mu.
func (st *state) reserve(t *token.Token) {
	st.claims.seeds[t.Fingerprint] = t.ID
	if t.Serial != "" {
		st.claims.serials[t.Serial] = t.ID
	}
}

func (st *state) unreserve(t *token.Token) {
	if st.claims.seeds[t.Fingerprint] == t.ID {
		delete(st.claims.seeds, t.Fingerprint)
	}
	if st.claims.serials[t.Serial] == t.ID {
		delete(st.claims.serials, t.Serial)
	}
}

func (st *state) unreserveUser(a *authn.Account) {
	if k := (userKey{a.Directory, a.External}); st.claims.users[k] == a.ID {
		delete(st.claims.users, k)
	}
}

// reserveAgain brings reservations into a state that was loaded anew; what became live after all needs none. What is then
// neither used nor reserved is free.
func (st *state) reserveAgain(imports []undone) {
	accounts, tokens := map[uint32]bool{}, map[uint32]bool{}
	for i := range imports {
		u := &imports[i]
		for _, t := range u.tokens {
			if _, live := st.tokenSlot(t.ID); !live {
				st.reserve(t)
			}
		}
		for _, a := range u.accounts {
			if _, live := st.accountSlot(a.ID); !live {
				st.claims.users[userKey{a.Directory, a.External}] = a.ID
			}
		}
		for _, n := range u.tokenSlabs {
			tokens[n] = true
			st.tokens.extend(n + 1)
		}
		for _, n := range u.accountSlabs {
			accounts[n] = true
			st.accounts.extend(n + 1)
		}
	}
	for n := range st.tokens.count {
		if !tokens[n] {
			st.freeTokens(n)
		}
	}
	for n := range st.accounts.count {
		if !accounts[n] {
			st.freeAccounts(n)
		}
	}
}

// freeTokens lists what is free in a slab.
func (st *state) freeTokens(number uint32) {
	for i := range uint32(slabSize) {
		if slot := number*slabSize + slabSize - 1 - i; st.tokens.at(slot).id == 0 {
			st.tokens.free = append(st.tokens.free, slot)
		}
	}
}

func (st *state) freeAccounts(number uint32) {
	for i := range uint32(slabSize) {
		if slot := number*slabSize + slabSize - 1 - i; st.accounts.at(slot).id == 0 {
			st.accounts.free = append(st.accounts.free, slot)
		}
	}
}

func (db *DB) disclaim(u *undone) {
	db.reloads.RLock()
	defer db.reloads.RUnlock()
	db.state.Load().disclaim(u)
}

// disclaim frees what claim reserved and did not become live.
func (st *state) disclaim(u *undone) {
	for chunk := range slices.Chunk(u.tokens, importChunk) {
		st.mu.Lock()
		for _, t := range chunk {
			st.unreserve(t)
		}
		st.mu.Unlock()
	}
	for chunk := range slices.Chunk(u.accounts, importChunk) {
		st.mu.Lock()
		for _, a := range chunk {
			st.unreserveUser(a)
		}
		st.mu.Unlock()
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, n := range u.tokenSlabs {
		st.freeTokens(n)
	}
	for _, n := range u.accountSlabs {
		st.freeAccounts(n)
	}
}

// writeChunks puts the rows on disk, one transaction a chunk, where nobody sees them yet.
func (db *DB) writeChunks(ctx context.Context, u *undone, progress func(written, rows int)) error {
	rows, written := len(u.tokens)+len(u.accounts)+len(u.grants), 0
	writes := []write{{batchStmt, []any{u.id, 0, 0}}}
	flush := func() error {
		err := patiently(ctx, func() error { return db.await(&entry{writes: writes}) })
		writes = nil
		progress(written, rows)
		return err
	}
	add := func(stmt statement, args []any) error {
		writes = append(writes, write{stmt, args})
		if written++; written%importChunk > 0 {
			return nil
		}
		return flush()
	}
	var records, steps []byte
	for i, t := range u.tokens {
		if i%slabSize == 0 {
			records, steps = []byte{slabVersion}, []byte{slabVersion}
		}
		records = appendTokenRecord(append(records, 1), t)
		steps = appendSteps(append(steps, 1), t.Last, t.Drift, t.DriftDay)
		if n := i%slabSize + 1; n == slabSize || i == len(u.tokens)-1 {
			free := make([]byte, slabSize-n)
			number := int64(u.tokenSlabs[i/slabSize])
			writes = append(writes, write{newTokenSlabStmt, []any{number, append(records, free...), u.id}},
				write{newTokenStateStmt, []any{number, append(steps, free...)}})
		}
		if err := add(putTokenStmt, tokenArgs(t, u.id)); err != nil {
			return err
		}
	}
	for i, a := range u.accounts {
		if i%slabSize == 0 {
			records, steps = []byte{slabVersion}, []byte{slabVersion}
		}
		holds := make([]hold, len(a.Assignments))
		for n, x := range a.Assignments {
			holds[n] = hold{token: x.Token, since: x.Since, standing: x.Standing}
		}
		records = appendAccountRecord(append(records, 1), a, holds)
		steps = appendGuardFields(append(steps, 1), &a.Guard)
		if n := i%slabSize + 1; n == slabSize || i == len(u.accounts)-1 {
			free := make([]byte, slabSize-n)
			number := int64(u.accountSlabs[i/slabSize])
			writes = append(writes, write{newAccountSlabStmt, []any{number, append(records, free...), u.id}},
				write{newAccountStateStmt, []any{number, append(steps, free...)}})
		}
		if err := add(putAccountStmt, accountArgs(a, u.id)); err != nil {
			return err
		}
	}
	for _, g := range u.grants {
		if err := add(grantStmt, []any{u.id, int64(g.Account), appendAssignments(nil, g.Holds)}); err != nil {
			return err
		}
	}
	return flush()
}

// patiently tries again while the queue is full: logins go first.
func patiently(ctx context.Context, try func() error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := try(); !errors.Is(err, authn.ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// await enqueues an entry and waits for its commit.
func (db *DB) await(e *entry) error {
	result := make(chan error, 1)
	e.done = func(err error) { result <- err }
	if err := db.enqueue(e); err != nil {
		return err
	}
	return <-result
}

// makeLive commits the event and the batch's row and brings the batch into memory.
func (db *DB) makeLive(ctx context.Context, ev *authn.Event, u *undone) error {
	if err := patiently(ctx, db.queue.reserve); err != nil {
		return err
	}
	result := make(chan error, 1)
	if err := db.goLive(ev, u, func(err error) { result <- err }); err != nil {
		db.queue.release(1)
		return err
	}
	return <-result
}

// goLive orders the batch into the queue and shows it in memory. The grants are given under the locks of their accounts,
// together with the entry's place in the queue: no act can come between the look at what an account holds and its grant, and
// no login on a grant can stand in the queue before the batch. The rest follows in chunks between which logins go on; until
// a token is there, holds on it open nothing. Nobody has been told of the batch before Import returns.
func (db *DB) goLive(ev *authn.Event, u *undone, done func(error)) error {
	db.reloads.RLock() // a recovery waits: what it loads has the batch, or has not, as a whole
	defer db.reloads.RUnlock()
	st := db.state.Load()
	e, err := newEntry(ev, done)
	if err != nil {
		return err
	}
	e.act, e.writes = true, []write{{batchStmt, []any{u.id, 1, ownSeq{}}}}
	granted, err := db.give(st, u.grants, func(granted []uint32) error {
		return db.queue.push(e, numberedFunc(func(seq uint64) {
			ev.Seq = seq
			for _, slot := range granted {
				st.touchAccount(slot, seq, true)
			}
		}))
	})
	if err == nil {
		st.bringIn(u, granted)
	}
	return err
}

// give gives the grants to all of their accounts or to none, once ordered has put the batch into the queue.
func (db *DB) give(st *state, grants []authn.Grant, ordered func([]uint32) error) ([]uint32, error) {
	db.gate.RLock()
	defer db.gate.RUnlock()
	slots, err := st.slotsOf(grants)
	if err != nil {
		return nil, err
	}
	sorted := slices.Sorted(slices.Values(slots))
	for _, slot := range sorted {
		r := st.accounts.at(slot)
		r.mu.Lock()
		defer r.mu.Unlock()
	}
	var im accountImage
	for i, slot := range slots {
		st.openAccount(st.accounts.at(slot), &im)
		if refused := im.a.CanTake(len(grants[i].Holds)); refused != nil {
			return nil, refused
		}
	}
	if err := ordered(slots); err != nil {
		return nil, err
	}
	for i, slot := range slots {
		st.grant(st.accounts.at(slot), &im, grants[i].Holds)
	}
	return slots, nil
}

func (st *state) slotsOf(grants []authn.Grant) ([]uint32, error) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	slots := make([]uint32, 0, len(grants))
	for _, g := range grants {
		slot, ok := st.accountSlot(g.Account)
		if !ok {
			return nil, fmt.Errorf("account %v, which gets tokens: %w", g.Account, authn.ErrNotFound)
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

// grant gives an account tokens; the caller holds its lock.
func (st *state) grant(r *accountRecord, im *accountImage, holds []token.Assignment) {
	st.openAccount(r, im)
	im.a.Take(holds)
	st.sealHolds(r, im.a.Assignments)
	r.generation = im.a.Generation
	st.remember(r, im.a.Memory)
}

// bringIn shows what is new in memory: tokens first, so that a new account's holds find them, then who holds them. It goes
// slab by slab, so that no slab is written down half full.
func (st *state) bringIn(u *undone, granted []uint32) {
	for i, number := range u.tokenSlabs {
		st.mu.Lock()
		for n := i * slabSize; n < min((i+1)*slabSize, len(u.tokens)); n++ {
			st.unreserve(u.tokens[n])
			st.putToken(u.tokenSlot(n), u.tokens[n])
		}
		st.freeTokens(number)
		st.mu.Unlock()
	}
	for i, number := range u.accountSlabs {
		st.mu.Lock()
		for n := i * slabSize; n < min((i+1)*slabSize, len(u.accounts)); n++ {
			st.unreserveUser(u.accounts[n])
			st.putAccount(u.accountSlot(n), u.accounts[n])
		}
		st.freeAccounts(number)
		st.mu.Unlock()
	}
	for _, slot := range granted {
		r := st.accounts.at(slot)
		r.mu.Lock() // an act may have come in between
		st.mu.Lock()
		st.listHolder(slot, r)
		st.mu.Unlock()
		r.mu.Unlock()
	}
	u.tokenSlabs, u.accountSlabs = nil, nil // they are everybody's now
}

// dropLeftover removes what given up imports left on disk and frees what they reserved. While the disk takes nothing that
// waits for the next second. The caller holds imports.
func (db *DB) dropLeftover() {
	for _, u := range db.undoneImports() {
		if err := db.dropBatch(u); err != nil {
			db.log.Warn("rows of an import that was given up are still there; they are removed when the database takes changes", "error", oneLine(err))
			return
		}
		db.disclaim(&u)
		db.settleImport(u.id)
	}
}

func (db *DB) dropBatch(u undone) error {
	drop := func(stmt statement, ids []int64) error {
		list, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		return db.await(&entry{writes: []write{{stmt, []any{string(list), u.id}}}})
	}
	for chunk := range slices.Chunk(u.tokens, importChunk) {
		ids := make([]int64, len(chunk))
		for i, t := range chunk {
			ids[i] = int64(t.ID)
		}
		if err := drop(dropTokensStmt, ids); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(u.accounts, importChunk) {
		ids := make([]int64, len(chunk))
		for i, a := range chunk {
			ids[i] = int64(a.ID)
		}
		if err := drop(dropAccountsStmt, ids); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(u.grants, importChunk) {
		ids := make([]int64, len(chunk))
		for i, g := range chunk {
			ids[i] = int64(g.Account)
		}
		if err := drop(dropGrantsStmt, ids); err != nil {
			return err
		}
	}
	return db.await(&entry{writes: []write{{dropTokenStateStmt, []any{u.id}}, {dropTokenSlabStmt, []any{u.id}},
		{dropAccountStateStmt, []any{u.id}}, {dropAccountSlabStmt, []any{u.id}}, {dropBatchStmt, []any{u.id}}}})
}
