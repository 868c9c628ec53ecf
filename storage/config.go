package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is the `storage` section of the configuration. The zero value of a field stands for its default.
type Config struct {
	// Path of the database file. Its folder also takes the WAL, the lock file and the ballast; it must be on a local
	// disk, never on NFS. Default /var/lib/sekisho/sekisho.db.
	Path string `yaml:"path"`
	// Mark is a small file that remembers how far the database had come. It tells an old backup or a copied file from
	// the living one, so it must lie outside the database's folder and outside its backups.
	// Default /var/lib/sekisho-mark/mark.
	Mark string `yaml:"mark"`
	// MachineID is the file that names this machine. Default /etc/machine-id; where it is missing, machines are not
	// told apart.
	MachineID string `yaml:"machine_id"`
	// Ballast is the size in MiB of a file that is given up when the disk is full, so that the database can
	// recover and logins go on. Default 16; -1: none.
	Ballast int `yaml:"ballast"`
	// FreeSpace in MiB: below it, acts of the life cycle are refused, so that what is left serves logins. Default 256;
	// -1: no watermark.
	FreeSpace int `yaml:"free_space"`
	// Queue is how many changes may wait for their commit; past it logins get no answer (overloaded). Default 8192.
	Queue int `yaml:"queue"`
	// FlushEvents and FlushEvery say when rows are brought up to date behind the journal: after so many events, or so
	// long. More means less writing and a longer start after a crash. Defaults 200000 and 5m.
	FlushEvents int           `yaml:"flush_events"`
	FlushEvery  time.Duration `yaml:"flush_every"`
}

// Env is what a DB needs from the program around it. Every field has a default.
type Env struct {
	Now     func() time.Time      // time.Now
	Log     *slog.Logger          // slog.Default()
	Metrics prometheus.Registerer // nil: none
	// Outside is what left the machine, for [Adopt] and [Restore]; nil: nothing is known.
	Outside *Outside

	onCommit   func(commit func() error) error // of tests: stands between the program and COMMIT; nil otherwise
	flushRound int                             // of tests: slabs of each kind in one transaction of a flush
}

const mib = 1 << 20

// Effective is the config with its defaults filled in.
func (c Config) Effective() Config { return c.withDefaults() }

// withDefaults fills what the config left out.
func (c Config) withDefaults() Config {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	if c.Path == "" {
		c.Path = "/var/lib/sekisho/sekisho.db"
	}
	if c.Mark == "" {
		c.Mark = "/var/lib/sekisho-mark/mark"
	}
	if c.MachineID == "" {
		c.MachineID = "/etc/machine-id"
	}
	if c.FlushEvery == 0 {
		c.FlushEvery = 5 * time.Minute
	}
	set(&c.Ballast, 16)
	set(&c.FreeSpace, 256)
	set(&c.Queue, 8192)
	set(&c.FlushEvents, 200_000)
	return c
}

// Check reports every fault of the section at once.
func (c Config) Check() error {
	c = c.withDefaults()
	var faults []error
	for _, f := range []struct {
		bad  bool
		text string
	}{
		{c.Ballast < -1 || c.Ballast > 1024, fmt.Sprintf("ballast: %d MiB: want 1 to 1024, or -1 for none", c.Ballast)},
		{c.FreeSpace < -1, fmt.Sprintf("free_space: %d MiB: want more than 0, or -1 for no watermark", c.FreeSpace)},
		{c.Queue < 16 || c.Queue > 1_000_000, fmt.Sprintf("queue: %d: want 16 to 1000000", c.Queue)},
		{c.FlushEvents < 1, fmt.Sprintf("flush_events: %d: want 1 or more", c.FlushEvents)},
		{c.FlushEvery < time.Second, fmt.Sprintf("flush_every: %v: want 1s or more", c.FlushEvery)},
		{c.Path == c.Mark, "mark: is the database file itself: put it on another path, outside the database's backups"},
	} {
		if f.bad {
			faults = append(faults, errors.New(f.text))
		}
	}
	return errors.Join(faults...)
}

func (e Env) withDefaults() Env {
	if e.flushRound == 0 {
		e.flushRound = flushRound
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Log == nil {
		e.Log = slog.Default()
	}
	return e
}
