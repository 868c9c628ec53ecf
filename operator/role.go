// Package operator says who may do what to whom: roles and their rights in one table, scopes, the second look at an operator
// before an act that cannot be taken back (step-up), the second person, and keys for programs. It has no clock, no disk and
// no network: what it decides follows from its arguments.
//
// Start with [Decide]. Every door (local socket, API, pages) makes a [Principal] of who stands before it and asks there,
// and does what the [Answer] says.
package operator

import (
	"fmt"
	"slices"
)

// Role is a set of rights. Every operator has one.
type Role uint8

// The roles. They are stored: append, never renumber.
const (
	Nobody   Role = iota
	Auditor       // reads, audit included
	Helpdesk      // helps one person at a time, no operators
	Admin         // tokens of everybody in the scope
	Master        // everything
)

var roleNames = [...]string{"nobody", "auditor", "helpdesk", "admin", "master"}

// String gives the word that commands, API and configuration use.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role %d", r)
}

// ParseRole reads what [Role.String] wrote. Nobody is no role that can be given.
func ParseRole(s string) (Role, error) {
	if i := slices.Index(roleNames[:], s); i > 0 {
		return Role(i), nil
	}
	return Nobody, fmt.Errorf("%.20q is no role; choose auditor, helpdesk, admin or master", s)
}

// Right is one thing that can be done. Its name is stable: API keys, configuration and the audit use it.
type Right string

// The rights.
const (
	ReadTokens    Right = "tokens.read"    // tokens, users, logins, gateways
	ReadAudit     Right = "audit.read"     // the audit, and its verification
	ReadService   Right = "service.read"   // health, effective configuration, jobs, mails
	Assign        Right = "tokens.assign"  // give tokens out: assign, enrol, invite, send links again
	Suspend       Right = "tokens.suspend" // suspend and resume
	Revoke        Right = "tokens.revoke"
	RevokeLost    Right = "tokens.revoke-lost"
	Resync        Right = "tokens.resync"
	Unlock        Right = "users.unlock"
	SetPIN        Right = "users.pin" // order a new one; nobody sees it
	Temporary     Right = "users.temporary"
	Approve       Right = "requests.approve" // requests and assisted resets
	Import        Right = "tokens.import"
	Mass          Right = "tokens.mass" // one act on many
	Undo          Right = "acts.undo"
	Campaigns     Right = "campaigns.run"
	Waive         Right = "limits.waive"  // the cooldown
	Extend        Right = "limits.extend" // expiry
	Raise         Right = "limits.raise"  // an operator's daily limit
	ExportSeeds   Right = "seeds.export"
	Operators     Right = "operators.manage"
	Gateways      Right = "clients.manage" // RADIUS clients
	Configuration Right = "config.manage"  // reload, clock
	Mails         Right = "mails.manage"   // send again, letters
	Erase         Right = "users.erase"    // what is stored about a person
	Keys          Right = "keys.manage"    // sealing keys, backups
)

// Class says how far a right reaches, which decides what it asks of the operator.
type Class uint8

// The classes.
const (
	Reads   Class = iota // changes nothing
	Helps                // one person's, can be mended
	Changes              // step-up: cannot be taken back, or opens a door
	Guards               // step-up each time, not even a sign-in just now counts: keys, operators, masses (P9)
)

var classNames = [...]string{"reads", "helps", "changes", "guards"}

// String gives the word of the API.
func (c Class) String() string { return classNames[c] }

// PeopleOnly reports a right that no program can have.
func PeopleOnly(r Right) bool { return r == Operators || r == ExportSeeds || r == Keys }

// rule is one row of the table.
type rule struct {
	Right Right
	Class Class
	Least string // letters of the roles that have it: m, a, h, u (auditor)
	// OnOperators keeps it from those who are no masters where the person acted on is an operator.
	OnOperators bool
}

// rules is the table of P10. It is the only place that says who may do what.
var rules = []rule{
	{ReadTokens, Reads, "mahu", false},
	{ReadAudit, Reads, "mau", false},
	{ReadService, Reads, "mahu", false},
	{Assign, Helps, "mah", true},
	{Suspend, Helps, "mah", true},
	{Resync, Helps, "mah", true},
	{Unlock, Helps, "mah", true},
	{SetPIN, Helps, "mah", true},
	{Temporary, Helps, "mah", true},
	{Approve, Helps, "mah", true},
	{Mails, Helps, "mah", true},
	{Revoke, Changes, "ma", true},
	{RevokeLost, Changes, "ma", true},
	{Undo, Changes, "ma", true},
	{Import, Guards, "ma", false},
	{Mass, Guards, "ma", false},
	{Campaigns, Changes, "ma", false},
	{Waive, Changes, "m", false},
	{Extend, Changes, "m", false},
	{Raise, Changes, "m", false},
	{ExportSeeds, Guards, "m", false},
	{Operators, Guards, "m", false},
	{Gateways, Changes, "m", false},
	{Configuration, Changes, "m", false},
	{Erase, Guards, "m", false},
	{Keys, Guards, "m", false},
}

// Rights lists every right in the order of the table.
func Rights() []Right {
	var all []Right
	for _, r := range rules {
		all = append(all, r.Right)
	}
	return all
}

// find gives a right's row; nil for what is none.
func find(r Right) *rule {
	for i := range rules {
		if rules[i].Right == r {
			return &rules[i]
		}
	}
	return nil
}

// Has reports that a role has a right, whoever it is about.
func (r Role) Has(right Right) bool {
	row := find(right)
	if row == nil {
		return false
	}
	letter := map[Role]rune{Master: 'm', Admin: 'a', Helpdesk: 'h', Auditor: 'u'}[r]
	return letter != 0 && slices.Contains([]rune(row.Least), letter)
}

// ClassOf gives the class of a right; Guards, the strictest, for what is none.
func ClassOf(right Right) Class {
	if row := find(right); row != nil {
		return row.Class
	}
	return Guards
}
