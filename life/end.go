package life

import (
	"slices"
	"strconv"
	"time"

	"sekisho/token"
)

// end revokes one hold. The token goes back to the stock or is destroyed when nobody else holds it; final destroys it
// anyway.
func (w *work) end(verb Verb, h *Holder, id token.ID, why Why, final bool) *Hold {
	t := w.token(id)
	old := *h.Hold(id)
	hold := w.set(verb, h, id, token.Revoked)
	hold.Before, hold.BeforeWhy, hold.Was, hold.WasUntil = old.Standing, old.Why, old.Since, old.Until
	hold.Why, hold.Until, hold.Cooled, hold.Replaces = why, 0, 0, nil
	if t == nil {
		return hold
	}
	r := w.record(id)
	hold.Takes = r.Takes
	switch {
	case t.State == token.Destroyed:
	case final, t.Form == token.Software && w.others(id, h.Account) == 0:
		w.move(Destroy, t, token.Destroyed)
		r.Ended = w.Now.Unix()
		w.records[id] = true
	case w.others(id, h.Account) == 0:
		w.move(GiveBack, t, token.InStock)
	}
	return hold
}

// lastMaster refuses to end or suspend what the last working token of a master is (O10).
func (w *work) lastMaster(h *Holder, id token.ID) *Refusal {
	if h.Role != ByMaster || !w.works(h.Hold(id)) {
		return nil
	}
	left := w.MastersElsewhere
	for i := range w.Holders {
		other := &w.Holders[i]
		if other.Role != ByMaster {
			continue
		}
		for j := range other.Holds {
			if other.Account == h.Account && other.Holds[j].Token == id {
				continue
			}
			if w.works(&other.Holds[j]) {
				left++
			}
		}
	}
	if left == 0 {
		return refuse(LastMaster, h.Name)
	}
	return nil
}

// works reports that a hold opens something now.
func (w *work) works(hold *Hold) bool {
	if hold == nil || hold.Standing != token.Active {
		return false
	}
	t := w.token(hold.Token)
	return t != nil && t.StateAt(w.Now) == token.InUse
}

// Suspend stops a token for a while: a person one of their own, operators anybody's.
func (a Act) Suspend(s State, who AccountID, id token.ID) (Change, *Refusal) {
	return a.suspend(s, Suspend, who, id, WhyOperator)
}

// ReportLost stops a token that is lost or stolen at once. The person may resume it for a time; then it is revoked, at the
// latest with the first right code of the next token (P3).
func (a Act) ReportLost(s State, who AccountID, id token.ID, stolen bool) (Change, *Refusal) {
	why := WhyLost
	if stolen {
		why = WhyStolen
	}
	return a.suspend(s, ReportLost, who, id, why)
}

func (a Act) suspend(s State, verb Verb, who AccountID, id token.ID, why Why) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(HoldKind, verb, h.stage(id), id.String()); no != nil {
		return Change{}, no
	}
	if no := w.lastMaster(h, id); no != nil {
		return Change{}, no
	}
	hold := w.set(verb, h, id, token.Suspended)
	hold.Why, hold.Until = why, 0
	if why.lost() {
		hold.Until = w.Now.Add(w.Rules.LostResume).Unix()
	} else if a.By == ByPerson {
		hold.Why = WhyPerson
	}
	w.notify(NoticeSuspended, h, id, 0)
	return w.done(), nil
}

// Resume ends a suspension. The person resumes what they stopped or reported lost themselves, by password and a code of
// that token; what an operator suspended only operators resume. Nobody resumes for a user who is gone.
func (a Act) Resume(s State, who AccountID, id token.ID, code Typed) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(HoldKind, Resume, h.stage(id), id.String()); no != nil {
		return Change{}, no
	}
	hold, t := h.Hold(id), w.token(id)
	if t == nil {
		return Change{}, refuse(NoSuchToken, id.String())
	}
	if no := w.here(h); no != nil {
		return Change{}, no
	}
	if no := w.usable(t); no != nil {
		return Change{}, no
	}
	if no := w.devices(h, t, nil); no != nil {
		return Change{}, no
	}
	if a.By == ByPerson {
		switch {
		case hold.Why == WhyOperator:
			return Change{}, refuse(ByOperator, label(t))
		case hold.Why.lost() && w.Now.Unix() >= hold.Until:
			return Change{}, refuse(TooLate, label(t))
		case !w.Proven:
			return Change{}, refuse(ProofNeeded, h.Name)
		}
		if no := w.code(t, code); no != nil {
			return w.attempt(), no
		}
	}
	hold = w.set(Resume, h, id, token.Active)
	hold.Why, hold.Until = WhyNone, 0
	w.notify(NoticeResumed, h, id, 0)
	return w.done(), nil
}

