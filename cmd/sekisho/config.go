package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sekisho/audit"
	"sekisho/authn"
	"sekisho/internal/conf"
	"sekisho/mail"
	"sekisho/radius"
	"sekisho/selfservice"
	"sekisho/storage"
	"sekisho/token"
)

// Config is the whole configuration. Each section belongs to the package that it configures; configs/sekisho.yaml
// explains every key.
type Config struct {
	Storage storage.Config `yaml:"storage"`
	Keys    KeysConfig     `yaml:"keys"`
	Radius  radius.Config  `yaml:"radius"`
	// Directory is asked for names without a realm.
	Directory DirectoryConfig `yaml:"directory"`
	// Directories are further ones, each for the names with its realms.
	Directories []DirectoryConfig `yaml:"directories"`
	Policies    []PolicyConfig    `yaml:"policies"`
	Replies     []ReplyConfig     `yaml:"replies"`
	Limits      LimitsConfig      `yaml:"limits"`
	Login       LoginConfig       `yaml:"login"`
	Networks    NetworksConfig    `yaml:"networks"`
	Enroll      EnrollConfig      `yaml:"enroll"`
	Expiry      ExpiryConfig      `yaml:"expiry"`
	Life        LifeConfig        `yaml:"life"`
	Mail        mail.Config       `yaml:"mail"`
	Audit       audit.Config      `yaml:"audit"`
	Backup      BackupConfig      `yaml:"backup"`
	Admin       AdminConfig       `yaml:"admin"`
	Metrics     MetricsConfig     `yaml:"metrics"`
	// SelfService is the pages on which people look after their devices.
	SelfService selfservice.Config `yaml:"self_service"`
	Log         LogConfig          `yaml:"log"`

	source source
}

// source is where a configuration came from.
type source struct {
	path    string
	environ []string
	values  []conf.Value // of every key, with its origin
}

// KeysConfig names the key that opens the store.
type KeysConfig struct {
	// File was made by `sekisho keys new`. Without it no token in the store can be used, and with it a stolen store can:
	// keep it out of the data folder and out of its backups. Required.
	File string `yaml:"file"`
}

// PolicyConfig says how some users prove themselves at some gateways. The first policy that fits both holds; who fits
// none is refused.
type PolicyConfig struct {
	// Name is shown by logins. Required.
	Name string `yaml:"name"`
	// Clients are names of clients or services. Default: every one.
	Clients []string `yaml:"clients"`
	// Directories are the names of those whose users fit. Default: every one.
	Directories []string `yaml:"directories"`
	// Groups are DNs of groups, or names with a file directory; members of any of them fit. Default: everybody.
	Groups []string `yaml:"groups"`
	// Users are canonical names, as 'sekisho user show' prints them, of people who fit beside the members of Groups. Default:
	// nobody beside them; without Groups and Users everybody fits.
	Users []string `yaml:"users"`
	// Deny refuses them.
	Deny bool `yaml:"deny"`
	// FirstFactor is password, pin, gateway (the client says so too) or none. Default: password.
	FirstFactor string `yaml:"first_factor"`
	// Code says how the code comes: joined (in one field with the first factor), challenge (asked for), or either.
	// Default: joined; where the code is all there is, it has no effect.
	Code string `yaml:"code"`
	// CodeFirst puts the code before the first factor in the one field. Default: behind it.
	CodeFirst bool `yaml:"code_first"`
	// ExemptGroups need no code. Only with first_factor password or gateway.
	ExemptGroups []string `yaml:"exempt_groups"`
	// ActivateAtLogin lets the first right code of a new token at a login activate it. Default: `token confirm` does.
	ActivateAtLogin bool `yaml:"activate_at_login"`
	// AcceptOneFactor is why a code alone is enough, in words of at least 20 characters; it goes into the log at each
	// start. Needed for first_factor none.
	AcceptOneFactor string `yaml:"accept_one_factor"`
	// Reply attributes of an Access-Accept, by their dictionary names: Class, Filter-Id, Session-Timeout, ...
	Reply map[string][]string `yaml:"reply"`
	// Unenrolled lets people in who never had a token, for a time. Only with first_factor password or gateway.
	Unenrolled UnenrolledConfig `yaml:"unenrolled"`
}

// UnenrolledConfig says for how long and with what people get in who never had a token. Whose token has expired, is
// suspended, revoked or lost is refused all the same.
type UnenrolledConfig struct {
	// Until is the last day of it, YYYY-MM-DD in the machine's time zone, or a moment in RFC 3339; at most 90 days ahead.
	// Required.
	Until string `yaml:"until"`
	// Reply replaces the policy's reply for them: attributes that restrict such a login. Required.
	Reply map[string][]string `yaml:"reply"`
}

