// Package token says what a one-time password token is, which code it shows at which step, and which state may follow
// which. It imports no other package of Sekisho and touches neither clock, disk nor network (the file of the [OuterKey]
// apart): time comes in as an argument, and who stores a Token saves what the functions here return.
//
// Start with [Token] and [Token.Evaluate]: a code is compared with the codes of a [Window] of steps and the answer is a
// [Match], the step that fits and whether it is still unused. Burning the step (setting [Token.Last]) is the caller's
// act, in the transaction that also writes the login event.
//
//	            assign                 first right code
//	in stock ----------> in use           pending ------------------> active <----> suspended
//	   ^                   |                 |                           |              |
//	   '--- last ended ----'                 '--------- revoked <--------+--------------'
//	 (hardware tokens only; software tokens are destroyed)
//	            a token                                  an Assignment (user x token)
package token

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ID identifies a token for as long as any record of it lives. IDs are random (63 bits) and never used again.
type ID uint64

var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// String gives the ID as 13 capital letters and digits (base32), the form in which people and the API see it.
func (id ID) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(id))
	return idEncoding.EncodeToString(b[:])
}

// ParseID reads what [ID.String] wrote, in either case. 13 characters hold one bit more than an ID: the spellings that
// would set it are refused, so that an ID has one spelling.
func ParseID(s string) (ID, error) {
	b, err := idEncoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != 8 {
		return 0, fmt.Errorf("token ID %.20q: want 13 letters and digits 2-7, as listings show it", s)
	}
	id := ID(binary.BigEndian.Uint64(b))
	if id.String() != strings.ToUpper(s) {
		return 0, fmt.Errorf("token ID %q: no ID has this last letter; copy it again from a listing", s)
	}
	return id, nil
}

// Mode is what moves a token from one code to the next.
type Mode uint8

// The modes of RFC 4226 (event) and RFC 6238 (time).
const (
	HOTP Mode = iota + 1
	TOTP
)

// String gives the name that otpauth URIs use.
func (m Mode) String() string {
	switch m {
	case HOTP:
		return "hotp"
	case TOTP:
		return "totp"
	}
	return fmt.Sprintf("mode %d", m)
}

// Hash is the hash function under a token's HMAC.
type Hash uint8

// The three functions of RFC 6238 §1.2.
const (
	SHA1 Hash = iota + 1
	SHA256
	SHA512
)

// String gives the name that otpauth URIs use.
func (h Hash) String() string {
	switch h {
	case SHA1:
		return "SHA1"
	case SHA256:
		return "SHA256"
	case SHA512:
		return "SHA512"
	}
	return fmt.Sprintf("hash %d", h)
}

// Form tells a thing on a key-ring from an entry in an app.
type Form uint8

// The forms. Their life differs: a hardware token goes back to stock, a software token is destroyed.
const (
	Software Form = iota + 1
	Hardware
)

// String gives the word that commands and files use.
func (f Form) String() string {
	switch f {
	case Software:
		return "software"
	case Hardware:
		return "hardware"
	}
	return fmt.Sprintf("form %d", f)
}

// State is where a token stands, whoever holds it. What a user may do with it is the [Assignment]'s state.
type State uint8

// The states. Expired is never stored: it follows from [Token.Expiry] and the moment of asking, see [Token.StateAt].
const (
	InStock State = iota + 1
	InUse
	Expired
	Destroyed
)

// String gives the word that listings use.
func (s State) String() string {
	switch s {
	case InStock:
		return "in stock"
	case InUse:
		return "in use"
	case Expired:
		return "expired"
	case Destroyed:
		return "destroyed"
	}
	return fmt.Sprintf("state %d", s)
}

// Bounds on what a token may be. A seed under 16 octets (128 bits) breaks RFC 4226 §4 R6; a period over 120 s breaks
// NIST SP 800-63B §3.1.4.
const (
	MinDigits, MaxDigits = 6, 8
	MinPeriod, MaxPeriod = 10, 120 // seconds
	MinSeed, MaxSeed     = 16, 128 // octets
	MaxCounter           = 1<<62 - 1
)

// NoStep is the value of [Token.Last] while no step has ever been used.
const NoStep int64 = -1

