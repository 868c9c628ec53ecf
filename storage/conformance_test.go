package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// backends are the databases that the list below runs over. A missing one has to show.
var backends = []struct {
	name string
	open func(t *testing.T) *DB
}{
	{"sqlite", func(t *testing.T) *DB { return newSite(t).open(t) }},
}

// TestStore runs the list of what every backend must do.
func TestStore(t *testing.T) {
	for _, b := range backends {
		for _, c := range []struct {
			name string
			test func(*testing.T, *DB)
		}{
			{"a code passes once", testOnce},
			{"a shared token's code passes once over all names", testShared},
			{"done comes in queue order", testOrder},
			{"no place, no decision", testBusy},
			{"an error of f abandons", testAbandon},
			{"a panic of f frees everything", testPanic},
			{"an act replaces all but what logins own", testImages},
			{"what does not fit is refused whole", testConflicts},
			{"a State is spent once", testNonce},
			{"a right code activates", testActivate},
			{"memory stays in memory", testMemory},
			{"effects stay within the locks", testHeld},
			{"records come, change and go", testRecords},
			{"records that do not fit are refused whole", testRecordRules},
			{"64 change one record at once", testRecordsOnce},
			{"pages of records", testRecordPages},
			{"several events of one act", testMore},
		} {
			t.Run(b.name+"/"+c.name, func(t *testing.T) { c.test(t, b.open(t)) })
		}
	}
}

// testOnce sends 1,000 codes 64 times each in parallel (B6).
func testOnce(t *testing.T, db *DB) {
	const codes, times = 1000, 64
	tokens, accounts := make([]*token.Token, 100), make([]*authn.Account, 100)
	for i := range tokens {
		tokens[i] = newToken(t, db, token.HOTP, i)
		accounts[i] = newAccount(fmt.Sprintf("u%d", i), tokens[i])
	}
	create(t, db, accounts, tokens...)
	var accepts, faults atomic.Int64
	seen := make([]atomic.Int32, codes)
	for step := range codes / len(tokens) {
		var wg sync.WaitGroup
		for range times {
			wg.Go(func() {
				for i := range tokens {
					ok, err := burn(db, accounts[i].ID, tokens[i].ID, int64(step))
					if err != nil {
						faults.Add(1)
					}
					if ok && err == nil {
						accepts.Add(1)
						seen[step*len(tokens)+i].Add(1)
					}
				}
			})
		}
		wg.Wait()
	}
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Errorf("code %d accepted %d times", i, n)
		}
	}
	if faults.Load() != 0 {
		t.Errorf("%d attempts could not be saved", faults.Load())
	}
	t.Logf("%d codes, %d times each: %d accepts", codes, times, accepts.Load())
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
}

// testShared sends 1,000 codes of one token through all 8 accounts that hold it.
func testShared(t *testing.T, db *DB) {
	const codes, holders = 1000, 8
	tok := newToken(t, db, token.HOTP, 1)
	var accounts []*authn.Account
	for i := range holders {
		accounts = append(accounts, newAccount(fmt.Sprintf("u%d", i), tok))
	}
	create(t, db, accounts, tok)
	var accepts atomic.Int64
	for step := range codes {
		var wg sync.WaitGroup
		for _, a := range accounts {
			wg.Go(func() {
				if ok, err := burn(db, a.ID, tok.ID, int64(step)); ok && err == nil {
					accepts.Add(1)
				}
			})
		}
		wg.Wait()
	}
	if accepts.Load() != codes {
		t.Errorf("%d codes through %d names: %d accepts", codes, holders, accepts.Load())
	}
}

func testOrder(t *testing.T, db *DB) {
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	var mu sync.Mutex
	var seqs []uint64
	var wg sync.WaitGroup
	for range 8 {
		for range 200 {
			wg.Add(1)
			go func() {
				var ev *authn.Event
				err := db.Update(authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(h *authn.Held) (authn.Change, error) {
					ev = &authn.Event{At: time.Now(), Kind: authn.LoginEvent, Account: a.ID}
					return authn.Change{Event: ev}, nil
				}, func(err error) {
					mu.Lock()
					seqs = append(seqs, ev.Seq)
					mu.Unlock()
					wg.Done()
				})
				if err != nil {
					wg.Done()
				}
			}()
		}
	}
	wg.Wait()
	if len(seqs) != 1600 || !slices.IsSorted(seqs) {
		t.Errorf("%d answers, in order: %v", len(seqs), slices.IsSorted(seqs))
	}
}

