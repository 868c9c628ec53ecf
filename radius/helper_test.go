package radius

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
)

const testSecret = "a shared secret of enough octets"

var (
	here    = netip.MustParseAddrPort("192.0.2.10:1812")
	gateway = netip.MustParseAddrPort("192.0.2.1:40000")
)

// fakeAuth answers with decide; nil keeps the login until the test calls done.
type fakeAuth struct {
	delay  time.Duration
	decide func(l *authn.Login) authn.Decision

	mu     sync.Mutex
	logins []authn.Login
	dones  []func(authn.Decision)
}

var _ Authenticator = (*fakeAuth)(nil)

func (f *fakeAuth) Authenticate(l *authn.Login, done func(authn.Decision)) {
	f.mu.Lock()
	f.logins = append(f.logins, cloneLogin(l))
	f.dones = append(f.dones, done)
	f.mu.Unlock()
	if f.decide != nil {
		done(f.decide(l))
	}
}

// cloneLogin copies what belongs to the server again after done.
func cloneLogin(l *authn.Login) authn.Login {
	c := *l
	c.Name, c.State, c.Station, c.Packet = bytes.Clone(l.Name), bytes.Clone(l.State), bytes.Clone(l.Station), bytes.Clone(l.Packet)
	c.Text, c.Code = authn.NewSecret(bytes.Clone(l.Text.Reveal())), authn.NewSecret(bytes.Clone(l.Code.Reveal()))
	return c
}

func (f *fakeAuth) RejectDelay(*authn.Client) time.Duration { return f.delay }

func (f *fakeAuth) seen() []authn.Login {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logins
}

// fakeStore is Sessions and Ratchets.
type fakeStore struct {
	mu     sync.Mutex
	saved  []*authn.Session
	dones  []func(error)
	busy   bool
	hold   bool
	raised map[netip.Addr]bool
}

var (
	_ Sessions = (*fakeStore)(nil)
	_ Ratchets = (*fakeStore)(nil)
)

func (f *fakeStore) SaveSession(s *authn.Session, done func(error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		return authn.ErrBusy
	}
	f.saved = append(f.saved, s)
	f.dones = append(f.dones, done)
	if !f.hold {
		done(nil)
	}
	return nil
}

func (f *fakeStore) RatchetRaised(_ string, a netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.raised[a]
}

func (f *fakeStore) RaiseRatchet(_ string, a netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.raised[a] = true
}

// outbox takes the answers in the place of a socket.
type outbox struct {
	mu   sync.Mutex
	sent [][]byte
	at   []time.Time
}

func (o *outbox) send(b []byte, _ *path) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, bytes.Clone(b))
	o.at = append(o.at, time.Now())
	return nil
}

// queue sends at once: the moment of a flush is tested over real sockets.
func (o *outbox) queue(b []byte, p *path, _ func(netip.Addr, error)) { _ = o.send(b, p) }

func (o *outbox) all() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent
}

// rig is a server without sockets.
type rig struct {
	*Server
	t     testing.TB
	auth  *fakeAuth
	store *fakeStore
	out   *outbox
	log   *safeBuffer
}

// safeBuffer is a log that tests read while the server writes.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func accept(*authn.Login) authn.Decision { return authn.Decision{Verdict: authn.Accept, Account: 7} }

func reject(*authn.Login) authn.Decision {
	return authn.Decision{Verdict: authn.Reject, Reason: authn.WrongCode, Delayed: true}
}

func gatewayConfig() ClientConfig {
	return ClientConfig{Name: "fw1", Addresses: []string{"192.0.2.1"}, Secret: authn.NewSecret([]byte(testSecret))}
}

// newRig makes a server for the clients; without any, for the gateway.
func newRig(t testing.TB, decide func(*authn.Login) authn.Decision, clients ...ClientConfig) *rig {
	t.Helper()
	if len(clients) == 0 {
		clients = []ClientConfig{gatewayConfig()}
	}
	r := &rig{t: t, auth: &fakeAuth{decide: decide}, store: &fakeStore{raised: map[netip.Addr]bool{}}, out: &outbox{}, log: &safeBuffer{}}
	r.Server = &Server{Config: Config{Clients: clients}, Authenticator: r.auth, Sessions: r.store, Ratchets: r.store,
		Log: slog.New(slog.NewTextHandler(r.log, nil))}
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	return r
}

