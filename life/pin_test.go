package life

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

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
