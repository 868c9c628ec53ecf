package storage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// listChunk is how many IDs one short read of a listing fetches.
const listChunk = 512

// maxList bounds one page of a listing.
const maxList = 1000

// Holder is one account's hold on a token.
type Holder struct {
	Account  authn.AccountID
	Name     string
	Standing token.Standing
	Since    int64 // Unix seconds
}

// TokenInfo is a token as listings show it, with who holds it.
type TokenInfo struct {
	Token   token.Token
	Holders []Holder
}

// TokenFilter narrows a listing of tokens; zero fields narrow nothing.
type TokenFilter struct {
	State  token.State // as of Now: Expired counts
	Form   token.Form
	Serial string // beginning of the serial
	Free   bool   // held by nobody
	Now    time.Time
	After  token.ID // last ID of the page before
	Limit  int      // at most 1000; 0 stands for 100
}

// Token gives one token; authn.ErrNotFound when there is none.
func (db *DB) Token(id token.ID) (TokenInfo, error) {
	db.gate.RLock()
	defer db.gate.RUnlock()
	info, ok := db.state.Load().tokenInfo(id)
	if !ok {
		return TokenInfo{}, fmt.Errorf("token %v: %w", id, authn.ErrNotFound)
	}
	return info, nil
}

// TokenBySerial finds the living token with a serial.
func (db *DB) TokenBySerial(serial string) (token.ID, bool) {
	st := db.state.Load()
	st.mu.RLock()
	defer st.mu.RUnlock()
	slot, ok := st.serialSlot(serial)
	if !ok {
		return 0, false
	}
	return st.tokens.at(slot).id, true
}

// TokensByCredential finds living tokens by OATH token identifier.
func (db *DB) TokensByCredential(ctx context.Context, credential string) ([]token.ID, error) {
	ids, err := db.ids(ctx, `select id from token where credential_id = ? and credential_id <> '' and state <> 4 order by id limit ?`, credential, maxList)
	if err != nil {
		return nil, fmt.Errorf("finding tokens by credential ID: %w", err)
	}
	out := make([]token.ID, len(ids))
	for i, id := range ids {
		out[i] = token.ID(id)
	}
	return out, nil
}

// Tokens lists tokens by ID, a page at a time.
func (db *DB) Tokens(ctx context.Context, f TokenFilter) ([]TokenInfo, error) {
	limit := pageSize(f.Limit)
	var page []TokenInfo
	for after := int64(f.After); len(page) < limit; {
		ids, err := db.ids(ctx, `select id from token where id > ? order by id limit ?`, after, listChunk)
		if err != nil {
			return nil, fmt.Errorf("listing tokens: %w", err)
		}
		for _, id := range ids {
			after = id
			info, err := db.Token(token.ID(id))
			if err != nil || !f.fits(&info) {
				continue // of an import that is not live, or filtered out
			}
			if page = append(page, info); len(page) == limit {
				break
			}
		}
		if len(ids) < listChunk {
			break
		}
	}
	return page, nil
}

func (f *TokenFilter) fits(t *TokenInfo) bool {
	state := t.Token.State
	if !f.Now.IsZero() {
		state = t.Token.StateAt(f.Now)
	}
	return (f.State == 0 || f.State == state) && (f.Form == 0 || f.Form == t.Token.Form) &&
		strings.HasPrefix(t.Token.Serial, f.Serial) && (!f.Free || len(t.Holders) == 0)
}

func pageSize(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, maxList)
}

