package storage

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// BenchmarkScale measures a database of SEKISHO_SCALE accounts with a token each, in the folder SEKISHO_SCALE_DIR, which the
// first run fills: start, memory, and the CPU of what storage adds to a login.
func BenchmarkScale(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("SEKISHO_SCALE"))
	dir := os.Getenv("SEKISHO_SCALE_DIR")
	if n == 0 || dir == "" {
		b.Skip("set SEKISHO_SCALE and SEKISHO_SCALE_DIR")
	}
	s := &site{dir: dir, env: Env{Log: slog.New(slog.DiscardHandler)}}
	s.cfg = Config{Path: filepath.Join(dir, "data", "sekisho.db"), Mark: filepath.Join(dir, "mark", "mark"),
		MachineID: filepath.Join(dir, "machine-id"), Ballast: -1, FreeSpace: -1}
	key := filepath.Join(dir, "outer.key")
	if _, err := os.Stat(key); err != nil {
		fillScale(b, s, key, n)
	}
	var err error
	if s.outer, err = token.LoadOuterKey(key); err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	db, err := Open(context.Background(), s.cfg, s.outer, s.env)
	if err != nil {
		b.Fatal(err)
	}
	started := time.Since(begin).Seconds()
	debug.FreeOSMemory()
	fresh := resident(b)
	var accounts []authn.AccountID
	var tokens []token.ID
	st := db.state.Load()
	for _, slot := range st.accountIDs.all() {
		r := st.accounts.at(slot)
		accounts, tokens = append(accounts, authn.AccountID(r.id)), append(tokens, r.hold[0].token)
	}
	window := make(chan struct{}, 512)
	var failed atomic.Int64
	done := func(err error) {
		if err != nil {
			failed.Add(1)
		}
		<-window
	}
	b.ResetTimer()
	b.ReportAllocs()
	cpu := processCPU(b)
	now := time.Now().UnixNano()
	for i := range b.N {
		window <- struct{}{}
		k := rand.IntN(len(accounts))
		var ok bool
		if err := db.Update(authn.Keys{Accounts: accounts[k : k+1]}, loginOf(accounts[k], tokens[k], now+int64(i), &ok), done); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
	for range cap(window) {
		window <- struct{}{}
	}
	b.ReportMetric(float64((processCPU(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/login")
	b.ReportMetric(started, "s/start")
	b.ReportMetric(float64(fresh)/mib, "MiB-start")
	b.StopTimer()
	debug.FreeOSMemory()
	b.ReportMetric(float64(resident(b))/mib, "MiB-after")
	if failed.Load() > 0 {
		b.Errorf("%d not saved", failed.Load())
	}
	if os.Getenv("SEKISHO_SCALE_KILL") == "" || b.N == 1 { // else the process ends as if killed
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func fillScale(b *testing.B, s *site, key string, n int) {
	for _, d := range []string{"data", "mark"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o700); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "machine-id"), []byte("m"), 0o600); err != nil {
		b.Fatal(err)
	}
	db, err := Open(context.Background(), s.cfg, newOuter(b, key), s.env)
	if err != nil {
		b.Fatal(err)
	}
	const part = 50_000
	for from := 0; from < n; from += part {
		batch := &authn.Batch{Event: act("token.import")}
		for i := from; i < min(from+part, n); i++ {
			tok := newToken(b, db, token.HOTP, i)
			tok.State = token.InUse
			batch.Tokens = append(batch.Tokens, tok)
			batch.Accounts = append(batch.Accounts, newAccount(fmt.Sprintf("user%07d", i), tok))
		}
		if err := db.Import(context.Background(), batch, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// resident is the memory that the process holds, in octets.
func resident(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(text)[1]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func processCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
