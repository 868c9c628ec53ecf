package desk_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// TestRefusedActsChangeNothing tries every act where the rules refuse it: what is stored stays as it is, to the octet, and no
// mail is made.
func TestRefusedActsChangeNothing(t *testing.T) {
	h := newHouse(t)
	taro, hanako, jiro := h.account("taro"), h.account("hanako"), h.account("jiro")
	d, hard, spare := h.phone(taro), h.stock("SN000001"), h.stock("SN000002")
	_, err := h.desk.Grant(ctx, admin, life.Assign, taro, hard.ID, false)
	h.ok(err)
	v, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	link := h.link()
	_, err = h.desk.Start(ctx, self(taro), link, secret("s"))
	h.ok(err)
	q, err := h.desk.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskNew})
	h.ok(err)
	desk1 := h.desk
	helper := desk.Actor{By: life.ByHelpDesk, Name: "jiro"}
	stranger := self(jiro)
	far := h.now().AddDate(5, 0, 0)
	acts := map[string]func() error{
		"Grant":      func() error { _, err := desk1.Grant(ctx, admin, life.Assign, hanako, hard.ID, false); return err },
		"Grant verb": func() error { _, err := desk1.Grant(ctx, admin, life.Revoke, hanako, spare.ID, false); return err },
		"Register": func() error {
			_, _, err := desk1.Register(ctx, stranger, jiro, "SN000002", spare.code(h, 0))
			return err
		},
		"Defer":      func() error { _, err := desk1.Defer(ctx, self(taro), taro, d.ID); return err },
		"Enrol":      func() error { _, err := desk1.Enrol(ctx, self(taro), desk.EnrolOrder{Account: taro}); return err },
		"Confirm":    func() error { _, err := desk1.Confirm(ctx, self(taro), taro, d.ID, d.code(h, 0)); return err },
		"Pair":       func() error { _, err := desk1.Pair(ctx, admin, taro, d.ID, []token.ID{hard.ID}); return err },
		"Rename":     func() error { _, err := desk1.Rename(ctx, stranger, taro, d.ID, "x"); return err },
		"Suspend":    func() error { _, err := desk1.Suspend(ctx, stranger, taro, d.ID); return err },
		"ReportLost": func() error { _, err := desk1.ReportLost(ctx, stranger, taro, d.ID, false); return err },
		"Resume":     func() error { _, err := desk1.Resume(ctx, admin, taro, d.ID, authn.Secret{}); return err },
		"Revoke": func() error {
			_, err := desk1.Revoke(ctx, self(taro), life.Revocation{Holds: []life.Chosen{chosen(taro, d.ID), chosen(taro, hard.ID)}})
			return err
		},
		"Revoke none": func() error { _, err := desk1.Revoke(ctx, admin, life.Revocation{}); return err },
		"RevokeAll":   func() error { _, err := desk1.RevokeAll(ctx, helper, hard.ID, 0); return err },
		"RevokeLost":  func() error { _, err := desk1.RevokeLost(ctx, admin, hard.ID, life.WhyLost); return err },
		"SelfReset":   func() error { _, err := desk1.SelfReset(ctx, self(taro), []token.ID{d.ID, hard.ID}); return err },
		"Undo":        func() error { _, _, err := desk1.Undo(ctx, admin, []life.Chosen{chosen(taro, d.ID)}); return err },
		"Undo none":   func() error { _, _, err := desk1.Undo(ctx, admin, nil); return err },
		"Waive": func() error {
			_, err := desk1.Waive(ctx, desk.Actor{By: life.ByMaster, Name: "m", Reason: "r"}, taro)
			return err
		},
		"Test": func() error { _, err := desk1.Test(ctx, nobody, "SN000001", secret("12345")); return err },
		"Resync": func() error {
			_, err := desk1.Resync(ctx, nobody, "SN000001", hard.code(h, 0), hard.code(h, 0))
			return err
		},
		"ResetDrift": func() error { _, err := desk1.ResetDrift(ctx, helper, hard.ID); return err },
		"SelfUnlock": func() error {
			_, err := desk1.SelfUnlock(ctx, self(taro), d.ID, d.code(h, 0), d.code(h, 1))
			return err
		},
		"ChoosePIN": func() error { _, err := desk1.ChoosePIN(ctx, self(taro), secret("1111")); return err },
		"ForcePIN":  func() error { _, err := desk1.ForcePIN(ctx, admin, taro, time.Time{}); return err },
		"ResetPIN":  func() error { _, err := desk1.ResetPIN(ctx, admin, taro); return err },
		"Apply": func() error {
			_, err := desk1.Apply(ctx, self(taro), desk.RequestOrder{Account: taro, Kind: life.AskAdd})
			return err
		},
		"Approve":       func() error { _, _, err := desk1.Approve(ctx, self(taro), q.ID); return err },
		"Refuse":        func() error { _, err := desk1.Refuse(ctx, admin, q.ID, ""); return err },
		"Withdraw":      func() error { _, err := desk1.Withdraw(ctx, stranger, q.ID); return err },
		"GiveTemporary": func() error { _, err := desk1.GiveTemporary(ctx, helper, taro, far); return err },
		"ShowTemporary": func() error { _, _, err := desk1.ShowTemporary(ctx, self(taro)); return err },
		"EndTemporary":  func() error { _, err := desk1.EndTemporary(ctx, admin, taro); return err },
		"SetRecovery": func() error {
			_, err := desk1.SetRecovery(ctx, desk.Actor{By: life.ByPerson, Account: taro})
			return err
		},
		"Recover":        func() error { _, _, err := desk1.Recover(ctx, self(taro), secret("x")); return err },
		"GiveFirstLogin": func() error { _, _, err := desk1.GiveFirstLogin(ctx, helper, taro, "", time.Time{}); return err },
		"Issue":          func() error { _, _, err := desk1.Issue(ctx, stranger, desk.LinkOrder{Account: taro}); return err },
		"FindLink":       func() error { _, err := desk1.FindLink(ctx, secret("never was")); return err },
		"Start":          func() error { _, err := desk1.Start(ctx, stranger, link, secret("s")); return err },
		"Finish": func() error {
			_, _, err := desk1.Finish(ctx, self(taro), link, secret("t"), secret("123456"), "x")
			return err
		},
		"Resend":      func() error { _, _, err := desk1.Resend(ctx, stranger, v.ID); return err },
		"RevokeLink":  func() error { _, err := desk1.RevokeLink(ctx, stranger, v.ID); return err },
		"Activation":  func() error { _, err := desk1.Activation(ctx, 4711); return err },
		"Request":     func() error { _, err := desk1.Request(ctx, 4711); return err },
		"FindRequest": func() error { _, err := desk1.FindRequest(ctx, "0000-001"); return err },
		"Retire":      func() error { _, err := desk1.Retire(ctx, admin, hard.ID); return err },
		"Extend":      func() error { _, err := desk1.Extend(ctx, admin, []token.ID{hard.ID}, far); return err },
		"Reserve":     func() error { _, err := desk1.Reserve(ctx, helper, []token.ID{spare.ID}, "staff"); return err },
	}
	before := h.image()
	for _, name := range sorted(acts) {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			var no *life.Refusal
			if err := acts[name](); !errors.As(err, &no) {
				t.Errorf("got %v, want a refusal", err)
			}
			if h.image() != before {
				t.Error("it changed something all the same")
				before = h.image()
			}
		})
	}

	missing := []string{}
	quiet := []string{"Due", "Open", "Holder", "Tick", "Activations", "Requests", "Spares", "Sweep"} // refuse nothing, or have tests of their own
	for m := range reflect.TypeOf(h.desk).Methods() {
		if _, tried := acts[m.Name]; !tried && !slices.Contains(quiet, m.Name) {
			missing = append(missing, m.Name)
		}
	}
	if len(missing) > 0 {
		t.Errorf("these acts are not tried here: %v", missing)
	}
}

