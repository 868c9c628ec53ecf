package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"sekisho/admin"
)

// deed is a command that does one act through the API and says in a sentence what came of it.
type deed struct {
	use, short, long string
	method           string                     // default: POST
	path             func(args []string) string // below /api/v1/
	args             []string
	dry              bool // it takes --dry-run
	user             bool // it takes --user
	// body adds what is its own; nil: nothing.
	body func(args []string, body map[string]any) error
	said func(args []string, d admin.Done) string
}

// of gives the path of an act on a token or user that the first argument names.
func of(kind, act string) func([]string) string {
	return func(args []string) string { return kind + "/" + url.PathEscape(args[0]) + "/" + act }
}

// deed makes the command.
func (a *app) deed(d deed) *cobra.Command {
	var reason, reference, user string
	var dry bool
	cmd := &cobra.Command{
		Use: d.use, Short: d.short, Long: d.long, Args: arguments(d.args...),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			for name, value := range map[string]string{"reason": reason, "reference": reference, "user": user} {
				if value != "" {
					body[name] = value
				}
			}
			if d.body != nil {
				if err := d.body(args, body); err != nil {
					return err
				}
			}
			path, method := "/api/v1/"+d.path(args), http.MethodPost
			if dry {
				path += "?dry_run=true"
			}
			var send any = body
			if d.method != "" {
				method, send = d.method, nil
			}
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), method, path, send, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var done admin.Done
			if err := json.Unmarshal(raw, &done); err != nil {
				return err
			}
			if dry {
				return a.printEffects(done)
			}
			fmt.Fprintln(a.out, d.said(args, done))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&reason, "reason", "", "why, in a `sentence`; it stands in the audit")
	f.StringVar(&reference, "reference", "", "`number` of the paper or ticket")
	if d.dry {
		f.BoolVar(&dry, "dry-run", false, "tell what would change and change nothing")
	}
	if d.user {
		f.StringVar(&user, "user", "", "whose hold is meant, when several users hold the token")
	}
	return a.listing(cmd)
}

// printEffects tells what an act would change.
func (a *app) printEffects(d admin.Done) error {
	if len(d.Effects) == 0 {
		fmt.Fprintln(a.out, wordNoEffect)
		return nil
	}
	err := a.table("USER\tTOKEN\tWHAT\tBEFORE\tAFTER", func(w io.Writer) {
		for _, e := range d.Effects {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", dash(e.User), dash(e.Token), e.What, dash(e.Before), dash(e.After))
		}
	})
	if err == nil && d.RegisterFrom != "" {
		fmt.Fprintf(a.out, "What is revoked may be registered again from %s.\n", d.RegisterFrom)
	}
	return err
}
