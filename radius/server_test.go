package radius

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"
	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
	"sekisho/internal/testenv"
)

// live is a server on real sockets.
type live struct {
	*Server
	auth  *fakeAuth
	store *fakeStore
	log   *safeBuffer
	stop  func() error
}

// serve starts a server whose client is the loopback.
func serve(t *testing.T, auth *fakeAuth, change func(c *Config)) *live {
	t.Helper()
	l := &live{auth: auth, store: &fakeStore{raised: map[netip.Addr]bool{}}, log: &safeBuffer{}}
	c := Config{Listen: []string{"127.0.0.1:0"}, ListenAccounting: []string{"127.0.0.1:0"}, Clients: []ClientConfig{{
		Name: "loop", Addresses: []string{"127.0.0.0/8", "::1"}, Secret: authn.NewSecret([]byte(testSecret)), Challenge: "plain"}}}
	if change != nil {
		change(&c)
	}
	l.Server = &Server{Config: c, Authenticator: auth, Sessions: l.store, Ratchets: l.store,
		Log: slog.New(slog.NewTextHandler(l.log, nil)), Registerer: prometheus.NewRegistry()}
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx) }()
	stopped := false
	l.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// ask sends a packet from a fresh socket and waits for the answer and where it came from.
func ask(t *testing.T, to netip.AddrPort, b []byte) ([]byte, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp", nil) // unconnected, so that an answer from a wrong address is seen
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.WriteToUDPAddrPort(b, to); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, maxPacket)
	n, from, err := conn.ReadFromUDPAddrPort(got)
	if err != nil {
		t.Fatal(err)
	}
	return got[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// TestAnswersLeaveFromTheAddressAsked uses wildcard sockets and several addresses of the machine.
func TestAnswersLeaveFromTheAddressAsked(t *testing.T) {
	l := serve(t, &fakeAuth{decide: accept}, func(c *Config) { c.Listen = []string{":0"} })
	auth, _ := l.Addresses()
	for i, sock := range auth {
		asked := []string{"127.0.0.1", "127.0.0.2", "127.1.2.3"}
		if sock.Addr().Is6() {
			asked = []string{"::1"}
		}
		for j, a := range asked {
			to := netip.AddrPortFrom(netip.MustParseAddr(a), sock.Port())
			b := pap(byte(10*i+j), "x")
			got, from := ask(t, to, b)
			checkReply(t, b, got, testSecret, AccessAccept)
			if from != to {
				t.Errorf("%v was asked, %v answered", to, from)
			}
		}
	}
	if len(auth) != 2 {
		t.Log("this machine has no IPv6")
	}
}

func TestIPv6(t *testing.T) {
	l := serve(t, &fakeAuth{decide: accept}, func(c *Config) {
		c.Listen, c.ListenAccounting = []string{"[::1]:0"}, []string{"[::1]:0"}
	})
	auth, acct := l.Addresses()
	b := pap(1, "x")
	got, from := ask(t, auth[0], b)
	checkReply(t, b, got, testSecret, AccessAccept)
	if from != auth[0] {
		t.Errorf("answered from %v", from)
	}
	if src := l.auth.seen()[0].Source.Addr(); src != netip.IPv6Loopback() {
		t.Errorf("source %v", src)
	}
	b = acctPacket(t, 1, func(*layeh.Packet) {})
	got, _ = ask(t, acct[0], b)
	checkReply(t, b, got, testSecret, AccountingResponse)
}

func TestListenFaults(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := newRig(t, nil)
	r.Config.Listen = []string{"127.0.0.1:0", taken.LocalAddr().String()}
	if err := r.Listen(); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), taken.LocalAddr().String()) {
		t.Errorf("Listen: %v", err)
	}
	if auth, acct := r.Addresses(); len(auth)+len(acct) != 0 {
		t.Error("sockets stay bound after a fault")
	}
}

