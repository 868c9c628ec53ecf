package authn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sekisho/token"
)

// Keyring opens seeds and derives the keys of PINs and States; *token.Keys is one.
type Keyring interface {
	OpenSeed(dst []byte, id token.ID, s token.SealedSeed) ([]byte, error)
	Derive(purpose string) [32]byte
}

// Authenticator answers logins. It is complete after one literal; Metrics and Clock may be nil.
type Authenticator struct {
	Directory Directory
	Store     Store
	Keys      Keyring
	Policies  []*Policy // the first that names client and user holds
	Limits    Limits
	Clock     *Clock
	Now       func() time.Time
	Log       *slog.Logger
	Metrics   *Metrics

	once     sync.Once
	pinKey   [32]byte
	states   states
	kept     keeper
	budget   budget
	failures tally // by user and source (row 4)
	floods   flood
	lines    chan line
}

// linesWaiting bounds log lines that wait for a slow log.
const linesWaiting = 8192

func (a *Authenticator) start() {
	a.once.Do(func() {
		a.pinKey = a.Keys.Derive("pin")
		a.states.derive = a.Keys.Derive
		a.lines = make(chan line, linesWaiting)
	})
}

// Domains of Store.Keyed.
const (
	domainDigest byte = iota + 1
	domainSource
	domainFailures
	domainText
	domainCode
	domainPassword
	domainFlood
	domainName
)

// attempt is one login on its way through the table.
type attempt struct {
	a    *Authenticator
	l    *Login
	done func(Decision)

	f        Facts
	looked   bool // the account was looked at for the rows before the lock
	apart    bool // on a goroutine of its own: it may wait
	ctx      context.Context
	cancel   context.CancelFunc
	user     *User
	policy   *Policy
	account  AccountID
	state    dialogue // of an AnswerRound
	reading  reading
	password Secret // what a bind would send
	purse    purse
	passHash uint64
	signal   chan struct{} // closed when a bind in flight has ended
	source   uint64        // keyed hash of account and source; 0: none trusted
	failKey  [16]byte      // of user and source, for row 4; zero: none trusted
	text     uint64
	digest   [16]byte
	stages   Stages
	past     *Event // the same request was answered before the last start (S17)
}

// Authenticate takes a login over and calls done exactly once, on any goroutine and perhaps before it returns. It never
// waits: what has to wait (a directory that is not in the cache, a bind) goes on in a goroutine of its own. Everything in
// l but Packet stays untouched by the caller until done is called.
func (a *Authenticator) Authenticate(l *Login, done func(Decision)) {
	a.start()
	t := &attempt{a: a, l: l, done: done}
	t.digest = a.Store.Keyed(domainDigest, []byte(l.Client.Name), []byte(l.Source.String()), l.Packet)
	now := a.Now()
	if e, ok := a.Store.Verdict(t.digest, now); ok && (e.Verdict == Accept || e.Verdict == Reject) {
		t.past = &e
	}
	if l.Method != PAP {
		t.f.Finding, t.f.Why = Barred, MethodNotTaken
		t.end(Step{Row: 2, Do: DoReject, Reason: MethodNotTaken})
		return
	}
	t.run()
}

// RejectDelay is D of S20: refusals to this client leave at whole multiples of it after arrival, so that their moment
// does not tell what was checked. It is at least the configured delay and twice the directory's bind time, and stays
// below the gateway's own retry time.
func (a *Authenticator) RejectDelay(c *Client) time.Duration {
	d := max(c.RejectDelay, 2*a.Directory.BindTime())
	if most := c.RetryAfter - 100*time.Millisecond; c.RetryAfter > 0 && d > most {
		d = max(most, c.RejectDelay)
	}
	return d
}

// run asks the table what to do until the attempt has ended or waits elsewhere.
func (t *attempt) run() {
	for {
		s := Table(t.f)
		t.f.Pair = t.f.Pair || s.Pair
		switch s.Do {
		case DoLookup:
			if !t.lookup() {
				return
			}
			if t.past != nil && t.repeatVerdict() {
				return
			}
		case DoSlots:
			if !t.look() {
				t.slots()
			}
		case DoBind:
			if !t.apart {
				t.goOn()
				return
			}
			t.bind()
		case DoWait:
			if !t.apart {
				t.goOn()
				return
			}
			if !t.wait() {
				return
			}
		case DoLock:
			if t.lock() {
				return
			}
		default:
			t.end(s)
			return
		}
	}
}

