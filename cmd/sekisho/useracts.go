package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"sekisho/admin"
)

const longUser = "USER is any spelling of the name that the directory knows, or an account ID."

func (a *app) userActs() []*cobra.Command {
	return []*cobra.Command{
		a.userList(), a.userInvite(), a.userTemporary(), a.userFirstLogin(),
		a.deed(deed{use: "force-pin USER", short: "Make somebody choose a new PIN", long: longUser, args: []string{"USER"}, path: of("users", "pin/force"), dry: true,
			said: func(args []string, _ admin.Done) string {
				return fmt.Sprintf("%s has to choose a new PIN at the next sign-in.", args[0])
			}}),
		a.deed(deed{use: "reset-pin USER", short: "End a PIN; its owner chooses the next one", long: longUser, args: []string{"USER"}, path: of("users", "pin/reset"), dry: true,
			said: func(args []string, _ admin.Done) string {
				return fmt.Sprintf("The PIN of %s is gone; they choose a new one on their own page.", args[0])
			}}),
		a.deed(deed{use: "waive USER", short: "Let somebody register a token before the cooldown ends", long: longUser + " It needs --reason.", args: []string{"USER"},
			path: of("users", "waive"), said: func(args []string, _ admin.Done) string {
				return fmt.Sprintf("%s may register a token at once.", args[0])
			}}),
		a.userUndo(),
	}
}

