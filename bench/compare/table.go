package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// results are the measurements of a row by entry, in the entries' order.
type results struct {
	row     *row
	note    string
	entries []entry
	of      map[string][]measurement
}

func (r *results) key(e entry) string { return key(e.server.Name(), e.load.String()) }

// tableColumn is one figure of every measurement.
type tableColumn struct {
	head   string
	figure func(measurement) float64
}

// print writes a row's table and how its goals stand. Figures are medians over the rounds, ratios medians of the pairs of
// one round with the first entry, with the lowest and the highest pair.
func (r *results) print(w io.Writer) {
	base := r.of[r.key(r.entries[0])]
	if len(base) == 0 {
		return
	}
	fmt.Fprintf(w, "%s: %s%s; median of %s [lowest-highest pair]\n\n", r.row.name, r.row.title, r.note, count(len(base), "round"))
	helped, synced := false, false
	for _, ms := range r.of {
		for _, m := range ms {
			helped = helped || m.OwnCPU != m.CPU
			synced = synced || m.SyncP99 > 0
		}
	}
	columns := []tableColumn{
		{"users", func(m measurement) float64 { return float64(m.Users) }},
		{"answers/s", answersPerSecond},
		{"CPU us", cpu},
		{"own CPU us", ownCPU},
		{"p50 ms", func(m measurement) float64 { return m.P50 / 1000 }},
		{"p99 ms", p99},
		{"RSS MB", func(m measurement) float64 { return float64(m.Resident) / 1e6 }},
		{"start s", func(m measurement) float64 { return m.StartMS / 1000 }},
		{"resent", resent},
		{"fdatasync p99 ms", syncTime},
	}
	columns = slices.DeleteFunc(columns, func(c tableColumn) bool {
		return c.head == "own CPU us" && !helped || c.head == "fdatasync p99 ms" && !synced
	})
	compared := []tableColumn{{"x answers/s", answersPerSecond}, {"x CPU", cpu}, {"x own CPU", ownCPU}}
	if !helped {
		compared = compared[:2]
	}
	head := []string{"server", "load"}
	for _, c := range slices.Concat(columns, compared) {
		head = append(head, c.head)
	}
	var lines [][]string
	for i, e := range r.entries {
		ms := r.of[r.key(e)]
		line := []string{e.server.Name(), e.load.String()}
		for _, c := range columns {
			line = append(line, figure(spreadOf(column(ms, c.figure)).median))
		}
		for _, c := range compared {
			if i == 0 {
				line = append(line, "1")
				continue
			}
			line = append(line, spreadOf(pairRatios(ms, base, c.figure)).in(""))
		}
		lines = append(lines, line)
	}
	markdown(w, head, lines)
	printVerdicts(w, r.verdicts())
	worst := 0.0
	for _, ms := range r.of {
		for _, m := range ms {
			worst = max(worst, m.Others)
		}
	}
	if worst > tooBusy {
		fmt.Fprintf(w, "Others used up to %.2f of a core meanwhile: take these figures with care.\n\n", worst)
	}
}

// verdicts are how the row's goals stand; those of servers that were left out are no part of it.
func (r *results) verdicts() []verdict {
	var vs []verdict
	for _, g := range r.row.goals {
		of, over := r.of[g.of], r.of[g.over]
		if len(of) == 0 || g.over != "" && len(over) == 0 {
			continue
		}
		v := verdict{number: g.number, what: g.what + ": " + g.of, unit: g.unit, bar: g.bar, goal: g.goal, atMost: g.atMost}
		if g.over == "" {
			v.seen = spreadOf(column(of, g.figure))
		} else {
			v.what += " / " + g.over
			v.unit = "x"
			v.seen = spreadOf(pairRatios(of, over, g.figure))
		}
		vs = append(vs, v)
	}
	if r.row.judge != nil {
		vs = append(vs, r.row.judge(r)...)
	}
	return vs
}

// markdown writes a table whose columns stand below each other in plain text, too.
func markdown(w io.Writer, head []string, lines [][]string) {
	width := make([]int, len(head))
	all := append([][]string{head}, lines...)
	for _, line := range all {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for n, line := range all {
		for i, cell := range line {
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, wide := range width {
				fmt.Fprintf(w, "|%s", strings.Repeat("-", wide+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
	fmt.Fprintln(w)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
