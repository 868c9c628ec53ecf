package radius

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"sekisho/authn"
)

// Config says where to listen and which gateways are known. Zero values stand for the defaults.
type Config struct {
	// Listen are the addresses for logins, as host:port. Without a host, as in :1812, it is every IPv4 and IPv6 address of
	// the machine; answers leave from the address that was asked. Default: :1812.
	Listen []string `yaml:"listen"`
	// ListenAccounting are the addresses for accounting. A gateway that is told to send accounting opens no tunnel without
	// its answers. Default: :1813.
	ListenAccounting []string `yaml:"listen_accounting"`
	// MaxInFlight is how many logins are worked on at once, 16 to 1048576, and as many accounting records; more get no
	// answer. One client alone gets half of it. A refusal that waits for its time (reject_delay) does not count; of these
	// 16 times as many may wait. Default: 4096.
	MaxInFlight int `yaml:"max_in_flight"`
	// Dictionaries are files with further vendors' reply attributes, in FreeRADIUS's syntax. Those of the standards, Cisco,
	// Cisco ASA, Fortinet, Palo Alto, Microsoft and MikroTik are built in. Default: none.
	Dictionaries []string `yaml:"dictionaries"`
	// Clients are the gateways.
	Clients []ClientConfig `yaml:"clients"`
}

// ClientConfig is one gateway, or several that share secret and behaviour. Zero values stand for the profile's defaults.
type ClientConfig struct {
	// Name is what logs, metrics and policies call it; unique. Required.
	Name string `yaml:"name"`
	// Addresses from which it sends, single ones or prefixes (203.0.113.0/28); of several that fit, the longest prefix
	// wins. Required.
	Addresses []string `yaml:"addresses"`
	// Secret is shared with the gateway; 32 or more random characters are good, 12 or fewer give a warning. Required; better
	// given as secret_file.
	Secret authn.Secret `yaml:"secret"`
	// NextSecret is taken beside Secret while the secret of the gateway is being changed; each answer uses the one that
	// verified. Only a Message-Authenticator or accounting shows which one that is: a login without Message-Authenticator
	// is always read with Secret, so for such a gateway change both ends at once.
	NextSecret authn.Secret `yaml:"next_secret"`
	// Profile is the kind of gateway: asa, ftd, ocserv, strongswan, openvpn, fortigate, paloalto, opnsense, mikrotik or
	// generic. It sets other defaults, which `sekisho client show NAME` lists, and warns of settings that such a gateway
	// cannot follow. Default: generic.
	Profile string `yaml:"profile"`

	// MessageAuthenticator says whether logins must carry one: required; ratchet (taken without until the first valid one
	// came, from then on required for ever, over restarts; for a single address only); off, for gateways that cannot send
	// it. Without it anybody on the path can forge requests. Default: by profile; generic and strongswan: required, openvpn:
	// off, others: ratchet, or off for a client of several addresses.
	MessageAuthenticator string `yaml:"message_authenticator"`
	// LimitProxyState drops logins with Proxy-State and without Message-Authenticator, the form of the BlastRADIUS attack.
	// Switch it off only for a proxy that sends no Message-Authenticator. Default: on.
	LimitProxyState *bool `yaml:"limit_proxy_state"`
	// StatusServer answers the gateway's questions whether this server is alive (RFC 5997). Default: on.
	StatusServer *bool `yaml:"status_server"`

	// Service is the name under which several clients count as one: policies may name it, and one wrong code that comes
	// through several of them within 10 s counts once. A challenge still ends at the client where it began. Default: the
	// client's name.
	Service string `yaml:"service"`
	// FirstFactor: gateway says that the gateway itself has checked a password or certificate before it asks here. Default:
	// none, it has not.
	FirstFactor string `yaml:"first_factor"`
	// TrustStation takes the gateway's Calling-Station-Id for the address where the person is, so that failures of
	// strangers do not count against people at a place they are known from. Default: by profile; generic, paloalto and
	// opnsense: off, others: on.
	TrustStation *bool `yaml:"trust_station"`
	// Challenge says whether the gateway can ask the person a second question: none, plain (asked after a right first
	// factor) or blind (everybody is asked, so that nothing tells whether the first factor was right). Default: by profile;
	// asa, ftd, ocserv, fortigate and paloalto: plain, others: none.
	Challenge string `yaml:"challenge"`
	// ChallengeTries is how many codes are asked for in one dialogue, 1 to 10. Default: 3.
	ChallengeTries int `yaml:"challenge_tries"`
	// Prompts is the language of the questions and of what a refusal may tell: ja, en or both. Default: both.
	Prompts string `yaml:"prompts"`
	// Names says how the names are read that people type here.
	Names NamesConfig `yaml:"names"`

	// StaticChallenge takes the two fields of an OpenVPN static challenge, which come in one as SCRV1:PASSWORD:CODE: the
	// password is the first exactly and the code the second. Default: by profile; openvpn and opnsense: on, others: off.
	StaticChallenge *bool `yaml:"static_challenge"`
	// PasswordEncoding is the character set in which passwords are read that are not UTF-8: iso-8859-1, windows-1252,
	// shift_jis or euc-jp. Default: none, such octets go to the directory as they came.
	PasswordEncoding string `yaml:"password_encoding"`
	// ProbeUsers are names with which the gateway or a load balancer asks whether this server is alive. They are refused
	// without looking for a user and counted nowhere; nobody can log in by such a name.
	ProbeUsers []string `yaml:"probe_users"`

	// RejectDelay is the least time from a request to its refusal, 100ms to 10s; it slows down guessing through the
	// gateway. Default: 1s, or two thirds of retry_after where that is less.
	RejectDelay time.Duration `yaml:"reject_delay"`
	// RepeatWithin answers the same login again with the verdict it had, for gateways that bring one twice: after a lost
	// answer with a new Request Authenticator, or for portal and gateway one after the other. It has to be the same person,
	// station and whole text at a client of the same service, with Message-Authenticator; nothing is used or counted again.
	// Within that time whoever knows both, password and code, gets in again from the same station. 0 to 30s. Default: 0, never.
	RepeatWithin time.Duration `yaml:"repeat_within"`
	// RetryAfter is when the gateway repeats an unanswered request, 100ms to 60s; refusals leave before it where they can,
	// and a packet that waited for half as long to be read is dropped: its gateway repeats it (an overload).
	// Default: by profile, as its guide sets the gateway; generic, paloalto and mikrotik: 3s, strongswan: 2s, fortigate: 5s,
	// others: 10s.
	RetryAfter time.Duration `yaml:"retry_after"`
	// Deadline is how long after a request the gateway still takes an answer, 1s to 30s; nothing is answered later. Default: 8s.
	Deadline time.Duration `yaml:"deadline"`
}

