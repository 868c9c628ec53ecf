package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// database is a throw-away PostgreSQL on a socket in its own folder, set up as initdb does it: each commit is synced.
type database struct {
	dir  string
	bin  string
	port int
	who  *syscall.Credential // root may not run it
}

const (
	databaseUser = "radius"
	databaseName = "postgres"
)

// newDatabase makes one whose tables a file of SQL commands describes.
func newDatabase(ctx context.Context, schema string) (*database, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, errors.New("/usr/lib/postgresql/*/bin/initdb is missing: install Debian's package postgresql")
	}
	d := &database{bin: filepath.Dir(found[len(found)-1])}
	var err error
	if d.port, err = freePort(); err != nil {
		return nil, err
	}
	if d.dir, err = os.MkdirTemp("", "sekisho-bench-pg-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if err := d.giveUpRoot(); err != nil {
			return d, err
		}
	}
	if err := d.command(ctx, "initdb", "-D", d.data(), "-U", databaseUser, "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"); err != nil {
		return d, err
	}
	tables, err := os.ReadFile(schema)
	if err != nil {
		return d, err
	}
	p, err := d.start()
	if err == nil {
		err = d.command(ctx, "psql", "-h", d.dir, "-p", strconv.Itoa(d.port), "-U", databaseUser, "-d", databaseName, "-q", "-v", "ON_ERROR_STOP=1", "-c", string(tables))
	}
	if p != nil {
		_, stopErr := p.stop()
		err = errors.Join(err, stopErr)
	}
	return d, err
}

func (d *database) data() string { return filepath.Join(d.dir, "data") }

// giveUpRoot gives the folder to the user whom the package made.
func (d *database) giveUpRoot() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	d.who = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(d.dir, uid, gid)
}

// command runs one of PostgreSQL's programs to its end.
func (d *database) command(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, program), args...)
	cmd.Dir = d.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.who}
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, said)
	}
	return nil
}

// start returns when it takes connections. SIGINT ends it without waiting for its clients.
func (d *database) start() (*process, error) {
	port := strconv.Itoa(d.port)
	p, err := launchAs(d.who, syscall.SIGINT, "postgres", d.dir, filepath.Join(d.bin, "postgres"), "-D", d.data(), "-p", port,
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+d.dir)
	if err != nil {
		return nil, err
	}
	for begin := time.Now(); time.Since(begin) < startTime; time.Sleep(10 * time.Millisecond) {
		if err := p.ended(); err != nil {
			return p, err
		}
		if d.command(context.Background(), "pg_isready", "-q", "-h", d.dir, "-p", port) == nil {
			return p, nil
		}
	}
	return p, fmt.Errorf("PostgreSQL takes no connections after %v\n%s", startTime, p.tail())
}
