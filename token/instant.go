package token

import (
	"fmt"
	"slices"
	"strconv"
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

// String gives the word that options use.
func (d DateOrder) String() string {
	switch d {
	case MonthDayYear:
		return "mdy"
	case DayMonthYear:
		return "dmy"
	case YearMonthDay:
		return "ymd"
	}
	return "auto"
}

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

// clockForms are times of day without a zone, as they follow a date and a blank or T.
var clockForms = []string{"15:04:05", "15:04", "3:04:05 PM", "3:04 PM"}

// parseInstant reads an instant as seed files write it:
//
//   - RFC 3339, with T or a blank before the time: nothing is left open.
//   - a date and a time without a zone: in the zone of DateOnly, and warning says so.
//   - a date: the moment DateOnly on that day.
func (o *ReadOptions) parseInstant(text string) (unix int64, warning string, err error) {
	text = strings.TrimSpace(text)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse("2006-01-02 15:04:05Z07:00", text)
	}
	if err != nil {
		at, warning, err = o.parseLocal(text)
	}
	if err != nil {
		return 0, "", err
	}
	if at.Unix() <= 0 || at.Year() > 9999 {
		return 0, "", fmt.Errorf("%s: want an instant after 1970 such as 2026-11-22T09:00:00+09:00", shownDate(text))
	}
	return at.Unix(), warning, nil
}

func (o *ReadOptions) parseLocal(text string) (at time.Time, warning string, err error) {
	date, clock := text, ""
	if cut := strings.IndexByte(text, ':'); cut > 0 {
		if cut = strings.LastIndexAny(text[:cut], " T"); cut > 0 {
			date, clock = text[:cut], strings.TrimSpace(text[cut+1:])
		}
	}
	year, month, day, err := o.parseDate(strings.TrimSpace(date))
	if err != nil {
		return time.Time{}, "", err
	}
	if clock == "" {
		return o.DateOnly.on(year, month, day), "", nil
	}
	for _, form := range clockForms {
		of, err := time.Parse(form, strings.ToUpper(clock))
		if err != nil {
			continue
		}
		zone := o.DateOnly.orDefault().Zone
		if of.Hour() == 0 && of.Minute() == 0 && of.Second() == 0 {
			warning = fmt.Sprintf("the date comes with midnight and no zone; read as 00:00 %s, the first moment of that day", zone)
		} else {
			warning = fmt.Sprintf("the time comes without a zone; read as of %s", zone)
		}
		return time.Date(year, month, day, of.Hour(), of.Minute(), of.Second(), 0, zone), warning, nil
	}
	return time.Time{}, "", fmt.Errorf("%s: its time of day cannot be read; %s", shownDate(text), wantInstant)
}

const wantInstant = "want an instant such as 2026-11-22T09:00:00+09:00 or a date such as 2026-11-22"

// shownDate quotes what should be a date; a secret that slipped into its column is longer.
func shownDate(s string) string {
	if len(s) > 25 {
		return shown(s)
	}
	return fmt.Sprintf("%q", s)
}

// parseDate reads a date in figures or with the month's name.
func (o *ReadOptions) parseDate(text string) (year int, month time.Month, day int, err error) {
	for _, form := range namedForms {
		if at, err := time.Parse(form, titled(text)); err == nil {
			return century(at.Year(), form), at.Month(), at.Day(), nil
		}
	}
	readings, err := o.readings(text)
	switch {
	case err != nil:
		return 0, 0, 0, err
	case len(readings) == 0 && o.DateOrder != AnyOrder:
		return 0, 0, 0, fmt.Errorf("%s is no date in the order %v; %s", shownDate(text), o.DateOrder, wantInstant)
	case len(readings) == 0:
		return 0, 0, 0, fmt.Errorf("%s is no date; %s", shownDate(text), wantInstant)
	case len(readings) > 1:
		var days []string
		for _, r := range readings {
			days = append(days, r.Format(time.DateOnly))
		}
		return 0, 0, 0, fmt.Errorf("%s may be %s; say with the order of dates (mdy, dmy or ymd) which is meant", shownDate(text), strings.Join(days, " or "))
	}
	year, month, day = readings[0].Date()
	return year, month, day, nil
}

