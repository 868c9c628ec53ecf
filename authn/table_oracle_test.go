package authn

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// world is one situation that a login can meet, whole: the table finds it out bit by bit, the oracle sees it at once.
type world struct {
	finding  Finding
	repeated bool
	round    Round
	exempt   bool
	without  bool // never held a token, and the policy lets such people in
	arrives  bool // a token of theirs comes while the directory is asked
	factor   FirstFactor
	asks     bool // the policy takes the code by challenge
	blind    bool
	hasCode  bool
	lastTry  bool

	known, over                    bool
	stopped, shut, potEmpty, full  bool
	stoppedMeanwhile, shutMeantime bool // true only once the lock is held

	proof    Proof  // what the State says of the first factor
	password int    // one of the passwords below
	slots    int    // one of the queues below
	reserve  int    // the same for row 14's slot
	pin      int    // one of the pins below
	doubt    bool   // a time-based token was left out
	fit      Fit    // what the code is
	second   bool   // it is the code after the pending pair's first
	taken    bool   // it is, and another login holds the pair
	begins   bool   // a miss would begin a wait
	shutWhy  Reason // of FitsShut
}

const (
	passRight = iota
	passWrong
	passEmpty
	passStale // refused less than 5 minutes ago
	passNoAnswer
	passBarred // right or wrong, the directory lets nobody in with it
	passKinds
)

const (
	slotFree = iota
	slotFlyingThenFree
	slotFlyingThenSpent
	slotSpent
	slotKinds
)

const (
	pinRight = iota
	pinWrong
	pinNone
	pinKinds
)

// ending is what the text of S1 says about a world.
type ending struct {
	row     uint8
	do      Do
	effects Effects // without KeepText, which is row 1's memory and not an outcome
	proof   Proof   // of a Challenge
	binds   int     // sent to the directory
}

