package authn

import (
	"testing"
	"time"

	"sekisho/token"
)

// A destroyed token is not given to anybody, however it came back into a list.
func TestAssignDestroyed(t *testing.T) {
	h := &Held{Accounts: []*Account{{ID: 1, Name: "ann"}}, Tokens: []*token.Token{{ID: 2, State: token.Destroyed}}}
	_, r := Act{Now: time.Unix(1000, 0)}.Assign(h, Owner{Account: 1}, 2, true, false)
	if r == nil || r.Code != "token-destroyed" {
		t.Errorf("assigning a destroyed token: %v, want token-destroyed", r)
	}
}
