package authn

import (
	"slices"
	"testing"
	"time"

	"sekisho/token"
)

var (
	actNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	act    = Act{Actor: "root", Now: actNow}
	annie  = &User{Directory: "ldap", ID: "uuid-1", Name: "annie"}
)

func stock(form token.Form) *token.Token {
	return &token.Token{ID: 7, Serial: "T1", Form: form, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, State: token.InStock, Last: token.NoStep}
}

func account(standing token.Standing) *Account {
	return &Account{ID: 3, Directory: "ldap", External: "uuid-1", Name: "annie", Generation: 5,
		Assignments: []token.Assignment{{Token: 7, Standing: standing, Since: 1}}}
}

func holding(a *Account, t *token.Token) *Held {
	h := &Held{Accounts: []*Account{a}}
	if t != nil {
		h.Tokens = []*token.Token{t}
	}
	return h
}

func inUse(t *token.Token) *token.Token { t.State = token.InUse; return t }

// TestActs walks each act from each state that matters to what it leaves behind, or to its refusal.
func TestActs(t *testing.T) {
	me := Owner{Account: 3, User: annie}
	worn := &Account{ID: 3, Name: "annie"}
	for i := range MostHolds {
		worn.Assignments = append(worn.Assignments, token.Assignment{Token: token.ID(100 + i), Standing: token.Revoked})
	}
	if r := worn.CanTake(1); r == nil || r.Code != "too-many-holds" {
		t.Errorf("an import into an account with %d holds: %v", MostHolds, r)
	}
	tests := []struct {
		name     string
		do       func() (Change, *Refusal)
		refused  string
		recorded bool // an event is saved, refused or not
	}{
		{name: "set a PIN for somebody new", recorded: true,
			do: func() (Change, *Refusal) { return act.SetPIN(holding(nil, nil), me, PINHash{Sum: [32]byte{1}}) }},
		{name: "unlock nobody", refused: "not-found",
			do: func() (Change, *Refusal) { return act.Unlock(holding(nil, nil), Owner{Account: 3}) }},
		{name: "unlock what is open", refused: "not-locked",
			do: func() (Change, *Refusal) { return act.Unlock(holding(account(token.Active), nil), me) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, refused := tt.do()
			if got := refused; got != nil && got.Code != tt.refused || got == nil && tt.refused != "" {
				t.Fatalf("refusal %v, want %q", got, tt.refused)
			}
			if (c.Event != nil) != tt.recorded {
				t.Errorf("event %v, want one: %v", c.Event, tt.recorded)
			}
			if c.Event != nil && (c.Event.Kind != ActEvent || c.Event.Actor != "root" || c.Event.Act == "" || !c.Event.At.Equal(actNow)) {
				t.Errorf("the event does not say who did what when: %+v", c.Event)
			}
			if tt.refused != "" && len(c.Accounts)+len(c.Tokens) > 0 {
				t.Errorf("a refusal changes something: %+v", c)
			}
		})
	}
}

// TestActsLeaveHeldAlone holds what Update asks for: f reads what it is given and changes nothing in it.
func TestActsLeaveHeldAlone(t *testing.T) {
	a, tok := account(token.Pending), inUse(stock(token.Software))
	a.Guard = Guard{Stopped: StopAccount, Row: [2]uint8{5, 6}, Charges: []Charge{{Pot: PotU, Day: 1, Amount: 2}}}
	h := holding(a, tok)
	me := Owner{Account: 3, User: annie}
	c, _ := act.Unlock(h, me)
	g := c.Accounts[0].Guard
	if c.Accounts[0].Generation != 6 || g.Stopped != 0 || g.Row != [2]uint8{} || c.Reset != ResetGuard {
		t.Errorf("unlock left %+v", g)
	}
	if !slices.Equal(g.Charges, a.Guard.Charges) {
		t.Errorf("unlock emptied a yearly pot: %+v", g.Charges)
	}
	if !a.Holds(7) || account(token.Revoked).Holds(7) || a.Holds(8) {
		t.Error("who holds a token is told wrong")
	}
	if a.Generation != 5 || a.Assignments[0].Standing != token.Pending || a.Guard.Stopped != StopAccount || tok.State != token.InUse || tok.Last != token.NoStep {
		t.Errorf("an act changed what it was given: %+v %+v", a, tok)
	}
}

func TestImportAct(t *testing.T) {
	me, other := &Owner{Account: 3, User: annie}, &Owner{Account: 4, User: &User{Directory: "corp", ID: "4", Name: "bob"}}
	here := &Account{ID: 4, Name: "bob", Generation: 6, Assignments: []token.Assignment{{Token: 99, Standing: token.Revoked}}}
	known := func(id AccountID) *Account {
		if id == here.ID {
			return here
		}
		return nil
	}
	one, two, three, four := stock(token.Hardware), stock(token.Hardware), stock(token.Hardware), stock(token.Hardware)
	two.ID, three.ID, four.ID = 8, 9, 10
	b, refused := act.Import([]Incoming{{Token: one, Owner: me}, {Token: two, Owner: me}, {Token: three}, {Token: four, Owner: other}}, known, true, "file.csv")
	if refused != nil {
		t.Fatal(refused)
	}
	if len(b.Accounts) != 1 || len(b.Accounts[0].Assignments) != 2 || b.Accounts[0].ID != 3 || b.Accounts[0].Generation != 1 {
		t.Errorf("accounts: %+v", b.Accounts)
	}
	if len(b.Grants) != 1 || b.Grants[0].Account != 4 || len(b.Grants[0].Holds) != 1 || b.Grants[0].Holds[0].Standing != token.Pending {
		t.Errorf("grants: %+v", b.Grants)
	}
	if b.Tokens[0].State != token.InUse || b.Tokens[1].State != token.InUse || b.Tokens[2].State != token.InStock || one.State != token.InStock {
		t.Errorf("states: %v %v %v", b.Tokens[0].State, b.Tokens[1].State, b.Tokens[2].State)
	}
	if here.Generation != 6 || len(here.Assignments) != 1 {
		t.Errorf("deciding changed the account: %+v", here)
	}
	here.Memory.Pairs = []Pair{{}}
	if here.Take(b.Grants[0].Holds); here.Generation != 7 || !here.Holds(10) || len(here.Memory.Pairs) != 0 {
		t.Errorf("after the grant: %+v", here)
	}

	for _, owner := range []*Owner{me, other} {
		var many []Incoming
		for i := range MostTokens + 1 {
			tok := stock(token.Hardware)
			tok.ID = token.ID(i + 1)
			many = append(many, Incoming{Token: tok, Owner: owner})
		}
		if b, refused := act.Import(many, known, false, "x"); refused == nil || refused.Code != "too-many-tokens" || b != nil {
			t.Errorf("an account with too many tokens: %v", refused)
		}
	}
}
