package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// The core of an event is what the audit chain holds of it: a version octet, then its fields in the order below, numbers
// as (zig-zag) varints, texts with their length in front. Fields are only ever added at the end under a new version.
const coreVersion = 1

// Bounds of a core. What a packet can influence is cut to fit before it comes here; anything longer is a fault.
const (
	maxText    = 4096 // octets of a text
	maxBurnt   = 64
	maxNotices = 32
	maxCharges = 4 * 367
	maxKnown   = 32
	maxHolds   = authn.MostHolds
)

var errCodec = errors.New("malformed record")

// Parts of a core that are often absent.
const (
	hasDigest = 1 << iota
	hasNonce
	hasGuard
	hasPersonal
	hasAct
	hasCount
)

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendCore adds the core of an event; sum is the salted hash of its personal part, nil when it has none. Seq is not in
// it: the journal row gives it by position.
func appendCore(b []byte, ev *authn.Event, sum []byte) ([]byte, error) {
	for _, s := range []string{ev.Client, ev.Policy, ev.Act, ev.Actor, ev.Detail} {
		if len(s) > maxText {
			return nil, fmt.Errorf("event text of %d octets: at most %d", len(s), maxText)
		}
	}
	if len(ev.Burnt) > maxBurnt || len(ev.Notices) > maxNotices {
		return nil, fmt.Errorf("event with %d burnt tokens and %d notices: at most %d and %d", len(ev.Burnt), len(ev.Notices), maxBurnt, maxNotices)
	}
	var flags byte
	set := func(bit byte, on bool) {
		if on {
			flags |= bit
		}
	}
	set(hasDigest, ev.Digest != [16]byte{})
	set(hasNonce, ev.Nonce != [12]byte{})
	set(hasGuard, ev.GuardSet)
	set(hasPersonal, sum != nil)
	set(hasCount, ev.Count > 1)
	set(hasAct, ev.Act != "" || ev.Actor != "" || ev.Detail != "")

	b = append(b, coreVersion, flags, byte(ev.Kind), byte(ev.Verdict), byte(ev.Reason), ev.Row, byte(ev.Class), byte(ev.Method))
	b = binary.AppendVarint(b, ev.At.UnixMicro())
	b = binary.BigEndian.AppendUint64(b, uint64(ev.Account))
	b = binary.BigEndian.AppendUint64(b, uint64(ev.Token))
	b = binary.AppendVarint(b, ev.Step)
	b = appendText(b, ev.Client)
	b = appendText(b, ev.Policy)
	for _, d := range []time.Duration{ev.Stages.Lookup, ev.Stages.Bind, ev.Stages.Lock, ev.Stages.Total} {
		b = binary.AppendUvarint(b, uint64(max(d, 0).Microseconds()))
	}
	b = binary.AppendUvarint(b, uint64(len(ev.Notices)))
	for _, n := range ev.Notices {
		b = append(b, byte(n))
	}
	b = binary.AppendUvarint(b, uint64(len(ev.Burnt)))
	for _, x := range ev.Burnt {
		b = binary.BigEndian.AppendUint64(b, uint64(x.Token))
		b = binary.AppendVarint(b, x.Last)
		b = append(binary.AppendVarint(b, int64(x.Drift)), bit(x.Activated))
		b = binary.AppendUvarint(b, uint64(x.DriftDay))
	}
	if ev.Digest != [16]byte{} {
		b = append(b, ev.Digest[:]...)
	}
	if ev.Nonce != [12]byte{} {
		b = append(b, ev.Nonce[:]...)
	}
	if ev.GuardSet {
		g := &ev.Guard
		b = append(b, g.Row[0], g.Row[1], g.TheftRun, byte(g.Stopped), g.Digits, byte(g.Charge.Pot))
		b = binary.AppendVarint(b, g.Wait[0])
		b = binary.AppendVarint(b, g.Wait[1])
		b = binary.AppendUvarint(b, uint64(g.Charge.Day))
		b = binary.AppendVarint(b, g.Charge.Amount)
		b = binary.BigEndian.AppendUint64(b, g.Known.Hash)
		b = binary.AppendUvarint(b, uint64(g.Known.Day))
	}
	if sum != nil {
		b = append(b, sum[:hashSize]...)
	}
	if flags&hasAct != 0 {
		b = appendText(b, ev.Act)
		b = appendText(b, ev.Actor)
		b = appendText(b, ev.Detail)
	}
	if flags&hasCount != 0 {
		b = binary.AppendUvarint(b, uint64(ev.Count))
	}
	return b, nil
}

