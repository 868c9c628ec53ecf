// Package desk does every act of the life cycle, once, for the API, the pages, the commands and the logins. The rules are
// those of package life; the desk brings them to what is stored and saves what they order.
//
// An act goes one way, [Desk.do]: what it is about is held by one Update of the store; accounts, tokens and records become a
// life.State; the rule runs; its life.Change becomes one authn.Change with images, events and mails, saved whole or not at
// all. docs/desk.md tells it step by step.
//
// Every method gives a *life.Refusal as its error where the rules refuse, and nothing has changed then but what the attempt
// itself costs; any other error is a fault. Secrets go in as authn.Secret and come out only where a method says so.
package desk

import (
	"context"
	"log/slog"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// Store keeps what acts are about.
type Store interface {
	Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error
	View(keys authn.Keys, f func(*authn.Held)) error
	AccountOf(directory, external string) authn.AccountID
	Keyed(domain byte, parts ...[]byte) [16]byte
	authn.Records

	// Account gives a copy; authn.ErrNotFound when there is none.
	Account(id authn.AccountID) (*authn.Account, error)
	// Token gives a copy, and the accounts that hold the token, revoked holds left out; authn.ErrNotFound when there is none.
	Token(id token.ID) (token.Token, []authn.AccountID, error)
	// FindToken gives the living token with a serial, else the one with a credential ID; zero when there is none.
	FindToken(ctx context.Context, name string) (token.ID, error)
	// Expiring lists tokens in use that expire before a moment, by ID, a page at a time.
	Expiring(ctx context.Context, before time.Time, after token.ID) ([]token.Token, error)
	// AccountsOf lists the accounts of a directory by ID, a page at a time.
	AccountsOf(ctx context.Context, directory string, after authn.AccountID) ([]*authn.Account, error)
}

// Keys seals and opens seeds and derives the keys of hashes; token.Keys does.
type Keys interface {
	SealSeed(id token.ID, seed []byte) (token.SealedSeed, error)
	OpenSeed(dst []byte, id token.ID, s token.SealedSeed) ([]byte, error)
	Fingerprint(seed []byte) [16]byte
	Derive(purpose string) [32]byte
}

// Operator is somebody who may act for others.
type Operator struct {
	Account authn.AccountID
	Role    life.Who // ByHelpDesk, ByAdmin or ByMaster
}

// Desk does acts. All fields but Links, Home, Operators, Forget and Wake are needed.
type Desk struct {
	Store       Store
	Directories authn.Directories
	Keys        Keys
	Rules       func() life.Rules
	Limits      authn.Limits               // of the pots that wrong codes are charged to (S4)
	Links       func(secret string) string // URL of an activation link; nil or "": no self-service URL is configured
	Home        string                     // URL of the self-service pages, for mails; empty: none
	Issuer      string                     // shown by apps beside a software token's codes
	Operators   func() ([]Operator, error) // those with an account; nil: there are none
	Forget      func(...authn.AccountID)   // drops cached answers of accounts that an act changed (S13)
	Wake        func()                     // new mails wait
	Now         func() time.Time
	Log         *slog.Logger
}

// Actor is who does an act.
type Actor struct {
	By        life.Who        // exactly one
	Account   authn.AccountID // their own; zero where they have none
	Name      string          // of an operator, for the audit
	Second    string          // the operator who approved, for acts that need two; empty: nobody
	Reason    string          // in the operator's words
	Reference string          // of the paper or ticket
	Proven    bool            // the person's password, or what policy takes for it, was proven in this session
}

// Done tells what an act left behind.
type Done struct {
	Seq   uint64      // of its first event in the audit chain; 0: none was written
	Steps []life.Step // the transitions that were made
	// OnlyRegister says that the operator who acted has no working token left: the session goes on for registering alone.
	OnlyRegister bool
}

// Due is when what an operator revokes now may be registered again, to be shown before the act (O4).
func (d *Desk) Due() time.Time {
	return life.Act{Now: d.Now(), Rules: d.Rules()}.Due()
}