// goOn continues on a goroutine that may wait. A panic there ends this attempt alone.
func (t *attempt) goOn() {
	t.apart = true
	go func() {
		defer func() {
			if p := recover(); p != nil {
				t.a.Log.Error("a login ended in an internal fault", "client", t.l.Client.Name, "fault", fmt.Sprint(p))
				t.answer(Decision{Verdict: Discard, Reason: Fault}, nil)
			}
		}()
		t.run()
	}()
}

// deadline is the context of everything that waits; it ends when the gateway gives up.
func (t *attempt) deadline() context.Context {
	if t.ctx == nil {
		t.ctx, t.cancel = context.WithDeadline(context.Background(), t.l.Arrived.Add(t.l.Client.Deadline))
	}
	return t.ctx
}

// lookup finds out who the name is. It reports false when it went on elsewhere.
func (t *attempt) lookup() bool {
	u, ok := t.a.Directory.Peek(t.l.Name, t.a.Now())
	if !ok {
		if !t.apart {
			t.goOn()
			return false
		}
		begun := time.Now()
		var err error
		u, err = t.a.Directory.Lookup(t.deadline(), t.l.Name)
		t.stages.Lookup = time.Since(begun)
		switch {
		case errors.Is(err, ErrUnknownUser):
			t.f.Finding = NobodyFound
		case errors.Is(err, ErrAmbiguousUser):
			t.f.Finding = SeveralFound
		case err != nil:
			t.a.Log.Warn("the directory did not answer", "client", t.l.Client.Name, "error", err)
			t.f.Finding = NoAnswer
			return true
		}
	}
	if t.f.Finding == NotAsked {
		t.know(u)
	}
	t.read()
	return true
}

// know fills in what the directory and the policies say about the person.
func (t *attempt) know(u *User) {
	t.user = u
	t.account = t.a.Store.AccountOf(u.Directory, u.ID)
	t.policy = For(t.a.Policies, t.l.Client, u)
	switch {
	case t.policy == nil:
		t.f.Finding, t.f.Why = Barred, NoPolicy
	case t.policy.Deny:
		t.f.Finding, t.f.Why = Barred, DeniedByPolicy
	case u.Barred != 0:
		t.f.Finding, t.f.Why = Barred, u.Barred
	default:
		t.f.Finding = Found
		t.f.Exempt = t.policy.Exempts(u)
		t.f.Factor = t.policy.First
		t.f.Asks = t.policy.Ask && t.l.Client.CanChallenge
		if t.policy.First == Gateway && !t.l.Client.GatewayProves {
			t.f.Finding, t.f.Why = Barred, NoPolicy // the configuration check refuses this
		}
	}
}

// read settles how the text is taken: as the answer of a dialogue, as a code alone, or as first factor and code.
func (t *attempt) read() {
	c := t.l.Client
	t.f.Blind = c.CanChallenge && c.Blind
	t.trace()
	if t.f.SourceOver {
		t.look() // row 4 spares known sources
	}
	if len(t.l.State) > 0 {
		t.readAnswer()
		return
	}
	if t.f.Finding != Found {
		return
	}
	t.reading = reading{text: t.l.Text.Reveal(), codeFirst: t.policy.CodeFirst}
	switch {
	case t.f.Exempt:
		t.password = t.l.Text
	case t.f.Factor == Gateway || t.f.Factor == NoFactor:
		t.reading.alone, t.f.HasCode = true, true
	case t.f.Factor == PIN:
		t.f.HasCode = true
	case !t.policy.Joined:
		t.password = t.l.Text
	default:
		t.looked = false
		t.look() // S2 needs the account's tokens to find the split
		return
	}
	t.f.Empty = t.f.Factor == Password && t.password.Len() == 0
}

// readAnswer opens the State of a dialogue (row 17).
func (t *attempt) readAnswer() {
	now := t.a.Now()
	d, err := t.a.states.open(t.l.State, t.binding(), now)
	if err != nil {
		t.f.Round = BadRound
		return
	}
	t.f.Round, t.state = AnswerRound, d
	t.f.Proof = d.proof
	t.f.HasCode = true
	t.f.LastTry = int(d.try) >= t.l.Client.Tries
	t.reading = reading{text: t.l.Text.Reveal(), alone: true}
	if d.proof == Open && t.f.Finding == Found {
		p, ok := t.a.kept.get(d.nonce, now)
		if !ok {
			t.f.Round = BadRound
			return
		}
		t.password = p
		t.f.Empty = p.Len() == 0
		t.f.Pair = true // only PAIR leaves the first factor open
	}
}

