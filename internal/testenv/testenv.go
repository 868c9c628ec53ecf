// Package testenv gives tests their real parts: programs of the system, certificates, free ports. Only tests import it.
//
// `go test ./...` works with nothing but Go and says which tests it left out. `make test` sets SEKISHO_REAL=1: then a
// missing part is a failure, never a skip.
package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// packages says which Debian package holds a program.
var packages = map[string]string{
	"/usr/bin/python3": "python3",
	"chromium":         "chromium",
	"eapol_test":       "eapoltest",
	"freeradius":       "freeradius",
	"ip":               "iproute2",
	"ldapmodify":       "ldap-utils",
	"oathtool":         "oathtool",
	"ocserv":           "ocserv",
	"occtl":            "ocserv",
	"openconnect":      "openconnect",
	"ping":             "iputils-ping",
	"radclient":        "freeradius-utils",
	"slapadd":          "slapd",
	"slapd":            "slapd",
	"socat":            "socat",
}

// Required reports that every real part must be there, as in `make test`.
func Required() bool { return os.Getenv("SEKISHO_REAL") == "1" }

// Need gives the path of a program, looking in the administrators' folders too. Where it is missing the test is left out
// aloud, or fails when real parts are required.
func Need(t testing.TB, program string) string {
	t.Helper()
	if p, err := exec.LookPath(program); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		p := filepath.Join(dir, program)
		if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
			return p
		}
	}
	LeaveOut(t, "%s is missing (Debian package %s); `make setup` installs it", program, packages[program])
	return ""
}

// NeedRoot leaves the test out where it may not make network namespaces.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		LeaveOut(t, "it needs root for network namespaces")
	}
}

// LeaveOut skips the test aloud, or fails it when real parts are required.
func LeaveOut(t testing.TB, format string, a ...any) {
	t.Helper()
	if Required() {
		t.Fatalf("cannot run: "+format, a...)
	}
	t.Skipf("LEFT OUT: "+format, a...)
}

// Ports below those that the kernel hands out by itself (from 32768 on, unless set otherwise), and above those of services.
const lowestPort, endPort = 15000, 32000

var portBegin = sync.OnceValue(func() int { return rand.IntN(endPort - lowestPort) })

var portsGiven atomic.Int64

// Port gives a TCP and UDP port of 127.0.0.1 that is free just now, another one each time. The kernel hands it to nobody who
// asks for any port, so a server that is stopped finds it free again. Test programs that run at the same time begin at
// different places by chance.
func Port(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := lowestPort + (portBegin()+int(portsGiven.Add(1)))%(endPort-lowestPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = u.Close()
		return port
	}
	t.Fatal("no free port on 127.0.0.1")
	return 0
}
