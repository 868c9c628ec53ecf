package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/authn"
	"sekisho/token"
)

// TestChainFlips changes every column of the journal, drops and swaps rows, and cuts the end (S24, B56).
func TestChainFlips(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	for step := range int64(5) {
		if ok, err := burn(db, a.ID, tok.ID, step); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	for _, change := range []string{
		`update journal set at = at + 1 where first_seq = 3`,
		`update journal set count = 2 where first_seq = 6`,
		`update journal set cores = cast(x'00' || cores as blob) where first_seq = 3`,
		`update journal set cores = cast(substr(cores, 1, length(cores) - 1) || x'55' as blob) where first_seq = 6`,
		`update journal set link = zeroblob(32) where first_seq = 3`,
		`update journal set personal = (select personal from journal where first_seq = 4) where first_seq = 3`,
		`update journal set personal = x'' where first_seq = 3`,
		`update journal set first_seq = 40 where first_seq = 3`,
		`update journal set (cores, personal, at, count) = (select cores, personal, at, count from journal where first_seq = 5) where first_seq = 4`,
		`insert into journal select 7, count, at, cores, personal, link from journal where first_seq = 6; update meta set seq = 7`,
		`delete from journal where first_seq = 2`,
		`delete from journal where first_seq = 3`,
		`delete from journal where first_seq = 6`,
		`delete from journal where first_seq < 4`,
		`insert into keeping select 1, 3, link, at, zeroblob(32), 0, 0, 0 from journal where first_seq = 3; delete from journal where first_seq < 4`,
		`delete from journal where first_seq > 3`,
		`update journal set first_seq = 60 where first_seq = 6`,
		`delete from journal`,
	} {
		c := s.copySite(t)
		f, err := openFile(context.Background(), c.cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.conn.ExecContext(context.Background(), change); err != nil {
			t.Fatal(change, err)
		}
		f.close()
		// All of this is in the tail that a start checks, but for the personal parts.
		db, err := Open(context.Background(), c.cfg, c.outer, c.env)
		if err == nil {
			_, err = db.VerifyChain(context.Background())
			_ = db.Close()
		}
		if !errors.Is(err, ErrChain) {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// TestSeedKnownAgain imports a destroyed token's seed again: it continues at the larger counter (S9).
func TestSeedKnownAgain(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	seed := bytes.Repeat([]byte("seed"), 5)
	tok := sealedToken(t, db, token.HOTP, "SN1", seed)
	tok.CredentialID = "OATH1"
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	if ok, err := burn(db, a.ID, tok.ID, 41); !ok || err != nil {
		t.Fatal(ok, err)
	}
	again := func(last int64) *token.Token {
		x := sealedToken(t, db, token.HOTP, "SN1", seed)
		x.Last, x.CredentialID = last, "OATH1"
		return x
	}
	err := db.Import(context.Background(), &authn.Batch{Event: act("token.import"), Tokens: []*token.Token{newToken(t, db, token.HOTP, 5), again(3)}}, nil)
	var row *RowError
	if !errors.Is(err, ErrSerialTaken) || !errors.As(err, &row) || row.Row != 1 {
		t.Errorf("a living token's seed: %v", err)
	}
	if n := db.TokenCounts()[token.InUse]; n != 1 {
		t.Errorf("a refused batch left tokens: %d", n)
	}
	err = update(db, authn.Keys{Tokens: []token.ID{tok.ID}}, func(h *authn.Held) (authn.Change, error) {
		x := *h.Tokens[0]
		x.State, x.Sealed = token.Destroyed, token.SealedSeed{}
		return authn.Change{Event: act("token.destroy"), Tokens: []*token.Token{&x}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A new token of the seed goes on where the old one ended, by an act as by an import.
	y := again(3)
	err = update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Event: act("token.enroll"), Tokens: []*token.Token{y}}, nil
	})
	if info, lost := db.Token(y.ID); err != nil || lost != nil || info.Token.Last != 41 {
		t.Errorf("by an act: last %d, want 41 (%v, %v)", info.Token.Last, err, lost)
	}
	err = update(db, authn.Keys{Tokens: []token.ID{y.ID}}, func(h *authn.Held) (authn.Change, error) {
		x := *h.Tokens[0]
		x.State, x.Sealed = token.Destroyed, token.SealedSeed{}
		return authn.Change{Event: act("token.destroy"), Tokens: []*token.Token{&x}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// In memory at once, and in the file for the next start.
	st := db.state.Load()
	if last, ok := st.tombstones[tok.Fingerprint]; !ok || last != 41 {
		t.Errorf("tombstone %d, %v", last, ok)
	}
	closeDB(t, db)
	db = s.open(t)
	x := again(3)
	if err := db.Import(context.Background(), &authn.Batch{Event: act("token.import"), Tokens: []*token.Token{x}}, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := db.Token(x.ID); err != nil || info.Token.Last != 41 {
		t.Errorf("last %d, want 41 (%v)", info.Token.Last, err)
	}
	if ids, err := db.TokensByCredential(context.Background(), "OATH1"); err != nil || !slices.Equal(ids, []token.ID{x.ID}) {
		t.Errorf("by credential ID: %v, %v; a destroyed token must not stand in the way of the living one", ids, err)
	}
}

// TestImport brings in batches whole or not at all, over a crash too.
func TestImport(t *testing.T) {
	const n = 1000
	s, f := newSite(t), &faults{}
	s.env.onCommit = f.onCommit
	db := s.open(t)
	batch := func(from int) *authn.Batch {
		b := &authn.Batch{Event: act("token.import")}
		for i := range n {
			tok := newToken(t, db, token.HOTP, from+i)
			b.Tokens = append(b.Tokens, tok)
			b.Accounts = append(b.Accounts, newAccount(fmt.Sprintf("u%d", from+i), tok))
		}
		return b
	}
	first := batch(0)
	if err := db.Import(context.Background(), first, nil); err != nil {
		t.Fatal(err)
	}
	if ok, err := burn(db, first.Accounts[7].ID, first.Tokens[7].ID, 3); !ok || err != nil {
		t.Errorf("a code of an imported token: %v, %v", ok, err)
	}
	before := image(db)

	second := batch(n)
	count := 0
	ctx, cancel := context.WithCancel(context.Background())
	f.set(func(commit func() error) error {
		if count++; count == 4 {
			cancel()
		}
		return commit()
	})
	if err := db.Import(ctx, second, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import: %v", err)
	}
	f.set(nil)
	if image(db) != before {
		t.Error("a cancelled import left something in memory")
	}

	// A fault in the middle: recovery must not see the rows that are there already.
	count = 0
	f.set(func(commit func() error) error {
		if count++; count == 4 {
			return errDisk
		}
		return commit()
	})
	if err := db.Import(context.Background(), second, nil); !errors.Is(err, ErrFault) {
		t.Errorf("an import over a fault: %v", err)
	}
	f.set(nil)
	recovered(t, db)
	eventually(t, "nothing is left of an import cut by a fault", func() bool { return image(db) == before })
	// The same file read again gives other IDs; what the fault left on disk must not stand in its way.
	for i, tok := range second.Tokens {
		tok.ID++
		second.Accounts[i].ID++
		second.Accounts[i].Assignments[0].Token++
	}

	// A crash in the middle: the last commit, that makes it live, does not come.
	var half *site
	count = 0
	f.set(func(commit func() error) error {
		if count++; count == 11 {
			half = s.copySite(t)
		}
		return commit()
	})
	if err := db.Import(context.Background(), second, nil); err != nil {
		t.Fatal(err)
	}
	f.set(nil)
	if half == nil {
		t.Fatalf("%d commits: the copy was not made", count)
	}
	half.env.onCommit = nil
	cut := half.open(t)
	if image(cut) != before {
		t.Error("an import cut short is there after a restart")
	}
	if err := cut.Import(context.Background(), second, nil); err != nil {
		t.Errorf("the same import after the cut: %v", err)
	}
	page, err := db.Tokens(context.Background(), TokenFilter{Serial: "SN0019", Limit: 1000})
	if err != nil || len(page) != 100 || len(page[0].Holders) != 1 {
		t.Errorf("%d tokens listed, %v", len(page), err)
	}
	live := image(db)
	closeDB(t, db)
	if image(s.open(t)) != live {
		t.Error("imports differ after a restart")
	}
}

// TestImportGivenUpIsNoTrap: rows of an import that a fault cut off stay on disk until they are removed. Until then nothing
// may take their serials, seeds and users: the database would refuse the row, and memory would have to be loaded anew at
// each try, a login's too. They are removed as soon as the disk takes changes again.
func TestImportGivenUpIsNoTrap(t *testing.T) {
	s, f := newSite(t), &faults{}
	s.env.onCommit = f.onCommit
	db := s.open(t)
	b := &authn.Batch{Event: act("token.import")}
	for i := range 300 {
		tok := newToken(t, db, token.HOTP, i)
		b.Tokens = append(b.Tokens, tok)
		b.Accounts = append(b.Accounts, newAccount(fmt.Sprintf("u%d", i), tok))
	}
	var count, broken int
	f.set(func(commit func() error) error {
		if count++; count == 2 || broken > 0 && broken < 3 { // the chunk, and the first probes
			broken++
			return errDisk
		}
		return commit()
	})
	if err := db.Import(context.Background(), b, nil); !errors.Is(err, ErrFault) {
		t.Fatalf("an import over a fault: %v", err)
	}
	recovered(t, db)
	create := func(i int) error {
		tok := *b.Tokens[i]
		tok.ID++
		a := newAccount(fmt.Sprintf("u%d", i), &tok)
		return update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
			return authn.Change{Event: act("token.import"), Accounts: []*authn.Account{a}, Tokens: []*token.Token{&tok}}, nil
		})
	}
	if err := create(0); err != nil && !errors.Is(err, ErrSeedTaken) && !errors.Is(err, ErrSerialTaken) && !errors.Is(err, ErrUserTaken) {
		t.Errorf("a row that is in the way: %v", err)
	}
	if err := db.Healthy(); err != nil {
		t.Errorf("it brought the database down: %v", err)
	}
	eventually(t, "the rows are gone", func() bool { return create(1) == nil })
}

func TestSessions(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	rec := &authn.Session{NAS: "vpn", Client: "gw", ID: "00A1", Status: 1, At: time.Now(), Name: []byte("tomoko"), Framed: netip.MustParseAddr("10.0.0.1"), In: 1 << 63}
	for range 3 {
		saveSession(t, db, rec)
	}
	rec.Status = 2
	saveSession(t, db, rec)
	var n int
	if err := other(t, db).QueryRow(`select count(*) from session`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func saveSession(t *testing.T, db *DB, rec *authn.Session) {
	t.Helper()
	result := make(chan error, 1)
	if err := db.SaveSession(rec, func(err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

func TestRatchet(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	addr := netip.MustParseAddr("192.0.2.1")
	wait := func(call func(done func(error)) error) {
		t.Helper()
		result := make(chan error, 1)
		if err := call(func(err error) { result <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	}
	wait(func(done func(error)) error { return db.RaiseRatchet("gw", addr, done) })
	closeDB(t, db)
	db = s.open(t)
	if !db.RatchetRaised("gw", addr) || db.RatchetRaised("other", addr) || len(db.Ratchets()) != 1 {
		t.Error("the ratchet is not kept over a restart")
	}
	wait(func(done func(error)) error { return db.ReleaseRatchet("gw", addr, act("client.release-ma"), done) })
	if err := db.ReleaseRatchet("gw", addr, act("client.release-ma"), nil); !errors.Is(err, authn.ErrNotFound) {
		t.Errorf("released twice: %v", err)
	}
	closeDB(t, db)
	if db = s.open(t); db.RatchetRaised("gw", addr) {
		t.Error("the release is not kept over a restart")
	}
}

func TestVerdictsAndNonces(t *testing.T) {
	s := newSite(t)
	now := time.Now()
	s.env.Now = func() time.Time { return now }
	db := s.open(t)
	login := func(n byte, at time.Time) {
		t.Helper()
		err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
			return authn.Change{Event: &authn.Event{At: at, Kind: authn.LoginEvent, Verdict: authn.Reject, Reason: authn.WrongCode, Digest: [16]byte{n}, Nonce: [12]byte{n}}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	login(1, now)
	now = now.Add(70 * time.Second)
	login(2, now)
	if db.Verdict([16]byte{2}, now, new(authn.Event)) {
		t.Error("a verdict of this very start")
	}
	closeDB(t, db)
	now = now.Add(10 * time.Second)
	db = s.open(t)
	if db.Verdict([16]byte{1}, now, new(authn.Event)) {
		t.Error("a verdict of more than 60 s ago")
	}
	var ev authn.Event
	if ok := db.Verdict([16]byte{2}, now, &ev); !ok || ev.Reason != authn.WrongCode {
		t.Errorf("the verdict of 10 s ago: %+v, %v", ev, ok)
	}
	_ = db.View(authn.Keys{}, func(h *authn.Held) {
		if !h.Spent([12]byte{1}) || !h.Spent([12]byte{2}) || h.Spent([12]byte{3}) {
			t.Error("States spent within 120 s are not known after a restart")
		}
	})
	if db.Verdict([16]byte{2}, now.Add(time.Minute), &ev) {
		t.Error("a verdict that has grown old")
	}
	db.verdicts.Store(nil)
	if db.Verdict([16]byte{2}, now, new(authn.Event)) {
		t.Error("a verdict after all were dropped")
	}
}

func TestLoginsAndFollow(t *testing.T) {
	db := newSite(t).open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a, b := newAccount("ann", tok), newAccount("ben", tok)
	create(t, db, []*authn.Account{a, b}, tok)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	followed := make(chan []uint64, 1)
	go func() {
		var seqs []uint64
		for ev, err := range db.Follow(ctx, 1) {
			if err != nil {
				break
			}
			if seqs = append(seqs, ev.Seq); len(seqs) == 200 {
				break
			}
		}
		followed <- seqs
	}()
	for i := range int64(100) {
		for _, x := range []*authn.Account{a, b} {
			if _, err := burn(db, x.ID, tok.ID, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	for what, c := range map[string]struct {
		f    LoginFilter
		want int
	}{
		"all":      {LoginFilter{Limit: 1000}, 200},
		"acts too": {LoginFilter{Limit: 1000, Acts: true}, 201},
		"one":      {LoginFilter{Limit: 1000, Account: a.ID}, 100},
		"by name":  {LoginFilter{Limit: 1000, Name: []byte("ben")}, 100},
		"refused":  {LoginFilter{Limit: 1000, Reason: authn.AlreadyUsed}, 100},
		"client":   {LoginFilter{Limit: 1000, Client: "nobody"}, 0},
		"page":     {LoginFilter{Before: 50, Limit: 7}, 7},
		"future":   {LoginFilter{Since: time.Now().Add(time.Hour)}, 0},
	} {
		got, err := db.Logins(ctx, c.f)
		if err != nil || len(got) != c.want {
			t.Errorf("%s: %d events, want %d (%v)", what, len(got), c.want, err)
		}
		if what == "page" && (got[0].Seq != 49 || string(got[0].Personal.Name) == "") {
			t.Errorf("page: %+v", got[0])
		}
	}
	seqs := <-followed
	for i, seq := range seqs {
		if seq != uint64(i+2) {
			t.Fatalf("followed %v", seqs)
		}
	}
	if len(seqs) != 200 {
		t.Errorf("followed %d events", len(seqs))
	}
}

// TestDirectory folds every spelling of a name to one account, or to none (B18).
func TestDirectory(t *testing.T) {
	db := newSite(t).open(t)
	a := &authn.Account{ID: 5, Directory: "vpn", External: "straße", Name: "Straße"}
	folded, err := FoldName([]byte("Straße"))
	if err != nil {
		t.Fatal(err)
	}
	a.External = folded
	create(t, db, []*authn.Account{a})
	d := db.Directory("vpn")
	for _, name := range []string{"Straße", "STRASSE", "strasse", " straße ", "ＳＴＲＡＳＳＥ", "STRAẞE"} {
		u, ok := d.Peek([]byte(name), time.Now())
		if !ok || db.AccountOf(u.Directory, u.ID) != a.ID {
			t.Errorf("%q is not found", name)
		}
	}
	for _, name := range []string{"", " ", "stra\x00sse", "stra\xffe", "strase", strings.Repeat("x", 254), "strasse\n"[:7] + "\x07"} {
		if _, err := d.Lookup(context.Background(), []byte(name)); !errors.Is(err, authn.ErrUnknownUser) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if r, err := d.Authenticate(context.Background(), &authn.User{}, authn.NewSecret([]byte("x"))); err == nil || r.OK {
		t.Error("a directory without passwords took one")
	}
}

// TestCanary looks for what must not lie in clear in the database's files (I6, S25).
func TestCanary(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	seed := []byte("canary-seed-0123456789")
	tok := sealedToken(t, db, token.HOTP, "SN1", seed)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Event: &authn.Event{At: time.Now(), Kind: authn.LoginEvent, Personal: authn.Personal{Name: []byte("canary-name"), Station: []byte("canary-station"), Source: netip.MustParseAddrPort("203.0.113.77:4242")}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	saveSession(t, db, &authn.Session{NAS: "n", ID: "i", Name: []byte("canary-user"), Raw: []byte("canary-raw")})
	look := func() {
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(s.cfg.Path + suffix)
			if err != nil {
				continue
			}
			for _, secret := range [][]byte{seed, []byte("canary-"), {203, 0, 113, 77}} {
				if bytes.Contains(b, secret) {
					t.Errorf("%q lies in clear in the database%s", secret, suffix)
				}
			}
			if !bytes.Contains(b, []byte("SN1")) && suffix == "" && db.Healthy() != nil {
				t.Error("the search finds nothing at all")
			}
		}
	}
	look()
	closeDB(t, db)
	look()
	for _, ext := range []string{"", ".lock"} {
		if st, err := os.Stat(s.cfg.Path + ext); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s: %v, %v", ext, st.Mode(), err)
		}
	}
}

func TestKeyed(t *testing.T) {
	db := newSite(t).open(t)
	a := db.Keyed(1, []byte("ab"), []byte("c"))
	for _, other := range [][16]byte{db.Keyed(2, []byte("ab"), []byte("c")), db.Keyed(1, []byte("a"), []byte("bc")), db.Keyed(1, []byte("abc")), db.Keyed(1)} {
		if other == a {
			t.Error("two uses give one hash")
		}
	}
	if db.Keyed(1, []byte("ab"), []byte("c")) != a {
		t.Error("the same gives another hash")
	}
}

func TestMetrics(t *testing.T) {
	s := newSite(t)
	r := prometheus.NewRegistry()
	s.env.Metrics = r
	db := s.open(t)
	create(t, db, nil, newToken(t, db, token.HOTP, 1))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{"sekisho_tokens in use": 1, "sekisho_storage_healthy": 1, "sekisho_storage_events_total": 1,
		"sekisho_storage_commit_entries": 1, "sekisho_storage_queue_entries": 0} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v, want %v", name, v, want)
		}
	}
	closeDB(t, db)
	if families, err := r.Gather(); err != nil || len(families) != 0 {
		t.Errorf("metrics after Close: %d, %v", len(families), err)
	}
}
