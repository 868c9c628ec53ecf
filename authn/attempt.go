package authn

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sekisho/token"
)

// attempt is one login on its way through the table. Attempts are used again and again: a login in flight has one of its
// own, with room in it for everything that a login by a code works with, so that it costs the heap nothing.
//
// Who runs an attempt holds it, and so does an update of the store until it has called its done. It goes back when the last
// of them lets go and the login was answered; after a panic it never does, because somebody may still have it.
type attempt struct {
	// What the store and the directory are given. A method value is made on the heap, so each is made once.
	onLock, onEnd, onRepeat func(*Held) (Change, error)
	onSaved                 func(error)
	onLook                  func(*Held)

	holders  atomic.Int32
	answered atomic.Bool
	broken   atomic.Bool // a panic passed through it

	room room
	course
}

// course is what one login leaves in an attempt. Its zero value is a login that has not begun.
type course struct {
	a    *Authenticator
	l    *Login
	done func(Decision)

	f      Facts
	looked bool // the account was looked at for the rows before the lock
	apart  bool // on a goroutine of its own: it may wait
	// withHolder says that the account's record of its holder is held too: it may open without a token.
	withHolder bool
	ctx        context.Context
	cancel     context.CancelFunc
	name       NameReading
	user       *User
	policy     *Policy
	grant      *grant // what an Accept carries
	lesser     *grant // what it carries for who has no token, or a code that limits it
	noReply    *ReplyError
	account    AccountID
	state      dialogue // of an AnswerRound
	reading    reading
	password   Secret // what a bind would send
	slot       slot   // of the bind budget
	passHash   uint64
	signal     chan struct{} // closed when a bind in flight has ended
	source     uint64        // keyed hash of account and source; 0: none trusted
	place      netip.Prefix  // where the station is, trusted; invalid: not known
	text       uint64
	digest     [16]byte
	stages     Stages
	past       *Event // the same request was answered before the last start (S17)
	strike     bool   // the answer counts for row 4
	flooded    bool   // flooding has been asked: a rule that runs twice counts once
	gathered   bool   // what it said

	// What the rule under the lock has decided, for the commit that makes it durable.
	ruled struct {
		begun    time.Duration // since the login's arrival
		now      time.Time     // of an ending outside the lock
		step     Step          // the same
		past     pastVerdict   // of a repetition
		decision Decision
		event    *Event
		claimed  bool
	}
	memo struct { // of this very login
		key        [16]byte
		mine       uint64 // number of the memo that this attempt has to end; 0: none
		generation uint32 // of the account when the attempt was decided
	}
}

// room is memory that an attempt brings along. What is in it between two uses means nothing.
type room struct {
	accounts [1]AccountID
	records  [1]RecordKey
	user     User
	past     Event
	event    Event
	burnt    [4]Burnt
	notices  [4]Notice
	eval     evaluation
	fits     [4]fitted
	memory   Memory
	seed     [token.MaxSeed]byte // cleared after each use
	octets   [512]byte           // of texts that go into a keyed hash
	parts    [10][]byte
}

// attempts are those that no login has now.
var attempts sync.Pool

// newAttempt takes one for a login. The caller holds it.
func newAttempt(a *Authenticator, l *Login, done func(Decision)) *attempt {
	t, _ := attempts.Get().(*attempt)
	if t == nil {
		t = new(attempt)
		t.onLock, t.onEnd, t.onRepeat = t.decide, t.decideEnd, t.decideRepeat
		t.onSaved, t.onLook = t.committed, t.lookHeld
	}
	t.a, t.l, t.done = a, l, done
	t.holders.Store(1)
	return t
}

func (t *attempt) hold() { t.holders.Add(1) }

// letGo ends a hold, after which the caller touches nothing of the attempt.
func (t *attempt) letGo() {
	if t.holders.Add(-1) != 0 || !t.answered.Load() || t.broken.Load() {
		return
	}
	t.course = course{}
	t.room.user, t.room.past, t.room.event = User{}, Event{}, Event{}
	t.room.eval, t.room.fits, t.room.memory = evaluation{}, [4]fitted{}, Memory{}
	t.answered.Store(false)
	attempts.Put(t)
}

// update lets the store run a rule of this attempt; an error means that onSaved is not called.
func (t *attempt) update(rule func(*Held) (Change, error)) error {
	t.ruled.begun = time.Since(t.l.Arrived)
	t.hold()
	err := t.a.Store.Update(t.keys(), rule, t.onSaved)
	if err != nil {
		t.letGo()
	}
	return err
}

// committed is told what became of the change of the last rule.
func (t *attempt) committed(err error) {
	defer t.letGo()
	if t.ruled.claimed {
		return // a pair is held, and the login goes on
	}
	t.stages.Lock = time.Since(t.l.Arrived) - t.ruled.begun
	t.saved(t.ruled.decision, t.ruled.event, err)
}

// keyed is the store's keyed hash of some texts. They are put into the attempt's own room first, because what goes through
// an interface moves to the heap.
func (t *attempt) keyed(domain byte, texts ...text) [16]byte {
	parts, free := t.room.parts[:0], t.room.octets[:0]
	for _, x := range texts {
		from := len(free)
		free = append(append(free, x.s...), x.b...)
		parts = append(parts, free[from:len(free):len(free)])
	}
	sum := t.a.Store.Keyed(domain, parts...)
	clear(free) // passwords pass through, and where the room is too small they leave a part in it
	clear(t.room.octets[:])
	return sum
}

// text is a part of what is hashed: octets or a string.
type text struct {
	b []byte
	s string
}

func octets(b []byte) text  { return text{b: b} }
func letters(s string) text { return text{s: s} }

// mark is a hash of some texts under keys that live in this process's memory alone, for counting and never for proof: a
// fraction of what the store's own costs.
func (m *memory) mark(texts ...text) (sum [16]byte) {
	for i, seed := range m.seeds {
		var h maphash.Hash
		h.SetSeed(seed)
		for _, x := range texts {
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], uint64(len(x.b)+len(x.s)))
			_, _ = h.Write(n[:])
			_, _ = h.Write(x.b)
			_, _ = h.WriteString(x.s)
		}
		binary.BigEndian.PutUint64(sum[8*i:], h.Sum64())
	}
	return sum
}

// short is a keyed hash cut to 64 bits and never zero, which stands for none.
func short(h [16]byte) uint64 {
	var v uint64
	for _, c := range h[:8] {
		v = v<<8 | uint64(c)
	}
	return max(v, 1)
}