// Lapse revokes what was reported lost and not resumed in time.
func (a Act) Lapse(s State, who AccountID, id token.ID) (Change, *Refusal) {
	w := a.open(s)
	h := w.holder(who)
	if h == nil {
		return Change{}, refuse(NotFound, "")
	}
	if _, no := w.row(HoldKind, Lapse, h.stage(id), id.String()); no != nil {
		return Change{}, no
	}
	hold := h.Hold(id)
	switch {
	case !hold.Why.lost():
		return Change{}, refuse(ByOperator, id.String())
	case w.Now.Unix() < hold.Until:
		return Change{}, refuseUntil(TooEarly, id.String(), w.at(hold.Until))
	}
	w.end(Lapse, h, id, hold.Why, true)
	w.notify(NoticeRevoked, h, id, 0)
	return w.done(), nil
}

// Chosen is one hold that a revocation is about.
type Chosen struct {
	Account AccountID
	Token   token.ID
}

// Revocation is what an operator or a person chose to end.
type Revocation struct {
	Holds     []Chosen
	Expiry    int64 // Unix seconds: only tokens of this expiry; 0: any (O9)
	Confirmed int   // the number of users that the operator confirmed; needed above Rules.AskAbove
}

// AllHolders chooses everybody in a state who holds a token (O2).
func AllHolders(s State, id token.ID) (chosen []Chosen) {
	for i := range s.Holders {
		if hold := s.Holders[i].Hold(id); hold != nil && hold.Standing != token.Revoked {
			chosen = append(chosen, Chosen{s.Holders[i].Account, id})
		}
	}
	return chosen
}

// Due is when what is revoked now may be registered again, to be shown before the act too.
func (a Act) Due() time.Time { return a.Rules.Cooldown.Due(a.Now) }

// Revoke ends holds, of chosen users or all, of one token or many, all or none. An operator's revocation begins the
// cooldown; a person ends own software tokens, and without one.
func (a Act) Revoke(s State, r Revocation) (Change, *Refusal) {
	w := a.open(s)
	if len(r.Holds) == 0 {
		return Change{}, refuse(NotFound, "")
	}
	if no := w.ask(r); no != nil {
		return Change{}, no
	}
	for _, c := range r.Holds {
		if no := w.revoke(c, r.Expiry); no != nil {
			return Change{}, no
		}
	}
	w.onlyRegister()
	return w.done(), nil
}

// ask makes an operator confirm a large number of users.
func (w *work) ask(r Revocation) *Refusal {
	users := map[AccountID]bool{}
	for _, c := range r.Holds {
		users[c.Account] = true
	}
	if n := len(users); n > w.Rules.AskAbove && r.Confirmed != n {
		return refuse(AskFirst, strconv.Itoa(n))
	}
	return nil
}

func (w *work) revoke(c Chosen, expiry int64) *Refusal {
	h, no := w.subject(c.Account)
	if no != nil {
		return no
	}
	if _, no := w.row(HoldKind, Revoke, h.stage(c.Token), c.Token.String()); no != nil {
		return no
	}
	t := w.token(c.Token)
	why, due := WhyOperator, int64(0)
	switch {
	case t != nil && expiry != 0 && t.Expiry != expiry:
		return refuse(OtherExpiry, label(t))
	case w.By == ByPerson && (t == nil || t.Form != token.Software):
		return refuse(SoftwareOnly, c.Token.String())
	case w.By == ByPerson:
		why = WhyPerson
	default:
		due = w.Due().Unix()
	}
	if no := w.lastMaster(h, c.Token); no != nil {
		return no
	}
	hold := w.end(Revoke, h, c.Token, why, false)
	w.cool(h, hold, due)
	w.notify(NoticeRevoked, h, c.Token, max(0, h.NotBefore))
	return nil
}

