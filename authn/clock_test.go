package authn

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	never := func() bool { t.Error("the witness was asked"); return true }
	type look struct {
		boot    time.Duration // since the one before
		apart   time.Duration // how far the wall clock stands from where boot time puts it
		witness func() bool
		began   bool
		doubt   bool
	}
	for name, c := range map[string]struct {
		begin bool
		looks []look
	}{
		"steady":            {looks: []look{{0, 0, never, false, false}, {time.Second, 0, never, false, false}, {time.Hour, 0, never, false, false}}},
		"5 s is not a jump": {looks: []look{{0, 0, never, false, false}, {time.Second, 5 * time.Second, never, false, false}}},
		"forward":           {looks: []look{{0, 0, nil, false, false}, {time.Second, 5*time.Second + 2*time.Millisecond, nil, true, true}, {time.Second, 6 * time.Second, nil, false, true}}},
		"back":              {looks: []look{{0, 0, nil, false, false}, {time.Second, -6 * time.Second, no, true, true}, {time.Second, -6 * time.Second, no, false, true}}},
		"confirmed":         {looks: []look{{0, 0, nil, false, false}, {time.Second, time.Hour, yes, false, false}, {time.Second, time.Hour, never, false, false}}},
		"confirmed later":   {looks: []look{{0, 0, nil, false, false}, {time.Second, time.Hour, no, true, true}, {time.Second, time.Hour, yes, false, false}, {time.Second, time.Hour, never, false, false}}},
		"back by itself":    {looks: []look{{0, 0, nil, false, false}, {time.Second, time.Hour, no, true, true}, {time.Second, time.Second, never, false, false}}},
		"slow steps":        {looks: []look{{0, 0, nil, false, false}, {time.Second, 3 * time.Second, never, false, false}, {time.Second, 6 * time.Second, no, true, true}}},
		"suspended":         {looks: []look{{0, 0, nil, false, false}, {9 * time.Hour, 0, never, false, false}}}, // boot time runs on
		"begun behind":      {begin: true, looks: []look{{0, 0, no, false, true}, {time.Second, 0, no, false, true}, {time.Second, 0, yes, false, false}}},
		"behind, then back and forth": {begin: true, looks: []look{{0, 0, no, false, true}, {time.Second, time.Hour, no, false, true}, {time.Second, 0, no, false, true},
			{time.Second, 0, yes, false, false}}},
	} {
		var clock Clock
		if c.begin {
			clock.BeginDoubt()
		}
		boot := time.Hour
		for i, l := range c.looks {
			boot += l.boot
			if began := clock.Observe(noon.Add(boot+l.apart), boot, l.witness); began != l.began || clock.Doubt() != l.doubt {
				t.Errorf("%s, look %d: began %v, in doubt %v; want %v and %v", name, i+1, began, clock.Doubt(), l.began, l.doubt)
			}
		}
	}
}

// TestClockFollowsSlewing lets a clock be slewed by 500 ppm for two days, 86 s in all: a daemon that corrects it slowly is
// no jump.
func TestClockFollowsSlewing(t *testing.T) {
	for _, direction := range []time.Duration{1, -1} {
		var c Clock
		for s := range time.Duration(2 * 86_400) {
			boot := s * time.Second
			if c.Observe(noon.Add(boot+direction*s*500*time.Microsecond), boot, nil) {
				t.Fatalf("in doubt after %v", boot)
			}
		}
	}
}

func TestClockAccept(t *testing.T) {
	var c Clock
	c.Observe(noon, 0, nil)
	if c.Accept(noon, 0) {
		t.Error("an accept without a doubt says there was one")
	}
	c.Observe(noon.Add(time.Hour), time.Second, nil)
	if !c.Doubt() || !c.Accept(noon.Add(time.Hour), time.Second) || c.Doubt() {
		t.Error("an accept does not end the doubt")
	}
	if c.Observe(noon.Add(time.Hour+time.Second), 2*time.Second, nil) {
		t.Error("the accepted time is a jump")
	}
	if c.BeginDoubt(); !c.Doubt() || !c.Accept(noon, time.Minute) || c.Doubt() {
		t.Error("an accept does not end a doubt begun at start")
	}
}

// TestClockWitnessHoldsNobodyUp: logins look at Doubt while a slow witness is asked.
func TestClockWitnessHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		c.Observe(noon, 0, nil)
		go c.Observe(noon.Add(time.Hour), time.Second, func() bool { time.Sleep(time.Hour); return true })
		synctest.Wait()
		begun := time.Now()
		if !c.Doubt() {
			t.Error("codes are not on hold while the witness is asked")
		}
		if d := time.Since(begun); d != 0 {
			t.Errorf("a login waited %v for the witness", d)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if c.Doubt() {
			t.Error("the witness's word was not heard")
		}
	})
}
