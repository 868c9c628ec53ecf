package life

import (
	"slices"
	"testing"
	"time"

	"sekisho/token"
)

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
