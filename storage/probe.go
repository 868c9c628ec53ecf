package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/token"
)

// Probe is what can be said about a database before the service is started, without changing anything.
type Probe struct {
	Config  Config // with the defaults filled in
	Fresh   bool   // there is no database yet; the first start makes it
	Holder  string // the process that has it open, as the lock names it; nothing below is known then
	Unclean bool   // it was not stopped cleanly, so only the next start can read all of it
	Err     error  // why a start would fail: the folder, the file, the key, or what it is to its mark

	Newest  time.Time // when the newest code that opened something began to hold; zero: none did yet
	MarkErr error     // why the mark could not be written
	Machine bool      // the machine has an id
	Free    int64     // octets that may still be written to the folder
	FreeErr error
}

// Look examines the database that a config names. It makes no file, so that nothing is left behind that belongs to
// whoever runs it, and it changes nothing in the database.
func Look(ctx context.Context, cfg Config, outer *token.OuterKey) Probe {
	cfg = cfg.withDefaults()
	p := Probe{Config: cfg}
	_, err := os.Stat(cfg.MachineID)
	p.Machine = err == nil
	p.MarkErr = writable(filepath.Dir(cfg.Mark))
	if k, err := readMark(cfg.Mark); err == nil && k.Newest > 0 {
		p.Newest = time.Unix(k.Newest, 0)
	}
	p.Free, p.FreeErr = freeSpace(filepath.Dir(cfg.Path))
	if p.Err = writable(filepath.Dir(cfg.Path)); p.Err != nil {
		return p
	}
	if p.Holder, p.Err = holder(cfg.Path); p.Holder != "" || p.Err != nil {
		return p
	}
	st, err := os.Stat(cfg.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Fresh = true
		p.Err = lookFresh(cfg)
	case err != nil:
		p.Err = err
	case !st.Mode().IsRegular():
		p.Err = fmt.Errorf("%s is not a plain file", cfg.Path)
	default:
		if p.Err = unix.Access(cfg.Path, unix.W_OK); p.Err != nil {
			p.Err = fmt.Errorf("%s may not be written: %w", cfg.Path, p.Err)
			return p
		}
		wal, err := os.Stat(cfg.Path + "-wal")
		p.Unclean = err == nil && wal.Size() > 0
		if !p.Unclean {
			p.Err = lookInside(ctx, cfg, outer)
		}
	}
	return p
}

// writable asks whether this process may make files in a folder.
func writable(dir string) error {
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !st.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("%s may not be written: %w", dir, err)
	}
	return nil
}

// holder names the process that has the database open; empty when none has.
func holder(path string) (string, error) {
	for _, name := range []string{path + ".lock", path} { // the database itself: held under another name
		if held, err := holderOf(name); held != "" || err != nil {
			return held, err
		}
	}
	return "", nil
}

func holderOf(name string) (string, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) // given back by Close
	if errors.Is(err, syscall.EWOULDBLOCK) {
		if !strings.HasSuffix(name, ".lock") {
			return "another process, under another name of the file", nil
		}
		return holderIn(f), nil
	}
	if err != nil {
		return "", fmt.Errorf("asking for the lock of %s: %w", name, err)
	}
	return "", nil
}

// lookFresh tells whether a first start would be taken for the loss of a database.
func lookFresh(cfg Config) error {
	k, err := readMark(cfg.Mark)
	if err != nil {
		return err
	}
	return k.fits(meta{}, nil)
}

// lookInside reads key, schema and position of a database that nobody has open. It is opened as one that cannot change,
// so that SQLite makes no files beside it.
func lookInside(ctx context.Context, cfg Config, outer *token.OuterKey) error {
	v := url.Values{"mode": {"ro"}, "immutable": {"1"}}
	pool, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: cfg.Path, RawQuery: v.Encode()}).String())
	if err != nil {
		return fmt.Errorf("opening %s: %w", cfg.Path, err)
	}
	defer func() { _ = pool.Close() }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("opening %s: %w", cfg.Path, err)
	}
	defer func() { _ = conn.Close() }()
	var wrapped []byte
	err = conn.QueryRowContext(ctx, "select wrapped from keys where id = 1").Scan(&wrapped)
	if err != nil {
		return fmt.Errorf("reading the data keys of %s: %w", cfg.Path, err)
	}
	if outer != nil {
		if _, err := token.Unwrap(outer, wrapped); err != nil {
			return fmt.Errorf("opening the data keys of %s: %w", cfg.Path, err)
		}
	}
	m, _, err := (&file{conn: conn}).meta(ctx)
	if err != nil {
		return err
	}
	machine, err := machineID(cfg.MachineID)
	if err != nil {
		return err
	}
	k, err := readMark(cfg.Mark)
	if err != nil {
		return err
	}
	return k.fits(m, machine)
}
