package authn_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/authn"
	"sekisho/token"
)

// desk is a store of one account without a disk, so that a benchmark sees the login alone. It is used by one goroutine.
type desk struct {
	held  authn.Held
	mac   hash.Hash
	num   [1]byte
	sum   [sha256.Size]byte
	saved authn.Event // of the last change; what it points to may be gone
	keeps bool        // changes are applied; else the account stays as it is
}

func (d *desk) Update(_ authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	ch, err := f(&d.held)
	if err != nil {
		return err
	}
	if ch.Memory != nil {
		d.held.Accounts[0].Memory = *ch.Memory
	}
	d.saved = authn.Event{}
	if ch.Event != nil {
		d.saved = *ch.Event
	}
	if d.keeps {
		d.apply(&d.saved)
	}
	done(nil)
	return nil
}

func (d *desk) apply(e *authn.Event) {
	if e.GuardSet {
		d.held.Accounts[0].Guard.Apply(e.Guard)
	}
	for _, b := range e.Burnt {
		t := d.held.Token(b.Token)
		t.Last, t.Drift, t.DriftDay = max(t.Last, b.Last), b.Drift, b.DriftDay
	}
}

func (d *desk) View(_ authn.Keys, f func(*authn.Held)) error {
	f(&d.held)
	return nil
}

func (d *desk) AccountOf(_, external string) authn.AccountID {
	if external != d.held.Accounts[0].External {
		return 0
	}
	return d.held.Accounts[0].ID
}

func (d *desk) Verdict([16]byte, time.Time, *authn.Event) bool { return false }

func (d *desk) Keyed(domain byte, parts ...[]byte) [16]byte {
	d.mac.Reset()
	d.num[0] = domain
	d.mac.Write(d.num[:])
	for _, p := range parts {
		d.num[0] = byte(len(p))
		d.mac.Write(d.num[:])
		d.mac.Write(p)
	}
	return [16]byte(d.mac.Sum(d.sum[:0])[:16])
}

// deskDirectory knows the desk's one user.
type deskDirectory struct {
	authn.Directory
	user   authn.User
	peeked func(room *authn.User)
}

func (d *deskDirectory) PeekInto(name []byte, _ time.Time, room *authn.User) (found, known bool) {
	if d.peeked != nil {
		d.peeked(room)
	}
	if string(name) != d.user.Name {
		return false, true
	}
	*room = d.user
	return true, true
}

func (*deskDirectory) BindTime() time.Duration { return 0 }

// office is an Authenticator over a desk, and one login with the right code at a trusted, known place.
type office struct {
	*desk
	dir    *deskDirectory
	auth   *authn.Authenticator
	login  *authn.Login
	tokens []*token.Token
	seed   []byte
	now    time.Time
}

// newOffice has a person with one time-based token, whose window has so many steps around now.
func newOffice(t testing.TB, candidates int) *office {
	t.Helper()
	keys, err := token.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	o := &office{desk: &desk{mac: hmac.New(sha256.New, make([]byte, 32))},
		dir: &deskDirectory{user: authn.User{Directory: "none", ID: "alice", Name: "alice"}}, seed: []byte("12345678901234567890"), now: time.Now()}
	tok := &token.Token{ID: 7, Form: token.Software, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, State: token.InUse, Last: token.NoStep}
	if tok.Sealed, err = keys.SealSeed(tok.ID, o.seed); err != nil {
		t.Fatal(err)
	}
	acc := &authn.Account{ID: 9, Directory: "none", External: "alice", Name: "alice", Generation: 1,
		Assignments: []token.Assignment{{Token: tok.ID, Standing: token.Active, Since: 1}}}
	o.tokens = []*token.Token{tok}
	o.held = authn.Held{Accounts: []*authn.Account{acc}, Tokens: o.tokens}
	book := &authn.ReplyBook{Encode: func([]authn.Attribute) ([]byte, error) { return []byte{25, 6, 'a', 'b', 'c', 'd'}, nil }}
	o.auth = &authn.Authenticator{Store: o.desk, Keys: keys, Replies: book, Limits: authn.NormalLimits, Clock: &authn.Clock{},
		Directories: authn.Directories{{Name: "none", Directory: o.dir}},
		Policies: []*authn.Policy{{Name: "codes", First: authn.Gateway, Window: token.Window{Back: candidates / 2, Ahead: (candidates - 1) / 2},
			Reply: []authn.Attribute{{Name: "Class", Value: "abcd"}}}},
		Now: func() time.Time { return o.now }, Log: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))}
	gw := gate()
	gw.GatewayProves = true
	o.login = &authn.Login{Client: gw, Name: []byte("alice"), Text: authn.NewSecret([]byte(tok.Code(o.seed, tok.StepAt(o.now)))), Station: []byte(home),
		Method: authn.PAP, Signed: true, Source: netip.MustParseAddrPort("192.0.2.1:1812"), Packet: make([]byte, 96), Arrived: time.Now()}
	return o
}

// send gives the verdict of the login once more.
func (o *office) send(done func(authn.Decision)) {
	o.login.Arrived = time.Now()
	o.auth.Authenticate(o.login, done)
}

// BenchmarkCodeOnly is one answer to a code alone, without the store's work and the wire's.
func BenchmarkCodeOnly(b *testing.B) {
	for _, n := range []int{1, 3, 10} {
		b.Run(fmt.Sprintf("accept/candidates=%d", n), func(b *testing.B) { newOffice(b, n).bench(b, authn.Accept, authn.OK) })
	}
	b.Run("accept/metrics", func(b *testing.B) {
		o := newOffice(b, 3)
		o.auth.Metrics = authn.NewMetrics(prometheus.NewRegistry())
		o.bench(b, authn.Accept, authn.OK)
	})
	b.Run("used", func(b *testing.B) {
		o := newOffice(b, 3)
		o.tokens[0].Last = o.tokens[0].StepAt(o.now)
		o.bench(b, authn.Reject, authn.AlreadyUsed)
	})
	b.Run("wrong", func(b *testing.B) {
		o := newOffice(b, 3)
		o.tokens[0].Mode, o.tokens[0].Period = token.HOTP, 0 // time goes on, and the codes stay the same
		o.auth.Policies[0].Window.LookAhead = 3
		o.login.Text = authn.NewSecret([]byte("755225")) // one more than the first of RFC 4226's
		o.bench(b, authn.Reject, authn.WrongCode)
	})
	b.Run("unknown", func(b *testing.B) {
		o := newOffice(b, 3)
		o.login.Name = []byte("mallory")
		o.bench(b, authn.Reject, authn.UnknownUser)
	})
	b.Run("repeated", func(b *testing.B) {
		o := newOffice(b, 3)
		o.login.Client.RepeatWithin = 20 * time.Second
		o.send(func(authn.Decision) {})
		o.bench(b, authn.Accept, authn.OKRepeated)
	})
}

func (o *office) bench(b *testing.B, v authn.Verdict, r authn.Reason) {
	right := 0
	done := func(d authn.Decision) {
		if d.Verdict == v && d.Reason == r {
			right++
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if v == authn.Reject {
			// Refusals are kept apart, so that each is worked out in full.
			o.held.Accounts[0].Memory = authn.Memory{}
			o.now = o.now.Add(time.Minute)
		}
		o.send(done)
	}
	if right != b.N {
		b.Fatalf("%d of %d are %v (%v)", right, b.N, v, r)
	}
}
