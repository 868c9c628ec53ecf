package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // reads the database of a stopped server

	"sekisho/internal/testenv"
	"sekisho/token"
)

// binary is the program under test, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sekisho-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sekisho")
	cmd := exec.Command("go", "build", "-o", path, "sekisho/cmd/sekisho")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if path, err := binary(); err == nil && path != "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(status)
}

const secret = "e2e-shared-secret-0123456789abcdef"

// site is a throw-away installation: a folder with configuration, keys and data, and the ports it listens on.
type site struct {
	t            *testing.T
	dir          string
	data         string // folder of the database
	Radius, Acct int
	metrics      int
	proc         *exec.Cmd
	gone         chan struct{}
	log          string
}

// siteOptions is what differs between installations.
type siteOptions struct {
	Directory string // YAML of the section directory; default: none, accounts made by import
	Policies  string // YAML list; default: one code is all, behind a gateway that proved the password
	Client    string // further keys of the client, each line indented by four blanks
	Storage   string // further keys of storage, indented by two blanks
	Data      string // folder of the database; default: below the site's own
	Mark      string // folder of the mark; default: below the site's own
}

// newSite writes an installation and starts nothing.
func newSite(t *testing.T, o siteOptions) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), Radius: testenv.Port(t), Acct: testenv.Port(t), metrics: testenv.Port(t)}
	s.log = filepath.Join(s.dir, "sekisho.log")
	if o.Directory == "" {
		o.Directory = "directory:\n  type: none\n"
	}
	if o.Policies == "" {
		o.Policies = "policies:\n  - name: behind-the-gateway\n    first_factor: gateway\n"
		o.Client += "    first_factor: gateway\n"
	}
	if o.Data == "" {
		o.Data = filepath.Join(s.dir, "data")
	}
	if o.Mark == "" {
		o.Mark = filepath.Join(s.dir, "mark")
	}
	for _, d := range []string{o.Data, o.Mark} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.data = o.Data
	key := filepath.Join(s.dir, "sealing.key")
	s.cli("keys", "new", key)
	config := fmt.Sprintf(`storage:
  path: %s
  mark: %s
%s
keys:
  file: %s
radius:
  listen: 127.0.0.1:%d
  listen_accounting: 127.0.0.1:%d
  clients:
  - name: gw
    addresses: 127.0.0.1
    secret: %s
    reject_delay: 100ms
%s
%s
%s
admin:
  socket: %s
metrics:
  listen: 127.0.0.1:%d
`, s.database(), filepath.Join(o.Mark, "mark"), o.Storage, key, s.Radius, s.Acct, secret, o.Client,
		o.Directory, o.Policies, s.path("admin.sock"), s.metrics)
	if err := os.WriteFile(s.path("sekisho.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			b, _ := os.ReadFile(s.log)
			t.Logf("the server's log:\n%s", tail(b, 6000))
		}
	})
	return s
}

func (s *site) database() string { return filepath.Join(s.data, "sekisho.db") }

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// start runs `sekisho serve` and waits until it is ready.
func (s *site) start() {
	s.t.Helper()
	if err := s.tryStart(60 * time.Second); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) tryStart(most time.Duration) error {
	path, err := binary()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	s.proc = exec.Command(path, "serve", "--config", s.path("sekisho.yaml"))
	s.proc.Stdout, s.proc.Stderr = f, f
	if err := s.proc.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	s.gone = gone
	proc := s.proc
	go func() { _ = proc.Wait(); close(gone) }()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-gone:
			b, _ := os.ReadFile(s.log)
			return fmt.Errorf("the server ended at once: %s", tail(b, 2000))
		default:
		}
		if s.ready() {
			return nil
		}
	}
	return fmt.Errorf("the server was not ready after %v", most)
}

func (s *site) ready() bool {
	_, status := s.get("/readyz")
	return status == 200
}

// get fetches a page of the metrics listener; status 0 means that nobody listens.
func (s *site) get(path string) (body string, status int) {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(s.metrics), time.Second)
	if err != nil {
		return "", 0
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path)
	var b bytes.Buffer
	_, _ = b.ReadFrom(c)
	head, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	fields := strings.Fields(head)
	if len(fields) < 2 {
		return "", 0
	}
	status, _ = strconv.Atoi(fields[1])
	return body, status
}

