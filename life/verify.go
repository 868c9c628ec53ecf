package life

import (
	"cmp"
	"crypto/subtle"
	"slices"
	"time"

	"sekisho/token"
)

// Verdict is what a test says of a token and a code.
type Verdict uint8

// The verdicts.
const (
	Unconfirmed Verdict = iota // could not be confirmed
	Works
	OutOfStep // a code of the token, but of another time or counter than a login takes
)

// Test tells whether a token works (V1). It knows no owners. A code found in the window of logins is burnt; one found beside
// it opens nothing at logins, and is remembered so that resync does not take it either. Wrong codes slow this page down and
// never count towards logins.
func (a Act) Test(s State, id token.ID, code Typed) (Verdict, Change, *Refusal) {
	w := a.open(s)
	t, no := w.testable(Test, id)
	if no != nil {
		return Unconfirmed, Change{}, no
	}
	if no := form(t, code); no != nil {
		return Unconfirmed, Change{}, no
	}
	if no := w.try(t); no != nil {
		return Unconfirmed, Change{}, no
	}
	switch m := t.Evaluate(w.Seeds[id], code, a.Now, a.Rules.Login); m.Result {
	case token.Used:
		return Unconfirmed, w.attempt(), refuseUntil(AlreadyUsed, label(t), w.next(t, m.Step))
	case token.Fresh:
		t.Drift, t.DriftDay = t.DriftAfter(m.Step, a.Now)
		w.burn(t, m.Step)
		w.burnAlso(t, code)
		w.stepToken(Test, t, "works")
		return Works, w.done(), nil
	}
	r := w.record(id)
	if m := t.Evaluate(w.Seeds[id], code, a.Now, a.Rules.Range); m.Result == token.Fresh && m.Step >= r.Seen {
		r.Seen = m.Step + 1
		w.stepToken(Test, t, "out of step")
		return OutOfStep, w.done(), nil
	}
	return Unconfirmed, w.attempt(), refuse(WrongCode, label(t))
}

// testable finds a token that test and resync may work on.
func (w *work) testable(verb Verb, id token.ID) (*token.Token, *Refusal) {
	t := w.token(id)
	if t == nil {
		_, no := w.row(TokenKind, verb, None, id.String())
		return nil, no
	}
	_, no := w.row(TokenKind, verb, TokenStage(t.StateAt(w.Now)), label(t))
	return t, no
}

// try counts one try of test or resync, right or wrong.
func (w *work) try(t *token.Token) *Refusal {
	r := w.record(t.ID)
	tries, from, ok := w.Rules.Tests.take(r.Tests, w.Now)
	if !ok {
		return refuseUntil(TriesUsed, label(t), w.at(from))
	}
	r.Tests = tries
	w.records[t.ID] = true
	return nil
}

func (w *work) stepToken(verb Verb, t *token.Token, detail string) {
	stage := TokenStage(t.State)
	w.step(Step{Kind: TokenKind, Verb: verb, Token: t.ID, From: stage, To: stage, Detail: detail})
}

// Resync finds a token by two of its codes in a row and follows it from there (V2). It moves forward only, and burns both
// codes and all before on every token that shows them. Each try costs the chance of guessing both; a token's budget for a
// year ends it, and success gives nothing back.
func (a Act) Resync(s State, id token.ID, first, second Typed) (Change, *Refusal) {
	w := a.open(s)
	t, no := w.testable(Resync, id)
	if no != nil {
		return Change{}, no
	}
	window := a.Rules.Range
	if a.By&staff != 0 {
		window = a.Rules.StaffRange
	}
	if no := w.payResync(t, first, second, window); no != nil {
		return Change{}, no
	}
	step, found := w.pair(t, first, second, window)
	if !found {
		return w.attempt(), refuse(WrongCode, label(t))
	}
	if no := w.follow(t, step); no != nil {
		w.record(id).Seen = max(w.record(id).Seen, step+1)
		return w.attempt(), no
	}
	w.burn(t, step)
	for _, code := range []Typed{first, second} {
		w.burnAlso(t, code)
	}
	w.stepToken(Resync, t, "")
	for i := range w.Holders {
		if h := &w.Holders[i]; h.stage(id) != None && h.stage(id) != Revoked {
			w.notify(NoticeResync, h, id, 0)
		}
	}
	return w.done(), nil
}

// payResync checks what was typed, which costs nothing, and then takes the try and its cost.
func (w *work) payResync(t *token.Token, first, second Typed, window token.Window) *Refusal {
	for _, code := range []Typed{first, second} {
		if no := form(t, code); no != nil {
			return no
		}
	}
	if subtle.ConstantTimeCompare(first, second) == 1 {
		return refuse(EqualCodes, label(t))
	}
	cost := w.Rules.resyncCost(t, window)
	r := w.record(t.ID)
	today := token.Day(w.Now)
	var spent int64
	kept := r.Pot[:0]
	for _, c := range r.Pot {
		if int(c.Day)+365 >= int(today) {
			kept = append(kept, c)
			spent += c.Amount
		}
	}
	r.Pot = kept
	if spent+cost > w.Rules.ResyncBudget {
		return refuseUntil(BudgetUsed, label(t), w.budgetFrom(r.Pot, spent+cost-w.Rules.ResyncBudget))
	}
	if no := w.try(t); no != nil {
		return no
	}
	if n := len(r.Pot); n > 0 && r.Pot[n-1].Day == today {
		r.Pot[n-1].Amount += cost
	} else {
		r.Pot = append(r.Pot, Charge{today, cost})
	}
	return nil
}

