package monitoring

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Metric is one metric as a registry describes it.
type Metric struct {
	Name, Help string
	Labels     []string
}

// A registry tells of its metrics before they have values only by their text.
var description = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", (?:unit: "[^"]*", )?constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)

// Metrics lists the metrics of ours in a registry, by name.
func Metrics(r *prometheus.Registry) ([]Metric, error) {
	found := make(chan *prometheus.Desc)
	go func() {
		r.Describe(found)
		close(found)
	}()
	byName := map[string]Metric{}
	var unread []string
	for d := range found {
		m := description.FindStringSubmatch(d.String())
		if m == nil {
			unread = append(unread, d.String())
			continue
		}
		if !strings.HasPrefix(m[1], "sekisho_") {
			continue
		}
		one := Metric{Name: m[1], Help: strings.ReplaceAll(m[2], `\"`, `"`)}
		if label, _, constant := strings.Cut(m[3], "="); constant {
			one.Labels = append(one.Labels, label)
		}
		if m[4] != "" {
			one.Labels = append(one.Labels, strings.Split(m[4], ",")...)
		}
		byName[one.Name] = one
	}
	if len(unread) > 0 {
		return nil, fmt.Errorf("reading the metrics: %q is not a description as it used to be", unread[0])
	}
	var all []Metric
	for _, m := range byName {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Page gives docs/metrics.md.
func Page(all []Metric) string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" +
		"`metrics.listen` opens `/metrics` for Prometheus, beside `/livez` (the process runs) and `/readyz` (it can answer logins).\n" +
		"Units are seconds and octets. No metric has a user's name. The counters of RFC 4669 and RFC 4671 are among them, by client.\n\n" +
		"[Alert rules](../packaging/prometheus/sekisho.rules.yaml) and a [dashboard for Grafana](../packaging/grafana/sekisho.json)\n" +
		"come with Sekisho; tests keep them and this page in step with the program.\n\n" +
		"| metric | labels | meaning |\n|---|---|---|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, strings.Join(m.Labels, ", "), m.Help)
	}
	b.WriteString("\n## Alerts\n\n| alert | severity | what it means | what to do |\n|---|---|---|---|\n")
	for _, a := range Alerts {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", a.Name, a.Severity, a.Summary, a.Advice)
	}
	return b.String()
}
