package console

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sekisho/admin"
)

// Sizes of a plot in its own units; the page scales it.
const (
	plotWidth  = 380
	plotHeight = 190
	plotLeft   = 36 // for the scale
	plotBottom = 26 // for the moments
	plotTop    = 8
)

// plots are the pictures of a page, drawn here so that they need no script.
type plots struct {
	Spans   []string
	Span    string
	Since   *time.Time // older logins are not counted yet
	Empty   bool
	Logins  barPlot
	Reasons []reasonBar
	Times   linePlot
	Steps   []admin.PlotStep // for the table beneath
}

type tick struct {
	X, Y  float64
	Label string
}

type bar struct {
	X, Y, W, H float64
	Kind       string // verdict
	Title      string
}

type barPlot struct {
	Bars   []bar
	Scale  []tick
	Times  []tick
	Totals []total
}

type total struct {
	Kind  string
	Count int
}

type reasonBar struct {
	Reason string
	Count  int
	Share  int // of the longest, in hundredths of the width
}

type linePlot struct {
	Lines []line
	Scale []tick
	Times []tick
}

type line struct {
	Kind   string // stage
	Points string
	Dots   []tick
	Last   string
}

var (
	plotSpans    = []string{"1h", "24h", "7d", "30d", "90d"}
	plotVerdicts = []string{"accept", "challenge", "reject", "discard"} // from the bottom
	plotStages   = []string{"total", "bind", "lookup", "lock"}
)

// mostReasons is how many reasons are shown.
const mostReasons = 8

// draw makes the pictures of what was counted.
func draw(v *admin.Plots, span string, zone *time.Location) plots {
	out := plots{Spans: plotSpans, Span: span, Since: v.Since, Steps: v.Steps}
	times := plotTimes(v, zone)
	out.Logins, out.Times = drawBars(v, times), drawLines(v, times)
	counts := map[string]int{}
	for _, s := range v.Steps {
		for reason, n := range s.Reasons {
			counts[reason] += n
		}
	}
	for reason, n := range counts {
		out.Reasons = append(out.Reasons, reasonBar{Reason: reason, Count: n})
	}
	slices.SortFunc(out.Reasons, func(a, b reasonBar) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Reason, b.Reason))
	})
	out.Reasons = out.Reasons[:min(len(out.Reasons), mostReasons)]
	for i := range out.Reasons {
		out.Reasons[i].Share = max(1, 100*out.Reasons[i].Count/out.Reasons[0].Count)
	}
	out.Empty = len(out.Reasons) == 0
	return out
}

// plotTimes are up to five moments below a plot.
func plotTimes(v *admin.Plots, zone *time.Location) []tick {
	layout := "15:04"
	if v.Seconds >= 6*3600 {
		layout = "01-02"
	}
	var all []tick
	every := (len(v.Steps) + 4) / 5
	for i := 0; i < len(v.Steps); i += max(every, 1) {
		all = append(all, tick{X: stepX(i, len(v.Steps)), Y: plotHeight - 8, Label: v.Steps[i].At.In(zone).Format(layout)})
	}
	return all
}

func stepX(i, n int) float64 {
	return round(plotLeft + float64(i)*(plotWidth-plotLeft)/float64(max(n, 1)))
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

// scale gives the ticks for values up to top, and the value at the plot's upper edge.
func scale(top float64, label func(float64) string) ([]tick, float64) {
	unit := math.Pow(10, math.Floor(math.Log10(max(top, 1))))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*unit >= top {
			unit *= f
			break
		}
	}
	var all []tick
	for _, part := range []float64{0, 0.5, 1} {
		all = append(all, tick{X: plotLeft - 6, Y: round(plotY(part)), Label: label(part * unit)})
	}
	return all, unit
}

// plotY is where a share of the scale lies.
func plotY(share float64) float64 {
	return plotHeight - plotBottom - share*(plotHeight-plotBottom-plotTop)
}

func drawBars(v *admin.Plots, times []tick) barPlot {
	top := 0
	totals := map[string]int{}
	for _, s := range v.Steps {
		sum := 0
		for _, n := range s.Verdicts {
			sum += n
		}
		top = max(top, sum)
	}
	out := barPlot{Times: times}
	var edge float64
	out.Scale, edge = scale(float64(max(top, 2)), func(x float64) string { return fmt.Sprintf("%g", x) })
	width := round(max(1, float64(plotWidth-plotLeft)/float64(max(len(v.Steps), 1))-2))
	for i, s := range v.Steps {
		below := 0
		for _, kind := range plotVerdicts {
			n := s.Verdicts[kind]
			if n == 0 {
				continue
			}
			totals[kind] += n
			y0, y1 := plotY(float64(below)/edge), plotY(float64(below+n)/edge)
			out.Bars = append(out.Bars, bar{X: stepX(i, len(v.Steps)) + 1, Y: round(y1), W: width, H: round(max(y0-y1, 0.5)), Kind: kind, Title: fmt.Sprint(n)})
			below += n
		}
	}
	for _, kind := range plotVerdicts {
		out.Totals = append(out.Totals, total{kind, totals[kind]})
	}
	return out
}

func drawLines(v *admin.Plots, times []tick) linePlot {
	top := 0.0
	for _, s := range v.Steps {
		for _, ms := range s.P95 {
			top = max(top, ms)
		}
	}
	out := linePlot{Times: times}
	var edge float64
	out.Scale, edge = scale(max(top, 1), func(x float64) string { return fmt.Sprintf("%g", x) })
	for _, kind := range plotStages {
		l := line{Kind: kind}
		var points []string
		for i, s := range v.Steps {
			ms, ok := s.P95[kind]
			if !ok {
				continue
			}
			x, y := round(stepX(i, len(v.Steps))+float64(plotWidth-plotLeft)/float64(2*len(v.Steps))), round(plotY(ms/edge))
			points = append(points, fmt.Sprintf("%g,%g", x, y))
			l.Dots = append(l.Dots, tick{X: x, Y: y, Label: fmt.Sprintf("%.3g ms", ms)})
			l.Last = fmt.Sprintf("%.3g ms", ms)
		}
		if l.Points = strings.Join(points, " "); len(points) > 0 {
			out.Lines = append(out.Lines, l)
		}
	}
	return out
}
