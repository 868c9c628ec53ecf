package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// standing is how a user holds a token.
func (h *house) standing(user, serial string) string {
	h.t.Helper()
	var u User
	h.ok("GET", "/api/v1/users/"+user, nil, &u)
	for _, t := range u.Tokens {
		if t.Serial == serial || t.ID == serial {
			return t.Standing
		}
	}
	return "none"
}

// TestO2RevokeChosen: a token of several users is revoked from one, or from all in one act; a dry run tells before and after
// and changes nothing.
func TestO2RevokeChosen(t *testing.T) {
	h := newHouse(t)
	h.stock(1, "", "annie")
	h.no(409, "token-in-use", "POST", "/api/v1/tokens/H1/assign", `{"user":"bob"}`)
	for _, user := range []string{"bob", "carol"} {
		h.ok("POST", "/api/v1/tokens/H1/assign", map[string]any{"user": user, "share": true}, nil)
	}
	seq := h.events()
	var d Done
	h.ok("POST", "/api/v1/tokens/H1/revoke?dry_run=true", `{}`, &d)
	if !d.DryRun || len(d.Effects) != 4 || h.events() != seq || h.standing("bob", "H1") != "active" {
		t.Errorf("dry run: %+v", d)
	}
	for _, e := range d.Effects {
		if e.What == "assignment" && (e.Before != "active" || e.After != "revoked" || e.Token != "H1") || e.What == "token" && (e.Before != "in use" || e.After != "in stock") {
			t.Errorf("effect %+v", e)
		}
	}
	h.ok("POST", "/api/v1/tokens/H1/revoke", `{"user":"bob","reason":"left","reference":"T-1"}`, &d)
	if d.Detail != "still held by others" || h.standing("bob", "H1") != "revoked" || h.standing("annie", "H1") != "active" {
		t.Errorf("one of three: %+v", d)
	}
	h.ok("POST", "/api/v1/tokens/H1/revoke", `{}`, &d)
	if d.Detail != "in stock" || h.standing("annie", "H1") != "revoked" || h.standing("carol", "H1") != "revoked" {
		t.Errorf("all: %+v", d)
	}
	h.no(409, "not-assigned", "POST", "/api/v1/tokens/H1/revoke", `{}`)
	var l EventList
	h.ok("GET", "/api/v1/logins?format=json&acts=true", nil, &l)
	found := false
	for _, e := range l.Events {
		found = found || e.Act == "assignment.revoke" && e.Actor == "root" && strings.Contains(e.Detail, "left") && strings.Contains(e.Detail, "T-1")
	}
	if !found {
		t.Errorf("reason and reference are not in the audit: %+v", l.Events)
	}
}

// TestO4Cooldown: the answer of a dry run, the list and the refusal name the moment from which registering is possible; a master
// waives it with a reason.
func TestO4Cooldown(t *testing.T) {
	h := newHouse(t)
	h.rules.Cooldown = life.HoursJP(h.rules.Zone)
	h.clock.Store(time.Date(2026, 11, 20, 20, 50, 0, 0, h.rules.Zone).Unix())
	h.stock(1, "", "annie")
	const from = "2026-11-20T23:40:00Z" // 08:40 of the next day in Japan
	var d Done
	h.ok("POST", "/api/v1/tokens/H1/revoke?dry_run=1", `{}`, &d)
	if d.RegisterFrom != from {
		t.Errorf("before the act: %q", d.RegisterFrom)
	}
	h.ok("POST", "/api/v1/tokens/H1/revoke", `{}`, nil)
	var l UserList
	if h.ok("GET", "/api/v1/users?state=revoked", nil, &l); len(l.Users) != 1 || l.Users[0].From != from || l.Users[0].Serial != "" {
		t.Errorf("list: %+v", l.Users)
	}
	if p := h.no(409, "cooldown", "POST", "/api/v1/tokens/H1/assign", `{"user":"annie"}`); p.From != from || p.SentenceJA == "" {
		t.Errorf("refusal: %+v", p)
	}
	h.no(422, "reason-needed", "POST", "/api/v1/users/annie/waive", `{}`)
	h.ok("POST", "/api/v1/users/annie/waive", `{"reason":"on the road"}`, nil)
	h.ok("POST", "/api/v1/tokens/H1/assign", `{"user":"annie"}`, nil)
}

