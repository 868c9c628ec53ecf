package authn

import (
	"time"

	"sekisho/token"
)

// settlement is what settle works from: one ending under the lock.
type settlement struct {
	step   Step
	acc    *Account
	eval   *evaluation
	limits *Limits
	class  Class
	now    time.Time
	source uint64 // keyed hash; 0: none trusted
	client string
	counts bool    // false: this code was counted less than 10 s ago in the same episode (row 1)
	text   uint64  // keyed hash of the refused text
	code   uint64  // of the code with station and service
	room   *Memory // for the account's short memory; nil: none
}

// pairLife and pairTries bound how long a first code waits for its second (S1 row 13).
const (
	pairLife   = 3 * time.Minute
	pairTries  = 3
	textLife   = 30 * time.Second
	codeLife   = 10 * time.Second
	textsKept  = 16
	notifyFrom = 3
)

// settle turns an ending into what is written: the event's state after, its notices, and the account's short memory. It
// is pure; its result may be worked out again on other state. memory is nil when it stays as it is.
func settle(s *settlement, e *Event) (memory *Memory) {
	if s.acc == nil {
		return nil
	}
	g := s.acc.Guard.After()
	changed := false
	if s.step.Has(Burn) {
		burn(s, e)
	}
	if s.step.Has(Clear) {
		g.Row, g.Wait, g.TheftRun = [2]uint8{}, [2]int64{}, 0
		if s.eval.spare.Holder == nil {
			g.Digits = s.eval.digits
		}
		changed = changed || g.Row != s.acc.Guard.Row || g.Wait != s.acc.Guard.Wait ||
			g.TheftRun != s.acc.Guard.TheftRun || g.Digits != s.acc.Guard.Digits
	}
	if s.step.Has(Know) && s.source != 0 {
		k := KnownSource{Hash: s.source, Day: token.Day(s.now)}
		if !containsKnown(s.acc.Guard.Known, k) {
			g.Known, changed = k, true
		}
	}
	if s.counts {
		switch {
		case s.step.Has(CountMiss):
			g = countMiss(s, g, e)
			changed = true
		case s.step.Has(CountTheft):
			g = countTheft(s, g, e)
			changed = true
		case s.step.Has(MissPair):
			g.Charge = s.acc.Guard.charged(PotPair, s.eval.pairCost, s.now)
			changed = true
		}
	}
	if s.step.Has(AlarmPair) {
		e.Notices = append(e.Notices, NoticePairBudget)
	}
	if s.step.Has(TellPerson) {
		e.Notices = append(e.Notices, NoticeRefusedLive)
	}
	if s.step.Has(Activate) {
		e.Notices = append(e.Notices, NoticeActivated)
	}
	if changed {
		e.Guard, e.GuardSet = g, true
	}
	return remember(s)
}

// burn takes the step on every token that shows the code, so that no other door takes it again (S16).
func burn(s *settlement, e *Event) {
	for _, f := range s.eval.fits {
		if f.token == spareCode {
			continue // the holder's record says that it was used
		}
		b := Burnt{Token: f.token.ID, Last: f.match.Step, Drift: f.token.Drift, DriftDay: f.token.DriftDay}
		if s.step.Do == DoAccept {
			b.Drift, b.DriftDay = f.token.DriftAfter(f.match.Step, s.now)
			b.Activated = s.step.Has(Activate) && f.shut == TokenPending
		}
		e.Burnt = append(e.Burnt, b)
	}
	if m := s.eval.main(); m.token != spareCode {
		e.Token, e.Step = m.token.ID, m.match.Step
	}
}

// countMiss is row 10: the charge stays, and from the third miss in a row the class waits.
func countMiss(s *settlement, g GuardAfter, e *Event) GuardAfter {
	c := s.class
	g.Charge = s.acc.Guard.charged(classPot(c), s.eval.cost, s.now)
	if g.Row[c] < 255 {
		g.Row[c]++
	}
	if w := waitAfter(g.Row[c]); w > 0 {
		g.Wait[c] = s.now.Add(w + time.Second - 1).Unix() // never less than w
	}
	if g.Row[c] == notifyFrom {
		e.Notices = append(e.Notices, NoticeFailures)
	}
	// Unknown sources go on in PAIR from the first wait, both classes once the pot cannot pay the next guess.
	if c == ClassUnknown && g.Row[c] == notifyFrom || !s.limits.canPay(&s.acc.Guard, c, 2*s.eval.cost, s.now) {
		e.Notices = append(e.Notices, NoticePair)
	}
	if g.Row[c] >= s.limits.Row[c] && g.Stopped&classStop[c] == 0 {
		g.Stopped |= classStop[c]
		e.Notices = append(e.Notices, NoticeStopped)
	}
	return g
}

