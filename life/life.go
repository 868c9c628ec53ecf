package life

import (
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"sekisho/token"
)

// AccountID is the number of an account, as the accounts themselves have it.
type AccountID uint64

// Why says what suspended or ended a hold.
type Why uint8

// The causes. Append, never renumber: they are stored.
const (
	WhyNone     Why = iota
	WhyOperator     // an operator decided it
	WhyPerson       // the person stopped an own device
	WhyDeleted      // the person says that app or setting are gone
	WhyReplaced     // the first right code of another token ended it
	WhyLost
	WhyStolen
	WhyBroken
	WhyGone // the user is gone from the directory
)

// lost reports the causes after which somebody else may have the token.
func (w Why) lost() bool { return w == WhyLost || w == WhyStolen }

// Hold is a user's assignment with what the rules remember beside it.
type Hold struct {
	token.Assignment
	Why      Why
	Until    int64      // suspended as lost: Unix seconds until which the person may resume it
	Replaces []token.ID // holds that end with this one's first right code

	// What a revocation ended, for undo.
	Before    token.Standing
	BeforeWhy Why
	Was       int64  // Since before
	WasUntil  int64  // Until before
	Takes     uint32 // Record.Takes then
	Cooled    int64  // the cooldown that this revocation set; 0: none
}

// Holder is one user as the rules see them.
type Holder struct {
	Account   AccountID
	Name      string   // login name, for people and for the rules of PINs
	Groups    []string // that reserve stock
	Role      Who      // ByHelpDesk, ByAdmin or ByMaster of an operator; 0 for others
	Exempt    bool     // needs no code
	Holds     []Hold
	NotBefore int64 // Unix seconds from which a token may be registered again (O4)
	Deferred  Deferral
	Presence  Presence
	Resets    []int64 // Unix seconds of self-service resets in the last 30 days
	Temporary Temporary
	First     FirstLogin
	Recovery  Recovery
	PIN       PINs
}

// Hold finds the hold on a token; nil where there never was one.
func (h *Holder) Hold(id token.ID) *Hold {
	for i := range h.Holds {
		if h.Holds[i].Token == id {
			return &h.Holds[i]
		}
	}
	return nil
}

// stage is where the hold on a token stands.
func (h *Holder) stage(id token.ID) Stage {
	if hold := h.Hold(id); hold != nil {
		return HoldStage(hold.Standing)
	}
	return None
}

// living counts holds that are not revoked.
func (h *Holder) living() (n int) {
	for _, hold := range h.Holds {
		if hold.Standing != token.Revoked {
			n++
		}
	}
	return n
}

// Record is what the rules remember about a token beside the token itself.
type Record struct {
	Token     token.ID
	Group     string  // whose members may register it from the stock; empty: reserved to no group
	NotBefore int64   // Unix seconds from which it may be registered again (O4)
	Takes     uint32  // how often it left the stock
	Ended     int64   // Unix seconds at which it was destroyed, for undo and erasure
	Extended  int64   // seconds by which its expiry was extended, all in all
	First     []int64 // Unix seconds of wrong first codes in the last 24 h
	Tests     []int64 // of tries of test and resync
	Pot       []Charge
	Seen      int64 // highest step whose code a test found outside the login window, plus 1; resync takes only higher ones
}

// Charge is what one day took from a token's yearly budget for resync, in token.GuessUnit.
type Charge struct {
	Day    uint16 // see token.Day
	Amount int64
}

// State is what one act looks at, as it stands under the locks. The rules change nothing in it.
type State struct {
	Holders   []Holder
	Tokens    []token.Token
	Records   []Record                // of Tokens; one that is missing is empty
	Seeds     map[token.ID]token.Seed // opened for this act, and cleared by who opened them
	Elsewhere map[token.ID]int        // how many users who are not in Holders hold a token
	// MastersElsewhere is how many working tokens masters have who are not in Holders.
	MastersElsewhere int
}

// Step is one transition that was made: an audit row.
type Step struct {
	Kind    Kind
	Verb    Verb
	Account AccountID // 0: none
	Token   token.ID  // 0: none
	From    Stage
	To      Stage
	Detail  string // without personal data
}

// Notice is a mail that an act owes.
type Notice struct {
	Kind    NoticeKind
	Account AccountID
	Token   token.ID
	From    int64 // Unix seconds that the mail tells, such as when registering is possible; 0: none
}

// NoticeKind names a mail.
type NoticeKind string

