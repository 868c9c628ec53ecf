package main

import (
	"fmt"
	"time"
)

// many requests can be open at once without one being lost: figure 6.
const many = 1000

// steadyRow is an open loop: logins come whether or not the ones before have been answered.
var steadyRow = &row{
	name: "steady", title: "code only, HOTP, 5,000 logins/s in an open loop, and 1,000 outstanding in a closed one", figure: []int{6},
	users: 100_000, kind: "hotp", layout: "otp", disk: true,
	entries: func(s *servers, d time.Duration) []entry {
		return []entry{
			{s.freeradius, load{Rate: 5000, Length: d}},
			{s.sekisho, load{Rate: 5000, Length: d}},
			{s.sekisho, load{Window: many, Length: d}},
		}
	},
	goals: []goal{
		{6, "p50", key(nameSekisho, "5000/s"), "", p50, 1, 0.5, true, " ms"},
		{6, "sent again or given up", key(nameSekisho, "window 1000"), "", resent, 0, 0, true, ""},
	},
	judge: func(r *results) []verdict {
		if len(r.of[key(nameFreeRADIUS, "5000/s")]) == 0 {
			return nil
		}
		var syncs []float64
		for _, ms := range r.of {
			syncs = append(syncs, column(ms, syncTime)...)
		}
		sync := spreadOf(syncs).median
		return []verdict{{
			number: 6, what: fmt.Sprintf("p99 of %s / (p99 of %s + 3 fdatasync p99 of %.2f ms), 5000/s", nameSekisho, nameFreeRADIUS, sync),
			seen: spreadOf(tailRatios(r.of[key(nameSekisho, "5000/s")], r.of[key(nameFreeRADIUS, "5000/s")], sync)),
			unit: "x", bar: 1, goal: 1, atMost: true,
		}}
	},
}

// tailRatios sets the 99th percentiles of one round against each other, with what the disk itself needs, in milliseconds, for
// a login that has to wait for the commit under way, for its own and for one that is put in between.
func tailRatios(ours, theirs []measurement, sync float64) []float64 {
	var ratios []float64
	for _, a := range ours {
		for _, b := range theirs {
			if a.Round == b.Round {
				ratios = append(ratios, p99(a)/(p99(b)+3*sync))
			}
		}
	}
	return ratios
}
