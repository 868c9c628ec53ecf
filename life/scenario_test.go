package life

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/token"
)

func (h *house) later(d time.Duration) *house {
	h.a.Now = h.a.Now.Add(d)
	return h
}

// A token of several users is revoked for chosen ones or for all; the next of the group registers the same serial, and two
// in one step wait for each other.
func TestO2SharedToken(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.must(t, "first registers")(h.a.Register(h.s, taro, "10000010", h.shows(hard, 0)))
	h.a.Account = hanako
	c, no := h.a.Register(h.s, hanako, "10000010", h.shows(hard, 0))
	refused(t, "second in the same step", no, AlreadyUsed, nextStep)
	h.apply(c)
	h.later(30 * time.Second)
	h.must(t, "second registers")(h.a.Register(h.s, hanako, "10000010", h.shows(hard, 0)))
	h.as(ByAdmin)
	h.must(t, "revoke for one")(h.a.Revoke(h.s, Revocation{Holds: []Chosen{{hanako, hard}}}))
	if h.token(hard).State != token.InUse || h.holder(taro).stage(hard) != Active || h.holder(hanako).stage(hard) != Revoked {
		t.Errorf("after revoking one: token %s, taro %s", h.token(hard).State, h.holder(taro).stage(hard))
	}
	h.as(ByPerson).a.Account = hanako
	h.later(30 * time.Second)
	h.must(t, "register again")(h.a.Register(h.s, hanako, "10000010", h.shows(hard, 0)))
	h.as(ByAdmin)
	h.must(t, "revoke for all")(h.a.Revoke(h.s, Revocation{Holds: AllHolders(h.s, hard)}))
	if h.token(hard).State != token.InStock || len(AllHolders(h.s, hard)) != 0 {
		t.Errorf("after revoking all: token %s", h.token(hard).State)
	}
	// All or none: one that cannot be revoked leaves the other alone.
	h.hold(taro, hard, token.Active)
	c, no = h.a.Revoke(h.s, Revocation{Holds: []Chosen{{taro, hard}, {hanako, hard}}})
	if no == nil || no.Code != IsRevoked || len(c.Holders)+len(c.Tokens)+len(c.Steps) != 0 {
		t.Errorf("half of a revocation was done: %v %+v", no, c)
	}
	// With users elsewhere the token stays in use.
	h.s.Elsewhere[hard] = 1
	h.must(t, "revoke with others elsewhere")(h.a.Revoke(h.s, Revocation{Holds: []Chosen{{taro, hard}}}))
	if h.token(hard).State != token.InUse {
		t.Errorf("with others elsewhere the token is %s", h.token(hard).State)
	}
}

// The cooldown holds for the user and for the serial, to the second; a master waives it.
func TestO4Cooldown(t *testing.T) {
	h := newHouse().as(ByAdmin)
	h.a.Rules.Cooldown = HoursJP(noon.Location())
	h.a.Now = time.Date(2026, 11, 28, 20, 50, 0, 0, noon.Location())
	h.hold(taro, hard, token.Active)
	due := h.a.Due()
	c := h.must(t, "revoke")(h.a.Revoke(h.s, Revocation{Holds: []Chosen{{taro, hard}}}))
	if want := time.Date(2026, 11, 29, 8, 40, 0, 0, noon.Location()); !due.Equal(want) || c.Notices[0].From != want.Unix() {
		t.Errorf("due %v, mail %v, want %v", due, time.Unix(c.Notices[0].From, 0), want)
	}
	if u := StateOf(h.holder(taro), h.s.Tokens, h.a.Now); u.Stage != WasRevoked || u.From != due.Unix() || u.Serial != "" {
		t.Errorf("the list shows %+v", u)
	}
	for _, who := range []AccountID{taro, hanako} { // hanako may not take the serial either
		h.as(ByPerson).a.Account = who
		h.a.Now = due.Add(-time.Second)
		_, no := h.a.Register(h.s, who, "10000010", h.shows(hard, 0))
		refused(t, "a second early", no, Cooling, due)
	}
	h.a.Now = due
	h.must(t, "at the instant")(h.a.Register(h.s, hanako, "10000010", h.shows(hard, 0)))

	h = newHouse().as(ByAdmin)
	h.a.Rules.Cooldown = HoursJP(noon.Location())
	h.hold(taro, hard, token.Active)
	h.must(t, "revoke")(h.a.Revoke(h.s, Revocation{Holds: []Chosen{{taro, hard}}}))
	h.as(ByMaster)
	h.must(t, "waive")(h.a.Waive(h.s, taro))
	h.as(ByPerson)
	h.must(t, "register after the waiver")(h.a.Register(h.s, taro, "10000010", h.shows(hard, 0)))
}

// A lost token is gone for good, for everybody; by default without a cooldown, and with one where policy says so.
func TestO5Lost(t *testing.T) {
	for _, wait := range []bool{false, true} {
		h := newHouse().as(ByAdmin)
		h.a.Rules.Cooldown, h.a.Rules.LostWait = HoursJP(noon.Location()), wait
		h.hold(taro, hard, token.Active)
		h.hold(hanako, hard, token.Suspended)
		h.must(t, "lost")(h.a.RevokeLost(h.s, hard, WhyLost))
		if h.token(hard).State != token.Destroyed || len(AllHolders(h.s, hard)) != 0 || (h.holder(taro).NotBefore != 0) != wait {
			t.Errorf("token %s, cooldown %d", h.token(hard).State, h.holder(taro).NotBefore)
		}
		h.later(365 * day)
		_, no := h.a.Register(h.s, taro, "10000010", h.shows(hard, 0))
		refused(t, "registering a lost token", no, TokenGone, time.Time{})
	}
}

// Expiry is an instant, and a replacement pair switches with the first right code of the new token, in one change.
func TestO9ExpiryAndPair(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.token(hard).Expiry = h.a.Now.Unix() + 1
	h.must(t, "a second before expiry")(h.a.Register(h.s, taro, "10000010", h.shows(hard, 0)))
	h.later(time.Second)
	if u := StateOf(h.holder(taro), h.s.Tokens, h.a.Now); u.Stage != RunOut || u.Serial != "10000010" {
		t.Errorf("at the instant of expiry the user is %+v", u)
	}
	h.as(ByAdmin)
	h.must(t, "reserve the new one")(h.a.Grant(h.s, Reserve, taro, spare, false))
	h.must(t, "pair")(h.a.Pair(h.s, taro, spare, []token.ID{hard}))
	h.as(ByPerson)
	c := h.must(t, "first code of the new one")(h.a.Register(h.s, taro, "10000011", h.shows(spare, 0)))
	if h.holder(taro).stage(hard) != Revoked || h.holder(taro).Hold(hard).Why != WhyReplaced || h.holder(taro).NotBefore != 0 || h.token(hard).State != token.InStock {
		t.Errorf("the old token: %+v, %s", h.holder(taro).Hold(hard), h.token(hard).State)
	}
	ended := slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Verb == Replace && s.Token == hard })
	if !ended || len(c.Notices) != 1 || c.Notices[0].Kind != NoticeAdded {
		t.Errorf("steps %+v, notices %+v", c.Steps, c.Notices)
	}
}

