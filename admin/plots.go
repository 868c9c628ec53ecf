package admin

import (
	"context"
	"math/bits"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
)

// Plots is what became of logins over a span, in equal steps.
type Plots struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Seconds int64     `json:"step_seconds"`
	// Since stands where more events were kept than one call may count: ask again and it goes on.
	Since *time.Time `json:"counted_since,omitempty" doc:"older logins are not counted yet; ask again"`
	Steps []PlotStep `json:"steps" doc:"oldest first"`
}

// PlotStep is one step of a span.
type PlotStep struct {
	At       time.Time          `json:"at" doc:"its beginning"`
	Verdicts map[string]int     `json:"verdicts,omitempty" doc:"logins by verdict"`
	Reasons  map[string]int     `json:"reasons,omitempty" doc:"logins by reason"`
	P95      map[string]float64 `json:"p95_ms,omitempty" doc:"by stage: 95 of 100 took at most so many milliseconds, to the next quarter of a power of two"`
}

// spans are the spans that can be asked for, with the step of each.
var spans = map[string]struct{ length, step time.Duration }{
	"1h": {time.Hour, 5 * time.Minute}, "24h": {24 * time.Hour, time.Hour}, "7d": {7 * 24 * time.Hour, 6 * time.Hour},
	"30d": {30 * 24 * time.Hour, 24 * time.Hour}, "90d": {longestSpan, 24 * time.Hour},
}

const (
	longestSpan = 90 * 24 * time.Hour
	tallyStep   = 5 * time.Minute // of what is kept in memory
	tallyHour   = 24              // hours for which such fine steps are kept; before that, hours
	tallyTime   = time.Second     // one call counts for so long at most; the next one goes on
	tallyCheck  = 4096            // events between two looks at the clock
)

// stageNames are those of Event.Stages, in the order of counts.p95.
var stageNames = [...]string{"lookup", "bind", "lock", "total"}

// classes is how many classes of times there are: four for each power of two of microseconds, up to 18 minutes.
const classes = 4 * 30

func classOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 4))
	e := bits.Len64(us) - 1
	return min(4*e+int(us>>(e-2)&3), classes-1)
}

// edge is the first moment above a class.
func edge(class int) time.Duration {
	return time.Duration(uint64(5+class%4)<<(class/4)>>2) * time.Microsecond
}

// counts are the logins of one step.
type counts struct {
	verdicts [authn.Challenge + 1]int
	reasons  map[authn.Reason]int
	stages   [len(stageNames)][classes]uint32
}

// tally counts logins for plots. It counts when somebody asks and keeps what it counted: nobody who does not look pays for
// it, and one event is read once. Its size is bounded by the span: a step is a few kilobytes at most, and there are 2500.
type tally struct {
	mu    sync.Mutex
	steps map[int64]*counts // by Unix second of the beginning
	// Events numbered low to high-1 are counted; low is 1, or belongs to what is older than any span, when done.
	low, high uint64
	oldest    time.Time // of the counted ones
	done      bool
}

func (s *Server) plotRoutes(api huma.API) {
	huma.Get(api, "/api/v1/plots", s.showPlots)
}

func (s *Server) showPlots(ctx context.Context, in *struct {
	Span string `query:"span" enum:"1h,24h,7d,30d,90d" default:"24h"`
}) (*struct{ Body Plots }, error) {
	if by := PrincipalOf(ctx); !by.Scope.All() {
		return nil, answerProblem(operator.NoRight, operator.ReadTokens, by)
	}
	now, span := s.Now(), spans[in.Span]
	_, zone := now.Zone() // a day begins at midnight where the service stands
	ahead := time.Duration(zone) * time.Second
	v := Plots{To: now.Add(ahead).Truncate(span.step).Add(span.step - ahead).UTC(), Seconds: int64(span.step / time.Second)}
	v.From = v.To.Add(-span.length)
	t := &s.calls.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.count(ctx, s.Store, s.Store.Seq(), now, v.From); err != nil {
		s.Log.Error("counting logins", "error", err)
		return nil, newProblem(http.StatusInternalServerError, "fault", wordEventsFailed)
	}
	if !t.done && t.oldest.After(v.From) {
		oldest := t.oldest
		v.Since = &oldest
	}
	for at := v.From; at.Before(v.To); at = at.Add(span.step) {
		v.Steps = append(v.Steps, t.step(at, span.step))
	}
	return &struct{ Body Plots }{v}, nil
}

