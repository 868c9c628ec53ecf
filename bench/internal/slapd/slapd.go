// Package slapd makes a throw-away OpenLDAP directory of the bench's users on loopback.
package slapd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"sekisho/bench/internal/otpgen"
)

// Directory is one database and the port of 127.0.0.1 that it will be served on.
type Directory struct {
	Dir  string
	Port int
}

// The account that may search, for servers that do not search anonymously.
const (
	ReaderDN       = "cn=reader," + otpgen.Suffix
	ReaderPassword = "reader-of-the-bench"
)

const (
	slapd   = "/usr/sbin/slapd"
	slapadd = "/usr/sbin/slapadd"
)

// Installed says what is missing.
func Installed() error {
	for _, path := range []string{slapd, slapadd} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is missing: install Debian's package slapd", path)
		}
	}
	return nil
}

// Addr is its host and port.
func (d *Directory) Addr() string { return fmt.Sprintf("127.0.0.1:%d", d.Port) }

// URL is where clients find it.
func (d *Directory) URL() string { return "ldap://" + d.Addr() }

// Args is the command that serves it in the foreground.
func (d *Directory) Args() []string {
	return []string{slapd, "-h", d.URL() + "/", "-f", d.conf(), "-d", "0"}
}

func (d *Directory) conf() string { return filepath.Join(d.Dir, "slapd.conf") }

// Fill makes the database with the users derived from seed. 100,000 of them take some ten seconds.
func (d *Directory) Fill(seed string, users int) error {
	db := filepath.Join(d.Dir, "db")
	if err := os.MkdirAll(db, 0o700); err != nil {
		return err
	}
	conf := fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/slapd.pid
argsfile %[1]s/slapd.args
database mdb
maxsize 4294967296
dbnosync
suffix "%[2]s"
directory %[3]s
index objectClass,uid,entryUUID eq
access to attrs=userPassword by anonymous auth by * none
access to * by * read
`, d.Dir, otpgen.Suffix, db)
	if err := os.WriteFile(d.conf(), []byte(conf), 0o600); err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() {
		err := otpgen.WriteLDIF(w, seed, "", users)
		if err == nil {
			_, err = fmt.Fprintf(w, "dn: %s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"+
				"cn: reader\nuserPassword: %s\n", ReaderDN, ReaderPassword)
		}
		_ = w.CloseWithError(err)
	}()
	add := exec.Command(slapadd, "-q", "-f", d.conf())
	add.Stdin = r
	var said bytes.Buffer
	add.Stdout, add.Stderr = &said, &said
	if err := add.Run(); err != nil {
		return fmt.Errorf("filling the directory: slapadd: %w\n%s", err, said.Bytes())
	}
	return nil
}
