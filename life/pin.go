package life

import (
	"fmt"
	"strings"
	"time"
)

// PINHash is a PIN under a keyed hash with a salt of its own; the zero value matches nothing. It has the form that accounts
// keep.
type PINHash struct {
	Salt [16]byte
	Sum  [32]byte
}

// PINs is a user's PIN and the ones before.
type PINs struct {
	Current PINHash
	History []PINHash // the latest first
	Changed int64     // Unix seconds
	Forced  bool      // the next sign-in goes to the page that changes it
	Due     int64     // Unix seconds from which a forced PIN no longer opens anything; 0: it goes on
}

func (p *PINs) stage() Stage {
	switch {
	case p.Current == PINHash{}:
		return None
	case p.Forced:
		return Forced
	}
	return Set
}

// Opens reports whether the PIN may still prove anything at a login.
func (p *PINs) Opens(now time.Time) bool {
	return p.stage() == Set || p.stage() == Forced && (p.Due == 0 || now.Unix() < p.Due)
}

// CheckPIN says why a person may not choose a PIN: it has PINMin to PINMax ASCII letters and digits, is not one character
// repeated, not one run up or down such as 1234, 7890 or dcba, and not the user's name, with or without its domain.
// Capital and small letters differ at login but not in these rules.
func (r Rules) CheckPIN(pin Typed, userName string) *Refusal {
	for _, c := range pin {
		if small := c | 0x20; (c < '0' || c > '9') && (small < 'a' || small > 'z') {
			return refuse(PINForm, "")
		}
	}
	if len(pin) == 0 || len(pin) < r.PINMin || len(pin) > r.PINMax {
		return refuse(PINLength, fmt.Sprintf("%d-%d", r.PINMin, r.PINMax))
	}
	small := strings.ToLower(string(pin))
	bare := userName[strings.LastIndexByte(userName, '\\')+1:]
	bare, _, _ = strings.Cut(bare, "@")
	switch {
	case strings.Count(small, small[:1]) == len(small):
		return refuse(PINRepeated, "")
	case run(small, 1) || run(small, -1):
		return refuse(PINRun, "")
	case strings.EqualFold(small, userName) || strings.EqualFold(small, bare):
		return refuse(PINName, "")
	}
	return nil
}

// run reports that each character follows the one before by step, 9 and 0 being neighbours as on a keyboard.
func run(s string, step int) bool {
	for i := 1; i < len(s); i++ {
		from, to := s[i-1], s[i]
		if step < 0 {
			from, to = to, from
		}
		if to != from+1 && (from != '9' || to != '0') {
			return false
		}
	}
	return true
}

// ChoosePIN sets the PIN that a person chose. hash is what is kept of it; equals compares it with a hash that was kept, in
// constant time and under the key that the rules do not have.
func (a Act) ChoosePIN(s State, pin Typed, hash PINHash, equals func(PINHash) bool) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(a.Account)
	if no != nil {
		return Change{}, no
	}
	from := h.PIN.stage()
	if _, no := w.row(PINKind, Choose, from, h.Name); no != nil {
		return Change{}, no
	}
	if !a.Proven {
		return Change{}, refuse(ProofNeeded, h.Name)
	}
	if no := a.Rules.CheckPIN(pin, h.Name); no != nil {
		return Change{}, no
	}
	before := h.PIN.History
	if h.PIN.Current != (PINHash{}) {
		before = append([]PINHash{h.PIN.Current}, before...)
	}
	before = before[:min(len(before), a.Rules.PINHistory)]
	again := false
	for _, old := range before {
		again = equals(old) || again
	}
	if again {
		return Change{}, refuse(PINHistory, h.Name)
	}
	h.PIN = PINs{Current: hash, History: before, Changed: a.Now.Unix()}
	w.holders[h.Account] = true
	w.step(Step{Kind: PINKind, Verb: Choose, Account: h.Account, From: from, To: Set})
	w.notify(NoticePIN, h, 0, 0)
	return w.done(), nil
}

// ForcePIN makes a person choose a new PIN at the next sign-in; from due on, if it is not 0, the old one opens nothing.
func (a Act) ForcePIN(s State, who AccountID, due int64) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return Change{}, no
	}
	from := h.PIN.stage()
	if _, no := w.row(PINKind, ForceVerb, from, h.Name); no != nil {
		return Change{}, no
	}
	h.PIN.Forced, h.PIN.Due = true, due
	w.holders[h.Account] = true
	w.step(Step{Kind: PINKind, Verb: ForceVerb, Account: h.Account, From: from, To: Forced})
	return w.done(), nil
}

// ResetPIN ends a PIN. No new one is made, so that there is none that an operator could see: the person chooses it on
// their own page. The one that ended stays in the history.
func (a Act) ResetPIN(s State, who AccountID) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return Change{}, no
	}
	from := h.PIN.stage()
	if _, no := w.row(PINKind, Reset, from, h.Name); no != nil {
		return Change{}, no
	}
	h.PIN.History = append([]PINHash{h.PIN.Current}, h.PIN.History...)
	h.PIN.History = h.PIN.History[:min(len(h.PIN.History), a.Rules.PINHistory)]
	h.PIN.Current, h.PIN.Forced, h.PIN.Due = PINHash{}, false, 0
	w.holders[h.Account] = true
	w.step(Step{Kind: PINKind, Verb: Reset, Account: h.Account, From: from, To: None})
	w.notify(NoticePINReset, h, 0, 0)
	return w.done(), nil
}
