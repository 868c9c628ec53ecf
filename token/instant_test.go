package token

import (
	"strings"
	"testing"
	"time"
)

func TestParseInstant(t *testing.T) {
	london, err := ParseMoment("17:30 Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text  string
		o     ReadOptions
		want  string // RFC 3339 in UTC
		words string // of the warning
	}{
		{text: "2026-12-31T09:00:00+09:00", want: "2026-12-31T00:00:00Z"},
		{text: "2026-12-31 09:00:00-05:00", want: "2026-12-31T14:00:00Z"},
		{text: "2026-12-31T23:59:59.999Z", want: "2026-12-31T23:59:59Z"},
		// A date: 09:00 in Tokyo, or what the option says, summer time included.
		{text: "2026-12-31", want: "2026-12-31T00:00:00Z"},
		{text: " 2026/12/31 ", want: "2026-12-31T00:00:00Z"},
		{text: "2026/1/5", want: "2026-01-05T00:00:00Z"},
		{text: "2026.12.31", want: "2026-12-31T00:00:00Z"},
		{text: "20261231", want: "2026-12-31T00:00:00Z"},
		{text: "2026年12月31日", want: "2026-12-31T00:00:00Z"},
		{text: "31.12.2026", want: "2026-12-31T00:00:00Z"},
		{text: "1.2.2026", want: "2026-02-01T00:00:00Z"},
		{text: "Dec 31 2026", want: "2026-12-31T00:00:00Z"},
		{text: "dec. 31, 2026", want: "2026-12-31T00:00:00Z"},
		{text: "31-DEC-26", want: "2026-12-31T00:00:00Z"},
		{text: "1 January 2099", want: "2099-01-01T00:00:00Z"},
		{text: "5-Mar-99", want: "2099-03-05T00:00:00Z"},
		{text: "2026-12-31", o: ReadOptions{DateOnly: london}, want: "2026-12-31T17:30:00Z"},
		{text: "2026-06-30", o: ReadOptions{DateOnly: london}, want: "2026-06-30T16:30:00Z"},
		{text: "2026-06-30", o: ReadOptions{DateOnly: Moment{Zone: time.UTC}}, want: "2026-06-30T00:00:00Z"},
		// Figures that leave one reading.
		{text: "12/31/2026", want: "2026-12-31T00:00:00Z"},
		{text: "31/12/2026", want: "2026-12-31T00:00:00Z"},
		{text: "12/31/26", want: "2026-12-31T00:00:00Z"},
		{text: "07-07-2027", want: "2027-07-07T00:00:00Z"},
		// The order decides the others.
		{text: "01/02/25", o: ReadOptions{DateOrder: MonthDayYear}, want: "2025-01-02T00:00:00Z"},
		{text: "01/02/25", o: ReadOptions{DateOrder: DayMonthYear}, want: "2025-02-01T00:00:00Z"},
		{text: "01/02/25", o: ReadOptions{DateOrder: YearMonthDay}, want: "2001-02-25T00:00:00Z"},
		{text: "01/02/2025", o: ReadOptions{DateOrder: DayMonthYear}, want: "2025-02-01T00:00:00Z"},
		{text: "2025-01-02", o: ReadOptions{DateOrder: DayMonthYear}, want: "2025-01-02T00:00:00Z"},
		{text: "26-1-5", o: ReadOptions{DateOrder: YearMonthDay}, want: "2026-01-05T00:00:00Z"},
		// A time without a zone.
		{text: "2026-12-31T18:00:00", want: "2026-12-31T09:00:00Z", words: "the time comes without a zone; read as of Asia/Tokyo"},
		{text: "31.12.2026 18:00", want: "2026-12-31T09:00:00Z", words: "without a zone"},
		{text: "Dec 31 2026 6:00 pm", want: "2026-12-31T09:00:00Z", words: "without a zone"},
		{text: "12/31/2026 06:00:00", o: ReadOptions{DateOnly: london}, want: "2026-12-31T06:00:00Z", words: "read as of Europe/London"},
		{text: "2026-12-31 00:00:00", want: "2026-12-30T15:00:00Z", words: "the first moment of that day"},
	} {
		unix, warning, err := c.o.parseInstant(c.text)
		if err != nil || rfc3339(unix) != c.want || !strings.Contains(warning, c.words) || (warning == "") != (c.words == "") {
			t.Errorf("%s: %s, %q, %v: want %s, %q", c.text, rfc3339(unix), warning, err, c.want, c.words)
		}
	}
}

