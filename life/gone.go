package life

import (
	"strconv"
	"time"

	"sekisho/token"
)

// Presence is what is known of a user in the directory.
type Presence struct {
	Gone    int64 // Unix seconds since when the directory does not know them; 0: it does
	Cleaned bool  // their tokens were taken away
}

func (p Presence) stage() Stage {
	switch {
	case p.Cleaned:
		return Cleaned
	case p.Gone != 0:
		return Quarantine
	}
	return Present
}

// here refuses what would open something to a user who is gone.
func (w *work) here(h *Holder) *Refusal {
	if s := h.Presence.stage(); s != Present {
		return refuse(stands[UserKind][s], h.Name)
	}
	return nil
}

// Answer is the directory's word on one user.
type Answer uint8

// The answers. The zero value is silence: a fault, a timeout or a walk that was not finished says nothing about anybody.
const (
	Silent Answer = iota
	Known
	Unknown
)

// Seen is the answer for one user.
type Seen struct {
	Account AccountID
	Answer  Answer
}

// Sweep is one round of questions about many users.
type Sweep struct {
	Answers   []Seen
	Total     int // users that the directory should have: what the brake's share is of
	Confirmed int // the number that a master confirmed after the brake stopped an earlier round; 0: nobody did
}

// Brake is how many users the system may change at once without asking.
func (r Rules) Brake(total int) int {
	return min(r.StopAbove, max(r.StopLeast, total*r.StopShare/100))
}

// SweepDirectory brings users into quarantine whom the directory does not know, back from it those it knows again, and takes
// the tokens from those who were gone for the whole quarantine and are unknown still. Where it did not answer nothing
// changes. More changes than the brake allows stop the whole round; users who come back never do.
func (a Act) SweepDirectory(s State, round Sweep) (Change, *Refusal) {
	if a.By != BySystem {
		return Change{}, refuse(NotAllowed, "")
	}
	n := 0
	for i := range s.Holders {
		if verb := a.due(&s.Holders[i], round.answer(s.Holders[i].Account)); verb == GoneVerb || verb == Clean {
			n++
		}
	}
	if n > a.Rules.Brake(round.Total) && round.Confirmed != n {
		return Change{}, refuse(Braked, strconv.Itoa(n))
	}
	w := a.open(s)
	for i := range w.Holders {
		h := &w.Holders[i]
		verb := a.due(h, round.answer(h.Account))
		if verb == "" {
			continue
		}
		if no := w.presence(verb, h, round.answer(h.Account)); no != nil && no.Code != LastMaster {
			return Change{}, no
		}
	}
	return w.done(), nil
}

func (r *Sweep) answer(id AccountID) Answer {
	for _, seen := range r.Answers {
		if seen.Account == id {
			return seen.Answer
		}
	}
	return Silent
}

// due is what an answer asks for; empty: nothing.
func (a Act) due(h *Holder, answer Answer) Verb {
	switch stage := h.Presence.stage(); {
	case answer == Unknown && stage == Present:
		return GoneVerb
	case answer == Unknown && stage == Quarantine && !a.Now.Before(a.at(h.Presence.Gone).Add(a.Rules.Quarantine)):
		return Clean
	case answer == Known && stage != Present:
		return Return
	}
	return ""
}

// Presence makes one of the steps for one user; see [Act.SweepDirectory], which does it for many.
func (a Act) Presence(s State, verb Verb, who AccountID, answer Answer) (Change, *Refusal) {
	w := a.open(s)
	h := w.holder(who)
	if h == nil {
		return Change{}, refuse(NotFound, "")
	}
	if no := w.presence(verb, h, answer); no != nil {
		return Change{}, no
	}
	return w.done(), nil
}

func (w *work) presence(verb Verb, h *Holder, answer Answer) *Refusal {
	from := h.Presence.stage()
	if _, no := w.row(UserKind, verb, from, h.Name); no != nil {
		return no
	}
	if answer == Silent {
		return refuse(NoAnswer, h.Name)
	}
	if known := answer == Known; known != (verb == Return) {
		if known {
			return refuse(UserPresent, h.Name)
		}
		return refuse(Quarantined, h.Name)
	}
	end := w.at(h.Presence.Gone).Add(w.Rules.Quarantine)
	if verb == Clean && w.Now.Before(end) {
		return refuseUntil(TooEarly, h.Name, end)
	}
	if verb == GoneVerb {
		for _, hold := range h.Holds {
			if no := w.lastMaster(h, hold.Token); no != nil {
				return no
			}
		}
	}
	w.holdsOf(verb, h)
	h.Presence = map[Verb]Presence{GoneVerb: {Gone: w.Now.Unix()}, Return: {}, Clean: {Gone: h.Presence.Gone, Cleaned: true}}[verb]
	w.holders[h.Account] = true
	w.step(Step{Kind: UserKind, Verb: verb, Account: h.Account, From: from, To: h.Presence.stage()})
	if verb == GoneVerb {
		w.notify(NoticeGone, h, 0, w.Now.Add(w.Rules.Quarantine).Unix())
	}
	return nil
}

// holdsOf suspends, gives back or ends what a user holds.
func (w *work) holdsOf(verb Verb, h *Holder) {
	for i := range h.Holds {
		hold := &h.Holds[i]
		switch {
		case verb == GoneVerb && hold.Standing == token.Active:
			w.set(GoneVerb, h, hold.Token, token.Suspended).Why = WhyGone
		case verb == Return && hold.Standing == token.Suspended && hold.Why == WhyGone:
			w.set(Return, h, hold.Token, token.Active).Why = WhyNone
		case verb == Clean && hold.Standing != token.Revoked:
			w.end(Clean, h, hold.Token, WhyGone, false)
		}
	}
}

// QuarantineEnds is when a user who is gone may be cleaned up; zero for others.
func (a Act) QuarantineEnds(h *Holder) time.Time {
	if h.Presence.stage() != Quarantine {
		return time.Time{}
	}
	return a.at(h.Presence.Gone).Add(a.Rules.Quarantine)
}
