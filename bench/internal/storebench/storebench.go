// Package storebench measures durable compare-and-set of OTP counters: the
// update that must be on disk before an Access-Accept may leave.
//
// Every store does the same thing: `update token set last_counter=$1 where
// id=$2 and last_counter<$1`, over a table of -tokens rows, and says for each
// change whether it was applied. A single committer collects what is waiting
// (group commit) up to -batch changes, makes them durable in one transaction,
// and then answers all of them.
package storebench

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sekisho/bench/internal/proc"
)

// Op is one compare-and-set.
type Op struct {
	ID, Counter uint64
	OK          bool
	done        chan struct{}
}

// Store makes a batch durable and sets OK of each op.
type Store interface {
	Load(n int) error
	Commit(ops []*Op) error
	Close() error
}

type result struct {
	Store    string  `json:"store"`
	Mode     string  `json:"mode"`
	Batch    int     `json:"batch,omitempty"`
	Clients  int     `json:"clients,omitempty"`
	Rate     float64 `json:"offered_per_s,omitempty"`
	Ops      int     `json:"ops"`
	Commits  int64   `json:"commits"`
	Refused  int64   `json:"refused"`
	PerS     float64 `json:"ops_per_s"`
	CommitsS float64 `json:"commits_per_s"`
	MeanB    float64 `json:"mean_batch"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	P999     float64 `json:"p999_us"`
	Max      float64 `json:"max_us"`
	CPUPer1k float64 `json:"cpu_s_per_1000"`
	LoadS    float64 `json:"load_s,omitempty"`
}

// Main runs one store.
func Main(open map[string]func(dir string) (Store, error)) {
	name := flag.String("store", "", "which")
	dir := flag.String("dir", "", "directory for its files (or a connection string)")
	tokens := flag.Int("tokens", 1000000, "rows")
	load := flag.Bool("load", false, "create and fill first")
	batches := flag.String("batches", "1,10,100,1000", "fixed batch sizes to measure, back to back")
	secs := flag.Float64("seconds", 3, "for each")
	rate := flag.Float64("rate", 5000, "then open loop at this rate with group commit (0: not)")
	maxb := flag.Int("max-batch", 1000, "group commit: most in one")
	pid := flag.Int("pid", 0, "a database server's process id: its CPU is counted too")
	flag.Parse()
	st, err := open[*name](*dir)
	fail(err)
	var r result
	if *load {
		t := time.Now()
		fail(st.Load(*tokens))
		fmt.Fprintf(os.Stderr, "%s: loaded %d in %.1fs\n", *name, *tokens, time.Since(t).Seconds())
	}
	enc := json.NewEncoder(os.Stdout)
	cpu := func() float64 {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		c := float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
		if *pid > 0 {
			p, _ := proc.Tree(*pid)
			c += p
		}
		return c
	}
	base := uint64(time.Now().UnixNano()) // counters only rise, over runs too
	var seq uint64
	mk := func() *Op {
		seq++
		return &Op{ID: rand.Uint64N(uint64(*tokens)), Counter: base + seq}
	}
	q := func(l []float64, p float64) float64 {
		if len(l) == 0 {
			return 0
		}
		return l[min(int(p*float64(len(l))), len(l)-1)]
	}
	for _, b := range ints(*batches) {
		ops := make([]*Op, b)
		var lat []float64
		r = result{Store: *name, Mode: "back-to-back", Batch: b}
		c0, t0 := cpu(), time.Now()
		for time.Since(t0).Seconds() < *secs {
			for i := range ops {
				ops[i] = mk()
			}
			t := time.Now()
			fail(st.Commit(ops))
			lat = append(lat, float64(time.Since(t).Nanoseconds())/1000)
			for _, o := range ops {
				if !o.OK {
					r.Refused++
				}
			}
			r.Ops += b
			r.Commits++
		}
		el := time.Since(t0).Seconds()
		sort.Float64s(lat)
		r.PerS, r.CommitsS, r.MeanB = float64(r.Ops)/el, float64(r.Commits)/el, float64(b)
		r.P50, r.P99, r.P999, r.Max = q(lat, .5), q(lat, .99), q(lat, .999), q(lat, 1)
		r.CPUPer1k = (cpu() - c0) / float64(r.Ops) * 1000
		enc.Encode(r)
	}
	if *rate > 0 {
		// open loop: Poisson-free fixed spacing; latency from the intended time
		in := make(chan *Op, 1<<17)
		var commits atomic.Int64
		var wgc sync.WaitGroup
		wgc.Add(1)
		go func() {
			defer wgc.Done()
			var ops []*Op
			for o := range in {
				ops = append(ops[:0], o)
			more:
				for len(ops) < *maxb {
					select {
					case o, ok := <-in:
						if !ok {
							break more
						}
						ops = append(ops, o)
					default:
						break more
					}
				}
				fail(st.Commit(ops))
				commits.Add(1)
				for _, o := range ops {
					close(o.done)
				}
			}
		}()
		n := int(*rate * *secs)
		lat := make([]float64, n)
		var wg sync.WaitGroup
		var refused atomic.Int64
		c0, t0 := cpu(), time.Now()
		for i := 0; i < n; {
			due := int(time.Since(t0).Seconds() * *rate)
			if due > n {
				due = n
			}
			for ; i < due; i++ {
				o := mk()
				o.done = make(chan struct{})
				wg.Add(1)
				go func(i int) {
					<-o.done
					lat[i] = time.Since(t0).Seconds()*1e6 - float64(i)/(*rate)*1e6
					if !o.OK {
						refused.Add(1)
					}
					wg.Done()
				}(i)
				in <- o
			}
			time.Sleep(200 * time.Microsecond)
		}
		wg.Wait()
		el := time.Since(t0).Seconds()
		close(in)
		wgc.Wait()
		sort.Float64s(lat)
		r = result{Store: *name, Mode: "open-loop group commit", Rate: *rate, Ops: n, Commits: commits.Load(), Refused: refused.Load(),
			PerS: float64(n) / el, CommitsS: float64(commits.Load()) / el, MeanB: float64(n) / float64(commits.Load()),
			P50: q(lat, .5), P99: q(lat, .99), P999: q(lat, .999), Max: q(lat, 1), CPUPer1k: (cpu() - c0) / float64(n) * 1000}
		enc.Encode(r)
	}
	runtime.KeepAlive(st)
	fail(st.Close())
}

func ints(s string) (l []int) {
	for v := 0; len(s) > 0; {
		c := s[0]
		s = s[1:]
		if c >= '0' && c <= '9' {
			v = v*10 + int(c-'0')
		}
		if c == ',' || len(s) == 0 {
			if v > 0 {
				l = append(l, v)
			}
			v = 0
		}
	}
	return
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