// countTheft is row 11: somebody holds the token and not the first factor.
func countTheft(s *settlement, g GuardAfter, e *Event) GuardAfter {
	g.Charge = s.acc.Guard.charged(PotTheft, 1, s.now)
	if g.TheftRun < 255 {
		g.TheftRun++
	}
	e.Notices = append(e.Notices, NoticeTheft)
	inYear := s.acc.Guard.Spent(PotTheft, s.now) + 1
	if (g.TheftRun >= s.limits.TheftRun || inYear >= s.limits.TheftYear) && g.Stopped&StopAccount == 0 {
		g.Stopped |= StopAccount
		e.Notices = append(e.Notices, NoticeStopped)
	}
	return g
}

// charged is today's bucket of a pot after one more amount.
func (g *Guard) charged(p Pot, amount int64, now time.Time) Charge {
	return Charge{Pot: p, Day: token.Day(now), Amount: g.Today(p, now) + amount}
}

func containsKnown(known []KnownSource, k KnownSource) bool {
	for _, old := range known {
		if old == k {
			return true
		}
	}
	return false
}

// remember is the account's short memory after an ending: pairs begun, missed, claimed or ended, and refused texts.
func remember(s *settlement) *Memory {
	const pairEffects = StartPair | EndPair | MissPair | ReleasePair
	keepText := s.step.Has(KeepText)
	if s.step.Effects&pairEffects == 0 && !keepText {
		return nil
	}
	old, m := &s.acc.Memory, s.room
	if m == nil {
		m = new(Memory)
	}
	*m = Memory{Wrong: old.Wrong} // its slices become the account's, so they are new where they differ
	for _, p := range old.Pairs {
		if !p.waits(s.now) {
			continue
		}
		if p.matches(s.source, s.client) {
			switch {
			case s.step.Has(StartPair), s.step.Has(EndPair):
				continue
			case s.step.Has(MissPair):
				if s.counts {
					p.Tries--
				}
				if s.step.Has(ReleasePair) {
					p.Claimed = 0
				}
				if p.Tries <= 0 {
					continue
				}
			case s.step.Has(ReleasePair):
				p.Claimed = 0
			}
		}
		m.Pairs = append(m.Pairs, p)
	}
	if s.step.Has(StartPair) {
		first := s.eval.main()
		m.Pairs = append(m.Pairs, Pair{Source: s.source, Client: s.client, Token: first.token.ID, Step: first.match.Step,
			Until: s.now.Add(pairLife).Unix(), Tries: pairTries})
	}
	if keepText {
		m.Wrong = keepWrong(old.Wrong, WrongText{Hash: s.text, Code: s.code, Source: s.source, At: s.now.UnixMilli()}, s.now)
	}
	return m
}

// recent reports that a moment in Unix milliseconds is less than life ago. One that has not come yet is not: the clock stood
// ahead then (S21).
func recent(at int64, life time.Duration, now time.Time) bool {
	age := now.UnixMilli() - at
	return age < life.Milliseconds() && age > -clockSlack.Milliseconds()
}

func keepWrong(old []WrongText, w WrongText, now time.Time) []WrongText {
	kept := make([]WrongText, 0, len(old)+1)
	for _, o := range old {
		if recent(o.At, textLife, now) {
			kept = append(kept, o)
		}
	}
	kept = append(kept, w)
	if len(kept) > textsKept {
		kept = kept[len(kept)-textsKept:]
	}
	return kept
}

// matches reports whether a pending pair belongs to this source; where no source is trusted, to this client.
func (p *Pair) matches(source uint64, client string) bool {
	if source != 0 || p.Source != 0 {
		return p.Source == source
	}
	return p.Client == client
}

// waits reports that the second code may still come. A pair that would wait longer than pairs do was begun while the clock
// stood ahead (S21).
func (p *Pair) waits(now time.Time) bool {
	left := p.Until - now.Unix()
	return left > 0 && left <= int64((pairLife+clockSlack)/time.Second)
}

// pair finds the pending first code for a source.
func (m *Memory) pair(source uint64, client string, now time.Time) *Pair {
	for i := range m.Pairs {
		if p := &m.Pairs[i]; p.matches(source, client) && p.waits(now) {
			return p
		}
	}
	return nil
}

// second reports whether one of the fits is the code after the pair's first: the same token, one or two steps on.
func (p *Pair) second(e *evaluation) bool {
	if p == nil {
		return false
	}
	for _, f := range e.fits {
		if f.token.ID == p.Token && (f.match.Step == p.Step+1 || f.match.Step == p.Step+2) {
			return true
		}
	}
	return false
}

// repeated reports row 1: the same refused text from the same trusted source within 30 s.
func (m *Memory) repeated(text, source uint64, now time.Time) bool {
	if source == 0 {
		return false
	}
	for _, w := range m.Wrong {
		if w.Hash == text && w.Source == source && recent(w.At, textLife, now) {
			return true
		}
	}
	return false
}

// counted reports that the same code of the same episode (user, service, station) was counted within 10 s.
func (m *Memory) counted(code uint64, now time.Time) bool {
	for _, w := range m.Wrong {
		if w.Code == code && recent(w.At, codeLife, now) {
			return true
		}
	}
	return false
}
