package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekisho/authn"
	"sekisho/token"
)

// copySite copies a site's files as they lie, as a crash would leave them; the key stays the same.
func (s *site) copySite(t testing.TB) *site {
	t.Helper()
	c := &site{dir: t.TempDir(), outer: s.outer, env: s.env, cfg: s.cfg}
	for _, d := range []string{"data", "mark", "."} {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Join(s.dir, d))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				copyFile(t, filepath.Join(s.dir, d, e.Name()), filepath.Join(c.dir, d, e.Name()))
			}
		}
	}
	c.cfg.Path, c.cfg.Mark, c.cfg.MachineID = filepath.Join(c.dir, "data", "sekisho.db"), filepath.Join(c.dir, "mark", "mark"), filepath.Join(c.dir, "machine-id")
	return c
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReplayEqualsLive does random things and compares memory with what a start makes of the files: after a crash at
// several moments and after a clean stop (S8).
func TestReplayEqualsLive(t *testing.T) {
	rounds := 0
	rapid.Check(t, func(r *rapid.T) {
		if rounds++; rounds > 12 && os.Getenv("SEKISHO_PROOF") != "1" {
			return
		}
		s := newSite(t)
		s.cfg.FlushEvents = rapid.IntRange(1, 40).Draw(r, "flush every")
		db := s.open(t)
		w := &walker{t: t, r: r, db: db}
		for range rapid.IntRange(1, 4).Draw(r, "crashes") {
			for range rapid.IntRange(1, 60).Draw(r, "steps") {
				w.step()
			}
			live := image(db)
			// The committer may be flushing rows behind; with it idle between transactions the copy is whole.
			eventually(t, "the flush", func() bool { return db.queue.length() == 0 })
			c := s.copySite(t)
			crashed := c.open(t)
			if got := image(crashed); got != live {
				r.Fatalf("after a crash:\n%s\nlive:\n%s", got, live)
			}
			closeDB(t, crashed)
			if got := image(c.open(t)); got != live {
				r.Fatalf("after a crash and a clean stop:\n%s\nlive:\n%s", got, live)
			}
		}
		live := image(db)
		closeDB(t, db)
		if got := image(s.open(t)); got != live {
			r.Fatalf("after a clean stop:\n%s\nlive:\n%s", got, live)
		}
	})
	if os.Getenv("SEKISHO_PROOF") != "1" {
		t.Logf("12 rounds; 100 with SEKISHO_PROOF=1")
	}
}

// walker does what logins and acts do, at random.
type walker struct {
	t        *testing.T
	r        *rapid.T
	db       *DB
	accounts []authn.AccountID
	n        int
}

