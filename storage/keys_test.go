package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// seeded makes n tokens with known seeds in small acts, so that they fill several slabs, and an account that holds them.
func seeded(t *testing.T, db *DB, n int) (*authn.Account, []*token.Token, map[token.ID][]byte) {
	t.Helper()
	seeds := map[token.ID][]byte{}
	var tokens []*token.Token
	for i := range n {
		seed := fmt.Appendf(nil, "seed of token %06d", i)
		tok := sealedToken(t, db, token.HOTP, fmt.Sprintf("RK%06d", i), seed)
		tokens, seeds[tok.ID] = append(tokens, tok), seed
	}
	a := newAccount("seeded", tokens[0])
	create(t, db, []*authn.Account{a}, tokens...)
	return a, tokens, seeds
}

// opens wants every seed to open as what it was, and to be sealed by one of the versions.
func opens(t *testing.T, db *DB, seeds map[token.ID][]byte, versions ...uint32) {
	t.Helper()
	for id, seed := range seeds {
		info, err := db.Token(id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := db.Keys().OpenSeed(nil, id, info.Token.Sealed)
		if err != nil || !bytes.Equal(got, seed) {
			t.Fatalf("token %v: %v, right: %v", id, err, bytes.Equal(got, seed))
		}
		known := false
		for _, v := range versions {
			known = known || v == info.Token.Sealed.Version
		}
		if !known {
			t.Fatalf("token %v is sealed under version %d, want one of %v", id, info.Token.Sealed.Version, versions)
		}
	}
	v, err := db.VerifyKeys(context.Background())
	if err != nil || len(v.Problems) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
}

// TestRotateUnderLogins puts a new data key under everything while people log in: each code opens once, no step is lost, and
// whatever else is sealed stays readable (S23).
func TestRotateUnderLogins(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	_, tokens, seeds := seeded(t, db, 5*slabSize)
	var accounts []*authn.Account
	for i := range 4 {
		accounts = append(accounts, newAccount(fmt.Sprintf("w%d", i), tokens[i*slabSize]))
	}
	create(t, db, accounts)
	saveSession(t, db, &authn.Session{NAS: "n", ID: "i", Name: []byte("u")})
	stop := make(chan struct{})
	var logins sync.WaitGroup
	steps := make([]int64, len(accounts))
	for i, a := range accounts {
		logins.Go(func() {
			for step := int64(0); ; step++ {
				select {
				case <-stop:
					steps[i] = step
					return
				default:
				}
				if ok, err := burn(db, a.ID, tokens[i*slabSize].ID, step); !ok || err != nil {
					t.Errorf("step %d: %v, %v", step, ok, err)
					return
				}
			}
		})
	}
	version, err := db.RotateData(context.Background(), act("keys.rotate"))
	if err != nil || version != 2 {
		t.Fatal(version, err)
	}
	done, failed, err := db.Reseal(context.Background())
	close(stop)
	logins.Wait()
	if err != nil || done != len(tokens) || failed != 0 {
		t.Fatalf("%d sealed again, %d not, %v", done, failed, err)
	}
	opens(t, db, seeds, 2)
	v, err := db.VerifyKeys(context.Background())
	if err != nil || v.Version != 2 || v.Seeds[2] != len(tokens) || v.Rows == 0 || v.Sessions != 1 || v.Pending {
		t.Errorf("%+v, %v", v, err)
	}
	verified(t, db)
	closeDB(t, db)
	db = s.open(t)
	opens(t, db, seeds, 2)
	for i, a := range accounts {
		if ok, err := burn(db, a.ID, tokens[i*slabSize].ID, steps[i]-1); ok || err != nil {
			t.Errorf("a used step: %v, %v", ok, err)
		}
	}
	if done, _, err := db.Reseal(context.Background()); err != nil || done != 0 {
		t.Errorf("again: %d, %v", done, err)
	}
}

// TestRotateCut fails each commit of a rotation in turn, and looks at what a crash at that moment leaves: every seed opens,
// and the next pass ends the work.
func TestRotateCut(t *testing.T) {
	for at := 1; ; at++ {
		s, db, f, _, _ := withFaults(t)
		_, _, seeds := seeded(t, db, 2*slabSize+1)
		n, failed := 0, false
		f.set(func(commit func() error) error {
			if n++; n == at {
				failed = true
				return errDisk
			}
			return commit()
		})
		_, err := db.RotateData(context.Background(), act("keys.rotate"))
		if err == nil {
			_, _, err = db.Reseal(context.Background())
		}
		f.set(nil)
		if !failed && err == nil {
			if at < 4 {
				t.Errorf("a rotation has %d commits", at)
			}
			return
		}
		if !errors.Is(err, ErrFault) {
			t.Fatal(at, err)
		}
		recovered(t, db)
		opens(t, db, seeds, 1, 2)
		c := s.copySite(t)
		crashed := c.open(t)
		opens(t, crashed, seeds, 1, 2)
		if crashed.Keys().Version() == 1 {
			if _, err := crashed.RotateData(context.Background(), act("keys.rotate")); err != nil {
				t.Fatal(err)
			}
		}
		if _, failed, err := crashed.Reseal(context.Background()); err != nil || failed > 0 {
			t.Fatal(failed, err)
		}
		opens(t, crashed, seeds, 2)
		// The living one goes on as well: what was not saved was not used.
		if _, err := db.RotateData(context.Background(), act("keys.rotate")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := db.Reseal(context.Background()); err != nil {
			t.Fatal(err)
		}
		opens(t, db, seeds, 2, 3)
		closeDB(t, db)
		opens(t, s.open(t), seeds, 2, 3)
	}
}

// TestRotateOuter replaces the key outside: until the first start with the new one both open the store, then the new one alone.
func TestRotateOuter(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	_, _, seeds := seeded(t, db, 3)
	former, next := s.outer, newOuter(t, filepath.Join(s.dir, "next.key"))
	if err := db.RotateOuter(context.Background(), next, act("keys.rotate-outer")); err != nil {
		t.Fatal(err)
	}
	if v, err := db.VerifyKeys(context.Background()); err != nil || !v.Pending || len(v.Problems) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := db.RotateData(context.Background(), act("x")); !errors.Is(err, ErrKeyPending) || db.Keys().Version() != 1 {
		t.Errorf("a data key that one of the two would not open: %v", err)
	}
	crash := s.copySite(t)
	crash.outer = former
	opens(t, crash.open(t), seeds, 1) // as before a changed configuration
	closeDB(t, db)
	opens(t, s.open(t), seeds, 1)
	s = s.copySite(t)
	s.outer = next
	db = s.open(t)
	opens(t, db, seeds, 1)
	if v, err := db.VerifyKeys(context.Background()); err != nil || v.Pending {
		t.Errorf("%+v, %v", v, err)
	}
	if version, err := db.RotateData(context.Background(), act("x")); err != nil || version != 2 {
		t.Error(version, err)
	}
	closeDB(t, db)
	s.outer = former
	if db, err := Open(context.Background(), s.cfg, s.outer, s.env); !errors.Is(err, token.ErrWrongOuterKey) {
		t.Errorf("the former key after all: %v", err)
		_ = db.Close()
	}
	s.outer = next
	opens(t, s.open(t), seeds, 1)
}

// TestVerifyKeysNames changes what is sealed with SQL: each is named.
func TestVerifyKeysNames(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	a, tokens, _ := seeded(t, db, 2)
	typed(t, db, a.ID, "u", time.Now())
	saveSession(t, db, &authn.Session{NAS: "n", ID: "i", Name: []byte("u")})
	o := other(t, db)
	sealed := tokens[1].Sealed.Data
	var slab []byte
	if err := o.QueryRow("select records from token_slab").Scan(&slab); err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(slab, sealed)
	if at < 0 {
		t.Fatal("the seed is not in its slab")
	}
	slab[at+20] ^= 1
	for _, change := range []struct {
		text string
		args []any
		want string
	}{
		{"update token_slab set records = ?", []any{slab}, "token " + tokens[1].ID.String() + " (RK000001)"},
		{"update journal set personal = zeroblob(60) where first_seq = 2", nil, "events from 2 on"},
		{"update session set personal = zeroblob(60)", nil, "accounting record"},
		{"update keys set wrapped = zeroblob(60)", nil, "the data keys"},
	} {
		if _, err := o.Exec(change.text, change.args...); err != nil {
			t.Fatal(err)
		}
		v, err := db.VerifyKeys(context.Background())
		if err != nil || !strings.Contains(strings.Join(v.Problems, "\n"), change.want) {
			t.Errorf("%s: %q, %v", change.text, v.Problems, err)
		}
	}
	_ = os.Remove(s.cfg.Path) // it is nothing to close in order
}