// The notices.
const (
	NoticeAdded     NoticeKind = "device-added"
	NoticeRevoked   NoticeKind = "token-revoked"
	NoticeSuspended NoticeKind = "token-suspended"
	NoticeResumed   NoticeKind = "token-resumed"
	NoticeLink      NoticeKind = "activation"
	NoticeRequest   NoticeKind = "request-taken"
	NoticeApproved  NoticeKind = "request-approved"
	NoticeRefused   NoticeKind = "request-refused"
	NoticeTemporary NoticeKind = "temporary-started"
	NoticePIN       NoticeKind = "pin-changed"
	NoticePINReset  NoticeKind = "pin-reset"
	NoticeResync    NoticeKind = "token-resynced"
	NoticeMasters   NoticeKind = "masters-token"
	NoticeGone      NoticeKind = "user-gone"
)

// Change is what an act orders: whole new images of what it changed. Beside a refusal it holds what the attempt itself
// costs, which has to be saved too.
type Change struct {
	Holders []Holder
	Tokens  []token.Token
	Records []Record
	Steps   []Step
	Notices []Notice
	// Cost is what a wrong code costs the account, in token.GuessUnit: it goes to the pots of the login rules (S4).
	Cost int64
	// OnlyRegister says that the operator who acted has no working token left: the session goes on for registering alone.
	OnlyRegister bool
}

// Typed is a code as typed, cleaned to its digits. It does not print.
type Typed []byte

