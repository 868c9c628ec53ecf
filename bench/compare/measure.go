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

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/report"
)

// load is what the generator does to a server.
type load struct {
	Window int           // outstanding requests of a closed loop; 0: an open loop of Rate
	Rate   float64       // logins a second
	Length time.Duration // counted, after the warm-up
}

// String tells loads apart in tables and file names.
func (l load) String() string {
	if l.Window > 0 {
		return "window " + strconv.Itoa(l.Window)
	}
	return fmt.Sprintf("%.0f/s", l.Rate)
}

// measurement is one server under one load in one round.
type measurement struct {
	Row    string `json:"row"`
	Round  int    `json:"round"`
	Server string `json:"server"`
	Load   string `json:"load"`
	// StartMS is from the start of the program to its first Access-Accept.
	StartMS float64 `json:"start_ms"`
	// CPU per login in microseconds, user and system, of the server and of what it needs (a directory), from the first
	// login to the very end: what a server puts off until it is stopped is counted, too.
	CPU float64 `json:"cpu_us_per_login"`
	// OwnCPU is the server's part of CPU.
	OwnCPU float64 `json:"own_cpu_us_per_login"`
	// Resident is the server's own memory in octets after the load.
	Resident int64 `json:"rss_bytes"`
	// Others is the share of one core that everybody else on the machine used meanwhile: how clean the figures are.
	Others float64 `json:"others_cores"`

	report.Result
}

// mayRefuse is the part of answers that may be no Access-Accept.
const mayRefuse = 0.005

const warmup = 500 * time.Millisecond

// meter measures the servers of one row.
type meter struct {
	row      *row
	users    int
	radload  string
	quiet    func(ctx context.Context) // waits for a quiet machine
	prepared map[server]*prepared
}

// prepared is what a server has on disk and how far its codes are used up.
type prepared struct {
	dir    string
	starts int // each start logs in a user of its own
}

// measure starts a server, loads it and stops it.
func (m *meter) measure(ctx context.Context, e entry, round int) (measurement, error) {
	p := m.prepared[e.server]
	out := measurement{Row: m.row.name, Round: round, Server: e.server.Name(), Load: e.load.String()}
	fail := func(err error) (measurement, error) {
		return out, fmt.Errorf("%s, %s, round %d: %w", out.Server, out.Load, round, err)
	}
	if m.row.kind == "totp" && !e.server.Forgets() {
		untilNextStep(ctx)
	}
	m.quiet(ctx)
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	port, parts, err := e.server.Start(p.dir)
	defer func() { // parts of a measurement that failed
		for _, part := range parts {
			_ = part.cmd.Process.Kill()
			<-part.done
		}
	}()
	if err != nil {
		return fail(err)
	}
	if p.starts == spareUsers {
		return fail(fmt.Errorf("started %d times: there are no users left for first logins", p.starts))
	}
	kind := m.row.kind
	if e.server.Forgets() {
		kind = "totp"
	}
	first, err := firstAccept(port, parts, otpgen.Derive(seed, m.users+p.starts), kind, m.row.layout)
	p.starts++
	if err != nil {
		return fail(err)
	}
	out.StartMS = first.Seconds() * 1000

	before := make([]float64, len(parts))
	for i, part := range parts {
		before[i] = part.used()
	}
	if out.Result, err = m.generate(ctx, e, p.dir, port, parts); err != nil {
		return fail(err)
	}
	out.Others = max(0, out.OtherCPU+out.StolenByHypervisor) / out.Seconds
	out.Resident = parts[0].resident()

	used, err := stopAll(parts)
	parts = nil
	if err != nil {
		return fail(err)
	}
	perLogin := 1e6 / float64(out.Answered)
	for i := range used {
		out.CPU += (used[i] - before[i]) * perLogin
	}
	out.OwnCPU = (used[0] - before[0]) * perLogin
	answers := out.Accept + out.Reject + out.Challenge
	if out.Stalled > out.Seconds/20 {
		return fail(fmt.Errorf("the generator waited %.1f s for fresh codes: %d users are too few for this load", out.Stalled, m.users))
	}
	tolerated := mayRefuse * float64(answers)
	if e.server.Forgets() {
		// What is in flight when a TOTP step ends is refused by servers that know the present step alone.
		tolerated += float64(max(e.load.Window, int(e.load.Rate/100)))
	}
	if bad := answers - out.Accept + out.Timeout + out.Bad; float64(bad) > tolerated {
		return fail(fmt.Errorf("of %d logins %d were accepted, %d rejected, %d challenged, %d never answered, %d answered badly: these figures say nothing",
			out.Sent, out.Accept, out.Reject, out.Challenge, out.Timeout, out.Bad))
	}
	return out, nil
}

// generate runs radload, which remembers for each server which codes it has used.
func (m *meter) generate(ctx context.Context, e entry, dir string, port int, parts []*process) (r report.Result, err error) {
	var pids []string
	for _, part := range parts {
		pids = append(pids, strconv.Itoa(part.cmd.Process.Pid))
	}
	args := []string{"run", "-addr", "127.0.0.1:" + strconv.Itoa(port), "-secret", secret, "-seed", seed,
		"-users", strconv.Itoa(m.users), "-layout", m.row.layout,
		"-warmup", warmup.String(), "-duration", e.load.Length.String(), "-timeout", "2s",
		"-pid", strings.Join(pids, ",")}
	if e.server.Forgets() {
		args = append(args, "-kind", "totp", "-reuse")
	} else {
		args = append(args, "-kind", m.row.kind, "-state", filepath.Join(dir, "used.bin"), "-require-ma")
	}
	if e.load.Window > 0 {
		args = append(args, "-window", strconv.Itoa(e.load.Window))
	} else {
		args = append(args, "-rate", strconv.FormatFloat(e.load.Rate, 'f', -1, 64), "-sockets", "12")
	}
	cmd := exec.CommandContext(ctx, m.radload, args...)
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("radload: %w", err)
	}
	if err := json.Unmarshal(said, &r); err != nil {
		return r, fmt.Errorf("reading what radload said: %w", err)
	}
	return r, nil
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
