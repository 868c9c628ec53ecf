package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

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
