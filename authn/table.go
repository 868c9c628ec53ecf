package authn

import "cmp"

// This file is the login table (S1). It is one pure function from what is known of an attempt to what happens next.
// Where a fact is missing that the next row needs, the answer is the act that finds it out (look up, bind, wait, lock);
// the Authenticator does it, fills the fact in and asks again. docs/login.md walks through the rows in prose.

// Proof is what is known of the first factor.
type Proof uint8

// The proofs.
const (
	Open Proof = iota // not compared yet
	Right
	Wrong
)

// Finding is what the directory and the policy say about the person.
type Finding uint8

// The findings.
const (
	NotAsked     Finding = iota
	Found                // one person, whom a policy lets try
	NobodyFound          // no such user
	SeveralFound         // ambiguous
	Barred               // denied by policy, no policy, or disabled, locked or expired in the directory
	NoAnswer             // the directory failed, or a group walk was not finished
)

// Round is the State attribute of the request.
type Round uint8

// The rounds.
const (
	FirstRound  Round = iota // no State: a new login
	AnswerRound              // a State of ours, fit for this person, gateway and station
	BadRound                 // forged, expired, of somebody else, or of an older generation
	SpentRound               // ours, but used before
)

// Slots is whether a bind may be sent for this person now (S3).
type Slots uint8

// The slots.
const (
	SlotsUnknown Slots = iota // not looked at
	SlotFree                  // one is reserved for this attempt
	SlotsFlying               // all taken, some by binds that are still in flight
	SlotsSpent                // all taken by wrong passwords
)

// Fit is what the code is to the account's tokens. A used code is a replay whatever else it fits (S16); else a fit on a
// token that can open beats one on a token that cannot.
type Fit uint8

// The fits.
const (
	NotEvaluated Fit = iota
	NoFit
	FitsOpen    // a fresh step of an active token in its time
	FitsPending // a fresh step of a pending token that this policy lets a login activate
	FitsShut    // a fresh step, but only of tokens that cannot open; Facts.Shut says why
	FitsUsed    // the code of a burnt step
	NoTokens    // there is no account, or it never held a token
)

// Facts is what is known of one attempt. The zero value is a new attempt of which nothing is known.
type Facts struct {
	Locked   bool // the account's and its tokens' locks are held: rows 8 to 15
	Repeated bool // row 1: the same refused text from the same source within 30 s

	Finding Finding
	Round   Round
	Why     Reason // the reason behind Barred
	Exempt  bool   // member of a group that needs no code
	// Unenrolled says that the person never held a token and the policy lets such people in for now (P5). It holds for a
	// new login only: who was asked for a code answers with one.
	Unenrolled bool

	Factor  FirstFactor
	Asks    bool // the code is asked for by Access-Challenge: the policy says so and the gateway can
	Blind   bool // the gateway's dialogues are blind (S19)
	HasCode bool // a code was split off the text, or the text is the code
	LastTry bool // of the dialogue

	Known      bool // the source is known (class K)
	SourceOver bool // row 4: over 5 failures in this minute for (user, source)

	Stopped   bool // the account is stopped (theft)
	ClassShut bool // the class is stopped, or its wait has not ended
	PotEmpty  bool // the class's pot cannot pay for this evaluation
	PairFull  bool // nor can the pair's
	Pair      bool // the attempt is in PAIR already; it stays there

	Proof Proof
	Empty bool // the first factor's part is empty
	NoPIN bool // the account has no PIN to compare with
	Slots Slots

	ClockDoubt bool // time-based codes were not evaluated
	Fit        Fit
	Shut       Reason // of FitsShut
	Instead    Reason // of FitsOpen: what the code is where it is none of a token; zero: a token's
	Second     bool   // the fit is the code after the pending pair's first
	Taken      bool   // it would be, but another login holds the pair while its bind is out
	WaitBegins bool   // one more miss begins a wait or a stop of the class
	Claimed    bool   // this attempt holds the pair while its bind is out
}

// Do is what happens next.
type Do uint8

// The acts. From DoAccept on they end the attempt.
const (
	DoLookup Do = iota + 1 // ask the directory who this is
	DoSlots                // reserve a slot of the bind budget
	DoBind                 // ask the directory
	DoWait                 // wait for a bind in flight to end
	DoLock                 // take the locks, evaluate, ask again with Locked
	DoClaim                // under the lock: hold the pair, leave the lock, bind by the reserve
	DoAccept
	DoReject
	DoAsk
	DoDiscard
)

// Effects is what an ending does to the account; see settle.
type Effects uint16