// oracle states rows 1 to 17 a second time, from the page and not from the code: top to bottom over a whole world.
func oracle(w world) ending {
	first := w.round == FirstRound
	answer := w.round == AnswerRound
	asking := first && w.asks && !w.hasCode // row 16
	hidden := w.blind && (first && w.asks && !w.hasCode || answer)
	binds := 0

	reject := func(row uint8, e Effects) ending { return ending{row: row, do: DoReject, effects: e, binds: binds} }
	discard := func(row uint8, e Effects) ending { return ending{row: row, do: DoDiscard, effects: e, binds: binds} }
	ask := func(row uint8, e Effects, p Proof) ending {
		return ending{row: row, do: DoAsk, effects: e, proof: p, binds: binds}
	}
	// miss ends a round in a refusal or, inside a dialogue with tries left, in a new question (row 17). A blind dialogue
	// does not show that a wait began.
	miss := func(row uint8, e Effects, p Proof, began bool) ending {
		if answer && !w.lastTry && (!began || w.blind) {
			if p == Open {
				e |= KeepPassword
			}
			return ask(row, e, p)
		}
		return reject(row, e)
	}
	// mark is S19: rows 2, 3, 5 and 7 of a blind client only mark the first factor wrong.
	mark := func(row uint8, e Effects) ending {
		switch {
		case hidden && first:
			return ask(row, e&^CountSource, Wrong)
		case hidden:
			return miss(row, e|CountSource, Wrong, false)
		}
		return reject(row, e)
	}

	if w.finding == NoAnswer {
		return discard(2, 0)
	}
	if w.repeated {
		return reject(1, 0)
	}
	if w.round == BadRound || w.round == SpentRound {
		return reject(17, CountSource)
	}
	if w.finding != Found {
		if w.blind && w.over && !w.known {
			return reject(4, 0)
		}
		return mark(2, CountSource)
	}
	over := w.over && !w.known

	// Row 3, and row 9's "unenrolled: as 3".
	arrived := false
	if (w.exempt || w.without) && first && (w.factor == Password || w.factor == Gateway) {
		if over {
			return reject(4, 0)
		}
		if w.stopped {
			return mark(5, 0)
		}
		right := true
		if w.factor == Password {
			switch {
			case w.password == passEmpty, w.password == passStale:
				right = false
			case w.slots == slotSpent, w.slots == slotFlyingThenSpent:
				return mark(3, 0)
			default:
				binds++
				switch w.password {
				case passNoAnswer:
					return discard(2, 0)
				case passBarred:
					return mark(2, CountSource)
				}
				right = w.password == passRight
			}
		}
		switch {
		case !right:
			return mark(3, CountSource)
		case w.arrives:
			arrived = true
		case w.stoppedMeanwhile:
			return mark(5, 0)
		case w.doubt && !w.exempt: // nothing but the date limits it
			return discard(3, 0)
		}
		if !arrived {
			return ending{row: 3, do: DoAccept, effects: Know, binds: binds}
		}
	}

	if over {
		return reject(4, 0)
	}
	pair := answer && w.proof == Open
	gate := func(stopped, shut bool) (end ending, ended bool) {
		switch {
		case stopped:
			return mark(5, 0), true
		case w.known && shut && !pair:
			return mark(5, 0), true
		case shut, w.potEmpty:
			pair = true
		}
		if pair && w.full {
			return mark(5, AlarmPair), true
		}
		return end, false
	}
	if arrived {
		// Rows 8 and up with a first factor that is right.
		if end, ended := gate(w.stoppedMeanwhile, w.shut || w.shutMeantime); ended {
			return end
		}
	} else if end, ended := gate(w.stopped, w.shut); ended {
		return end
	}

	// Row 7.
	f := Right
	switch {
	case answer:
		f = w.proof
	case w.factor == Password && !arrived:
		f = Open
	}
	if w.factor == Password && f == Open {
		switch {
		case w.password == passEmpty:
			f = Wrong
		case pair:
		case w.password == passStale:
			f = Wrong
		case w.slots == slotSpent, w.slots == slotFlyingThenSpent:
			pair = true
			if w.full {
				return mark(5, AlarmPair)
			}
		default:
			binds++
			switch w.password {
			case passNoAnswer:
				return discard(2, 0)
			case passBarred:
				return mark(2, CountSource)
			case passRight:
				f = Right
			case passWrong:
				f = Wrong
			}
		}
	}

	if asking {
		switch {
		case f == Open:
			return ask(16, KeepPassword, Open)
		case f == Right, w.blind:
			return ask(16, 0, f)
		}
		return reject(12, CountSource)
	}

	// Row 8.
	if end, ended := gate(w.stopped || w.stoppedMeanwhile, w.shut || w.shutMeantime); ended {
		return end
	}
	opens := w.fit == FitsOpen || w.fit == FitsPending
	// Row 11: the code of a token that is on its way to its owner or lies suspended is a theft too; one that never opens
	// again is not, or whoever finds it could stop its former owner's account.
	theft := opens || w.fit == FitsShut && w.shutWhy == TokenSuspended
	switch {
	case w.doubt && !opens && w.fit != FitsShut && w.fit != FitsUsed:
		return discard(8, 0)
	case w.fit == FitsUsed:
		return miss(8, 0, f, false)
	}

	if pair && w.factor == PIN && w.fit != NoTokens {
		f = Open // until row 14
	} else if w.factor == PIN {
		f = Wrong
		if w.pin == pinRight {
			f = Right
		}
	}
	if f == Wrong {
		if theft {
			e := miss(11, CountTheft|CountSource, f, false)
			if pair && w.second {
				e.effects |= EndPair
			}
			return e
		}
		return miss(12, CountSource, f, false)
	}
	if w.fit == NoTokens && f == Right {
		if w.blind {
			return miss(9, CountSource, f, false)
		}
		return reject(9, 0)
	}

	accept := func(row uint8, e Effects) ending {
		e |= Burn | Clear | Know
		if w.fit == FitsPending {
			e |= Activate
		}
		return ending{row: row, do: DoAccept, effects: e, binds: binds}
	}
	if !pair {
		switch {
		case opens:
			return accept(9, 0)
		case w.fit == FitsShut:
			return reject(9, Burn|TellPerson)
		}
		return miss(10, CountMiss|CountSource, f, w.begins)
	}

	switch {
	case !opens:
		return miss(15, MissPair|CountSource, f, false)
	case w.taken: // one holder
		return miss(14, 0, f, false)
	case !w.second:
		if answer {
			e := Burn | StartPair
			if f == Open {
				e |= KeepPassword
			}
			return ask(13, e, f)
		}
		return reject(13, Burn|StartPair)
	}
	// Row 14.
	switch {
	case w.factor == PIN && w.pin != pinRight:
		return reject(11, CountTheft|CountSource|EndPair)
	case w.factor == Password && f == Open:
		if w.password == passStale {
			return miss(11, CountTheft|CountSource|EndPair, Wrong, false)
		}
		if w.reserve == slotSpent || w.reserve == slotFlyingThenSpent {
			return reject(14, ReleasePair)
		}
		binds++
		switch w.password {
		case passNoAnswer:
			return discard(2, ReleasePair)
		case passBarred:
			e := mark(2, CountSource)
			e.effects |= ReleasePair
			return e
		case passWrong:
			return miss(11, CountTheft|CountSource|EndPair, Wrong, false)
		}
	}
	return accept(14, EndPair)
}

