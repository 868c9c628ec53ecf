package selfservice_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/selfservice"
	"sekisho/token"
)

// standing is that of a person's hold on a device.
func (h *house) standing(name string, d device) token.Standing {
	h.t.Helper()
	holder := h.holder(name)
	if hold := holder.Hold(d.ID); hold != nil {
		return hold.Standing
	}
	return 0
}

// TestAddDevice: a second device by the code of a working one, without link and operator, within the limit; nothing is revoked
// (K11, K4). A reload shows the same secret, and the code that proved it is used.
func TestAddDevice(t *testing.T) {
	h := newHouse(t)
	phone := h.phone("alice", "old phone")
	b := h.surfer("en").signIn("alice")
	b.open("/my/add").is("K11", 200, "/my/add", phone.ID.String())
	proof := phone.code(0)
	b.send("/my/add", "by", phone.ID.String(), "code", phone.code(-1000), "device", "tablet").is("K11 a wrong code", 422, "/my/add", "wrong-code", `value="tablet"`)
	b.lacks("a wrong code", "otpauth")
	b.send("/my/add", "code", proof).is("K11 of no device", 422, "/my/add", "proof-needed")
	b.send("/my/add", "by", phone.ID.String(), "code", proof, "device", "tablet").is("K11 the code", 200, "/my/add", "otpauth://", "<svg", `value="tablet"`)
	added := b.scan()
	if b.open("/my/add"); string(b.scan().seed) != string(added.seed) {
		t.Error("K11: a reload shows another secret")
	}
	b.send("/my/add/code", "code", added.code(-1000), "device", "tablet").is("K11 a wrong first code", 422, "/my/add/code", "wrong-code", "otpauth://")
	b.send("/my/add/code", "code", added.code(0), "device", "my tablet").is("K11 the first code", 200, "/activate/done", "my tablet")
	b.open("/my").is("K11", 200, "/my", "old phone", "my tablet")
	if h.standing("alice", phone) != token.Active {
		t.Error("K11: the old phone does not work any more")
	}
	b.send("/my/add/code", "code", added.code(1)).is("sent again", 422, "/my/add/code", "start-lapsed")
	h.advance(time.Minute)
	b.send("/my/add", "by", phone.ID.String(), "code", phone.code(0)).is("K4 a third one", 422, "/my/add", "device-limit")
}

// TestStopDevice: a person stops an own device, reports one lost, and resumes either by its own code; another person's device is
// not there (K4, P3).
func TestStopDevice(t *testing.T) {
	h := newHouse(t)
	phone, tablet := h.phone("alice", "phone"), h.phone("alice", "tablet")
	b, c := h.surfer("en").signIn("alice"), h.surfer("ja").signIn("bob")
	at := "/my/device/" + phone.ID.String()
	for _, act := range []string{"", "/block", "/lost", "/resume", "/name", "/later"} {
		if act == "" {
			c.open(at).is("another's", 404, at, "no-device")
			continue
		}
		c.send(at+act, "name", "mine", "code", "123456").is("another's", 404, at+act, "no-device", "この端末はありません")
	}
	b.open(at).is("P3", 200, at, "Stop this device", "Stop it, it is lost")
	b.send(at+"/block").is("K4", 200, "/my", "The device was stopped", "stopped")
	if h.standing("alice", phone) != token.Suspended || h.standing("alice", tablet) != token.Active {
		t.Error("K4: not the one was stopped that was meant")
	}
	b.send(at+"/resume", "code", phone.code(-1000)).is("P3 a wrong code", 422, at+"/resume", "wrong-code")
	b.send(at+"/resume", "code", phone.code(0)).is("P3", 200, "/my", "works again")
	b.send(at+"/lost", "stolen", "1").is("P3", 200, "/my", "Its codes open nothing now", "stopped as lost")
	if hold := h.holder("alice").Holds[0]; hold.Why != life.WhyStolen || hold.Until != h.now().Add(72*time.Hour).Unix() {
		t.Errorf("P3: the hold is %+v", hold)
	}
	b.open(at).is("P3 found within", 200, at, "If you find it")
	b.send(at+"/name", "name", "  my <phone> ").is("its name", 200, "/my", "The name was changed", "my &lt;phone&gt;")
	_, err := h.desk.Suspend(context.Background(), operator, h.account("alice"), tablet.ID)
	h.ok(err)
	at = "/my/device/" + tablet.ID.String()
	b.open(at).is("stopped by an operator", 200, at, "Ask the help desk about this device").lacks("stopped by an operator", "/resume")
	b.send(at+"/resume", "code", tablet.code(0)).is("stopped by an operator", 422, at+"/resume", "suspended-by-operator")
}

