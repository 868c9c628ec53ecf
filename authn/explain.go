package authn

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"sekisho/token"
)

// Inquiry asks what logins of somebody at a gateway would be answered.
type Inquiry struct {
	Client  *Client
	Name    []byte // as it would be typed
	Station []byte // Calling-Station-Id; empty: not known
}

// Explanation is the answer to an Inquiry. What it says holds at At: later failures, tokens and changes change it.
type Explanation struct {
	At       time.Time
	Reading  []Sentence // how the name is read
	User     *User      // nil: the directory gave nobody
	Account  AccountID
	Refused  Reason // why nothing is compared, whatever is typed; zero: nothing stands in the way
	Policies []PolicyFit
	Policy   *Policy // the one that holds; nil: none does
	Exempt   bool    // no code is asked for, because of a group
	// Unenrolled says that no code is asked for, because there never was a token and the policy bears with that.
	Unenrolled bool

	Source netip.Prefix // where the station is; invalid: not known, or the gateway's word is not trusted
	Class  Class        // the source's
	PIN    bool         // one is set
	Tokens []TokenFit
	Guards [2]ClassState // by Class
	// Stopped says that the whole account is stopped for right codes with wrong first factors.
	Stopped bool
	Pairs   PotState  // of two codes in a row
	Binds   Slots     // whether a password could be checked now: SlotFree, SlotsFlying or SlotsSpent; zero where none is
	Pending time.Time // until when the next code alone completes a pair that has begun; zero: none has

	Cases []Case
	Reply []Reply // of an Accept, with what decided each
	// NotTaken are attributes that are set and not sent, because such a gateway takes none of them. Who knows gateways moves
	// them here from Reply.
	NotTaken []Reply
	// ReplyFault is why there is no reply, with Refused ReplyMissing.
	ReplyFault string
}

// PolicyFit is one policy of the list and whether it fits. The first that fits holds.
type PolicyFit struct {
	Name   string
	Client bool // it is for this gateway
	User   bool // it is for this person
}

// TokenFit is one token of the account and whether it can open now.
type TokenFit struct {
	Token *token.Token // a copy
	Why   Reason       // zero: it can; TokenPending with Opens: a right code activates it
	Opens bool
	// Used says that the present code of a time-based token was used: the person has to wait for the next.
	Used bool
}

// PotState is what a budget has left.
type PotState struct {
	Spent, Limit int64 // in token.GuessUnit
	Cost         int64 // of one more miss; 0 where there is no token to guess at
}

// Misses is how many more the budget bears.
func (p PotState) Misses() int64 {
	if p.Cost <= 0 {
		return 0
	}
	return max(0, (p.Limit-p.Spent)/p.Cost)
}

// ClassState is how one class of sources stands.
type ClassState struct {
	Row     uint8     // misses in a row
	Until   time.Time // single codes wait until then; zero: they do not
	Stopped bool
	Pot     PotState
}

// CaseKind is what somebody would type.
type CaseKind uint8

// The kinds.
const (
	BothRight  CaseKind = iota + 1 // the right first factor and a fresh right code
	CodeWrong                      // the right first factor and a wrong code
	FirstWrong                     // a wrong first factor and a fresh right code
	FirstAlone                     // the right first factor, where no code is asked for
)

// Case is what would be answered to one way of logging in, from where the station is and from an unknown place.
type Case struct {
	Kind  CaseKind
	Class Class
	Steps []CaseStep
}

// CaseStep is one answer of a login: several where the gateway asks back or a second code is needed.
type CaseStep struct {
	Verdict Verdict
	Reason  Reason
	Row     uint8
	Pair    bool // two codes in a row are asked for
}