// TestO5RevokeLost: reason and reference, and the token is gone for good.
func TestO5RevokeLost(t *testing.T) {
	h := newHouse(t)
	h.stock(1, "", "annie")
	h.no(422, "reason-needed", "POST", "/api/v1/tokens/H1/revoke-lost", `{"why":"lost","reason":"lost on a train"}`)
	h.no(422, "bad-input", "POST", "/api/v1/tokens/H1/revoke-lost", `{"why":"eaten","reason":"x","reference":"y"}`)
	h.ok("POST", "/api/v1/tokens/H1/revoke-lost", `{"why":"lost","reason":"lost on a train","reference":"P-17"}`, nil)
	h.no(404, "unknown-token", "POST", "/api/v1/tokens/H1/assign", `{"user":"bob"}`)
	if got := h.standing("annie", "H1"); got != "revoked" {
		t.Errorf("standing %s", got)
	}
}

// TestO7Register: an operator registers by serial and code; the code is used then.
func TestO7Register(t *testing.T) {
	h := newHouse(t)
	seeds := h.stock(1, "")
	h.no(409, "wrong-code", "POST", "/api/v1/tokens/H1/register", map[string]any{"user": "annie", "code": "000000"})
	h.no(422, "code-form", "POST", "/api/v1/tokens/H1/register", map[string]any{"user": "annie", "code": "12"})
	h.ok("POST", "/api/v1/tokens/H1/register", map[string]any{"user": "annie", "code": code(seeds[0], 3)}, nil)
	if got := h.standing("annie", "H1"); got != "active" {
		t.Errorf("standing %s", got)
	}
	h.no(409, "already-used", "POST", "/api/v1/tokens/H1/test", map[string]any{"code": code(seeds[0], 3)})
}

// TestSuspendAndLost: suspended tokens come back, lost ones too while there is time (P3).
func TestSuspendAndLost(t *testing.T) {
	h := newHouse(t)
	h.stock(1, "", "annie")
	h.ok("POST", "/api/v1/tokens/H1/suspend", `{"reason":"holiday"}`, nil)
	h.no(409, "is-suspended", "POST", "/api/v1/tokens/H1/suspend", `{}`)
	var d Done
	h.ok("POST", "/api/v1/tokens/H1/resume", `{}`, &d)
	if d.Detail != "active" {
		t.Errorf("%+v", d)
	}
	h.ok("POST", "/api/v1/tokens/H1/lost", `{}`, nil)
	if got := h.standing("annie", "H1"); got != "suspended" {
		t.Errorf("standing %s", got)
	}
	h.ok("POST", "/api/v1/tokens/H1/resume", `{}`, nil)
}

// TestV1TestAndV2Resync: a test tells works, out of step, or not confirmed; two codes in a row bring a token back.
func TestV1TestAndV2Resync(t *testing.T) {
	h := newHouse(t)
	seeds := h.stock(1, "", "annie")
	var v Tested
	h.ok("POST", "/api/v1/tokens/H1/test", map[string]any{"code": code(seeds[0], 0)}, &v)
	if v.Result != "works" {
		t.Errorf("%+v", v)
	}
	h.no(409, "already-used", "POST", "/api/v1/tokens/H1/test", map[string]any{"code": code(seeds[0], 0)})
	h.ok("POST", "/api/v1/tokens/H1/test", map[string]any{"code": code(seeds[0], 40)}, &v)
	if v.Result != "out-of-step" {
		t.Errorf("%+v", v)
	}
	h.no(422, "equal-codes", "POST", "/api/v1/tokens/H1/resync", map[string]any{"first": code(seeds[0], 41), "second": code(seeds[0], 41)})
	h.ok("POST", "/api/v1/tokens/H1/resync", map[string]any{"first": code(seeds[0], 41), "second": code(seeds[0], 42)}, nil)
	h.ok("POST", "/api/v1/tokens/H1/test", map[string]any{"code": code(seeds[0], 43)}, &v)
	if v.Result != "works" {
		t.Errorf("after the resync: %+v", v)
	}
	var e Enrolled
	h.ok("POST", "/api/v1/users/bob/tokens", `{}`, &e)
	h.no(422, "code-form", "POST", "/api/v1/tokens/"+e.Token.ID+"/test", `{"code":"1"}`) // found by its ID: it has no serial
}

