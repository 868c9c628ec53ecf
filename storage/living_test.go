package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/authn"
	"sekisho/token"
)

// TestOtherPaths keeps a second server out that comes to the same file by another path (S11).
func TestOtherPaths(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	other := filepath.Join(s.dir, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(s.cfg.Path)
	for what, lead := range map[string]func(dir string) error{
		"hard link":          func(dir string) error { return os.Link(s.cfg.Path, filepath.Join(dir, name)) },
		"link":               func(dir string) error { return os.Symlink(s.cfg.Path, filepath.Join(dir, name)) },
		"link to the folder": func(dir string) error { return errors.Join(os.Remove(dir), os.Symlink(filepath.Dir(s.cfg.Path), dir)) },
		"bind mount of the file": func(dir string) error {
			to := filepath.Join(dir, name)
			if err := os.WriteFile(to, nil, 0o600); err != nil {
				return err
			}
			if err := unix.Mount(s.cfg.Path, to, "", unix.MS_BIND, ""); err != nil {
				return err
			}
			t.Cleanup(func() { _ = unix.Unmount(to, 0) })
			return nil
		},
	} {
		dir := filepath.Join(other, strings.ReplaceAll(what, " ", "-"))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := lead(dir); err != nil {
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
				t.Logf("%s: this user may not make one", what)
				continue
			}
			t.Fatalf("%s: %v", what, err)
		}
		second := *s
		second.cfg.Path = filepath.Join(dir, name)
		second.refused(t, "in use by another process", "stop that one first")
		if p := Look(context.Background(), second.cfg, s.outer); p.Holder == "" {
			t.Errorf("%s: the probe finds nobody who holds the file", what)
		}
	}
	closeDB(t, db)
	s.open(t)
}

// TestFileGone takes the file away from under a running server: answers stop, and start again when that very file is back.
func TestFileGone(t *testing.T) {
	for what, c := range map[string]struct{ take, giveBack func(path string) error }{
		"removed": {
			func(p string) error { return os.Rename(p, p+".away") },
			func(p string) error { return os.Rename(p+".away", p) },
		},
		"replaced by a copy": {
			func(p string) error {
				b, err := os.ReadFile(p)
				return errors.Join(err, os.Rename(p, p+".away"), os.WriteFile(p, b, 0o600))
			},
			func(p string) error { return os.Rename(p+".away", p) },
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t)
			db := s.open(t)
			tok := newToken(t, db, token.HOTP, 1)
			a := newAccount("u", tok)
			create(t, db, []*authn.Account{a}, tok)
			if err := c.take(s.cfg.Path); err != nil {
				t.Fatal(err)
			}
			if _, err := burn(db, a.ID, tok.ID, 5); !errors.Is(err, ErrFault) {
				t.Fatalf("a login on a file that is gone: %v, want no answer", err)
			}
			if err := db.Healthy(); !errors.Is(err, errGone) {
				t.Errorf("reason %v", err)
			}
			if err := c.giveBack(s.cfg.Path); err != nil {
				t.Fatal(err)
			}
			for wait := time.Now().Add(time.Minute); db.Healthy() != nil; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(wait) {
					t.Fatalf("not recovered: %v", db.Healthy())
				}
			}
			if ok, err := burn(db, a.ID, tok.ID, 5); ok || err != nil {
				t.Errorf("the step that was burnt passed again: %v, %v", ok, err)
			}
			if ok, err := burn(db, a.ID, tok.ID, 6); !ok || err != nil {
				t.Errorf("the next step after the recovery: %v, %v", ok, err)
			}
		})
	}
}

// TestWALGone: what is committed into a WAL that nobody finds is lost, so the loss is noticed before the answer.
func TestWALGone(t *testing.T) {
	for what, take := range map[string]func(wal string) error{
		"removed": os.Remove,
		"replaced": func(wal string) error {
			return errors.Join(os.Rename(wal, wal+".away"), os.WriteFile(wal, nil, 0o600))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t)
			db := s.open(t)
			tok := newToken(t, db, token.HOTP, 1)
			a := newAccount("u", tok)
			create(t, db, []*authn.Account{a}, tok)
			if err := take(s.cfg.Path + "-wal"); err != nil {
				t.Fatal(err)
			}
			if ok, err := burn(db, a.ID, tok.ID, 5); ok && err == nil {
				t.Error("a login was answered whose commit nobody can find again")
			}
		})
	}
}

// TestFileGoneIdle notices without a login.
func TestFileGoneIdle(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	if err := os.Rename(s.cfg.Path, s.cfg.Path+".away"); err != nil {
		t.Fatal(err)
	}
	for wait := time.Now().Add(time.Minute); db.Healthy() == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(wait) {
			t.Fatal("nobody noticed that the file is gone")
		}
	}
}

// TestTornMark cuts the write of the mark at every octet: the mark before it, or the new one, is always readable.
func TestTornMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	k := mark{Incarnation: []byte("i"), Machine: []byte("m"), Epoch: 1, Seq: 1}
	if err := k.write(path); err != nil {
		t.Fatal(err)
	}
	for seq := uint64(2); seq < 6; seq++ {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, number, err := readMarkFile(path)
		if err != nil {
			t.Fatal(err)
		}
		k.Seq = seq
		if err := k.rewrite(path, number+1); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(after) != 2*markSlot {
			t.Fatalf("%d octets", len(after))
		}
		whole := filepath.Join(filepath.Dir(path), "torn")
		from := int((number + 1) % 2 * markSlot)
		for cut := 0; cut <= 512; cut += 1 + cut/64 {
			torn := append([]byte(nil), before...)
			copy(torn[from:from+cut], after[from:from+cut])
			if err := os.WriteFile(whole, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readMark(whole)
			if err != nil || got.Seq != seq && got.Seq != seq-1 {
				t.Fatalf("write of %d cut at octet %d: %d, %v", seq, cut, got.Seq, err)
			}
		}
		if got, err := readMark(path); err != nil || got.Seq != seq {
			t.Fatalf("whole: %d, %v", got.Seq, err)
		}
	}
}

// TestMarkChanged takes no slot in which an octet is another.
func TestMarkChanged(t *testing.T) {
	b, err := mark{Incarnation: []byte("i"), Machine: []byte("m"), Epoch: 1, Seq: 7}.slot(3)
	if err != nil {
		t.Fatal(err)
	}
	if _, number, err := decodeMark(b); err != nil || number != 3 {
		t.Fatal(number, err)
	}
	for i := range markHead + int(b[17]) { // the text is shorter than 256 octets
		c := append([]byte(nil), b...)
		c[i] ^= 1
		if _, _, err := decodeMark(c); err == nil {
			t.Errorf("octet %d changed and not noticed", i)
		}
	}
}

func FuzzMark(f *testing.F) {
	b, _ := mark{Incarnation: []byte("i"), Seq: 7}.slot(3)
	f.Add(b)
	f.Add([]byte("{"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = decodeMark(b) })
}
