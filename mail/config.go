package mail

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"strconv"
	"strings"
	"time"

	"sekisho/authn"
)

// Config says how mails leave and what stands in them. Zero values stand for the defaults.
type Config struct {
	// Server takes mails: host or host:port. Required for mails to leave; without it they wait in the outbox.
	Server string `yaml:"server"`
	// TLS is starttls (refused without it; port 587), tls (from the first octet; port 465) or none (port 25, for a server
	// on this machine only, because mails hold links). Default: starttls; none on loopback.
	TLS string `yaml:"tls"`
	// CAFile holds the PEM certificates that may have signed the server's. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// User and Password sign in to the server. Default: no sign-in.
	User     string       `yaml:"user"`
	Password authn.Secret `yaml:"password"` // password_file names a file that holds it
	// From is the sender, NAME <ADDRESS> or an address alone. Required with server.
	From string `yaml:"from"`
	// ReplyTo is where answers go. Default: the sender.
	ReplyTo string `yaml:"reply_to"`
	// Timeout bounds each step of the conversation, 1s to 5m. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
	// PerMinute is how many mails leave in a minute, 1 to 6000. Default: 60.
	PerMinute int `yaml:"per_minute"`
	// Templates is a folder with texts that replace the built-in ones, KIND.ja.txt and KIND.en.txt. Default: none.
	Templates string `yaml:"templates"`
	// Organization, HelpName, HelpPhone and HelpHours stand in every mail. Default: empty, and lines that need them are left out.
	Organization string `yaml:"organization"`
	HelpName     string `yaml:"help_name"`
	HelpPhone    string `yaml:"help_phone"`
	HelpHours    string `yaml:"help_hours"`
}

// Fault is one thing that is wrong with a Config: the key below the section, the problem, and what to do.
type Fault struct{ Key, Problem, Advice string }

// Faults is everything that is wrong.
type Faults []Fault

// Error joins the sentences.
func (f Faults) Error() string {
	var all []string
	for _, x := range f {
		all = append(all, fmt.Sprintf("mail.%s: %s; %s", x.Key, x.Problem, x.Advice))
	}
	return strings.Join(all, "\n")
}

func (f *Faults) add(key, problem, advice string) { *f = append(*f, Fault{key, problem, advice}) }

const (
	defaultTimeout   = 30 * time.Second
	defaultPerMinute = 60
)

// Check names everything that is wrong, templates of the site included.
func (c Config) Check() Faults {
	_, faults := c.settle()
	return faults
}

// On reports that mails can leave.
func (c Config) On() bool { return c.Server != "" }

func (c Config) perMinute() int {
	if c.PerMinute == 0 {
		return defaultPerMinute
	}
	return c.PerMinute
}

func (c Config) timeout() time.Duration {
	if c.Timeout == 0 {
		return defaultTimeout
	}
	return c.Timeout
}

func (c Config) settle() (*Templates, Faults) {
	var faults Faults
	if c.On() {
		c.checkServer(&faults)
	}
	if c.Timeout != 0 && (c.Timeout < time.Second || c.Timeout > 5*time.Minute) {
		faults.add("timeout", c.Timeout.String()+" is out of range", "give 1s to 5m")
	}
	if c.PerMinute < 0 || c.PerMinute > 6000 {
		faults.add("per_minute", strconv.Itoa(c.PerMinute)+" is out of range", "give 1 to 6000")
	}
	t, err := LoadTemplates(c.Templates)
	if err != nil {
		faults.add("templates", err.Error(), "mend the file, or remove it to use the built-in text")
	}
	if t != nil {
		t.common = map[string]string{
			"org": c.Organization, "help_name": c.HelpName, "help_phone": c.HelpPhone, "hours": c.HelpHours,
		}
	}
	return t, faults
}

func (c Config) checkServer(faults *Faults) {
	host, _, err := c.address()
	if err != nil {
		faults.add("server", err.Error(), "write host or host:port")
	}
	switch c.TLS {
	case "", "starttls", "tls":
	case "none":
		if err == nil && !loopback(host) {
			faults.add("tls", "links would travel in the clear", "choose starttls or tls, or a mail server on this machine")
		}
	default:
		faults.add("tls", strconv.Quote(c.TLS)+" is none of the choices", "choose starttls, tls or none")
	}
	if _, err := c.tls(host); err != nil {
		faults.add("ca_file", err.Error(), "name a PEM file with the certificate that signed the server's")
	}
	if _, err := netmail.ParseAddress(c.From); err != nil {
		faults.add("from", strconv.Quote(c.From)+" is no sender", "write NAME <ADDRESS>, or an address alone")
	}
	if c.ReplyTo != "" {
		if _, err := netmail.ParseAddress(c.ReplyTo); err != nil {
			faults.add("reply_to", strconv.Quote(c.ReplyTo)+" is no address", "write NAME <ADDRESS>, or an address alone")
		}
	}
	if (c.User == "") != (c.Password.Len() == 0) {
		faults.add("user", "name and password belong together", "give user and password_file, or neither")
	}
	if c.User != "" && c.TLS == "none" {
		faults.add("user", "the password would travel in the clear", "choose starttls or tls")
	}
}

// address splits Server and fills in the port that goes with TLS.
func (c Config) address() (host string, port int, err error) {
	host, text, err := net.SplitHostPort(c.Server)
	if err != nil {
		host, text = strings.Trim(c.Server, "[]"), map[string]string{"tls": "465", "none": "25"}[c.mode(c.Server)]
		if text == "" {
			text = "587"
		}
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 || host == "" || strings.ContainsAny(host, " /@") {
		return host, 0, fmt.Errorf("%q names no mail server", c.Server)
	}
	return host, port, nil
}

// mode is TLS with its default.
func (c Config) mode(host string) string {
	switch {
	case c.TLS != "":
		return c.TLS
	case loopback(host) && c.User == "":
		return "none"
	}
	return "starttls"
}

func (c Config) tls(host string) (*tls.Config, error) {
	t := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, err
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", c.CAFile)
	}
	return t, nil
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
