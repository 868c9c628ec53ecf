package radius

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
)

func withSecret(name, address, secret string) ClientConfig {
	return ClientConfig{Name: name, Addresses: []string{address}, Secret: authn.NewSecret([]byte(secret))}
}

// TestReplaceClients: a new client is answered, one that was taken out is not, and a config with a fault changes nothing.
func TestReplaceClients(t *testing.T) {
	const other = "another secret of enough octets"
	r := newRig(t, accept)
	stranger := netip.MustParseAddrPort("192.0.2.2:40000")
	request := func(id byte, secret string) []byte {
		p := newRequestPacket(id, secret)
		p.Attributes.Add(2, mustHide(p.Authenticator[:], secret, "x"))
		return signed(p)
	}
	if got := r.deliverFrom(authPort, request(1, other), stranger); len(got) != 0 {
		t.Fatal("a stranger got an answer")
	}

	bad := withSecret("fw2", "192.0.2.300", other)
	if err := r.Replace(Config{Clients: []ClientConfig{bad}}, r.auth); err == nil {
		t.Fatal("a config with a fault was taken")
	}
	r.one(pap(2, "x"))

	if err := r.Replace(Config{Clients: []ClientConfig{withSecret("fw2", "192.0.2.2", other)}}, r.auth); err != nil {
		t.Fatal(err)
	}
	if got := r.deliverFrom(authPort, request(3, other), stranger); len(got) != 1 {
		t.Errorf("the new client got %d answers", len(got))
	}
	r.none(authPort, pap(4, "x"))
}

// mustHide hides a short User-Password (RFC 2865 section 5.2).
func mustHide(authenticator []byte, secret, password string) []byte {
	key := newSharedSecret([]byte(secret))
	var room [128]byte
	padded := make([]byte, 16)
	copy(padded, password)
	return bytes.Clone(key.reveal(&room, authenticator, padded)) // for one block hiding and revealing are the same
}

// TestReplaceKeepsAnswers: a repetition gets the octets it got before, as long as its packet passes; what a client has
// counted and holds goes on by its name.
func TestReplaceKeepsAnswers(t *testing.T) {
	r := newRig(t, nil)
	packet := pap(1, "x")
	r.none(authPort, packet)
	before := r.client()
	same := gatewayConfig()
	same.NextSecret = authn.NewSecret([]byte("the secret that comes next, of enough octets"))
	next := &fakeAuth{decide: reject}
	if err := r.Replace(Config{Clients: []ClientConfig{same}, MaxInFlight: 16}, next); err != nil {
		t.Fatal(err)
	}
	if r.client() == before || r.client().standing != before.standing {
		t.Fatal("a client's counters did not go on")
	}
	r.none(authPort, packet) // still worked on
	r.auth.dones[0](authn.Decision{Verdict: authn.Accept, Account: 7})
	if len(r.out.all()) != 1 {
		t.Fatal("the login that was under way got no answer")
	}
	first := r.out.all()[0]
	checkReply(t, packet, first, testSecret, AccessAccept)
	if again := r.one(packet); !bytes.Equal(again, first) {
		t.Error("a repetition got other octets")
	}
	if len(next.seen()) != 0 {
		t.Error("a login was decided twice")
	}
	if n := r.logins.held(); n != 0 {
		t.Errorf("%d places are held by nobody", n)
	}

	changed := withSecret("fw1", "192.0.2.1", "a wholly different secret, of enough octets")
	if err := r.Replace(Config{Clients: []ClientConfig{changed}}, next); err != nil {
		t.Fatal(err)
	}
	r.none(authPort, packet)
}

// versioned accepts or refuses as the client of the login says, and notes logins whose client is of another version.
type versioned struct {
	name  string
	mixed *sync.Map
}

func (v versioned) Authenticate(l *authn.Login, done func(authn.Decision)) {
	if l.Client.Service != v.name {
		v.mixed.Store(l.Client.Service+" at "+v.name, true)
	}
	done(authn.Decision{Verdict: authn.Accept})
}

func (v versioned) RejectDelay(*authn.Client) time.Duration { return 0 }

// TestReplaceUnderLoad replaces the config 50 times while requests come over real sockets: every one is answered, by one
// configuration.
func TestReplaceUnderLoad(t *testing.T) {
	r := newRig(t, nil)
	var mixed sync.Map
	config := func(n int) (Config, Authenticator) {
		name := fmt.Sprintf("v%d", n)
		c := withSecret("fw1", "127.0.0.1", testSecret)
		c.Service = name
		return Config{Listen: []string{"127.0.0.1:0"}, ListenAccounting: []string{"127.0.0.1:0"}, Clients: []ClientConfig{c}}, versioned{name, &mixed}
	}
	s := &Server{Sessions: r.store, Ratchets: r.store, Log: r.Log}
	s.Config, s.Authenticator = config(0)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()

	auth, _ := s.Addresses()
	const workers, each = 4, 200
	var lost sync.Map
	var load sync.WaitGroup
	for w := range workers {
		conn, err := net.Dial("udp", auth[0].String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		load.Go(func() {
			buffer := make([]byte, 4096)
			for i := range each {
				_, _ = conn.Write(pap(byte(i), "x"))
				_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
				if n, err := conn.Read(buffer); err != nil || Code(buffer[0]) != AccessAccept || n < headerLen {
					lost.Store(fmt.Sprint(w, i), err)
				}
			}
		})
	}
	for n := range 50 {
		if err := s.Replace(config(n + 1)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	load.Wait()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	lost.Range(func(k, v any) bool { t.Errorf("request %v: %v", k, v); return true })
	mixed.Range(func(k, _ any) bool { t.Errorf("a login met two configurations: %v", k); return true })
	if n := s.settled.Load().clients[0].counts[authPort][countAccepts].Load(); n != workers*each {
		t.Errorf("%d accepts counted, want %d", n, workers*each)
	}
}
