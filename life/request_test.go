package life

import (
	"testing"
	"time"
)

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
