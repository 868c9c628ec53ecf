package desk_test

import (
	"slices"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/storage"
	"sekisho/token"
)

func chosen(account authn.AccountID, id token.ID) life.Chosen {
	return life.Chosen{Account: life.AccountID(account), Token: id}
}

// TestO4Cooldown: after an operator's revocation nobody registers before the time that the page showed, unless a master
// waives it with a reason.
func TestO4Cooldown(t *testing.T) {
	h := newHouse(t)
	h.rules.OpenStock, h.rules.Cooldown = true, life.HoursJP(h.rules.Zone)
	taro := h.account("taro")
	d := h.stock("SN000001")
	_, err := h.desk.Grant(ctx, admin, life.Assign, taro, d.ID, false)
	h.ok(err)
	due := h.desk.Due()
	_, err = h.desk.Revoke(ctx, admin, life.Revocation{Holds: []life.Chosen{chosen(taro, d.ID)}})
	h.ok(err)
	if m := h.mail(authn.MailRevoked); m.Fields["from"] != due.In(h.rules.Zone).Format("2006-01-02 15:04 MST") || m.Fields["device"] != "SN000001" {
		t.Errorf("the mail tells %v; want from %v", m.Fields, due)
	}
	_, _, err = h.desk.Register(ctx, self(taro), taro, "SN000001", d.code(h, 0))
	h.refused(err, life.Cooling)
	_, _, err = h.desk.Register(ctx, self(h.account("jiro")), h.account("jiro"), "SN000001", d.code(h, 0))
	h.refused(err, life.Cooling) // the serial waits, too
	master := desk.Actor{By: life.ByMaster, Name: "hanako", Reason: "new token at hand"}
	_, err = h.desk.Waive(ctx, admin, taro)
	h.refused(err, life.NotAllowed)
	_, err = h.desk.Waive(ctx, master, taro)
	h.ok(err)
	_, _, err = h.desk.Register(ctx, self(taro), taro, "SN000001", d.code(h, 0))
	h.ok(err)
}

// TestO2RevokeChosenOrAll: a shared token ends for those who were chosen, or for everybody.
func TestO2RevokeChosenOrAll(t *testing.T) {
	h := newHouse(t)
	taro, hanako, jiro := h.account("taro"), h.account("hanako"), h.account("jiro")
	d := h.stock("SN000001")
	for _, who := range []authn.AccountID{taro, hanako, jiro} {
		_, err := h.desk.Grant(ctx, admin, life.Assign, who, d.ID, true)
		h.ok(err)
	}
	_, err := h.desk.Revoke(ctx, admin, life.Revocation{Holds: []life.Chosen{chosen(taro, d.ID)}})
	h.ok(err)
	if h.standing(taro, d.ID) != token.Revoked || h.standing(hanako, d.ID) != token.Active || h.token(d.ID).State != token.InUse {
		t.Fatal("revoking one of three did not end one of three")
	}
	done, err := h.desk.RevokeAll(ctx, admin, d.ID, 0)
	h.ok(err)
	if h.standing(hanako, d.ID) != token.Revoked || h.standing(jiro, d.ID) != token.Revoked || h.token(d.ID).State != token.InStock || done.Seq == 0 {
		t.Error("revoking all left somebody")
	}
	_, err = h.desk.RevokeAll(ctx, admin, d.ID, 0)
	h.refused(err, life.NotAssigned)
}

// TestO2HoldersLeaveAtOnce: the last one to leave a shared token gives it back, whoever that is.
func TestO2HoldersLeaveAtOnce(t *testing.T) {
	h := newHouse(t)
	taro, hanako := h.account("taro"), h.account("hanako")
	d := h.stock("SN000001")
	for _, who := range []authn.AccountID{taro, hanako} {
		_, err := h.desk.Grant(ctx, admin, life.Assign, who, d.ID, true)
		h.ok(err)
	}
	leave := func(who authn.AccountID) {
		_, err := h.desk.Revoke(ctx, admin, life.Revocation{Holds: []life.Chosen{chosen(who, d.ID)}})
		h.ok(err)
	}
	h.between(func() { leave(hanako) }) // the first one still counted her
	leave(taro)
	if s := h.token(d.ID).State; s != token.InStock {
		t.Errorf("nobody holds the token, and it is %v", s)
	}
}

