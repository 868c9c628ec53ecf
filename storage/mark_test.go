package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// refused opens and wants an error with all of the words.
func (s *site) refused(t *testing.T, words ...string) {
	t.Helper()
	db, err := Open(context.Background(), s.cfg, s.outer, s.env)
	if err == nil {
		_ = db.Close()
		t.Fatalf("opened; want an error with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q: want it to say %q", err, w)
		}
	}
}

func TestSecondProcess(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	s.refused(t, "in use by another process", "stop that one first")
	closeDB(t, db)
	s.open(t)
}

func TestWrongKey(t *testing.T) {
	s := newSite(t)
	closeDB(t, s.open(t))
	s.outer = newOuter(t, filepath.Join(s.dir, "other.key"))
	s.refused(t, "opening the data keys")
}

func TestNewerSchema(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	if _, err := other(t, db).Exec(`insert into goose_db_version (version_id, is_applied) values (999, 1)`); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	s.refused(t, "schema 999", "newer version")
}

// TestNotLiving opens files that are not the newest state (S11).
func TestNotLiving(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	closeDB(t, db)
	backup := s.copySite(t)
	db = s.open(t)
	if ok, err := burn(db, a.ID, tok.ID, 5); !ok || err != nil {
		t.Fatal(ok, err)
	}
	sameStart := s.copySite(t) // copied while this start runs
	for step := range int64(5) {
		if ok, err := burn(db, a.ID, tok.ID, 6+step); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	closeDB(t, db)

	for name, c := range map[string]struct {
		prepare func(*site)
		word    string
	}{
		"an old backup":        {func(x *site) { x.cfg.Path = backup.cfg.Path }, "another one, or another copy"},
		"a copy of this start": {func(x *site) { x.cfg.Path = sameStart.cfg.Path }, "had already come to 7"},
		"no mark":              {func(x *site) { _ = os.Remove(x.cfg.Mark) }, "no mark"},
		"no database":          {func(x *site) { _ = os.Remove(x.cfg.Path) }, "new and empty"},
		"a damaged mark":       {func(x *site) { _ = os.WriteFile(x.cfg.Mark, []byte("{"), 0o600) }, "damaged"},
		"another machine":      {func(x *site) { _ = os.WriteFile(x.cfg.MachineID, []byte("f"), 0o600) }, "another machine"},
	} {
		x := s.copySite(t)
		c.prepare(x)
		x.refused(t, c.word, "sekisho restore --adopt")
		if t.Failed() {
			t.Fatalf("in case %q", name)
		}
	}
	s.open(t)
}

// TestMarkKnowsEpochs: a file of an older epoch does not start, however far it has come since: it was adopted elsewhere.
func TestMarkKnowsEpochs(t *testing.T) {
	id, machine := []byte("incarnation"), []byte("machine")
	k := mark{Incarnation: id, Machine: machine, Epoch: 5, Seq: 10, found: true}
	for epoch, fits := range map[uint64]bool{4: false, 5: true, 6: true} {
		if err := k.fits(meta{incarnation: id, machine: machine, epoch: epoch, seq: 1000}, machine); errors.Is(err, ErrNotLiving) == fits {
			t.Errorf("epoch %d: %v", epoch, err)
		}
	}
}

// TestAdopt takes an old backup over: nothing used since may pass again (S12).
func TestAdopt(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	hotp, totp, pending := newToken(t, db, token.HOTP, 1), newToken(t, db, token.TOTP, 2), newToken(t, db, token.HOTP, 3)
	totp.Drift = 2
	a := newAccount("u", hotp, totp, pending)
	a.Assignments[2].Standing = token.Pending
	a.Spare = true
	create(t, db, []*authn.Account{a}, hotp, totp, pending)
	closeDB(t, db)
	backup := s.copySite(t)
	db = s.open(t)
	now := time.Now()
	for _, u := range []struct {
		t    *token.Token
		step int64
	}{{hotp, 5}, {totp, now.Unix() / 30}} {
		if ok, err := burn(db, a.ID, u.t.ID, u.step); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	closeDB(t, db)
	copyFile(t, backup.cfg.Path, s.cfg.Path)
	s.refused(t, "--adopt")
	s.env.Now = func() time.Time { return now }
	report, err := Adopt(context.Background(), s.cfg, s.outer, s.env, "root", 3)
	if err != nil {
		t.Fatal(err)
	}
	if report.Epoch != 2 || report.Suspended != 2 || report.Raised != 1 || report.Seq <= 3 {
		t.Errorf("report %+v", report)
	}
	db = s.open(t)
	x, err := db.Account(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []token.Standing{token.Suspended, token.Active, token.Suspended} {
		if x.Assignments[i].Standing != want {
			t.Errorf("assignment %d is %v, want %v", i, x.Assignments[i].Standing, want)
		}
	}
	if x.Generation != a.Generation+1 || x.Spare {
		t.Errorf("generation %d, codes without a token open: %v", x.Generation, x.Spare)
	}
	k, err := db.Token(totp.ID)
	if want := now.Unix()/30 + 2 + 3; err != nil || k.Token.Last != want {
		t.Errorf("last step %d, want %d (%v)", k.Token.Last, want, err)
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
	logins, err := db.Logins(context.Background(), LoginFilter{Acts: true, Limit: 1})
	if err != nil || logins[0].Act != "storage.adopt" || logins[0].Actor != "root" || !strings.Contains(logins[0].Detail, "the mark knew event 3") {
		t.Errorf("the event of the adoption: %+v, %v", logins, err)
	}
	if ok, err := burn(db, a.ID, totp.ID, k.Token.Last+1); !ok || err != nil {
		t.Errorf("after adoption: %v, %v", ok, err)
	}
	before := image(db)
	closeDB(t, db)
	if got := image(s.open(t)); got != before {
		t.Errorf("reopened:\n%s\nwas:\n%s", got, before)
	}
}

// TestAdoptDrift: a token whose clock is a day ahead of the others' does not close them for a day.
func TestAdoptDrift(t *testing.T) {
	s := newSite(t)
	now := time.Now()
	s.env.Now = func() time.Time { return now }
	db := s.open(t)
	ahead, plain := newToken(t, db, token.TOTP, 1), newToken(t, db, token.TOTP, 2)
	ahead.Drift = 2880
	a := newAccount("u", ahead, plain)
	create(t, db, []*authn.Account{a}, ahead, plain)
	if ok, err := burn(db, a.ID, ahead.ID, now.Unix()/30+2880); !ok || err != nil {
		t.Fatal(ok, err)
	}
	err := update(db, authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(h *authn.Held) (authn.Change, error) { // as a resync does
		k := *h.Token(ahead.ID)
		k.Last += 2
		return authn.Change{Event: act("x"), Tokens: []*token.Token{&k}, Reset: authn.ResetStep}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	newest := now.Unix()/30*30 + 60
	live := db.state.Load().newest.Load()
	closeDB(t, db)
	db = s.open(t)
	if got := db.state.Load().newest.Load(); live != newest || got != newest {
		t.Errorf("the newest step begins at %d, %d after a start, want %d", live, got, newest)
	}
	closeDB(t, db)
	if _, err := Adopt(context.Background(), s.cfg, s.outer, s.env, "root", 1); err != nil {
		t.Fatal(err)
	}
	db = s.open(t)
	for _, c := range []struct {
		id   token.ID
		want int64
	}{{ahead.ID, now.Unix()/30 + 2880 + 2 + 1}, {plain.ID, now.Unix()/30 + 2 + 1}} {
		if k, err := db.Token(c.id); err != nil || k.Token.Last != c.want {
			t.Errorf("token %v: last step %d, want %d: %v", c.id, k.Token.Last, c.want, err)
		}
	}
}

// TestTakeOverCut cuts the start at the two points between mark and database.
func TestTakeOverCut(t *testing.T) {
	s := newSite(t)
	closeDB(t, s.open(t))
	k, err := readMark(s.cfg.Mark)
	if err != nil {
		t.Fatal(err)
	}
	cut := k
	cut.Next = []byte("the next start's")
	if err := cut.write(s.cfg.Mark); err != nil {
		t.Fatal(err)
	}
	closeDB(t, s.open(t)) // the database still has the old incarnation
	if k, err = readMark(s.cfg.Mark); err != nil {
		t.Fatal(err)
	}
	k.Incarnation, k.Next = []byte("the start before"), k.Incarnation
	if err := k.write(s.cfg.Mark); err != nil {
		t.Fatal(err)
	}
	s.open(t) // the database has the new one already
}

func TestConfigCheck(t *testing.T) {
	err := Config{Ballast: -2, Queue: 1, FlushEvery: 1, FreeSpace: -3}.Check()
	for _, w := range []string{"ballast", "queue", "flush_every", "free_space"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v: does not name %s", err, w)
		}
	}
}
