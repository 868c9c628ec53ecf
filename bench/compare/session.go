package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/proc"
)

// spareUsers are for the first login after each start.
const spareUsers = 256

// tooBusy is the share of a core from which on others make a measurement doubtful.
const tooBusy = 0.15

// session is one row being measured.
type session struct {
	row      *row
	options  options
	dir      string
	bin      string
	servers  *servers
	deadline time.Time
	lines    *json.Encoder
	out      io.Writer

	instances []*instance
}

// measureRow compares the row's entries, then does what else the row asks for.
func (s *session) measureRow(ctx context.Context) error {
	defer s.close()
	if s.row.entries != nil {
		if s.row.run != nil { // both need their share of the time
			whole := s.deadline
			s.deadline = time.Now().Add(time.Until(whole) / 2)
			defer func() { s.deadline = whole }()
		}
		res, err := s.compare(ctx)
		if res != nil {
			res.print(s.out)
		}
		if err != nil {
			return err
		}
	}
	if s.row.run == nil {
		return nil
	}
	return s.row.run(ctx, s)
}

// close ends what a row left running and takes back what its servers put outside its folder.
func (s *session) close() {
	for _, i := range s.instances {
		i.kill()
		if c, ok := i.server.(io.Closer); ok {
			_ = c.Close()
		}
	}
}

// users is how many of a row's or a server's own number log in.
func (s *session) users(want int) int {
	if s.options.users > 0 {
		return min(want, s.options.users)
	}
	return want
}

// instance is a server with what it has on disk and how far its codes are used up.
type instance struct {
	server       server
	dir          string
	users        int
	kind, layout string
	counter      uint64 // of the first code of an event-based token
	starts       int    // each start logs in a user of its own

	port  int
	parts []*process // nil while it does not run
	first time.Duration
}

// prepare makes a server ready to be started, in a folder of its own.
func (s *session) prepare(ctx context.Context, srv server) (*instance, error) {
	i := &instance{server: srv, dir: filepath.Join(s.dir, strconv.Itoa(len(s.instances))), users: s.users(srv.Users(s.row.users)),
		kind: s.row.kind, layout: s.row.layout}
	if srv.Forgets() {
		i.kind = "totp"
	}
	if c, ok := srv.(interface{ FirstCounter() uint64 }); ok {
		i.counter = c.FirstCounter()
	}
	s.instances = append(s.instances, i)
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return nil, err
	}
	progress("%s: preparing %s with %d users", s.row.name, srv.Name(), i.users)
	begin := time.Now()
	if err := srv.Prepare(ctx, i.dir, s.row, i.users+spareUsers); err != nil {
		return nil, fmt.Errorf("preparing %s: %w", srv.Name(), err)
	}
	if l, ok := srv.(interface {
		LayIn(context.Context, *session, *instance) error
	}); ok {
		if err := l.LayIn(ctx, s, i); err != nil {
			return nil, fmt.Errorf("laying in login events: %w", err)
		}
	}
	progress("%s: %s is ready after %.1f s", s.row.name, srv.Name(), time.Since(begin).Seconds())
	return i, nil
}

// start starts the server and logs one user in; first is the time from the start to the Access-Accept. After an error
// nothing runs.
func (i *instance) start() (err error) {
	i.port, i.parts, err = i.server.Start(i.dir)
	if err == nil && i.starts == spareUsers {
		err = fmt.Errorf("started %d times: there are no users left for first logins", i.starts)
	}
	if err == nil {
		i.first, err = firstAccept(i.port, i.parts, otpgen.Derive(seed, i.users+i.starts), i.kind, i.layout, i.counter)
		i.starts++
	}
	if err != nil {
		i.kill()
		return fmt.Errorf("%s: %w", i.server.Name(), err)
	}
	return nil
}

// stop ends all parts and gives the CPU seconds of each part's whole life.
func (i *instance) stop() ([]float64, error) {
	parts := i.parts
	i.parts = nil
	return stopAll(parts)
}

// kill ends whatever runs, as a power cut would.
func (i *instance) kill() {
	for _, p := range i.parts {
		p.kill()
	}
	i.parts = nil
}

// used is the CPU time of each part so far in seconds.
func (i *instance) used() []float64 {
	used := make([]float64, len(i.parts))
	for k, p := range i.parts {
		used[k] = p.used()
	}
	return used
}

// errShort says that fewer rounds were made than asked for.
var errShort = errors.New("the time was not enough for all rounds")

// rounds calls f for each round while there is time for one as long as the longest so far; it reports how many were made.
func (s *session) rounds(f func(round int) error) (int, error) {
	var longest time.Duration
	for round := 1; round <= s.options.rounds; round++ {
		if round > 1 && time.Until(s.deadline) < longest {
			progress("%s: the time was enough for %d of %d rounds", s.row.name, round-1, s.options.rounds)
			if s.row.rounds > 0 && round > s.row.rounds {
				return round - 1, nil
			}
			return round - 1, errShort
		}
		begin := time.Now()
		if err := f(round); err != nil {
			return round - 1, fmt.Errorf("round %d: %w", round, err)
		}
		longest = max(longest, time.Since(begin))
	}
	return s.options.rounds, nil
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

// settle waits for a quiet machine in rows that do not repeat what others disturbed.
func (s *session) settle(ctx context.Context) {
	if !s.options.noisy {
		quiet(ctx, min(time.Until(s.deadline)/20, 5*time.Second))
	}
}

func progress(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