// Explain tells what logins would be answered, by the same table that answers them. Nothing is asked of the directory but
// who the person is, and nothing is counted, charged, burnt, recorded or remembered.
func (a *Authenticator) Explain(ctx context.Context, q Inquiry) (*Explanation, error) {
	a.start()
	x := &Explanation{At: a.Now()}
	l := &Login{Client: q.Client, Name: q.Name, Station: q.Station, Arrived: time.Now()}
	t := newAttempt(a, l, nil) // never answered, so it does not go back
	t.name = q.Client.Names.Read(a.Directories, q.Name)
	x.Reading = t.name.Steps(a.Directories, &q.Client.Names, q.Name)
	u, err := a.Directories.Lookup(ctx, &t.name)
	switch {
	case errors.Is(err, ErrUnknownUser):
		x.Refused = UnknownUser
		return x, nil
	case errors.Is(err, ErrAmbiguousUser):
		x.Refused = AmbiguousUser
		return x, nil
	case err != nil:
		return nil, err
	}
	t.know(u)
	t.trace()
	t.f.Blind = q.Client.CanChallenge && q.Client.Blind
	x.User, x.Account, x.Policy, x.Source = u, t.account, t.policy, t.place
	for _, p := range a.Policies {
		x.Policies = append(x.Policies, PolicyFit{p.Name, p.atClient(q.Client), p.forUser(u)})
	}
	if t.f.Finding != Found {
		x.Refused = t.f.Why
	}
	if t.noReply != nil {
		x.ReplyFault = t.noReply.Error()
	}
	err = a.Store.View(t.keys(), func(h *Held) { x.look(t, held(h), h) })
	return x, err
}

// look fills in what the account says, and walks through the cases.
func (x *Explanation) look(t *attempt, acc *Account, h *Held) {
	p := t.policy
	if p == nil {
		p = &Policy{}
	}
	if acc != nil {
		x.PIN = !acc.PIN.IsZero()
		x.tokens(p, acc, h)
		x.guards(t, p, acc, h)
	}
	if x.Refused != 0 {
		return
	}
	if p.First == Password {
		x.Binds = t.a.budget.look(t.userKey(), purseOf(x.Class == ClassKnown), t.name.Branch.Directory.FailureLimit(), x.At)
	}
	x.Exempt = t.f.Exempt
	x.Unenrolled = !t.f.Exempt && p.Unenrolled.allows(x.At) && neverHeld(acc, h) && (p.First == Password || p.First == Gateway)
	list, rules := p, t.a.rules()
	if x.Unenrolled {
		list, rules = &Policy{Reply: p.Unenrolled.Reply}, nil
	}
	var err error
	if x.Reply, err = Replies(rules, t.l.Client, t.user, list); err != nil {
		x.Refused, x.ReplyFault = ReplyMissing, err.Error()
		return
	}
	x.walk(t, acc, h)
}

func (a *Authenticator) rules() []*ReplyRule {
	if a.Replies == nil {
		return nil
	}
	return a.Replies.Rules
}

func (x *Explanation) tokens(p *Policy, acc *Account, h *Held) {
	for _, as := range acc.Assignments {
		held := h.Token(as.Token)
		if held == nil {
			continue
		}
		copied := *held
		f := TokenFit{Token: &copied, Why: standing(as, held, x.At)}
		f.Opens = p.opens(f.Why)
		f.Used = held.Mode == token.TOTP && held.Last != token.NoStep && held.Last >= held.StepAt(x.At)+int64(held.Drift)
		x.Tokens = append(x.Tokens, f)
	}
}

func (x *Explanation) guards(t *attempt, p *Policy, acc *Account, h *Held) {
	g := &acc.Guard
	if g.Knows(t.source, x.At) {
		x.Class = ClassKnown
	}
	x.Stopped = g.Stopped&StopAccount != 0
	cost, pairCost := p.cost(acc, h, x.At)
	for _, c := range []Class{ClassUnknown, ClassKnown} {
		s := ClassState{Row: g.Row[c], Stopped: g.Stopped&classStop[c] != 0,
			Pot: PotState{Spent: g.Spent(classPot(c), x.At), Limit: t.a.Limits.Pot[c], Cost: cost}}
		if g.Waits(c, x.At) {
			s.Until = time.Unix(g.Wait[c], 0).UTC()
		}
		x.Guards[c] = s
	}
	x.Pairs = PotState{Spent: g.Spent(PotPair, x.At), Limit: t.a.Limits.PairPot, Cost: pairCost}
	if begun := acc.Memory.pair(t.source, t.l.Client.Name, x.At); begun != nil {
		x.Pending = time.Unix(begun.Until, 0).UTC()
	}
}

