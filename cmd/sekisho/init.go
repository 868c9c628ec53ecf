package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sekisho/radius"
	"sekisho/token"
)

// initOptions are what a new installation has to know.
type initOptions struct {
	data             string
	zone             string
	selfService      string
	gateways         []string // PROFILE=ADDRESS
	ad               string
	ldap             []string
	base, bindDN     string
	bindPasswordFile string
	noDirectory      bool
	owner            string
}

func (a *app) initCommand() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use: "init DIR", Short: "Write the first configuration, its key and a shared secret for each gateway",
		Long: "It writes DIR/sekisho.yaml, the key of the store, one file for each secret, and nothing else; it starts nothing and never\n" +
			"overwrites. What is not given as a flag is asked for on a terminal. What it wrote is read back by the service's own\n" +
			"loader, and after a fault nothing stays.",
		Example: "  sudo sekisho init /etc/sekisho --ad example.com --gateway asa=192.0.2.10 --zone Asia/Tokyo\n" +
			"  sekisho init ./try --no-directory --gateway generic=127.0.0.1 --data ./try/data",
		Args: arguments("DIR"),
		RunE: func(_ *cobra.Command, args []string) error { return a.init(args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "/var/lib/sekisho", "`folder` of the database; the mark goes to the same name with -mark")
	f.StringVar(&o.zone, "zone", "", "time `zone` of the site, such as Asia/Tokyo (default: the machine's)")
	f.StringVar(&o.selfService, "self-service-url", "", "`URL` where people register tokens; messages to them name it")
	f.StringArrayVar(&o.gateways, "gateway", nil, "`PROFILE=ADDRESS` of a gateway, such as asa=192.0.2.10; may be given again")
	f.StringVar(&o.ad, "ad", "", "`domain` of an Active Directory, such as example.com")
	f.StringArrayVar(&o.ldap, "ldap", nil, "`URL` of an LDAP server, such as ldaps://ldap.example.com; may be given again")
	f.StringVar(&o.base, "base", "", "`DN` below which the users are; with --ldap")
	f.StringVar(&o.bindDN, "bind-dn", "", "`name` that Sekisho signs in with to search (default with --ad: sekisho@DOMAIN)")
	f.StringVar(&o.bindPasswordFile, "bind-password-file", "", "`file` that holds its password (default: asked for)")
	f.BoolVar(&o.noDirectory, "no-directory", false, "users are those to whom tokens are given; they type a PIN and the code")
	f.StringVar(&o.owner, "owner", "sekisho", "`user` that the service runs as, who gets the files when root runs this")
	return cmd
}

// terminal reports whether a person can be asked.
func (a *app) terminal() bool {
	f, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ask fills in what was not given.
func (a *app) ask(o *initOptions) error {
	if !a.terminal() {
		return nil
	}
	in := bufio.NewReader(a.in)
	question := func(text string) (string, error) {
		fmt.Fprint(a.err, text+" ")
		line, err := in.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		return strings.TrimSpace(line), nil
	}
	var err error
	if o.ad == "" && len(o.ldap) == 0 && !o.noDirectory {
		answer, err := question("Active Directory domain, or URL of an LDAP server (empty: no directory):")
		switch {
		case err != nil:
			return err
		case answer == "":
			o.noDirectory = true
		case strings.Contains(answer, "://"):
			o.ldap = []string{answer}
		default:
			o.ad = answer
		}
	}
	if len(o.ldap) > 0 && o.base == "" {
		if o.base, err = question("DN below which the users are (ou=people,dc=example,dc=com):"); err != nil {
			return err
		}
	}
	if len(o.ldap) > 0 && o.bindDN == "" {
		if o.bindDN, err = question("DN that Sekisho signs in with to search (empty: nobody in particular):"); err != nil {
			return err
		}
	}
	if len(o.gateways) == 0 {
		answer, err := question("Gateway as PROFILE=ADDRESS, such as asa=192.0.2.10 (empty: later):")
		if err != nil {
			return err
		}
		if answer != "" {
			o.gateways = []string{answer}
		}
	}
	return nil
}

// installation is what init writes: names below its folder, with their texts and modes.
type installation struct {
	dir     string
	made    []string // to be removed again after a fault
	clients []string
}

func (a *app) init(dir string, o initOptions) (err error) {
	if err := a.ask(&o); err != nil {
		return err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("naming the folder: %w", err)
	}
	if err := o.check(); err != nil {
		return usageError{err}
	}
	password, err := a.bindPassword(o)
	if err != nil {
		return err
	}
	if o.bindPasswordFile != "" {
		if o.bindPasswordFile, err = filepath.Abs(o.bindPasswordFile); err != nil {
			return fmt.Errorf("naming the password's file: %w", err)
		}
	}
	in := &installation{dir: absolute}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.undo())
		}
	}()
	if err := in.write(o, password); err != nil {
		return fmt.Errorf("making the installation: %w", err)
	}
	if _, _, err := loadConfig(in.path("sekisho.yaml"), nil); err != nil {
		return fmt.Errorf("reading back what was written: %w", err)
	}
	if err := in.hand(o.owner); err != nil {
		return fmt.Errorf("giving the files to user %s: %w", o.owner, err)
	}
	a.tellInit(in, o)
	return nil
}

