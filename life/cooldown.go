package life

import (
	"fmt"
	"time"
)

// Span is a part of each day, in minutes after midnight by the wall clock, both ends included. To may be before From: the
// span then ends on the next day.
type Span struct{ From, To int }

// Calendar says from when a token may be registered again after an operator revoked one. The zero value means at once.
type Calendar struct {
	Wait  time.Duration  // counted from the revocation, or from the end of the span it fell into
	Spans []Span         // parts of the day in which nothing is handled
	Zone  *time.Location // nil: UTC
}

// HoursJP is the preset hours-jp: half an hour, and what is revoked from 20:50 to 08:10 counts from 08:10.
func HoursJP(zone *time.Location) Calendar {
	return Calendar{Wait: 30 * time.Minute, Spans: []Span{{20*60 + 50, 8*60 + 10}}, Zone: zone}
}

// Check says what is wrong with a calendar; nil when it can be used.
func (c Calendar) Check() error {
	if c.Wait < 0 || c.Wait > 7*24*time.Hour {
		return fmt.Errorf("wait %v: want 0 to 168h", c.Wait)
	}
	var covered [24 * 60]bool
	for _, s := range c.Spans {
		if s.From < 0 || s.From >= 24*60 || s.To < 0 || s.To >= 24*60 {
			return fmt.Errorf("span %02d:%02d-%02d:%02d: want times of day from 00:00 to 23:59", s.From/60, s.From%60, s.To/60, s.To%60)
		}
		for m := s.From; ; m = (m + 1) % len(covered) {
			covered[m] = true
			if m == s.To {
				break
			}
		}
	}
	for _, is := range covered {
		if !is {
			return nil
		}
	}
	return fmt.Errorf("the spans cover the whole day, so nothing could ever be registered; leave a gap")
}

// Due is when what was revoked at a moment may be registered again. Spans that touch or overlap count as one.
func (c Calendar) Due(at time.Time) time.Time {
	zone := c.Zone
	if zone == nil {
		zone = time.UTC
	}
	t := at.In(zone)
	for range 2*len(c.Spans) + 1 {
		later := t
		for _, s := range c.Spans {
			if end, inside := s.end(t); inside && end.After(later) {
				later = end
			}
		}
		if later.Equal(t) {
			break
		}
		t = later
	}
	return t.Add(c.Wait)
}

// end is when the span that covers t ends. It may have begun on the day before. Where the wall clock repeats an hour a span
// begins the first time and ends the second time; where it leaves one out, the moment of the jump stands for all of it.
func (s Span) end(t time.Time) (time.Time, bool) {
	if begin, end := t.ZoneBounds(); (begin.IsZero() || t.Sub(begin) > 2*day) && (end.IsZero() || end.Sub(t) > 2*day) {
		return s.plainEnd(t)
	}
	year, month, day := t.Date()
	for back := 1; back >= -1; back-- { // -1: a jump over midnight may bring tomorrow's beginning into today
		if first, _ := onWall(year, month, day-back, s.From, t.Location()); t.Before(first) {
			continue
		}
		over := 0
		if s.To < s.From {
			over = 1
		}
		_, last := onWall(year, month, day-back+over, s.To, t.Location())
		if !t.After(last) {
			return last, true
		}
	}
	return time.Time{}, false
}

// plainEnd is end on days far from any change of the clocks, where minutes can be counted.
func (s Span) plainEnd(t time.Time) (time.Time, bool) {
	since := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	from, to := time.Duration(s.From)*time.Minute, time.Duration(s.To)*time.Minute
	switch {
	case to >= from && (since < from || since > to), to < from && since < from && since > to:
		return time.Time{}, false
	case since > to:
		to += day
	}
	return t.Add(to - since), true
}

// onWall gives the first and the last instant at which the clocks of a zone show a minute of a day. Where they never do,
// both are the moment of the jump.
func onWall(year int, month time.Month, day, minute int, zone *time.Location) (first, last time.Time) {
	wall := time.Date(year, month, day, 0, minute, 0, 0, time.UTC)
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	early := wall.Add(-offset(wall.Add(-24 * time.Hour))).In(zone)
	late := wall.Add(-offset(wall.Add(24 * time.Hour))).In(zone)
	shows := func(t time.Time) bool { return offset(t) == wall.Sub(t.UTC()) }
	if early.After(late) {
		early, late = late, early
	}
	switch e, l := shows(early), shows(late); {
	case e && l:
		return early, late
	case e:
		return early, early
	case l:
		return late, late
	}
	_, jump := early.ZoneBounds()
	if jump.IsZero() || jump.After(late) {
		jump, _ = late.ZoneBounds()
	}
	return jump.In(zone), jump.In(zone)
}
