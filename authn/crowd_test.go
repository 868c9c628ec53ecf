package authn_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/authn"
	"sekisho/token"
)

// TestCrowdBehindOneAddress holds P12: on a morning 500 people come through one gateway from one address, each mistypes
// twice, and all are in within five minutes. Failures of others refuse nobody; they are counted and an alarm is raised.
func TestCrowdBehindOneAddress(t *testing.T) {
	crowd := 500
	if authn.RaceEnabled {
		crowd = 60
	}
	type kind int
	const (
		badCode kind = iota // right password
		badPassword
		both
	)
	for name, c := range map[string]struct {
		first   authn.FirstFactor
		typo    kind
		lock    int  // the directory's threshold
		station bool // the gateway's word on addresses is trusted
		known   bool // everybody has been here before
		own     bool
	}{
		"codes":                                {first: authn.Gateway, station: true},
		"codes at a known place":               {first: authn.Gateway, station: true, known: true},
		"codes, no place known":                {first: authn.Gateway},
		"codes from the own network":           {first: authn.Gateway, station: true, own: true},
		"passwords":                            {first: authn.Password, typo: badPassword, lock: 10, station: true},
		"passwords, a directory quick to lock": {first: authn.Password, typo: badPassword, lock: 5, station: true},
		"passwords, no place known":            {first: authn.Password, typo: badPassword, lock: 10},
		"both":                                 {first: authn.Password, typo: both, lock: 10, station: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, &authn.Policy{Name: "staff", First: c.first, Joined: c.first == authn.Password, Window: token.LoginWindow})
			h.dir.set(func(p *people) { p.threshold = c.lock })
			registry := prometheus.NewRegistry()
			h.auth.Metrics = authn.NewMetrics(registry)
			if c.own {
				h.auth.Own = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
			}
			gw := gate()
			gw.GatewayProves, gw.TrustStation, gw.CanChallenge = true, c.station, false
			all := make([]*person, crowd)
			for i := range all {
				all[i] = h.person(fmt.Sprintf("user%03d", i), "pass word ", 1)
			}
			text := func(p *person, password, code string) string {
				if c.first == authn.Password {
					return password + code
				}
				return code
			}
			// each lets everybody try once, some dozens at a time, as a gateway does.
			each := func(try func(i int, p *person)) {
				var wg sync.WaitGroup
				next := make(chan int)
				for range 32 {
					wg.Go(func() {
						for i := range next {
							try(i, all[i])
						}
					})
				}
				for i := range all {
					next <- i
				}
				close(next)
				wg.Wait()
			}
			right := func(p *person) authn.Decision {
				d := p.devices[0]
				return h.try(gw, p.name, text(p, "pass word ", d.code(h.step(d))), home)
			}
			if c.known {
				each(func(_ int, p *person) { want(t, "the day before", right(p), authn.Accept, authn.OK) })
				h.clock.advance(20 * time.Hour)
			}
			begun := h.clock.now()
			for n := range 2 {
				each(func(i int, p *person) {
					code, password := p.devices[0].code(h.step(p.devices[0])), "pass word "
					if c.typo != badPassword {
						code = h.wrong(p, 10*n+i)
					}
					if c.typo != badCode {
						password = fmt.Sprint("pass ward ", n)
					}
					if d := h.try(gw, p.name, text(p, password, code), home); d.Verdict != authn.Reject {
						t.Errorf("%s's typo: %v (%v)", p.name, d.Verdict, d.Reason)
					}
				})
				h.clock.advance(15 * time.Second)
			}
			in := make([]bool, crowd)
			for tries := 1; h.clock.now().Sub(begun) <= 5*time.Minute; tries++ {
				var mu sync.Mutex
				out := 0
				each(func(i int, p *person) {
					if in[i] {
						return
					}
					if d := right(p); d.Verdict == authn.Accept {
						in[i] = true
						return
					} else if d.Reason == authn.SourceLimit {
						t.Errorf("%s is refused for the failures of others", p.name)
					}
					mu.Lock()
					out++
					mu.Unlock()
				})
				if out == 0 {
					t.Logf("%d people in after %v and %d right codes", crowd, h.clock.now().Sub(begun), tries)
					break
				}
				h.clock.advance(30 * time.Second)
			}
			for i := range in {
				if !in[i] {
					t.Fatalf("%s is not in after 5 minutes", all[i].name)
				}
			}
			if authn.RaceEnabled {
				return // too few for an alarm
			}
			if got, want := strings.Contains(h.log.String(), "ALARM: many logins from one address fail"), c.station && !c.own; got != want {
				t.Errorf("an alarm for the address: %v, want %v", got, want)
			}
			if value(t, registry, "sekisho_failure_alarms_total") == 0 {
				t.Error("a thousand failures at one gateway are no alarm")
			}
		})
	}
}
