package life

import (
	"slices"

	"sekisho/token"
)

// Deferral counts how often registering was put off (O8). It closes the page that offers it and opens nothing.
type Deferral struct {
	Times uint8
	First int64 // Unix seconds of the first time
}

// Grant gives a token of the stock to a user: in service at once ([Assign]), or waiting for its first right code
// ([Reserve]), as for tokens that travel by post. share lets a token that others hold be held by one more.
func (a Act) Grant(s State, verb Verb, to AccountID, id token.ID, share bool) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(to)
	if no != nil {
		return Change{}, no
	}
	t := w.token(id)
	if t == nil {
		return Change{}, refuse(NoSuchToken, id.String())
	}
	if verb != Assign && verb != Reserve {
		return Change{}, refuse(NotAllowed, "")
	}
	if _, no := w.row(HoldKind, verb, h.stage(id), label(t)); no != nil {
		return Change{}, no
	}
	if no := w.here(h); no != nil {
		return Change{}, no
	}
	if no := w.usable(t); no != nil {
		return Change{}, no
	}
	if !share && w.others(id, h.Account) > 0 {
		return Change{}, refuse(TokenInUse, label(t))
	}
	if no := w.room(h, t); no != nil {
		return Change{}, no
	}
	if verb == Assign {
		if no := w.cooling(h, t); no != nil {
			return Change{}, no
		}
	}
	w.take(t)
	standing := token.Pending
	if verb == Assign {
		standing = token.Active
	}
	hold := w.set(verb, h, id, standing)
	hold.Why, hold.Until, hold.Replaces = WhyNone, 0, nil
	return w.done(), nil
}

// take moves a token out of the stock.
func (w *work) take(t *token.Token) {
	if t.State != token.InUse {
		r := w.record(t.ID)
		r.Takes++
		w.records[t.ID] = true
	}
	w.move(Take, t, token.InUse)
}

// cooling refuses a registration before the time that the revocation set, for the user or for the serial.
func (w *work) cooling(h *Holder, t *token.Token) *Refusal {
	due := h.NotBefore
	about := h.Name
	if r := w.record(t.ID); r != nil && r.NotBefore > due {
		due, about = r.NotBefore, label(t)
	}
	if w.Now.Unix() < due {
		return refuseUntil(Cooling, about, w.at(due))
	}
	return nil
}

// Register brings a hardware token into service by its serial and a code (O7). To a person only serials exist that wait for
// them, that are reserved to a group of theirs, or, where policy says so, all of the stock; operators register any.
func (a Act) Register(s State, to AccountID, serial string, code Typed) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(to)
	if no != nil {
		return Change{}, no
	}
	t := w.bySerial(serial)
	if t == nil || a.By&(ByPerson|ByLogin) != 0 && !w.reserved(h, t) {
		return Change{}, refuse(NotFound, serial)
	}
	if t.Form != token.Hardware {
		return Change{}, refuse(HardwareOnly, label(t))
	}
	if _, no := w.row(HoldKind, Register, h.stage(t.ID), label(t)); no != nil {
		return Change{}, no
	}
	if w.others(t.ID, h.Account) > 0 && !w.sharing(h, t) {
		return Change{}, refuse(TokenInUse, label(t))
	}
	return w.activate(Register, h, t, code)
}

func (w *work) bySerial(serial string) *token.Token {
	for i := range w.Tokens {
		if t := &w.Tokens[i]; serial != "" && t.Serial == serial {
			return t
		}
	}
	return nil
}

// reserved reports whether a serial exists for a person.
func (w *work) reserved(h *Holder, t *token.Token) bool {
	if hold := h.Hold(t.ID); hold != nil {
		return true
	}
	group := w.record(t.ID).Group
	return group == "" && w.Rules.OpenStock || group != "" && slices.Contains(h.Groups, group)
}

// sharing reports whether one more may hold a token that others hold.
func (w *work) sharing(h *Holder, t *token.Token) bool {
	if hold := h.Hold(t.ID); hold != nil && hold.Standing == token.Pending {
		return true // an operator gave it to several
	}
	group := w.record(t.ID).Group
	return w.Rules.Sharing && group != "" && slices.Contains(h.Groups, group)
}

// activate makes the first right code put a token into service and end what it replaces, all in one change.
func (w *work) activate(verb Verb, h *Holder, t *token.Token, code Typed) (Change, *Refusal) {
	if no := w.here(h); no != nil {
		return Change{}, no
	}
	if no := w.usable(t); no != nil {
		return Change{}, no
	}
	if t.Start != 0 && w.Now.Unix() < t.Start {
		return Change{}, refuseUntil(NotStarted, label(t), w.at(t.Start))
	}
	if no := w.cooling(h, t); no != nil {
		return Change{}, no
	}
	if no := w.room(h, t); no != nil {
		return Change{}, no
	}
	var replaces []token.ID
	if hold := h.Hold(t.ID); hold != nil {
		replaces = hold.Replaces
	}
	if no := w.devices(h, t, replaces); no != nil {
		return Change{}, no
	}
	if no := w.firstCode(t, code); no != nil {
		return w.attempt(), no
	}
	w.take(t)
	hold := w.set(verb, h, t.ID, token.Active)
	hold.Why, hold.Until, hold.Replaces = WhyNone, 0, nil
	h.Deferred = Deferral{}
	w.endReplaced(h, replaces)
	w.notify(NoticeAdded, h, t.ID, 0)
	return w.done(), nil
}