func bit(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// decodeCore reads one core, whole. sum is the hash of the personal part, nil when the event has none.
func decodeCore(core []byte, ev *authn.Event) (sum []byte, err error) {
	*ev = authn.Event{}
	if sum, err = decodeCoreInPlace(core, ev); err != nil {
		return nil, err
	}
	if len(ev.Burnt) == 0 {
		ev.Burnt = nil
	}
	if len(ev.Notices) == 0 {
		ev.Notices = nil
	}
	for _, s := range []*string{&ev.Client, &ev.Policy, &ev.Act, &ev.Actor, &ev.Detail} {
		*s = strings.Clone(*s)
	}
	return sum, nil
}

// decodeCoreInPlace is decodeCore for one event after the other: texts stay in core, and the slices of ev are used again.
func decodeCoreInPlace(core []byte, ev *authn.Event) (sum []byte, err error) {
	r := reader{rest: core}
	if v := r.octet(); r.bad || v != coreVersion {
		return nil, fmt.Errorf("%w: core version %d, this program reads %d", errCodec, v, coreVersion)
	}
	flags := r.octet()
	burnt, notices := ev.Burnt[:0], ev.Notices[:0]
	*ev = authn.Event{Kind: authn.EventKind(r.octet()), Verdict: authn.Verdict(r.octet()), Reason: authn.Reason(r.octet()),
		Row: r.octet(), Class: authn.Class(r.octet()), Method: authn.Method(r.octet())}
	ev.At = time.UnixMicro(r.varint()).UTC()
	ev.Account = authn.AccountID(r.fixed64())
	ev.Token = token.ID(r.fixed64())
	ev.Step = r.varint()
	ev.Client = r.alias(maxText)
	ev.Policy = r.alias(maxText)
	for _, d := range []*time.Duration{&ev.Stages.Lookup, &ev.Stages.Bind, &ev.Stages.Lock, &ev.Stages.Total} {
		*d = time.Duration(r.upTo(math.MaxInt64/1000)) * time.Microsecond
	}
	for range r.count(maxNotices) {
		notices = append(notices, authn.Notice(r.octet()))
	}
	for range r.count(maxBurnt) {
		x := authn.Burnt{Token: token.ID(r.fixed64()), Last: r.varint(), Drift: r.drift(), Activated: r.octet() != 0}
		x.DriftDay = uint16(r.upTo(math.MaxUint16))
		burnt = append(burnt, x)
	}
	ev.Notices, ev.Burnt = notices, burnt
	if flags&hasDigest != 0 {
		copy(ev.Digest[:], r.take(len(ev.Digest)))
	}
	if flags&hasNonce != 0 {
		copy(ev.Nonce[:], r.take(len(ev.Nonce)))
	}
	if flags&hasGuard != 0 {
		ev.GuardSet = true
		g := &ev.Guard
		g.Row = [2]uint8{r.octet(), r.octet()}
		g.TheftRun, g.Stopped, g.Digits, g.Charge.Pot = r.octet(), authn.Stop(r.octet()), r.octet(), authn.Pot(r.octet())
		g.Wait = [2]int64{r.varint(), r.varint()}
		g.Charge.Day = uint16(r.upTo(math.MaxUint16))
		g.Charge.Amount = r.varint()
		g.Known.Hash = r.fixed64()
		g.Known.Day = uint16(r.upTo(math.MaxUint16))
	}
	if flags&hasPersonal != 0 {
		sum = r.take(hashSize)
	}
	if flags&hasAct != 0 {
		ev.Act, ev.Actor, ev.Detail = r.alias(maxText), r.alias(maxText), r.alias(maxText)
	}
	if flags&hasCount != 0 {
		// One event stands for itself and is written without the field: each event has exactly one form.
		if ev.Count = uint32(r.upTo(math.MaxUint32)); ev.Count < 2 {
			return nil, fmt.Errorf("%w: an event that stands for %d events", errCodec, ev.Count)
		}
	}
	return sum, r.end()
}

// appendGuard writes a whole guard by itself.
func appendGuard(b []byte, g *authn.Guard) []byte { return appendGuardFields(append(b, 1), g) }

// appendGuardFields writes a guard as slabs keep it. A field that most accounts have at zero costs nothing then.
func appendGuardFields(b []byte, g *authn.Guard) []byte {
	var flags byte
	counts := g.Row != [2]uint8{} || g.Wait != [2]int64{} || g.TheftRun != 0 || g.Stopped != 0
	flags = bit(counts) | bit(len(g.Charges) > 0)<<1 | bit(len(g.Known) > 0)<<2
	b = append(b, flags, g.Digits)
	if counts {
		b = append(b, g.Row[0], g.Row[1], g.TheftRun, byte(g.Stopped))
		b = binary.AppendVarint(b, g.Wait[0])
		b = binary.AppendVarint(b, g.Wait[1])
	}
	if len(g.Charges) > 0 {
		b = binary.AppendUvarint(b, uint64(len(g.Charges)))
	}
	for _, c := range g.Charges {
		b = append(b, byte(c.Pot))
		b = binary.AppendUvarint(b, uint64(c.Day))
		b = binary.AppendVarint(b, c.Amount)
	}
	if len(g.Known) > 0 {
		b = binary.AppendUvarint(b, uint64(len(g.Known)))
	}
	for _, k := range g.Known {
		b = binary.BigEndian.AppendUint64(b, k.Hash)
		b = binary.AppendUvarint(b, uint64(k.Day))
	}
	return b
}

func decodeGuard(b []byte) (authn.Guard, error) {
	var g authn.Guard
	r := reader{rest: b}
	if v := r.octet(); r.bad || v != 1 {
		return g, fmt.Errorf("%w: guard version %d, this program reads 1", errCodec, v)
	}
	decodeGuardFields(&r, &g)
	return g, r.end()
}

// decodeGuardFields reads into g, whose slices it uses again.
func decodeGuardFields(r *reader, g *authn.Guard) {
	*g = authn.Guard{Charges: g.Charges[:0], Known: g.Known[:0]}
	flags := r.octet()
	if flags > 7 {
		r.fail()
	}
	g.Digits = r.octet()
	if flags&1 != 0 {
		g.Row = [2]uint8{r.octet(), r.octet()}
		g.TheftRun, g.Stopped = r.octet(), authn.Stop(r.octet())
		g.Wait = [2]int64{r.varint(), r.varint()}
	}
	if flags&2 != 0 {
		for range r.count(maxCharges) {
			g.Charges = append(g.Charges, authn.Charge{Pot: authn.Pot(r.octet()), Day: uint16(r.upTo(math.MaxUint16)), Amount: r.varint()})
		}
	}
	if flags&4 != 0 {
		for range r.count(maxKnown) {
			g.Known = append(g.Known, authn.KnownSource{Hash: r.fixed64(), Day: uint16(r.upTo(math.MaxUint16))})
		}
	}
	if len(g.Charges) == 0 {
		g.Charges = nil
	}
	if len(g.Known) == 0 {
		g.Known = nil
	}
}

// appendAssignments writes the assignments of one account, as its row keeps them.
func appendAssignments(b []byte, as []token.Assignment) []byte {
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(len(as)))
	for _, a := range as {
		b = binary.BigEndian.AppendUint64(b, uint64(a.Token))
		b = append(b, byte(a.Standing))
		b = binary.AppendVarint(b, a.Since)
	}
	return b
}

