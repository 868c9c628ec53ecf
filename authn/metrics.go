package authn

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts attempts. Labels come from the config and from the catalogue of reasons; never from a request.
type Metrics struct {
	logins  *prometheus.CounterVec
	notices *prometheus.CounterVec
	dropped prometheus.Counter
	without prometheus.Gauge
	alarms  *prometheus.CounterVec

	total, lookup, bind, commit prometheus.Observer // by stage

	byClient sync.Map // *Client to *clientCounts
}

// clientCounts are the counters of one gateway that were needed so far, so that a login looks no labels up.
type clientCounts [Challenge + 1][reasonEnd]atomic.Pointer[prometheus.Counter]

// NewMetrics registers the metrics of logins.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sekisho_logins_total",
			Help: "Attempts by gateway, verdict and reason."}, []string{"client", "verdict", "reason"}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sekisho_notices_total",
			Help: "Notices owed to people or operators, by kind."}, []string{"notice"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "sekisho_login_log_dropped_total",
			Help: "Log lines of attempts that were not written because the log was too slow; the audit chain has them."}),
	}
	m.without = prometheus.NewGauge(prometheus.GaugeOpts{Name: "sekisho_unenrolled_people",
		Help: "People who were let in without a token since the start and have not logged in with one since."})
	m.alarms = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sekisho_failure_alarms_total",
		Help: "Minutes in which very many logins failed from one address (source) or at one gateway."}, []string{"of"})
	stages := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sekisho_login_stage_seconds",
		Help:    "Time an attempt spent in each stage.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"stage"})
	m.total, m.lookup = stages.WithLabelValues("total"), stages.WithLabelValues("lookup")
	m.bind, m.commit = stages.WithLabelValues("bind"), stages.WithLabelValues("commit")
	r.MustRegister(m.logins, m.notices, stages, m.dropped, m.without, m.alarms)
	return m
}

func (m *Metrics) count(client *Client, v Verdict, r Reason, notices []Notice, s Stages) {
	if m == nil {
		return
	}
	m.counter(client, v, r).Inc()
	for _, n := range notices {
		m.notices.WithLabelValues(n.String()).Inc()
	}
	observe(m.total, s.Total)
	observe(m.lookup, s.Lookup)
	observe(m.bind, s.Bind)
	observe(m.commit, s.Lock)
}

func (m *Metrics) counter(client *Client, v Verdict, r Reason) prometheus.Counter {
	known, ok := m.byClient.Load(client)
	if !ok {
		known, _ = m.byClient.LoadOrStore(client, &clientCounts{})
	}
	place := &known.(*clientCounts)[v][r]
	if c := place.Load(); c != nil {
		return *c
	}
	c := m.logins.WithLabelValues(client.Name, v.String(), r.String())
	place.Store(&c)
	return c
}

// ForgetClients lets go of clients of a former configuration. What was counted stays.
func (m *Metrics) ForgetClients() { m.byClient.Clear() }

func observe(o prometheus.Observer, d time.Duration) {
	if d > 0 {
		o.Observe(d.Seconds())
	}
}

func (m *Metrics) drop() {
	if m != nil {
		m.dropped.Inc()
	}
}

// enrolment is who was let in without a token since the start and still goes without one. The zero value is ready.
type enrolment struct {
	some   atomic.Bool // there are any; nearly every login finds none
	mu     sync.Mutex
	people map[AccountID]struct{}
}

// enrolment follows an answer.
func (a *Authenticator) enrolment(d Decision) {
	if a.Metrics == nil || d.Verdict != Accept || d.Account == 0 {
		return
	}
	e := &a.without
	if d.Reason != OKUnenrolled && !e.some.Load() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.Reason == OKUnenrolled {
		if e.people == nil {
			e.people = make(map[AccountID]struct{})
		}
		e.people[d.Account] = struct{}{}
	} else {
		delete(e.people, d.Account)
	}
	e.some.Store(len(e.people) > 0)
	a.Metrics.without.Set(float64(len(e.people)))
}

func (m *Metrics) alarm(of string) {
	if m != nil {
		m.alarms.WithLabelValues(of).Inc()
	}
}