// EndReplaced ends what a token in service was to end with its first right code, where a login took that code: a login knows
// nothing of other tokens.
func (a Act) EndReplaced(s State, who AccountID, id token.ID) (Change, *Refusal) {
	w := a.open(s)
	h := w.holder(who)
	if h == nil {
		return Change{}, refuse(NotFound, "")
	}
	hold := h.Hold(id)
	if hold == nil || hold.Standing != token.Active || len(hold.Replaces) == 0 {
		return Change{}, refuse(stands[HoldKind][h.stage(id)], id.String())
	}
	replaces := hold.Replaces
	hold.Replaces = nil
	w.holders[who] = true
	w.endReplaced(h, replaces)
	return w.done(), nil
}

func (w *work) endReplaced(h *Holder, replaces []token.ID) {
	for _, old := range replaces {
		if held := h.Hold(old); held != nil && held.Standing != token.Revoked {
			w.end(Replace, h, old, WhyReplaced, false)
		}
	}
}

// Enrol gives a user a new software token, made and sealed by the caller, that waits for its first right code. replaces are
// devices that end with that code. A person who adds a device proves it by the password and a code of a token of theirs
// that works (K11): by names it; without a working token it is the activation's and the reset's way, not this one.
func (a Act) Enrol(s State, to AccountID, t token.Token, replaces []token.ID, by token.ID, code Typed) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(to)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(HoldKind, Enrol, h.stage(t.ID), label(&t)); no != nil {
		return Change{}, no
	}
	if a.By == ByPerson {
		if no := w.proof(h, by); no != nil {
			return Change{}, no
		}
	}
	if no := w.mayEnrol(h, &t, replaces); no != nil {
		return Change{}, no
	}
	if a.By == ByPerson {
		if no := w.code(w.token(by), code); no != nil {
			return w.attempt(), no
		}
	}
	w.enrol(h, t, replaces)
	return w.done(), nil
}

// proof asks for the password and names the working token whose code proves the person.
func (w *work) proof(h *Holder, by token.ID) *Refusal {
	hold, t := h.Hold(by), w.token(by)
	if !w.Proven || hold == nil || hold.Standing != token.Active || t == nil || w.usable(t) != nil {
		return refuse(ProofNeeded, h.Name)
	}
	return nil
}

func (w *work) mayEnrol(h *Holder, t *token.Token, replaces []token.ID) *Refusal {
	for _, old := range replaces {
		if h.Hold(old) == nil {
			return refuse(NotAssigned, old.String())
		}
	}
	if no := w.here(h); no != nil {
		return no
	}
	if no := w.cooling(h, t); no != nil {
		return no
	}
	if no := w.devices(h, t, replaces); no != nil {
		return no
	}
	return w.room(h, t)
}

func (w *work) enrol(h *Holder, t token.Token, replaces []token.ID) {
	t.State = token.InStock
	w.add(t)
	added := w.token(t.ID)
	added.State = 0
	w.take(added)
	w.set(Enrol, h, t.ID, token.Pending).Replaces = slices.Clone(replaces)
}

// Confirm puts a token that waits into service by a right code, which is burnt.
func (a Act) Confirm(s State, to AccountID, id token.ID, code Typed) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(to)
	if no != nil {
		return Change{}, no
	}
	t := w.token(id)
	if t == nil {
		return Change{}, refuse(NoSuchToken, id.String())
	}
	if _, no := w.row(HoldKind, Confirm, h.stage(id), label(t)); no != nil {
		return Change{}, no
	}
	return w.activate(Confirm, h, t, code)
}

// Pair makes the first right code of a token that waits end other tokens of the same user (O9, P3).
func (a Act) Pair(s State, to AccountID, id token.ID, old []token.ID) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(to)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(HoldKind, Confirm, h.stage(id), id.String()); no != nil {
		return Change{}, no
	}
	for _, o := range old {
		if hold := h.Hold(o); hold == nil || hold.Standing == token.Revoked || o == id {
			return Change{}, refuse(NotAssigned, o.String())
		}
	}
	h.Hold(id).Replaces = slices.Clone(old)
	w.holders[h.Account] = true
	return w.done(), nil
}

// Defer puts registering off: it closes the page and opens nothing (O8).
func (a Act) Defer(s State, who AccountID, id token.ID) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(HoldKind, Defer, h.stage(id), id.String()); no != nil {
		return Change{}, no
	}
	d := &h.Deferred
	if int(d.Times) >= w.Rules.DeferTimes || d.Times > 0 && !w.Now.Before(w.at(d.First).Add(w.Rules.DeferFor)) {
		return Change{}, refuse(DeferUsed, h.Name)
	}
	if d.Times == 0 {
		d.First = w.Now.Unix()
	}
	d.Times++
	w.holders[h.Account] = true
	w.step(Step{Kind: HoldKind, Verb: Defer, Account: h.Account, Token: id, From: Pending, To: Pending})
	return w.done(), nil
}
