package storage

import (
	"errors"
	"sync"

	"sekisho/authn"
	"sekisho/token"
)

// Sentinels of a DB that takes nothing for now.
var (
	ErrFault    = errors.New("the database is not accepting changes")
	ErrClosed   = errors.New("the database is closed")
	ErrLowSpace = errors.New("the disk is nearly full; what is left is kept for logins: free some space, then try again")
)

// entry is one change on its way to the disk: an event, rows, or both.
type entry struct {
	said            // core nil: no event
	more     []said // further events of the same act, numbered behind the first
	seq      uint64 // of the first event
	digest   [16]byte
	login    bool // nobody but a gateway waits for its answer
	act      bool // memory already shows rows that this entry has to make durable
	pooled   bool // from entryPool
	writes   []write
	accounts []uint32 // numbers of slabs that travel with the entry
	tokens   []uint32
	done     func(error)
	room     [coreRoom + personalRoom]byte // for core and personal of nearly every login
	salts    saltStock
}

// said is an event as the journal keeps it.
type said struct {
	core     []byte
	personal []byte // may be empty
}

// last is the number of the entry's last event.
func (e *entry) last() uint64 { return e.seq + uint64(len(e.more)) }

const (
	coreRoom     = 192
	personalRoom = 96
)

// write is one statement that travels with an entry.
type write struct {
	stmt statement
	args []any
}

// ownSeq stands among the arguments of a write for the number of the entry's event.
type ownSeq struct{}

var entryPool = sync.Pool{New: func() any { return new(entry) }}

// newEntry writes an event down, so that the asker may use it again.
func newEntry(ev *authn.Event, done func(error)) (*entry, error) {
	e := entryPool.Get().(*entry)
	e.pooled, e.done, e.digest = true, done, ev.Digest
	err := e.say(ev, e.room[:0:coreRoom], e.room[coreRoom:coreRoom], &e.salts)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// say writes an event down behind what core and personal hold.
func (s *said) say(ev *authn.Event, core, personal []byte, salts *saltStock) (err error) {
	if s.personal, err = appendPersonal(personal, &ev.Personal, salts); err != nil {
		return err
	}
	var sum []byte
	var room [hashSize]byte
	if len(s.personal) > 0 {
		room = personalHash(s.personal)
		sum = room[:]
	}
	s.core, err = appendCore(core, ev, sum)
	return err
}

// addEvents lets the further events of an act travel with its first one.
func (e *entry) addEvents(events []*authn.Event) error {
	for _, ev := range events {
		var s said
		if err := s.say(ev, nil, nil, &e.salts); err != nil {
			return err
		}
		e.more = append(e.more, s)
	}
	return nil
}

// recycle gives an entry back when its asker has been answered. What it said of a person does not stay.
func (e *entry) recycle() {
	if !e.pooled {
		return
	}
	clear(e.room[:])
	e.said, e.seq, e.digest, e.login, e.act, e.pooled, e.done = said{}, 0, [16]byte{}, false, false, false, nil
	e.more, e.writes, e.accounts, e.tokens = nil, nil, nil, nil
	entryPool.Put(e)
}

// addToken lets the token's rows travel with the entry: what listings search now, its slab as it stands at the commit.
func (e *entry) addToken(t *token.Token, slot uint32) {
	e.act = true
	e.writes = append(e.writes, write{putTokenStmt, tokenArgs(t, nil)})
	if t.State == token.Destroyed {
		e.writes = append(e.writes, write{buryStmt, []any{t.Fingerprint[:], t.Last}})
	}
	e.tokens = append(e.tokens, slot/slabSize)
}

func (e *entry) addAccount(a *authn.Account, slot uint32) {
	e.act = true
	e.writes = append(e.writes, write{putAccountStmt, accountArgs(a, nil)})
	e.accounts = append(e.accounts, slot/slabSize)
}

func tokenArgs(t *token.Token, batch any) []any {
	fp := t.Fingerprint
	return []any{int64(t.ID), t.Serial, t.CredentialID, t.Name, int(t.Form), int(t.Mode), int(t.State), t.Expiry, fp[:], batch}
}

func accountArgs(a *authn.Account, batch any) []any {
	return []any{int64(a.ID), a.Directory, a.External, a.Name, batch}
}

// queue holds what waits for the committer, in the order of the decisions. A place is reserved before a decision is made.
type queue struct {
	wake chan struct{}

	mu      sync.Mutex
	limit   int
	places  int // reserved, waiting, or in the commit under way
	waiting []*entry
	next    uint64 // number of the next event
	stopped error
	closed  bool
}

func newQueue(limit int) *queue { return &queue{wake: make(chan struct{}, 1), limit: limit} }

func (q *queue) reserve() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped != nil {
		return q.stopped
	}
	if q.places >= q.limit {
		return authn.ErrBusy
	}
	q.places++
	return nil
}

func (q *queue) release(n int) {
	q.mu.Lock()
	q.places -= n
	q.mu.Unlock()
}

// numbering is told the number of an event before the committer can see it, so that no flush can overtake the notes made
// there.
type numbering interface{ numbered(seq uint64) }

// numberedFunc makes a function a numbering.
type numberedFunc func(seq uint64)

func (f numberedFunc) numbered(seq uint64) { f(seq) }

// push adds an entry on a reserved place. n, which may be nil, is told the number of its event.
func (q *queue) push(e *entry, n numbering) error {
	q.mu.Lock()
	if q.stopped != nil {
		q.mu.Unlock()
		return q.stopped
	}
	if e.core != nil {
		e.seq = q.next
		q.next += 1 + uint64(len(e.more))
	}
	if n != nil {
		n.numbered(e.seq)
	}
	q.waiting = append(q.waiting, e)
	q.mu.Unlock()
	q.nudge()
	return nil
}

func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take gives the committer all that waits, within the bounds of one transaction, behind what batch holds already.
func (q *queue) take(batch []*entry) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, rows := 0, 0
	for n < len(q.waiting) && n < maxBatch && (n == 0 || rows+len(q.waiting[n].writes) <= maxRows) {
		rows += len(q.waiting[n].writes)
		n++
	}
	return q.hand(batch, n)
}

// takeAll is take without bounds; it also tells the number of the newest event.
func (q *queue) takeAll(batch []*entry) ([]*entry, uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hand(batch, len(q.waiting)), q.next - 1
}

// hand moves the first n to batch; what stays moves up, so that the room is used again.
func (q *queue) hand(batch []*entry, n int) []*entry {
	batch = append(batch, q.waiting[:n]...)
	left := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[left:])
	q.waiting = q.waiting[:left]
	return batch
}

// stop turns away whatever comes from now on and hands out what waits.
func (q *queue) stop(why error) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.stopped = why
	}
	rest := q.waiting
	q.waiting = nil
	return rest
}

// shut turns away whatever comes from now on, for good; what waits is still committed.
func (q *queue) shut() {
	q.mu.Lock()
	q.stopped, q.closed = ErrClosed, true
	q.mu.Unlock()
	q.nudge()
}

// resume takes changes again; next numbers the first event. A queue that was shut stays so.
func (q *queue) resume(next uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = next
	if !q.closed {
		q.stopped = nil
	}
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
