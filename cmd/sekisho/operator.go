package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekisho/admin"
)

func (a *app) operatorCommand() *cobra.Command {
	return group("operator", "Say who may do what: operators, their roles, API keys", a.operatorList(), a.operatorAdd(), a.operatorRole(), a.operatorRemove(),
		a.operatorInvite(), a.operatorRecover(), a.operatorRaise(), a.operatorRights(), a.operatorSessions(), a.keyCommand())
}

// scopeFlags are those that say whom an operator sees.
type scopeFlags struct {
	role                string
	directories, groups []string
}

func (f *scopeFlags) add(cmd *cobra.Command, role string) {
	cmd.Flags().StringVar(&f.role, "role", role, "auditor, helpdesk, admin or master")
	cmd.Flags().StringSliceVar(&f.directories, "directory", nil, "sees people of this `directory` alone; may be given again (default: every one)")
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "sees members of this `group` alone; may be given again (default: everybody)")
}

func (f *scopeFlags) body() map[string]any {
	body := map[string]any{"role": f.role}
	if len(f.directories)+len(f.groups) > 0 {
		body["scope"] = admin.Scope{Directories: f.directories, Groups: f.groups}
	}
	return body
}

func operatorPath(name, rest string) string {
	return "/api/v1/operators/" + url.PathEscape(name) + rest
}

// show calls the API and prints its answer as JSON, or as table does.
func show[T any](ctx context.Context, a *app, path string, table func(w io.Writer, v *T)) error {
	var raw json.RawMessage
	if err := a.api().call(ctx, http.MethodGet, path, nil, &raw); err != nil {
		return err
	}
	if a.json {
		return a.printRaw(raw)
	}
	v := new(T)
	if err := json.Unmarshal(raw, v); err != nil {
		return err
	}
	return a.table("", func(w io.Writer) { table(w, v) })
}

func scopeWords(s *admin.Scope) string {
	if s == nil {
		return "everybody"
	}
	return strings.Join(append(append([]string{}, s.Directories...), s.Groups...), "; ")
}

func (a *app) operatorList() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "list", Short: "List operators", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), a, "/api/v1/operators", func(w io.Writer, v *struct{ Operators []admin.Operator }) {
				fmt.Fprintln(w, "NAME\tROLE\tSEES\tTOKEN\tMADE BY\tSINCE")
				for _, o := range v.Operators {
					has := "none"
					if o.Token {
						has = "yes"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", o.Name, o.Role, scopeWords(o.Scope), has, o.MadeBy, o.Made.Format(time.DateOnly))
				}
			})
		},
	})
}

func (a *app) operatorAdd() *cobra.Command {
	var f scopeFlags
	cmd := &cobra.Command{
		Use: "add USER", Short: "Make a user of the directory an operator", Args: arguments("USER"),
		Long:    "They sign in with the directory's password and a code of their own token. Who has no token yet is invited instead: see invite.",
		Example: "  sekisho operator add hanako --role helpdesk --group staff",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.makeOperator(cmd.Context(), args[0], &f)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s is an operator with the role %s.\n", o.Name, o.Role)
			return nil
		},
	}
	f.add(cmd, "helpdesk")
	return a.remote(cmd)
}

func (a *app) makeOperator(ctx context.Context, name string, f *scopeFlags) (admin.Operator, error) {
	body := f.body()
	body["name"] = name
	var o admin.Operator
	err := a.api().call(ctx, http.MethodPost, "/api/v1/operators", body, &o)
	return o, err
}

func (a *app) operatorRole() *cobra.Command {
	var f scopeFlags
	cmd := &cobra.Command{
		Use: "role OPERATOR --role ROLE", Short: "Change an operator's role and whom they see; their sessions end", Args: arguments("OPERATOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.role == "" {
				return usageError{errors.New("--role is missing")}
			}
			var o admin.Operator
			if err := a.api().call(cmd.Context(), http.MethodPatch, operatorPath(args[0], ""), f.body(), &o); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s has the role %s and sees %s.\n", o.Name, o.Role, scopeWords(o.Scope))
			return nil
		},
	}
	f.add(cmd, "")
	return a.remote(cmd)
}

func (a *app) operatorRemove() *cobra.Command {
	return a.remote(&cobra.Command{
		Use: "remove OPERATOR", Short: "Take an operator's role away; their sessions end", Args: arguments("OPERATOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.api().call(cmd.Context(), http.MethodDelete, operatorPath(args[0], ""), nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s is no operator any more.\n", args[0])
			return nil
		},
	})
}

func (a *app) operatorInvite() *cobra.Command {
	var f scopeFlags
	cmd := &cobra.Command{
		Use: "invite USER --role ROLE", Short: "Make an operator and print a link with which they register their own token", Args: arguments("USER"),
		Long: "The link opens once, within an hour, and lets them register a token and nothing else; they sign in with it afterwards. This is\n" +
			"how the first operator of an installation begins. Without --role it is a new link for somebody who is an operator already.",
		Example: "  sekisho operator invite hanako --role master",
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.role != "" {
				if _, err := a.makeOperator(cmd.Context(), args[0], &f); err != nil {
					return err
				}
			}
			return a.printLink(cmd.Context(), operatorPath(args[0], "/link"))
		},
	}
	f.add(cmd, "")
	return a.remote(cmd)
}