// The effects.
const (
	CountSource  Effects = 1 << iota // one failure of (user, source) and of the source, in memory
	CountMiss                        // the charge stays, row[class]++, wait and notice from the third
	CountTheft                       // right code, wrong first factor
	Burn                             // the fresh step on every token that shows it
	Clear                            // rows and waits of both classes and theft's run become zero
	Know                             // the source is known from now on
	Activate                         // the pending token becomes active
	StartPair                        // the burnt step waits for the next one
	EndPair                          // the pair is gone
	MissPair                         // one try of the pair and its cost are gone
	ReleasePair                      // a claim is given back
	KeepText                         // remember the refused text for 30 s
	KeepPassword                     // keep the password in memory under the new State's nonce
	TellPerson                       // both factors are proven: Reply-Message may name the token's state (P4)
	AlarmPair                        // operators hear that even two codes are no longer evaluated
)

// Step is the table's answer.
type Step struct {
	Row     uint8
	Do      Do
	Reason  Reason
	Effects Effects
	Pair    bool  // the attempt is in PAIR from here on
	Proof   Proof // of DoAsk: what the new State says of the first factor
}

// Has reports whether the step carries an effect.
func (s Step) Has(e Effects) bool { return s.Effects&e != 0 }

// Table decides the next step of an attempt.
func Table(f Facts) Step {
	f.Pair = f.Pair || f.Claimed
	s := rows(f)
	if f.Claimed && s.Do >= DoAccept && !s.Has(EndPair|StartPair) {
		s.Effects |= ReleasePair
	}
	return s
}

// rows goes through the table from the top.
func rows(f Facts) Step {
	if f.Repeated && !f.Claimed {
		return Step{Row: 1, Do: DoReject, Reason: RepeatedText}
	}
	if s, done := whoRows(f); done {
		return s
	}
	if f.Claimed && f.Proof == Open && f.Factor == Password && !f.Empty {
		return claimedRow(f)
	}
	if f.Exempt || f.unenrolled() {
		return exemptRow(f)
	}
	pair, s, done := gateRows(f)
	if done {
		return s
	}
	if f.Factor == Password && f.Proof == Open && f.Empty {
		f.Proof = Wrong
	}
	if f.Factor == Password && f.Proof == Open && !pair {
		switch f.Slots {
		case SlotsUnknown:
			return Step{Row: 7, Do: DoSlots}
		case SlotFree:
			return Step{Row: 7, Do: DoBind}
		case SlotsFlying:
			return Step{Row: 7, Do: DoWait}
		}
		if f.PairFull {
			return refuse(f, Step{Row: 5, Reason: BindBudget, Effects: AlarmPair})
		}
		pair = true
	}
	if f.Factor == Gateway || f.Factor == NoFactor {
		f.Proof = Right
	}
	f.Pair = pair
	s = askRow(f)
	if s.Do == 0 {
		s = lockedRows(f)
	}
	s.Pair = pair
	return s
}

// whoRows are row 2 and the opening of row 17: who is this, and is the State good?
func whoRows(f Facts) (Step, bool) {
	switch f.Finding {
	case NotAsked:
		return Step{Row: 2, Do: DoLookup}, true
	case NoAnswer:
		why := DirectoryDown
		if f.Why == StoreDown {
			why = StoreDown
		}
		return Step{Row: 2, Do: DoDiscard, Reason: why}, true
	}
	switch f.Round {
	case BadRound:
		return Step{Row: 17, Do: DoReject, Reason: BadState, Effects: CountSource}, true
	case SpentRound:
		return Step{Row: 17, Do: DoReject, Reason: SpentState, Effects: CountSource}, true
	}
	if f.Finding == Found {
		return Step{}, false
	}
	why := f.Why
	switch f.Finding {
	case NobodyFound:
		why = UnknownUser
	case SeveralFound:
		why = AmbiguousUser
	}
	if f.Blind && f.SourceOver && !f.Known && !f.Claimed {
		return Step{Row: 4, Do: DoReject, Reason: SourceLimit}, true // as for everybody else
	}
	return refuse(f, Step{Row: 2, Reason: why, Effects: CountSource}), true
}

// refuse makes a refusal by the rows that a blind dialogue hides (S19): there they only mark the first factor wrong,
// everybody is asked for a code, and the end is a Reject all the same. Elsewhere it is a plain Reject. Only the end counts
// for the source, and equally for everybody, or row 4 would tell who exists; no text is remembered, or row 1 would.
func refuse(f Facts, s Step) Step {
	s.Do = DoReject
	switch {
	case !f.Blind:
	case f.Round == AnswerRound:
		s.Effects = s.Effects&^KeepText | CountSource
		if !f.LastTry {
			s.Do, s.Proof = DoAsk, Wrong
		}
	case f.Asks && !f.HasCode:
		s.Do, s.Proof = DoAsk, Wrong
		s.Effects &^= CountSource | KeepText
	}
	return s
}

