package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekisho/bench/internal/report"
)

// overloadRow offers more than there is: to a server whose directory is slow, and to one that has a tenth of a core. Peak
// and overload are measured under the same bound, on the same CPUs.
var overloadRow = &row{
	name: "overload", title: "overload: goodput against the peak of the same round, latency of who got in, and how long until all is well again", figure: []int{12},
	users: 100_000, kind: "hotp", layout: "otp", unanswered: true,
	run: measureOverload,
}

const (
	slowDirectory  = 2000   // requests a second that the directory takes
	offeredToSlow  = 20_000 // logins a second
	heldShare      = 0.10   // of a core
	offeredTimes   = 10     // the peak
	overloadSlot   = 500 * time.Millisecond
	overloadWait   = 3 * time.Second // until the generator gives a request up, as gateways do
	overloadOpen   = 320             // sockets: all that can be open within overloadWait
	backToNormalIn = 10.0            // seconds
	admittedIn     = 2.0             // seconds, 99th percentile
	wellIfWithin   = 2.0             // times the 99th percentile from before, or
	wellIfBelow    = 0.1             // seconds
)

// overloaded is one scenario.
type overloaded struct {
	name   string
	server server
	bound  func(i *instance) (lift func(), how string, err error) // what makes it slow, on a server that runs
	offer  func(peak float64) float64
	normal float64 // of the peak, before and after
}

func measureOverload(ctx context.Context, s *session) error {
	undo, err := apart()
	if err != nil {
		return err
	}
	defer undo()
	slow := &sekisho{path: s.options.sekisho, name: nameSekisho + ", slow directory", ldap: true, relayed: true}
	scenarios := []overloaded{
		{
			name: fmt.Sprintf("directory takes %s requests/s", figure(slowDirectory)), server: slow, normal: 0.5,
			bound: func(*instance) (func(), string, error) {
				slow.relay.Pace(slowDirectory)
				return func() { slow.relay.Pace(0) }, "relay", nil
			},
			offer: func(float64) float64 { return offeredToSlow },
		},
		{
			name: "10 % of a core", server: &sekisho{path: s.options.sekisho, name: nameSekisho + ", held"}, normal: 0.5,
			bound: func(i *instance) (func(), string, error) {
				p := i.parts[0]
				h, err := holdTo(p, heldShare)
				if err != nil {
					return nil, "", err
				}
				return func() { h.lift(p) }, h.how, nil
			},
			offer: func(peak float64) float64 { return offeredTimes * peak },
		},
	}
	var instances []*instance
	for _, o := range scenarios {
		i, err := s.prepare(ctx, o.server)
		if err != nil {
			return err
		}
		if o.server == slow { // the password row's layout
			i.layout = "passotp"
		}
		instances = append(instances, i)
	}
	seen := make([][]flooded, len(scenarios))
	n, err := s.rounds(func(round int) error {
		for _, k := range inTurn([]int{0, 1}, round) {
			s.settle(ctx)
			one, err := s.overload(ctx, instances[k], scenarios[k])
			if err != nil {
				return fmt.Errorf("%s: %w", scenarios[k].name, err)
			}
			progress("%s: round %d, %s (%s): peak %.0f/s, offered %.0f/s, goodput %.0f/s, admitted p99 %.2f s, normal after %.1f s", s.row.name, round,
				scenarios[k].name, one.how, one.peak, one.offered, one.goodput, one.admitted, one.back)
			seen[k] = append(seen[k], one)
		}
		return nil
	})
	if n == 0 {
		return err
	}
	fmt.Fprintf(s.out, "%s: %s; median of %s\n\n", s.row.name, s.row.title, count(n, "round"))
	var lines [][]string
	var vs []verdict
	for k, o := range scenarios {
		of := func(f func(flooded) float64) spread { return spreadOf(columnOf(seen[k], f)) }
		goodput := of(func(o flooded) float64 { return o.goodput / o.peak })
		admitted := of(func(o flooded) float64 { return o.admitted })
		back := of(func(o flooded) float64 { return o.back })
		lines = append(lines, []string{o.name, seen[k][0].how, of(func(o flooded) float64 { return o.peak }).in(""), of(func(o flooded) float64 { return o.offered }).in(""),
			of(func(o flooded) float64 { return o.goodput }).in(""), admitted.in(""), of(func(o flooded) float64 { return o.usual }).in(""), back.in("")})
		vs = append(vs,
			verdict{12, "goodput / peak: " + o.name, goodput, "x", 0.9, none, false},
			verdict{12, "admitted p99: " + o.name, admitted, " s", admittedIn, none, true},
			verdict{12, "back to normal: " + o.name, back, " s", backToNormalIn, none, true})
	}
	markdown(s.out, []string{"bound", "by", "peak/s", "offered/s", "goodput/s", "admitted p99 s", "p99 s before", "normal again s"}, lines)
	printVerdicts(s.out, vs)
	return err
}

// flooded is one round of one scenario.
type flooded struct {
	how            string
	peak, offered  float64
	goodput        float64 // Access-Accepts a second that came during the overload
	admitted       float64 // seconds, 99th percentile of logins asked for during the overload and accepted
	usual          float64 // seconds, 99th percentile before
	back           float64 // seconds from the end of the overload until everything is as before
	before, during time.Duration
}

// overload measures the peak, the better of two closed loops, and then a usual load, a flood and the usual load again in one run.
func (s *session) overload(ctx context.Context, i *instance, o overloaded) (flooded, error) {
	var f flooded
	if err := i.start(); err != nil {
		return f, err
	}
	defer i.kill()
	lift, how, err := o.bound(i)
	if err != nil {
		return f, err
	}
	defer lift()
	f.how = how
	for _, window := range []int{small, large} {
		peak, err := s.radload(ctx, i, load{Window: window, Length: s.options.length, Timeout: overloadWait})
		if err != nil {
			return f, err
		}
		f.peak = max(f.peak, peak.AcceptPerSecond)
	}
	if f.peak == 0 {
		return f, errors.New("nobody got in while the peak was looked for")
	}
	f.offered = o.offer(f.peak)
	// Long enough that what queues hold at the beginning does not pass for goodput: 10 s unless told otherwise.
	f.before, f.during = s.options.length, 3*s.options.length+time.Second
	after := time.Duration(backToNormalIn*float64(time.Second)) + overloadWait
	r, err := s.radload(ctx, i, load{Rate: o.normal * f.peak, Length: f.before + f.during + after, Sockets: overloadOpen,
		Timeout: overloadWait, Once: true, Burst: f.offered, BurstFrom: f.before, BurstFor: f.during, Slot: overloadSlot})
	if err != nil {
		return f, err
	}
	f.read(&r)
	err = s.lines.Encode(map[string]any{"row": s.row.name, "scenario": o.name, "peak_per_s": f.peak, "result": r})
	if err != nil {
		return f, err
	}
	lift()
	lift = func() {}
	_, err = i.stop()
	return f, err
}

// read takes the figures of the run apart.
func (f *flooded) read(r *report.Result) {
	from, to := f.before.Seconds(), (f.before + f.during).Seconds()
	var came int64
	for _, slot := range r.Slots {
		late := slot.AcceptP99 / 1e6
		switch {
		case slot.From < from:
			f.usual = max(f.usual, late)
		case slot.From < to:
			came += slot.Came
		case float64(slot.Accepted) < 0.99*float64(slot.Sent) || late > max(wellIfWithin*f.usual, wellIfBelow):
			f.back = slot.From - to + overloadSlot.Seconds()
		}
	}
	f.goodput = float64(came) / f.during.Seconds()
	f.admitted = r.BurstAcceptP99 / 1e6
}
