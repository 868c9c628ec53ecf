package selfservice_test

import (
	"bytes"
	"context"
	"net/http"
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

// TestLink goes from a link to two devices: K1 to K4, K12, Y3. A reload, the back button and a second tab show the same secret.
func TestLink(t *testing.T) {
	h := newHouse(t)
	h.typing = []selfservice.Typing{{First: authn.Password, Joined: true}}
	link := h.link("alice")
	b := h.surfer("en")
	b.open(link).is("K2 the link", 200, link, `type="password"`, "2 more device").lacks("K2 the link alone", "otpauth", "<svg", "alice")
	b.send(link, "password", "wrong").is("K2 a wrong password", 422, link, "could not be confirmed").lacks("K2", "otpauth")
	b.send(link, "password", "").is("K2 no password", 422, link, "Type your password")
	if v := h.view(link); v.Begun != 0 || v.Used != 0 {
		t.Errorf("K3: opening the link and wrong passwords cost %d starts and %d uses", v.Begun, v.Used)
	}
	b.send(link, "password", password).is("K2 the password", 200, "/activate", "<svg", "otpauth://totp/", "Device 1 of 2", "Sekisho:alice")
	first := b.scan()
	for _, path := range []string{"/activate", link, "/activate?lang=en"} {
		if b.open(path); b.at != "/activate" || !bytes.Equal(b.scan().seed, first.seed) {
			t.Errorf("K3: %s shows another secret", path)
		}
	}
	if v := h.view(link); v.Begun != 1 {
		t.Errorf("K3: %d starts, want one", v.Begun)
	}
	b.send("/activate", "code", "").is("no code", 422, "/activate", "Type the code")
	b.send("/activate", "code", first.code(-1000)).is("Y3 a wrong code", 422, "/activate", "wrong-code", "<svg")
	code := first.code(0)
	full := strings.Map(func(r rune) rune { return r - '0' + '０' }, code[:3]) + "　" + code[3:]
	b.send("/activate", "code", full, "device", " my  phone ").is("Y3 the code, full-width", 200, "/activate/done", "my phone", "PASSWORD123456", "connect with the next one")
	b.open("/activate").is("back", 200, "/activate/done")
	b.send("/activate", "code", full).is("the same again", 200, "/activate/done")
	if v := h.view(link); v.Used != 1 {
		t.Errorf("K3: %d uses, want one", v.Used)
	}
	h.advance(time.Minute)
	c := h.surfer("en")
	c.open(link).is("K4 the second device", 200, link, "1 more device")
	c.send(link, "password", password).is("K4", 200, "/activate", "Device 2 of 2", "Sekisho:alice (2)")
	second := c.scan()
	c.send("/activate", "code", second.code(0)).is("K4", 200, "/activate/done")
	if holds := h.holder("alice").Holds; len(holds) != 2 || holds[0].Standing != token.Active || holds[1].Standing != token.Active {
		t.Errorf("K4: holds %v", holds)
	}
	c.open(link).is("K3 used up", 200, link, "as many devices as it is good for").lacks("K3 used up", `type="password"`)
	c.send(link, "password", password).is("K3 used up", 200, link, "as many devices as it is good for")
}

// TestLinkElsewhere: a start in another browser voids the one before, whose page says so; each begins anew by itself, until the
// starts are used up (K3). A code of what was voided is recognised (P16).
func TestLinkElsewhere(t *testing.T) {
	h := newHouse(t)
	link := h.link("alice")
	b, c := h.surfer("en"), h.surfer("en")
	b.send(link, "password", password).is("here", 200, "/activate")
	old := b.scan()
	c.send(link, "password", password).is("elsewhere", 200, "/activate")
	b.open("/activate").is("reloaded here", 409, "/activate", "started-elsewhere", "Start again here").lacks("reloaded here", "otpauth")
	b.send("/activate", "code", old.code(0)).is("the code of the old secret", 409, "/activate", "started-elsewhere")
	c.open("/activate").is("a reload elsewhere", 200, "/activate", "<svg")
	c.send("/activate", "code", old.code(0)).is("P16 the old code elsewhere", 422, "/activate", "old-entry", "delete the old entry")
	b.send("/activate/again").is("here anew", 200, "/activate", "<svg")
	if v := h.view(link); v.Begun != 3 {
		t.Errorf("%d starts, want 3", v.Begun)
	}
	c.open("/activate").is("elsewhere now", 409, "/activate", "started-elsewhere")
	c.send("/activate/again").is("the fourth", 200, "/activate")
	b.send("/activate/again").is("the fifth", 200, "/activate")
	c.send("/activate/again").is("the sixth", 409, "/activate/again", "starts-used")
	h.advance(life.Defaults().Link.Page)
	h.surfer("en").send(link, "password", password).is("no start is left", 422, link, "starts-used")
}

// TestLinkLapses: after half an hour the page says that it was open too long and begins anew; a lapsed, revoked or unknown link
// says what to do, and one of another person opens with that person's password alone.
func TestLinkLapses(t *testing.T) {
	h := newHouse(t)
	link := h.link("alice")
	b := h.surfer("en")
	b.send(link, "password", password).is("a start", 200, "/activate")
	h.advance(29 * time.Minute)
	b.open("/activate").is("29 minutes later", 200, "/activate")
	h.advance(2 * time.Minute)
	b.open("/activate").is("31 minutes later", 409, "/activate", "start-lapsed", "Start again here")
	b.send("/activate/again").is("anew", 200, "/activate", "<svg")
	h.advance(22 * 24 * time.Hour)
	b.open(link).is("K3 a lapsed letter", 200, link, "cannot be sent again").lacks("a lapsed letter", "/resend")

	v, _, err := h.desk.Issue(context.Background(), operator, desk.LinkOrder{Account: h.account("bob")})
	h.ok(err)
	mailed := h.mail(v.Account)
	b.open(mailed).is("K1 the link of the mail", 200, mailed, `type="password"`)
	b.send(mailed+"/resend").is("a link that is good is not sent again", 200, mailed+"/resend", `type="password"`)
	h.advance(25 * time.Hour)
	b.open(mailed).is("K3 a lapsed mail", 200, mailed, "Send the link again")
	b.send(mailed, "password", password).is("K3 a lapsed mail", 200, mailed, "Send the link again")
	b.send(mailed+"/resend").is("K3 sent again", 200, mailed+"/resend", "A mail is on its way", "Subject")
	again := h.mail(v.Account)
	b.open(mailed).is("the former link", 404, mailed, "link-unknown", "newest mail")
	b.open(again).is("the new one", 200, again, "2 more device")
	_, err = h.desk.RevokeLink(context.Background(), operator, v.ID)
	h.ok(err)
	b.open(again).is("K3 a revoked link", 200, again, "no longer valid")
	for _, bad := range []string{"/a/x", "/a/" + strings.Repeat("A", 32), "/a/%00", "/a/" + strings.Repeat("x", 9000)} {
		if b.open(bad); b.code != http.StatusNotFound || !strings.Contains(b.page, "link-unknown") {
			t.Errorf("%.20s: %d\n%s", bad, b.code, strip(b.page))
		}
	}
}

// mail gives the link of the last mail to a person.
func (h *house) mail(account authn.AccountID) string {
	h.t.Helper()
	all, err := h.db.Records(authn.RecordQuery{Kind: authn.MessageRecord, Account: account, Newest: true})
	h.ok(err)
	for _, r := range all {
		if m := regexp.MustCompile(`/a/[A-Za-z0-9_-]+`).Find(r.Data); m != nil {
			return string(m)
		}
	}
	h.t.Fatal("no mail with a link waits")
	return ""
}

// TestScanners: programs that open each link of a mail, follow the links of the page and send its forms, filled with what they
// find, spend nothing (B43).
func TestScanners(t *testing.T) {
	h := newHouse(t)
	forms := regexp.MustCompile(`(?s)<form method="post" action="([^"]+)">(.*?)</form>`)
	names := regexp.MustCompile(` name="([^"]+)"`)
	links := regexp.MustCompile(`href="(/[^"]*|\?[^"]*)"`)
	for range 20 {
		link := h.link("alice")
		seen := map[string]bool{}
		for range 2 {
			b := h.surfer("en")
			_ = b.do(b.request(http.MethodHead, link, nil))
			b.open(link)
			page := b.page
			for _, m := range links.FindAllStringSubmatch(page, -1) {
				if strings.HasPrefix(m[1], "/") && !seen[m[1]] {
					seen[m[1]] = true
					b.open(m[1])
				}
			}
			for _, m := range forms.FindAllStringSubmatch(page, -1) {
				for _, value := range []string{"", "test", "alice"} {
					var pairs []string
					for _, n := range names.FindAllStringSubmatch(m[2], -1) {
						pairs = append(pairs, n[1], value)
					}
					b.send(m[1], pairs...)
					b.sendFrom("null", m[1], pairs...)
				}
			}
			for _, path := range []string{"/resend"} {
				b.send(link + path)
			}
		}
		if v := h.view(link); v.Begun != 0 || v.Used != 0 || v.Stage != life.Open {
			t.Fatalf("B43: a scanner spent %d starts and %d uses, the link is %s", v.Begun, v.Used, v.Stage)
		}
	}
}

// TestShortCuts: no order and no part of the steps leads to a device without all of them (B45).
func TestShortCuts(t *testing.T) {
	h := newHouse(t)
	steps := map[string]func(*surfer){
		"code":  func(b *surfer) { b.send("/activate", "code", "123456") },
		"again": func(b *surfer) { b.send("/activate/again") },
		"done":  func(b *surfer) { b.open("/activate/done") },
		"pin":   func(b *surfer) { b.send("/activate/pin", "pin", "4711x", "pin2", "4711x") },
		"form":  func(b *surfer) { b.open("/activate") },
		"add":   func(b *surfer) { b.send("/my/add", "code", "123456", "device", "x") },
		"addc":  func(b *surfer) { b.send("/my/add/code", "code", "123456") },
		"reg":   func(b *surfer) { b.send("/my/register", "serial", "12345678", "code", "123456") },
		"block": func(b *surfer) { b.send("/my/device/AAAAAAAAAAAAA/block") },
		"lost":  func(b *surfer) { b.send("/help-me/lost", "device", "AAAAAAAAAAAAA") },
		"mail":  func(b *surfer) { b.send("/help-me/deleted") },
		"temp":  func(b *surfer) { b.send("/temporary") },
		"ask":   func(b *surfer) { b.send("/request", "kind", "new", "why", "other") },
	}
	for one, first := range steps {
		for two, second := range steps {
			b := h.surfer("en")
			first(b)
			second(b)
			if b.code < 400 {
				t.Errorf("B45: %s then %s without a sign-in: %d on %s", one, two, b.code, b.at)
			}
			b.lacks("B45 "+one+" "+two, "otpauth", "<svg")
		}
	}
	for name, step := range steps { // the link's password opens nothing but the link
		h := newHouse(t)
		link := h.link("alice")
		b := h.surfer("en")
		b.send(link, "password", password).is("the start", 200, "/activate")
		step(b)
		if b.code < 400 && name != "again" && name != "form" && name != "done" && name != "pin" {
			t.Errorf("B45: %s in a session of a link: %d on %s", name, b.code, b.at)
		}
		holder := h.holder("alice")
		for _, hold := range holder.Holds {
			if hold.Standing == token.Active {
				t.Errorf("B45: after %s a device is in service", name)
			}
		}
		if holder.PIN.Current != (life.PINHash{}) {
			t.Errorf("B45: after %s there is a PIN before the first code", name)
		}
	}
	h.phone("bob", "")
	b := h.surfer("en")
	b.send("/help-me", "what", "away", "name", "bob", "password", password).is("by the password alone", 200, "/help-me/away")
	for _, path := range []string{"/my", "/my/add", "/my/pin", "/my/recovery", "/my/register", "/my/sessions", "/my/logins", "/activate"} {
		if b.open(path); b.code < 400 {
			t.Errorf("B45: the password alone opens %s", path)
		}
	}
}

// TestClockOff: a right code that is minutes off says that the phone's clock is wrong.
func TestClockOff(t *testing.T) {
	h := newHouse(t)
	link := h.link("alice")
	for lang, want := range map[string]string{"en": "The clock of the phone", "ja": "スマートフォンの時刻がずれています"} {
		b := h.surfer(lang)
		b.send(link, "password", password).is("the start", 200, "/activate")
		b.send("/activate", "code", b.scan().code(-6)).is("three minutes off", 422, "/activate", "clock-off", want, "<svg")
	}
}

// TestFirstPIN: where a gateway asks for a PIN it is chosen once the code was right (K8), and only then.
func TestFirstPIN(t *testing.T) {
	h := newHouse(t)
	h.typing = []selfservice.Typing{{First: authn.PIN, Joined: true, CodeFirst: true}}
	link := h.link("alice")
	b := h.surfer("en")
	b.send(link, "password", password)
	b.send("/activate/pin", "pin", "4711x", "pin2", "4711x").is("too early", 200, "/activate")
	b.send("/activate", "code", b.scan().code(0)).is("the code", 200, "/activate/done", `name="pin2"`).lacks("the code", "7391k")
	b.send("/activate/pin", "pin", "4711x", "pin2", "4711y").is("two PINs", 422, "/activate/pin", "pin-differs")
	b.send("/activate/pin", "pin", "1234", "pin2", "1234").is("a run", 422, "/activate/pin", "pin-run")
	b.send("/activate/pin", "pin", "４７１１x", "pin2", "4711x").is("a PIN", 200, "/activate/done", "The PIN was set", "1234567391k")
	b.send("/activate/pin", "pin", "4712x", "pin2", "4712x").is("no second one here", 200, "/activate/done")
}