func testBusy(t *testing.T, db *DB) {
	// All places but one are taken by hand; the last goes to an update that does not end.
	for range db.queue.limit - 1 {
		if err := db.queue.reserve(); err != nil {
			t.Fatal(err)
		}
	}
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = db.Update(authn.Keys{}, func(*authn.Held) (authn.Change, error) {
			close(inside)
			<-leave
			return authn.Change{}, nil
		}, func(error) {})
	})
	<-inside
	ran := false
	err := db.Update(authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		ran = true
		return authn.Change{}, nil
	}, func(error) {})
	if !errors.Is(err, authn.ErrBusy) || ran {
		t.Errorf("a full queue: error %v, f ran: %v", err, ran)
	}
	close(leave)
	wg.Wait()
	if err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) { return authn.Change{Event: act("x")}, nil }); err != nil {
		t.Errorf("after a place came free: %v", err)
	}
	db.queue.release(db.queue.limit - 1)
}

func testAbandon(t *testing.T, db *DB) {
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	before, seq := image(db), db.Seq()
	fault := errors.New("no")
	err := db.Update(authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Event: act("x"), Memory: &authn.Memory{}}, fault
	}, func(error) { t.Error("done was called") })
	if err != fault || image(db) != before || db.Seq() != seq {
		t.Errorf("error %v, state changed: %v", err, image(db) != before)
	}
}

func testPanic(t *testing.T, db *DB) {
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	for range db.queue.limit + 1 {
		func() {
			defer func() { _ = recover() }()
			_ = db.Update(authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(*authn.Held) (authn.Change, error) { panic("bug") }, nil)
		}()
	}
	if ok, err := burn(db, a.ID, tok.ID, 1); !ok || err != nil {
		t.Errorf("after panics: %v, %v", ok, err)
	}
}

func testImages(t *testing.T, db *DB) {
	tok := newToken(t, db, token.TOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	if ok, err := burn(db, a.ID, tok.ID, 100); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, _ := burn(db, a.ID, tok.ID, 100); ok {
		t.Fatal("a used step was accepted")
	}
	keys := authn.Keys{Accounts: []authn.AccountID{a.ID}}
	replace := func(reset authn.Reset, last int64) {
		t.Helper()
		err := update(db, keys, func(h *authn.Held) (authn.Change, error) {
			x, k := *h.Accounts[0], *h.Tokens[0]
			x.Guard, x.Generation = authn.Guard{}, x.Generation+1
			k.Last, k.Drift, k.Name = last, 3, "desk"
			return authn.Change{Event: act("test.replace"), Accounts: []*authn.Account{&x}, Tokens: []*token.Token{&k}, Reset: reset}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, row uint8, last int64, drift int16) {
		t.Helper()
		x, err := db.Account(a.ID)
		if err != nil {
			t.Fatal(err)
		}
		k, err := db.Token(tok.ID)
		if err != nil {
			t.Fatal(err)
		}
		if x.Guard.Row[0] != row || k.Token.Last != last || k.Token.Drift != drift || k.Token.Name != "desk" {
			t.Errorf("%s: row %d, last %d, drift %d, name %q", what, x.Guard.Row[0], k.Token.Last, k.Token.Drift, k.Token.Name)
		}
	}
	replace(0, 5)
	check("no reset", 1, 100, 0)
	replace(authn.ResetGuard, 500)
	check("guard reset", 0, 100, 0)
	replace(authn.ResetStep, 5)
	check("step set back", 0, 100, 3)
	replace(authn.ResetStep, 200)
	check("step set ahead", 0, 200, 3)
}

func testConflicts(t *testing.T, db *DB) {
	tok, other := newToken(t, db, token.HOTP, 1), newToken(t, db, token.HOTP, 2)
	a, b := newAccount("u", tok), newAccount("v", other)
	create(t, db, []*authn.Account{a, b}, tok, other)
	before := image(db)
	same := func(change func(*token.Token)) *token.Token {
		x := *newToken(t, db, token.HOTP, 3)
		change(&x)
		return &x
	}
	for name, c := range map[string]struct {
		change authn.Change
		want   error
	}{
		"serial":            {authn.Change{Tokens: []*token.Token{same(func(x *token.Token) { x.Serial = tok.Serial })}}, ErrSerialTaken},
		"seed":              {authn.Change{Tokens: []*token.Token{same(func(x *token.Token) { x.Fingerprint = tok.Fingerprint })}}, ErrSeedTaken},
		"twice in one":      {authn.Change{Tokens: []*token.Token{same(func(*token.Token) {}), same(func(*token.Token) {})}}, ErrSerialTaken},
		"user":              {authn.Change{Accounts: []*authn.Account{newAccount("u")}}, ErrUserTaken},
		"account not held":  {authn.Change{Accounts: []*authn.Account{b}}, nil},
		"token not held":    {authn.Change{Tokens: []*token.Token{other}}, nil},
		"one of them wrong": {authn.Change{Accounts: []*authn.Account{newAccount("w")}, Tokens: []*token.Token{same(func(x *token.Token) { x.Serial = tok.Serial })}}, ErrSerialTaken},
	} {
		c.change.Event = act("test.conflict")
		err := update(db, authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(*authn.Held) (authn.Change, error) { return c.change, nil })
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if image(db) != before {
			t.Errorf("%s: something stayed", name)
		}
	}
	if err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Accounts: []*authn.Account{newAccount("w")}}, nil
	}); err == nil {
		t.Error("rows without an event were taken")
	}
}