// deliver hands a datagram over as if it had come from the gateway, and gives the answers that left meanwhile.
func (r *rig) deliver(on port, b []byte) [][]byte { return r.deliverFrom(on, b, gateway) }

func (r *rig) deliverFrom(on port, b []byte, from netip.AddrPort) [][]byte {
	before := len(r.out.all())
	r.handle(on, bytes.Clone(b), &path{via: r.out, local: here, remote: from})
	return r.out.all()[before:]
}

// one delivers to the port for logins and wants exactly one answer.
func (r *rig) one(b []byte) []byte {
	r.t.Helper()
	got := r.deliver(authPort, b)
	if len(got) != 1 {
		r.t.Fatalf("%d answers instead of one; log:\n%s", len(got), r.log)
	}
	return got[0]
}

// none delivers and wants silence.
func (r *rig) none(on port, b []byte) {
	r.t.Helper()
	if got := r.deliver(on, b); len(got) != 0 {
		r.t.Fatalf("an answer of code %d instead of silence", got[0][0])
	}
}

func (r *rig) client() *client { return r.settled.Load().clients[0] }

// wantFault checks that exactly one fault was counted since the rig was made.
func (r *rig) wantFault(f fault) {
	r.t.Helper()
	for i := noFault + 1; i < faultEnd; i++ {
		want := uint64(0)
		if i == f {
			want = 1
		}
		if got := r.client().faults[i].Load(); got != want {
			r.t.Errorf("fault %v counted %d times, want %d", i, got, want)
		}
	}
}

// newRequestPacket makes an Access-Request for nemo by layeh's package, so that two implementations meet.
func newRequestPacket(id byte, secret string) *layeh.Packet {
	p := layeh.New(layeh.CodeAccessRequest, []byte(secret))
	p.Identifier = id
	must(rfc2865.UserName_SetString(p, "nemo"))
	return p
}

func papPacket(id byte, password string) *layeh.Packet {
	p := newRequestPacket(id, testSecret)
	must(rfc2865.UserPassword_SetString(p, password))
	return p
}

// signed encodes a packet with a Message-Authenticator as its first attribute.
func signed(p *layeh.Packet) []byte {
	p.Attributes = append(layeh.Attributes{{Type: attrMessageAuth, Attribute: make([]byte, 16)}}, p.Attributes...)
	return sign(unsigned(p), string(p.Secret), headerLen+2)
}

// sign fills the Message-Authenticator whose octets begin at an offset, by the words of RFC 3579 section 3.2.
func sign(b []byte, secret string, at int) []byte {
	copy(b[at:at+16], make([]byte, 16))
	h := hmac.New(md5.New, []byte(secret))
	h.Write(b)
	copy(b[at:], h.Sum(nil))
	return b
}

func unsigned(p *layeh.Packet) []byte {
	b, err := p.Encode()
	must(err)
	return b
}

func pap(id byte, password string) []byte { return signed(papPacket(id, password)) }

// rawAttr appends an attribute to a packet and mends its length.
func rawAttr(b []byte, typ byte, value []byte) []byte {
	b = append(append(bytes.Clone(b), typ, byte(len(value)+2)), value...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// checkReply verifies an answer's authenticators by its own computation, and that the Message-Authenticator comes first.
func checkReply(t testing.TB, request, reply []byte, secret string, code Code) *layeh.Packet {
	t.Helper()
	if Code(reply[0]) != code {
		t.Fatalf("code %d instead of %d", reply[0], code)
	}
	if reply[1] != request[1] {
		t.Fatalf("identifier %d instead of %d", reply[1], request[1])
	}
	if !layeh.IsAuthenticResponse(reply, request, []byte(secret)) {
		t.Fatal("Response Authenticator is wrong")
	}
	if Code(request[0]) != AccountingRequest {
		if len(reply) < headerLen+18 || reply[headerLen] != attrMessageAuth || reply[headerLen+1] != 18 {
			t.Fatal("Message-Authenticator is not the first attribute")
		}
		b := bytes.Clone(reply)
		copy(b[4:], request[4:20])
		if !bytes.Equal(sign(b, secret, headerLen+2)[headerLen+2:headerLen+18], reply[headerLen+2:headerLen+18]) {
			t.Fatal("Message-Authenticator is wrong")
		}
	}
	p, err := layeh.Parse(reply, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

var errTest = errors.New("on purpose")