// driven is what the table does in a world, with the Authenticator's part played from the world.
func driven(w world) (e ending, err error) {
	var f Facts
	looked := false
	flying := false
	learn := func() {
		f.Known, f.Repeated = w.known, w.repeated
		f.Stopped = w.stopped || f.Locked && w.stoppedMeanwhile
		f.ClassShut = w.shut || f.Locked && w.shutMeantime
		f.PotEmpty, f.PairFull, f.WaitBegins = w.potEmpty, w.full, w.begins
	}
	for range 30 {
		s := Table(f)
		f.Pair = f.Pair || s.Pair
		switch s.Do {
		case DoLookup:
			f.Finding, f.Why = w.finding, DeniedByPolicy
			if w.finding == NoAnswer {
				continue
			}
			f.Blind = w.blind
			f.Round, f.LastTry = w.round, w.lastTry
			f.SourceOver = w.over
			f.Asks = w.asks
			if w.finding == Found {
				f.Exempt, f.Unenrolled, f.Factor = w.exempt, w.without, w.factor
				f.HasCode = w.hasCode || w.round == AnswerRound
				f.Empty = w.factor == Password && w.password == passEmpty
			}
			if w.round == AnswerRound {
				f.Proof, f.HasCode = w.proof, true
				f.Pair = w.proof == Open
			}
			if w.over || w.factor == Password && w.round == FirstRound && w.finding == Found {
				looked = true
				learn()
			}
		case DoSlots:
			if !looked {
				looked = true
				learn()
				continue
			}
			if w.password == passStale {
				f.Proof = Wrong
				continue
			}
			q := w.slots
			if f.Claimed {
				q = w.reserve
			}
			switch {
			case q == slotFree, q == slotFlyingThenFree && flying:
				f.Slots = SlotFree
			case q == slotSpent, flying:
				f.Slots = SlotsSpent
			default:
				f.Slots = SlotsFlying
			}
		case DoWait:
			flying, f.Slots = true, SlotsUnknown
		case DoBind:
			e.binds++
			switch w.password {
			case passRight:
				f.Proof = Right
			case passWrong:
				f.Proof = Wrong
			case passNoAnswer:
				f.Finding = NoAnswer
			case passBarred:
				f.Finding, f.Why, f.Proof = Barred, UserLocked, Right
			default:
				return e, fmt.Errorf("a bind was sent with a password of kind %d", w.password)
			}
			f.Slots = SlotsUnknown
		case DoLock:
			l := f
			l.Locked = true
			f, l = l, f
			f.Unenrolled = f.Unenrolled && !w.arrives
			learn()
			f.ClockDoubt, f.Fit, f.Second, f.Taken, f.Shut = w.doubt, w.fit, w.second, w.taken, w.shutWhy
			if f.Factor == PIN {
				f.Proof, f.NoPIN = Wrong, w.pin == pinNone
				if w.pin == pinRight {
					f.Proof = Right
				}
			}
			s = Table(f)
			if s.Do == DoClaim {
				f = l
				f.Claimed, f.Slots, flying = true, SlotsUnknown, false
				continue
			}
			e.row, e.do, e.effects, e.proof = s.Row, s.Do, s.Effects&^KeepText, s.Proof
			if s.Do < DoAccept {
				return e, fmt.Errorf("the table went on under the lock with act %d", s.Do)
			}
			return e, nil
		default:
			if s.Do == DoAsk && w.round == FirstRound && s.Has(KeepText) {
				return e, fmt.Errorf("a first question remembers the text: row 1 would refuse it the second time")
			}
			e.row, e.do, e.effects, e.proof = s.Row, s.Do, s.Effects&^KeepText, s.Proof
			return e, nil
		}
	}
	return e, fmt.Errorf("the table does not end: %+v", f)
}

// reachable leaves out worlds that say twice the same or cannot be: each field is set only where it has a meaning.
func (w world) reachable() bool {
	switch {
	case w.shutMeantime && w.known && w.potEmpty, w.stoppedMeanwhile && w.full, // which came first depends on when the account was looked at
		w.doubt && w.fit == NoTokens && !w.without,
		w.without && (w.exempt || w.finding != Found || w.round != FirstRound || w.factor != Password && w.factor != Gateway),
		w.without && (w.hasCode && w.factor == Password || (w.fit == NoTokens) == w.arrives), // such a person's password is never cut
		w.arrives && !w.without,
		w.repeated && (w.finding != Found || w.round > AnswerRound),
		w.shutWhy != 0 && w.fit != FitsShut,
		w.factor != Password && (w.password != 0 || w.slots != 0 || w.reserve != 0 || w.asks),
		w.factor != PIN && w.pin != 0,
		w.factor == PIN && (w.exempt || w.round == AnswerRound), // no dialogue asks for a PIN; check-config refuses exempt
		w.factor == NoFactor && w.exempt,
		w.factor != Password && !w.hasCode && w.finding == Found && !w.exempt && w.round == FirstRound,
		w.factor != Password && w.round == AnswerRound && w.finding == Found,
		w.round != AnswerRound && (w.proof != Open || w.lastTry),
		w.round == AnswerRound && (w.hasCode || w.slots != 0 || !w.asks),
		w.round == AnswerRound && w.proof != Open && (w.password != 0 || w.reserve != 0),
		w.round == AnswerRound && w.proof == Wrong && !w.blind,          // a plain client is not asked after a wrong first factor
		w.exempt && (w.hasCode || w.round == AnswerRound),               // an exempt person's text is never cut
		w.repeated && (w.round == AnswerRound || w.blind && !w.hasCode), // the text's hash covers the State; a blind first round refuses nothing
		(w.second || w.taken) && w.fit != FitsOpen && w.fit != FitsPending,
		w.finding != Found && (w.exempt || w.asks && !w.blind || w.stopped || w.shut || w.potEmpty || w.full || w.begins || w.doubt || w.second || w.taken || w.hasCode):
		return false
	}
	return true
}