// A hardware token that is found some steps off at its first code is followed; only as far as the window of first use.
func TestO7WideFirstCode(t *testing.T) {
	for _, off := range []int64{-41, -40, -3, 0, 40, 41} {
		h := newHouse().as(ByPerson)
		c, no := h.a.Register(h.s, taro, "10000010", h.shows(hard, off))
		if in := off >= -40 && off <= 40; in != (no == nil) {
			t.Fatalf("%d steps off: %v", off, no)
		} else if !in {
			if len(c.Records) != 1 || len(c.Records[0].First) != 1 || c.Cost != h.token(hard).GuessCost(81) {
				t.Errorf("a wrong code costs %d, record %+v", c.Cost, c.Records)
			}
			continue
		}
		h.apply(c)
		if tok := h.token(hard); int64(tok.Drift) != off || tok.Last != tok.StepAt(noon)+off {
			t.Errorf("%d steps off: drift %d, last %d", off, tok.Drift, tok.Last)
		}
	}
	h := newHouse().as(ByPerson) // event-based: 100 counters
	for _, off := range []int64{100, 99} {
		c, no := h.a.Register(h.s, taro, "10000040", Typed(h.token(count).Code(seed(count), off)))
		if (no == nil) != (off == 99) {
			t.Errorf("counter %d: %v", off, no)
		}
		h.apply(c)
	}
	if h.token(count).Last != 99 {
		t.Errorf("last counter %d", h.token(count).Last)
	}
}

// A right first code that is that of a later step in the wide window, too, is taken for what it is, and not for a clock that
// is off: once in some 12,000 codes.
func TestFirstCodeByCoincidence(t *testing.T) {
	for id, form := range map[token.ID]string{soft: "software", hard: "hardware"} {
		h := newHouse().as(ByPerson)
		tok := h.token(id)
		at, later := tok.StepAt(noon), int64(0)
		seen := map[string]int64{}
		for step := at; later == 0; step++ {
			code := tok.Code(seed(id), step)
			if first, ok := seen[code]; ok && step-first > 1 && step-first <= 40 {
				at, later = first, step
			}
			seen[code] = step
		}
		h.a.Now = time.Unix(at*int64(tok.Period)+7, 0)
		tok.Expiry = 0
		h.hold(taro, id, token.Pending)
		c, no := h.a.Confirm(h.s, taro, id, Typed(tok.Code(seed(id), at)))
		if no != nil {
			t.Errorf("%s: %v", form, no)
			continue
		}
		h.apply(c)
		if tok := h.token(id); tok.Last != at || tok.Drift != 0 {
			t.Errorf("%s: last %d, want %d and not %d; drift %d", form, tok.Last, at, later, tok.Drift)
		}
	}
}

// A master revokes the own token, keeps a session that only registers, and is never the last.
func TestO10OwnToken(t *testing.T) {
	h := newHouse().as(ByMaster)
	h.a.Account = boss
	c, no := h.a.Revoke(h.s, Revocation{Holds: []Chosen{{boss, own}}})
	if no != nil || !c.OnlyRegister {
		t.Errorf("own token: %v, only register %t", no, c.OnlyRegister)
	}
	h.hold(boss, spare, token.Active)
	c, no = h.a.Revoke(h.s, Revocation{Holds: []Chosen{{boss, own}}})
	if no != nil || c.OnlyRegister {
		t.Errorf("with a second token: %v, only register %t", no, c.OnlyRegister)
	}
	h.s.MastersElsewhere = 0
	_, no = h.a.Revoke(h.s, Revocation{Holds: []Chosen{{boss, own}, {boss, spare}}})
	refused(t, "both of the last master's", no, LastMaster, time.Time{})
	h.token(spare).Expiry = noon.Unix() // one that ran out is none
	_, no = h.a.Revoke(h.s, Revocation{Holds: []Chosen{{boss, own}}})
	refused(t, "the last that works", no, LastMaster, time.Time{})
	if risk, all := MastersAtRisk(h.s, noon); len(risk) != 0 || all {
		t.Errorf("at risk now: %v, all %t", risk, all)
	}
	h.token(own).Expiry = noon.Add(10 * day).Unix()
	if risk, all := MastersAtRisk(h.s, noon.Add(10*day)); len(risk) != 1 || !all {
		t.Errorf("at risk in ten days: %v, all %t", risk, all)
	}
}

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

// Devices of an approved request, or replaced by a link, end with the first device of the link and not with the second.
func TestK6OldDevices(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.hold(taro, soft, token.Active)
	h.hold(taro, soft2, token.Active)
	v, c, no := h.a.Issue(h.s, taro, 5, [32]byte{1}, false, []token.ID{soft})
	if no != nil {
		t.Fatal(no)
	}
	h.apply(c)
	for i, want := range []Code{"", DeviceLimit} {
		session := HashLink([]byte{byte(i)})
		id := token.ID(200 + i)
		v, c, no = h.a.Start(h.s, v, session, complete(token.Token{ID: id}))
		if want != "" {
			refused(t, "a third device", no, want, time.Time{})
			break
		}
		h.apply(c)
		if h.holder(taro).stage(soft) != Active {
			t.Error("the old device ended before the first right code")
		}
		v, c, no = h.a.Finish(h.s, v, session, h.shows(id, 0))
		if no != nil {
			t.Fatal(no)
		}
		h.apply(c)
	}
	if h.holder(taro).stage(soft) != Revoked || h.token(soft).State != token.Destroyed || h.holder(taro).stage(soft2) != Active {
		t.Errorf("old device %s, other one %s", h.holder(taro).stage(soft), h.holder(taro).stage(soft2))
	}

	h = newHouse().as(ByMaster)
	h.hold(taro, soft, token.Active)
	h.requestAt(Open)
	h.req.Tokens = []token.ID{soft, soft2} // soft2 is not held any more
	if _, no := h.a.EndTicked(h.s, h.req); no == nil || no.Code != RequestOpen {
		t.Errorf("before the approval: %v", no)
	}
	r, _, no := h.a.Approve(h.s, h.req)
	if no != nil {
		t.Fatal(no)
	}
	h.must(t, "end ticked")(h.a.EndTicked(h.s, r))
	if h.holder(taro).Hold(soft).Why != WhyDeleted || h.holder(taro).NotBefore != 0 {
		t.Errorf("%+v", h.holder(taro).Hold(soft))
	}
	h.hold(taro, hard, token.Active)
	r.Tokens = []token.ID{hard}
	_, no = h.a.EndTicked(h.s, r)
	refused(t, "a hardware token by request", no, SoftwareOnly, time.Time{})
}