func TestParseInstantFaults(t *testing.T) {
	for _, c := range []struct {
		text  string
		order DateOrder
		want  string
	}{
		{"01/02/25", AnyOrder, `"01/02/25" may be 2025-01-02 or 2025-02-01 or 2001-02-25; say with the order of dates (mdy, dmy or ymd) which is meant`},
		{"01/02/2025", AnyOrder, "may be 2025-01-02 or 2025-02-01"},
		{"31/12/26", AnyOrder, "may be 2026-12-31 or 2031-12-26"},
		{"13/01/2026", MonthDayYear, "is no date in the order mdy"},
		{"2026-02-29", AnyOrder, `"2026-02-29" is no date; want an instant`},
		{"31.11.2026", AnyOrder, "is no date"},
		{"12/2026", AnyOrder, "is no date"},
		{"2026/12.31", AnyOrder, "is no date"},
		{"never", AnyOrder, `"never" is no date`},
		{"46387", AnyOrder, `"46387" is a count of days or seconds`},
		{"1798675200", AnyOrder, "is a count of days or seconds"},
		{"2026-12-31 25:00", AnyOrder, "its time of day cannot be read"},
		{"1969-12-31", AnyOrder, "want an instant after 1970"},
		{"0026-12-31", AnyOrder, "is no date"},
		{"12/31/0026", AnyOrder, "is no date"},
		{hex20, AnyOrder, "a text of 40 characters"},
		{"-", AnyOrder, "is no date"},
		{"//", AnyOrder, "is no date"},
	} {
		o := ReadOptions{DateOrder: c.order}
		unix, _, err := o.parseInstant(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d, %v: want %q", c.text, unix, err, c.want)
		}
	}
}

// The engraved date is the last one before nine in the morning of that day.
func TestExpiryByDate(t *testing.T) {
	rows, err := collect("serial,secret_hex,expiry\nA," + hex20 + ",2027-01-01\n")
	if err != nil {
		t.Fatal(err)
	}
	tokyo := time.FixedZone("JST", 9*60*60)
	if state := rows[0].Token.StateAt(time.Date(2027, 1, 1, 8, 59, 59, 999, tokyo)); state != InStock {
		t.Errorf("at 08:59:59 the token is %v", state)
	}
	if state := rows[0].Token.StateAt(time.Date(2027, 1, 1, 9, 0, 0, 0, tokyo)); state != Expired {
		t.Errorf("at 09:00:00 the token is %v", state)
	}
}

func TestParseMoment(t *testing.T) {
	for text, want := range map[string]string{"09:00 Asia/Tokyo": "09:00 Asia/Tokyo", " 23:59   Europe/Berlin ": "23:59 Europe/Berlin", "00:00 UTC": "00:00 UTC"} {
		var m Moment
		if err := m.UnmarshalText([]byte(text)); err != nil || m.String() != want {
			t.Errorf("%q: %v, %v", text, m, err)
		}
	}
	if got := (Moment{}).String(); got != "09:00 Asia/Tokyo" {
		t.Errorf("the zero value is %s", got)
	}
	for _, text := range []string{"", "09:00", "9 Asia/Tokyo", "24:00 UTC", "09:00 Local", "09:00 Asia/Kyoto", "09:00 ../../etc/passwd"} {
		if m, err := ParseMoment(text); err == nil {
			t.Errorf("%q: %v", text, m)
		}
	}
}

func FuzzInstant(f *testing.F) {
	for _, text := range []string{"2026-12-31T09:00:00+09:00", "01/02/25", "31-DEC-26", "2026年12月31日", "Dec 31, 2026 18:00"} {
		f.Add(text, uint8(0))
	}
	f.Fuzz(func(t *testing.T, text string, order uint8) {
		o := ReadOptions{DateOrder: DateOrder(order % 4)}
		unix, _, err := o.parseInstant(text)
		if err == nil && (unix <= 0 || time.Unix(unix, 0).UTC().Year() > 10000) {
			t.Errorf("%q was read as %d", text, unix)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%q gave an error of %d octets", text, len(err.Error()))
		}
	})
}
