package storage

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"sekisho/authn"
	"sekisho/token"
)

// importChunk is how many rows of an import go into one transaction (S8).
const importChunk = 200

// Batch is a set of new accounts and tokens that comes in whole or not at all.
type Batch struct {
	Accounts []*authn.Account
	Tokens   []*token.Token
	Act      authn.Event // who imports what; gets its number
}

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

// Import brings in a batch. Its rows are written in chunks that no decision sees; one row at the end, in one commit with
// the event, makes all of them live. A seed that was here before continues at the larger counter (S9). The error joins a
// [RowError] for each row that does not fit, up to 20; then nothing was imported.
func (db *DB) Import(ctx context.Context, b *Batch) error {
	db.imports.Lock()
	defer db.imports.Unlock()
	if db.lowSpace.Load() {
		return fmt.Errorf("importing: %w", ErrLowSpace)
	}
	db.dropLeftover()
	u, err := db.claim(b)
	if err != nil {
		return err
	}
	err = db.writeChunks(ctx, u.id, u.accounts, u.tokens)
	if err == nil {
		err = db.makeLive(b, u.id, u.accounts, u.tokens)
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
// the chunks are written. It gives copies with the last steps of seeds known before.
func (db *DB) claim(b *Batch) (undone, error) {
	db.gate.RLock() // a recovery in between would not know of the claim
	defer db.gate.RUnlock()
	st := db.state.Load()
	st.mu.Lock()
	defer st.mu.Unlock()
	var faults []error
	bad := func(row int, account bool, err error) bool {
		faults = append(faults, &RowError{row, account, err})
		return len(faults) >= maxRowErrors
	}
	accounts, tokens := make([]*authn.Account, 0, len(b.Accounts)), make([]*token.Token, 0, len(b.Tokens))
	for i, image := range b.Tokens {
		t := cloneToken(image)
		err := st.admit(nil, []*token.Token{t})
		if err == nil && st.tokens[t.ID] != nil {
			err = errors.New("its ID is in use")
		}
		if err == nil && t.State == token.Destroyed {
			err = errors.New("it is destroyed")
		}
		if err != nil {
			if bad(i, false, err) {
				break
			}
			continue
		}
		if last, ok := st.tombstones[t.Fingerprint]; ok {
			t.Last = max(t.Last, last)
		}
		st.seeds[t.Fingerprint] = t.ID
		if t.Serial != "" {
			st.serials[t.Serial] = t.ID
		}
		tokens = append(tokens, t)
	}
	for i, image := range b.Accounts {
		a := cloneAccount(image)
		a.Memory = authn.Memory{}
		err := st.admit([]*authn.Account{a}, nil)
		if err == nil && st.accounts[a.ID] != nil {
			err = errors.New("its ID is in use")
		}
		if err != nil {
			if bad(i, true, err) {
				break
			}
			continue
		}
		st.users[userKey{a.Directory, a.External}] = a.ID
		accounts = append(accounts, a)
	}
	if len(faults) > 0 {
		st.disclaim(accounts, tokens)
		return undone{}, errors.Join(faults...)
	}
	u := undone{newBatchID(), accounts, tokens}
	db.undoneMu.Lock()
	defer db.undoneMu.Unlock()
	db.undone = append(db.undone, u)
	return u, nil
}

// reserveAgain brings reservations into a state that was loaded anew; what became live after all needs none.
func (st *state) reserveAgain(imports []undone) {
	for _, u := range imports {
		for _, t := range u.tokens {
			if st.tokens[t.ID] != nil {
				continue
			}
			st.seeds[t.Fingerprint] = t.ID
			if t.Serial != "" {
				st.serials[t.Serial] = t.ID
			}
		}
		for _, a := range u.accounts {
			if st.accounts[a.ID] == nil {
				st.users[userKey{a.Directory, a.External}] = a.ID
			}
		}
	}
}

func (db *DB) disclaim(accounts []*authn.Account, tokens []*token.Token) {
	db.gate.RLock()
	defer db.gate.RUnlock()
	st := db.state.Load()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.disclaim(accounts, tokens)
}

// disclaim frees what claim reserved and did not become live.
func (st *state) disclaim(accounts []*authn.Account, tokens []*token.Token) {
	for _, t := range tokens {
		if st.tokens[t.ID] != nil {
			continue
		}
		if st.seeds[t.Fingerprint] == t.ID {
			delete(st.seeds, t.Fingerprint)
		}
		if t.Serial != "" && st.serials[t.Serial] == t.ID {
			delete(st.serials, t.Serial)
		}
	}
	for _, a := range accounts {
		k := userKey{a.Directory, a.External}
		if st.accounts[a.ID] == nil && st.users[k] == a.ID {
			delete(st.users, k)
		}
	}
}

// writeChunks puts the rows on disk, one transaction a chunk, where nobody sees them yet.
func (db *DB) writeChunks(ctx context.Context, id int64, accounts []*authn.Account, tokens []*token.Token) error {
	writes := []write{{batchStmt, []any{id, 0, 0}}}
	flush := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := db.await(&entry{writes: writes})
		writes = nil
		return err
	}
	add := func(w write) error {
		writes = append(writes, w)
		if len(writes) < importChunk {
			return nil
		}
		return flush()
	}
	for _, t := range tokens {
		if err := add(write{putTokenStmt, tokenArgs(t, id, 0)}); err != nil {
			return err
		}
	}
	for _, a := range accounts {
		if err := add(write{putAccountStmt, accountArgs(a, id, 0)}); err != nil {
			return err
		}
	}
	return flush()
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
func (db *DB) makeLive(b *Batch, id int64, accounts []*authn.Account, tokens []*token.Token) error {
	result := make(chan error, 1)
	if err := db.queue.reserve(); err != nil {
		return err
	}
	push := func() error {
		db.gate.RLock()
		defer db.gate.RUnlock()
		e, err := newEntry(&b.Act, func(err error) { result <- err })
		if err != nil {
			return err
		}
		e.act, e.writes = true, []write{{batchStmt, []any{id, 1, ownSeq{}}}}
		st := db.state.Load()
		return db.queue.push(e, func(seq uint64) {
			b.Act.Seq = seq
			st.mu.Lock()
			defer st.mu.Unlock()
			for _, t := range tokens {
				st.putToken(t)
			}
			for _, a := range accounts {
				st.putAccount(a)
			}
		})
	}
	if err := push(); err != nil {
		db.queue.release(1)
		return err
	}
	return <-result
}

// dropLeftover removes what given up imports left on disk and frees what they reserved. While the disk takes nothing that
// waits for the next second. The caller holds imports.
func (db *DB) dropLeftover() {
	for _, u := range db.undoneImports() {
		if err := db.dropBatch(u); err != nil {
			db.log.Warn("rows of an import that was given up are still there; they are removed when the database takes changes", "error", oneLine(err))
			return
		}
		db.disclaim(u.accounts, u.tokens)
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
	return db.await(&entry{writes: []write{{dropBatchStmt, []any{u.id}}}})
}
