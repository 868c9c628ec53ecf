package life

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/token"
)

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
