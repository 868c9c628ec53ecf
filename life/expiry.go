package life

import (
	"slices"
	"time"

	"sekisho/token"
)

// Import decides what a seed becomes that may have been here before: known are the tokens, destroyed ones too, that have the
// new one's fingerprint (S9). A token with a seed that lives is refused; one whose token was destroyed goes on at the larger
// step, so that no code opens twice.
func (a Act) Import(t token.Token, known []token.Token) (token.Token, *Refusal) {
	if _, no := a.row(TokenKind, Import, None, label(&t)); no != nil {
		return t, no
	}
	t.State = token.InStock
	for _, old := range known {
		if old.Fingerprint != t.Fingerprint {
			continue
		}
		if old.State != token.Destroyed {
			return t, refuse(KnownSeed, label(&old))
		}
		t.Last = max(t.Last, old.Last)
	}
	return t, nil
}

// Retire destroys a token of the stock that is broken or lost there.
func (a Act) Retire(s State, id token.ID) (Change, *Refusal) {
	w := a.open(s)
	t, no := w.testable(Retire, id)
	if no != nil {
		return Change{}, no
	}
	if w.others(id, 0) > 0 {
		return Change{}, refuse(TokenInUse, label(t))
	}
	if a.Reason == "" {
		return Change{}, refuse(ReasonNeeded, "")
	}
	w.move(Retire, t, token.Destroyed)
	return w.done(), nil
}

// EraseSeed takes the seed of a destroyed token away once nothing can bring the token back (S9). Fingerprint and last step
// stay.
func (a Act) EraseSeed(s State, id token.ID) (Change, *Refusal) {
	w := a.open(s)
	t, no := w.testable(Erase, id)
	if no != nil {
		return Change{}, no
	}
	r := w.record(id)
	if due := a.at(r.Ended).Add(a.Rules.Undo); r.Ended != 0 && a.Now.Before(due) {
		return Change{}, refuseUntil(TooEarly, label(t), due)
	}
	t.Sealed.Data = nil
	r.Ended = 0
	w.tokens[id], w.records[id] = true, true
	w.stepToken(Erase, t, "")
	return w.done(), nil
}

// Extend moves the expiry of a token ahead, all extensions together by ExtendMost at most (P11). A master gives a reason.
func (a Act) Extend(s State, ids []token.ID, to int64) (Change, *Refusal) {
	w := a.open(s)
	if len(ids) > a.Rules.AskAbove && a.By&staff != 0 && (a.Second == "" || a.Second == a.Name) {
		return Change{}, refuse(SecondPerson, "")
	}
	if len(ids) == 0 {
		return Change{}, refuse(NotFound, "")
	}
	for _, id := range ids {
		t, no := w.testable(Extend, id)
		if no != nil {
			return Change{}, no
		}
		if a.Reason == "" {
			return Change{}, refuse(ReasonNeeded, "")
		}
		if t.Expiry == 0 {
			return Change{}, refuse(NoExpiry, label(t))
		}
		r := w.record(id)
		longer := to - t.Expiry
		if longer <= 0 || r.Extended+longer > int64(a.Rules.ExtendMost/time.Second) || to <= a.Now.Unix() {
			return Change{}, refuse(ExtendMost, label(t))
		}
		from := TokenStage(t.StateAt(a.Now))
		t.Expiry = to
		r.Extended += longer
		w.tokens[id], w.records[id] = true, true
		w.step(Step{Kind: TokenKind, Verb: Extend, Token: id, From: from, To: TokenStage(t.State)})
	}
	return w.done(), nil
}

