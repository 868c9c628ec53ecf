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
	mu     sync.Mutex
	kept   map[[16]byte]memo
	number uint64    // of the newest memo
	swept  time.Time // when there was no room
}

// memo is one login: being worked on, or ended with a verdict that may be repeated. Nobody holds one outside the lock.
type memo struct {
	number uint64
	ended  bool
	over   chan struct{} // closed when the login has ended; nil: nobody waits for it
	past   pastVerdict   // once it has ended
}

// pastVerdict is what would be repeated.
type pastVerdict struct {
	at         time.Time
	verdict    Verdict
	message    string
	account    AccountID
	generation uint32
	token      token.ID // zero: a temporary code opened
	policy     *Policy
}

// recalled is what there is of a login: nothing, and then mine is the number under which the caller has to end it; one that
// is being worked on, with a channel that tells the end; or the verdict of one that has ended. All zero: there is no room.
type recalled struct {
	mine   uint64
	over   chan struct{}
	number uint64 // of the ended one
	past   pastVerdict
}

// begin finds the memo of a key, or makes one.
func (ms *memos) begin(key [16]byte, within time.Duration, now time.Time) recalled {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m, ok := ms.kept[key]
	switch {
	case ok && !m.ended:
		if m.over == nil {
			m.over = make(chan struct{})
			ms.kept[key] = m
		}
		return recalled{over: m.over}
	case ok && m.past.fresh(within, now):
		return recalled{number: m.number, past: m.past}
	}
	if !ok && len(ms.kept) >= memosKept {
		if now.Sub(ms.swept).Abs() >= time.Second { // it takes as long as there are memos
			ms.swept = now
			ms.sweep(now)
		}
		if len(ms.kept) >= memosKept {
			return recalled{}
		}
	}
	if ms.kept == nil {
		ms.kept = make(map[[16]byte]memo)
	}
	ms.number++
	ms.kept[key] = memo{number: ms.number}
	return recalled{mine: ms.number}
}

// fresh reports that the verdict is not too old. One from the future is: the clock was set back.
func (v *pastVerdict) fresh(within time.Duration, now time.Time) bool {
	age := now.Sub(v.at)
	return age >= 0 && age < min(within, MaxRepeatWithin)
}

// end lets those go on who wait for a login. Without a verdict nothing is kept.
func (ms *memos) end(key [16]byte, number uint64, past *pastVerdict) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m, ok := ms.kept[key]
	if !ok || m.number != number {
		return
	}
	if m.over != nil {
		close(m.over)
	}
	if past == nil {
		delete(ms.kept, key)
		return
	}
	ms.kept[key] = memo{number: number, ended: true, past: *past}
}

// drop forgets a verdict.
func (ms *memos) drop(key [16]byte, number uint64) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.kept[key].number == number {
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
		if m.ended && !m.past.fresh(MaxRepeatWithin, now) {
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
	apart := "0"
	if t.l.HasCode {
		apart = "1"
	}
	t.memo.key = t.keyed(domainMemo, letters(t.l.Client.Service), letters(t.user.Directory), letters(t.user.ID), octets(t.l.Station),
		octets(t.l.Text.Reveal()), letters(apart), octets(t.l.Code.Reveal()), octets(t.l.State))
	for {
		m := t.a.memos.begin(t.memo.key, within, t.a.Now())
		switch {
		case m.mine != 0:
			t.memo.mine = m.mine
			return true
		case m.over != nil:
			if !t.apart {
				t.recallApart()
				return false
			}
			select {
			case <-m.over:
			case <-t.deadline().Done():
				t.end(Step{Row: 1, Do: DoDiscard, Reason: TooLate})
				return false
			}
		case m.number == 0:
			return true
		case t.repeat(&m.past):
			return false
		default:
			t.a.memos.drop(t.memo.key, m.number)
		}
	}
}

// recallApart goes on with recall on a goroutine that may wait.
func (t *attempt) recallApart() {
	t.apart = true
	t.hold()
	go func() {
		defer t.letGo()
		defer t.rescue()
		if t.recall() {
			t.run()
		}
	}()
}

// repeat answers with a past verdict where it still stands, decided and recorded under the account's lock as every
// other: a revocation that came before is seen, and one that comes after waits for the answer (S13).
func (t *attempt) repeat(m *pastVerdict) bool {
	t.ruled.past, t.ruled.claimed = *m, false
	err := t.update(t.onRepeat)
	if errors.Is(err, errMemoDead) {
		return false
	}
	if err != nil {
		t.failed(err)
	}
	return true
}

// decideRepeat is the rule of repeat.
func (t *attempt) decideRepeat(h *Held) (Change, error) {
	m, acc, now := &t.ruled.past, held(h), t.a.Now()
	stands := acc != nil && t.account == m.account && acc.Generation == m.generation && t.policy == m.policy
	s := Step{Row: 1, Do: DoReject, Reason: RepeatedText}
	if m.verdict == Accept {
		s.Do, s.Reason = DoAccept, OKRepeated
		stands = stands && acc.Guard.Stopped&StopAccount == 0 && (m.token == 0 || stillOpens(acc, h, m.token, now))
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
	t.ruled.decision, t.ruled.event = d, e
	return Change{Event: e}, err
}

// remember ends the memo that this attempt holds, with its verdict where that may be repeated: it is durable, a code was
// compared for it, and it was not a repetition itself.
func (t *attempt) remember(d Decision, e *Event) {
	if t.memo.mine == 0 {
		return
	}
	var past pastVerdict
	var v *pastVerdict
	decided := e != nil && e.Row >= 8 && e.Row <= 15
	// The reply to a code for a first login may be limited, and a repetition's is not.
	if decided && (d.Verdict == Accept && d.Reason != OKFirstLogin || d.Verdict == Reject) {
		past = pastVerdict{at: t.a.Now(), verdict: d.Verdict, message: d.Message, account: d.Account, generation: t.memo.generation, token: e.Token, policy: t.policy}
		v = &past
	}
	t.a.memos.end(t.memo.key, t.memo.mine, v)
}
