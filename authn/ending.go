package authn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"sekisho/token"
)

var errTooLate = errors.New("the gateway has given up")

// errHolder begins a decision anew with the record of the account's holder held too.
var errHolder = errors.New("the holder's record is needed")

// lock is row 8: under the account's and its tokens' locks everything is looked at afresh and the attempt is decided,
// except where a pair's second code still needs a bind. It reports whether the attempt has ended.
func (t *attempt) lock() bool {
	err := t.update(t.onLock)
	switch {
	case errors.Is(err, ErrExists):
		id := t.a.Store.AccountOf(t.user.Directory, t.user.ID)
		if id == t.account {
			t.failed(ErrBusy) // an import that is not live yet has reserved the person; the gateway's next try finds them
			return true
		}
		t.account = id
		return false
	case errors.Is(err, errHolder):
		return false
	case err != nil:
		t.failed(err)
		return true
	}
	if t.ruled.claimed {
		t.f.Claimed, t.f.Slots = true, SlotsUnknown
		return false
	}
	return true
}

// decide is the rule of lock.
func (t *attempt) decide(h *Held) (Change, error) {
	r := &t.ruled
	r.claimed, r.event = false, nil
	now := t.a.Now()
	acc := held(h)
	if t.needsHolder(acc) {
		return Change{}, errHolder
	}
	if t.late() {
		return Change{}, errTooLate // a claim ends by itself at this moment
	}
	f := t.f
	f.Locked = true
	t.learn(&f, acc, h, now)
	e := t.evaluate(acc, h, now, t.a.clockDoubt())
	t.fit(&f, acc, e, now)
	t.limit(&f, e)
	s := Table(f)
	if s.Reason == OKExempt && t.policy.Alone {
		s.Reason = OKAlone
	}
	set := t.settlement(s, acc, e, now)
	switch {
	case s.Do == DoClaim:
		r.claimed = true
		return Change{Memory: claim(acc, set.source, set.client, now.Add(t.l.Client.Deadline-time.Since(t.l.Arrived)))}, nil
	case s.Do < DoAccept:
		s = Step{Row: 8, Do: DoDiscard, Reason: Fault}
	}
	set.step = s
	ch, d, err := t.change(s, &set, f, acc, now)
	if err == nil {
		err = t.changeSpare(&ch, s, e, acc, h, now)
	}
	r.decision, r.event = d, ch.Event
	return ch, err
}

// fit fills in what the code is to the account's tokens, and compares the PIN.
func (t *attempt) fit(f *Facts, acc *Account, e *evaluation, now time.Time) {
	f.Fit, f.Shut, f.Instead = e.fit, e.shut, e.spare.Reason
	f.ClockDoubt = e.skipped || f.Unenrolled && t.a.clockDoubt()
	if acc != nil {
		p := acc.Memory.pair(t.source, t.l.Client.Name, now)
		f.Second = p.second(e)
		if f.Second && !f.Claimed && now.UnixMilli() < p.Claimed {
			f.Second, f.Taken = false, true
		}
	}
	if f.Factor == PIN {
		f.Proof = Wrong
		f.NoPIN = acc == nil || acc.PIN.IsZero()
		if !f.NoPIN && t.pinMatches(acc, e) {
			f.Proof = Right
		}
	}
}

// pinMatches compares the PIN beside the code that fits; where no code fits, the part beside every split there is, so
// that a right PIN with a wrong code counts as such.
func (t *attempt) pinMatches(acc *Account, e *evaluation) bool {
	if e.digits != 0 {
		return acc.PIN.Matches(t.a.pinKey, acc.ID, e.rest)
	}
	if t.reading.apart {
		return acc.PIN.Matches(t.a.pinKey, acc.ID, t.reading.text)
	}
	ok := false
	for n := token.MinDigits; n <= token.MaxDigits; n++ {
		if rest, _, cut := t.reading.split(n); cut && acc.PIN.Matches(t.a.pinKey, acc.ID, rest) {
			ok = true
		}
	}
	return ok
}

