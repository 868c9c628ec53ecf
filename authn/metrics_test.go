package authn

import (
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestMetricsCount counts every verdict and reason of two gateways from several goroutines: resolved counters are the
// right ones and there is one of each.
func TestMetricsCount(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	clients := []*Client{{Name: "a"}, {Name: "b"}}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, c := range clients {
				for v := Discard; v <= Challenge; v++ {
					for r := OK; r < reasonEnd; r++ {
						m.count(c, v, r, nil, Stages{Total: 1})
					}
				}
			}
		})
	}
	all.Wait()
	for _, c := range clients {
		for v := Discard; v <= Challenge; v++ {
			for r := OK; r < reasonEnd; r++ {
				if n := testutil.ToFloat64(m.logins.WithLabelValues(c.Name, v.String(), r.String())); n != 4 {
					t.Errorf("%s %v %v: %v, want 4", c.Name, v, r, n)
				}
			}
		}
	}
}
