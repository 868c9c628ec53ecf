package main

import "time"

// codeOnlyRows are logins with nothing but a code: figures 1 to 4.
var codeOnlyRows = []*row{
	{
		name: "code-only", title: "code only, HOTP (servers that forget used codes: TOTP, again and again)", figure: []int{1, 2},
		users: 100_000, kind: "hotp", layout: "otp",
		entries: func(s *servers, d time.Duration) []entry {
			return []entry{
				{s.freeradius, load{Window: small, Length: d}},
				{s.sekisho, load{Window: small, Length: d}},
				{s.sekisho, load{Window: large, Length: d}},
			}
		},
		goals: codeOnlyGoals,
	},
	{
		name: "ceiling", title: "code only, HOTP, beside what signs and verifies and does nothing else, and prototypes", figure: []int{3},
		users: 100_000, kind: "hotp", layout: "otp",
		entries: func(s *servers, d time.Duration) []entry {
			return []entry{
				{s.sekisho, load{Window: large, Length: d}},
				{s.bare, load{Window: large, Length: d}},
				{s.prototype, load{Window: large, Length: d}},
				{s.stock, load{Window: large, Length: d}},
			}
		},
		goals: []goal{
			{3, "CPU per login", key(nameBare, "window 512"), key(nameSekisho, "window 512"), cpu, 0.45, 0.60, false, ""},
		},
	},
	{
		name: "code-only-totp", title: "code only, TOTP, each user once, 8 s in each step", figure: []int{1},
		users: 1_000_000, kind: "totp", layout: "otp", rounds: 3, // each takes two steps of 30 s
		entries: func(s *servers, d time.Duration) []entry {
			theirs := d // they need not wait for a step
			if d >= defaultLength {
				d = 8 * time.Second
			}
			return []entry{
				{s.freeradius, load{Window: small, Length: theirs}},
				{s.sekisho, load{Window: small, Length: d}},
				{s.sekisho, load{Window: large, Length: d}},
			}
		},
		goals: codeOnlyGoals[:2],
	},
	{
		name: "durable", title: "code only, HOTP, beside servers that write down each login (SQL: without looking at it; PAM: used codes)", figure: []int{4},
		users: 100_000, kind: "hotp", layout: "otp",
		entries: func(s *servers, d time.Duration) []entry {
			return []entry{
				{s.freeradiusSQL, load{Window: small, Length: d}},
				{s.freeradiusPAM, load{Window: 8, Length: d}},
				{s.sekisho, load{Window: small, Length: d}},
			}
		},
		goals: []goal{
			{4, "logins/s", key(nameSekisho, "window 64"), key(nameFreeRADIUSSQL, "window 64"), perSecond, 8, 10, false, ""},
			{4, "logins/s", key(nameSekisho, "window 64"), key(nameFreeRADIUSPAM, "window 8"), perSecond, 150, 200, false, ""},
		},
	},
}

var codeOnlyGoals = []goal{
	{1, "logins/s", key(nameSekisho, "window 64"), key(nameFreeRADIUS, "window 64"), perSecond, 1.5, 2.0, false, ""},
	{1, "logins/s", key(nameSekisho, "window 512"), key(nameFreeRADIUS, "window 64"), perSecond, 2.0, 2.5, false, ""},
	{2, "CPU per login", key(nameSekisho, "window 64"), key(nameFreeRADIUS, "window 64"), cpu, 0.55, 0.40, true, ""},
}

// passwordRow has the directory in it.
var passwordRow = &row{
	name: "password", title: "password checked by slapd, and code, in one field", figure: []int{5},
	users: 100_000, kind: "hotp", layout: "passotp",
	entries: func(s *servers, d time.Duration) []entry {
		return []entry{
			{s.freeradiusLDAP, load{Window: small, Length: d}},
			{s.sekishoLDAP, load{Window: small, Length: d}},
		}
	},
	goals: []goal{
		{5, "logins/s", key(nameSekishoLDAP, "window 64"), key(nameFreeRADIUSLDAP, "window 64"), perSecond, 2.0, 2.5, false, ""},
		{5, "own CPU per login", key(nameSekishoLDAP, "window 64"), key(nameFreeRADIUSLDAP, "window 64"), ownCPU, 0.5, 0.4, true, ""},
	},
}
