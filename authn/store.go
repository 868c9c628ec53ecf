package authn

import (
	"errors"
	"time"

	"sekisho/token"
)

// Sentinels of the interfaces of this package.
var (
	ErrUnknownUser   = errors.New("no such user")
	ErrAmbiguousUser = errors.New("the name fits several users")
	ErrBusy          = errors.New("too much waits to be written; try again")
	ErrNotFound      = errors.New("not found")
	ErrExists        = errors.New("it exists already")
	// ErrNotSent is in an error of Directory.Authenticate where no password left for the directory, so that nothing can count
	// against the person there.
	ErrNotSent = errors.New("no password was sent")
)

// Keys names what one Update decides on. Every token that one of the accounts holds is locked with it, in the order of
// the IDs; Tokens adds others. Records are held as well, with no lock that outlives f.
type Keys struct {
	Accounts []AccountID
	Tokens   []token.ID
	Records  []RecordKey
}

// Held is what an Update holds locked, as fresh as it gets. f reads it and changes nothing in it.
type Held struct {
	Accounts []*Account     // in the order of Keys.Accounts; nil where there is none
	Tokens   []*token.Token // by ID
	Records  []*Record      // in the order of Keys.Records; nil where there is none
	Spent    func(nonce [12]byte) bool
}

// Token finds a held token; nil when it is not held or does not exist.
func (h *Held) Token(id token.ID) *token.Token {
	for _, t := range h.Tokens {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// Change is what f orders. An event alone is a login: its state-after fields are applied. Accounts and Tokens are whole
// new images and belong to acts of the life cycle: rows with a new ID are created, others replaced except for what
// logins own (Guard, Last, Drift, DriftDay), where the image wins only in the fields that Reset names.
//
// Records are whole new images, too: one with a new ID is made, one of Keys is replaced, and no other one may be touched.
// They need no event. Gone takes records of Keys away.
type Change struct {
	Event    *Event   // appended to the chain; nil: nothing durable but Records
	More     []*Event // further events of the same act, behind Event and durable with it: acts alone
	Memory   *Memory  // of Accounts[0] of the keys; applied at once, never stored
	Accounts []*Account
	Tokens   []*token.Token
	Reset    Reset
	Records  []*Record
	Gone     []RecordKey
}

// Reset names fields owned by logins that an act sets from its images.
type Reset uint8

// The resets.
const (
	ResetGuard Reset = 1 << iota // Accounts' Guard
	ResetStep                    // Tokens' Last, Drift, DriftDay; Last never goes down
)

// Store keeps accounts, tokens and the chain of events.
//
// Implementations guarantee, over all goroutines, processes and nodes that share the data:
//   - Update holds the accounts' locks, then their tokens' locks in the order of the IDs, while f runs; f sees every change
//     that any earlier Update applied, durable or not, and may run more than once.
//   - a place in the commit queue is taken before f runs: Update returns ErrBusy without running f when there is none.
//   - done is called exactly once if Update returned nil, after the change is durable (nil) or known or feared to be
//     lost (an error). done is called in the order of the queue and must not block or call the store. With nothing to
//     make durable it is called before Update returns.
//   - an error from f abandons the update and is returned by Update; nothing is applied or saved and done is not called.
//   - an account is created at most once for one user of one directory: Update returns ErrExists for a second one, and
//     nothing of that change is applied.
//   - f, done and what a Change points to are not used after done returned, nor after Update returned an error; Held is
//     used by f alone, while it runs. So a caller may use all of them again.
//   - a step once burnt stays burnt, whatever becomes of the commit.
type Store interface {
	Update(keys Keys, f func(*Held) (Change, error), done func(error)) error
	// View runs f under the same locks and changes nothing.
	View(keys Keys, f func(*Held)) error
	// AccountOf finds the account of a directory's user; zero when there is none.
	AccountOf(directory, external string) AccountID
	// Verdict finds the event that answered the same request within 60 s before the last start (S17), and fills into with
	// what is kept of it: when, how and why it was answered, for which account and token.
	Verdict(digest [16]byte, now time.Time, into *Event) bool
	// Keyed gives a keyed hash for digests, sources and memos; domain keeps their uses apart.
	Keyed(domain byte, parts ...[]byte) [16]byte
}
