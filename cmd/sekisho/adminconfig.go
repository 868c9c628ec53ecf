package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"sekisho/internal/conf"
	"sekisho/operator"
)

// AdminConfig is the operators' door.
type AdminConfig struct {
	// Socket is where commands speak to the service. Default: /run/sekisho/admin.sock.
	Socket string `yaml:"socket"`
	// Operators are users of this system, by name or UID, who may run commands beside root and the service's own user.
	Operators []string `yaml:"operators"`
	// Listen is where operators reach API and pages over the network. Default: none.
	Listen string `yaml:"listen"`
	// URL is at which address their browsers do; links begin with it. Required with listen.
	URL string `yaml:"url"`
	// CertFile and KeyFile are the certificate chain and its key, PEM; a changed file is taken up by itself. Without them the
	// listener speaks plain HTTP: on loopback alone, or behind trusted_proxies.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// TrustedProxies are addresses or prefixes whose X-Forwarded-For tells where an operator is. Default: none.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// StepUp is once (a step-up counts for ten minutes) or always (each act that changes something asks for one). Default: once.
	StepUp string `yaml:"step_up"`
	// AskAbove is how many tokens or people an act may change before it counts as one on many. Default: 20.
	AskAbove int `yaml:"ask_above"`
	// SecondPerson lists the acts that two operators must agree on, in place of the built-in ones.
	SecondPerson []SecondPersonConfig `yaml:"second_person"`
	// VIPGroups are groups of people for whom second_person with vip asks. Default: none.
	VIPGroups []string `yaml:"vip_groups"`
	// ActsPerDay is how many acts a help desk does a day. Default: 30.
	ActsPerDay int `yaml:"acts_per_day"`
}

// SecondPersonConfig is one act that two operators must agree on.
type SecondPersonConfig struct {
	// Right is the right that the act needs, as 'sekisho operator rights' lists them. Required.
	Right string `yaml:"right"`
	// Above limits it to acts on more than so many. Default: always.
	Above int `yaml:"above"`
	// VIP limits it to people of vip_groups.
	VIP bool `yaml:"vip"`
	// Role limits it to people who are operators of this role. Default: everybody.
	Role string `yaml:"role"`
}

// policy is what asks operators for more.
func (a *AdminConfig) policy() operator.Policy {
	p := operator.Policy{EveryTime: a.StepUp == "always", AskAbove: a.AskAbove}
	for _, s := range a.SecondPerson {
		role, _ := operator.ParseRole(s.Role) // check has read it
		p.SecondPerson = append(p.SecondPerson, operator.Pair{Right: operator.Right(s.Right), Above: s.Above, Vip: s.VIP, Role: role})
	}
	if a.SecondPerson != nil && p.SecondPerson == nil {
		p.SecondPerson = []operator.Pair{} // none at all
	}
	return p
}

// proxies are the trusted ones.
func (a *AdminConfig) proxies() (all []netip.Prefix, at int, err error) {
	for i, text := range a.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if one, aerr := netip.ParseAddr(text); aerr == nil && one.Zone() == "" {
			p, err = one.Prefix(one.BitLen())
		}
		if err != nil {
			return nil, i, fmt.Errorf("%q is no address or prefix", text)
		}
		all = append(all, p.Masked())
	}
	return all, 0, nil
}

func (a *AdminConfig) check(doc *conf.Doc) {
	if a.StepUp != "" {
		oneOf(doc, "admin.step_up", a.StepUp, "once", "always")
	}
	if a.AskAbove < 0 || a.AskAbove > 10_000 {
		doc.Fault("admin.ask_above", fmt.Sprintf("%d is out of range", a.AskAbove), "give 1 to 10000")
	}
	if a.ActsPerDay < 0 || a.ActsPerDay > 10_000 {
		doc.Fault("admin.acts_per_day", fmt.Sprintf("%d is out of range", a.ActsPerDay), "give 1 to 10000")
	}
	for i, s := range a.SecondPerson {
		key := fmt.Sprintf("admin.second_person[%d]", i)
		switch right := operator.Right(s.Right); {
		case !slices.Contains(operator.Rights(), right):
			doc.Fault(key+".right", fmt.Sprintf("%q is no right", s.Right), "choose one of those that 'sekisho operator rights' lists")
		case operator.ClassOf(right) == operator.Reads, right == operator.Import:
			doc.Fault(key+".right", s.Right+" cannot wait for a second person", "choose an act that changes something and is no import")
		}
		if _, err := operator.ParseRole(s.Role); s.Role != "" && err != nil {
			doc.Fault(key+".role", err.Error(), "")
		}
		if s.Above < 0 {
			doc.Fault(key+".above", fmt.Sprintf("%d is out of range", s.Above), "give 0 or more")
		}
	}
	if _, i, err := a.proxies(); err != nil {
		doc.Fault(fmt.Sprintf("admin.trusted_proxies[%d]", i), err.Error(), "write it like 192.0.2.7 or 192.0.2.0/28")
	}
	if a.Listen != "" {
		a.checkListen(doc)
	}
}

func (a *AdminConfig) checkListen(doc *conf.Doc) {
	host, _, err := net.SplitHostPort(a.Listen)
	if err != nil {
		doc.Fault("admin.listen", err.Error(), "write it like 0.0.0.0:8443")
	}
	local := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "localhost" || err == nil && ip.IsLoopback()
	}
	u, uerr := url.Parse(a.URL)
	switch {
	case a.URL == "":
		doc.Fault("admin.url", "is missing", "give the address at which operators' browsers come, like https://otp-admin.example.com:8443")
	case uerr != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
		doc.Fault("admin.url", fmt.Sprintf("%q is no address of a site", a.URL), "write it like https://otp-admin.example.com:8443")
	case u.Scheme == "http" && !local(u.Hostname()):
		doc.Fault("admin.url", "passwords would travel in the clear", "give an https:// address")
	}
	switch {
	case (a.CertFile == "") != (a.KeyFile == ""):
		doc.Fault("admin.cert_file", "certificate and key belong together", "give cert_file and key_file, or neither")
	case a.CertFile != "":
		if _, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile); err != nil {
			doc.Fault("admin.cert_file", err.Error(), "name PEM files of a certificate and its key")
		}
	case err == nil && !local(host) && len(a.TrustedProxies) == 0:
		doc.Fault("admin.cert_file", "passwords would travel in the clear",
			"give cert_file and key_file, listen on 127.0.0.1, or name the proxy that speaks TLS in trusted_proxies")
	}
}