// Policy approves only what it may; reminders come once.
func TestK5Policy(t *testing.T) {
	h := newHouse().as(BySystem)
	h.requestAt(Open)
	h.a.Rules.Request.Approve = nil
	_, _, no := h.a.Approve(h.s, h.req)
	refused(t, "policy that approves nothing", no, NotAllowed, time.Time{})
	h.req.Made = noon.Unix()
	rules := h.a.Rules.Request
	if rules.RemindDue(h.req, noon.Add(4*time.Hour-time.Second)) || !rules.RemindDue(h.req, noon.Add(4*time.Hour)) {
		t.Error("the reminder comes at another time than after four hours")
	}
	h.req.Reminded = 1
	if rules.RemindDue(h.req, noon.Add(day)) {
		t.Error("a second reminder")
	}
}

// A second device by the password and a code of a working one: nothing is revoked, and the code is burnt.
func TestK11SecondDevice(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.hold(taro, soft, token.Active)
	code := h.shows(soft, 0)
	h.must(t, "add")(h.a.Enrol(h.s, taro, complete(token.Token{ID: fresh}), nil, soft, code))
	_, no := h.a.Enrol(h.s, taro, complete(token.Token{ID: soft3 + 50}), nil, soft, code)
	refused(t, "the same code again", no, AlreadyUsed, nextStep)
	h.must(t, "confirm")(h.a.Confirm(h.s, taro, fresh, h.shows(fresh, 0)))
	if h.holder(taro).stage(soft) != Active || h.holder(taro).stage(fresh) != Active {
		t.Error("adding a device ended another one")
	}
	_, no = h.a.Confirm(h.s, taro, fresh, h.shows(fresh, 0))
	refused(t, "confirm twice", no, IsActive, time.Time{})
}

// Lost: suspended at once; the person resumes it within 72 hours, else it is revoked; it makes room for the next device,
// whose first code ends it.
func TestP3Lost(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.hold(taro, soft, token.Active)
	h.hold(taro, soft2, token.Active)
	h.must(t, "lost")(h.a.ReportLost(h.s, taro, soft, false))
	h.must(t, "a new one")(h.a.Enrol(h.s, taro, complete(token.Token{ID: fresh}), []token.ID{soft}, soft2, h.shows(soft2, 0)))
	h.must(t, "its first code")(h.a.Confirm(h.s, taro, fresh, h.shows(fresh, 0)))
	if h.holder(taro).stage(soft) != Revoked {
		t.Error("the lost device outlived the new one's first code")
	}
	h = newHouse().as(ByPerson)
	h.hold(taro, soft, token.Active)
	h.must(t, "lost")(h.a.ReportLost(h.s, taro, soft, true))
	h.later(72*time.Hour - time.Second)
	before := *h.holder(taro).Hold(soft)
	h.must(t, "found at the last moment")(h.a.Resume(h.s, taro, soft, h.shows(soft, 0)))
	*h.holder(taro).Hold(soft) = before
	h.later(time.Second)
	_, no := h.a.Resume(h.s, taro, soft, h.shows(soft, 1))
	refused(t, "found too late", no, TooLate, time.Time{})
	h.as(BySystem)
	h.must(t, "revoked after 72 hours")(h.a.Lapse(h.s, taro, soft))
	if h.token(soft).State != token.Destroyed {
		t.Errorf("the lost token is %s", h.token(soft).State)
	}
}

// Undo restores the hold with what it was, never lowers a step, and erasure ends it.
func TestS9Undo(t *testing.T) {
	h := newHouse().as(ByAdmin)
	h.a.Rules.Cooldown = Calendar{Wait: 30 * time.Minute}
	hold := h.hold(taro, soft, token.Suspended)
	hold.Why, hold.Until, hold.Since = WhyLost, noon.Add(50*time.Hour).Unix(), noon.Add(-22*time.Hour).Unix()
	h.hold(taro, hard, token.Active)
	want := *hold
	h.token(soft).Last = 7
	all := []Chosen{{taro, soft}, {taro, hard}}
	h.must(t, "revoke")(h.a.Revoke(h.s, Revocation{Holds: all}))
	h.later(10*time.Minute - time.Second)
	_, no := h.as(BySystem).a.EraseSeed(h.s, soft)
	refused(t, "erase while undo may come", no, TooEarly, noon.Add(10*time.Minute))
	c, failed := h.as(ByAdmin).a.UndoAll(h.s, append(all, Chosen{hanako, hard}))
	if len(failed) != 1 || failed[0].Account != hanako || failed[0].Refusal.Code != NotAssigned {
		t.Errorf("not restored: %+v", failed)
	}
	h.apply(c)
	got := h.holder(taro).Hold(soft)
	if got.Standing != want.Standing || got.Why != want.Why || got.Until != want.Until || got.Since != want.Since || h.token(soft).Last != 7 || h.token(soft).State != token.InUse {
		t.Errorf("restored %+v, want %+v", *got, want)
	}
	if h.holder(taro).NotBefore != 0 || h.record(hard).NotBefore != 0 {
		t.Error("the cooldown outlived the revocation")
	}
	h.must(t, "revoke again")(h.a.Revoke(h.s, Revocation{Holds: all[:1]}))
	h.later(10 * time.Minute).as(BySystem)
	h.must(t, "erase")(h.a.EraseSeed(h.s, soft))
	if len(h.token(soft).Sealed.Data) != 0 || h.token(soft).Last != 7 {
		t.Error("the seed is still there, or the last step is not")
	}
	// A seed that comes back goes on at the larger step.
	back := complete(token.Token{ID: 60, Fingerprint: [16]byte{3}})
	old := token.Token{State: token.Destroyed, Fingerprint: [16]byte{3}, Last: 99}
	if next, no := h.as(ByAdmin).a.Import(back, []token.Token{old}); no != nil || next.Last != 99 {
		t.Errorf("imported again: %v, last %d", no, next.Last)
	}
}

