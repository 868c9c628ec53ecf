package authn

import (
	"fmt"
	"slices"
	"time"

	"sekisho/token"
)

// Refusal says why an act was not done: a stable code for machines and one sentence for people, with what to do. It is an
// answer, not a fault; as an error it abandons an update in which nothing is to be saved.
type Refusal struct{ Code, Sentence string }

// Error gives the sentence.
func (r *Refusal) Error() string { return r.Sentence }

func refusal(code, format string, a ...any) *Refusal {
	return &Refusal{code, fmt.Sprintf(format, a...)}
}

// Act is the life cycle's half of the rules: who does something and when. Each method decides one act on what an
// [Store.Update] holds, and gives what is to be changed, event included, or why not. A Change with an event beside a
// Refusal is an attempt that has to be recorded.
type Act struct {
	Actor string // name of the operator, as the local socket or a session proved it
	Now   time.Time
}

// Owner is the person an act is about: their account, or the ID of one that the act may create, and what the directory
// says about them (nil where it was not asked).
type Owner struct {
	Account AccountID
	User    *User
}

// account copies the held account of the owner so that it can be changed, or makes a new one; nil when there is none and
// no user to make one for. Its generation is raised: whatever was open before the act is dead (S13).
func (o Owner) account(h *Held) *Account {
	for _, a := range h.Accounts {
		if a != nil && a.ID == o.Account {
			next := *a
			next.Generation++
			next.Assignments = slices.Clone(a.Assignments)
			next.Guard.Charges = slices.Clone(a.Guard.Charges)
			next.Guard.Known = slices.Clone(a.Guard.Known)
			if o.User != nil {
				next.Name = o.User.Name
			}
			return &next
		}
	}
	if o.User == nil {
		return nil
	}
	return &Account{ID: o.Account, Directory: o.User.Directory, External: o.User.ID, Name: o.User.Name, Generation: 1}
}

// Assignment finds an account's hold on a token; nil when it never had one.
func (a *Account) Assignment(id token.ID) *token.Assignment {
	for i := range a.Assignments {
		if a.Assignments[i].Token == id {
			return &a.Assignments[i]
		}
	}
	return nil
}

// Holds reports a hold that has not been revoked.
func (a *Account) Holds(id token.ID) bool {
	s := a.Assignment(id)
	return s != nil && s.Standing != token.Revoked
}

func (a *Account) hold(id token.ID, s token.Standing, now time.Time) {
	if old := a.Assignment(id); old != nil {
		old.Standing, old.Since = s, now.Unix()
		return
	}
	a.Assignments = append(a.Assignments, token.Assignment{Token: id, Standing: s, Since: now.Unix()})
}

// MostTokens is how many tokens one account may hold: each one is evaluated at each login and charged for (S4).
const MostTokens = 10

// MostHolds is how many tokens one account may have held in its life, revoked ones included: they stay, so that a late code
// of one is told apart from a guess (P4).
const MostHolds = 256

// full refuses one more token for an account.
func (a *Account) full(id token.ID) *Refusal {
	switch {
	case a.held() >= MostTokens:
		return refusal("too-many-tokens", "%s holds %d tokens, the most one person may have; revoke one first.", a.Name, MostTokens)
	case len(a.Assignments) >= MostHolds && a.Assignment(id) == nil:
		return refusal("too-many-holds", "%s has held %d tokens, revoked ones included, the most one account keeps; give back one that was held before.",
			a.Name, MostHolds)
	}
	return nil
}

func (a *Account) held() (n int) {
	for _, s := range a.Assignments {
		if s.Standing != token.Revoked {
			n++
		}
	}
	return n
}

func (a Act) event(name string, account AccountID, id token.ID, detail string) *Event {
	return &Event{At: a.Now, Kind: ActEvent, Account: account, Token: id, Step: token.NoStep, Act: name, Actor: a.Actor, Detail: detail}
}

// label is how people recognise a token: its serial, else its ID.
func label(t *token.Token) string {
	if t.Serial != "" {
		return t.Serial
	}
	return t.ID.String()
}

