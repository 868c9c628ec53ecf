// Package authn answers one question: may this person in? A [Login] comes from a gateway, [Authenticator.Authenticate]
// answers it with a [Decision].
//
// What decides is a pure function, the login table ([Table], documented row by row in docs/login.md): it looks at the
// [Facts] known so far and says what to find out or do next. The [Authenticator] is its hands: it asks the [Directory],
// waits where a fact has to be waited for, and lets the [Store] save what the table ordered, before any answer leaves.
//
// The package knows no wire format, no LDAP and no SQL. Time comes in as now.
package authn

import (
	"context"
	"net/netip"
	"time"

	"sekisho/token"
)

// FirstFactor is what proves the person beside the code.
type FirstFactor uint8

// The first factors.
const (
	NoFactor FirstFactor = iota // the code is all there is; the config has to say so in words
	PIN                         // kept here, per account
	Password                    // asked of the directory by a bind
	Gateway                     // the gateway proved one itself; its client entry says so
)

// Client is a gateway as logins see it. What only the wire needs (addresses, secrets, Message-Authenticator) is
// radius.Client's.
type Client struct {
	Name          string
	Service       string // clients of one name here count as one service; the client's name when none is configured
	GatewayProves bool   // first_factor: gateway
	TrustStation  bool   // its Calling-Station-Id tells where the person is (S1 source)
	CanChallenge  bool   // it shows an Access-Challenge to the person
	Blind         bool   // challenge: blind (S19): everybody is asked for a code, the first factor's verdict stays hidden
	Tries         int    // codes asked for in one dialogue
	Prompts       Prompts
	Names         Names         // how typed names are read
	Language      Language      // of what a Reject may tell (P4)
	RepeatWithin  time.Duration // how long the same login, brought again, gets its verdict again; 0: never, at most MaxRepeatWithin
	RejectDelay   time.Duration // least time from arrival to a refusal (S20)
	RetryAfter    time.Duration // when the gateway repeats its request; refusals leave before it where they can
	Deadline      time.Duration // from arrival; after it the gateway has given up and nothing is answered
}

// Language is that of the sentences a gateway's people are shown. The zero value is both.
type Language uint8

// The languages.
const (
	BothLanguages Language = iota
	Japanese
	English
)

// ChallengeMode is the word of the config for how the client asks: none, plain or blind.
func (c *Client) ChallengeMode() string {
	switch {
	case !c.CanChallenge:
		return "none"
	case c.Blind:
		return "blind"
	}
	return "plain"
}

// Prompts are the texts of an Access-Challenge, at most 253 octets each (P15). They differ per step, because ocserv takes
// an equal text for the same question. Again has two %d: the number of the try and of all tries.
type Prompts struct{ First, Again, Next string }

// DefaultPrompts asks in Japanese and English.
var DefaultPrompts = Prompts{
	First: "ワンタイムパスワードを入力 / Enter one-time password",
	Again: "番号が違うか使用済みです。新しい番号を入力 (%d/%d) / Not accepted, enter a new code (%[1]d/%[2]d)",
	Next:  "確認のため次の番号も入力 / Enter the next code too",
}

// Policy says how one group of users proves itself at one group of gateways.
type Policy struct {
	Name            string
	Clients         []string // client or service names; empty: every client
	Directories     []string // names of the directories whose users it is for; empty: every one
	Groups          []string // members of any of them, in the form of User.Groups
	Users           []string // these too, as FoldUserName gives their canonical names; with Groups empty as well: everybody
	Deny            bool
	First           FirstFactor
	Joined          bool     // first factor and code come in one field
	CodeFirst       bool     // joined: the code stands before the first factor
	Ask             bool     // the code is asked for by Access-Challenge
	ExemptGroups    []string // members need no code; in the form of User.Groups
	ActivateAtLogin bool     // a right code of a pending token registers it
	Window          token.Window
	Reply           []Attribute // sent with Access-Accept, before those of reply rules; values as in ReplyRule.Set
	Alone           bool        // the first factor is all that is asked for: a page follows that asks for more. No gateway's policy says so
	Unenrolled      *Unenrolled // who never held a token gets in with the first factor alone; nil: nobody does (P5)
}

// Unenrolled lets people in who never held a token, for a time, so that a site can begin before everybody has one.
type Unenrolled struct {
	Until time.Time   // from this moment on nobody is let in so; at most UnenrolledMost ahead
	Reply []Attribute // all that is sent: neither the policy's Reply nor reply rules add to it; values as in ReplyRule.Set
}

// UnenrolledMost is how far ahead the end of Unenrolled may lie.
const UnenrolledMost = 90 * 24 * time.Hour

// Attribute is one reply attribute by its dictionary name, with its value as text.
type Attribute struct{ Name, Value string }

