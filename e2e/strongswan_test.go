package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// charon is strongSwan's daemon, where Debian keeps it.
const charon = "/usr/lib/ipsec/charon"

// deviceKey is what the two devices share; the person comes after it.
const deviceKey = `secrets {
  ike-devices {
    id-a = server.lab.test
    id-b = client.lab.test
    secret = "e2e-device-key-0123456789abcdef"
  }
}
`

// strongSwan is an IPsec gateway and its user, each a daemon of its own in a namespace of its own. ESP runs in user space,
// so the kernel needs none.
type strongSwan struct {
	t    *testing.T
	dir  string
	side *namespaces
}

// startStrongSwan starts both. The gateway takes IKEv1 with XAuth, whose password it asks over RADIUS as PAP: the form in
// which strongSwan can pass a one-time password on without EAP.
func startStrongSwan(t *testing.T, s *site) *strongSwan {
	t.Helper()
	swanctl := testenv.Need(t, "swanctl")
	testenv.NeedRoot(t)
	for _, file := range []string{charon, "/usr/lib/ipsec/plugins/libstrongswan-eap-radius.so", "/usr/lib/ipsec/plugins/libstrongswan-xauth-generic.so",
		"/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so"} {
		if _, err := os.Stat(file); err != nil {
			testenv.LeaveOut(t, "%s is not installed", file)
		}
	}
	v := &strongSwan{t: t, dir: t.TempDir(), side: newNamespaces(t)}
	relayInto(t, v.side.gateway, s.Radius)
	relayInto(t, v.side.gateway, s.Acct)
	run(t, testenv.Need(t, "ip"), "-n", v.side.gateway, "addr", "add", "198.18.10.1/24", "dev", "lo")
	for _, side := range []string{"gateway", "user"} {
		if err := os.Mkdir(v.path(side), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	v.daemon("gateway", v.side.gateway, fmt.Sprintf(`    eap-radius {
      accounting = yes
      station_id_with_port = no
      nas_identifier = e2e-strongswan
      servers {
        site {
          address = 127.0.0.1
          auth_port = %d
          acct_port = %d
          secret = "%s"
        }
      }
    }`, s.Radius, s.Acct, secret))
	v.daemon("user", v.side.user, "")
	v.write("gateway/swanctl.conf", `connections {
  vpn {
    version = 1
    local_addrs = 198.18.7.1
    pools = addresses
    send_certreq = no
    local {
      auth = psk
      id = server.lab.test
    }
    remote-device {
      auth = psk
      id = client.lab.test
    }
    remote-person {
      auth = xauth-radius
    }
    children {
      net {
        local_ts = 198.18.10.0/24
      }
    }
  }
}
pools {
  addresses {
    addrs = 198.18.11.0/24
  }
}
`+deviceKey)
	v.must(swanctl, "gateway", "--load-all", "--file", v.path("gateway", "swanctl.conf"))
	return v
}

func (v *strongSwan) path(parts ...string) string {
	return filepath.Join(append([]string{v.dir}, parts...)...)
}

func (v *strongSwan) write(name, text string) {
	v.t.Helper()
	if err := os.WriteFile(v.path(name), []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// daemon runs a charon, which wants a /run of its own.
func (v *strongSwan) daemon(side, namespace, plugins string) {
	v.t.Helper()
	v.write(side+".conf", fmt.Sprintf(`charon {
  plugins {
    bypass-lan {
      load = no
    }
    farp {
      load = no
    }
    dhcp {
      load = no
    }
    stroke {
      load = no
    }
    resolve {
      load = no
    }
    vici {
      socket = unix://%s
    }
    kernel-libipsec {
      load = yes
      allow_peer_ts = yes
    }
%s
  }
  filelog {
    log {
      path = %s
      default = 1
      ike = 2
      flush_line = yes
    }
  }
  retransmit_tries = 3
  install_routes = yes
}
`, v.path(side, "vici"), plugins, v.path(side+"-charon.log")))
	background(v.t, v.path(side+".log"), nil, testenv.Need(v.t, "ip"), "netns", "exec", namespace, "env", "STRONGSWAN_CONF="+v.path(side+".conf"),
		"bash", "-c", "mount -t tmpfs tmpfs /run && exec "+charon)
	waitFor(v.t, 15*time.Second, "charon of the "+side, func() bool { _, err := os.Stat(v.path(side, "vici")); return err == nil })
}

// swan runs swanctl against one side.
func (v *strongSwan) swan(swanctl, side string, args ...string) ([]byte, error) {
	namespace := v.side.gateway
	if side == "user" {
		namespace = v.side.user
	}
	args = append([]string{"netns", "exec", namespace, "env", "SWANCTL_DIR=" + v.path(side), "STRONGSWAN_CONF=" + v.path(side+".conf"), swanctl}, args...)
	return exec.Command("ip", append(args, "--uri", "unix://"+v.path(side, "vici"))...).CombinedOutput()
}

func (v *strongSwan) must(swanctl, side string, args ...string) {
	v.t.Helper()
	if out, err := v.swan(swanctl, side, args...); err != nil {
		v.t.Fatalf("swanctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// connect lets the user sign in with one password and tells whether packets pass.
func (v *strongSwan) connect(user, password string) (open bool, output string) {
	v.t.Helper()
	swanctl := testenv.Need(v.t, "swanctl")
	v.write("user/swanctl.conf", fmt.Sprintf(`connections {
  vpn {
    version = 1
    local_addrs = 198.18.7.2
    remote_addrs = 198.18.7.1
    vips = 0.0.0.0
    local-device {
      auth = psk
      id = client.lab.test
    }
    local-person {
      auth = xauth
      xauth_id = %s
    }
    remote {
      auth = psk
      id = server.lab.test
    }
    children {
      net {
        remote_ts = 198.18.10.0/24
      }
    }
  }
}
secrets {
  xauth-person {
    id = %[1]s
    secret = %s
  }
}
`+deviceKey, strconv.Quote(user), strconv.Quote(password)))
	v.must(swanctl, "user", "--load-all", "--clear", "--file", v.path("user", "swanctl.conf"))
	out, err := v.swan(swanctl, "user", "--initiate", "--child", "net", "--timeout", "20")
	if err != nil {
		return false, string(out)
	}
	ping, err := exec.Command("ip", "netns", "exec", v.side.user, testenv.Need(v.t, "ping"), "-c", "2", "-W", "2", "-i", "0.2", "198.18.10.1").CombinedOutput()
	if err != nil {
		v.t.Errorf("nothing passes the tunnel: %v: %s", err, ping)
	}
	if out, err := v.swan(swanctl, "user", "--terminate", "--ike", "vpn"); err != nil {
		v.t.Logf("ending the tunnel: %v: %s", err, out)
	}
	return true, string(out)
}

// TestStrongSwan signs real peers in over IPsec: XAuth's password holds password and code. A used code and a wrong
// password open nothing.
func TestStrongSwan(t *testing.T) {
	dir := testenv.Slapd(t, testenv.SlapdOptions{})
	s := newSite(t, siteOptions{
		Directory: ldapSection(dir, "    failure_limit: 10\n"),
		Policies:  "policies:\n  - name: everybody\n",
		Client:    "    profile: strongswan\n    message_authenticator: \"required\"\n",
	})
	s.start()
	k := newKeys(t, token.HOTP, "S", 1)[0]
	s.load([]*key{k}, []string{"alice"})
	v := startStrongSwan(t, s)
	if open, out := v.connect("alice", testenv.SlapdPassword+k.code(0)); !open {
		b, _ := os.ReadFile(v.path("gateway-charon.log"))
		t.Fatalf("password and code were refused: %s\n%s", out, tail(b, 3000))
	}
	if open, _ := v.connect("alice", testenv.SlapdPassword+k.code(0)); open {
		t.Error("a used code opened a tunnel")
	}
	if open, _ := v.connect("alice", "wrong"+k.code(1)); open {
		t.Error("a wrong password opened a tunnel")
	}
	var got []string
	for _, l := range s.logins("--all") {
		got = append(got, l.Reason)
	}
	if text := strings.Join(got, " "); !strings.Contains(text, "already-used") || strings.Count(text, "ok") != 1 {
		t.Errorf("the reasons are %s", text)
	}
}
