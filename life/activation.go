package life

import (
	"crypto/sha256"
	"slices"
	"time"

	"sekisho/token"
)

// Activation is a link that lets one person register devices. The link's secret has 128 random bits or more, so that its
// plain hash is enough; the secret itself is kept nowhere.
type Activation struct {
	ID       uint64
	Account  AccountID
	Link     [32]byte // HashLink of the secret
	Letter   bool     // it travels by letter and lives longer
	Until    int64    // Unix seconds at which it lapses
	Uses     uint8    // devices it is good for
	Used     uint8
	Starts   uint32 // starts it is good for
	Begun    uint32
	Session  [32]byte // HashLink of the browser session that the current start belongs to; zero: none
	Since    int64    // Unix seconds of the current start
	Token    token.ID // of the current start
	Voided   []token.ID
	Sent     []int64 // Unix seconds of the mails in the last day
	Replaces []token.ID
	Ended    bool // revoked
}

// HashLink gives what is kept of a link or of a browser session.
func HashLink(secret []byte) [32]byte { return sha256.Sum256(secret) }

// Stage is where a link stands. Opening it spends nothing, so there is no act for that: scanners of mail may open it as
// often as they like.
func (v *Activation) Stage(now time.Time) Stage {
	switch {
	case v == nil || v.ID == 0:
		return None
	case v.Ended:
		return Revoked
	case v.Used >= v.Uses:
		return UsedUp
	case now.Unix() >= v.Until:
		return Lapsed
	case v.Token != 0:
		return Started
	}
	return Open
}

// Left is how many devices the link is still good for.
func (v *Activation) Left() int { return max(0, int(v.Uses)-int(v.Used)) }

// Issue makes a link for a user. A person asks for an own one by password. replaces are the devices that end with the first
// right code of the first one registered.
func (a Act) Issue(s State, to AccountID, id uint64, link [32]byte, letter bool, replaces []token.ID) (Activation, Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(to)
	if no != nil {
		return Activation{}, Change{}, no
	}
	if _, no := w.row(ActivationKind, Issue, None, h.Name); no != nil {
		return Activation{}, Change{}, no
	}
	if no := w.here(h); no != nil {
		return Activation{}, Change{}, no
	}
	if a.By == ByPerson && !a.Proven {
		return Activation{}, Change{}, refuse(ProofNeeded, h.Name)
	}
	l := a.Rules.Link
	v := Activation{ID: id, Account: to, Link: link, Letter: letter, Uses: uint8(l.Uses), Starts: uint32(l.Starts),
		Sent: []int64{a.Now.Unix()}, Replaces: slices.Clone(replaces), Until: a.linkUntil(letter)}
	w.stepLink(Issue, &v, None)
	w.notify(NoticeLink, h, 0, v.Until)
	return v, w.done(), nil
}

func (a Act) linkUntil(letter bool) int64 {
	if letter {
		return a.Now.Add(a.Rules.Link.Letter).Unix()
	}
	return a.Now.Add(a.Rules.Link.Mail).Unix()
}

func (w *work) stepLink(verb Verb, v *Activation, from Stage) {
	w.step(Step{Kind: ActivationKind, Verb: verb, Account: v.Account, Token: v.Token, From: from, To: v.Stage(w.Now)})
}

// Start shows a secret to one browser session, once the person gave their password. The same session sees the same secret
// for a while, so that reloads and the back button cost nothing; another session starts anew and voids the one before. t
// is the new software token, made and sealed by the caller, and is left alone where the old one is shown: the answer's
// Token says which it is.
func (a Act) Start(s State, v Activation, session [32]byte, t token.Token) (Activation, Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(v.Account)
	if no != nil {
		return v, Change{}, no
	}
	from := v.Stage(a.Now)
	if _, no := w.row(ActivationKind, Start, from, h.Name); no != nil {
		return v, Change{}, no
	}
	if !a.Proven || session == [32]byte{} {
		return v, Change{}, refuse(ProofNeeded, h.Name)
	}
	if from == Started && same(v.Session, session) && a.Now.Before(a.at(v.Since).Add(a.Rules.Link.Page)) {
		return v, w.done(), nil
	}
	if v.Begun >= v.Starts {
		return v, Change{}, refuse(StartsUsed, h.Name)
	}
	if no := w.mayEnrol(h, &t, v.replaces()); no != nil && !(no.Code == TooManyTokens && v.Token != 0) {
		return v, Change{}, no
	}
	next := v
	next.Voided = slices.Clone(v.Voided)
	if v.Token != 0 && h.stage(v.Token) == Pending {
		w.end(Replace, h, v.Token, WhyReplaced, false)
		next.Voided = append(next.Voided, v.Token)
	}
	w.enrol(h, t, v.replaces())
	next.Begun++
	next.Session, next.Since, next.Token = session, a.Now.Unix(), t.ID
	w.stepLink(Start, &next, from)
	return next, w.done(), nil
}