// TestHardware: a reserved token is offered by itself, put off, and registered by serial and code, typed as people type (O7, O8).
func TestHardware(t *testing.T) {
	h := newHouse(t)
	k := h.stock("00123456789A")
	_, err := h.desk.Grant(context.Background(), operator, life.Reserve, h.account("alice"), k.ID, false)
	h.ok(err)
	b := h.surfer("en").signIn("alice")
	b.is("O7 offered", 200, "/my", "waits to be registered", "/my/register")
	b.open("/my/register").is("O7 the serial is there", 200, "/my/register", `value="00123456789A"`, "Register later")
	at := "/my/device/" + k.ID.String()
	for range life.Defaults().DeferTimes {
		b.send(at+"/later").is("O8", 200, "/my", "Put off")
	}
	b.send(at+"/later").is("O8 too often", 422, at+"/later", "defer-used")
	b.send("/my/register", "serial", "99999999", "code", "123456").is("O7 another serial", 422, "/my/register", `value="99999999"`)
	b.send("/my/register", "serial", "00123456789a", "code", k.code(-1000)).is("O7 a wrong code", 422, "/my/register", "wrong-code")
	code := k.code(-20)
	b.send("/my/register", "serial", " ００12-3456-789ａ", "code", code[:3]+" "+code[3:]).is("O7 ten minutes off", 200, "/activate/done", "00123456789A")
	if h.standing("alice", k) != token.Active {
		t.Error("O7: the token is not in service")
	}
	h.advance(time.Minute)
	b = h.surfer("en").signIn("alice")
	b.is("then", 200, "/my", "Hardware token", "expires").lacks("then", "waits to be registered")
}

// TestPIN: a PIN is changed by who signed in with a code; who signed in without one cannot take the other first factor over (K8).
func TestPIN(t *testing.T) {
	h := newHouse(t)
	h.typing = []selfservice.Typing{{First: authn.PIN, Joined: true}}
	phone := h.phone("alice", "phone")
	b := h.surfer("en").signIn("alice")
	b.is("K8 none yet", 200, "/my", "Choose a new PIN")
	b.send("/my/pin", "pin", "4711x", "pin2", "4712x").is("K8 differ", 422, "/my/pin", "pin-differs").lacks("K8", "4711x")
	b.send("/my/pin", "pin", "alice", "pin2", "alice").is("K8 the name", 422, "/my/pin", "pin-name")
	b.send("/my/pin", "pin", "4711x", "pin2", "4711x").is("K8", 200, "/my", "The PIN was set").lacks("K8", "Choose a new PIN")
	b.send("/my/pin", "pin", "4711x", "pin2", "4711x").is("K8 the same again", 422, "/my/pin", "pin-history")
	before := h.holder("alice").PIN.Current
	_, err := h.desk.ReportLost(context.Background(), operator, h.account("alice"), phone.ID, false)
	h.ok(err)
	b = h.surfer("en").signIn("alice")
	b.send("/my/pin", "pin", "9182z", "pin2", "9182z").is("K8 by the password alone", 422, "/my/pin", "code-needed")
	b.send("/my/recovery").is("Y6 by the password alone", 422, "/my/recovery", "code-needed")
	if h.holder("alice").PIN.Current != before {
		t.Error("K8: the password alone changed the PIN")
	}
	_, err = h.desk.ForcePIN(context.Background(), operator, h.account("alice"), time.Time{})
	h.ok(err)
	b.open("/my").is("K8 forced", 200, "/my", "Choose a new PIN")
	b.send("/my/pin", "pin", "9182z", "pin2", "9182z").is("K8 one that is owed", 200, "/my", "The PIN was set")
}

var shownCode = regexp.MustCompile(`<code class="big">([0-9A-Z ]+)</code>`)

