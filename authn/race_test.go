package authn_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// proof gives the full count under SEKISHO_PROOF=1, else the reduced one, aloud.
func proof(t *testing.T, full, reduced int) int {
	t.Helper()
	if os.Getenv("SEKISHO_PROOF") == "1" {
		return full
	}
	t.Logf("%d instead of %d; SEKISHO_PROOF=1 makes it all", reduced, full)
	return reduced
}

// stepOf is one code of one token: what an accept uses up. Digits may repeat, steps may not (S16).
type stepOf struct {
	token token.ID
	step  int64
}

// ledger sums accepts by (token, step), from the chain.
func (h *house) ledger() map[stepOf]int {
	h.t.Helper()
	accepts := make(map[stepOf]int)
	var before uint64
	for {
		page, err := h.db.Logins(h.t.Context(), filterBefore(before))
		if err != nil {
			h.t.Fatal(err)
		}
		if len(page) == 0 {
			return accepts
		}
		for _, e := range page {
			if e.Verdict == authn.Accept {
				accepts[stepOf{e.Token, e.Step}]++
			}
		}
		before = page[len(page)-1].Seq
	}
}

// volley sends all logins at once and counts the decisions by reason.
func (h *house) volley(logins []*authn.Login) map[authn.Reason]int {
	h.t.Helper()
	var wg, answered sync.WaitGroup
	var mu sync.Mutex
	got := make(map[authn.Reason]int)
	answered.Add(len(logins))
	const senders = 64
	for s := range senders {
		wg.Go(func() {
			for i := s; i < len(logins); i += senders {
				h.auth.Authenticate(logins[i], func(d authn.Decision) {
					mu.Lock()
					got[d.Reason]++
					mu.Unlock()
					answered.Done()
				})
			}
		})
	}
	wg.Wait()
	answered.Wait()
	return got
}

// TestEachCodeOpensOnce sends every code 64 times at once, by 64 packets.
func TestEachCodeOpensOnce(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	codes := proof(t, 1000, 200)
	const people = 50
	var all []*person
	for i := range people {
		all = append(all, h.person(fmt.Sprintf("user%02d", i), "", 1))
	}
	accepts := 0
	for range codes / people {
		var logins []*authn.Login
		for range 64 {
			for _, p := range all {
				d := p.devices[0]
				logins = append(logins, h.login(gw, p.name, d.code(h.step(d)), home, nil))
			}
		}
		got := h.volley(logins)
		accepts += got[authn.OK]
		if got[authn.OK] != people || got[authn.AlreadyUsed] != people*63 {
			t.Errorf("%d codes, 64 times each: %v", people, got)
		}
		h.clock.advance(30 * time.Second)
	}
	ledger := h.ledger()
	for at, n := range ledger {
		if n != 1 {
			t.Errorf("step %d of token %v was accepted %d times", at.step, at.token, n)
		}
	}
	if accepts != codes || len(ledger) != codes {
		t.Errorf("%d accepts, %d in the chain, want %d", accepts, len(ledger), codes)
	}
}

// TestSharedTokenOpensOnce sends each code of one token through the names of all eight people who hold it.
func TestSharedTokenOpensOnce(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	first := h.person("user0", "", 1)
	d := first.devices[0]
	for i := 1; i < 8; i++ {
		h.person(fmt.Sprint("user", i), "", 0, func(a *authn.Account, _ []*token.Token) {
			a.Assignments = []token.Assignment{{Token: d.ID, Standing: token.Active, Since: 1}}
		})
	}
	codes := proof(t, 1000, 200)
	accepts := 0
	for range codes {
		var logins []*authn.Login
		for i := range 8 {
			logins = append(logins, h.login(gw, fmt.Sprint("user", i), d.code(h.step(d)), home, nil))
		}
		got := h.volley(logins)
		accepts += got[authn.OK]
		if got[authn.OK] != 1 || got[authn.AlreadyUsed] != 7 {
			t.Fatalf("one code through eight names: %v", got)
		}
		h.clock.advance(30 * time.Second)
	}
	if n := len(h.ledger()); accepts != codes || n != codes {
		t.Errorf("%d accepts, %d steps in the chain, want %d", accepts, n, codes)
	}
}

