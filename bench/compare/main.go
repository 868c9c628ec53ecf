// compare measures servers for one-time passwords against each other: one after the other on the same machine, in rounds
// that alternate their order, each start fresh, and prints what they do per second and what a login costs them, as Markdown,
// and whether the bars of the performance table are reached.
//
//	go run ./compare -rows code-only,password
//	go run ./compare -rows 5 -json password.jsonl
//
// Run it in the folder of this module. It builds the generator, the servers of this module and Sekisho itself, makes
// users, configurations and directories in a temporary folder, and keeps to 127.0.0.1. FreeRADIUS, slapd and PostgreSQL
// come from Debian's packages; what is missing is named.
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
	"strings"
	"syscall"
	"time"
)

const defaultLength = 3 * time.Second

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
	events  int
}

// init locks the main goroutine to the main thread: servers are children of it and end with it (see launch).
func init() { runtime.LockOSThread() }

func main() {
	var o options
	flag.StringVar(&o.rows, "rows", "code-only,ceiling,password", "comparisons by name, or by number of the performance table")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; ratios of fewer than 5 say little")
	flag.DurationVar(&o.length, "length", defaultLength, "how long each server is measured in each round, where the row has no length of its own")
	flag.IntVar(&o.users, "users", 0, "number of users instead of the row's own")
	flag.DurationVar(&o.budget, "budget", 8*time.Minute+45*time.Second, "time for everything: waiting for a quiet machine and repeating noisy measurements stop when it gets short, then rounds")
	flag.StringVar(&o.without, "without", "", "servers to leave out, by the beginnings of their names, comma-separated")
	flag.StringVar(&o.sekisho, "sekisho", "", "program to measure; else it is built from the folder above")
	flag.StringVar(&o.json, "json", "", "file that gets each measurement as a line of JSON")
	flag.StringVar(&o.keep, "keep", "", "folder to work in, new or empty, which is kept; else a temporary one")
	flag.BoolVar(&o.noisy, "noisy", false, "take the machine as it is: neither wait until it is quiet nor repeat")
	flag.IntVar(&o.events, "events", 5_000_000, "row stored: login events that are laid in, at most 50,000,000: about 180 octets each on disk")
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
		c := &session{row: r, options: o, dir: filepath.Join(dir, r.name), bin: bin, servers: newServers(bin, o.sekisho),
			deadline: time.Now().Add(share), lines: lines, out: out}
		if err := c.measureRow(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if o.keep == "" { // a row's databases are large
			_ = os.RemoveAll(c.dir)
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
