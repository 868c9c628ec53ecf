package storage

import (
	"database/sql"
	"errors"
	"fmt"
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
	core     []byte // nil: no event
	personal []byte // of the event; may be empty
	seq      uint64 // of the event
	digest   [16]byte
	login    bool // nobody but a gateway waits for its answer
	act      bool // memory already shows rows that this entry has to make durable
	writes   []write
	done     func(error)
	room     [coreRoom + personalRoom]byte // for core and personal of nearly every login
}

const (
	coreRoom     = 160
	personalRoom = 96
)

// write is one statement that travels with an entry.
type write struct {
	stmt statement
	args []any
}

// ownSeq stands among the arguments of a write for the number of the entry's event.
type ownSeq struct{}

func newEntry(ev *authn.Event, done func(error)) (*entry, error) {
	e := &entry{done: done, digest: ev.Digest}
	var err error
	e.personal, err = appendPersonal(e.room[coreRoom:coreRoom], &ev.Personal)
	if err != nil {
		return nil, err
	}
	var sum []byte
	if len(e.personal) > 0 {
		sum = personalHash(e.personal)
	}
	e.core, err = appendCore(e.room[:0:coreRoom], ev, sum)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// addToken lets the token's whole row travel with the entry, as it stands now.
func (e *entry) addToken(t *token.Token) {
	e.act = true
	e.writes = append(e.writes, write{putTokenStmt, tokenArgs(t, nil, ownSeq{})})
	if t.State == token.Destroyed {
		e.writes = append(e.writes, write{buryStmt, []any{t.Fingerprint[:], t.Last}})
	}
}

func (e *entry) addAccount(a *authn.Account) {
	e.act = true
	e.writes = append(e.writes, write{putAccountStmt, accountArgs(a, nil, ownSeq{})})
}

func tokenArgs(t *token.Token, batch, seq any) []any {
	fp := t.Fingerprint
	return []any{int64(t.ID), t.Serial, t.CredentialID, t.Name, int(t.Form), int(t.Mode), int(t.Hash), int(t.Digits), int(t.Period), int(t.State),
		t.Start, t.Expiry, fp[:], int64(t.Sealed.Version), append([]byte{}, t.Sealed.Data...), t.Last, int(t.Drift), int(t.DriftDay), batch, seq}
}

func accountArgs(a *authn.Account, batch, seq any) []any {
	pin := a.PIN
	return []any{int64(a.ID), a.Directory, a.External, a.Name, int64(a.Generation), appendAssignments(nil, a.Assignments), pin.Salt[:], pin.Sum[:],
		appendGuard(nil, &a.Guard), batch, seq}
}

func scanToken(rows *sql.Rows) (*token.Token, uint64, error) {
	var t token.Token
	var id, seq int64
	var fp []byte
	err := rows.Scan(&id, &t.Serial, &t.CredentialID, &t.Name, &t.Form, &t.Mode, &t.Hash, &t.Digits, &t.Period, &t.State,
		&t.Start, &t.Expiry, &fp, &t.Sealed.Version, &t.Sealed.Data, &t.Last, &t.Drift, &t.DriftDay, &seq)
	if err != nil {
		return nil, 0, err
	}
	t.ID = token.ID(id)
	if len(fp) != len(t.Fingerprint) || t.State < token.InStock || t.State > token.Destroyed {
		return nil, 0, fmt.Errorf("token %v: %w", t.ID, errCodec)
	}
	t.Fingerprint = [16]byte(fp)
	return &t, uint64(seq), nil
}

func scanAccount(rows *sql.Rows) (*authn.Account, uint64, error) {
	var a authn.Account
	var id, seq int64
	var holds, salt, sum, guard []byte
	err := rows.Scan(&id, &a.Directory, &a.External, &a.Name, &a.Generation, &holds, &salt, &sum, &guard, &seq)
	if err != nil {
		return nil, 0, err
	}
	a.ID = authn.AccountID(id)
	if a.Assignments, err = decodeAssignments(holds); err != nil {
		return nil, 0, fmt.Errorf("account %v: assignments: %w", a.ID, err)
	}
	if a.Guard, err = decodeGuard(guard); err != nil {
		return nil, 0, fmt.Errorf("account %v: guard: %w", a.ID, err)
	}
	if len(salt) != len(a.PIN.Salt) || len(sum) != len(a.PIN.Sum) {
		return nil, 0, fmt.Errorf("account %v: PIN: %w", a.ID, errCodec)
	}
	a.PIN = authn.PINHash{Salt: [16]byte(salt), Sum: [32]byte(sum)}
	return &a, uint64(seq), nil
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

// push adds an entry on a reserved place. numbered is called with the number of its event before the committer can see
// it, so that no flush can overtake the notes made there.
func (q *queue) push(e *entry, numbered func(seq uint64)) error {
	q.mu.Lock()
	if q.stopped != nil {
		q.mu.Unlock()
		return q.stopped
	}
	if e.core != nil {
		e.seq = q.next
		q.next++
	}
	if numbered != nil {
		numbered(e.seq)
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

// take gives the committer all that waits, within the bounds of one transaction.
func (q *queue) take() []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, rows := 0, 0
	for n < len(q.waiting) && n < maxBatch && (n == 0 || rows+len(q.waiting[n].writes) <= maxRows) {
		rows += len(q.waiting[n].writes)
		n++
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil
	}
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
