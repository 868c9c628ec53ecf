package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekisho/authn"
	"sekisho/directory"
)

// ldapTest is one run of `test ldap`.
type ldapTest struct {
	name          string // of the directory; empty: the first that is LDAP
	user          string
	passwordStdin bool
	showChain     bool
	saveCA        string
	password      string

	failed bool
}

func (a *app) testLDAP() *cobra.Command {
	t := ldapTest{}
	cmd := &cobra.Command{
		Use: "ldap", Short: "Try an LDAP directory as logins use it, step by step",
		Long: "It reads the configuration as 'sekisho serve' does and connects to each server of the directory: reached, TLS and\n" +
			"certificate, service account, one search. With --user it looks a user up and shows DN, id, groups and how each was found,\n" +
			"attributes and what the directory says about the account. Where a certificate is not trusted the chain is shown that the\n" +
			"server sends; compare a fingerprint with its administrator before you trust it. Exit 0: all is well, 1: something is not.",
		Example: "  sekisho test ldap --show-chain\n" +
			"  sekisho test ldap --save-ca /etc/sekisho/directory-ca.pem\n" +
			"  sekisho test ldap --user alice --password-stdin < password",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.passwordStdin && t.user == "" {
				return usageError{errors.New("--password-stdin needs --user")}
			}
			c, _, err := loadConfig(a.configFile(), a.environ)
			if err != nil {
				return err
			}
			d, err := c.ldapDirectory(t.name)
			if err != nil {
				return err
			}
			if t.passwordStdin {
				if t.password, err = a.readSecret("Password", false); err != nil {
					return err
				}
			}
			l, err := directory.OpenLDAP(d.Name, d.LDAP)
			if err != nil {
				return err
			}
			defer l.Close()
			if err := t.run(cmd.Context(), a, d, l); err != nil {
				return err
			}
			if t.failed {
				return statusError(1)
			}
			return nil
		},
	}
	f := cmd.Flags()
	a.configFlag(cmd)
	f.StringVar(&t.name, "directory", "", "`name` of the directory (default the first that is LDAP)")
	f.StringVar(&t.user, "user", "", "look this user up, `NAME` as a person types it without a realm")
	f.BoolVar(&t.passwordStdin, "password-stdin", false, "ask the directory about the user's password from standard input; a wrong one counts there")
	f.BoolVar(&t.showChain, "show-chain", false, "show the certificates that each server sends")
	f.StringVar(&t.saveCA, "save-ca", "", "write the CA certificate that the first server sends to `FILE`, for ca_file")
	return cmd
}

// ldapDirectory finds a directory of type ldap.
func (c *Config) ldapDirectory(name string) (*DirectoryConfig, error) {
	for _, d := range c.directories() {
		if d.Type == "ldap" && (name == "" || d.Name == name) {
			return d, nil
		}
	}
	if name == "" {
		return nil, errors.New("the configuration has no directory of type ldap")
	}
	return nil, fmt.Errorf("the configuration has no directory %q of type ldap", name)
}

func (t *ldapTest) run(ctx context.Context, a *app, d *DirectoryConfig, l *directory.LDAP) error {
	fmt.Fprintf(a.out, "directory %s\n", d.sentence())
	usable := false
	for i, r := range l.ReportServers(ctx) {
		t.server(a, r, d.LDAP)
		usable = usable || r.Stage == directory.StageDone
		if i == 0 && t.saveCA != "" {
			if err := saveCA(a, t.saveCA, r.Chain); err != nil {
				return err
			}
		}
	}
	if !usable {
		return nil
	}
	t.lockout(ctx, a, d.LDAP, l)
	if t.user == "" {
		return nil
	}
	return t.person(ctx, a, l)
}

// server tells about one server.
func (t *ldapTest) server(a *app, r directory.ServerReport, c directory.LDAPConfig) {
	fmt.Fprintf(a.out, "\nserver %s\n", r.URL)
	bad := func(step string) {
		t.failed = true
		fmt.Fprintf(a.out, "  %-16s NO: %v\n", step, r.Err)
		fmt.Fprintf(a.out, "  %-16s %s\n", "what to do", advice(r, c))
	}
	if r.Stage == directory.StageConnect {
		bad("reached")
		return
	}
	secrecy := "in the clear"
	if r.TLS != "" {
		secrecy = r.TLS
	}
	fmt.Fprintf(a.out, "  %-16s in %v, %s\n", "reached", r.Connected.Round(time.Millisecond), secrecy)
	if t.showChain || r.Stage == directory.StageTrust {
		showChain(a, r.Chain)
	}
	if r.Stage == directory.StageTrust {
		bad("trusted")
		return
	}
	if len(r.Chain) > 0 {
		left := time.Until(r.Chain[0].NotAfter)
		fmt.Fprintf(a.out, "  %-16s yes; the certificate ends %s, in %d days\n", "trusted", r.Chain[0].NotAfter.UTC().Format(time.DateOnly), int(left.Hours()/24))
	}
	if r.Stage == directory.StageSignIn {
		bad("service account")
		return
	}
	who := "none: searches are anonymous"
	if r.SignedIn != "" {
		who = r.SignedIn + " signed in"
	}
	fmt.Fprintf(a.out, "  %-16s %s\n", "service account", who)
	if r.Stage == directory.StageSearch {
		bad("search")
		return
	}
	fmt.Fprintf(a.out, "  %-16s %s is there\n", "search", c.BaseDN)
}

