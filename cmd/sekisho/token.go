package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sekisho/admin"
)

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "Import, give out and take back tokens", append([]*cobra.Command{
		a.tokenImport(), a.tokenExport(), a.tokenList(), a.tokenShow(), a.tokenAssign(), a.tokenEnroll(), a.tokenConfirm(), a.tokenRevoke()},
		a.tokenActs()...)...)
}

func (a *app) tokenList() *cobra.Command {
	var state, form string
	var sheet bool
	cmd := &cobra.Command{
		Use: "list", Short: "List tokens and who holds them", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if state != "" {
				q.Set("state", state)
			}
			if form != "" {
				q.Set("form", form)
			}
			if sheet {
				return a.saveSheet(cmd, "/api/v1/tokens", q)
			}
			all, err := pages(cmd, a.api(), "/api/v1/tokens", q, func(raw json.RawMessage) ([]admin.Token, error) {
				var l admin.TokenList
				err := json.Unmarshal(raw, &l)
				return l.Tokens, err
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"tokens": all})
			}
			if len(all) == 0 {
				fmt.Fprintln(a.out, wordNoTokens)
				return nil
			}
			return a.table("ID\tSERIAL\tKIND\tSTATE\tEXPIRES\tHELD BY", func(w io.Writer) {
				for _, t := range all {
					var holders []string
					for _, h := range t.Holders {
						holders = append(holders, h.User+" ("+h.Standing+")")
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, dash(t.Serial), t.Form+" "+t.Mode, t.State, dash(t.Expiry), dash(strings.Join(holders, ", ")))
				}
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only tokens that are `STATE`: \"in stock\", \"in use\", expired, destroyed")
	cmd.Flags().StringVar(&form, "form", "", "only hardware or software tokens")
	cmd.Flags().BoolVar(&sheet, "csv", false, "as CSV, for spreadsheets")
	return a.listing(cmd)
}

func (a *app) tokenShow() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "show TOKEN", Short: "Show one token", Long: "TOKEN is a serial, a credential ID or an ID.", Args: arguments("TOKEN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodGet, "/api/v1/tokens/"+url.PathEscape(args[0]), nil, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var t admin.Token
			if err := json.Unmarshal(raw, &t); err != nil {
				return err
			}
			return a.table("", func(w io.Writer) { printToken(w, t) })
		},
	})
}

func printToken(w io.Writer, t admin.Token) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("ID", t.ID)
	line("Serial", t.Serial)
	line("Credential ID", t.CredentialID)
	line("Name", t.Name)
	kind := fmt.Sprintf("%s, %s, %s, %d digits", t.Form, t.Mode, t.Hash, t.Digits)
	if t.Period > 0 {
		kind += fmt.Sprintf(", %d s", t.Period)
	}
	line("Kind", kind)
	line("State", t.State)
	line("Usable from", t.Start)
	line("Expires", t.Expiry)
	if t.LastStep != nil {
		line("Last step", fmt.Sprint(*t.LastStep))
	}
	if t.Future {
		line("Warning", "the last step lies ahead of the clock; codes are refused until then")
	}
	if t.Drift != 0 {
		line("Drift", fmt.Sprintf("%+d steps", t.Drift))
	}
	for _, h := range t.Holders {
		line("Held by", fmt.Sprintf("%s, %s since %s", h.User, h.Standing, h.Since))
	}
}

func (a *app) tokenAssign() *cobra.Command {
	var share, pending bool
	cmd := &cobra.Command{
		Use: "assign TOKEN USER", Short: "Give a token to a user",
		Long: "TOKEN is a serial, a credential ID or an ID. USER is any spelling of the name that the directory knows.",
		Args: arguments("TOKEN", "USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var d admin.Done
			err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/tokens/"+url.PathEscape(args[0])+"/assign",
				map[string]any{"user": args[1], "share": share, "pending": pending}, &d)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "Token %s belongs to %s now: %s.\n", args[0], args[1], d.Detail)
			return nil
		},
	}
	cmd.Flags().BoolVar(&share, "share", false, "others who hold the token keep it")
	cmd.Flags().BoolVar(&pending, "pending", false, "it opens nothing before its first right code, as for tokens that travel by post")
	return a.remote(cmd)
}

func (a *app) tokenEnroll() *cobra.Command {
	var name string
	var digits int
	cmd := &cobra.Command{
		Use: "enroll USER", Short: "Make a software token and show its picture for the app",
		Long: "The token opens nothing before 'sekisho token confirm', or before its first right code where the policy says so.",
		Args: arguments("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"digits": digits}
			if name != "" {
				body["name"] = name
			}
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/users/"+url.PathEscape(args[0])+"/tokens", body, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var e admin.Enrolled
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			if err := printQR(a.out, e.URI); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "\n%s\n\n", e.URI)
			fmt.Fprintf(a.out, wordEnrolled, e.Token.ID, args[0], inFours(e.Secret), e.Token.ID)
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what the owner calls the `device`")
	cmd.Flags().IntVar(&digits, "digits", 6, "6 or 8")
	return a.listing(cmd)
}

func (a *app) tokenConfirm() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use: "confirm TOKEN CODE", Short: "Activate a pending token by the code it shows", Args: arguments("TOKEN", "CODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var d admin.Done
			err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/tokens/"+url.PathEscape(args[0])+"/confirm",
				map[string]any{"code": args[1], "user": user}, &d)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "Token %s is active; its next code opens.\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "whose hold is meant, when several users hold the token")
	return a.remote(cmd)
}

func (a *app) tokenRevoke() *cobra.Command {
	var confirmed int
	cmd := a.deed(deed{use: "revoke TOKEN", short: "Take a token away, from everybody or from one user",
		long: "Once this command is done no code of the token opens anything. A hardware token that nobody holds any more returns to\nstock, a software token is destroyed.",
		args: []string{"TOKEN"}, path: of("tokens", "revoke"), dry: true, user: true,
		body: func(_ []string, body map[string]any) error {
			if confirmed > 0 {
				body["confirmed"] = confirmed
			}
			return nil
		},
		said: func(args []string, d admin.Done) string {
			return fmt.Sprintf("Token %s is revoked; it is %s.", args[0], d.Detail)
		}})
	cmd.Flags().Lookup("user").Usage = "only from this user"
	cmd.Flags().IntVar(&confirmed, "confirm", 0, "how `many` users lose it; needed where many do")
	return cmd
}

// inFours groups a key so that it can be typed.
func inFours(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// table prints columns that line up, under a heading unless it is empty.
func (a *app) table(heading string, rows func(io.Writer)) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	if heading != "" {
		fmt.Fprintln(w, heading)
	}
	rows(w)
	return w.Flush()
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (a *app) printRaw(raw json.RawMessage) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return a.printJSON(v)
}
