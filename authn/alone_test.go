package authn_test

import (
	"testing"

	"sekisho/authn"
	"sekisho/token"
)

const other = "203.0.113.77"

// TestAlone: a page that asks for more later takes the password alone, of people with tokens too; it tells so in the event, makes
// no source a known one, and lets in whose account is stopped, because registering anew ends that. Guesses
// from one place are refused like those at a gateway (row 4).
func TestAlone(t *testing.T) {
	h := newHouse(t,
		&authn.Policy{Name: "page", Clients: []string{"page"}, First: authn.Password, Alone: true},
		&authn.Policy{Name: "all", First: authn.Password, Joined: true, Window: token.LoginWindow})
	p := h.person("alice", "word", 1)
	page, gw := gate(), gate()
	page.Name, page.Service = "pages", "page"
	want(t, "wrong", h.try(page, "alice", "nope", home), authn.Reject, authn.WrongPassword)
	want(t, "right", h.try(page, "alice", "word", home), authn.Accept, authn.OKAlone)
	if acc := h.account(p); len(acc.Guard.Known) != 0 {
		t.Error("the password alone made a source known")
	}
	want(t, "at a gateway it is not enough", h.try(gw, "alice", "word", home), authn.Reject, authn.WrongCode)
	h.edit(p, func(a *authn.Account) { a.Guard.Stopped = authn.StopAccount }, authn.ResetGuard)
	want(t, "stopped", h.try(gw, "alice", "word"+h.wrong(p, 1), home), authn.Reject, authn.AccountStopped)
	want(t, "and the page", h.try(page, "alice", "word", home), authn.Accept, authn.OKAlone)
	for n := range 6 {
		want(t, "guesses", h.try(page, "alice", "guess"+string(rune('a'+n)), other), authn.Reject, authn.WrongPassword)
	}
	want(t, "from there too many", h.try(page, "alice", "word", other), authn.Reject, authn.SourceLimit)
	want(t, "from elsewhere", h.try(page, "alice", "word", home), authn.Accept, authn.OKAlone)
}
