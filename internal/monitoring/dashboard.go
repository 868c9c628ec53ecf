package monitoring

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// panel is one picture of the dashboard.
type panel struct {
	title, help string
	kind        string // timeseries or stat
	unit        string // Grafana's name of the unit
	width       int    // of 24
	queries     []query
}

type query struct{ expr, legend string }

// panels are laid out from left to right, in rows of one height.
var panels = []panel{
	{"Takes logins", "1 while the database takes changes; at 0 nobody logs in.", "stat", "none", 4, []query{{`min(sekisho_storage_healthy)`, ""}}},
	{"Accepted in 24 h", "Access-Accepts sent.", "stat", "short", 4, []query{{`sum(increase(sekisho_radius_access_accepts_total[24h]))`, ""}}},
	{"Refused in 24 h", "Access-Rejects sent.", "stat", "short", 4, []query{{`sum(increase(sekisho_radius_access_rejects_total[24h]))`, ""}}},
	{"Tokens in use", "Tokens with an owner; the others are in stock or destroyed.", "stat", "short", 4, []query{{`sum by (state) (sekisho_tokens)`, "{{state}}"}}},
	{"Waiting for the disk", "Changes that wait for their commit.", "stat", "short", 4, []query{{`sum(sekisho_storage_queue_entries)`, ""}}},
	{"Room on the disk", "Space left on the database's disk.", "stat", "bytes", 4, []query{{`min(sekisho_storage_free_bytes)`, ""}}},

	{"Logins by verdict", "What gateways were told.", "timeseries", "reqps", 12, []query{{`sum by (verdict) (rate(sekisho_logins_total[$__rate_interval]))`, "{{verdict}}"}}},
	{"Refusals by reason", "Why people did not get in; sekisho logins names them.", "timeseries", "reqps", 12,
		[]query{{`topk(8, sum by (reason) (rate(sekisho_logins_total{verdict!="accept"}[$__rate_interval])))`, "{{reason}}"}}},
	{"Logins by gateway", "Access-Requests by client, repeated ones included.", "timeseries", "reqps", 12,
		[]query{{`sum by (client) (rate(sekisho_radius_access_requests_total[$__rate_interval]))`, "{{client}}"}}},
	{"Answers by gateway", "Questions for a code, too.", "timeseries", "reqps", 12, []query{
		{`sum by (client) (rate(sekisho_radius_access_accepts_total[$__rate_interval]))`, "{{client}} accepted"},
		{`sum by (client) (rate(sekisho_radius_access_rejects_total[$__rate_interval]))`, "{{client}} refused"},
		{`sum by (client) (rate(sekisho_radius_access_challenges_total[$__rate_interval]))`, "{{client}} asked"}}},

	{"Time of a login, by stage, 99 %", "Where logins spend their time; bind is the directory, commit the disk.", "timeseries", "s", 12,
		[]query{{`histogram_quantile(0.99, sum by (le, stage) (rate(sekisho_login_stage_seconds_bucket[$__rate_interval])))`, "{{stage}}"}}},
	{"Time of a commit", "From the begin of a transaction until it is durable.", "timeseries", "s", 6, []query{
		{`histogram_quantile(0.5, sum by (le) (rate(sekisho_storage_commit_seconds_bucket[$__rate_interval])))`, "50 %"},
		{`histogram_quantile(0.99, sum by (le) (rate(sekisho_storage_commit_seconds_bucket[$__rate_interval])))`, "99 %"}}},
	{"Changes in a commit", "More logins at once share one write to the disk.", "timeseries", "short", 6, []query{
		{`sum(rate(sekisho_storage_commit_entries_sum[$__rate_interval])) / sum(rate(sekisho_storage_commit_entries_count[$__rate_interval]))`, "on average"},
		{`sum(rate(sekisho_storage_events_total[$__rate_interval]))`, "events a second"}}},

	{"Dropped packets", "By reason; each has a line in the log.", "timeseries", "reqps", 12,
		[]query{{`sum by (client, reason) (rate(sekisho_radius_discards_total[$__rate_interval]))`, "{{client}}: {{reason}}"}}},
	{"Wrong secrets and strangers", "Packets that do not verify, from no client, malformed, or not of the port's kind.", "timeseries", "reqps", 12, []query{
		{`sum(rate(sekisho_radius_bad_authenticators_total[$__rate_interval]))`, "wrong authenticator"},
		{`sum(rate(sekisho_radius_accounting_bad_authenticators_total[$__rate_interval]))`, "wrong authenticator, accounting"},
		{`sum(rate(sekisho_radius_unknown_clients_total[$__rate_interval]))`, "unknown client"},
		{`sum(rate(sekisho_radius_malformed_access_requests_total[$__rate_interval]))`, "malformed"},
		{`sum(rate(sekisho_radius_malformed_accounting_requests_total[$__rate_interval]))`, "malformed, accounting"},
		{`sum(rate(sekisho_radius_unknown_types_total[$__rate_interval]))`, "unknown type"},
		{`sum(rate(sekisho_radius_accounting_unknown_types_total[$__rate_interval]))`, "unknown type, accounting"},
		{`sum(rate(sekisho_radius_conflicts_total[$__rate_interval]))`, "authenticator used twice"}}},

	{"Repeated and dropped requests", "Gateways repeat what was not answered in time.", "timeseries", "reqps", 12, []query{
		{`sum by (client) (rate(sekisho_radius_duplicate_access_requests_total[$__rate_interval]))`, "{{client}} repeated"},
		{`sum by (client) (rate(sekisho_radius_duplicate_accounting_requests_total[$__rate_interval]))`, "{{client}} repeated, accounting"},
		{`sum by (client) (rate(sekisho_radius_packets_dropped_total[$__rate_interval]))`, "{{client}} dropped"},
		{`sum by (client) (rate(sekisho_radius_accounting_packets_dropped_total[$__rate_interval]))`, "{{client}} dropped, accounting"}}},
	{"Accounting", "Records that came, were acknowledged, and could not be saved.", "timeseries", "reqps", 12, []query{
		{`sum(rate(sekisho_radius_accounting_requests_total[$__rate_interval]))`, "requests"},
		{`sum(rate(sekisho_radius_accounting_responses_total[$__rate_interval]))`, "responses"},
		{`sum(rate(sekisho_radius_accounting_no_records_total[$__rate_interval]))`, "not saved"}}},

	{"Work under way", "Requests being worked on, and refusals that wait for their time.", "timeseries", "short", 8, []query{
		{`sum by (port) (sekisho_radius_in_flight)`, "{{port}}"}, {`sum(sekisho_radius_delayed_answers)`, "delayed refusals"}}},
	{"Notices", "What people or operators should hear of: theft, stopped accounts, runs of failures.", "timeseries", "short", 8, []query{
		{`sum by (notice) (increase(sekisho_notices_total[1h]))`, "{{notice}}"}, {`sum(sekisho_unenrolled_people)`, "people without a token"},
		{`sum by (of) (increase(sekisho_failure_alarms_total[1h]))`, "very many failures: {{of}}"}, {`sum(increase(sekisho_login_log_dropped_total[1h]))`, "log lines dropped"}}},
	{"Mails", "What becomes of mails, those that have not arrived, and how long the oldest has waited.", "timeseries", "short", 8, []query{
		{`sum by (result) (increase(sekisho_mail_tries_total[1h]))`, "{{result}}, in an hour"}, {`sum by (state) (sekisho_mail_messages)`, "{{state}}, now"},
		{`max(sekisho_mail_oldest_waiting_seconds) / 60`, "oldest, minutes"}}},
	{"Memory", "Of the process, and of the reply cache (at most 64 MiB).", "timeseries", "bytes", 8, []query{
		{`sum(process_resident_memory_bytes{job=~".*sekisho.*"})`, "process"}, {`sum(sekisho_radius_reply_cache_bytes)`, "reply cache"}}},
}

