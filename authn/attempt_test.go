package authn_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/authn"
)

// TestLoginAllocatesNothing: from the request to the answer a login by a code asks the heap for nothing, with metrics and log
// on; nor do the refusals that come most.
func TestLoginAllocatesNothing(t *testing.T) {
	if authn.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, c := range map[string]struct {
		candidates int
		change     func(*office)
		reason     authn.Reason
	}{
		"1 candidate":   {1, func(*office) {}, authn.OK},
		"3 candidates":  {3, func(*office) {}, authn.OK},
		"10 candidates": {10, func(*office) {}, authn.OK},
		"a name with blanks": {3, func(o *office) {
			o.login.Name = []byte(" alice ")
		}, authn.OK},
		"used": {3, func(o *office) { o.tokens[0].Last = o.tokens[0].StepAt(o.now) }, authn.AlreadyUsed},
		"repeated": {3, func(o *office) {
			o.login.Client.RepeatWithin = 20 * time.Second
			o.send(func(authn.Decision) {})
		}, authn.OKRepeated},
		"nobody": {3, func(o *office) { o.login.Name = []byte("mallory") }, authn.UnknownUser},
		"policies that name people and groups": {3, func(o *office) {
			o.dir.user.Groups = []string{"staff", "vpn"}
			none := &authn.Policy{Name: "none", Users: []string{"bob", "carol"}, Groups: []string{"admins"}, Deny: true}
			some := *o.auth.Policies[0]
			some.Users = []string{"alicia", "alice"}
			o.auth.Policies = []*authn.Policy{none, &some}
		}, authn.OK},
		"a realm": {3, func(o *office) {
			o.auth.Directories[0].Realms = []string{"example", "example.com"}
			o.login.Name = []byte("EXAMPLE\\alice")
		}, authn.OK},
		"two tokens": {3, func(o *office) {
			other := *o.tokens[0]
			o.held.Tokens = append(o.held.Tokens, &other)
			acc := o.held.Accounts[0]
			acc.Assignments = append(acc.Assignments, acc.Assignments[0])
		}, authn.OK},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, c.candidates)
			o.auth.Metrics = authn.NewMetrics(prometheus.NewRegistry())
			o.auth.Log = slog.New(slog.NewTextHandler(new(strings.Builder), nil))
			c.change(o)
			wrong := 0
			done := func(d authn.Decision) {
				if d.Reason != c.reason {
					wrong++
				}
			}
			for range 10_000 { // until nobody takes the log's lines
				o.send(done)
			}
			if got := testing.AllocsPerRun(1000, func() { o.send(done) }); got != 0 {
				t.Errorf("%v allocations", got)
			}
			if wrong != 0 {
				t.Errorf("%d answers are not %v", wrong, c.reason)
			}
		})
	}
}

// TestAttemptsAfterAPanic: what a panic passed through is never given to another login, wherever it began; that login is
// answered once, and so are all that come later.
func TestAttemptsAfterAPanic(t *testing.T) {
	for name, panics := range map[string]func(o *office) (done func(authn.Decision)){
		"directory": func(o *office) func(authn.Decision) {
			peeked := o.dir.peeked
			o.dir.peeked = func(u *authn.User) {
				peeked(u)
				panic("directory")
			}
			return nil
		},
		"before the rule": func(o *office) func(authn.Decision) {
			o.auth.Store = faulty{o.desk, func(func() error) error { panic("store") }}
			return nil
		},
		"after the rule": func(o *office) func(authn.Decision) {
			o.auth.Store = faulty{o.desk, func(update func() error) error {
				_ = update()
				panic("store")
			}}
			return nil
		},
		"the caller": func(*office) func(authn.Decision) {
			return func(authn.Decision) { panic("caller") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, 3)
			rooms := map[*authn.User]int{}
			var last *authn.User
			o.dir.peeked = func(u *authn.User) {
				rooms[u]++
				last = u
			}
			store, peeked, answers := o.auth.Store, o.dir.peeked, 0
			var broken []*authn.User
			for range 20 {
				then := panics(o)
				o.send(func(d authn.Decision) {
					answers++
					if then != nil {
						then(d)
					}
				})
				broken = append(broken, last)
				o.auth.Store, o.dir.peeked = store, peeked
			}
			if answers != 20 {
				t.Errorf("%d answers to 20 logins", answers)
			}
			before := map[*authn.User]int{}
			for _, u := range broken {
				if before[u] = rooms[u]; rooms[u] != 1 && !authn.RaceEnabled {
					t.Errorf("the room of a login that a panic ended served %d logins", rooms[u])
				}
			}
			for range 1000 {
				good := 0
				o.send(func(d authn.Decision) {
					if good++; d.Reason != authn.OK {
						t.Fatalf("after the panics: %v", d.Reason)
					}
				})
				if good != 1 {
					t.Fatalf("%d answers", good)
				}
			}
			for u, n := range before {
				if rooms[u] != n {
					t.Error("the room of a login that a panic ended served another one")
				}
			}
		})
	}
}

// faulty is a desk whose Update goes wrong.
type faulty struct {
	*desk
	wrap func(update func() error) error
}

func (f faulty) Update(k authn.Keys, rule func(*authn.Held) (authn.Change, error), done func(error)) error {
	return f.wrap(func() error { return f.desk.Update(k, rule, done) })
}

// TestAttemptsGoBackLast: an attempt that the store still has is no other login's, however long ago Authenticate returned.
func TestAttemptsGoBackLast(t *testing.T) {
	o := newOffice(t, 3)
	type waiting struct {
		room   *authn.User
		done   func(error)
		answer *authn.Decision
	}
	var kept []waiting
	busy := map[*authn.User]bool{}
	var room *authn.User
	o.dir.peeked = func(u *authn.User) {
		if room = u; busy[u] {
			t.Fatal("two logins in flight have one room")
		}
		busy[u] = true
	}
	var late func(error)
	o.auth.Store = lateDesk{o.desk, &late}
	for i := range 2000 {
		answer := new(authn.Decision)
		o.send(func(d authn.Decision) { *answer = d })
		if answer.Reason != 0 {
			t.Fatalf("an answer before the commit: %v", answer.Reason)
		}
		kept = append(kept, waiting{room, late, answer})
		for len(kept) > i%7 {
			w := kept[0]
			kept = kept[1:]
			busy[w.room] = false
			if i%5 == 0 {
				w.done(errors.New("disk full"))
			} else {
				w.done(nil)
			}
			if want := map[bool]authn.Reason{true: authn.StoreDown, false: authn.OK}[i%5 == 0]; w.answer.Reason != want {
				t.Fatalf("%v, want %v", w.answer.Reason, want)
			}
		}
	}
}

// lateDesk is a desk that hands out done and calls it never.
type lateDesk struct {
	*desk
	done *func(error)
}

func (s lateDesk) Update(_ authn.Keys, rule func(*authn.Held) (authn.Change, error), done func(error)) error {
	_, err := rule(&s.held)
	*s.done = done
	return err
}
