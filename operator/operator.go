package operator

import (
	"slices"
	"strings"
	"time"
)

// Scope is the part of the people that an operator sees and acts on. What is out of scope does not exist for them: it is
// "not found", never "forbidden", so that nobody can ask who is there. The zero value is everybody.
type Scope struct {
	Directories []string // names of directories; empty: every one
	Groups      []string // groups as the directory gives them; empty: every one
}

// Person is whom an act is about, as the directory has them now.
type Person struct {
	Name      string // for whoever reads what is to be done
	Directory string
	Groups    []string
	Operator  Role // Nobody: they are no operator
	Self      bool // the operator themself
}

// Covers reports that a person is in the scope. Groups are compared without regard to case, as directories do.
func (s Scope) Covers(p Person) bool {
	if len(s.Directories) > 0 && !slices.Contains(s.Directories, p.Directory) {
		return false
	}
	if len(s.Groups) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Groups, func(g string) bool {
		return slices.ContainsFunc(p.Groups, func(have string) bool { return strings.EqualFold(g, have) })
	})
}

// All reports that nobody is out of scope.
func (s Scope) All() bool { return len(s.Directories) == 0 && len(s.Groups) == 0 }

// Within reports that a scope reaches nowhere that outer does not reach: who gives rights out cannot give more than their own.
func (s Scope) Within(outer Scope) bool {
	part := func(inner, outer []string, same func(a, b string) bool) bool {
		if len(outer) == 0 {
			return true
		}
		return len(inner) > 0 && !slices.ContainsFunc(inner, func(x string) bool {
			return !slices.ContainsFunc(outer, func(y string) bool { return same(x, y) })
		})
	}
	return part(s.Directories, outer.Directories, func(a, b string) bool { return a == b }) && part(s.Groups, outer.Groups, strings.EqualFold)
}

// Door is how a principal came in.
type Door uint8

// The doors.
const (
	LocalSocket Door = iota + 1 // the machine's administrator, by the kernel's word
	Password                    // directory password + own token
	OIDC                        // the provider's sign-in
	Key                         // a program with an API key
	Link                        // the first operator, by a link from the command line
)

var doorNames = [...]string{"", "local-socket", "password", "oidc", "key", "link"}

// String gives the word of the audit.
func (d Door) String() string {
	if int(d) < len(doorNames) {
		return doorNames[d]
	}
	return "unknown door"
}

// Principal is who stands before a door.
type Principal struct {
	Name  string // for the audit: canonical name, name of the key, user of the machine
	Role  Role
	Scope Scope
	Door  Door
	// Only narrows an API key to some of its role's rights; nil: all of them.
	Only []Right
	// SignedIn is when both factors were last shown as a sign-in, Proven when they were last shown as a step-up. Zero: never.
	SignedIn, Proven time.Time
	// Spent says that an act of class Guards has taken the step-up of Proven: the next one asks anew.
	Spent bool
	// NoToken is an operator whose last own token has ended: the session can register one and nothing else (O10).
	NoToken bool
}

// Target is what an act is about. People is nil for acts that concern no person; the scope has been looked up by then.
type Target struct {
	People []Person
	Count  int // how many tokens or people the act changes; 0 and 1 mean one
	Vip    bool
}

// Policy is a site's choice of what asks for more.
type Policy struct {
	// EveryTime makes each act of class Changes ask for a fresh proof, not only the first in ten minutes.
	EveryTime bool
	// SecondPerson lists what two people must agree on.
	SecondPerson []Pair
	// AskAbove is how many are changed at once before an act counts as a mass act. 0: 20.
	AskAbove int
}

// Pair is one act that asks for a second person.
type Pair struct {
	Right Right
	Above int  // only where more than so many are changed; 0: always
	Vip   bool // only for people of the VIP groups
	// Role limits it to acts on operators of this role; Nobody: everybody.
	Role Role
}

// DefaultSecondPerson is what two people agree on unless a site says otherwise.
var DefaultSecondPerson = []Pair{
	{Right: ExportSeeds},
	{Right: RevokeLost, Vip: true},
	{Right: Mass, Above: 20},
	{Right: Revoke, Above: 20},
	{Right: Unlock, Role: Master},
	{Right: Extend, Above: 20},
}

