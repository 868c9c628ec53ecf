package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// row is one comparison: servers, loads and what is asked of the figures.
type row struct {
	name   string
	title  string
	figure []int  // numbers of the performance table that it makes: ROW=n finds it by them
	users  int    // who log in, where a server has no number of its own; a few more exist for the first login after each start
	kind   string // hotp or totp; servers that forget used codes get TOTP codes again and again
	layout string // otp or passotp: what the password field holds
	rounds int    // are enough where the time is not enough for all; 0: all are wanted
	disk   bool   // fdatasync is timed beside each measurement
	// unanswered: many logins get no answer; tokens have to take codes far ahead of the last one used.
	unanswered bool
	// entries are measured in this order in odd rounds and in the opposite order in even ones; the first is what the others
	// are compared with.
	entries func(*servers, time.Duration) []entry
	goals   []goal
	note    func(options) string                  // what the flags made of the row
	judge   func(*results) []verdict              // what goals cannot say
	run     func(context.Context, *session) error // what a comparison of entries cannot measure
}

// entry is one server under one load.
type entry struct {
	server server
	load   load
}

// goal is asked of a figure of one entry, or of its ratio to that of another one, taken pair by pair.
type goal struct {
	number    int // in the performance table
	what      string
	of, over  string // entries, as key gives them; over may be empty
	figure    func(measurement) float64
	bar, goal float64
	atMost    bool   // the figure must not be above bar; else not below
	unit      string // of figures that are no ratio
}

// key names an entry, as goals do.
func key(server, load string) string { return server + ", " + load }

func perSecond(m measurement) float64        { return m.AcceptPerSecond }
func answersPerSecond(m measurement) float64 { return m.PerSecond }
func cpu(m measurement) float64              { return m.CPU }
func ownCPU(m measurement) float64           { return m.OwnCPU }
func p50(m measurement) float64              { return m.P50 / 1000 }
func p99(m measurement) float64              { return m.P99 / 1000 }
func syncTime(m measurement) float64         { return m.SyncP99 / 1000 }

// resent is how often a request was sent again or given up, in the warm-up too where it can be told.
func resent(m measurement) float64 { return float64(m.Retransmit + m.Timeout + m.WarmupLost) }

const (
	small = 64  // FreeRADIUS does its best here; above it, it drops
	large = 512 // where batches grow
)

// rows are all of them, in the order in which they run.
var rows = slices.Concat(codeOnlyRows, []*row{passwordRow, steadyRow, startRow, storedRow, allocsRow, refusalRow, overloadRow, hungRow})

// pick finds rows by name or by a number of the performance table.
func pick(names string) ([]*row, error) {
	var picked []*row
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, r := range rows {
			if r.name != name && !slices.ContainsFunc(r.figure, func(n int) bool { return fmt.Sprint(n) == name }) {
				continue
			}
			found = true
			if !slices.Contains(picked, r) {
				picked = append(picked, r)
			}
		}
		if !found {
			var known []string
			for _, r := range rows {
				known = append(known, r.name)
			}
			return nil, fmt.Errorf("-rows %s: there is no row %q: want numbers of the performance table or %s", names, name, strings.Join(known, ", "))
		}
	}
	return picked, nil
}
