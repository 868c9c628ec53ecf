package audit

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Config says where events go beside the database. Zero values stand for the defaults.
type Config struct {
	// To is where: tls://HOST[:6514], tcp://HOST[:601] or udp://HOST[:514] for a syslog server, file:///PATH for a file of JSON
	// lines on another disk or a share. Over UDP events can be lost. Default: nowhere.
	To string `yaml:"to"`
	// CAFile holds the PEM certificates that may have signed the server's. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile show the server who we are. Default: nothing is shown.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// People sends names as typed and addresses along, which are about people and can be erased here but not there.
	People bool `yaml:"people"`
	// Position is a small file that remembers how far the target is. Default: audit.position beside the database.
	Position string `yaml:"position"`
	// Retention is for how many days events are kept, and accounting records with them. Default 400.
	Retention int `yaml:"retention"`
	// OriginRetention is for how many days addresses and stations of events are kept, and whom accounting records name.
	// Default 90.
	OriginRetention int `yaml:"origin_retention"`
	// Instance tells several installations apart. Default: the machine's name.
	Instance string `yaml:"instance"`
}

// Fault is one thing that is wrong with a Config.
type Fault struct{ Key, Problem, Advice string }

// On reports that events leave.
func (c Config) On() bool { return c.To != "" }

// Defaults, in days (S25), and the most there is.
const (
	defaultRetention       = 400
	defaultOriginRetention = 90
	mostDays               = 3660
)

// Effective is the config with the times filled in.
func (c Config) Effective() Config {
	c.Retention = cmp.Or(c.Retention, defaultRetention)
	c.OriginRetention = cmp.Or(c.OriginRetention, min(defaultOriginRetention, max(c.Retention, 1)))
	return c
}

// Check names everything that is wrong.
func (c Config) Check() (faults []Fault) {
	add := func(key, problem, advice string) { faults = append(faults, Fault{key, problem, advice}) }
	if c = c.Effective(); c.Retention < 1 || c.Retention > mostDays {
		add("retention", fmt.Sprintf("%d days", c.Retention), fmt.Sprintf("write 1 to %d days", mostDays))
	}
	if c.OriginRetention < 1 || c.OriginRetention > c.Retention {
		add("origin_retention", fmt.Sprintf("%d days", c.OriginRetention), "write 1 day up to audit.retention")
	}
	if !c.On() {
		return faults
	}
	t, err := c.target()
	if err != nil {
		add("to", err.Error(), "write tls://HOST, tcp://HOST, udp://HOST or file:///PATH")
	}
	if t.scheme != "tls" && (c.CAFile != "" || c.CertFile != "") {
		add("ca_file", "certificates have a meaning with tls:// only", "change to, or leave them out")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		add("cert_file", "certificate and key belong together", "give cert_file and key_file, or neither")
	}
	if t.scheme == "tls" {
		if _, err := c.tls(t.host); err != nil {
			add("ca_file", err.Error(), "name PEM files that can be read")
		}
	}
	if t.scheme == "file" {
		if st, err := os.Stat(filepath.Dir(t.path)); err != nil || !st.IsDir() {
			add("to", filepath.Dir(t.path)+" is no folder", "make it, writable for the service")
		}
	}
	return faults
}

type target struct{ scheme, host, address, path string }

var ports = map[string]string{"tls": "6514", "tcp": "601", "udp": "514"} // RFC 5425, 6587, 5426

func (c Config) target() (target, error) {
	u, err := url.Parse(c.To)
	if err != nil {
		return target{}, fmt.Errorf("%q is no address", c.To)
	}
	t := target{scheme: u.Scheme}
	if u.Scheme == "file" {
		t.path = u.Path
		if u.Host != "" || !filepath.IsAbs(u.Path) || strings.HasSuffix(u.Path, "/") {
			return target{}, fmt.Errorf("%q names no file by its whole path", c.To)
		}
		return t, nil
	}
	port := ports[u.Scheme]
	if port == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return target{}, fmt.Errorf("%q is no address of a syslog server", c.To)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t.host, t.address = u.Hostname(), net.JoinHostPort(u.Hostname(), port)
	return t, nil
}

func (c Config) tls(host string) (*tls.Config, error) {
	t := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
