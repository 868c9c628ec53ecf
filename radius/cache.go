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
	entryBytes   = 512 // an entry with its place in map and list, and the allocator's rounding
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
	reply         []byte // nil: still worked on, or silenced
	account       authn.AccountID
	accept        bool
	abandoned     bool // another request took the key over: never answered
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

// begin looks a packet up and, when it is new and admit agrees, enters it as being worked on. Of a duplicate it gives the
// answer, nil for silence. admit is asked after it is known that there is room.
func (rc *replyCache) begin(key requestKey, raw []byte, now time.Time, admit func() bool) (e *entry, reply []byte, found lookup) {
	digest := maphash.Bytes(rc.seed, raw)
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.expire(now)
	old := rc.entries[key]
	if old != nil && string(old.authenticator[:]) == string(raw[4:headerLen]) {
		if old.digest == digest && old.length == len(raw) {
			return nil, old.reply, isDuplicate
		}
		found = isConflict
	}
	if !rc.room(now) || !admit() {
		return nil, nil, isFull
	}
	if old != nil {
		old.abandoned = true
		rc.remove(old)
	}
	e = &entry{key: key, authenticator: [16]byte(raw[4:headerLen]), digest: digest, length: len(raw), born: now}
	rc.entries[key] = e
	rc.bytes += entryBytes
	e.older = rc.newest
	if rc.newest != nil {
		rc.newest.newer = e
	} else {
		rc.oldest = e
	}
	rc.newest = e
	return e, nil, found
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
	if rc.entries[e.key] != e {
		return
	}
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
}

// answer keeps the answer of a request and reports whether it may be sent: not when another request has taken over its
// key. An entry that made room for others is still answered, once.
func (rc *replyCache) answer(e *entry, reply []byte, account authn.AccountID, accept bool) bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if e.abandoned {
		return false
	}
	if rc.entries[e.key] == e {
		e.reply, e.account, e.accept = reply, account, accept
		rc.bytes += len(reply)
	}
	return true
}

// again calls send for an answer that begin found, unless it was silenced meanwhile. silence waits for a send under way,
// so that no Accept leaves after a revocation was acknowledged (S13).
func (rc *replyCache) again(key requestKey, reply []byte, send func()) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if e := rc.entries[key]; e != nil && len(e.reply) > 0 && &e.reply[0] == &reply[0] {
		send()
	}
}

// forget drops a request that gets no answer, so that the gateway's repetition is worked on afresh.
func (rc *replyCache) forget(e *entry) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.remove(e)
}

// silence lets the cached Accepts of accounts never be sent again: their repetitions get silence (S13).
func (rc *replyCache) silence(accounts map[authn.AccountID]bool) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	for e := rc.oldest; e != nil; e = e.newer {
		if e.accept && accounts[e.account] {
			rc.bytes -= len(e.reply)
			e.reply = nil
		}
	}
}

// size gives the octets accounted for.
func (rc *replyCache) size() int {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.bytes
}