// TestStopFinishes: what is being worked on is answered, and Serve returns.
func TestStopFinishes(t *testing.T) {
	l := serve(t, &fakeAuth{}, nil)
	auth, _ := l.Addresses()
	conn, err := net.Dial("udp", auth[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := pap(1, "x")
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return len(l.auth.seen()) == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- l.stop() }()
	select {
	case <-stopped:
		t.Fatal("Serve returned with a request under way")
	case <-time.After(50 * time.Millisecond): // a stop that does not wait would be done long before
	}
	l.auth.dones[0](authn.Decision{Verdict: authn.Accept})
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, maxPacket)
	n, err := conn.Read(got)
	if err != nil {
		t.Fatal(err)
	}
	checkReply(t, b, got[:n], testSecret, AccessAccept)
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

// radclient runs FreeRADIUS's client with an input and gives its output.
func radclient(t *testing.T, to netip.AddrPort, mode, secret, input string, flags ...string) (string, error) {
	t.Helper()
	args := append([]string{"-x", "-t", "2", "-r", "1"}, flags...)
	cmd := exec.Command(testenv.Need(t, "radclient"), append(args, to.String(), mode, secret)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// flagB is radclient's demand for a Message-Authenticator first in every answer, where it knows the flag (from 3.2.5 on).
func flagB(t *testing.T) []string {
	out, _ := exec.Command(testenv.Need(t, "radclient"), "-h").CombinedOutput()
	if strings.Contains(string(out), "-b ") {
		return []string{"-b"}
	}
	t.Log("this radclient has no -b; TestAnswersLeaveFromTheAddressAsked and others check the order themselves")
	return nil
}

// TestRadclient lets another implementation ask: logins, challenge, refusal, Status-Server and accounting.
func TestRadclient(t *testing.T) {
	auth := &fakeAuth{decide: func(l *authn.Login) authn.Decision {
		switch {
		case string(l.State) == "c3RhdGU" && string(l.Text.Reveal()) == "123456":
			return authn.Decision{Verdict: authn.Accept, Reply: []byte("\x19\x07staff")}
		case string(l.Text.Reveal()) == "opensesame":
			return authn.Decision{Verdict: authn.Challenge, State: []byte("c3RhdGU"), Message: "ワンタイムパスワード / one-time password"}
		}
		return authn.Decision{Verdict: authn.Reject, Delayed: true}
	}, delay: 200 * time.Millisecond}
	l := serve(t, auth, nil)
	addrs, acct := l.Addresses()
	const withMA = ", Message-Authenticator = 0x00"
	for _, flags := range [][]string{nil, flagB(t)} {
		for _, x := range []struct{ name, mode, input, want string }{
			{"challenge", "auth", `User-Name = "carol", User-Password = "opensesame"` + withMA, "Access-Challenge"},
			{"answer", "auth", `User-Name = "carol", User-Password = "123456", State = 0x633352686447 55` + withMA, "Access-Accept"},
			{"refusal", "auth", `User-Name = "carol", User-Password = "wrong"` + withMA, "Access-Reject"},
			{"CHAP", "auth", `User-Name = "carol", CHAP-Password = "wrong"` + withMA, "Access-Reject"},
			{"status", "status", `Message-Authenticator = 0x00`, "Access-Accept"},
			{"Proxy-State", "auth", `User-Name = "carol", User-Password = "opensesame", Proxy-State = 0x0102` + withMA, "Proxy-State = 0x0102"},
		} {
			out, err := radclient(t, addrs[0], x.mode, testSecret, strings.ReplaceAll(x.input, "47 55", "4755"), flags...)
			if !strings.Contains(out, x.want) || strings.Contains(out, "No reply") {
				t.Errorf("%s %v: %v\n%s", x.name, flags, err, out)
			}
		}
	}
	out, err := radclient(t, acct[0], "acct", testSecret, `User-Name = "carol", Acct-Session-Id = "1", Acct-Status-Type = Start`)
	if err != nil || !strings.Contains(out, "Accounting-Response") {
		t.Errorf("accounting: %v\n%s", err, out)
	}
	if out, err := radclient(t, addrs[0], "auth", "a different secret", `User-Name = "carol", User-Password = "x"`+withMA); err == nil {
		t.Errorf("a wrong secret got an answer:\n%s", out)
	}
	if !strings.Contains(l.log.String(), "wrong shared secret") {
		t.Errorf("the log does not say that the secret is wrong:\n%s", l.log)
	}
}

// TestRadclientWithoutMessageAuth asks as Debian's ocserv does.
func TestRadclientWithoutMessageAuth(t *testing.T) {
	l := serve(t, &fakeAuth{decide: accept}, func(c *Config) { c.Clients[0].Profile = "ocserv" })
	addrs, _ := l.Addresses()
	b := unsigned(papPacket(1, "x"))
	got, _ := ask(t, addrs[0], b)
	checkReply(t, b, got, testSecret, AccessAccept)
	out, err := radclient(t, addrs[0], "auth", testSecret, `User-Name = "carol", User-Password = "x"`, flagB(t)...)
	if err != nil || !strings.Contains(out, "Access-Accept") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestManyInFlight keeps 256 requests open on one port, each of 20 times, as a busy gateway does.
func TestManyInFlight(t *testing.T) {
	l := serve(t, &fakeAuth{decide: accept}, nil)
	addrs, _ := l.Addresses()
	conn, err := net.Dial("udp", addrs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make([]byte, maxPacket)
	for round := range 20 {
		packets := map[byte][]byte{}
		for id := range 256 {
			p := newRequestPacket(byte(id), testSecret)
			must(rfc2865.UserPassword_SetString(p, fmt.Sprint(round, id)))
			packets[byte(id)] = signed(p)
			if _, err := conn.Write(packets[byte(id)]); err != nil {
				t.Fatal(err)
			}
		}
		for len(packets) > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := conn.Read(got)
			if err != nil {
				t.Fatalf("round %d: %d requests without answer: %v\n%s", round, len(packets), err, l.log)
			}
			checkReply(t, packets[got[1]], bytes.Clone(got[:n]), testSecret, AccessAccept)
			delete(packets, got[1])
		}
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, accept)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newMetrics(r.Server))
	b := pap(1, "x")
	r.one(b)
	r.one(b)
	r.deliver(acctPort, acctPacket(t, 1, func(*layeh.Packet) {}))
	r.deliver(authPort, []byte("short"))
	r.deliverFrom(authPort, b, netip.MustParseAddrPort("198.51.100.1:1"))
	want := `
# HELP sekisho_radius_access_accepts_total Access-Accepts sent.
# TYPE sekisho_radius_access_accepts_total counter
sekisho_radius_access_accepts_total{client="fw1"} 1
# HELP sekisho_radius_access_requests_total Requests that came, repeated ones included.
# TYPE sekisho_radius_access_requests_total counter
sekisho_radius_access_requests_total{client="fw1"} 2
# HELP sekisho_radius_accounting_responses_total Accounting-Responses sent.
# TYPE sekisho_radius_accounting_responses_total counter
sekisho_radius_accounting_responses_total{client="fw1"} 1
# HELP sekisho_radius_discards_total Packets and answers that were dropped, by client and reason.
# TYPE sekisho_radius_discards_total counter
sekisho_radius_discards_total{client="fw1",reason="length"} 1
# HELP sekisho_radius_duplicate_access_requests_total Requests that were repeated.
# TYPE sekisho_radius_duplicate_access_requests_total counter
sekisho_radius_duplicate_access_requests_total{client="fw1"} 1
# HELP sekisho_radius_unknown_clients_total Packets from addresses of no client (RFC 4669 InvalidRequests).
# TYPE sekisho_radius_unknown_clients_total counter
sekisho_radius_unknown_clients_total 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "sekisho_radius_access_accepts_total", "sekisho_radius_access_requests_total",
		"sekisho_radius_accounting_responses_total", "sekisho_radius_discards_total", "sekisho_radius_duplicate_access_requests_total",
		"sekisho_radius_unknown_clients_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