// LimitsConfig says how much guessing an account bears.
type LimitsConfig struct {
	// Preset is normal (a guesser who has the first factor gets in with a chance of at most 0.1 % a year) or strict
	// (0.03 %, with more people asked for two codes). Default: normal.
	Preset string `yaml:"preset"`
	// YearlyChance is that chance, 0.0001 to 0.01, where the preset's does not fit: an account that bears more guesses asks
	// its owner for two codes in a row later. Default: the preset's.
	YearlyChance *float64 `yaml:"yearly_chance"`
	// AcceptYearlyChance is why more than 0.001 is borne, in words of at least 20 characters; it goes into the log at each
	// start. Needed for a yearly_chance above 0.001.
	AcceptYearlyChance string `yaml:"accept_yearly_chance"`
}

// check finds a chance that is out of range, or higher than a site may have without a reason (S4).
func (l *LimitsConfig) check(doc *conf.Doc) (warnings []string) {
	oneOf(doc, "limits.preset", l.Preset, "normal", "strict")
	words := utf8.RuneCountInString(l.AcceptYearlyChance)
	if words > 0 && words < leastReason {
		doc.Fault("limits.accept_yearly_chance", fmt.Sprintf("%d characters are no reason", words),
			fmt.Sprintf("say in at least %d characters why so many guesses are borne", leastReason))
	}
	if l.YearlyChance == nil {
		return nil
	}
	switch chance := *l.YearlyChance; {
	case !(chance >= authn.LeastGuessChance && chance <= authn.WorstGuessChance):
		doc.Fault("limits.yearly_chance", fmt.Sprintf("%g is out of range", chance), fmt.Sprintf("give %g to %g", authn.LeastGuessChance, authn.WorstGuessChance))
	case chance > authn.MostGuessChance && words < leastReason:
		doc.Fault("limits.yearly_chance", fmt.Sprintf("%g is more than the %g that guessers may be left", chance, authn.MostGuessChance),
			fmt.Sprintf("lower it, or say in limits.accept_yearly_chance, in at least %d characters, why it is borne", leastReason))
	case chance > authn.MostGuessChance:
		warnings = append(warnings, fmt.Sprintf("limits.yearly_chance: guessers are left %g a year per account instead of %g: %s",
			chance, authn.MostGuessChance, l.AcceptYearlyChance))
	}
	return warnings
}

// LoginConfig says how far from the expected one a code may lie, each step more being one more chance for a guesser, and
// what a refused person is told.
type LoginConfig struct {
	// WindowSteps back and ahead of now are taken from time-based tokens, 0 to 3. Default: 1.
	WindowSteps *int `yaml:"window_steps"`
	// HOTPLookAhead counters behind the last used one are taken from event-based tokens, 1 to 50. Default: 5.
	HOTPLookAhead *int `yaml:"hotp_lookahead"`
	// TellAfterProof lets a refusal say why when first factor and code were right and only the token's state refuses; in
	// the language of the client's prompts. Default: on.
	TellAfterProof *bool `yaml:"tell_after_proof"`
	// RegisterURL is where people register a token; such a refusal names it. Default: none.
	RegisterURL string `yaml:"register_url"`
}

// NetworksConfig says what is known of addresses.
type NetworksConfig struct {
	// Own are the site's own networks, as seen by gateways whose Calling-Station-Id is trusted: single addresses or prefixes.
	// A hundred times as many failures as elsewhere come from one address of them before that is an alarm. Default: none.
	Own []string `yaml:"own"`
}

// own gives the site's networks; a fault names the first that is none.
func (c *Config) own() (all []netip.Prefix, at int, err error) {
	for i, text := range c.Networks.Own {
		p, err := netip.ParsePrefix(text)
		if a, aerr := netip.ParseAddr(text); aerr == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil || p.Addr().Zone() != "" {
			return nil, i, fmt.Errorf("%q is no address or prefix", text)
		}
		all = append(all, p.Masked())
	}
	return all, 0, nil
}

// EnrollConfig shapes new software tokens.
type EnrollConfig struct {
	// Issuer is what apps show beside the code. Default: Sekisho.
	Issuer string `yaml:"issuer"`
}

