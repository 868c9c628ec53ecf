package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// typed saves a login of a name, of an account or of nobody, at a moment, and gives its number.
func typed(t *testing.T, db *DB, account authn.AccountID, name string, at time.Time) uint64 {
	t.Helper()
	ev := &authn.Event{At: at, Kind: authn.LoginEvent, Account: account, Client: "gw", Verdict: authn.Reject, Step: token.NoStep,
		Personal: authn.Personal{Name: []byte(name), Source: netip.MustParseAddrPort("192.0.2.9:99"), Station: []byte("203.0.113.4")}}
	var seq uint64
	if err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) { return authn.Change{Event: ev}, nil }); err != nil {
		t.Fatal(err)
	}
	seq = ev.Seq
	return seq
}

// personal gives what is kept about the person of each event.
func personal(t *testing.T, db *DB) map[uint64]authn.Personal {
	t.Helper()
	events, err := db.Logins(context.Background(), LoginFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]authn.Personal{}
	for _, e := range events {
		all[e.Seq] = e.Personal
	}
	return all
}

func verified(t *testing.T, db *DB) Verified {
	t.Helper()
	v, err := db.VerifyChain(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Differ) > 0 {
		t.Fatal(v.Differ)
	}
	return v
}

func sessionPeople(t *testing.T, db *DB) (named, all int) {
	t.Helper()
	if err := other(t, db).QueryRow("select count(*) filter (where personal <> x''), count(*) from session").Scan(&named, &all); err != nil {
		t.Fatal(err)
	}
	return named, all
}

var erased = authn.Personal{}

func same(a, b authn.Personal) bool {
	return bytes.Equal(a.Name, b.Name) && a.Source == b.Source && bytes.Equal(a.Station, b.Station) && a.Hashed == b.Hashed
}