func (t *attempt) binding() stateBinding {
	return stateBinding{client: t.l.Client.Name, account: t.account, name: t.l.Name, station: t.l.Station}
}

// trace works out where the person is and what was typed, as keyed hashes.
func (t *attempt) trace() {
	if t.user == nil {
		return
	}
	id := t.account.octets()
	if t.l.Client.TrustStation {
		if p, ok := sourceOf(t.l.Station); ok {
			addr := p.Addr().As16()
			t.failKey = t.a.Store.Keyed(domainFailures, []byte(t.user.Directory), []byte(t.user.ID), addr[:])
			if t.account != 0 {
				t.source = t.a.hash(domainSource, id[:], addr[:])
			}
			t.f.SourceOver = t.a.failures.get(t.failKey, t.a.Now()) > t.a.Limits.SourceRate
		}
	}
}

// hash is a keyed hash cut to 64 bits and never zero, which stands for none.
func (a *Authenticator) hash(domain byte, parts ...[]byte) uint64 {
	h := a.Store.Keyed(domain, parts...)
	var v uint64
	for _, c := range h[:8] {
		v = v<<8 | uint64(c)
	}
	return max(v, 1)
}

// look fills in the account's part of the facts for the rows before the lock and finds the split of S2. It runs once; it
// reports whether it ran now, so that the table is asked again before anything is sent.
func (t *attempt) look() bool {
	if t.looked {
		return false
	}
	t.looked = true
	now := t.a.Now()
	err := t.a.Store.View(t.keys(), func(h *Held) {
		acc := held(h)
		t.learn(&t.f, acc, h, now)
		if t.reading.alone || t.f.Exempt || t.policy == nil || !t.policy.Joined || t.f.Factor != Password || t.f.Round != FirstRound {
			return
		}
		e := t.a.evaluate(t.policy, acc, h, t.reading, now, t.a.clockDoubt())
		rest, ok := e.rest, e.digits != 0
		if !ok {
			rest, _, ok = t.reading.split(codeLength(acc, h))
		}
		if !ok {
			rest = t.reading.text
		}
		t.f.HasCode = ok
		t.password = NewSecret(rest)
		t.f.Empty = len(rest) == 0
	})
	if err != nil {
		t.f.Finding = NoAnswer
	}
	return true
}

func held(h *Held) *Account {
	if len(h.Accounts) == 0 {
		return nil
	}
	return h.Accounts[0]
}

func (t *attempt) keys() Keys {
	if t.account == 0 {
		return Keys{}
	}
	return Keys{Accounts: []AccountID{t.account}}
}

// learn fills in what the account says; under the lock it repeats rows 2 and 5 on fresh state.
func (t *attempt) learn(f *Facts, acc *Account, h *Held, now time.Time) {
	if acc == nil {
		return
	}
	g := &acc.Guard
	class := ClassUnknown
	if f.Known = g.Knows(t.source, now); f.Known {
		class = ClassKnown
	}
	f.Stopped = g.Stopped&StopAccount != 0
	f.ClassShut = g.shut(class, now)
	f.WaitBegins = t.a.Limits.missBegins(g, class)
	f.Repeated = acc.Memory.repeated(t.textHash(), t.source, now)
	if t.policy != nil {
		cost, pairCost := t.policy.cost(acc, h, now)
		f.PotEmpty = !t.a.Limits.canPay(g, class, cost, now)
		f.PairFull = g.Spent(PotPair, now)+pairCost > t.a.Limits.PairPot
	}
	if f.Round == AnswerRound {
		switch {
		case t.state.generation != acc.Generation:
			f.Round = BadRound
		case h.Spent != nil && h.Spent(t.state.nonce):
			f.Round = SpentRound
		}
	}
}

func (t *attempt) textHash() uint64 {
	if t.text == 0 {
		id := t.account.octets()
		t.text = t.a.hash(domainText, id[:], t.l.Text.Reveal(), t.l.State)
	}
	return t.text
}

