package life

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sekisho/token"
)

// RequestKindName is what a person applies for.
type RequestKindName string

// The kinds of requests; a site switches each on or off.
const (
	AskNew        RequestKindName = "new"
	AskReactivate RequestKindName = "reactivate"
	AskAdd        RequestKindName = "add"
	AskHardware   RequestKindName = "hardware-token"
	AskPIN        RequestKindName = "pin-reset"
	AskStop       RequestKindName = "stop-using"
)

// RequestKinds lists them all.
var RequestKinds = []RequestKindName{AskNew, AskReactivate, AskAdd, AskHardware, AskPIN, AskStop}

// Request is an application of a person (K5).
type Request struct {
	Number   string // see [ReferenceNumber]
	Account  AccountID
	Kind     RequestKindName
	Why      Why        // deleted, replaced (changed phone), lost, ...
	Tokens   []token.ID // ticked: they end when the link is made after approval (P3)
	Pledge   string     // version agreed to
	Made     int64      // Unix seconds, of the consent too
	Reminded int64      // of the mail to the approvers; 0: none
	State    Stage      // Open, Approved, Refused, Withdrawn or Lapsed
	By       string     // who decided; "policy" where policy did
	At       int64      // Unix seconds of the decision
	Sentence string     // of a refusal
}

func (r *Request) stage() Stage {
	if r.Number == "" {
		return None
	}
	return r.State
}

// ReferenceNumber gives the number that people read out: six digits and a check digit in two groups, 1234-567. Any single
// wrong digit and any two neighbours swapped give a number that does not check (Damm's quasigroup).
func ReferenceNumber(n uint32) string {
	s := fmt.Sprintf("%06d", n%1_000_000)
	s += string(rune('0' + damm(s)))
	return s[:4] + "-" + s[4:]
}

// CheckReference reads a number as typed and gives it as [ReferenceNumber] writes it.
func CheckReference(s string) (string, bool) {
	s = strings.NewReplacer("-", "", " ", "").Replace(s)
	if len(s) != 7 || strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' }) || damm(s) != 0 {
		return "", false
	}
	return s[:4] + "-" + s[4:], true
}

// quasigroup is totally anti-symmetric of order 10 (H. M. Damm, 2004).
var quasigroup = [10][10]uint8{
	{0, 3, 1, 7, 5, 9, 8, 6, 4, 2}, {7, 0, 9, 2, 1, 5, 4, 8, 6, 3}, {4, 2, 0, 6, 8, 7, 1, 3, 5, 9}, {1, 7, 5, 0, 9, 8, 3, 4, 2, 6},
	{6, 1, 2, 3, 0, 4, 5, 9, 7, 8}, {3, 6, 7, 4, 2, 0, 9, 5, 8, 1}, {5, 8, 6, 9, 7, 2, 0, 1, 3, 4}, {8, 9, 4, 5, 3, 6, 2, 0, 1, 7},
	{9, 4, 3, 8, 6, 1, 7, 2, 0, 5}, {2, 5, 8, 1, 4, 3, 6, 7, 9, 0},
}

func damm(s string) (check uint8) {
	for i := range len(s) {
		check = quasigroup[check][s[i]-'0']
	}
	return check
}

// Apply makes a request. earlier are this person's requests; pledge is the version of the text that was shown and agreed
// to.
func (a Act) Apply(s State, earlier []Request, r Request) (Request, Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(r.Account)
	if no != nil {
		return Request{}, Change{}, no
	}
	if _, no := w.row(RequestKind, Ask, None, r.Number); no != nil {
		return Request{}, Change{}, no
	}
	rules := a.Rules.Request
	if !slices.Contains(rules.Kinds, r.Kind) {
		return Request{}, Change{}, refuse(KindOff, string(r.Kind))
	}
	if rules.Pledge != "" && r.Pledge != rules.Pledge {
		return Request{}, Change{}, refuse(PledgeNeeded, "")
	}
	for _, id := range r.Tokens {
		if no := w.ticked(h, id); no != nil {
			return Request{}, Change{}, no
		}
	}
	var made []int64
	for i := range earlier {
		if e := &earlier[i]; e.Account == r.Account {
			if e.stage() == Open {
				return Request{}, Change{}, refuse(RequestOpen, e.Number)
			}
			made = append(made, e.Made)
		}
	}
	slices.Sort(made)
	if _, from, ok := rules.Limit.take(made, a.Now); !ok {
		return Request{}, Change{}, refuseUntil(RequestLimit, h.Name, a.at(from))
	}
	r.Made, r.State, r.Reminded, r.By, r.At, r.Sentence = a.Now.Unix(), Open, 0, "", 0, ""
	r.Tokens = slices.Clone(r.Tokens)
	w.step(Step{Kind: RequestKind, Verb: Ask, Account: h.Account, From: None, To: Open, Detail: r.Number + " " + string(r.Kind)})
	w.notify(NoticeRequest, h, 0, 0)
	return r, w.done(), nil
}

