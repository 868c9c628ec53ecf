package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// ErrKeyPending says that the outer key is being replaced and the store was not opened with the new one yet.
var ErrKeyPending = errors.New("the key of the store is being replaced: name the new file as keys.file and restart first")

// openKeys unwraps the data keys, or makes them where there are none yet. While the outer key is being replaced the former one
// opens them too; the first start with the new one ends that.
func (db *DB) openKeys(ctx context.Context, outer *token.OuterKey) error {
	db.outer = outer
	wrapped, former, err := readKeys(ctx, db.file.conn)
	switch {
	case err != nil:
		return err
	case wrapped == nil:
		if db.keys, err = token.NewKeys(); err != nil {
			return fmt.Errorf("making the data keys: %w", err)
		}
		if wrapped, err = db.keys.Wrap(outer); err != nil {
			return fmt.Errorf("wrapping the data keys: %w", err)
		}
		if _, err := db.file.conn.ExecContext(ctx, "insert into keys (id, wrapped) values (1, ?)", wrapped); err != nil {
			return fmt.Errorf("saving the data keys: %w", err)
		}
	default:
		if err := db.unwrap(ctx, wrapped, former); err != nil {
			return err
		}
	}
	db.secrets = newSecrets(db.keys)
	return nil
}

func (db *DB) unwrap(ctx context.Context, wrapped, former []byte) (err error) {
	db.keys, err = token.Unwrap(db.outer, wrapped)
	switch {
	case errors.Is(err, token.ErrWrongOuterKey) && former != nil:
		if db.keys, err = token.Unwrap(db.outer, former); err == nil {
			db.log.Warn("the store was opened with its former key; name the new file as keys.file and restart, then the former one opens it no more")
		}
	case err == nil && former != nil:
		if _, err := db.file.conn.ExecContext(ctx, "update keys set former = null where id = 1"); err != nil {
			return fmt.Errorf("ending the former key: %w", err)
		}
		db.log.Info("the store was opened with its new key; the former one opens it no more")
	}
	if err != nil {
		return fmt.Errorf("opening the data keys of %s: %w", db.cfg.Path, err)
	}
	return nil
}

func readKeys(ctx context.Context, q querier) (wrapped, former []byte, err error) {
	err = each(ctx, q, "select wrapped, former from keys where id = 1", func(rows *sql.Rows) error { return rows.Scan(&wrapped, &former) })
	if err != nil {
		return nil, nil, fmt.Errorf("reading the data keys: %w", err)
	}
	return wrapped, former, nil
}

// RotateOuter wraps the data keys under another outer key: one row (S23). Until the store is opened with it the present one opens
// it too, so that no crash in between locks anybody out. act says who does it.
func (db *DB) RotateOuter(ctx context.Context, next *token.OuterKey, act *authn.Event) error {
	db.passes.Lock()
	defer db.passes.Unlock()
	wrapped, err := db.keys.Wrap(next)
	if err != nil {
		return err
	}
	former, err := db.keys.Wrap(db.outer)
	if err != nil {
		return err
	}
	return db.commitWrites(ctx, act, write{keysStmt, []any{wrapped, former}})
}

// RotateData adds a data key, under which every seed is sealed from now on, and gives its version (S23). [DB.Reseal] seals those
// of before again. Older versions stay, for backups and for what is not sealed again yet.
func (db *DB) RotateData(ctx context.Context, act *authn.Event) (version uint32, err error) {
	db.passes.Lock()
	defer db.passes.Unlock()
	read, err := db.reader()
	if err != nil {
		return 0, err
	}
	if _, former, err := readKeys(ctx, read); err != nil || former != nil {
		return 0, errors.Join(err, ErrKeyPending)
	}
	err = db.keys.Rotate(func(next *token.Keys) error {
		wrapped, err := next.Wrap(db.outer)
		if err != nil {
			return err
		}
		version = next.Version()
		act.Detail = fmt.Sprintf("version %d", version)
		return db.commitWrites(ctx, act, write{keysStmt, []any{wrapped, nil}})
	})
	return version, err
}

