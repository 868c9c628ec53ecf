package radius

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// tally is one counter.
type tally = atomic.Uint64

// port tells the two kinds of listeners apart.
type port uint8

const (
	authPort port = iota
	acctPort
)

// takes reports whether packets of a code belong on the port (RFC 2865 section 3, RFC 5997 section 4.2).
func (p port) takes(c Code) bool {
	return c == StatusServer || p == authPort && c == AccessRequest || p == acctPort && c == AccountingRequest
}

// columns are the counters of RFC 4669 section 5 and RFC 4671 section 5 by port; an empty name is none of that port's.
var columns = [counterEnd]struct{ auth, acct, help string }{
	countRequests:          {"access_requests", "accounting_requests", "Requests that came, repeated ones included."},
	countDuplicates:        {"duplicate_access_requests", "duplicate_accounting_requests", "Requests that were repeated."},
	countAccepts:           {"access_accepts", "", "Access-Accepts sent."},
	countRejects:           {"access_rejects", "", "Access-Rejects sent."},
	countChallenges:        {"access_challenges", "", "Access-Challenges sent."},
	countResponses:         {"", "accounting_responses", "Accounting-Responses sent."},
	countMalformed:         {"malformed_access_requests", "malformed_accounting_requests", "Packets whose form was wrong."},
	countBadAuthenticators: {"bad_authenticators", "accounting_bad_authenticators", "Packets whose authenticator did not verify."},
	countDropped:           {"packets_dropped", "accounting_packets_dropped", "Packets dropped for other reasons."},
	countNoRecords:         {"", "accounting_no_records", "Accounting-Requests that were not saved and not acknowledged."},
	countUnknownTypes:      {"unknown_types", "accounting_unknown_types", "Packets of a code that the port does not take."},
}

// metrics shows the counters of a server to Prometheus. Labels are names of the config and words of this package.
type metrics struct {
	server    *Server
	columns   [2][counterEnd]*prometheus.Desc
	discards  *prometheus.Desc
	unknown   *prometheus.Desc
	conflicts *prometheus.Desc
	inFlight  *prometheus.Desc
	delayed   *prometheus.Desc
	cache     *prometheus.Desc
}

var _ prometheus.Collector = (*metrics)(nil)

func newMetrics(s *Server) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sekisho_radius_"+name, help, labels, nil)
	}
	m := &metrics{
		server:    s,
		discards:  desc("discards_total", "Packets and answers that were dropped, by client and reason.", "client", "reason"),
		unknown:   desc("unknown_clients_total", "Packets from addresses of no client (RFC 4669 InvalidRequests)."),
		conflicts: desc("conflicts_total", "Request Authenticators that came again with another packet; a broken or attacked gateway."),
		inFlight:  desc("in_flight", "Requests being worked on.", "port"),
		delayed:   desc("delayed_answers", "Refusals that wait for their time."),
		cache:     desc("reply_cache_bytes", "Memory of the reply cache, at most 64 MiB."),
	}
	for c, names := range columns {
		for p, name := range [2]string{names.auth, names.acct} {
			if name != "" {
				m.columns[p][c] = desc(name+"_total", names.help, "client")
			}
		}
	}
	return m
}

// Describe is part of [prometheus.Collector].
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, column := range m.columns {
		for _, d := range column {
			if d != nil {
				to <- d
			}
		}
	}
	for _, d := range []*prometheus.Desc{m.discards, m.unknown, m.conflicts, m.inFlight, m.delayed, m.cache} {
		to <- d
	}
}

// Collect is part of [prometheus.Collector].
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	s := m.server
	for _, c := range s.settled.Load().clients {
		for p := range m.columns {
			for i, d := range m.columns[p] {
				if d != nil {
					count(d, c.counts[p][i].Load(), c.name)
				}
			}
		}
		for f := noFault + 1; f < faultEnd; f++ {
			if n := c.faults[f].Load(); n > 0 {
				count(m.discards, n, c.name, f.String())
			}
		}
	}
	count(m.unknown, s.unknown.Load())
	count(m.conflicts, s.conflicts.Load())
	gauge(m.inFlight, s.logins.held(), "auth")
	gauge(m.inFlight, s.records.held(), "acct")
	gauge(m.delayed, s.waiting.held())
	gauge(m.cache, s.cache.size())
}