// Format hides the code.
func (Typed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[code]")) }

// Act is who does something, and when. Its methods are the rules.
type Act struct {
	By        Who // exactly one
	Account   AccountID
	Name      string // of an operator, for the audit and for acts that need two
	Second    string // the operator who approved, for acts that need two; empty: nobody
	Reason    string // in the operator's words
	Reference string // of the paper or ticket
	Proven    bool   // the person's password (or what policy takes for it) was proven in this session
	Now       time.Time
	Rules     Rules
}

// now in the zone of the site, for instants that people read.
func (a Act) at(unix int64) time.Time { return time.Unix(unix, 0).In(a.Rules.zone()) }

// work is a state under way: copies, and what was touched.
type work struct {
	Act
	State
	holders map[AccountID]bool
	tokens  map[token.ID]bool
	records map[token.ID]bool
	change  Change
}

func (a Act) open(s State) *work {
	w := &work{Act: a, State: s, holders: map[AccountID]bool{}, tokens: map[token.ID]bool{}, records: map[token.ID]bool{}}
	w.Holders = slices.Clone(s.Holders)
	for i := range w.Holders {
		h := &w.Holders[i]
		h.Holds = slices.Clone(h.Holds)
		h.Resets = slices.Clone(h.Resets)
		h.Temporary.Used = slices.Clone(h.Temporary.Used)
		h.Recovery.Tries = slices.Clone(h.Recovery.Tries)
		h.PIN.History = slices.Clone(h.PIN.History)
		for j := range h.Holds {
			h.Holds[j].Replaces = slices.Clone(h.Holds[j].Replaces)
		}
	}
	w.Tokens = slices.Clone(s.Tokens)
	w.Records = nil
	for _, t := range w.Tokens {
		r := Record{Token: t.ID}
		for _, old := range s.Records {
			if old.Token == t.ID {
				r = old
				r.First, r.Tests, r.Pot = slices.Clone(old.First), slices.Clone(old.Tests), slices.Clone(old.Pot)
			}
		}
		w.Records = append(w.Records, r)
	}
	return w
}

// holder finds a user; token and record what an act is about. nil where it is not there.
func (w *work) holder(id AccountID) *Holder {
	for i := range w.Holders {
		if w.Holders[i].Account == id {
			return &w.Holders[i]
		}
	}
	return nil
}

func (w *work) token(id token.ID) *token.Token {
	for i := range w.Tokens {
		if w.Tokens[i].ID == id {
			return &w.Tokens[i]
		}
	}
	return nil
}

func (w *work) record(id token.ID) *Record {
	for i := range w.Records {
		if w.Records[i].Token == id {
			return &w.Records[i]
		}
	}
	return nil
}

// add takes a new token in.
func (w *work) add(t token.Token) {
	w.Tokens = append(slices.Clip(w.Tokens), t)
	w.Records = append(slices.Clip(w.Records), Record{Token: t.ID})
	w.tokens[t.ID] = true
}

// done gives the change with what was touched, in the order of the state.
func (w *work) done() Change {
	for _, h := range w.Holders {
		if w.holders[h.Account] {
			w.change.Holders = append(w.change.Holders, h)
		}
	}
	for _, t := range w.Tokens {
		if w.tokens[t.ID] {
			w.change.Tokens = append(w.change.Tokens, t)
		}
	}
	w.change.Records = w.attempt().Records
	return w.change
}

// attempt gives what is saved of an act that was refused: counts alone.
func (w *work) attempt() Change {
	c := Change{Cost: w.change.Cost}
	for _, r := range w.Records {
		if w.records[r.Token] {
			c.Records = append(c.Records, r)
		}
	}
	return c
}

// row looks a step up in the table and asks for a second person where the site wants one.
func (a Act) row(kind Kind, verb Verb, from Stage, about string) (*Row, *Refusal) {
	r, no := find(kind, verb, from, a.By, about)
	if no != nil {
		return nil, no
	}
	if a.By&staff != 0 && slices.Contains(a.Rules.FourEyes, verb) && (a.Second == "" || a.Second == a.Name) {
		return nil, refuse(SecondPerson, about)
	}
	return r, nil
}

// onOperator refuses the help desk's acts on operators (P10).
func (a Act) onOperator(h *Holder) *Refusal {
	if a.By == ByHelpDesk && h.Role != 0 {
		return refuse(OnOperator, h.Name)
	}
	return nil
}

// mine refuses what a person would do to somebody else: to them, nobody else exists.
func (a Act) mine(h *Holder) *Refusal {
	if a.By == ByPerson && a.Account != h.Account {
		return refuse(NotFound, "")
	}
	return nil
}

// subject finds the user of an act, whom the actor may touch.
func (w *work) subject(id AccountID) (*Holder, *Refusal) {
	h := w.holder(id)
	if h == nil {
		return nil, refuse(NotFound, "")
	}
	if no := w.mine(h); no != nil {
		return nil, no
	}
	return h, w.onOperator(h)
}

// set moves a hold, making it where there is none.
func (w *work) set(verb Verb, h *Holder, id token.ID, to token.Standing) *Hold {
	from := h.stage(id)
	hold := h.Hold(id)
	if hold == nil {
		h.Holds = append(h.Holds, Hold{Assignment: token.Assignment{Token: id}})
		hold = &h.Holds[len(h.Holds)-1]
	}
	hold.Standing, hold.Since = to, w.Now.Unix()
	w.holders[h.Account] = true
	w.step(Step{Kind: HoldKind, Verb: verb, Account: h.Account, Token: id, From: from, To: HoldStage(to)})
	return hold
}

func (w *work) step(s Step) { w.change.Steps = append(w.change.Steps, s) }

func (w *work) notify(k NoticeKind, h *Holder, id token.ID, from int64) {
	w.change.Notices = append(w.change.Notices, Notice{k, h.Account, id, from})
}

// move sets a token's stored state.
func (w *work) move(verb Verb, t *token.Token, to token.State) {
	from := TokenStage(t.StateAt(w.Now))
	if !w.tokens[t.ID] || t.State != to {
		w.step(Step{Kind: TokenKind, Verb: verb, Token: t.ID, From: from, To: TokenStage(to)})
	}
	t.State = to
	w.tokens[t.ID] = true
}

// others is how many users beside one hold a token.
func (w *work) others(id token.ID, but AccountID) int {
	n := w.Elsewhere[id]
	for i := range w.Holders {
		if h := &w.Holders[i]; h.Account != but {
			if hold := h.Hold(id); hold != nil && hold.Standing != token.Revoked {
				n++
			}
		}
	}
	return n
}

// usable says why a token can be given to nobody.
func (w *work) usable(t *token.Token) *Refusal {
	switch t.StateAt(w.Now) {
	case token.Destroyed:
		return refuse(TokenGone, label(t))
	case token.Expired:
		return refuse(TokenExpired, label(t))
	}
	return nil
}

// Most is how many tokens one user may hold, and may have held: each is evaluated at each login.
const (
	MostTokens = 10
	MostHolds  = 256
)

// room refuses one token too many.
func (w *work) room(h *Holder, t *token.Token) *Refusal {
	if hold := h.Hold(t.ID); hold != nil && hold.Standing != token.Revoked {
		return nil
	}
	if h.living() >= MostTokens || len(h.Holds) >= MostHolds && h.Hold(t.ID) == nil {
		return refuse(TooManyTokens, h.Name)
	}
	return nil
}

// devices refuses a software token above the limit. Devices that are lost, or end with this one's first right code, do
// not count, or nobody could replace one.
func (w *work) devices(h *Holder, t *token.Token, replaces []token.ID) *Refusal {
	if t.Form != token.Software {
		return nil
	}
	n := 0
	for _, hold := range h.Holds {
		other := w.token(hold.Token)
		counts := hold.Standing == token.Active || hold.Standing == token.Suspended && !hold.Why.lost()
		if counts && hold.Token != t.ID && !slices.Contains(replaces, hold.Token) && (other == nil || other.Form == token.Software) {
			n++
		}
	}
	if n >= w.Rules.Devices {
		return refuse(DeviceLimit, h.Name)
	}
	return nil
}

// label is how people recognise a token.
func label(t *token.Token) string {
	switch {
	case t.Serial != "":
		return t.Serial
	case t.Name != "":
		return t.Name
	}
	return t.ID.String()
}

// form refuses what cannot be a code of the token; it costs nothing.
func form(t *token.Token, code Typed) *Refusal {
	bad := len(code) != int(t.Digits)
	for _, c := range code {
		bad = bad || c < '0' || c > '9'
	}
	if bad {
		return refuse(CodeForm, label(t))
	}
	return nil
}

// next is when a token shows a code after a step that was used; for event-based tokens time decides nothing.
func (w *work) next(t *token.Token, step int64) time.Time {
	if t.Mode != token.TOTP {
		return time.Time{}
	}
	return w.at((step + 1 - int64(t.Drift)) * int64(t.Period))
}

// firstCode checks a code that is to bring a token into service, in the wide window of first use, and burns it. Wrong ones
// count on the token. Logins have counts of their own.
func (w *work) firstCode(t *token.Token, code Typed) *Refusal {
	if no := form(t, code); no != nil {
		return no
	}
	r := w.record(t.ID)
	tries, from, ok := w.Rules.FirstTries.take(r.First, w.Now)
	if w.By != ByLogin && !ok {
		return refuseUntil(TriesUsed, label(t), w.at(from))
	}
	// The window of logins first: in the wide one a right code is that of another step, too, once in 12,000, and would be taken
	// for a clock that is off.
	m := t.Evaluate(w.Seeds[t.ID], code, w.Now, w.Rules.Login)
	if m.Result == token.Miss {
		m = t.Evaluate(w.Seeds[t.ID], code, w.Now, w.Rules.FirstUse)
	}
	switch m.Result {
	case token.Used:
		return refuseUntil(AlreadyUsed, label(t), w.next(t, m.Step))
	case token.Miss:
		if w.By != ByLogin {
			r.First = tries
			w.records[t.ID] = true
			w.change.Cost += t.GuessCost(m.Candidates)
		}
		return refuse(WrongCode, label(t))
	}
	if t.Mode == token.TOTP {
		off := m.Step - t.StepAt(w.Now)
		if t.Form == token.Software && (off < -int64(w.Rules.Login.Back) || off > int64(w.Rules.Login.Ahead)) {
			if w.By != ByLogin { // told apart only by a right code, and still a guess that has to count
				r.First = tries
				w.records[t.ID] = true
				w.change.Cost += t.GuessCost(m.Candidates)
			}
			return refuse(ClockOff, label(t))
		}
		t.Drift, t.DriftDay = 0, 0
		if t.Form == token.Hardware {
			t.Drift, t.DriftDay = int16(off), token.Day(w.Now)
		}
	}
	w.burn(t, m.Step)
	w.burnAlso(t, code)
	return nil
}

// burn takes a step and all before it.
func (w *work) burn(t *token.Token, step int64) {
	t.Last = max(t.Last, step)
	w.tokens[t.ID] = true
}

// burnAlso takes the code on every other token that a login would take it of, so that no other door takes it again (S16).
// Not in the wider windows: a coincidence there would shut a token out until its clock comes by.
func (w *work) burnAlso(but *token.Token, code Typed) {
	for i := range w.Tokens {
		t := &w.Tokens[i]
		if seed, has := w.Seeds[t.ID]; has && t.ID != but.ID {
			if m := t.Evaluate(seed, code, w.Now, w.Rules.Login); m.Result == token.Fresh {
				w.burn(t, m.Step)
			}
		}
	}
}

// code checks a code of a token in service, in the window of logins, and burns it. Wrong ones count on the token.
func (w *work) code(t *token.Token, code Typed) *Refusal {
	if no := form(t, code); no != nil {
		return no
	}
	r := w.record(t.ID)
	tries, from, ok := w.Rules.FirstTries.take(r.First, w.Now)
	if !ok {
		return refuseUntil(TriesUsed, label(t), w.at(from))
	}
	m := t.Evaluate(w.Seeds[t.ID], code, w.Now, w.Rules.Login)
	switch m.Result {
	case token.Used:
		return refuseUntil(AlreadyUsed, label(t), w.next(t, m.Step))
	case token.Miss:
		r.First = tries
		w.records[t.ID] = true
		w.change.Cost += t.GuessCost(m.Candidates)
		return refuse(WrongCode, label(t))
	}
	t.Drift, t.DriftDay = t.DriftAfter(m.Step, w.Now)
	w.burn(t, m.Step)
	w.burnAlso(t, code)
	return nil
}

// same compares in constant time; an empty hash equals nothing.
func same(a, b [32]byte) bool {
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && a != [32]byte{}
}
