package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/token"
)

func (a *app) clientCommand() *cobra.Command {
	list := a.listing(&cobra.Command{
		Use: "list", Short: "List the gateways", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodGet, "/api/v1/clients", nil, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var reply struct {
				Clients []admin.Client `json:"clients"`
			}
			if err := json.Unmarshal(raw, &reply); err != nil {
				return err
			}
			if len(reply.Clients) == 0 {
				fmt.Fprintln(a.out, wordNoClients)
				return nil
			}
			return a.table("NAME\tADDRESSES\tMESSAGE-AUTHENTICATOR\tCHALLENGE\tSERVICE", func(w io.Writer) {
				for _, c := range reply.Clients {
					ma := c.MessageAuthenticator
					if c.Ratchet != "" {
						ma += ", required since " + c.Ratchet
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Name, strings.Join(c.Addresses, ", "), ma, c.Challenge, dash(c.Service))
				}
			})
		},
	})
	release := a.remote(&cobra.Command{
		Use: "release-ma CLIENT", Short: "Let a gateway log in without Message-Authenticator again",
		Long: "A client with message_authenticator: ratchet is held to it from its first valid one on. Release it only when the gateway\nitself was changed and no longer sends it: without it anybody on the path can forge requests.",
		Args: arguments("CLIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/clients/"+url.PathEscape(args[0])+"/release-ma", nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "Client %s may log in without Message-Authenticator until it sends one again.\n", args[0])
			return nil
		},
	})
	return group("client", "Show the gateways and how to set them up, undo a ratchet", list, a.clientShow(), release)
}

func (a *app) clientShow() *cobra.Command {
	var guide bool
	cmd := a.listing(&cobra.Command{
		Use: "show CLIENT", Short: "Show a gateway's settings with their origin, or how to set it up",
		Long: "Settings come from the configuration, else from the client's profile, else from the defaults of all. With\n" +
			"--gateway-config it prints the page of docs/gateways with this client's addresses, ports and times; SHARED-SECRET\n" +
			"stands where the secret belongs.",
		Example: "  sekisho client show asa1\n  sekisho client show asa1 --gateway-config > asa1.md",
		Args:    arguments("CLIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c admin.ClientDetail
			if err := a.api().call(cmd.Context(), http.MethodGet, "/api/v1/clients/"+url.PathEscape(args[0]), nil, &c); err != nil {
				return err
			}
			switch {
			case a.json:
				return a.printJSON(c)
			case guide:
				_, err := io.WriteString(a.out, c.Guide)
				return err
			}
			return a.table("SETTING\tVALUE\tORIGIN", func(w io.Writer) {
				for _, s := range c.Settings {
					fmt.Fprintf(w, "%s\t%s\t%s\n", s.Key, dash(s.Value), s.Origin)
				}
				if c.Ratchet != "" {
					fmt.Fprintf(w, "(ratchet)\trequired\tfirst Message-Authenticator at %s\n", c.Ratchet)
				}
			})
		},
	})
	cmd.Flags().BoolVar(&guide, "gateway-config", false, "print how to set up the gateway")
	return cmd
}

func (a *app) clockCommand() *cobra.Command {
	return group("clock", "End a doubt about the clock", a.remote(&cobra.Command{
		Use: "accept", Short: "Say that the clock is right as it stands",
		Long: "After a jump that nothing confirmed, time-based codes wait. Compare the clock with another one first: a clock set forward\nuses up codes of the future, one set back opens old ones.",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var d admin.Done
			if err := a.api().call(cmd.Context(), http.MethodPost, "/api/v1/clock/accept", nil, &d); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "The clock is accepted at %s; time-based codes are taken again.\n", d.Detail)
			return nil
		},
	}))
}

func (a *app) healthCommand() *cobra.Command {
	return a.listing(&cobra.Command{
		Use: "health", Short: "Tell whether the service is well", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var h admin.Health
			if err := a.api().call(cmd.Context(), http.MethodGet, "/api/v1/health", nil, &h); err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(h); err != nil {
					return err
				}
			} else {
				names := make([]string, 0, len(h.Parts))
				for name := range h.Parts {
					names = append(names, name)
				}
				slices.Sort(names)
				err := a.table("", func(w io.Writer) {
					for _, name := range names {
						fmt.Fprintf(w, "%s\t%s\n", name, h.Parts[name])
					}
				})
				if err != nil {
					return err
				}
			}
			if !h.OK {
				return statusError(1)
			}
			return nil
		},
	})
}