func (f *Facts) unenrolled() bool { return f.Unenrolled && f.Round == FirstRound }

// exemptRow is row 3: a member of an exempt group, or who has no token yet where the policy bears with that, needs the
// first factor alone.
func exemptRow(f Facts) Step {
	switch {
	case !f.Locked && f.SourceOver && !f.Known:
		return Step{Row: 4, Do: DoReject, Reason: SourceLimit}
	case f.Stopped:
		return refuse(f, Step{Row: 5, Reason: AccountStopped})
	case f.Factor == Gateway:
		f.Proof = Right
	case f.Factor != Password:
		// The configuration check refuses such a policy; if one came through, it opens nothing.
		return Step{Row: 3, Do: DoReject, Reason: NoPolicy}
	}
	if f.Proof == Open {
		switch {
		case f.Empty:
			f.Proof = Wrong
		case f.Slots == SlotsUnknown:
			return Step{Row: 3, Do: DoSlots}
		case f.Slots == SlotFree:
			return Step{Row: 3, Do: DoBind}
		case f.Slots == SlotsFlying:
			return Step{Row: 3, Do: DoWait}
		default:
			return refuse(f, Step{Row: 3, Reason: BindBudget})
		}
	}
	switch {
	case f.Proof == Wrong:
		return refuse(f, Step{Row: 3, Reason: firstWrong(f), Effects: CountSource | KeepText})
	case !f.Locked:
		return Step{Row: 8, Do: DoLock}
	case f.Exempt:
		return Step{Row: 3, Do: DoAccept, Reason: OKExempt, Effects: Know}
	case f.ClockDoubt:
		// Nothing but the date limits this door.
		return Step{Row: 3, Do: DoDiscard, Reason: ClockDoubt}
	}
	return Step{Row: 3, Do: DoAccept, Reason: OKUnenrolled, Effects: Know}
}

// gateRows are rows 4 and 5: what earlier failures allow this attempt. pair tells SINGLE from PAIR.
func gateRows(f Facts) (pair bool, s Step, done bool) {
	if !f.Locked && !f.Claimed && f.SourceOver && !f.Known {
		return false, Step{Row: 4, Do: DoReject, Reason: SourceLimit}, true
	}
	if f.Stopped {
		return false, refuse(f, Step{Row: 5, Reason: AccountStopped}), true
	}
	pair = f.Pair
	if !pair {
		switch {
		case f.Known && f.ClassShut:
			return false, refuse(f, Step{Row: 5, Reason: MustWait}), true
		case f.ClassShut || f.PotEmpty:
			pair = true
		}
	}
	if pair && f.PairFull {
		return true, refuse(f, Step{Row: 5, Reason: PairBudget, Effects: AlarmPair}), true
	}
	return pair, Step{}, false
}

// askRow is row 16: the first round of a dialogue. A zero Step means that the row does not apply.
func askRow(f Facts) Step {
	if !f.Asks || f.Round != FirstRound || f.HasCode || f.Claimed {
		return Step{}
	}
	ask := Step{Row: 16, Do: DoAsk, Reason: AskCode, Proof: f.Proof}
	switch f.Proof {
	case Open:
		ask.Effects = KeepPassword
	case Wrong:
		if !f.Blind {
			return Step{Row: 12, Do: DoReject, Reason: firstWrong(f), Effects: CountSource | KeepText}
		}
		ask.Reason = firstWrong(f)
	}
	return ask
}

// lockedRows are rows 8 to 15.
func lockedRows(f Facts) Step {
	if !f.Locked {
		return Step{Row: 8, Do: DoLock}
	}
	switch f.Fit {
	case NoTokens:
		switch f.Proof {
		case Right:
			s := Step{Row: 9, Do: DoReject, Reason: NoToken}
			if f.Blind {
				s.Effects = CountSource
				return again(f, s) // as where the password is wrong
			}
			return s
		case Wrong:
			return again(f, Step{Row: 12, Reason: firstWrong(f), Effects: CountSource | KeepText})
		}
		return again(f, Step{Row: 15, Reason: BindBudget, Effects: MissPair | CountSource | KeepText})
	case FitsUsed:
		return again(f, Step{Row: 8, Reason: AlreadyUsed})
	case NotEvaluated, NoFit:
		if f.ClockDoubt {
			return Step{Row: 8, Do: DoDiscard, Reason: ClockDoubt}
		}
	}
	// A PIN counts as open in PAIR until row 14; a password that is known to be wrong does not.
	if f.Proof == Wrong && (!f.Pair || f.Factor != PIN) {
		return wrongRows(f)
	}
	if f.Pair {
		return pairRows(f)
	}
	return singleRows(f)
}