// Reseal seals seeds of older data keys under the newest, one slab of tokens in each act, between logins. What cannot be opened
// is left as it is and counted; [DB.VerifyKeys] names it. One that ends early goes on with the next.
func (db *DB) Reseal(ctx context.Context) (done, failed int, err error) {
	version := db.keys.Version()
	for slab := uint32(0); ; slab++ {
		ids, more := db.sealedBefore(version, slab)
		if !more {
			return done, failed, nil
		}
		if len(ids) == 0 {
			continue
		}
		begun := time.Now()
		n, bad, err := db.resealTokens(ctx, ids, version)
		if err != nil {
			return done, failed, fmt.Errorf("sealing seeds again: %w", err)
		}
		done, failed = done+n, failed+bad
		if err := pause(ctx, time.Since(begun)); err != nil {
			return done, failed, err
		}
	}
}

// sealedBefore gives the tokens of a slab whose seed an older key seals; more is false behind the last slab.
func (db *DB) sealedBefore(version, slab uint32) (ids []token.ID, more bool) {
	db.gate.RLock()
	defer db.gate.RUnlock()
	st := db.state.Load()
	st.mu.RLock()
	defer st.mu.RUnlock()
	if slab >= st.tokens.count {
		return nil, false
	}
	records := &st.tokens.slab(slab).records
	for i := range records {
		r := &records[i]
		if r.id != 0 && r.seed > 0 && r.version < version {
			ids = append(ids, r.id)
		}
	}
	return ids, true
}

func (db *DB) resealTokens(ctx context.Context, ids []token.ID, version uint32) (n, failed int, err error) {
	for {
		saved := make(chan error, 1)
		err := db.Update(authn.Keys{Tokens: ids}, func(h *authn.Held) (authn.Change, error) {
			var ch authn.Change
			n, failed = 0, 0
			room := make([]byte, 0, token.MaxSeed)
			for _, t := range h.Tokens {
				if len(t.Sealed.Data) == 0 || t.Sealed.Version >= version {
					continue
				}
				again := *t
				if again.Sealed, err = db.resealed(room, t); err != nil {
					failed++
					continue
				}
				ch.Tokens = append(ch.Tokens, &again)
				n++
			}
			if n > 0 {
				ch.Event = &authn.Event{At: db.now(), Kind: authn.ActEvent, Act: "keys.reseal", Actor: "sekisho", Step: token.NoStep,
					Detail: fmt.Sprintf("%d seeds under version %d", n, version)}
			}
			return ch, nil
		}, func(err error) { saved <- err })
		if errors.Is(err, authn.ErrBusy) { // logins go first
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return 0, 0, err
			}
			continue
		}
		if err == nil {
			err = <-saved
		}
		return n, failed, err
	}
}

// resealed seals the seed of a token under the newest key. The plain one does not outlive the call.
func (db *DB) resealed(room []byte, t *token.Token) (token.SealedSeed, error) {
	seed, err := db.keys.OpenSeed(room, t.ID, t.Sealed)
	if err != nil {
		return token.SealedSeed{}, err
	}
	defer clear(seed)
	return db.keys.SealSeed(t.ID, seed)
}

// KeysVerified is what [DB.VerifyKeys] has seen.
type KeysVerified struct {
	Version  uint32         // of the data key that new seals use
	Seeds    map[uint32]int // how many seeds each version seals
	Rows     int            // of the journal, with personal parts that open
	Sessions int            // accounting records that open
	Pending  bool           // the outer key is being replaced
	Problems []string       // what does not open, at most maxDiffer
}

