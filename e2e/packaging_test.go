package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// imageUser is who runs the program in the container image.
const imageUser = 65532

// TestImage runs the program where the container image runs it: in a root that holds nothing else, as a user without
// rights. It needs no library, no time zone file and no user list there.
func TestImage(t *testing.T) {
	testenv.NeedRoot(t)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	inside := func(name string) string { return filepath.Join(root, name) }
	for _, d := range []string{"etc/sekisho", "run/sekisho", "var/lib/sekisho", "var/lib/sekisho-mark"} {
		if err := os.MkdirAll(inside(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	radius := testenv.Port(t)
	for name, file := range map[string]struct {
		text []byte
		mode os.FileMode
	}{
		"sekisho":                {program, 0o755},
		"etc/sekisho/machine-id": {[]byte("0123456789abcdef0123456789abcdef\n"), 0o600},
		"etc/sekisho/sekisho.yaml": {fmt.Appendf(nil, `storage: {machine_id: /etc/sekisho/machine-id}
keys: {file: /etc/sekisho/sealing.key}
radius:
  listen: 127.0.0.1:%d
  listen_accounting: 127.0.0.1:%d
  clients:
    - {name: gw, addresses: 127.0.0.1, secret: %s, first_factor: gateway, reject_delay: 100ms}
directory: {type: none}
policies:
  - {name: behind-the-gateway, first_factor: gateway}
`, radius, testenv.Port(t), secret), 0o600},
	} {
		if err := os.WriteFile(inside(name), file.text, file.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, imageUser, imageUser)
	}); err != nil {
		t.Fatal(err)
	}
	// The folder of the test is root's alone; its parents have to be passable for somebody who changes root first.
	jailed := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/sekisho", args...)
		cmd.Path, cmd.Dir, cmd.Env = "/sekisho", "/", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: imageUser, Gid: imageUser}}
		return cmd
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := jailed(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("sekisho %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("keys", "new", "/etc/sekisho/sealing.key")
	var log bytes.Buffer
	serve := jailed("serve")
	serve.Stdout, serve.Stderr = &log, &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		if err := serve.Wait(); err != nil || t.Failed() {
			t.Errorf("serve ended with %v:\n%s", err, log.String())
		}
	}()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if out, err := jailed("health").CombinedOutput(); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatalf("the service is not well: %s", out)
		}
	}
	k := newKeys(t, token.HOTP, "IMG", 1)[0]
	if err := os.WriteFile(inside("etc/sekisho/tokens.csv"), []byte(importHead+k.row("anna")), 0o644); err != nil {
		t.Fatal(err)
	}
	run("token", "import", "/etc/sekisho/tokens.csv")
	gw := &nas{addr: "127.0.0.1:" + strconv.Itoa(radius), secret: []byte(secret)}
	if out := run("test", "radius", "anna", k.code(0), gw.addr, secret); !strings.Contains(out, "Access-Accept") {
		t.Errorf("the first login: %s", out)
	}
}

// TestUnit lets systemd read the unit: it knows every setting, and little of the machine is open to the service.
func TestUnit(t *testing.T) {
	testenv.Need(t, "systemd-analyze")
	const unit = "../packaging/systemd/sekisho.service"
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", unit).CombinedOutput()
	level := regexp.MustCompile(`exposure level for sekisho.service: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || level == nil {
		t.Fatalf("%v: %s", err, tail(out, 2000))
	}
	t.Logf("exposure %s of 10, at most 2.0", level[1])
	// The program is not installed where the unit wants it; a copy that names ours is read instead.
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "sekisho.service")
	text = bytes.Replace(text, []byte("/usr/local/bin/sekisho"), []byte(path), 1)
	text = bytes.Replace(text, []byte("Documentation=man:sekisho(1)\n"), nil, 1)
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = exec.Command("systemd-analyze", "verify", "--man=no", copied).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("sekisho.service:")) {
		t.Errorf("systemd does not take the unit: %v: %s", err, out)
	}
}
