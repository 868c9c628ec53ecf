package authn

import (
	"time"

	"sekisho/token"
)

// fitted is one token of the account and what the code is to it.
type fitted struct {
	token *token.Token
	match token.Match
	shut  Reason // zero: the token can open; TokenPending only where policy lets a login activate it
}

// evaluation is what one text is to all tokens of an account.
type evaluation struct {
	fit      Fit
	shut     Reason
	fits     []fitted // the tokens with a fresh match
	cost     int64    // of a single guess, in token.GuessUnit
	pairCost int64
	digits   uint8  // of the code that fits
	spare    Spare  // what opens in place of a token; zero: nothing
	live     bool   // a code without a token waits to be typed
	rest     []byte // what stands beside the code that fits, or beside the split taken where none does
	skipped  bool   // a time-based token was left out because the clock is in doubt
}

// standing says why a token cannot open for this account; zero when it can.
func standing(a token.Assignment, t *token.Token, now time.Time) Reason {
	switch {
	case t.State == token.Destroyed, a.Standing == token.Revoked:
		return TokenRevoked
	case t.StateAt(now) == token.Expired:
		return TokenExpired
	case a.Standing == token.Suspended:
		return TokenSuspended
	case t.Start != 0 && now.Unix() < t.Start:
		return TokenNotStarted
	case a.Standing == token.Pending:
		return TokenPending
	}
	return 0
}

// opens reports whether a token with this standing may open under a policy.
func (p *Policy) opens(why Reason) bool {
	return why == 0 || (why == TokenPending && p.ActivateAtLogin)
}

// neverHeld reports that there is no token, living or not, that the account ever held: row 9's "no token at all". Whose
// token was revoked, lost or has expired had one, and a password alone must not open what it protected.
func neverHeld(acc *Account, h *Held) bool {
	if acc == nil {
		return true
	}
	for _, as := range acc.Assignments {
		if h.Token(as.Token) != nil {
			return false
		}
	}
	return true
}

// cost is what a guess at all tokens that can open is charged: known before anything is evaluated.
func (p *Policy) cost(acc *Account, h *Held, now time.Time) (single, pair int64) {
	for _, as := range acc.Assignments {
		t := h.Token(as.Token)
		if t == nil || !p.opens(standing(as, t, now)) {
			continue
		}
		if low, high := t.Range(now, p.Window); high >= low {
			single += t.GuessCost(int(high - low + 1))
			pair += t.PairCost(int(high - low + 1))
		}
	}
	return single, pair
}

// reading is how a login's text is taken: as a code alone, as first factor and code in one field, or as the two in fields
// of their own.
type reading struct {
	text      []byte
	code      []byte // of the second field
	alone     bool   // the text is the code
	apart     bool   // the text is the first factor, and code the code
	codeFirst bool
}

// split cuts a code of n digits off. ok is false when there is none.
func (r reading) split(n int) (rest, code []byte, ok bool) {
	switch {
	case r.alone:
		code, ok = token.CleanCode(r.text)
		return nil, code, ok && len(code) == n
	case r.apart:
		code, ok = token.CleanCode(r.code)
		return r.text, code, ok && len(code) == n
	case r.codeFirst:
		return token.SplitFirst(r.text, n)
	}
	return token.SplitLast(r.text, n)
}

// evaluate compares the text with every token of the account, whatever the first factor (S1 row 8), and burns nothing.
// A text is cut once per code length that occurs; a token sees the code of its own length.
//
// What it gives is in the attempt's room and holds until it runs again.
func (t *attempt) evaluate(acc *Account, h *Held, now time.Time, clockDoubt bool) *evaluation {
	e, p, r := &t.room.eval, t.policy, &t.reading
	*e = evaluation{fit: NoTokens, fits: t.room.fits[:0]}
	if acc == nil {
		return e
	}
	e.cost, e.pairCost = t.cost(acc, h, now)
	var used bool
	for _, as := range acc.Assignments {
		tok := h.Token(as.Token)
		if tok == nil {
			continue
		}
		if e.fit == NoTokens {
			e.fit = NoFit
		}
		if clockDoubt && tok.Mode == token.TOTP {
			e.skipped = true
			continue
		}
		rest, code, ok := r.split(int(tok.Digits))
		if !ok {
			continue
		}
		m, ok := t.match(tok, code, now)
		if !ok {
			continue
		}
		if m.Result == token.Miss {
			continue
		}
		why := standing(as, tok, now)
		if m.Result == token.Used {
			used = true
			if e.fit == NoFit {
				e.rest, e.digits = rest, tok.Digits
			}
			continue
		}
		e.fits = append(e.fits, fitted{tok, m, why})
		if better := fitOf(p, why); better.rank() > e.fit.rank() {
			e.fit, e.rest, e.digits, e.shut = better, rest, tok.Digits, 0
			if better == FitsShut {
				e.shut = why
			}
		}
	}
	if acc.Spare {
		used = t.evaluateSpare(e, acc, h, now, clockDoubt) || used
	}
	// The code of a burnt step is a replay whatever else it matches (S16).
	if used {
		e.fit, e.shut = FitsUsed, 0
	}
	return e
}

// match compares a code with one token; ok is false where its seed cannot be opened.
func (t *attempt) match(tok *token.Token, code []byte, now time.Time) (m token.Match, ok bool) {
	defer clear(t.room.seed[:])
	seed, err := t.a.Keys.OpenSeed(t.room.seed[:0], tok.ID, tok.Sealed)
	if err != nil {
		t.a.Log.Error("a token's seed cannot be opened; it is left out", "token", tok.ID.String(), "error", err)
		return m, false
	}
	return tok.Evaluate(seed, code, now, t.policy.Window), true
}

// main is the token that the decision is about: one that can open before one that cannot.
func (e *evaluation) main() fitted {
	best := e.fits[0]
	for _, f := range e.fits {
		if f.shut == 0 {
			return f
		}
		if e.fit == FitsPending && f.shut == TokenPending {
			best = f
		}
	}
	return best
}

func fitOf(p *Policy, why Reason) Fit {
	switch {
	case why == 0:
		return FitsOpen
	case p.opens(why):
		return FitsPending
	}
	return FitsShut
}

// rank orders fits by how much they open.
func (f Fit) rank() int {
	switch f {
	case FitsOpen:
		return 4
	case FitsPending:
		return 3
	case FitsShut:
		return 2
	case NoFit:
		return 1
	}
	return 0
}

// codeLength is where a text is cut when no code in it fits (S2): the length of the code last used, else of the newest
// token, else six.
func codeLength(acc *Account, h *Held) int {
	if acc == nil {
		return token.MinDigits
	}
	if acc.Guard.Digits != 0 {
		return int(acc.Guard.Digits)
	}
	n, since := token.MinDigits, int64(0)
	for _, as := range acc.Assignments {
		if t := h.Token(as.Token); t != nil && as.Since >= since {
			n, since = int(t.Digits), as.Since
		}
	}
	return n
}