// Fault is one thing that is wrong with a config, or worth a warning.
type Fault struct{ Key, Problem, Advice string }

// Error gives it as one line.
func (f Fault) Error() string { return f.Key + ": " + f.Problem + "; " + f.Advice }

// Faults are all of them.
type Faults []Fault

// Error gives one line each.
func (fs Faults) Error() string {
	s := ""
	for i, f := range fs {
		if i > 0 {
			s += "\n"
		}
		s += f.Error()
	}
	return s
}

// Defaults of Config and of the generic profile.
const (
	defaultAuth        = ":1812"
	defaultAcct        = ":1813"
	defaultMaxInFlight = 4096
	defaultTries       = 3
	defaultRejectDelay = time.Second
	leastRejectDelay   = 100 * time.Millisecond
	defaultDeadline    = 8 * time.Second
	shortSecret        = 12 // octets; up to here a secret is warned about
)

// languages are those of what a refusal may tell; without a word it is both.
var languages = map[string]authn.Language{"ja": authn.Japanese, "en": authn.English}

// prompts are the questions by language; "both" is [authn.DefaultPrompts].
var prompts = map[string]authn.Prompts{
	"both": authn.DefaultPrompts,
	"ja": {First: "ワンタイムパスワードを入力", Again: "番号が違うか使用済みです。新しい番号を入力 (%d/%d)",
		Next: "確認のため次の番号も入力"},
	"en": {First: "Enter one-time password", Again: "Not accepted, enter a new code (%d/%d)", Next: "Enter the next code too"},
}

