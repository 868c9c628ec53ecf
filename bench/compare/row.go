package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one comparison: servers, loads and what is asked of the figures.
type row struct {
	name   string
	title  string
	figure []int  // numbers of the performance table that it makes: ROW=n finds it by them
	users  int    // who log in; a few more exist for the first login after each start
	kind   string // hotp or totp; servers that forget used codes get TOTP codes again and again
	layout string // otp or passotp: what the password field holds
	// entries are measured in this order in odd rounds and in the opposite order in even ones; the first is what the others
	// are compared with.
	entries func(*servers, time.Duration) []entry
	goals   []goal
}

// entry is one server under one load.
type entry struct {
	server server
	load   load
}

// goal is a ratio between two entries of a row, taken pair by pair.
type goal struct {
	number    int // in the performance table
	what      string
	of, over  string // entries, as key gives them
	figure    func(measurement) float64
	bar, goal float64
	atMost    bool // the ratio must not be above bar; else not below
}

// key names an entry, as goals do.
func key(server, load string) string { return server + ", " + load }

func perSecond(m measurement) float64 { return m.AcceptPerSecond }
func cpu(m measurement) float64       { return m.CPU }
func ownCPU(m measurement) float64    { return m.OwnCPU }

const (
	small = 64  // FreeRADIUS does its best here; above it, it drops
	large = 512 // where batches grow
)

// rows are all comparisons, in the order in which they run.
var rows = []*row{
	{
		name: "code-only", title: "code only, HOTP (servers that forget used codes: TOTP, again and again)", figure: []int{1, 2, 3},
		users: 100_000, kind: "hotp", layout: "otp",
		entries: func(s *servers, d time.Duration) []entry {
			return []entry{
				{s.freeradius, load{Window: small, Length: d}},
				{s.sekisho, load{Window: small, Length: d}},
				{s.sekisho, load{Window: large, Length: d}},
				{s.bare, load{Window: large, Length: d}},
				{s.prototype, load{Window: small, Length: d}},
				{s.prototype, load{Window: large, Length: d}},
				{s.stock, load{Window: small, Length: d}},
			}
		},
		goals: codeOnlyGoals,
	},
	{
		name: "code-only-totp", title: "code only, TOTP, 8 s in each step", figure: []int{1},
		users: 1_000_000, kind: "totp", layout: "otp",
		entries: func(s *servers, _ time.Duration) []entry {
			const d = 8 * time.Second
			return []entry{
				{s.freeradius, load{Window: small, Length: d}},
				{s.sekisho, load{Window: small, Length: d}},
				{s.sekisho, load{Window: large, Length: d}},
			}
		},
		goals: codeOnlyGoals[:3],
	},
	{
		name: "password", title: "password checked by slapd, and code, in one field", figure: []int{5},
		users: 100_000, kind: "hotp", layout: "passotp",
		entries: func(s *servers, d time.Duration) []entry {
			return []entry{
				{s.freeradiusLDAP, load{Window: small, Length: d}},
				{s.sekishoLDAP, load{Window: small, Length: d}},
			}
		},
		goals: []goal{
			{5, "logins/s", key(nameSekishoLDAP, "window 64"), key(nameFreeRADIUSLDAP, "window 64"), perSecond, 2.0, 2.5, false},
			{5, "own CPU per login", key(nameSekishoLDAP, "window 64"), key(nameFreeRADIUSLDAP, "window 64"), ownCPU, 0.5, 0.4, true},
		},
	},
	{
		name: "steady", title: "code only, 5,000 logins/s, open loop", figure: []int{6},
		users: 100_000, kind: "hotp", layout: "otp",
		entries: func(s *servers, d time.Duration) []entry {
			return []entry{
				{s.freeradius, load{Rate: 5000, Length: d}},
				{s.sekisho, load{Rate: 5000, Length: d}},
			}
		},
	},
}

var codeOnlyGoals = []goal{
	{1, "logins/s", key(nameSekisho, "window 64"), key(nameFreeRADIUS, "window 64"), perSecond, 1.5, 2.0, false},
	{1, "logins/s", key(nameSekisho, "window 512"), key(nameFreeRADIUS, "window 64"), perSecond, 2.0, 2.5, false},
	{2, "CPU per login", key(nameSekisho, "window 64"), key(nameFreeRADIUS, "window 64"), cpu, 0.55, 0.40, true},
	{3, "CPU per login", key(nameBare, "window 512"), key(nameSekisho, "window 512"), cpu, 0.45, 0.60, false},
}

// pick finds rows by name or by a number of the performance table.
func pick(names string) ([]*row, error) {
	var picked []*row
	for name := range strings.SplitSeq(names, ",") {
		before := len(picked)
		n, _ := strconv.Atoi(name)
		for _, r := range rows {
			if (r.name == name || slices.Contains(r.figure, n)) && !slices.Contains(picked, r) {
				picked = append(picked, r)
			}
		}
		if len(picked) == before {
			var known []string
			for _, r := range rows {
				known = append(known, r.name)
			}
			return nil, fmt.Errorf("-rows %s: want numbers of the performance table or %s, each once", name, strings.Join(known, ", "))
		}
	}
	return picked, nil
}
