package operator

import (
	"fmt"
	"time"
)

// Daily counts an operator's acts of class Helps in one day of the site's zone: who talks a help desk into one reset gets no
// hundred of them (P10).
type Daily struct {
	Day    string // YYYY-MM-DD
	Done   int
	Raised int       // the limit until Until
	Until  time.Time // zero: never raised
}

// ActsPerDay is the limit unless a site says otherwise.
const ActsPerDay = 30

// Take counts one act. Masters and admins have no limit; the local socket has none.
func (d Daily) Take(p Principal, limit int, zone *time.Location, now time.Time) (Daily, *Refusal) {
	today := now.In(zone).Format(time.DateOnly)
	if d.Day != today {
		d.Day, d.Done = today, 0
	}
	if limit == 0 {
		limit = ActsPerDay
	}
	if now.Before(d.Until) {
		limit = max(limit, d.Raised)
	}
	if p.Role == Helpdesk && p.Door != LocalSocket && d.Done >= limit {
		return d, &Refusal{"daily-limit", fmt.Sprintf("You have done %d acts today, the most a day; a master can raise it until a time.", d.Done)}
	}
	d.Done++
	return d, nil
}

// Raise lifts the limit until a time, at most a day ahead.
func (d Daily) Raise(to int, until, now time.Time) (Daily, *Refusal) {
	if to < 1 || to > 10_000 || !until.After(now) || until.After(now.Add(24*time.Hour)) {
		return d, &Refusal{"raise-range", "Raise it to at most 10000 acts, until a time within the next 24 hours."}
	}
	d.Raised, d.Until = to, until
	return d, nil
}

// Checklist is what a help desk asks before it helps somebody who is not there: a site's sentences, of which enough have to
// be ticked.
type Checklist struct {
	Items []string
	Least int // how many; 0: all
}

// Check says whether enough was ticked. ticked holds the sentences themselves: they go into the audit as they were shown.
func (c Checklist) Check(ticked []string) *Refusal {
	if len(c.Items) == 0 {
		return nil
	}
	known, seen := map[string]bool{}, map[string]bool{}
	for _, item := range c.Items {
		known[item] = true
	}
	for _, t := range ticked {
		if !known[t] {
			return &Refusal{"checklist-other", "The list of questions is another one meanwhile; ask them again."}
		}
		seen[t] = true
	}
	least := c.Least
	if least == 0 || least > len(c.Items) {
		least = len(c.Items)
	}
	if len(seen) < least {
		return &Refusal{"checklist", fmt.Sprintf("Tick %d of the %d questions that you have asked; %d are ticked.", least, len(c.Items), len(seen))}
	}
	return nil
}
