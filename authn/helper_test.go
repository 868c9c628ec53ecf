package authn_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/storage"
	"sekisho/token"
)

// wallClock is the time of the rules: it stands until a test moves it. Deadlines run on real time.
type wallClock struct{ unix atomic.Int64 }

func (c *wallClock) now() time.Time          { return time.Unix(0, c.unix.Load()).UTC() }
func (c *wallClock) advance(d time.Duration) { c.unix.Add(int64(d)) }

// house is an Authenticator over a real SQLite store, with a directory whose faults a test scripts.
type house struct {
	t      testing.TB
	db     *storage.DB
	auth   *authn.Authenticator
	dir    *people
	clock  *wallClock
	log    *lockedBuffer
	folder string
	outer  *token.OuterKey
	port   atomic.Uint32
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newHouse(t testing.TB, policies ...*authn.Policy) *house {
	t.Helper()
	h := &house{t: t, dir: &people{users: map[string]*authn.User{}, passwords: map[string]string{}}, clock: &wallClock{}, log: &lockedBuffer{}, folder: t.TempDir()}
	h.clock.unix.Store(time.Date(2026, 11, 22, 12, 0, 5, 0, time.UTC).UnixNano())
	for _, d := range []string{"data", "mark"} {
		if err := os.Mkdir(filepath.Join(h.folder, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	path := filepath.Join(h.folder, "outer.key")
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.outer, err = token.LoadOuterKey(path); err != nil {
		t.Fatal(err)
	}
	h.open(policies)
	return h
}

// open opens the store, the second time as after a restart.
func (h *house) open(policies []*authn.Policy) {
	h.t.Helper()
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db, err := storage.Open(context.Background(), storage.Config{Path: filepath.Join(h.folder, "data", "sekisho.db"), Mark: filepath.Join(h.folder, "mark", "mark"),
		MachineID: filepath.Join(h.folder, "none"), Ballast: -1, FreeSpace: -1, Queue: 100_000}, h.outer, storage.Env{Now: h.clock.now, Log: log})
	if err != nil {
		h.t.Fatal(err)
	}
	h.db = db
	h.t.Cleanup(func() { _ = db.Close() })
	replies := &authn.ReplyBook{Encode: encodeReply}
	if h.auth != nil {
		replies = h.auth.Replies
	}
	h.auth = &authn.Authenticator{Directories: authn.Directories{{Name: "corp", Directory: h.dir}}, Store: db, Keys: db.Keys(), Policies: policies,
		Replies: replies, Limits: authn.NormalLimits,
		Clock: &authn.Clock{}, Now: h.clock.now, Log: log}
}

func (h *house) restart() {
	h.t.Helper()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open(h.auth.Policies)
}

// people is a directory in memory that can be told to fail.
type people struct {
	mu        sync.Mutex
	users     map[string]*authn.User // by name in lower case
	passwords map[string]string
	lookups   error
	binds     error
	barred    authn.Reason
	hold      chan struct{} // binds wait for it to close
	uncached  bool          // Peek knows nobody
	threshold int
	sent      atomic.Int64
	panics    bool
}

var errDown = errors.New("connection refused")

func (p *people) Peek(name []byte, _ time.Time) (*authn.User, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.users[strings.ToLower(string(name))]
	return u, u != nil && !p.uncached
}

func (p *people) Lookup(_ context.Context, name []byte) (*authn.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lookups != nil {
		return nil, p.lookups
	}
	if u := p.users[strings.ToLower(string(name))]; u != nil {
		return u, nil
	}
	return nil, authn.ErrUnknownUser
}

func (p *people) Authenticate(ctx context.Context, u *authn.User, password authn.Secret) (authn.BindResult, error) {
	p.sent.Add(1)
	p.mu.Lock()
	want, err, barred, hold, panics := p.passwords[u.ID], p.binds, p.barred, p.hold, p.panics
	p.mu.Unlock()
	if panics {
		panic("the directory's code is broken by " + string(password.Reveal()))
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return authn.BindResult{}, ctx.Err()
		}
	}
	if err != nil {
		return authn.BindResult{}, err
	}
	return authn.BindResult{OK: barred == 0 && want != "" && string(password.Reveal()) == want, Barred: barred}, nil
}

func (p *people) BindTime() time.Duration { return 0 }

func (p *people) FailureLimit() authn.Lockout {
	p.mu.Lock()
	defer p.mu.Unlock()
	return authn.Lockout{Wrong: p.threshold}
}

func (p *people) set(f func(*people)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

// device is a token with its seed, as its owner has it.
type device struct {
	*token.Token
	seed []byte
}

func (d device) code(step int64) string { return d.Code(d.seed, step) }

// person is somebody with an account.
type person struct {
	name    string
	account authn.AccountID
	devices []device
}

type change func(*authn.Account, []*token.Token)

func hotp(_ *authn.Account, ts []*token.Token) {
	for _, t := range ts {
		t.Mode, t.Period = token.HOTP, 0
	}
}

func pending(a *authn.Account, _ []*token.Token) {
	for i := range a.Assignments {
		a.Assignments[i].Standing = token.Pending
	}
}

func standing(s token.Standing) change {
	return func(a *authn.Account, _ []*token.Token) {
		for i := range a.Assignments {
			a.Assignments[i].Standing = s
		}
	}
}

// user puts somebody into the directory.
func (h *house) user(name, password string, groups ...string) {
	h.dir.set(func(p *people) {
		p.users[name] = &authn.User{Directory: "corp", ID: "id-" + name, Name: name, DN: "uid=" + name, Groups: groups}
		p.passwords["id-"+name] = password
	})
}

// newDevice makes a sealed TOTP token.
func (h *house) newDevice() device {
	seed := make([]byte, 20)
	_, _ = rand.Read(seed)
	t := &token.Token{ID: token.NewID(), Form: token.Software, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, State: token.InUse,
		Last: token.NoStep, Fingerprint: h.db.Keys().Fingerprint(seed)}
	sealed, err := h.db.Keys().SealSeed(t.ID, seed)
	if err != nil {
		h.t.Fatal(err)
	}
	t.Sealed = sealed
	return device{t, seed}
}

// person makes a user with an account that holds n tokens.
func (h *house) person(name, password string, n int, changes ...change) *person {
	h.t.Helper()
	h.user(name, password)
	p := &person{name: name, account: authn.AccountID(token.NewID())}
	acc := &authn.Account{ID: p.account, Directory: "corp", External: "id-" + name, Name: name, Generation: 1}
	var tokens []*token.Token
	for range n {
		d := h.newDevice()
		p.devices = append(p.devices, d)
		tokens = append(tokens, d.Token)
		acc.Assignments = append(acc.Assignments, token.Assignment{Token: d.ID, Standing: token.Active, Since: 1})
	}
	for _, c := range changes {
		c(acc, tokens)
	}
	h.act(authn.Keys{Accounts: []authn.AccountID{acc.ID}}, authn.Change{Accounts: []*authn.Account{acc}, Tokens: tokens})
	return p
}

// act saves a change of the life cycle and waits for it.
func (h *house) act(keys authn.Keys, ch authn.Change) {
	h.t.Helper()
	ch.Event = &authn.Event{At: h.clock.now(), Kind: authn.ActEvent, Act: "test", Actor: "test", Step: token.NoStep}
	saved := make(chan error, 1)
	if err := h.db.Update(keys, func(*authn.Held) (authn.Change, error) { return ch, nil }, func(err error) { saved <- err }); err != nil {
		h.t.Fatal(err)
	}
	if err := <-saved; err != nil {
		h.t.Fatal(err)
	}
}

// account copies the state of an account.
func (h *house) account(p *person) authn.Account {
	h.t.Helper()
	var a authn.Account
	if err := h.db.View(authn.Keys{Accounts: []authn.AccountID{p.account}}, func(held *authn.Held) {
		a = *held.Accounts[0]
		a.Assignments = slices.Clone(a.Assignments) // an image is valid only here
		a.Guard.Charges = slices.Clone(a.Guard.Charges)
		a.Guard.Known = slices.Clone(a.Guard.Known)
		a.Assignments = slices.Clone(a.Assignments)
		a.Memory.Pairs = slices.Clone(a.Memory.Pairs)
		a.Memory.Wrong = slices.Clone(a.Memory.Wrong)
	}); err != nil {
		h.t.Fatal(err)
	}
	return a
}

// edit changes an account by an act, which raises its generation.
func (h *house) edit(p *person, f func(*authn.Account), reset authn.Reset) {
	h.t.Helper()
	a := h.account(p)
	a.Generation++
	a.Assignments = slices.Clone(a.Assignments)
	f(&a)
	h.act(authn.Keys{Accounts: []authn.AccountID{p.account}}, authn.Change{Accounts: []*authn.Account{&a}, Reset: reset})
}

func (h *house) last(d device) int64 {
	h.t.Helper()
	var last int64
	if err := h.db.View(authn.Keys{Tokens: []token.ID{d.ID}}, func(held *authn.Held) { last = held.Token(d.ID).Last }); err != nil {
		h.t.Fatal(err)
	}
	return last
}

func (h *house) step(d device) int64 { return d.StepAt(h.clock.now()) }

// gate is a client with everything set, for tests to change.
func gate() *authn.Client {
	return &authn.Client{Name: "gw", Service: "gw", TrustStation: true, CanChallenge: true, Tries: 3, Prompts: authn.DefaultPrompts,
		RejectDelay: time.Second, RetryAfter: 5 * time.Second, Deadline: 20 * time.Second}
}

const home = "198.51.100.7"

// login is one attempt; each is a packet of its own.
func (h *house) login(c *authn.Client, name, text, station string, state []byte) *authn.Login {
	n := h.port.Add(1)
	return &authn.Login{Client: c, Name: []byte(name), Text: authn.NewSecret([]byte(text)), State: state, Station: []byte(station), Method: authn.PAP,
		Source: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(n)), Packet: []byte{1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)},
		Arrived: time.Now()}
}

func (h *house) send(l *authn.Login) authn.Decision {
	h.t.Helper()
	answers := make(chan authn.Decision, 2)
	h.auth.Authenticate(l, func(d authn.Decision) { answers <- d })
	select {
	case d := <-answers:
		return d
	case <-time.After(30 * time.Second):
		h.t.Fatal("no decision after 30 s")
		return authn.Decision{}
	}
}

func (h *house) try(c *authn.Client, name, text, station string, state ...byte) authn.Decision {
	h.t.Helper()
	return h.send(h.login(c, name, text, station, state))
}

// want checks a decision's verdict and reason.
func want(t testing.TB, what string, d authn.Decision, v authn.Verdict, r authn.Reason) {
	t.Helper()
	if d.Verdict != v || d.Reason != r {
		t.Errorf("%s: %v (%v), want %v (%v)", what, d.Verdict, d.Reason, v, r)
	}
	if d.Verdict == authn.Reject && !d.Delayed {
		t.Errorf("%s: the refusal leaves at once", what)
	}
}

// wrong is a code that none of the devices shows within ten steps, and of no step that a test uses twice.
func (h *house) wrong(p *person, n int) string {
	for i := n; ; i += 1000 {
		code := []byte("000000")
		for k, v := 5, i; k >= 0; k, v = k-1, v/10 {
			code[k] = byte('0' + v%10)
		}
		free := true
		for _, d := range p.devices {
			at := h.step(d)
			for s := max(0, at-15); s < at+15; s++ {
				free = free && d.code(s) != string(code)
			}
		}
		if free {
			return string(code)
		}
	}
}

func contextWithCancel(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	return ctx, stop
}

// events are the logins of the chain, newest first.
func (h *house) events() []authn.Event {
	h.t.Helper()
	events, err := h.db.Logins(context.Background(), storage.LoginFilter{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return events
}

func filterBefore(seq uint64) storage.LoginFilter {
	return storage.LoginFilter{Before: seq, Limit: 1000}
}
