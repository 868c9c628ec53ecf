package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/admin"
	"sekisho/authn"
)

// loginsPage is GET /logins: what became of each login, newest first, and pictures of many.
type loginsPage struct {
	view
	Filter  loginFilter
	Reasons []string
	Clients []string
	Events  []event
	Plots   *plots
	Next    string // path of the next page
	CSV     string
	Follow  string // path of the API's stream, for the live list
}

// loginFilter is what stands in the address of the page.
type loginFilter struct {
	User, Client, Reason, Span string
	Acts                       bool
}

// event is a login with what mends it.
type event struct {
	admin.Event
	Text   string // the sentence in the page's language
	Person string // path of the page about who it was; empty: nobody known
	Times  []stage
	Fix    fix
}

// stage is where the time of a login went.
type stage struct{ Name, Took string }

// fix is the act or page that mends what a reason tells.
type fix struct {
	Key  string // of the words fix.KEY; empty: nothing mends it here
	Path string // of the page or act
}

const loginsPerPage = 50

func (f loginFilter) query(now time.Time) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"user": f.User, "client": f.Client, "reason": f.Reason} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Acts {
		q.Set("acts", "true")
	}
	if d := spanLength(f.Span); d > 0 {
		q.Set("since", now.Add(-d).UTC().Format(time.RFC3339))
	}
	return q
}

// address is the filter as the page's own query has it.
func (f loginFilter) address() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"user": f.User, "client": f.Client, "reason": f.Reason, "span": f.Span} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Acts {
		q.Set("acts", "true")
	}
	return q
}

// spanLength reads a span; 0 for everything.
func spanLength(span string) time.Duration {
	switch span {
	case "1h":
		return time.Hour
	case "24h":
		return 24 * time.Hour
	case "7d":
		return 7 * 24 * time.Hour
	case "30d":
		return 30 * 24 * time.Hour
	case "90d":
		return 90 * 24 * time.Hour
	}
	return 0
}

func loginFilterOf(r *http.Request) loginFilter {
	q := r.URL.Query()
	f := loginFilter{User: q.Get("user"), Client: q.Get("client"), Reason: q.Get("reason"), Span: q.Get("span"), Acts: q.Get("acts") == "true"}
	if spanLength(f.Span) == 0 {
		f.Span = ""
	}
	return f
}

func (p *Pages) logins(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "logins")
	if v == nil {
		return
	}
	page := &loginsPage{view: *v, Filter: loginFilterOf(r)}
	page.Reasons = reasonCodes()
	page.Clients = p.clientNames(r)
	q := page.Filter.query(p.Now())
	q.Set("limit", strconv.Itoa(loginsPerPage))
	after := r.URL.Query().Get("after")
	if after != "" {
		q.Set("after", after)
	}
	list, problem := p.events(r, q)
	if problem != nil {
		page.view.Problem = problemIn(v.Lang, problem)
		p.show(w, problem.Status, "logins", page)
		return
	}
	page.Events = p.withFixes(v, list.Events)
	sheet := page.Filter.query(p.Now())
	sheet.Set("format", "csv")
	page.CSV = "/api/v1/logins?" + sheet.Encode()
	if list.Next != "" {
		address := page.Filter.address()
		address.Set("after", list.Next)
		page.Next = "/logins?" + address.Encode()
	}
	page.Command = loginsCommand(page.Filter)
	if after == "" {
		page.Plots = p.plots(r, cmp.Or(page.Filter.Span, "24h"))
		follow := page.Filter.query(p.Now())
		follow.Set("follow", "true")
		follow.Set("limit", "1")
		follow.Del("since")
		page.Follow = "/api/v1/logins?" + follow.Encode()
	}
	p.show(w, http.StatusOK, "logins", page)
}

// plots asks for the counts of a span; nil where the role may not see them.
func (p *Pages) plots(r *http.Request, span string) *plots {
	var counted admin.Plots
	if problem := p.ask(r, http.MethodGet, "/api/v1/plots?span="+url.QueryEscape(span), nil, &counted); problem != nil {
		return nil
	}
	out := draw(&counted, span, p.Zone)
	return &out
}

