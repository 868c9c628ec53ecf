package mail

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/authn"
)

// Metrics tell how mails fare. They outlive every [Sender]; make them with [NewMetrics].
type Metrics struct{ tries *prometheus.CounterVec }

// NewMetrics makes the metrics of an outbox and registers them.
func NewMetrics(r prometheus.Registerer, b *Box, now func() time.Time) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sekisho_mail_tries_total",
		Help: "Tries to send a mail, by what they came to: sent, waiting, refused, unknown, lapsed, held.",
	}, []string{"result"})}
	for _, s := range []authn.MessageState{
		authn.MessageSent, authn.MessageWaiting, authn.MessageRefused, authn.MessageUnknown, authn.MessageLapsed, authn.MessageHeld,
	} {
		m.tries.WithLabelValues(s.String())
	}
	r.MustRegister(m.tries, &stuck{box: b, now: now})
	return m
}

func (m *Metrics) add(x authn.Message) { m.tries.WithLabelValues(x.State.String()).Inc() }

// stuck shows what lies in the outbox. It looks when it is asked, at most every half minute.
type stuck struct {
	box *Box
	now func() time.Time

	mu     sync.Mutex
	looked time.Time
	counts map[authn.MessageState]int
	oldest time.Time // since when the one that waits longest could have left; zero: none does
}

var (
	stuckMessages = prometheus.NewDesc("sekisho_mail_messages", "Mails that have not arrived, by state.", []string{"state"}, nil)
	stuckOldest   = prometheus.NewDesc("sekisho_mail_oldest_waiting_seconds",
		"How long the mail that has waited for longest could have left already; 0 where none waits.", nil, nil)
	stuckStates = []authn.MessageState{authn.MessageWaiting, authn.MessageSending, authn.MessageHeld, authn.MessageRefused, authn.MessageUnknown}
)

// Describe is [prometheus.Collector]'s.
func (s *stuck) Describe(c chan<- *prometheus.Desc) {
	c <- stuckMessages
	c <- stuckOldest
}

// Collect is [prometheus.Collector]'s.
func (s *stuck) Collect(c chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if age := now.Sub(s.looked); age < 0 || age >= 30*time.Second {
		if err := s.look(now); err != nil {
			c <- prometheus.NewInvalidMetric(stuckMessages, err)
			return
		}
		s.looked = now
	}
	for _, state := range stuckStates {
		c <- prometheus.MustNewConstMetric(stuckMessages, prometheus.GaugeValue, float64(s.counts[state]), state.String())
	}
	waits := 0.0
	if !s.oldest.IsZero() {
		waits = now.Sub(s.oldest).Seconds()
	}
	c <- prometheus.MustNewConstMetric(stuckOldest, prometheus.GaugeValue, waits)
}

func (s *stuck) look(now time.Time) error {
	s.counts, s.oldest = map[authn.MessageState]int{}, time.Time{}
	var states []uint8
	for _, state := range stuckStates {
		states = append(states, uint8(state))
	}
	return s.box.each(authn.RecordQuery{States: states}, func(r *authn.Record) error {
		state := authn.MessageState(r.State)
		s.counts[state]++
		if state != authn.MessageWaiting {
			return nil
		}
		m, err := authn.MessageOf(r)
		if since := m.WaitingSince(); err == nil && since.Before(now) && (s.oldest.IsZero() || since.Before(s.oldest)) {
			s.oldest = since
		}
		return err
	})
}
