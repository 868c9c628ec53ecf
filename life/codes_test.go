package life

import (
	"strings"
	"testing"
	"time"

	"sekisho/token"
)

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
