package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"sekisho/admin"
)

func (a *app) requestCommand() *cobra.Command {
	var sentence string
	approve := a.requestAct("approve REQUEST", "Approve a request: ticked tokens end, and the link is mailed", "approve", func(map[string]any) error { return nil })
	refuse := a.requestAct("refuse REQUEST --sentence SENTENCE", "Refuse a request; the person reads the sentence", "refuse", func(body map[string]any) error {
		if sentence == "" {
			return usageError{fmt.Errorf("--sentence is missing: say in a sentence why")}
		}
		body["sentence"] = sentence
		return nil
	})
	refuse.Flags().StringVar(&sentence, "sentence", "", "why, in a `sentence` for the person")
	return group("request", "Decide what people applied for", a.requestList(), approve, refuse)
}

func (a *app) requestList() *cobra.Command {
	var state, user string
	var sheet bool
	cmd := &cobra.Command{
		Use: "list", Short: "List requests, the newest first", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for key, value := range map[string]string{"state": state, "user": user} {
				if value != "" {
					q.Set(key, value)
				}
			}
			if sheet {
				return a.saveSheet(cmd, "/api/v1/requests", q)
			}
			all, err := pages(cmd, a.api(), "/api/v1/requests", q, func(raw json.RawMessage) ([]admin.Request, error) {
				var l admin.RequestList
				err := json.Unmarshal(raw, &l)
				return l.Requests, err
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"requests": all})
			}
			if len(all) == 0 {
				fmt.Fprintln(a.out, "There are no such requests.")
				return nil
			}
			return a.table("REQUEST\tUSER\tKIND\tWHY\tTOKENS\tSTATE\tMADE", func(w io.Writer) {
				for _, r := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.User, r.Kind, dash(r.Why), dash(strings.Join(r.Tokens, ", ")), r.State, r.Made)
				}
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only requests that are `STATE`: open, approved, refused, withdrawn, lapsed")
	cmd.Flags().StringVar(&user, "user", "", "only requests of this user")
	cmd.Flags().BoolVar(&sheet, "csv", false, "as CSV, for spreadsheets")
	return a.listing(cmd)
}

func (a *app) requestAct(use, short, act string, add func(map[string]any) error) *cobra.Command {
	var reference string
	cmd := &cobra.Command{
		Use: use, Short: short, Long: "REQUEST is the number that people read out, or an ID.", Args: arguments("REQUEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{}
			if reference != "" {
				body["reference"] = reference
			}
			if err := add(body); err != nil {
				return err
			}
			var r admin.Request
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/requests/"+url.PathEscape(args[0])+"/"+act, body, &r); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(r)
			}
			fmt.Fprintf(a.out, "Request %s of %s is %s.\n", r.Number, r.User, r.State)
			return nil
		},
	}
	cmd.Flags().StringVar(&reference, "reference", "", "`number` of the paper or ticket")
	return a.listing(cmd)
}