// Somebody else registered the token meanwhile: the undo of the revocation is refused.
func TestS9UndoAfterNextHolder(t *testing.T) {
	h := newHouse().as(ByAdmin)
	h.hold(taro, hard, token.Active)
	h.must(t, "revoke")(h.a.Revoke(h.s, Revocation{Holds: []Chosen{{taro, hard}}}))
	h.as(ByPerson).a.Account = hanako
	h.must(t, "next holder")(h.a.Register(h.s, hanako, "10000010", h.shows(hard, 0)))
	_, no := h.as(ByAdmin).a.Undo(h.s, Chosen{taro, hard})
	refused(t, "undo", no, TokenInUse, time.Time{})
}

// The test of a token: what it says in and beside the window, and what it burns.
func TestV1(t *testing.T) {
	for off, want := range map[int64]Verdict{-121: Unconfirmed, -120: OutOfStep, -2: OutOfStep, -1: Works, 0: Works, 1: Works, 2: OutOfStep, 120: OutOfStep, 121: Unconfirmed} {
		h := newHouse().as(ByPerson)
		got, c, no := h.a.Test(h.s, hard, h.shows(hard, off))
		if got != want || (no == nil) != (want != Unconfirmed) {
			t.Errorf("%d steps off: %d, %v", off, got, no)
		}
		h.apply(c)
		if len(h.record(hard).Tests) != 1 || len(c.Holders) != 0 || len(c.Notices) != 0 {
			t.Errorf("%d steps off: change %+v", off, c)
		}
		last := token.NoStep
		if want == Works {
			last = h.token(hard).StepAt(noon) + off
		}
		if h.token(hard).Last != last {
			t.Errorf("%d steps off: last step %d, want %d", off, h.token(hard).Last, last)
		}
		if want == OutOfStep { // the same code is no proof for a resync
			_, no := h.a.Resync(h.s, hard, h.shows(hard, off), h.shows(hard, off+1))
			refused(t, "resync with a tested code", no, WrongCode, time.Time{})
		}
	}
}

// Resync: two codes in order, a gap that is bounded, only forward, and logins go on from there.
func TestV2(t *testing.T) {
	for _, e := range []struct {
		first, second int64
		code          Code
	}{{-120, -119, ""}, {120, 121, ""}, {115, 125, ""}, {-121, -120, WrongCode}, {121, 122, WrongCode}, {50, 60, ""}, {50, 61, WrongCode}, {60, 50, WrongCode}, {0, 1, ""}} {
		h := newHouse().as(ByPerson)
		c, no := h.a.Resync(h.s, hard, h.shows(hard, e.first), h.shows(hard, e.second))
		if e.code != "" {
			refused(t, "resync", no, e.code, time.Time{})
			if len(c.Records) != 1 || len(c.Records[0].Pot) != 1 || len(c.Tokens) != 0 {
				t.Errorf("%+v: change %+v", e, c)
			}
			continue
		}
		if no != nil {
			t.Errorf("%+v: %v", e, no.Code)
			continue
		}
		h.apply(c)
		tok := h.token(hard)
		if at := tok.StepAt(noon); tok.Last != at+e.second || int64(tok.Drift) != e.second {
			t.Errorf("%+v: last %d, drift %d", e, tok.Last-at, tok.Drift)
		}
		if m := tok.Evaluate(seed(hard), h.shows(hard, e.second), noon, token.LoginWindow); m.Result != token.Used {
			t.Errorf("%+v: the second code still opens", e)
		}
		if m := tok.Evaluate(seed(hard), h.shows(hard, e.second+1), noon, token.LoginWindow); m.Result != token.Fresh {
			t.Errorf("%+v: the next code opens nothing", e)
		}
		// Forward only: the codes that were used, and those before, find nothing any more.
		h.later(time.Hour) // the tries of the last ten minutes are another matter
		off := int64(-120)
		_, no = h.a.Resync(h.s, hard, h.shows(hard, e.first+off), h.shows(hard, e.second+off))
		refused(t, "the same two again", no, WrongCode, time.Time{})
	}
	h := newHouse().as(ByPerson)
	at := func(n int64) Typed { return Typed(h.token(count).Code(seed(count), n)) }
	for _, e := range []struct {
		first, second int64
		found         bool
	}{{99, 102, true}, {99, 103, false}, {100, 101, false}, {0, 1, true}} {
		if _, no := h.a.Resync(h.s, count, at(e.first), at(e.second)); (no == nil) != e.found {
			t.Errorf("counters %d, %d: %v", e.first, e.second, no)
		}
	}
}

// The arithmetic of the resync budget, exactly: what one try costs, how many a year has, and that success gives nothing
// back.
func TestV2Budget(t *testing.T) {
	h := newHouse().as(ByPerson)
	cost := h.a.Rules.resyncCost(h.token(hard), h.a.Rules.Range)
	if cost != 241*10*10_000 { // 241 steps x 10 x 1e-12, in 1e-16
		t.Fatalf("one try costs %d", cost)
	}
	if chance := h.a.Rules.GuessChance(h.token(hard), h.a.Rules.Range); chance < 2.4e-9 || chance > 2.5e-9 {
		t.Errorf("shown chance %g", chance)
	}
	h.a.Rules.ResyncBudget = 3 * cost
	for i, want := range []Code{"", WrongCode, WrongCode, BudgetUsed} {
		first, second := h.shows(hard, 20), h.shows(hard, 21)
		if want != "" {
			first = h.wrong(hard)
		}
		c, no := h.a.Resync(h.s, hard, first, second)
		h.apply(c)
		if want == "" && no != nil || want != "" && no.Code != want {
			t.Fatalf("try %d: %v", i, no)
		}
	}
	h.later(366 * day)
	if _, no := h.a.Resync(h.s, hard, h.shows(hard, 20), h.shows(hard, 21)); no != nil && no.Code == BudgetUsed {
		t.Error("after a year the budget is still used")
	}
}

// A reset drift, and the report of those that are off.
func TestDrift(t *testing.T) {
	h := newHouse().as(ByAdmin)
	h.hold(taro, hard, token.Active)
	h.hold(hanako, spare, token.Active)
	h.token(hard).Drift, h.token(hard).DriftDay, h.token(spare).Drift = 3, 9, -7
	if off := DriftReport(h.s.Tokens, 3, noon); len(off) != 2 || off[0].ID != spare {
		t.Errorf("report %v", off)
	}
	h.must(t, "reset")(h.a.ResetDrift(h.s, spare))
	if off := DriftReport(h.s.Tokens, 3, noon); len(off) != 1 || off[0].ID != hard {
		t.Errorf("report %v", off)
	}
	if off := DriftReport(h.s.Tokens, 4, noon); len(off) != 0 {
		t.Errorf("report %v", off)
	}
}