// slots reserves a place of the bind budget (S3).
func (t *attempt) slots() {
	t.purse = purseUnknown
	switch {
	case t.f.Claimed:
		t.purse = purseReserve
	case t.f.Known:
		t.purse = purseKnown
	}
	t.passHash = t.a.hash(domainPassword, []byte(t.user.Directory), []byte(t.user.ID), t.password.Reveal())
	ans := t.a.budget.look(t.userKey(), t.purse, t.passHash, t.a.Directory.FailureLimit(), true, t.a.Now())
	if ans.stale {
		t.f.Proof = Wrong
		return
	}
	t.f.Slots, t.signal = ans.slots, ans.signal
}

func (t *attempt) userKey() string { return t.user.Directory + "\x00" + t.user.ID }

// bind asks the directory. A bind that was sent keeps its slot until it is answered, and for 30 min when it never is.
func (t *attempt) bind() {
	begun := time.Now()
	res, err := t.a.Directory.Authenticate(t.deadline(), t.user, t.password)
	t.stages.Bind += time.Since(begun)
	proof := Wrong
	switch {
	case err != nil:
		t.a.Log.Warn("the directory did not answer a bind", "client", t.l.Client.Name, "error", err)
		t.f.Finding = NoAnswer
		proof = Open
	case res.Barred != 0:
		t.f.Finding, t.f.Why = Barred, res.Barred
		if res.OK {
			proof = Right
		}
	case res.OK:
		proof = Right
	}
	t.a.budget.done(t.userKey(), t.purse, t.passHash, proof, t.a.Now())
	t.f.Proof = proof
	t.f.Slots = SlotsUnknown
}

// wait lets a bind in flight end; it reports false when the gateway gave up first.
func (t *attempt) wait() bool {
	select {
	case <-t.signal:
		t.f.Slots = SlotsUnknown
		return true
	case <-t.deadline().Done():
		s := Step{Row: 7, Do: DoDiscard, Reason: TooLate}
		if t.f.Claimed {
			s.Effects = ReleasePair
		}
		t.end(s)
		return false
	}
}

var errTooLate = errors.New("the gateway has given up")

// lock is row 8: under the account's and its tokens' locks everything is looked at afresh and the attempt is decided,
// except where a pair's second code still needs a bind. It reports whether the attempt has ended.
func (t *attempt) lock() bool {
	begun := time.Now()
	var claimed bool
	var dec Decision
	var event *Event
	err := t.a.Store.Update(t.keys(), func(h *Held) (Change, error) {
		claimed, event = false, nil
		now := t.a.Now()
		if t.late() {
			return Change{}, errTooLate
		}
		acc := held(h)
		f := t.f
		f.Locked = true
		t.learn(&f, acc, h, now)
		doubt := t.a.clockDoubt()
		e := t.a.evaluate(t.policy, acc, h, t.reading, now, doubt)
		t.fit(&f, acc, &e, now)
		s := Table(f)
		set := t.settlement(s, acc, &e, now)
		switch {
		case s.Do == DoClaim:
			claimed = true
			return Change{Memory: claim(acc, set.source, set.client)}, nil
		case s.Do < DoAccept:
			s = Step{Row: 8, Do: DoDiscard, Reason: Fault}
		}
		if s.Do == DoDiscard {
			dec = Decision{Verdict: Discard, Reason: s.Reason, Account: t.account}
			set.step = s
			return Change{Memory: remember(set)}, nil
		}
		ch, d, err := t.change(s, set, f, acc, now)
		dec, event = d, ch.Event
		return ch, err
	}, func(err error) {
		if claimed {
			return
		}
		t.stages.Lock = time.Since(begun)
		t.saved(dec, event, err)
	})
	switch {
	case errors.Is(err, ErrExists):
		t.account = t.a.Store.AccountOf(t.user.Directory, t.user.ID)
		return false
	case err != nil:
		t.failed(err)
		return true
	}
	if claimed {
		t.f.Claimed, t.f.Slots = true, SlotsUnknown
		return false
	}
	return true
}

// fit fills in what the code is to the account's tokens, and compares the PIN.
func (t *attempt) fit(f *Facts, acc *Account, e *evaluation, now time.Time) {
	f.Fit, f.Shut = e.fit, e.shut
	f.ClockDoubt = e.skipped
	if acc != nil {
		f.Second = acc.Memory.pair(t.source, t.l.Client.Name, now).second(e, f.Claimed)
	}
	if f.Factor == PIN {
		f.Proof = Wrong
		f.NoPIN = acc == nil || acc.PIN.IsZero()
		if !f.NoPIN && t.pinMatches(acc, e) {
			f.Proof = Right
		}
	}
}

