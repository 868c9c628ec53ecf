package life

import (
	"os"
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// The examples of O4.
func TestO4Examples(t *testing.T) {
	tokyo := zone(t, "Asia/Tokyo")
	c := HoursJP(tokyo)
	for _, e := range []struct{ at, due string }{
		{"2026-11-28 20:49:00", "2026-11-28 21:19:00"}, {"2026-11-28 20:50:00", "2026-11-29 08:40:00"}, {"2026-11-29 00:30:00", "2026-11-29 08:40:00"},
		{"2026-11-29 08:10:00", "2026-11-29 08:40:00"}, {"2026-11-29 08:11:00", "2026-11-29 08:41:00"}, {"2026-11-29 08:10:30", "2026-11-29 08:40:30"},
		{"2026-11-28 20:49:59", "2026-11-28 21:19:59"}, {"2026-12-31 23:59:59", "2027-01-01 08:40:00"}, {"2026-11-28 00:00:00", "2026-11-28 08:40:00"},
	} {
		at, _ := time.ParseInLocation(time.DateTime, e.at, tokyo)
		if got := c.Due(at.UTC()).Format(time.DateTime); got != e.due {
			t.Errorf("revoked %s: due %s, want %s", e.at, got, e.due)
		}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if got := (Calendar{}).Due(at); !got.Equal(at) {
		t.Errorf("without a calendar: due %v", got)
	}
}

// Every minute of a year, in zones whose clocks jump by day, at midnight, by half an hour and not at all, with several
// spans; zones after the first only around their jumps, but for SEKISHO_PROOF. The oracle reads the wall clock minute by minute and never asks which instant a wall time is.
func TestO4EveryMinuteOfAYear(t *testing.T) {
	spans := []Span{{20*60 + 50, 8*60 + 10}, {12 * 60, 13 * 60}, {12*60 + 30, 13*60 + 30}, {15*60 + 5, 15*60 + 5}, {1*60 + 30, 2*60 + 30}}
	full := os.Getenv("SEKISHO_PROOF") == "1"
	night := []Span{{1*60 + 30, 2*60 + 30}, {23*60 + 30, 15}, {0, 30}, {2*60 + 15, 2*60 + 20}}
	for i, c := range []struct {
		zone  string
		year  int
		spans []Span
	}{
		{"Europe/Berlin", 2026, night}, {"Europe/Berlin", 2026, spans}, {"Asia/Tokyo", 2026, spans}, {"America/New_York", 2026, night},
		{"Australia/Lord_Howe", 2026, night}, {"Africa/Cairo", 2024, night}, {"America/Santiago", 2025, night},
	} {
		z := zone(t, c.zone)
		calendar := Calendar{Wait: 30 * time.Minute, Spans: c.spans, Zone: z}
		if err := calendar.Check(); err != nil {
			t.Fatal(err)
		}
		begin := time.Date(c.year-1, 12, 30, 0, 0, 0, 0, time.UTC)
		ends := wallOracle(begin, 369*24*60, c.spans, z)
		wrong, checked := 0, 0
		for m := 24 * 60; m < 367*24*60; m++ {
			at := begin.Add(time.Duration(m) * time.Minute)
			if i > 0 && !full && !nearJump(at.In(z)) {
				m += 60
				continue
			}
			checked++
			want := begin.Add(time.Duration(ends[m])*time.Minute + calendar.Wait)
			if got := calendar.Due(at); !got.Equal(want) {
				if wrong++; wrong < 5 {
					t.Errorf("%s: revoked %v: due %v, want %v", c.zone, at.In(z), got, want.In(z))
				}
			}
		}
		if checked < 7000 && c.zone != "Asia/Tokyo" {
			t.Errorf("%s: only %d minutes were checked", c.zone, checked)
		}
	}
}

// nearJump reports a change of the clocks within two days.
func nearJump(at time.Time) bool {
	begin, end := at.ZoneBounds()
	const near = 48 * time.Hour
	return !begin.IsZero() && at.Sub(begin) < near || !end.IsZero() && end.Sub(at) < near
}

// wallOracle gives for each minute the minute at which its spans end, or the minute itself. It makes each span of each day
// from what the clock shows: it begins with the first minute of that date that shows From or later and ends with the last
// minute that shows To or less on its last date.
func wallOracle(begin time.Time, minutes int, spans []Span, z *time.Location) []int {
	type key struct{ day, span int }
	first, last := map[key]int{}, map[key]int{}
	days := map[int]int{} // date -> number in a row
	order := 0
	for m := range minutes {
		t := begin.Add(time.Duration(m) * time.Minute).In(z)
		y, mo, d := t.Date()
		date := y*10000 + int(mo)*100 + d
		if _, seen := days[date]; !seen {
			order++
			days[date] = order
		}
		n, wall := days[date], t.Hour()*60+t.Minute()
		for i, s := range spans {
			if k := (key{n, i}); wall >= s.From {
				if _, seen := first[k]; !seen {
					first[k] = m
				}
			}
			if k := (key{n, i}); wall <= s.To {
				last[k] = m
			} else if _, seen := last[k]; !seen {
				last[k] = m // the date begins after To: the jump stands for it
			} else if t.Add(-time.Minute).In(z).Hour()*60+t.Add(-time.Minute).In(z).Minute() < s.To && last[k] == m-1 {
				last[k] = m // the clock jumped over To
			}
			if k := (key{n - 1, i}); n > 1 {
				if _, seen := first[k]; !seen {
					first[k] = m // the clock jumped from before From over midnight
				}
			}
		}
	}
	ends := make([]int, minutes)
	for m := range ends {
		ends[m] = m
	}
	// Back to front, so that a span that ends inside another one goes on to that one's end.
	reach := make([]int, minutes)
	for k, from := range first {
		over := 0
		if spans[k.span].To < spans[k.span].From {
			over = 1
		}
		to, known := last[key{k.day + over, k.span}]
		if !known {
			continue
		}
		for m := from; m <= to && m < minutes; m++ {
			reach[m] = max(reach[m], to)
		}
	}
	for m := minutes - 1; m >= 0; m-- {
		if reach[m] > m {
			ends[m] = ends[reach[m]]
		}
	}
	return ends
}

// A calendar that never lets anybody register again is refused, and so are times that no clock shows.
func TestCalendarCheck(t *testing.T) {
	for _, c := range []Calendar{{Spans: []Span{{0, 1439}}}, {Spans: []Span{{720, 719}}}, {Spans: []Span{{0, 800}, {700, 1439}}},
		{Spans: []Span{{-1, 5}}}, {Spans: []Span{{0, 1440}}}, {Wait: -1}, {Wait: 200 * time.Hour}} {
		if c.Check() == nil {
			t.Errorf("%+v passes", c)
		}
		c.Due(time.Now()) // ends all the same
	}
}
