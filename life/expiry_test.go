package life

import (
	"testing"
	"time"

	"sekisho/token"
)

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