// pinMatches compares the PIN beside the code that fits; where no code fits, the part beside every split there is, so
// that a right PIN with a wrong code counts as such.
func (t *attempt) pinMatches(acc *Account, e *evaluation) bool {
	if e.digits != 0 {
		return acc.PIN.Matches(t.a.pinKey, acc.ID, e.rest)
	}
	ok := false
	for n := token.MinDigits; n <= token.MaxDigits; n++ {
		if rest, _, cut := t.reading.split(n); cut && acc.PIN.Matches(t.a.pinKey, acc.ID, rest) {
			ok = true
		}
	}
	return ok
}

func (t *attempt) settlement(s Step, acc *Account, e *evaluation, now time.Time) settlement {
	set := settlement{step: s, acc: acc, eval: e, limits: t.a.Limits, now: now, source: t.source, client: t.l.Client.Name,
		counts: true, text: t.textHash()}
	if acc == nil {
		return set
	}
	if acc.Guard.Knows(t.source, now) {
		set.class = ClassKnown
	}
	code := t.reading.text
	if !t.reading.alone {
		if _, c, ok := t.reading.split(int(max(acc.Guard.Digits, token.MinDigits))); ok {
			code = c
		}
	}
	id := acc.ID.octets()
	set.code = t.a.hash(domainCode, id[:], code, []byte(t.l.Client.Service), t.l.Station)
	set.counts = !acc.Memory.counted(set.code, now)
	return set
}

// claim marks the pair of a source as held while a bind is out.
func claim(acc *Account, source uint64, client string) *Memory {
	m := &Memory{Pairs: append([]Pair(nil), acc.Memory.Pairs...), Wrong: acc.Memory.Wrong}
	for i := range m.Pairs {
		if m.Pairs[i].matches(source, client) {
			m.Pairs[i].Claimed = true
		}
	}
	return m
}

// change words an ending as what is saved and what is answered.
func (t *attempt) change(s Step, set settlement, f Facts, acc *Account, now time.Time) (Change, Decision, error) {
	e := t.event(s, now)
	e.Class = set.class
	var ch Change
	ch.Memory = settle(set, e)
	ch.Event = e
	if acc == nil && s.Do == DoAccept && s.Has(Know) {
		// An exempt person's first login: from here on the account carries their timeline.
		id := token.NewID()
		ch.Accounts = []*Account{{ID: AccountID(id), Directory: t.user.Directory, External: t.user.ID, Name: t.user.Name}}
		e.Account = AccountID(id)
	}
	d, err := t.decision(s, f, acc, e, now)
	return ch, d, err
}

// event is the chain's line of an ending.
func (t *attempt) event(s Step, now time.Time) *Event {
	e := &Event{At: now, Kind: LoginEvent, Account: t.account, Verdict: verdictOf(s.Do), Reason: s.Reason, Row: s.Row,
		Method: t.l.Method, Client: t.l.Client.Name, Step: token.NoStep, Digest: t.digest, Stages: t.stages,
		Personal: Personal{Name: t.l.Name, Source: t.l.Source, Station: t.l.Station}}
	e.Stages.Total = time.Since(t.l.Arrived)
	if t.policy != nil {
		e.Policy = t.policy.Name
	}
	if t.f.Round == AnswerRound && s.Do != DoDiscard {
		e.Nonce = t.state.nonce
	}
	return e
}

func verdictOf(d Do) Verdict {
	switch d {
	case DoAccept:
		return Accept
	case DoReject:
		return Reject
	case DoAsk:
		return Challenge
	}
	return Discard
}

// decision is what the gateway is told.
func (t *attempt) decision(s Step, f Facts, acc *Account, e *Event, now time.Time) (Decision, error) {
	d := Decision{Verdict: e.Verdict, Reason: s.Reason, Account: e.Account}
	switch s.Do {
	case DoAccept:
		d.Policy = t.policy
	case DoReject:
		d.Delayed = true
		if s.Has(TellPerson) {
			d.Message = told[s.Reason]
		}
	case DoAsk:
		d.Delayed = f.Blind
		next := dialogue{try: 1, proof: s.Proof}
		if f.Round == AnswerRound {
			next.try = t.state.try + 1
		}
		if acc != nil {
			next.generation = acc.Generation
		}
		state, nonce, err := t.a.states.seal(next, t.binding(), now)
		if err != nil {
			return d, fmt.Errorf("making a State: %w", err)
		}
		if s.Has(KeepPassword) {
			t.a.kept.put(nonce, t.password.Reveal(), now)
		}
		d.State = state
		p := t.l.Client.Prompts
		switch {
		case s.Reason == AskSecondCode:
			d.Message = p.Next
		case next.try > 1:
			d.Message = fmt.Sprintf(p.Again, next.try, max(t.l.Client.Tries, int(next.try)))
		default:
			d.Message = p.First
		}
	}
	return d, nil
}