func (o *initOptions) check() error {
	kinds := 0
	for _, given := range []bool{o.ad != "", len(o.ldap) > 0, o.noDirectory} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return errors.New("give exactly one of --ad DOMAIN, --ldap URL and --no-directory")
	case len(o.ldap) > 0 && o.base == "":
		return errors.New("--ldap needs --base DN")
	case o.ad != "" && (!strings.Contains(o.ad, ".") || strings.ContainsAny(o.ad, `=:/\@ `)):
		return fmt.Errorf("--ad: %q is not the DNS name of a domain, such as example.com", o.ad)
	}
	o.zone = zoneOr(o.zone)
	if _, err := time.LoadLocation(o.zone); err != nil {
		return fmt.Errorf("--zone: %q is no time zone; write one such as Asia/Tokyo", o.zone)
	}
	for _, g := range o.gateways {
		profile, address, found := strings.Cut(g, "=")
		if !found {
			return fmt.Errorf("--gateway: %q is not PROFILE=ADDRESS", g)
		}
		if !slices.Contains(radius.Profiles(), profile) {
			return fmt.Errorf("--gateway: %q is none of the profiles: %s", profile, strings.Join(radius.Profiles(), ", "))
		}
		if _, err := netip.ParsePrefix(address); err != nil {
			if _, err := netip.ParseAddr(address); err != nil {
				return fmt.Errorf("--gateway: %q is neither an IP address nor a prefix", address)
			}
		}
	}
	return nil
}

// zoneOr gives the machine's time zone where none is named; UTC where that has no name.
func zoneOr(zone string) string {
	if zone != "" {
		return zone
	}
	if to, err := os.Readlink("/etc/localtime"); err == nil {
		if _, name, found := strings.Cut(to, "zoneinfo/"); found {
			return name
		}
	}
	return "UTC"
}

// bindPassword gives the password of the account that searches; nil where none is needed or a file has it already.
func (a *app) bindPassword(o initOptions) ([]byte, error) {
	switch {
	case o.noDirectory, o.bindPasswordFile != "", o.ad == "" && o.bindDN == "":
		return nil, nil
	case !a.terminal():
		return nil, usageError{errors.New("name the file with the password of the directory account: --bind-password-file FILE")}
	}
	fmt.Fprintf(a.err, "Password of %s in the directory: ", o.signsIn())
	password, err := term.ReadPassword(int(a.in.(*os.File).Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return nil, fmt.Errorf("reading the password: %w", err)
	}
	if len(password) == 0 {
		return nil, errors.New("the password of the directory account is empty")
	}
	return password, nil
}

// signsIn is the name of the account that searches; empty: nobody in particular.
func (o *initOptions) signsIn() string {
	if o.bindDN == "" && o.ad != "" {
		return "sekisho@" + o.ad
	}
	return o.bindDN
}

func (in *installation) path(name string) string { return filepath.Join(in.dir, name) }

func (in *installation) folder(name string) error {
	path := in.path(name)
	err := os.Mkdir(path, 0o750)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		in.made = append(in.made, path)
	}
	return err
}

