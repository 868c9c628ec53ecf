package directory

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// LDAPConfig says how to ask an LDAP server or Active Directory. Zero values stand for the defaults.
type LDAPConfig struct {
	// Preset is the kind of directory, which sets the defaults of filter, attributes and group walk: openldap (389 Directory
	// Server and FreeIPA too) or ad (Active Directory, Samba). Default: openldap.
	Preset string `yaml:"preset"`
	// URLs of servers with the same content, ldaps://host[:port] or ldap://host[:port] (ports 636 and 389). New connections
	// go to the server that answered last; when it does not, the next one is tried. Required.
	URLs []string `yaml:"urls"`
	// StartTLS encrypts ldap:// connections before anything is sent. Without it ldap:// is taken for loopback hosts only,
	// because passwords would travel in the clear.
	StartTLS bool `yaml:"starttls"`
	// CAFile holds the PEM certificates that may have signed the server's. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// ServerName is the name the server's certificate has to show. Default: the host of the URL.
	ServerName string `yaml:"server_name"`

	// BindDN and its password sign in for searches; the account needs to read the attributes named below and nothing else.
	// Default: anonymous searches.
	BindDN       string       `yaml:"bind_dn"`
	BindPassword authn.Secret `yaml:"bind_password"` // bind_password_file names a file that holds it

	// BaseDN is where the search for users begins; everything below belongs to it. Required.
	BaseDN string `yaml:"base_dn"`
	// UserFilter finds a user; every %s becomes the typed name, escaped. A %s has to be a whole value, as in (mail=%s): the
	// entry that is found must carry the typed name in one of these attributes, or it is not the user. Default: (uid=%s);
	// ad: a person whose sAMAccountName or userPrincipalName it is.
	UserFilter string `yaml:"user_filter"`
	// NameAttribute is the login name that people are shown. Default: uid; ad: sAMAccountName.
	NameAttribute string `yaml:"name_attribute"`
	// IDAttribute never changes during a user's life and is never given to another one; tokens hang on it. Default:
	// entryUUID; ad: objectGUID. Changing it in a running installation parts everybody from their tokens.
	IDAttribute string `yaml:"id_attribute"`

	// GroupWalk is the way to a user's groups. direct: those in GroupAttribute of the user alone. member: the groups of
	// groups too, found by asking level by level which groups have one for a member; it finds direct groups also where the
	// server keeps no memberOf. in_chain (ad): the same, walked by the server, which can take seconds in a large domain.
	// token_groups (ad): the security groups that the server has worked out already. Under ad the primary group counts in
	// every way. Default: direct; ad: token_groups.
	GroupWalk string `yaml:"group_walk"`
	// GroupAttribute of a user holds their groups. Default: memberOf.
	GroupAttribute string `yaml:"group_attribute"`
	// MemberAttribute of a group holds the DNs of its members. Default: member.
	MemberAttribute string `yaml:"member_attribute"`
	// GroupBaseDN is where groups are searched. Default: base_dn; ad: the domain, the DC= end of base_dn.
	GroupBaseDN string `yaml:"group_base_dn"`
	// GroupDepth is how many levels group_walk member may climb, 1 to 50. A walk that is not finished then is an error, and
	// the login gets no answer: half of the groups could let the wrong people in or past the code. Default: 10.
	GroupDepth int `yaml:"group_depth"`

	// Attributes names what else is read of a user, for replies, rules and mails: each of name, reading, mail, phone,
	// language, department and names of your own takes the values of one attribute of the directory or of several, in
	// their order; an empty list reads none. Default: displayName (openldap: and cn), msDS-PhoneticDisplayName (ad), mail,
	// [telephoneNumber, mobile], preferredLanguage, department (openldap: departmentNumber).
	Attributes map[string][]string `yaml:"attributes"`

	// ConnectTimeout bounds one connection, TLS included; 10ms to 10s. Default: 500ms.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// Timeout bounds one exchange with the server, 10ms to 30s. A look-up as a whole, with all of its searches, ends after
	// connect_timeout and twice this time, a bind after connect_timeout and this time, waiting for a connection included.
	// Default: 1s.
	Timeout time.Duration `yaml:"timeout"`
	// SearchConnections is up to how many connections searches use, 1 to 256; up to 16 run on one at once, fewer where the
	// directory does not keep up. Default: 8.
	SearchConnections int `yaml:"search_connections"`
	// BindConnections is how many passwords are asked at once, 1 to 256. Default: 16.
	BindConnections int `yaml:"bind_connections"`
	// MaxAnswer is how many octets the answer to one search may have, 16384 to 16777216; a longer one is an error. Reading an
	// answer made to do harm takes up to twenty times as much memory. Default: 1048576.
	MaxAnswer int `yaml:"max_answer"`

	// FailureLimit is how many wrong passwords within 30 minutes the directory takes before it locks a user; Sekisho stays
	// below it, so that strangers cannot lock people out (S3). -1: it never locks. Default: asked of the directory
	// (pwdMaxFailure, lockoutThreshold, the password settings objects of Active Directory that can be read); 5 where it does not tell.
	FailureLimit int `yaml:"failure_limit"`
	// FailureWindow is how long after the last wrong password the directory counts on, 0 to 24h; only with failure_limit.
	// Sekisho counts for 30m at least. Default: 30m.
	FailureWindow time.Duration `yaml:"failure_window"`
	// Cache is how long a user that was found is not looked up again, 1s to 300s: for so long a change of groups or a
	// disabled account goes unnoticed by logins without a password. Default: 30s.
	Cache time.Duration `yaml:"cache"`
}

