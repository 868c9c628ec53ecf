package audit

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// TestReadOutside reads what a stream wrote, as a file, as syslog messages in several headers, and as octets of TCP.
func TestReadOutside(t *testing.T) {
	var records []Record
	for seq := uint64(1); seq <= 6; seq++ {
		ev := authn.Event{Seq: seq, At: begin, Kind: authn.LoginEvent, Token: 9, Step: int64(seq), Client: `"] {"kind":`,
			Burnt: []authn.Burnt{{Token: 9, Last: int64(10 - seq)}, {Token: 8, Last: int64(seq)}}}
		if seq == 5 {
			ev = authn.Event{Seq: seq, At: begin, Kind: authn.ActEvent, Act: "token.revoke", Step: token.NoStep}
		}
		r := NewRecord(&ev, true)
		r.Instance = "a"
		records = append(records, r)
	}
	head := Head(6, []byte{1}, begin.Add(time.Minute))
	head.Instance = "a"
	records = append(records, head)
	other := records[0]
	other.Instance, other.Burnt = "b", []Burnt{{token.ID(9).String(), 99}}
	records = append(records, other)
	for name, line := range map[string]func(r *Record) []byte{
		"file":   func(r *Record) []byte { return append(r.Line(), '\n') },
		"syslog": func(r *Record) []byte { return append(appendSyslog(nil, r, "host", 1), '\n') },
		"old header": func(r *Record) []byte {
			return fmt.Appendf(nil, "Apr  1 09:00:00 host sekisho[1]: %s\n", r.Line())
		},
		"as it came": func(r *Record) []byte { return frame(nil, appendSyslog(nil, r, "host", 1)) },
	} {
		var in bytes.Buffer
		in.WriteString("something else\n{\"kind\":\n")
		for i := range records {
			in.Write(line(&records[i]))
		}
		in.WriteString(`{"kind":"login","seq":7,"bur`) // cut short
		o, err := ReadOutside(&in, "a")
		if err != nil {
			t.Fatal(name, err)
		}
		if o.Last[9] != 9 || o.Last[8] != 6 || o.Newest != 6 || !o.At.Equal(begin.Add(time.Minute)) || len(o.Acts) != 1 || o.Acts[0].Act != "token.revoke" {
			t.Errorf("%s: %+v", name, o)
		}
		if at, missing := o.Missing(0); missing {
			t.Errorf("%s: event %d is missing", name, at)
		}
	}
	if _, err := ReadOutside(strings.NewReader(strings.Repeat("x", maxLine+1)), ""); err == nil {
		t.Error("a line without end was read")
	}
}

// TestMissing finds every gap, in whatever order events came and however often.
func TestMissing(t *testing.T) {
	for _, try := range []struct {
		seqs    []uint64
		head    uint64
		after   uint64
		first   uint64
		missing bool
	}{
		{[]uint64{3, 4, 5}, 0, 2, 6, false},
		{[]uint64{3, 4, 5}, 0, 9, 10, false},
		{[]uint64{3, 5}, 0, 2, 4, true},
		{[]uint64{5, 4, 3, 3, 4, 5}, 0, 2, 6, false},
		{[]uint64{4, 5}, 0, 2, 3, true},
		{[]uint64{3, 4}, 5, 2, 5, true}, // a head speaks of an event that is not there
		{[]uint64{3, 4}, 4, 2, 5, false},
		{nil, 0, 0, 1, false},
		{nil, 3, 0, 1, true},
	} {
		var in bytes.Buffer
		for _, seq := range try.seqs {
			fmt.Fprintf(&in, "{\"kind\":\"login\",\"seq\":%d}\n", seq)
		}
		if try.head > 0 {
			fmt.Fprintf(&in, "{\"kind\":\"head\",\"seq\":%d}\n", try.head)
		}
		o, err := ReadOutside(&in, "")
		if err != nil {
			t.Fatal(err)
		}
		if first, missing := o.Missing(try.after); first != try.first || missing != try.missing {
			t.Errorf("%v, head %d, after %d: %d, %v", try.seqs, try.head, try.after, first, missing)
		}
	}
}

// TestNumbersTwice: a restore without mark and stream began on numbers that had left the machine before; what fills a gap
// then may be of the other life.
func TestNumbersTwice(t *testing.T) {
	for text, want := range map[string]bool{
		`{"kind":"login","seq":1}{"kind":"login","seq":2}{"kind":"act","seq":2,"act":"storage.adopt"}{"kind":"login","seq":3}`:                     true,
		`{"kind":"login","seq":1}{"kind":"act","seq":2,"act":"storage.adopt"}{"kind":"login","seq":3}{"kind":"act","seq":2,"act":"storage.adopt"}`: false, // sent again
	} {
		o, err := ReadOutside(strings.NewReader(text), "")
		if err != nil {
			t.Fatal(err)
		}
		if first, missing := o.Missing(1); missing != want {
			t.Errorf("%s: %d, %v", text, first, missing)
		}
	}
}