// stop ends the server as an administrator would.
func (s *site) stop() { s.end(syscall.SIGTERM) }

// kill ends it as a power cut to the process would.
func (s *site) kill() { s.end(syscall.SIGKILL) }

func (s *site) end(sig syscall.Signal) {
	if s.proc == nil || s.proc.Process == nil {
		return
	}
	_ = s.proc.Process.Signal(sig)
	select {
	case <-s.gone:
	case <-time.After(20 * time.Second):
		_ = s.proc.Process.Kill()
		<-s.gone
		s.t.Errorf("the server did not end within 20 s of %v", sig)
	}
	s.proc = nil
}

// cli runs a command of the program and wants it done.
func (s *site) cli(args ...string) string {
	s.t.Helper()
	out, status := s.try("", args...)
	if status != 0 {
		s.t.Fatalf("sekisho %s: status %d: %s", strings.Join(args, " "), status, out)
	}
	return out
}

// try runs a command of the program with some input.
func (s *site) try(stdin string, args ...string) (out string, status int) {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "SEKISHO_SOCKET="+s.path("admin.sock"))
	cmd.Stdin = strings.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok {
		return string(b), exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	return string(b), 0
}

// gw is the site's gateway.
func (s *site) gw() *nas {
	return &nas{addr: "127.0.0.1:" + strconv.Itoa(s.Radius), secret: []byte(secret)}
}

// key is a token under test, with its seed in hand.
type key struct {
	serial string
	seed   []byte
	tok    token.Token
}

// code is what the token shows at a step.
func (k *key) code(step int64) string { return k.tok.Code(k.seed, step) }

// now is what a TOTP token shows now.
func (k *key) now() (code string, step int64) {
	step = k.tok.StepAt(time.Now())
	return k.code(step), step
}

// row is a line of the import file; users get the token each.
func (k *key) row(user string) string {
	mode := k.tok.Mode.String()
	period := ""
	if k.tok.Mode == token.TOTP {
		period = strconv.Itoa(int(k.tok.Period))
	}
	return fmt.Sprintf("%s,%s,%s,%s,%d,%s,%s\n", k.serial, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(k.seed), mode,
		k.tok.Hash, k.tok.Digits, period, user)
}

const importHead = "serial,secret_base32,mode,hash,digits,period,user\n"

// newKeys makes tokens with seeds of their own.
func newKeys(t *testing.T, mode token.Mode, prefix string, n int) []*key {
	t.Helper()
	keys := make([]*key, n)
	for i := range keys {
		k := &key{serial: fmt.Sprintf("%s%06d", prefix, i), seed: []byte(token.NewSeed(20))}
		k.tok = token.Token{Mode: mode, Hash: token.SHA1, Digits: 6, Last: token.NoStep, Form: token.Hardware}
		if mode == token.TOTP {
			k.tok.Period = 30
		}
		keys[i] = k
	}
	return keys
}

// load imports tokens, each assigned to the user of the same place.
func (s *site) load(keys []*key, users []string) {
	s.t.Helper()
	var b strings.Builder
	b.WriteString(importHead)
	for i, k := range keys {
		b.WriteString(k.row(users[i]))
	}
	file := s.path("tokens.csv")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.cli("token", "import", file)
}

// loginLine is one line of `sekisho logins --json`.
type loginLine struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	User    string `json:"user"`
	Token   string `json:"token"`
	Step    int64  `json:"step"`
}

// logins asks the server for its newest attempts.
func (s *site) logins(args ...string) []loginLine {
	s.t.Helper()
	out := s.cli(append([]string{"logins", "--json"}, args...)...)
	var lines []loginLine
	for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
		if l == "" {
			continue
		}
		var x loginLine
		if err := json.Unmarshal([]byte(l), &x); err != nil {
			s.t.Fatalf("line %q: %v", l, err)
		}
		lines = append(lines, x)
	}
	return lines
}

// countSessions counts accounting records of a status in the database of a stopped server.
func (s *site) countSessions(status int) (n int) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.database()+"?mode=ro")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRow("select count(*) from session where status = ?", status).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// metricSum adds up the values of a metric over its labels.
func metricSum(page, name string) (sum float64) {
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err == nil {
			sum += v
		}
	}
	return sum
}
