package authn

import (
	"fmt"
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
	MailReset         MessageKind = "assisted-reset" // to the help desk: somebody waits
)

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
// fate of its own. Storage seals Fields, which may hold a link, and erases them when the message has ended.
type Message struct {
	ID       uint64
	Kind     MessageKind
	Account  AccountID // whom it is about; zero: nobody
	To       string    // one address
	Language string    // ja or en: which of the two comes first
	Fields   map[string]string
	Created  time.Time
	Due      time.Time // not before
	Until    time.Time // of no use after
	State    MessageState
	Tries    int
	Answer   string // the mail server's last answer word for word, or why nothing was asked
	Changed  time.Time
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
	m.State, m.Tries, m.Due, m.Changed = MessageWaiting, 0, now, now
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
		return s[:messageAnswer]
	}
	return s
}
