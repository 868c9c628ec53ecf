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
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// Allow reports whether a peer may operate the service.
func (o Operators) Allow(p Peer) bool {
	if p.UID == 0 || int(p.UID) == os.Geteuid() {
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
	return l, nil
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

func peerOf(c net.Conn) (Peer, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return Peer{}, errors.New("not a local socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return Peer{}, err
	}
	if credErr != nil {
		return Peer{}, credErr
	}
	p := Peer{UID: cred.Uid, Name: fmt.Sprintf("uid %d", cred.Uid)}
	if known, err := user.LookupId(strconv.FormatUint(uint64(cred.Uid), 10)); err == nil {
		p.Name = known.Username
	}
	return p, nil
}