// Two right codes in a row end rows and waits, and nothing else does.
func TestSelfUnlock(t *testing.T) {
	for _, e := range []struct {
		what   string
		locks  Locks
		spoil  func(*house)
		second int64
		code   Code
	}{{"right", Locks{Rows: true}, nil, 1, ""}, {"stopped", Locks{true, true}, nil, 1, Stopped}, {"nothing", Locks{}, nil, 1, NothingLocked},
		{"no password", Locks{Rows: true}, func(h *house) { h.a.Proven = false }, 1, ProofNeeded}, {"by an operator", Locks{Rows: true}, func(h *house) { h.a.By = ByAdmin }, 1, NotAllowed},
		{"suspended token", Locks{Rows: true}, func(h *house) { h.hold(taro, hard, token.Suspended) }, 1, NotFound}, {"far apart", Locks{Rows: true}, nil, 30, WrongCode},
		{"tries", Locks{Rows: true}, func(h *house) { h.fill(&h.record(hard).Tests, 5) }, 1, TriesUsed}} {
		h := newHouse().as(ByPerson)
		h.hold(taro, hard, token.Active)
		if e.spoil != nil {
			e.spoil(h)
		}
		c, no := h.a.SelfUnlock(h.s, e.locks, hard, h.shows(hard, 0), h.shows(hard, e.second))
		switch {
		case e.code == "" && no != nil, e.code != "" && (no == nil || no.Code != e.code):
			t.Errorf("%s: %v", e.what, no)
		case e.code == "" && (len(c.Tokens) != 1 || c.Tokens[0].Last != h.token(hard).StepAt(noon)+1):
			t.Errorf("%s: %+v", e.what, c)
		}
	}
}

// Temporary codes: five in all, one at a time, none twice, until the evening.
func TestP6(t *testing.T) {
	h := newHouse().as(ByAdmin)
	h.must(t, "give")(h.a.GiveTemporary(h.s, taro, 0))
	evening := time.Date(2026, 11, 28, 18, 0, 0, 0, noon.Location())
	if got := h.holder(taro).Temporary.Until; got != evening.Unix() {
		t.Errorf("until %v", time.Unix(got, 0))
	}
	key := [32]byte{1}
	var codes [][32]byte
	for i := range 6 {
		hash := HashCode(key, ForTemporary, taro, DrawDigits())
		c, no := h.as(ByPerson).a.ShowTemporary(h.s, hash)
		if i == 5 {
			refused(t, "a sixth", no, TempEnded, time.Time{})
			break
		}
		h.must(t, "show")(c, no)
		h.must(t, "use")(h.as(ByLogin).a.UseTemporary(h.s, taro, hash))
		codes = append(codes, hash)
		if i < 4 {
			for _, used := range codes {
				_, no := h.a.UseTemporary(h.s, taro, used)
				refused(t, "a code twice", no, AlreadyUsed, time.Time{})
			}
		}
	}
	h = newHouse().as(ByAdmin)
	h.must(t, "give")(h.a.GiveTemporary(h.s, taro, 0))
	h.must(t, "show")(h.as(ByPerson).a.ShowTemporary(h.s, [32]byte{1}))
	h.must(t, "show another")(h.a.ShowTemporary(h.s, [32]byte{2}))
	_, no := h.as(ByLogin).a.UseTemporary(h.s, taro, [32]byte{1})
	refused(t, "the one that was replaced", no, WrongCode, time.Time{})
	h.a.Now = evening
	_, no = h.a.UseTemporary(h.s, taro, [32]byte{2})
	refused(t, "at 18:00", no, TempEnded, time.Time{})
	h.as(ByMaster)
	h.must(t, "three days by a master")(h.a.GiveTemporary(h.s, taro, evening.Add(72*time.Hour).Unix()))
	h.must(t, "after 18:00")(h.a.GiveTemporary(h.s, taro, 0))
	if got := h.holder(taro).Temporary.Until; got != evening.Add(day).Unix() {
		t.Errorf("given in the evening: until %v", time.Unix(got, 0))
	}
	h.as(ByLogin)
	h.must(t, "the device is used again")(h.a.EndTemporary(h.s, taro))
	_, no = h.a.UseTemporary(h.s, taro, [32]byte{2})
	refused(t, "after the end", no, TempEnded, time.Time{})
}

// A recovery code works once and is replaced; wrong ones count.
func TestY6Recovery(t *testing.T) {
	h := newHouse().as(ByPerson)
	key := [32]byte{1}
	code, next := DrawRecovery(), DrawRecovery()
	hash := HashCode(key, ForRecovery, taro, code)
	h.must(t, "set")(h.a.SetRecovery(h.s, hash))
	c, no := h.a.Recover(h.s, HashCode(key, ForRecovery, taro, next), [32]byte{9})
	refused(t, "wrong", no, WrongCode, time.Time{})
	h.apply(c)
	if len(h.holder(taro).Recovery.Tries) != 1 || h.holder(taro).Recovery.Hash != hash {
		t.Error("a wrong code was not counted, or replaced the right one")
	}
	typed := CleanRecovery(strings.ToLower(string(code[:8])) + " - " + string(code[8:]))
	h.must(t, "right")(h.a.Recover(h.s, HashCode(key, ForRecovery, taro, typed), HashCode(key, ForRecovery, taro, next)))
	if h.temporary() != Running {
		t.Errorf("temporary codes are %s", h.temporary())
	}
	_, no = h.a.Recover(h.s, hash, [32]byte{9})
	refused(t, "twice", no, WrongCode, time.Time{})
	h.a.Proven = false
	_, no = h.a.SetRecovery(h.s, hash)
	refused(t, "set without a proof", no, ProofNeeded, time.Time{})
	_, no = h.as(ByAdmin).a.SetRecovery(h.s, hash)
	refused(t, "set by an operator", no, NotFound, time.Time{})
	if HashCode(key, ForRecovery, taro, code) == HashCode(key, ForTemporary, taro, code) || HashCode(key, ForRecovery, taro, code) == HashCode(key, ForRecovery, hanako, code) {
		t.Error("a hash is good for another purpose or person")
	}
}

// The code for a first login: once, with the attributes it was given, never with a token.
func TestFirstLogin(t *testing.T) {
	h := newHouse().as(ByHelpDesk)
	h.must(t, "give")(h.a.GiveFirstLogin(h.s, taro, [32]byte{4}, "portal-only", 0))
	attributes, c, no := h.as(ByLogin).a.UseFirstLogin(h.s, taro, [32]byte{4})
	if no != nil || attributes != "portal-only" {
		t.Fatalf("%v %q", no, attributes)
	}
	h.apply(c)
	_, _, no = h.a.UseFirstLogin(h.s, taro, [32]byte{4})
	refused(t, "twice", no, FirstEnded, time.Time{})
	h.hold(hanako, soft, token.Pending) // a token that waits is none yet
	h.must(t, "give to one who waits")(h.as(ByHelpDesk).a.GiveFirstLogin(h.s, hanako, [32]byte{4}, "", 0))
}