// TestErase takes one person out of the journal and of the accounting records and nobody else; the chain says so (S25).
func TestErase(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	now := time.Now()
	tok := newToken(t, db, token.HOTP, 1)
	a, b := newAccount("hana", tok), newAccount("ken")
	create(t, db, []*authn.Account{a, b}, tok)
	mine := []uint64{
		typed(t, db, 0, "HANA", now),                 // before the account
		typed(t, db, a.ID, "corp\\hana", now),        // under the account
		typed(t, db, 0, "CORP\\Hana", now),           // the same spelling, of nobody
		typed(t, db, 0, "hana.old@example", now),     // a spelling that the caller knows
		typed(t, db, 0, "gone", now.Add(-25*3600e9)), // hashed by then
	}
	others := []uint64{typed(t, db, b.ID, "ken", now), typed(t, db, 0, "hanako", now), typed(t, db, b.ID, "hana", now)}
	for i, name := range []string{"hana", "ken"} {
		saveSession(t, db, &authn.Session{NAS: "n", ID: fmt.Sprint(i), Name: []byte(name), Received: now})
	}
	if _, err := db.Retain(context.Background(), Keep{Events: 400 * 24 * time.Hour, Origins: 90 * 24 * time.Hour}, now.Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	before := personal(t, db)
	told := uint64(0)
	by := &authn.Event{At: now, Actor: "root", Detail: "x"}
	e, err := db.Erase(context.Background(), a.ID, [][]byte{[]byte("hana"), []byte("hana.old@EXAMPLE"), []byte("gone")}, by, func(done, total uint64) { told = done*1000 + total })
	if err != nil || e.Events != len(mine) || e.Sessions != 1 || told == 0 {
		t.Fatalf("%+v, %v, told %d", e, err, told)
	}
	after := personal(t, db)
	for _, seq := range mine {
		if !same(after[seq], erased) || same(before[seq], erased) {
			t.Errorf("event %d: %+v, before %+v", seq, after[seq], before[seq])
		}
	}
	for _, seq := range others {
		if !same(after[seq], before[seq]) {
			t.Errorf("event %d of somebody else: %+v", seq, after[seq])
		}
	}
	if named, all := sessionPeople(t, db); named != 1 || all != 2 {
		t.Errorf("%d of %d accounting records name somebody", named, all)
	}
	if v := verified(t, db); v.Erased != len(mine) || v.Reduced != 1 {
		t.Errorf("%+v", v)
	}
	acts, err := db.Logins(context.Background(), LoginFilter{Acts: true, Account: a.ID, Limit: 2})
	if err != nil || acts[0].Act != "user.erased" || acts[1].Act != "user.erase" || acts[0].Actor != "root" || !strings.Contains(acts[0].Detail, "5 events, 1 accounting") {
		t.Errorf("%+v, %v", acts, err)
	}
	again, err := db.Erase(context.Background(), a.ID, [][]byte{[]byte("hana")}, by, nil)
	if err != nil || again != (Erasure{}) {
		t.Errorf("again: %+v, %v", again, err)
	}
	closeDB(t, db)
	verified(t, s.open(t))
}

// TestEraseLeavesNothing looks for the sealed octets themselves: neither the file nor its WAL holds them afterwards.
func TestEraseLeavesNothing(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	a := newAccount("u")
	create(t, db, []*authn.Account{a})
	long := strings.Repeat("x", 4000) // its row has pages of its own
	seq := typed(t, db, a.ID, long, time.Now())
	var sealed []byte
	if err := other(t, db).QueryRow("select personal from journal where first_seq = ?", int64(seq)).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	holds := func() bool {
		for _, end := range []string{"", "-wal"} {
			if b := readFile(t, s.cfg.Path+end); bytes.Contains(b, sealed[100:160]) {
				return true
			}
		}
		return false
	}
	if !holds() {
		t.Fatal("the search finds nothing at all")
	}
	if _, err := db.Erase(context.Background(), a.ID, nil, act("x"), nil); err != nil {
		t.Fatal(err)
	}
	if holds() {
		t.Error("the erased octets are still there")
	}
}

// TestEraseCut stops an erasure in the middle by a fault of the disk; done again it is whole.
func TestEraseCut(t *testing.T) {
	s, db, f, a, _ := withFaults(t)
	now := time.Now()
	var mine []uint64
	for range 4 * passRows {
		mine = append(mine, typed(t, db, a.ID, "u", now))
	}
	n := 0
	f.set(func(commit func() error) error {
		if n++; n == 4 { // the act and two chunks came through
			return errDisk
		}
		return commit()
	})
	if _, err := db.Erase(context.Background(), a.ID, nil, act("x"), nil); !errors.Is(err, ErrFault) {
		t.Fatal(err)
	}
	recovered(t, db)
	left := 0
	for seq, p := range personal(t, db) {
		if seq >= mine[0] && !same(p, erased) {
			left++
		}
	}
	if left == 0 || left == len(mine) {
		t.Fatalf("%d of %d are left: it was not cut in the middle", left, len(mine))
	}
	verified(t, db)
	closeDB(t, db)
	db = s.open(t)
	if _, err := db.Erase(context.Background(), a.ID, nil, act("x"), nil); err != nil {
		t.Fatal(err)
	}
	for seq, p := range personal(t, db) {
		if !same(p, erased) {
			t.Errorf("event %d: %+v", seq, p)
		}
	}
	verified(t, db)
}

// TestEraseUnderLogins erases while people log in: all of them are answered, each code once, and the erased stay erased.
func TestEraseUnderLogins(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	var accounts []*authn.Account
	var tokens []*token.Token
	for i := range 4 {
		tokens = append(tokens, newToken(t, db, token.HOTP, i))
		accounts = append(accounts, newAccount(fmt.Sprintf("u%d", i), tokens[i]))
	}
	create(t, db, accounts, tokens...)
	for range 200 {
		typed(t, db, accounts[0].ID, "u0", time.Now())
	}
	stop := make(chan struct{})
	var logins sync.WaitGroup
	for i := 1; i < 4; i++ {
		logins.Go(func() {
			for step := int64(0); ; step++ {
				select {
				case <-stop:
					return
				default:
				}
				if ok, err := burn(db, accounts[i].ID, tokens[i].ID, step); !ok || err != nil {
					t.Errorf("step %d: %v, %v", step, ok, err)
					return
				}
			}
		})
	}
	e, err := db.Erase(context.Background(), accounts[0].ID, nil, act("x"), nil)
	close(stop)
	logins.Wait()
	if err != nil || e.Events != 200 {
		t.Errorf("%+v, %v", e, err)
	}
	verified(t, db)
}

// TestRetain lets names of nobody, addresses and events pass away, each at its age, and keeps what a code must not open
// twice by (S25).
func TestRetain(t *testing.T) {
	s := newSite(t)
	s.cfg.FlushEvents = 1
	clock := time.Now().Add(-500 * 24 * time.Hour)
	s.env.Now = func() time.Time { return clock }
	db := s.open(t)
	tok, gone := newToken(t, db, token.HOTP, 1), newToken(t, db, token.HOTP, 2)
	a := newAccount("u", tok, gone)
	create(t, db, []*authn.Account{a}, tok, gone)
	if ok, err := burn(db, a.ID, tok.ID, 41); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := burn(db, a.ID, gone.ID, 17); !ok || err != nil {
		t.Fatal(ok, err)
	}
	err := update(db, authn.Keys{Tokens: []token.ID{gone.ID}}, func(h *authn.Held) (authn.Change, error) {
		x := *h.Tokens[0]
		x.State, x.Sealed = token.Destroyed, token.SealedSeed{}
		return authn.Change{Event: act("token.destroy"), Tokens: []*token.Token{&x}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	begin := clock
	on := func(day int) time.Time { return begin.Add(time.Duration(day) * 24 * time.Hour) }
	var mine, nobodys []uint64
	days := []int{0, 150, 420, 499, 500} // the passes below stand in the middle of day 500
	for _, day := range days {
		clock = on(day)
		mine = append(mine, typed(t, db, a.ID, "u", clock))
		nobodys = append(nobodys, typed(t, db, 0, "Secret-by-mistake", clock))
		saveSession(t, db, &authn.Session{NAS: "n", ID: fmt.Sprint(day), Name: []byte("u"), Received: clock})
	}
	clock = on(500).Add(12 * time.Hour)
	flushedTo := func() (n uint64) {
		if err := other(t, db).QueryRow("select flushed from meta").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "the flush", func() bool { return flushedTo() >= nobodys[4] })
	keep := Keep{Events: 400 * 24 * time.Hour, Origins: 90 * 24 * time.Hour}
	kept, err := db.Retain(context.Background(), keep, clock)
	if err != nil || kept.Cut != nobodys[0] || kept.Sessions != 1 || kept.Hashed != 4 {
		t.Fatalf("%+v, %v", kept, err)
	}
	check := func(db *DB) {
		t.Helper()
		people := personal(t, db)
		for i, want := range []struct{ there, origin, name bool }{{}, {there: true}, {true, true, false}, {true, true, false}, {true, true, true}} {
			p, there := people[mine[i]]
			if there != want.there || there && (string(p.Name) != "u" || p.Source.IsValid() != want.origin || (len(p.Station) > 0) != want.origin) {
				t.Errorf("day %d: %+v, %v", days[i], p, there)
			}
			q, there := people[nobodys[i]]
			if there != want.there || there && ((len(q.Name) > 0) != want.name || (q.Hashed != [16]byte{}) == want.name || q.Source.IsValid() != want.origin) {
				t.Errorf("day %d, nobody: %+v, %v", days[i], q, there)
			}
		}
		if named, all := sessionPeople(t, db); named != 3 || all != 4 {
			t.Errorf("%d of %d accounting records name somebody", named, all)
		}
		v := verified(t, db)
		if v.Cut != nobodys[0] || v.CutAt.IsZero() || v.Reduced != 4 || v.Erased != 0 {
			t.Errorf("%+v", v)
		}
		if ok, err := burn(db, a.ID, tok.ID, 41); ok || err != nil {
			t.Errorf("the step of an event that is gone: %v, %v", ok, err)
		}
		if last := db.state.Load().tombstones[gone.Fingerprint]; last != 17 {
			t.Errorf("the tombstone says %d", last)
		}
	}
	check(db)
	found, err := db.Logins(context.Background(), LoginFilter{Name: []byte("secret-by-MISTAKE")})
	if err != nil || len(found) != 3 {
		t.Errorf("the name of nobody is found %d times, %v", len(found), err)
	}
	if again, err := db.Retain(context.Background(), keep, clock); err != nil || again != (Kept{}) {
		t.Errorf("again: %+v, %v", again, err)
	}
	closeDB(t, db)
	db = s.open(t)
	check(db)

	// Whatever is wanted, the last day stays, and so does the newest event, on which the chain hangs.
	if kept, err := db.Retain(context.Background(), Keep{}, clock); err != nil || kept.Cut < nobodys[3] || kept.Cut >= mine[4] {
		t.Errorf("%+v, %v", kept, err)
	}
	if p := personal(t, db); string(p[mine[4]].Name) != "u" || !p[mine[4]].Source.IsValid() {
		t.Errorf("the last day was touched: %+v", p[mine[4]])
	}
	clock = on(600)
	eventually(t, "the flush", func() bool { return flushedTo() >= db.Seq() })
	if _, err := db.Retain(context.Background(), Keep{}, clock); err != nil {
		t.Fatal(err)
	}
	verified(t, db)
	closeDB(t, db)
	db = s.open(t)
	if ok, err := burn(db, a.ID, tok.ID, 42); !ok || err != nil {
		t.Error(ok, err)
	}
	verified(t, db)
}

// TestCutNeedsFlush: events that the rows do not hold yet stay, however old, because a start replays them.
func TestCutNeedsFlush(t *testing.T) {
	s := newSite(t)
	clock := time.Now().Add(-500 * 24 * time.Hour)
	s.env.Now = func() time.Time { return clock }
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	for step := range int64(5) {
		if ok, err := burn(db, a.ID, tok.ID, step); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	clock = time.Now()
	kept, err := db.Retain(context.Background(), Keep{}, clock)
	if err != nil || kept.Cut > 1 {
		t.Fatalf("%+v, %v", kept, err)
	}
	c := s.copySite(t) // as a crash leaves it
	if ok, err := burn(c.open(t), a.ID, tok.ID, 4); ok || err != nil {
		t.Errorf("a used step: %v, %v", ok, err)
	}
}

// TestRetainCut stops a pass by a fault of the disk at each commit of it in turn; whatever was done stands, the chain holds,
// and the next pass ends the work.
func TestRetainCut(t *testing.T) {
	for at := 1; ; at++ {
		s, db, f, a, tok := withFaults(t)
		for i := range 3 * passRows {
			typed(t, db, a.ID, "u", time.Now())
			if i == passRows {
				if ok, err := burn(db, a.ID, tok.ID, 3); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
		}
		closeDB(t, db)
		db = s.open(t) // everything is flushed
		now := time.Now().Add(1000 * time.Hour)
		n, failed := 0, false
		f.set(func(commit func() error) error {
			if n++; n == at {
				failed = true
				return errDisk
			}
			return commit()
		})
		_, err := db.Retain(context.Background(), Keep{}, now)
		f.set(nil)
		if !failed && err == nil {
			if at < 8 {
				t.Errorf("a pass has %d commits", at)
			}
			return
		}
		if !errors.Is(err, ErrFault) {
			t.Fatal(at, err)
		}
		recovered(t, db)
		verified(t, db)
		c := s.copySite(t)
		crashed := c.open(t)
		verified(t, crashed)
		if ok, err := burn(crashed, a.ID, tok.ID, 3); ok || err != nil {
			t.Errorf("a used step: %v, %v", ok, err)
		}
		kept, err := crashed.Retain(context.Background(), Keep{}, now)
		if err != nil {
			t.Errorf("the next pass: %+v, %v", kept, err)
		}
		verified(t, crashed)
	}
}

// TestHeads compares the chain with heads that left the machine: a chain that somebody with the key wrote anew is found.
func TestHeads(t *testing.T) {
	db := newSite(t).open(t)
	a := newAccount("u")
	create(t, db, []*authn.Account{a})
	var heads []Head
	for range 5 {
		typed(t, db, a.ID, "u", time.Now())
		seq, link := db.Position()
		heads = append(heads, Head{seq, link})
	}
	if v, err := db.VerifyChain(context.Background(), heads...); err != nil || v.Heads != 5 {
		t.Errorf("%+v, %v", v, err)
	}
	wrong := Head{heads[2].Seq, bytes.Repeat([]byte{1}, 32)}
	if _, err := db.VerifyChain(context.Background(), heads[0], wrong); !errors.Is(err, ErrHead) {
		t.Errorf("another link: %v", err)
	}
	if _, err := db.VerifyChain(context.Background(), Head{99, heads[0].Link}); !errors.Is(err, ErrChain) || !strings.Contains(err.Error(), "event 99") {
		t.Errorf("an event that left and is not there: %v", err)
	}
}

// TestRowsAgainstEvents sets rows back with SQL, as somebody without the keys can; verify names each (S24).
func TestRowsAgainstEvents(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	tok.Drift = 100 // takes more than one octet in its row
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	closeDB(t, db)
	early := s.copySite(t)
	db = s.open(t)
	if ok, err := burn(db, a.ID, tok.ID, 5); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := burn(db, a.ID, tok.ID, 5); ok || err != nil { // a miss counts
		t.Fatal(ok, err)
	}
	closeDB(t, db)
	verified(t, s.copySite(t).open(t))
	for _, try := range []struct{ change, names string }{
		{`update token_state set records = (select records from early.token_state)`, "token " + tok.ID.String() + ": event 2 used step 5"},
		{`update token_state set (seq, records) = (select seq, records from early.token_state)`, "used step 5"},
		{`update account_state set records = (select records from early.account_state)`, "account " + a.ID.String() + ": its row counts less"},
	} {
		c := s.copySite(t)
		f, err := openFile(context.Background(), c.cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{fmt.Sprintf("attach '%s' as early", early.cfg.Path), try.change} {
			if _, err := f.conn.ExecContext(context.Background(), text); err != nil {
				t.Fatal(text, err)
			}
		}
		f.close()
		v, err := c.open(t).VerifyChain(context.Background())
		if err != nil || len(v.Differ) != 1 || !strings.Contains(v.Differ[0], try.names) {
			t.Errorf("%s: %q, %v", try.change, v.Differ, err)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
