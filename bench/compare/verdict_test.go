package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/bench/internal/report"
)

func TestReached(t *testing.T) {
	for _, tt := range []struct {
		figure, bound float64
		atMost        bool
		want          string
	}{
		{2, 1.5, false, "reached"}, {1.5, 1.5, false, "reached"}, {1.49, 1.5, false, "missed"},
		{0.4, 0.5, true, "reached"}, {0.5, 0.5, true, "reached"}, {0.51, 0.5, true, "missed"},
		{0, 0, true, "reached"}, {1, 0, true, "missed"},
		{math.NaN(), 1, true, "missed"}, {math.NaN(), 1, false, "missed"}, {math.Inf(1), 1, true, "missed"},
		{1, none, true, ""}, {math.NaN(), none, true, ""},
	} {
		if got := reached(tt.figure, tt.bound, tt.atMost); got != tt.want {
			t.Errorf("%v to %v, at most %v: %q, want %q", tt.figure, tt.bound, tt.atMost, got, tt.want)
		}
	}
}

func TestFigure(t *testing.T) {
	for _, tt := range []struct {
		in   float64
		want string
	}{
		{0, "0"}, {1, "1"}, {1.5, "1.50"}, {0.049, "0.05"}, {12.34, "12.3"}, {999, "999"}, {999.6, "1,000"}, {1000, "1,000"},
		{123456.7, "123,457"}, {50_000_000, "50,000,000"}, {-1234, "-1,234"}, {-2.5, "-2.50"}, {100.4, "100"},
	} {
		if got := figure(tt.in); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := (spread{math.NaN(), 0, 0}).in("x"); got != "-" {
		t.Errorf("a spread of nothing: %q", got)
	}
	if got := (spread{2, 1.5, 3}).in(" ms"); got != "2 ms [1.50-3]" {
		t.Errorf("%q", got)
	}
}

func TestInTurn(t *testing.T) {
	all := []int{1, 2, 3}
	if got := inTurn(all, 1); !slices.Equal(got, []int{1, 2, 3}) {
		t.Error(got)
	}
	if got := inTurn(all, 2); !slices.Equal(got, []int{3, 2, 1}) {
		t.Error(got)
	}
}

// The tail is set against the other server's of the same round.
func TestTailRatios(t *testing.T) {
	m := func(round int, p99 float64) measurement {
		return measurement{Round: round, Result: report.Result{P99: 1000 * p99}}
	}
	got := tailRatios([]measurement{m(1, 5), m(2, 10), m(3, 1)}, []measurement{m(2, 2), m(1, 2)}, 1)
	if !slices.Equal(got, []float64{1, 2}) {
		t.Error(got)
	}
}

func TestAsExpected(t *testing.T) {
	hotp, forgets := &program{}, &program{forgets: true}
	for _, tt := range []struct {
		name string
		r    report.Result
		e    entry
		ok   bool
	}{
		{"all in", report.Result{Accept: 1000}, entry{server: hotp}, true},
		{"a few not", report.Result{Accept: 1000, Reject: 5}, entry{server: hotp}, true},
		{"too many not", report.Result{Accept: 1000, Reject: 6}, entry{server: hotp}, false},
		{"lost", report.Result{Accept: 1000, Timeout: 6}, entry{server: hotp}, false},
		{"no word of the server's", report.Result{Accept: 1000, Bad: 6}, entry{server: hotp}, false},
		{"nobody", report.Result{}, entry{server: hotp}, false},
		{"step over", report.Result{Accept: 1000, Reject: 60}, entry{server: forgets, load: load{Window: 64}}, true},
		{"refusals", report.Result{Reject: 1000}, entry{server: hotp, load: load{Wrong: true}}, true},
		{"strangers", report.Result{Reject: 1000}, entry{server: hotp, load: load{Unknown: true}}, true},
		{"strangers let in", report.Result{Reject: 900, Accept: 100}, entry{server: hotp, load: load{Unknown: true}}, false},
		{"waited", report.Result{Accept: 1000, Seconds: 3, Stalled: 1}, entry{server: hotp}, false},
	} {
		if err := asExpected(&tt.r, tt.e, 10); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestRounds(t *testing.T) {
	s := &session{row: &row{name: "test"}, options: options{rounds: 4}, deadline: time.Now().Add(time.Hour)}
	made := 0
	n, err := s.rounds(func(round int) error {
		if made++; round != made {
			t.Errorf("round %d after %d", round, made-1)
		}
		return nil
	})
	if n != 4 || made != 4 || err != nil {
		t.Errorf("%d of %d, %v", n, made, err)
	}
	s.deadline = time.Now() // one round is made whatever the time
	if n, err := s.rounds(func(int) error { time.Sleep(time.Millisecond); return nil }); n != 1 || !errors.Is(err, errShort) {
		t.Errorf("without time: %d, %v", n, err)
	}
	s.row.rounds = 2
	if n, err := s.rounds(func(int) error { time.Sleep(time.Millisecond); return nil }); n != 1 || !errors.Is(err, errShort) {
		t.Errorf("one round where two are enough: %d, %v", n, err)
	}
	s.row.rounds = 1
	if n, err := s.rounds(func(int) error { time.Sleep(time.Millisecond); return nil }); n != 1 || err != nil {
		t.Errorf("as many rounds as are enough: %d, %v", n, err)
	}
	fault := errors.New("fault")
	if n, err := s.rounds(func(int) error { return fault }); n != 0 || !errors.Is(err, fault) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestParseAllocs(t *testing.T) {
	said := `goos: linux
BenchmarkLogin/CodeOnly-2         	   20000	     55480 ns/op	    3512 B/op	      20 allocs/op
BenchmarkLogin/CodeOnly           	   20000	     55480.5 ns/op	 12 logins/s	  3512 B/op	      0 allocs/op
BenchmarkLogin/Password-2         	   20000	     1 ns/op	    1 B/op	      1 allocs/op
PASS`
	got, err := parseAllocs(said)
	if err != nil || !slices.Equal(got, []benchmark{{55480, 3512, 20}, {55480.5, 3512, 0}}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseAllocs("PASS"); err == nil {
		t.Error("no figures, and no error")
	}
}

// One second as usual, one of overload, and then time to recover in.
func TestOverloadIsReadFromItsSlots(t *testing.T) {
	slot := func(k int, sent, accepted, came int64, late time.Duration) report.Slot {
		return report.Slot{From: float64(k) * overloadSlot.Seconds(), Sent: sent, Accepted: accepted, Came: came, AcceptP99: float64(late.Microseconds())}
	}
	const ms = time.Millisecond
	slots := []report.Slot{
		slot(0, 100, 100, 100, 80*ms), slot(1, 100, 100, 100, 90*ms),
		slot(2, 1000, 90, 100, 900*ms), slot(3, 1000, 100, 80, 1500*ms),
		slot(4, 100, 60, 120, 1200*ms), slot(5, 100, 100, 130, 170*ms), slot(6, 100, 98, 100, 50*ms), slot(7, 100, 99, 100, 180*ms),
	}
	f := flooded{before: time.Second, during: time.Second}
	f.read(&report.Result{Slots: slots, BurstAcceptP99: 1.5e6})
	if f.usual != 0.09 || f.goodput != 180 || f.admitted != 1.5 {
		t.Errorf("%+v", f)
	}
	if f.back != 1.5 { // the third slot after the flood is the last one with losses
		t.Errorf("back after %v", f.back)
	}
	f = flooded{before: time.Second, during: time.Second}
	f.read(&report.Result{Slots: slots[:4]})
	if f.back != 0 {
		t.Errorf("back after %v", f.back)
	}
}

func TestRadloadArgs(t *testing.T) {
	i := &instance{server: &freeradiusServer{kind: "pam"}, dir: "d", users: 7, kind: "hotp", layout: "otp", counter: 1, port: 9}
	args := fmt.Sprint(radloadArgs(i, load{Window: 1000, Length: time.Second, Wrong: true}))
	for _, want := range []string{"-hotp-start 1", "-window 1000", "-sockets 4", "-wrong", "-state d/used.bin"} {
		if !strings.Contains(args, want) {
			t.Errorf("%q is not in %s", want, args)
		}
	}
	for _, bad := range []string{"-require-ma", "-reuse", "-rate"} {
		if strings.Contains(args, bad) {
			t.Errorf("%q is in %s", bad, args)
		}
	}
}
