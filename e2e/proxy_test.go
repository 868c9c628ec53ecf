package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// startProxy runs FreeRADIUS between gateways and a site: it passes every login on and knows nobody itself.
func startProxy(t *testing.T, s *site) (address string) {
	t.Helper()
	program := testenv.Need(t, "freeradius")
	dir := t.TempDir()
	port := testenv.Port(t)
	config := fmt.Sprintf(`name = radiusd
prefix = /usr
logdir = %[1]s
raddbdir = %[1]s
run_dir = %[1]s
libdir = /usr/lib/freeradius
max_request_time = 30
cleanup_delay = 5
log {
  destination = stdout
  auth = no
}
security {
  max_attributes = 200
  reject_delay = 0
  status_server = no
}
proxy_requests = yes
thread pool {
  start_servers = 2
  max_servers = 4
}
home_server site {
  type = auth
  ipaddr = 127.0.0.1
  port = %[2]d
  secret = %[3]s
  response_window = 20
  status_check = status-server
}
home_server_pool site {
  type = fail-over
  home_server = site
}
realm site {
  auth_pool = site
  nostrip
}
client gateways {
  ipaddr = 127.0.0.1
  secret = %[3]s
}
modules {
  always ok {
    rcode = ok
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = %[4]d
  }
  authorize {
    update control {
      &Proxy-To-Realm := "site"
    }
  }
}
`, dir, s.Radius, secret, port)
	if err := os.WriteFile(filepath.Join(dir, "radiusd.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dictionary"), []byte("$INCLUDE /usr/share/freeradius/dictionary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	background(t, log, nil, program, "-f", "-l", "stdout", "-d", dir)
	waitFor(t, 15*time.Second, "FreeRADIUS listens", func() bool { return contains(log, "Ready to process requests") })
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// TestBehindProxy puts a real FreeRADIUS in front: its Proxy-State comes back to it, a question and its State pass through,
// the Accept has the policy's attributes, a refusal is one.
func TestBehindProxy(t *testing.T) {
	dir := testenv.Slapd(t, testenv.SlapdOptions{})
	s := newSite(t, siteOptions{
		Directory: ldapSection(dir, "    failure_limit: 10\n"),
		Policies:  "policies:\n  - name: everybody\n    code: either\n    reply: {Class: OU=staff;, Session-Timeout: 3600}\n",
		Client:    "    challenge: plain\n",
	})
	s.start()
	k := newKeys(t, token.HOTP, "P", 1)[0]
	s.load([]*key{k}, []string{"alice"})
	gw := startProxy(t, s)
	login := func(text, state string) string {
		t.Helper()
		request := fmt.Sprintf("User-Name = alice, User-Password = %q, NAS-Identifier = proxied, Message-Authenticator = 0x00", text)
		if state != "" {
			request += ", State = " + state
		}
		cmd := exec.Command(testenv.Need(t, "radclient"), "-x", "-r", "1", "-t", "20", gw, "auth", secret)
		cmd.Stdin = strings.NewReader(request)
		out, _ := cmd.CombinedOutput() // a refusal is status 1
		return string(out)
	}
	granted := func(how, out string) {
		t.Helper()
		for _, want := range []string{"Received Access-Accept", "Class = 0x4f553d73746166663b", "Session-Timeout = 3600"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in %s", how, want, out)
			}
		}
	}
	granted("in one field", login(testenv.SlapdPassword+k.code(0), ""))
	question := login(testenv.SlapdPassword, "")
	state := regexp.MustCompile(`State = (0x[0-9a-f]+)`).FindStringSubmatch(question)
	if !strings.Contains(question, "Received Access-Challenge") || !strings.Contains(question, "one-time password") || state == nil {
		t.Fatalf("the password alone: %s", question)
	}
	granted("after a question", login(k.code(1), state[1]))
	if out := login(testenv.SlapdPassword+k.code(1), ""); !strings.Contains(out, "Received Access-Reject") {
		t.Errorf("a used code: %s", out)
	}
}
