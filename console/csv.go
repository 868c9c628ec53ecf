package console

import (
	"encoding/csv"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sekisho/admin"
)

// mostLines bounds a CSV file; the commands have no bound.
const mostLines = 100_000

// csvFile begins a CSV answer. Its first octets tell Excel that it is UTF-8.
func csvFile(w http.ResponseWriter, name string, header ...string) *csv.Writer {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = io.WriteString(w, "\ufeff")
	out := csv.NewWriter(w)
	out.UseCRLF = true
	_ = out.Write(header)
	return out
}

// cells makes cells harmless for programs that take some texts for formulas (B50).
func cells(all ...string) []string {
	for i, c := range all {
		if c != "" && strings.ContainsAny(c[:1], "=+-@\t\r") {
			all[i] = "'" + c
		}
	}
	return all
}

func (p *Pages) loginsCSV(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "logins")
	if v == nil {
		return
	}
	q := loginFilterOf(r).query(p.Now())
	q.Set("limit", "1000")
	var out *csv.Writer
	for lines := 0; lines < mostLines; {
		events, problem := p.events(r, q)
		if problem != nil && out == nil {
			p.fail(w, r, v, problem)
			return
		}
		if out == nil {
			out = csvFile(w, "logins.csv", "at", "kind", "user", "account", "client", "source", "station", "policy", "verdict", "reason", "sentence",
				"token", "total", "act", "actor", "detail")
		}
		for _, e := range p.withFixes(v, events) {
			_ = out.Write(cells(e.At.UTC().Format(time.RFC3339Nano), e.Kind, e.User, e.Account, e.Client, e.Source, e.Station, e.Policy, e.Verdict,
				e.Reason, e.Text, e.Token, e.Stages["total"], e.Act, e.Actor, e.Detail))
		}
		out.Flush()
		if lines += len(events); len(events) < 1000 || out.Error() != nil {
			return
		}
		q.Set("before", strconv.FormatUint(events[len(events)-1].Seq, 10))
	}
}

func (p *Pages) tokensCSV(w http.ResponseWriter, r *http.Request) {
	v := p.open(w, r, "tokens")
	if v == nil {
		return
	}
	q := tokenFilterOf(r).query()
	q.Set("limit", "1000")
	var out *csv.Writer
	for lines := 0; lines < mostLines; {
		var reply tokenList
		problem := p.ask(r, http.MethodGet, "/api/v1/tokens?"+q.Encode(), nil, &reply)
		if problem != nil && out == nil {
			p.fail(w, r, v, problem)
			return
		}
		if out == nil {
			out = csvFile(w, "tokens.csv", "user", "account", "standing", "since", "serial", "id", "form", "mode", "state", "expiry", "name")
		}
		for _, t := range reply.Tokens {
			holders := t.Holders
			if len(holders) == 0 {
				holders = []admin.Holder{{}}
			}
			for _, h := range holders {
				_ = out.Write(cells(h.User, h.Account, h.Standing, h.Since, t.Serial, t.ID, t.Form, t.Mode, t.State, t.Expiry, t.Name))
			}
		}
		out.Flush()
		if lines += len(reply.Tokens); reply.Next == "" || out.Error() != nil {
			return
		}
		q.Set("after", reply.Next)
	}
}

// shell quotes one word of a command.
func shell(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:@,+=", c))
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
