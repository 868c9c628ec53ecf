package life

import (
	"slices"
	"testing"
	"time"

	"sekisho/token"
)

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
