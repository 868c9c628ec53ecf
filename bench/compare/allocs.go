package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// allocsRow runs the product's own benchmark over the functions that receive, decide and reply.
var allocsRow = &row{
	name: "allocations", title: "heap allocations of a code-only login", figure: []int{10},
	run: measureAllocs,
}

func measureAllocs(ctx context.Context, s *session) error {
	args := []string{"test", "-C", "..", "-run", "xxx", "-bench", "Login/CodeOnly", "-benchtime", "20000x", "-count", strconv.Itoa(s.options.rounds), "./cmd/sekisho"}
	said, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	seen, err := parseAllocs(string(said))
	if err != nil {
		return fmt.Errorf("%w in\n%s", err, said)
	}
	var lines [][]string
	for _, b := range seen {
		lines = append(lines, []string{figure(b.ns / 1000), figure(b.octets), figure(b.allocs)})
	}
	fmt.Fprintf(s.out, "%s: %s: go %s\n\n", s.row.name, s.row.title, strings.Join(args, " "))
	markdown(s.out, []string{"us", "octets", "allocations"}, lines)
	printVerdicts(s.out, []verdict{{10, "heap allocations per login", spreadOf(columnOf(seen, func(b benchmark) float64 { return b.allocs })), "", 0, 0, true}})
	return nil
}

// benchmark is one line of `go test -bench`, per login.
type benchmark struct{ ns, octets, allocs float64 }

var benchmarkLine = regexp.MustCompile(`(?m)^BenchmarkLogin/CodeOnly\S*\s.*?([\d.]+) ns/op.*?([\d.]+) B/op\s+([\d.]+) allocs/op`)

func parseAllocs(said string) ([]benchmark, error) {
	var all []benchmark
	for _, m := range benchmarkLine.FindAllStringSubmatch(said, -1) {
		var b benchmark
		for i, to := range []*float64{&b.ns, &b.octets, &b.allocs} {
			var err error
			if *to, err = strconv.ParseFloat(m[i+1], 64); err != nil {
				return nil, err
			}
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no figure of BenchmarkLogin/CodeOnly")
	}
	return all, nil
}