// walk plays every case through the table.
func (x *Explanation) walk(t *attempt, acc *Account, h *Held) {
	kinds := []CaseKind{BothRight, CodeWrong, FirstWrong}
	switch {
	case x.Exempt || x.Unenrolled:
		kinds = []CaseKind{FirstAlone}
	case t.f.Factor == Gateway || t.f.Factor == NoFactor:
		kinds = []CaseKind{BothRight, CodeWrong} // there is no other first factor to be wrong
	}
	classes := []Class{x.Class}
	if x.Class == ClassKnown {
		classes = append(classes, ClassUnknown)
	}
	for _, c := range classes {
		for _, k := range kinds {
			x.Cases = append(x.Cases, Case{Kind: k, Class: c, Steps: x.play(t, acc, h, k, c)})
		}
	}
}

// mostSteps bounds what one case shows: a question and two codes in a row.
const mostSteps = 3

// play is one case.
func (x *Explanation) play(t *attempt, acc *Account, h *Held, k CaseKind, c Class) (steps []CaseStep) {
	base := t.f
	base.Unenrolled = x.Unenrolled
	t.learn(&base, acc, h, x.At)
	base.Known, base.Repeated, base.Round = c == ClassKnown, false, FirstRound
	base.SourceOver = base.SourceOver && c == x.Class
	if acc != nil {
		g := &acc.Guard
		base.ClassShut, base.WaitBegins = g.shut(c, x.At), t.a.Limits.missBegins(g, c)
		base.PotEmpty = !t.a.Limits.canPay(g, c, x.Guards[c].Pot.Cost, x.At)
	}
	base.HasCode = t.f.Factor != Password || t.policy.Joined
	second := !x.Pending.IsZero() && c == x.Class
	for f := base; len(steps) < mostSteps; {
		s := x.pass(t, f, k, second)
		steps = append(steps, CaseStep{verdictOf(s.Do), s.Reason, s.Row, s.Pair})
		switch s.Reason {
		case AskCode, AskSecondCode:
			f = base
			f.Round, f.HasCode, f.Proof, f.Pair = AnswerRound, true, s.Proof, s.Pair || s.Proof == Open
		case FirstOfTwo:
			f = base
		default:
			return steps
		}
		second = s.Reason == AskSecondCode || s.Reason == FirstOfTwo || second
	}
	return steps
}

// pass takes one packet through the table.
func (x *Explanation) pass(t *attempt, f Facts, k CaseKind, second bool) Step {
	first := Right
	if k == FirstWrong {
		first = Wrong
	}
	for range 20 {
		s := Table(f)
		f.Pair = f.Pair || s.Pair
		switch s.Do {
		case DoSlots, DoWait:
			if f.Slots = x.Binds; f.Claimed || f.Slots == SlotsFlying {
				f.Slots = SlotFree
			}
		case DoBind:
			f.Proof, f.Slots = first, SlotsUnknown
		case DoLock:
			under := f
			under.Locked = true
			x.fit(t, &under, k)
			under.Second = second && k != CodeWrong && (under.Fit == FitsOpen || under.Fit == FitsPending)
			if under.Factor == PIN {
				under.NoPIN = !x.PIN
				if under.Proof = first; under.NoPIN {
					under.Proof = Wrong
				}
			}
			if s = Table(under); s.Do != DoClaim {
				s.Pair = f.Pair
				return s
			}
			f.Claimed, f.Slots = true, SlotsUnknown
		default:
			return s
		}
	}
	return Step{Do: DoDiscard, Reason: Fault}
}

// fit is what the code of a case is to the tokens: a fresh one of the token that opens most.
func (x *Explanation) fit(t *attempt, f *Facts, k CaseKind) {
	doubt := t.a.clockDoubt()
	f.Fit, f.Shut = NoTokens, 0
	for _, tok := range x.Tokens {
		if f.Fit == NoTokens {
			f.Fit = NoFit
		}
		if doubt && tok.Token.Mode == token.TOTP {
			f.ClockDoubt = true
			continue
		}
		if fit := fitOf(t.policy, tok.Why); k != CodeWrong && fit.rank() > f.Fit.rank() {
			if f.Fit, f.Shut = fit, 0; fit == FitsShut {
				f.Shut = tok.Why
			}
		}
	}
	if f.Unenrolled {
		f.ClockDoubt = doubt
	}
}