// TestUndo: what was revoked comes back within the time of an undo, for one user or a whole batch, and what cannot is named.
func TestUndo(t *testing.T) {
	h := newHouse(t)
	h.stock(3, "2027-03-31T00:00:00Z", "annie", "bob")
	h.no(409, "nothing-to-undo", "POST", "/api/v1/users/annie/undo", `{}`)
	h.ok("POST", "/api/v1/tokens/H1/revoke", `{}`, nil)
	h.ok("POST", "/api/v1/users/annie/undo", `{}`, nil)
	if got := h.standing("annie", "H1"); got != "active" {
		t.Errorf("after the undo: %s", got)
	}
	h.no(404, "unknown-token", "POST", "/api/v1/tokens/revoke", `{"tokens":["H1","H9"]}`)
	h.no(409, "other-expiry", "POST", "/api/v1/tokens/revoke", `{"tokens":["H1","H2"],"expiry":"2027-04-30T00:00:00Z"}`)
	var r Revoked
	h.ok("POST", "/api/v1/tokens/revoke?dry_run=true", `{"tokens":["H1","H2","H2"]}`, &r)
	if r.Users != 2 || len(r.Holds) != 2 || h.standing("bob", "H2") != "active" {
		t.Errorf("dry: %+v", r)
	}
	h.ok("POST", "/api/v1/tokens/revoke", `{"tokens":["H1","H2"]}`, &r)
	h.ok("POST", "/api/v1/tokens/H2/assign", `{"user":"carol"}`, nil)
	var u Undone
	h.ok("POST", "/api/v1/undo", map[string]any{"holds": r.Holds}, &u)
	if len(u.Failed) != 1 || u.Failed[0].Code == "" || h.standing("annie", "H1") != "active" || h.standing("bob", "H2") != "revoked" {
		t.Errorf("%+v", u)
	}
	h.ok("POST", "/api/v1/tokens/H1/revoke", `{}`, nil)
	h.advance(11 * time.Minute)
	h.no(409, "too-late", "POST", "/api/v1/users/annie/undo", `{"token":"H1"}`)
}

// TestMassRevocation asks for the number above the limit and does nothing without it.
func TestMassRevocation(t *testing.T) {
	h := newHouse(t)
	h.rules.AskAbove = 1
	h.stock(2, "", "annie", "bob")
	seq := h.events()
	h.no(409, "ask-first", "POST", "/api/v1/tokens/revoke", `{"tokens":["H1","H2"]}`)
	h.no(409, "ask-first", "POST", "/api/v1/tokens/revoke", `{"tokens":["H1","H2"],"confirmed":3}`)
	if h.events() != seq {
		t.Error("something was done")
	}
	h.ok("POST", "/api/v1/tokens/revoke", `{"tokens":["H1","H2"],"confirmed":2}`, nil)
}

// TestP11Extend moves the expiry of chosen tokens, all or none, with a reason.
func TestP11Extend(t *testing.T) {
	h := newHouse(t)
	h.stock(2, "2026-11-30T00:00:00Z", "annie")
	h.no(422, "bad-input", "POST", "/api/v1/tokens/extend", `{"tokens":["H1"],"to":"tomorrow","reason":"late post"}`)
	h.no(422, "reason-needed", "POST", "/api/v1/tokens/extend", `{"tokens":["H1"],"to":"2026-12-10T00:00:00Z"}`)
	h.no(409, "extend-most", "POST", "/api/v1/tokens/extend", `{"tokens":["H1"],"to":"2027-12-10T00:00:00Z","reason":"late post"}`)
	var d Done
	h.ok("POST", "/api/v1/tokens/extend?dry_run=true", `{"tokens":["H1","H2"],"to":"2026-12-10T00:00:00Z","reason":"late post"}`, &d)
	if len(d.Effects) != 2 || d.Effects[0].What != "expiry" || d.Effects[0].After != "2026-12-10T00:00:00Z" {
		t.Errorf("%+v", d)
	}
	h.ok("POST", "/api/v1/tokens/extend", `{"tokens":["H1","H2"],"to":"2026-12-10T00:00:00Z","reason":"late post"}`, nil)
	var k Token
	if h.ok("GET", "/api/v1/tokens/H2", nil, &k); k.Expiry != "2026-12-10T00:00:00Z" {
		t.Errorf("expiry %s", k.Expiry)
	}
	h.ok("POST", "/api/v1/tokens/H2/retire", `{"reason":"broken"}`, nil)
	h.no(404, "unknown-token", "GET", "/api/v1/tokens/H2", nil)
}

