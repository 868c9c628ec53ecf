package authn

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// MessageKind names the template of a mail.
type MessageKind string

// The kinds of mail. Each has a Japanese and an English template of its name.
const (
	MailActivation    MessageKind = "activation"     // the link with which a device is registered
	MailReactivation  MessageKind = "reactivation"   // the link after an approved request or a reset
	MailExpiry        MessageKind = "expiry"         // a token runs out
	MailDeviceAdded   MessageKind = "device-added"   // somebody has registered a device
	MailRequested     MessageKind = "requested"      // a request came in
	MailRefused       MessageKind = "refused"        // it was not granted
	MailRevoked       MessageKind = "revoked"        // tokens were revoked
	MailRegister      MessageKind = "register"       // the time to register again has come
	MailPINChanged    MessageKind = "pin-changed"    // the PIN is another one
	MailTemporary     MessageKind = "temporary"      // temporary codes were begun
	MailAddress       MessageKind = "address"        // where notices go has changed; to every old address
	MailFailures      MessageKind = "failures"       // right password, wrong codes, several times
	MailTheft         MessageKind = "theft"          // right code, wrong password
	MailTwoCodes      MessageKind = "two-codes"      // from now on two codes are asked for
	MailRefusedByRule MessageKind = "refused-state"  // both factors right, refused by the token's state (P4)
	MailStopped       MessageKind = "stopped"        // the account was stopped: only the help desk or a new registration opens it
	MailReset         MessageKind = "assisted-reset" // to the help desk: somebody waits
)

// LinkPath is where the self-service pages take the secret of an activation link. A message whose link has to wait for the
// pages' address holds it as LinkPath and the secret.
const LinkPath = "/a/"

// MessageKinds lists every kind.
var MessageKinds = []MessageKind{
	MailActivation, MailReactivation, MailExpiry, MailDeviceAdded, MailRequested, MailRefused, MailRevoked, MailRegister, MailPINChanged,
	MailTemporary, MailAddress, MailFailures, MailTheft, MailTwoCodes, MailRefusedByRule, MailStopped, MailReset,
}

// MessageState is how far a mail has come.
type MessageState uint8

// The states. They are stored: append, never renumber.
const (
	MessageWaiting   MessageState = iota + 1 // for its time, or for another try
	MessageSending                           // given to the mail server, no answer yet
	MessageSent                              // the mail server took it over
	MessageRefused                           // the mail server will never take it
	MessageUnknown                           // whether the server took it cannot be known; it is not sent again by itself
	MessageLapsed                            // it could not be sent while it was of use
	MessageHeld                              // the configuration lacks what it needs; see Answer
	MessageWithdrawn                         // what it announced is void
)

var messageStates = [...]string{"", "waiting", "sending", "sent", "refused", "unknown", "lapsed", "held", "withdrawn"}

// ParseMessageState reads what [MessageState.String] wrote; zero for what is none.
func ParseMessageState(s string) MessageState {
	return MessageState(max(0, slices.Index(messageStates[:], s)))
}

// String gives the word that listings and the API use.
func (s MessageState) String() string {
	if int(s) < len(messageStates) {
		return messageStates[s]
	}
	return fmt.Sprintf("message state %d", s)
}

// Ended reports a state that changes no more by itself.
func (s MessageState) Ended() bool {
	return s == MessageSent || s == MessageRefused || s == MessageUnknown || s == MessageLapsed || s == MessageWithdrawn
}

// Message is one mail to one address, on its way. What several addresses are told is several messages, so that each has a
// fate of its own. Storage seals Fields, which may hold a link; they are erased when the message has ended.
type Message struct {
	ID       uint64 // see [NewMessageID]
	Kind     MessageKind
	Account  AccountID         // whom it is about; zero: nobody
	To       string            // one address; empty: the one that the directory has for Account when the mail is sent
	Language string            // ja or en: which of the two comes first; empty: what the directory says then
	Fields   map[string]string // of the template; "name.en" goes before "name" in the English half, and the same for ja
	Created  time.Time
	Begun    time.Time // the first try; zero: none yet
	Due      time.Time // not before
	Until    time.Time // of no use after
	State    MessageState
	Tries    int
	Answer   string // the mail server's last answer word for word, or why nothing was asked
	Changed  time.Time
}

// lastMessage is the number that [NewMessageID] gave last.
var lastMessage atomic.Uint64

// NewMessageID makes the number of a new message, higher than any before, so that those made later come later in listings:
// milliseconds, then random bits that keep it from meeting one of an earlier process. It is below 1<<63 until the year 2248.
func NewMessageID(now time.Time) uint64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	fresh := uint64(now.UnixMilli())<<20 | uint64(binary.BigEndian.Uint32(b[:])>>12)
	for {
		last := lastMessage.Load()
		id := max(fresh, last+1)
		if lastMessage.CompareAndSwap(last, id) {
			return id
		}
	}
}

// WaitingSince is since when a waiting message could have been sent; it is after now where its time has not come.
func (m Message) WaitingSince() time.Time {
	if m.Begun.IsZero() {
		return m.Due
	}
	return m.Begun
}

// keepMessages is how long a message that has ended is kept, for whoever asks what was sent.
const keepMessages = 90 * 24 * time.Hour

