package main

import (
	"context"
	"fmt"
	"time"

	"sekisho/bench/internal/report"
)

// refusalRow compares what a refusal costs with what a login costs, both at one rate: an answer that is held back a second
// leaves no room for a closed loop.
var refusalRow = &row{
	name: "refusals", title: "code only, HOTP: logins beside refusals, at one rate in an open loop", figure: []int{11},
	users: 100_000, kind: "hotp", layout: "otp",
	entries: func(s *servers, d time.Duration) []entry {
		l := load{Rate: refusalRate, Length: d, Sockets: 64, Timeout: 4 * time.Second}
		wrong, unknown := l, l
		wrong.Wrong, unknown.Unknown = true, true
		return []entry{{s.sekisho, l}, {s.sekisho, wrong}, {s.sekisho, unknown}}
	},
	goals: []goal{
		{11, "CPU per answer", key(nameSekisho, "1500/s, wrong codes"), key(nameSekisho, "1500/s"), cpu, 1, none, true, ""},
		{11, "CPU per answer", key(nameSekisho, "1500/s, unknown users"), key(nameSekisho, "1500/s"), cpu, 1, none, true, ""},
	},
	run: measureFlood,
}

// refusalRate is what fits into the places that one gateway has (2,048) while each refusal keeps one for a second.
const refusalRate = 1500

// A flood of requests that are all refused, faster than refusals may leave. An identifier comes again only after the
// refusal's delay is over, so none takes the place of the one before.
const (
	floodRequests = 1_000_000
	floodRate     = 50_000
	floodTimeout  = 1200 * time.Millisecond
	floodSockets  = 320
)

// bounded is how much more memory the end of a flood may need than its first quarter.
const bounded = 1.1

// measureFlood offers a million delayed refusals and looks whether memory grows with their number.
func measureFlood(ctx context.Context, s *session) error {
	i, err := s.prepare(ctx, s.servers.sekisho)
	if err != nil {
		return err
	}
	var lines [][]string
	var vs []verdict
	for _, l := range []load{{Wrong: true}, {Unknown: true, Names: s.users(floodRequests)}} {
		s.settle(ctx)
		l.Rate, l.Count, l.Length, l.NoWarmup = floodRate, floodRequests, 2*floodRequests/floodRate*time.Second, true
		l.Timeout, l.Once, l.Sockets = floodTimeout, true, floodSockets
		if s.options.length < defaultLength { // a trial
			l.Count = int(floodRate * s.options.length.Seconds())
		}
		before, seen, r, err := s.flood(ctx, i, l)
		if err != nil {
			return err
		}
		first, last := highest(seen[:len(seen)/4+1]), highest(seen[len(seen)*3/4:])
		lines = append(lines, []string{l.String(), figure(float64(r.Answered + r.Timeout)), figure(float64(r.Reject)),
			figure(before), figure(first), figure(highest(seen))})
		vs = append(vs, verdict{11, "memory of the last quarter of the flood / of the first, " + l.String(), spreadOf([]float64{last / first}), "x", bounded, none, true})
	}
	fmt.Fprintf(s.out, "%s: memory while requests come faster than refusals may leave\n\n", s.row.name)
	markdown(s.out, []string{"load", "requests", "refused", "MB before", "MB first quarter", "MB at most"}, lines)
	printVerdicts(s.out, vs)
	return nil
}

// flood offers it to a fresh server and gives its memory in 10^6 octets before and meanwhile.
func (s *session) flood(ctx context.Context, i *instance, l load) (before float64, seen []float64, r report.Result, err error) {
	if err := i.start(); err != nil {
		return 0, nil, r, err
	}
	defer i.kill()
	memory := func() float64 { return float64(i.parts[0].resident()) / 1e6 }
	before = memory()
	cmd := s.radloadCommand(ctx, i, l)
	result := make(chan error, 1)
	go func() {
		said, err := cmd.Output()
		if err == nil {
			err = readReport(said, &r)
		}
		result <- err
	}()
	for {
		select {
		case err := <-result:
			if err != nil {
				return before, seen, r, fmt.Errorf("radload: %w", err)
			}
			seen = append(seen, memory())
			_, err = i.stop()
			return before, seen, r, err
		case <-time.After(100 * time.Millisecond):
			seen = append(seen, memory())
		}
	}
}

func highest(v []float64) float64 { return spreadOf(v).high }
