package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/operator"
)

// Peer is who calls, as the kernel says (SO_PEERCRED): the credentials the caller had when it connected.
type Peer struct {
	UID  uint32
	Name string // of the system's user; "uid 1000" where it has none
}

type peerKey struct{}

// Operators says which users of the system may call: root and the service's own user always, others by UID or name.
type Operators struct {
	Names []string // user names or numeric UIDs
}

// administers reports who has the machine's keys and files anyway: root and the service's own user. Over the local socket,
// what takes seeds or the whole store out of the service is theirs alone: the others in admin.operators have no role there
// that could tell a help desk from a master.
func (p Peer) administers() bool { return p.UID == 0 || int(p.UID) == os.Geteuid() }

// administrator refuses an act to all others on the local socket.
func (s *Server) administrator(ctx context.Context) error {
	if c := callerOf(ctx); c.Door == operator.LocalSocket && !c.peer.administers() {
		s.Log.Warn("the admin API refused an act of the administrator's", "uid", c.peer.UID, "name", c.Name)
		return newProblem(http.StatusForbidden, "not-the-administrator", wordNotAdministrator(c.peer))
	}
	return nil
}

// Allow reports whether a peer may operate the service.
func (o Operators) Allow(p Peer) bool {
	if p.administers() {
		return true
	}
	for _, n := range o.Names {
		if n == p.Name || n == strconv.FormatUint(uint64(p.UID), 10) {
			return true
		}
	}
	return false
}

// Listen opens the local socket. A socket that a dead service left behind is replaced; one that answers is not. Anybody
// may connect, because who calls is asked of the kernel and not of the file's mode.
func Listen(path string) (net.Listener, error) {
	st, err := os.Lstat(path)
	switch {
	case err == nil && st.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("opening the admin socket: %s exists and is no socket; move it away or set admin.socket", path)
	case err == nil:
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("opening the admin socket: another server answers on %s; stop it first", path)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("opening the admin socket: %w", err)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing the admin socket of a stopped server: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // the guard is the peer's credentials
		_ = l.Close()
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	return &fairListener[uint32]{Listener: l, most: mostCalls, open: map[uint32]int{}, key: func(c net.Conn) (uint32, bool, error) {
		cred, err := credentials(c)
		if err != nil {
			return 0, false, err
		}
		return cred.Uid, false, nil
	}}, nil
}

// How many connections one user of the system, or one address, may hold. Anybody may connect, and descriptors that a stranger
// holds are missing where the directory is dialled; behind one address may be a whole office.
const (
	mostCalls       = 64
	mostFromAddress = 256
)

// fairListener closes connections that one caller opens beyond most.
type fairListener[K comparable] struct {
	net.Listener
	key  func(net.Conn) (caller K, free bool, err error) // free: it may hold any number
	most int
	mu   sync.Mutex
	open map[K]int
}

// Accept gives the next connection whose caller is known and holds few enough.
func (l *fairListener[K]) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		k, free, err := l.key(c)
		switch {
		case err == nil && free:
			return c, nil
		case err == nil && l.take(k):
			return &fairConn{Conn: c, free: sync.OnceFunc(func() { l.give(k) })}, nil
		}
		_ = c.Close()
	}
}

func (l *fairListener[K]) take(k K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[k] >= l.most {
		return false
	}
	l.open[k]++
	return true
}

func (l *fairListener[K]) give(k K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[k]--; l.open[k] == 0 {
		delete(l.open, k)
	}
}

// fairConn gives its place back when it is closed.
type fairConn struct {
	net.Conn
	free func()
}

func (c *fairConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// HTTPServer is the API with its limits. Serve it on what [Listen] opened.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			p, err := peerOf(c)
			if err != nil {
				s.Log.Warn("the admin socket cannot tell who calls", "error", err)
				return ctx
			}
			return context.WithValue(ctx, peerKey{}, p)
		},
	}
}

// credentials asks the kernel who called.
func credentials(c net.Conn) (*unix.Ucred, error) {
	if f, ok := c.(*fairConn); ok {
		c = f.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.New("not a local socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return cred, credErr
}

func peerOf(c net.Conn) (Peer, error) {
	cred, err := credentials(c)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{UID: cred.Uid, Name: fmt.Sprintf("uid %d", cred.Uid)}
	if known, err := user.LookupId(strconv.FormatUint(uint64(cred.Uid), 10)); err == nil {
		p.Name = known.Username
	}
	return p, nil
}
