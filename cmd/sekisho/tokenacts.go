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

const longToken = "TOKEN is a serial, a credential ID or an ID."

// tokenActs are the commands of one token's life.
func (a *app) tokenActs() []*cobra.Command {
	var stolen bool
	lost := a.deed(deed{use: "lost TOKEN", short: "Stop a token that somebody lost; they may resume it for a time, then it is revoked",
		long: longToken, args: []string{"TOKEN"}, path: of("tokens", "lost"), dry: true, user: true,
		body: func(_ []string, body map[string]any) error { body["stolen"] = stolen; return nil },
		said: func(args []string, _ admin.Done) string {
			return fmt.Sprintf("Token %s is stopped. 'sekisho token resume' brings it back while there is time.", args[0])
		}})
	lost.Flags().BoolVar(&stolen, "stolen", false, "it was stolen")
	var why string
	revokeLost := a.deed(deed{use: "revoke-lost TOKEN", short: "End a token for everybody and for good",
		long: longToken + " It needs --reason and --reference, as of the paper that asked for it.", args: []string{"TOKEN"}, path: of("tokens", "revoke-lost"), dry: true,
		body: func(_ []string, body map[string]any) error { body["why"] = why; return nil },
		said: func(args []string, _ admin.Done) string { return fmt.Sprintf("Token %s is gone for good.", args[0]) }})
	revokeLost.Flags().StringVar(&why, "why", "lost", "lost, stolen or broken")
	register := a.deed(deed{use: "register TOKEN USER CODE", short: "Bring a hardware token into service by the code it shows",
		long: longToken, args: []string{"TOKEN", "USER", "CODE"}, path: of("tokens", "register"),
		body: func(args []string, body map[string]any) error {
			body["user"], body["code"] = args[1], args[2]
			return nil
		},
		said: func(args []string, _ admin.Done) string {
			return fmt.Sprintf("Token %s of %s is active; its next code opens.", args[0], args[1])
		}})
	return []*cobra.Command{
		a.deed(deed{use: "suspend TOKEN", short: "Stop a token until it is resumed", long: longToken, args: []string{"TOKEN"}, path: of("tokens", "suspend"),
			dry: true, user: true, said: func(args []string, _ admin.Done) string {
				return fmt.Sprintf("Token %s is suspended; it opens nothing until 'sekisho token resume %s'.", args[0], args[0])
			}}),
		a.deed(deed{use: "resume TOKEN", short: "End a suspension", long: longToken, args: []string{"TOKEN"}, path: of("tokens", "resume"),
			dry: true, user: true, said: func(args []string, _ admin.Done) string { return fmt.Sprintf("Token %s is active again.", args[0]) }}),
		lost, revokeLost, register, a.tokenTest(),
		a.deed(deed{use: "resync TOKEN CODE1 CODE2", short: "Find a token whose clock or counter is off, by two codes in a row",
			long: longToken + " CODE2 is the code that the token shows after CODE1.", args: []string{"TOKEN", "CODE1", "CODE2"}, path: of("tokens", "resync"),
			body: func(args []string, body map[string]any) error {
				body["first"], body["second"] = args[1], args[2]
				return nil
			},
			said: func(args []string, _ admin.Done) string {
				return fmt.Sprintf("Token %s is found; its next code opens.", args[0])
			}}),
		a.deed(deed{use: "reset-drift TOKEN", short: "Take a token's clock for right again", long: longToken, args: []string{"TOKEN"}, path: of("tokens", "reset-drift"),
			said: func(args []string, _ admin.Done) string {
				return fmt.Sprintf("The drift of token %s is zero again.", args[0])
			}}),
		a.deed(deed{use: "retire TOKEN", short: "Destroy a token of the stock that is broken or lost there", long: longToken + " It needs --reason.",
			args: []string{"TOKEN"}, path: of("tokens", "retire"), dry: true,
			said: func(args []string, _ admin.Done) string { return fmt.Sprintf("Token %s is destroyed.", args[0]) }}),
		a.tokenExtend(),
	}
}

func (a *app) tokenTest() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "test TOKEN CODE", Short: "Tell whether a token works; the code is used up", Long: longToken, Args: arguments("TOKEN", "CODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/tokens/"+url.PathEscape(args[0])+"/test", map[string]any{"code": args[1]}, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var v admin.Tested
			if err := json.Unmarshal(raw, &v); err != nil {
				return err
			}
			if v.Result != "works" {
				return fmt.Errorf(wordOutOfStep, args[0], args[0])
			}
			fmt.Fprintf(a.out, "Token %s works; its next code opens.\n", args[0])
			return nil
		},
	})
}

func (a *app) tokenExtend() *cobra.Command {
	var to, reason string
	var dry bool
	cmd := &cobra.Command{
		Use: "extend TOKEN... --to INSTANT --reason SENTENCE", Short: "Move the expiry of tokens ahead, all or none",
		Long: longToken, Example: "  sekisho token extend H1 H2 --to 2027-01-31T09:00:00+09:00 --reason 'the post is late'",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError{fmt.Errorf("TOKEN is missing")}
			case to == "":
				return usageError{fmt.Errorf("--to is missing")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/api/v1/tokens/extend"
			if dry {
				path += "?dry_run=true"
			}
			var d admin.Done
			if err := a.api().call(cmd.Context(), http.MethodPost, path, map[string]any{"tokens": args, "to": to, "reason": reason}, &d); err != nil {
				return err
			}
			switch {
			case a.json:
				return a.printJSON(d)
			case dry:
				return a.printEffects(d)
			}
			fmt.Fprintf(a.out, "%d tokens expire at %s now.\n", len(args), to)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "the new expiry, an `instant` as 2027-01-31T09:00:00+09:00")
	f.StringVar(&reason, "reason", "", "why, in a `sentence`; it stands in the audit")
	f.BoolVar(&dry, "dry-run", false, "tell what would change and change nothing")
	return a.listing(cmd)
}

// pages reads a list to its end.
func pages[R any](cmd *cobra.Command, client *api, path string, q url.Values, rows func(json.RawMessage) ([]R, error)) ([]R, error) {
	all := []R{}
	q.Set("limit", "1000")
	for {
		var raw json.RawMessage
		if err := client.call(cmd.Context(), http.MethodGet, path+"?"+q.Encode(), nil, &raw); err != nil {
			return nil, err
		}
		page, err := rows(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		var l admin.Listing
		if err := json.Unmarshal(raw, &l); err != nil {
			return nil, err
		}
		if l.Next == "" {
			return all, nil
		}
		q.Set("after", l.Next)
	}
}

// saveSheet writes a list as CSV.
func (a *app) saveSheet(cmd *cobra.Command, path string, q url.Values) error {
	q.Set("format", "csv")
	res, err := a.api().send(cmd.Context(), http.MethodGet, path+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(a.out, res.Body); err != nil {
		return fmt.Errorf("the service broke off its answer: %w", err)
	}
	return nil
}
