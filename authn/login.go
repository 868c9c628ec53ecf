package authn

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"sekisho/token"
)

// Keyring opens seeds and derives the keys of PINs and States; *token.Keys is one.
type Keyring interface {
	OpenSeed(dst []byte, id token.ID, s token.SealedSeed) ([]byte, error)
	Derive(purpose string) [32]byte
}

// Authenticator answers logins by one configuration. It is complete after one literal; Metrics, Clock and Former may be
// nil, Epoch zero. A login is answered by the Authenticator that it was given to, to its end; for another configuration a
// new Authenticator goes on with the Former one's memory.
type Authenticator struct {
	Directories Directories
	Store       Store
	Keys        Keyring
	Policies    []*Policy  // the first that names client and user holds
	Replies     *ReplyBook // nil: Accepts carry no attributes
	Spares      Spares     // nil: nothing but tokens opens
	Limits      Limits
	Tell        Tell
	Own         []netip.Prefix // the site's own networks, from where more failures are no alarm
	Epoch       uint32         // of the store; States of another one are dead (S11, S18)
	Clock       *Clock
	Now         func() time.Time
	Log         *slog.Logger
	Metrics     *Metrics
	Batches     bool // the Store says when the answers of a commit are handed out: they carry Decision.Batched
	// Former is the one whose place this takes: open dialogues, the bind budget and the counts of failures go on. It has
	// the same Store, Keys and Epoch. It is let go of with the first login.
	Former *Authenticator

	once  sync.Once
	kinds map[lineKind]slog.Handler // of Run
	*memory
}

// memory is what logins leave behind for later ones, outside the store.
type memory struct {
	pinKey   [32]byte
	states   states
	kept     keeper
	budget   budget
	failures tally // by user and source (row 4)
	alarms   alarms
	memos    memos
	without  enrolment
	floods   flood
	lines    lines
	seeds    [2]maphash.Seed // of mark
}