// Token is one secret with a step counter: one device, however many users it is assigned to (S5).
//
// The fields down to Sealed change only by an act of the life cycle. Last, Drift and DriftDay belong to logins: events
// carry them, and a replay of events takes the larger Last.
type Token struct {
	ID           ID
	Serial       string // as engraved; unique among living tokens; empty for software tokens without one
	CredentialID string // OATH token identifier, 12 characters; may be empty
	Name         string // what its owner calls it
	Form         Form
	Mode         Mode
	Hash         Hash
	Digits       uint8  // 6 to 8
	Period       uint16 // seconds a TOTP step lasts; 0 for HOTP
	State        State  // InStock, InUse or Destroyed
	Start        int64  // Unix seconds from which it may be used; 0: always
	Expiry       int64  // Unix seconds at which it stops; 0: never
	Fingerprint  [16]byte
	Sealed       SealedSeed

	Last     int64 // highest step ever burnt, or NoStep. HOTP: the counter of the code
	Drift    int16 // whole steps to add to the clock's step (S22)
	DriftDay uint16
}

// SealedSeed is a seed under a data key, bound to its token; see Keys.SealSeed.
type SealedSeed struct {
	Version uint32 // of the data key
	Data    []byte // nonce and ciphertext
}

// StateAt is the state at a moment, expiry included. A token expires at the instant itself: 08:59:59 passes and 09:00:00
// does not when Expiry is 09:00:00.
func (t *Token) StateAt(now time.Time) State {
	if t.State != Destroyed && t.Expiry != 0 && now.Unix() >= t.Expiry {
		return Expired
	}
	return t.State
}

// Check says what is wrong with a token that an import or an act made, one sentence a fault.
func (t *Token) Check() error {
	var faults []error
	bad := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }
	switch {
	case t.Mode == TOTP && (t.Period < MinPeriod || t.Period > MaxPeriod):
		bad("period %d s: want %d to %d", t.Period, MinPeriod, MaxPeriod)
	case t.Mode == HOTP && t.Period != 0:
		bad("period %d s: an event-based token has none", t.Period)
	case t.Mode != HOTP && t.Mode != TOTP:
		bad("%v: want hotp or totp", t.Mode)
	}
	if t.Hash < SHA1 || t.Hash > SHA512 {
		bad("%v: want SHA1, SHA256 or SHA512", t.Hash)
	}
	if t.Form != Software && t.Form != Hardware {
		bad("%v: want software or hardware", t.Form)
	}
	if t.Digits < MinDigits || t.Digits > MaxDigits {
		bad("%d digits: want %d to %d", t.Digits, MinDigits, MaxDigits)
	}
	if t.State != InStock && t.State != InUse && t.State != Destroyed {
		bad("%v: a token is kept as in stock, in use or destroyed", t.State)
	}
	if t.Last < NoStep || t.Last > MaxCounter {
		bad("last step %d: out of range", t.Last)
	}
	if t.Start != 0 && t.Expiry != 0 && t.Expiry <= t.Start {
		bad("expiry %s is not after start %s", rfc3339(t.Expiry), rfc3339(t.Start))
	}
	for _, text := range [...]struct{ what, value string }{{"serial", t.Serial}, {"credential ID", t.CredentialID}, {"name", t.Name}} {
		if !utf8.ValidString(text.value) || strings.ContainsFunc(text.value, unicode.IsControl) {
			bad("%s: want text without control characters", text.what)
		}
	}
	if len(t.Serial) > 64 || len(t.CredentialID) > 64 || len(t.Name) > 128 {
		bad("serial and credential ID have at most 64 octets, a name 128")
	}
	return errors.Join(faults...)
}

func rfc3339(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

// Standing is the state of one user's hold on one token.
type Standing uint8

// The standings of an assignment. Only Active opens anything; Pending opens where policy lets a login activate it.
const (
	Pending Standing = iota + 1
	Active
	Suspended
	Revoked
)

// String gives the word that listings use.
func (s Standing) String() string {
	switch s {
	case Pending:
		return "pending"
	case Active:
		return "active"
	case Suspended:
		return "suspended"
	case Revoked:
		return "revoked"
	}
	return fmt.Sprintf("standing %d", s)
}

// Assignment is one user's hold on one token. It is kept with the user's account, which its lock guards; the token is
// shared when several accounts hold it.
type Assignment struct {
	Token    ID
	Standing Standing
	Since    int64 // Unix seconds of the last change of Standing
}