// Times of a proof (P9).
const (
	ProofLife  = 10 * time.Minute // of a step-up, for acts of class Changes
	FreshLife  = 2 * time.Minute  // of a sign-in by both factors, in place of a step-up
	GuardsLife = time.Minute      // of a step-up, for the one act of class Guards it was given for
)

// Answer is what a door does.
type Answer uint8

// The answers.
const (
	Yes          Answer = iota + 1
	NotFound            // what it is about does not exist for this operator
	NoRight             // this role never may
	NoOperators         // not on operators
	NotOneself          // not on oneself
	RegisterOnly        // register an own token first
	StepUp              // show both factors again
	SecondPerson        // somebody else has to agree
)

var answerCodes = [...]string{"", "yes", "not-found", "no-right", "not-on-operators", "not-on-oneself", "register-first", "step-up", "second-person"}

// String gives the stable code of problems.
func (a Answer) String() string {
	if int(a) < len(answerCodes) {
		return answerCodes[a]
	}
	return "unknown answer"
}

// oneself are acts that nobody does to themself: each opens a door that another look should keep.
var oneself = []Right{Approve, Unlock, Temporary, Waive, Extend, Raise, Erase}

// Decide says whether a principal may do something now. agreed says that a second person has already agreed to this very act.
func Decide(p Principal, right Right, t Target, policy Policy, agreed bool, now time.Time) Answer {
	row := find(right)
	// Whom the operator may not see they may not learn of either, so this comes first.
	for _, person := range t.People {
		if !p.Scope.Covers(person) && !person.Self {
			return NotFound
		}
	}
	if row == nil || !p.Role.Has(right) || p.Only != nil && !slices.Contains(p.Only, right) {
		return NoRight
	}
	if !p.Scope.All() && len(t.People) == 0 && row.Class == Guards {
		return NoRight // acts on everything belong to those who see everything
	}
	if p.NoToken && row.Class != Reads {
		return RegisterOnly
	}
	for _, person := range t.People {
		if row.OnOperators && person.Operator != Nobody && p.Role != Master && !person.Self {
			return NoOperators
		}
		if person.Self && slices.Contains(oneself, right) && p.Door != LocalSocket {
			return NotOneself
		}
	}
	if !proven(p, row, t, policy, now) {
		return StepUp
	}
	if !agreed && asksSecond(right, t, policy) {
		return SecondPerson
	}
	return Yes
}

// proven reports that the operator has shown both factors lately enough. The local socket and API keys have none to show:
// who is administrator of the machine has the keys anyway, and a key was given its rights by somebody who had shown theirs.
func proven(p Principal, row *rule, t Target, policy Policy, now time.Time) bool {
	if p.Door == LocalSocket || p.Door == Key {
		return true
	}
	class := row.classOf(t, policy)
	within := func(at time.Time, life time.Duration) bool {
		return !at.IsZero() && !at.After(now) && now.Sub(at) < life
	}
	switch class {
	case Reads, Helps:
		return true
	case Changes:
		return within(p.Proven, ProofLife) || within(p.SignedIn, FreshLife)
	}
	return within(p.Proven, GuardsLife) && !p.Spent
}

// classOf is the class of an act: one of class Changes is a guard's where it is on many, or where each asks for a proof.
func (r *rule) classOf(t Target, policy Policy) Class {
	if r.Class == Changes && (policy.EveryTime || t.Count > policy.askAbove()) {
		return Guards
	}
	return r.Class
}

// Takes reports that an act which [Decide] allowed has used up the principal's step-up: it was given for this one act.
func Takes(p Principal, right Right, t Target, policy Policy) bool {
	row := find(right)
	return row != nil && p.Door != LocalSocket && p.Door != Key && row.classOf(t, policy) == Guards
}

func (p Policy) askAbove() int {
	if p.AskAbove == 0 {
		return 20
	}
	return p.AskAbove
}

func asksSecond(right Right, t Target, policy Policy) bool {
	pairs := policy.SecondPerson
	if pairs == nil {
		pairs = DefaultSecondPerson
	}
	return slices.ContainsFunc(pairs, func(x Pair) bool {
		return x.Right == right && (x.Above == 0 || t.Count > x.Above) && (!x.Vip || t.Vip) &&
			(x.Role == Nobody || slices.ContainsFunc(t.People, func(p Person) bool { return p.Operator == x.Role }))
	})
}
