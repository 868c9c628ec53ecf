package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/radius"
	"sekisho/radius/dictionary"
)

// explains gives the API what a login would be answered by a configuration.
func explains(config radius.Config, d *dictionary.Dictionary, login *authn.Authenticator) admin.Explain {
	clients := config.List()
	return func(ctx context.Context, name, client, station string) (x *authn.Explanation, known bool, err error) {
		i := slices.IndexFunc(clients, func(c radius.ClientInfo) bool { return c.Login.Name == client })
		if i < 0 {
			return nil, false, nil
		}
		x, err = login.Explain(ctx, authn.Inquiry{Client: &clients[i].Login, Name: []byte(name), Station: []byte(station)})
		if err != nil {
			return nil, true, err
		}
		x.Reply = slices.DeleteFunc(x.Reply, func(r authn.Reply) bool {
			out := clients[i].LeavesOut(d, r.Attribute)
			if out {
				x.NotTaken = append(x.NotTaken, r)
			}
			return out
		})
		return x, true, nil
	}
}

func (a *app) explainCommand() *cobra.Command {
	var client, station, lang string
	var past uint64
	cmd := &cobra.Command{
		Use: "explain USER --client CLIENT | explain --login NUMBER", Short: "Tell what a login would be answered, and why; or what became of a past one",
		Long: "It walks through the rules that decide logins: how the name is read, which policy holds and why the ones before it do not,\n" +
			"which tokens open, what earlier failures left, and what would be answered. Nothing is sent to the directory but the\n" +
			"search for the user, and nothing is spent, counted or recorded. With --login it tells a past event in sentences, and what\n" +
			"helps; 'sekisho logins --json' has the numbers (seq).",
		Example: "  sekisho explain alice --client vpn\n  sekisho explain 'EXAMPLE\\alice' --client vpn --station 198.51.100.7 --lang ja\n  sekisho explain --login 4711",
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("login") {
				return arguments()(cmd, args)
			}
			return arguments("USER")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if lang = cmp.Or(lang, language()); lang != "en" && lang != "ja" {
				return usageError{fmt.Errorf("--lang %q is neither en nor ja", lang)}
			}
			if cmd.Flags().Changed("login") {
				return a.tellLogin(cmd.Context(), past, lang)
			}
			if client == "" {
				return usageError{fmt.Errorf("--client is missing; 'sekisho client list' shows them")}
			}
			q := url.Values{"user": {args[0]}, "client": {client}}
			if station != "" {
				q.Set("station", station)
			}
			var raw json.RawMessage
			if err := a.api().call(cmd.Context(), http.MethodGet, "/api/v1/explain?"+q.Encode(), nil, &raw); err != nil {
				return err
			}
			if a.json {
				return a.printRaw(raw)
			}
			var x admin.Explanation
			if err := json.Unmarshal(raw, &x); err != nil {
				return err
			}
			return a.table("", func(w io.Writer) { (&explainer{w, explainWords[lang], lang == "ja"}).print(x) })
		},
	}
	cmd.Flags().Uint64Var(&past, "login", 0, "tell the event with this `number` instead")
	cmd.Flags().StringVar(&client, "client", "", "`name` of the gateway in the configuration")
	cmd.Flags().StringVar(&station, "station", "", "`address` the person comes from (Calling-Station-Id)")
	cmd.Flags().StringVar(&lang, "lang", "", "`language`, en or ja (default: that of $LC_ALL, $LC_MESSAGES or $LANG)")
	return a.listing(cmd)
}

// tellLogin tells a past event in sentences.
func (a *app) tellLogin(ctx context.Context, seq uint64, lang string) error {
	var raw json.RawMessage
	if err := a.api().call(ctx, http.MethodGet, "/api/v1/logins/"+strconv.FormatUint(seq, 10), nil, &raw); err != nil {
		return err
	}
	if a.json {
		return a.printRaw(raw)
	}
	var t admin.Told
	if err := json.Unmarshal(raw, &t); err != nil {
		return err
	}
	told := t.Told
	if lang == "ja" {
		told = t.ToldJA
	}
	for _, s := range told {
		fmt.Fprintln(a.out, s)
	}
	if t.Fix != "" {
		fmt.Fprintf(a.out, "  %s\n", t.Fix)
	}
	return nil
}

// explainer writes an explanation for people.
type explainer struct {
	w        io.Writer
	words    words
	japanese bool
}

func (p *explainer) line(label, format string, a ...any) {
	fmt.Fprintf(p.w, "%s\t%s\n", label, fmt.Sprintf(format, a...))
}

