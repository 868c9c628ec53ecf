// Package monitoring holds what ships for Prometheus and Grafana: alert rules, a dashboard and the table of metrics. The
// files under packaging and docs are written from here; a test compares them, and every name in them with the metrics
// that a running service has.
package monitoring

import (
	"fmt"
	"strings"
)

// Alert is one alert rule.
type Alert struct {
	Name     string
	Expr     string // PromQL
	For      string // how long it has to hold
	Severity string // critical: people cannot work, or somebody attacks; warning: it will come to that
	Summary  string
	Advice   string
}

// Alerts are the rules, the most urgent first.
var Alerts = []Alert{
	{"SekishoGone", `absent(sekisho_storage_healthy)`, "1m", "critical",
		"No Sekisho is being scraped.", "Look at the service: systemctl status sekisho. Without it nobody logs in."},
	{"SekishoStoreFails", `sekisho_storage_healthy == 0`, "30s", "critical",
		"The database takes no changes, so no login is answered.", "/readyz and the log name the reason; it goes on by itself when the cause is gone."},
	{"SekishoNoAccepts", `sum(rate(sekisho_radius_access_requests_total[15m])) > 0.05 and sum(rate(sekisho_radius_access_accepts_total[15m])) == 0`, "15m", "critical",
		"People try to log in and nobody gets in.", "sekisho logins --all tells why; it is mostly the directory, the clock, or a shared secret."},
	{"SekishoDirectoryDown", `sum(rate(sekisho_logins_total{reason="directory-down"}[5m])) > 0`, "2m", "critical",
		"The directory does not answer, so logins that need it get no answer.", "sekisho check-config --probe shows which server and why."},
	{"SekishoClockDoubt", `sum(rate(sekisho_logins_total{reason="clock-doubt"}[5m])) > 0`, "0m", "critical",
		"The clock jumped and nothing confirms it; time-based codes are not evaluated.", "Compare the clock with another one, then: sekisho clock accept."},
	{"SekishoRequestForged", `increase(sekisho_radius_conflicts_total[1h]) > 0`, "0m", "critical",
		"A gateway used a Request Authenticator twice.", "Its random numbers are broken or somebody forges its requests: look at the log, change its secret, require Message-Authenticator."},
	{"SekishoTokenStolen", `sum(increase(sekisho_notices_total{notice=~"theft|stopped"}[1h])) > 0`, "0m", "warning",
		"Right codes came with wrong passwords or PINs again and again.", "sekisho logins --all shows whose; ask them whether they still have the token."},
	{"SekishoGuessing", `sum(increase(sekisho_notices_total{notice="pair-budget"}[1h])) > 0`, "0m", "warning",
		"An account was guessed at until its yearly budget was spent.", "sekisho logins --all shows whose and from where; block the source at the gateway."},
	{"SekishoManyFailures", `increase(sekisho_failure_alarms_total[15m]) > 0`, "0m", "warning",
		"Very many logins failed from one address or at one gateway.", "The log names it; nobody is refused for it. Block the source at the gateway if it is not a site of yours."},
	{"SekishoWithoutToken", `sekisho_unenrolled_people > 0`, "24h", "warning",
		"People log in without a second factor, because a policy lets those without a token in.", "sekisho logins --all names them; the policy's unenrolled.until ends it."},
	{"SekishoSecretWrong", `sum by (client) (rate(sekisho_radius_bad_authenticators_total[10m])) > 0`, "10m", "warning",
		"Packets of {{ $labels.client }} do not verify: its shared secret differs.", "Compare the secret on both sides; while changing it use next_secret."},
	{"SekishoSignatureMissing", `sum by (client) (rate(sekisho_radius_discards_total{reason="message-authenticator-missing"}[10m])) > 0`, "10m", "warning",
		"{{ $labels.client }} sends logins without Message-Authenticator and gets no answer.", "Switch it on at the gateway; sekisho client show tells what its profile allows."},
	{"SekishoUnknownGateway", `rate(sekisho_radius_unknown_clients_total[10m]) > 0`, "10m", "warning",
		"Packets come from an address of no client.", "The log names it; add it under radius.clients if it is a gateway."},
	{"SekishoOverloaded", `sum(rate(sekisho_radius_discards_total{reason=~"overload|late"}[5m])) > 0`, "5m", "warning",
		"Requests get no answer because there are too many or they take too long.", "Look at the stages on the dashboard: the slow one is the directory (bind) or the disk (commit)."},
	{"SekishoSlow", `histogram_quantile(0.99, sum by (le) (rate(sekisho_login_stage_seconds_bucket{stage="total"}[5m]))) > 3`, "10m", "warning",
		"One login in a hundred takes more than 3 s.", "Gateways give up soon after. The stages on the dashboard tell which part is slow."},
	{"SekishoFaults", `increase(sekisho_logins_total{reason="fault"}[1h]) > 0 or increase(sekisho_radius_discards_total{reason="panic"}[1h]) > 0`, "0m", "warning",
		"An internal fault ended a login.", "The log has the details; please report it."},
	{"SekishoDiskFills", `sekisho_storage_free_bytes < 512e6 or predict_linear(sekisho_storage_free_bytes[12h], 4 * 86400) < 0`, "15m", "warning",
		"The database's disk will be full within four days.", "Make room; when it is full no login is answered."},
	{"SekishoAuditBehind", `sekisho_audit_behind_events > 10000`, "10m", "warning",
		"Events do not leave the machine for the audit's target.", "The log says why; they are sent when the target is back, and logins go on."},
	{"SekishoMailStuck", `sekisho_mail_oldest_waiting_seconds > 900`, "5m", "warning",
		"A mail has waited for more than 15 minutes, and with it perhaps a link that somebody needs.", "sekisho mail list --state waiting shows the mail server's answer."},
	{"SekishoMailHeld", `sekisho_mail_messages{state=~"held|unknown"} > 0`, "15m", "warning",
		"Mails need somebody's word: the configuration lacks what they need, or nobody knows whether they arrived.", "sekisho mail list --state held, or --state unknown, shows them; sekisho mail again sends one."},
	{"SekishoQueueLong", `sekisho_storage_queue_entries > 2000`, "1m", "warning",
		"More than 2,000 changes wait for the disk.", "The disk is slow or overloaded: sekisho_storage_commit_seconds shows how slow."},
	{"SekishoAccountingLost", `sum(rate(sekisho_radius_accounting_no_records_total[5m])) > 0`, "5m", "warning",
		"Accounting records are not saved, so gateways get no acknowledgement.", "Some gateways open no tunnel without it; look at the database."},
	{"SekishoLogDropped", `increase(sekisho_login_log_dropped_total[1h]) > 0`, "0m", "warning",
		"Lines of the log were dropped because what reads it is slow.", "The audit chain has every login all the same: sekisho logins."},
}

// Rules gives the alert rules as Prometheus reads them.
func Rules() string {
	var b strings.Builder
	b.WriteString("# Alert rules for Prometheus. Written from the list in internal/monitoring; change it there.\ngroups:\n  - name: sekisho\n    rules:\n")
	for _, a := range Alerts {
		fmt.Fprintf(&b, "      - alert: %s\n        expr: %s\n        for: %s\n        labels: {severity: %s}\n        annotations:\n          summary: %q\n          description: %q\n",
			a.Name, quote(a.Expr), a.For, a.Severity, a.Summary, a.Advice)
	}
	return b.String()
}

// quote writes a YAML scalar in single quotes, in which nothing but the quote itself is special.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