// testNonce lets two updates, which no lock keeps apart, both find a State unspent before either spends it.
func testNonce(t *testing.T, db *DB) {
	nonce := [12]byte{1, 2, 3}
	var meet, wg sync.WaitGroup
	var first, again atomic.Int64
	meet.Add(2)
	for range 2 {
		wg.Go(func() {
			runs, spent := 0, false
			err := update(db, authn.Keys{}, func(h *authn.Held) (authn.Change, error) {
				ev := &authn.Event{At: time.Now(), Kind: authn.LoginEvent, Nonce: nonce}
				if spent = h.Spent(nonce); spent {
					ev.Nonce = [12]byte{}
				}
				if runs++; runs == 1 {
					meet.Done()
					meet.Wait()
				}
				return authn.Change{Event: ev}, nil
			})
			switch {
			case err != nil:
				t.Error(err)
			case spent:
				again.Add(1)
			default:
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if first.Load() != 1 || again.Load() != 1 {
		t.Errorf("a State was spent %d times and seen as spent %d times", first.Load(), again.Load())
	}
}

func testActivate(t *testing.T, db *DB) {
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	a.Assignments[0].Standing = token.Pending
	create(t, db, []*authn.Account{a}, tok)
	err := update(db, authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(h *authn.Held) (authn.Change, error) {
		return authn.Change{Event: &authn.Event{At: time.Unix(1000, 0), Kind: authn.LoginEvent, Account: a.ID, Burnt: []authn.Burnt{{Token: tok.ID, Last: 4, Activated: true}}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	x, err := db.Account(a.ID)
	if err != nil || x.Assignments[0].Standing != token.Active || x.Assignments[0].Since != 1000 {
		t.Errorf("%+v, %v", x, err)
	}
}

func testMemory(t *testing.T, db *DB) {
	a := newAccount("u")
	create(t, db, []*authn.Account{a})
	keys := authn.Keys{Accounts: []authn.AccountID{a.ID, a.ID + 1}}
	called := false
	seq := db.Seq()
	err := db.Update(keys, func(h *authn.Held) (authn.Change, error) {
		if len(h.Accounts) != 2 || h.Accounts[1] != nil {
			t.Errorf("held: %v", h.Accounts)
		}
		return authn.Change{Memory: &authn.Memory{Pairs: []authn.Pair{{Step: 7}}}}, nil
	}, func(err error) { called = err == nil })
	if err != nil || !called || db.Seq() != seq {
		t.Errorf("error %v, done before the return: %v, seq %d", err, called, db.Seq())
	}
	pairs := func() (n int) {
		_ = db.View(keys, func(h *authn.Held) { n = len(h.Accounts[0].Memory.Pairs) })
		return n
	}
	if pairs() != 1 {
		t.Error("the memory is not there")
	}
	err = update(db, keys, func(h *authn.Held) (authn.Change, error) {
		x := *h.Accounts[0]
		x.Generation++
		return authn.Change{Event: act("test.revoke"), Accounts: []*authn.Account{&x}}, nil
	})
	if err != nil || pairs() != 0 {
		t.Errorf("a new generation (%v) kept %d pairs", err, pairs())
	}
}

func testHeld(t *testing.T, db *DB) {
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	for name, ev := range map[string]*authn.Event{
		"account": {At: time.Now(), Kind: authn.LoginEvent, Account: a.ID, GuardSet: true},
		"token":   {At: time.Now(), Kind: authn.LoginEvent, Burnt: []authn.Burnt{{Token: tok.ID, Last: 9}}},
	} {
		before := image(db)
		err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) { return authn.Change{Event: ev}, nil })
		if err == nil || image(db) != before {
			t.Errorf("%s not held: %v", name, err)
		}
	}
}
