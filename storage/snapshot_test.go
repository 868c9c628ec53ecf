package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/authn"
	"sekisho/token"
)

// padded makes the database so large that a copy takes many steps.
func padded(t *testing.T, db *DB, tokens int) {
	t.Helper()
	a := newAccount("many")
	var all []*token.Token
	for n := range tokens {
		all = append(all, newToken(t, db, token.HOTP, 1000+n))
	}
	create(t, db, []*authn.Account{a}, all...)
}

// TestSnapshotUnderLogins copies while logins go on: the copy is whole, holds a moment between call and return, and every
// login is answered once.
func TestSnapshotUnderLogins(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	padded(t, db, 8000)
	const people = 8
	var accounts []*authn.Account
	var tokens []*token.Token
	for n := range people {
		tok := newToken(t, db, token.HOTP, n)
		tokens, accounts = append(tokens, tok), append(accounts, newAccount(string(rune('a'+n)), tok))
	}
	create(t, db, accounts, tokens...)
	stop := make(chan struct{})
	var logins sync.WaitGroup
	var done atomic.Int64
	for n := range people {
		logins.Go(func() {
			for step := int64(1); ; step++ {
				select {
				case <-stop:
					return
				default:
				}
				if ok, err := burn(db, accounts[n].ID, tokens[n].ID, step); !ok || err != nil {
					t.Errorf("step %d: %v, %v", step, ok, err)
					return
				}
				done.Add(1)
			}
		})
	}
	eventually(t, "logins", func() bool { return done.Load() > 50 })
	before := db.Seq()
	path := filepath.Join(s.dir, "copy.db")
	steps := 0
	meanwhile := done.Load()
	seq, err := db.Snapshot(context.Background(), path, func(at, total int) {
		if at > total || total == 0 {
			t.Errorf("%d pages of %d", at, total)
		}
		if steps++; steps == 2 { // the copy is surely under way while these go on
			from := done.Load()
			eventually(t, "logins during the copy", func() bool { return done.Load() > from+100 })
		}
	})
	after := db.Seq()
	if done.Load() == meanwhile {
		t.Error("nobody got in meanwhile")
	}
	close(stop)
	logins.Wait()
	if err != nil || steps < 5 {
		t.Fatalf("%d steps, %v", steps, err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	checked, err := CheckCopy(context.Background(), path)
	if err != nil || checked != seq || seq < before+100 || seq > after {
		t.Errorf("the copy ends at event %d, want %d to %d (%v)", seq, before+100, after, err)
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
	closeDB(t, db)

	// It opens as a database of another machine, with every event up to its end.
	other := *s
	other.cfg.Path, other.cfg.Mark = path, filepath.Join(s.dir, "copy.mark")
	if _, err := Adopt(context.Background(), other.cfg, s.outer, s.env, "root", 1); err != nil {
		t.Fatal(err)
	}
	copied := other.open(t)
	if _, err := copied.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
	if copied.Seq() != seq+1 {
		t.Errorf("it goes on at %d, want %d", copied.Seq(), seq+1)
	}
}

// TestSnapshotEnds are the ways in which a copy ends early: each leaves no file and a database that goes on.
func TestSnapshotEnds(t *testing.T) {
	s, db, f, a, tok := withFaults(t)
	padded(t, db, 1000)
	path := filepath.Join(s.dir, "copy.db")
	gone := func(what string) {
		t.Helper()
		left, err := filepath.Glob(path + "*")
		if err != nil || len(left) > 0 {
			t.Errorf("%s: %v are left, %v", what, left, err)
		}
	}
	step := int64(100)
	once := func(do func()) func(int, int) {
		var o sync.Once
		return func(int, int) { o.Do(do) }
	}

	_, err := db.Snapshot(context.Background(), path, once(func() {
		if _, err := db.Snapshot(context.Background(), path+".2", nil); !errors.Is(err, ErrSnapshotBusy) {
			t.Errorf("a second one: %v", err)
		}
		f.times(1, func(func() error) error { return errDisk })
		if _, err := burn(db, a.ID, tok.ID, step); !errors.Is(err, ErrFault) {
			t.Errorf("burn: %v", err)
		}
		recovered(t, db)
	}))
	if !errors.Is(err, errSnapshotCut) {
		t.Errorf("over a recovery: %v", err)
	}
	gone("a recovery")

	ctx, cancel := context.WithCancel(context.Background())
	if _, err := db.Snapshot(ctx, path, once(cancel)); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	gone("giving up")

	db.lowSpace.Store(true)
	if _, err := db.Snapshot(context.Background(), path, nil); !errors.Is(err, ErrSnapshotRoom) {
		t.Errorf("with a full disk: %v", err)
	}
	db.lowSpace.Store(false)
	gone("a full disk")

	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Snapshot(context.Background(), path, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("onto a file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file that was there: %q, %v", b, err)
	}
	_ = os.Remove(path)

	// After all of that one succeeds, and logins do too.
	if _, err := db.Snapshot(context.Background(), path, nil); err != nil {
		t.Error(err)
	}
	if ok, err := burn(db, a.ID, tok.ID, step+1); !ok || err != nil {
		t.Errorf("burn: %v, %v", ok, err)
	}
	_ = os.Remove(path)

	_, err = db.Snapshot(context.Background(), path, once(func() { closeDB(t, db) }))
	if !errors.Is(err, ErrClosed) {
		t.Errorf("over the end: %v", err)
	}
	gone("the end")
	s.open(t)
}

// TestSnapshotRoom is a disk on which the copy would not leave what the watermark wants.
func TestSnapshotRoom(t *testing.T) {
	s := newSite(t)
	s.cfg.FreeSpace = 1 << 40
	db := s.open(t)
	path := filepath.Join(s.dir, "copy.db")
	_, err := db.Snapshot(context.Background(), path, nil)
	if !errors.Is(err, ErrSnapshotRoom) || !strings.Contains(err.Error(), "are needed with the watermark") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made")
	}
}

// backedUp is a site with a copy of it, after which one more code of each token was used and the server stopped.
func backedUp(t *testing.T) (s *site, copied []byte, a *authn.Account, hotp, totp *token.Token, now time.Time) {
	t.Helper()
	s = newSite(t)
	db := s.open(t)
	hotp, totp = newToken(t, db, token.HOTP, 1), newToken(t, db, token.TOTP, 2)
	a = newAccount("u", hotp, totp)
	create(t, db, []*authn.Account{a}, hotp, totp)
	path := filepath.Join(s.dir, "copy.db")
	if _, err := db.Snapshot(context.Background(), path, nil); err != nil {
		t.Fatal(err)
	}
	now = time.Now()
	for id, step := range map[token.ID]int64{hotp.ID: 5, totp.ID: now.Unix() / 30} {
		if ok, err := burn(db, a.ID, id, step); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	closeDB(t, db)
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.env.Now = func() time.Time { return now }
	return s, copied, a, hotp, totp, now
}

func TestRestore(t *testing.T) {
	s, copied, a, hotp, totp, now := backedUp(t)
	if _, err := Restore(context.Background(), s.cfg, s.outer, s.env, bytes.NewReader(copied), false, "root", 1); !errors.Is(err, ErrPresent) {
		t.Fatalf("over a database: %v", err)
	}
	r, err := Restore(context.Background(), s.cfg, s.outer, s.env, bytes.NewReader(copied), true, "root", 1)
	if err != nil || r.Suspended != 1 || r.Raised != 1 || r.Epoch != 2 || r.Found != 1 || r.Seq != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	if st, err := os.Stat(r.Aside); err != nil || st.Size() == 0 {
		t.Errorf("the former database: %v", err)
	}
	db := s.open(t)
	x, err := db.Account(a.ID)
	if err != nil || x.Assignments[0].Standing != token.Suspended {
		t.Errorf("%+v, %v", x, err)
	}
	if ok, err := burn(db, a.ID, totp.ID, now.Unix()/30+1); ok || err != nil {
		t.Errorf("a step of the lost time: %v, %v", ok, err)
	}
	if k, err := db.Token(hotp.ID); err != nil || k.Token.Serial != hotp.Serial {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
	acts, err := db.Logins(context.Background(), LoginFilter{Acts: true, Limit: 5})
	found := false
	for _, e := range acts {
		found = found || e.Act == "storage.adopt" && bytes.Contains([]byte(e.Detail), []byte("the mark knew event 3"))
	}
	if err != nil || !found {
		t.Errorf("the event of the restore: %+v, %v", acts, err)
	}
	left, err := filepath.Glob(s.cfg.Path + ".restore*")
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestRestoreAnew is a machine where there is nothing yet.
func TestRestoreAnew(t *testing.T) {
	s, copied, _, _, _, _ := backedUp(t)
	for _, name := range []string{s.cfg.Path, s.cfg.Path + ".lock", s.cfg.Mark} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Restore(context.Background(), s.cfg, s.outer, s.env, bytes.NewReader(copied), false, "root", 1)
	if err != nil || r.Aside != "" || r.Seq != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	s.open(t)
}

// TestRestoreAsRoot gives what root makes to the owner of the data folder.
func TestRestoreAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	s, copied, _, _, _, _ := backedUp(t)
	const somebody = 65534
	for _, dir := range []string{filepath.Dir(s.cfg.Path), filepath.Dir(s.cfg.Mark)} {
		if err := os.Chown(dir, somebody, somebody); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Restore(context.Background(), s.cfg, s.outer, s.env, bytes.NewReader(copied), true, "root", 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{s.cfg.Path, s.cfg.Path + ".lock", s.cfg.Mark} {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil || st.Uid != somebody || st.Mode&0o077 != 0 {
			t.Errorf("%s: owner %d, mode %o, %v", name, st.Uid, st.Mode, err)
		}
	}
}

// TestRestoreNamesBack: a fault while the names change gives the former database its name again.
func TestRestoreNamesBack(t *testing.T) {
	s, copied, a, hotp, _, _ := backedUp(t)
	mark := s.cfg.Mark
	s.cfg.Mark = filepath.Join(s.dir, "folder") // a folder that is not empty gives way to no file
	if err := os.MkdirAll(filepath.Join(s.cfg.Mark, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r, err := Restore(context.Background(), s.cfg, s.outer, s.env, bytes.NewReader(copied), true, "root", 1); err == nil || r.Aside != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if left, err := filepath.Glob(s.cfg.Path + ".re*"); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	s.cfg.Mark = mark
	if ok, err := burn(s.open(t), a.ID, hotp.ID, 5); ok || err != nil {
		t.Errorf("a used step: %v, %v", ok, err)
	}
}

// cutReader ends with a fault of the backup, as a damaged one does.
type cutReader struct{ io.Reader }

var errCutReader = errors.New("the backup ends too early")

func (c cutReader) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err == io.EOF {
		err = errCutReader
	}
	return n, err
}

// TestRestoreWhole wants every restore that fails to leave database and mark as they were.
func TestRestoreWhole(t *testing.T) {
	s, copied, a, hotp, _, _ := backedUp(t)
	content := func(path string) []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	database, mark := content(s.cfg.Path), content(s.cfg.Mark)
	flipped := bytes.Clone(copied)
	for p := 4096; p < len(flipped); p += 4096 {
		flipped[p] ^= 0xff
	}
	for name, try := range map[string]struct {
		plain io.Reader
		outer *token.OuterKey
	}{
		"cut":                 {cutReader{bytes.NewReader(copied)}, s.outer},
		"cut early":           {cutReader{bytes.NewReader(copied[:5000])}, s.outer},
		"half a database":     {bytes.NewReader(copied[:len(copied)/2]), s.outer},
		"changed pages":       {bytes.NewReader(flipped), s.outer},
		"nothing":             {bytes.NewReader(nil), s.outer},
		"no database":         {bytes.NewReader([]byte("PK\x03\x04")), s.outer},
		"another sealing key": {bytes.NewReader(copied), newOuter(t, filepath.Join(s.dir, "other.key"))},
	} {
		if r, err := Restore(context.Background(), s.cfg, try.outer, s.env, try.plain, true, "root", 1); err == nil {
			t.Errorf("%s: restored, %+v", name, r)
		}
		if !bytes.Equal(content(s.cfg.Path), database) || !bytes.Equal(content(s.cfg.Mark), mark) {
			t.Fatalf("%s: something of the present database has changed", name)
		}
		if left, err := filepath.Glob(s.cfg.Path + ".re*"); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	db := s.open(t)
	if ok, err := burn(db, a.ID, hotp.ID, 5); ok || err != nil {
		t.Errorf("a used step: %v, %v", ok, err)
	}
	if _, err := Restore(context.Background(), s.cfg, s.outer, s.env, bytes.NewReader(copied), true, "root", 1); err == nil {
		t.Error("restored under a running server")
	}
}
