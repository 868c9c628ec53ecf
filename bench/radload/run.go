package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/proc"
	"sekisho/bench/internal/report"

	"golang.org/x/sys/unix"
)

// config is what the flags of `radload run` say.
type config struct {
	addr      unix.SockaddrInet4
	secret    []byte
	users     int
	seed      string
	realm     string // behind each name
	kind      string // hotp or totp
	hotpStart int64
	back, fwd int64 // TOTP steps beside the present one that may be used
	digits    int
	auth      string // pap, chap or mschapv2
	layout    string // what the password field holds

	window  int     // closed loop: outstanding requests, all threads together
	rate    float64 // open loop: requests a second; 0: closed loop
	burst   burst
	slot    time.Duration // figures by so long parts of the counted time; 0: none
	count   int64
	warmup  time.Duration
	length  time.Duration
	timeout time.Duration
	retries int
	workers int
	sockets int // of each worker, 256 identifiers each

	raw        bool // datagrams are neither signed nor verified
	reuse      bool // codes may be sent again
	wrong      bool // codes are made wrong
	unknown    bool // names are nobody's
	requireMA  bool // responses without Message-Authenticator are bad
	align      bool
	statePath  string
	serverPIDs []int

	counted atomic.Int64 // when the counted time began, in nanoseconds since epoch
}

// burst is a part of the counted time of an open loop in which another rate is offered.
type burst struct {
	rate           float64 // requests a second; 0: no burst
	from, duration time.Duration
}

func parse(args []string) *config {
	c := &config{}
	fs := flag.NewFlagSet("run", flag.ExitOnError)
	addr := fs.String("addr", "127.0.0.1:1812", "server, IPv4")
	secret := fs.String("secret", "testing123", "shared secret")
	pids := fs.String("pid", "", "server process ids, comma-separated: their CPU time and memory, with children, are reported")
	fs.IntVar(&c.users, "users", 1000, "number of users")
	fs.StringVar(&c.seed, "seed", "bench", "what secrets and passwords are derived from")
	fs.StringVar(&c.realm, "realm", "", "what stands behind each name, with its @")
	fs.StringVar(&c.kind, "kind", "totp", "totp|hotp")
	fs.Int64Var(&c.hotpStart, "hotp-start", 0, "HOTP: first counter")
	fs.Int64Var(&c.back, "totp-back", 0, "TOTP: may use so many past steps (one login for each step still unused)")
	fs.Int64Var(&c.fwd, "totp-fwd", 0, "TOTP: may use so many future steps")
	fs.IntVar(&c.digits, "digits", 6, "code digits")
	fs.StringVar(&c.auth, "auth", "pap", "pap|chap|mschapv2")
	fs.StringVar(&c.layout, "layout", "otp", "otp|pass|passotp|pinotp: what the password field holds")
	fs.IntVar(&c.window, "window", 64, "outstanding requests, all threads together (closed loop)")
	fs.Float64Var(&c.rate, "rate", 0, "open loop: requests per second, latency from the moment they were due; 0: closed loop")
	fs.Float64Var(&c.burst.rate, "burst-rate", 0, "open loop: requests per second during the burst; what cannot be sent then is dropped (unsent); 0: no burst")
	fs.DurationVar(&c.burst.from, "burst-from", 0, "when the burst begins, from the end of the warm-up")
	fs.DurationVar(&c.burst.duration, "burst-for", 0, "how long the burst lasts")
	fs.DurationVar(&c.slot, "slot", 0, "give figures by parts of the counted time of this length; 0: none")
	fs.Int64Var(&c.count, "count", 0, "stop after so many requests; 0: by time alone")
	fs.DurationVar(&c.warmup, "warmup", time.Second, "not counted")
	fs.DurationVar(&c.length, "duration", 10*time.Second, "counted")
	fs.DurationVar(&c.timeout, "timeout", time.Second, "retransmit after")
	fs.IntVar(&c.retries, "retries", 3, "retransmissions before a request counts as timeout")
	fs.IntVar(&c.workers, "workers", 1, "generator threads")
	fs.IntVar(&c.sockets, "sockets", 4, "sockets of each thread, 256 identifiers each")
	fs.BoolVar(&c.raw, "raw", false, "do not sign or verify (for an echo server)")
	fs.BoolVar(&c.reuse, "reuse", false, "send codes again (a server without replay protection)")
	fs.BoolVar(&c.wrong, "wrong", false, "send wrong codes")
	fs.BoolVar(&c.unknown, "unknown", false, "send names that nobody has")
	fs.BoolVar(&c.requireMA, "require-ma", false, "a response without Message-Authenticator is bad")
	fs.StringVar(&c.statePath, "state", "", "file that keeps which codes were used, from run to run")
	fs.BoolVar(&c.align, "align", false, "start just after a TOTP step begins")
	_ = fs.Parse(args)

	ua, err := net.ResolveUDPAddr("udp4", *addr)
	fail(err)
	c.addr.Port = ua.Port
	copy(c.addr.Addr[:], ua.IP.To4())
	c.secret = []byte(*secret)
	if c.burst.rate > 0 && c.rate <= 0 {
		fail(errors.New("-burst-rate wants -rate"))
	}
	if c.window > c.workers*c.sockets*256 {
		fail(fmt.Errorf("window %d needs more sockets", c.window))
	}
	for s := range strings.SplitSeq(*pids, ",") {
		if s == "" {
			continue
		}
		p, err := strconv.Atoi(s)
		if err != nil {
			fail(fmt.Errorf("-pid %s: %w", *pids, err))
		}
		c.serverPIDs = append(c.serverPIDs, p)
	}
	return c
}

