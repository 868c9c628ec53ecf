package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekisho/bench/internal/report"
)

// startRow kills the server under load, again and again, and looks how long the next start takes to its first accept and
// how much memory it has after the load.
var startRow = &row{
	name: "start", title: "start after kill -9 under load (code only, HOTP, window 512), to the first Access-Accept; memory after the load", figure: []int{7, 8},
	users: 100_000, kind: "hotp", layout: "otp",
	run: measureStarts,
}

// killed is one start and what came before it.
type killed struct {
	start    float64 // seconds to the first Access-Accept
	resident float64 // 10^6 octets after the load
	logins   float64 // since the start before the kill
}

func measureStarts(ctx context.Context, s *session) error {
	servers := []server{
		&sekisho{path: s.options.sekisho, name: nameSekisho + ", 100,000 tokens"},
		s.servers.sekishoMany,
	}
	var instances []*instance
	for _, srv := range servers {
		i, err := s.prepare(ctx, srv)
		if err != nil {
			return err
		}
		instances = append(instances, i)
	}
	seen := make([][]killed, len(instances))
	n, err := s.rounds(func(round int) error {
		for _, k := range inTurn([]int{0, 1}, round) {
			s.settle(ctx)
			one, err := s.killAndStart(ctx, instances[k])
			if err != nil {
				return err
			}
			progress("%s: round %d, %s: first accept after %.2f s, %.0f MB, killed after %.0f logins", s.row.name, round, servers[k].Name(), one.start, one.resident, one.logins)
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
	for k, bars := range [][4]float64{{0.5, 0.2, 80, 60}, {3, 2, 400, 300}} {
		start := spreadOf(columnOf(seen[k], func(o killed) float64 { return o.start }))
		memory := spreadOf(columnOf(seen[k], func(o killed) float64 { return o.resident }))
		logins := spreadOf(columnOf(seen[k], func(o killed) float64 { return o.logins }))
		lines = append(lines, []string{servers[k].Name(), start.in(""), memory.in(""), logins.in("")})
		vs = append(vs,
			verdict{7, "start to first accept: " + servers[k].Name(), start, " s", bars[0], bars[1], true},
			verdict{8, "memory: " + servers[k].Name(), memory, " MB", bars[2], bars[3], true})
	}
	markdown(s.out, []string{"server", "start s", "RSS MB", "logins before the kill"}, lines)
	printVerdicts(s.out, vs)
	return err
}

// killAndStart loads a server, kills it while the load goes on, and starts it anew; it ends stopped in good order, so that
// each round begins alike.
func (s *session) killAndStart(ctx context.Context, i *instance) (killed, error) {
	var k killed
	if err := i.start(); err != nil {
		return k, err
	}
	defer i.kill()
	l := load{Window: large, Length: s.options.length + time.Second, NoWarmup: true, Timeout: 300 * time.Millisecond, Once: true}
	cmd := s.radloadCommand(ctx, i, l)
	result := make(chan error, 1)
	var r report.Result
	go func() {
		said, err := cmd.Output()
		if err == nil {
			err = readReport(said, &r)
		}
		result <- err
	}()
	wait(ctx, s.options.length)
	k.resident = float64(i.parts[0].resident()) / 1e6
	i.kill()
	if err := <-result; err != nil {
		return k, fmt.Errorf("radload: %w", err)
	}
	if k.logins = float64(r.Accept); r.Accept == 0 {
		return k, errors.New("nobody was logged in before the kill")
	}
	if err := i.start(); err != nil {
		return k, err
	}
	k.start = i.first.Seconds()
	k.resident = max(k.resident, float64(i.parts[0].resident())/1e6)
	_, err := i.stop()
	return k, err
}
