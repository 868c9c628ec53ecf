package life

import (
	"math/bits"
	"slices"
	"strings"

	"sekisho/token"
)

//go:generate go test -run TestPageOfTheDocs -update .

// Who does an act. Rows of the table hold sets of them.
type Who uint8

// The actors. A login acts where a right code at a gateway registers a token or uses a code up.
const (
	ByPerson Who = 1 << iota
	ByHelpDesk
	ByAdmin // an administrator among the operators
	ByMaster
	BySystem
	ByLogin
)

const (
	staff   = ByHelpDesk | ByAdmin | ByMaster
	admins  = ByAdmin | ByMaster
	anybody = ByPerson | staff
)

// Everybody lists the actors, each alone.
var Everybody = []Who{ByPerson, ByHelpDesk, ByAdmin, ByMaster, BySystem, ByLogin}

var whoNames = [...]string{"person", "help desk", "admin", "master", "system", "login"}

// String gives the words of the table's page.
func (w Who) String() string {
	var names []string
	for i, name := range whoNames {
		if w&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Kind is what has a state.
type Kind string

// The kinds.
const (
	HoldKind       Kind = "assignment"
	TokenKind      Kind = "token"
	ActivationKind Kind = "activation"
	RequestKind    Kind = "request"
	UserKind       Kind = "user"
	CooldownKind   Kind = "cooldown"
	TemporaryKind  Kind = "temporary codes"
	FirstLoginKind Kind = "first login"
	PINKind        Kind = "PIN"
)

// Stage is a state of one kind, in the words of listings and of the page.
type Stage string

// The stages. Expired and the lapsed ones are never stored: they follow from an instant and the moment of asking.
const (
	None        Stage = "none"
	Pending     Stage = "pending"
	Active      Stage = "active"
	Suspended   Stage = "suspended"
	Revoked     Stage = "revoked"
	InStock     Stage = "in stock"
	InUse       Stage = "in use"
	Expired     Stage = "expired"
	Destroyed   Stage = "destroyed"
	Open        Stage = "open"
	Started     Stage = "started"
	UsedUp      Stage = "used up"
	Lapsed      Stage = "lapsed"
	Approved    Stage = "approved"
	Refused     Stage = "refused"
	Withdrawn   Stage = "withdrawn"
	Present     Stage = "present"
	Quarantine  Stage = "quarantined"
	Cleaned     Stage = "cleaned up"
	Cooldown    Stage = "waiting"
	Running     Stage = "running"
	Ended       Stage = "ended"
	Set         Stage = "set"
	Forced      Stage = "to be changed"
	NothingToDo Stage = "free"
)

// Stages lists every stage of a kind, the one without anything first.
var Stages = map[Kind][]Stage{
	HoldKind:       {None, Pending, Active, Suspended, Revoked},
	TokenKind:      {None, InStock, InUse, Expired, Destroyed},
	ActivationKind: {None, Open, Started, UsedUp, Lapsed, Revoked},
	RequestKind:    {None, Open, Approved, Refused, Withdrawn, Lapsed},
	UserKind:       {Present, Quarantine, Cleaned},
	CooldownKind:   {NothingToDo, Cooldown},
	TemporaryKind:  {None, Running, Ended},
	FirstLoginKind: {None, Open, Ended},
	PINKind:        {None, Set, Forced},
}

// Kinds is the order of the page.
var Kinds = []Kind{HoldKind, TokenKind, ActivationKind, RequestKind, UserKind, CooldownKind, TemporaryKind, FirstLoginKind, PINKind}

// stands is the code of a refusal because of where a thing stands.
var stands = map[Kind]map[Stage]Code{
	HoldKind:       {None: NotAssigned, Pending: IsPending, Active: IsActive, Suspended: IsSuspended, Revoked: IsRevoked},
	TokenKind:      {None: NoSuchToken, InStock: TokenInStock, InUse: TokenInUse, Expired: TokenExpired, Destroyed: TokenGone},
	ActivationKind: {None: NotFound, Open: LinkOpen, Started: LinkStarted, UsedUp: QuotaUsed, Lapsed: LinkLapsed, Revoked: LinkRevoked},
	RequestKind:    {None: NotFound, Open: RequestOpen, Approved: RequestDone, Refused: RequestDone, Withdrawn: RequestDone, Lapsed: RequestDone},
	UserKind:       {Present: UserPresent, Quarantine: Quarantined, Cleaned: UserCleaned},
	CooldownKind:   {NothingToDo: NoCooldown, Cooldown: Cooling},
	TemporaryKind:  {None: TempNone, Running: TempRunning, Ended: TempEnded},
	FirstLoginKind: {None: FirstNone, Open: FirstOpen, Ended: FirstEnded},
	PINKind:        {None: PINNone, Set: PINForm, Forced: PINForced},
}

// Verb names an act; audit rows and the API use the same word.
type Verb string

// The verbs.
const (
	Assign       Verb = "assign"
	Reserve      Verb = "reserve"
	Register     Verb = "register"
	Enrol        Verb = "enrol"
	Confirm      Verb = "confirm"
	Defer        Verb = "defer"
	Suspend      Verb = "suspend"
	Resume       Verb = "resume"
	ReportLost   Verb = "report-lost"
	Revoke       Verb = "revoke"
	RevokeLost   Verb = "revoke-lost"
	Replace      Verb = "replace"
	Lapse        Verb = "lapse"
	Undo         Verb = "undo"
	GoneVerb     Verb = "quarantine"
	Return       Verb = "return"
	Clean        Verb = "clean-up"
	Import       Verb = "import"
	Take         Verb = "take"
	GiveBack     Verb = "give-back"
	Destroy      Verb = "destroy"
	Restore      Verb = "restore"
	Expire       Verb = "expire"
	Extend       Verb = "extend"
	Retire       Verb = "retire"
	Erase        Verb = "erase-seed"
	Test         Verb = "test"
	Resync       Verb = "resync"
	ResetDrift   Verb = "reset-drift"
	Issue        Verb = "issue"
	Start        Verb = "start"
	Resend       Verb = "resend"
	Ask          Verb = "ask"
	Approve      Verb = "approve"
	Refuse       Verb = "refuse"
	Withdraw     Verb = "withdraw"
	Waive        Verb = "waive"
	Show         Verb = "show"
	Use          Verb = "use"
	End          Verb = "end"
	Choose       Verb = "choose"
	Reset        Verb = "reset"
	ForceVerb    Verb = "force-change"
	clockPassing      = BySystem // rows that the clock alone makes, without an act
)

// Row is one transition: who may make it, and what may stand in the way beside the state and the role.
type Row struct {
	Kind    Kind
	Verb    Verb
	From    []Stage
	To      []Stage // more than one where the rules choose
	By      Who
	Refused []Code // besides the code of the state, not-allowed and second-person-needed
	IDs     string // rows of the paths of people that it serves
	Clock   bool   // no act: an instant passes
	Inner   bool   // no act of its own: a part of acts on assignments
}

// Table is every transition there is. The rules look every step up here, docs/life.md is made from it, and the tests walk
// through all of it and through everything that it leaves out.
var Table = []Row{
	{Kind: HoldKind, Verb: Reserve, From: []Stage{None, Revoked}, To: []Stage{Pending}, By: admins | BySystem,
		Refused: []Code{Quarantined, TokenInUse, TokenExpired, TokenGone, TooManyTokens}, IDs: "O7 P2"},
	{Kind: HoldKind, Verb: Assign, From: []Stage{None, Pending, Revoked}, To: []Stage{Active}, By: admins,
		Refused: []Code{Quarantined, TokenInUse, TokenExpired, TokenGone, TooManyTokens, Cooling}, IDs: "O7"},
	{Kind: HoldKind, Verb: Register, From: []Stage{None, Pending, Revoked}, To: []Stage{Active}, By: ByPerson | admins | ByLogin,
		Refused: []Code{Quarantined, NotFound, HardwareOnly, TokenInUse, TokenExpired, TokenGone, NotStarted, Cooling, TooManyTokens, TriesUsed, CodeForm, WrongCode, AlreadyUsed}, IDs: "O2 O7 O9"},
	{Kind: HoldKind, Verb: Enrol, From: []Stage{None}, To: []Stage{Pending}, By: anybody,
		Refused: []Code{Quarantined, OnOperator, ProofNeeded, NotAssigned, DeviceLimit, TooManyTokens, Cooling, TriesUsed, CodeForm, WrongCode, AlreadyUsed}, IDs: "K2 K4 K11"},
	{Kind: HoldKind, Verb: Confirm, From: []Stage{Pending}, To: []Stage{Active}, By: anybody | ByLogin,
		Refused: []Code{Quarantined, OnOperator, TokenExpired, NotStarted, Cooling, DeviceLimit, TriesUsed, CodeForm, WrongCode, AlreadyUsed, ClockOff}, IDs: "K3 Y3 O9"},
	{Kind: HoldKind, Verb: Defer, From: []Stage{Pending}, To: []Stage{Pending}, By: ByPerson, Refused: []Code{DeferUsed}, IDs: "O8"},
	{Kind: HoldKind, Verb: Suspend, From: []Stage{Active}, To: []Stage{Suspended}, By: anybody, Refused: []Code{OnOperator, LastMaster}, IDs: "K4 P10"},
	{Kind: HoldKind, Verb: ReportLost, From: []Stage{Active}, To: []Stage{Suspended}, By: anybody, Refused: []Code{OnOperator, LastMaster}, IDs: "K5 P3"},
	{Kind: HoldKind, Verb: Resume, From: []Stage{Suspended}, To: []Stage{Active}, By: ByPerson | admins,
		Refused: []Code{ByOperator, TooLate, ProofNeeded, TokenExpired, DeviceLimit, TriesUsed, CodeForm, WrongCode, AlreadyUsed, Quarantined}, IDs: "P3"},
	{Kind: HoldKind, Verb: Revoke, From: []Stage{Pending, Active, Suspended}, To: []Stage{Revoked}, By: ByPerson | admins,
		Refused: []Code{SoftwareOnly, OtherExpiry, AskFirst, LastMaster, ResetLimit, ProofNeeded}, IDs: "K4 K6 O1 O2 O4 O10 Y1"},
	{Kind: HoldKind, Verb: RevokeLost, From: []Stage{Pending, Active, Suspended}, To: []Stage{Revoked}, By: admins,
		Refused: []Code{ReasonNeeded, LastMaster}, IDs: "O5"},
	{Kind: HoldKind, Verb: Replace, From: []Stage{Pending, Active, Suspended}, To: []Stage{Revoked}, By: anybody | ByLogin | BySystem, Inner: true, IDs: "O9 P3"},
	{Kind: HoldKind, Verb: Lapse, From: []Stage{Suspended}, To: []Stage{Revoked}, By: BySystem, Refused: []Code{TooEarly, ByOperator}, IDs: "P3"},
	{Kind: HoldKind, Verb: Undo, From: []Stage{Revoked}, To: []Stage{Pending, Active, Suspended}, By: admins,
		Refused: []Code{Quarantined, TooLate, UndoUsed, TokenInUse, TokenExpired, Cooling, TooManyTokens, DeviceLimit}, IDs: "P2 S9"},
	{Kind: HoldKind, Verb: GoneVerb, From: []Stage{Active}, To: []Stage{Suspended}, By: BySystem, Inner: true, IDs: "P2"},
	{Kind: HoldKind, Verb: Return, From: []Stage{Suspended}, To: []Stage{Active}, By: BySystem, Inner: true, IDs: "P2"},
	{Kind: HoldKind, Verb: Clean, From: []Stage{Pending, Active, Suspended}, To: []Stage{Revoked}, By: BySystem, Inner: true, IDs: "P2"},

	{Kind: TokenKind, Verb: Import, From: []Stage{None}, To: []Stage{InStock}, By: admins, Refused: []Code{KnownSeed}, IDs: "S9"},
	{Kind: TokenKind, Verb: Take, From: []Stage{None, InStock, InUse}, To: []Stage{InUse}, By: anybody | BySystem | ByLogin, Inner: true, IDs: "O2 O7"},
	{Kind: TokenKind, Verb: GiveBack, From: []Stage{InUse, Expired}, To: []Stage{InStock}, By: anybody | BySystem | ByLogin, Inner: true, IDs: "P2"},
	{Kind: TokenKind, Verb: Destroy, From: []Stage{InUse, Expired}, To: []Stage{Destroyed}, By: anybody | BySystem | ByLogin, Inner: true, IDs: "O5 P2"},
	{Kind: TokenKind, Verb: Restore, From: []Stage{InStock, InUse, Destroyed}, To: []Stage{InUse}, By: admins, Inner: true, IDs: "S9"},
	{Kind: TokenKind, Verb: Expire, From: []Stage{InStock, InUse}, To: []Stage{Expired}, By: clockPassing, Clock: true, IDs: "O9"},
	{Kind: TokenKind, Verb: Extend, From: []Stage{InStock, InUse, Expired}, To: []Stage{InStock, InUse}, By: ByMaster,
		Refused: []Code{ReasonNeeded, NoExpiry, ExtendMost}, IDs: "P11"},
	{Kind: TokenKind, Verb: Retire, From: []Stage{InStock, Expired}, To: []Stage{Destroyed}, By: admins, Refused: []Code{ReasonNeeded, TokenInUse}, IDs: "P2"},
	{Kind: TokenKind, Verb: Erase, From: []Stage{Destroyed}, To: []Stage{Destroyed}, By: BySystem, Refused: []Code{TooEarly}, IDs: "S9"},
	{Kind: TokenKind, Verb: Test, From: []Stage{InStock, InUse}, To: []Stage{InStock, InUse}, By: anybody, Refused: []Code{TriesUsed, CodeForm, WrongCode, AlreadyUsed}, IDs: "V1 V3 V4"},
	{Kind: TokenKind, Verb: Resync, From: []Stage{InStock, InUse}, To: []Stage{InStock, InUse}, By: anybody,
		Refused: []Code{TriesUsed, BudgetUsed, CodeForm, EqualCodes, WrongCode, ClockOff, DriftFar}, IDs: "V2 V3 V4"},
	{Kind: TokenKind, Verb: ResetDrift, From: []Stage{InStock, InUse}, To: []Stage{InStock, InUse}, By: admins, IDs: "S22"},

	{Kind: ActivationKind, Verb: Issue, From: []Stage{None}, To: []Stage{Open}, By: anybody | BySystem, Refused: []Code{Quarantined, OnOperator, ProofNeeded}, IDs: "K1 K3 K13"},
	{Kind: ActivationKind, Verb: Start, From: []Stage{Open, Started}, To: []Stage{Started}, By: ByPerson,
		Refused: []Code{Quarantined, ProofNeeded, StartsUsed, Cooling, DeviceLimit, TooManyTokens}, IDs: "K2 K3"},
	{Kind: ActivationKind, Verb: Confirm, From: []Stage{Started}, To: []Stage{Open, UsedUp}, By: ByPerson,
		Refused: []Code{Quarantined, StartElse, StartLapsed, OldEntry, WrongCode, AlreadyUsed, ClockOff, DeviceLimit, TriesUsed, CodeForm}, IDs: "K3 K4 Y3"},
	{Kind: ActivationKind, Verb: Resend, From: []Stage{Open, Started, Lapsed}, To: []Stage{Open}, By: anybody, Refused: []Code{OnOperator, ResendUsed}, IDs: "K3"},
	{Kind: ActivationKind, Verb: Revoke, From: []Stage{Open, Started, Lapsed}, To: []Stage{Revoked}, By: anybody | BySystem, Refused: []Code{OnOperator}, IDs: "K3"},
	{Kind: ActivationKind, Verb: Lapse, From: []Stage{Open, Started}, To: []Stage{Lapsed}, By: clockPassing, Clock: true, IDs: "K3"},

	{Kind: RequestKind, Verb: Ask, From: []Stage{None}, To: []Stage{Open}, By: ByPerson, Refused: []Code{KindOff, PledgeNeeded, RequestOpen, RequestLimit}, IDs: "K5"},
	{Kind: RequestKind, Verb: Approve, From: []Stage{Open}, To: []Stage{Approved}, By: staff | BySystem, Refused: []Code{OwnRequest, OnOperator}, IDs: "K5"},
	{Kind: RequestKind, Verb: Refuse, From: []Stage{Open}, To: []Stage{Refused}, By: staff, Refused: []Code{OwnRequest, OnOperator, ReasonNeeded}, IDs: "K5"},
	{Kind: RequestKind, Verb: Withdraw, From: []Stage{Open}, To: []Stage{Withdrawn}, By: ByPerson, Refused: []Code{NotFound}, IDs: "K5"},
	{Kind: RequestKind, Verb: Lapse, From: []Stage{Open}, To: []Stage{Lapsed}, By: BySystem, Refused: []Code{TooEarly}, IDs: "K5"},

	{Kind: UserKind, Verb: GoneVerb, From: []Stage{Present}, To: []Stage{Quarantine}, By: BySystem, Refused: []Code{NoAnswer, UserPresent, Braked, LastMaster}, IDs: "P2"},
	{Kind: UserKind, Verb: Return, From: []Stage{Quarantine, Cleaned}, To: []Stage{Present}, By: BySystem, Refused: []Code{NoAnswer, Quarantined}, IDs: "P2"},
	{Kind: UserKind, Verb: Clean, From: []Stage{Quarantine}, To: []Stage{Cleaned}, By: BySystem, Refused: []Code{NoAnswer, UserPresent, TooEarly, Braked}, IDs: "P2"},

	{Kind: CooldownKind, Verb: Waive, From: []Stage{Cooldown}, To: []Stage{NothingToDo}, By: ByMaster, Refused: []Code{ReasonNeeded}, IDs: "O4"},

	{Kind: TemporaryKind, Verb: Issue, From: []Stage{None, Running, Ended}, To: []Stage{Running}, By: staff, Refused: []Code{Quarantined, OnOperator, TempTooLong, TooLate}, IDs: "P6 Y6"},
	{Kind: TemporaryKind, Verb: Reset, From: []Stage{None, Running, Ended}, To: []Stage{Running}, By: ByPerson, Refused: []Code{Quarantined, ProofNeeded, NoRecovery, TriesUsed, WrongCode}, IDs: "P6 Y6"},
	{Kind: TemporaryKind, Verb: Show, From: []Stage{Running}, To: []Stage{Running}, By: ByPerson, Refused: []Code{ProofNeeded}, IDs: "P6"},
	{Kind: TemporaryKind, Verb: Use, From: []Stage{Running}, To: []Stage{Running, Ended}, By: ByLogin, Refused: []Code{WrongCode, AlreadyUsed}, IDs: "P6"},
	{Kind: TemporaryKind, Verb: End, From: []Stage{Running}, To: []Stage{Ended}, By: anybody | ByLogin, Refused: []Code{OnOperator}, IDs: "P6"},

	{Kind: FirstLoginKind, Verb: Issue, From: []Stage{None, Open, Ended}, To: []Stage{Open}, By: staff, Refused: []Code{Quarantined, OnOperator, HasToken, TempTooLong, TooLate}, IDs: "P5"},
	{Kind: FirstLoginKind, Verb: Use, From: []Stage{Open}, To: []Stage{Ended}, By: ByLogin, Refused: []Code{HasToken, WrongCode}, IDs: "P5"},

	{Kind: PINKind, Verb: Choose, From: []Stage{None, Set, Forced}, To: []Stage{Set}, By: ByPerson,
		Refused: []Code{ProofNeeded, PINForm, PINLength, PINRepeated, PINRun, PINName, PINHistory}, IDs: "K8"},
	{Kind: PINKind, Verb: ForceVerb, From: []Stage{Set}, To: []Stage{Forced}, By: staff | BySystem, Refused: []Code{OnOperator}, IDs: "K8"},
	{Kind: PINKind, Verb: Reset, From: []Stage{Set, Forced}, To: []Stage{None}, By: staff, Refused: []Code{OnOperator}, IDs: "K8"},
}

// find gives the row for an act from a stage, or says why there is none for this actor: first whether the role may do it
// at all, so that nobody learns a state by trying what they may not do.
func find(kind Kind, verb Verb, from Stage, by Who, about string) (*Row, *Refusal) {
	if bits.OnesCount8(uint8(by)) != 1 {
		return nil, refuse(NotAllowed, about)
	}
	may := false
	for i := range Table {
		r := &Table[i]
		if r.Kind != kind || r.Verb != verb || r.Clock {
			continue
		}
		may = may || r.By&by != 0
		if r.By&by != 0 && slices.Contains(r.From, from) {
			return r, nil
		}
	}
	if !may {
		return nil, refuse(NotAllowed, about)
	}
	return nil, refuse(stands[kind][from], about)
}

// HoldStage is the stage of an assignment; none where there is none.
func HoldStage(s token.Standing) Stage {
	switch s {
	case token.Pending:
		return Pending
	case token.Active:
		return Active
	case token.Suspended:
		return Suspended
	case token.Revoked:
		return Revoked
	}
	return None
}

// TokenStage is the stage of a token.
func TokenStage(s token.State) Stage {
	switch s {
	case token.InStock:
		return InStock
	case token.InUse:
		return InUse
	case token.Expired:
		return Expired
	case token.Destroyed:
		return Destroyed
	}
	return None
}