// told is what a person who proved both factors may read (P4).
var told = map[Reason]string{
	TokenExpired:    "トークンの有効期限が切れました。新しいトークンを登録してください / Token expired, register the new one",
	TokenNotStarted: "トークンの利用開始日前です / This token cannot be used yet",
	TokenSuspended:  "トークンは一時停止中です。窓口へご連絡ください / Token suspended, contact the help desk",
	TokenRevoked:    "トークンは失効しています。窓口へご連絡ください / Token revoked, contact the help desk",
	TokenPending:    "トークンの利用開始登録が済んでいません / Token not registered yet",
}

func (t *attempt) late() bool { return time.Since(t.l.Arrived) >= t.l.Client.Deadline }

// end finishes an attempt that was decided outside the lock.
func (t *attempt) end(s Step) {
	now := t.a.Now()
	if s.Has(CountSource) && t.failKey != [16]byte{} && s.Row >= 10 && s.Row <= 15 {
		t.a.failures.add(t.failKey, now)
	}
	if s.Do != DoDiscard && s.Effects&^(CountSource|KeepText) == 0 && s.Do == DoReject && t.flooding(s, now) {
		t.answer(Decision{Verdict: Reject, Reason: s.Reason, Delayed: true, Account: t.account}, nil)
		return
	}
	begun := time.Now()
	var dec Decision
	var event *Event
	err := t.a.Store.Update(t.keys(), func(h *Held) (Change, error) {
		acc := held(h)
		set := t.settlement(s, acc, &evaluation{}, now)
		if s.Do == DoDiscard {
			dec = Decision{Verdict: Discard, Reason: s.Reason, Account: t.account}
			event = t.event(s, now)
			event.Digest = [16]byte{}
			ch := Change{Event: event}
			if acc != nil {
				ch.Memory = remember(set)
			}
			return ch, nil
		}
		ch, d, err := t.change(s, set, t.f, acc, now)
		dec, event = d, ch.Event
		return ch, err
	}, func(err error) {
		t.stages.Lock = time.Since(begun)
		t.savedCounted(dec, event, err)
	})
	if err != nil {
		t.failed(err)
	}
}

// saved answers after the commit of a decision under the lock, and counts its failure for row 4.
func (t *attempt) saved(d Decision, e *Event, err error) {
	if err == nil && e != nil && e.Verdict != Accept && t.failKey != [16]byte{} && e.Row >= 10 && e.Row <= 15 && e.Row != 13 {
		t.a.failures.add(t.failKey, t.a.Now())
	}
	t.savedCounted(d, e, err)
}

func (t *attempt) savedCounted(d Decision, e *Event, err error) {
	if err != nil {
		t.answer(Decision{Verdict: Discard, Reason: StoreDown, Account: t.account}, nil)
		return
	}
	if e != nil {
		d.Seq = e.Seq
	}
	t.answer(d, e)
}

// failed answers when the store took nothing.
func (t *attempt) failed(err error) {
	d := Decision{Verdict: Discard, Account: t.account}
	switch {
	case errors.Is(err, errTooLate):
		d.Reason = TooLate
	case errors.Is(err, ErrBusy):
		d.Reason = Overloaded
	default:
		d.Reason = StoreDown
		t.a.Log.Error("a login could not be recorded", "client", t.l.Client.Name, "error", err)
	}
	t.answer(d, nil)
}

// answer hands the decision out, once.
func (t *attempt) answer(d Decision, e *Event) {
	if t.cancel != nil {
		t.cancel()
	}
	t.stages.Total = time.Since(t.l.Arrived)
	var notices []Notice
	if e != nil {
		notices = e.Notices
	}
	t.a.Metrics.count(t.l.Client.Name, d.Verdict, d.Reason, notices, t.stages)
	t.logLine(d, e, notices)
	t.done(d)
}