// shell quotes one word of a command.
func shell(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_./:@,+=", c)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// option is one option of a command, or nothing where it has no value.
func option(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + " " + shell(value)
}

func (p *Pages) clientNames(r *http.Request) []string {
	var reply struct {
		Clients []admin.Client `json:"clients"`
	}
	if problem := p.ask(r, http.MethodGet, "/api/v1/clients", nil, &reply); problem != nil {
		return nil
	}
	names := make([]string, len(reply.Clients))
	for i, c := range reply.Clients {
		names[i] = c.Name
	}
	return names
}

func reasonCodes() []string {
	var all []string
	for _, r := range authn.Reasons() {
		all = append(all, r.String())
	}
	slices.Sort(all)
	return all
}

func loginsCommand(f loginFilter) string {
	c := "sekisho logins"
	c += option("--user", f.User) + option("--client", f.Client) + option("--reason", f.Reason)
	if d := spanLength(f.Span); d > 0 {
		c += " --since " + strconv.Itoa(int(d/time.Hour)) + "h"
	}
	if f.Acts {
		c += " --acts"
	}
	return c
}

// stageOrder is the order in which a login goes through its stages.
var stageOrder = []string{"lookup", "bind", "lock", "total"}

// withFixes gives each event its sentence and what mends it.
func (p *Pages) withFixes(v *view, events []admin.Event) []event {
	all := make([]event, len(events))
	for i, e := range events {
		out := event{Event: e, Text: e.Sentence}
		if v.Lang == "ja" {
			out.Text = e.Japanese
		}
		switch {
		case e.Account != "":
			out.Person = "/users/" + url.PathEscape(e.Account)
		case e.Kind == "login" && e.User != "":
			out.Person = "/users?q=" + url.QueryEscape(e.User)
		}
		for _, name := range stageOrder {
			if took := e.Stages[name]; took != "" {
				out.Times = append(out.Times, stage{name, short(took)})
			}
		}
		if e.Kind == "login" {
			out.Fix = fixFor(v, &e, out.Person)
		}
		all[i] = out
	}
	return all
}

// short makes a time easy to read: three digits and a unit.
func short(took string) string {
	d, err := time.ParseDuration(took)
	if err != nil {
		return took
	}
	unit, name := time.Millisecond, "ms"
	if d >= time.Second {
		unit, name = time.Second, "s"
	}
	return fmt.Sprintf("%.3g %s", float64(d)/float64(unit), name)
}

// fixFor says what an operator does about a reason.
func fixFor(v *view, e *admin.Event, person string) fix {
	known := e.Account != ""
	switch e.Reason {
	case "must-wait", "account-stopped", "source-limit", "second-missed", "first-of-two", "ask-second-code":
		if known && v.Can("users.unlock") {
			return fix{"unlock", person + "/unlock"}
		}
	case "wrong-code", "wrong-both", "already-used", "no-token", "no-pin", "wrong-pin", "wrong-first-right-code",
		"token-expired", "token-suspended", "token-revoked", "token-pending", "token-not-started":
		if known {
			return fix{"user", person}
		}
		return fix{"find", person}
	case "unknown-user", "ambiguous-user":
		return fix{"name", "/explain?" + url.Values{"user": {e.User}, "client": {e.Client}}.Encode()}
	case "no-policy", "denied", "reply-missing", "bind-budget", "pair-budget":
		return fix{"explain", "/explain?" + url.Values{"user": {e.User}, "client": {e.Client}, "station": {e.Station}}.Encode()}
	case "method-not-taken", "too-late", "bad-state", "spent-state":
		if e.Client != "" {
			return fix{"gateway", "/gateways/" + url.PathEscape(e.Client)}
		}
	case "directory-down", "store-down", "clock-doubt", "overloaded", "fault":
		if v.Can("service.read") {
			return fix{"service", "/diagnostics"}
		}
	}
	return fix{}
}

// explainPage is GET /explain: what a login would be answered, and why.
type explainPage struct {
	view
	User, Client, Station string
	Clients               []string
	Names                 *admin.NameReading
	X                     *admin.Explanation
}

func (p *Pages) explain(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "explain")
	if v == nil {
		return
	}
	q := r.URL.Query()
	page := &explainPage{view: *v, User: q.Get("user"), Client: q.Get("client"), Station: q.Get("station"), Clients: p.clientNames(r)}
	if page.User == "" || page.Client == "" {
		p.show(w, http.StatusOK, "explain", page)
		return
	}
	page.Command = "sekisho explain " + shell(page.User) + option("--client", page.Client) + option("--station", page.Station)
	x := &admin.Explanation{}
	ask := url.Values{"user": {page.User}, "client": {page.Client}}
	if page.Station != "" {
		ask.Set("station", page.Station)
	}
	if problem := p.ask(r, http.MethodGet, "/api/v1/explain?"+ask.Encode(), nil, x); problem != nil {
		page.view.Problem = problemIn(v.Lang, problem)
		p.show(w, problem.Status, "explain", page)
		return
	}
	page.X = x
	p.show(w, http.StatusOK, "explain", page)
}