// ticked refuses holds that are not the person's own.
func (w *work) ticked(h *Holder, id token.ID) *Refusal {
	if s := h.stage(id); s == None || s == Revoked {
		return refuse(stands[HoldKind][s], id.String())
	}
	return nil
}

// ByPolicy reports that policy approves requests of this kind without an operator.
func (r RequestRules) ByPolicy(k RequestKindName) bool { return slices.Contains(r.Approve, k) }

// Approve lets a request be carried out: the caller makes the link, and with it ends r.Tokens, by [Act.EndTicked].
func (a Act) Approve(s State, r Request) (Request, Change, *Refusal) {
	return a.decide(s, r, Approve, Approved, "")
}

// Refuse turns a request down with a sentence for the person.
func (a Act) Refuse(s State, r Request, sentence string) (Request, Change, *Refusal) {
	return a.decide(s, r, Refuse, Refused, sentence)
}

// Withdraw takes an own request back.
func (a Act) Withdraw(s State, r Request) (Request, Change, *Refusal) {
	return a.decide(s, r, Withdraw, Withdrawn, "")
}

// LapseRequest ends a request that nobody decided in time.
func (a Act) LapseRequest(s State, r Request) (Request, Change, *Refusal) {
	return a.decide(s, r, Lapse, Lapsed, "")
}

func (a Act) decide(s State, r Request, verb Verb, to Stage, sentence string) (Request, Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(r.Account)
	if no != nil {
		return r, Change{}, no
	}
	if _, no := w.row(RequestKind, verb, r.stage(), r.Number); no != nil {
		return r, Change{}, no
	}
	due := a.at(r.Made).Add(a.Rules.Request.Lapse)
	switch {
	case a.By&staff != 0 && a.Account == r.Account:
		return r, Change{}, refuse(OwnRequest, r.Number)
	case verb == Refuse && sentence == "":
		return r, Change{}, refuse(ReasonNeeded, r.Number)
	case verb == Approve && a.By == BySystem && !a.Rules.Request.ByPolicy(r.Kind):
		return r, Change{}, refuse(NotAllowed, r.Number)
	case verb == Lapse && a.Now.Before(due):
		return r, Change{}, refuseUntil(TooEarly, r.Number, due)
	}
	next := r
	next.State, next.At, next.By, next.Sentence = to, a.Now.Unix(), a.Name, sentence
	if a.By == BySystem {
		next.By = "policy"
	}
	w.step(Step{Kind: RequestKind, Verb: verb, Account: h.Account, From: r.stage(), To: to, Detail: r.Number})
	switch verb {
	case Approve:
		w.notify(NoticeApproved, h, 0, 0)
	case Refuse, Lapse:
		w.notify(NoticeRefused, h, 0, 0)
	}
	return next, w.done(), nil
}

// EndTicked ends the software tokens that an approved request named as gone, when its link is made (P3, second row). No
// cooldown follows. What ended meanwhile is left alone.
func (a Act) EndTicked(s State, r Request) (Change, *Refusal) {
	w := a.open(s)
	h := w.holder(r.Account)
	if h == nil {
		return Change{}, refuse(NotFound, "")
	}
	if r.stage() != Approved {
		return Change{}, refuse(stands[RequestKind][r.stage()], r.Number)
	}
	for _, id := range r.Tokens {
		t := w.token(id)
		if s := h.stage(id); s == None || s == Revoked || t == nil {
			continue
		}
		if t.Form != token.Software {
			return Change{}, refuse(SoftwareOnly, label(t))
		}
		if no := w.lastMaster(h, id); no != nil {
			return Change{}, no
		}
		w.end(Revoke, h, id, WhyDeleted, false)
		w.notify(NoticeRevoked, h, id, 0)
	}
	return w.done(), nil
}

// RemindDue reports that the approvers are to be reminded of a request now.
func (r RequestRules) RemindDue(q Request, now time.Time) bool {
	return q.stage() == Open && q.Reminded == 0 && !now.Before(time.Unix(q.Made, 0).Add(r.Remind))
}