// TestO5RevokeLost needs reason and reference, and is for good.
func TestO5RevokeLost(t *testing.T) {
	h := newHouse(t)
	taro, hanako := h.account("taro"), h.account("hanako")
	d := h.stock("SN000001")
	for _, who := range []authn.AccountID{taro, hanako} {
		_, err := h.desk.Grant(ctx, admin, life.Assign, who, d.ID, true)
		h.ok(err)
	}
	_, err := h.desk.RevokeLost(ctx, admin, d.ID, life.WhyLost)
	h.refused(err, life.ReasonNeeded)
	with := admin
	with.Reason, with.Reference = "left in a train", "A-17"
	_, err = h.desk.RevokeLost(ctx, with, d.ID, life.WhyLost)
	h.ok(err)
	if h.token(d.ID).State != token.Destroyed || h.standing(taro, d.ID) != token.Revoked || h.standing(hanako, d.ID) != token.Revoked {
		t.Error("a lost token is still there")
	}
	events, err := h.db.Logins(ctx, storage.LoginFilter{Acts: true, Limit: 10})
	h.ok(err)
	at := slices.IndexFunc(events, func(e authn.Event) bool { return e.Act == "assignment.revoke-lost" })
	if at < 0 || events[at].Detail != "active to revoked; reason: left in a train; reference: A-17" || events[at].Actor != "keiko" {
		t.Errorf("the audit says %+v", events[max(0, at)])
	}
}

// TestO10LastMaster: the last working token of the masters cannot be ended, not by two of them at once either.
func TestO10LastMaster(t *testing.T) {
	h := newHouse(t)
	taro, hanako := h.account("taro"), h.account("hanako")
	mine, theirs := h.phone(taro), h.phone(hanako)
	h.operators = []desk.Operator{{Account: taro, Role: life.ByMaster}, {Account: hanako, Role: life.ByMaster}}
	won := atOnce(t, func(n int) error {
		one := [2]life.Chosen{chosen(taro, mine.ID), chosen(hanako, theirs.ID)}[n%2]
		_, err := h.desk.Revoke(ctx, desk.Actor{By: life.ByMaster, Name: "m", Account: authn.AccountID(one.Account)}, life.Revocation{Holds: []life.Chosen{one}})
		return err
	})
	if won != 1 || h.active(taro)+h.active(hanako) != 1 {
		t.Errorf("%d revocations counted and %d tokens of masters are left; want 1 and 1", won, h.active(taro)+h.active(hanako))
	}
}

// TestO10OnlyRegister tells an operator whose own last token ended.
func TestO10OnlyRegister(t *testing.T) {
	h := newHouse(t)
	taro, hanako := h.account("taro"), h.account("hanako")
	mine := h.phone(taro)
	h.phone(hanako)
	h.operators = []desk.Operator{{Account: taro, Role: life.ByAdmin}, {Account: hanako, Role: life.ByMaster}}
	done, err := h.desk.Revoke(ctx, desk.Actor{By: life.ByAdmin, Name: "taro", Account: taro}, life.Revocation{Holds: []life.Chosen{chosen(taro, mine.ID)}})
	h.ok(err)
	if !done.OnlyRegister {
		t.Error("the operator was not told that no token of theirs is left")
	}
}

// TestP3LostAndFound: stopped at once, resumed by password and code of that very token.
func TestP3LostAndFound(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	_, err := h.desk.ReportLost(ctx, self(taro), taro, d.ID, false)
	h.ok(err)
	if h.standing(taro, d.ID) != token.Suspended {
		t.Fatal("a lost device still works")
	}
	_, err = h.desk.Resume(ctx, self(taro), taro, d.ID, h.wrong(d))
	h.refused(err, life.WrongCode)
	_, err = h.desk.Resume(ctx, self(taro), taro, d.ID, d.code(h, 0))
	h.ok(err)
	if hold := h.holder(taro); hold.Holds[0].Why != life.WhyNone || hold.Holds[0].Until != 0 || h.standing(taro, d.ID) != token.Active {
		t.Errorf("resumed: %+v", hold.Holds[0])
	}
}

