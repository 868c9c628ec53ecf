package freeradius

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/realpart"
)

// FreeRADIUS itself reads what Write wrote (-C checks a configuration and ends).
func TestFreeRADIUSTakesTheConfiguration(t *testing.T) {
	if err := Installed(TOTP); err != nil {
		realpart.LeaveOut(t, err.Error())
	}
	for _, kind := range []Kind{TOTP, LDAPTOTP} {
		t.Run(string(kind), func(t *testing.T) {
			if _, err := os.Stat(libDir + "/rlm_ldap.so"); kind == LDAPTOTP && err != nil {
				realpart.LeaveOut(t, "Debian's package freeradius-ldap is missing")
			}
			dir := t.TempDir()
			var users bytes.Buffer
			if err := otpgen.WriteFreeRADIUS(&users, "bench", "totp", 10); err != nil {
				t.Fatal(err)
			}
			c := Config{Dir: dir, Port: 1, Kind: kind, Users: filepath.Join(dir, "users"),
				LDAPURL: "ldap://127.0.0.1:1", LDAPBase: otpgen.People}
			if err := os.WriteFile(c.Users, users.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := c.Write(); err != nil {
				t.Fatal(err)
			}
			args := append(c.Args(), "-C")
			if kind == LDAPTOTP {
				return // checking connects to the directory; the comparison does that with a real one
			}
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

func TestWhatAKindNeeds(t *testing.T) {
	for _, c := range []Config{{Kind: LDAPTOTP}, {Kind: SQLTOTP}, {Kind: PAM}, {Kind: "else"}} {
		c.Dir = t.TempDir()
		if err := c.Write(); err == nil {
			t.Errorf("%s: written without what it needs", c.Kind)
		}
	}
}
