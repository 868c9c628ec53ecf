package radius

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"sekisho/authn"
)

// Limits of the reply cache. RFC 5080 section 2.2.2 asks for 5 to 30 seconds; ocserv repeats after 10.
const (
	cacheLife    = 30 * time.Second
	cacheMinLife = 5 * time.Second
	cacheBytes   = 64 << 20
	freeEntries  = 1024 // kept for use again beside as many as are in use
	entryBytes   = 512  // an entry with its place in map and list, and the allocator's rounding
)

// requestKey is what a client keeps apart while it waits for answers.
type requestKey struct {
	local, remote netip.AddrPort
	code          Code
	id            byte
}

// entry is one request and, as soon as there is one, its answer.
type entry struct {
	key           requestKey
	authenticator [16]byte
	digest        uint64
	length        int
	born          time.Time
	reply         []byte // empty: still worked on, or silenced
	account       authn.AccountID
	accept        bool
	abandoned     bool // another request took the key over: never answered
	open          bool // a request will say what came of it: not to be used for another
	listed        bool
	older, newer  *entry
}

// replyCache gives a repeated packet the answer it got before. All of its packets have passed the client's policy, so
// nobody without the secret fills it or drives anything out of it.
type replyCache struct {
	seed  maphash.Seed
	limit int // octets

	mu             sync.Mutex
	entries        map[requestKey]*entry
	bytes          int
	oldest, newest *entry
	free           *entry // for use again, linked by newer
	freed          int
}

func newReplyCache(limit int) *replyCache {
	return &replyCache{seed: maphash.MakeSeed(), limit: limit, entries: map[requestKey]*entry{}}
}

// lookup is what the cache knows about a packet.
type lookup uint8

const (
	isNew       lookup = iota
	isDuplicate        // same key, Request Authenticator and octets
	isConflict         // same key and Request Authenticator, other octets: an alarm, and a new request
	isFull             // new, but there is no room
)

// begin looks a packet up and, when it is new and admit agrees, enters it as being worked on; then answer, forget or leave
// has to be called for it, once. admit is asked after it is known that there is room.
func (rc *replyCache) begin(key requestKey, raw []byte, now time.Time, admit func() bool) (e *entry, found lookup) {
	digest := maphash.Bytes(rc.seed, raw)
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.expire(now)
	old := rc.entries[key]
	if old != nil && string(old.authenticator[:]) == string(raw[4:headerLen]) {
		if old.same(digest, raw) {
			return nil, isDuplicate
		}
		found = isConflict
	}
	if !rc.room(now) || !admit() {
		return nil, isFull
	}
	if old = rc.entries[key]; old != nil { // room may have taken it
		old.abandoned = true
		rc.remove(old)
	}
	e = rc.fresh()
	e.key, e.authenticator, e.digest, e.length, e.born = key, [16]byte(raw[4:headerLen]), digest, len(raw), now
	e.open, e.listed = true, true
	rc.entries[key] = e
	rc.bytes += entryBytes
	e.older = rc.newest
	if rc.newest != nil {
		rc.newest.newer = e
	} else {
		rc.oldest = e
	}
	rc.newest = e
	return e, found
}

// same reports that an entry is about the same octets.
func (e *entry) same(digest uint64, raw []byte) bool {
	return e.digest == digest && e.length == len(raw) && string(e.authenticator[:]) == string(raw[4:headerLen])
}

// fresh gives an entry for a new request.
func (rc *replyCache) fresh() *entry {
	e := rc.free
	if e == nil {
		return &entry{}
	}
	rc.free = e.newer
	rc.freed--
	*e = entry{reply: e.reply[:0]}
	return e
}

// recycle keeps an entry for use again when it is neither in the list nor waited for: not more of them than there are
// entries in use, so that what a flood needed is given back.
func (rc *replyCache) recycle(e *entry) {
	if e.open || e.listed || rc.freed > len(rc.entries)+freeEntries {
		return
	}
	if cap(e.reply) > entryBytes/2 {
		e.reply = nil
	}
	e.newer = rc.free
	rc.free = e
	rc.freed++
}

// expire drops what is older than its life.
func (rc *replyCache) expire(now time.Time) {
	for rc.oldest != nil && now.Sub(rc.oldest.born) >= cacheLife {
		rc.remove(rc.oldest)
	}
}

// room makes room for one entry, at the cost of entries that are at least 5 s old.
func (rc *replyCache) room(now time.Time) bool {
	for rc.bytes+entryBytes > rc.limit {
		if rc.oldest == nil || now.Sub(rc.oldest.born) < cacheMinLife {
			return false
		}
		rc.remove(rc.oldest)
	}
	return true
}

// remove takes an entry out; it may be out already.
func (rc *replyCache) remove(e *entry) {
	if !e.listed {
		return
	}
	e.listed = false
	delete(rc.entries, e.key)
	rc.bytes -= entryBytes + len(e.reply)
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		rc.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		rc.newest = e.older
	}
	e.older, e.newer = nil, nil
	rc.recycle(e)
}

// close ends what a request had to do with an entry; the caller holds the lock.
func (rc *replyCache) close(e *entry) {
	if e.open {
		e.open = false
		rc.recycle(e)
	}
}

// answer keeps a copy of the answer of a request and reports whether it may be sent: not when another request has taken
// over its key. An entry that made room for others is still answered, once.
func (rc *replyCache) answer(e *entry, reply []byte, account authn.AccountID, accept bool) bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	defer rc.close(e)
	if e.abandoned {
		return false
	}
	if e.listed {
		e.reply, e.account, e.accept = append(e.reply[:0], reply...), account, accept
		rc.bytes += len(reply)
	}
	return true
}

// again calls send with the answer to a duplicate, unless there is none yet or it was silenced. silence waits for a send
// under way, so that no Accept leaves after a revocation was acknowledged (S13).
func (rc *replyCache) again(key requestKey, raw []byte, send func(reply []byte)) {
	digest := maphash.Bytes(rc.seed, raw)
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if e := rc.entries[key]; e != nil && e.same(digest, raw) && len(e.reply) > 0 {
		send(e.reply)
	}
}

// forget drops a request that gets no answer, so that the gateway's repetition is worked on afresh.
func (rc *replyCache) forget(e *entry) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.close(e)
	rc.remove(e)
}

// leave lets a request go without an answer, and its repetitions too.
func (rc *replyCache) leave(e *entry) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.close(e)
}

// silence lets the cached Accepts of accounts never be sent again: their repetitions get silence (S13).
func (rc *replyCache) silence(accounts map[authn.AccountID]bool) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	for e := rc.oldest; e != nil; e = e.newer {
		if e.accept && accounts[e.account] {
			rc.bytes -= len(e.reply)
			e.reply = e.reply[:0]
		}
	}
}

// size gives the octets accounted for.
func (rc *replyCache) size() int {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.bytes
}