// cool begins the cooldown of user and serial.
func (w *work) cool(h *Holder, hold *Hold, due int64) {
	if due <= w.Now.Unix() {
		return
	}
	hold.Cooled = due
	h.NotBefore = max(h.NotBefore, due)
	r := w.record(hold.Token)
	if r != nil {
		r.NotBefore = max(r.NotBefore, due)
		w.records[hold.Token] = true
	}
}

// onlyRegister tells that the operator who acts has no working token left (O10).
func (w *work) onlyRegister() {
	own := w.holder(w.Account)
	if w.By&staff == 0 || own == nil || !w.holders[own.Account] {
		return
	}
	w.change.OnlyRegister = !slices.ContainsFunc(own.Holds, func(hold Hold) bool { return w.works(&hold) })
}

// RevokeLost ends a token for everybody in the state who holds it, for good: why is lost, stolen or broken (O5). It needs
// a reason and a reference, as of the paper that asked for it.
func (a Act) RevokeLost(s State, id token.ID, why Why) (Change, *Refusal) {
	w := a.open(s)
	if a.Reason == "" || a.Reference == "" || !why.lost() && why != WhyBroken {
		if _, no := find(HoldKind, RevokeLost, Active, a.By, ""); no != nil {
			return Change{}, no
		}
		return Change{}, refuse(ReasonNeeded, "")
	}
	all := AllHolders(s, id)
	if len(all) == 0 {
		from := None
		for i := range w.Holders {
			if w.Holders[i].stage(id) == Revoked {
				from = Revoked
			}
		}
		_, no := w.row(HoldKind, RevokeLost, from, id.String())
		return Change{}, no
	}
	for _, c := range all {
		h := w.holder(c.Account)
		if _, no := w.row(HoldKind, RevokeLost, h.stage(id), id.String()); no != nil {
			return Change{}, no
		}
		if no := w.lastMaster(h, id); no != nil {
			return Change{}, no
		}
		hold := w.end(RevokeLost, h, id, why, true)
		if w.Rules.LostWait {
			w.cool(h, hold, w.Due().Unix())
		}
		w.notify(NoticeRevoked, h, id, max(0, h.NotBefore))
	}
	w.onlyRegister()
	return w.done(), nil
}

// SelfReset ends the software tokens that a person says they no longer have, once link and second password are given (Y1,
// P3). ids are those ticked; nil means all of them. Hardware tokens are touched only when ticked, and only operators
// revoke those.
func (a Act) SelfReset(s State, ids []token.ID) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(a.Account)
	if no != nil {
		return Change{}, no
	}
	if !w.Proven {
		return Change{}, refuse(ProofNeeded, h.Name)
	}
	month, from, ok := w.Rules.ResetMonth.take(h.Resets, w.Now)
	if _, later, today := w.Rules.ResetDay.take(h.Resets, w.Now); !today {
		from, ok = max(from, later), false
	}
	if !ok {
		return Change{}, refuseUntil(ResetLimit, h.Name, w.at(from))
	}
	if ids == nil {
		for _, hold := range h.Holds {
			if t := w.token(hold.Token); hold.Standing != token.Revoked && t != nil && t.Form == token.Software {
				ids = append(ids, hold.Token)
			}
		}
	}
	for _, id := range ids {
		if no := w.revoke(Chosen{h.Account, id}, 0); no != nil {
			return Change{}, no
		}
		h.Hold(id).Why = WhyDeleted
	}
	h.Resets = month
	w.holders[h.Account] = true
	return w.done(), nil
}

// Waive ends a cooldown early; a master says why (O4).
func (a Act) Waive(s State, who AccountID) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return Change{}, no
	}
	from := NothingToDo
	if w.Now.Unix() < h.NotBefore {
		from = Cooldown
	}
	for _, hold := range h.Holds {
		if r := w.record(hold.Token); r != nil && w.Now.Unix() < r.NotBefore {
			from = Cooldown
		}
	}
	if _, no := w.row(CooldownKind, Waive, from, h.Name); no != nil {
		return Change{}, no
	}
	if a.Reason == "" {
		return Change{}, refuse(ReasonNeeded, "")
	}
	h.NotBefore = 0
	w.holders[h.Account] = true
	for _, hold := range h.Holds {
		if r := w.record(hold.Token); r != nil && w.Now.Unix() < r.NotBefore {
			r.NotBefore = 0
			w.records[hold.Token] = true
		}
	}
	w.step(Step{Kind: CooldownKind, Verb: Waive, Account: h.Account, From: Cooldown, To: NothingToDo})
	return w.done(), nil
}

