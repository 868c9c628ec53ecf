package desk

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// What the rules remember is kept as JSON of their own types, without what the account holds already. Fields of these types
// that are stored are never renamed; a test holds the names.

// openHolder makes a user of an account and the record beside it, which may be nil.
func openHolder(a *authn.Account, r *authn.Record) (life.Holder, error) {
	var h life.Holder
	if r != nil {
		if err := json.Unmarshal(r.Data, &h); err != nil {
			return h, fmt.Errorf("reading what is remembered of account %v: %w", a.ID, err)
		}
	}
	kept := h.Holds
	h.Holds = make([]life.Hold, len(a.Assignments))
	for i, held := range a.Assignments {
		if at := slices.IndexFunc(kept, func(k life.Hold) bool { return k.Token == held.Token }); at >= 0 {
			h.Holds[i] = kept[at]
		}
		h.Holds[i].Assignment = held
	}
	h.Account, h.Name, h.PIN.Current = life.AccountID(a.ID), strings.Clone(a.Name), life.PINHash(a.PIN)
	return h, nil
}

// always is a Due that has passed.
const always = 1

// sealHolder is the record of a user. It is due when a loss lapses, and always while a token that waits is to end another one:
// a login may take its first code, and knows nothing of that.
func sealHolder(h *life.Holder) (*authn.Record, error) {
	r := &authn.Record{RecordKey: holderKey(authn.AccountID(h.Account)), Account: authn.AccountID(h.Account)}
	kept := *h
	kept.Account, kept.Name, kept.Groups, kept.Role, kept.Exempt, kept.PIN.Current = 0, "", nil, 0, false, life.PINHash{}
	kept.Holds = nil
	for _, hold := range h.Holds {
		if hold.Standing == token.Suspended && hold.Until != 0 && (r.Due == 0 || hold.Until < r.Due) {
			r.Due = hold.Until
		}
		if len(hold.Replaces) > 0 {
			r.Due = always
		}
		id := hold.Token
		hold.Assignment = token.Assignment{}
		if len(hold.Replaces) == 0 && hold.Why == 0 && hold.Until == 0 && hold.Before == 0 && hold.Cooled == 0 && hold.Takes == 0 {
			continue
		}
		hold.Token = id
		kept.Holds = append(kept.Holds, hold)
	}
	var err error
	r.Data, err = json.Marshal(kept)
	return r, err
}

// openToken gives what is remembered of a token; the record may be nil.
func openToken(id token.ID, r *authn.Record) (life.Record, error) {
	var out life.Record
	if r != nil {
		if err := json.Unmarshal(r.Data, &out); err != nil {
			return out, fmt.Errorf("reading what is remembered of token %v: %w", id, err)
		}
	}
	out.Token = id
	return out, nil
}

// sealToken is the record of a token. It is due when the seed of a destroyed one may be erased.
func sealToken(r life.Record, rules life.Rules) (*authn.Record, error) {
	row := &authn.Record{RecordKey: tokenKey(r.Token)}
	if r.Ended != 0 {
		row.Due = r.Ended + int64(rules.Undo/time.Second)
	}
	r.Token = 0
	var err error
	row.Data, err = json.Marshal(r)
	return row, err
}

// lastRecord is the number that newRecord gave last.
var lastRecord atomic.Uint64

// newRecord makes the ID of a record, higher than any before, so that listings by ID are listings by age: milliseconds, and
// 20 random bits that keep it from meeting one of an earlier process.
func newRecord(now time.Time) uint64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends where the system has no randomness
	fresh := uint64(now.UnixMilli())<<20 | uint64(binary.BigEndian.Uint32(b[:])>>12)
	for {
		last := lastRecord.Load()
		id := max(fresh, last+1)
		if lastRecord.CompareAndSwap(last, id) {
			return id
		}
	}
}

// madeAt is the moment in an ID of newRecord, to the millisecond.
func madeAt(id uint64) time.Time { return time.UnixMilli(int64(id >> 20)) }

// link is an activation as it is stored.
type link struct {
	life.Activation
	Again bool   `json:",omitempty"` // it follows a request or a reset
	Mail  uint64 `json:",omitempty"` // the message that brings it
}

// The states of activation records, by the stage that was saved. Lapsed is never saved: it follows from Due.
const (
	linkOpen uint8 = iota + 1
	linkStarted
	linkUsedUp
	linkRevoked
)

// LinkState is the record state of a stage, for queries; zero for stages that no record has. Links that are open or started
// and whose Due has passed have lapsed.
func LinkState(s life.Stage) uint8 {
	switch s {
	case life.Open:
		return linkOpen
	case life.Started:
		return linkStarted
	case life.UsedUp:
		return linkUsedUp
	case life.Revoked:
		return linkRevoked
	}
	return 0
}

// sealLink is the record of an activation.
func sealLink(v link, lookup [16]byte) (*authn.Record, error) {
	at := time.Unix(v.Until-1, 0) // before it lapses: that is no state of its own here
	r := &authn.Record{RecordKey: linkKey(v.ID), Account: authn.AccountID(v.Account), State: LinkState(v.Stage(at)), Due: v.Until, Lookup: lookup}
	if r.State == linkUsedUp || r.State == linkRevoked {
		r.Due = 0
	}
	var err error
	r.Data, err = json.Marshal(v)
	return r, err
}

func openLink(r *authn.Record) (v link, err error) {
	if err = json.Unmarshal(r.Data, &v); err != nil {
		err = fmt.Errorf("reading activation %d: %w", r.ID, err)
	}
	return v, err
}

func linkKey(id uint64) authn.RecordKey {
	return authn.RecordKey{Kind: authn.ActivationRecord, ID: id}
}

// The states of request records.
const (
	requestOpen uint8 = iota + 1
	requestApproved
	requestRefused
	requestWithdrawn
	requestLapsed
)

// RequestState is the record state of a stage, for queries; zero for stages that no request has.
func RequestState(s life.Stage) uint8 {
	switch s {
	case life.Open:
		return requestOpen
	case life.Approved:
		return requestApproved
	case life.Refused:
		return requestRefused
	case life.Withdrawn:
		return requestWithdrawn
	case life.Lapsed:
		return requestLapsed
	}
	return 0
}

// sealRequest is the record of a request. An open one is due when its approvers are to be reminded, and then when it lapses.
func sealRequest(id uint64, q life.Request, lookup [16]byte, rules life.RequestRules) (*authn.Record, error) {
	r := &authn.Record{RecordKey: requestKey(id), Account: authn.AccountID(q.Account), State: RequestState(q.State), Lookup: lookup}
	if q.State == life.Open {
		wait := rules.Lapse
		if q.Reminded == 0 {
			wait = min(wait, rules.Remind)
		}
		r.Due = q.Made + int64(wait/time.Second)
	}
	var err error
	r.Data, err = json.Marshal(q)
	return r, err
}

func openRequest(r *authn.Record) (q life.Request, err error) {
	if err = json.Unmarshal(r.Data, &q); err != nil {
		err = fmt.Errorf("reading request %d: %w", r.ID, err)
	}
	return q, err
}

func requestKey(id uint64) authn.RecordKey {
	return authn.RecordKey{Kind: authn.RequestRecord, ID: id}
}

// lookup finds a record by a secret or a number.
func (d *Desk) lookup(kind authn.RecordKind, secret []byte) [16]byte {
	return d.Store.Keyed('L', []byte{byte(kind)}, secret)
}

// notFound is the answer where there is no such thing, or none that the actor may know of.
func notFound(about string) *life.Refusal { return &life.Refusal{Code: life.NotFound, About: about} }