// PINs: who knows them, the history, and when a forced one stops.
func TestK8PIN(t *testing.T) {
	h := newHouse().as(ByPerson)
	hash := func(pin string) (p PINHash) { copy(p.Sum[:], pin); return p }
	choose := func(pin string) *Refusal {
		c, no := h.a.ChoosePIN(h.s, Typed(pin), hash(pin), func(old PINHash) bool { return old == hash(pin) })
		h.apply(c)
		return no
	}
	for _, pin := range []string{"a1b2", "c3d4", "e5f6", "g7h8"} {
		if no := choose(pin); no != nil {
			t.Fatal(no)
		}
	}
	for pin, want := range map[string]Code{"g7h8": PINHistory, "e5f6": PINHistory, "c3d4": PINHistory} {
		refused(t, pin, choose(pin), want, time.Time{})
	}
	if no := choose("a1b2"); no != nil {
		t.Errorf("the fourth before: %v", no)
	}
	h.as(ByHelpDesk)
	c, no := h.a.ResetPIN(h.s, taro)
	h.must(t, "reset")(c, no)
	if p := h.holder(taro).PIN; p.Current != (PINHash{}) || p.Opens(noon) || strings.Contains(fmt.Sprintf("%+v", c.Steps), "a1b2") {
		t.Errorf("after a reset: %+v", p)
	}
	h.as(ByPerson)
	refused(t, "the one that was reset", choose("a1b2"), PINHistory, time.Time{})
	if no := choose("k9m1"); no != nil {
		t.Fatal(no)
	}
	h.as(ByAdmin)
	h.must(t, "force")(h.a.ForcePIN(h.s, taro, noon.Unix()+60))
	if p := h.holder(taro).PIN; !p.Opens(noon.Add(59*time.Second)) || p.Opens(noon.Add(time.Minute)) {
		t.Error("a forced PIN opens at another time than until its due")
	}
	h.as(ByPerson)
	if no := choose("n2p3"); no != nil || !h.holder(taro).PIN.Opens(noon.Add(day)) || h.pin() != Set {
		t.Errorf("after the change: %v", no)
	}
	for pin, want := range map[string]Code{"1234": PINRun, "9012": PINRun, "0987": PINRun, "dcba": PINRun, "7777": PINRepeated, "abcde1": "", "12345678901234567": PINLength, "": PINLength, "ｐｉｎ１": PINForm} {
		no := h.a.Rules.CheckPIN(Typed(pin), `EXAMPLE\taro`)
		if (no == nil) != (want == "") || no != nil && no.Code != want {
			t.Errorf("%q: %v, want %s", pin, no, want)
		}
	}
	for _, name := range []string{"taro", `EXAMPLE\taro`, "taro@example.com"} {
		if no := h.a.Rules.CheckPIN(Typed("Taro"), name); no == nil || no.Code != PINName {
			t.Errorf("%s: %v", name, no)
		}
	}
}

// A round over a directory: silence changes nothing, 30 days of quarantine, back again with everything, and the brake.
func TestSweep(t *testing.T) {
	h := newHouse().as(BySystem)
	h.hold(taro, soft, token.Active)
	h.hold(taro, hard, token.Pending)
	h.hold(taro, spare, token.Suspended).Why = WhyOperator
	sweep := func(answer Answer) Change {
		return h.must(t, "sweep")(h.a.SweepDirectory(h.s, Sweep{Answers: []Seen{{taro, answer}}, Total: 1000}))
	}
	if c := sweep(Silent); len(c.Holders)+len(c.Tokens)+len(c.Steps) != 0 {
		t.Errorf("silence changed %+v", c)
	}
	if c, _ := h.a.SweepDirectory(h.s, Sweep{Total: 1000}); len(c.Holders) != 0 {
		t.Errorf("no answer at all changed %+v", c)
	}
	sweep(Unknown)
	if h.holder(taro).stage(soft) != Suspended || h.presence() != Quarantine || h.holder(taro).stage(hard) != Pending {
		t.Errorf("gone: %s, %s", h.holder(taro).stage(soft), h.presence())
	}
	if end := h.a.QuarantineEnds(h.holder(taro)); !end.Equal(noon.Add(30 * day)) {
		t.Errorf("the quarantine ends at %v", end)
	}
	h.later(30*day - time.Second)
	if c := sweep(Unknown); len(c.Steps) != 0 {
		t.Errorf("a second early: %+v", c.Steps)
	}
	h.later(time.Second)
	if c := sweep(Silent); len(c.Steps) != 0 {
		t.Errorf("cleaned up in silence: %+v", c.Steps)
	}
	saved := *h.holder(taro)
	saved.Holds = slices.Clone(saved.Holds)
	sweep(Known)
	if h.holder(taro).stage(soft) != Active || h.holder(taro).stage(spare) != Suspended || h.presence() != Present {
		t.Errorf("back: %s, %s", h.holder(taro).stage(soft), h.presence())
	}
	*h.holder(taro) = saved
	sweep(Unknown)
	if len(AllHolders(h.s, soft))+len(AllHolders(h.s, hard))+len(AllHolders(h.s, spare)) != 0 || h.presence() != Cleaned || h.token(hard).State != token.InStock {
		t.Errorf("cleaned: %s", h.presence())
	}
	sweep(Known)
	if h.presence() != Present || h.holder(taro).stage(soft) != Revoked {
		t.Errorf("back after the clean-up: %s, %s", h.presence(), h.holder(taro).stage(soft))
	}
	_, no := h.as(ByMaster).a.SweepDirectory(h.s, Sweep{})
	refused(t, "by a person", no, NotAllowed, time.Time{})
}

func TestBrake(t *testing.T) {
	r := Defaults()
	for total, want := range map[int]int{10: 3, 100: 3, 400: 4, 4_999: 49, 5_000: 50, 1_000_000: 50} {
		if got := r.Brake(total); got != want {
			t.Errorf("of %d users %d go at once, want %d", total, got, want)
		}
	}
	h := newHouse().as(BySystem)
	if no := h.sweep(3, Present); no != nil {
		t.Errorf("three of a hundred: %v", no)
	}
	h = newHouse().as(BySystem)
	refused(t, "four of a hundred", h.sweep(4, Present), Braked, time.Time{})
	var round Sweep
	for _, p := range h.s.Holders {
		if p.Account >= 100 {
			round.Answers = append(round.Answers, Seen{p.Account, Unknown})
		}
	}
	round.Total, round.Confirmed = 100, 3
	_, no := h.a.SweepDirectory(h.s, round)
	refused(t, "another number was confirmed", no, Braked, time.Time{})
	round.Confirmed = 4
	if c, no := h.a.SweepDirectory(h.s, round); no != nil || len(c.Holders) != 4 {
		t.Errorf("confirmed: %v, %d users", no, len(c.Holders))
	}
}