const panelHeight = 8

// Dashboard gives the dashboard as Grafana imports it.
func Dashboard() (string, error) {
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${datasource}"}
	var list []object
	x, y := 0, 0
	for i, p := range panels {
		height := panelHeight
		if p.kind == "stat" {
			height = 4
		}
		if x+p.width > 24 {
			x = 0
			y += panelHeight
		}
		var targets []object
		for n, q := range p.queries {
			targets = append(targets, object{"refId": string(rune('A' + n)), "datasource": source, "expr": q.expr, "legendFormat": q.legend})
		}
		list = append(list, object{"id": i + 1, "type": p.kind, "title": p.title, "description": p.help, "datasource": source,
			"gridPos": object{"x": x, "y": y, "w": p.width, "h": height}, "targets": targets,
			"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []any{}}})
		x += p.width
	}
	b, err := json.MarshalIndent(object{
		"title": "Sekisho", "uid": "sekisho", "tags": []string{"radius", "vpn"}, "schemaVersion": 39, "editable": true,
		"timezone": "browser", "refresh": "30s", "time": object{"from": "now-6h", "to": "now"}, "panels": list,
		"templating": object{"list": []object{{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}}},
	}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing the dashboard: %w", err)
	}
	return string(b) + "\n", nil
}

var metricName = regexp.MustCompile(`\bsekisho_[a-z0-9_]+`)

// Names lists the metrics of ours that alerts and dashboard speak of, sorted. What Prometheus makes of a histogram
// (_bucket, _sum, _count) counts as the histogram.
func Names() []string {
	var all []string
	add := func(expr string) {
		for _, name := range metricName.FindAllString(expr, -1) {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, part)
			}
			all = append(all, name)
		}
	}
	for _, a := range Alerts {
		add(a.Expr)
	}
	for _, p := range panels {
		for _, q := range p.queries {
			add(q.expr)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