// showChain prints the certificates that a server sends.
func showChain(a *app, chain []*x509.Certificate) {
	for i, c := range chain {
		fmt.Fprintf(a.out, "  certificate %d    %s\n", i+1, c.Subject)
		if names := append(append([]string(nil), c.DNSNames...), addresses(c)...); len(names) > 0 {
			fmt.Fprintf(a.out, "    for            %s\n", strings.Join(names, ", "))
		}
		fmt.Fprintf(a.out, "    signed by      %s\n", c.Issuer)
		fmt.Fprintf(a.out, "    from, until    %s, %s\n", c.NotBefore.UTC().Format(time.DateTime), c.NotAfter.UTC().Format(time.DateTime))
		fmt.Fprintf(a.out, "    SHA-256        %s\n", fingerprint(c))
	}
}

func addresses(c *x509.Certificate) []string {
	var all []string
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// advice says what to do about a server that is of no use.
func advice(r directory.ServerReport, c directory.LDAPConfig) string {
	switch r.Stage {
	case directory.StageConnect:
		if strings.Contains(r.Err.Error(), "failed to parse certificate") {
			return "have the server's certificate issued again: it breaks a rule that every client of TLS may insist on"
		}
		return "check name, port, firewall, and that the server speaks LDAP with TLS there (636; 389 with starttls: true)"
	case directory.StageTrust:
		return certificateAdvice(r, c)
	case directory.StageSignIn:
		return signInAdvice(r.Err)
	}
	return "check base_dn, and that the service account may read below it"
}

func certificateAdvice(r directory.ServerReport, c directory.LDAPConfig) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(r.Err, &name):
		return "write one of the certificate's names into urls, or as server_name"
	case errors.As(r.Err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate; look at the clock of this machine too"
	}
	where := "ca_file is not set, so only the system's certificates count"
	if c.CAFile != "" {
		where = c.CAFile + " does not have it"
	}
	last := r.Chain[len(r.Chain)-1]
	if isTop(last) {
		return fmt.Sprintf("the chain ends at %s, and %s; ask its administrator for the fingerprint above, then write it with --save-ca FILE and name the file as ca_file", last.Subject, where)
	}
	return fmt.Sprintf("get the certificate of %s from its administrator as PEM (the server does not send it) and name the file as ca_file; %s", last.Issuer, where)
}

// isTop tells a certificate that signed itself.
func isTop(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// signInAdvice reads what servers say to a service account.
func signInAdvice(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "data 52e"), strings.Contains(text, "data 525"):
		return "bind_dn or its password is wrong; Active Directory also takes user@domain for bind_dn"
	case strings.Contains(text, "data 532"), strings.Contains(text, "data 773"):
		return "the password of the service account has expired or must be changed: set 'Password never expires' for it"
	case strings.Contains(text, "data 533"), strings.Contains(text, "data 701"), strings.Contains(text, "data 775"):
		return "the service account is disabled, expired or locked"
	case strings.Contains(text, "Result Code 8 "), strings.Contains(text, "Result Code 13 "):
		return "the server wants TLS: write ldaps://, or set starttls: true"
	}
	return "check bind_dn and bind_password_file"
}

// saveCA writes the certificate at the end of a chain, where it is one that signed itself.
func saveCA(a *app, file string, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate, so there is nothing to save")
	}
	last := chain[len(chain)-1]
	if !isTop(last) {
		return fmt.Errorf("the server does not send the certificate of %s, so it cannot be saved; ask its administrator for it", last.Issuer)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: last.Raw})
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a certificate is public
	if err != nil {
		return fmt.Errorf("saving the CA certificate: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("saving the CA certificate: %w", err)
	}
	fmt.Fprintf(a.out, wordCASaved, last.Subject, file, fingerprint(last))
	return nil
}