func (b *surfer) shown() string {
	b.h.t.Helper()
	m := shownCode.FindStringSubmatch(b.page)
	if m == nil {
		b.h.t.Fatalf("page %s (%d) shows no code:\n%s", b.at, b.code, strip(b.page))
	}
	return m[1]
}

// TestAway: who forgot the device gets a temporary code for the printed recovery code, once, and nothing is revoked (Y6, P6).
func TestAway(t *testing.T) {
	h := newHouse(t)
	phone := h.phone("alice", "phone")
	b := h.surfer("en").signIn("alice")
	b.send("/my/recovery").is("Y6 draw one", 200, "/my/recovery", "never again")
	printed := b.shown()
	b.open("/my/recovery").is("Y6 it is gone", 200, "/my/recovery").lacks("Y6", printed)

	c := h.surfer("en")
	c.open("/help-me?what=away").is("Y6", 200, "/help-me", `value="away" checked`)
	c.send("/help-me", "what", "away", "name", "alice", "password", "wrong").is("Y6 a wrong password", 422, "/help-me", "could not be confirmed")
	c.send("/help-me", "what", "away", "name", "alice", "password", password).is("Y6", 200, "/help-me/away", "Nothing is revoked", "03-0000-0000", "9:00-17:00")
	c.send("/help-me/away", "recovery", "AAAA BBBB CCCC DDDD").is("Y6 a wrong one", 422, "/help-me/away", "wrong-code")
	c.send("/help-me/away", "recovery", strings.ToLower(strings.ReplaceAll(printed, " ", "-"))).is("Y6 the printed one", 200, "/help-me/away", "Type this where the 6 digits go", "Your new recovery code")
	first := c.shown()
	if len(strings.ReplaceAll(first, " ", "")) != 8 {
		t.Errorf("P6: the code is %q, want 8 digits", first)
	}
	if h.standing("alice", phone) != token.Active {
		t.Error("Y6: the phone does not work any more")
	}
	c.send("/help-me/away", "recovery", printed).is("Y6 used", 422, "/help-me/away", "wrong-code")
	c.send("/temporary").is("P6 the next one", 200, "/temporary", "left, until")
	if c.shown() == first {
		t.Error("P6: the same code is shown again")
	}
	c.open("/my").is("P6 no more than that", 401, "/my")
}

// TestLost: from the sign-in page a lost device is stopped in four acts: lost, name and password, the device, block (P3).
func TestLost(t *testing.T) {
	h := newHouse(t)
	phone, tablet := h.phone("alice", "my phone"), h.phone("alice", "tablet")
	b := h.surfer("en")
	b.open("/").is("1", 200, "/", `href="/help-me?what=lost"`)
	b.open("/help-me?what=lost").is("2", 200, "/help-me", `value="lost" required checked`)
	b.send("/help-me", "what", "lost", "name", "alice", "password", password).is("3", 200, "/help-me/lost", "my phone", "tablet", "last used")
	b.send("/help-me/lost").is("none chosen", 422, "/help-me/lost", "Choose a device")
	b.send("/help-me/lost", "device", phone.ID.String(), "stolen", "1").is("4", 200, "/help-me/deleted", "Its codes open nothing now")
	if h.standing("alice", phone) != token.Suspended || h.standing("alice", tablet) != token.Active {
		t.Error("P3: not the one was stopped that was meant")
	}
	c := h.surfer("en")
	c.send("/help-me", "what", "lost", "name", "bob", "password", password).is("bob", 200, "/help-me/lost", "nothing to stop")
	c.send("/help-me/lost", "device", tablet.ID.String())
	if h.standing("alice", tablet) != token.Active {
		t.Error("P3: bob stopped alice's device")
	}
}

