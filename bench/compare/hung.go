package main

import (
	"context"
	"fmt"
	"time"

	"sekisho/bench/internal/report"
)

// hungRow logs people in who need no directory while others come whose directory answers, or hangs.
var hungRow = &row{
	name: "hung", title: fmt.Sprintf("code only, HOTP, %s/s, while %s/s of another realm come whose directory answers or hangs", figure(apartRate), figure(hungRate)), figure: []int{13},
	users: 20_000, kind: "hotp", layout: "otp",
	run: measureHung,
}

const (
	apartRate = 2000 // logins a second that need no directory
	hungRate  = 200  // logins a second of the realm whose directory hangs
)

func measureHung(ctx context.Context, s *session) error {
	srv := &sekisho{path: s.options.sekisho, name: nameSekisho + ", two directories", second: true, relayed: true}
	i, err := s.prepare(ctx, srv)
	if err != nil {
		return err
	}
	modes := []string{"answers", "hangs"}
	seen := make([][]report.Result, len(modes))
	n, err := s.rounds(func(round int) error {
		for _, k := range inTurn([]int{0, 1}, round) {
			s.settle(ctx)
			main, others, err := s.besideHung(ctx, i, srv, k == 1)
			if err != nil {
				return fmt.Errorf("the directory %s: %w", modes[k], err)
			}
			progress("%s: round %d, directory %s: %.0f logins/s, p99 %.2f ms; others: %d answered, %d not", s.row.name, round, modes[k],
				main.AcceptPerSecond, main.P99/1000, others.Answered, others.Timeout)
			seen[k] = append(seen[k], main)
		}
		return nil
	})
	if n == 0 {
		return err
	}
	fmt.Fprintf(s.out, "%s: %s; median of %s\n\n", s.row.name, s.row.title, count(n, "round"))
	var lines [][]string
	for k, mode := range modes {
		of := func(f func(report.Result) float64) string { return spreadOf(columnOf(seen[k], f)).in("") }
		lines = append(lines, []string{mode, of(func(r report.Result) float64 { return r.AcceptPerSecond }),
			of(func(r report.Result) float64 { return r.P50 / 1000 }), of(func(r report.Result) float64 { return r.P99 / 1000 }),
			of(func(r report.Result) float64 { return float64(r.Retransmit + r.Timeout) })})
	}
	markdown(s.out, []string{"the other directory", "logins/s", "p50 ms", "p99 ms", "resent"}, lines)
	var ratios []float64
	for k := range seen[0] {
		ratios = append(ratios, seen[1][k].P99/seen[0][k].P99)
	}
	printVerdicts(s.out, []verdict{{13, "p99 of logins that need no directory, another one hangs / answers", spreadOf(ratios), "x", 1.1, none, true}})
	return err
}

// besideHung starts the server and sends both loads at once; the one that counts begins when the other has found out.
func (s *session) besideHung(ctx context.Context, i *instance, srv *sekisho, hang bool) (main, others report.Result, err error) {
	srv.relay.Hang(false)
	if err := i.start(); err != nil {
		return main, others, err
	}
	defer i.kill()
	srv.relay.Hang(hang)
	defer srv.relay.Hang(false)
	const ahead = time.Second
	cmd := s.radloadCommand(ctx, i, load{Rate: hungRate, Length: s.options.length + 2*ahead, Realm: "@" + secondRealm, Layout: "passotp", NoWarmup: true, Sockets: 16})
	cmd.Stderr = nil
	result := make(chan error, 1)
	go func() {
		// A directory that hangs may mean no answer at all, which radload takes for a fault.
		said, err := cmd.Output()
		if len(said) > 0 {
			err = readReport(said, &others)
		}
		result <- err
	}()
	wait(ctx, ahead)
	main, err = s.radload(ctx, i, load{Rate: apartRate, Length: s.options.length})
	if err == nil {
		err = asExpected(&main, entry{server: srv}, i.users)
	}
	if otherErr := <-result; err == nil {
		err = otherErr
	}
	if err != nil {
		return main, others, err
	}
	_, err = i.stop()
	return main, others, err
}