// TestK8PIN: an operator orders a new PIN or ends one, and no answer ever shows one.
func TestK8PIN(t *testing.T) {
	h := newHouse(t)
	h.no(409, "no-account", "POST", "/api/v1/users/annie/pin/reset", `{}`)
	h.ok("PUT", "/api/v1/users/annie/pin", `{"pin":"7391"}`, nil)
	h.ok("POST", "/api/v1/users/annie/pin/force", `{}`, nil)
	h.no(409, "pin-forced", "POST", "/api/v1/users/annie/pin/force", `{}`)
	var d Done
	h.ok("POST", "/api/v1/users/annie/pin/reset?dry_run=true", `{}`, &d)
	if len(d.Effects) != 1 || d.Effects[0] != (Effect{What: "pin", User: "annie", Account: d.Effects[0].Account, Before: "set", After: "none"}) {
		t.Errorf("%+v", d)
	}
	h.ok("POST", "/api/v1/users/annie/pin/reset", `{}`, nil)
	var u User
	if h.ok("GET", "/api/v1/users/annie", nil, &u); u.PIN {
		t.Error("the PIN stands")
	}
	h.no(409, "pin-none", "POST", "/api/v1/users/annie/pin/reset", `{}`)
}

// TestP6Temporary: operators give a set of codes, see how many are used and never a code, and end it.
func TestP6Temporary(t *testing.T) {
	h := newHouse(t)
	h.stock(1, "", "annie")
	var v Temporary
	h.ok("POST", "/api/v1/users/annie/temporary", `{"reason":"left at home"}`, &v)
	if v.Codes != 5 || v.Used != 0 || v.Until != "2026-11-20T09:00:00Z" {
		t.Errorf("%+v", v)
	}
	var u User
	if h.ok("GET", "/api/v1/users/annie", nil, &u); u.Temporary == nil || *u.Temporary != v {
		t.Errorf("user: %+v", u.Temporary)
	}
	h.no(409, "temporary-too-long", "POST", "/api/v1/users/annie/temporary", `{"until":"2026-12-20T09:00:00Z"}`)
	h.ok("DELETE", "/api/v1/users/annie/temporary", nil, nil)
	h.no(409, "temporary-ended", "DELETE", "/api/v1/users/annie/temporary", nil)
	var f FirstLogin
	h.ok("POST", "/api/v1/users/dave/first-login", `{}`, &f)
	if len(f.Code) != 8 {
		t.Errorf("%+v", f)
	}
	h.no(409, "has-token", "POST", "/api/v1/users/annie/first-login", `{}`)
}

// TestK3Links: a link is mailed and never shown; it is listed, sent again and ended.
func TestK3Links(t *testing.T) {
	h := newHouse(t)
	var i Issued
	h.ok("POST", "/api/v1/users/annie/activations", `{}`, &i)
	if i.URL != "" || i.Sheet != "" || i.Activation.State != "open" || i.Activation.Devices != 2 || i.Activation.User != "annie" {
		t.Errorf("%+v", i)
	}
	mails, err := h.db.Records(authn.RecordQuery{Kind: authn.MessageRecord})
	if err != nil || len(mails) != 1 {
		t.Fatalf("%d mails, %v", len(mails), err)
	}
	path := "/api/v1/activations/" + i.Activation.ID
	h.ok("POST", path+"/resend", `{}`, nil)
	h.ok("POST", path+"/resend", `{}`, nil)
	h.no(429, "resend-used", "POST", path+"/resend", `{}`)
	h.ok("POST", path+"/revoke", `{}`, &i)
	if i.Activation.State != "revoked" {
		t.Errorf("%+v", i)
	}
	h.no(409, "link-revoked", "POST", path+"/resend", `{}`)
	h.no(404, "not-found", "POST", "/api/v1/activations/"+token.ID(7).String()+"/revoke", `{}`)
	h.ok("POST", "/api/v1/users/bob/activations", `{}`, nil)
	count := func(filter string) int {
		var l ActivationList
		h.ok("GET", "/api/v1/activations"+filter, nil, &l)
		return len(l.Activations)
	}
	h.advance(25 * time.Hour)
	for filter, want := range map[string]int{"": 2, "?state=revoked": 1, "?state=lapsed": 1, "?state=open": 0, "?user=bob": 1, "?user=carol": 0} {
		if got := count(filter); got != want {
			t.Errorf("%q: %d links, want %d", filter, got, want)
		}
	}
}