// TestGuessesAreCountedExactly: of 1,000 wrong codes at once, three are single guesses and the rest are charged to the pair.
func TestGuessesAreCountedExactly(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves, gw.TrustStation = true, false
	p := h.person("bob", "", 1)
	const n = 1000
	var logins []*authn.Login
	for i := range n {
		logins = append(logins, h.login(gw, "bob", h.wrong(p, i*7+1), home, nil))
	}
	got := h.volley(logins)
	g := h.account(p).Guard
	now := h.clock.now()
	if got[authn.WrongCode] != 3 || got[authn.SecondMissed] != n-3 {
		t.Errorf("%d wrong codes at once: %v", n, got)
	}
	if u, pair := g.Spent(authn.PotU, now), g.Spent(authn.PotPair, now); u != 3*30_000_000_000 || pair != (n-3)*180_000 {
		t.Errorf("charged %d and %d units", u, pair)
	}
	// A gateway that asks both its servers at once, or twice: the same code counts once in 10 s.
	one := h.wrong(p, n*7+1)
	for i, want := range []int64{1, 1, 2} {
		if i == 2 {
			h.clock.advance(10 * time.Second)
		}
		h.try(gw, "bob", one, home)
		g = h.account(p).Guard
		if pair := g.Spent(authn.PotPair, now); pair != (n-3+want)*180_000 {
			t.Errorf("the same code, time %d: %d units in all", i+1, pair)
		}
	}
}

// TestPotStopsParallelGuesses guesses against an account whose pot is small: never more than it has, whatever comes at once.
func TestPotStopsParallelGuesses(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	h.auth.Limits.Pot[authn.ClassUnknown] = 2 * 30_000_000_000
	h.auth.Limits.PairPot = 10 * 180_000
	gw := gate()
	gw.GatewayProves, gw.TrustStation = true, false
	p := h.person("bob", "", 1)
	var logins []*authn.Login
	for i := range 500 {
		logins = append(logins, h.login(gw, "bob", h.wrong(p, i*7+1), home, nil))
	}
	got := h.volley(logins)
	g := h.account(p).Guard
	if got[authn.WrongCode] != 2 || got[authn.SecondMissed] != 10 || got[authn.PairBudget] != 488 {
		t.Errorf("500 guesses: %v", got)
	}
	if u, pair := g.Spent(authn.PotU, h.clock.now()), g.Spent(authn.PotPair, h.clock.now()); u != 2*30_000_000_000 || pair != 10*180_000 {
		t.Errorf("charged %d and %d units", u, pair)
	}
}

// TestOneSecondCode: of 64 second codes at once, with a bind each to make, one is accepted.
func TestOneSecondCode(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
	gw := gate()
	p := h.person("bob", "secret", 1)
	d := p.devices[0]
	h.edit(p, func(a *authn.Account) { a.Guard.Stopped = authn.StopU }, authn.ResetGuard)
	want(t, "first code", h.try(gw, "bob", "secret"+d.code(h.step(d)), home), authn.Reject, authn.FirstOfTwo)
	h.clock.advance(30 * time.Second)
	hold := make(chan struct{})
	h.dir.set(func(p *people) { p.hold = hold })
	answers := make(chan authn.Decision, 64)
	for range 64 {
		go h.auth.Authenticate(h.login(gw, "bob", "secret"+d.code(h.step(d)), home, nil), func(d authn.Decision) { answers <- d })
	}
	next := func() authn.Decision {
		select {
		case d := <-answers:
			return d
		case <-time.After(20 * time.Second):
			t.Fatal("somebody else waits for the pair that one login holds")
			return authn.Decision{}
		}
	}
	for range 63 {
		want(t, "beside the holder", next(), authn.Reject, authn.AlreadyUsed)
	}
	if n := h.dir.sent.Load(); n != 1 {
		t.Errorf("%d binds, want the holder's alone", n)
	}
	close(hold)
	want(t, "the holder", next(), authn.Accept, authn.OKSecondCode)
	for at, n := range h.ledger() {
		if n != 1 {
			t.Errorf("step %d was accepted %d times", at.step, n)
		}
	}
}

