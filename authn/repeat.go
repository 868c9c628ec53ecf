package authn

import (
	"time"

	"sekisho/token"
)

// repeatVerdict answers a request that was answered before the last start with the same verdict, worked out on today's
// state (S17): nothing is burnt or counted, and after a revoke there is silence. It reports false where the attempt goes
// on as a new one: for a first question, which costs nothing to ask again.
func (t *attempt) repeatVerdict() bool {
	e := t.past
	d := Decision{Verdict: e.Verdict, Reason: e.Reason, Repeat: true, Account: t.account, Delayed: e.Verdict == Reject}
	silence := Decision{Verdict: Discard, Reason: TooLate, Repeat: true, Account: t.account}
	switch e.Verdict {
	case Reject:
	case Accept:
		d.Policy = t.policy
		if g := t.replyFor(e.Reason); g != nil {
			d.Reply = g.encoded
		}
		// The answer leaves under the account's lock: a revocation that takes the lock afterwards finds it sent and cached,
		// and one that came before is seen here (S13).
		err := t.a.Store.View(t.keys(), func(h *Held) {
			acc := held(h)
			ok := t.f.Finding == Found && e.Account == t.account && acc != nil && acc.Guard.Stopped&StopAccount == 0
			switch {
			case !ok:
			case e.Reason == OKUnenrolled:
				ok = t.lesser != nil && t.policy.Unenrolled.allows(t.a.Now()) && neverHeld(acc, h)
			case t.f.Exempt:
			default:
				ok = stillOpens(acc, h, e.Token, t.a.Now())
			}
			if ok {
				t.answer(d, nil)
			}
		})
		if err == nil && t.answered.Load() {
			return true
		}
		d = silence
	case Challenge:
		if t.f.Round != AnswerRound {
			return false
		}
		now := t.a.Now()
		again := Step{Do: DoAsk, Reason: e.Reason, Proof: t.state.proof}
		err := t.a.Store.View(t.keys(), func(h *Held) {
			acc := held(h)
			ok := acc == nil || acc.Generation == t.state.generation
			next, err := t.decision(again, t.f, acc, &Event{Verdict: Challenge, Account: t.account}, now)
			if d = next; err != nil || !ok {
				d = silence
			}
		})
		if d.Repeat = true; err != nil {
			d = silence
		}
	default:
		return false
	}
	t.answer(d, nil)
	return true
}

// replyFor is what an Accept for a reason carries.
func (t *attempt) replyFor(r Reason) *grant {
	if t.lesser != nil && (r == OKUnenrolled || r == OKFirstLogin) {
		return t.lesser
	}
	return t.grant
}

// stillOpens reports whether the token that opened then would open now.
func stillOpens(acc *Account, h *Held, id token.ID, now time.Time) bool {
	for _, as := range acc.Assignments {
		if t := h.Token(as.Token); as.Token == id && t != nil {
			return standing(as, t, now) == 0
		}
	}
	return false
}
