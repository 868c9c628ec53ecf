package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"sekisho/token"
)

// Restored says what [Restore] did.
type Restored struct {
	Adoption
	Aside string // where the former database is now; empty when there was none
}

// ErrPresent says that a database stands where one is to be restored to.
var ErrPresent = errors.New("there is a database already")

// Restore puts a database that was backed up where cfg.Path leads and adopts it as [Adopt] does, while no server runs.
// plain gives the content of [DB.Snapshot]'s file and then io.EOF; any other error of it means that the backup is not
// whole. replace moves a database that is there aside, with what was used in it known to the mark.
//
// The backup is written, checked and adopted beside the present database, with a mark of its own. Until all of that is
// done nothing that was there is touched. Then names change: former database aside, new one in its place, new mark. A crash
// between two of these leaves a pair that does not fit, so the service refuses to start, and restoring again is the way on.
func Restore(ctx context.Context, cfg Config, outer *token.OuterKey, env Env, plain io.Reader, replace bool, actor string, ahead int) (Restored, error) {
	r := Restored{}
	if err := cfg.Check(); err != nil {
		return r, fmt.Errorf("storage: %w", err)
	}
	cfg, env = cfg.withDefaults(), env.withDefaults()
	lock, present, err := lockPlace(cfg.Path)
	if err != nil {
		return r, err
	}
	defer lock.close()
	if present && !replace {
		return r, fmt.Errorf("restoring to %s: %w: move it away, or say --replace, which moves it aside", cfg.Path, ErrPresent)
	}
	beside := cfg
	beside.Path, beside.Mark, beside.Ballast, beside.FreeSpace = cfg.Path+".restore", cfg.Mark+".restore", -1, -1
	clean := func() {
		removeCopy(beside.Path)
		_ = os.Remove(beside.Path + ".lock")
		_ = os.Remove(beside.Mark)
	}
	clean()
	defer clean()
	if err := writePlain(beside.Path, plain); err != nil {
		return r, fmt.Errorf("restoring: %w", err)
	}
	if _, err := CheckCopy(ctx, beside.Path); err != nil {
		return r, err
	}
	old, err := readMark(cfg.Mark)
	if err != nil {
		env.Log.Warn("the mark cannot be read and is replaced", "error", oneLine(err))
	} else if old.found { // the adoption goes by what it knows
		if err := old.write(beside.Mark); err != nil {
			return r, err
		}
	}
	if r.Adoption, err = Adopt(ctx, beside, outer, env, actor, ahead); err != nil {
		return r, err
	}
	if _, err := CheckCopy(ctx, beside.Path); err != nil {
		return r, err
	}
	for from, like := range map[string]string{beside.Path: cfg.Path, beside.Mark: cfg.Mark, cfg.Path + ".lock": cfg.Path} {
		if err := ownAs(from, filepath.Dir(like)); err != nil {
			return r, err
		}
	}
	r.Aside, err = swapIn(cfg, beside, present, env.Now().Format("20060102T150405"))
	return r, err
}

// lockPlace keeps every server out of a place, also where no database is yet, and tells whether one is.
func lockPlace(path string) (l *living, present bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		l, err := lockFile(path)
		return l, true, err
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("looking at %s: %w", path, err)
	}
	l = &living{path: path}
	if l.beside, err = os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, false, fmt.Errorf("locking the place of the database: %w", err)
	}
	if err := flock(l.beside); err != nil {
		defer l.close()
		return nil, false, fmt.Errorf("%s is in use by another process (%s); stop that one first: %w", path, holderIn(l.beside), err)
	}
	return l, false, nil
}

func writePlain(path string, plain io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, plain)
	return errors.Join(err, f.Sync(), f.Close())
}

// ownAs gives a file to the owner of a folder, when root restores for the service's user.
func ownAs(path, dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	if err := os.Chown(path, int(s.Uid), int(s.Gid)); err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	return nil
}

// swapIn changes the names. The WAL goes aside before its database: a new database must never meet an old WAL. Names that were
// changed before a fault are changed back.
func swapIn(cfg, beside Config, present bool, stamp string) (aside string, err error) {
	type move struct{ from, to string }
	var moves []move
	if present {
		aside = cfg.Path + ".replaced-" + stamp
		for _, end := range []string{"-wal", "-shm", ""} {
			if _, err := os.Lstat(cfg.Path + end); err == nil {
				moves = append(moves, move{cfg.Path + end, aside + end})
			}
		}
		if _, err := os.Lstat(aside); err == nil {
			return "", fmt.Errorf("restoring: %s exists already; try again", aside)
		}
	}
	moves = append(moves, move{beside.Path, cfg.Path}, move{beside.Mark, cfg.Mark})
	for i, m := range moves {
		if err := os.Rename(m.from, m.to); err != nil {
			for _, back := range moves[:i] {
				defer func() { _ = os.Rename(back.to, back.from) }()
			}
			return "", fmt.Errorf("restoring: %w", err)
		}
	}
	return aside, errors.Join(syncDir(filepath.Dir(cfg.Path)), syncDir(filepath.Dir(cfg.Mark)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
