package storage

import (
	"encoding/binary"
	"fmt"
	"math"

	"sekisho/authn"
	"sekisho/token"
)

// A slab is two rows, each a version octet and its records in order, an octet 0 for a free slot and 1 in front of every
// other:
//
//	account_slab  who an account is and what it holds       written by acts, and where a login activated a token
//	account_state its guard                                 written behind the journal
//	token_slab    what a token is                           written by acts
//	token_state   last step and drift                       written behind the journal
//
// So what every login changes is small, and a flush that touches every slab rewrites little. Each row tells the newest event
// it holds.
const slabVersion = 1

// appendAccountRecord writes who an account is and what it holds.
func appendAccountRecord(b []byte, a *authn.Account, holds []hold) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(a.ID))
	b = appendText(b, a.Directory)
	b = appendText(b, a.External)
	same := a.Name == a.External
	b = append(b, bit(same)|bit(!a.PIN.IsZero())<<1|bit(a.Spare)<<2)
	if !same {
		b = appendText(b, a.Name)
	}
	b = binary.AppendUvarint(b, uint64(a.Generation))
	b = binary.AppendUvarint(b, uint64(len(holds)))
	for _, h := range holds {
		b = binary.BigEndian.AppendUint64(b, uint64(h.token))
		b = binary.AppendUvarint(b, uint64(h.slot))
		b = append(b, byte(h.standing))
		b = binary.AppendVarint(b, h.since)
	}
	if !a.PIN.IsZero() {
		b = append(append(b, a.PIN.Salt[:]...), a.PIN.Sum[:]...)
	}
	return b
}

// decodeAccountRecord reads it. Texts stay in what r reads; holds lie in room where they fit.
func decodeAccountRecord(r *reader, a *authn.Account, room []hold) []hold {
	*a = authn.Account{ID: authn.AccountID(r.fixed64())}
	a.Directory, a.External = r.alias(maxText), r.alias(maxText)
	flags := r.octet()
	if a.Name = a.External; flags&1 == 0 {
		a.Name = r.alias(maxText)
	}
	if a.ID == 0 || flags > 7 || flags&1 == 0 && a.Name == a.External {
		r.fail()
	}
	a.Spare = flags&4 != 0
	a.Generation = uint32(r.upTo(math.MaxUint32))
	holds := room[:0]
	for range r.count(maxHolds) {
		holds = append(holds, hold{token: token.ID(r.fixed64()), slot: uint32(r.upTo(math.MaxUint32)), standing: token.Standing(r.octet()), since: r.varint()})
	}
	if flags&2 != 0 {
		copy(a.PIN.Salt[:], r.take(len(a.PIN.Salt)))
		copy(a.PIN.Sum[:], r.take(len(a.PIN.Sum)))
		if a.PIN.IsZero() {
			r.fail()
		}
	}
	return holds
}

// appendTokenRecord writes what a token is, without what logins own.
func appendTokenRecord(b []byte, t *token.Token) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.ID))
	b = append(b, byte(t.Form), byte(t.Mode), byte(t.Hash), t.Digits, byte(t.State))
	b = binary.AppendUvarint(b, uint64(t.Period))
	b = binary.AppendVarint(b, t.Start)
	b = binary.AppendVarint(b, t.Expiry)
	b = append(b, t.Fingerprint[:]...)
	b = binary.AppendUvarint(b, uint64(t.Sealed.Version))
	b = appendFramed(b, t.Sealed.Data)
	b = appendText(b, t.Serial)
	b = appendText(b, t.CredentialID)
	return appendText(b, t.Name)
}

// appendSteps writes what logins own of a token.
func appendSteps(b []byte, last int64, drift int16, day uint16) []byte {
	b = binary.AppendVarint(binary.AppendVarint(b, last), int64(drift))
	return binary.AppendUvarint(b, uint64(day))
}

func decodeTokenRecord(r *reader, t *token.Token) {
	*t = token.Token{ID: token.ID(r.fixed64()), Form: token.Form(r.octet()), Mode: token.Mode(r.octet()), Hash: token.Hash(r.octet()),
		Digits: r.octet(), State: token.State(r.octet())}
	t.Period = uint16(r.upTo(math.MaxUint16))
	t.Start, t.Expiry = r.varint(), r.varint()
	copy(t.Fingerprint[:], r.take(len(t.Fingerprint)))
	t.Sealed.Version = uint32(r.upTo(math.MaxUint32))
	t.Sealed.Data = r.take(int(r.upTo(maxSeed)))
	t.Serial, t.CredentialID, t.Name = r.alias(maxSerial), r.alias(maxSerial), r.alias(maxSerial)
	if t.ID == 0 || t.State < token.InStock || t.State > token.Destroyed || t.State == token.Expired {
		r.fail()
	}
}

