package selfservice_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/selfservice"
)

// TestToken: without sign-in a token is tested and its clock corrected by serial and codes; whatever the token is, the answer has
// one sentence, and owners are not told (V1 to V4).
func TestToken(t *testing.T) {
	h := newHouse(t)
	k := h.stock("AB1234567890")
	b := h.surfer("en")
	b.open("/token").is("V1", 200, "/token", `autocapitalize="characters"`, `inputmode="numeric"`)
	b.send("/token/test", "serial", "ab1234567890", "code", k.code(0)).is("V1 works", 200, "/token/test", "It works", `value="AB1234567890"`)
	b.send("/token/test", "serial", "AB1234567890", "code", k.code(0)).is("V1 burnt", 422, "/token/test", "not-confirmed")
	sentence := strip(b.page)
	for what, form := range map[string][2]string{
		"no such token": {"ZZ9999999999", "123456"}, "a wrong code": {"AB1234567890", k.code(-5000)}, "a code of another length": {"AB1234567890", "12345678"},
	} {
		b.send("/token/test", "serial", form[0], "code", form[1]).is("V3 "+what, 422, "/token/test", "not-confirmed")
		if strip(b.page) != sentence {
			t.Errorf("V3 %s: another page:\n%s", what, strip(b.page))
		}
	}
	for what, form := range map[string][2]string{"short": {"AB12", "123456"}, "letters": {"AB1234567890", "12345a"}, "signs": {"AB12345678'0", "123456"}, "few digits": {"AB1234567890", "12345"}} {
		b.send("/token/test", "serial", form[0], "code", form[1])
		if b.code != 422 || !contains(b.page, "serial-form", "code-form") {
			t.Errorf("V3 %s: %d\n%s", what, b.code, strip(b.page))
		}
	}
	h.advance(time.Hour) // the token's tries of ten minutes are over
	slow := k.code(-30)
	b.send("/token/test", "serial", "AB1234567890", "code", slow).is("V1 out of step", 200, "/token/test", "Its clock is off")
	b.send("/token/resync", "serial", "AB1234567890", "first", k.code(-29), "second", k.code(-29)).is("V4 equal codes", 422, "/token/resync", "equal-codes", `value="AB1234567890"`)
	b.lacks("V3 the codes are gone", k.code(-29))
	b.send("/token/resync", "serial", "AB1234567890", "first", k.code(-28), "second", k.code(-29)).is("V2 in the wrong order", 422, "/token/resync", "not-confirmed")
	b.send("/token/resync", "serial", "AB1234567890", "first", k.code(-27), "second", k.code(-26)).is("V2", 200, "/token/resync", "It is corrected")
	b.send("/token/resync", "serial", "AB1234567890", "first", k.code(-27), "second", k.code(-26)).is("V2 burnt", 422, "/token/resync", "not-confirmed")

	off := newHouse(t, func(c *selfservice.Config) { no := false; c.TokenPage = &no })
	off.surfer("en").open("/token").is("switched off", 404, "/token")
	off.surfer("en").send("/token/test", "serial", "AB1234567890", "code", "123456").is("switched off", 404, "/token/test")
	off.surfer("en").open("/").lacks("switched off", `href="/token"`)
}

// TestTokenSignedIn: who is signed in is told at once what is wrong (V3).
func TestTokenSignedIn(t *testing.T) {
	h := newHouse(t)
	b := h.surfer("en").signIn("bob")
	b.send("/token/test", "serial", "ZZ9999999999", "code", "123456").is("V3 unknown", 422, "/token/test", "no-such-token", "ZZ9999999999")
	k := h.stock("AB1234567890")
	b.send("/token/test", "serial", "AB1234567890", "code", k.code(-5000)).is("V3 wrong", 422, "/token/test", "wrong-code")
	if g := h.guard("bob"); g.Row != [2]uint8{} || len(g.Charges) != 0 {
		t.Errorf("V3: wrong codes on this page count towards logins: %+v", g)
	}
}

func (h *house) guard(name string) authn.Guard {
	h.t.Helper()
	acc, err := h.db.Account(h.account(name))
	h.ok(err)
	return acc.Guard
}

func contains(page string, some ...string) bool {
	return slices.ContainsFunc(some, func(x string) bool { return strings.Contains(page, x) })
}
