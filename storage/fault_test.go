package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/internal/testenv"
	"sekisho/token"
)

// faults stands between the program and COMMIT.
type faults struct {
	fail atomic.Pointer[func(commit func() error) error]
}

func (f *faults) onCommit(commit func() error) error {
	if fail := f.fail.Load(); fail != nil {
		return (*fail)(commit)
	}
	return commit()
}

func (f *faults) set(fail func(commit func() error) error) {
	if fail == nil {
		f.fail.Store(nil)
		return
	}
	f.fail.Store(&fail)
}

// times lets the first n commits end by fail.
func (f *faults) times(n int, fail func(commit func() error) error) {
	var left atomic.Int64
	left.Store(int64(n))
	f.set(func(commit func() error) error {
		if left.Add(-1) >= 0 {
			return fail(commit)
		}
		return commit()
	})
}

var errDisk = errors.New("input/output error")

// withFaults opens a database with one account and token whose commits can be made to fail.
func withFaults(t *testing.T) (*site, *DB, *faults, *authn.Account, *token.Token) {
	t.Helper()
	s, f := newSite(t), &faults{}
	s.env.onCommit = f.onCommit
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	return s, db, f, a, tok
}

// eventually waits for a condition that another goroutine brings about; the deadline only ends a test that has failed.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func recovered(t *testing.T, db *DB) {
	t.Helper()
	eventually(t, "recovery", func() bool { return db.Healthy() == nil })
}

