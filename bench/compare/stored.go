package main

import (
	"fmt"
	"time"
)

// storedRow shows what a login costs by what is already there.
var storedRow = &row{
	name: "stored", title: "code only, HOTP, by number of tokens and of login events stored", figure: []int{9},
	users: 100_000, kind: "hotp", layout: "otp",
	entries: func(s *servers, d time.Duration) []entry {
		return []entry{
			{s.sekishoFew, load{Window: small, Length: d}},
			{s.sekishoMany, load{Window: small, Length: d}},
			{s.sekisho, load{Window: small, Length: d}},
			{s.sekishoOld, load{Window: small, Length: d}},
		}
	},
	note: func(o options) string { return figure(float64(o.events)) + " events laid in" },
	goals: []goal{
		{9, "CPU per login", key(nameSekishoMany, "window 64"), key(nameSekishoFew, "window 64"), cpu, 1.2, 1.1, true, ""},
		{9, "CPU per login", key(nameSekishoOld, "window 64"), key(nameSekisho, "window 64"), cpu, 1.1, 1.05, true, ""},
	},
}

// Sekisho by what it has stored.
var (
	nameSekishoFew  = fmt.Sprintf("%s, %s tokens", nameSekisho, figure(few))
	nameSekishoMany = fmt.Sprintf("%s, %s tokens", nameSekisho, figure(lots))
	nameSekishoOld  = nameSekisho + ", events laid in"
)

const (
	few  = 1000
	lots = 1_000_000
)