func (t *attempt) settlement(s Step, acc *Account, e *evaluation, now time.Time) settlement {
	set := settlement{step: s, acc: acc, eval: e, limits: &t.a.Limits, now: now, source: t.source, client: t.l.Client.Name,
		counts: true, room: &t.room.memory}
	if acc == nil {
		return set
	}
	if acc.Guard.Knows(t.source, now) {
		set.class = ClassKnown
	}
	if !s.Has(KeepText) {
		return set // whatever counts is refused and kept
	}
	set.text = t.textHash()
	code := set.text
	if !t.reading.alone {
		id, typed := acc.ID.octets(), t.reading.text
		if _, c, ok := t.reading.split(int(max(acc.Guard.Digits, token.MinDigits))); ok {
			typed = c
		} else if t.reading.apart {
			typed = t.reading.code
		}
		code = short(t.keyed(domainCode, octets(id[:]), octets(typed)))
	}
	set.code = t.a.episode(code, t.l.Client.Service, t.l.Station)
	set.counts = !acc.Memory.counted(set.code, now)
	return set
}

// episode ties the keyed hash of a code to the service and the station that it came by.
func (m *memory) episode(code uint64, service string, station []byte) uint64 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], code)
	return short(m.mark(octets(b[:]), letters(service), octets(station)))
}

// claim marks the pair of a source as held while a bind is out. The claim ends with the holder's deadline, whatever becomes
// of the holder.
func claim(acc *Account, source uint64, client string, until time.Time) *Memory {
	m := &Memory{Pairs: append([]Pair(nil), acc.Memory.Pairs...), Wrong: acc.Memory.Wrong}
	for i := range m.Pairs {
		if m.Pairs[i].matches(source, client) {
			m.Pairs[i].Claimed = until.UnixMilli()
		}
	}
	return m
}

// change words an ending as what is saved and what is answered. A refusal that shares the line of many others (S25) saves
// nothing of its own; one that ends a round always does, because it spends a State.
func (t *attempt) change(s Step, set *settlement, f Facts, acc *Account, now time.Time) (Change, Decision, error) {
	t.strike = s.Has(CountSource)
	if acc != nil {
		t.memo.generation = acc.Generation
	}
	const memory = CountSource | KeepText | ReleasePair
	if s.Do == DoReject && s.Effects&^memory == 0 && t.f.Round != AnswerRound && f.Proof != Right && t.flooding(s, now) {
		ch := Change{}
		if acc != nil {
			ch.Memory = remember(set)
		}
		return ch, Decision{Verdict: Reject, Reason: s.Reason, Delayed: true, Account: t.account}, nil
	}
	e := t.event(s, now)
	e.Class = set.class
	var ch Change
	ch.Memory = settle(set, e)
	ch.Event = e
	if acc == nil && s.Do == DoAccept && s.Has(Know) {
		// An exempt person's first login: from here on the account carries their timeline.
		id := token.NewID()
		ch.Accounts = []*Account{{ID: AccountID(id), Directory: t.user.Directory, External: t.user.ID, Name: t.user.Name}}
		e.Account = AccountID(id)
	}
	d, err := t.decision(s, f, acc, e, now)
	return ch, d, err
}

// event is the chain's line of an ending.
func (t *attempt) event(s Step, now time.Time) *Event {
	e := &t.room.event
	*e = Event{At: now, Kind: LoginEvent, Account: t.account, Verdict: verdictOf(s.Do), Reason: s.Reason, Row: s.Row,
		Method: t.l.Method, Client: t.l.Client.Name, Step: token.NoStep, Digest: t.digest, Stages: t.stages,
		Burnt: t.room.burnt[:0], Notices: t.room.notices[:0],
		Personal: Personal{Name: t.l.Name, Source: t.l.Source, Station: t.l.Station}}
	e.Stages.Total = time.Since(t.l.Arrived)
	if t.policy != nil {
		e.Policy = t.policy.Name
	}
	if s.Reason == ReplyMissing && t.noReply != nil {
		e.Detail = t.noReply.where()
	}
	switch {
	case s.Do == DoDiscard:
		e.Digest = [16]byte{} // the gateway's next try is a new request
	case t.f.Round == AnswerRound && s.Row != 17:
		e.Nonce = t.state.nonce
	}
	return e
}

func verdictOf(d Do) Verdict {
	switch d {
	case DoAccept:
		return Accept
	case DoReject:
		return Reject
	case DoAsk:
		return Challenge
	}
	return Discard
}

