package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layeh.com/radius"

	"sekisho/token"
)

// ledger is what the clients of a server saw, kept outside of it: which (token, step) got an Accept.
type ledger struct {
	mu       sync.Mutex
	accepted map[[2]int64]int
}

// note gives how often the step is accepted by now.
func (l *ledger) note(tok int, step int64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accepted == nil {
		l.accepted = make(map[[2]int64]int)
	}
	l.accepted[[2]int64{int64(tok), step}]++
	return l.accepted[[2]int64{int64(tok), step}]
}

// seeded gives choices whose seed is said, so that what was seen once can be looked for again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// crowd is people who log in again and again, each with an event-based token, and strangers who miss; with a ledger of
// what they were answered, kept outside of the server.
type crowd struct {
	s     *site
	keys  []*key
	names []string
	next  []int64 // step that each tries next
	began []int64 // step that each tried first in the last rush
	led   ledger
	fail  func(format string, a ...any) // what is lost or accepted twice is told here, by several at once

	strangers    []string
	round        int // the stranger whose turn it is
	sent, missed int // of that one: wrong codes sent, and those that were refused
	misses       int // refused in all
}

// What a crowd tells of.
const (
	acceptedAgain   = "step %d of token %d was accepted again"
	acceptForgotten = "the accept of token %d step %d does not stand in the chain"
	missForgotten   = "%s missed %d times and was refused %d times: %d stand"
)

// newCrowd imports people and as many strangers as there are rounds.
func newCrowd(t *testing.T, s *site, people, rounds int) *crowd {
	t.Helper()
	c := &crowd{s: s, keys: newKeys(t, token.HOTP, "K", people), names: users(people), next: make([]int64, people), fail: t.Errorf}
	keys, names := c.keys, c.names
	for i := range rounds {
		c.strangers = append(c.strangers, fmt.Sprintf("stranger%06d", i))
	}
	s.load(append(append([]*key(nil), keys...), newKeys(t, token.HOTP, "M", rounds)...), append(append([]string(nil), names...), c.strangers...))
	return c
}

func (c *crowd) String() string {
	return fmt.Sprintf("%d accepts seen by clients, %d misses counted", len(c.led.accepted), c.misses)
}

// rush lets everybody log in for a while, then end is called in the middle of it.
func (c *crowd) rush(span time.Duration, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c.began = append(c.began[:0], c.next...)
	var wg sync.WaitGroup
	for i := range c.keys {
		wg.Go(func() {
			for ctx.Err() == nil {
				step := c.next[i]
				a, err := c.gw().login(ctx, c.names[i], c.keys[i].code(step), nil)
				if err != nil {
					return // unknown: the next round asks
				}
				if a.code == radius.CodeAccessAccept && c.led.note(i, step) > 1 {
					c.fail(acceptedAgain, step, i)
				}
				c.next[i]++
			}
		})
	}
	wg.Go(func() { c.miss(ctx) })
	time.Sleep(span)
	end()
	cancel()
	wg.Wait()
}

func (c *crowd) gw() *nas {
	gw := c.s.gw()
	gw.retry, gw.tries = 300*time.Millisecond, 2
	return gw
}

// miss sends three wrong codes at once, each as a request of its own; three misses wait for nothing yet. They are no codes
// at all, so they are wrong whatever the token.
func (c *crowd) miss(ctx context.Context) {
	var refused atomic.Int64
	if c.sent > 0 {
		return // this round's stranger had its turn
	}
	c.sent = 3
	each(c.sent, c.sent, func(i int) {
		a, err := c.gw().login(ctx, c.strangers[c.round], fmt.Sprintf("zzzzz%d", i), nil)
		if err == nil && a.code == radius.CodeAccessReject {
			refused.Add(1)
		}
	})
	c.missed = int(refused.Load())
	c.misses += c.missed
}

// again sends codes of the last rush once more, after a start: the first ones, which lie in the token's window where all of
// the rush was forgotten, and the newest. What was accepted before must be refused now. The code in flight at the end may
// have been accepted with the answer lost, or never have arrived: it is sent again too, and the chain tells in the end.
func (c *crowd) again() {
	each(len(c.keys), len(c.keys), func(i int) {
		steps := []int64{c.began[i], c.began[i] + 1, c.next[i] - 2, c.next[i] - 1, c.next[i]}
		slices.Sort(steps)
		for _, step := range slices.Compact(steps) {
			if step < 0 || step > c.next[i] {
				continue
			}
			a, err := c.s.gw().login(context.Background(), c.names[i], c.keys[i].code(step), nil)
			if err == nil && a.code == radius.CodeAccessAccept && c.led.note(i, step) > 1 {
				c.fail(acceptedAgain, step, i)
			}
		}
		c.next[i]++
	})
	c.counted()
}

// counted wants every miss that was answered still counted, and none more than once; then the next stranger's turn comes.
func (c *crowd) counted() {
	if c.sent > 0 {
		if n := c.row(c.strangers[c.round]); n < c.missed || n > c.sent {
			c.fail(missForgotten, c.strangers[c.round], c.sent, c.missed, n)
		}
	}
	c.round, c.sent, c.missed = c.round+1, 0, 0
}

// row is how many misses in a row stand against a user.
func (c *crowd) row(user string) (n int) {
	out := c.s.cli("explain", user, "--client", "gw", "--json")
	var x struct {
		Sources []struct {
			Row int `json:"misses_in_a_row"`
		} `json:"sources"`
	}
	if err := json.Unmarshal([]byte(out), &x); err != nil {
		c.s.t.Fatalf("explain: %v in %s", err, out)
	}
	for _, s := range x.Sources {
		n += s.Row
	}
	return n
}

// chain wants every step in the chain at most once, and every accept that a client saw. Where two codes within a window
// are the same digits, the later one's step is burnt (S16). Old codes sent again are misses, so in a long run an account
// comes to be asked for two codes (S4): both kinds of accept count.
func (c *crowd) chain() {
	chained := map[string]int{}
	for _, l := range c.s.logins("--all") {
		if l.Verdict != "accept" {
			continue
		}
		step := fmt.Sprintf("%s/%d", l.User, l.Step)
		if chained[step]++; chained[step] > 1 {
			c.fail("step %s was accepted %d times", step, chained[step])
		}
	}
	for k := range c.led.accepted {
		burnt := func(step int64) bool { return chained[fmt.Sprintf("%s/%d", c.names[k[0]], step)] == 1 }
		step, tok := k[1], c.keys[k[0]]
		for !burnt(step) && step < k[1]+int64(token.LoginWindow.LookAhead) {
			if step++; burnt(step) && tok.code(step) == tok.code(k[1]) {
				break
			}
		}
		if !burnt(step) || tok.code(step) != tok.code(k[1]) {
			c.fail(acceptForgotten, k[0], k[1])
		}
	}
}