func (in *installation) file(name string, text []byte) error {
	path := in.path(name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is not overwritten", path)
	}
	if err != nil {
		return err
	}
	in.made = append(in.made, path)
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// undo takes back what was made, the newest first.
func (in *installation) undo() error {
	var faults []error
	for _, path := range slices.Backward(in.made) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// hand gives everything to the user that the service runs as. Who is not root keeps it.
func (in *installation) hand(owner string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(owner)
	if err != nil {
		return nil // not made yet; the answer of init says what to do
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	for _, path := range in.made {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

func (in *installation) write(o initOptions, password []byte) error {
	if err := os.MkdirAll(filepath.Dir(in.dir), 0o755); err != nil { //nolint:gosec // a folder above, as /etc is
		return err
	}
	for _, name := range []string{"", "conf.d", "secrets"} {
		if err := in.folder(name); err != nil {
			return err
		}
	}
	if err := token.NewOuterKeyFile(in.path("sealing.key")); err != nil {
		return err
	}
	in.made = append(in.made, in.path("sealing.key"))
	var clients strings.Builder
	for _, g := range o.gateways {
		profile, address, _ := strings.Cut(g, "=")
		name := profile
		for n := 2; slices.Contains(in.clients, name); n++ {
			name = profile + "-" + strconv.Itoa(n)
		}
		in.clients = append(in.clients, name)
		secret := filepath.Join("secrets", name+".secret")
		if err := in.file(secret, []byte(strings.ToLower(rand.Text()))); err != nil {
			return err
		}
		fmt.Fprintf(&clients, "    - name: %s\n      profile: %s\n      addresses: [%s]\n      secret_file: %s\n", name, profile, text(address), text(in.path(secret)))
	}
	if password != nil {
		if err := in.file("secrets/directory.password", password); err != nil {
			return err
		}
		o.bindPasswordFile = in.path("secrets/directory.password")
	}
	return in.file("sekisho.yaml", []byte(o.config(in, clients.String())))
}

// config is the text of the new configuration.
func (o *initOptions) config(in *installation, clients string) string {
	var b strings.Builder
	data, err := filepath.Abs(o.data)
	if err != nil {
		data = o.data
	}
	fmt.Fprintf(&b, "# Written by 'sekisho init'. configs/sekisho.yaml of the distribution explains every key; sekisho check-config reads it.\n"+
		"storage:\n  path: %s\n  mark: %s\nkeys:\n  file: %s\n", text(filepath.Join(data, "sekisho.db")), text(filepath.Join(data+"-mark", "mark")), text(in.path("sealing.key")))
	if clients == "" {
		b.WriteString("radius:\n  # Gateways: name, profile, addresses, secret_file.\n  clients: []\n")
	} else {
		b.WriteString("radius:\n  clients:\n" + clients)
	}
	b.WriteString("directory:\n")
	switch {
	case o.noDirectory:
		b.WriteString("  type: none\n")
	case o.ad != "":
		labels := strings.Split(o.ad, ".")
		fmt.Fprintf(&b, "  name: ad\n  type: ldap\n  # DOMAIN\\user and user@domain are taken for user; the first is the domain's short name.\n  realms: [%s, %s]\n"+
			"  ldap:\n    preset: ad\n    # Any domain controller answers to the domain's name; naming two or three is better.\n    urls: [%s]\n    base_dn: %s\n",
			text(strings.ToUpper(labels[0])), text(o.ad), text("ldaps://"+o.ad), text("dc="+strings.Join(labels, ",dc=")))
	default:
		urls := make([]string, len(o.ldap))
		for i, u := range o.ldap {
			urls[i] = text(u)
		}
		fmt.Fprintf(&b, "  type: ldap\n  ldap:\n    urls: [%s]\n    base_dn: %s\n", strings.Join(urls, ", "), text(o.base))
	}
	if name := o.signsIn(); name != "" {
		fmt.Fprintf(&b, "    bind_dn: %s\n    bind_password_file: %s\n", text(name), text(o.bindPasswordFile))
	}
	first := "password"
	if o.noDirectory {
		first = "pin"
	}
	fmt.Fprintf(&b, "policies:\n  # Who types what; the first that fits holds. Begin with a pilot group: groups: [...]\n  - name: everybody\n    first_factor: %s\n    code: joined\n    activate_at_login: true\n", first)
	fmt.Fprintf(&b, "expiry:\n  # What a date without a time means in a seed file.\n  date_only: %s\n", text("09:00 "+o.zone))
	if o.selfService != "" {
		fmt.Fprintf(&b, "login:\n  register_url: %s\n", text(o.selfService))
	}
	b.WriteString("metrics:\n  listen: 127.0.0.1:9812\n")
	return b.String()
}

// tellInit says what was made and what comes next.
func (a *app) tellInit(in *installation, o initOptions) {
	fmt.Fprintf(a.out, wordInit, in.dir)
	if a.terminal() {
		if err := a.keySheet(in.path("sealing.key")); err != nil {
			fmt.Fprintln(a.err, err)
		}
	}
	config := in.path("sekisho.yaml")
	step := 0
	next := func(format string, args ...any) {
		step++
		fmt.Fprintf(a.out, "%2d. %s\n", step, fmt.Sprintf(format, args...))
	}
	next(wordInitKey, in.path("sealing.key"))
	if os.Geteuid() == 0 {
		if _, err := user.Lookup(o.owner); err != nil {
			next(wordInitUser, o.owner, in.dir)
		}
	}
	next("sekisho check-config %s --probe", config)
	next("systemctl enable --now sekisho, or: sekisho serve --config %s", config)
	for _, c := range in.clients {
		next(wordInitGateway, c, config, in.path(filepath.Join("secrets", c+".secret")))
	}
	if o.noDirectory {
		next("sekisho token enroll YOU && sekisho user set-pin YOU")
	} else {
		next("sekisho token enroll YOU")
	}
	next("sekisho token confirm TOKEN CODE, then: sekisho explain YOU --client CLIENT")
}
