package storage

import (
	"bytes"
	"context"
	"fmt"

	"sekisho/authn"
	"sekisho/token"
)

// Erasure says what [DB.Erase] did.
type Erasure struct {
	Events   int // personal parts of events that were overwritten
	Sessions int // accounting records that name nobody any more
}

// maxNames bounds the spellings of one person's name.
const maxNames = 1000

// Erase overwrites what the journal and the accounting records say about a person (S25): names as typed, addresses and
// stations of all events of the account, and of events of no account under a name of it or of names, as they were typed,
// whatever their case. Events stay, as the chain wants them. account may be zero where only names are known.
//
// by says who does it, and why in Detail; it is saved before and after, so what a crash leaves half done shows, and is done by calling again.
// progress, which may be nil, is told how many events of how many were looked at.
func (db *DB) Erase(ctx context.Context, account authn.AccountID, names [][]byte, by *authn.Event, progress func(done, total uint64)) (Erasure, error) {
	db.passes.Lock()
	defer db.passes.Unlock()
	var e Erasure
	upTo := db.committed.Load()
	begin := *by
	begin.Kind, begin.Act, begin.Account, begin.Step = authn.ActEvent, "user.erase", account, token.NoStep
	begin.Detail = fmt.Sprintf("up to event %d: %s", upTo, by.Detail)
	if err := db.commitWrites(ctx, &begin); err != nil {
		return e, err
	}
	known, err := db.namesTyped(ctx, account, names, upTo)
	if err != nil {
		return e, err
	}
	hashed := map[[16]byte]bool{}
	for name := range known {
		hashed[db.secrets.nobodysName([]byte(name))] = true
	}
	e.Events, err = db.rewrite(ctx, 0, upTo, func(ev *authn.Event, part []byte) ([]byte, bool, error) {
		if ev.Account != 0 {
			return nil, ev.Account == account, nil
		}
		p, err := decodePersonal(part)
		return nil, known[string(bytes.ToLower(p.Name))] || hashed[p.Hashed], err
	}, nil, func(through uint64) {
		if progress != nil {
			progress(through, upTo)
		}
	})
	if err != nil {
		return e, err
	}
	if e.Sessions, err = db.eraseSessions(ctx, known); err != nil {
		return e, err
	}
	if err := db.emptyWAL(ctx); err != nil {
		db.log.Warn("the log of the database still holds what was erased, sealed, until it is written over", "error", oneLine(err))
	}
	end := begin
	end.At, end.Act = db.now(), "user.erased"
	end.Detail = fmt.Sprintf("up to event %d: %d events, %d accounting records", upTo, e.Events, e.Sessions)
	return e, db.commitWrites(ctx, &end)
}

// namesTyped gathers the names, in small letters, under which an account logged in, beside those that are given.
func (db *DB) namesTyped(ctx context.Context, account authn.AccountID, names [][]byte, upTo uint64) (map[string]bool, error) {
	known := map[string]bool{}
	add := func(name []byte) {
		if len(name) > 0 && len(known) < maxNames {
			known[string(bytes.ToLower(name))] = true
		}
	}
	for _, n := range names {
		add(n)
	}
	if account == 0 {
		return known, nil
	}
	if a, err := db.Account(account); err == nil {
		add([]byte(a.Name))
	}
	_, err := db.rewrite(ctx, 0, upTo, func(ev *authn.Event, part []byte) ([]byte, bool, error) {
		if ev.Account != account {
			return nil, false, nil
		}
		p, err := decodePersonal(part)
		add(p.Name)
		return nil, false, err
	}, nil, nil)
	return known, err
}

// sessionKey names one accounting record.
type sessionKey struct {
	received     int64
	nas, session []byte
	status, at   int64
}

func (k *sessionKey) args() []any { return []any{k.nas, k.session, k.status, k.at} }

// eraseSessions takes away whom accounting records name, where it is one of names.
func (db *DB) eraseSessions(ctx context.Context, names map[string]bool) (int, error) {
	n := 0
	return n, db.eachSession(ctx, 0, 1<<63-1, func(k *sessionKey, personal []byte) ([]write, error) {
		if len(personal) == 0 {
			return nil, nil
		}
		plain, err := db.secrets.open("session", 0, personal)
		if err != nil {
			return nil, err
		}
		r := reader{rest: plain}
		name := r.take(int(r.upTo(maxText)))
		if r.bad || !names[string(bytes.ToLower(name))] {
			return nil, nil
		}
		n++
		return []write{{sessionPeopleStmt, k.args()}}, nil
	})
}

// sessionPage is how many accounting records one short read takes.
const sessionPage = 200

// eachSession goes through the accounting records received from..before (Unix microseconds), oldest first, and commits what f
// orders, a page at a time.
func (db *DB) eachSession(ctx context.Context, from, before int64, f func(k *sessionKey, personal []byte) ([]write, error)) error {
	at := sessionKey{received: from - 1}
	for {
		n, writes, err := db.sessionPage(ctx, &at, before, f)
		if err != nil {
			return fmt.Errorf("reading accounting records: %w", err)
		}
		if len(writes) > 0 {
			if err := db.commitWrites(ctx, nil, writes...); err != nil {
				return err
			}
		}
		if n < sessionPage {
			return nil
		}
	}
}

// sessionPage reads one page behind at, in one short transaction, and moves at to its end.
func (db *DB) sessionPage(ctx context.Context, at *sessionKey, before int64, f func(k *sessionKey, personal []byte) ([]write, error)) (n int, writes []write, err error) {
	read, err := db.reader()
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	rows, err := read.QueryContext(ctx, `select received, nas, session, status, at, personal from session
		where received < ? and (received, nas, session, status, at) > (?, ?, ?, ?, ?) order by received, nas, session, status, at limit ?`,
		before, at.received, at.nas, at.session, at.status, at.at, sessionPage)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k sessionKey
		var personal []byte
		if err := rows.Scan(&k.received, &k.nas, &k.session, &k.status, &k.at, &personal); err != nil {
			return n, nil, err
		}
		n++
		*at = k
		more, err := f(&k, personal)
		if err != nil {
			return n, nil, err
		}
		writes = append(writes, more...)
	}
	return n, writes, rows.Err()
}