// TestP3LostLapses: what is not resumed in time is revoked by the clock.
func TestP3LostLapses(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	_, err := h.desk.ReportLost(ctx, self(taro), taro, d.ID, true)
	h.ok(err)
	h.advance(72*time.Hour - time.Second)
	h.ok(h.desk.Tick(ctx))
	if h.standing(taro, d.ID) != token.Suspended {
		t.Fatal("it lapsed early")
	}
	h.advance(time.Second)
	h.ok(h.desk.Tick(ctx))
	if h.standing(taro, d.ID) != token.Revoked || !slices.Contains(h.acts(), "assignment.lapse") {
		t.Errorf("after 72 hours it is %v", h.standing(taro, d.ID))
	}
}

// TestY1SelfReset: the software tokens end, hardware stays, and the limit of a day holds.
func TestY1SelfReset(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	hard := h.stock("SN000001")
	_, err := h.desk.Grant(ctx, admin, life.Assign, taro, hard.ID, false)
	h.ok(err)
	d := h.phone(taro)
	_, err = h.desk.SelfReset(ctx, desk.Actor{By: life.ByPerson, Account: taro}, nil)
	h.refused(err, life.ProofNeeded)
	_, err = h.desk.SelfReset(ctx, self(taro), nil)
	h.ok(err)
	if h.standing(taro, d.ID) != token.Revoked || h.standing(taro, hard.ID) != token.Active {
		t.Errorf("software %v, hardware %v", h.standing(taro, d.ID), h.standing(taro, hard.ID))
	}
	_, _, err = h.desk.Issue(ctx, self(taro), desk.LinkOrder{Account: taro, Again: true})
	h.ok(err)
	if m := h.mail(authn.MailReactivation); m.Fields["link"] == "" {
		t.Errorf("the mail is %+v", m)
	}
	if won := atOnce(t, func(int) error { _, err := h.desk.SelfReset(ctx, self(taro), nil); return err }); won != 1 {
		t.Errorf("%d further resets on the same day, want 1", won)
	}
}

// TestS9Undo brings a token back as it stood, once, and erases its seed when the time for it is over.
func TestS9Undo(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	last := h.token(d.ID).Last
	revoke := life.Revocation{Holds: []life.Chosen{chosen(taro, d.ID)}}
	_, err := h.desk.Revoke(ctx, admin, revoke)
	h.ok(err)
	won := atOnce(t, func(int) error { _, _, err := h.desk.Undo(ctx, admin, revoke.Holds); return err })
	if won != 1 || h.standing(taro, d.ID) != token.Active || h.token(d.ID).State != token.InUse || h.token(d.ID).Last != last {
		t.Fatalf("%d undos counted; the hold is %v, the token %+v", won, h.standing(taro, d.ID), h.token(d.ID))
	}
	_, err = h.desk.Revoke(ctx, admin, revoke)
	h.ok(err)
	h.advance(h.rules.Undo - time.Second)
	h.ok(h.desk.Tick(ctx))
	if len(h.token(d.ID).Sealed.Data) == 0 {
		t.Fatal("the seed was erased while the revocation could be undone")
	}
	h.advance(time.Second)
	h.ok(h.desk.Tick(ctx))
	if k := h.token(d.ID); len(k.Sealed.Data) != 0 || k.Last != last {
		t.Errorf("after the time for undo the token is %+v", k)
	}
	_, failed, err := h.desk.Undo(ctx, admin, revoke.Holds)
	h.refused(err, life.TooLate)
	if len(failed) != 1 {
		t.Errorf("%d holds are named as not restored, want 1", len(failed))
	}
}

// TestO1HelpDeskAndOperators: the help desk acts on nobody of the operators (P10).
func TestO1HelpDeskAndOperators(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	h.operators = []desk.Operator{{Account: taro, Role: life.ByAdmin}}
	_, err := h.desk.Suspend(ctx, desk.Actor{By: life.ByHelpDesk, Name: "jiro"}, taro, d.ID)
	h.refused(err, life.OnOperator)
}
