package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/authn"
)

// journal is a store of events, the i-th numbered i+1, that counts how many were read.
type journal struct {
	Store
	events []authn.Event
	read   int
	slow   time.Duration // for each event
}

func (j *journal) Seq() uint64 { return uint64(len(j.events)) }

func (j *journal) Cores(_ context.Context, from, to uint64, f func(*authn.Event) bool) error {
	for seq := min(to, j.Seq()); seq >= from && seq > 0; seq-- {
		e := j.events[seq-1]
		e.Seq = seq
		j.read++
		time.Sleep(j.slow)
		if !f(&e) {
			break
		}
	}
	return nil
}

func plotsOf(t *testing.T, s *Server, span string) (v Plots) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "GET", "/api/v1/plots?span="+span, ""))
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	former := *s
	s.Former = &former // what was counted is kept, as over a reload
	return v
}

func sum(v Plots) (accepted, rejected, all int) {
	for _, st := range v.Steps {
		accepted += st.Verdicts["accept"]
		rejected += st.Verdicts["reject"]
		for _, n := range st.Reasons {
			all += n
		}
	}
	return accepted, rejected, all
}

// TestPlotsCountEachLoginOnce: over spans that begin at different times, with logins that come between two looks, and none
// of them read twice.
func TestPlotsCountEachLoginOnce(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 34, 0, 0, time.UTC)
	s, j := silent(t, io.Discard), &journal{}
	s.Store, s.Now = j, func() time.Time { return now }
	login := func(ago time.Duration, v authn.Verdict, r authn.Reason) {
		j.events = append(j.events, authn.Event{At: now.Add(-ago), Kind: authn.LoginEvent, Verdict: v, Reason: r,
			Stages: authn.Stages{Total: 10 * time.Millisecond}})
	}
	const day = 24 * time.Hour
	for ago := 100 * day; ago > 0; ago -= 6 * time.Hour {
		login(ago-time.Minute, authn.Accept, authn.OK)
	}
	j.events = append(j.events, authn.Event{At: now, Kind: authn.ActEvent})
	login(10*time.Minute, authn.Reject, authn.WrongCode)
	j.events[len(j.events)-1].Count = 7

	if a, r, all := sum(plotsOf(t, s, "1h")); a != 0 || r != 7 || all != 7 {
		t.Errorf("an hour: %d accepted, %d rejected, %d reasons", a, r, all)
	}
	if j.read > 4 {
		t.Errorf("an hour read %d events", j.read)
	}
	v := plotsOf(t, s, "7d")
	if a, r, _ := sum(v); a != 27 || r != 7 || len(v.Steps) != 28 || v.Since != nil {
		t.Errorf("a week: %d accepted, %d rejected, %d steps, since %v", a, r, len(v.Steps), v.Since)
	}
	login(0, authn.Accept, authn.OK)
	v = plotsOf(t, s, "90d")
	if a, r, _ := sum(v); a < 356 || a > 361 || r != 7 {
		t.Errorf("90 days: %d accepted, %d rejected", a, r)
	}
	read := j.read
	if a, _, _ := sum(plotsOf(t, s, "7d")); a != 28 || j.read != read {
		t.Errorf("a week again: %d accepted, %d events read again", a, j.read-read)
	}
	last := v.Steps[len(v.Steps)-1].P95["total"]
	if last < 10 || last > 12.5 {
		t.Errorf("10 ms show as %v", last)
	}
	now = now.Add(30 * day) // fine steps become hours, old ones go
	if a, _, _ := sum(plotsOf(t, s, "90d")); a < 236 || a > 241 {
		t.Errorf("30 days later: %d accepted", a)
	}
}

// TestPlotsStopAfterAWhile: a journal that takes longer than one call may is counted in pieces, and the answer says from
// when on it is complete.
func TestPlotsStopAfterAWhile(t *testing.T) { synctest.Test(t, plotsStopAfterAWhile) }

func plotsStopAfterAWhile(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 34, 0, 0, time.UTC)
	s, j := silent(t, io.Discard), &journal{slow: tallyTime / tallyCheck}
	s.Store, s.Now = j, func() time.Time { return now }
	const n = 2*tallyCheck + 100
	for i := range n {
		j.events = append(j.events, authn.Event{At: now.Add(time.Duration(i-n) * time.Second), Kind: authn.LoginEvent, Verdict: authn.Accept, Reason: authn.OK})
	}
	v := plotsOf(t, s, "24h")
	if a, _, _ := sum(v); a >= n || v.Since == nil || !v.Since.Equal(now.Add(-time.Duration(a)*time.Second)) {
		t.Errorf("counted %d of %d, since %v", a, n, v.Since)
	}
	j.slow = 0
	v = plotsOf(t, s, "24h")
	if a, _, _ := sum(v); a != n || v.Since != nil || j.read != n {
		t.Errorf("then %d of %d, since %v, %d read", a, n, v.Since, j.read)
	}
}

func TestClassesOfTimes(t *testing.T) {
	for d := 4 * time.Microsecond; d < 15*time.Minute; d += d/7 + time.Microsecond {
		c := classOf(d)
		if e := edge(c); e <= d || float64(e) > 1.26*float64(d) || c > 0 && edge(c-1) > d && d > 4*time.Microsecond {
			t.Errorf("%v is in class %d, which ends at %v", d, c, e)
		}
	}
}
