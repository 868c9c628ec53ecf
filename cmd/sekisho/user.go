package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"sekisho/admin"
)

func (a *app) userCommand() *cobra.Command {
	return group("user", "List and show users, invite and help them, set their PIN, end their locks",
		append([]*cobra.Command{a.userShow(), a.userSetPIN(), a.userUnlock()}, a.userActs()...)...)
}

func (a *app) userShow() *cobra.Command {
	var typed, client, lang string
	cmd := &cobra.Command{
		Use: "show USER | show --as NAME [--client CLIENT]", Short: "Show a user: directory, tokens, locks; or how a typed name is read",
		Long: "With --as it tells step by step how a name is read that somebody types: its realm, the directory that is asked, who is\n" +
			"found, and with --client the policy that holds there. Nothing is counted.",
		Example: "  sekisho user show annie\n  sekisho user show --as 'EXAMPLE\\annie' --client vpn",
		Args: func(cmd *cobra.Command, args []string) error {
			switch as := cmd.Flags().Changed("as"); {
			case as && len(args) > 0:
				return usageError{errors.New("give either USER or --as NAME")}
			case as:
				return nil
			case client != "":
				return usageError{errors.New("--client goes with --as NAME")}
			}
			return arguments("USER")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if lang = cmp.Or(lang, language()); lang != "en" && lang != "ja" {
					return usageError{fmt.Errorf("--lang %q is neither en nor ja", lang)}
				}
				return a.showReading(cmd.Context(), typed, client, lang)
			}
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodGet, "/api/v1/users/"+url.PathEscape(args[0]), nil, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var u admin.User
			if err := json.Unmarshal(raw, &u); err != nil {
				return err
			}
			return a.table("", func(w io.Writer) { printUser(w, u) })
		},
	}
	cmd.Flags().StringVar(&typed, "as", "", "tell how this typed `name` is read")
	cmd.Flags().StringVar(&lang, "lang", "", "with --as: `language`, en or ja (default: that of $LC_ALL, $LC_MESSAGES or $LANG)")
	cmd.Flags().StringVar(&client, "client", "", "with --as: by the rules of this `client`; default: as operators' commands read names")
	return a.listing(cmd)
}

// showReading tells how a typed name is read.
func (a *app) showReading(ctx context.Context, typed, client, lang string) error {
	var raw json.RawMessage
	query := url.Values{"typed": {typed}}
	if client != "" {
		query.Set("client", client)
	}
	if err := a.api().call(ctx, http.MethodGet, "/api/v1/names?"+query.Encode(), nil, &raw); err != nil {
		return err
	}
	if a.json {
		return a.printRaw(raw)
	}
	var r admin.NameReading
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	steps := r.Steps
	if lang == "ja" {
		steps = r.StepsJA
	}
	for i, step := range steps {
		fmt.Fprintf(a.out, "%d. %s\n", i+1, step)
	}
	return nil
}

func printUser(w io.Writer, u admin.User) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("User", u.Name)
	line("Directory", strings.TrimSuffix(u.Directory+", "+u.ID, ", "))
	line("DN", u.DN)
	for _, g := range u.Groups {
		line("Group", g)
	}
	line("Barred", u.Barred)
	line("Account", dash(u.Account))
	pin := "not set"
	if u.PIN {
		pin = "set"
	}
	line("PIN", pin)
	for _, l := range u.Locks {
		line("Lock", l)
	}
	if len(u.Tokens) == 0 {
		line("Tokens", "none")
	}
	for _, t := range u.Tokens {
		name := t.ID
		if t.Serial != "" {
			name = t.Serial
		}
		line("Token", fmt.Sprintf("%s, %s %s, %s since %s, %s", name, t.Form, t.Mode, t.Standing, t.Since, t.State))
	}
}

func (a *app) userSetPIN() *cobra.Command {
	return a.remote(&cobra.Command{
		Use: "set-pin USER", Short: "Set a user's PIN, asked for twice, or read from standard input", Args: arguments("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			pin, err := a.readSecret("PIN for "+args[0], true)
			if err != nil {
				return err
			}
			err = a.api().call(cmd.Context(), http.MethodPut, "/api/v1/users/"+url.PathEscape(args[0])+"/pin", map[string]any{"pin": pin}, nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "The PIN of %s is set.\n", args[0])
			return nil
		},
	})
}

func (a *app) userUnlock() *cobra.Command {
	return a.remote(&cobra.Command{
		Use: "unlock USER", Short: "End the stops and waits that failures brought", Args: arguments("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/users/"+url.PathEscape(args[0])+"/unlock", nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s is unlocked.\n", args[0])
			return nil
		},
	})
}

// readSecret asks on a terminal without showing what is typed, or takes the first line of anything else.
func (a *app) readSecret(what string, twice bool) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		line, err := bufio.NewReader(io.LimitReader(a.in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading standard input: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return "", errors.New("standard input is empty; type the secret there")
		}
		return line, nil
	}
	first, err := a.askHidden(f, what+": ")
	if err != nil || !twice {
		return first, err
	}
	second, err := a.askHidden(f, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two differ; try again")
	}
	return first, nil
}

func (a *app) askHidden(f *os.File, prompt string) (string, error) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("switching the terminal's echo off: %w", err)
	}
	quiet := *old
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &quiet); err != nil {
		return "", fmt.Errorf("switching the terminal's echo off: %w", err)
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETSF, old) }()
	fmt.Fprint(a.err, prompt)
	defer fmt.Fprintln(a.err)
	var line []byte
	one := make([]byte, 1)
	for {
		n, err := f.Read(one)
		if n == 1 && one[0] != '\n' {
			line = append(line, one[0])
			continue
		}
		if n == 1 || errors.Is(err, io.EOF) {
			return strings.TrimRight(string(line), "\r"), nil
		}
		return "", fmt.Errorf("reading the terminal: %w", err)
	}
}
