package main

import (
	"math"
	"slices"
)

// spread is the middle and the ends of a few figures.
type spread struct{ median, low, high float64 }

// spreadOf leaves nothing out; of no figures it is NaN throughout.
func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	return spread{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]}
}

// pairRatios divides round by round: what one round measured is compared with nothing but the same round, because the
// machine's speed differs from round to round more than servers do.
func pairRatios(of, over []measurement, figure func(measurement) float64) []float64 {
	var ratios []float64
	for _, a := range of {
		for _, b := range over {
			if a.Round == b.Round && figure(b) > 0 {
				ratios = append(ratios, figure(a)/figure(b))
			}
		}
	}
	return ratios
}

// column is one figure over all rounds.
func column(ms []measurement, figure func(measurement) float64) []float64 {
	return columnOf(ms, figure)
}

// columnOf is one figure of each of many things.
func columnOf[T any](of []T, figure func(T) float64) []float64 {
	var v []float64
	for _, one := range of {
		v = append(v, figure(one))
	}
	return v
}