// lockout tells when the directory locks a user, and what that leaves.
func (t *ldapTest) lockout(ctx context.Context, a *app, c directory.LDAPConfig, l *directory.LDAP) {
	asked, err := l.ReportFailureLimit(ctx)
	holds := l.FailureLimit()
	fmt.Fprintln(a.out)
	switch {
	case err != nil:
		t.failed = true
		fmt.Fprintf(a.out, "lockout            the directory could not be asked: %v\n", err)
	case c.FailureLimit < 0:
		fmt.Fprintln(a.out, "lockout            never, as failure_limit says")
	case c.FailureLimit > 0:
		fmt.Fprintf(a.out, "lockout            %s, as failure_limit says", lockoutWords(holds))
		if asked != nil {
			fmt.Fprintf(a.out, "; the directory itself says: %s", lockoutWords(*asked))
		}
		fmt.Fprintln(a.out)
	case asked == nil:
		fmt.Fprintf(a.out, "lockout            the directory does not tell, so %d wrong passwords are assumed; set failure_limit\n", holds.Wrong)
	default:
		holds = *asked
		fmt.Fprintf(a.out, "lockout            %s\n", lockoutWords(holds))
	}
	if w := authn.LockoutWarning(holds.Wrong); w != "" {
		fmt.Fprintln(a.out, "  warning: "+w)
	}
}

func lockoutWords(l authn.Lockout) string {
	switch {
	case l.Wrong == 0:
		return "never"
	case l.Window == 0:
		return fmt.Sprintf("after %d wrong passwords", l.Wrong)
	}
	return fmt.Sprintf("after %d wrong passwords; they count until none came for %v", l.Wrong, l.Window)
}

// person tells about one user.
func (t *ldapTest) person(ctx context.Context, a *app, l *directory.LDAP) error {
	r, err := l.ReportUser(ctx, []byte(t.user))
	fmt.Fprintf(a.out, "\nuser %q\n", t.user)
	if err != nil {
		t.failed = true
		fmt.Fprintf(a.out, "  %-16s NO: %v\n", "found", err)
		if r != nil {
			for _, dn := range r.Entries {
				fmt.Fprintf(a.out, "  %-16s %s\n", "", dn)
			}
		}
		return nil
	}
	u := r.User
	rows := [][2]string{{"found", "in " + r.Walked.Round(time.Millisecond).String()}, {"DN", u.DN}, {"login name", u.Name}, {"id", u.ID}}
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		rows = append(rows, [2]string{name, strings.Join(u.Attributes[name], ", ")})
	}
	for i, g := range r.Groups {
		rows = append(rows, [2]string{first(i, "groups"), fmt.Sprintf("%s (%s)", g.DN, g.How)})
	}
	if len(r.Groups) == 0 {
		rows = append(rows, [2]string{"groups", "none"})
	}
	for i, s := range r.State {
		rows = append(rows, [2]string{first(i, "account says"), s})
	}
	if r.Policy != "" {
		words := "it may not be read; if its threshold is lower than the domain's, set failure_limit"
		if r.Lockout != nil {
			words = lockoutWords(*r.Lockout)
		}
		rows = append(rows, [2]string{"own policy", r.Policy + ": " + words})
	}
	rows = append(rows, [2]string{"may log in", t.mayLogIn(u.Barred)})
	switch {
	case t.passwordStdin && u.Barred == 0:
		rows = append(rows, [2]string{"password", t.passwordWords(ctx, l, u)})
	case t.passwordStdin:
		rows = append(rows, [2]string{"password", "not asked, as at a login"})
	}
	for _, row := range rows {
		fmt.Fprintf(a.out, "  %-16s %s\n", row[0], row[1])
	}
	return nil
}

func (t *ldapTest) mayLogIn(barred authn.Reason) string {
	if barred == 0 {
		return "yes, as far as the directory is asked without a password"
	}
	t.failed = true
	return "NO: " + barred.Sentence()
}

// passwordWords asks about the password, once.
func (t *ldapTest) passwordWords(ctx context.Context, l *directory.LDAP, u *authn.User) string {
	res, err := l.Authenticate(ctx, u, authn.NewSecret([]byte(t.password)))
	switch {
	case err != nil:
		t.failed = true
		return "not answered: " + err.Error()
	case res.Barred != 0:
		t.failed = true
		return "opens nothing: " + res.Barred.Sentence()
	case !res.OK:
		t.failed = true
		return "wrong"
	}
	return "right"
}

// first writes a heading beside the first of several lines.
func first(i int, heading string) string {
	if i > 0 {
		return ""
	}
	return heading
}