func (a *app) userList() *cobra.Command {
	var state, serial, group, name string
	var sheet bool
	cmd := &cobra.Command{
		Use: "list", Short: "List users with the state of their tokens", Args: arguments(),
		Long: "Everybody is listed to whom something was ever given.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for key, value := range map[string]string{"state": state, "serial": serial, "group": group, "user": name} {
				if value != "" {
					q.Set(key, value)
				}
			}
			if sheet {
				return a.saveSheet(cmd, "/api/v1/users", q)
			}
			all, err := pages(cmd, a.api(), "/api/v1/users", q, func(raw json.RawMessage) ([]admin.UserRow, error) {
				var l admin.UserList
				err := json.Unmarshal(raw, &l)
				return l.Users, err
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"users": all})
			}
			if len(all) == 0 {
				fmt.Fprintln(a.out, wordNoUsers)
				return nil
			}
			return a.table("LOGIN ID\tNAME\tCLASS\tSERIAL\tSTATE\tEXPIRES", func(w io.Writer) {
				for _, u := range all {
					state := u.State
					if u.From != "" {
						state += " (register from " + u.From + ")"
					}
					serial := dash(u.Serial)
					if u.More > 0 {
						serial += fmt.Sprintf(" +%d", u.More)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", u.User, dash(u.Name), u.Class, serial, state, dash(u.Expiry))
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "only users that are `STATE`: in-service, expired, revoked, waiting, suspended, exempt, none")
	f.StringVar(&name, "user", "", "only login IDs that begin so")
	f.StringVar(&serial, "serial", "", "only users of a token whose serial begins so")
	f.StringVar(&group, "group", "", "only members of this group")
	f.BoolVar(&sheet, "csv", false, "as CSV, for spreadsheets")
	return a.listing(cmd)
}

func (a *app) userInvite() *cobra.Command {
	var dry bool
	var confirmed int
	var letters, reason string
	cmd := &cobra.Command{
		Use: "invite USER...", Short: "Mail links with which people register their device; or print them",
		Long: "Whoever has a token or an open link is left out, so that a list can be given again. Mails leave as fast as\n" +
			"mail.per_minute lets them. With --letters the links are not mailed but printed: the file holds a sheet for each.",
		Example: "  sekisho user invite alice bob --dry-run\n  sekisho user invite $(cat names.txt) --letters sheets.html",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("USER is missing")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/api/v1/invitations"
			if letters != "" {
				path = "/api/v1/letters"
			}
			if dry {
				path += "?dry_run=true"
			}
			body := map[string]any{"users": args, "confirmed": confirmed}
			if reason != "" {
				body["reason"] = reason
			}
			var v admin.Invitations
			if err := a.api().call(cmd.Context(), http.MethodPost, path, body, &v); err != nil {
				return err
			}
			if letters != "" && v.Sheets != "" {
				if err := writeNew(letters, v.Sheets); err != nil {
					return err
				}
				v.Sheets = ""
			}
			if a.json {
				return a.printJSON(v)
			}
			err := a.table("USER\tRESULT\t", func(w io.Writer) {
				for _, e := range v.Each {
					fmt.Fprintf(w, "%s\t%s\t%s\n", e.User, e.Result, e.Sentence)
				}
			})
			if err == nil && v.Invited == 0 {
				return errors.New(wordNobodyInvited)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&dry, "dry-run", false, "tell who would be invited and send nothing")
	f.IntVar(&confirmed, "confirm", 0, "how `many` would be invited, as --dry-run told; needed for long lists")
	f.StringVar(&letters, "letters", "", "print the links to this new HTML `file` instead of mailing them")
	f.StringVar(&reason, "reason", "", "why, in a `sentence`; it stands in the audit")
	return a.listing(cmd)
}

func (a *app) userTemporary() *cobra.Command {
	var until, reason string
	var end bool
	cmd := &cobra.Command{
		Use: "temporary USER", Short: "Give codes to somebody whose token is not at hand, or end them",
		Long: longUser + " They see the codes one at a time on their own page; nobody else ever does.", Args: arguments("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/api/v1/users/" + url.PathEscape(args[0]) + "/temporary"
			if end {
				if err := a.api().call(cmd.Context(), http.MethodDelete, path, nil, nil); err != nil {
					return err
				}
				fmt.Fprintf(a.out, "The temporary codes of %s have ended.\n", args[0])
				return nil
			}
			body := map[string]any{}
			for key, value := range map[string]string{"until": until, "reason": reason} {
				if value != "" {
					body[key] = value
				}
			}
			var v admin.Temporary
			if err := a.api().call(cmd.Context(), http.MethodPost, path, body, &v); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			fmt.Fprintf(a.out, "%s has %d temporary codes until %s.\n", args[0], v.Codes, v.Until)
			return nil
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "when they end, an `instant`; default: the site's hour")
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `sentence`; it stands in the audit")
	cmd.Flags().BoolVar(&end, "end", false, "end them now")
	return a.listing(cmd)
}

func (a *app) userFirstLogin() *cobra.Command {
	var until, rule string
	cmd := &cobra.Command{
		Use: "first-login USER", Short: "Give somebody who never had a token a code for one login", Long: longUser + " The code is shown here alone.", Args: arguments("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			for key, value := range map[string]string{"until": until, "attributes": rule} {
				if value != "" {
					body[key] = value
				}
			}
			var v admin.FirstLogin
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/users/"+url.PathEscape(args[0])+"/first-login", body, &v); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			fmt.Fprintf(a.out, "%s\nGood for one login of %s until %s.\n", v.Code, args[0], v.Until)
			return nil
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "when it ends, an `instant`; default: the site's hour")
	cmd.Flags().StringVar(&rule, "attributes", "", "`name` of the set that the reply is limited to")
	return a.listing(cmd)
}

func (a *app) userUndo() *cobra.Command {
	var token string
	cmd := a.deed(deed{use: "undo USER", short: "Take revocations of the last minutes back", long: longUser, args: []string{"USER"}, path: of("users", "undo"), dry: true,
		body: func(_ []string, body map[string]any) error {
			if token != "" {
				body["token"] = token
			}
			return nil
		},
		said: func(args []string, _ admin.Done) string {
			return fmt.Sprintf("What was revoked from %s stands as before; 'sekisho user show %s' shows it.", args[0], strings.TrimSpace(args[0]))
		}})
	cmd.Flags().StringVar(&token, "token", "", "only this `token`")
	return cmd
}
