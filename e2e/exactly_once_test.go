package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layeh.com/radius"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// full is n in `make proof` and small otherwise, said aloud.
func full(t *testing.T, n, small int) int { return sized(t, n, n, small) }

// sized is what is done in `make soak`, in `make proof` or otherwise, said aloud where it is not the most.
func sized(t *testing.T, soak, proof, short int) int {
	t.Helper()
	n := short
	switch {
	case os.Getenv("SEKISHO_SOAK") == "1":
		return soak
	case os.Getenv("SEKISHO_PROOF") == "1":
		n = proof
	}
	if n != soak {
		t.Logf("short form: %d of %d", n, soak)
	}
	return n
}

func users(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user%06d", i)
	}
	return names
}

// TestEachCodeOnce sends every code 64 times at once, each time as a request of its own: one accept a code, whatever the
// order. A code is a (token, step) here: one event-based token gives one code.
func TestEachCodeOnce(t *testing.T) {
	codes := full(t, 1000, 150)
	s := newSite(t, siteOptions{})
	s.start()
	keys := newKeys(t, token.HOTP, "H", codes)
	s.load(keys, users(codes))
	accepts := make([]atomic.Int32, codes)
	var silent atomic.Int32
	each(64, codes, func(i int) {
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				a, err := s.gw().login(context.Background(), fmt.Sprintf("user%06d", i), keys[i].code(0), nil)
				switch {
				case err != nil:
					silent.Add(1)
				case a.code == radius.CodeAccessAccept:
					accepts[i].Add(1)
				}
			})
		}
		wg.Wait()
	})
	total := 0
	for i := range accepts {
		n := int(accepts[i].Load())
		total += n
		if n != 1 {
			t.Errorf("code %d was accepted %d times", i, n)
		}
	}
	t.Logf("%d codes x 64: %d accepts, %d requests without an answer", codes, total, silent.Load())
}

// TestSharedTokenOnce sends every code of one token through the names of the eight people who share it.
func TestSharedTokenOnce(t *testing.T) {
	codes := full(t, 1000, 150)
	s := newSite(t, siteOptions{})
	s.start()
	keys := newKeys(t, token.HOTP, "S", 8) // the first is shared; the others make the accounts of its sharers
	k := keys[0]
	k.distinct(codes)
	names := users(8)
	s.load(keys, names)
	for _, n := range names[1:] {
		s.cli("token", "assign", k.serial, n, "--share")
	}
	accepted := 0
	for step := range codes {
		var n atomic.Int32
		each(8, 8, func(i int) {
			a, err := s.gw().login(context.Background(), names[i], k.code(int64(step)), nil)
			if err == nil && a.code == radius.CodeAccessAccept {
				n.Add(1)
			}
		})
		if n.Load() != 1 {
			t.Fatalf("step %d: %d accepts through 8 names, want 1", step, n.Load())
		}
		accepted++
	}
	t.Logf("one token, 8 names, %d codes: %d accepts", codes, accepted)
}

// distinct draws the seed anew until no two codes within a window of the first steps are the same digits: of such a pair
// the later step is burnt (S16), and the steps between are refused, rightly.
func (k *key) distinct(steps int) {
	near := int64(token.LoginWindow.LookAhead) + 1
	for again := true; again; {
		again = false
		for i := int64(0); i < int64(steps) && !again; i++ {
			for j := i + 1; j <= i+near && !again; j++ {
				again = k.code(i) == k.code(j)
			}
		}
		if again {
			k.seed = []byte(token.NewSeed(20))
		}
	}
}

// TestKill ends the server with SIGKILL in the middle of its work, again and again. Every code that was ever accepted is
// sent once more after the next start: no step passes twice, no accept that a client saw is forgotten, and no miss that
// was answered is taken back.
func TestKill(t *testing.T) {
	kills := sized(t, 10_000, 200, 12)
	s := newSite(t, siteOptions{})
	s.start()
	c := newCrowd(t, s, 24, kills)
	rng := seeded(t)
	for kill := range kills {
		c.rush(time.Duration(20+rng.IntN(200))*time.Millisecond, s.kill)
		if err := s.tryStart(60 * time.Second); err != nil {
			t.Fatalf("after kill %d: %v", kill+1, err)
		}
		c.again()
	}
	c.chain()
	t.Logf("%d kills, %s", kills, c)
}

// TestLossyRelay sends logins through a relay that loses, repeats and reorders datagrams both ways, and kills the server
// in the middle. A true retransmission is never refused, and no code passes twice.
func TestLossyRelay(t *testing.T) {
	logins := sized(t, 1_000_000, 10_000, 600)
	const tokens = 200
	s := newSite(t, siteOptions{})
	s.start()
	keys := newKeys(t, token.HOTP, "L", tokens)
	for _, k := range keys {
		k.distinct(logins/tokens + 1)
	}
	names := users(tokens)
	s.load(keys, names)
	relay := testenv.Relay(t, s.gw().addr, testenv.RelayOptions{Seed: 1, Drop: 10, Duplicate: 5, Reorder: 5})
	var next [tokens]int64
	var locks [tokens]sync.Mutex
	var wrong, silent, accepts, resent atomic.Int64
	var led ledger
	// 32 ports, as of a gateway with as many workers, each with its identifiers in turn.
	gws := make(chan *nas, 32)
	for range cap(gws) {
		conn, err := net.Dial("udp", relay)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		gw := s.gw()
		gw.conn, gw.retry, gw.tries = conn, 250*time.Millisecond, 200 // the restart included
		gws <- gw
	}
	var restart sync.WaitGroup
	each(cap(gws), logins, func(i int) {
		if i == logins/2 {
			restart.Go(func() {
				s.kill()
				if err := s.tryStart(60 * time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		k := i % tokens
		locks[k].Lock()
		defer locks[k].Unlock()
		step := next[k]
		next[k]++
		gw := <-gws
		a, err := gw.login(context.Background(), names[k], keys[k].code(step), nil)
		gws <- gw
		resent.Add(int64(a.sent - 1))
		switch {
		case err != nil:
			silent.Add(1)
		case a.code == radius.CodeAccessAccept:
			accepts.Add(1)
			led.note(k, step)
		default:
			wrong.Add(1)
		}
	})
	restart.Wait()
	if wrong.Load() != 0 || silent.Load() != 0 {
		t.Errorf("%d true retransmissions refused, %d never answered", wrong.Load(), silent.Load())
	}
	for k, n := range led.accepted {
		if n != 1 {
			t.Errorf("token %d step %d: %d accepts", k[0], k[1], n)
		}
	}
	// A second request of its own with the same code is refused, whatever the relay did.
	for k := range 20 {
		a, err := s.gw().login(context.Background(), names[k], keys[k].code(next[k]-1), nil)
		if err != nil || a.code != radius.CodeAccessReject {
			t.Errorf("a used code of token %d: %v %v", k, a.code, err)
		}
	}
	t.Logf("%d logins, %d accepted, %d datagrams repeated by the client", logins, accepts.Load(), resent.Load())
}