// Undo takes a revocation back (S9): the hold stands as before. Steps and counts stay where they are, limits and other
// cooldowns are looked at again, and what was built upon stays.
func (a Act) Undo(s State, c Chosen) (Change, *Refusal) {
	w := a.open(s)
	if no := w.undo(c); no != nil {
		return Change{}, no
	}
	return w.done(), nil
}

// Undone is a hold of a batch that could not be restored, and why.
type Undone struct {
	Chosen
	Refusal Refusal
}

// UndoAll takes a mass revocation back as far as it goes and names what it could not restore.
func (a Act) UndoAll(s State, all []Chosen) (c Change, failed []Undone) {
	w := a.open(s)
	for _, one := range all {
		if no := w.undo(one); no != nil {
			failed = append(failed, Undone{one, *no})
		}
	}
	return w.done(), failed
}

func (w *work) undo(c Chosen) *Refusal {
	h, no := w.subject(c.Account)
	if no != nil {
		return no
	}
	if _, no := w.row(HoldKind, Undo, h.stage(c.Token), c.Token.String()); no != nil {
		return no
	}
	if no := w.here(h); no != nil {
		return no
	}
	hold, t := h.Hold(c.Token), w.token(c.Token)
	if t == nil {
		return refuse(NoSuchToken, c.Token.String())
	}
	if no := w.mayUndo(h, hold, t); no != nil {
		return no
	}
	cooled := hold.Cooled
	standing, was, why, until := hold.Before, hold.Was, hold.BeforeWhy, hold.WasUntil
	hold = w.set(Undo, h, c.Token, standing)
	hold.Since, hold.Why, hold.Until = was, why, until
	hold.Before, hold.BeforeWhy, hold.Was, hold.WasUntil, hold.Cooled = 0, WhyNone, 0, 0, 0
	w.move(Restore, t, token.InUse)
	r := w.record(t.ID)
	if cooled != 0 {
		if h.NotBefore == cooled && !slices.ContainsFunc(h.Holds, func(o Hold) bool { return o.Cooled == cooled }) {
			h.NotBefore = 0
		}
		if r.NotBefore == cooled {
			r.NotBefore = 0
		}
	}
	r.Ended = 0
	w.records[t.ID] = true
	return nil
}

func (w *work) mayUndo(h *Holder, hold *Hold, t *token.Token) *Refusal {
	r := w.record(t.ID)
	if !w.Now.Before(w.at(hold.Since).Add(w.Rules.Undo)) || hold.Before == 0 {
		return refuse(TooLate, label(t))
	}
	if hold.Why == WhyReplaced || hold.Why == WhyGone || len(t.Sealed.Data) == 0 && t.Sealed.Version != 0 {
		return refuse(UndoUsed, label(t))
	}
	for _, other := range h.Holds {
		if other.Standing == token.Active && other.Since > hold.Since {
			return refuse(UndoUsed, label(t))
		}
	}
	if r.Takes != hold.Takes {
		return refuse(TokenInUse, label(t))
	}
	if t.State == token.Destroyed && r.Ended == 0 {
		return refuse(UndoUsed, label(t))
	}
	if t.Expiry != 0 && w.Now.Unix() >= t.Expiry {
		return refuse(TokenExpired, label(t))
	}
	if h.NotBefore > w.Now.Unix() && h.NotBefore > hold.Cooled {
		return refuseUntil(Cooling, h.Name, w.at(h.NotBefore))
	}
	if no := w.room(h, t); no != nil {
		return no
	}
	if hold.Before == token.Active || hold.Before == token.Suspended && !hold.BeforeWhy.lost() {
		return w.devices(h, t, nil)
	}
	return nil
}