// count reads what came since the last call, and what is older, back to the beginning of a span.
func (t *tally) count(ctx context.Context, store Store, newest uint64, now, from time.Time) error {
	if t.steps == nil {
		t.steps, t.low, t.high, t.oldest = map[int64]*counts{}, newest+1, newest+1, now
	}
	fine := now.Add(-tallyHour * time.Hour)
	if newest >= t.high {
		// All of them or none: a gap in the middle would never be filled.
		fresh := tally{steps: map[int64]*counts{}}
		read := 0
		begun := time.Now()
		whole := true
		err := store.Cores(ctx, t.high, newest, func(e *authn.Event) bool {
			fresh.add(e, fine)
			read++
			whole = read%tallyCheck != 0 || time.Since(begun) < tallyTime
			return whole
		})
		if err != nil {
			return err
		}
		if !whole { // so much came since anybody looked that it is better to begin anew, from the newest
			t.steps, t.low, t.high, t.done = fresh.steps, fresh.low, newest+1, false
			t.oldest = fresh.oldest
		} else {
			t.high = newest + 1
			for at, c := range fresh.steps {
				t.at(at).merge(c)
			}
		}
	}
	if !t.done && t.oldest.After(from) && t.low > 1 {
		begun, read, end := time.Now(), 0, now.Add(-longestSpan)
		err := store.Cores(ctx, 1, t.low-1, func(e *authn.Event) bool {
			if e.At.Before(end) {
				t.done = true
				return false
			}
			t.add(e, fine)
			read++
			return e.At.After(from) && (read%tallyCheck != 0 || time.Since(begun) < tallyTime)
		})
		if err != nil {
			return err
		}
	}
	t.done = t.done || t.low <= 1
	t.drop(now, fine)
	return nil
}

// add counts one event; they come newest first.
func (t *tally) add(e *authn.Event, fine time.Time) {
	t.low, t.oldest = e.Seq, e.At
	if e.Kind != authn.LoginEvent || int(e.Verdict) >= len(counts{}.verdicts) {
		return
	}
	step := time.Hour
	if e.At.After(fine) {
		step = tallyStep
	}
	c := t.at(e.At.Truncate(step).Unix())
	n := int(max(e.Count, 1))
	c.verdicts[e.Verdict] += n
	c.reasons[e.Reason] += n
	for i, d := range [...]time.Duration{e.Stages.Lookup, e.Stages.Bind, e.Stages.Lock, e.Stages.Total} {
		if d > 0 {
			c.stages[i][classOf(d)]++
		}
	}
}

func (t *tally) at(unix int64) *counts {
	c := t.steps[unix]
	if c == nil {
		c = &counts{reasons: map[authn.Reason]int{}}
		t.steps[unix] = c
	}
	return c
}

func (c *counts) merge(o *counts) {
	for i, n := range o.verdicts {
		c.verdicts[i] += n
	}
	for r, n := range o.reasons {
		c.reasons[r] += n
	}
	for i := range o.stages {
		for j, n := range o.stages[i] {
			c.stages[i][j] += n
		}
	}
}

// drop makes hours of the fine steps that are no longer asked for, and forgets what is older than any span.
func (t *tally) drop(now, fine time.Time) {
	end := now.Add(-longestSpan - 24*time.Hour).Unix()
	for at, c := range t.steps {
		hour := at - at%3600
		switch {
		case at < end:
			delete(t.steps, at)
		case at < fine.Add(-time.Hour).Unix() && at != hour:
			t.at(hour).merge(c)
			delete(t.steps, at)
		}
	}
}

// step sums the steps that begin within one of the plot's.
func (t *tally) step(from time.Time, length time.Duration) PlotStep {
	v := PlotStep{At: from}
	sum := counts{reasons: map[authn.Reason]int{}}
	for at, to := from.Unix(), from.Add(length).Unix(); at < to; at += int64(tallyStep / time.Second) {
		if c := t.steps[at]; c != nil {
			sum.merge(c)
		}
	}
	for verdict, n := range sum.verdicts {
		if n > 0 {
			set(&v.Verdicts, authn.Verdict(verdict).String(), n)
		}
	}
	for reason, n := range sum.reasons {
		set(&v.Reasons, reason.String(), n)
	}
	for i, name := range stageNames {
		if ms, ok := p95(sum.stages[i][:]); ok {
			set(&v.P95, name, ms)
		}
	}
	return v
}

func set[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// p95 is the upper edge of the class in which the 95th of 100 lies, in milliseconds.
func p95(all []uint32) (ms float64, ok bool) {
	sum, seen := uint64(0), uint64(0)
	for _, n := range all {
		sum += uint64(n)
	}
	for i, n := range all {
		if seen += uint64(n); sum > 0 && seen*100 >= sum*95 {
			return float64(edge(i).Microseconds()) / 1000, true
		}
	}
	return 0, false
}