// What the list shows of a user (O6).
func TestP2States(t *testing.T) {
	for _, e := range []struct {
		what string
		make func(*house)
		want UserState
	}{
		{"nothing", func(*house) {}, UserState{Stage: HasNone}},
		{"exempt", func(h *house) { h.holder(taro).Exempt = true }, UserState{Stage: NeedsNone}},
		{"exempt with a token", func(h *house) { h.holder(taro).Exempt = true; h.hold(taro, hard, token.Active) }, UserState{Stage: InService, Serial: "10000010", Expiry: noon.Add(100 * day).Unix()}},
		{"two", func(h *house) { h.hold(taro, spare, token.Active); h.hold(taro, hard, token.Active) }, UserState{Stage: InService, Serial: "10000010", Expiry: noon.Add(100 * day).Unix(), More: 1}},
		{"waiting", func(h *house) { h.hold(taro, spare, token.Pending) }, UserState{Stage: Waiting, Serial: "10000011"}},
		{"deferred", func(h *house) { h.holder(taro).Deferred.Times = 1 }, UserState{Stage: Waiting}},
		{"suspended", func(h *house) { h.hold(taro, spare, token.Suspended) }, UserState{Stage: OnlyStopped, Serial: "10000011"}},
		{"revoked", func(h *house) { h.hold(taro, spare, token.Revoked); h.holder(taro).NotBefore = noon.Unix() + 9 }, UserState{Stage: WasRevoked, From: noon.Unix() + 9}},
		{"expired", func(h *house) { h.hold(taro, spare, token.Active); h.token(spare).Expiry = noon.Unix() }, UserState{Stage: RunOut, Serial: "10000011", Expiry: noon.Unix()}},
	} {
		h := newHouse()
		e.make(h)
		got := StateOf(h.holder(taro), h.s.Tokens, noon)
		if got != e.want || got.Stage.Japanese() == "" {
			t.Errorf("%s: %+v, want %+v", e.what, got, e.want)
		}
	}
}

// The campaign counts who switched, and the mails come on their days.
func TestP11(t *testing.T) {
	h := newHouse()
	expiry := noon.Add(100 * day).Unix()
	h.hold(taro, hard, token.Active)
	h.hold(taro, spare, token.Pending)
	h.hold(boss, hard, token.Active)
	h.hold(hanako, hard, token.Revoked).Why = WhyReplaced
	h.hold(hanako, count, token.Active)
	c := CampaignOf(h.s, expiry, noon)
	if c.Total != 3 || c.Switched != 2 || c.Left != 100*day || c.Turns[0].Account != taro || c.Turns[0].New != spare || !c.Turns[1].Operator || c.Turns[2].Account != hanako {
		t.Errorf("%+v", c)
	}
	if c := CampaignOf(h.s, expiry+1, noon); c.Total != 0 {
		t.Errorf("another expiry: %+v", c)
	}
	h.as(ByMaster)
	h.must(t, "extend")(h.a.Extend(h.s, []token.ID{hard}, expiry+30*86400))
	_, no := h.a.Extend(h.s, []token.ID{hard}, expiry+30*86400+1)
	refused(t, "a second more", no, ExtendMost, time.Time{})
	var many []token.ID
	for i := range 21 {
		id := token.ID(500 + i)
		h.s.Tokens = append(h.s.Tokens, complete(token.Token{ID: id, Form: token.Hardware, Expiry: expiry}))
		many = append(many, id)
	}
	_, no = h.a.Extend(h.s, many, expiry+60)
	refused(t, "21 by one master", no, SecondPerson, time.Time{})
	h.a.Second = "other"
	h.must(t, "21 by two")(h.a.Extend(h.s, many, expiry+60))

	r := Defaults()
	r.Zone = noon.Location()
	end := time.Date(2027, 1, 31, 9, 0, 0, 0, noon.Location())
	due := r.MailsDue(end.Unix())
	want := []string{"2026-11-02 08:00", "2027-01-01 08:00", "2027-01-17 08:00", "2027-01-24 08:00", "2027-01-30 08:00", "2027-01-31 08:00"}
	for i, at := range due {
		if len(due) != len(want) || at.Format("2006-01-02 15:04") != want[i] {
			t.Fatalf("mails %v, want %v", due, want)
		}
	}
	if at := due[2]; r.MailDue(end.Unix(), due[1].Unix(), at.Add(-time.Second)) || !r.MailDue(end.Unix(), due[1].Unix(), at) || r.MailDue(end.Unix(), at.Unix(), at) || r.MailDue(end.Unix(), 0, end) {
		t.Error("a mail is due at another time")
	}
	early := time.Date(2027, 1, 31, 7, 0, 0, 0, noon.Location())
	if due := r.MailsDue(early.Unix()); !due[len(due)-1].Equal(early.Add(-time.Hour)) {
		t.Errorf("expiry before the hour of mails: %v", due)
	}
}

// Reference numbers: each wrong digit and each swap of neighbours is noticed.
func TestReferenceNumber(t *testing.T) {
	for n := uint32(0); n < 1_000_000; n += 49_999 {
		s := ReferenceNumber(n)
		if got, ok := CheckReference(" " + s[:4] + " " + s[5:]); !ok || got != s {
			t.Fatalf("%s: %q %t", s, got, ok)
		}
		digits := s[:4] + s[5:]
		for i := range digits {
			for d := byte('0'); d <= '9'; d++ {
				bad := []byte(digits)
				bad[i] = d
				if _, ok := CheckReference(string(bad)); ok && d != digits[i] {
					t.Fatalf("%s passes for %s", bad, digits)
				}
			}
			if i > 0 && digits[i] != digits[i-1] {
				bad := []byte(digits)
				bad[i], bad[i-1] = bad[i-1], bad[i]
				if _, ok := CheckReference(string(bad)); ok {
					t.Fatalf("%s passes for %s", bad, digits)
				}
			}
		}
	}
	for _, s := range []string{"", "123", "12345678", "abcd-efg"} {
		if _, ok := CheckReference(s); ok {
			t.Errorf("%q passes", s)
		}
	}
}