func (a *app) operatorRecover() *cobra.Command {
	return a.remote(&cobra.Command{
		Use: "recover USER", Short: "Make somebody a master again who lost token or role, and print a link for a new token", Args: arguments("USER"),
		Long: "For the machine's administrator, over the local socket alone. It stands in the audit.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.printLink(cmd.Context(), operatorPath(args[0], "/recover"))
		},
	})
}

func (a *app) printLink(ctx context.Context, path string) error {
	var l admin.OperatorLink
	if err := a.api().call(ctx, http.MethodPost, path, nil, &l); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s\n", l.Link)
	fmt.Fprintf(a.err, "It opens once, until %s.\n", l.Until.Local().Format("15:04"))
	u, err := url.Parse(l.Link)
	if err != nil || u.Host == "" {
		fmt.Fprintln(a.err, "No admin.url is configured, so this is the secret alone; POST /api/v1/session/link takes it.")
		return nil
	}
	if h := u.Hostname(); h == "localhost" || h == "127.0.0.1" || h == "::1" {
		fmt.Fprintf(a.err, "From another machine: ssh -L %[1]s:%[2]s:%[1]s THIS-SERVER, then open the link there.\n", u.Port(), h)
	}
	return nil
}

func (a *app) operatorRaise() *cobra.Command {
	var to int
	var during time.Duration
	cmd := &cobra.Command{
		Use: "raise OPERATOR --to ACTS", Short: "Let a help desk do more acts a day, until a time", Args: arguments("OPERATOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			until := time.Now().Add(during)
			err := a.api().call(cmd.Context(), http.MethodPost, operatorPath(args[0], "/raise"), map[string]any{"to": to, "until": until}, nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s may do %d acts a day until %s.\n", args[0], to, until.Format("2006-01-02 15:04"))
			return nil
		},
	}
	cmd.Flags().IntVar(&to, "to", 0, "`acts` a day")
	cmd.Flags().DurationVar(&during, "for", 8*time.Hour, "how long, at most 24h")
	return a.remote(cmd)
}

func (a *app) operatorRights() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "rights", Short: "List the rights and the roles that have them", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), a, "/api/v1/operators/rights", func(w io.Writer, v *struct{ Rights []admin.Right }) {
				fmt.Fprintln(w, "RIGHT\tASKS FOR\tROLES")
				asks := map[string]string{"changes": "step-up", "guards": "step-up each time"}
				for _, r := range v.Rights {
					fmt.Fprintf(w, "%s\t%s\t%s\n", r.Right, dash(asks[r.Class]), strings.Join(r.Roles, ", "))
				}
			})
		},
	})
}

func (a *app) operatorSessions() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "sessions", Short: "List who is signed in", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), a, "/api/v1/sessions?all=true", func(w io.Writer, v *struct{ Sessions []admin.Session }) {
				fmt.Fprintln(w, "ID\tNAME\tBY\tFROM\tSINCE\tENDS")
				for _, s := range v.Sessions {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Name, s.Door, s.From, s.Begun.Local().Format("15:04"), s.Ends.Local().Format("15:04"))
				}
			})
		},
	})
}

func (a *app) keyCommand() *cobra.Command {
	return group("key", "Let programs in with API keys", a.keyList(), a.keyMake(), a.keyRevoke())
}

func (a *app) keyList() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "list", Short: "List API keys", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), a, "/api/v1/keys", func(w io.Writer, v *struct{ Keys []admin.APIKey }) {
				fmt.Fprintln(w, "ID\tNAME\tROLE\tRIGHTS\tSEES\tMADE BY\tENDS")
				for _, k := range v.Keys {
					ends := k.Expires.Format(time.DateOnly)
					if k.Revoked != "" {
						ends = "revoked"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Role, strings.Join(k.Rights, ","), scopeWords(k.Scope), k.MadeBy, ends)
				}
			})
		},
	})
}

func (a *app) keyMake() *cobra.Command {
	var f scopeFlags
	var rights []string
	var days int
	cmd := &cobra.Command{
		Use: "make NAME --right RIGHT", Short: "Make an API key and print its secret, once", Args: arguments("NAME"),
		Example: "  sekisho operator key make nightly-report --role auditor --right audit.read --days 90",
		RunE: func(cmd *cobra.Command, args []string) error {
			body := f.body()
			body["name"], body["rights"], body["expires"] = args[0], rights, time.Now().AddDate(0, 0, days)
			var k admin.APIKey
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/keys", body, &k); err != nil {
				return err
			}
			fmt.Fprintln(a.out, k.Secret)
			fmt.Fprintf(a.err, "It is shown this once; a program has it in SEKISHO_API_KEY. Key %s ends on %s.\n", k.ID, k.Expires.Format(time.DateOnly))
			return nil
		},
	}
	f.add(cmd, "auditor")
	cmd.Flags().StringSliceVar(&rights, "right", nil, "what it may do, as 'sekisho operator rights' names it; may be given again")
	cmd.Flags().IntVar(&days, "days", 90, "how long it lives")
	return a.remote(cmd)
}

func (a *app) keyRevoke() *cobra.Command {
	return a.remote(&cobra.Command{
		Use: "revoke ID", Short: "End an API key", Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.api().call(cmd.Context(), http.MethodDelete, "/api/v1/keys/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "Key %s is revoked.\n", args[0])
			return nil
		},
	})
}