// TestK13Invitations: a list gets links, after a dry run that tells who; who has a token or a link is left out, so that a
// list may be sent again, and a misspelt name is told.
func TestK13Invitations(t *testing.T) {
	h := newHouse(t)
	h.rules.AskAbove = 2
	h.stock(1, "", "annie")
	body := map[string]any{"users": []string{"annie", "bob", "carol", "dave", "nobody"}}
	seq := h.events()
	var v Invitations
	h.ok("POST", "/api/v1/invitations?dry_run=true", body, &v)
	each := func() string {
		var all []string
		for _, e := range v.Each {
			all = append(all, e.User+" "+e.Result)
		}
		return strings.Join(all, ", ")
	}
	if v.Invited != 3 || v.Left != 2 || each() != "annie has-token, bob would-be-invited, carol would-be-invited, dave would-be-invited, nobody unknown-user" || h.events() != seq {
		t.Errorf("dry: %+v", v)
	}
	h.no(409, "ask-first", "POST", "/api/v1/invitations", body)
	body["confirmed"] = 3
	h.ok("POST", "/api/v1/invitations", body, &v)
	if v.Invited != 3 || each() != "annie has-token, bob invited, carol invited, dave invited, nobody unknown-user" {
		t.Errorf("%+v", v)
	}
	delete(body, "confirmed")
	h.ok("POST", "/api/v1/invitations", body, &v)
	if v.Invited != 0 || each() != "annie has-token, bob has-link, carol has-link, dave has-link, nobody unknown-user" {
		t.Errorf("again: %+v", v)
	}
}

// TestLetters: a sheet for each, with the link as text and picture; the sheets are shown once.
func TestLetters(t *testing.T) {
	h := newHouse(t)
	var v Invitations
	h.ok("POST", "/api/v1/letters", `{"users":["annie","bob"]}`, &v)
	if v.Invited != 2 || strings.Count(v.Sheets, "<section>") != 2 || strings.Count(v.Sheets, "<svg") != 2 || strings.Count(v.Sheets, "https://vpn.example.jp/a/") != 2 ||
		!strings.Contains(v.Sheets, "<strong>annie</strong>") || !strings.Contains(v.Sheets, "2026-12-11 12:00 JST") {
		t.Errorf("%s", v.Sheets)
	}
	mails, err := h.db.Records(authn.RecordQuery{Kind: authn.MessageRecord})
	if err != nil || len(mails) != 0 {
		t.Errorf("%d mails (%v): a letter is not mailed", len(mails), err)
	}
	var i Issued
	h.ok("POST", "/api/v1/activations/"+v.Each[0].Activation.ID+"/resend", `{}`, &i)
	if i.URL == "" || strings.Contains(v.Sheets, i.URL) || !strings.Contains(i.Sheet, i.URL) {
		t.Error("a letter made anew shows its new link")
	}
	h.api.Desk.Links = nil
	h.no(409, "no-self-service-url", "POST", "/api/v1/users/carol/activations", `{"letter":true}`)
}

// TestK5Requests: requests are listed, approved and refused with a sentence; each once.
func TestK5Requests(t *testing.T) {
	h := newHouse(t)
	h.stock(2, "", "annie", "bob")
	apply := func(user string) string {
		a, err := h.db.AccountByName(t.Context(), "corp", user)
		if err != nil {
			t.Fatal(err)
		}
		v, err := h.api.Desk.Apply(t.Context(), deskPerson(a.ID), deskOrder(a.ID))
		if err != nil {
			t.Fatal(err)
		}
		return v.Number
	}
	first, second := apply("annie"), apply("bob")
	var l RequestList
	if h.ok("GET", "/api/v1/requests?state=open", nil, &l); len(l.Requests) != 2 || l.Requests[0].Number != second || l.Requests[0].Kind != "reactivate" {
		t.Errorf("%+v", l)
	}
	if rows := h.sheet("/api/v1/requests?user=annie"); len(rows) != 2 || rows[1][0] != first {
		t.Errorf("%q", rows)
	}
	var r Request
	h.ok("POST", "/api/v1/requests/"+first+"/approve", `{}`, &r)
	if r.State != "approved" || r.By != "root" {
		t.Errorf("%+v", r)
	}
	var links ActivationList
	if h.ok("GET", "/api/v1/activations?user=annie", nil, &links); len(links.Activations) != 1 {
		t.Errorf("%d links after the approval", len(links.Activations))
	}
	h.no(409, "request-decided", "POST", "/api/v1/requests/"+first+"/approve", `{}`)
	h.no(422, "bad-input", "POST", "/api/v1/requests/"+second+"/refuse", `{}`)
	h.ok("POST", "/api/v1/requests/"+second+"/refuse", `{"sentence":"Please come by"}`, &r)
	if r.State != "refused" || r.Sentence != "Please come by" {
		t.Errorf("%+v", r)
	}
	h.no(404, "not-found", "GET", "/api/v1/requests/0000-000", nil)
	h.no(404, "not-found", "GET", "/api/v1/requests/"+fmt.Sprintf("%.3s", first), nil)
}
