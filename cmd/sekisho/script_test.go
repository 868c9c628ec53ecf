package main

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sekisho/internal/testenv"
	"sekisho/token"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sekisho": main})
}

// TestScripts runs testdata/*.txt: commands as people type them, against a real service where they need one.
//
//	site             writes sekisho.yaml with free ports: directory none, a client 127.0.0.1, policy PIN and code;
//	                 sets RADIUS (address and port), SECRET and SEKISHO_SOCKET
//	ready            waits until the service answers on its socket
//	exits N CMD...   runs a command and wants exit status N
//	code VAR KEY N   sets VAR to the code of a base32 key: N steps from now, or counter N with hotp before it
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", e.Getenv("PATH")+":/usr/sbin:/sbin")
			e.Setenv("SEKISHO_SOCKET", filepath.Join(e.WorkDir, "admin.sock"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"site":    func(ts *testscript.TestScript, _ bool, _ []string) { scriptSite(t, ts) },
			"ready":   scriptReady,
			"exits":   scriptExits,
			"code":    scriptCode,
			"waitfor": scriptWaitFor,
		},
	})
}

func scriptSite(t *testing.T, ts *testscript.TestScript) {
	dir := ts.MkAbs(".")
	auth, acct := testenv.Port(t), testenv.Port(t)
	ts.Check(token.NewOuterKeyFile(filepath.Join(dir, "sealing.key")))
	ts.Check(os.Mkdir(filepath.Join(dir, "data"), 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "sekisho.yaml"), fmt.Appendf(nil, `storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  listen: 127.0.0.1:%[2]d
  listen_accounting: 127.0.0.1:%[3]d
  clients:
    - {name: gw, addresses: 127.0.0.1, secret: script-secret-0123456789abcdef, message_authenticator: ratchet, reject_delay: 100ms}
directory: {type: none}
policies:
  - name: staff
    first_factor: pin
    activate_at_login: true
    reply: {Class: staff, Session-Timeout: 3600}
admin: {socket: %[1]s/admin.sock}
log: {level: warn}
`, dir, auth, acct), 0o600))
	ts.Setenv("RADIUS", "127.0.0.1:"+strconv.Itoa(auth))
	ts.Setenv("SECRET", "script-secret-0123456789abcdef")
}

func scriptReady(ts *testscript.TestScript, _ bool, _ []string) {
	a := &app{socket: ts.Getenv("SEKISHO_SOCKET")}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := a.api().call(context.Background(), "GET", "/api/v1/health", nil, nil)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("the service does not answer: %v", err)
		}
	}
}

func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	status := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
}

// scriptWaitFor waits until a file holds a text: waitfor FILE TEXT.
func scriptWaitFor(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(ts.MkAbs(args[0]))
		if strings.Contains(string(b), args[1]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s never held %s; it is\n%s", args[0], args[1], b)
		}
	}
}

func scriptCode(ts *testscript.TestScript, _ bool, args []string) {
	t := token.Token{Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, Last: token.NoStep}
	if args[0] == "hotp" {
		t.Mode, t.Period, args = token.HOTP, 0, args[1:]
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(args[1]))
	ts.Check(err)
	n, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	if t.Mode == token.TOTP {
		if left := 30 - time.Now().Unix()%30; left < 3 {
			time.Sleep(time.Duration(left) * time.Second) // the code stays the same while it is used
		}
		n += t.StepAt(time.Now())
	}
	ts.Setenv(args[0], t.Code(key, n))
}
