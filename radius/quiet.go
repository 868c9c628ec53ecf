package radius

import (
	"net/netip"
	"sync"
	"time"
)

const (
	quietFor     = time.Minute // how long the same line about the same source is held back
	quietEntries = 1024
)

// quiet keeps lines about bad packets to one per source, subject and minute, in bounded memory: when it is full of
// sources of the last minute, further ones are not mentioned until there is room.
type quiet struct {
	mu    sync.Mutex
	last  map[quietKey]*quietLine
	swept time.Time
}

type quietKey struct {
	source  netip.Addr
	subject string
}

type quietLine struct {
	at   time.Time
	held uint64
}

// allow reports whether a line may be written now, and how many like it were held back since the last one.
func (q *quiet) allow(source netip.Addr, subject string, now time.Time) (held uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.last == nil {
		q.last = map[quietKey]*quietLine{}
	}
	k := quietKey{source, subject}
	if l := q.last[k]; l != nil {
		if now.Sub(l.at) < quietFor {
			l.held++
			return 0, false
		}
		held, l.held, l.at = l.held, 0, now
		return held, true
	}
	if len(q.last) >= quietEntries {
		if now.Sub(q.swept) < time.Second { // a flood of forged sources must not make every packet sweep
			return 0, false
		}
		q.swept = now
		for k, l := range q.last {
			if now.Sub(l.at) >= quietFor {
				delete(q.last, k)
			}
		}
		if len(q.last) >= quietEntries {
			return 0, false
		}
	}
	q.last[k] = &quietLine{at: now}
	return 0, true
}
