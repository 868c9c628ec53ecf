package life

import (
	"testing"
	"time"

	"sekisho/token"
)

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