// Check gives everything that is wrong and, apart, what is worth a warning. Keys are relative to the config.
func (c Config) Check() (faults, warnings Faults) {
	s := c.settle()
	return s.faults, s.warnings
}

// AuthnClients gives the clients as logins and policies see them, in the order of the config. It needs a config that
// passed Check.
func (c Config) AuthnClients() []authn.Client {
	var all []authn.Client
	for _, cl := range c.settle().clients {
		all = append(all, cl.login)
	}
	return all
}

// settled is a config with its defaults, in the form in which the server uses it.
type settled struct {
	auth, acct       []string
	maxInFlight      int
	clients          []*client
	table            clientTable
	longest          time.Duration // deadline of a client that may still have requests under way
	faults, warnings Faults
}

func (s *settled) fault(key, problem, advice string) {
	s.faults = append(s.faults, Fault{key, problem, advice})
}

func (s *settled) warn(key, problem, advice string) {
	s.warnings = append(s.warnings, Fault{key, problem, advice})
}

func (c Config) settle() *settled {
	s := &settled{auth: c.Listen, acct: c.ListenAccounting, maxInFlight: orDefault(c.MaxInFlight, defaultMaxInFlight)}
	if len(s.auth) == 0 {
		s.auth = []string{defaultAuth}
	}
	if len(s.acct) == 0 {
		s.acct = []string{defaultAcct}
	}
	s.dictionaries(c.Dictionaries)
	s.listen("listen", s.auth)
	s.listen("listen_accounting", s.acct)
	if s.maxInFlight < 16 || s.maxInFlight > 1<<20 {
		s.fault("max_in_flight", fmt.Sprintf("%d is out of range", s.maxInFlight), "give 16 to 1048576, or leave it out for 4096")
	}
	if len(c.Clients) == 0 {
		s.warn("clients", "there is no client, so no gateway gets an answer", "add one with name, addresses and secret_file")
	}
	names, owners := map[string]string{}, map[netip.Prefix]string{}
	for i, cc := range c.Clients {
		key := "clients[" + strconv.Itoa(i) + "]"
		if other, taken := names[cc.Name]; taken {
			s.fault(key+".name", strconv.Quote(cc.Name)+" is also the name of "+other, "give each client a name of its own")
		}
		names[cc.Name] = key
		cl := s.client(key, cc)
		for j, p := range cl.prefixes {
			if other, taken := owners[p]; taken {
				s.fault(fmt.Sprintf("%s.addresses[%d]", key, j), p.String()+" also belongs to "+other, "give each address to one client")
			}
			owners[p] = key
		}
		s.clients = append(s.clients, cl)
	}
	s.table = newClientTable(s.clients)
	return s
}

// listen checks the form of listen addresses; whether they can be bound shows at the start.
func (s *settled) listen(key string, addresses []string) {
	for i, a := range addresses {
		if _, err := listenAddress(a); err != nil {
			s.fault(fmt.Sprintf("%s[%d]", key, i), err.Error(), "write 192.0.2.1:1812, [2001:db8::1]:1812, or :1812 for every address")
		}
	}
}