// namedForms are dates whose month has a name; titled has set commas, hyphens, dots and case.
var namedForms = []string{"Jan 2 2006", "2 Jan 2006", "January 2 2006", "2 January 2006", "2006 Jan 2", "2006 January 2", "2 Jan 06"}

// titled makes "31-DEC-2026" and "Dec. 31, 2026" what time.Parse reads.
func titled(text string) string {
	words := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" ,.-/", c) })
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + strings.ToLower(w[1:])
	}
	return strings.Join(words, " ")
}

// century puts years of two figures after 2000; time.Parse puts 69 to 99 before.
func century(year int, form string) int {
	if strings.HasSuffix(form, " 06") && year < 2000 {
		return year + 100
	}
	return year
}

// readings gives the days that a date in figures may mean, each once.
func (o *ReadOptions) readings(text string) ([]time.Time, error) {
	n, order, err := o.figures(text)
	if err != nil || n == nil {
		return nil, err
	}
	var days []time.Time
	for _, order := range order {
		year, month, day := n[0], n[1], n[2]
		switch order {
		case MonthDayYear:
			year, month, day = n[2], n[0], n[1]
		case DayMonthYear:
			year, month, day = n[2], n[1], n[0]
		}
		if year < 100 {
			year += 2000
		}
		at := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
		if at.Day() == day && at.Month() == time.Month(month) && !slices.ContainsFunc(days, at.Equal) {
			days = append(days, at)
		}
	}
	return days, nil
}

// figures cuts a date into its three numbers and says in which orders they may stand: one where a year of four figures comes
// first, or the file's, or all that are in use.
func (o *ReadOptions) figures(text string) ([]int, []DateOrder, error) {
	text = japanese.Replace(text)
	if len(text) == 8 && !strings.ContainsAny(text, "/.-") {
		text = text[:4] + "-" + text[4:6] + "-" + text[6:]
	}
	separator := strings.IndexAny(text, "/.-")
	if separator < 0 {
		if _, err := strconv.Atoi(text); err == nil {
			return nil, nil, fmt.Errorf("%s is a count of days or seconds, as spreadsheets hide dates; give the column the form of a date and save the file again", shownDate(text))
		}
		return nil, nil, nil
	}
	parts := strings.Split(text, text[separator:separator+1])
	if len(parts) != 3 {
		return nil, nil, nil
	}
	var n []int
	for _, part := range parts {
		part = strings.TrimSpace(part)
		v, err := strconv.ParseUint(part, 10, 16)
		if err != nil || len(part) == 3 || len(part) > 4 || (len(part) == 4 && v < 1000) {
			return nil, nil, nil //nolint:nilerr // it is no date in figures, and says so by having none
		}
		n = append(n, int(v))
	}
	length := func(i int) int { return len(strings.TrimSpace(parts[i])) }
	switch {
	case length(1) > 2:
		return nil, nil, nil
	case length(0) == 4 && length(2) <= 2:
		return n, []DateOrder{YearMonthDay}, nil
	case length(0) == 4:
		return nil, nil, nil
	case o.DateOrder != AnyOrder && (length(2) <= 2 || o.DateOrder != YearMonthDay):
		return n, []DateOrder{o.DateOrder}, nil
	case length(2) == 4 && text[separator] == '.':
		return n, []DateOrder{DayMonthYear}, nil // nobody puts dots and the month first
	case length(2) == 4:
		return n, []DateOrder{MonthDayYear, DayMonthYear}, nil
	case length(2) != 2:
		return nil, nil, nil
	}
	return n, []DateOrder{MonthDayYear, DayMonthYear, YearMonthDay}, nil
}

// japanese makes 2026年12月31日 a date in figures.
var japanese = strings.NewReplacer("年", "/", "月", "/", "日", "")