func (w *walker) step() {
	kind := rapid.IntRange(0, 9).Draw(w.r, "kind")
	if len(w.accounts) == 0 || kind == 0 {
		w.n++
		mode := rapid.SampledFrom([]token.Mode{token.HOTP, token.TOTP}).Draw(w.r, "mode")
		tok := newToken(w.t, w.db, mode, w.n)
		a := newAccount(tok.Serial, tok)
		if rapid.Bool().Draw(w.r, "pending") {
			a.Assignments[0].Standing = token.Pending
		}
		create(w.t, w.db, []*authn.Account{a}, tok)
		w.accounts = append(w.accounts, a.ID)
		return
	}
	id := rapid.SampledFrom(w.accounts).Draw(w.r, "account")
	err := update(w.db, authn.Keys{Accounts: []authn.AccountID{id}}, func(h *authn.Held) (authn.Change, error) {
		if kind == 1 {
			return w.act(h), nil
		}
		return authn.Change{Event: w.login(h)}, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *walker) login(h *authn.Held) *authn.Event {
	a, tok := h.Accounts[0], h.Tokens[0]
	ev := &authn.Event{At: time.Now(), Kind: authn.LoginEvent, Account: a.ID, Verdict: authn.Accept, Reason: authn.OK}
	if rapid.Bool().Draw(w.r, "guard") {
		g := a.Guard.After()
		g.Row[0], g.Wait[1] = uint8(rapid.IntRange(0, 60).Draw(w.r, "row")), rapid.Int64Range(0, 1<<40).Draw(w.r, "wait")
		g.Charge = authn.Charge{Pot: authn.Pot(rapid.IntRange(0, 4).Draw(w.r, "pot")), Day: uint16(rapid.IntRange(20000, 20900).Draw(w.r, "day")), Amount: rapid.Int64Range(0, 1<<50).Draw(w.r, "amount")}
		g.Known = authn.KnownSource{Hash: rapid.Uint64Range(0, 40).Draw(w.r, "source"), Day: uint16(rapid.IntRange(20000, 20900).Draw(w.r, "seen"))}
		ev.Guard, ev.GuardSet = g, true
	}
	if rapid.Bool().Draw(w.r, "burn") {
		ev.Burnt = []authn.Burnt{{Token: tok.ID, Last: tok.Last + rapid.Int64Range(-3, 5).Draw(w.r, "by"), Drift: int16(rapid.IntRange(-3000, 3000).Draw(w.r, "drift")),
			DriftDay: uint16(rapid.IntRange(0, 60000).Draw(w.r, "drift day")), Activated: rapid.Bool().Draw(w.r, "activated")}}
	}
	return ev
}

func (w *walker) act(h *authn.Held) authn.Change {
	a, tok := *h.Accounts[0], *h.Tokens[0]
	a.Generation++
	a.Name += "x"
	a.Spare = rapid.Bool().Draw(w.r, "spare")
	a.Assignments = slices.Clone(a.Assignments)
	a.Assignments[0].Standing = token.Standing(rapid.IntRange(1, 4).Draw(w.r, "standing"))
	tok.Name += "y"
	if rapid.IntRange(0, 4).Draw(w.r, "end") == 0 {
		tok.State = token.Destroyed
	}
	ev := act("test.act")
	ev.Account = a.ID
	return authn.Change{Event: ev, Accounts: []*authn.Account{&a}, Tokens: []*token.Token{&tok}, Reset: authn.Reset(rapid.IntRange(0, 3).Draw(w.r, "reset"))}
}

// TestFlushHoldsTheJournal flushes while a step waits that memory has burnt already: the rows go with that step's own commit
// or not at all, so a crash on either side of it finds rows and journal of one mind.
func TestFlushHoldsTheJournal(t *testing.T) {
	s, f := newSite(t), &faults{}
	s.env.onCommit = f.onCommit
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	closeDB(t, db)
	s.cfg.FlushEvents = 1
	db = s.open(t)

	login := func(step int64, done chan error) {
		var ok bool
		if err := db.Update(authn.Keys{Accounts: []authn.AccountID{a.ID}}, loginOf(a.ID, tok.ID, step, &ok), func(err error) { done <- err }); err != nil {
			t.Error(err)
		}
	}
	first, second := make(chan error, 1), make(chan error, 1)
	entered, leave := make(chan struct{}), make(chan struct{})
	var before, behind *site
	commits := 0
	f.set(func(commit func() error) error {
		commits++
		switch commits {
		case 1: // the first step; the second joins the queue meanwhile
			close(entered)
			<-leave
		case 2: // the second step, and the rows with both
			before = s.copySite(t)
			err := commit()
			behind = s.copySite(t)
			return err
		}
		return commit()
	})
	login(5, first)
	<-entered
	login(6, second)
	close(leave)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	for _, c := range []struct {
		crashed *site
		flushed uint64
		last    int64
	}{{before, 1, 5}, {behind, 3, 6}} {
		// Late enough that nothing is replayed for the sake of spent States alone.
		c.crashed.env = Env{Log: s.env.Log, Now: func() time.Time { return time.Now().Add(10 * time.Minute) }}
		after := c.crashed.open(t)
		if after.flushed != c.flushed {
			t.Errorf("rows are said to hold event %d, want %d", after.flushed, c.flushed)
		}
		info, err := after.Token(tok.ID)
		if err != nil || info.Token.Last != c.last {
			t.Errorf("last step after the crash is %d, want %d (%v)", info.Token.Last, c.last, err)
		}
	}
}

// TestFlushCut crashes at each commit of a flush in many rounds: before it and after it a start finds the same as was there.
func TestFlushCut(t *testing.T) {
	s, f := newSite(t), &faults{}
	s.env.onCommit, s.env.flushRound = f.onCommit, 1
	db := s.open(t)
	var accounts []*authn.Account
	var tokens []*token.Token
	for i := range 3 * slabSize {
		tokens = append(tokens, newToken(t, db, token.HOTP, i))
		accounts = append(accounts, newAccount(fmt.Sprintf("u%d", i), tokens[i]))
		if i%5 == 0 {
			accounts[i].Assignments[0].Standing = token.Pending
		}
	}
	create(t, db, accounts, tokens...)
	for i, a := range accounts {
		if i%3 == 0 {
			continue
		}
		err := update(db, authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(h *authn.Held) (authn.Change, error) {
			after := h.Accounts[0].Guard.After()
			after.Row[1], after.Digits, after.Charge = 3, 6, authn.Charge{Pot: authn.PotK, Day: uint16(i), Amount: 7}
			ev := &authn.Event{At: time.Now(), Kind: authn.LoginEvent, Account: a.ID, Step: 9, Guard: after, GuardSet: true,
				Burnt: []authn.Burnt{{Token: tokens[i].ID, Last: int64(9 + i), Drift: 1, Activated: i%5 == 0}}}
			return authn.Change{Event: ev}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	live := image(db)
	var crashed []*site
	f.set(func(commit func() error) error {
		crashed = append(crashed, s.copySite(t))
		err := commit()
		crashed = append(crashed, s.copySite(t))
		return err
	})
	closeDB(t, db)
	if len(crashed) < 10 {
		t.Fatalf("%d commits: the flush was not cut into rounds", len(crashed)/2)
	}
	for i, c := range crashed {
		c.env = Env{Log: s.env.Log, Now: func() time.Time { return time.Now().Add(10 * time.Minute) }}
		after, err := Open(context.Background(), c.cfg, c.outer, c.env)
		if err != nil {
			t.Fatal(err)
		}
		if got := image(after); got != live {
			t.Fatalf("crash %d of %d:\n%s\nlive:\n%s", i, len(crashed), got, live)
		}
		closeDB(t, after)
	}
}
