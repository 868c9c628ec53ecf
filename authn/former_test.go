package authn_test

import (
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// TestFormer: the Authenticator of another configuration goes on with what its former one knows, and a login in flight
// ends by the rules that it began with.
func TestFormer(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "old", First: authn.Password, Joined: true, Ask: true, Window: token.LoginWindow})
	gw := gate()
	gw.CanChallenge = true
	p := h.person("bob", "secret ", 1)
	d := p.devices[0]

	asked := h.try(gw, "bob", "secret ", home)
	want(t, "asked before", asked, authn.Challenge, authn.AskCode)
	h.dir.set(func(p *people) { p.hold = make(chan struct{}) })
	inFlight := make(chan authn.Decision, 1)
	go func() { inFlight <- h.try(gw, "bob", "other "+d.code(h.step(d)), home) }()
	for h.dir.sent.Load() < 2 {
		time.Sleep(time.Millisecond)
	}

	old := h.auth
	h.auth = &authn.Authenticator{Directories: h.auth.Directories, Store: h.db, Keys: h.db.Keys(), Limits: authn.NormalLimits, Clock: old.Clock,
		Now: old.Now, Log: old.Log, Former: old,
		Policies: []*authn.Policy{{Name: "new", First: authn.Password, Joined: true, Ask: true, Window: token.LoginWindow}}}
	h.dir.set(func(p *people) { close(p.hold); p.hold = nil })
	want(t, "a login in flight", <-inFlight, authn.Reject, authn.WrongFirstRightCode)
	if e := h.events()[0]; e.Policy != "old" {
		t.Errorf("a login that began under the old rules ended under %q", e.Policy)
	}
	sent := h.dir.sent.Load()
	want(t, "refused before", h.try(gw, "bob", "other "+h.wrong(p, 1), home), authn.Reject, authn.WrongBoth)
	if h.dir.sent.Load() != sent {
		t.Error("the bind budget began afresh")
	}
	got := h.try(gw, "bob", d.code(h.step(d)), home, asked.State...)
	want(t, "answer to the question of before", got, authn.Accept, authn.OK)
	if got.Policy.Name != "new" {
		t.Errorf("a new round went by policy %q", got.Policy.Name)
	}
}
