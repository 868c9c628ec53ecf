package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// results are the measurements of a row by entry, in the entries' order.
type results struct {
	row     *row
	entries []entry
	of      map[string][]measurement
}

func (r *results) key(e entry) string { return key(e.server.Name(), e.load.String()) }

// print writes a row's table and how its goals stand. Figures are medians over the rounds, ratios medians of the pairs of
// one round with the first entry, with the lowest and the highest pair.
func (r *results) print(w io.Writer) {
	base := r.of[r.key(r.entries[0])]
	if len(base) == 0 {
		return
	}
	fmt.Fprintf(w, "%s: %s, %d users; median of %d rounds [lowest-highest pair]\n", r.row.name, r.row.title, base[0].Users, len(base))
	widest, helped := 0, false
	for _, e := range r.entries {
		widest = max(widest, len(e.server.Name()))
		for _, m := range r.of[r.key(e)] {
			helped = helped || m.OwnCPU != m.CPU
		}
	}
	columns := []struct {
		head   string
		format string
		figure func(measurement) float64
	}{
		{"logins/s", "%.0f", perSecond},
		{"CPU us", "%.1f", cpu},
		{"own CPU us", "%.1f", ownCPU},
		{"p50 ms", "%.2f", func(m measurement) float64 { return m.P50 / 1000 }},
		{"p99 ms", "%.2f", func(m measurement) float64 { return m.P99 / 1000 }},
		{"RSS MB", "%.0f", func(m measurement) float64 { return float64(m.Resident) / 1e6 }},
		{"start s", "%.2f", func(m measurement) float64 { return m.StartMS / 1000 }},
		{"resent", "%.0f", func(m measurement) float64 { return float64(m.Retransmit) }},
	}
	if !helped {
		columns = slices.Delete(columns, 2, 3)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%-*s\tload\t", widest, "server")
	for _, c := range columns {
		fmt.Fprintf(t, "%s\t", c.head)
	}
	fmt.Fprint(t, "x logins/s\tx CPU\t")
	if helped {
		fmt.Fprint(t, "x own CPU\t")
	}
	fmt.Fprintln(t)
	for i, e := range r.entries {
		ms := r.of[r.key(e)]
		fmt.Fprintf(t, "%-*s\t%s\t", widest, e.server.Name(), e.load)
		for _, c := range columns {
			fmt.Fprintf(t, c.format+"\t", spreadOf(column(ms, c.figure)).median)
		}
		compared := []func(measurement) float64{perSecond, cpu, ownCPU}
		if !helped {
			compared = compared[:2]
		}
		for _, f := range compared {
			if i == 0 {
				fmt.Fprint(t, "1\t")
				continue
			}
			fmt.Fprintf(t, "%s\t", ratio(spreadOf(pairRatios(ms, base, f))))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
	for _, g := range r.row.goals {
		of, over := r.of[g.of], r.of[g.over]
		if len(of) == 0 || len(over) == 0 {
			continue
		}
		s := spreadOf(pairRatios(of, over, g.figure))
		fmt.Fprintf(w, "%2d  %s, %s / %s: %s  bar %.2f %s  goal %.2f %s\n", g.number, g.what, g.of, g.over, ratio(s),
			g.bar, reached(s.median, g.bar, g.atMost), g.goal, reached(s.median, g.goal, g.atMost))
	}
	worst := 0.0
	for _, ms := range r.of {
		for _, m := range ms {
			worst = max(worst, m.Others)
		}
	}
	if worst > tooBusy {
		fmt.Fprintf(w, "others used up to %.2f of a core meanwhile: take these figures with care\n", worst)
	}
	fmt.Fprintln(w)
}

func ratio(s spread) string {
	if math.IsNaN(s.median) {
		return "-"
	}
	return fmt.Sprintf("%.2f [%.2f-%.2f]", s.median, s.low, s.high)
}

func reached(figure, bound float64, atMost bool) string {
	if (figure <= bound) == atMost || figure == bound {
		return "reached"
	}
	return "MISSED"
}