// TestDeleted: who deleted the app gets a link by mail after the password, and gives the password again; the old device goes on
// until the new one's first right code (Y1, Y3, P3). The link is mailed three times a day at most.
func TestDeleted(t *testing.T) {
	h := newHouse(t)
	phone := h.phone("alice", "my phone")
	b := h.surfer("en")
	b.send("/help-me", "what", "deleted", "name", "alice", "password", password).is("Y1", 200, "/help-me/deleted", "my phone", "Mail me the link")
	b.send("/help-me/deleted", "device", phone.ID.String()).is("Y1", 200, "/help-me/deleted", "A mail is on its way").lacks("Y1", "/a/")
	link := h.mail(h.account("alice"))
	c := h.surfer("en")
	c.open(link).is("Y1 the mail", 200, link, `type="password"`)
	if h.standing("alice", phone) != token.Active {
		t.Error("Y3: the old one ended before the new one works")
	}
	c.send(link, "password", password).is("Y1 the password again", 200, "/activate", "otpauth://", "Sekisho:alice (2)")
	fresh := c.scan()
	c.send("/activate", "code", fresh.code(0), "device", "new").is("Y1", 200, "/activate/done")
	if got := h.standing("alice", phone); got != token.Revoked {
		t.Errorf("Y3: the old one is %s after the new one's code", got)
	}
	h.advance(time.Minute)
	d := h.surfer("en")
	d.send("/help-me", "what", "deleted", "name", "alice", "password", password)
	id := h.holder("alice").Holds[1].Token.String()
	for n := range 4 {
		d.send("/help-me/deleted", "device", id)
		if want := map[bool]int{true: 200, false: 422}[n < 3]; d.code != want {
			t.Errorf("mail %d: %d\n%s", n+1, d.code, strip(d.page))
		}
	}
	e := newHouse(t, func(c *selfservice.Config) { off := false; c.SelfReset = &off })
	e.phone("alice", "")
	f := e.surfer("en")
	f.send("/help-me", "what", "deleted", "name", "alice", "password", password).is("switched off", 200, "/help-me/deleted", "You have to apply").lacks("switched off", "Mail me")
	f.send("/help-me/deleted").is("switched off", 200, "/request")
}

// TestRequest: an application with pledge and consent, its number and state, withdrawn; refused with a sentence; approved, with
// the ticked devices ended and a link mailed (K5, P3).
func TestRequest(t *testing.T) {
	h := newHouse(t, func(c *selfservice.Config) { c.Pledge = selfservice.Words{JA: "誓います。", EN: "I pledge."} })
	phone := h.phone("alice", "phone")
	b := h.surfer("en")
	b.send("/help-me", "what", "deleted", "name", "alice", "password", password)
	b.open("/request").is("K5", 200, "/request", "I pledge.", `value="reactivate" required checked`)
	b.send("/request", "kind", "reactivate", "why", "deleted").is("K5 no consent", 422, "/request", "pledge-needed")
	b.send("/request", "kind", "gold", "why", "deleted", "agree", "1").is("K5 no kind", 422, "/request", "Choose what for")
	b.send("/request", "kind", "reactivate", "why", "deleted", "agree", "1", "device", phone.ID.String()).is("K5", 200, "/request", "Your request was taken", "waiting for approval")
	b.send("/request", "kind", "add", "why", "other", "agree", "1").is("K5 twice", 422, "/request", "request-open")
	all, err := h.desk.Requests(context.Background(), authn.RecordQuery{Account: h.account("alice")})
	h.ok(err)
	if len(all) != 1 || all[0].Pledge != h.config.PledgeVersion() || all[0].Why != life.WhyDeleted || len(all[0].Tokens) != 1 {
		t.Fatalf("K5: the requests are %+v", all)
	}
	id := regexp.MustCompile(`name="id" value="(\d+)"`)
	c := h.surfer("en").signIn("bob")
	c.send("/request/withdraw", "id", id.FindStringSubmatch(h.surfer("en").signIn("alice").page)[1])
	if c.code < 400 {
		t.Errorf("K5: bob withdrew alice's request: %d", c.code)
	}
	_, err = h.desk.Refuse(context.Background(), operator, all[0].ID, "Please call us.")
	h.ok(err)
	h.surfer("en").signIn("alice").is("K5 refused", 200, "/my", "refused", "Please call us.", all[0].Number)
	b.send("/request", "kind", "reactivate", "why", "phone", "agree", "1", "device", phone.ID.String()).is("K5 again", 200, "/request", "Withdraw it")
	b.send("/request/withdraw", "id", id.FindStringSubmatch(b.page)[1]).is("K5 withdrawn", 200, "/request", "withdrawn")
	b.send("/request", "kind", "reactivate", "why", "deleted", "agree", "1", "device", phone.ID.String()).is("K5 once more", 200, "/request")
	all, err = h.desk.Requests(context.Background(), authn.RecordQuery{Account: h.account("alice"), States: []uint8{desk.RequestState(life.Open)}})
	h.ok(err)
	_, _, err = h.desk.Approve(context.Background(), operator, all[0].ID)
	h.ok(err)
	if h.standing("alice", phone) != token.Revoked {
		t.Error("P3: the ticked device goes on after the approval")
	}
	link := h.mail(h.account("alice"))
	d := h.surfer("en")
	d.send(link, "password", password).is("K5 the link", 200, "/activate")
	d.send("/activate", "code", d.scan().code(0)).is("K5", 200, "/activate/done")
	d.open("/my").is("K5", 200, "/my", "approved")
}