// Record is the message as it is stored. Its Due is when something has to be done about it: to send it, to erase what a
// person's word could still send, or to take the whole away.
func (m Message) Record() (*Record, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("message %d: %w", m.ID, err)
	}
	due := m.Due
	if m.State.Ended() {
		due = m.Changed.Add(keepMessages)
	}
	if (m.State.Ended() || m.State == MessageHeld) && m.Fields != nil && !m.Until.IsZero() {
		due = m.Until
	}
	return &Record{RecordKey: RecordKey{MessageRecord, m.ID}, Account: m.Account, State: uint8(m.State), Due: due.Unix(), Data: data}, nil
}

// MessageOf reads what [Message.Record] made.
func MessageOf(r *Record) (m Message, err error) {
	if err := json.Unmarshal(r.Data, &m); err != nil {
		return m, fmt.Errorf("message %d: %w", r.ID, err)
	}
	return m, nil
}

// Swept is what becomes of a message with time alone: one that came too late lapses, the fields of one that cannot be sent
// again are erased. gone tells that it has been kept for long enough; changed that it is another one now.
func (m Message) Swept(now time.Time) (after Message, changed, gone bool) {
	late := !m.Until.IsZero() && !now.Before(m.Until)
	switch {
	case (m.State == MessageWaiting || m.State == MessageHeld) && late:
		return m.end(MessageLapsed, m.Answer, now), true, false
	case m.State.Ended() && now.Sub(m.Changed) >= keepMessages:
		return m, false, true
	case m.State.Ended() && m.Fields != nil && late:
		m.Fields = nil // Changed stays: it tells when the message ended
		return m, true, false
	}
	return m, false, false
}

// Waits between tries: from the first on twice as long each time, up to the longest.
const (
	messageFirstWait   = time.Minute
	messageLongestWait = time.Hour
	messageAnswer      = 1000 // octets of an answer that are kept
)

// Claim takes a waiting message for one try. It reports false, with the message as it is from now on, where there is nothing
// to send: its time has not come, or it is of no use any more. The claim is to be durable before the mail server hears of
// the message: one that a crash interrupts is never sent twice.
func (m Message) Claim(now time.Time) (Message, bool) {
	if m.State != MessageWaiting || now.Before(m.Due) {
		return m, false
	}
	if !m.Until.IsZero() && !now.Before(m.Until) {
		return m.end(MessageLapsed, m.Answer, now), false
	}
	if m.Begun.IsZero() {
		m.Begun = now
	}
	m.State, m.Tries, m.Changed = MessageSending, m.Tries+1, now
	return m, true
}

// Accepted is a message that the mail server took over.
func (m Message) Accepted(answer string, now time.Time) Message {
	return m.end(MessageSent, answer, now)
}

// Rejected is a message that the mail server will never take.
func (m Message) Rejected(answer string, now time.Time) Message {
	return m.end(MessageRefused, answer, now)
}

// Uncertain is a message whose last octet was sent and whose answer never came, or whose try a crash interrupted. A second
// one would perhaps be a second mail, so it waits for a person's word.
func (m Message) Uncertain(answer string, now time.Time) Message {
	return m.end(MessageUnknown, answer, now)
}

// Postponed is a message that was certainly not taken over, and may be later: it waits a minute, and each time twice as long,
// up to an hour. Where it would come too late it lapses.
func (m Message) Postponed(answer string, now time.Time) Message {
	wait := messageLongestWait
	if n := m.Tries - 1; n < 6 {
		wait = min(wait, messageFirstWait<<max(n, 0))
	}
	m.State, m.Answer, m.Changed, m.Due = MessageWaiting, clip(answer), now, now.Add(wait)
	if !m.Until.IsZero() && !m.Due.Before(m.Until) {
		return m.end(MessageLapsed, answer, now)
	}
	return m
}

// Held is a message that cannot leave until the configuration has what it needs: why is for operators.
func (m Message) Held(why string, now time.Time) Message {
	m.State, m.Answer, m.Changed = MessageHeld, clip(why), now
	return m
}

// Again makes an ended or held message wait once more, because a person says so.
func (m Message) Again(now time.Time) (Message, *Refusal) {
	switch {
	case m.State == MessageSent:
		return m, refusal("mail-sent", "This mail has been sent; order the act again that sends it.")
	case m.State == MessageWithdrawn || m.Fields == nil:
		return m, refusal("mail-void", "What this mail announces is void or was erased; order the act again that sends it.")
	case m.State == MessageSending:
		return m, refusal("mail-under-way", "This mail is being sent; wait for the mail server's answer.")
	case !m.Until.IsZero() && !now.Before(m.Until):
		return m, refusal("mail-late", "This mail is of no use since %s; order the act again that sends it.", m.Until.Format(time.RFC3339))
	}
	m.State, m.Tries, m.Due, m.Begun, m.Changed = MessageWaiting, 0, now, time.Time{}, now
	return m, nil
}

// Withdrawn is a message whose content is void; one that was sent or is under way stays as it is.
func (m Message) Withdrawn(now time.Time) Message {
	if m.State != MessageWaiting && m.State != MessageHeld {
		return m
	}
	return m.end(MessageWithdrawn, m.Answer, now)
}

// end keeps the fields only where a person may still say "again".
func (m Message) end(s MessageState, answer string, now time.Time) Message {
	m.State, m.Answer, m.Changed = s, clip(answer), now
	if s != MessageUnknown && s != MessageRefused {
		m.Fields = nil
	}
	return m
}

func clip(s string) string {
	if len(s) > messageAnswer {
		s = s[:messageAnswer]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
