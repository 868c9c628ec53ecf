package authn

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts attempts. Labels come from the config and from the catalogue of reasons; never from a request.
type Metrics struct {
	logins  *prometheus.CounterVec
	notices *prometheus.CounterVec
	stages  *prometheus.HistogramVec
	dropped prometheus.Counter
}

// NewMetrics registers the metrics of logins.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sekisho_logins_total",
			Help: "Attempts by gateway, verdict and reason."}, []string{"client", "verdict", "reason"}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sekisho_notices_total",
			Help: "Notices owed to people or operators, by kind."}, []string{"notice"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sekisho_login_stage_seconds",
			Help:    "Time an attempt spent in each stage.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"stage"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "sekisho_login_log_dropped_total",
			Help: "Log lines of attempts that were not written because the log was too slow; the audit chain has them."}),
	}
	r.MustRegister(m.logins, m.notices, m.stages, m.dropped)
	return m
}

func (m *Metrics) count(client string, v Verdict, r Reason, notices []Notice, s Stages) {
	if m == nil {
		return
	}
	m.logins.WithLabelValues(client, v.String(), r.String()).Inc()
	for _, n := range notices {
		m.notices.WithLabelValues(n.String()).Inc()
	}
	m.stage("total", s.Total)
	m.stage("lookup", s.Lookup)
	m.stage("bind", s.Bind)
	m.stage("commit", s.Lock)
}

func (m *Metrics) stage(name string, d time.Duration) {
	if d > 0 {
		m.stages.WithLabelValues(name).Observe(d.Seconds())
	}
}

func (m *Metrics) drop() {
	if m != nil {
		m.dropped.Inc()
	}
}
