package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sekisho/bench/internal/proc"
)

// op is one compare-and-set: Counter becomes the last one of ID unless the last one is not below it.
type op struct {
	ID, Counter uint64
	OK          bool // set by Commit
	done        chan struct{}
}

// store makes a batch durable and sets OK of each op.
type store interface {
	Load(n int) error
	Commit(ops []*op) error
	Close() error
}

// result is one line of output.
type result struct {
	Store     string  `json:"store"`
	Mode      string  `json:"mode"`
	Batch     int     `json:"batch,omitempty"`
	Rate      float64 `json:"offered_per_s,omitempty"`
	Ops       int     `json:"ops"`
	Commits   int64   `json:"commits"`
	Refused   int64   `json:"refused"`
	PerSecond float64 `json:"ops_per_s"`
	MeanBatch float64 `json:"mean_batch"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p999_us"`
	Max       float64 `json:"max_us"`
	Per1000   float64 `json:"cpu_s_per_1000"`
}

// finish works out rates and quantiles from latencies in microseconds.
func (r *result) finish(latencies []float64, took time.Duration, cpu float64) {
	slices.Sort(latencies)
	quantile := func(p float64) float64 { return latencies[min(int(p*float64(len(latencies))), len(latencies)-1)] }
	r.PerSecond = float64(r.Ops) / took.Seconds()
	r.MeanBatch = float64(r.Ops) / float64(r.Commits)
	r.P50, r.P99, r.P999, r.Max = quantile(.5), quantile(.99), quantile(.999), quantile(1)
	r.Per1000 = cpu / float64(r.Ops) * 1000
}

// bench is a store and the changes made to it.
type bench struct {
	name    string
	store   store
	tokens  int
	pid     int // of a database server; 0: none
	counter uint64
}

// measure runs the store that the flags name.
func measure(open map[string]func(dir string) (store, error)) {
	name := flag.String("store", "", "which")
	dir := flag.String("dir", "", "folder for its files, or a connection string")
	tokens := flag.Int("tokens", 1_000_000, "rows")
	load := flag.Bool("load", false, "create and fill first")
	batches := flag.String("batches", "1,10,100,1000", "fixed batch sizes to measure, back to back")
	seconds := flag.Float64("seconds", 3, "for each")
	rate := flag.Float64("rate", 5000, "then open loop at this rate with group commit; 0: not")
	most := flag.Int("max-batch", 1000, "group commit: most in one")
	pid := flag.Int("pid", 0, "a database server's process id: its CPU is counted too")
	flag.Parse()
	opener, ok := open[*name]
	if !ok {
		fail(fmt.Errorf("-store %q is not known", *name))
	}
	s, err := opener(*dir)
	fail(err)
	// Counters only rise, over runs, too.
	b := &bench{name: *name, store: s, tokens: *tokens, pid: *pid, counter: uint64(time.Now().UnixNano())}
	if *load {
		begin := time.Now()
		fail(s.Load(*tokens))
		fmt.Fprintf(os.Stderr, "%s: loaded %d in %.1f s\n", *name, *tokens, time.Since(begin).Seconds())
	}
	out := json.NewEncoder(os.Stdout)
	length := time.Duration(*seconds * float64(time.Second))
	for text := range strings.SplitSeq(*batches, ",") {
		n, err := strconv.Atoi(text)
		fail(err)
		r, err := b.backToBack(n, length)
		fail(err)
		fail(out.Encode(r))
	}
	if *rate > 0 {
		fail(out.Encode(b.groupCommit(*rate, *most, length)))
	}
	fail(s.Close())
}

func (b *bench) next() *op {
	b.counter++
	return &op{ID: rand.Uint64N(uint64(b.tokens)), Counter: b.counter}
}

// cpu is what this process and the database server have used so far, in seconds.
func (b *bench) cpu() float64 {
	var u syscall.Rusage
	fail(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	used := float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	if b.pid > 0 {
		server, _ := proc.Tree(b.pid)
		used += server
	}
	return used
}

// backToBack commits full batches one after the other.
func (b *bench) backToBack(batch int, length time.Duration) (result, error) {
	r := result{Store: b.name, Mode: "back to back", Batch: batch}
	ops := make([]*op, batch)
	var latencies []float64
	cpu, begin := b.cpu(), time.Now()
	for time.Since(begin) < length {
		for i := range ops {
			ops[i] = b.next()
		}
		from := time.Now()
		if err := b.store.Commit(ops); err != nil {
			return r, err
		}
		latencies = append(latencies, float64(time.Since(from).Nanoseconds())/1000)
		for _, o := range ops {
			if !o.OK {
				r.Refused++
			}
		}
		r.Ops += batch
		r.Commits++
	}
	r.finish(latencies, time.Since(begin), b.cpu()-cpu)
	return r, nil
}

// groupCommit offers changes at a fixed rate; a committer takes what is waiting. Latency counts from the moment a change
// was due.
func (b *bench) groupCommit(rate float64, most int, length time.Duration) result {
	r := result{Store: b.name, Mode: "open loop, group commit", Rate: rate, Ops: int(rate * length.Seconds())}
	waiting := make(chan *op, 1<<17)
	committed := make(chan struct{})
	go func() { b.commitWaiting(waiting, most, &r.Commits); close(committed) }()
	latencies := make([]float64, r.Ops)
	var open sync.WaitGroup
	var refused atomic.Int64
	cpu, begin := b.cpu(), time.Now()
	for i := 0; i < r.Ops; time.Sleep(200 * time.Microsecond) {
		for due := min(r.Ops, int(time.Since(begin).Seconds()*rate)); i < due; i++ {
			o, at := b.next(), i
			o.done = make(chan struct{})
			open.Go(func() {
				<-o.done
				latencies[at] = (time.Since(begin).Seconds() - float64(at)/rate) * 1e6
				if !o.OK {
					refused.Add(1)
				}
			})
			waiting <- o
		}
	}
	open.Wait()
	took := time.Since(begin)
	close(waiting)
	<-committed
	r.Refused = refused.Load()
	r.finish(latencies, took, b.cpu()-cpu)
	return r
}

// commitWaiting commits until the channel is closed, each time what waits, at most so many. A store that fails ends the
// program: changes that it would have to answer are waited for.
func (b *bench) commitWaiting(waiting <-chan *op, most int, commits *int64) {
	var ops []*op
	for o := range waiting {
		ops = append(ops[:0], o)
		for more := true; more && len(ops) < most; {
			select {
			case o, ok := <-waiting:
				if more = ok; ok {
					ops = append(ops, o)
				}
			default:
				more = false
			}
		}
		fail(b.store.Commit(ops))
		*commits++
		for _, o := range ops {
			close(o.done)
		}
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "store:", err)
		os.Exit(1)
	}
}