// TestStrangersLockNobodyOut: whatever fails elsewhere, the owner gets in from home with one code and from a new place
// with the next one.
func TestStrangersLockNobodyOut(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	p := h.person("bob", "", 1)
	d := p.devices[0]
	want(t, "at home", h.try(gw, "bob", d.code(h.step(d)), home), authn.Accept, authn.OK)
	n := proof(t, 10_000, 4_000)
	const chunk = 500
	sum := make(map[authn.Reason]int)
	for i := 0; i < n; i += chunk {
		var logins []*authn.Login
		for k := i; k < i+chunk; k++ {
			logins = append(logins, h.login(gw, "bob", h.wrong(p, k), fmt.Sprintf("203.0.%d.%d", k/250%250, k%250+1), nil))
		}
		for r, k := range h.volley(logins) {
			sum[r] += k
		}
		h.clock.advance(30 * time.Second)
		want(t, "at home", h.try(gw, "bob", d.code(h.step(d)), home), authn.Accept, authn.OK)
	}
	t.Log(sum)
	for range 400 { // to the stop of the class, by its waits
		h.clock.advance(11 * time.Minute)
		h.try(gw, "bob", h.wrong(p, 999_000), "203.0.113.9")
	}
	if g := h.account(p).Guard; g.Stopped&authn.StopU == 0 {
		t.Errorf("the class of unknown sources is not stopped: %+v", g.Row)
	}
	want(t, "at home", h.try(gw, "bob", d.code(h.step(d)), home), authn.Accept, authn.OK)
	h.clock.advance(30 * time.Second)
	want(t, "at a new place, first code", h.try(gw, "bob", d.code(h.step(d)), "192.0.2.200"), authn.Reject, authn.FirstOfTwo)
	h.clock.advance(30 * time.Second)
	want(t, "the next one", h.try(gw, "bob", d.code(h.step(d)), "192.0.2.200"), authn.Accept, authn.OKSecondCode)
	h.clock.advance(30 * time.Second)
	want(t, "known by now", h.try(gw, "bob", d.code(h.step(d)), "192.0.2.200"), authn.Accept, authn.OK)
}

// TestWaitingForASlot runs in virtual time: a right login waits for the binds in flight, and is given up at its deadline.
func TestWaitingForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
		h.dir.set(func(p *people) { p.threshold = 5 }) // one slot for unknown sources
		gw := gate()
		p := h.person("bob", "secret", 1)
		d := p.devices[0]
		hold := make(chan struct{})
		h.dir.set(func(p *people) { p.hold = hold })
		var slow, waiting, late authn.Decision
		var took [3]time.Duration
		begun := time.Now()
		send := func(i int, deadline time.Duration, text string, to *authn.Decision) {
			c := gate()
			c.Deadline = deadline
			h.auth.Authenticate(h.login(c, "bob", text, home, nil), func(d authn.Decision) { *to, took[i] = d, time.Since(begun) })
			synctest.Wait()
		}
		send(0, time.Minute, "wrong"+h.wrong(p, 1), &slow)
		send(1, time.Minute, "secret"+d.code(h.step(d)), &waiting)
		send(2, 4*time.Second, "secret"+d.code(h.step(d)), &late)
		if n := h.dir.sent.Load(); n != 1 {
			t.Errorf("%d binds at once, want 1", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if late.Reason != authn.TooLate || took[2] != 4*time.Second {
			t.Errorf("the impatient one: %v after %v", late.Reason, took[2])
		}
		if waiting.Reason != 0 {
			t.Errorf("the waiting one: %v while the slot is taken", waiting.Reason)
		}
		close(hold)
		time.Sleep(time.Second)
		synctest.Wait()
		want(t, "wrong", slow, authn.Reject, authn.WrongBoth)
		// The wrong password keeps the slot: the one that waited goes on with two codes.
		want(t, "waiting", waiting, authn.Reject, authn.FirstOfTwo)
		if n := h.dir.sent.Load(); n != 1 {
			t.Errorf("%d binds in all, want 1", n)
		}
		h.clock.advance(30 * time.Second)
		want(t, "the second code, by row 14's own slot", h.try(gw, "bob", "secret"+d.code(h.step(d)), home), authn.Accept, authn.OKSecondCode)

		// A directory that never answers: silence at the deadline, and nothing burnt.
		h.clock.advance(31 * time.Minute)
		last := h.last(d)
		h.dir.set(func(p *people) { p.hold = make(chan struct{}) })
		begun = time.Now()
		send(0, 3*time.Second, "secret"+d.code(h.step(d)), &slow)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if slow.Verdict != authn.Discard || took[0] != 3*time.Second || h.last(d) != last {
			t.Errorf("a directory that hangs: %v (%v) after %v, last step %d then %d", slow.Verdict, slow.Reason, took[0], last, h.last(d))
		}
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestPeopleDoNotShareSlots: the budget of one person is nobody else's.
func TestPeopleDoNotShareSlots(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
	h.dir.set(func(p *people) { p.threshold = 5 })
	gw := gate()
	var logins []*authn.Login
	for i := range 40 {
		p := h.person(fmt.Sprint("user", i), "secret", 1)
		d := p.devices[0]
		logins = append(logins, h.login(gw, p.name, "secret"+d.code(h.step(d)), home, nil))
	}
	if got := h.volley(logins); got[authn.OK] != len(logins) {
		t.Errorf("%d people with a slot each: %v", len(logins), got)
	}
}