// TestLogins shows a person their own last logins.
func TestLogins(t *testing.T) {
	h := newHouse(t)
	h.surfer("en").signIn("bob").open("/my/logins").is("mine", 200, "/my/logins", "vpn-gw", "why it was refused", "refused")
}

// TestWait: who gets no mail waits for the help desk; the browser that waited goes on to the QR code by itself, once, and no other
// one does (Y2, P7).
func TestWait(t *testing.T) {
	h := newHouse(t)
	phone := h.phone("alice", "phone")
	b, other := h.surfer("en"), h.surfer("en")
	for _, x := range []*surfer{b, other} {
		x.send("/help-me", "what", "deleted", "name", "alice", "password", password).is("Y2", 200, "/help-me/deleted", `href="/wait"`)
	}
	b.send("/wait/go").is("Y2 nothing was asked", 200, "/wait").lacks("Y2", "otpauth")
	b.open("/wait").is("Y2", 200, "/wait", "Look at their hours", "9:00-17:00", phone.ID.String())
	b.send("/wait", "device", phone.ID.String()).is("P7 the number", 200, "/wait", `role="status"`, `href="tel:03-0000-0000"`, "Waiting for the help desk", `http-equiv="refresh"`)
	b.send("/wait/go").is("P7 too early", 200, "/wait", "Waiting for the help desk").lacks("P7", "otpauth")
	all, err := h.desk.Requests(context.Background(), authn.RecordQuery{Account: h.account("alice")})
	h.ok(err)
	if !strings.Contains(b.page, all[0].Number) {
		t.Errorf("P7: the page does not show %s", all[0].Number)
	}
	h.advance(40 * time.Minute) // a long call
	b.open("/wait").is("P7 after the call", 200, "/wait", "Waiting for the help desk")
	_, _, err = h.desk.Approve(context.Background(), operator, all[0].ID)
	h.ok(err)
	b.open("/wait").is("P7 approved", 200, "/wait", "You are confirmed", "/wait/go")
	if h.standing("alice", phone) != token.Revoked {
		t.Error("P3: the ticked device goes on")
	}
	other.send("/help-me", "what", "deleted", "name", "alice", "password", password)
	other.send("/wait/go").is("P7 another browser", 200, "/wait").lacks("P7 another browser", "otpauth", "You are confirmed")
	mailed := h.mail(h.account("alice"))
	b.send("/wait/go").is("Y2 the QR code", 200, "/activate", "otpauth://", "<svg")
	b.send("/wait/go").is("P7 once", 200, "/wait").lacks("P7 once", "otpauth")
	other.open(mailed).is("Y2 the mailed link", 200, mailed, "no longer valid")
	b.open("/activate").send("/activate", "code", b.scan().code(0)).is("Y2", 200, "/activate/done")

	c := h.surfer("en")
	c.send("/help-me", "what", "deleted", "name", "bob", "password", password)
	c.send("/wait").is("Y2 bob has none", 200, "/wait", "Waiting for the help desk")
	all, err = h.desk.Requests(context.Background(), authn.RecordQuery{Account: h.account("bob")})
	h.ok(err)
	_, err = h.desk.Refuse(context.Background(), operator, all[0].ID, "You did not know your number.")
	h.ok(err)
	c.open("/wait").is("P7 refused", 200, "/wait", "You did not know your number.").lacks("P7 refused", "/wait/go")
	h.advance(61 * time.Minute)
	c.open("/wait").is("P7 an hour later", 401, "/wait")
}