// Assign gives a token of the stock to a person. share lets a token that others hold be held by one more; pending leaves
// it to a first right code to activate it, as for tokens that travel by post.
func (a Act) Assign(h *Held, o Owner, id token.ID, share, pending bool) (Change, *Refusal) {
	t := h.Token(id)
	acc := o.account(h)
	switch {
	case t == nil || acc == nil:
		return Change{}, refusal("not-found", "The token or the user is gone; look again with 'sekisho token list'.")
	case t.State == token.Destroyed:
		return Change{}, refusal("token-destroyed", "Token %s is destroyed and cannot be used again.", label(t))
	case t.StateAt(a.Now) == token.Expired:
		return Change{}, refusal("token-expired", "Token %s has expired; choose another one.", label(t))
	case acc.Holds(id):
		return Change{}, refusal("already-assigned", "%s already holds token %s.", acc.Name, label(t))
	case t.State == token.InUse && !share:
		return Change{}, refusal("token-in-use", "Token %s is held by somebody else; revoke it there first, or add --share if both are to use it.", label(t))
	}
	if r := acc.full(id); r != nil {
		return Change{}, r
	}
	standing, detail := token.Active, "active"
	if pending {
		standing, detail = token.Pending, "pending"
	}
	acc.hold(id, standing, a.Now)
	next := *t
	next.State = token.InUse
	return Change{Event: a.event("token.assign", acc.ID, id, detail), Accounts: []*Account{acc}, Tokens: []*token.Token{&next}}, nil
}

// Enroll gives a person a new token, made and sealed by the caller, that waits for its first right code.
func (a Act) Enroll(h *Held, o Owner, t *token.Token) (Change, *Refusal) {
	acc := o.account(h)
	if acc == nil {
		return Change{}, refusal("not-found", "The user is gone; look again with 'sekisho user show'.")
	}
	if r := acc.full(t.ID); r != nil {
		return Change{}, r
	}
	acc.hold(t.ID, token.Pending, a.Now)
	next := *t
	next.State = token.InUse
	return Change{Event: a.event("token.enroll", acc.ID, t.ID, "pending"), Accounts: []*Account{acc}, Tokens: []*token.Token{&next}}, nil
}

// Confirm activates a pending token by a right code, which is burnt. match is what the code is to the held token, from
// [token.Token.Evaluate]. A wrong code is recorded, and charges nothing: the operator stands beside the token.
func (a Act) Confirm(h *Held, o Owner, id token.ID, match func(*token.Token) (token.Match, error)) (Change, *Refusal, error) {
	t := h.Token(id)
	acc := o.account(h)
	switch {
	case t == nil || acc == nil || acc.Assignment(id) == nil:
		return Change{}, refusal("not-found", "Nobody holds this token; look again with 'sekisho token list'."), nil
	case acc.Assignment(id).Standing == token.Active:
		return Change{}, refusal("already-active", "Token %s of %s is active already.", label(t), acc.Name), nil
	case acc.Assignment(id).Standing != token.Pending:
		return Change{}, refusal("not-pending", "Token %[1]s of %[2]s is %[3]s and cannot be confirmed; 'sekisho token revoke %[1]s', then 'sekisho token assign %[1]s %[2]s --pending', then confirm it.",
			label(t), acc.Name, acc.Assignment(id).Standing), nil
	case t.StateAt(a.Now) == token.Expired:
		return Change{}, refusal("token-expired", "Token %s has expired; choose another one.", label(t)), nil
	case t.Start != 0 && a.Now.Unix() < t.Start:
		return Change{}, refusal("token-not-started", "Token %s may be used from %s.", label(t), time.Unix(t.Start, 0).UTC().Format(time.RFC3339)), nil
	}
	m, err := match(t)
	if err != nil {
		return Change{}, nil, err
	}
	switch m.Result {
	case token.Used:
		return Change{Event: a.event("token.confirm", acc.ID, id, "refused: code used before")},
			refusal("already-used", "This code was used before; wait for the next one."), nil
	case token.Miss:
		return Change{Event: a.event("token.confirm", acc.ID, id, "refused: wrong code")},
			refusal("wrong-code", "This is not a code of token %s; check its clock or counter, and that the right entry of the app was read.", label(t)), nil
	}
	acc.hold(id, token.Active, a.Now)
	next := *t
	next.Last = m.Step
	next.Drift, next.DriftDay = t.DriftAfter(m.Step, a.Now)
	e := a.event("token.confirm", acc.ID, id, "active")
	e.Step = m.Step
	return Change{Event: e, Accounts: []*Account{acc}, Tokens: []*token.Token{&next}, Reset: ResetStep}, nil, nil
}