func (a *Authenticator) clockDoubt() bool { return a.Clock != nil && a.Clock.Doubt() }

// repeatVerdict answers a request that was answered before the last start with the same verdict, worked out on today's
// state (S17): nothing is burnt or counted, and after a revoke there is silence. It reports false where the attempt goes
// on as a new one.
func (t *attempt) repeatVerdict() bool {
	e := t.past
	d := Decision{Verdict: e.Verdict, Reason: e.Reason, Repeat: true, Account: t.account, Delayed: e.Verdict == Reject}
	if e.Verdict == Accept {
		ok := t.f.Finding == Found && e.Account == t.account && t.account != 0
		err := t.a.Store.View(t.keys(), func(h *Held) {
			acc := held(h)
			ok = ok && acc != nil && acc.Guard.Stopped&StopAccount == 0
			if ok && !t.f.Exempt {
				ok = stillOpens(t.policy, acc, h, e.Token, t.a.Now())
			}
		})
		d.Policy = t.policy
		if err != nil || !ok {
			d = Decision{Verdict: Discard, Reason: TooLate, Repeat: true, Account: t.account}
		}
	}
	t.answer(d, nil)
	return true
}

func stillOpens(p *Policy, acc *Account, h *Held, id token.ID, now time.Time) bool {
	for _, as := range acc.Assignments {
		if t := h.Token(as.Token); as.Token == id && t != nil {
			return standing(as, t, now) == 0
		}
	}
	return false
}

// line is one attempt on its way to the log.
type line struct {
	at       time.Time
	client   string
	name     string // empty for a name that the directory does not know: people type passwords there
	verdict  Verdict
	reason   Reason
	row      uint8
	account  AccountID
	repeat   bool
	stages   Stages
	notices  []Notice
	source   string
	station  string
	attempts uint32
}

func (t *attempt) logLine(d Decision, e *Event, notices []Notice) {
	l := line{at: t.a.Now(), client: t.l.Client.Name, verdict: d.Verdict, reason: d.Reason, account: d.Account, repeat: d.Repeat,
		stages: t.stages, notices: notices, source: t.l.Source.Addr().String(), station: printable(t.l.Station)}
	if t.user != nil {
		l.name = t.user.Name
	}
	if e != nil {
		l.row = e.Row
	}
	select {
	case t.a.lines <- l:
	default:
		t.a.Metrics.drop()
	}
}

// printable cuts octets from a packet to one short line of text.
func printable(b []byte) string {
	const most = 64
	s := strings.ToValidUTF8(string(b[:min(len(b), most)]), "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
}

// Run writes the log and does the work of each minute until ctx ends. Logins are answered without it too.
func (a *Authenticator) Run(ctx context.Context) {
	a.start()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case l := <-a.lines:
			a.write(l)
		case <-tick.C:
			now := a.Now()
			a.kept.sweep(now)
			a.flushFloods(now)
		case <-ctx.Done():
			for {
				select {
				case l := <-a.lines:
					a.write(l)
				default:
					a.flushFloods(a.Now().Add(time.Minute))
					return
				}
			}
		}
	}
}

func (a *Authenticator) write(l line) {
	level := slog.LevelInfo
	if l.verdict == Discard || len(l.notices) > 0 {
		level = slog.LevelWarn
	}
	args := []any{"client", l.client, "verdict", l.verdict.String(), "reason", l.reason.String(), "row", l.row,
		"ms", float64(l.stages.Total.Microseconds()) / 1000}
	if l.name != "" {
		args = append(args, "user", l.name)
	}
	if l.account != 0 {
		args = append(args, "account", l.account.String())
	}
	if l.station != "" {
		args = append(args, "station", l.station)
	}
	args = append(args, "from", l.source)
	if l.repeat {
		args = append(args, "repeat", true)
	}
	if l.stages.Lookup > 0 {
		args = append(args, "lookup_ms", float64(l.stages.Lookup.Microseconds())/1000)
	}
	if l.stages.Bind > 0 {
		args = append(args, "bind_ms", float64(l.stages.Bind.Microseconds())/1000)
	}
	for _, n := range l.notices {
		args = append(args, "notice", n.String())
	}
	if l.attempts > 1 {
		args = append(args, "attempts", l.attempts)
	}
	args = append(args, "why", l.reason.Sentence())
	a.Log.Log(context.Background(), level, "login", args...)
}
