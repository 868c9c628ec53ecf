package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sekisho/admin"
)

func (a *app) linkCommand() *cobra.Command {
	return group("link", "Make links with which devices are registered, send them again, end them", a.linkList(), a.linkIssue(),
		a.linkAct("resend LINK", "Send a link again; the one before is void", "resend", "The link of %s is sent again; the one before is void.\n"),
		a.linkAct("revoke LINK", "End a link; devices that it registered stay", "revoke", "The link of %s is no longer good.\n"))
}

func (a *app) linkList() *cobra.Command {
	var state, user string
	cmd := &cobra.Command{
		Use: "list", Short: "List links, the newest first", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for key, value := range map[string]string{"state": state, "user": user} {
				if value != "" {
					q.Set(key, value)
				}
			}
			all, err := pages(cmd, a.api(), "/api/v1/activations", q, func(raw json.RawMessage) ([]admin.Activation, error) {
				var l admin.ActivationList
				err := json.Unmarshal(raw, &l)
				return l.Activations, err
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"activations": all})
			}
			if len(all) == 0 {
				fmt.Fprintln(a.out, "There are no such links.")
				return nil
			}
			return a.table("LINK\tUSER\tSTATE\tDEVICES\tUNTIL\tSENT BY", func(w io.Writer) {
				for _, v := range all {
					by := "mail"
					if v.Letter {
						by = "letter"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%d of %d\t%s\t%s\n", v.ID, v.User, v.State, v.Used, v.Devices, v.Until, by)
				}
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only links that are `STATE`: open, started, \"used up\", lapsed, revoked")
	cmd.Flags().StringVar(&user, "user", "", "only links of this user")
	return a.listing(cmd)
}

func (a *app) linkIssue() *cobra.Command {
	var sheet string
	var replaces []string
	cmd := &cobra.Command{
		Use: "issue USER", Short: "Make a link and mail it; or print it with --letter", Long: longUser, Args: arguments("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"letter": sheet != "", "replaces": replaces}
			var v admin.Issued
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/users/"+url.PathEscape(args[0])+"/activations", body, &v); err != nil {
				return err
			}
			return a.tellIssued(v, sheet, "A link for %s is on its way by mail.\n")
		},
	}
	cmd.Flags().StringVar(&sheet, "letter", "", "print it to this new HTML `file` instead of mailing it")
	cmd.Flags().StringSliceVar(&replaces, "replaces", nil, "`tokens` that end with the first right code of the new device")
	return a.listing(cmd)
}

// tellIssued tells of a link, and writes the sheet of a letter to a file.
func (a *app) tellIssued(v admin.Issued, sheet, mailed string) error {
	switch {
	case a.json:
		return a.printJSON(v)
	case v.Sheet != "" && sheet == "":
		return fmt.Errorf("the link of %s travels by letter and its new sheet was not kept: give --letter FILE and send it again", v.Activation.User)
	case v.Sheet != "":
		if err := writeNew(sheet, v.Sheet); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "The letter for %s is in %s; it is good until %s.\n", v.Activation.User, sheet, v.Activation.Until)
		return nil
	}
	fmt.Fprintf(a.out, mailed, v.Activation.User)
	return nil
}

func (a *app) linkAct(use, short, act, said string) *cobra.Command {
	var sheet string
	cmd := &cobra.Command{
		Use: use, Short: short, Long: "LINK is an ID as 'sekisho link list' shows it.", Args: arguments("LINK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var v admin.Issued
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/activations/"+url.PathEscape(args[0])+"/"+act, map[string]any{}, &v); err != nil {
				return err
			}
			return a.tellIssued(v, sheet, said)
		},
	}
	if act == "resend" {
		cmd.Flags().StringVar(&sheet, "letter", "", "where it travels by letter: print it to this new HTML `file`")
	}
	return a.listing(cmd)
}

// writeNew writes a file that holds secrets and must not exist yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the sheets: %w; the links are made already: send them again with another file", err)
	}
	_, err = io.Copy(f, strings.NewReader(text))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("writing the sheets: %w", err)
	}
	return nil
}