// ExpiryConfig says when tokens stop.
type ExpiryConfig struct {
	// DateOnly is when a token stops whose seed file gives only a date: a time of day and a zone. Default: 09:00 Asia/Tokyo.
	DateOnly string `yaml:"date_only"`
	// Mails are the days before an expiry on which its users are reminded, 0 the day itself, MailAt the time of day. Default:
	// 90, 30, 14, 7, 1 and 0, at "08:00".
	Mails  []int  `yaml:"mails"`
	MailAt string `yaml:"mail_at"`
	// ExtendDays is by how much a token's expiry can be moved ahead, all in all. Default: 30.
	ExtendDays int `yaml:"extend_days"`
}

// MetricsConfig is the listener for /metrics, /livez and /readyz.
type MetricsConfig struct {
	// Listen is an address such as 127.0.0.1:9812. Default: none.
	Listen string `yaml:"listen"`
}

// LogConfig shapes the log, which goes to standard error.
type LogConfig struct {
	// Level is debug, info, warn or error. Default: info.
	Level string `yaml:"level"`
	// Format is text or json. Default: text.
	Format string `yaml:"format"`
}

const (
	defaultConfig = "/etc/sekisho/sekisho.yaml"
	defaultSocket = "/run/sekisho/admin.sock"
)

// loadConfig reads and checks a configuration; the error holds every fault of it. Warnings stop nothing.
func loadConfig(path string, environ []string) (*Config, []string, error) {
	c := &Config{}
	doc := conf.Load(c, path, environ)
	c.defaults()
	var warnings []string
	if doc.Complete() {
		warnings = c.check(doc)
	}
	err := doc.Err()
	if err == nil {
		c.source = source{path, environ, doc.Values(c.effective())}
	}
	return c, warnings, err
}

// effective is the configuration with the defaults of its sections filled in.
func (c *Config) effective() *Config {
	e := *c
	e.Storage, e.Radius = c.Storage.Effective(), c.Radius.Effective()
	e.Directories = slices.Clone(c.Directories)
	for _, d := range e.directories() {
		if d.Type == "ldap" {
			d.LDAP = d.LDAP.Effective()
		}
	}
	return &e
}

func (c *Config) defaults() {
	for _, d := range c.directories() {
		d.Name = cmp.Or(d.Name, d.Type)
	}
	c.Limits.Preset = cmp.Or(c.Limits.Preset, "normal")
	c.Expiry.DateOnly = cmp.Or(c.Expiry.DateOnly, token.Moment{}.String())
	c.Enroll.Issuer = cmp.Or(c.Enroll.Issuer, "Sekisho")
	c.Admin.Socket = cmp.Or(c.Admin.Socket, defaultSocket)
	c.Log.Level = cmp.Or(c.Log.Level, "info")
	c.Log.Format = cmp.Or(c.Log.Format, "text")
	for i := range c.Policies {
		p := &c.Policies[i]
		p.FirstFactor = cmp.Or(p.FirstFactor, "password")
		p.Code = cmp.Or(p.Code, "joined")
	}
}

