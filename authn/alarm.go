package authn

import (
	"sync"
	"time"
)

// How many failures in a minute are an alarm. They refuse nobody (P12): behind one address there may be a whole office, and
// behind one gateway everybody.
const (
	sourceAlarm  = 60  // from one address that a gateway's word is trusted on
	ownNetwork   = 100 // times as many from the site's own networks
	gatewayAlarm = 600 // at one gateway
)

// alarms counts failures by source and by gateway. The zero value is ready.
type alarms struct {
	sources  tally // by address
	mu       sync.Mutex
	minute   int64
	gateways map[string]int // by client name: those of the config
}

// atGateway counts one failure at a client and returns how many this minute has now.
func (a *alarms) atGateway(client string, now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gateways == nil {
		a.gateways = make(map[string]int)
	}
	if m := now.Unix() / 60; m != a.minute {
		clear(a.gateways)
		a.minute = m
	}
	a.gateways[client]++
	return a.gateways[client]
}

// countFailure counts a refusal towards the alarms and raises each of them once a minute.
func (t *attempt) countFailure(now time.Time) {
	a := t.a
	if t.place.IsValid() {
		limit := sourceAlarm
		for _, p := range a.Own {
			if p.Contains(t.place.Addr()) {
				limit *= ownNetwork
				break
			}
		}
		if a.alarms.sources.add(t.place.Addr().As16(), now) == limit+1 {
			a.Metrics.alarm("source")
			a.Log.Warn("ALARM: many logins from one address fail; nobody is refused for that", "source", t.place.String(), "client", t.l.Client.Name,
				"failures_a_minute", limit+1)
		}
	}
	if a.alarms.atGateway(t.l.Client.Name, now) == gatewayAlarm+1 {
		a.Metrics.alarm("gateway")
		a.Log.Warn("ALARM: many logins at one gateway fail; nobody is refused for that", "client", t.l.Client.Name, "failures_a_minute", gatewayAlarm+1)
	}
}
