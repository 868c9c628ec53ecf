package main

import (
	"encoding/binary"
	"encoding/json"
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

	"golang.org/x/sys/unix"
)

type config struct {
	addr                   unix.SockaddrInet4
	secret                 []byte
	kind, auth, layout     string
	digits                 int
	back, fwd              int64
	window                 int
	rate                   float64
	count                  int64
	warm, dur              time.Duration
	timeout                time.Duration
	retries                int
	raw, reuse, wrong, rma bool
	workers, sockets       int
}

type users struct {
	name   []string
	secret [][20]byte
	pw     [][10]byte
	pin    [][4]byte
	next   []int64 // HOTP: next counter; TOTP: first step not used yet
}

type result struct {
	Mode       string  `json:"mode"`
	Label      string  `json:"label,omitempty"`
	Kind       string  `json:"kind"`
	Auth       string  `json:"auth"`
	Layout     string  `json:"layout"`
	Users      int     `json:"users"`
	Window     int     `json:"window"`
	Rate       float64 `json:"offered_per_s"`
	Seconds    float64 `json:"seconds"`
	Sent       int64   `json:"sent"`
	Accept     int64   `json:"accept"`
	Reject     int64   `json:"reject"`
	Challenge  int64   `json:"challenge"`
	Timeout    int64   `json:"timeout"`
	WarmTO     int64   `json:"warmup_timeout"`
	Unsent     int64   `json:"unsent"`
	Retrans    int64   `json:"retransmits"`
	Bad        int64   `json:"bad_responses"`
	NoMA       int64   `json:"responses_without_message_authenticator"`
	Stray      int64   `json:"stray"`
	Stall      float64 `json:"waited_for_fresh_code_s"`
	PerSecond  float64 `json:"answers_per_s"`
	AcceptPerS float64 `json:"accepts_per_s"`
	P50        float64 `json:"p50_us"`
	P90        float64 `json:"p90_us"`
	P99        float64 `json:"p99_us"`
	P999       float64 `json:"p999_us"`
	Max        float64 `json:"max_us"`
	LagP99     float64 `json:"send_lag_p99_us"`
	GenCPU     float64 `json:"generator_cpu_s"`
	GenPer1k   float64 `json:"generator_cpu_s_per_1000"`
	SrvCPU     float64 `json:"server_cpu_s,omitempty"`
	SrvPer1k   float64 `json:"server_cpu_s_per_1000,omitempty"`
	SrvRSS     int64   `json:"server_rss_bytes,omitempty"`
	Others     float64 `json:"other_cpu_s"` // busy on this machine, neither generator nor server
	Steal      float64 `json:"steal_s"`
}

