package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"sekisho/token"
)

// Outside is what the stream tells a restore (S12).
type Outside struct {
	Last   map[token.ID]int64 // the highest step of each token that an event says was used
	Newest uint64             // number of the newest event, or of that which the newest head speaks of
	At     time.Time          // of the newest record
	Acts   []Record           // the newest acts, at most maxActs, oldest first

	ranges []span // of the numbers of events, ascending, with gaps between them
	adopts map[uint64]bool
	twice  uint64 // number of a restore that began anew on numbers used before; 0: none did
}

type span struct{ first, last uint64 }

const maxActs = 1000

// ReadOutside reads the stream of one installation; see [ReadStream]. Records may come twice and in any order.
func ReadOutside(in io.Reader, instance string) (*Outside, error) {
	o := &Outside{Last: map[token.ID]int64{}, adopts: map[uint64]bool{}}
	var bad error
	err := ReadStream(in, instance, func(r *Record) {
		if err := o.add(r); err != nil && bad == nil {
			bad = err
		}
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	o.join()
	return o, nil
}

func (o *Outside) add(r *Record) error {
	if r.Act == "storage.adopt" && !o.adopts[r.Seq] {
		o.adopts[r.Seq] = true
		if r.Seq <= o.Newest {
			o.twice = max(o.twice, r.Seq)
		}
	}
	o.Newest = max(o.Newest, r.Seq)
	if r.At.After(o.At) {
		o.At = r.At
	}
	if r.Kind == HeadKind {
		return nil
	}
	for _, b := range r.Burnt {
		id, err := token.ParseID(b.Token)
		if err != nil {
			return fmt.Errorf("event %d: %w", r.Seq, err)
		}
		if last, ok := o.Last[id]; !ok || last < b.Last {
			o.Last[id] = b.Last
		}
	}
	if r.Kind == "act" {
		if len(o.Acts) == maxActs {
			o.Acts = o.Acts[1:]
		}
		o.Acts = append(o.Acts, *r)
	}
	if n := len(o.ranges); n > 0 && r.Seq == o.ranges[n-1].last+1 {
		o.ranges[n-1].last++
	} else {
		o.ranges = append(o.ranges, span{r.Seq, r.Seq})
	}
	return nil
}

// join puts the ranges in order and closes what has no gap between it.
func (o *Outside) join() {
	slices.SortFunc(o.ranges, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	kept := o.ranges[:0]
	for _, x := range o.ranges {
		if n := len(kept); n > 0 && x.first <= kept[n-1].last+1 {
			kept[n-1].last = max(kept[n-1].last, x.last)
		} else {
			kept = append(kept, x)
		}
	}
	o.ranges = kept
}

// Missing gives the first event behind after, up to the newest, that the stream does not hold; ok is false where it holds
// all of them. Where an earlier restore, which knew neither mark nor stream, used numbers a second time, nobody can tell.
func (o *Outside) Missing(after uint64) (first uint64, ok bool) {
	if o.twice > after {
		return o.twice, true
	}
	next := after + 1
	for _, x := range o.ranges {
		if x.first <= next && next <= x.last {
			next = x.last + 1
		}
	}
	return next, next <= o.Newest
}
