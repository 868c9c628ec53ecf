package main

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	w := &worker{c: &config{rate: 1000, workers: 2, burst: burst{rate: 20_000, from: time.Second, duration: 2 * time.Second}}}
	p := w.pace()
	const counted = int64(5 * time.Second)
	for _, tt := range []struct {
		due     time.Duration
		counted int64
		want    float64
	}{
		{5500 * time.Millisecond, counted, 2e6},
		{6 * time.Second, counted, 1e5},
		{7999 * time.Millisecond, counted, 1e5},
		{8 * time.Second, counted, 2e6},
		{time.Second, 0, 2e6}, // the counted time has not begun
	} {
		if got := p.gap(float64(tt.due), tt.counted); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.due, got, tt.want)
		}
	}
	w.c.counted.Store(counted)
	due := 6.5e9
	if got := w.dropLate(&p, due, int64(due)+int64(40*time.Millisecond), counting); got != due || w.unsent != 0 {
		t.Errorf("a little late: due at %v, %d dropped", got, w.unsent)
	}
	if got := w.dropLate(&p, due, int64(due)+int64(time.Second), counting); got != due+1e9 || w.unsent != 10_000 {
		t.Errorf("a second late: due at %v, %d dropped", got, w.unsent)
	}
	closed := &worker{c: &config{workers: 1}}
	if p := closed.pace(); p.gap(1, 0) != 0 || closed.dropLate(&p, 0, int64(time.Hour), counting) != 0 {
		t.Error("a closed loop has a pace")
	}
}

func TestSlots(t *testing.T) {
	c := &config{slot: time.Second, length: 2500 * time.Millisecond, burst: burst{rate: 1, from: time.Second, duration: time.Second}}
	w := &worker{c: c, slots: newSlots(c)}
	c.counted.Store(int64(time.Minute))
	at := func(d time.Duration) int64 { return int64(time.Minute + d) }
	for _, d := range []time.Duration{-time.Second, 0, 999 * time.Millisecond, 2400 * time.Millisecond, 3 * time.Second} {
		w.countSent(at(d))
	}
	w.countSlot(&slot{from: at(900 * time.Millisecond)}, 2, at(1100*time.Millisecond)) // asked in one, answered in the next
	w.countSlot(&slot{from: at(0)}, 3, at(0))
	w.countSlot(&slot{from: at(1500 * time.Millisecond)}, 2, at(1600*time.Millisecond))
	got, inBurst := slots(c, []*worker{w, {c: c, slots: newSlots(c)}})
	if len(got) != 3 || got[0].Sent != 2 || got[1].Sent != 0 || got[2].Sent != 1 {
		t.Fatalf("%+v", got)
	}
	if got[0].Accepted != 1 || got[0].Came != 0 || got[1].Accepted != 1 || got[1].Came != 2 || got[2].From != 2 {
		t.Errorf("%+v", got)
	}
	if got[0].AcceptP99 < 200_000 || got[0].AcceptP99 > 202_000 || inBurst != got[1].AcceptP99 || inBurst < 100_000 || inBurst > 101_000 {
		t.Errorf("%+v, %v in the burst", got, inBurst)
	}
	sl := &slot{from: at(0)}
	if n := testing.AllocsPerRun(100, func() { w.countSent(at(0)); w.countSlot(sl, 2, at(0)) }); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
	if s, inBurst := slots(&config{}, nil); s != nil || inBurst != 0 {
		t.Errorf("without -slot: %v, %v", s, inBurst)
	}
}
