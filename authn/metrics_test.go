package authn

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A reload makes new clients of the same names: they count on, and the former ones are not held for ever.
func TestMetricsForgetClients(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	for range 3 {
		m.count(&Client{Name: "gw"}, Accept, OK, nil, Stages{})
		m.ForgetClients()
	}
	held := 0
	m.byClient.Range(func(any, any) bool { held++; return true })
	if n := testutil.ToFloat64(m.logins.WithLabelValues("gw", Accept.String(), OK.String())); n != 3 || held != 0 {
		t.Errorf("%v logins counted, %d clients held; want 3 and none", n, held)
	}
}
