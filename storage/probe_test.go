package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/token"
)

func TestLook(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Path: filepath.Join(data, "sekisho.db"), Mark: filepath.Join(dir, "mark"), MachineID: filepath.Join(dir, "id"), Ballast: -1, FreeSpace: -1}
	keys := make([]*token.OuterKey, 2)
	for i := range keys {
		path := filepath.Join(dir, "key"+string(rune('0'+i)))
		if err := token.NewOuterKeyFile(path); err != nil {
			t.Fatal(err)
		}
		var err error
		if keys[i], err = token.LoadOuterKey(path); err != nil {
			t.Fatal(err)
		}
	}
	look := func() Probe {
		t.Helper()
		before := list(t, data)
		p := Look(t.Context(), cfg, keys[0])
		if after := list(t, data); after != before {
			t.Errorf("a look changed the folder from %s to %s", before, after)
		}
		return p
	}

	if p := look(); !p.Fresh || p.Err != nil || p.MarkErr != nil || p.Machine || p.Free == 0 {
		t.Errorf("before the first start: %+v", p)
	}
	db, err := Open(t.Context(), cfg, keys[0], Env{})
	if err != nil {
		t.Fatal(err)
	}
	if p := look(); p.Holder == "" || p.Err != nil {
		t.Errorf("while it is open: %+v", p)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := db.Ping(ctx); err != nil {
		t.Errorf("the committer does not answer: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed database answers a ping with %v", err)
	}
	if p := look(); p.Fresh || p.Holder != "" || p.Unclean || p.Err != nil {
		t.Errorf("after a clean stop: %+v", p)
	}
	if p := Look(t.Context(), cfg, keys[1]); p.Err == nil || !strings.Contains(p.Err.Error(), "opening the data keys") {
		t.Errorf("with another key: %v", p.Err)
	}
	if err := os.WriteFile(cfg.MachineID, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := look(); !errors.Is(p.Err, ErrNotLiving) {
		t.Errorf("on another machine: %v", p.Err)
	}
	if err := os.Rename(cfg.Path, cfg.Path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := (mark{Seq: 7}).write(cfg.Mark); err != nil {
		t.Fatal(err)
	}
	if p := look(); !errors.Is(p.Err, ErrNotLiving) {
		t.Errorf("an empty folder under a mark that knows more: %v", p.Err)
	}
	if err := os.WriteFile(cfg.Path, []byte("no database at all, but long enough to be read as one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := look(); p.Err == nil {
		t.Error("a text is taken for a database")
	}
	cfg.Path = filepath.Join(dir, "nowhere", "sekisho.db")
	if p := Look(t.Context(), cfg, keys[0]); p.Err == nil {
		t.Error("a folder that is not there is fine")
	}
}

// TestPingHangs: a commit that hangs is no answer.
func TestPingHangs(t *testing.T) {
	hold := make(chan struct{})
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := token.NewOuterKeyFile(key); err != nil {
		t.Fatal(err)
	}
	outer, err := token.LoadOuterKey(key)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Config{Path: filepath.Join(dir, "sekisho.db"), Mark: filepath.Join(dir, "mark"), Ballast: -1, FreeSpace: -1}, outer,
		Env{onCommit: func(commit func() error) error { <-hold; return commit() }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := db.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a ping through a commit that hangs gives %v", err)
	}
	close(hold)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return strings.Join(names, " ")
}
