package storage

import (
	"fmt"
	"slices"
	"testing"

	"sekisho/authn"
	"sekisho/token"
)

// TestHandedOut: the answers of one commit are sent together at its end, and those before an act before the act is
// acknowledged (S13).
func TestHandedOut(t *testing.T) {
	s := newSite(t)
	enter, leave := make(chan struct{}), make(chan struct{})
	blocking := false
	s.env.onCommit = func(commit func() error) error {
		if blocking {
			enter <- struct{}{}
			<-leave
		}
		return commit()
	}
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 0)
	acc := newAccount("u", tok)
	create(t, db, []*authn.Account{acc}, tok)

	var order []string // written by the committer alone until done
	db.OnHandedOut(func() { order = append(order, "sent") })
	keys := authn.Keys{Accounts: []authn.AccountID{acc.ID}}
	done := make(chan struct{}, 8)
	note := func(what string) func(error) {
		return func(err error) {
			order = append(order, fmt.Sprint(what, err))
			done <- struct{}{}
		}
	}
	login := func(step int64) {
		var ok bool
		if err := db.Update(keys, loginOf(acc.ID, tok.ID, step, &ok), note(fmt.Sprint("login", step))); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	blocking = true
	login(1)
	<-enter // the others gather behind this commit
	login(2)
	login(3)
	err := db.Update(keys, func(h *authn.Held) (authn.Change, error) {
		a := cloneAccount(h.Accounts[0])
		a.Generation++
		return authn.Change{Event: act("test.revoke"), Accounts: []*authn.Account{a}}, nil
	}, note("act"))
	if err != nil {
		t.Fatal(err)
	}
	login(4)
	leave <- struct{}{}
	<-enter
	blocking = false
	leave <- struct{}{}
	for range 5 {
		<-done
	}
	closeDB(t, db)
	want := []string{"login1<nil>", "sent", "login2<nil>", "login3<nil>", "sent", "act<nil>", "login4<nil>", "sent"}
	if order[0] == "sent" {
		order = order[1:] // the end of create's own commit, if that came after OnHandedOut
	}
	if len(order) < len(want) || !slices.Equal(order[:len(want)], want) {
		t.Errorf("got  %v\nwant %v", order, want)
	}
}
