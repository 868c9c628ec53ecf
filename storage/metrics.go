package storage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/token"
)

// metrics of one DB. Labels are words of ours, never names.
type metrics struct {
	registry prometheus.Registerer
	all      []prometheus.Collector
	size     prometheus.Histogram
	seconds  prometheus.Histogram
	healthy  prometheus.Gauge
	free     prometheus.Gauge
}

func newMetrics(db *DB, r prometheus.Registerer) *metrics {
	m := &metrics{
		registry: r,
		size: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sekisho_storage_commit_entries",
			Help: "Changes that went to disk in one commit.", Buckets: prometheus.ExponentialBuckets(1, 4, 7)}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sekisho_storage_commit_seconds",
			Help: "Time from the begin of a transaction until it was durable.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 15)}),
		healthy: prometheus.NewGauge(prometheus.GaugeOpts{Name: "sekisho_storage_healthy",
			Help: "1 while the database takes changes."}),
		free: prometheus.NewGauge(prometheus.GaugeOpts{Name: "sekisho_storage_free_bytes",
			Help: "Space left on the database's disk."}),
	}
	m.all = []prometheus.Collector{m.size, m.seconds, m.healthy, m.free,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sekisho_storage_queue_entries",
			Help: "Changes that wait for their commit."}, func() float64 { return float64(db.queue.length()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "sekisho_storage_events_total",
			Help: "Number of the newest event on disk."}, func() float64 { return float64(db.Seq()) }),
	}
	for _, s := range []token.State{token.InStock, token.InUse, token.Destroyed} {
		m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sekisho_tokens",
			Help: "Tokens by state; expired ones count where they stood.", ConstLabels: prometheus.Labels{"state": s.String()}},
			func() float64 { return float64(db.TokenCounts()[s]) }))
	}
	if r == nil {
		return m
	}
	for _, c := range m.all {
		if err := r.Register(c); err != nil {
			db.log.Error("a metric could not be registered", "error", err)
		}
	}
	return m
}

func (m *metrics) commit(entries int, took time.Duration) {
	m.size.Observe(float64(entries))
	m.seconds.Observe(took.Seconds())
}

func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, c := range m.all {
		m.registry.Unregister(c)
	}
}
