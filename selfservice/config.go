package selfservice

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// Config is the pages' listener and what a site says on them. Zero values stand for the defaults.
type Config struct {
	// Listen is an address such as 0.0.0.0:443. Default: none, and there are no pages.
	Listen string `yaml:"listen"`
	// URL is where people open the pages; links in mails begin with it. Required with listen; https, but for this machine alone.
	URL string `yaml:"url"`
	// CertFile and KeyFile are the certificate chain and its key, PEM; a changed file is taken up by itself. Without them
	// the listener speaks plain HTTP, which is allowed on loopback only: for a proxy that speaks TLS.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// TrustedProxies are addresses or prefixes whose X-Forwarded-For tells where a person is. Default: none.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Language is ja or en, where neither the person nor the browser says. Default: ja.
	Language string `yaml:"language"`
	// Organization stands on top of each page. Default: that of the mails.
	Organization string `yaml:"organization"`
	// HelpName, HelpPhone and HelpHours are the help desk's. Default: those of the mails.
	HelpName  string `yaml:"help_name"`
	HelpPhone string `yaml:"help_phone"`
	HelpHours string `yaml:"help_hours"`
	// Logo is a PNG or SVG file, shown 40 pixels high. Default: none.
	Logo string `yaml:"logo"`
	// Pledge is what people agree to before they apply for something. Default: nothing to agree to.
	Pledge Words `yaml:"pledge"`
	// SelfReset lets people whose app or setting is gone have a link mailed after their password; without it they apply for
	// one. Default: on.
	SelfReset *bool `yaml:"self_reset"`
	// Apps are the authenticator apps that are recommended. Default: Google Authenticator, Microsoft Authenticator, FreeOTP
	// and what the phone brings itself.
	Apps []App `yaml:"apps"`
	// ClientURL is where the VPN client is downloaded; it stands on the page after an activation. Default: none.
	ClientURL string `yaml:"client_url"`
	// TokenPage lets people test and resynchronise a token at /token without sign-in. Default: on.
	TokenPage *bool `yaml:"token_page"`
}

// Words is a text in both languages.
type Words struct {
	JA string `yaml:"ja"`
	EN string `yaml:"en"`
}

func (w Words) in(lang string) string {
	if lang == "en" && w.EN != "" || w.JA == "" {
		return w.EN
	}
	return w.JA
}

// App is an authenticator app.
type App struct {
	Name string `yaml:"name"`
	IOS  string `yaml:"ios"`     // address in its store
	Play string `yaml:"android"` // the same
}

var defaultApps = []App{
	{"Google Authenticator", "https://apps.apple.com/app/google-authenticator/id388497605", "https://play.google.com/store/apps/details?id=com.google.android.apps.authenticator2"},
	{"Microsoft Authenticator", "https://apps.apple.com/app/microsoft-authenticator/id983156458", "https://play.google.com/store/apps/details?id=com.azure.authenticator"},
	{"FreeOTP", "https://apps.apple.com/app/freeotp-authenticator/id872559395", "https://play.google.com/store/apps/details?id=org.fedorahosted.freeotp"},
}

func (c *Config) apps() []App {
	if len(c.Apps) == 0 {
		return defaultApps
	}
	return c.Apps
}

func (c *Config) selfReset() bool { return c.SelfReset == nil || *c.SelfReset }

// PledgeVersion names the text of the pledge, so that a consent tells to which text it was given; empty where there is none.
// It goes into life.RequestRules.Pledge.
func (c *Config) PledgeVersion() string {
	if c.Pledge == (Words{}) {
		return ""
	}
	sum := sha256.Sum256([]byte(c.Pledge.JA + "\x00" + c.Pledge.EN))
	return hex.EncodeToString(sum[:4])
}

func (c *Config) tokenPage() bool { return c.TokenPage == nil || *c.TokenPage }

// On reports that there are pages.
func (c *Config) On() bool { return c.Listen != "" }

// Fault is one thing that is wrong with a Config: the key below the section, the problem, and what to do.
type Fault struct{ Key, Problem, Advice string }

// Check names everything that is wrong.
func (c *Config) Check() (faults []Fault) {
	add := func(key, problem, advice string) { faults = append(faults, Fault{key, problem, advice}) }
	if !c.On() {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		add("listen", err.Error(), "write it like 0.0.0.0:443")
	}
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		add("url", "is missing", "give the address at which people open the pages; links in mails begin with it")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		add("url", fmt.Sprintf("%q is no address of a site", c.URL), "write it like https://vpn.example.com")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		add("url", "passwords would travel in the clear", "give an https:// address")
	}
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		add("cert_file", "certificate and key belong together", "give cert_file and key_file, or neither behind a proxy")
	case c.CertFile != "":
		if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
			add("cert_file", err.Error(), "name PEM files of a certificate and its key")
		}
	case err == nil && !loopback(host):
		add("cert_file", "passwords would travel in the clear", "give cert_file and key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS")
	}
	for i, text := range c.TrustedProxies {
		if _, err := prefix(text); err != nil {
			add(fmt.Sprintf("trusted_proxies[%d]", i), err.Error(), "write it like 192.0.2.7 or 192.0.2.0/28")
		}
	}
	if c.Language != "" && c.Language != "ja" && c.Language != "en" {
		add("language", fmt.Sprintf("%q is none of the choices", c.Language), "choose ja or en")
	}
	if c.Logo != "" {
		if logoType(c.Logo) == "" {
			add("logo", "is neither a .png nor a .svg file", "name such a file")
		} else if _, err := os.Stat(c.Logo); err != nil {
			add("logo", err.Error(), "name a file that can be read")
		}
	}
	for i, a := range c.Apps {
		for _, link := range []string{a.IOS, a.Play} {
			if link != "" && !strings.HasPrefix(link, "https://") {
				add(fmt.Sprintf("apps[%d]", i), fmt.Sprintf("%q is no https:// address", link), "give the address of the app in its store")
			}
		}
	}
	if c.ClientURL != "" && !strings.HasPrefix(c.ClientURL, "https://") {
		add("client_url", fmt.Sprintf("%q is no https:// address", c.ClientURL), "give the address of the download page")
	}
	return faults
}

func logoType(name string) string {
	switch {
	case strings.HasSuffix(name, ".png"):
		return "image/png"
	case strings.HasSuffix(name, ".svg"):
		return "image/svg+xml"
	}
	return ""
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func prefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is no address or prefix", text)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
