package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekisho/bench/internal/realpart"
	"sekisho/bench/internal/report"
)

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{4, 1}, spread{2.5, 1, 4}},
		{[]float64{9, 1, 5}, spread{5, 1, 9}},
		{[]float64{4, 3, 2, 1}, spread{2.5, 1, 4}},
	} {
		in := slices.Clone(tt.in)
		if got := spreadOf(tt.in); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.in, got, tt.want)
		}
		if !slices.Equal(in, tt.in) {
			t.Errorf("%v was sorted in place", in)
		}
	}
	if s := spreadOf(nil); !math.IsNaN(s.median) {
		t.Errorf("of nothing: %v", s)
	}
}

// The machine became four times as fast between the rounds: pairs still say 2, where medians of each server would not.
func TestPairsAreOfOneRound(t *testing.T) {
	m := func(round int, perSecond float64) measurement {
		return measurement{Round: round, Result: report.Result{AcceptPerSecond: perSecond}}
	}
	of := []measurement{m(1, 200), m(2, 800), m(3, 2000)}
	over := []measurement{m(2, 400), m(1, 100), m(4, 1), m(3, 500)}
	got := pairRatios(of, over, perSecond)
	if !slices.Equal(got, []float64{2, 2, 4}) {
		t.Errorf("%v", got)
	}
	if s := spreadOf(got); s != (spread{2, 2, 4}) {
		t.Errorf("%v", s)
	}
	if got := pairRatios(of, []measurement{m(1, 0)}, perSecond); len(got) != 0 {
		t.Errorf("a ratio over nothing: %v", got)
	}
}

func TestPick(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"code-only,password", "code-only password"},
		{"5", "password"},
		{"1", "code-only code-only-totp"},
		{"6,code-only", "steady code-only"},
		{"1,2,3", "code-only code-only-totp ceiling"},
		{"3", "ceiling"}, {"7", "start"}, {"8", "start"}, {"13", "hung"},
		{"password,5", "password"},
		{"99", ""}, {"", ""}, {"1,", ""}, {"passwords", ""},
	} {
		picked, err := pick(tt.in)
		var names []string
		for _, r := range picked {
			names = append(names, r.name)
		}
		if got := strings.Join(names, " "); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%q: %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

// Every number of the performance table has a row.
func TestEveryFigureHasARow(t *testing.T) {
	for n := 1; n <= 13; n++ {
		if _, err := pick(strconv.Itoa(n)); err != nil {
			t.Error(err)
		}
	}
	names := map[string]bool{}
	for _, r := range rows {
		if names[r.name] || r.entries == nil && r.run == nil {
			t.Errorf("%s: twice, or it does nothing", r.name)
		}
		names[r.name] = true
	}
}

// A goal that names an entry which its row does not measure would never be printed.
func TestGoalsNameEntries(t *testing.T) {
	s := newServers("", "")
	for _, r := range rows {
		if r.entries == nil {
			continue
		}
		res := results{row: r, entries: r.entries(s, time.Second)}
		var keys []string
		for _, e := range res.entries {
			keys = append(keys, res.key(e))
		}
		if unique := slices.Compact(slices.Sorted(slices.Values(keys))); len(unique) != len(keys) {
			t.Errorf("%s measures an entry twice: %q", r.name, keys)
		}
		for _, g := range r.goals {
			if !slices.Contains(keys, g.of) || g.over != "" && !slices.Contains(keys, g.over) {
				t.Errorf("%s: %q / %q are not among %q", r.name, g.of, g.over, keys)
			}
		}
	}
}

func TestTable(t *testing.T) {
	fake := func(name string) server { return &program{name: name} }
	r := &results{
		row: &row{name: "demo", title: "a title", goals: []goal{
			{1, "logins/s", "new, window 64", "old, window 64", perSecond, 2, 3, false, ""},
			{2, "CPU per login", "new, window 64", "old, window 64", cpu, 0.5, 0.3, true, ""},
			{3, "CPU", "new, window 64", "", cpu, 20, none, true, " us"},
			{4, "of what was left out", "nobody, window 64", "old, window 64", cpu, 1, 1, true, ""},
		}},
		entries: []entry{{fake("old"), load{Window: 64}}, {fake("new"), load{Window: 64}}},
		of:      map[string][]measurement{},
	}
	for round := 1; round <= 3; round++ {
		for name, figures := range map[string][2]float64{"old": {1000, 40}, "new": {2500, 16}} {
			k := key(name, "window 64")
			r.of[k] = append(r.of[k], measurement{Round: round, Server: name, CPU: figures[1], OwnCPU: figures[1],
				Result: report.Result{AcceptPerSecond: figures[0] * float64(round), Users: 10}})
		}
	}
	var b bytes.Buffer
	r.print(&b)
	printed := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"demo: a title; median of 3 rounds",
		"| 1 | logins/s: new, window 64 / old, window 64 | 2.50x [2.50-2.50] | 2x | reached | 3x | missed |",
		"| 2 | CPU per login: new, window 64 / old, window 64 | 0.40x [0.40-0.40] | 0.50x | reached | 0.30x | missed |",
		"| 3 | CPU: new, window 64 | 16 us [16-16] | 20 us | reached | - | |",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is not in\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "left out") {
		t.Errorf("a server that was not measured has a verdict\n%s", &b)
	}
	if strings.Contains(b.String(), "own CPU") {
		t.Errorf("no server has helpers, and yet\n%s", &b)
	}
}

func TestLeftOut(t *testing.T) {
	for _, tt := range []struct {
		name, without string
		want          bool
	}{
		{nameSekisho, "sekisho", true},
		{nameSekishoLDAP, "protosrv,sekisho", true},
		{nameSekisho, "", false},
		{nameSekisho, "sekisho (", false},
	} {
		if got := leftOut(tt.name, tt.without); got != tt.want {
			t.Errorf("%q without %q: %v", tt.name, tt.without, got)
		}
	}
}

// The whole way with servers of this module: build, prepare, start, first login, load, stop, table.
func TestCompare(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		realpart.LeaveOut(t, "there is no go command")
	}
	if testing.Short() {
		t.Skip("LEFT OUT: it builds programs and sends logins for seconds")
	}
	runtime.LockOSThread() // as main does; its end takes the thread along
	t.Chdir("..")
	rowsBefore := rows
	defer func() { rows = rowsBefore }()
	rows = []*row{{name: "test", title: "test", users: 300, kind: "hotp", layout: "otp",
		entries: func(s *servers, d time.Duration) []entry {
			return []entry{{s.prototype, load{Window: 16, Length: d}}, {s.bare, load{Window: 16, Length: d}}}
		}}}
	var b bytes.Buffer
	o := options{rows: "test", rounds: 2, length: 100 * time.Millisecond, budget: time.Minute, without: "sekisho", noisy: true}
	if err := run(context.Background(), o, io.MultiWriter(&b, t.Output())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"median of 2 rounds", namePrototype, nameBare} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, &b)
		}
	}
}
