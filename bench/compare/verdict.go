package main

import (
	"fmt"
	"io"
	"math"
)

// none stands for a bar or a goal that there is not.
var none = math.NaN()

// verdict is one figure of the performance table as it was seen, and what was asked of it.
type verdict struct {
	number    int // in the performance table
	what      string
	seen      spread
	unit      string // behind the figure: "x" for a ratio
	bar, goal float64
	atMost    bool // the figure must not be above bar; else not below
}

// printVerdicts writes them as a table.
func printVerdicts(w io.Writer, vs []verdict) {
	if len(vs) == 0 {
		return
	}
	var lines [][]string
	for _, v := range vs {
		lines = append(lines, []string{fmt.Sprint(v.number), v.what, v.seen.in(v.unit),
			bound(v.bar, v.unit), reached(v.seen.median, v.bar, v.atMost), bound(v.goal, v.unit), reached(v.seen.median, v.goal, v.atMost)})
	}
	markdown(w, []string{"#", "figure", "seen [lowest-highest]", "bar", "", "goal", ""}, lines)
}

func bound(b float64, unit string) string {
	if math.IsNaN(b) {
		return "-"
	}
	return figure(b) + unit
}

// reached says how a figure stands to a bound; a figure that could not be taken has missed it.
func reached(figure, bound float64, atMost bool) string {
	switch {
	case math.IsNaN(bound):
		return ""
	case figure == bound || !math.IsNaN(figure) && (figure < bound) == atMost:
		return "reached"
	}
	return "missed"
}

// in shows a spread with its unit; of nothing it is a dash.
func (s spread) in(unit string) string {
	if math.IsNaN(s.median) {
		return "-"
	}
	return fmt.Sprintf("%s%s [%s-%s]", figure(s.median), unit, figure(s.low), figure(s.high))
}

// figure is a number with as many digits as say something.
func figure(f float64) string {
	switch a := math.Abs(f); {
	case f == math.Trunc(f) && a < 1000:
		return fmt.Sprintf("%.0f", f)
	case a < 10:
		return fmt.Sprintf("%.2f", f)
	case a < 100:
		return fmt.Sprintf("%.1f", f)
	}
	s := fmt.Sprintf("%.0f", math.Abs(f))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if f < 0 {
		s = "-" + s
	}
	return s
}