// A rule changes nothing in the state that it was given, so that an update may run it again: the second run gives the same.
func TestStateIsLeftAlone(t *testing.T) {
	h := newHouse().as(ByPerson)
	h.a.Rules.Cooldown = Calendar{Wait: time.Hour}
	h.hold(taro, hard, token.Pending).Replaces = []token.ID{soft}
	h.hold(taro, soft, token.Active)
	h.hold(taro, soft2, token.Revoked)
	h.record(hard).First = []int64{1, noon.Unix()}
	h.record(spare).Pot = []Charge{{1, 5}, {token.Day(noon), 5}}
	h.record(spare).Tests = []int64{1, noon.Unix()}
	p := h.holder(taro)
	p.Recovery = Recovery{[32]byte{1}, []int64{1, noon.Unix()}}
	p.PIN = PINs{Current: PINHash{Salt: [16]byte{1}}, History: make([]PINHash, 1, 9)}
	p.Temporary = Temporary{Until: noon.Unix() + 9, Most: 5, Live: [32]byte{1}, Used: make([][32]byte, 1, 9)}
	p.Resets = make([]int64, 1, 9)
	h.link = Activation{ID: 1, Account: taro, Uses: 2, Starts: 5, Until: noon.Unix() + 9, Voided: make([]token.ID, 1, 9), Sent: make([]int64, 1, 9)}
	for name, act := range map[string]func() any{
		"register": func() any { c, _ := h.a.Register(h.s, taro, "10000010", h.shows(hard, 0)); return c },
		"wrong":    func() any { c, _ := h.a.Register(h.s, taro, "10000010", h.wrong(hard)); return c },
		"revoke":   func() any { c, _ := h.a.Revoke(h.s, Revocation{Holds: []Chosen{{taro, soft}}}); return c },
		"reset":    func() any { c, _ := h.a.SelfReset(h.s, nil); return c },
		"resync":   func() any { c, _ := h.a.Resync(h.s, spare, h.shows(spare, 3), h.shows(spare, 4)); return c },
		"recover":  func() any { c, _ := h.a.Recover(h.s, [32]byte{2}, [32]byte{3}); return c },
		"PIN": func() any {
			c, _ := h.a.ChoosePIN(h.s, Typed("x7y8"), PINHash{}, func(PINHash) bool { return false })
			return c
		},
		"temporary": func() any { c, _ := (Act{By: ByLogin, Now: noon}).UseTemporary(h.s, taro, [32]byte{1}); return c },
		"start": func() any {
			v, c, _ := h.a.Start(h.s, h.link, [32]byte{1}, complete(token.Token{ID: fresh}))
			return []any{v, c}
		},
		"resend": func() any { v, c, _ := h.a.Resend(h.s, h.link, [32]byte{1}); return []any{v, c} },
		"undo": func() any {
			a := h.a
			a.By, a.Account = ByAdmin, 99
			c, _ := a.Undo(h.s, Chosen{taro, soft2})
			return c
		},
	} {
		show := func() string { return fmt.Sprintf("%+v %+v", h.s, h.link) }
		before := show()
		first := fmt.Sprintf("%+v", act())
		if after := show(); after != before {
			t.Errorf("%s changed the state:\n%s\n%s", name, before, after)
		}
		if second := fmt.Sprintf("%+v", act()); first != second || len(first) < 100 {
			t.Errorf("%s: a second run gives another change:\n%s\n%s", name, first, second)
		}
	}
}

func TestRulesCheck(t *testing.T) {
	if err := Defaults().Check(); err != nil {
		t.Error(err)
	}
	for i, spoil := range []func(*Rules){
		func(r *Rules) { r.Cooldown.Wait = -1 }, func(r *Rules) { r.Devices = 0 }, func(r *Rules) { r.Devices = 11 }, func(r *Rules) { r.FirstUse.Ahead = 128 },
		func(r *Rules) { r.FirstTries.N = 0 }, func(r *Rules) { r.Link.Uses = 0 }, func(r *Rules) { r.Link.Starts = 1 }, func(r *Rules) { r.Link.Page = 0 },
		func(r *Rules) { r.GapSteps = 0 }, func(r *Rules) { r.PINMax = 3 }, func(r *Rules) { r.PINHistory = 25 }, func(r *Rules) { r.TempCodes = 0 }, func(r *Rules) { r.TempUntil = 1440 },
		func(r *Rules) { r.StopShare = 0 }, func(r *Rules) { r.Quarantine = time.Hour },
	} {
		r := Defaults()
		spoil(&r)
		if r.Check() == nil {
			t.Errorf("fault %d passes", i)
		}
	}
}

// Codes do not print.
func TestTypedHides(t *testing.T) {
	for _, verb := range []string{"%v", "%s", "%q", "%x", "%+v", "%#v", "%d"} {
		if got := fmt.Sprintf(verb, Typed("123456")); got != "[code]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

// Sentences name their subject and their instant in both languages.
func TestSentences(t *testing.T) {
	r := Refusal{Cooling, "10000010", time.Date(2026, 11, 29, 8, 40, 0, 0, noon.Location())}
	if en := r.English(); !strings.Contains(en, "10000010") || !strings.Contains(en, "2026-11-29 08:40:00 +09:00") || r.Error() != en {
		t.Error(en)
	}
	if ja := r.Japanese(); !strings.Contains(ja, "10000010") || !strings.Contains(ja, "2026年11月29日 08時40分00秒") {
		t.Error(ja)
	}
}

// Guards that meet only in odd states.
func TestOddStates(t *testing.T) {
	h := newHouse().as(ByAdmin)
	h.hold(taro, hard, token.Revoked)
	h.must(t, "retire")(h.a.Retire(h.s, hard))
	refused(t, "undo of a token that was retired since", nothing(h.a.Undo(h.s, Chosen{taro, hard})), UndoUsed, time.Time{})

	h = newHouse().as(ByAdmin)
	h.a.Account = taro
	refused(t, "a recovery code as an operator", nothing(h.a.SetRecovery(h.s, [32]byte{1})), NotAllowed, time.Time{})

	h = newHouse().as(ByPerson)
	h.linkAt(Started)
	h.hold(taro, fresh, token.Active)
	refused(t, "a start whose token works already", h.finish("1", h.shows(fresh, 0)), IsActive, time.Time{})

	h = newHouse().as(ByPerson)
	h.hold(taro, hard, token.Active)
	h.a.Reason = ""
	refused(t, "lost for good, by a person", nothing(h.a.RevokeLost(h.s, hard, WhyLost)), NotAllowed, time.Time{})

	h = newHouse().as(ByMaster)
	h.hold(taro, soft, token.Active)
	h.lastOf(taro)
	h.requestAt(Approved)
	h.req.Tokens = []token.ID{soft}
	refused(t, "the last master's by request", nothing(h.a.EndTicked(h.s, h.req)), LastMaster, time.Time{})
}