// check reports everything that is wrong to doc and gives what is worth a warning.
func (c *Config) check(doc *conf.Doc) (warnings []string) {
	checkSection(doc, "storage", c.Storage.Check())
	c.checkKeys(doc)
	warnings = append(warnings, c.checkDirectories(doc)...)
	faults, warned := c.Radius.Check()
	for _, f := range faults {
		doc.Fault("radius."+f.Key, f.Problem, f.Advice)
	}
	for _, f := range warned {
		warnings = append(warnings, "radius."+f.Error())
	}
	if _, err := token.ParseMoment(c.Expiry.DateOnly); err != nil {
		doc.Fault("expiry.date_only", err.Error(), "")
	}
	c.checkLife(doc)
	for _, f := range c.Audit.Check() {
		doc.Fault("audit."+f.Key, f.Problem, f.Advice)
	}
	for _, f := range c.Mail.Check() {
		doc.Fault("mail."+f.Key, f.Problem, f.Advice)
	}
	c.Backup.check(doc)
	c.checkSelfService(doc)
	c.Admin.check(doc)
	warnings = append(warnings, c.Limits.check(doc)...)
	oneOf(doc, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(doc, "log.format", c.Log.Format, "text", "json")
	within(doc, "login.window_steps", c.Login.WindowSteps, 0, 3)
	within(doc, "login.hotp_lookahead", c.Login.HOTPLookAhead, 1, 50)
	if _, i, err := c.own(); err != nil {
		doc.Fault(fmt.Sprintf("networks.own[%d]", i), err.Error(), "write it like 203.0.113.9 or 203.0.113.0/24")
	}
	if err := checkURL(c.Login.RegisterURL); err != nil {
		doc.Fault("login.register_url", err.Error(), "give an https:// address that people can open, or leave it out")
	} else if err := c.tell().Check(); err != nil {
		doc.Fault("login.register_url", err.Error(), "")
	}
	d, err := c.Radius.Dictionary()
	if err != nil {
		return warnings // its faults are reported; every attribute of it would only be another one
	}
	warnings = append(warnings, c.checkPolicies(doc, d, time.Now())...)
	warnings = append(warnings, c.checkReplies(doc, d)...)
	return warnings
}

func (c *Config) checkKeys(doc *conf.Doc) {
	if c.Keys.File == "" {
		doc.Fault("keys.file", "is missing", "make a key with 'sekisho keys new FILE' and name the file here")
		return
	}
	if _, err := token.LoadOuterKey(c.Keys.File); err != nil {
		doc.Fault("keys.file", err.Error(), "")
	}
}

// checkSection spreads the joined errors of a section, each "key: problem", over the section's keys.
func checkSection(doc *conf.Doc, section string, err error) {
	if err == nil {
		return
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, e := range all {
		key, problem, found := strings.Cut(e.Error(), ": ")
		if !found {
			key, problem = "", e.Error()
		}
		doc.Fault(strings.TrimSuffix(section+"."+key, "."), problem, "")
	}
}

func oneOf(doc *conf.Doc, key, value string, allowed ...string) {
	switch {
	case slices.Contains(allowed, value):
	case value == "":
		doc.Fault(key, "is missing", "choose "+strings.Join(allowed, ", "))
	default:
		doc.Fault(key, strconv.Quote(value)+" is none of the choices", "choose "+strings.Join(allowed, ", "))
	}
}

func within(doc *conf.Doc, key string, value *int, least, most int) {
	if value != nil && (*value < least || *value > most) {
		doc.Fault(key, fmt.Sprintf("%d is out of range", *value), fmt.Sprintf("give %d to %d", least, most))
	}
}

// checkURL wants an address that can stand in a message: absolute, http or https, of printable ASCII.
func checkURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%q holds blanks or characters that an address cannot have", text)
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("%q is no address of a page", text)
	case u.User != nil:
		return errors.New("the address holds a user name or password, and everybody would read it")
	}
	return nil
}

// tell is what people who proved both factors are told.
func (c *Config) tell() authn.Tell {
	return authn.Tell{Silent: c.Login.TellAfterProof != nil && !*c.Login.TellAfterProof, RegisterURL: c.Login.RegisterURL}
}

// window is how far from the expected step a code may lie.
func (c *Config) window() token.Window {
	w := token.LoginWindow
	if c.Login.WindowSteps != nil {
		w.Back, w.Ahead = *c.Login.WindowSteps, *c.Login.WindowSteps
	}
	if c.Login.HOTPLookAhead != nil {
		w.LookAhead = *c.Login.HOTPLookAhead
	}
	return w
}

// dateOnly is when a token stops whose seed file gives only a date.
func (c *Config) dateOnly() token.Moment {
	m, _ := token.ParseMoment(c.Expiry.DateOnly) // check has read it
	return m
}

// limits are the guessing limits: those of the preset, or with a chance of the site's own.
func (c *Config) limits() authn.Limits {
	l := authn.NormalLimits
	if c.Limits.Preset == "strict" {
		l = authn.StrictLimits
	}
	if c.Limits.YearlyChance != nil {
		l = l.WithGuessChance(*c.Limits.YearlyChance)
	}
	return l
}

// configFlag adds --config to a command that reads the whole configuration. All commands share one variable, so its
// default is not the flag's but configFile's.
func (a *app) configFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.config, "config", "", "configuration `file` (default "+defaultConfig+")")
}

func (a *app) configFile() string { return cmp.Or(a.config, defaultConfig) }

// socketOf finds the admin socket for a command: the flag, else SEKISHO_SOCKET, else the configuration where it can be
// read, else the default.
func socketOf(flag, config string) string {
	if flag != "" {
		return flag
	}
	if s := os.Getenv("SEKISHO_SOCKET"); s != "" {
		return s
	}
	c := &Config{}
	doc := conf.Load(c, cmp.Or(config, defaultConfig), os.Environ())
	if doc.Complete() && c.Admin.Socket != "" {
		return c.Admin.Socket
	}
	return defaultSocket
}