const (
	defaultGroupDepth     = 10
	defaultConnectTimeout = 500 * time.Millisecond
	defaultTimeout        = time.Second
	defaultSearches       = 8
	defaultBinds          = 16
	defaultMaxAnswer      = 1 << 20
	defaultCache          = 30 * time.Second
)

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Fault is one thing that is wrong with a config.
type Fault struct {
	Key     string // relative to the config, such as urls[1]
	Problem string // what is wrong, one clause
	Advice  string // what to do about it
}

// Faults is everything that is wrong with a config.
type Faults []Fault

// Error gives all faults, one a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Key + ": " + f.Problem + "; " + f.Advice
	}
	return strings.Join(lines, "\n")
}

func (fs *Faults) add(key, problem, advice string) { *fs = append(*fs, Fault{key, problem, advice}) }

// err is nil for no faults; a Faults of length 0 in an error would not be.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}

// Check reads the files the config names and gives everything that is wrong with it.
func (c LDAPConfig) Check() Faults {
	_, faults := c.settle()
	return faults
}

// settled is a config that passed every check, in the form in which connections need it.
type settled struct {
	LDAPConfig
	servers   []server
	nameAttrs []string // the attributes that UserFilter compares with the typed name
	mapped    []mapped
	asked     []string // the attributes that a look-up asks for

	userFilter filter // UserFilter
	selection  []byte // asked
}

// active tells Active Directory's ways of grouping.
func (s *settled) active() bool { return presets[s.Preset].active }

// server is one URL.
type server struct {
	url     string
	address string
	tls     *tls.Config // nil: loopback in the clear
	atOnce  bool        // TLS from the first octet; else StartTLS
}

