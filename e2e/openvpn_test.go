package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// radiusPlugin is Debian's openvpn-auth-radius.
const radiusPlugin = "/usr/lib/openvpn/radiusplugin.so"

// openVPN is an OpenVPN server in a namespace of its own that asks a site over RADIUS, through its plug-in.
type openVPN struct {
	t    *testing.T
	dir  string
	side *namespaces
	pki  *testenv.Certificates
}

func startOpenVPN(t *testing.T, s *site) *openVPN {
	t.Helper()
	program := testenv.Need(t, "openvpn")
	testenv.NeedRoot(t)
	if _, err := os.Stat(radiusPlugin); err != nil {
		testenv.LeaveOut(t, "openvpn-auth-radius is not installed")
	}
	v := &openVPN{t: t, dir: t.TempDir(), side: newNamespaces(t), pki: testenv.PKI(t)}
	// The plug-in keeps four digits of a port.
	relay(t, v.side.gateway, 1812, s.Radius)
	relay(t, v.side.gateway, 1813, s.Acct)
	for _, d := range []string{"ccd"} {
		if err := os.Mkdir(v.path(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	v.write("server.conf", strings.Join([]string{
		"local 198.18.7.1", "port 21194", "proto udp", "dev tun", "disable-dco", "topology subnet",
		"server 198.18.8.0 255.255.255.0",
		"ca " + v.pki.CA, "cert " + v.pki.ServerCert, "key " + v.pki.ServerKey, "dh none",
		"verify-client-cert none", "username-as-common-name",
		"client-config-dir " + v.path("ccd"),
		"status " + v.path("status") + " 1", "status-version 1",
		"keepalive 5 20", "explicit-exit-notify 1",
		"plugin " + radiusPlugin + " " + v.path("plugin.conf"),
		"verb 4", ""}, "\n"))
	v.write("plugin.conf", fmt.Sprintf(`NAS-Identifier=e2e-openvpn
Service-Type=5
Framed-Protocol=1
NAS-Port-Type=5
NAS-IP-Address=198.18.7.1
OpenVPNConfig=%s
subnet=255.255.255.0
overwriteccfiles=true
nonfatalaccounting=false
server
{
	acctport=1813
	authport=1812
	name=127.0.0.1
	retry=1
	wait=5
	sharedsecret=%s
}
`, v.path("server.conf"), secret))
	log := v.path("server.log")
	background(t, log, nil, testenv.Need(t, "ip"), "netns", "exec", v.side.gateway, program, "--config", v.path("server.conf"))
	waitFor(t, 15*time.Second, "OpenVPN listens", func() bool { return contains(log, "Initialization Sequence Completed") })
	return v
}

func (v *openVPN) path(name string) string { return filepath.Join(v.dir, name) }

func (v *openVPN) write(name, text string) {
	v.t.Helper()
	if err := os.WriteFile(v.path(name), []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

func contains(file, text string) bool {
	b, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(b), text)
}

// connect lets a client of OpenVPN sign in; open is false when it was refused. The tunnel stays until stop.
func (v *openVPN) connect(user, password string) (open bool, stop func()) {
	v.t.Helper()
	v.write("credentials", user+"\n"+password+"\n")
	v.write("client.conf", strings.Join([]string{
		"client", "remote 198.18.7.1 21194", "proto udp", "dev tun", "disable-dco", "nobind",
		"ca " + v.pki.CA, "auth-user-pass " + v.path("credentials"), "auth-retry none", "connect-retry-max 1",
		"explicit-exit-notify 1", "verb 3", ""}, "\n"))
	log := v.path("client.log")
	_ = os.Remove(log)
	stop = background(v.t, log, nil, testenv.Need(v.t, "ip"), "netns", "exec", v.side.user, testenv.Need(v.t, "openvpn"), "--config", v.path("client.conf"))
	waitFor(v.t, 40*time.Second, "OpenVPN's client is in or refused", func() bool {
		open = contains(log, "Initialization Sequence Completed")
		return open || contains(log, "AUTH_FAILED")
	})
	return open, stop
}

// twoFields is what OpenVPN's static-challenge sends.
func twoFields(password, code string) string {
	return "SCRV1:" + base64.StdEncoding.EncodeToString([]byte(password)) + ":" + base64.StdEncoding.EncodeToString([]byte(code))
}

// TestOpenVPN signs real clients of OpenVPN in: password and code in one field, then in the two fields of its
// static-challenge. The tunnel carries packets, its address is the policy's, and a code opens nothing twice.
func TestOpenVPN(t *testing.T) {
	dir := testenv.Slapd(t, testenv.SlapdOptions{})
	s := newSite(t, siteOptions{
		Directory: ldapSection(dir, "    failure_limit: 10\n"),
		Policies:  "policies:\n  - name: everybody\n    reply: {Framed-IP-Address: 198.18.8.77}\n",
		Client:    "    profile: openvpn\n",
	})
	s.start()
	keys := newKeys(t, token.HOTP, "O", 2)
	s.load(keys, []string{"alice", "bob"})
	v := startOpenVPN(t, s)

	open, stop := v.connect("alice", testenv.SlapdPassword+keys[0].code(0))
	if !open {
		t.Fatal("password and code in one field were refused")
	}
	ip := testenv.Need(t, "ip")
	out, err := exec.Command(ip, "-n", v.side.user, "-4", "-o", "addr", "show", "dev", "tun0").CombinedOutput()
	if address := regexp.MustCompile(`inet ([0-9.]+)`).FindSubmatch(out); err != nil || address == nil || string(address[1]) != "198.18.8.77" {
		t.Errorf("the tunnel has %s, %v; want the policy's 198.18.8.77", out, err)
	}
	if out, err := exec.Command(ip, "netns", "exec", v.side.user, testenv.Need(t, "ping"), "-c", "2", "-W", "2", "-i", "0.2", "198.18.8.1").CombinedOutput(); err != nil {
		t.Errorf("nothing passes the tunnel: %v: %s", err, out)
	}
	stop()

	if open, stop := v.connect("alice", testenv.SlapdPassword+keys[0].code(0)); open {
		t.Error("a used code opened a tunnel")
	} else {
		stop()
	}
	open, stop = v.connect("bob", twoFields(testenv.SlapdPassword, keys[1].code(0)))
	if !open {
		t.Error("the two fields of static-challenge were refused")
	}
	stop()
	if open, stop := v.connect("bob", twoFields("wrong", keys[1].code(1))); open {
		t.Error("a wrong password in two fields opened a tunnel")
	} else {
		stop()
	}

	var got []string
	for _, l := range s.logins("--all") {
		got = append(got, l.Reason)
	}
	if text := strings.Join(got, " "); !strings.Contains(text, "already-used") || strings.Count(text, "ok") != 2 {
		t.Errorf("the reasons are %s", text)
	}
}
