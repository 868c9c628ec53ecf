package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sekisho/directory"
	"sekisho/internal/conf"
	"sekisho/internal/testenv"
)

// TestScriptsOfDirectories runs testdata/ldap/*.txt beside a real slapd. sekisho.yaml of `site` has no directory; ldap.yaml
// names the server.
func TestScriptsOfDirectories(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{})
	other := testenv.PKI(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/ldap",
		Setup: func(e *testscript.Env) error {
			e.Setenv("OTHERCA", other.CA)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits,
			"site": func(ts *testscript.TestScript, _ bool, _ []string) {
				scriptSite(t, ts)
				scriptLDAP(ts, server)
			},
		},
	})
}

// scriptLDAP writes ldap.yaml, the site with a directory.
func scriptLDAP(ts *testscript.TestScript, server *testenv.SlapdServer) {
	dir := ts.MkAbs(".")
	ts.Check(os.WriteFile(filepath.Join(dir, "ldap.yaml"), fmt.Appendf(nil, `storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  clients:
    - {name: gw, addresses: 127.0.0.1, secret: script-secret-0123456789abcdef}
directory:
  name: corp
  type: ldap
  ldap:
    urls: %[2]s
    ca_file: %[3]s
    server_name: localhost
    bind_dn: %[4]s
    bind_password: %[5]s
    base_dn: %[6]s
    group_walk: member
    connect_timeout: 5s
    timeout: 5s
policies: [{name: all}]
`, dir, server.LDAPS, server.CA, testenv.SlapdReaderDN, testenv.SlapdReaderPassword, testenv.SlapdBase), 0o600))
}

// TestDirectoryGuide reads the configurations that docs/directory-ad.md gives.
func TestDirectoryGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/directory-ad.md")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(directory:.*?)```").FindAllSubmatch(text, -1) {
		yaml := regexp.MustCompile(`bind_password_file: \S+`).ReplaceAll(block[1], []byte("bind_password: x"))
		var c Config
		if err := conf.Parse(&c, "directory-ad.md", yaml).Err(); err != nil {
			t.Error(err)
		}
		c.Directory.LDAP.CAFile = ""
		if faults := c.Directory.LDAP.Check(); len(faults) > 0 {
			t.Error(faults)
		}
		read++
	}
	if read != 2 {
		t.Errorf("%d configurations", read)
	}
}

// TestDirectoryHealth: words for /readyz, and usable while one server is not known to be down.
func TestDirectoryHealth(t *testing.T) {
	dead := func() string { return fmt.Sprintf("ldap://127.0.0.1:%d", testenv.Port(t)) }
	l, err := directory.OpenLDAP("corp", directory.LDAPConfig{URLs: []string{dead(), dead()}, BaseDN: "dc=x", FailureLimit: -1,
		ConnectTimeout: 5 * time.Second, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if words, usable := directoryHealth(l); words != "ok" || !usable {
		t.Errorf("before the first look-up: %s %v", words, usable)
	}
	if _, err := l.Lookup(t.Context(), []byte("alice")); err == nil {
		t.Fatal("a dead port answers")
	}
	words, usable := directoryHealth(l)
	if usable || !strings.HasPrefix(words, "0 of 2 servers answer; ldap://127.0.0.1:") || strings.Count(words, "is down since 20") != 2 {
		t.Errorf("both dead: %s %v", words, usable)
	}
}
