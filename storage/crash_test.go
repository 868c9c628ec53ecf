package storage

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// childVar carries the site's folder into the process that is killed.
const childVar = "SEKISHO_STORAGE_CHILD"

const (
	crashTokens  = 16
	crashWorkers = 8
)

// child opens the database and logs in without end, telling each accept that was acknowledged on stdout before it goes
// on. It starts each token a few steps back, so that steps of the time before the kill are tried again.
func child() {
	die := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	dir := os.Getenv(childVar)
	outer, err := token.LoadOuterKey(filepath.Join(dir, "outer.key"))
	if err != nil {
		die(err)
	}
	cfg := Config{Path: filepath.Join(dir, "data", "sekisho.db"), Mark: filepath.Join(dir, "mark", "mark"),
		MachineID: filepath.Join(dir, "machine-id"), Ballast: -1, FreeSpace: -1, FlushEvents: 50}
	db, err := Open(context.Background(), cfg, outer, Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		die(err)
	}
	accounts, err := db.Accounts(context.Background(), AccountFilter{})
	if err != nil {
		die(err)
	}
	if len(accounts) != crashTokens {
		die(fmt.Errorf("%d accounts", len(accounts)))
	}
	fmt.Println("ready")
	var out sync.Mutex
	for w := range crashWorkers {
		go func() {
			for i := w; ; i++ {
				a := accounts[i%len(accounts)]
				id := a.Assignments[0].Token
				info, err := db.Token(id)
				if err != nil {
					die(err)
				}
				for step := max(info.Token.Last-2, 0); step < info.Token.Last+3; step++ {
					ok, err := burn(db, a.ID, id, step)
					if err != nil {
						die(err)
					}
					if ok {
						out.Lock()
						_, err := fmt.Printf("%d %d\n", id, step)
						out.Unlock()
						if err != nil {
							die(err)
						}
					}
				}
			}
		}()
	}
	select {}
}

// TestKill kills the process at random moments under load and compares what it acknowledged, kept outside, with what the
// next one finds: no step twice, no acknowledged accept lost.
func TestKill(t *testing.T) {
	kills := 200
	if os.Getenv("SEKISHO_PROOF") != "1" {
		kills = 20
		t.Logf("%d kills; 200 with SEKISHO_PROOF=1", kills)
	}
	s := newSite(t)
	db := s.open(t)
	var accounts []*authn.Account
	var tokens []*token.Token
	for i := range crashTokens {
		tokens = append(tokens, newToken(t, db, token.HOTP, i))
		accounts = append(accounts, newAccount(fmt.Sprintf("u%d", i), tokens[i]))
	}
	create(t, db, accounts, tokens...)
	closeDB(t, db)

	type use struct {
		tok  token.ID
		step int64
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	ledger := map[use]int{}
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVar+"="+s.dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() || lines.Text() != "ready" {
			_ = cmd.Wait()
			t.Fatalf("the process did not start: %s", stderr.String())
		}
		timer := time.AfterFunc(time.Duration(rng.IntN(120))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			var u use
			if n, _ := fmt.Sscanf(lines.Text(), "%d %d", &u.tok, &u.step); n == 2 {
				ledger[u]++
			}
		}
		_ = cmd.Wait()
		timer.Stop()
		if stderr.Len() > 0 {
			t.Fatalf("the process ended by itself: %s", stderr.String())
		}
	}
	db = s.open(t)
	written := map[use]int{}
	for _, ev := range allLogins(t, db) {
		if ev.Verdict == authn.Accept {
			written[use{ev.Token, ev.Step}]++
		}
	}
	for u, n := range ledger {
		if n != 1 {
			t.Errorf("token %v, step %d: acknowledged %d times", u.tok, u.step, n)
		}
		if written[u] != 1 {
			t.Errorf("token %v, step %d: acknowledged, and %d times in the journal", u.tok, u.step, written[u])
		}
	}
	for u, n := range written {
		if n != 1 {
			t.Errorf("token %v, step %d: %d times in the journal", u.tok, u.step, n)
		}
	}
	for _, x := range tokens {
		info, err := db.Token(x.ID)
		if err != nil {
			t.Fatal(err)
		}
		for u := range written {
			if u.tok == x.ID && u.step > info.Token.Last {
				t.Errorf("token %v: last %d, and step %d was used", x.ID, info.Token.Last, u.step)
			}
		}
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
	if len(ledger) == 0 {
		t.Error("nothing was accepted: the test shows nothing")
	}
	t.Logf("seed %d: %d kills, %d accepts acknowledged, %d in the journal, none twice, none lost", seed, kills, len(ledger), len(written))
}
