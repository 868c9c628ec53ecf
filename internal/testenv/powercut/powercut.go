// Package powercut is a file system for tests that keeps what programs synced (fsync, fdatasync; for names, fsync of the
// folder) apart from what they only wrote. [FS.Cut] takes the power away: what was not synced is lost, or some of it. It can
// also fail writes and syncs while programs run, as full and broken disks do, and lie about syncs.
//
// It is stricter than most file systems: a new, renamed or removed name counts only once its folder was synced. It lives
// in memory and is mounted over FUSE, so it needs root and /dev/fuse. What is written through mmap arrives when the
// kernel writes it back, at the latest with msync or the last munmap.
package powercut

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"sekisho/internal/testenv"
)

// Faults are what the disk does wrong until it is told otherwise; the zero value is a good disk.
type Faults struct {
	Write    syscall.Errno // of every write and every growth, such as ENOSPC
	Short    bool          // every write of more than one octet takes only a half, and the next one has no room (ENOSPC)
	Sync     syscall.Errno // of every fsync and fdatasync; what was written stays readable and never reaches the disk, as on Linux
	ReadOnly bool          // every change fails with EROFS
}

// Lie is a sync that says it is done and is not.
type Lie int

const (
	// Honest syncs are done.
	Honest Lie = iota
	// Ignore does no sync at all, as a disk whose cache is lost with the power.
	Ignore
	// Normal leaves out what SQLite leaves out with synchronous=NORMAL: a write-ahead log is synced only when its
	// database is next written, at a checkpoint.
	Normal
)

// FS is a mounted file system.
type FS struct {
	Dir string // where it is mounted

	t      testing.TB
	server *fuse.Server

	mu     sync.Mutex
	disk   *disk
	dead   bool // the power is gone
	faults Faults
	half   bool // a write was cut short: the next one has no room
	lie    Lie
	late   map[*file]bool // logs whose sync is put off
	syncs  int
}

// Mount mounts an empty file system on a folder of its own; it ends with the test. Where there is no FUSE the test is left
// out, or fails when real parts are required.
func Mount(t testing.TB) *FS {
	t.Helper()
	testenv.NeedRoot(t)
	f := &FS{Dir: t.TempDir(), t: t, disk: newDisk(), late: map[*file]bool{}}
	if err := f.mount(); err != nil {
		testenv.LeaveOut(t, "no FUSE file system can be mounted here: %v", err)
	}
	t.Cleanup(f.unmount)
	return f
}

// Set makes the disk do these things wrong from now on.
func (f *FS) Set(x Faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.half = x, false
}

// Lie makes the disk lie about syncs from now on.
func (f *FS) Lie(l Lie) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lie = l
}

// Syncs counts the fsyncs and fdatasyncs so far, whatever became of them.
func (f *FS) Syncs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs
}

// SyncAll brings everything to the disk, however it lies.
func (f *FS) SyncAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk.syncAll()
}

// Cut takes the power away at this instant: everything fails with EIO until [FS.Restore].
func (f *FS) Cut(loss Loss, choices *rand.Rand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk, f.dead = f.disk.cut(loss, choices), true
	f.late = map[*file]bool{}
}

// Restore gives the power back: a new mount, with nothing in the kernel's caches, of what survived, on a disk without
// faults that lies as before. Every program that used the file system must have ended.
func (f *FS) Restore() {
	f.t.Helper()
	f.unmount()
	f.mu.Lock()
	f.dead, f.faults, f.half = false, Faults{}, false
	f.mu.Unlock()
	if err := f.mount(); err != nil {
		f.t.Fatalf("powercut: %v", err)
	}
}

func (f *FS) mount() error {
	server, err := fs.Mount(f.Dir, &node{fs: f, file: f.disk.root}, &fs.Options{
		RootStableAttr: &fs.StableAttr{Ino: f.disk.root.id},
		MountOptions: fuse.MountOptions{
			FsName: "powercut", Name: "powercut", DirectMountStrict: true, DisableXAttrs: true,
			ExplicitDataCacheControl: true, // every change comes through the kernel
		},
	})
	f.server = server
	return err
}

func (f *FS) unmount() {
	if f.server == nil {
		return
	}
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f.server.Unmount(); err == nil || !errors.Is(err, syscall.EBUSY) {
			break
		}
	}
	if err != nil {
		f.t.Errorf("powercut: unmounting: %v", err)
		_ = syscall.Unmount(f.Dir, syscall.MNT_DETACH)
	}
	f.server = nil
}

// may is asked before anything is done; change says that it changes something.
func (f *FS) may(change bool) syscall.Errno {
	switch {
	case f.dead:
		return syscall.EIO
	case change && f.faults.ReadOnly:
		return syscall.EROFS
	}
	return 0
}

// write is one write(2) of a program, or of the kernel for a mapping.
func (f *FS) write(x *file, b []byte, off int64) (int, syscall.Errno) {
	if e := f.may(true); e != 0 {
		return 0, e
	}
	if e := f.faults.Write; e != 0 {
		return 0, e
	}
	if f.faults.Short {
		if f.half = !f.half; !f.half {
			return 0, syscall.ENOSPC
		}
		b = b[:(len(b)+1)/2]
	}
	for wal := range f.late {
		if walOf(wal.name, x.name) {
			wal.sync()
			delete(f.late, wal)
		}
	}
	x.write(b, off)
	return len(b), 0
}

func (f *FS) resize(x *file, size int64) syscall.Errno {
	if e := f.may(true); e != 0 {
		return e
	}
	if size > int64(len(x.data)) && f.faults.Write != 0 {
		return f.faults.Write
	}
	x.resize(size)
	return 0
}

func (f *FS) sync(x *file) syscall.Errno {
	f.syncs++
	if e := f.may(false); e != 0 {
		return e
	}
	switch {
	case f.faults.Sync != 0:
		// The pages count as clean from here on: a later sync finds nothing to do (what Linux does with a failed write).
		clear(x.dirty)
		return f.faults.Sync
	case f.lie == Ignore:
	case f.lie == Normal && strings.HasSuffix(x.name, "-wal"):
		f.late[x] = true
	default:
		x.sync()
	}
	return 0
}
