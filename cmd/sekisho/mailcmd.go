package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sekisho/admin"
)

func (a *app) mailCommand() *cobra.Command {
	return group("mail", "Show what becomes of mails, and send one again", a.mailList(), a.mailShow(), a.mailAgain())
}

func (a *app) mailList() *cobra.Command {
	var state, kind, user, since string
	var limit int
	var sheet bool
	cmd := &cobra.Command{
		Use: "list", Short: "List mails, the newest first", Args: arguments(),
		Long: "States: waiting (for its time or another try), sending, sent, refused (for good), unknown (perhaps arrived; never sent again\n" +
			"by itself), lapsed (too late), held (the configuration lacks what it needs), withdrawn (void).",
		Example: "  sekisho mail list --state unknown\n  sekisho mail list --user annie --since 24h\n  sekisho mail list --kind expiry --csv > expiry.csv",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, value := range map[string]string{"state": state, "kind": kind, "user": user} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if since != "" {
				t, err := moment(since, time.Now())
				if err != nil {
					return usageError{err}
				}
				q.Set("since", t.UTC().Format(time.RFC3339))
			}
			if limit < 0 || limit > 1000 {
				return usageError{fmt.Errorf("--limit %d: give 1 to 1000", limit)}
			}
			if sheet {
				return a.mailSheet(cmd, q)
			}
			q.Set("limit", strconv.Itoa(limit))
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodGet, "/api/v1/mails?"+q.Encode(), nil, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var l admin.MailList
			if err := json.Unmarshal(raw, &l); err != nil {
				return err
			}
			err := a.table("ID\tMADE\tKIND\tSTATE\tUSER\tTO\tTRIES\tANSWER", func(w io.Writer) {
				for _, m := range l.Mails {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", m.ID, m.Created, m.Kind, m.State, dash(m.User), dash(m.To), m.Tries, dash(m.Answer))
				}
			})
			if err == nil && l.Next != "" {
				fmt.Fprintln(a.err, "There are older ones; narrow the list, raise --limit, or take all with --csv.")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "only mails in this `state`")
	f.StringVar(&kind, "kind", "", "only this `kind` (docs/mail.md)")
	f.StringVar(&user, "user", "", "only those about this `user`")
	f.StringVar(&since, "since", "", "only those made since a `moment` (RFC 3339) or so long ago (24h)")
	f.IntVar(&limit, "limit", 50, "how many")
	f.BoolVar(&sheet, "csv", false, "all that fit, as a sheet")
	return a.listing(cmd)
}

// mailSheet prints the whole list as CSV.
func (a *app) mailSheet(cmd *cobra.Command, q url.Values) error {
	if a.json {
		return usageError{errors.New("--json and --csv do not go together")}
	}
	q.Set("format", "csv")
	res, err := a.api().send(cmd.Context(), http.MethodGet, "/api/v1/mails?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(a.out, res.Body)
	return err
}

func (a *app) mailShow() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "show ID", Short: "Show one mail with the mail server's answer", Args: arguments("ID"),
		Long: "What the mail says is not shown: it may hold a link that is somebody else's.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodGet, "/api/v1/mails/"+url.PathEscape(args[0]), nil, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var m admin.Mail
			if err := json.Unmarshal(raw, &m); err != nil {
				return err
			}
			return a.table("", func(w io.Writer) {
				for _, row := range [][2]string{
					{"Mail", m.ID}, {"Kind", m.Kind}, {"State", m.State + " since " + m.Changed}, {"User", m.User}, {"To", m.To}, {"Made", m.Created},
					{"Next try", m.Due}, {"Of use until", m.Until}, {"Tries", strconv.Itoa(m.Tries)}, {"Answer", m.Answer},
				} {
					if row[1] != "" {
						fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
					}
				}
				if m.CanAgain {
					fmt.Fprintf(w, "Again\tsekisho mail again %s\n", m.ID)
				}
			})
		},
	})
}

func (a *app) mailAgain() *cobra.Command {
	return a.remote(&cobra.Command{
		Use: "again ID", Short: "Let a mail wait once more that did not arrive, or perhaps did not", Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var d admin.Done
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/mails/"+url.PathEscape(args[0])+"/again", nil, &d); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "Mail %s waits to be sent.\n", args[0])
			return nil
		},
	})
}