// TestCommitFails is a commit of which nothing reaches the file (S6).
func TestCommitFails(t *testing.T) {
	s, db, f, a, tok := withFaults(t)
	seq := db.Seq()
	f.times(3, func(func() error) error { return errDisk }) // the commit and two probes
	ok, err := burn(db, a.ID, tok.ID, 10)
	if !ok || !errors.Is(err, ErrFault) || !errors.Is(err, errDisk) {
		t.Fatalf("burn: %v, %v", ok, err)
	}
	recovered(t, db)
	if db.Seq() != seq {
		t.Errorf("seq %d after a commit that failed, %d before", db.Seq(), seq)
	}
	if ok, err := burn(db, a.ID, tok.ID, 10); ok || err != nil {
		t.Errorf("the step burnt by the failed commit: accepted %v, %v", ok, err)
	}
	if ok, err := burn(db, a.ID, tok.ID, 11); !ok || err != nil {
		t.Errorf("the next step: accepted %v, %v", ok, err)
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
	before := image(db)
	closeDB(t, db)
	if after := image(s.open(t)); after != before {
		t.Errorf("reopened:\n%s\nwas:\n%s", after, before)
	}
}

// TestCountsSurviveFault lets a refusal's count be lost on disk and not in memory.
func TestCountsSurviveFault(t *testing.T) {
	_, db, f, a, tok := withFaults(t)
	if ok, err := burn(db, a.ID, tok.ID, 10); !ok || err != nil {
		t.Fatal(ok, err)
	}
	f.times(1, func(func() error) error { return errDisk })
	if _, err := burn(db, a.ID, tok.ID, 10); !errors.Is(err, ErrFault) {
		t.Fatal(err)
	}
	recovered(t, db)
	x, err := db.Account(a.ID)
	if err != nil || x.Guard.Row[0] != 1 {
		t.Errorf("row %d after the fault, want 1 (%v)", x.Guard.Row[0], err)
	}
}

// TestCommitUnknown is a commit that stands although it was reported as failed: read back, it is answered (S6).
func TestCommitUnknown(t *testing.T) {
	_, db, f, a, tok := withFaults(t)
	seq := db.Seq()
	f.times(1, func(commit func() error) error { return errors.Join(commit(), errDisk) })
	ok, err := burn(db, a.ID, tok.ID, 10)
	if !ok || err != nil || db.Seq() != seq+1 {
		t.Fatalf("burn: %v, %v; seq %d, was %d", ok, err, db.Seq(), seq)
	}
	recovered(t, db)
	logins, err := db.Logins(context.Background(), LoginFilter{})
	if err != nil || len(logins) != 1 || logins[0].Step != 10 {
		t.Errorf("logins %+v, %v", logins, err)
	}
	// The same without an event: an accounting record.
	f.times(1, func(commit func() error) error { return errors.Join(commit(), errDisk) })
	result := make(chan error, 1)
	if err := db.SaveSession(&authn.Session{NAS: "nas", ID: "1"}, func(err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("a session record that stands: %v", err)
	}
}

// TestFaultStopsAccepting holds the recovery and asks meanwhile.
func TestFaultStopsAccepting(t *testing.T) {
	_, db, f, a, tok := withFaults(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	calls := 0
	f.set(func(commit func() error) error {
		if calls++; calls == 1 {
			close(entered)
			<-leave
		}
		return errDisk
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := burn(db, a.ID, tok.ID, 10); !errors.Is(err, ErrFault) {
			t.Errorf("the attempt: %v", err)
		}
	})
	<-entered
	// These wait behind the commit that is going to fail; they were decided on what it would have saved.
	for i := range 20 {
		wg.Go(func() {
			if _, err := burn(db, a.ID, tok.ID, int64(11+i)); !errors.Is(err, ErrFault) {
				t.Errorf("behind the attempt: %v", err)
			}
		})
	}
	eventually(t, "twenty wait", func() bool { return db.queue.length() == 20 })
	close(leave)
	wg.Wait()
	if err := db.Healthy(); err == nil {
		t.Error("healthy while no commit succeeds")
	}
	ran := false
	err := db.Update(authn.Keys{}, func(*authn.Held) (authn.Change, error) { ran = true; return authn.Change{}, nil }, nil)
	if !errors.Is(err, ErrFault) || ran {
		t.Errorf("update during the fault: %v, f ran: %v", err, ran)
	}
	f.set(nil)
	recovered(t, db)
	if ok, err := burn(db, a.ID, tok.ID, 100); !ok || err != nil {
		t.Errorf("after recovery: %v, %v", ok, err)
	}
}

// TestCloseDuringFault must not wait for a disk that never comes back.
func TestCloseDuringFault(t *testing.T) {
	_, db, f, a, tok := withFaults(t)
	f.set(func(func() error) error { return errDisk })
	if _, err := burn(db, a.ID, tok.ID, 10); err == nil {
		t.Fatal("accepted")
	}
	closeDB(t, db)
	if _, err := burn(db, a.ID, tok.ID, 11); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrFault) {
		t.Errorf("after Close: %v", err)
	}
}

// other opens the file beside the DB, as nobody should.
func other(t *testing.T, db *DB) *sql.DB {
	t.Helper()
	o, err := sql.Open("sqlite", dsn(db.cfg.Path, false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// TestStatementError lets one of many changes fail by itself (S7).
func TestStatementError(t *testing.T) {
	_, db, f, a, tok := withFaults(t)
	if _, err := other(t, db).Exec(`create trigger bad before insert on session when new.client = 'bad' begin select raise(abort, 'no'); end`); err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.set(func(commit func() error) error {
		once.Do(func() { close(entered); <-leave })
		return commit()
	})
	results := make(chan string, 100)
	save := func(client string, i int) {
		err := db.SaveSession(&authn.Session{NAS: "nas", ID: fmt.Sprint(i), Client: client}, func(err error) { results <- fmt.Sprintf("%s %v", client, err == nil) })
		if err != nil {
			t.Error(err)
		}
	}
	save("good", 0)
	<-entered // the rest gathers in one batch
	for i := 1; i <= 10; i++ {
		save("good", i)
	}
	save("bad", 11)
	done := make(chan error, 1)
	var ok bool
	if err := db.Update(authn.Keys{Accounts: []authn.AccountID{a.ID}}, loginOf(a.ID, tok.ID, 5, &ok), func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	close(leave)
	count := map[string]int{}
	for range 12 {
		count[<-results]++
	}
	if err := <-done; err != nil || !ok {
		t.Errorf("the login in the same batch: %v, %v", ok, err)
	}
	if count["good true"] != 11 || count["bad false"] != 1 || db.Healthy() != nil {
		t.Errorf("%v, healthy: %v", count, db.Healthy())
	}
}

// TestActRefused takes an act back whose row the database refuses, with what was decided on it.
func TestActRefused(t *testing.T) {
	_, db, _, a, tok := withFaults(t)
	if _, err := other(t, db).Exec(`create trigger bad before insert on account when new.name = 'bad' begin select raise(abort, 'no'); end`); err != nil {
		t.Fatal(err)
	}
	before := image(db)
	bad := newAccount("bad", tok)
	err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Event: act("test.bad"), Accounts: []*authn.Account{bad}}, nil
	})
	if err == nil {
		t.Fatal("the act was acknowledged")
	}
	recovered(t, db)
	if after := image(db); after != before {
		t.Errorf("memory after a refused act:\n%s\nwas:\n%s", after, before)
	}
	if ok, err := burn(db, a.ID, tok.ID, 1); !ok || err != nil {
		t.Errorf("afterwards: %v, %v", ok, err)
	}
}

// TestFenced lets another process take the file over although the lock should have kept it out.
func TestFenced(t *testing.T) {
	_, db, _, a, tok := withFaults(t)
	if _, err := other(t, db).Exec(`update meta set incarnation = x'00'`); err != nil {
		t.Fatal(err)
	}
	if _, err := burn(db, a.ID, tok.ID, 5); !errors.Is(err, errFenced) || !errors.Is(db.Healthy(), errFenced) {
		t.Errorf("a commit under another incarnation: %v; health: %v", err, db.Healthy())
	}
}

// TestDiskFull fills a small file system: the ballast lets the database recover once, room made by hand lets it recover
// again, and no acknowledged step is lost (B55).
func TestDiskFull(t *testing.T) {
	testenv.NeedRoot(t)
	s := newSite(t)
	small := filepath.Join(s.dir, "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=12m"); err != nil {
		testenv.LeaveOut(t, "mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	s.cfg.Path, s.cfg.Ballast = filepath.Join(small, "sekisho.db"), 3
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	if _, err := os.Stat(db.ballast.path); err != nil {
		t.Fatalf("no ballast: %v", err)
	}
	filler := filepath.Join(small, "filler")
	cycles := 2
	if os.Getenv("SEKISHO_PROOF") == "1" {
		cycles = 15
	} else {
		t.Logf("%d cycles; 15 with SEKISHO_PROOF=1", cycles)
	}
	step, acked := int64(0), map[int64]bool{}
	try := func() error {
		step++
		ok, err := burn(db, a.ID, tok.ID, step)
		if ok && err == nil {
			acked[step] = true
		}
		return err
	}
	failures := 0
	for range cycles {
		// The disk fills; the ballast lets logins go on while it is still full.
		fill(t, filler)
		for failed := false; !failed; {
			failed = try() != nil
		}
		failures++
		recovered(t, db)
		if _, err := os.Stat(db.ballast.path); err == nil {
			t.Error("the ballast is still there")
		}
		for range 20 {
			if err := try(); err != nil {
				t.Errorf("on the room of the ballast: %v", err)
			}
		}
		// That room fills too: now nothing goes until somebody makes some.
		fill(t, filler+"2")
		for db.Healthy() == nil {
			if try() != nil {
				failures++
				fill(t, filler+"3")
			}
		}
		if err := errors.Join(os.Remove(filler), os.Remove(filler+"2"), os.Remove(filler+"3")); err != nil {
			t.Fatal(err)
		}
		recovered(t, db)
		if err := try(); err != nil {
			t.Errorf("after room was made: %v", err)
		}
		eventually(t, "the ballast is back", func() bool { st, err := os.Stat(db.ballast.path); return err == nil && st.Size() == db.ballast.size })
	}
	closeDB(t, db)
	db = s.open(t)
	logins := allLogins(t, db)
	for _, ev := range logins {
		delete(acked, ev.Step)
	}
	if len(acked) != 0 {
		t.Errorf("%d acknowledged steps are not in the journal", len(acked))
	}
	t.Logf("%d cycles, %d attempts, %d failed commits, no acknowledged step lost", cycles, step, failures)
	closeDB(t, db)
}

// fill takes all room that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 16; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	_ = f.Close()
}

func allLogins(t *testing.T, db *DB) []authn.Event {
	t.Helper()
	var all []authn.Event
	before := uint64(0)
	for {
		page, err := db.Logins(context.Background(), LoginFilter{Before: before, Limit: maxList})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < maxList {
			return all
		}
		before = page[len(page)-1].Seq
	}
}

// TestLowSpace refuses acts and takes logins.
func TestLowSpace(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	closeDB(t, db)
	s.cfg.FreeSpace = 1 << 40 // MiB: more than any disk has
	db = s.open(t)
	if ok, err := burn(db, a.ID, tok.ID, 1); !ok || err != nil {
		t.Errorf("a login below the watermark: %v, %v", ok, err)
	}
	err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		ev := &authn.Event{At: time.Now(), Kind: authn.LoginEvent, Verdict: authn.Accept, Reason: authn.OKExempt, Step: token.NoStep}
		return authn.Change{Event: ev, Accounts: []*authn.Account{newAccount("exempt")}}, nil
	})
	if err != nil {
		t.Errorf("the first login of an exempt person below the watermark: %v", err)
	}
	err = update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Event: act("x"), Accounts: []*authn.Account{newAccount("v")}}, nil
	})
	if !errors.Is(err, ErrLowSpace) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("an act below the watermark: %v", err)
	}
	if err := db.Import(context.Background(), &authn.Batch{Event: act("token.import")}, nil); !errors.Is(err, ErrLowSpace) {
		t.Errorf("an import below the watermark: %v", err)
	}
}