func sorted[V any](m map[string]V) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// TestEverythingOutlivesARestart: what acts left is there again when the store is opened anew.
func TestEverythingOutlivesARestart(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	d := h.phone(taro)
	_, err := h.desk.ReportLost(ctx, self(taro), taro, d.ID, false)
	h.ok(err)
	_, err = h.desk.SetRecovery(ctx, self(taro))
	h.ok(err)
	_, _, err = h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro, Replaces: []token.ID{d.ID}})
	h.ok(err)
	start, err := h.desk.Start(ctx, self(taro), h.link(), secret("s"))
	h.ok(err)
	_, err = h.desk.GiveTemporary(ctx, admin, taro, time.Time{})
	h.ok(err)
	_, err = h.desk.Confirm(ctx, self(taro), taro, start.Token, h.wrong(h.scan(start.SecretView)))
	h.refused(err, life.WrongCode)
	image, holder := h.image(), h.holder(taro)
	h.restart()
	if after := h.image(); after != image {
		t.Errorf("after the restart the store has\n%s\nand before it had\n%s", after, image)
	}
	if after := h.holder(taro); !reflect.DeepEqual(after, holder) {
		t.Errorf("after the restart\n%+v\nbefore\n%+v", after, holder)
	}
	_, _, err = h.desk.Finish(ctx, self(taro), h.link(), secret("s"), h.scan(start.SecretView).code(h, 0), "")
	h.ok(err)
}