// replaces holds for the first device alone: the second one of the same link adds to it.
func (v *Activation) replaces() []token.ID {
	if v.Used > 0 {
		return nil
	}
	return v.Replaces
}

// Finish is the confirmation of a start by its first right code. The use is charged in the same change that puts the device
// into service, so that parallel confirmations cost what they give.
func (a Act) Finish(s State, v Activation, session [32]byte, code Typed) (Activation, Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(v.Account)
	if no != nil {
		return v, Change{}, no
	}
	from := v.Stage(a.Now)
	if _, no := w.row(ActivationKind, Confirm, from, h.Name); no != nil {
		return v, Change{}, no
	}
	switch {
	case !same(v.Session, session):
		return v, Change{}, refuse(StartElse, h.Name)
	case !a.Now.Before(a.at(v.Since).Add(a.Rules.Link.Page)):
		return v, Change{}, refuse(StartLapsed, h.Name)
	}
	t := w.token(v.Token)
	if t == nil {
		return v, Change{}, refuse(NoSuchToken, v.Token.String())
	}
	if _, no := w.row(HoldKind, Confirm, h.stage(v.Token), label(t)); no != nil {
		return v, Change{}, no
	}
	c, no := w.activate(Confirm, h, t, code)
	if no != nil {
		if no.Code == WrongCode && w.oldEntry(v.Voided, code) {
			no = refuse(OldEntry, label(t))
		}
		return v, c, no
	}
	next := v
	next.Used++
	step := Step{Kind: ActivationKind, Verb: Confirm, Account: v.Account, Token: v.Token, From: from}
	next.Session, next.Since, next.Token = [32]byte{}, 0, 0
	step.To = next.Stage(a.Now)
	c.Steps = append(c.Steps, step)
	return next, c, nil
}

// oldEntry recognises the code of a secret that was shown before and is void (P16).
func (w *work) oldEntry(voided []token.ID, code Typed) bool {
	for _, id := range voided {
		t, seed := w.token(id), w.Seeds[id]
		if t != nil && len(seed) > 0 && t.Evaluate(seed, code, w.Now, w.Rules.Login).Result == token.Fresh {
			return true
		}
	}
	return false
}

// Resend sends the link again under a new secret with the uses that are left; the old secret is void. What was started goes
// with it.
func (a Act) Resend(s State, v Activation, link [32]byte) (Activation, Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(v.Account)
	if no != nil {
		return v, Change{}, no
	}
	from := v.Stage(a.Now)
	if _, no := w.row(ActivationKind, Resend, from, h.Name); no != nil {
		return v, Change{}, no
	}
	sent, again, ok := a.Rules.Link.Resend.take(v.Sent, a.Now)
	if !ok {
		return v, Change{}, refuseUntil(ResendUsed, h.Name, a.at(again))
	}
	next := w.dropStart(h, v)
	next.Link, next.Sent, next.Until = link, sent, a.linkUntil(v.Letter)
	w.stepLink(Resend, &next, from)
	w.notify(NoticeLink, h, 0, next.Until)
	return next, w.done(), nil
}

// RevokeLink ends a link; devices that it registered stay.
func (a Act) RevokeLink(s State, v Activation) (Activation, Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(v.Account)
	if no != nil {
		return v, Change{}, no
	}
	from := v.Stage(a.Now)
	if _, no := w.row(ActivationKind, Revoke, from, h.Name); no != nil {
		return v, Change{}, no
	}
	next := w.dropStart(h, v)
	next.Ended = true
	w.stepLink(Revoke, &next, from)
	return next, w.done(), nil
}

// dropStart ends the token that a start showed and nobody confirmed.
func (w *work) dropStart(h *Holder, v Activation) Activation {
	next := v
	next.Voided = slices.Clone(v.Voided)
	if v.Token != 0 && h.stage(v.Token) == Pending {
		w.end(Replace, h, v.Token, WhyReplaced, false)
		next.Voided = append(next.Voided, v.Token)
	}
	next.Session, next.Since, next.Token = [32]byte{}, 0, 0
	return next
}
