package radius

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func yes() bool { return true }

func rawPacket(n int) []byte {
	b := make([]byte, 40)
	b[0] = 1
	copy(b[4:], fmt.Sprint(n))
	return b
}

func keyOf(n int) requestKey {
	return requestKey{local: here, remote: netip.AddrPortFrom(gateway.Addr(), uint16(n>>8)), code: AccessRequest, id: byte(n)}
}

// TestCacheBounds: entries live 30 s, are dropped early only from 5 s on, and then the oldest first.
func TestCacheBounds(t *testing.T) {
	t0 := time.Now()
	rc := newReplyCache(10*entryBytes + 5*100)
	begin := func(n int, now time.Time) lookup {
		e, found := rc.begin(keyOf(n), rawPacket(n), now, yes)
		if e != nil {
			rc.answer(e, make([]byte, 100), 0, false)
		}
		return found
	}
	entered := 0
	for begin(entered, t0.Add(time.Duration(entered)*time.Millisecond)) == isNew {
		entered++
	}
	if entered < 8 || rc.size() > rc.limit+100 {
		t.Fatalf("%d entries with %d octets", entered, rc.size())
	}
	if found := begin(99, t0.Add(4900*time.Millisecond)); found != isFull {
		t.Errorf("an entry younger than 5 s made room: %v", found)
	}
	if found := begin(99, t0.Add(5*time.Second)); found != isNew {
		t.Errorf("an entry of 5 s made no room: %v", found)
	}
	if found := begin(0, t0.Add(5*time.Second)); found == isDuplicate {
		t.Error("the oldest entry is still there")
	}
	if found := begin(entered-1, t0.Add(29*time.Second)); found != isDuplicate {
		t.Errorf("an entry did not live 29 s: %v", found)
	}
	if _, found := rc.begin(keyOf(entered-1), rawPacket(entered-1), t0.Add(31*time.Second), yes); found == isDuplicate {
		t.Error("an entry lived 31 s")
	}
	rc.begin(keyOf(500), rawPacket(500), t0.Add(2*time.Minute), func() bool { return false })
	if rc.size() != 0 || rc.oldest != nil || rc.newest != nil || len(rc.entries) != 0 {
		t.Errorf("%d octets and %d entries are left", rc.size(), len(rc.entries))
	}
}

func TestCacheKeepsAddressesApart(t *testing.T) {
	rc := newReplyCache(cacheBytes)
	base := keyOf(1)
	keys := []requestKey{base, base, base, base, base}
	keys[1].local = netip.MustParseAddrPort("192.0.2.11:1812")
	keys[2].remote = netip.AddrPortFrom(gateway.Addr(), 9)
	keys[3].code = AccountingRequest
	keys[4].id++
	for i, k := range keys {
		if _, found := rc.begin(k, rawPacket(1), time.Now(), yes); found != isNew {
			t.Errorf("key %d: %v", i, found)
		}
	}
}

func TestCacheEvictedIsStillAnswered(t *testing.T) {
	t0 := time.Now()
	rc := newReplyCache(entryBytes)
	e, _ := rc.begin(keyOf(1), rawPacket(1), t0, yes)
	if _, found := rc.begin(keyOf(2), rawPacket(2), t0.Add(6*time.Second), yes); found != isNew {
		t.Fatal(found)
	}
	if !rc.answer(e, make([]byte, 50), 0, false) {
		t.Error("a request that made room is not answered")
	}
	if rc.size() != entryBytes {
		t.Errorf("%d octets accounted for", rc.size())
	}
	rc.forget(e)
	if len(rc.entries) != 1 {
		t.Error("forgetting an entry that is gone removed another")
	}
}

func TestPlaces(t *testing.T) {
	p := newPlaces(100, loginPlaces)
	fill := func(c *client, preferred bool) (n int) {
		for p.take(c, preferred) {
			n++
		}
		return n
	}
	a, b, c := &client{standing: newStanding()}, &client{standing: newStanding()}, &client{standing: newStanding()}
	if n := fill(a, false); n != 50 {
		t.Errorf("alone: %d", n)
	}
	if n := fill(b, false); n != 25 {
		t.Errorf("the second: %d", n)
	}
	if n := fill(c, true); n != 25 {
		t.Errorf("the third, with States: %d", n)
	}
	for range 50 {
		p.give(a)
	}
	for range 25 {
		p.give(b)
		p.give(c)
	}
	if p.held() != 0 || a.held[loginPlaces] != 0 || b.held[loginPlaces] != 0 || c.held[loginPlaces] != 0 {
		t.Errorf("%d held, by the clients %d, %d and %d", p.held(), a.held[loginPlaces], b.held[loginPlaces], c.held[loginPlaces])
	}
}

func TestQuiet(t *testing.T) {
	var q quiet
	t0 := time.Now()
	a := netip.MustParseAddr("192.0.2.1")
	allow := func(src netip.Addr, subject string, after time.Duration) bool {
		_, ok := q.allow(src, subject, t0.Add(after))
		return ok
	}
	if !allow(a, "x", 0) || allow(a, "x", 59*time.Second) || !allow(a, "y", 0) || !allow(a.Next(), "x", 0) {
		t.Error("not one line per source, subject and minute")
	}
	if held, ok := q.allow(a, "x", t0.Add(61*time.Second)); !ok || held != 1 {
		t.Errorf("after a minute: %v, %d held back", ok, held)
	}
	for i := range 100_000 {
		allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "x", 62*time.Second+time.Duration(i)*10*time.Millisecond)
		if len(q.last) > quietEntries {
			t.Fatalf("%d sources are remembered", len(q.last))
		}
	}
	if !allow(netip.MustParseAddr("192.0.2.77"), "x", time.Hour) {
		t.Error("a full table never empties")
	}
}

func TestUnrelatedCacheContent(t *testing.T) {
	rc := newReplyCache(cacheBytes)
	e, _ := rc.begin(keyOf(1), rawPacket(1), time.Now(), yes)
	longer := append(rawPacket(1), 0)
	if _, found := rc.begin(keyOf(1), longer, time.Now(), yes); found != isConflict {
		t.Errorf("other length: %v", found)
	}
	if rc.answer(e, []byte("reply"), 3, true) {
		t.Error("the first entry is not set aside")
	}
}