// budgetFrom is the first day on which enough of the oldest charges is forgotten.
func (w *work) budgetFrom(pot []Charge, excess int64) time.Time {
	for _, c := range pot {
		if excess -= c.Amount; excess <= 0 {
			return w.at((int64(c.Day) + 366) * int64(day/time.Second))
		}
	}
	return time.Time{}
}

// resyncCost is the chance of two random codes, in token.GuessUnit and rounded up: one of the range, then one of the gap.
func (r Rules) resyncCost(t *token.Token, window token.Window) int64 {
	n, gap := int64(window.Back+window.Ahead+1), int64(r.GapSteps)
	if t.Mode == token.HOTP {
		n, gap = int64(window.LookAhead), int64(r.GapHOTP)
	}
	one := int64(1)
	for range t.Digits {
		one *= 10
	}
	const unit = 10_000_000_000_000_000
	pairs := n * gap
	return max(1, (pairs*(unit/one)+one-1)/one)
}

// pair finds the two codes in order and gives the step of the second. Every step of the range is computed, so that the time
// taken does not tell how near a guess came.
func (w *work) pair(t *token.Token, first, second Typed, window token.Window) (step int64, found bool) {
	low, high := t.Range(w.Now, window)
	low = max(low, w.record(t.ID).Seen, 0)
	gap := int64(w.Rules.GapSteps)
	if t.Mode == token.HOTP {
		gap = int64(w.Rules.GapHOTP)
	}
	seed := w.Seeds[t.ID]
	at := token.NoStep - gap // of the latest first code that is near enough to count
	for s := low; s <= high+gap && s <= token.MaxCounter; s++ {
		code := []byte(t.Code(seed, s))
		isFirst := subtle.ConstantTimeCompare(code, first) == 1
		isSecond := subtle.ConstantTimeCompare(code, second) == 1
		if isSecond && at >= low && s-at <= gap {
			step, found = s, true
		}
		if isFirst && s <= high {
			at = s
		}
	}
	return step, found
}

// follow sets the drift of a token to where its second code was found.
func (w *work) follow(t *token.Token, step int64) *Refusal {
	if t.Mode != token.TOTP {
		return nil
	}
	off := step - t.StepAt(w.Now)
	if t.Form == token.Software {
		if off < -int64(w.Rules.Login.Back) || off > int64(w.Rules.Login.Ahead) {
			return refuse(ClockOff, label(t))
		}
		return nil
	}
	if off < -maxDrift || off > maxDrift {
		return refuse(DriftFar, label(t))
	}
	t.Drift, t.DriftDay = int16(off), token.Day(w.Now)
	return nil
}

// ResetDrift makes a token's clock the site's again.
func (a Act) ResetDrift(s State, id token.ID) (Change, *Refusal) {
	w := a.open(s)
	t, no := w.testable(ResetDrift, id)
	if no != nil {
		return Change{}, no
	}
	t.Drift, t.DriftDay = 0, 0
	w.tokens[id] = true
	w.stepToken(ResetDrift, t, "")
	return w.done(), nil
}

// DriftReport lists the tokens in use whose clocks are least steps off or more, the worst first.
func DriftReport(tokens []token.Token, least int, now time.Time) []token.Token {
	var off []token.Token
	for _, t := range tokens {
		if t.Mode == token.TOTP && t.StateAt(now) == token.InUse && abs(t.Drift) >= least {
			off = append(off, t)
		}
	}
	slices.SortStableFunc(off, func(a, b token.Token) int {
		return cmp.Or(cmp.Compare(abs(b.Drift), abs(a.Drift)), cmp.Compare(a.Serial, b.Serial), cmp.Compare(a.ID, b.ID))
	})
	return off
}

func abs(d int16) int { return max(int(d), -int(d)) }

// Locks is what an account's failures closed, as the login rules have it.
type Locks struct {
	Stopped bool // only an operator or a new registration ends that (S1 row 19)
	Rows    bool // misses in a row, or a wait that they began
}

// SelfUnlock lets a signed-in person end rows and waits by two right codes in a row of one working token. It never touches
// the yearly pots, and never a stop. The caller sets rows and waits to zero in the same change.
func (a Act) SelfUnlock(s State, l Locks, id token.ID, first, second Typed) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(a.Account)
	switch {
	case no != nil:
		return Change{}, no
	case a.By != ByPerson:
		return Change{}, refuse(NotAllowed, "")
	case !a.Proven:
		return Change{}, refuse(ProofNeeded, h.Name)
	case l.Stopped:
		return Change{}, refuse(Stopped, h.Name)
	case !l.Rows:
		return Change{}, refuse(NothingLocked, h.Name)
	}
	t := w.token(id)
	if t == nil || !w.works(h.Hold(id)) {
		return Change{}, refuse(NotFound, "")
	}
	window := a.Rules.Login
	if no := w.payResync(t, first, second, window); no != nil {
		return Change{}, no
	}
	step, found := w.pair(t, first, second, window)
	if !found {
		return w.attempt(), refuse(WrongCode, label(t))
	}
	w.burn(t, step)
	w.burnAlso(t, second)
	w.step(Step{Kind: HoldKind, Verb: "self-unlock", Account: h.Account, Token: id, From: Active, To: Active})
	return w.done(), nil
}
