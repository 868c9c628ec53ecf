package authn

import (
	"errors"
	"sync"
	"time"

	"sekisho/token"
)

// MaxRepeatWithin is the longest time for which a verdict is repeated.
const MaxRepeatWithin = 30 * time.Second

// memosKept bounds what memos hold. Past it verdicts are worked out afresh, which is the safe side.
const memosKept = 10_000

// memos repeat the verdict of one login event for gateways that bring the same login twice: because the answer was lost and
// they ask again with a new Request Authenticator, or because two of their doors ask one after the other. A code opens once,
// so without a memo the second one would be refused.
//
// A memo stands for the same person, service, station and whole text, and for nothing else; it lives in memory, at most 30
// seconds, and ends with every change of the account (S13). The zero value is ready.
type memos struct {
	mu   sync.Mutex
	kept map[[16]byte]*memo
}

// memo is one login: being worked on, or ended with a verdict that may be repeated.
type memo struct {
	done chan struct{} // closed when the login has ended
	past *pastVerdict  // set before done is closed; nil: none to repeat
}

// pastVerdict is what would be repeated.
type pastVerdict struct {
	at         time.Time
	verdict    Verdict
	message    string
	account    AccountID
	generation uint32
	token      token.ID
	policy     *Policy
}

// begin finds the memo of a key. mine tells that there was none, and that the caller has to end the one it got; nil means
// that there is no room.
func (ms *memos) begin(key [16]byte, within time.Duration, now time.Time) (m *memo, mine bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m = ms.kept[key]; m != nil && (m.past == nil || m.past.fresh(within, now)) {
		return m, false
	}
	if len(ms.kept) >= memosKept {
		ms.sweep(now)
	}
	if len(ms.kept) >= memosKept {
		return nil, false
	}
	if ms.kept == nil {
		ms.kept = make(map[[16]byte]*memo)
	}
	m = &memo{done: make(chan struct{})}
	ms.kept[key] = m
	return m, true
}

// fresh reports that the verdict is not too old. One from the future is: the clock was set back.
func (v *pastVerdict) fresh(within time.Duration, now time.Time) bool {
	age := now.Sub(v.at)
	return age >= 0 && age < min(within, MaxRepeatWithin)
}

// end lets those go on who wait for a login. Without a verdict nothing is kept.
func (ms *memos) end(key [16]byte, m *memo, past *pastVerdict) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m.past = past; past == nil {
		ms.remove(key, m)
	}
	close(m.done)
}

// drop forgets a verdict.
func (ms *memos) drop(key [16]byte, m *memo) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.remove(key, m)
}

func (ms *memos) remove(key [16]byte, m *memo) {
	if ms.kept[key] == m {
		delete(ms.kept, key)
	}
}

// clean forgets what is over.
func (ms *memos) clean(now time.Time) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.sweep(now)
}

// sweep forgets what is over; the caller holds the lock.
func (ms *memos) sweep(now time.Time) {
	for key, m := range ms.kept {
		if m.past != nil && !m.past.fresh(MaxRepeatWithin, now) {
			delete(ms.kept, key)
		}
	}
}

// errMemoDead abandons a repetition whose verdict would not be given today.
var errMemoDead = errors.New("the verdict no longer stands")

// recall repeats the verdict of the same login. It reports false when it answered or went on elsewhere, and true where the
// attempt goes on as a new one.
func (t *attempt) recall() bool {
	within := t.l.Client.RepeatWithin
	if within <= 0 || !t.l.Signed || t.f.Finding != Found || t.account == 0 || t.f.Exempt || t.f.Unenrolled {
		return true
	}
	apart := []byte{0}
	if t.l.HasCode {
		apart[0] = 1
	}
	t.memo.key = t.a.Store.Keyed(domainMemo, []byte(t.l.Client.Service), []byte(t.user.Directory), []byte(t.user.ID), t.l.Station,
		t.l.Text.Reveal(), apart, t.l.Code.Reveal(), t.l.State)
	for {
		m, mine := t.a.memos.begin(t.memo.key, within, t.a.Now())
		if m == nil {
			return true
		}
		if mine {
			t.memo.mine = m
			return true
		}
		select {
		case <-m.done:
		default:
			if !t.apart {
				t.apart = true
				go func() {
					defer t.rescue()
					if t.recall() {
						t.run()
					}
				}()
				return false
			}
			select {
			case <-m.done:
			case <-t.deadline().Done():
				t.end(Step{Row: 1, Do: DoDiscard, Reason: TooLate})
				return false
			}
		}
		if m.past != nil && m.past.fresh(within, t.a.Now()) && t.repeat(m.past) {
			return false
		}
		t.a.memos.drop(t.memo.key, m)
	}
}

// repeat answers with a past verdict where it still stands, decided and recorded under the account's lock as every
// other: a revocation that came before is seen, and one that comes after waits for the answer (S13).
func (t *attempt) repeat(m *pastVerdict) bool {
	s := Step{Row: 1, Do: DoReject, Reason: RepeatedText}
	if m.verdict == Accept {
		s.Do, s.Reason = DoAccept, OKRepeated
	}
	begun := time.Now()
	var dec Decision
	var event *Event
	err := t.a.Store.Update(t.keys(), func(h *Held) (Change, error) {
		acc, now := held(h), t.a.Now()
		stands := acc != nil && t.account == m.account && acc.Generation == m.generation && t.policy == m.policy
		if m.verdict == Accept {
			stands = stands && acc.Guard.Stopped&StopAccount == 0 && stillOpens(acc, h, m.token, now)
		}
		switch {
		case !stands:
			return Change{}, errMemoDead
		case t.late():
			return Change{}, errTooLate
		}
		e := t.event(s, now)
		e.Token = m.token
		if acc.Guard.Knows(t.source, now) {
			e.Class = ClassKnown
		}
		d, err := t.decision(s, t.f, acc, e, now)
		d.Repeat, d.Message = true, m.message
		dec, event = d, e
		return Change{Event: e}, err
	}, func(err error) {
		t.stages.Lock = time.Since(begun)
		t.saved(dec, event, err)
	})
	if errors.Is(err, errMemoDead) {
		return false
	}
	if err != nil {
		t.failed(err)
	}
	return true
}

// remember ends the memo that this attempt holds, with its verdict where that may be repeated: it is durable, a code was
// compared for it, and it was not a repetition itself.
func (t *attempt) remember(d Decision, e *Event) {
	if t.memo.mine == nil {
		return
	}
	var v *pastVerdict
	decided := e != nil && e.Row >= 8 && e.Row <= 15
	if decided && (d.Verdict == Accept && e.Token != 0 || d.Verdict == Reject) {
		v = &pastVerdict{at: t.a.Now(), verdict: d.Verdict, message: d.Message, account: d.Account, generation: t.memo.generation, token: e.Token, policy: t.policy}
	}
	t.a.memos.end(t.memo.key, t.memo.mine, v)
}