func (v *KeysVerified) problem(format string, args ...any) {
	if len(v.Problems) < maxDiffer {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

// VerifyKeys opens everything that is sealed, and names what does not open: the data keys under the outer key, every seed, which
// has to be the one of its fingerprint, the personal parts of events and accounting records, and records. Logins go on.
func (db *DB) VerifyKeys(ctx context.Context) (KeysVerified, error) {
	db.passes.Lock()
	defer db.passes.Unlock()
	v := KeysVerified{Version: db.keys.Version(), Seeds: map[uint32]int{}}
	read, err := db.reader()
	if err != nil {
		return v, err
	}
	wrapped, former, err := readKeys(ctx, read)
	if err != nil {
		return v, err
	}
	if v.Pending = former != nil; v.Pending {
		if _, err := token.Unwrap(db.outer, former); err != nil {
			v.problem("the data keys under the present key of the store: %v", err)
		}
	} else if _, err := token.Unwrap(db.outer, wrapped); err != nil {
		v.problem("the data keys: %v", err)
	}
	if err := db.verifySeeds(ctx, read, &v); err != nil {
		return v, err
	}
	for next := uint64(0); ; {
		n, err := db.readJournal(ctx, read, journalColumns, next, 1<<63-1, 256, false, func(r *journalRow) error {
			if r.last() < next {
				return nil
			}
			next = r.last() + 1
			if len(r.personal) == 0 {
				return nil
			}
			if _, err := r.people(db.secrets); err != nil {
				v.problem("personal parts of the events from %d on: %v", r.first, err)
			} else {
				v.Rows++
			}
			return nil
		})
		if err != nil {
			return v, err
		}
		if n < 256 {
			break
		}
	}
	err = db.eachSession(ctx, ever, 1<<63-1, func(k *sessionKey, personal []byte) ([]write, error) {
		if len(personal) == 0 {
			return nil, nil
		}
		if _, err := db.secrets.open("session", 0, personal); err != nil {
			v.problem("accounting record received %s: %v", time.UnixMicro(k.received).UTC().Format(time.RFC3339), err)
		} else {
			v.Sessions++
		}
		return nil, nil
	})
	if err != nil {
		return v, err
	}
	return v, db.verifyRecords(ctx, read, &v)
}

// verifySeeds opens the seeds as their rows hold them.
func (db *DB) verifySeeds(ctx context.Context, q querier, v *KeysVerified) error {
	var t token.Token
	room := make([]byte, 0, token.MaxSeed)
	err := db.eachSlab(ctx, q, "select number, 0, records from token_slab where "+visible, func(_ uint32, _ uint64, blob []byte) error {
		return eachRecord(blob, func(_ uint32, r *reader) {
			if decodeTokenRecord(r, &t); r.bad || len(t.Sealed.Data) == 0 {
				return
			}
			seed, err := db.keys.OpenSeed(room, t.ID, t.Sealed)
			switch {
			case err != nil:
				v.problem("token %v (%s): %v", t.ID, t.Serial, err)
			case db.keys.Fingerprint(seed) != t.Fingerprint:
				v.problem("token %v (%s): its seed is not the one of its fingerprint", t.ID, t.Serial)
			default:
				v.Seeds[t.Sealed.Version]++
			}
			clear(seed)
		})
	})
	if err != nil {
		return fmt.Errorf("reading tokens: %w", err)
	}
	slices.Sort(v.Problems)
	return nil
}

// verifyRecords opens the records of the life cycle.
func (db *DB) verifyRecords(ctx context.Context, q querier, v *KeysVerified) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	return each(ctx, q, "select kind, id, version, account, state, due, lookup, data from record", func(rows *sql.Rows) error {
		var r authn.Record
		var lookup, data sql.RawBytes
		if err := rows.Scan(&r.Kind, &r.ID, &r.Version, &r.Account, &r.State, &r.Due, &lookup, &data); err != nil {
			return err
		}
		copy(r.Lookup[:], lookup)
		if _, err := db.secrets.open(recordPurpose(&r), r.ID, data); err != nil {
			v.problem("record %v %d: %v", r.Kind, r.ID, err)
		}
		return nil
	})
}
