package desk_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

var ctx = context.Background()

// TestK3LinkOfTwoDevices goes the whole way from the mail to two devices, and no further.
func TestK3LinkOfTwoDevices(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, url, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	if url != "" || v.Stage != life.Open || v.Left() != 2 || v.Name != "taro" {
		t.Fatalf("made %+v with the URL %q; want one for two devices, and the URL in the mail alone", v, url)
	}
	m := h.mail(authn.MailActivation)
	if m.Account != taro || m.Fields["left"] != "2" || m.Fields["until"] != "2026-11-21 12:00 JST" || !strings.HasPrefix(m.Fields["link"], "https://vpn.example.jp/a/") {
		t.Fatalf("the mail is %+v", m)
	}
	if h.woken.Load() != 1 {
		t.Errorf("whoever sends mails was told %d times, want once", h.woken.Load())
	}
	link := h.link()
	for range 3 { // opened by scanners
		found, err := h.desk.FindLink(ctx, link)
		h.ok(err)
		if found.ID != v.ID || found.Begun != 0 {
			t.Fatalf("opening the link found %+v", found)
		}
	}
	labels := map[string]bool{}
	for n := 1; n <= 2; n++ {
		start, err := h.desk.Start(ctx, self(taro), link, secret("session"))
		h.ok(err)
		if start.Device != n || start.Of != 2 || labels[start.Label] {
			t.Fatalf("start %d shows %+v", n, start.SecretView.Label)
		}
		labels[start.Label] = true
		d := h.scan(start.SecretView)
		after, _, err := h.desk.Finish(ctx, self(taro), link, secret("session"), d.code(h, 0), "Phone")
		h.ok(err)
		if after.Left() != 2-n || h.standing(taro, d.ID) != token.Active || h.token(d.ID).Name != "Phone" {
			t.Fatalf("device %d: %+v, hold %v", n, after, h.standing(taro, d.ID))
		}
		if added := h.mail(authn.MailDeviceAdded); added.Fields["device"] != "Phone" {
			t.Fatalf("the mail tells of the device %q", added.Fields["device"])
		}
		h.advance(time.Minute)
	}
	_, err = h.desk.Start(ctx, self(taro), link, secret("session"))
	h.refused(err, life.QuotaUsed)
}

// TestK3ReloadShowsTheSameSecret: reload and back cost nothing, another browser starts anew, and the old entry is told apart.
func TestK3ReloadShowsTheSameSecret(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	_, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	link := h.link()
	first, err := h.desk.Start(ctx, self(taro), link, secret("one"))
	h.ok(err)
	h.advance(time.Minute)
	before := h.image()
	again, err := h.desk.Start(ctx, self(taro), link, secret("one"))
	h.ok(err)
	if again.URI != first.URI || again.Label != first.Label || !again.Until.Equal(first.Until) {
		t.Errorf("a reload shows %q until %v, and before it was %q until %v", again.Label, again.Until, first.Label, first.Until)
	}
	if h.image() != before {
		t.Error("a reload changed something")
	}
	other, err := h.desk.Start(ctx, self(taro), link, secret("two"))
	h.ok(err)
	if other.URI == first.URI || other.Old != first.Label {
		t.Errorf("another browser is shown %q in the place of %q; want a new secret, and the old entry named", other.Label, other.Old)
	}
	_, _, err = h.desk.Finish(ctx, self(taro), link, secret("one"), h.scan(first.SecretView).code(h, 0), "")
	h.refused(err, life.StartElse)
	_, _, err = h.desk.Finish(ctx, self(taro), link, secret("two"), h.scan(first.SecretView).code(h, 0), "")
	h.refused(err, life.OldEntry)
	_, _, err = h.desk.Finish(ctx, self(taro), link, secret("two"), h.scan(other.SecretView).code(h, 0), "")
	h.ok(err)
}

// TestK3ResendVoidsTheFormerLink: the old link is nobody's, and its mail is taken back where it has not left.
func TestK3ResendVoidsTheFormerLink(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	old := h.link()
	h.advance(48 * time.Hour)
	found, err := h.desk.FindLink(ctx, old)
	h.ok(err)
	if found.Stage != life.Lapsed {
		t.Fatalf("after two days the link is %s", found.Stage)
	}
	_, url, err := h.desk.Resend(ctx, desk.Actor{By: life.ByPerson, Account: taro}, v.ID)
	h.ok(err)
	if url != "" {
		t.Error("the URL of a mailed link came back")
	}
	_, err = h.desk.FindLink(ctx, old)
	h.refused(err, life.NotFound)
	if mails := h.mails(); len(mails) != 2 || mails[0].State != authn.MessageWithdrawn || len(mails[0].Fields) != 0 || mails[1].State != authn.MessageWaiting {
		t.Errorf("the mails are %+v; want the first withdrawn and empty, the second waiting", mails)
	}
	link := h.link()
	_, err = h.desk.Start(ctx, self(taro), link, secret("s"))
	h.ok(err)
	_, err = h.desk.RevokeLink(ctx, admin, v.ID)
	h.ok(err)
	_, err = h.desk.Start(ctx, self(taro), link, secret("s"))
	h.refused(err, life.LinkRevoked)
}

