package authn

import (
	"time"

	"sekisho/token"
)

// Spares knows the codes that open without a token: temporary ones and those for a first login. They lie in the account's
// [HolderRecord], which a login looks at only where the account says Spare, so that all others pay nothing for them.
type Spares interface {
	// Try compares a code of [SpareDigits] digits with what the holder's record gives at a moment; with a nil code it only
	// tells whether there is one to guess at. Nothing is changed: what a right code changes is in the answer.
	Try(acc *Account, holder *Record, code []byte, now time.Time) (Spare, error)
	// End gives what a login with a token changes, which is at hand again: the set of temporary codes ends.
	End(acc *Account, holder *Record, now time.Time) (Spare, error)
}

// SpareDigits is the length of every such code.
const SpareDigits = 8

// Spare is what a text is to the codes that open without a token.
type Spare struct {
	Live   bool   // a code waits to be typed: guesses are charged
	Fit    Fit    // zero, FitsOpen or FitsUsed
	Number int64  // of the code in its set, from 1
	Reason Reason // of an Accept: OKTemporary or OKFirstLogin
	Reply  string // name of the reply rule that an Accept is limited to; empty: none

	// What using the code changes, saved with the login's event.
	Holder *Record
	Events []*Event
}

// spareCode stands among an account's tokens for what is no token.
var spareCode = &token.Token{Digits: SpareDigits}

// needsHolder reports that the holder's record has to be held too, which nobody knew before the account was. From then on
// it is.
func (t *attempt) needsHolder(acc *Account) bool {
	if acc == nil || !acc.Spare || t.a.Spares == nil || t.withHolder {
		return false
	}
	t.withHolder = true
	return true
}

// holder is the held record of the account; nil where there is nothing to look at.
func (t *attempt) holder(acc *Account, h *Held) *Record {
	if acc == nil || !acc.Spare || !t.withHolder || len(h.Records) == 0 {
		return nil
	}
	return h.Records[0]
}

// trySpare compares a code; nil asks only whether there is one to guess at.
func (t *attempt) trySpare(acc *Account, h *Held, code []byte, now time.Time) Spare {
	holder := t.holder(acc, h)
	if holder == nil {
		return Spare{}
	}
	s, err := t.a.Spares.Try(acc, holder, code, now)
	if err != nil {
		t.a.Log.Error("what an account has in place of a token cannot be read; it is left out", "account", acc.ID.String(), "error", err)
		return Spare{}
	}
	return s
}

// cost is what a guess at everything that can open the account is charged.
func (t *attempt) cost(acc *Account, h *Held, now time.Time) (single, pair int64) {
	single, pair = t.policy.cost(acc, h, now)
	if t.trySpare(acc, h, nil, now).Live {
		single += spareCode.GuessCost(1)
		pair += spareCode.PairCost(1)
	}
	return single, pair
}

// evaluateSpare compares the text with the codes that open without a token, behind the tokens. It reports a used one.
func (t *attempt) evaluateSpare(e *evaluation, acc *Account, h *Held, now time.Time, clockDoubt bool) (used bool) {
	if t.holder(acc, h) == nil {
		return false
	}
	rest, code, cut := t.reading.split(SpareDigits)
	if !cut {
		code = nil
	}
	s := t.trySpare(acc, h, code, now)
	if s.Live && e.fit == NoTokens {
		e.fit = NoFit
	}
	if clockDoubt {
		e.skipped = e.skipped || s.Live || s.Fit != NotEvaluated
		return false
	}
	if e.live = s.Live; s.Fit == NotEvaluated {
		return false
	}
	if FitsOpen.rank() > e.fit.rank() {
		e.rest, e.digits = rest, SpareDigits
	}
	if s.Fit == FitsUsed {
		return true
	}
	if FitsOpen.rank() > e.fit.rank() {
		e.fit, e.shut, e.spare = FitsOpen, 0, s
		e.fits = append(e.fits, fitted{token: spareCode, match: token.Match{Result: token.Fresh, Step: s.Number}})
	}
	return false
}

// limit finds the reply that a code allows before the code is used: one that cannot be sent must not cost it.
func (t *attempt) limit(f *Facts, e *evaluation) {
	if e.spare.Reply == "" || f.Finding != Found {
		return
	}
	var fault *ReplyError
	if t.lesser, fault = t.a.Replies.limited(t.user, e.spare.Reply); fault != nil {
		f.Finding, f.Why, t.noReply = Barred, ReplyMissing, fault
	}
}

// changeSpare adds what the ending changes in the holder's record: the code is used, or a token at hand again ends the set.
func (t *attempt) changeSpare(ch *Change, s Step, e *evaluation, acc *Account, h *Held, now time.Time) error {
	holder := t.holder(acc, h)
	if holder == nil || !s.Has(Burn) {
		return nil
	}
	use := e.spare
	if use.Holder == nil {
		if s.Do != DoAccept {
			return nil
		}
		var err error
		if use, err = t.a.Spares.End(acc, holder, now); err != nil {
			return err
		}
		done := *acc
		done.Spare = false
		ch.Accounts = append(ch.Accounts, &done)
	}
	if use.Holder != nil {
		ch.Records = append(ch.Records, use.Holder)
	}
	ch.More = append(ch.More, use.Events...)
	return nil
}