// Revoke ends the holds of the held accounts on a token. others is how many further accounts hold it: with none left a
// hardware token returns to stock and a software token is destroyed. Its seed stays readable, so that a later code of it
// is told apart from a guess (P4).
func (a Act) Revoke(h *Held, id token.ID, owners []AccountID, others int) (Change, *Refusal) {
	t := h.Token(id)
	if t == nil {
		return Change{}, refusal("not-found", "There is no such token; look again with 'sekisho token list'.")
	}
	var c Change
	for _, o := range owners {
		acc := (Owner{Account: o}).account(h)
		if acc == nil || !acc.Holds(id) {
			continue
		}
		acc.hold(id, token.Revoked, a.Now)
		c.Accounts = append(c.Accounts, acc)
	}
	if len(c.Accounts) == 0 && (t.State != token.InStock || len(owners) > 0) {
		return Change{}, refusal("not-assigned", "Nobody to revoke token %s from: it is %s.", label(t), t.State)
	}
	next, detail := *t, "still held by others"
	switch {
	case others > 0:
	case len(c.Accounts) == 0, t.Form == token.Software:
		next.State, detail = token.Destroyed, "destroyed"
	default:
		next.State, detail = token.InStock, "in stock"
	}
	c.Tokens = []*token.Token{&next}
	var first AccountID
	if len(c.Accounts) == 1 {
		first = c.Accounts[0].ID
	}
	c.Event = a.event("token.revoke", first, id, detail)
	return c, nil
}

// SetPIN replaces the PIN.
func (a Act) SetPIN(h *Held, o Owner, pin PINHash) (Change, *Refusal) {
	acc := o.account(h)
	if acc == nil {
		return Change{}, refusal("not-found", "The user is gone; look again with 'sekisho user show'.")
	}
	acc.PIN = pin
	return Change{Event: a.event("user.set-pin", acc.ID, 0, "set"), Accounts: []*Account{acc}}, nil
}

// Unlock opens what failures closed: stops, waits and misses in a row. The yearly pots stay, or the promise of S4 would
// end with each call to the help desk; an account whose pot is empty goes on with two codes.
func (a Act) Unlock(h *Held, o Owner) (Change, *Refusal) {
	acc := o.account(h)
	if acc == nil {
		return Change{}, refusal("not-found", "The user has no account, so nothing is locked here; look at their account in the directory.")
	}
	g := &acc.Guard
	if g.Stopped == 0 && g.Row == [2]uint8{} && g.TheftRun == 0 && a.Now.Unix() >= max(g.Wait[0], g.Wait[1]) {
		return Change{}, refusal("not-locked", "Nothing is locked for %[1]s here; 'sekisho logins --user %[1]s' tells why their logins fail.", acc.Name)
	}
	detail := fmt.Sprintf("stops %d, rows %d and %d", g.Stopped, g.Row[0], g.Row[1])
	g.Stopped, g.Row, g.Wait, g.TheftRun = 0, [2]uint8{}, [2]int64{}, 0
	return Change{Event: a.event("user.unlock", acc.ID, 0, detail), Accounts: []*Account{acc}, Reset: ResetGuard}, nil
}

// Note is the event of an act that changes no account and no token: "client.release-ma", "clock.accept".
func (a Act) Note(name, detail string) Change {
	return Change{Event: a.event(name, 0, 0, detail)}
}