func (a *Authenticator) start() {
	a.once.Do(func() {
		if a.Former != nil {
			a.Former.start()
			a.memory, a.Former = a.Former.memory, nil
			return
		}
		a.memory = &memory{pinKey: a.Keys.Derive(PINPurpose), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
		a.states.derive, a.states.epoch = a.Keys.Derive, a.Epoch
		a.lines.some = make(chan struct{}, 1)
	})
}

// Domains of Store.Keyed.
const (
	domainDigest byte = iota + 1
	domainSource
	_
	domainText
	domainCode
	domainPassword
	_
	_
	domainMemo
)

// Authenticate takes a login over and calls done exactly once, on any goroutine and perhaps before it returns; an internal
// fault ends as Discard. It never waits: what has to wait (a directory that is not in the cache, a bind) goes on in a
// goroutine of its own. Everything in l but Packet stays untouched by the caller until done is called.
func (a *Authenticator) Authenticate(l *Login, done func(Decision)) {
	a.start()
	t := newAttempt(a, l, done)
	defer t.letGo()
	defer t.rescue()
	t.name = l.Client.Names.Read(a.Directories, l.Name)
	t.digest = t.requestDigest()
	if a.Store.Verdict(t.digest, a.Now(), &t.room.past) {
		t.past = &t.room.past
	}
	if l.Method != PAP {
		t.f.Finding, t.f.Why = Barred, MethodNotTaken
		t.end(Step{Row: 2, Do: DoReject, Reason: MethodNotTaken})
		return
	}
	t.run()
}

// requestDigest knows the request again after a restart (S17). The packet is hashed where it lies.
func (t *attempt) requestDigest() [16]byte {
	client := append(t.room.octets[:0], t.l.Client.Name...)
	source := t.l.Source.AppendTo(client[len(client):])
	parts := append(t.room.parts[:0], client, source, t.l.Packet)
	sum := t.a.Store.Keyed(domainDigest, parts...)
	clear(parts) // the packet is the caller's again
	return sum
}

// RejectDelay is D of S20: refusals to this client leave at whole multiples of it after arrival, so that their moment
// does not tell what was checked. It is at least the configured delay and twice the directory's bind time, and stays
// below the gateway's own retry time.
func (a *Authenticator) RejectDelay(c *Client) time.Duration {
	d := max(c.RejectDelay, 2*a.Directories.BindTime(&c.Names))
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
			if !t.recall() {
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

// goOn continues on a goroutine that may wait.
func (t *attempt) goOn() {
	t.apart = true
	t.hold()
	go func() {
		defer t.letGo()
		defer t.rescue()
		t.run()
	}()
}

// rescue is deferred where an attempt runs: a panic ends that attempt alone, without an answer to the gateway. The value
// of a panic can hold what was typed, so only faults of the runtime are quoted.
func (t *attempt) rescue() {
	if p := recover(); p != nil {
		t.broken.Store(true)
		what := fmt.Sprintf("a %T", p)
		if e, ok := p.(runtime.Error); ok {
			what = e.Error()
		}
		t.a.Log.Error("a login ended in an internal fault", "client", t.l.Client.Name, "fault", what, "stack", string(debug.Stack()))
		t.answer(Decision{Verdict: Discard, Reason: Fault, Account: t.account}, nil)
	}
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
	u, ok := t.a.Directories.Peek(&t.name, t.a.Now(), &t.room.user)
	switch {
	case ok && u == nil:
		t.f.Finding = NobodyFound
	case !ok:
		if !t.apart && t.name.Branch != nil {
			t.goOn()
			return false
		}
		begun := time.Now()
		var err error
		u, err = t.a.Directories.Lookup(t.deadline(), &t.name)
		t.stages.Lookup = time.Since(begun)
		switch {
		case errors.Is(err, ErrUnknownUser):
			t.f.Finding = NobodyFound
		case errors.Is(err, ErrAmbiguousUser):
			t.f.Finding = SeveralFound
		case err != nil:
			t.a.Log.Warn("the directory did not answer", "directory", t.name.Branch.Name, "client", t.l.Client.Name, "error", err)
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
		t.f.Exempt = t.policy.Alone || t.policy.Exempts(u)
		t.f.Factor = t.policy.First
		t.f.Asks = t.policy.Ask && t.l.Client.CanChallenge
		if t.policy.First == Gateway && !t.l.Client.GatewayProves {
			t.f.Finding, t.f.Why = Barred, NoPolicy // the configuration check refuses this
			return
		}
		// Before anything is asked or used: a login that could not be answered in full must not cost a code.
		var err error
		if t.grant, err = t.a.Replies.grant(t.l.Client, u, t.policy); err != nil {
			t.f.Finding, t.f.Why = Barred, ReplyMissing
			_ = errors.As(err, &t.noReply)
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
		if t.f.Blind {
			t.disguise()
		}
		return
	}
	t.reading = reading{text: t.l.Text.Reveal(), code: t.l.Code.Reveal(), apart: t.l.HasCode, codeFirst: t.policy.CodeFirst}
	switch {
	case t.f.Exempt:
		t.password = t.l.Text
	case t.f.Factor == Gateway || t.f.Factor == NoFactor:
		t.reading, t.f.HasCode = reading{text: t.l.lone(), alone: true}, true
	case t.f.Factor == PIN:
		t.f.HasCode = true
	case t.l.HasCode:
		t.password, t.f.HasCode = t.l.Text, t.l.Code.Len() > 0
	case !t.policy.Joined:
		t.password = t.l.Text // with a State still to come; look finds the split of all others
	}
	if t.f.Factor == Password || t.policy.Unenrolled != nil {
		// Rows 1 and 5 come before a bind, and S2 needs the account's tokens to find the split; so does row 3 where it is for
		// those who have none.
		t.looked = false
		t.look()
		t.f.Empty = t.f.Factor == Password && t.password.Len() == 0
	}
}

// disguise makes a blind client's refusal of somebody unknown or barred look like that of a person with a wrong password:
// asked for a code where the policy asks, refused where a code was typed beside the password.
func (t *attempt) disguise() {
	p := t.policy
	if p == nil || p.Deny {
		p = nil
		for _, q := range t.a.Policies {
			if q.Ask && !q.Deny && q.atClient(t.l.Client) {
				p = q
				break
			}
		}
	}
	if p == nil || !p.Ask {
		return
	}
	t.f.Asks = true
	switch {
	case t.l.HasCode:
		t.f.HasCode = t.l.Code.Len() > 0
	case p.Joined:
		_, _, t.f.HasCode = reading{text: t.l.Text.Reveal(), codeFirst: p.CodeFirst}.split(token.MinDigits)
	}
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
	t.reading = reading{text: t.l.lone(), alone: true}
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
	b := stateBinding{client: t.l.Client.Name, account: t.account, station: t.l.Station}
	if b.account == 0 {
		branch, name := t.name.spelling(t.l.Name)
		b.name = slices.Concat([]byte(branch), []byte{0}, name)
	}
	return b
}

// trace works out where the person is, as keyed hashes. Failures of a name that nobody has count as well, so that row 4
// does not tell who exists.
func (t *attempt) trace() {
	if !t.l.Client.TrustStation {
		return
	}
	p, ok := sourceOf(t.l.Station)
	if !ok {
		return
	}
	t.place = p
	if t.account != 0 {
		id := t.account.octets()
		addr := p.Addr().As16()
		t.source = short(t.keyed(domainSource, octets(id[:]), octets(addr[:])))
	}
	if now := t.a.Now(); t.a.failures.any(now) {
		t.f.SourceOver = t.a.failures.get(t.failKey(), now) > t.a.Limits.SourceRate
	}
}

// failKey is under what failures of this user from this source count, where there is one that is trusted.
func (t *attempt) failKey() [16]byte {
	addr := t.place.Addr().As16()
	if t.user == nil {
		branch, name := t.name.spelling(t.l.Name)
		return t.a.mark(letters("name"), letters(branch), octets(name), octets(addr[:]))
	}
	return t.a.mark(letters("user"), letters(t.user.Directory), letters(t.user.ID), octets(addr[:]))
}

// look fills in the account's part of the facts for the rows before the lock and finds the split of S2. It runs once; it
// reports whether it ran now, so that the table is asked again before anything is sent.
func (t *attempt) look() bool {
	if t.looked {
		return false
	}
	t.looked = true
	before := t.withHolder
	err := t.a.Store.View(t.keys(), t.onLook)
	if err == nil && t.withHolder != before {
		err = t.a.Store.View(t.keys(), t.onLook)
	}
	if err != nil {
		t.f.Finding, t.f.Why = NoAnswer, StoreDown
	}
	return true
}

// lookHeld is look with the account held.
func (t *attempt) lookHeld(h *Held) {
	acc, now := held(h), t.a.Now()
	if t.needsHolder(acc) {
		return
	}
	t.f.Unenrolled = t.policy != nil && !t.f.Exempt && t.f.Round == FirstRound
	t.learn(&t.f, acc, h, now)
	if t.f.Unenrolled && t.holder(acc, h) != nil && t.evaluate(acc, h, now, false).fit == FitsOpen {
		t.f.Unenrolled = false // a code for the first login lets more in than none does
	}
	if t.f.Unenrolled {
		t.password = t.l.Text // there is no code in it
		var err error
		if t.lesser, err = t.a.Replies.restricted(t.user, t.policy); err != nil {
			t.f.Finding, t.f.Why = Barred, ReplyMissing
			_ = errors.As(err, &t.noReply)
		}
		return
	}
	if t.reading.alone || t.reading.apart || t.f.Exempt || t.policy == nil || !t.policy.Joined || t.f.Factor != Password || t.f.Round != FirstRound {
		return
	}
	e := t.evaluate(acc, h, now, t.a.clockDoubt())
	rest, ok := e.rest, e.digits != 0
	if !ok && e.live {
		rest, _, ok = t.reading.split(SpareDigits)
	}
	if !ok {
		rest, _, ok = t.reading.split(codeLength(acc, h))
	}
	if !ok {
		rest = t.reading.text
	}
	t.f.HasCode = ok
	t.password = NewSecret(rest)
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
	t.room.accounts[0] = t.account
	k := Keys{Accounts: t.room.accounts[:]}
	if t.withHolder {
		t.room.records[0] = RecordKey{HolderRecord, uint64(t.account)}
		k.Records = t.room.records[:]
	}
	return k
}

// learn fills in what the account says; under the lock it repeats rows 2 and 5 on fresh state.
func (t *attempt) learn(f *Facts, acc *Account, h *Held, now time.Time) {
	if f.Round == AnswerRound && h.Spent != nil && h.Spent(t.state.nonce) {
		f.Round = SpentRound
	}
	// Under the lock a token may have come; what was not so before the first factor was proven is not so now.
	f.Unenrolled = f.Unenrolled && t.policy.Unenrolled.allows(now) && neverHeld(acc, h)
	if acc == nil {
		return
	}
	g := &acc.Guard
	class := ClassUnknown
	if f.Known = g.Knows(t.source, now); f.Known {
		class = ClassKnown
	}
	f.Stopped = g.Stopped&StopAccount != 0 && (t.policy == nil || !t.policy.Alone) // who was stopped may register anew
	f.ClassShut = g.shut(class, now)
	f.WaitBegins = t.a.Limits.missBegins(g, class)
	f.Repeated = len(acc.Memory.Wrong) > 0 && acc.Memory.repeated(t.textHash(), t.source, now)
	if t.policy != nil {
		cost, pairCost := t.cost(acc, h, now)
		f.PotEmpty = !t.a.Limits.canPay(g, class, cost, now)
		f.PairFull = g.Spent(PotPair, now)+pairCost > t.a.Limits.PairPot
	}
	if f.Round == AnswerRound && t.state.generation != acc.Generation {
		f.Round = BadRound
	}
}

func (t *attempt) textHash() uint64 {
	if t.text == 0 {
		id := t.account.octets()
		t.text = short(t.keyed(domainText, octets(id[:]), octets(t.l.Text.Reveal()), octets(t.l.State), octets(t.l.Code.Reveal())))
	}
	return t.text
}

// slots reserves a place of the bind budget (S3).
func (t *attempt) slots() {
	p := purseOf(t.f.Known)
	if t.f.Claimed {
		p = purseReserve
	}
	t.passHash = short(t.keyed(domainPassword, letters(t.user.Directory), letters(t.user.ID), octets(t.password.Reveal())))
	ans := t.a.budget.reserve(t.userKey(), p, t.passHash, t.name.Branch.Directory.FailureLimit(), t.a.Now())
	if ans.stale {
		t.f.Proof = Wrong
		return
	}
	t.f.Slots, t.slot, t.signal = ans.slots, ans.slot, ans.signal
}

func (t *attempt) userKey() string { return t.user.Directory + "\x00" + t.user.ID }

// bind asks the directory. A bind that was sent keeps its slot until it is answered, and for 30 min when it never is; one
// that was not, because the directory is down, costs nothing, and neither does one to an account that is barred.
func (t *attempt) bind() {
	proof, counts := Open, true // and so it stays after a panic: the bind may have reached the directory
	defer func() {
		if !counts {
			t.a.budget.giveBack(t.userKey(), t.slot, t.a.Now())
			return
		}
		t.a.budget.done(t.userKey(), t.slot, t.passHash, proof, t.a.Now())
	}()
	begun := time.Now()
	res, err := t.name.Branch.Directory.Authenticate(t.deadline(), t.user, t.password)
	t.stages.Bind += time.Since(begun)
	switch {
	case err != nil:
		t.a.Log.Warn("the directory did not answer a bind", "directory", t.name.Branch.Name, "client", t.l.Client.Name, "error", err)
		t.f.Finding, counts = NoAnswer, !errors.Is(err, ErrNotSent)
	case res.OK:
		proof = Right
	default:
		proof = Wrong
	}
	if err == nil && res.Barred != 0 {
		// The directory named the bar and counted nothing. Were the password held for refused, the next try would be told it
		// is wrong.
		t.f.Finding, t.f.Why, counts = Barred, res.Barred, false
	}
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