// ids reads a column of IDs in a short transaction.
func (db *DB) ids(ctx context.Context, query string, args ...any) ([]int64, error) {
	read, err := db.reader()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	var ids []int64
	rows, err := read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// tokenInfo copies a token and its holders. Each is locked by itself: the standings are those of the moment each was
// looked at.
func (st *state) tokenInfo(id token.ID) (TokenInfo, bool) {
	st.mu.RLock()
	slot, ok := st.tokenSlot(id)
	var holders []uint32
	if ok {
		holders = st.holders(slot)
	}
	st.mu.RUnlock()
	if !ok {
		return TokenInfo{}, false
	}
	var info TokenInfo
	for _, h := range holders {
		a := st.copyAccountIn(h)
		for _, as := range a.Assignments {
			if as.Token == id {
				info.Holders = append(info.Holders, Holder{a.ID, a.Name, as.Standing, as.Since})
			}
		}
	}
	r := st.tokens.at(slot)
	r.mu.Lock()
	defer r.mu.Unlock()
	var t token.Token
	st.openToken(r, &t)
	info.Token = *cloneToken(&t)
	return info, true
}

func (st *state) copyAccount(id authn.AccountID) *authn.Account {
	st.mu.RLock()
	slot, ok := st.accountSlot(id)
	st.mu.RUnlock()
	if !ok {
		return nil
	}
	return st.copyAccountIn(slot)
}

func (st *state) copyAccountIn(slot uint32) *authn.Account {
	r := st.accounts.at(slot)
	r.mu.Lock()
	defer r.mu.Unlock()
	var im accountImage
	st.openAccount(r, &im)
	return cloneAccount(&im.a)
}

// AccountFilter narrows a listing of accounts; zero fields narrow nothing.
type AccountFilter struct {
	Directory string
	Name      string          // beginning of the name
	Stopped   bool            // only those with a door stopped
	After     authn.AccountID // last ID of the page before
	Limit     int             // at most 1000; 0 stands for 100
}

// Account gives a copy of one account; authn.ErrNotFound when there is none.
func (db *DB) Account(id authn.AccountID) (*authn.Account, error) {
	db.gate.RLock()
	defer db.gate.RUnlock()
	a := db.state.Load().copyAccount(id)
	if a == nil {
		return nil, fmt.Errorf("account %v: %w", id, authn.ErrNotFound)
	}
	return a, nil
}

// Accounts lists accounts by ID, a page at a time.
func (db *DB) Accounts(ctx context.Context, f AccountFilter) ([]*authn.Account, error) {
	limit := pageSize(f.Limit)
	var page []*authn.Account
	for after := int64(f.After); len(page) < limit; {
		ids, err := db.ids(ctx, `select id from account where id > ? order by id limit ?`, after, listChunk)
		if err != nil {
			return nil, fmt.Errorf("listing accounts: %w", err)
		}
		for _, id := range ids {
			after = id
			a, err := db.Account(authn.AccountID(id))
			if err != nil || f.Directory != "" && a.Directory != f.Directory || !strings.HasPrefix(a.Name, f.Name) || f.Stopped && a.Guard.Stopped == 0 {
				continue
			}
			if page = append(page, a); len(page) == limit {
				break
			}
		}
		if len(ids) < listChunk {
			break
		}
	}
	return page, nil
}

// AccountByName finds the account with a canonical name, whatever its case (ASCII), or with that immutable ID. directory
// may be empty: any. It is authn.ErrAmbiguousUser when several fit and authn.ErrNotFound when none does.
func (db *DB) AccountByName(ctx context.Context, directory, name string) (*authn.Account, error) {
	ids, err := db.ids(ctx, `select id from account where name = ?1 collate nocase union select id from account where external = ?1 limit 100`, name)
	if err != nil {
		return nil, fmt.Errorf("finding account %q: %w", name, err)
	}
	var found *authn.Account
	for _, id := range ids {
		a, err := db.Account(authn.AccountID(id))
		if err != nil || directory != "" && a.Directory != directory {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("account %q: %w: say which directory, or give the account's ID", name, authn.ErrAmbiguousUser)
		}
		found = a
	}
	if found == nil {
		return nil, fmt.Errorf("account %q: %w", name, authn.ErrNotFound)
	}
	return found, nil
}

// TokenCounts counts tokens by their stored state, for metrics.
func (db *DB) TokenCounts() map[token.State]int {
	counts := map[token.State]int{}
	st := db.state.Load()
	if st == nil {
		return counts
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	for s, n := range st.counts {
		if n != 0 {
			counts[token.State(s)] = n
		}
	}
	return counts
}