func (p *explainer) sentence(y admin.Why) string {
	if p.japanese {
		return y.Japanese + " [" + y.Reason + "]"
	}
	return y.Sentence + " [" + y.Reason + "]"
}

func (p *explainer) print(x admin.Explanation) {
	w := p.words
	reading := x.Reading
	if p.japanese {
		reading = x.ReadingJA
	}
	for _, s := range reading {
		p.line(w.name, "%s", s)
	}
	if x.User != "" {
		p.line(w.user, "%s (%s)", x.User, x.Directory)
	}
	p.policies(x)
	if x.Refused != nil {
		p.line(w.refused, "%s", p.sentence(*x.Refused))
		if x.ReplyFault != "" {
			p.line("", "%s", x.ReplyFault)
		}
	}
	if x.User == "" {
		return
	}
	switch {
	case x.Source == "":
		p.line(w.place, "%s", w.placeless)
	case x.Class == "K":
		p.line(w.place, w.placeKnown, x.Source)
	default:
		p.line(w.place, w.placeNew, x.Source)
	}
	p.holds(x)
	p.limits(x)
	for _, c := range x.Cases {
		label := w.cases[c.Typed]
		if x.First != "" && c.Typed != "first-alone" && (x.First == "gateway" || x.First == "none") {
			label = w.cases[c.Typed+"-alone"]
		}
		where := w.fromNew
		if c.Class == "K" {
			where = w.fromKnown
		}
		for i, s := range c.Steps {
			if i > 0 {
				label, where = w.then, ""
			}
			p.line(label+where, "%s: %s (%s %d)", s.Verdict, p.sentence(s.Why), w.row, s.Row)
		}
	}
	replies := func(list []admin.ReplyLine, more string) {
		for _, r := range list {
			by := w.byPolicy
			if r.Rule != "" {
				by = fmt.Sprintf(w.byRule, r.Rule)
			}
			p.line(w.reply, "%s = %s (%s)%s", r.Name, r.Value, by, more)
		}
	}
	replies(x.Reply, "")
	replies(x.NotTaken, w.notTaken)
}

func (p *explainer) policies(x admin.Explanation) {
	w := p.words
	for _, f := range x.Policies {
		why := w.holds
		switch {
		case !f.Client && !f.User:
			why = w.neither
		case !f.Client:
			why = w.otherClient
		case !f.User:
			why = w.otherUser
		}
		p.line(w.policy, "%s: %s", f.Name, why)
	}
	if x.Policy != "" && x.First != "" {
		p.line(w.first, "%s", w.factors[x.First])
	}
	if x.Exempt {
		p.line("", "%s", w.exempt)
	}
	if x.Unenrolled {
		p.line("", "%s", w.unenrolled)
	}
}

func (p *explainer) holds(x admin.Explanation) {
	w := p.words
	if x.First == "pin" {
		p.line("PIN", "%s", map[bool]string{true: w.pinSet, false: w.pinNone}[x.PIN])
	}
	if len(x.Tokens) == 0 {
		p.line(w.token, "%s", w.none)
	}
	for _, t := range x.Tokens {
		what := w.shut
		switch {
		case t.Opens && t.Why != nil:
			what = w.activates
		case t.Opens:
			what = w.opens
		case t.Why != nil:
			what += ": " + p.sentence(*t.Why)
		}
		if t.Used {
			what += "; " + w.used
		}
		p.line(w.token, "%s, %s %s: %s", cmp.Or(t.Serial, t.ID), t.Form, t.Mode, what)
	}
}

func (p *explainer) limits(x admin.Explanation) {
	w := p.words
	if x.Stopped {
		p.line(w.failures, "%s", w.stopped)
	}
	for _, c := range x.Sources {
		label := w.newPlaces
		if c.Class == "K" {
			label = w.knownPlaces
		}
		var parts []string
		switch {
		case c.Stopped:
			parts = append(parts, fmt.Sprintf(w.classStopped, c.Row))
		case c.Until != "":
			parts = append(parts, fmt.Sprintf(w.waits, c.Until, c.Row))
		case c.Row > 0:
			parts = append(parts, fmt.Sprintf(w.inARow, c.Row))
		}
		parts = append(parts, fmt.Sprintf(w.pot, c.Pot.Spent, c.Pot.Limit, c.Pot.Misses))
		p.line(label, "%s", strings.Join(parts, w.comma))
	}
	if x.PairUntil != "" {
		p.line(w.pair, w.pairBegun, x.PairUntil)
	}
	if x.Binds != "" && x.Binds != "free" {
		p.line(w.binds, "%s", map[string]string{"in flight": w.bindsFlying, "spent": w.bindsSpent}[x.Binds])
	}
}
