package life

import (
	"os"
	"slices"
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
		year := time.Date(c.year, 1, 1, 0, 0, 0, 0, time.UTC)
		stretches := [][2]int{{0, 365 * 24 * 60}}
		if i > 0 && !full {
			stretches = [][2]int{{0, 24 * 60}}
			for _, jump := range jumps(year, z) {
				stretches = append(stretches, [2]int{jump - 3*24*60, jump + 3*24*60})
			}
			if c.zone != "Asia/Tokyo" && len(stretches) != 3 {
				t.Errorf("%s: the clocks change %d times", c.zone, len(stretches)-1)
			}
		}
		wrong := 0
		for _, stretch := range stretches {
			const margin = 48 * 60 // the oracle has to see where spans begin and end
			begin := year.Add(time.Duration(stretch[0]-margin) * time.Minute)
			ends := wallOracle(begin, stretch[1]-stretch[0]+2*margin, c.spans, z)
			for m := margin; m < len(ends)-margin; m++ {
				at := begin.Add(time.Duration(m) * time.Minute)
				want := begin.Add(time.Duration(ends[m])*time.Minute + calendar.Wait)
				if got := calendar.Due(at); !got.Equal(want) {
					if wrong++; wrong < 5 {
						t.Errorf("%s: revoked %v: due %v, want %v", c.zone, at.In(z), got, want.In(z))
					}
				}
			}
		}
	}
}

// jumps gives the minutes of a year at which the clocks of a zone change.
func jumps(year time.Time, z *time.Location) (list []int) {
	_, before := year.In(z).Zone()
	for h := range 365 * 24 {
		if _, now := year.Add(time.Duration(h) * time.Hour).In(z).Zone(); now != before {
			list = append(list, h*60)
			before = now
		}
	}
	return list
}

// wallOracle gives for each minute the minute at which its spans end, or the minute itself. It makes each span of each day
// from what the clock shows: it begins with the first minute of that date that shows From or later and ends with the last
// minute that shows To or less on its last date.
func wallOracle(begin time.Time, minutes int, spans []Span, z *time.Location) []int {
	const never = -1
	days := minutes/(24*60) + 4
	first, last := make([][]int, days), make([][]int, days) // by date in a row, then by span
	for d := range days {
		first[d], last[d] = slices.Repeat([]int{never}, len(spans)), slices.Repeat([]int{never}, len(spans))
	}
	day, date, before := 0, 0, 0 // before: what the clock showed a minute ago
	for m := range minutes {
		t := begin.Add(time.Duration(m) * time.Minute).In(z)
		wall := t.Hour()*60 + t.Minute()
		if d := t.YearDay(); d != date {
			day, date = day+1, d
		}
		for i, s := range spans {
			if wall >= s.From && first[day][i] == never {
				first[day][i] = m
			}
			switch {
			case wall <= s.To, last[day][i] == never: // or the date begins after To: the jump stands for it
				last[day][i] = m
			case before < s.To && last[day][i] == m-1: // the clock jumped over To
				last[day][i] = m
			}
			if day > 1 && first[day-1][i] == never { // the clock jumped from before From over midnight
				first[day-1][i] = m
			}
		}
		before = wall
	}
	ends := make([]int, minutes)
	for m := range ends {
		ends[m] = m
	}
	// Back to front, so that a span that ends inside another one goes on to that one's end.
	reach := make([]int, minutes)
	for d := range days {
		for i, from := range first[d] {
			over := d
			if spans[i].To < spans[i].From {
				over++
			}
			if from == never || over >= days || last[over][i] == never {
				continue
			}
			for m := from; m <= last[over][i]; m++ {
				reach[m] = max(reach[m], last[over][i])
			}
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