// Login is one Access-Request that passed every check of the wire. It and what it points to stay as they are until done of
// [Authenticator.Authenticate] has returned.
type Login struct {
	Client  *Client
	Name    []byte // User-Name as it came: any octets, 253 at most
	Text    Secret // User-Password, or the gateway's equal
	Code    Secret // the code, where the gateway has a field of its own for it
	HasCode bool   // it has: Text is the first factor exactly and Code the code, and nothing is split
	State   []byte // State attribute; nil when there is none
	Station []byte // Calling-Station-Id as it came
	Source  netip.AddrPort
	Packet  []byte    // the datagram, for the digest of S17; not looked at after Authenticate returned
	Arrived time.Time // with monotonic part: deadlines and delays count from here
	Method  Method
	Signed  bool // its Message-Authenticator was verified
}

// lone is the text of a login that needs nothing but a code.
func (l *Login) lone() []byte {
	if l.HasCode {
		return l.Code.Reveal()
	}
	return l.Text.Reveal()
}

// Method is how the password travelled.
type Method uint8

// The methods. Only PAP is taken for now; the others get a proper Reject.
const (
	PAP Method = iota + 1
	CHAP
	MSCHAP
	EAP
)

// String gives the word that logs use.
func (m Method) String() string {
	switch m {
	case PAP:
		return "pap"
	case CHAP:
		return "chap"
	case MSCHAP:
		return "mschap"
	case EAP:
		return "eap"
	}
	return "none"
}

// Decision is the answer to a Login. Whatever it counts, burns or spends is durable before it is handed out. What it points
// to is valid while done runs: who needs it longer copies it.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Policy  *Policy   // of an Accept
	Reply   []byte    // of an Accept: its attributes, as ReplyBook.Encode gave them
	Account AccountID // whose login it was; zero where there is none
	Message string    // Reply-Message: the prompt of a Challenge, or what may be told after proof (P4)
	State   []byte    // of a Challenge: at most 64 printable octets
	Delayed bool      // leaves by S20: every Reject, and the Challenges of a blind client
	Repeat  bool      // the verdict of an earlier request: before a restart (S17), or the same login brought again
	Seq     uint64    // of the event; zero where nothing was recorded
	Batched bool      // one of a commit's answers: the store says when all of them are handed out
}

// User is a person as a directory knows them.
type User struct {
	Directory string   // name of the directory in the config
	ID        string   // immutable there: entryUUID, objectGUID; never a name
	Name      string   // canonical login name, for people
	DN        string   // where a bind goes; empty for directories without
	Groups    []string // DNs, or names in a file, nested ones included, as directory.FoldGroup gives them
	Barred    Reason   // zero, or UserDisabled, UserLocked, UserExpired, PasswordExpired, PasswordMustChange

	// Attributes are what the directory knows beside, in UTF-8: name, reading, mail, phone, language, department and what
	// else the configuration's attribute map names. They shape replies and mails; no decision hangs on them.
	Attributes map[string][]string
}

// BindResult is the directory's word on a password.
type BindResult struct {
	OK     bool
	Barred Reason // why a right password does not help, where the directory says so
}

// Directory tells who a typed name is and whether a password is theirs.
//
// Implementations guarantee: every spelling of one person's name gives the same (Directory, ID); a name that fits nobody
// is ErrUnknownUser and one that fits several ErrAmbiguousUser; any other error means the directory could not answer, and
// never "no such user"; an empty password is refused without asking; every call ends by the context's deadline or by
// the directory's own, whichever is sooner; nothing of a password is kept, and a User that Authenticate is given is not
// used after it returned.
type Directory interface {
	// Peek answers from memory alone, at once; ok is false when Lookup has to be asked.
	Peek(name []byte, now time.Time) (u *User, ok bool)
	Lookup(ctx context.Context, name []byte) (*User, error)
	Authenticate(ctx context.Context, u *User, password Secret) (BindResult, error)
	// BindTime is the p99 of binds over the last 10 minutes; refusals wait for it (S20).
	BindTime() time.Duration
	// FailureLimit is when the directory locks a user; zero: never.
	FailureLimit() Lockout
}

// Peeker is a [Directory] that holds all its users in memory, so that it can say at once who a name is, and that it is
// nobody's, and needs no memory for the answer.
type Peeker interface {
	// PeekInto fills the caller's room with the user of a name. known is false when Lookup has to be asked; known without
	// found is what [ErrUnknownUser] is of Lookup. What the filled strings, slices and maps hold is shared and not changed.
	PeekInto(name []byte, now time.Time, room *User) (found, known bool)
}

// Lockout is when a directory locks a user out (S3).
type Lockout struct {
	Wrong int // passwords before the lock; 0: no lock
	// Window is how long after the last wrong password the count goes on. Active Directory forgets all of them together
	// when so long nothing wrong came, so a guesser who is slow enough reaches any threshold. 0: not known.
	Window time.Duration
}