// TestStoredNames holds the names of what is stored: a field that is renamed would be lost from every record there is.
func TestStoredNames(t *testing.T) {
	for _, c := range []struct {
		stored any
		want   string
	}{
		{life.Holder{}, "Account Deferred Exempt First Groups Holds Name NotBefore PIN Presence Recovery Resets Role Temporary"},
		{life.Hold{}, "Before BeforeWhy Cooled Replaces Since Standing Takes Token Until Was WasUntil Why"},
		{life.Deferral{}, "First Times"}, {life.Presence{}, "Cleaned Gone"}, {life.Temporary{}, "By Live Most Spent Until Used"},
		{life.FirstLogin{}, "Attributes Hash Until Used"}, {life.Recovery{}, "Hash Tries"}, {life.PINs{}, "Changed Current Due Forced History"},
		{life.Record{}, "Ended Extended First Group NotBefore Pot Seen Takes Tests Token"},
		{life.Activation{}, "Account Begun Ended ID Letter Link Replaces Sent Session Since Starts Token Until Used Uses Voided"},
		{life.Request{}, "Account At By Kind Made Number Pledge Reminded Sentence State Tokens Why"},
	} {
		data, err := json.Marshal(c.stored)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(sorted(fields), " "); got != c.want {
			t.Errorf("%T is stored as\n%s\nand was as\n%s", c.stored, got, c.want)
		}
	}
}

// TestNoSecretIsKept: neither links, codes nor PINs stand in what the store keeps, but for the mail that brings a link.
func TestNoSecretIsKept(t *testing.T) {
	h := newHouse(t)
	taro := h.account("taro")
	_, _, err := h.desk.Issue(ctx, admin, desk.LinkOrder{Account: taro})
	h.ok(err)
	link := string(h.link().Reveal())
	start, err := h.desk.Start(ctx, self(taro), h.link(), secret("the session"))
	h.ok(err)
	recovery, err := h.desk.SetRecovery(ctx, self(taro))
	h.ok(err)
	_, err = h.desk.GiveTemporary(ctx, admin, taro, time.Time{})
	h.ok(err)
	temporary, _, err := h.desk.ShowTemporary(ctx, self(taro))
	h.ok(err)
	_, err = h.desk.ChoosePIN(ctx, self(taro), secret("tango8"))
	h.ok(err)
	for kind := authn.HolderRecord; kind.Valid(); kind++ {
		if kind == authn.MessageRecord {
			continue
		}
		page, err := h.db.Records(authn.RecordQuery{Kind: kind, Limit: 1000})
		h.ok(err)
		for _, r := range page {
			for what, s := range map[string]string{"link": link, "session": "the session", "seed": start.Key, "recovery code": string(recovery.Reveal()),
				"temporary code": string(temporary.Reveal()), "PIN": "tango8"} {
				if strings.Contains(string(r.Data), s) {
					t.Errorf("the %s stands in a %v record", what, kind)
				}
			}
		}
	}
}
