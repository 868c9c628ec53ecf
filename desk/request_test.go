package desk_test

import (
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// TestK5ReactivateWhatWasDeleted: the ticked tokens end when the link is made after approval, not before (P3).
func TestK5ReactivateWhatWasDeleted(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	order := desk.RequestOrder{Account: taro, Kind: life.AskReactivate, Why: life.WhyDeleted, Tokens: []token.ID{d.ID}}
	v, err := h.desk.Apply(ctx, self(taro), order)
	h.ok(err)
	if m := h.mail(authn.MailRequested); m.Fields["reference"] != v.Number || v.Stage != life.Open {
		t.Errorf("made %+v, the mail tells %v", v, m.Fields)
	}
	found, err := h.desk.FindRequest(ctx, " "+strings.ReplaceAll(v.Number, "-", " ")+" ")
	h.ok(err)
	if found.ID != v.ID || found.Name != "taro" {
		t.Errorf("the number finds %+v", found)
	}
	if h.standing(taro, d.ID) != token.Active {
		t.Fatal("the device ended before the approval")
	}
	_, _, err = h.desk.Approve(ctx, desk.Actor{By: life.ByAdmin, Name: "taro", Account: taro}, v.ID)
	h.refused(err, life.OwnRequest)
	v, _, err = h.desk.Approve(ctx, desk.Actor{By: life.ByHelpDesk, Name: "keiko"}, v.ID)
	h.ok(err)
	if v.Stage != life.Approved || v.By != "keiko" || h.standing(taro, d.ID) != token.Revoked {
		t.Errorf("approved: %+v, the device is %v", v, h.standing(taro, d.ID))
	}
	if m := h.mail(authn.MailReactivation); m.Fields["link"] == "" {
		t.Errorf("no link was mailed: %+v", m)
	}
	start, err := h.desk.Start(ctx, self(taro), h.link(), secret("s"))
	h.ok(err)
	if start.Label != "Sekisho:taro (2)" {
		t.Errorf("the new entry is called %q like the old one", start.Label)
	}
	_, _, err = h.desk.Approve(ctx, admin, v.ID)
	h.refused(err, life.RequestDone)
}

// TestK5NewPhoneReplaces: while the old device works it goes on, until the first right code of the new one.
func TestK5NewPhoneReplaces(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	v, err := h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskReactivate, Why: life.WhyReplaced, Tokens: []token.ID{d.ID}})
	h.ok(err)
	_, _, err = h.desk.Approve(ctx, admin, v.ID)
	h.ok(err)
	if h.standing(taro, d.ID) != token.Active {
		t.Fatal("the old device ended with the approval")
	}
	start, err := h.desk.Start(ctx, self(taro), h.link(), secret("s"))
	h.ok(err)
	if start.Old != "Sekisho:taro" {
		t.Errorf("the page names %q as the entry to be deleted", start.Old)
	}
	_, _, err = h.desk.Finish(ctx, self(taro), h.link(), secret("s"), h.scan(start.SecretView).code(h, 0), "")
	h.ok(err)
	if h.standing(taro, d.ID) != token.Revoked {
		t.Errorf("after the new one's first code the old device is %v", h.standing(taro, d.ID))
	}
}

// TestK5OneOpenRequest: of many at once one is taken.
func TestK5OneOpenRequest(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	won := atOnce(t, func(int) error {
		_, err := h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskNew})
		return err
	})
	all, err := h.desk.Requests(ctx, authn.RecordQuery{Account: taro})
	h.ok(err)
	if won != 1 || len(all) != 1 {
		t.Fatalf("%d requests were taken and %d are there; want 1 of each", won, len(all))
	}
	v, err := h.desk.Withdraw(ctx, self(taro), all[0].ID)
	h.ok(err)
	if v.Stage != life.Withdrawn {
		t.Errorf("withdrawn: %+v", v)
	}
	for range 2 {
		v, err = h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskNew})
		h.ok(err)
		_, err = h.desk.Refuse(ctx, admin, v.ID, "")
		h.refused(err, life.ReasonNeeded)
		_, err = h.desk.Refuse(ctx, admin, v.ID, "Please come to the desk.")
		h.ok(err)
	}
	if m := h.mail(authn.MailRefused); m.Fields["reason"] != "Please come to the desk." || m.Fields["reference"] != v.Number {
		t.Errorf("the mail tells %v", m.Fields)
	}
	_, err = h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskNew})
	h.refused(err, life.RequestLimit)
}

// TestK5OneRequestOvertakesAnother: the second one is refused although it was looked up before the first one was made.
func TestK5OneRequestOvertakesAnother(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	apply := func() error {
		_, err := h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskNew})
		return err
	}
	h.between(func() { h.ok(apply()) })
	h.refused(apply(), life.RequestOpen)
}

// TestK5Decisions: of approvals and a refusal at once one decision stands.
func TestK5Decisions(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, err := h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskNew})
	h.ok(err)
	won := atOnce(t, func(n int) error {
		if n%2 == 0 {
			_, err := h.desk.Refuse(ctx, admin, v.ID, "no")
			return err
		}
		_, _, err := h.desk.Approve(ctx, admin, v.ID)
		return err
	})
	links, err := h.desk.Activations(ctx, authn.RecordQuery{Account: taro})
	h.ok(err)
	after, err := h.desk.Request(ctx, v.ID)
	h.ok(err)
	if won != 1 || (after.Stage == life.Approved) != (len(links) == 1) || len(links) > 1 {
		t.Errorf("%d decisions counted, the request is %s and %d links were made", won, after.Stage, len(links))
	}
}

// TestK5PolicyApproves: where policy says so no operator is needed.
func TestK5PolicyApproves(t *testing.T) {
	h := newHouse(t)
	h.rules.Request.Approve = []life.RequestKindName{life.AskAdd}
	v, err := h.desk.Apply(ctx, self(h.account("taro")), desk.RequestOrder{Account: h.account("taro"), Kind: life.AskAdd})
	h.ok(err)
	if v.Stage != life.Approved || v.By != "policy" {
		t.Errorf("the request is %+v", v)
	}
	if h.link().Len() == 0 {
		t.Error("no link was mailed")
	}
}

// TestK5RemindAndLapse: the clock reminds once, and ends what nobody decided.
func TestK5RemindAndLapse(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	v, err := h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskNew})
	h.ok(err)
	due := func() (n int) {
		page, err := h.db.Records(authn.RecordQuery{Kind: authn.RequestRecord, DueBy: h.now().Unix()})
		h.ok(err)
		return len(page)
	}
	h.advance(4 * time.Hour)
	if due() != 1 {
		t.Fatal("after four hours nothing is due")
	}
	h.ok(h.desk.Tick(ctx))
	if due() != 0 {
		t.Fatal("the reminder is still due")
	}
	h.advance(7*24*time.Hour - 4*time.Hour)
	h.ok(h.desk.Tick(ctx))
	after, err := h.desk.Request(ctx, v.ID)
	h.ok(err)
	if after.Stage != life.Lapsed {
		t.Errorf("after a week the request is %s", after.Stage)
	}
}

// TestK8PINResetRequest ends the PIN in the change that approves.
func TestK8PINResetRequest(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	_, err := h.desk.ChoosePIN(ctx, self(taro), secret("tango8"))
	h.ok(err)
	v, err := h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskPIN})
	h.ok(err)
	_, _, err = h.desk.Approve(ctx, admin, v.ID)
	h.ok(err)
	if a, err := h.db.Account(taro); err != nil || !a.PIN.IsZero() {
		t.Errorf("the PIN is still there: %v", err)
	}
}
