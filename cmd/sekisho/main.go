// Sekisho answers VPN gateways over RADIUS: may this person in? This is its one binary: the service (serve, demo), the
// operators' commands, which speak to the service over its local socket, and a test client.
//
// main does nothing but call run and exit with its status: 0 done, 1 refused or failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // expiry is in a time zone, also where the machine knows none

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// app is what every command works with.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	socket   string // --socket
	server   string // --server
	caFile   string // --ca
	config   string // --config
	json     bool   // --json
}

// statusError ends the program with a status of its own and says nothing more.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is a wrong use of a command.
type usageError struct{ error }

// run is the whole program, for main and for tests.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{in: in, out: out, err: errs, environ: os.Environ()}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var status statusError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command"):
		fmt.Fprintf(errs, "sekisho: %v\nTry '%s --help'.\n", err, cmd.CommandPath())
		return 2
	}
	fmt.Fprintf(errs, "sekisho: %v\n", err)
	return 1
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sekisho",
		Short: "Logins with one-time passwords for VPN gateways",
		Long: "Sekisho answers VPN gateways over RADIUS. It asks the directory for the password and checks a one-time code.\n\n" +
			"Try 'sekisho demo' first. 'sekisho serve' runs the service; the other commands speak to it over its local socket\n" +
			"(root, the service's own user and admin.operators may), or with --server and an API key.",
		SilenceErrors: true, SilenceUsage: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q%s", args[0], suggestions(cmd, args[0]))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		a.serveCommand(), a.demoCommand(), a.initCommand(), a.checkConfigCommand(), a.configCommand(), a.healthCommand(), a.keysCommand(), a.backupCommand(), a.restoreCommand(),
		a.tokenCommand(), a.userCommand(), a.operatorCommand(), a.clientCommand(), a.clockCommand(), a.loginsCommand(), a.auditCommand(), a.mailCommand(), a.explainCommand(), a.testCommand(),
		a.importCommand(),
		a.attributesCommand(), a.manCommand(), a.versionCommand(),
	)
	return root
}

func suggestions(cmd *cobra.Command, word string) string {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return ""
}

// arguments wants exactly the named arguments and says which one is missing.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{fmt.Errorf("%s is missing", names[len(args)])}
		case len(args) > len(names):
			return usageError{fmt.Errorf("%q is one argument too many", args[len(names)])}
		}
		return nil
	}
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), suggestions(cmd, args[0]))}
			}
			return cmd.Help()
		},
	}
	g.AddCommand(commands...)
	return g
}

// remote adds the flags of a command that speaks to the service.
func (a *app) remote(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.socket, "socket", "", "admin `socket` of the service (default: $SEKISHO_SOCKET, else from the configuration, else "+defaultSocket+")")
	cmd.Flags().StringVar(&a.config, "config", "", "configuration `file` that names the socket (default "+defaultConfig+")")
	cmd.Flags().StringVar(&a.server, "server", "", "`URL` of the service, instead of the socket, with an API key in $SEKISHO_API_KEY (default: $SEKISHO_SERVER)")
	cmd.Flags().StringVar(&a.caFile, "ca", "", "with --server: `file` of certificates that may have signed the server's (default: the system's)")
	return cmd
}

// listing adds --json too.
func (a *app) listing(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON as the API gives it")
	return a.remote(cmd)
}