// eachRecord takes a slab's row apart: f reads the record in each place that is not free.
func eachRecord(blob []byte, f func(place uint32, r *reader)) error {
	r := reader{rest: blob}
	if v := r.octet(); r.bad || v != slabVersion {
		return fmt.Errorf("%w: slab version %d, this program reads %d", errCodec, v, slabVersion)
	}
	for place := range uint32(slabSize) {
		switch r.octet() {
		case 0:
		case 1:
			f(place, &r)
		default:
			r.fail()
		}
	}
	return r.end()
}

// appendAccountSlab writes both rows of a slab: who its accounts are, and their guards.
func (st *state) appendAccountSlab(b []byte, number uint32, im *accountImage) []byte {
	sl := st.accounts.slab(number)
	b = append(b, slabVersion)
	for i := range sl.records {
		r := &sl.records[i]
		if b = append(b, bit(r.id != 0)); r.id != 0 {
			st.openAccount(r, im)
			b = appendAccountRecord(b, &im.a, st.holdsOf(r))
		}
	}
	return b
}

func (st *state) appendAccountState(b []byte, number uint32, im *accountImage) []byte {
	sl := st.accounts.slab(number)
	b = append(b, slabVersion)
	for i := range sl.records {
		r := &sl.records[i]
		if b = append(b, bit(r.id != 0)); r.id != 0 {
			st.openAccount(r, im)
			b = appendGuardFields(b, &im.a.Guard)
		}
	}
	return b
}

func (st *state) appendTokenSlab(b []byte, number uint32) []byte {
	sl := st.tokens.slab(number)
	b = append(b, slabVersion)
	var t token.Token
	for i := range sl.records {
		r := &sl.records[i]
		if b = append(b, bit(r.id != 0)); r.id != 0 {
			st.openToken(r, &t)
			b = appendTokenRecord(b, &t)
		}
	}
	return b
}

func (st *state) appendTokenState(b []byte, number uint32) []byte {
	sl := st.tokens.slab(number)
	b = append(b, slabVersion)
	for i := range sl.records {
		r := &sl.records[i]
		if b = append(b, bit(r.id != 0)); r.id != 0 {
			b = appendSteps(b, r.last, r.drift, r.driftDay)
		}
	}
	return b
}

// loadAccountSlab fills a slab with what its row says.
func (st *state) loadAccountSlab(number uint32, seq uint64, blob []byte) error {
	st.accounts.extend(number + 1)
	sl := st.accounts.slab(number)
	sl.whole = seq
	var a authn.Account
	var room [4]hold
	return eachRecord(blob, func(place uint32, r *reader) {
		holds := decodeAccountRecord(r, &a, room[:])
		x, slot := &sl.records[place], number*slabSize+place
		if _, there := st.accountSlot(a.ID); r.bad || x.id != 0 || there {
			r.fail()
			return
		}
		st.sealAccount(x, &a)
		st.accountIDs.put(hashID(x.id), slot)
		st.users.put(hashUser(a.Directory, a.External), slot)
		x.holds = uint8(min(len(holds), 2))
		copy(x.hold[:], holds)
		if len(holds) > 1 {
			st.withMore(x, func(m *accountMore) { m.holds = append([]hold(nil), holds...) })
		}
		kept := st.holdsOf(x)
		for i := range kept { // a slot is only a hint of the row's
			if h := &kept[i]; h.slot > st.tokens.count*slabSize || h.slot != 0 && st.tokens.at(h.slot-1).id != h.token {
				h.slot = 0
			}
		}
		st.listHolder(slot, x)
	})
}

func (st *state) loadAccountState(number uint32, seq uint64, blob []byte) error {
	if number >= st.accounts.count {
		return fmt.Errorf("%w: guards of accounts that are not there", errCodec)
	}
	sl := st.accounts.slab(number)
	sl.state = seq
	var a authn.Account
	return eachRecord(blob, func(place uint32, r *reader) {
		decodeGuardFields(r, &a.Guard)
		if x := &sl.records[place]; x.id == 0 || r.bad {
			r.fail()
		} else {
			st.sealGuard(x, &a)
		}
	})
}

func (st *state) loadTokenSlab(number uint32, seq uint64, blob []byte) error {
	st.tokens.extend(number + 1)
	sl := st.tokens.slab(number)
	sl.whole = seq
	var t token.Token
	return eachRecord(blob, func(place uint32, r *reader) {
		decodeTokenRecord(r, &t)
		if _, there := st.tokenSlot(t.ID); r.bad || sl.records[place].id != 0 || there {
			r.fail()
			return
		}
		t.Last = token.NoStep
		st.putToken(number*slabSize+place, &t)
	})
}

func (st *state) loadTokenState(number uint32, seq uint64, blob []byte) error {
	if number >= st.tokens.count {
		return fmt.Errorf("%w: steps of tokens that are not there", errCodec)
	}
	sl := st.tokens.slab(number)
	sl.state = seq
	return eachRecord(blob, func(place uint32, r *reader) {
		last, drift, day := r.varint(), r.drift(), uint16(r.upTo(math.MaxUint16))
		x := &sl.records[place]
		if x.id == 0 || r.bad {
			r.fail()
			return
		}
		x.last, x.drift, x.driftDay = last, drift, day
		st.noteBurnt(x)
	})
}
