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

func fits(r token.Result) func(*token.Token) (token.Match, error) {
	return func(*token.Token) (token.Match, error) { return token.Match{Result: r, Step: 99}, nil }
}

// TestActs walks each act from each state that matters to what it leaves behind, or to its refusal.
func TestActs(t *testing.T) {
	me := Owner{Account: 3, User: annie}
	expired := stock(token.Hardware)
	expired.Expiry = actNow.Unix()
	later := inUse(stock(token.Hardware))
	later.Start = actNow.Unix() + 1
	full := &Account{ID: 3, Name: "annie"}
	for i := range MostTokens {
		full.Assignments = append(full.Assignments, token.Assignment{Token: token.ID(100 + i), Standing: token.Active})
	}
	worn := &Account{ID: 3, Name: "annie"}
	for i := range MostHolds {
		worn.Assignments = append(worn.Assignments, token.Assignment{Token: token.ID(100 + i), Standing: token.Revoked})
	}
	if r := worn.CanTake(1); r == nil || r.Code != "too-many-holds" {
		t.Errorf("an import into an account with %d holds: %v", MostHolds, r)
	}
	confirm := func(a *Account, tok *token.Token, r token.Result) func() (Change, *Refusal) {
		return func() (Change, *Refusal) {
			c, refused, err := act.Confirm(holding(a, tok), me, 7, fits(r))
			if err != nil {
				t.Error(err)
			}
			return c, refused
		}
	}
	tests := []struct {
		name     string
		do       func() (Change, *Refusal)
		refused  string
		standing token.Standing
		state    token.State
		recorded bool // an event is saved, refused or not
	}{
		{name: "assign makes the account", standing: token.Active, state: token.InUse, recorded: true,
			do: func() (Change, *Refusal) { return act.Assign(holding(nil, stock(token.Hardware)), me, 7, false, false) }},
		{name: "assign pending", standing: token.Pending, state: token.InUse, recorded: true,
			do: func() (Change, *Refusal) { return act.Assign(holding(nil, stock(token.Hardware)), me, 7, false, true) }},
		{name: "assign again after a revocation", standing: token.Active, state: token.InUse, recorded: true,
			do: func() (Change, *Refusal) {
				return act.Assign(holding(account(token.Revoked), stock(token.Hardware)), me, 7, false, false)
			}},
		{name: "assign what one has", refused: "already-assigned",
			do: func() (Change, *Refusal) {
				return act.Assign(holding(account(token.Suspended), inUse(stock(token.Hardware))), me, 7, true, false)
			}},
		{name: "assign somebody else's", refused: "token-in-use",
			do: func() (Change, *Refusal) {
				return act.Assign(holding(nil, inUse(stock(token.Hardware))), me, 7, false, false)
			}},
		{name: "share", standing: token.Active, state: token.InUse, recorded: true,
			do: func() (Change, *Refusal) {
				return act.Assign(holding(nil, inUse(stock(token.Hardware))), me, 7, true, false)
			}},
		{name: "assign an expired one", refused: "token-expired",
			do: func() (Change, *Refusal) { return act.Assign(holding(nil, expired), me, 7, false, false) }},
		{name: "assign nothing", refused: "not-found",
			do: func() (Change, *Refusal) { return act.Assign(holding(nil, nil), me, 7, false, false) }},
		{name: "one too many", refused: "too-many-tokens",
			do: func() (Change, *Refusal) {
				return act.Assign(holding(full, stock(token.Hardware)), me, 7, false, false)
			}},
		{name: "one too many in a life", refused: "too-many-holds",
			do: func() (Change, *Refusal) {
				return act.Assign(holding(worn, stock(token.Hardware)), me, 7, false, false)
			}},
		{name: "enroll one too many in a life", refused: "too-many-holds",
			do: func() (Change, *Refusal) { return act.Enroll(holding(worn, nil), me, stock(token.Software)) }},
		{name: "enroll", standing: token.Pending, state: token.InUse, recorded: true,
			do: func() (Change, *Refusal) { return act.Enroll(holding(nil, nil), me, stock(token.Software)) }},
		{name: "enroll one too many", refused: "too-many-tokens",
			do: func() (Change, *Refusal) { return act.Enroll(holding(full, nil), me, stock(token.Software)) }},
		{name: "confirm", standing: token.Active, state: token.InUse, recorded: true,
			do: confirm(account(token.Pending), inUse(stock(token.Software)), token.Fresh)},
		{name: "confirm with a wrong code", refused: "wrong-code", recorded: true,
			do: confirm(account(token.Pending), inUse(stock(token.Software)), token.Miss)},
		{name: "confirm with a used code", refused: "already-used", recorded: true,
			do: confirm(account(token.Pending), inUse(stock(token.Software)), token.Used)},
		{name: "confirm twice", refused: "already-active",
			do: confirm(account(token.Active), inUse(stock(token.Software)), token.Fresh)},
		{name: "confirm a revoked one", refused: "not-pending",
			do: confirm(account(token.Revoked), inUse(stock(token.Software)), token.Fresh)},
		{name: "confirm an expired one", refused: "token-expired",
			do: confirm(account(token.Pending), expired, token.Fresh)},
		{name: "confirm too early", refused: "token-not-started",
			do: confirm(account(token.Pending), later, token.Fresh)},
		{name: "revoke a hardware token", standing: token.Revoked, state: token.InStock, recorded: true,
			do: func() (Change, *Refusal) {
				return act.Revoke(holding(account(token.Active), inUse(stock(token.Hardware))), 7, []AccountID{3}, 0)
			}},
		{name: "revoke a software token", standing: token.Revoked, state: token.Destroyed, recorded: true,
			do: func() (Change, *Refusal) {
				return act.Revoke(holding(account(token.Pending), inUse(stock(token.Software))), 7, []AccountID{3}, 0)
			}},
		{name: "revoke from one of two", standing: token.Revoked, state: token.InUse, recorded: true,
			do: func() (Change, *Refusal) {
				return act.Revoke(holding(account(token.Active), inUse(stock(token.Hardware))), 7, []AccountID{3}, 1)
			}},
		{name: "revoke twice", refused: "not-assigned",
			do: func() (Change, *Refusal) {
				return act.Revoke(holding(account(token.Revoked), stock(token.Hardware)), 7, []AccountID{3}, 0)
			}},
		{name: "destroy what lies in stock", state: token.Destroyed, recorded: true,
			do: func() (Change, *Refusal) { return act.Revoke(holding(nil, stock(token.Hardware)), 7, nil, 0) }},
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
			if tt.refused != "" {
				if len(c.Accounts)+len(c.Tokens) > 0 {
					t.Errorf("a refusal changes something: %+v", c)
				}
				return
			}
			if tt.standing != 0 {
				if s := c.Accounts[0].Assignment(7); s == nil || s.Standing != tt.standing || s.Since != actNow.Unix() {
					t.Errorf("assignment %+v, want %v since now", s, tt.standing)
				}
			}
			if tt.state != 0 && c.Tokens[0].State != tt.state {
				t.Errorf("token %v, want %v", c.Tokens[0].State, tt.state)
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
	c, _, _ := act.Confirm(h, me, 7, fits(token.Fresh))
	if c.Accounts[0].Generation != 6 || c.Tokens[0].Last != 99 || c.Reset != ResetStep || c.Event.Step != 99 {
		t.Errorf("confirm: %+v %+v", c.Accounts[0], c.Tokens[0])
	}
	c, _ = act.Unlock(h, me)
	g := c.Accounts[0].Guard
	if g.Stopped != 0 || g.Row != [2]uint8{} || c.Reset != ResetGuard {
		t.Errorf("unlock left %+v", g)
	}
	if !slices.Equal(g.Charges, a.Guard.Charges) {
		t.Errorf("unlock emptied a yearly pot: %+v", g.Charges)
	}
	_, _ = act.Revoke(h, 7, []AccountID{3}, 0)
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
