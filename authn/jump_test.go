package authn_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// person of one token whose device shows the time as it really is, whatever the server's clock says.
type holder struct {
	*office
	used int64 // newest step accepted
}

func newHolder(t *testing.T, m token.Mode, clock *authn.Clock) *holder {
	o := newOffice(t, 3)
	o.keeps, o.auth.Clock = true, clock
	o.auth.Policies[0].Window = token.LoginWindow
	if o.tokens[0].Mode = m; m == token.HOTP {
		o.tokens[0].Period = 0
	}
	return &holder{o, token.NoStep}
}

// try sends a code and holds the promise that no step opens that is not newer than all before.
func (p *holder) try(t *testing.T, code string) (d authn.Decision) {
	t.Helper()
	p.login.Text = authn.NewSecret([]byte(code))
	last := p.tokens[0].Last
	p.send(func(got authn.Decision) { d = got })
	if d.Verdict == authn.Accept {
		if p.saved.Step <= p.used || p.tokens[0].Last != p.saved.Step {
			t.Fatalf("step %d opens after step %d, burnt is %d", p.saved.Step, p.used, p.tokens[0].Last)
		}
		p.used = p.saved.Step
	}
	if p.tokens[0].Last < last {
		t.Fatalf("the last step goes from %d to %d", last, p.tokens[0].Last)
	}
	return d
}

// miss sends a code that none of the steps around shows.
func (p *holder) miss(t *testing.T, r *rand.Rand) authn.Decision {
	t.Helper()
	for {
		code, free := fmt.Sprintf("%06d", r.IntN(1_000_000)), true
		for s := max(0, p.tokens[0].Last-20); s < p.tokens[0].Last+20; s++ {
			free = free && p.tokens[0].Code(p.seed, s) != code
		}
		if free {
			return p.try(t, code)
		}
	}
}

// TestClockJumps holds S21 in virtual time: the clock jumps by seconds, hours and years, both ways, a thousand times and more,
// while people log in with codes of the true time. No old step passes, nothing is burnt while the clock is in doubt, and once it
// is right everybody gets in again, whatever was mistyped meanwhile.
func TestClockJumps(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 4))
	clock := &authn.Clock{}
	timed, counted := newHolder(t, token.TOTP, clock), newHolder(t, token.HOTP, clock)
	var boot, off, right time.Duration // right is since when the clock is
	truth := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(boot) }
	sizes := []time.Duration{time.Second, 4 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 400 * 24 * time.Hour, 10 * 365 * 24 * time.Hour}
	var jumps, accepts, held int
	for range proof(t, 50_000, 10_000) {
		boot += time.Duration(1+r.IntN(90)) * time.Second
		before := off
		switch r.IntN(6) {
		case 0:
			off = sizes[r.IntN(len(sizes))]
			if r.IntN(2) == 0 {
				off = -off
			}
		case 1, 2:
			off = 0
		}
		if off != before {
			jumps++
		}
		if off != 0 {
			right = boot
		}
		for _, p := range []*holder{timed, counted} {
			p.now = truth().Add(off)
		}
		began := clock.Observe(timed.now, boot, func() bool { return off == 0 })
		if off.Abs() > 10*time.Second && !clock.Doubt() || began && off == 0 {
			t.Fatalf("clock off by %v: doubt %v, begun %v", off, clock.Doubt(), began)
		}

		step := truth().Unix() / 30
		d := timed.try(t, timed.tokens[0].Code(timed.seed, step))
		switch {
		case clock.Doubt():
			if held++; d.Verdict != authn.Discard || d.Reason != authn.ClockDoubt || timed.used != timed.tokens[0].Last {
				t.Fatalf("clock off by %v: a time-based code gives %v (%v)", off, d.Verdict, d.Reason)
			}
		case d.Verdict == authn.Accept:
			accepts++
		case d.Reason != authn.AlreadyUsed:
			t.Fatalf("clock off by %v and not in doubt: %v (%v)", off, d.Verdict, d.Reason)
		}
		back := 1 // an older code may be outside the window, where it is a miss
		switch {
		case clock.Doubt():
			back = 1000
		case off == 0:
			back = 2
		}
		if old := step - int64(r.IntN(back)); old <= timed.used {
			if d := timed.try(t, timed.tokens[0].Code(timed.seed, old)); d.Verdict == authn.Accept {
				t.Fatalf("clock off by %v: step %d opens again", off, old)
			}
		}

		if r.IntN(60) == 0 { // mistyped, the more so while the clock is wrong
			for range 1 + r.IntN(5) {
				counted.miss(t, r)
				counted.now = counted.now.Add(11 * time.Second)
			}
		}
		code := counted.tokens[0].Code(counted.seed, counted.tokens[0].Last+1)
		d = counted.try(t, code)
		if boot-right > 3*time.Minute && d.Verdict != authn.Accept && d.Reason != authn.MustWait && d.Reason != authn.FirstOfTwo {
			t.Fatalf("the clock is right since %v: a counter's code gives %v (%v)", boot-right, d.Verdict, d.Reason)
		}
	}
	t.Logf("%d jumps, %d time-based codes accepted, %d held", jumps, accepts, held)
	if jumps < 1000 || accepts < 1000 || held < 1000 {
		t.Error("the run proves little")
	}
}

// TestMissesOfAClockAhead: who mistypes at a place that is known while the clock stands ahead gets in with one code when it is
// right again.
func TestMissesOfAClockAhead(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, ahead := range []time.Duration{time.Minute, time.Hour, 20 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		for misses := 1; misses <= 12; misses++ {
			p := newHolder(t, token.HOTP, &authn.Clock{})
			want(t, "the day before", p.try(t, p.tokens[0].Code(p.seed, 0)), authn.Accept, authn.OK)
			begun := p.now
			for i := range misses {
				p.now = begun.Add(ahead + time.Duration(i-misses)*2*time.Hour) // so that each is evaluated
				p.miss(t, r)
			}
			p.now = begun.Add(time.Second)
			want(t, fmt.Sprintf("after %d misses of a clock %v ahead", misses, ahead), p.try(t, p.tokens[0].Code(p.seed, 1)), authn.Accept, authn.OK)
		}
	}
}