// singleRows are rows 9 and 10.
func singleRows(f Facts) Step {
	if f.Proof != Right {
		// Nothing leaves the first factor open in SINGLE; were it so, nothing may open.
		return Step{Row: 8, Do: DoDiscard, Reason: Fault}
	}
	switch f.Fit {
	case FitsOpen:
		return Step{Row: 9, Do: DoAccept, Reason: cmp.Or(f.Instead, OK), Effects: Burn | Clear | Know}
	case FitsPending:
		return Step{Row: 9, Do: DoAccept, Reason: OKPending, Effects: Burn | Clear | Know | Activate}
	case FitsShut:
		return Step{Row: 9, Do: DoReject, Reason: f.Shut, Effects: Burn | TellPerson}
	}
	s := Step{Row: 10, Do: DoReject, Reason: WrongCode, Effects: CountMiss | CountSource | KeepText}
	if f.WaitBegins && !f.Blind {
		return s // a blind dialogue goes on: that it ends here would tell that the password was right
	}
	return again(f, s)
}

// wrongRows are rows 11 and 12.
func wrongRows(f Facts) Step {
	s := Step{Row: 12, Reason: WrongBoth, Effects: CountSource | KeepText}
	switch {
	case stolen(f):
		s = Step{Row: 11, Reason: WrongFirstRightCode, Effects: CountTheft | CountSource | KeepText}
		if f.Pair && f.Second {
			s.Effects |= EndPair
		}
	case f.Empty || f.NoPIN:
		s.Reason = firstWrong(f)
	}
	return again(f, s)
}

// stolen reports a right code that a wrong first factor came with. Tokens that never open again do not count: whoever
// finds an expired one must not be able to stop its former owner's account.
func stolen(f Facts) bool {
	switch f.Fit {
	case FitsOpen, FitsPending:
		return true
	case FitsShut:
		return f.Shut == TokenSuspended || f.Shut == TokenPending || f.Shut == TokenNotStarted
	}
	return false
}

// pairRows are rows 13 to 15.
func pairRows(f Facts) Step {
	fits := f.Fit == FitsOpen || f.Fit == FitsPending
	if !fits {
		return again(f, Step{Row: 15, Reason: SecondMissed, Effects: MissPair | CountSource | KeepText})
	}
	if f.Taken {
		// One holder: were the code burnt here as a first one, the login that holds the pair would lose it.
		return again(f, Step{Row: 14, Reason: AlreadyUsed})
	}
	if !f.Second {
		s := Step{Row: 13, Do: DoReject, Reason: FirstOfTwo, Effects: Burn | StartPair}
		if f.Round == AnswerRound {
			s.Do, s.Reason, s.Proof = DoAsk, AskSecondCode, f.Proof
			if f.Proof == Open {
				s.Effects |= KeepPassword
			}
		}
		return s
	}
	switch f.Proof {
	case Right:
		s := Step{Row: 14, Do: DoAccept, Reason: OKSecondCode, Effects: Burn | Clear | Know | EndPair}
		if f.Fit == FitsPending {
			s.Effects |= Activate
		}
		return s
	case Wrong:
		return wrongRows(f)
	}
	if f.Factor != Password {
		return Step{Row: 8, Do: DoDiscard, Reason: Fault} // a PIN is compared before the table is asked
	}
	return Step{Row: 14, Do: DoClaim}
}

// claimedRow is the part of row 14 outside the lock: the bind by S3's reserve.
func claimedRow(f Facts) Step {
	switch f.Slots {
	case SlotsUnknown:
		return Step{Row: 14, Do: DoSlots, Pair: true}
	case SlotFree:
		return Step{Row: 14, Do: DoBind, Pair: true}
	case SlotsFlying:
		return Step{Row: 14, Do: DoWait, Pair: true}
	}
	return Step{Row: 14, Do: DoReject, Reason: BindBudget, Pair: true}
}

// again turns a refusal inside a dialogue that has tries left into the next question (row 17).
func again(f Facts, s Step) Step {
	s.Do = DoReject
	if f.Round == AnswerRound && !f.LastTry {
		s.Do, s.Proof = DoAsk, f.Proof
		if f.Proof == Open {
			s.Effects |= KeepPassword
		}
	}
	return s
}

// firstWrong is the reason of a first factor that failed without a code to go by.
func firstWrong(f Facts) Reason {
	switch {
	case f.Factor == PIN && f.NoPIN:
		return NoPIN
	case f.Factor == PIN:
		return WrongPIN
	case f.Empty:
		return EmptyPassword
	}
	return WrongPassword
}