// listenAddress reads host:port with a numeric or no host; the address of a result without host is invalid.
func listenAddress(a string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not address and port", a)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q has no port between 0 and 65535", a)
	}
	if host == "" {
		return netip.AddrPortFrom(netip.Addr{}, uint16(n)), nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an IP address", host)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}

// client settles one client. It is complete even where faults were found, so that all of them are.
func (s *settled) client(key string, c ClientConfig) *client {
	if c.Name == "" {
		s.fault(key+".name", "is empty", "name the gateway")
	}
	p, ok := profiles[orDefault(c.Profile, defaultProfile)]
	if !ok {
		s.fault(key+".profile", strconv.Quote(c.Profile)+" is not a profile", "choose "+profileNames())
		p = profiles[defaultProfile]
	}
	cl := &client{
		name:         c.Name,
		secrets:      s.secrets(key, c),
		limitProxies: c.LimitProxyState == nil || *c.LimitProxyState,
		status:       c.StatusServer == nil || *c.StatusServer,
		taken:        p.taken(),
		standing:     newStanding(),
	}
	cl.twoFields = p.twoFields
	if c.StaticChallenge != nil {
		cl.twoFields = *c.StaticChallenge
	}
	if cl.encoding, ok = encodings[c.PasswordEncoding]; !ok && c.PasswordEncoding != "" {
		s.fault(key+".password_encoding", strconv.Quote(c.PasswordEncoding)+" is not known",
			"choose iso-8859-1, windows-1252, shift_jis or euc-jp, or leave it out for UTF-8")
	}
	cl.probes = c.ProbeUsers
	for i, name := range c.ProbeUsers {
		if name == "" {
			s.fault(fmt.Sprintf("%s.probe_users[%d]", key, i), "is empty", "name the user of the health check")
		}
	}
	cl.prefixes = s.addresses(key, c.Addresses)
	s.messageAuth(key, c, p, cl)

	l := &cl.login
	l.Name = c.Name
	l.Service = orDefault(c.Service, c.Name)
	l.TrustStation = p.trustStation
	if c.TrustStation != nil {
		l.TrustStation = *c.TrustStation
	}
	if l.TrustStation && p.noStation {
		s.warn(key+".trust_station", "a gateway of this profile does not tell where the person is", "leave it out")
	}
	switch c.FirstFactor {
	case "", "none":
	case "gateway":
		l.GatewayProves = true
	default:
		s.fault(key+".first_factor", strconv.Quote(c.FirstFactor)+" is not known", "choose none or gateway")
	}
	switch mode := orDefault(c.Challenge, p.challenge); mode {
	case "none":
	case "plain", "blind":
		l.CanChallenge, l.Blind = true, mode == "blind"
		if p.noChallenge {
			s.warn(key+".challenge", "a gateway of this profile takes the question for a refusal", "choose none, and code: joined in its policies")
		}
	default:
		s.fault(key+".challenge", strconv.Quote(mode)+" is not known", "choose none, plain or blind")
	}
	if l.Tries = orDefault(c.ChallengeTries, defaultTries); l.Tries < 1 || l.Tries > 10 {
		s.fault(key+".challenge_tries", strconv.Itoa(l.Tries)+" is out of range", "give 1 to 10")
	}
	l.Language = languages[c.Prompts]
	if l.Prompts, ok = prompts[orDefault(c.Prompts, "both")]; !ok {
		s.fault(key+".prompts", strconv.Quote(c.Prompts)+" is not a language here", "choose ja, en or both")
	}
	l.Names = s.names(key+".names", c.Names)
	switch l.RepeatWithin = c.RepeatWithin; {
	case c.RepeatWithin < 0 || c.RepeatWithin > authn.MaxRepeatWithin:
		s.fault(key+".repeat_within", c.RepeatWithin.String()+" is out of range", "give 0s to 30s")
	case c.RepeatWithin > 0 && cl.messageAuth == messageAuthOff:
		s.fault(key+".repeat_within", "needs Message-Authenticator, or anybody on the path could forge the request that is answered again",
			"set message_authenticator: required, or leave repeat_within out")
	case c.RepeatWithin > 0:
		s.warn(key+".repeat_within", "lets the same password and code in again from the same station for "+c.RepeatWithin.String(),
			"keep it for gateways that bring one login twice")
	}
	l.RetryAfter = s.duration(key+".retry_after", c.RetryAfter, p.retryAfter, 100*time.Millisecond, time.Minute)
	usual := min(defaultRejectDelay, max(l.RetryAfter*2/3, leastRejectDelay))
	l.RejectDelay = s.duration(key+".reject_delay", c.RejectDelay, usual, leastRejectDelay, 10*time.Second)
	l.Deadline = s.duration(key+".deadline", c.Deadline, defaultDeadline, time.Second, 30*time.Second)
	if l.RejectDelay >= l.Deadline {
		s.fault(key+".reject_delay", "is not below the deadline, so no refusal would ever be answered", "lower it, or raise deadline")
	} else if l.RejectDelay >= l.RetryAfter {
		s.warn(key+".reject_delay", "is not below retry_after, so the gateway repeats every refused login", "lower it, or raise the gateway's timeout")
	}
	return cl
}

func (s *settled) secrets(key string, c ClientConfig) []*sharedSecret {
	var all []*sharedSecret
	for _, x := range []struct {
		key    string
		secret authn.Secret
	}{{".secret", c.Secret}, {".next_secret", c.NextSecret}} {
		switch n := x.secret.Len(); {
		case n == 0 && x.key == ".secret":
			s.fault(key+x.key, "is missing", "give the secret that the gateway has, best as secret_file")
		case n == 0:
		case n <= shortSecret:
			s.warn(key+x.key, fmt.Sprintf("has only %d octets, which can be found by trying", n), "use 32 or more random characters")
			fallthrough
		default:
			all = append(all, newSharedSecret(slices.Clone(x.secret.Reveal())))
		}
	}
	return all
}

func (s *settled) addresses(key string, texts []string) []netip.Prefix {
	if len(texts) == 0 {
		s.fault(key+".addresses", "is empty", "give the addresses from which the gateway sends")
	}
	var all []netip.Prefix
	for i, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(text); err == nil {
				a = a.Unmap().WithZone("")
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		where := fmt.Sprintf("%s.addresses[%d]", key, i)
		switch {
		case err != nil:
			s.fault(where, strconv.Quote(text)+" is neither an IP address nor a prefix", "write 192.0.2.1 or 192.0.2.0/24")
		case p.Addr().Is4In6():
			s.fault(where, text+" is an IPv4 prefix in IPv6 form", "write it as IPv4")
		case p != p.Masked():
			s.fault(where, text+" has bits set behind its prefix", "write "+p.Masked().String()+" or the single address")
		}
		all = append(all, p) // also a bad one, to keep the numbers; it matches nothing
	}
	return all
}

// messageAuthMode is the client's policy for Message-Authenticator as a word of the config. A profile's ratchet needs
// one address to be kept for; a client of several is taken without.
func (c *ClientConfig) messageAuthMode(p *profile, prefixes []netip.Prefix) string {
	switch {
	case c.MessageAuthenticator != "":
		return c.MessageAuthenticator
	case p.messageAuth == "ratchet" && !oneAddress(prefixes):
		return "off"
	}
	return p.messageAuth
}

func oneAddress(prefixes []netip.Prefix) bool { return len(prefixes) == 1 && prefixes[0].IsSingleIP() }

func (s *settled) messageAuth(key string, c ClientConfig, p *profile, cl *client) {
	switch mode := c.messageAuthMode(p, cl.prefixes); mode {
	case "required":
		cl.messageAuth = messageAuthRequired
		if p.neverSendsMA {
			s.warn(key+".message_authenticator", "is required, but a gateway of this profile never sends it: each of its logins is dropped",
				"choose off, and keep the path between the two to yourself")
		}
	case "off":
		cl.messageAuth = messageAuthOff
	case "ratchet":
		cl.messageAuth = messageAuthRatchet
		if !oneAddress(cl.prefixes) {
			s.fault(key+".message_authenticator", "ratchet needs a client of exactly one address",
				"give each gateway a client entry of its own, or choose required or off")
		}
	default:
		s.fault(key+".message_authenticator", strconv.Quote(mode)+" is not known", "choose required, ratchet or off")
	}
	if cl.messageAuth == messageAuthOff && !cl.limitProxies {
		s.warn(key+".limit_proxy_state", "is off while Message-Authenticator is not required, which leaves the gateway open to BlastRADIUS",
			"switch it on, or let the proxy send Message-Authenticator")
	}
}

func (s *settled) duration(key string, d, def, low, high time.Duration) time.Duration {
	d = orDefault(d, def)
	if d < low || d > high {
		s.fault(key, fmt.Sprintf("%v is out of range", d), fmt.Sprintf("give %v to %v", low, high))
	}
	return d
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
