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

// MostTokens is how many tokens one account may hold: each one is evaluated at each login and charged for (S4).
const MostTokens = 10

// MostHolds is how many tokens one account may have held in its life, revoked ones included: they stay, so that a late code
// of one is told apart from a guess (P4).
const MostHolds = 256

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