// settle checks everything and gives what a connection needs.
func (c LDAPConfig) settle() (settled, Faults) {
	var faults Faults
	if _, known := presets[orDefault(c.Preset, "openldap")]; !known {
		faults.add("preset", strconv.Quote(c.Preset)+" is none of the choices", "choose openldap or ad")
	}
	c = c.withDefaults()
	s := settled{LDAPConfig: c}

	roots, err := loadCA(c.CAFile)
	if err != nil {
		faults.add("ca_file", err.Error(), "name a PEM file with the certificate that signed the server's")
	}
	if len(c.URLs) == 0 {
		faults.add("urls", "no server is named", "write ldaps://HOST, or ldap://HOST with starttls: true")
	}
	for i, u := range c.URLs {
		srv, problem, advice := c.server(u, roots)
		if problem != "" {
			faults.add(fmt.Sprintf("urls[%d]", i), problem, advice)
		}
		s.servers = append(s.servers, srv)
	}

	if (c.BindDN == "") != (c.BindPassword.Len() == 0) {
		faults.add("bind_dn", "name and password of the service account belong together",
			"give bind_dn and bind_password_file, or neither for anonymous searches")
	}
	for _, d := range []struct{ key, dn string }{{"base_dn", c.BaseDN}, {"bind_dn", c.BindDN}, {"group_base_dn", c.GroupBaseDN}} {
		// Active Directory also signs in user@domain and DOMAIN\user.
		if _, err := ldap.ParseDN(d.dn); err != nil && (d.key != "bind_dn" || !strings.ContainsAny(d.dn, `@\`)) {
			faults.add(d.key, strconv.Quote(d.dn)+" is not a DN", "write it like ou=people,dc=example,dc=com")
		}
	}
	if c.BaseDN == "" {
		faults.add("base_dn", "it is missing", "name the entry below which the users are")
	}

	if s.nameAttrs, err = filterAttributes(c.UserFilter); err != nil {
		faults.add("user_filter", err.Error(), "write it like (uid=%s) or (&(objectClass=person)(mail=%s))")
	} else if s.userFilter, err = compileFilter(userFilter(c.UserFilter, namePlace)); err != nil {
		faults.add("user_filter", err.Error(), "write it like (uid=%s)")
	}
	for _, a := range []struct{ key, name string }{{"name_attribute", c.NameAttribute}, {"id_attribute", c.IDAttribute},
		{"group_attribute", c.GroupAttribute}, {"member_attribute", c.MemberAttribute}} {
		if !attributeName.MatchString(a.name) {
			faults.add(a.key, strconv.Quote(a.name)+" is not the name of an attribute", "write one name, such as uid")
		}
	}

	switch c.GroupWalk {
	case walkDirect, walkMember, "": // "": of a preset that is a fault already
	case walkChain, walkTokens:
		if !s.active() {
			faults.add("group_walk", c.GroupWalk+" is known to Active Directory only", "set preset: ad, or choose direct or member")
		}
	default:
		faults.add("group_walk", strconv.Quote(c.GroupWalk)+" is none of the choices", "choose direct, member, in_chain or token_groups")
	}
	s.mapped = attributeMap(&faults, "attributes", c.Attributes)
	s.asked = s.userAttributes()
	s.selection = attributeSelection(s.asked)

	inRange(&faults, "group_depth", c.GroupDepth, 1, 50)
	inRange(&faults, "connect_timeout", c.ConnectTimeout, 10*time.Millisecond, 10*time.Second)
	inRange(&faults, "timeout", c.Timeout, 10*time.Millisecond, 30*time.Second)
	inRange(&faults, "search_connections", c.SearchConnections, 1, 256)
	inRange(&faults, "bind_connections", c.BindConnections, 1, 256)
	inRange(&faults, "max_answer", c.MaxAnswer, 16<<10, 16<<20)
	inRange(&faults, "failure_limit", c.FailureLimit, -1, 1000)
	inRange(&faults, "failure_window", c.FailureWindow, 0, 24*time.Hour)
	if c.FailureWindow != 0 && c.FailureLimit <= 0 {
		faults.add("failure_window", "it needs failure_limit", "give both, or neither to have the directory asked")
	}
	inRange(&faults, "cache", c.Cache, time.Second, 300*time.Second)
	return s, faults
}

func inRange[T int | time.Duration](faults *Faults, key string, v, least, most T) {
	if v < least || v > most {
		faults.add(key, fmt.Sprintf("%v is out of range", v), fmt.Sprintf("give %v to %v, or leave it out", least, most))
	}
}

// server reads one URL; problem is empty when it can be used.
func (c LDAPConfig) server(raw string, roots *x509.CertPool) (s server, problem, advice string) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || (u.Scheme != "ldap" && u.Scheme != "ldaps") ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return s, "it is not the URL of a server", "write ldaps://HOST[:PORT] or ldap://HOST[:PORT] and nothing after it"
	}
	host, port := u.Hostname(), u.Port()
	secure := &tls.Config{RootCAs: roots, ServerName: orDefault(c.ServerName, host), MinVersion: tls.VersionTLS12}
	switch {
	case u.Scheme == "ldaps":
		return server{url: raw, address: net.JoinHostPort(host, orDefault(port, "636")), tls: secure, atOnce: true}, "", ""
	case c.StartTLS:
		return server{url: raw, address: net.JoinHostPort(host, orDefault(port, "389")), tls: secure}, "", ""
	case isLoopback(host):
		return server{url: raw, address: net.JoinHostPort(host, orDefault(port, "389"))}, "", ""
	}
	return s, "passwords would travel in the clear", "write ldaps:// or set starttls: true"
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func loadCA(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil // the system's
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

var (
	attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)
	nameEquals    = regexp.MustCompile(`\(([A-Za-z][A-Za-z0-9-]*)=%s\)`)
)

// filterAttributes gives the attributes that a filter compares with the typed name as a whole, in the filter's order.
func filterAttributes(filter string) ([]string, error) {
	found := nameEquals.FindAllStringSubmatch(filter, -1)
	switch {
	case len(found) == 0 || len(found) != strings.Count(filter, "%"):
		return nil, errors.New("%s has to stand in it, as a whole value, and no other % may")
	}
	if _, err := ldap.CompileFilter(userFilter(filter, "x")); err != nil {
		return nil, fmt.Errorf("it is not an LDAP filter: %w", err)
	}
	attrs := make([]string, len(found))
	for i, f := range found {
		attrs[i] = f[1]
	}
	return attrs, nil
}

// userFilter puts a name into a filter, escaped (RFC 4515 section 3).
func userFilter(filter, name string) string {
	return strings.ReplaceAll(filter, "%s", ldap.EscapeFilter(name))
}