// TestK3ResendOvertakesAStart: who opened the former link a moment ago gets nothing by it any more.
func TestK3ResendOvertakesAStart(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	old := h.link()
	h.between(func() {
		_, _, err := h.desk.Resend(ctx, admin, v.ID)
		h.ok(err)
	})
	_, err = h.desk.Start(ctx, self(taro), old, secret("s"))
	h.refused(err, life.NotFound)
}

// TestK13Letter: a letter's URL goes to who prints it, and no mail leaves.
func TestK13Letter(t *testing.T) {
	h := newHouse(t)
	v, url, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: h.account("taro"), Letter: true})
	h.ok(err)
	if !strings.HasPrefix(url, "https://vpn.example.jp/a/") || !v.Letter || v.Until.Sub(h.now()) != 21*24*time.Hour {
		t.Errorf("made %+v with the URL %q", v, url)
	}
	if n := len(h.mails()); n != 0 {
		t.Errorf("%d mails were made", n)
	}
}

// TestK3NoURLHoldsTheMail: without an address of pages nothing with a link leaves (P13).
func TestK3NoURLHoldsTheMail(t *testing.T) {
	h := newHouse(t)
	h.desk.Links = nil
	_, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: h.account("taro")})
	h.ok(err)
	if m := h.mail(authn.MailActivation); m.State != authn.MessageHeld || m.Answer == "" || !strings.HasPrefix(m.Fields["link"], "/a/") {
		t.Errorf("the mail is %v, %q", m.State, m.Answer)
	}
}

// TestK3SomebodyElsesLink: to another person a link is nobody's.
func TestK3SomebodyElsesLink(t *testing.T) {
	h := newHouse(t)
	_, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: h.account("taro")})
	h.ok(err)
	_, err = h.desk.Start(ctx, self(h.account("jiro")), h.link(), secret("s"))
	h.refused(err, life.NotFound)
}

// TestK3SixtyFourFinishOneStart: of parallel confirmations of one start one counts.
func TestK3SixtyFourFinishOneStart(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	link := h.link()
	start, err := h.desk.Start(ctx, self(taro), link, secret("s"))
	h.ok(err)
	code := h.scan(start.SecretView).code(h, 0)
	won := atOnce(t, func(int) error {
		_, _, err := h.desk.Finish(ctx, self(taro), link, secret("s"), code, "")
		return err
	})
	after, err := h.desk.Activation(ctx, v.ID)
	h.ok(err)
	if won != 1 || after.Used != 1 || h.active(taro) != 1 {
		t.Errorf("%d of 64 confirmations counted, %d uses and %d devices; want 1 of each", won, after.Used, h.active(taro))
	}
}

// TestK3SixtyFourOnOneLink: of workers who start and confirm until told otherwise two get a device.
func TestK3SixtyFourOnOneLink(t *testing.T) {
	h := newHouse(t)
	h.rules.Link.Starts = 1_000_000
	taro := h.account("taro")
	v, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	link := h.link()
	won := atOnce(t, func(n int) error {
		session := secret("session" + strings.Repeat("x", n))
		for {
			start, err := h.desk.Start(ctx, self(taro), link, session)
			if err != nil {
				return err
			}
			_, _, err = h.desk.Finish(ctx, self(taro), link, session, h.scan(start.SecretView).code(h, 0), "")
			var no *life.Refusal
			if !errors.As(err, &no) || no.Code == life.QuotaUsed || no.Code == life.DeviceLimit {
				return err
			}
		}
	})
	after, err := h.desk.Activation(ctx, v.ID)
	h.ok(err)
	if won != 2 || after.Used != 2 || after.Stage != life.UsedUp || h.active(taro) != 2 {
		t.Errorf("%d of 64 workers got a device, the link has %d uses and the person %d devices; want 2 of each", won, after.Used, h.active(taro))
	}
}

// TestK3StartLimit: parallel starts count exactly, and spend no use.
func TestK3StartLimit(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	link := h.link()
	won := atOnce(t, func(n int) error {
		_, err := h.desk.Start(ctx, self(taro), link, secret("session"+strings.Repeat("x", n)))
		return err
	})
	after, err := h.desk.Activation(ctx, v.ID)
	h.ok(err)
	if won != 5 || after.Begun != 5 || after.Used != 0 {
		t.Errorf("%d of 64 starts were allowed and %d counted, with %d uses; want 5, 5 and 0", won, after.Begun, after.Used)
	}
}

// atOnce runs 64 goroutines and gives how many were not refused.
func atOnce(t *testing.T, f func(n int) error) (won int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := make(chan struct{})
	for n := range 64 {
		all.Go(func() {
			<-begin
			err := f(n)
			mu.Lock()
			defer mu.Unlock()
			var no *life.Refusal
			switch {
			case err == nil:
				won++
			case !errors.As(err, &no):
				t.Errorf("worker %d met a fault: %v", n, err)
			}
		})
	}
	close(begin)
	all.Wait()
	return won
}

// active counts holds in service.
func (h *house) active(account authn.AccountID) (n int) {
	for _, hold := range h.holder(account).Holds {
		if hold.Standing == token.Active {
			n++
		}
	}
	return n
}