func (a *app) loginsCommand() *cobra.Command {
	var user, client, reason, since, lang string
	var limit int
	var follow, acts, all bool
	cmd := &cobra.Command{
		Use: "logins", Short: "Tell why each login ended as it did", Args: arguments(),
		Example: "  sekisho logins --user alice --since 1h\n  sekisho logins --reason wrong-code --follow",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lang = cmp.Or(lang, language()); lang != "en" && lang != "ja" {
				return usageError{fmt.Errorf("--lang %q is neither en nor ja", lang)}
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}, "follow": {strconv.FormatBool(follow)}, "acts": {strconv.FormatBool(acts)},
				"all": {strconv.FormatBool(all)}}
			for name, value := range map[string]string{"user": user, "client": client, "reason": reason} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if since != "" {
				t, err := moment(since, time.Now())
				if err != nil {
					return usageError{err}
				}
				q.Set("since", t.Format(time.RFC3339))
			}
			res, err := a.api().send(cmd.Context(), http.MethodGet, "/api/v1/logins?"+q.Encode(), nil)
			if err != nil {
				return err
			}
			defer func() { _ = res.Body.Close() }()
			in := json.NewDecoder(res.Body)
			n := 0
			for ; ; n++ {
				var raw json.RawMessage
				if err := in.Decode(&raw); err != nil {
					if err != io.EOF && cmd.Context().Err() == nil {
						return fmt.Errorf("the service broke off its answer: %w", err)
					}
					break
				}
				if a.json {
					fmt.Fprintf(a.out, "%s\n", raw)
					continue
				}
				var e admin.Event
				if err := json.Unmarshal(raw, &e); err != nil {
					return err
				}
				if lang == "ja" {
					e.Sentence = e.Japanese
				}
				fmt.Fprintln(a.out, loginLine(e))
			}
			if n == 0 && !a.json && !follow {
				fmt.Fprintln(a.out, wordNoLogins)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&user, "user", "", "only logins of this user, in any spelling")
	f.StringVar(&client, "client", "", "only logins through this gateway")
	f.StringVar(&lang, "lang", "", "`language` of the sentences, en or ja (default: that of $LC_ALL, $LC_MESSAGES or $LANG)")
	f.StringVar(&reason, "reason", "", "only logins that ended for this reason, such as wrong-code")
	f.StringVar(&since, "since", "", "only logins since a moment (2026-01-31T12:00:00Z) or for so long (90m, 24h)")
	f.IntVar(&limit, "limit", 50, "at most so many of the newest, 1 to 1000")
	f.BoolVar(&all, "all", false, "every one that is kept, whatever --limit says")
	f.BoolVar(&follow, "follow", false, "go on with new ones until interrupted")
	f.BoolVar(&acts, "acts", false, "acts of operators too")
	return a.listing(cmd)
}

// moment reads a point of time, or a duration back from now.
func moment(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--since %q is neither a moment (2026-01-31T12:00:00Z) nor a duration (90m, 24h)", text)
	}
	return t, nil
}

// language is what the environment asks for, as far as there are sentences in it.
func language() string {
	if strings.HasPrefix(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")), "ja") {
		return "ja"
	}
	return "en"
}

// loginLine tells one event in one line.
func loginLine(e admin.Event) string {
	at := e.At.Local().Format("2006-01-02 15:04:05.000")
	if e.Kind == "act" {
		return strings.TrimSpace(fmt.Sprintf("%s  act      %s by %s: %s %s", at, e.Act, e.Actor, e.Detail, e.Token))
	}
	line := fmt.Sprintf("%s  %-9s %s at %s", at, e.Verdict, dash(e.User), dash(e.Client))
	if e.Station != "" {
		line += " from " + e.Station
	}
	line += fmt.Sprintf(": %s [%s]", e.Sentence, e.Reason)
	if e.Detail != "" {
		line += " reply by: " + e.Detail
	}
	var times []string
	for _, stage := range []string{"lookup", "bind", "lock", "total"} {
		if t := e.Stages[stage]; t != "" {
			times = append(times, stage+" "+t)
		}
	}
	if len(times) > 0 {
		line += " (" + strings.Join(times, ", ") + ")"
	}
	if len(e.Notices) > 0 {
		line += " notices: " + strings.Join(e.Notices, ", ")
	}
	return line
}

func (a *app) keysCommand() *cobra.Command {
	return group("keys", "Make the key that opens the store, print it for the safe, replace it",
		a.keysRotate(), a.keysVerify(),
		&cobra.Command{
			Use: "new FILE", Short: "Write a new key to FILE, which must not exist yet", Args: arguments("FILE"),
			RunE: func(_ *cobra.Command, args []string) error {
				if err := token.NewOuterKeyFile(args[0]); err != nil {
					return err
				}
				fmt.Fprintf(a.out, wordKeyMade+"\n", args[0])
				return nil
			},
		},
		&cobra.Command{
			Use: "sheet FILE", Short: "Print the key of FILE as a sheet to lock away", Args: arguments("FILE"),
			RunE: func(_ *cobra.Command, args []string) error { return a.keySheet(args[0]) },
		})
}

// keySheet prints a key for paper: in groups of four, as a picture, and with a check by which a key that was typed in
// again is known to be right.
func (a *app) keySheet(file string) error {
	if _, err := token.LoadOuterKey(file); err != nil {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("printing the key: %w", err)
	}
	key := ""
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			key = strings.ReplaceAll(line, " ", "")
		}
	}
	var groups []string
	for part := range slices.Chunk([]byte(key), 4) {
		groups = append(groups, string(part))
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	var picture strings.Builder
	if err := printQR(&picture, key); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte("sekisho key sheet\x00" + key))
	fmt.Fprintf(a.out, wordKeySheet, file, host, time.Now().Format("2006-01-02 15:04 MST"), hex.EncodeToString(sum[:4]), picture.String(), strings.Join(groups, " "))
	return nil
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(a.out, "sekisho "+versionText())
			return nil
		},
	}
}

// version is set by the Makefile from git.
var version string

func versionText() string {
	info, ok := debug.ReadBuildInfo()
	v := version
	if v == "" && ok {
		v = info.Main.Version
	}
	if ok {
		v += " " + info.GoVersion
	}
	return v
}
