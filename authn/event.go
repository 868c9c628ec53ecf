package authn

import (
	"encoding/hex"
	"net/netip"
	"time"

	"sekisho/token"
)

// EventKind tells logins from acts.
type EventKind uint8

// The kinds. Append, never renumber: they are in the audit chain.
const (
	LoginEvent EventKind = iota + 1
	ActEvent
)

// Event is one line of the audit chain. For a login it is at once the ledger entry that burns the step: one append makes
// both durable (I1, I2). The core goes into the chain; Personal is sealed apart so that it can be erased (S25).
type Event struct {
	Seq     uint64    // set by the store
	At      time.Time // microseconds are kept
	Kind    EventKind
	Account AccountID // zero: no account
	Verdict Verdict
	Reason  Reason
	Row     uint8 // of the login table
	Class   Class
	Method  Method
	Client  string // name of the gateway in the config; for acts empty
	Policy  string
	Token   token.ID // whose step was used, or which token an act changed
	Step    int64    // NoStep: none
	Digest  [16]byte // keyed hash of the request (S17); zero for acts
	Nonce   [12]byte // State spent by this event; zero: none
	Notices []Notice
	Stages  Stages
	Count   uint32 // attempts that this line stands for; 0 and 1 mean one (S25)

	// State after the event, only what a login owns; storage applies it live and in replay (S8).
	Burnt []Burnt
	Guard GuardAfter // applies when GuardSet
	// GuardSet says that Guard holds the account's guard after the event.
	GuardSet bool

	// Act, of an ActEvent: its stable name ("token.assign"), who did it, and what changed, without personal data. The Detail
	// of a login names the rules that decided its reply attributes, or the one that kept it from being accepted.
	Act, Actor, Detail string

	Personal Personal
}

// Burnt is a token after an event: step, drift and, where the code activated it, the standing.
type Burnt struct {
	Token     token.ID
	Last      int64
	Drift     int16
	DriftDay  uint16
	Activated bool // the account's assignment went from pending to active
}

// Personal is the part of an event that is about a person and can be erased.
type Personal struct {
	Name    []byte // as typed
	Source  netip.AddrPort
	Station []byte
	Hashed  [16]byte // in place of a name that was nobody's, a day later (S25): a keyed hash of it, zero where there is a name
}

// ShownName is the name as typed, fit for people's eyes (see [Shown]), or what is left to tell names of nobody apart.
func (p *Personal) ShownName() string {
	if p.Hashed != [16]byte{} {
		return "unknown-" + hex.EncodeToString(p.Hashed[:4])
	}
	return Shown(p.Name)
}

// Stages says where the time of a login went.
type Stages struct{ Lookup, Bind, Lock, Total time.Duration }

// Notice is a message that a decision owes to the person or the operators. Mail and pages deliver it later; it is saved
// with the event.
type Notice uint8

// The notices. Append, never renumber.
const (
	NoticeFailures    Notice = iota + 1 // three right first factors with wrong codes in a row
	NoticeTheft                         // right code with a wrong first factor
	NoticePair                          // the account now needs two codes
	NoticeStopped                       // a class or the account was stopped
	NoticeRefusedLive                   // both factors right, refused by the token's state (P4)
	NoticeActivated                     // a code at login registered a token
	NoticePairBudget                    // even two codes are no longer evaluated
	noticeEnd
)

var noticeNames = [noticeEnd]string{"", "failures", "theft", "two-codes", "stopped", "refused-by-state", "activated", "pair-budget"}

// String gives the stable code of the notice.
func (n Notice) String() string {
	if n < noticeEnd {
		return noticeNames[n]
	}
	return "unknown"
}

// Session is one accounting record of a gateway (RFC 2866), stored once per (NAS, ID, Status, At).
type Session struct {
	NAS      string // NAS-Identifier, else NAS-IP-Address, else the source address
	Client   string
	ID       string // Acct-Session-Id
	Status   uint32 // Acct-Status-Type: 1 Start, 2 Stop, 3 Interim-Update, 7 On, 8 Off
	At       time.Time
	Name     []byte
	Station  []byte
	Framed   netip.Addr
	Seconds  uint32 // Acct-Session-Time
	In, Out  uint64 // octets, gigawords included
	Cause    uint32 // Acct-Terminate-Cause
	Received time.Time
	Raw      []byte // the attributes as they came, unknown ones included
}