func decodeAssignments(b []byte) ([]token.Assignment, error) {
	r := reader{rest: b}
	if v := r.octet(); r.bad || v != 1 {
		return nil, fmt.Errorf("%w: assignments version %d, this program reads 1", errCodec, v)
	}
	var as []token.Assignment
	if n := r.count(maxHolds); n > 0 {
		as = make([]token.Assignment, n)
		for i := range as {
			as[i] = token.Assignment{Token: token.ID(r.fixed64()), Standing: token.Standing(r.octet()), Since: r.varint()}
		}
	}
	return as, r.end()
}

// appendFramed adds a record with its length in front.
func appendFramed(b, record []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(record)))
	return append(b, record...)
}

// eachFrame gives f the n records that appendFramed joined, in order.
func eachFrame(b []byte, n int, f func(i int, record []byte) error) error {
	r := reader{rest: b}
	if n < 0 || n > len(b) {
		return fmt.Errorf("%w: %d records in %d octets", errCodec, n, len(b))
	}
	for i := range n {
		record := r.take(int(r.upTo(uint64(len(r.rest)))))
		if r.bad {
			break
		}
		if err := f(i, record); err != nil {
			return err
		}
	}
	return r.end()
}

// frames splits what appendFramed joined; it wants exactly n records.
func frames(b []byte, n int) ([][]byte, error) {
	r := reader{rest: b}
	if n < 0 || n > len(b) {
		return nil, fmt.Errorf("%w: %d records in %d octets", errCodec, n, len(b))
	}
	out := make([][]byte, n)
	for i := range out {
		out[i] = r.take(int(r.upTo(uint64(len(r.rest)))))
	}
	return out, r.end()
}

// reader takes a record apart. After the first fault everything reads as zero and end reports it.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) end() error {
	if r.bad || len(r.rest) != 0 {
		return fmt.Errorf("%w: cut short, too long or out of range", errCodec)
	}
	return nil
}

func (r *reader) fail() {
	r.bad, r.rest = true, nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) octet() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) fixed64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// drift reads the steps by which a token's clock is off.
func (r *reader) drift() int16 {
	v := r.varint()
	if v != int64(int16(v)) {
		r.fail()
		return 0
	}
	return int16(v)
}

// upTo reads an unsigned number and refuses one above limit.
func (r *reader) upTo(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > limit {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads how many elements follow; each takes at least one octet, so memory stays within the record's size.
func (r *reader) count(limit int) int { return int(r.upTo(uint64(min(limit, len(r.rest))))) }

// alias reads a text of at most limit octets without a copy: it lives as long as what r reads.
func (r *reader) alias(limit uint64) string { return alias(r.take(int(r.upTo(limit)))) }