func run(args []string) {
	fs := flag.NewFlagSet("run", flag.ExitOnError)
	addr := fs.String("addr", "127.0.0.1:1812", "server")
	secret := fs.String("secret", "testing123", "shared secret")
	n := fs.Int("users", 1000, "number of users")
	seed := fs.String("seed", "bench", "seed the secrets are derived from")
	kind := fs.String("kind", "totp", "totp|hotp")
	auth := fs.String("auth", "pap", "pap|chap|mschapv2")
	layout := fs.String("layout", "otp", "otp|pass|passotp|pinotp")
	digits := fs.Int("digits", 6, "code digits")
	back := fs.Int64("totp-back", 0, "TOTP: may use so many past steps (one login for each step still unused)")
	fwd := fs.Int64("totp-fwd", 0, "TOTP: may use so many future steps")
	hotpStart := fs.Int64("hotp-start", 0, "HOTP: first counter")
	workers := fs.Int("workers", 1, "generator threads")
	sockets := fs.Int("sockets", 4, "sockets of each thread (256 ids each)")
	window := fs.Int("window", 64, "outstanding requests, all threads together (closed loop); limit of them (open loop: sockets*256)")
	rate := fs.Float64("rate", 0, "open loop: requests per second, latency from the intended send time; 0: closed loop")
	count := fs.Int64("count", 0, "stop after so many requests")
	warm := fs.Duration("warmup", time.Second, "not counted")
	dur := fs.Duration("duration", 10*time.Second, "counted")
	timeout := fs.Duration("timeout", time.Second, "retransmit after")
	retries := fs.Int("retries", 3, "retransmissions before a request counts as timeout")
	raw := fs.Bool("raw", false, "do not sign or verify (for an echo server)")
	reuse := fs.Bool("reuse", false, "send codes again (a server without replay protection)")
	wrong := fs.Bool("wrong", false, "send wrong codes")
	rma := fs.Bool("require-ma", false, "a response without Message-Authenticator is bad")
	state := fs.String("state", "", "file that keeps which codes were used, from run to run")
	align := fs.Bool("align", false, "start just after a TOTP step begins")
	pids := fs.String("pid", "", "server process ids, comma-separated: their CPU time and memory (with children) are reported")
	label := fs.String("label", "", "copied to the result")
	fs.Parse(args)

	ua, err := net.ResolveUDPAddr("udp4", *addr)
	fail(err)
	c := &config{secret: []byte(*secret), kind: *kind, auth: *auth, layout: *layout, digits: *digits, back: *back, fwd: *fwd,
		window: *window, rate: *rate, count: *count, warm: *warm, dur: *dur, timeout: *timeout, retries: *retries,
		raw: *raw, reuse: *reuse, wrong: *wrong, rma: *rma, workers: *workers, sockets: *sockets}
	c.addr.Port = ua.Port
	copy(c.addr.Addr[:], ua.IP.To4())
	if c.window > c.workers*c.sockets*256 {
		fail(fmt.Errorf("window %d needs more sockets", c.window))
	}
	us := &users{name: make([]string, *n), secret: make([][20]byte, *n), pw: make([][10]byte, *n), pin: make([][4]byte, *n), next: make([]int64, *n)}
	for i := range us.name {
		u := otpgen.Derive(*seed, i)
		us.name[i], us.secret[i], us.pw[i], us.pin[i] = u.Name, u.Secret, u.Password, u.PIN
		if *kind == "hotp" {
			us.next[i] = *hotpStart
		}
	}
	if *state != "" {
		if b, err := os.ReadFile(*state); err == nil {
			for i := range us.next {
				if 8*i+8 <= len(b) {
					us.next[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
				}
			}
		}
	}
	runtime.GOMAXPROCS(c.workers + 2)
	debug.SetGCPercent(800)
	if *align {
		s := time.Now()
		time.Sleep(s.Truncate(30 * time.Second).Add(30*time.Second + 200*time.Millisecond).Sub(s))
	}

	ws := make([]*worker, c.workers)
	var wg sync.WaitGroup
	var phase atomic.Int32 // 0 warm-up, 1 counted, 2 stop sending
	for i := range ws {
		ws[i] = newWorker(c, us, i, &phase)
	}
	var pl []int
	for _, s := range strings.Split(*pids, ",") {
		if p, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
			pl = append(pl, p)
		}
	}
	sample := func() (srv float64, rss int64, own, busy, steal float64) {
		for _, p := range pl {
			a, b := proc.Tree(p)
			srv += a
			rss += b
		}
		own, _ = proc.Tree(os.Getpid())
		busy, steal, _ = proc.Machine()
		return
	}
	answered := func() (k int64) {
		for _, w := range ws {
			k += w.answered.Load()
		}
		return
	}
	s0, _, o0, b0, st0 := sample()
	t0, a0 := time.Now(), int64(0)
	start := t0
	if c.warm == 0 {
		phase.Store(1)
	}
	for _, w := range ws {
		wg.Add(1)
		go func() { defer wg.Done(); w.loop() }()
	}
	allDone := make(chan struct{})
	go func() { wg.Wait(); close(allDone) }()
	sleep := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-allDone:
		}
	}
	if c.warm > 0 {
		sleep(c.warm - time.Since(start))
		s0, _, o0, b0, st0 = sample()
		phase.Store(1)
		t0, a0 = time.Now(), answered()
	}
	if c.count > 0 {
	wait:
		for time.Since(t0) < c.dur {
			select {
			case <-allDone:
				break wait
			case <-time.After(5 * time.Millisecond):
			}
		}
	} else {
		sleep(c.dur)
	}
	a1, t1 := answered(), time.Now()
	s1, rss, o1, b1, st1 := sample()
	phase.Store(2)
	<-allDone

	r := result{Label: *label, Kind: c.kind, Auth: c.auth, Layout: c.layout, Users: *n, Window: c.window, Rate: c.rate, Mode: "closed"}
	if c.rate > 0 {
		r.Mode = "open"
	}
	var h, lag hist
	for _, w := range ws {
		fail(w.err)
		h.merge(&w.h)
		lag.merge(&w.lag)
		r.Sent += w.sent
		r.Accept += w.accept
		r.Reject += w.reject
		r.Challenge += w.challenge
		r.Timeout += w.timeouts
		r.WarmTO += w.warmTimeouts
		r.Unsent += w.unsent
		r.Retrans += w.retrans
		r.Bad += w.bad
		r.NoMA += w.noMA
		r.Stray += w.stray
		r.Stall += float64(w.stall) / 1e9
	}
	done := float64(a1 - a0)
	r.Seconds = t1.Sub(t0).Seconds()
	r.PerSecond = done / r.Seconds
	if t := r.Accept + r.Reject + r.Challenge; t > 0 {
		r.AcceptPerS = r.PerSecond * float64(r.Accept) / float64(t)
	}
	r.P50, r.P90, r.P99, r.P999, r.Max = h.q(.5), h.q(.9), h.q(.99), h.q(.999), float64(h.max)/1000
	r.LagP99 = lag.q(.99)
	r.GenCPU = o1 - o0
	if done > 0 {
		r.GenPer1k = r.GenCPU / done * 1000
	}
	if len(pl) > 0 && done > 0 {
		r.SrvCPU, r.SrvRSS = s1-s0, rss
		r.SrvPer1k = r.SrvCPU / done * 1000
	}
	r.Others = b1 - b0 - r.GenCPU - r.SrvCPU
	r.Steal = st1 - st0
	fail(json.NewEncoder(os.Stdout).Encode(r))

	if r.Accept+r.Reject+r.Challenge == 0 {
		defer func() { fmt.Fprintln(os.Stderr, "radload: no answer at all"); os.Exit(1) }()
	}
	if *state != "" {
		b := make([]byte, 8*len(us.next))
		for i, v := range us.next {
			binary.LittleEndian.PutUint64(b[8*i:], uint64(v))
		}
		fail(os.WriteFile(*state, b, 0o644))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "radload:", err)
		os.Exit(1)
	}
}
