// ldapbind measures LDAP simple binds by go-ldap: -mode new takes a connection for each bind, -mode pool so many
// connections that are bound again each time.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/proc"

	"github.com/go-ldap/ldap/v3"
)

// result is the line of output.
type result struct {
	Mode          string  `json:"mode"`
	Connections   int     `json:"n"`
	Binds         int     `json:"binds"`
	PerSecond     float64 `json:"binds_per_s"`
	P50           float64 `json:"p50_us"`
	P99           float64 `json:"p99_us"`
	ClientPer1000 float64 `json:"client_cpu_s_per_1000"`
	ServerPer1000 float64 `json:"server_cpu_s_per_1000"`
}

func main() {
	url := flag.String("url", "ldap://127.0.0.1:11389", "server, filled by radload gen -format ldif")
	mode := flag.String("mode", "pool", "new|pool")
	n := flag.Int("n", 8, "connections at a time")
	users := flag.Int("users", 1000, "number of users")
	seed := flag.String("seed", "bench", "what their passwords are derived from, as radload's")
	length := flag.Duration("duration", 4*time.Second, "how long")
	limit := flag.Int("count", 200_000, "binds at most; new connections leave ports in TIME_WAIT: keep it under 25000")
	pid := flag.Int("pid", 0, "process id of the server: its CPU is reported")
	flag.Parse()
	us := make([]otpgen.User, *users)
	for i := range us {
		us[i] = otpgen.Derive(*seed, i)
	}
	var mu sync.Mutex
	var latencies []float64
	var running sync.WaitGroup
	server, _ := proc.Tree(*pid)
	own, begin := ownCPU(), time.Now()
	for g := range *n {
		running.Go(func() {
			var mine []float64
			var c *ldap.Conn
			for i := 0; i < *limit / *n && time.Since(begin) < *length; i++ {
				from := time.Now()
				var err error
				if c == nil {
					if c, err = ldap.DialURL(*url); err != nil {
						log.Fatal(err)
					}
				}
				u := &us[(i**n+g)%*users]
				if err = c.Bind("uid="+u.Name+","+otpgen.People, string(u.Password[:])); err != nil {
					log.Fatal(err)
				}
				if *mode == "new" {
					_ = c.Close()
					c = nil
				}
				mine = append(mine, float64(time.Since(from).Microseconds()))
			}
			mu.Lock()
			latencies = append(latencies, mine...)
			mu.Unlock()
		})
	}
	running.Wait()
	took := time.Since(begin).Seconds()
	after, _ := proc.Tree(*pid)
	slices.Sort(latencies)
	binds := float64(len(latencies))
	err := json.NewEncoder(os.Stdout).Encode(result{
		Mode: *mode, Connections: *n, Binds: len(latencies), PerSecond: binds / took,
		P50: latencies[len(latencies)/2], P99: latencies[len(latencies)*99/100],
		ClientPer1000: (ownCPU() - own) / binds * 1000, ServerPer1000: (after - server) / binds * 1000,
	})
	if err != nil {
		log.Fatal(err)
	}
}

// ownCPU is what this process has used so far, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
