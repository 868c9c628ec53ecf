package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sekisho/bench/internal/freeradius"
	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/slapd"
)

// server is something that answers logins.
type server interface {
	Name() string
	// Forgets says that it takes a code as often as it comes and knows TOTP alone.
	Forgets() bool
	// Users is how many log in, of a row with so many.
	Users(ofRow int) int
	// Prepare makes in dir, once, everything that outlives a start: configuration, data, imported users.
	Prepare(ctx context.Context, dir string, r *row, users int) error
	// Start starts what Prepare made. The first part is the server itself, others are what it needs, started before it.
	// Parts come back beside an error, too.
	Start(dir string) (port int, parts []*process, err error)
}

// Names of the servers, as tables show them.
const (
	nameFreeRADIUS     = "FreeRADIUS rlm_totp"
	nameFreeRADIUSLDAP = "FreeRADIUS rlm_ldap+totp"
	nameFreeRADIUSSQL  = "FreeRADIUS rlm_totp+sql insert"
	nameFreeRADIUSPAM  = "FreeRADIUS PAM google-authenticator"
	nameSekisho        = "Sekisho"
	nameSekishoLDAP    = "Sekisho (slapd)"
	nameBare           = "udpbare sign+verify"
	namePrototype      = "protosrv"
	nameStock          = "stocksrv"
)

// servers are all of them.
type servers struct {
	freeradius, freeradiusLDAP, freeradiusSQL, freeradiusPAM                          server
	sekisho, sekishoLDAP, sekishoFew, sekishoMany, sekishoOld, bare, prototype, stock server
}

func newServers(bin, sekishoPath string) *servers {
	addr := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	count := func(users int) string { return strconv.Itoa(users) }
	return &servers{
		freeradius:     &freeradiusServer{name: nameFreeRADIUS, kind: freeradius.TOTP},
		freeradiusLDAP: &freeradiusServer{name: nameFreeRADIUSLDAP, kind: freeradius.LDAPTOTP},
		freeradiusSQL:  &freeradiusServer{name: nameFreeRADIUSSQL, kind: freeradius.SQLTOTP},
		freeradiusPAM:  &freeradiusServer{name: nameFreeRADIUSPAM, kind: freeradius.PAM},
		sekisho:        &sekisho{path: sekishoPath},
		sekishoLDAP:    &sekisho{path: sekishoPath, ldap: true},
		sekishoFew:     &sekisho{path: sekishoPath, name: nameSekishoFew, users: few},
		sekishoMany:    &sekisho{path: sekishoPath, name: nameSekishoMany, users: lots},
		sekishoOld:     &sekisho{path: sekishoPath, name: nameSekishoOld, old: true},
		bare: &program{name: nameBare, forgets: true, argv: func(_ string, port, _ int, _ *row) []string {
			return []string{filepath.Join(bin, "udpbare"), "-addr", addr(port), "-mode", "mmsg", "-n", "1", "-sign", "-verify"}
		}},
		prototype: &program{name: namePrototype, saves: true, argv: func(dir string, port, users int, r *row) []string {
			window := "5"
			if r.kind == "totp" {
				window = "1"
			}
			return []string{filepath.Join(bin, "protosrv"), "-addr", addr(port), "-users", count(users), "-seed", seed,
				"-dir", dir, "-kind", r.kind, "-layout", r.layout, "-window", window}
		}},
		stock: &program{name: nameStock, forgets: true, argv: func(_ string, port, users int, _ *row) []string {
			return []string{filepath.Join(bin, "stocksrv"), "-addr", addr(port), "-users", count(users), "-seed", seed}
		}},
	}
}

// program is a server of this module: flags are all it needs.
type program struct {
	name           string
	forgets, saves bool
	argv           func(dir string, port, users int, r *row) []string

	port int
	args []string
}

func (s *program) Name() string  { return s.name }
func (s *program) Forgets() bool { return s.forgets }

func (s *program) Users(ofRow int) int { return ofRow }

func (s *program) Prepare(_ context.Context, dir string, r *row, users int) (err error) {
	if s.port, err = freePort(); err != nil {
		return err
	}
	s.args = s.argv(dir, s.port, users, r)
	if !s.saves {
		return nil
	}
	// The first start lays the log out; the others are the ones to measure.
	_, parts, err := s.Start(dir)
	if err == nil {
		_, err = firstAccept(s.port, parts, otpgen.Derive(seed, users-1), r.kind, r.layout, 0)
	}
	_, stopErr := stopAll(parts)
	if err != nil {
		return err
	}
	return stopErr
}

func (s *program) Start(dir string) (int, []*process, error) {
	p, err := launch(filepath.Base(s.args[0]), dir, s.saves, s.args...)
	if err != nil {
		return 0, nil, err
	}
	return s.port, []*process{p}, nil
}

// directory is a slapd of the users.
type directory struct{ slapd.Directory }

func newDirectory(dir string, users int) (*directory, error) {
	if err := slapd.Installed(); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	d := &directory{slapd.Directory{Dir: filepath.Join(dir, "slapd"), Port: port}}
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		return nil, err
	}
	return d, d.Fill(seed, users)
}

// start returns when the directory takes connections.
func (d *directory) start() (*process, error) {
	p, err := launch("slapd", d.Dir, false, d.Args()...)
	if err != nil {
		return nil, err
	}
	for begin := time.Now(); time.Since(begin) < startTime; time.Sleep(5 * time.Millisecond) {
		if err := p.ended(); err != nil {
			return p, err
		}
		c, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Port)))
		if err == nil {
			return p, c.Close()
		}
	}
	return p, fmt.Errorf("slapd takes no connections after %v\n%s", startTime, p.tail())
}

// startBehind starts what a server needs, in this order, and then the server.
func startBehind(port int, start func() (*process, error), needs ...func() (*process, error)) (int, []*process, error) {
	var behind []*process
	for _, need := range needs {
		p, err := need()
		if p != nil {
			behind = append(behind, p)
		}
		if err != nil {
			return 0, behind, err
		}
	}
	p, err := start()
	if err != nil {
		return 0, behind, err
	}
	return port, append([]*process{p}, behind...), nil
}

// freePort is a UDP port of 127.0.0.1 that is free just now, and so is the TCP port of the same number.
func freePort() (int, error) {
	for range 100 {
		t, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := t.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		_ = t.Close()
		if err == nil {
			return port, u.Close()
		}
	}
	return 0, fmt.Errorf("no free port on 127.0.0.1")
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<20)
	if err := write(b); err != nil {
		_ = f.Close()
		return err
	}
	if err := b.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
