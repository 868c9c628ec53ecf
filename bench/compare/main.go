// compare measures servers for one-time passwords against each other: one after the other on the same machine, in rounds
// that alternate their order, each start fresh, and prints what they do per second and what a login costs them.
//
//	go run ./compare -rows code-only,password
//	go run ./compare -rows 5 -json password.jsonl
//
// Run it in the folder of this module. It builds the generator, the servers of this module and Sekisho itself, makes
// users, configurations and directories in a temporary folder, and keeps to 127.0.0.1. FreeRADIUS and slapd come from
// Debian's packages freeradius, freeradius-ldap and slapd.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sekisho/bench/internal/proc"
)

// spareUsers are for the first login after each start.
const spareUsers = 256

// tooBusy is the share of a core from which on others make a measurement doubtful.
const tooBusy = 0.15

// options are the flags.
type options struct {
	rows    string
	rounds  int
	length  time.Duration
	users   int
	budget  time.Duration
	without string
	sekisho string
	json    string
	keep    string
	noisy   bool
}

// init locks the main goroutine to the main thread: servers are children of it and end with it (see launch).
func init() { runtime.LockOSThread() }

func main() {
	var o options
	flag.StringVar(&o.rows, "rows", "code-only,password", "comparisons by name, or by number of the performance table")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; ratios of fewer than 5 say little")
	flag.DurationVar(&o.length, "length", 3*time.Second, "how long each server is measured in each round")
	flag.IntVar(&o.users, "users", 0, "number of users instead of the row's own")
	flag.DurationVar(&o.budget, "budget", 8*time.Minute+30*time.Second, "time for everything: waiting for a quiet machine and repeating noisy measurements stop when it gets short, then rounds")
	flag.StringVar(&o.without, "without", "", "servers to leave out, by the beginnings of their names, comma-separated")
	flag.StringVar(&o.sekisho, "sekisho", "", "program to measure; else it is built from the folder above")
	flag.StringVar(&o.json, "json", "", "file that gets each measurement as a line of JSON")
	flag.StringVar(&o.keep, "keep", "", "folder to work in, new or empty, which is kept; else a temporary one")
	flag.BoolVar(&o.noisy, "noisy", false, "take the machine as it is: neither wait until it is quiet nor repeat")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	deadline := time.Now().Add(o.budget)
	picked, err := pick(o.rows)
	if err != nil {
		return err
	}
	dir, err := folder(o.keep)
	if err != nil {
		return err
	}
	if o.keep == "" {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	lines := json.NewEncoder(io.Discard)
	if o.json != "" {
		f, err := os.OpenFile(o.json, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		lines = json.NewEncoder(f)
	}
	bin := filepath.Join(dir, "bin")
	if err := build(ctx, bin, ".", "./radload", "./udpbare", "./protosrv", "./stocksrv"); err != nil {
		return err
	}
	if o.sekisho == "" && !leftOut(nameSekisho, o.without) {
		if err := build(ctx, bin, "..", "./cmd/sekisho"); err != nil {
			return err
		}
		o.sekisho = filepath.Join(bin, "sekisho")
	}
	for i, r := range picked {
		share := time.Until(deadline) / time.Duration(len(picked)-i)
		s := newServers(bin, o.sekisho)
		c := &comparison{row: r, options: o, dir: filepath.Join(dir, r.name), radload: filepath.Join(bin, "radload"),
			deadline: time.Now().Add(share), lines: lines}
		for _, e := range r.entries(s, o.length) {
			if !leftOut(e.server.Name(), o.without) {
				c.entries = append(c.entries, e)
			}
		}
		res, err := c.run(ctx)
		if res != nil {
			res.print(out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// folder makes the place where everything goes.
func folder(keep string) (string, error) {
	if keep == "" {
		return os.MkdirTemp("", "sekisho-bench-")
	}
	if err := os.MkdirAll(keep, 0o700); err != nil {
		return "", err
	}
	if found, err := os.ReadDir(keep); err != nil || len(found) > 0 {
		return "", errors.Join(err, fmt.Errorf("-keep %s: the folder is not empty", keep))
	}
	return filepath.Abs(keep)
}

// build compiles programs of one module.
func build(ctx context.Context, bin, module string, programs ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-C", module, "-o", bin + "/"}, programs...)...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", strings.Join(programs, " "), module, err, said)
	}
	return nil
}

// leftOut reports whether -without names the server.
func leftOut(name, without string) bool {
	for beginning := range strings.SplitSeq(without, ",") {
		if beginning != "" && strings.HasPrefix(strings.ToLower(name), strings.ToLower(beginning)) {
			return true
		}
	}
	return false
}

// comparison is one row being measured.
type comparison struct {
	row      *row
	entries  []entry
	options  options
	dir      string
	radload  string
	deadline time.Time
	lines    *json.Encoder
}

// run measures the rounds; results come back beside an error too, as far as they go in whole rounds.
func (c *comparison) run(ctx context.Context) (*results, error) {
	if len(c.entries) == 0 {
		return nil, fmt.Errorf("%s: every server is left out", c.row.name)
	}
	m := &meter{row: c.row, users: c.row.users, radload: c.radload, prepared: map[server]*prepared{}}
	if c.options.users > 0 {
		m.users = c.options.users
	}
	for i, e := range c.entries {
		if m.prepared[e.server] != nil {
			continue
		}
		p := &prepared{dir: filepath.Join(c.dir, strconv.Itoa(i))}
		if err := os.MkdirAll(p.dir, 0o700); err != nil {
			return nil, err
		}
		progress("%s: preparing %s with %d users", c.row.name, e.server.Name(), m.users)
		if err := e.server.Prepare(ctx, p.dir, c.row, m.users+spareUsers); err != nil {
			return nil, fmt.Errorf("preparing %s: %w", e.server.Name(), err)
		}
		m.prepared[e.server] = p
	}
	res := &results{row: c.row, entries: c.entries, of: map[string][]measurement{}}
	var longest time.Duration // of one measurement, its wait for quiet left out
	for round := 1; round <= c.options.rounds; round++ {
		left := (c.options.rounds - round + 1) * len(c.entries)
		if time.Until(c.deadline) < longest*time.Duration(len(c.entries)) {
			return res, fmt.Errorf("%s: the time was enough for %d of %d rounds", c.row.name, round-1, c.options.rounds)
		}
		order := slices.Clone(c.entries)
		if round%2 == 0 {
			slices.Reverse(order)
		}
		got := map[string]measurement{}
		for _, e := range order {
			spare := time.Until(c.deadline) - longest*time.Duration(left)
			if c.options.noisy {
				spare = 0
			}
			begin := time.Now()
			one, err := c.once(ctx, m, e, round, spare, &longest)
			if err != nil {
				return res, err
			}
			progress("%s: round %d, %s: %.0f logins/s, CPU %.1f us (%.1f s)", c.row.name, round, res.key(e), one.AcceptPerSecond, one.CPU, time.Since(begin).Seconds())
			got[res.key(e)] = one
			left--
		}
		for k, one := range got {
			res.of[k] = append(res.of[k], one)
		}
	}
	return res, nil
}

// once measures an entry, up to three times while others disturb and spare time lasts, and keeps the cleanest.
func (c *comparison) once(ctx context.Context, m *meter, e entry, round int, spare time.Duration, longest *time.Duration) (best measurement, err error) {
	for try := range 3 {
		begin := time.Now()
		var waited time.Duration
		m.quiet = func(ctx context.Context) {
			from := time.Now()
			quiet(ctx, min(spare/2, 10*time.Second))
			waited = time.Since(from)
		}
		one, err := m.measure(ctx, e, round)
		if err != nil {
			return best, err
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
	return best, c.lines.Encode(best)
}

// quiet waits until the machine has next to nothing else to do, at most so long.
func quiet(ctx context.Context, most time.Duration) {
	const look = 300 * time.Millisecond
	for end := time.Now().Add(most); time.Now().Before(end) && ctx.Err() == nil; {
		busy0, _, total0 := proc.Machine()
		wait(ctx, look)
		busy1, _, total1 := proc.Machine()
		if busy1-busy0 < 0.06*(total1-total0) {
			return
		}
	}
}

func progress(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
