package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/token"
)

func (a *app) checkConfigCommand() *cobra.Command {
	var probe bool
	cmd := &cobra.Command{
		Use: "check-config [FILE]", Short: "Tell everything that is wrong with a configuration, and what it means",
		Long: "It reads what 'sekisho serve' would read: FILE (default " + defaultConfig + "), conf.d beside it,\n" +
			"SEKISHO__SECTION__KEY and secret files. Nothing is started or changed. With --probe it also looks at what the\n" +
			"configuration names: database and key, mark, free space, clock, ports, directories with their certificates. Run that as\n" +
			"the service's user; a service that runs is left alone. Exit 0: it is right, 1: it is not.",
		Example: "  sekisho check-config\n  runuser -u sekisho -- sekisho check-config --probe\n  sekisho check-config --json | jq -r '.faults[].problem'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%q is one argument too many", args[1])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := defaultConfig
			if len(args) > 0 {
				path = args[0]
			}
			c, warnings, err := loadConfig(path, a.environ)
			if a.json {
				return a.checkJSON(cmd.Context(), c, warnings, err, probe)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(a.out, wordConfigOK)
			if err := a.table("", c.summary); err != nil {
				return err
			}
			c.arithmetic(a.out)
			for _, w := range warnings {
				fmt.Fprintln(a.out, "warning: "+w)
			}
			if !probe {
				return nil
			}
			fmt.Fprintln(a.out)
			good, err := a.printFindings(c.probe(cmd.Context(), time.Now()))
			if err == nil && !good {
				err = statusError(1)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&probe, "probe", false, "look at database, key, disk, clock, ports, directories and certificates too")
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return cmd
}

// checked is what `check-config --json` prints.
type checked struct {
	OK       bool          `json:"ok"`
	Faults   []admin.Place `json:"faults,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
	Findings []finding     `json:"findings,omitempty"` // of --probe
}

func (a *app) checkJSON(ctx context.Context, c *Config, warnings []string, fault error, probe bool) error {
	out := checked{OK: fault == nil, Warnings: warnings}
	if fault != nil {
		out.Faults = faultsOf(fault)
	} else if probe {
		out.Findings = c.probe(ctx, time.Now())
		out.OK = !slices.ContainsFunc(out.Findings, finding.isFault)
	}
	if err := a.printJSON(out); err != nil {
		return err
	}
	if !out.OK {
		return statusError(1)
	}
	return nil
}

// summary says in a few lines what the configuration means.
func (c *Config) summary(w io.Writer) {
	for _, d := range c.directories() {
		fmt.Fprintf(w, "directory\t%s\n", d.sentence())
		if d.Type == "ldap" {
			for _, line := range d.LDAP.Explain() {
				fmt.Fprintf(w, "  %s\n", line)
			}
		}
	}
	for _, cl := range c.Radius.List() {
		how := "Message-Authenticator " + cl.MessageAuthenticator
		if cl.Login.GatewayProves {
			how += ", proves a first factor itself"
		}
		fmt.Fprintf(w, "client\t%s at %v, %s\n", cl.Login.Name, cl.Addresses, how)
	}
	for _, p := range c.Policies {
		fmt.Fprintf(w, "policy\t%s: %s\n", p.Name, p.sentence())
	}
	for _, r := range c.Replies {
		fmt.Fprintf(w, "reply\t%s: %s\n", r.Name, r.sentence())
	}
}

// sentence tells who is in a directory.
func (d *DirectoryConfig) sentence() string {
	s := fmt.Sprintf("%s (%s)", d.Name, d.Type)
	if len(d.Realms) > 0 {
		s += ", realms " + strings.Join(d.Realms, ", ")
	}
	if len(d.UPNSuffixes) > 0 {
		s += ", UPN suffixes " + strings.Join(d.UPNSuffixes, ", ")
	}
	return s
}

func (p PolicyConfig) sentence() string {
	who, where := "everybody", "every client"
	switch {
	case len(p.Groups) > 0 && len(p.Users) > 0:
		who = fmt.Sprintf("members of %v and %v", p.Groups, p.Users)
	case len(p.Groups) > 0:
		who = fmt.Sprintf("members of %v", p.Groups)
	case len(p.Users) > 0:
		who = fmt.Sprint(p.Users)
	}
	if len(p.Directories) > 0 {
		who += fmt.Sprintf(" of %v", p.Directories)
	}
	if len(p.Clients) > 0 {
		where = fmt.Sprint(p.Clients)
	}
	what := ""
	switch {
	case p.Deny:
		return fmt.Sprintf("%s at %s: denied", who, where)
	case p.FirstFactor == "none":
		what = "a code alone"
	case p.FirstFactor == "gateway":
		what = "a code, after the gateway's own check"
	case p.Code == "challenge":
		what = p.FirstFactor + ", then the code is asked for"
	case p.CodeFirst:
		what = "code and " + p.FirstFactor + " in one field"
	default:
		what = p.FirstFactor + " and code in one field"
	}
	if p.Code == "either" {
		what += ", or asked for"
	}
	if len(p.ExemptGroups) > 0 {
		what += fmt.Sprintf("; no code for %v", p.ExemptGroups)
	}
	if p.Unenrolled.given() {
		what += "; until " + p.Unenrolled.Until + " no code for those who never had a token"
	}
	return fmt.Sprintf("%s at %s: %s", who, where, what)
}

// arithmetic prints what guessing can reach (S4): whatever the tokens, windows and layouts, failures are charged to the
// account until its yearly budget is spent.
func (c *Config) arithmetic(w io.Writer) {
	l := c.limits()
	chance := l.YearlyGuessChance()
	fmt.Fprintf(w, "guessing (preset %s): who has the first factor and guesses codes gets in with a chance of at most %.2g a year per account,\n", c.Limits.Preset, chance)
	fmt.Fprintf(w, "  %.2g over 1,000 accounts of which every first factor is known.\n", expected(chance, 1000))
	win := c.window()
	totp := token.Token{Mode: token.TOTP, Digits: 6, Period: 30, Last: token.NoStep}
	hotp := token.Token{Mode: token.HOTP, Digits: 6, Last: token.NoStep}
	for _, k := range []struct {
		name  string
		t     token.Token
		steps int
	}{{"time-based", totp, win.Back + win.Ahead + 1}, {"event-based", hotp, win.LookAhead}} {
		cost := k.t.GuessCost(k.steps)
		fmt.Fprintf(w, "  A 6-digit %s token: %d codes at a time, %.1g a miss; after some %d misses a year from new places two codes in a row are asked for.\n",
			k.name, k.steps, float64(cost)*token.GuessUnit, l.Pot[authn.ClassUnknown]/cost)
	}
}

// expected is the chance that at least one of n accounts falls.
func expected(chance float64, n int) float64 {
	all := 1.0
	for range n {
		all *= 1 - chance
	}
	return 1 - all
}
