package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"

	"sekisho/bench/internal/freeradius"
	"sekisho/bench/internal/otpgen"
)

// freeradiusServer is FreeRADIUS with rlm_totp alone, behind a search and a bind at a directory or before an insert into
// PostgreSQL, or with PAM's google-authenticator, which is the one of them that keeps which codes were used.
type freeradiusServer struct {
	name string
	kind freeradius.Kind

	config    freeradius.Config
	directory *directory
	database  *database
	service   string // PAM's file
}

// pamUsers are few, because this server does a few hundred logins a second and needs a file for each user.
const pamUsers = 10_000

func (s *freeradiusServer) Name() string  { return s.name }
func (s *freeradiusServer) Forgets() bool { return s.kind != freeradius.PAM }

func (s *freeradiusServer) Users(ofRow int) int {
	if s.kind == freeradius.PAM {
		return min(pamUsers, ofRow)
	}
	return ofRow
}

// FirstCounter of pam_google_authenticator is 1: 0 means TOTP to it.
func (s *freeradiusServer) FirstCounter() uint64 {
	if s.kind == freeradius.PAM {
		return 1
	}
	return 0
}

func (s *freeradiusServer) Prepare(ctx context.Context, dir string, _ *row, users int) (err error) {
	if err := freeradius.Installed(s.kind); err != nil {
		return err
	}
	s.config = freeradius.Config{Dir: dir, Kind: s.kind, Users: filepath.Join(dir, "users")}
	if s.config.Port, err = freePort(); err != nil {
		return err
	}
	switch s.kind {
	case freeradius.LDAPTOTP:
		if s.directory, err = newDirectory(dir, users); err != nil {
			return err
		}
		s.config.LDAPURL, s.config.LDAPBase = s.directory.URL(), otpgen.People
	case freeradius.SQLTOTP:
		if s.database, err = newDatabase(ctx, freeradius.Schema); err != nil {
			return err
		}
		p := &s.config.Postgres
		p.Host, p.Port, p.User, p.Database = s.database.dir, s.database.port, databaseUser, databaseName
	case freeradius.PAM:
		if err := s.preparePAM(dir, users); err != nil {
			return err
		}
		s.config.Service = filepath.Base(s.service)
	}
	if s.kind != freeradius.PAM {
		if err := writeFile(s.config.Users, func(w io.Writer) error { return otpgen.WriteFreeRADIUS(w, seed, "", users) }); err != nil {
			return err
		}
	}
	return s.config.Write()
}

// pamModules is where Debian keeps them.
const pamModules = "/usr/lib/*/security/pam_google_authenticator.so"

// preparePAM makes a file for each user and the service by which PAM finds them, which can be nowhere but in /etc.
func (s *freeradiusServer) preparePAM(dir string, users int) error {
	if found, _ := filepath.Glob(pamModules); len(found) == 0 {
		return fmt.Errorf("%s is missing: install Debian's package libpam-google-authenticator", pamModules)
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	files := filepath.Join(dir, "google")
	if err := os.Mkdir(files, 0o700); err != nil {
		return err
	}
	if err := otpgen.WriteGoogleAuthenticator(files, seed, "hotp", users); err != nil {
		return err
	}
	service := fmt.Sprintf("/etc/pam.d/sekisho-bench-%d", os.Getpid())
	text := fmt.Sprintf("auth required pam_google_authenticator.so user=%s secret=%s/${USER}\naccount required pam_permit.so\n", me.Username, files)
	if err := os.WriteFile(service, []byte(text), 0o644); err != nil {
		return fmt.Errorf("PAM reads services from /etc/pam.d alone, so this row has to run as root: %w", err)
	}
	s.service = service
	return nil
}

// Close takes PAM's service and the database back.
func (s *freeradiusServer) Close() error {
	var faults []error
	if s.service != "" {
		faults = append(faults, os.Remove(s.service))
	}
	if s.database != nil {
		faults = append(faults, os.RemoveAll(s.database.dir))
	}
	return errors.Join(faults...)
}

func (s *freeradiusServer) Start(dir string) (int, []*process, error) {
	start := func() (*process, error) { return launch("freeradius", dir, false, s.config.Args()...) }
	switch {
	case s.directory != nil:
		return startBehind(s.config.Port, start, s.directory.start)
	case s.database != nil:
		return startBehind(s.config.Port, start, s.database.start)
	}
	return startBehind(s.config.Port, start)
}
