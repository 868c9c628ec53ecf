// ldapbind measures LDAP simple binds by go-ldap: -mode new (a connection for
// each bind) or -mode pool (so many connections, rebound each time).
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"sort"
	"sync"
	"syscall"
	"time"

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/proc"

	"github.com/go-ldap/ldap/v3"
)

func main() {
	url := flag.String("url", "ldap://127.0.0.1:11389", "")
	mode := flag.String("mode", "pool", "new|pool")
	n := flag.Int("n", 8, "connections at a time")
	users := flag.Int("users", 1000, "")
	seed := flag.String("seed", "bench", "")
	dur := flag.Duration("duration", 4*time.Second, "")
	limit := flag.Int("count", 200000, "at most (new connections leave ports in TIME_WAIT: keep it under 25000)")
	pid := flag.Int("pid", 0, "")
	flag.Parse()
	us := make([]otpgen.User, *users)
	for i := range us {
		us[i] = otpgen.Derive(*seed, i)
	}
	var mu sync.Mutex
	var lat []float64
	cpu := func() float64 {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	var wg sync.WaitGroup
	s0, _ := proc.Tree(*pid)
	c0, t0 := cpu(), time.Now()
	for g := 0; g < *n; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var l []float64
			var c *ldap.Conn
			var err error
			for i := 0; i < *limit / *n && time.Since(t0) < *dur; i++ {
				t := time.Now()
				if c == nil {
					if c, err = ldap.DialURL(*url); err != nil {
						log.Fatal(err)
					}
				}
				u := &us[(i**n+g)%*users]
				if err = c.Bind("uid="+u.Name+",ou=people,dc=bench,dc=test", string(u.Password[:])); err != nil {
					log.Fatal(err)
				}
				if *mode == "new" {
					c.Close()
					c = nil
				}
				l = append(l, float64(time.Since(t).Microseconds()))
			}
			mu.Lock()
			lat = append(lat, l...)
			mu.Unlock()
		}()
	}
	wg.Wait()
	el := time.Since(t0).Seconds()
	s1, _ := proc.Tree(*pid)
	sort.Float64s(lat)
	k := float64(len(lat))
	json.NewEncoder(os.Stdout).Encode(map[string]any{"mode": *mode, "n": *n, "binds": len(lat), "binds_per_s": k / el,
		"p50_us": lat[len(lat)/2], "p99_us": lat[len(lat)*99/100], "client_cpu_s_per_1000": (cpu() - c0) / k * 1000,
		"server_cpu_s_per_1000": (s1 - s0) / k * 1000})
}
