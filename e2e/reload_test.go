package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// from sends one login with FreeRADIUS's client from an address of its own and gives what came back, or nothing.
func (s *site) from(address, shared, name, code string) string {
	s.t.Helper()
	cmd := exec.Command("radclient", "-x", "-r", "1", "-t", "2", "127.0.0.1:"+strconv.Itoa(s.Radius), "auth", shared)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("Packet-Src-IP-Address = %s\nUser-Name = %q\nUser-Password = %q\nMessage-Authenticator = 0x00\n", address, name, code))
	out, _ := cmd.CombinedOutput()
	for _, answer := range []string{"Access-Accept", "Access-Reject"} {
		if strings.Contains(string(out), "Received "+answer) {
			return answer
		}
	}
	if strings.Contains(string(out), "No reply") {
		return ""
	}
	s.t.Fatalf("radclient: %s", out)
	return ""
}

// manager takes what the service tells its manager.
type manager struct {
	conn *net.UnixConn
	t    *testing.T
}

// until reads messages up to one that begins with a text.
func (m manager) until(begins string) {
	m.t.Helper()
	b := make([]byte, 4096)
	_ = m.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("the service never told %s: %v", begins, err)
		}
		if strings.HasPrefix(string(b[:n]), begins) {
			return
		}
	}
}

// TestReload edits the configuration of a running service as an administrator does, with SIGHUP in between: a new client
// is answered, one that was taken out is not, and a broken file changes nothing. The service manager is told about all.
func TestReload(t *testing.T) {
	testenv.Need(t, "radclient")
	s := newSite(t, siteOptions{})
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	m := manager{conn, t}
	t.Setenv("NOTIFY_SOCKET", s.path("notify"))
	t.Setenv("WATCHDOG_USEC", "400000")
	s.start()
	m.until("READY=1")
	m.until("WATCHDOG=1")
	k := newKeys(t, token.HOTP, "R", 1)[0]
	s.load([]*key{k}, []string{"rita"})
	step := int64(0)
	login := func(address, shared, want string) {
		t.Helper()
		if got := s.from(address, shared, "rita", k.code(step)); got != want {
			t.Errorf("from %s: %q, want %q", address, got, want)
		}
		if want != "" {
			step++
		}
	}
	const other = "the-secret-of-the-new-one-0123456789"
	hangup := func() {
		t.Helper()
		if err := s.proc.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		m.until("RELOADING=1")
		m.until("READY=1")
	}
	config, err := os.ReadFile(s.path("sekisho.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(text string) {
		t.Helper()
		if err := os.WriteFile(s.path("sekisho.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const client = "  - name: new\n    addresses: 127.0.0.2\n    secret: " + other + "\n    first_factor: gateway\n    reject_delay: 100ms\n"
	with := strings.Replace(string(config), "  clients:\n", "  clients:\n"+client, 1)

	login("127.0.0.1", secret, "Access-Accept")
	login("127.0.0.2", other, "")
	edit(with)
	login("127.0.0.2", other, "") // nothing happens by itself
	hangup()
	login("127.0.0.2", other, "Access-Accept")
	login("127.0.0.1", secret, "Access-Accept")

	edit(strings.Replace(with, "first_factor: gateway", "first_factor: nothing", 1))
	hangup()
	login("127.0.0.2", other, "Access-Accept")
	log, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"radius.clients[new]", "the former one goes on", "sekisho.yaml:", `\"nothing\" is not known`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Contains(string(log), other) {
		t.Error("the log holds a shared secret")
	}

	edit(string(config))
	hangup()
	login("127.0.0.2", other, "")
	login("127.0.0.1", secret, "Access-Accept")
	m.until("WATCHDOG=1")
	s.stop()
	m.until("STOPPING=1")
}