// TestTableAgainstOracle compares the table with a second statement of S1 over the worlds a login can meet: those that
// every field's every value reaches one by one, and a large random sample of their product.
func TestTableAgainstOracle(t *testing.T) {
	n := 6_000_000
	if raceEnabled {
		n = 300_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	bit := func() bool { return r.Uint32()&1 == 0 }
	rare := func() bool { return r.Uint32()&7 == 0 }
	seen, faults := 0, make(map[string]int)
	rows := make(map[string]int)
	for range n {
		w := world{finding: Found, round: FirstRound, factor: Password}
		if rare() {
			w.finding = Finding(r.IntN(5)) + 1
		}
		if bit() {
			w.round = Round(r.IntN(4))
		}
		if bit() {
			w.factor = FirstFactor(r.IntN(4))
		}
		w.repeated, w.exempt, w.over, w.stopped, w.stoppedMeanwhile = rare(), rare(), rare(), rare(), rare()
		w.asks, w.blind, w.lastTry, w.known = bit(), bit(), bit(), bit()
		if w.without = rare() && !w.exempt && w.round == FirstRound; w.without {
			w.arrives = rare()
		}
		w.hasCode = w.round == FirstRound && w.finding == Found && !w.exempt && (w.factor != Password || bit() && !w.without)
		w.shut, w.shutMeantime, w.potEmpty, w.full = rare(), rare(), r.IntN(4) == 0, rare()
		if w.round == AnswerRound {
			w.proof, w.asks = Proof(r.IntN(3)), w.finding == Found
		}
		if w.factor == Password {
			w.password, w.slots, w.reserve = r.IntN(passKinds), r.IntN(slotKinds), r.IntN(slotKinds)
			if bit() {
				w.password = passRight
			}
			if w.round == AnswerRound {
				w.slots = 0
				if w.proof != Open {
					w.password, w.reserve = 0, 0
				}
			}
		}
		if w.factor == PIN {
			w.pin = r.IntN(pinKinds)
		}
		w.fit = NoFit + Fit(r.IntN(6))
		if w.without && !w.arrives {
			w.fit = NoTokens
		}
		w.doubt, w.begins = rare(), bit()
		if w.fit == FitsShut {
			w.shutWhy = []Reason{TokenRevoked, TokenExpired, TokenSuspended}[r.IntN(3)]
		}
		w.second = (w.fit == FitsOpen || w.fit == FitsPending) && bit()
		w.taken = (w.fit == FitsOpen || w.fit == FitsPending) && !w.second && rare()
		if w.finding != Found {
			w.exempt, w.asks, w.stopped, w.shut, w.potEmpty = false, w.asks && w.blind, false, false, false
			w.full, w.begins, w.doubt, w.second, w.taken, w.hasCode = false, false, false, false, false, false
		}
		if !w.reachable() {
			continue
		}
		seen++
		want := oracle(w)
		got, err := driven(w)
		rows[fmt.Sprintf("%2d %v", want.row, verdictOf(want.do))]++
		if err == nil && got == want {
			continue
		}
		kind := fmt.Sprintf("row %d do %d effects %b proof %d binds %d, oracle row %d do %d effects %b proof %d binds %d", got.row, got.do, got.effects,
			got.proof, got.binds, want.row, want.do, want.effects, want.proof, want.binds)
		if faults[kind]++; faults[kind] == 1 && len(faults) <= 40 {
			t.Errorf("%s\n%+v %v", kind, w, err)
		}
	}
	for row, n := range rows {
		t.Logf("%s: %d worlds", row, n)
	}
	t.Logf("%d worlds compared", seen)
	if seen < n/10 {
		t.Errorf("only %d of %d worlds were reachable: the generator lost its aim", seen, n)
	}
}
