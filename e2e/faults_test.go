package e2e

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"layeh.com/radius"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// TestNoSecretLeaks logs in rightly and wrongly with secrets that are found again by their octets, with the log at debug,
// and then looks for them in everything the server wrote: log, database, WAL, mark, metrics.
func TestNoSecretLeaks(t *testing.T) {
	s := newSite(t, siteOptions{
		Policies: "policies:\n  - name: pin\n    first_factor: pin\n",
		Client:   "    trust_station: true\n",
	})
	b, err := os.ReadFile(s.path("sekisho.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("sekisho.yaml"), append(b, "log:\n  level: debug\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	k := newKeys(t, token.HOTP, "C", 1)[0]
	s.load([]*key{k}, []string{"canary"})
	const pin, wrong, typedAsName = "zq71xkpin", "wrong-w8vkcanary", "typed-password-n4qcanary"
	if out, status := s.try(pin+"\n"+pin+"\n", "user", "set-pin", "canary"); status != 0 {
		t.Fatalf("set-pin: %s", out)
	}
	var codes []string
	gw := s.gw()
	gw.station = "203.0.113.9"
	for step := range int64(20) {
		code := k.code(step)
		codes = append(codes, code)
		if a, err := gw.login(context.Background(), "canary", pin+code, nil); err != nil || a.code != radius.CodeAccessAccept {
			t.Fatalf("step %d: %v %v", step, a.code, err)
		}
		_, _ = gw.login(context.Background(), "canary", wrong+code, nil)
	}
	_, _ = gw.login(context.Background(), typedAsName, "x", nil)
	page, _ := s.get("/metrics")
	s.stop()

	needles := map[string][]byte{
		"the seed": k.seed, "the PIN": []byte(pin), "a wrong PIN": []byte(wrong), "the shared secret": []byte(secret),
		"an unknown name": []byte(typedAsName),
	}
	look := func(where string, b []byte) {
		for what, needle := range needles {
			if bytes.Contains(b, needle) {
				t.Errorf("%s stands in %s", what, where)
			}
		}
		for _, c := range codes {
			if bytes.Contains(b, []byte(pin+c)) || bytes.Contains(b, []byte("code="+c)) || bytes.Contains(b, []byte(`"`+c+`"`)) {
				t.Errorf("a code stands in %s", where)
			}
		}
	}
	look("the metrics", []byte(page))
	files := 0
	err = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".csv") || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		look(filepath.Base(path), b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 4 {
		t.Errorf("only %d files were looked at", files)
	}
	log, err := os.ReadFile(s.log)
	if err != nil || bytes.Count(log, []byte("login")) < 20 {
		t.Errorf("the log is too short to say anything (%v)", err)
	}
}

// TestWrongSharedSecret wants the log to say so in these words, once.
func TestWrongSharedSecret(t *testing.T) {
	s := newSite(t, siteOptions{})
	s.start()
	gw := s.gw()
	gw.secret, gw.retry, gw.tries = []byte("not-the-secret-of-this-gateway"), 150*time.Millisecond, 1
	for range 5 {
		if a, err := gw.login(context.Background(), "somebody", "123456", nil); err == nil {
			t.Fatalf("answered: %v", a.code)
		}
	}
	waitFor(t, 5*time.Second, "the log names the wrong shared secret", func() bool {
		b, _ := os.ReadFile(s.log)
		return bytes.Count(b, []byte("wrong shared secret")) == 1
	})
}

// TestSecondServer wants the second process on one database refused with one plain sentence.
func TestSecondServer(t *testing.T) {
	s := newSite(t, siteOptions{})
	s.start()
	out, status := s.try("", "serve", "--config", s.path("sekisho.yaml"))
	if status != 1 || !strings.Contains(out, "sekisho.db") {
		t.Errorf("status %d: %s", status, out)
	}
	if !s.ready() {
		t.Error("the first server was disturbed")
	}
}

// TestDiskFull fills the file system under the database: answers stop, the reason is on /readyz, nothing is accepted
// unrecorded, and it goes on by itself when there is room again.
func TestDiskFull(t *testing.T) {
	testenv.NeedRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		testenv.LeaveOut(t, "no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // after the site has stopped
	s := newSite(t, siteOptions{Data: filepath.Join(dir, "data"), Storage: "  ballast: 2\n  free_space: 1\n"})
	s.start()
	k := newKeys(t, token.HOTP, "D", 1)[0]
	s.load([]*key{k}, []string{"somebody"})
	gw := s.gw()
	gw.retry, gw.tries = 500*time.Millisecond, 1
	login := func(step int64) (answer, error) { return gw.login(context.Background(), "somebody", k.code(step), nil) }
	if a, err := login(0); err != nil || a.code != radius.CodeAccessAccept {
		t.Fatalf("before: %v %v", a.code, err)
	}

	filler := filepath.Join(dir, "filler")
	fill := func() {
		_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4096", "oflag=append", "conv=notrunc").Run()
	}
	// First the ballast is given up and logins go on; then that room is filled too.
	var seen, stopped int64
	var body string
	for step := int64(1); step < 400 && stopped == 0; step++ {
		fill()
		a, err := login(step)
		if err == nil {
			if a.code == radius.CodeAccessAccept {
				seen++
			}
			continue
		}
		fill()
		time.Sleep(300 * time.Millisecond)
		var status int
		if body, status = s.get("/readyz"); status != 200 {
			stopped = step
		}
	}
	if stopped == 0 {
		t.Fatal("logins went on with a full disk")
	}
	if !strings.Contains(body, "full") {
		t.Errorf("/readyz does not name the reason: %q", body)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 20*time.Second, "it recovers by itself", s.ready)
	gw.retry, gw.tries = 2*time.Second, 3
	if a, err := login(stopped + 1); err != nil || a.code != radius.CodeAccessAccept {
		t.Fatalf("after: %v %v", a.code, err)
	}
	for step := max(0, stopped-8); step <= stopped+1; step++ {
		if a, err := gw.login(context.Background(), "somebody", k.code(step), nil); err == nil && a.code == radius.CodeAccessAccept {
			t.Errorf("step %d was accepted again", step)
		}
	}
	if accepted, want := len(s.logins("--all", "--reason", "ok")), int(seen)+2; accepted < want {
		t.Errorf("%d accepts were seen, %d stand in the chain", want, accepted)
	}
	t.Logf("%d logins with the disk filling up, stopped at step %d, back by itself", seen, stopped)
}
