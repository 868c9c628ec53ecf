package authn

import (
	"fmt"
	"maps"
	"slices"

	"sekisho/token"
)

// Incoming is one token of an import: checked, sealed and unknown so far.
type Incoming struct {
	Token *token.Token
	Owner *Owner // who gets it at once; nil: it goes into the stock
}

// Batch is what an import brings in, whole or not at all. It may hold far more than one Update can carry (S8).
type Batch struct {
	Tokens   []*token.Token
	Accounts []*Account // new ones, with what they hold
	Grants   []Grant    // to accounts that are there already, by ID
	Event    *Event     // who imports what
}

// Grant is what one account that is there already gets of a batch. It takes effect with the batch, by [Account.Take], once
// [Account.CanTake] has said under the account's lock that it may.
type Grant struct {
	Account AccountID
	Holds   []token.Assignment
}

// Import decides what new tokens become, in the stock or with their owners. here gives the account of an owner who has one
// already, and nil else; what it shows may be out of date when the batch takes effect, and is looked at again then.
func (a Act) Import(incoming []Incoming, here func(AccountID) *Account, pending bool, source string) (*Batch, *Refusal) {
	standing := token.Active
	if pending {
		standing = token.Pending
	}
	b := &Batch{Event: a.event("token.import", 0, 0, fmt.Sprintf("%d tokens, %s", len(incoming), source))}
	holds := map[AccountID][]token.Assignment{}
	owners := map[AccountID]*User{}
	for _, in := range incoming {
		t := *in.Token
		b.Tokens = append(b.Tokens, &t)
		if in.Owner == nil {
			continue
		}
		t.State = token.InUse
		id := in.Owner.Account
		holds[id] = append(holds[id], token.Assignment{Token: t.ID, Standing: standing, Since: a.Now.Unix()})
		owners[id] = in.Owner.User
	}
	for _, id := range slices.Sorted(maps.Keys(holds)) {
		acc := here(id)
		if acc == nil {
			u := owners[id]
			acc = &Account{ID: id, Directory: u.Directory, External: u.ID, Name: u.Name}
			acc.Take(holds[id])
			b.Accounts = append(b.Accounts, acc)
			acc = &Account{Name: u.Name}
		} else {
			b.Grants = append(b.Grants, Grant{id, holds[id]})
		}
		if refused := acc.CanTake(len(holds[id])); refused != nil {
			return nil, refused
		}
	}
	return b, nil
}

// CanTake says why an account may not get so many more tokens by an import; nil when it may.
func (a *Account) CanTake(n int) *Refusal {
	switch {
	case a.held()+n > MostTokens:
		return refusal("too-many-tokens", "%s would hold more than %d tokens; nothing was imported.", a.Name, MostTokens)
	case len(a.Assignments)+n > MostHolds:
		return refusal("too-many-holds", "%s would have held more than %d tokens, revoked ones included; nothing was imported.", a.Name, MostHolds)
	}
	return nil
}

// Take adds the holds that an import gives. Like every act it raises the generation: whatever was open before is dead (S13).
// A store calls it when the batch takes effect and when it replays that.
func (a *Account) Take(holds []token.Assignment) {
	a.Assignments = append(slices.Clip(a.Assignments), holds...)
	a.Generation++
	a.Memory = Memory{}
}
