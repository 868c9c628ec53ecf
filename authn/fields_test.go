package authn_test

import (
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// twoFields is a login whose gateway has a field of its own for the code.
func (h *house) twoFields(c *authn.Client, name, text, code string) authn.Decision {
	h.t.Helper()
	l := h.login(c, name, text, home, nil)
	l.Code, l.HasCode = authn.NewSecret([]byte(code)), true
	return h.send(l)
}

// TestTwoFields: password and code in fields of their own go through the same rows as in one field, and nothing is split,
// however much the password looks as if a code stood in it.
func TestTwoFields(t *testing.T) {
	joined := &authn.Policy{Name: "joined", First: authn.Password, Joined: true, Window: token.LoginWindow}
	first := &authn.Policy{Name: "code first", First: authn.Password, Joined: true, CodeFirst: true, Window: token.LoginWindow}
	asked := &authn.Policy{Name: "asked", First: authn.Password, Ask: true, Window: token.LoginWindow}
	const password = "word123456"
	for _, p := range []*authn.Policy{joined, first, asked} {
		h := newHouse(t, p)
		annie := h.person("annie", password, 1)
		d := annie.devices[0]
		gw := gate()
		code := func() string { return d.code(h.step(d)) }
		want(t, p.Name+": both right", h.twoFields(gw, "annie", password, code()), authn.Accept, authn.OK)
		want(t, p.Name+": the code again", h.twoFields(gw, "annie", password, code()), authn.Reject, authn.AlreadyUsed)
		h.clock.advance(time.Minute)
		want(t, p.Name+": wrong code", h.twoFields(gw, "annie", password, h.wrong(annie, 1)), authn.Reject, authn.WrongCode)
		want(t, p.Name+": another wrong code", h.twoFields(gw, "annie", password, h.wrong(annie, 2)), authn.Reject, authn.WrongCode)
		want(t, p.Name+": the same texts again", h.twoFields(gw, "annie", password, h.wrong(annie, 2)), authn.Reject, authn.RepeatedText)
		want(t, p.Name+": wrong password", h.twoFields(gw, "annie", "word", code()), authn.Reject, authn.WrongFirstRightCode)
		want(t, p.Name+": no password", h.twoFields(gw, "annie", "", code()), authn.Reject, authn.WrongFirstRightCode)
		want(t, p.Name+": both wrong", h.twoFields(gw, "annie", "no", h.wrong(annie, 3)), authn.Reject, authn.WrongBoth)
		if n := h.account(annie).Guard.Row[authn.ClassKnown]; n != 2 {
			t.Errorf("%s: %d misses counted of 2", p.Name, n)
		}
		want(t, p.Name+": both right again", h.twoFields(gw, "annie", password, code()), authn.Accept, authn.OK)
	}
}

// TestTwoFieldsWithoutCode: where the second field is empty the code is asked for, if the policy asks at all.
func TestTwoFieldsWithoutCode(t *testing.T) {
	either := &authn.Policy{Name: "either", First: authn.Password, Joined: true, Ask: true, Window: token.LoginWindow}
	h := newHouse(t, either)
	h.person("annie", "word123456", 1)
	want(t, "asked", h.twoFields(gate(), "annie", "word123456", ""), authn.Challenge, authn.AskCode)
	want(t, "half a code", h.twoFields(gate(), "annie", "word123456", "12"), authn.Reject, authn.WrongCode)
	h = newHouse(t, &authn.Policy{Name: "joined", First: authn.Password, Joined: true, Window: token.LoginWindow})
	h.person("annie", "word123456", 1)
	want(t, "not asked", h.twoFields(gate(), "annie", "word123456", ""), authn.Reject, authn.WrongCode)
}

// TestTwoFieldsOtherFactors: a PIN is the first field whatever the second one holds, a code alone is the second, and an
// exempt person's password is the first.
func TestTwoFieldsOtherFactors(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "pin", First: authn.PIN, Joined: true, Window: token.LoginWindow})
	annie := h.person("annie", "", 1)
	hash, err := authn.HashPIN(h.db.Keys().Derive(authn.PINPurpose), annie.account, []byte("7391"))
	if err != nil {
		t.Fatal(err)
	}
	h.edit(annie, func(a *authn.Account) { a.PIN = hash }, 0)
	code := annie.devices[0].code(h.step(annie.devices[0]))
	want(t, "right PIN, no code", h.twoFields(gate(), "annie", "7391", "12"), authn.Reject, authn.WrongCode)
	want(t, "wrong PIN", h.twoFields(gate(), "annie", "7392", code), authn.Reject, authn.WrongFirstRightCode)
	want(t, "both right", h.twoFields(gate(), "annie", "7391", code), authn.Accept, authn.OK)

	h = newHouse(t, &authn.Policy{Name: "gateway", First: authn.Gateway, Window: token.LoginWindow})
	annie = h.person("annie", "", 1)
	gw := gate()
	gw.GatewayProves = true
	want(t, "a code alone", h.twoFields(gw, "annie", "whatever", annie.devices[0].code(h.step(annie.devices[0]))), authn.Accept, authn.OK)

	h = newHouse(t, &authn.Policy{Name: "exempt", First: authn.Password, Joined: true, ExemptGroups: []string{"kiosk"}, Window: token.LoginWindow})
	h.user("bob", "word", "kiosk")
	want(t, "exempt", h.twoFields(gate(), "bob", "word", "x"), authn.Accept, authn.OKExempt)
}