// users are kept as columns, so that a million of them stay small.
type users struct {
	name     []string
	secret   [][20]byte
	password [][10]byte
	pin      [][4]byte
	next     []int64 // HOTP: next counter; TOTP: first step not used yet
}

func newUsers(c *config) *users {
	us := &users{
		name:     make([]string, c.users),
		secret:   make([][20]byte, c.users),
		password: make([][10]byte, c.users),
		pin:      make([][4]byte, c.users),
		next:     make([]int64, c.users),
	}
	for i := range us.name {
		u := otpgen.Derive(c.seed, i)
		us.name[i], us.secret[i], us.password[i], us.pin[i] = u.Name+c.realm, u.Secret, u.Password, u.PIN
		if c.unknown {
			us.name[i] = "nobody-" + us.name[i]
		}
		if c.kind == "hotp" {
			us.next[i] = c.hotpStart
		}
	}
	if c.statePath == "" {
		return us
	}
	b, err := os.ReadFile(c.statePath)
	if errors.Is(err, os.ErrNotExist) {
		return us
	}
	fail(err)
	for i := range min(len(us.next), len(b)/8) {
		us.next[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return us
}

func (us *users) save(path string) error {
	b := make([]byte, 0, 8*len(us.next))
	for _, v := range us.next {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return os.WriteFile(path, b, 0o644)
}

// usageSample is what everybody on the machine has used so far, in seconds and octets.
type usageSample struct {
	server, own, busy, steal float64
	resident                 int64
}

func sample(c *config) (u usageSample) {
	for _, p := range c.serverPIDs {
		cpu, resident := proc.Tree(p)
		u.server += cpu
		u.resident += resident
	}
	u.own, _ = proc.Tree(os.Getpid())
	u.busy, u.steal, _ = proc.Machine()
	return u
}

// The phases of a run, as the workers see them.
const (
	warming  int32 = iota // requests are sent and not counted
	counting              // requests are counted
	stopping              // nothing new is sent, what is open is waited for
)

func run(args []string) {
	c := parse(args)
	us := newUsers(c)
	runtime.GOMAXPROCS(c.workers + 2)
	debug.SetGCPercent(800)
	if c.align {
		now := time.Now()
		time.Sleep(now.Truncate(30 * time.Second).Add(30*time.Second + 200*time.Millisecond).Sub(now))
	}
	var phase atomic.Int32
	workers := make([]*worker, c.workers)
	for i := range workers {
		workers[i] = newWorker(c, us, i, &phase)
	}
	r := measure(c, workers, &phase)
	fail(json.NewEncoder(os.Stdout).Encode(r))
	if c.statePath != "" {
		fail(us.save(c.statePath))
	}
	if r.Accept+r.Reject+r.Challenge == 0 {
		fail(errors.New("no answer at all"))
	}
}

// measure lets the workers run through the phases and takes the figures of the counted one.
func measure(c *config, workers []*worker, phase *atomic.Int32) report.Result {
	answered := func() (n int64) {
		for _, w := range workers {
			n += w.answered.Load()
		}
		return n
	}
	if c.warmup == 0 {
		c.counted.Store(now())
		phase.Store(counting)
	}
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(w.loop)
	}
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-done:
		}
	}
	if c.warmup > 0 {
		wait(c.warmup)
	}
	before := sample(c)
	if c.warmup > 0 {
		c.counted.Store(now())
		phase.Store(counting)
	}
	start, first := time.Now(), answered()
	wait(c.length)
	end, last := time.Now(), answered()
	after := sample(c)
	phase.Store(stopping)
	<-done

	r := report.Result{
		Mode: "closed", Kind: c.kind, Auth: c.auth, Layout: c.layout, Users: c.users, Window: c.window, Rate: c.rate,
		Seconds:        end.Sub(start).Seconds(),
		Answered:       answered(),
		GeneratorCPU:   after.own - before.own,
		ServerCPU:      after.server - before.server,
		ServerResident: after.resident,
	}
	if c.rate > 0 {
		r.Mode = "open"
	}
	var latency, accepted, lag hist
	for _, w := range workers {
		fail(w.err)
		latency.merge(&w.latency)
		accepted.merge(&w.accepted)
		lag.merge(&w.lag)
		w.addTo(&r)
	}
	counted := float64(last - first)
	r.PerSecond = counted / r.Seconds
	if all := r.Accept + r.Reject + r.Challenge; all > 0 {
		r.AcceptPerSecond = r.PerSecond * float64(r.Accept) / float64(all)
	}
	r.P50, r.P90, r.P99, r.P999 = latency.quantile(.5), latency.quantile(.9), latency.quantile(.99), latency.quantile(.999)
	r.AcceptP50, r.AcceptP99 = accepted.quantile(.5), accepted.quantile(.99)
	r.Slots, r.BurstAcceptP99 = slots(c, workers)
	r.Max, r.LagP99 = float64(latency.max)/1000, lag.quantile(.99)
	if counted > 0 {
		r.GeneratorPer1000 = r.GeneratorCPU / counted * 1000
		r.ServerPer1000 = r.ServerCPU / counted * 1000
	}
	r.OtherCPU = after.busy - before.busy - r.GeneratorCPU - r.ServerCPU
	r.StolenByHypervisor = after.steal - before.steal
	return r
}
