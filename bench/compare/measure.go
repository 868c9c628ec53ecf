package main

import (
	"context"
	"fmt"
	"time"

	"sekisho/bench/internal/report"
)

// measurement is one server under one load in one round.
type measurement struct {
	Row    string `json:"row"`
	Round  int    `json:"round"`
	Server string `json:"server"`
	Load   string `json:"load"`
	// StartMS is from the start of the program to its first Access-Accept.
	StartMS float64 `json:"start_ms"`
	// CPU per answer in microseconds, user and system, of the server and of what it needs (a directory), from the first
	// login to the very end: what a server puts off until it is stopped is counted, too.
	CPU float64 `json:"cpu_us_per_login"`
	// OwnCPU is the server's part of CPU.
	OwnCPU float64 `json:"own_cpu_us_per_login"`
	// Resident is the server's own memory in octets after the load.
	Resident int64 `json:"rss_bytes"`
	// Others is the share of one core that everybody else on the machine used meanwhile: how clean the figures are.
	Others float64 `json:"others_cores"`
	// SyncP99 is how long one of 100 calls of fdatasync(2) takes at least on the disk of the server, in microseconds,
	// measured just before. Rows that ask for it have it.
	SyncP99 float64 `json:"fdatasync_p99_us,omitempty"`

	report.Result
}

// mayDiffer is the part of answers that may be another one than the load is made for.
const mayDiffer = 0.005

const warmup = 500 * time.Millisecond

// compare measures the rounds; results come back beside an error too, as far as they go in whole rounds.
func (s *session) compare(ctx context.Context) (*results, error) {
	res := &results{row: s.row, of: map[string][]measurement{}}
	if s.row.note != nil {
		res.note = ": " + s.row.note(s.options)
	}
	for _, e := range s.row.entries(s.servers, s.options.length) {
		if !leftOut(e.server.Name(), s.options.without) {
			res.entries = append(res.entries, e)
		}
	}
	if len(res.entries) == 0 {
		return nil, fmt.Errorf("every server is left out")
	}
	prepared := map[server]*instance{}
	for _, e := range res.entries {
		if prepared[e.server] != nil {
			continue
		}
		i, err := s.prepare(ctx, e.server)
		if err != nil {
			return nil, err
		}
		prepared[e.server] = i
	}
	var longest time.Duration // of one measurement, its wait for quiet left out
	_, err := s.rounds(func(round int) error {
		left := (s.options.rounds - round + 1) * len(res.entries)
		got := map[string]measurement{}
		for _, e := range inTurn(res.entries, round) {
			spare := time.Until(s.deadline) - longest*time.Duration(left)
			if s.options.noisy {
				spare = 0
			}
			begin := time.Now()
			one, err := s.once(ctx, prepared[e.server], e, round, spare, &longest)
			if err != nil {
				return err
			}
			progress("%s: round %d, %s: %.0f answers/s, CPU %.1f us (%.1f s)", s.row.name, round, res.key(e), one.PerSecond, one.CPU, time.Since(begin).Seconds())
			got[res.key(e)] = one
			left--
		}
		for k, one := range got {
			res.of[k] = append(res.of[k], one)
		}
		return nil
	})
	return res, err
}

// inTurn gives things in their order in odd rounds and in the opposite order in even ones.
func inTurn[T any](all []T, round int) []T {
	turned := make([]T, len(all))
	for i, one := range all {
		if round%2 == 0 {
			i = len(all) - 1 - i
		}
		turned[i] = one
	}
	return turned
}

// once measures an entry, up to three times while others disturb and spare time lasts, and keeps the cleanest.
func (s *session) once(ctx context.Context, i *instance, e entry, round int, spare time.Duration, longest *time.Duration) (best measurement, err error) {
	for try := range 3 {
		begin := time.Now()
		quiet(ctx, min(spare/2, 10*time.Second))
		waited := time.Since(begin)
		one, err := s.measure(ctx, i, e, round)
		if err != nil {
			return best, fmt.Errorf("%s, %s: %w", e.server.Name(), e.load, err)
		}
		if try == 0 || one.Others < best.Others {
			best = one
		}
		took := time.Since(begin)
		*longest = max(*longest, took-waited)
		if spare -= took; best.Others < tooBusy || spare < took {
			break
		}
	}
	return best, s.lines.Encode(best)
}

// measure starts a server, loads it and stops it.
func (s *session) measure(ctx context.Context, i *instance, e entry, round int) (measurement, error) {
	out := measurement{Row: s.row.name, Round: round, Server: e.server.Name(), Load: e.load.String()}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	var err error
	if s.row.disk {
		if out.SyncP99, err = syncP99(i.dir); err != nil {
			return out, err
		}
	}
	if err := i.start(); err != nil {
		return out, err
	}
	defer i.kill() // of a measurement that failed
	out.StartMS = i.first.Seconds() * 1000
	if i.kind == "totp" && !i.server.Forgets() {
		untilNextStep(ctx)
	}
	before := i.used()
	if out.Result, err = s.radload(ctx, i, e.load); err != nil {
		return out, err
	}
	out.Others = max(0, out.OtherCPU+out.StolenByHypervisor) / out.Seconds
	out.Resident = i.parts[0].resident()
	used, err := i.stop()
	if err != nil {
		return out, err
	}
	perLogin := 1e6 / float64(out.Answered)
	for k := range used {
		out.CPU += (used[k] - before[k]) * perLogin
	}
	out.OwnCPU = (used[0] - before[0]) * perLogin
	return out, asExpected(&out.Result, e, i.users)
}

// asExpected refuses figures that are not of what the load is for: refusals where logins were wanted, or the other way
// round.
func asExpected(r *report.Result, e entry, users int) error {
	if r.Stalled > r.Seconds/20 {
		return fmt.Errorf("the generator waited %.1f s for fresh codes: %d users are too few for this load", r.Stalled, users)
	}
	answers := r.Accept + r.Reject + r.Challenge
	wanted := r.Accept
	if e.load.refused() {
		wanted = r.Reject
	}
	tolerated := mayDiffer * float64(answers)
	if e.server.Forgets() {
		// What is in flight when a TOTP step ends is refused by servers that know the present step alone.
		tolerated += float64(max(e.load.Window, int(e.load.Rate/100)))
	}
	if bad := answers - wanted + r.Timeout + r.Bad; answers == 0 || float64(bad) > tolerated {
		return fmt.Errorf("of %d requests %d were accepted, %d rejected, %d challenged, %d never answered, %d answered badly: these figures say nothing",
			r.Sent, r.Accept, r.Reject, r.Challenge, r.Timeout, r.Bad)
	}
	return nil
}

// untilNextStep waits for the beginning of a TOTP step, so that each user has a fresh code.
func untilNextStep(ctx context.Context) {
	now := time.Now()
	wait(ctx, now.Truncate(30*time.Second).Add(30*time.Second+200*time.Millisecond).Sub(now))
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
