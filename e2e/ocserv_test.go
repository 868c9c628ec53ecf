package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/internal/testenv"
)

// gateway is a real VPN server (ocserv, with radcli inside) that asks a RADIUS server for every login.
type gateway struct {
	t       *testing.T
	dir     string
	address string // host:port of its AnyConnect listener
	ca      string
	side    *namespaces // nil: in the test's own network
	log     string
	stop    func()
}

// namespaces are two network hosts of this test's own, joined by a wire: the gateway at 198.18.7.1 and its user at .2.
type namespaces struct{ gateway, user string }

// dictionary is where Debian keeps radcli's.
const dictionary = "/etc/radcli/dictionary"

// startGateway runs ocserv against a RADIUS server on loopback. With apart it lives in a namespace of its own and its
// users come over the wire from another one; RADIUS reaches the test's network through relays. More are further lines of
// its configuration.
func startGateway(t *testing.T, radiusPort, acctPort int, secret string, apart bool, more ...string) *gateway {
	t.Helper()
	ocserv := testenv.Need(t, "ocserv")
	testenv.Need(t, "openconnect")
	testenv.NeedRoot(t)
	// ocserv's workers run as nobody: every folder above has to let them through, which the test's own does not.
	dir, err := os.MkdirTemp("", "sekisho-gateway-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := &gateway{t: t, dir: dir}
	if err := os.Chmod(g.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pki := testenv.PKI(t)
	g.ca = pki.CA
	host := "127.0.0.1"
	if apart {
		g.side = newNamespaces(t)
		host = "198.18.7.1"
		relayInto(t, g.side.gateway, radiusPort)
		relayInto(t, g.side.gateway, acctPort)
	}
	port := testenv.Port(t)
	g.address = net.JoinHostPort(host, strconv.Itoa(port))
	g.log = filepath.Join(g.dir, "ocserv.log")

	g.write("servers", fmt.Sprintf("127.0.0.1 %s\n", secret))
	g.write("radcli.conf", strings.Join([]string{
		"nas-identifier e2e-ocserv",
		"authserver 127.0.0.1:" + strconv.Itoa(radiusPort),
		"acctserver 127.0.0.1:" + strconv.Itoa(acctPort),
		"servers " + g.path("servers"),
		"dictionary " + dictionary,
		"default_realm",
		"radius_timeout 10",
		"radius_retries 2",
		"bindaddr *", ""}, "\n"))
	nobody, err := user.LookupGroupId(lookup(t, "nobody").Gid)
	if err != nil {
		t.Fatal(err)
	}
	g.write("ocserv.conf", strings.Join(append([]string{
		fmt.Sprintf("auth = \"radius[config=%s,groupconfig=true]\"", g.path("radcli.conf")),
		fmt.Sprintf("acct = \"radius[config=%s]\"", g.path("radcli.conf")),
		"listen-host = " + host,
		"tcp-port = " + strconv.Itoa(port),
		"run-as-user = nobody",
		"run-as-group = " + nobody.Name,
		"socket-file = " + g.path("s"),
		"server-cert = " + pki.ServerCert,
		"server-key = " + pki.ServerKey,
		"isolate-workers = false",
		"max-clients = 16",
		"max-same-clients = 4",
		"keepalive = 300",
		"dpd = 60",
		"stats-report-time = 2",
		"auth-timeout = 40",
		"cookie-timeout = 5",
		"rekey-time = 172800",
		"max-ban-score = 0",
		"device = e2evpn",
		"ipv4-network = 198.18.8.0",
		"ipv4-netmask = 255.255.255.0",
		"pid-file = " + g.path("ocserv.pid"), ""}, append(more, "")...), "\n"))

	args := []string{ocserv, "-f", "-d", "2", "-c", g.path("ocserv.conf")}
	if apart {
		args = append([]string{testenv.Need(t, "ip"), "netns", "exec", g.side.gateway}, args...)
	}
	g.stop = background(t, g.log, nil, args...)
	waitFor(t, 8*time.Second, "ocserv listens", func() bool {
		if apart {
			return exec.Command(args[0], "netns", "exec", g.side.gateway, "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", host, port)).Run() == nil
		}
		c, err := net.DialTimeout("tcp", g.address, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return g
}

func lookup(t *testing.T, name string) *user.User {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (g *gateway) path(name string) string { return filepath.Join(g.dir, name) }

func (g *gateway) write(name, text string) {
	g.t.Helper()
	if err := os.WriteFile(g.path(name), []byte(text), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// vpnLogin is what became of one login by openconnect.
type vpnLogin struct {
	in      bool // the gateway gave a session cookie
	refused bool // the gateway said no, in words
	prompts int  // password forms that were shown
	output  string
}

var passwordForm = regexp.MustCompile(`(?m)^Password[0-9]*:`)

// login lets openconnect sign in, answering the forms in order, without opening a tunnel.
func (g *gateway) login(name string, answers ...string) vpnLogin {
	g.t.Helper()
	return g.loginTo("", name, answers...)
}

// loginTo is login into a group; empty: none is asked for.
func (g *gateway) loginTo(group, name string, answers ...string) vpnLogin {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	args := []string{"--protocol=anyconnect", "--cafile", g.ca, "--user", name, "--authenticate"}
	if group != "" {
		args = append(args, "--authgroup", group)
	}
	cmd := exec.CommandContext(ctx, testenv.Need(g.t, "openconnect"), append(args, "https://"+g.address+"/")...)
	cmd.Stdin = strings.NewReader(strings.Join(answers, "\n") + "\n")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit status says less than the output
	l := vpnLogin{
		in:      bytes.Contains(out.Bytes(), []byte("COOKIE='")) && !bytes.Contains(out.Bytes(), []byte("COOKIE=''")),
		prompts: len(passwordForm.FindAll(errs.Bytes(), -1)),
		output:  errs.String(),
	}
	l.refused = strings.Contains(l.output, "Login failed") || strings.Contains(l.output, "401 ")
	return l
}

// tunnel is an open VPN session with an address of its own.
type tunnel struct {
	Address string
	g       *gateway
	stop    func()
}

// open signs in and opens a tunnel between the two namespaces.
func (g *gateway) open(name string, answers ...string) *tunnel {
	g.t.Helper()
	g.write("up.sh", `#!/bin/sh
if [ "$reason" = connect ]; then
  ip link set dev "$TUNDEV" up mtu "${INTERNAL_IP4_MTU:-1300}"
  ip addr add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"
  ip route add 198.18.8.0/24 dev "$TUNDEV"
  echo "$INTERNAL_IP4_ADDRESS" >"$UP_FILE"
fi
`)
	if err := os.Chmod(g.path("up.sh"), 0o755); err != nil {
		g.t.Fatal(err)
	}
	up := g.path("up")
	_ = os.Remove(up)
	stop := background(g.t, g.path("client.log"), []byte(strings.Join(answers, "\n")+"\n"),
		testenv.Need(g.t, "ip"), "netns", "exec", g.side.user, "env", "UP_FILE="+up,
		testenv.Need(g.t, "openconnect"), "--protocol=anyconnect", "--cafile", g.ca, "--user", name,
		"--no-dtls", "--reconnect-timeout", "3", "--interface", "tune2e", "--script", g.path("up.sh"), "https://"+g.address+"/")
	var address string
	waitFor(g.t, 25*time.Second, "the tunnel is up", func() bool {
		b, err := os.ReadFile(up)
		address = strings.TrimSpace(string(b))
		return err == nil && address != ""
	})
	return &tunnel{Address: address, g: g, stop: stop}
}

// ping sends two packets through the tunnel to the gateway's inner address.
func (u *tunnel) ping() error {
	out, err := exec.Command(testenv.Need(u.g.t, "ip"), "netns", "exec", u.g.side.user,
		testenv.Need(u.g.t, "ping"), "-c", "2", "-W", "2", "-i", "0.2", "198.18.8.1").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// newNamespaces makes the two hosts; they go with the test.
func newNamespaces(t *testing.T) *namespaces {
	t.Helper()
	ip := testenv.Need(t, "ip")
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		testenv.LeaveOut(t, "there is no /dev/net/tun")
	}
	tag := strconv.Itoa(os.Getpid()%100_000) + strconv.Itoa(int(time.Now().UnixNano()%1000))
	n := &namespaces{"skg" + tag, "sku" + tag}
	for _, name := range []string{n.gateway, n.user} {
		run(t, ip, "netns", "add", name)
		t.Cleanup(func() { _ = exec.Command(ip, "netns", "del", name).Run() })
	}
	run(t, ip, "-n", n.gateway, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", n.user)
	run(t, ip, "-n", n.gateway, "addr", "add", "198.18.7.1/24", "dev", "veth0")
	run(t, ip, "-n", n.user, "addr", "add", "198.18.7.2/24", "dev", "veth0")
	for _, name := range []string{n.gateway, n.user} {
		run(t, ip, "-n", name, "link", "set", "lo", "up")
		run(t, ip, "-n", name, "link", "set", "veth0", "up")
	}
	return n
}

// relayInto makes a UDP port of the test's loopback reachable as the same port of a namespace's loopback.
func relayInto(t *testing.T, namespace string, port int) {
	t.Helper()
	relay(t, namespace, port, port)
}

// relay makes a UDP port of the test's loopback reachable as a port of a namespace's loopback, through a unix socket: no
// address or route is added to the test's own network.
func relay(t *testing.T, namespace string, inside, port int) {
	t.Helper()
	socat := testenv.Need(t, "socat")
	dir := t.TempDir()
	socket := filepath.Join(dir, "r")
	background(t, filepath.Join(dir, "out.log"), nil, socat, "UNIX-LISTEN:"+socket+",type=5,fork", fmt.Sprintf("UDP4:127.0.0.1:%d", port))
	waitFor(t, 3*time.Second, "the relay's socket", func() bool { _, err := os.Stat(socket); return err == nil })
	background(t, filepath.Join(dir, "in.log"), nil, testenv.Need(t, "ip"), "netns", "exec", namespace,
		socat, "-T", "60", fmt.Sprintf("UDP4-LISTEN:%d,bind=127.0.0.1,fork,reuseaddr", inside), "UNIX-CONNECT:"+socket+",type=5")
	waitFor(t, 3*time.Second, "the relay inside", func() bool {
		return exec.Command("ip", "netns", "exec", namespace, "bash", "-c", fmt.Sprintf("ss -Hlun 'sport = :%d' | grep -q .", inside)).Run() == nil
	})
}

// run runs one short command.
func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// background starts a program in a process group of its own, its output in a log that a failed test shows. The returned
// function ends the group; the end of the test does too.
func background(t *testing.T, log string, stdin []byte, args ...string) (stop func()) {
	t.Helper()
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-gone:
		case <-time.After(3 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-gone
		}
		_ = f.Close()
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			if b, err := os.ReadFile(log); err == nil {
				t.Logf("%s (%s):\n%s", filepath.Base(args[0]), filepath.Base(log), tail(b, 4000))
			}
		}
	})
	return stop
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// waitFor polls until a condition holds.
func waitFor(t *testing.T, most time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain: %s", most, what)
		}
	}
}