// decision is what the gateway is told.
func (t *attempt) decision(s Step, f Facts, acc *Account, e *Event, now time.Time) (Decision, error) {
	d := Decision{Verdict: e.Verdict, Reason: s.Reason, Account: e.Account}
	switch s.Do {
	case DoAccept:
		g := t.replyFor(s.Reason)
		d.Policy, d.Reply = t.policy, g.encoded
		e.Detail = g.rules
	case DoReject:
		d.Delayed = true
		if s.Has(TellPerson) {
			d.Message = t.a.Tell.message(s.Reason, t.l.Client.Language)
		}
	case DoAsk:
		d.Delayed = f.Blind
		next := dialogue{try: 1, proof: s.Proof}
		if f.Round == AnswerRound {
			next.try = t.state.try + 1
		}
		if acc != nil {
			next.generation = acc.Generation
		}
		state, nonce, err := t.a.states.seal(next, t.binding(), now)
		if err != nil {
			return d, fmt.Errorf("making a State: %w", err)
		}
		if s.Has(KeepPassword) {
			t.a.kept.put(nonce, t.password.Reveal(), now)
		}
		d.State = state
		p := t.l.Client.Prompts
		switch {
		case s.Reason == AskSecondCode:
			// With the number, so that the same question in a row is not the same text.
			d.Message = fmt.Sprintf("%s (%d)", p.Next, next.try)
		case next.try > 1:
			d.Message = fmt.Sprintf(p.Again, next.try, max(t.l.Client.Tries, int(next.try)))
		default:
			d.Message = p.First
		}
	}
	return d, nil
}

func (t *attempt) late() bool { return time.Since(t.l.Arrived) >= t.l.Client.Deadline }

// end finishes an attempt that was decided outside the lock.
func (t *attempt) end(s Step) {
	t.ruled.step, t.ruled.now, t.ruled.claimed = s, t.a.Now(), false
	if err := t.update(t.onEnd); err != nil {
		t.failed(err)
	}
}

// decideEnd is the rule of end.
func (t *attempt) decideEnd(h *Held) (Change, error) {
	s, now, acc := t.ruled.step, t.ruled.now, held(h)
	if t.f.Round == AnswerRound && s.Do != DoDiscard && h.Spent != nil && h.Spent(t.state.nonce) {
		s = Step{Row: 17, Do: DoReject, Reason: SpentState, Effects: CountSource}
	}
	t.room.eval = evaluation{}
	set := t.settlement(s, acc, &t.room.eval, now)
	ch, d, err := t.change(s, &set, t.f, acc, now)
	t.ruled.decision, t.ruled.event = d, ch.Event
	return ch, err
}

// saved answers after the commit.
func (t *attempt) saved(d Decision, e *Event, err error) {
	defer t.rescue()
	if err != nil {
		t.answer(Decision{Verdict: Discard, Reason: StoreDown, Account: t.account}, nil)
		return
	}
	if e != nil {
		d.Seq, d.Batched = e.Seq, t.a.Batches
	}
	t.answer(d, e)
}

// failed answers when the store took nothing.
func (t *attempt) failed(err error) {
	d := Decision{Verdict: Discard, Account: t.account}
	switch {
	case errors.Is(err, errTooLate):
		d.Reason = TooLate
	case errors.Is(err, ErrBusy):
		d.Reason = Overloaded
	default:
		d.Reason = StoreDown
		t.a.Log.Error("a login could not be recorded", "client", t.l.Client.Name, "error", err)
	}
	t.answer(d, nil)
}

// answer hands the decision out, once.
func (t *attempt) answer(d Decision, e *Event) {
	if !t.answered.CompareAndSwap(false, true) {
		return
	}
	if t.cancel != nil {
		t.cancel()
	}
	if t.strike && d.Verdict != Discard {
		now := t.a.Now()
		if t.place.IsValid() {
			t.a.failures.add(t.failKey(), now)
		}
		t.countFailure(now)
	}
	t.stages.Total = time.Since(t.l.Arrived)
	var notices []Notice
	if e != nil {
		notices = e.Notices
	}
	t.a.Metrics.count(t.l.Client, d.Verdict, d.Reason, notices, t.stages)
	t.a.enrolment(d)
	t.remember(d, e)
	t.logLine(d, e, notices)
	t.done(d)
}

func (a *Authenticator) clockDoubt() bool { return a.Clock != nil && a.Clock.Doubt() }
