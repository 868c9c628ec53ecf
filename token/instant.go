package token

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Moment is a time of day in a zone: when a token stops whose seed file gives only a date. The zero value stands for 09:00
// Asia/Tokyo.
type Moment struct {
	Hour, Minute int
	Zone         *time.Location // nil for the zero value only
}

// defaultMoment needs no table of zones: Japan has kept one offset since 1952.
var defaultMoment = Moment{Hour: 9, Zone: time.FixedZone("Asia/Tokyo", 9*60*60)}

// ParseMoment reads a time of day and the name of a zone in the IANA table, such as "09:00 Asia/Tokyo".
func ParseMoment(s string) (Moment, error) {
	clock, name, _ := strings.Cut(strings.TrimSpace(s), " ")
	at, err := time.Parse("15:04", clock)
	name = strings.TrimSpace(name)
	if err != nil || name == "" || name == "Local" {
		return Moment{}, fmt.Errorf("%.40q: want a time of day and a zone, such as 09:00 Asia/Tokyo", s)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return Moment{}, fmt.Errorf("%.40q: no zone has this name; want one as in 09:00 Asia/Tokyo", name)
	}
	return Moment{at.Hour(), at.Minute(), zone}, nil
}

// String gives what [ParseMoment] reads.
func (m Moment) String() string {
	m = m.orDefault()
	return fmt.Sprintf("%02d:%02d %s", m.Hour, m.Minute, m.Zone)
}

// UnmarshalText reads what [ParseMoment] reads.
func (m *Moment) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMoment(string(text))
	return err
}

// MarshalText gives what UnmarshalText reads.
func (m Moment) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m Moment) orDefault() Moment {
	if m.Zone == nil {
		return defaultMoment
	}
	return m
}

// on is the moment on a day.
func (m Moment) on(year int, month time.Month, day int) time.Time {
	m = m.orDefault()
	return time.Date(year, month, day, m.Hour, m.Minute, 0, 0, m.Zone)
}

// DateOrder says what the numbers of a date mean.
type DateOrder uint8

// The orders. AnyOrder takes a date whose numbers leave one reading only.
const (
	AnyOrder DateOrder = iota
	MonthDayYear
	DayMonthYear
	YearMonthDay
)

// ParseDateOrder reads "mdy", "dmy" or "ymd", and "" or "auto" as [AnyOrder].
func ParseDateOrder(s string) (DateOrder, error) {
	switch strings.ToLower(s) {
	case "", "auto":
		return AnyOrder, nil
	case "mdy":
		return MonthDayYear, nil
	case "dmy":
		return DayMonthYear, nil
	case "ymd":
		return YearMonthDay, nil
	}
	return 0, fmt.Errorf("order of dates %s: want mdy (month first), dmy (day first) or ymd", shown(s))
}

// parseInstant reads an instant of RFC 3339, or a date, which stands for the moment on that day.
func (o *ReadOptions) parseInstant(text string) (int64, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		day, dayErr := time.Parse(time.DateOnly, text)
		if dayErr != nil {
			return 0, fmt.Errorf("%s: want an instant such as 2026-11-22T09:00:00+09:00 or a date such as 2026-11-22", shown(text))
		}
		at = o.DateOnly.on(day.Date())
	}
	if at.Unix() <= 0 {
		return 0, errors.New("want an instant after 1970 such as 2026-11-22T09:00:00+09:00")
	}
	return at.Unix(), nil
}
