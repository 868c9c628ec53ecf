// Package audit carries events off the machine, as they become durable: to a syslog server (RFC 5424 over TCP, TLS or UDP)
// or to a file of JSON lines. What left the machine cannot be changed by whoever changes the machine later, and after a
// restore of an old backup it tells which steps were used since (S12).
//
// [Stream.Run] follows the journal from where the target last was; each event is sent at least once and carries its
// number, so that a second copy is known as one.
package audit

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// HeadKind is the kind of a record that says where the chain stands.
const HeadKind = "head"

// Record is one event as it leaves the machine: one JSON object on one line. Times are UTC with microseconds. Seeds, codes,
// PINs, passwords and shared secrets are in no event.
type Record struct {
	Kind     string    `json:"kind"` // login, act or head
	Seq      uint64    `json:"seq"`
	At       time.Time `json:"at"`
	Account  string    `json:"account,omitempty"`
	User     string    `json:"user,omitempty"` // as typed; octets that are no printable text as \xHH
	Source   string    `json:"source,omitempty"`
	Station  string    `json:"station,omitempty"`
	Client   string    `json:"client,omitempty"`
	Policy   string    `json:"policy,omitempty"`
	Method   string    `json:"method,omitempty"`
	Verdict  string    `json:"verdict,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Row      uint8     `json:"row,omitempty"`
	Class    string    `json:"class,omitempty"`
	Token    string    `json:"token,omitempty"`
	Step     *int64    `json:"step,omitempty"`
	Burnt    []Burnt   `json:"burnt,omitempty"`
	Notices  []string  `json:"notices,omitempty"`
	Count    uint32    `json:"count,omitempty"` // attempts that this line stands for, where it is more than one
	Micros   int64     `json:"total_us,omitempty"`
	Act      string    `json:"act,omitempty"`
	Actor    string    `json:"actor,omitempty"`
	Detail   string    `json:"detail,omitempty"`
	Link     string    `json:"link,omitempty"` // of a head: the chain's HMAC there, in hex
	Instance string    `json:"instance,omitempty"`
}

// Burnt is a token's step after an event: what a restore needs (S12).
type Burnt struct {
	Token string `json:"token"`
	Last  int64  `json:"last"`
}

// NewRecord gives an event. Without people the personal part (name as typed, addresses) stays on the machine (S25).
func NewRecord(e *authn.Event, people bool) Record {
	r := Record{
		Kind: "login", Seq: e.Seq, At: e.At.UTC(), Client: e.Client, Policy: e.Policy, Act: e.Act, Actor: e.Actor, Detail: e.Detail,
	}
	if e.Count > 1 {
		r.Count = e.Count
	}
	if e.Account != 0 {
		r.Account = e.Account.String()
	}
	if e.Token != 0 {
		r.Token = e.Token.String()
		if e.Step != token.NoStep {
			step := e.Step
			r.Step = &step
		}
	}
	for _, b := range e.Burnt {
		r.Burnt = append(r.Burnt, Burnt{b.Token.String(), b.Last})
	}
	for _, n := range e.Notices {
		r.Notices = append(r.Notices, n.String())
	}
	if people {
		r.User, r.Station = e.Personal.ShownName(), authn.Shown(e.Personal.Station)
		if e.Personal.Source.IsValid() {
			r.Source = e.Personal.Source.String()
		}
	}
	if e.Kind == authn.ActEvent {
		r.Kind = "act"
		return r
	}
	r.Verdict, r.Reason, r.Method, r.Row, r.Class = e.Verdict.String(), e.Reason.String(), e.Method.String(), e.Row, e.Class.String()
	r.Micros = e.Stages.Total.Microseconds()
	return r
}

// Head is where the chain stands: whoever holds it outside can show that the journal was not rewritten up to there (S24).
func Head(seq uint64, link []byte, at time.Time) Record {
	return Record{Kind: HeadKind, Seq: seq, At: at.UTC(), Link: hex.EncodeToString(link)}
}

// Line is the record as one line of JSON without its end.
func (r *Record) Line() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("audit: a record of plain fields does not marshal: %v", err))
	}
	return b
}
