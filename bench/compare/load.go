package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sekisho/bench/internal/report"
)

// load is what the generator does to a server.
type load struct {
	Window int           // outstanding requests of a closed loop; 0: an open loop of Rate
	Rate   float64       // logins a second
	Length time.Duration // counted, after the warm-up

	Wrong, Unknown bool   // codes are wrong; names are nobody's
	Names          int    // how many there are; 0: as many as the server has users
	Realm          string // behind each name
	Layout         string // of the password field, where it is not the row's

	Timeout  time.Duration // until a request is sent again or given up; 0: 2 s
	Once     bool          // nothing is sent again
	Count    int           // stop after so many; 0: by time alone
	Sockets  int           // 256 requests can be open on each; 0: what window or rate usually need
	NoWarmup bool          // everything is counted
	Burst    float64       // rate between BurstFrom and BurstFrom+BurstFor of the counted time
	BurstFrom, BurstFor,
	Slot time.Duration // figures by so long parts
}

// String tells loads apart in tables and file names.
func (l load) String() string {
	s := fmt.Sprintf("%.0f/s", l.Rate)
	if l.Window > 0 {
		s = "window " + strconv.Itoa(l.Window)
	}
	switch {
	case l.Unknown:
		s += ", unknown users"
	case l.Wrong:
		s += ", wrong codes"
	}
	return s
}

// refused says that every request has to be refused.
func (l load) refused() bool { return l.Wrong || l.Unknown }

// radload runs the generator, which remembers for each server which codes it has used.
func (s *session) radload(ctx context.Context, i *instance, l load) (r report.Result, err error) {
	cmd := s.radloadCommand(ctx, i, l)
	said, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("radload: %w", err)
	}
	return r, readReport(said, &r)
}

func readReport(said []byte, r *report.Result) error {
	if err := json.Unmarshal(said, r); err != nil {
		return fmt.Errorf("reading what radload said: %w", err)
	}
	return nil
}

// radloadCommand is the generator, not started yet.
func (s *session) radloadCommand(ctx context.Context, i *instance, l load) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "radload"), radloadArgs(i, l)...)
	cmd.Stderr = os.Stderr
	return cmd
}

func radloadArgs(i *instance, l load) []string {
	var pids []string
	for _, part := range i.parts {
		pids = append(pids, strconv.Itoa(part.cmd.Process.Pid))
	}
	layout, before, timeout := i.layout, warmup, 2*time.Second
	if l.Layout != "" {
		layout = l.Layout
	}
	if l.NoWarmup {
		before = 0
	}
	names := i.users
	if l.Names > 0 {
		names = l.Names
	}
	if l.Timeout > 0 {
		timeout = l.Timeout
	}
	args := []string{"run", "-addr", "127.0.0.1:" + strconv.Itoa(i.port), "-secret", secret, "-seed", seed,
		"-users", strconv.Itoa(names), "-layout", layout,
		"-warmup", before.String(), "-duration", l.Length.String(), "-timeout", timeout.String(),
		"-pid", strings.Join(pids, ","), "-kind", i.kind}
	add := func(on bool, more ...string) {
		if on {
			args = append(args, more...)
		}
	}
	add(i.server.Forgets(), "-reuse")
	add(i.counter > 0, "-hotp-start", strconv.FormatUint(i.counter, 10))
	if l.Realm == "" && !l.Unknown && !i.server.Forgets() {
		add(true, "-state", filepath.Join(i.dir, "used.bin"))
	}
	if _, other := i.server.(*freeradiusServer); !other && !i.server.Forgets() {
		add(true, "-require-ma")
	}
	sockets := l.Sockets
	if l.Window > 0 {
		add(true, "-window", strconv.Itoa(l.Window))
		sockets = max(sockets, (l.Window+255)/256, 4)
	} else {
		add(true, "-rate", strconv.FormatFloat(l.Rate, 'f', -1, 64))
		sockets = max(sockets, 12)
	}
	add(true, "-sockets", strconv.Itoa(sockets))
	add(l.Wrong, "-wrong")
	add(l.Unknown, "-unknown")
	add(l.Realm != "", "-realm", l.Realm)
	add(l.Once, "-retries", "0")
	add(l.Count > 0, "-count", strconv.Itoa(l.Count))
	add(l.Burst > 0, "-burst-rate", strconv.FormatFloat(l.Burst, 'f', -1, 64), "-burst-from", l.BurstFrom.String(), "-burst-for", l.BurstFor.String())
	add(l.Slot > 0, "-slot", l.Slot.String())
	return args
}
