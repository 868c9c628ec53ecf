package authn

import (
	"bytes"
	"time"
)

// EventQuery picks events of the chain for listings. The zero value of a field asks for nothing in particular.
type EventQuery struct {
	After   uint64 // events with a larger Seq, oldest first; zero: newest first
	Before  uint64 // events with a smaller Seq
	Since   time.Time
	Kind    EventKind
	Account AccountID // with Name: events of either
	Name    []byte    // as typed at the gateway, in any case
	Client  string
	Reason  Reason
	Limit   int // at most 1000, which zero means too
}

// MaxEvents is the largest Limit.
const MaxEvents = 1000

// Max is how many events the query may give.
func (q *EventQuery) Max() int {
	if q.Limit <= 0 || q.Limit > MaxEvents {
		return MaxEvents
	}
	return q.Limit
}

// Picks reports whether an event belongs to the answer, Limit apart.
func (q *EventQuery) Picks(e *Event) bool {
	who := q.Account == 0 && len(q.Name) == 0 ||
		q.Account != 0 && e.Account == q.Account ||
		len(q.Name) > 0 && bytes.EqualFold(e.Personal.Name, q.Name)
	return who && e.Seq > q.After && (q.Before == 0 || e.Seq < q.Before) && !e.At.Before(q.Since) &&
		(q.Kind == 0 || e.Kind == q.Kind) && (q.Client == "" || e.Client == q.Client) && (q.Reason == 0 || e.Reason == q.Reason)
}
