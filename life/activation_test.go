package life

import (
	"sync"
	"testing"
	"time"

	"sekisho/token"
)

// locked lets goroutines act as a store does: one at a time on fresh state, refused attempts saved.
type locked struct {
	sync.Mutex
	*house
}

// 64 confirmations of one start with one code: one device, one use.
func TestK3OneStartOneUse(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.linkAt(Started)
	l := &locked{house: h}
	code, codes := h.shows(fresh, 0), map[Code]int{}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			l.Lock()
			defer l.Unlock()
			v, c, no := l.a.Finish(l.s, l.link, HashLink([]byte("1")), code)
			l.link = v
			l.apply(c)
			if no != nil {
				codes[no.Code]++
			}
		})
	}
	wg.Wait()
	if h.link.Used != 1 || h.holder(taro).stage(fresh) != Active || codes[LinkOpen] != 63 {
		t.Errorf("used %d, refusals %v", h.link.Used, codes)
	}
}

// 64 workers on one link of quota 2, each starting and confirming until told otherwise: two devices, and quota-used for
// everybody else.
func TestK3QuotaUnderRaces(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.a.Rules.Devices, h.a.Rules.FirstTries.N = 10, 1_000_000
	v, c, no := h.a.Issue(h.s, taro, 5, [32]byte{1}, false, nil)
	if no != nil {
		t.Fatal(no)
	}
	h.apply(c)
	v.Starts = 1_000_000
	h.link = v
	l := &locked{house: h}
	codes := map[Code]int{}
	var wg sync.WaitGroup
	var next token.ID = 200
	for worker := range 64 {
		wg.Go(func() {
			session := HashLink([]byte{byte(worker)})
			for {
				l.Lock()
				id := next
				next++
				v, c, no := l.a.Start(l.s, l.link, session, complete(token.Token{ID: id}))
				l.link = v
				l.apply(c)
				l.Unlock()
				if no == nil {
					l.Lock()
					v, c, no = l.a.Finish(l.s, l.link, session, l.shows(id, 0))
					l.link = v
					l.apply(c)
					l.Unlock()
				}
				if no != nil && no.Code != StartElse && no.Code != LinkOpen {
					l.Lock()
					codes[no.Code]++
					l.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	active := 0
	for _, hold := range h.holder(taro).Holds {
		if hold.Standing == token.Active {
			active++
		}
	}
	if active != 2 || h.link.Used != 2 || codes[QuotaUsed] != 64 {
		t.Errorf("%d devices, used %d, refusals %v", active, h.link.Used, codes)
	}
}

// The same session sees the same secret for half an hour; another one voids it and counts; the sixth start is refused and
// spends no use.
func TestK3Starts(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.linkAt(Open)
	h.link.Begun = 0
	start := func(session string, id token.ID) *Refusal {
		v, c, no := h.a.Start(h.s, h.link, HashLink([]byte(session)), complete(token.Token{ID: id}))
		h.link = v
		h.apply(c)
		return no
	}
	for i, s := range []struct {
		session string
		token   token.ID
		begun   uint32
		wait    time.Duration
	}{{"a", 100, 1, 0}, {"a", 100, 1, 29*time.Minute + 59*time.Second}, {"b", 102, 2, 0}, {"a", 103, 3, 0}, {"a", 104, 4, 30 * time.Minute}, {"b", 105, 5, 0}} {
		h.later(s.wait)
		h.link.Until = h.a.Now.Unix() + 1
		if no := start(s.session, token.ID(100+i)); no != nil || h.link.Token != s.token || h.link.Begun != s.begun {
			t.Fatalf("start %d: %v, token %d, starts %d", i, no, h.link.Token, h.link.Begun)
		}
	}
	refused(t, "the sixth", start("c", 106), StartsUsed, time.Time{})
	if h.link.Used != 0 || h.link.Left() != 2 || len(h.link.Voided) != 4 || h.token(103).State != token.Destroyed {
		t.Errorf("link %+v", h.link)
	}
	// A code of the secret shown before is recognised; the right one works.
	_, _, no := h.a.Finish(h.s, h.link, HashLink([]byte("b")), h.shows(103, 0))
	refused(t, "an old entry", no, OldEntry, time.Time{})
	v, c, no := h.a.Finish(h.s, h.link, HashLink([]byte("b")), h.shows(105, 0))
	if no != nil || v.Left() != 1 {
		t.Fatalf("%v, left %d", no, v.Left())
	}
	h.apply(c)
	h.later(time.Second)
	if v.Stage(h.a.Now) != Lapsed {
		t.Errorf("at its end the link is %s", v.Stage(h.a.Now))
	}
	v, _, no = h.a.Resend(h.s, v, [32]byte{5})
	if no != nil || v.Left() != 1 || v.Until != h.a.Now.Unix()+86400 || v.Link != [32]byte{5} || v.Stage(h.a.Now) != Open {
		t.Errorf("sent again: %v %+v", no, v)
	}
	letter, _, _ := h.a.Issue(h.s, taro, 6, [32]byte{1}, true, nil)
	if letter.Until != h.a.Now.Add(21*day).Unix() {
		t.Errorf("a letter lives until %v", time.Unix(letter.Until, 0))
	}
}
