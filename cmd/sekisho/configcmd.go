package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/internal/conf"
)

func (a *app) configCommand() *cobra.Command {
	return group("config", "Show the configuration, let the service read it again", a.configShowCommand(), a.configReloadCommand())
}

func (a *app) configShowCommand() *cobra.Command {
	var origin bool
	cmd := &cobra.Command{
		Use: "show", Short: "Show every value that holds, defaults included, and where it comes from",
		Long: "It reads what 'sekisho serve' would read now: the file, conf.d beside it, SEKISHO__SECTION__KEY and secret files. Secrets\n" +
			"are not shown. Keys that are not set and have no default are left out.",
		Example: "  sekisho config show --origin\n  sekisho config show --json | jq -r '.[] | select(.given) | .key'",
		Args:    arguments(),
		RunE: func(*cobra.Command, []string) error {
			c, _, err := loadConfig(a.configFile(), a.environ)
			if err != nil {
				return err
			}
			values := conf.Shown(c.source.values)
			if a.json {
				return a.printJSON(shownValues(values))
			}
			return a.table("", func(w io.Writer) {
				for _, v := range shownValues(values) {
					text := v.Value
					if text == "" {
						text = `""`
					}
					if origin {
						fmt.Fprintf(w, "%s\t%s\t%s\n", v.Key, text, v.origin())
					} else {
						fmt.Fprintf(w, "%s\t%s\n", v.Key, text)
					}
				}
			})
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "say where each value comes from")
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON, origins included")
	a.configFlag(cmd)
	return cmd
}

// shownValue is one key as `config show` prints it.
type shownValue struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // "[hidden]" for a secret
	Secret bool   `json:"secret,omitempty"`
	Given  bool   `json:"given"`             // false: the default
	Place  string `json:"place,omitempty"`   // file or environment variable
	Line   int    `json:"line,omitempty"`    // from 1; absent for a variable
	File   string `json:"content,omitempty"` // the file that holds the secret
}

func shownValues(values []conf.Value) []shownValue {
	all := make([]shownValue, len(values))
	for i, v := range values {
		all[i] = shownValue{v.Key, v.Text, v.Secret, v.Given, v.Place.File, v.Place.Line, v.File}
	}
	return all
}

func (v shownValue) origin() string {
	if !v.Given {
		return "default"
	}
	at := v.Place
	if v.Line > 0 {
		at = fmt.Sprintf("%s:%d", at, v.Line)
	}
	if v.File != "" {
		at += ", from " + v.File
	}
	return at
}

func (a *app) configReloadCommand() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "reload", Short: "Let the service read its configuration again, all or nothing",
		Long: "It does what SIGHUP does, waits for the outcome and tells it: every fault with its place, and then the former configuration\n" +
			"goes on untouched, or what was changed. Logins under way end by the configuration that they began with. Keys that need a\n" +
			"restart (storage, keys, listen addresses, admin.socket, metrics, log.format) are named; their running values go on.",
		Example: "  sekisho check-config /etc/sekisho/sekisho.yaml --probe && sekisho config reload",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/config/reload", nil, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var r admin.Reloaded
			if err := json.Unmarshal(raw, &r); err != nil {
				return err
			}
			if len(r.Changes) == 0 {
				fmt.Fprintln(a.out, wordNoChanges)
			}
			for _, c := range r.Changes {
				fmt.Fprintln(a.out, conf.Change(c))
			}
			if len(r.Restart) > 0 {
				fmt.Fprintf(a.out, wordNeedsRestart+"\n", strings.Join(r.Restart, ", "))
			}
			for _, w := range r.Notes {
				fmt.Fprintln(a.out, "warning: "+w)
			}
			return nil
		},
	})
}
