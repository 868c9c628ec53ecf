package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errGone stops a process whose file is no longer the one that its path leads to: what it commits would be lost.
var errGone = errors.New("the database file was removed or replaced while it was in use; put back the very file, or stop and look at what stands there now")

// living holds the two locks that keep every other process out (S11), and knows the file by its inode.
//
// One lock lies on a file beside the database, where its holder's number can be read. The other lies on the database itself,
// since another path (a hard link, a bind mount) has another file beside it and leads to the same inode. Both are flock's,
// which SQLite's own locks do not meet. Closing a descriptor of the database drops SQLite's, so own is closed last.
type living struct {
	path   string
	walled string    // path of the WAL
	looks  [2][]byte // both paths as the kernel takes them
	beside *os.File
	own    *os.File
	inode  inode
	wal    inode // of the WAL; zero until it is there
}

type inode struct{ device, number uint64 }

// inodeOf looks where a path leads.
func inodeOf(path string) (inode, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return inode{}, err
	}
	return inode{st.Dev, st.Ino}, nil
}

// inodeAt is inodeOf for a path that ends with a zero, without the copy that would be made of a string at each commit.
func inodeAt(path []byte) (inode, error) {
	var st unix.Stat_t
	at := unix.AT_FDCWD
	_, _, no := unix.Syscall6(unix.SYS_NEWFSTATAT, uintptr(at), uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&st)), 0, 0, 0)
	if no != 0 {
		return inode{}, no
	}
	return inode{st.Dev, st.Ino}, nil
}

// lockFile makes sure that one process owns the database, and makes the file where there is none.
func lockFile(path string) (*living, error) {
	l := &living{path: path, walled: path + "-wal"}
	l.looks = [2][]byte{append([]byte(path), 0), append([]byte(l.walled), 0)}
	if err := l.lock(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *living) lock() (err error) {
	name := l.path + ".lock"
	if l.beside, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("locking the database: %w", err)
	}
	if err := flock(l.beside); errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s is in use by another process (%s): one database has one server; stop that one first", l.path, holderIn(l.beside))
	} else if err != nil {
		return fmt.Errorf("locking %s: %w", name, err)
	}
	if l.own, err = os.OpenFile(l.path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	if err := flock(l.own); errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s is in use by another process, which opened it under another name (a link or a second mount): one database has one server; stop that one first", l.path)
	} else if err != nil {
		return fmt.Errorf("locking %s: %w", l.path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(l.own.Fd()), &st); err != nil {
		return fmt.Errorf("looking at %s: %w", l.path, err)
	}
	l.inode = inode{st.Dev, st.Ino}
	if err := l.beside.Truncate(0); err == nil {
		_, _ = l.beside.WriteAt(fmt.Appendf(nil, "process %d\n", os.Getpid()), 0)
	}
	return nil
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// holderIn reads who holds a lock file.
func holderIn(f *os.File) string {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0)
	if text = bytes.TrimSpace(text[:n]); len(text) == 0 {
		return "another process"
	}
	return string(text)
}

// check says whether the path still leads to the file that was locked, and to the WAL that was written. It costs two system
// calls, so every commit asks before it is answered.
func (l *living) check() error {
	if at, err := inodeAt(l.looks[0]); err != nil || at != l.inode {
		return fmt.Errorf("%s: %w", l.path, errGone)
	}
	at, err := inodeAt(l.looks[1])
	switch {
	case l.wal == inode{}:
		if err == nil {
			l.wal = at
		}
	case err != nil || at != l.wal:
		return fmt.Errorf("%s: %w", l.walled, errGone)
	}
	return nil
}

// reopening forgets the WAL, which a new connection may make anew; the database has to be the same.
func (l *living) reopening() error {
	l.wal = inode{}
	if at, err := inodeOf(l.path); err != nil || at != l.inode {
		return fmt.Errorf("%s: %w", l.path, errGone)
	}
	return nil
}

func (l *living) close() {
	for _, f := range []*os.File{l.own, l.beside} {
		if f != nil {
			_ = f.Close()
		}
	}
}
