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
func (s *site) from(address, shared, name, code, patience string) string {
	s.t.Helper()
	cmd := exec.Command("radclient", "-x", "-r", "1", "-t", patience, "127.0.0.1:"+strconv.Itoa(s.Radius), "auth", shared)
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

// manager takes what the service tells its manager. It reads all the time, as systemd does: the kernel holds ten messages.
type manager struct {
	t    *testing.T
	told chan string
}

func newManager(t *testing.T, address string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t, make(chan string, 10_000)}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			m.told <- string(b[:n])
		}
	}()
	return m
}

// until takes messages up to one that begins with a text.
func (m *manager) until(begins string) {
	m.t.Helper()
	end := time.After(30 * time.Second)
	for {
		select {
		case text := <-m.told:
			if strings.HasPrefix(text, begins) {
				return
			}
		case <-end:
			m.t.Fatalf("the service never told %s", begins)
		}
	}
}

// TestReload edits the configuration of a running service as an administrator does, with SIGHUP in between: a new client
// is answered, one that was taken out is not, and a broken file changes nothing. The service manager is told about all.
func TestReload(t *testing.T) {
	testenv.Need(t, "radclient")
	s := newSite(t, siteOptions{})
	m := newManager(t, s.path("notify"))
	t.Setenv("NOTIFY_SOCKET", s.path("notify"))
	t.Setenv("WATCHDOG_USEC", "1000000")
	s.start()
	m.until("READY=1")
	m.until("WATCHDOG=1")
	k := newKeys(t, token.HOTP, "R", 1)[0]
	s.load([]*key{k}, []string{"rita"})
	step := int64(0)
	login := func(address, shared, want string) {
		t.Helper()
		patience := "10"
		if want == "" {
			patience = "1"
		}
		if got := s.from(address, shared, "rita", k.code(step), patience); got != want {
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