// MailsDue gives the reminders of an expiry as instants, the first first: so many days before, at the hour of mails, and on
// the day itself. Those at or after the expiry are left out, the day's own comes an hour before it then.
func (r Rules) MailsDue(expiry int64) []time.Time {
	if expiry == 0 {
		return nil
	}
	end := time.Unix(expiry, 0).In(r.zone())
	year, month, d := end.Date()
	var due []time.Time
	for _, before := range r.Mails {
		at, _ := onWall(year, month, d-before, r.MailAt, end.Location())
		if !at.Before(end) {
			at = end.Add(-time.Hour)
		}
		due = append(due, at)
	}
	slices.SortFunc(due, time.Time.Compare)
	return slices.CompactFunc(due, time.Time.Equal)
}

// MailDue reports that a reminder is due that was not sent: last is when the last one was, 0 for never. Of several that were
// missed one is sent.
func (r Rules) MailDue(expiry, last int64, now time.Time) bool {
	if now.Unix() >= expiry {
		return false
	}
	for _, at := range r.MailsDue(expiry) {
		if !now.Before(at) && at.Unix() > last {
			return true
		}
	}
	return false
}

// Turn is where one user stands in a campaign.
type Turn struct {
	Account  AccountID
	Operator bool
	Old      token.ID // the token that ends
	New      token.ID // the token that waits or works in its place; 0: none
	Switched bool
	Deferred bool
}

// Campaign is the switch of all tokens of one expiry.
type Campaign struct {
	Expiry   int64
	Left     time.Duration // until then; 0 once it is past
	Total    int
	Switched int
	Turns    []Turn // operators first, those not switched before those who are
}

// CampaignOf works a campaign out from what is: everybody who holds, or held when it ended, a token of this expiry (P11).
func CampaignOf(s State, expiry int64, now time.Time) Campaign {
	c := Campaign{Expiry: expiry, Left: max(0, time.Unix(expiry, 0).Sub(now))}
	tokens := map[token.ID]*token.Token{}
	for i := range s.Tokens {
		tokens[s.Tokens[i].ID] = &s.Tokens[i]
	}
	for i := range s.Holders {
		if turn, in := turnOf(&s.Holders[i], tokens, expiry, now); in {
			c.Turns = append(c.Turns, turn)
			c.Total++
			if turn.Switched {
				c.Switched++
			}
		}
	}
	rank := func(t Turn) (n int) {
		if t.Switched {
			n += 2
		}
		if !t.Operator {
			n++
		}
		return n
	}
	slices.SortStableFunc(c.Turns, func(a, b Turn) int { return rank(a) - rank(b) })
	return c
}

func turnOf(h *Holder, tokens map[token.ID]*token.Token, expiry int64, now time.Time) (turn Turn, in bool) {
	turn = Turn{Account: h.Account, Operator: h.Role != 0, Deferred: h.Deferred.Times > 0}
	for _, hold := range h.Holds {
		t := tokens[hold.Token]
		switch {
		case t == nil:
		case t.Expiry == expiry && (hold.Standing != token.Revoked || hold.Why == WhyReplaced || hold.Why == WhyOperator):
			turn.Old, in = t.ID, true
		case t.Expiry != expiry && hold.Standing == token.Active && t.StateAt(now) == token.InUse && (t.Expiry == 0 || t.Expiry > expiry):
			turn.New, turn.Switched = t.ID, true
		case t.Expiry != expiry && hold.Standing == token.Pending && !turn.Switched:
			turn.New = t.ID
		}
	}
	return turn, in
}

// MastersAtRisk gives the masters who have no working token at a moment ahead, and whether that is all of them: then nobody
// could revoke or register anything (O10).
func MastersAtRisk(s State, at time.Time) (risk []AccountID, all bool) {
	w := Act{Now: at}.open(s)
	masters := 0
	for i := range w.Holders {
		h := &w.Holders[i]
		if h.Role != ByMaster {
			continue
		}
		masters++
		if !slices.ContainsFunc(h.Holds, func(hold Hold) bool { return w.works(&hold) }) {
			risk = append(risk, h.Account)
		}
	}
	return risk, len(risk) == masters && s.MastersElsewhere == 0
}
