package radius

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
)

func withProxyState(b ...string) []byte {
	p := papPacket(1, "secret code")
	for _, s := range b {
		p.Add(attrProxyState, []byte(s))
	}
	return unsigned(p)
}

// TestMessageAuthPolicy goes through the policies of a client.
func TestMessageAuthPolicy(t *testing.T) {
	no := false
	eap := newRequestPacket(1, testSecret)
	eap.Add(attrEAPMessage, []byte{2, 1, 0, 4})
	for _, x := range []struct {
		name   string
		mode   string
		limit  *bool
		packet []byte
		fault  fault
	}{
		{"required, absent", "required", nil, unsigned(papPacket(1, "x")), faultMessageAuthMissing},
		{"required, absent, no limit", "required", &no, withProxyState("a"), faultMessageAuthMissing},
		{"required, present", "required", nil, pap(1, "x"), noFault},
		{"off, absent", "off", nil, unsigned(papPacket(1, "x")), noFault},
		{"off, present", "off", nil, pap(1, "x"), noFault},
		{"off, wrong", "off", nil, sign(pap(1, "x"), "other", headerLen+2), faultMessageAuthWrong},
		{"off, Proxy-State", "off", nil, withProxyState("a"), faultProxyState},
		{"off, Proxy-State allowed", "off", &no, withProxyState("a"), noFault},
		{"off, EAP", "off", nil, unsigned(eap), faultMessageAuthMissing},
		{"ratchet, absent", "ratchet", nil, unsigned(papPacket(1, "x")), noFault},
		{"ratchet, Proxy-State", "ratchet", nil, withProxyState("a"), faultProxyState},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := gatewayConfig()
			c.MessageAuthenticator, c.LimitProxyState = x.mode, x.limit
			r := newRig(t, accept, c)
			if x.fault != noFault {
				r.none(authPort, x.packet)
			} else {
				checkReply(t, x.packet, r.one(x.packet), testSecret, AccessAccept)
			}
			r.wantFault(x.fault)
		})
	}
}

// TestSigned: a login says whether its Message-Authenticator was verified.
func TestSigned(t *testing.T) {
	c := gatewayConfig()
	c.MessageAuthenticator, c.RepeatWithin = "ratchet", 20*time.Second
	var logins []authn.Login
	r := newRig(t, func(l *authn.Login) authn.Decision {
		logins = append(logins, *l)
		return accept(l)
	}, c)
	r.one(unsigned(papPacket(1, "x")))
	r.one(pap(2, "x"))
	if len(logins) != 2 || logins[0].Signed || !logins[1].Signed || logins[1].Client.RepeatWithin != 20*time.Second {
		t.Errorf("logins %+v", logins)
	}
}

func TestRatchet(t *testing.T) {
	c := gatewayConfig()
	c.MessageAuthenticator = "ratchet"
	plain := func(id byte) []byte { return unsigned(papPacket(id, "x")) }
	status := func(id byte) []byte {
		return sign(rawAttr(append([]byte{12, id, 0, 20}, make([]byte, 16)...), attrMessageAuth, make([]byte, 16)), testSecret, headerLen+2)
	}
	r := newRig(t, accept, c)
	r.one(plain(1))
	r.one(status(2))
	eap := newRequestPacket(3, testSecret)
	eap.Add(attrEAPMessage, []byte{2, 1, 0, 4})
	r.one(signed(eap))
	r.none(authPort, sign(pap(4, "x"), "other", headerLen+2))
	r.one(plain(5)) // neither Status-Server nor EAP nor a forgery has moved it
	r.one(pap(6, "x"))
	if !r.store.raised[gateway.Addr()] {
		t.Fatal("a valid Message-Authenticator did not raise the ratchet")
	}
	r.none(authPort, plain(7))
	r.one(pap(8, "x"))
	r.none(authPort, plain(9)) // it never turns down by itself

	again := newRig(t, accept, c) // a restart with the same storage
	again.store.raised[gateway.Addr()] = true
	again.none(authPort, plain(1))
}

func TestRotation(t *testing.T) {
	c := gatewayConfig()
	c.NextSecret = authn.NewSecret([]byte("the secret that comes next, later"))
	c.MessageAuthenticator = "off"
	r := newRig(t, accept, c)
	next := string(c.NextSecret.Reveal())
	p := newRequestPacket(1, next)
	must(rfc2865.UserPassword_SetString(p, "secret code"))
	b := signed(p)
	checkReply(t, b, r.one(b), next, AccessAccept)
	b = pap(2, "secret code")
	checkReply(t, b, r.one(b), testSecret, AccessAccept)
	b = unsigned(papPacket(3, "secret code")) // nothing tells which secret it is: the present one
	checkReply(t, b, r.one(b), testSecret, AccessAccept)
	for i, l := range r.auth.seen() {
		if string(l.Text.Reveal()) != "secret code" {
			t.Errorf("login %d has another text", i)
		}
	}
}

func TestGarbledPassword(t *testing.T) {
	c := gatewayConfig()
	c.MessageAuthenticator = "off"
	r := newRig(t, reject, c)
	for i := range 3 {
		p := newRequestPacket(byte(i), "not the secret at all")
		must(rfc2865.UserPassword_SetString(p, "secret code"))
		r.deliver(authPort, unsigned(p))
	}
	if n := strings.Count(r.log.String(), "probably wrong shared secret"); n != 1 {
		t.Errorf("said %d times:\n%s", n, r.log)
	}
	for text, want := range map[string]bool{"0123456789abcdef": false, "パスワード": false, "gr\xfc\xdfe\x00\x00": false, "a\x01b": true, "\xff\xfe\xfd": true, "": false} {
		head, rest, _ := bytes.Cut([]byte(text), []byte{0})
		if strings.Contains(text, "\x00") {
			rest = make([]byte, 3)
		}
		if got := garbled(head, rest); got != want {
			t.Errorf("garbled(%q) = %v", text, got)
		}
	}
}

// TestDuplicates holds RFC 5080 section 2.2.2: the same packet gets the same octets and changes nothing.
func TestDuplicates(t *testing.T) {
	r := newRig(t, nil)
	b := pap(9, "secret code")
	r.none(authPort, b)
	r.none(authPort, b) // worked on: silence
	r.auth.dones[0](authn.Decision{Verdict: authn.Accept})
	first := r.out.all()[0]
	for range 3 {
		if !bytes.Equal(r.one(b), first) {
			t.Fatal("a repetition got other octets")
		}
	}
	if n := len(r.auth.seen()); n != 1 {
		t.Errorf("%d logins", n)
	}
	if n := r.client().counts[authPort][countDuplicates].Load(); n != 4 {
		t.Errorf("%d duplicates counted", n)
	}
	r.auth.dones[0](authn.Decision{Verdict: authn.Reject}) // a second done changes nothing
	if n := len(r.out.all()); n != 4 {
		t.Errorf("%d answers", n)
	}
	other := netip.AddrPortFrom(gateway.Addr(), gateway.Port()+1)
	if got := r.deliverFrom(authPort, b, other); len(got) != 0 || len(r.auth.seen()) != 2 {
		t.Error("the same packet from another port is another request")
	}
}

// TestReusedIdentifier: another packet under the same identifier replaces the first, whose answer is never sent.
func TestReusedIdentifier(t *testing.T) {
	r := newRig(t, nil)
	old, fresh := pap(9, "old"), pap(9, "new")
	r.none(authPort, old)
	r.none(authPort, fresh)
	r.auth.dones[0](authn.Decision{Verdict: authn.Accept})
	if len(r.out.all()) != 0 {
		t.Fatal("the answer of an abandoned request was sent")
	}
	r.auth.dones[1](authn.Decision{Verdict: authn.Accept})
	checkReply(t, fresh, r.out.all()[0], testSecret, AccessAccept)
	r.none(authPort, old) // again a new request
	if n := len(r.auth.seen()); n != 3 {
		t.Errorf("%d logins", n)
	}
	if r.conflicts.Load() != 0 {
		t.Error("a reused identifier is no alarm")
	}
}

// TestConflict: the same Request Authenticator over other octets is an alarm and a new request (S17).
func TestConflict(t *testing.T) {
	r := newRig(t, accept)
	p := papPacket(9, "first")
	first := signed(p)
	r.one(first)
	q := newRequestPacket(9, testSecret)
	q.Authenticator = p.Authenticator
	must(rfc2865.UserPassword_SetString(q, "second"))
	second := signed(q)
	checkReply(t, second, r.one(second), testSecret, AccessAccept)
	if n := len(r.auth.seen()); n != 2 || r.conflicts.Load() != 1 {
		t.Errorf("%d logins, %d conflicts", n, r.conflicts.Load())
	}
	if n := strings.Count(r.log.String(), "ALARM"); n != 1 {
		t.Errorf("%d alarms", n)
	}
}

// TestForget: after a revocation a repetition of the packet that got in gets silence (S13).
func TestForget(t *testing.T) {
	r := newRig(t, accept)
	b := pap(1, "secret code")
	r.one(b)
	r.Forget(8)
	r.one(b)
	size := r.cache.size()
	r.Forget(7)
	r.none(authPort, b)
	if n := len(r.auth.seen()); n != 1 {
		t.Errorf("%d logins", n)
	}
	refused := pap(2, "x")
	r.auth.decide = func(*authn.Login) authn.Decision { return authn.Decision{Verdict: authn.Reject, Account: 7} }
	r.one(refused)
	size += len(r.out.all()[0])
	r.Forget(7)
	r.one(refused) // a refusal opens nothing and stays
	if r.cache.size() >= size+entryBytes {
		t.Error("the octets of a silenced answer are still accounted for")
	}
}

// senderFunc is a socket for one test.
type senderFunc func(b []byte) error

func (f senderFunc) send(b []byte, _ *path) error                       { return f(b) }
func (f senderFunc) queue(b []byte, _ *path, _ func(netip.Addr, error)) { _ = f(b) }

// TestForgetWaitsForRepetitions: an Accept that a repetition found in the cache is on the wire before Forget returns, or
// never. Else it could overtake the acknowledgement of a revocation (S13).
func TestForgetWaitsForRepetitions(t *testing.T) {
	r := newRig(t, accept)
	b := pap(1, "secret code")
	r.one(b)
	sent := 0
	r.handle(authPort, b, &path{local: here, remote: gateway, via: senderFunc(func([]byte) error {
		sent++
		if r.cache.mu.TryLock() {
			r.cache.mu.Unlock()
			t.Error("Forget could have returned before the Accept left")
		}
		return nil
	})})
	if sent != 1 {
		t.Errorf("%d answers to a repetition", sent)
	}
	key := requestKey{here, gateway, AccessRequest, 1}
	r.Forget(7)
	r.cache.again(key, b, func([]byte) { t.Error("an Accept that was found before a revocation left after it") })
}

func TestSlots(t *testing.T) {
	t0 := time.Now()
	for _, x := range []struct{ ready, d, want time.Duration }{
		{0, time.Second, time.Second}, {1, time.Second, time.Second}, {time.Second, time.Second, time.Second},
		{time.Second + 1, time.Second, 2 * time.Second}, {2500 * time.Millisecond, time.Second, 3 * time.Second},
		{700 * time.Millisecond, 250 * time.Millisecond, 750 * time.Millisecond}, {time.Second, 0, time.Second},
	} {
		if got := slot(t0, t0.Add(x.ready), x.d).Sub(t0); got != x.want {
			t.Errorf("ready after %v with %v: %v, want %v", x.ready, x.d, got, x.want)
		}
	}
}

// TestRefusalsLeaveInSlots: whatever took how long, refusals leave at the same moments (S20), and not after the deadline.
func TestRefusalsLeaveInSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.auth.delay = time.Second
		start := time.Now()
		ready := []time.Duration{0, time.Millisecond, 400 * time.Millisecond, 999 * time.Millisecond, 1001 * time.Millisecond, 1500 * time.Millisecond, 7500 * time.Millisecond}
		var packets [][]byte
		for i := range ready {
			packets = append(packets, pap(byte(i), "x"))
			r.none(authPort, packets[i])
		}
		over := pap(100, "x")
		r.none(authPort, over)
		for i, d := range ready {
			time.Sleep(time.Until(start.Add(d)))
			r.auth.dones[i](authn.Decision{Verdict: authn.Reject, Delayed: true})
			if d == 0 {
				r.none(authPort, packets[i]) // waiting for its time: silence
			}
		}
		time.Sleep(time.Until(start.Add(7900 * time.Millisecond)))
		// It is ready in time, but its slot of 8 s is the last moment of the deadline; one ready later has none.
		time.Sleep(time.Until(start.Add(8001 * time.Millisecond)))
		r.auth.dones[len(ready)](authn.Decision{Verdict: authn.Reject, Delayed: true})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		want := []time.Duration{1, 1, 1, 1, 2, 2, 8}
		if len(r.out.at) != len(want) {
			t.Fatalf("%d answers, want %d", len(r.out.at), len(want))
		}
		for i, at := range r.out.at {
			if got := at.Sub(start); got != want[i]*time.Second {
				t.Errorf("answer %d left after %v, want %v s", i, got, int(want[i]))
			}
		}
		r.wantFault(faultLate)
		r.none(authPort, over)
		r.one(packets[0])
		if n := r.waiting.held(); n != 0 {
			t.Errorf("%d places are still held", n)
		}
	})
}

// TestLateAccept: after the deadline nothing is sent by itself, but a gateway that still asks gets its answer.
func TestLateAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		b := pap(1, "x")
		r.none(authPort, b)
		time.Sleep(8*time.Second + 1)
		r.auth.dones[0](authn.Decision{Verdict: authn.Accept})
		if len(r.out.all()) != 0 {
			t.Fatal("an answer left after the deadline")
		}
		r.wantFault(faultLate)
		r.one(b)
		time.Sleep(22 * time.Second)
		r.none(authPort, b) // 30 s old: a new request
		if n := len(r.auth.seen()); n != 2 {
			t.Errorf("%d logins", n)
		}
	})
}

// TestRefusalsAreEqual: refusals differ in nothing but identifier and authenticators, whatever the reason (I8, B24).
func TestRefusalsAreEqual(t *testing.T) {
	var want []byte
	for i, reason := range authn.Reasons() {
		r := newRig(t, func(*authn.Login) authn.Decision {
			return authn.Decision{Verdict: authn.Reject, Reason: reason, Delayed: true, Account: authn.AccountID(i % 3)}
		})
		b := pap(byte(i), "x")
		got := bytes.Clone(r.one(b))
		checkReply(t, b, got, testSecret, AccessReject)
		got[1] = 0
		clear(got[4:20])
		clear(got[22:38])
		if want == nil {
			want = got
		} else if !bytes.Equal(got, want) {
			t.Errorf("%v: % x, want % x", reason, got, want)
		}
	}
	if len(want) != headerLen+messageAuthLen {
		t.Errorf("a refusal has %d octets", len(want))
	}
}

func TestDiscardIsWorkedOnAgain(t *testing.T) {
	r := newRig(t, func(*authn.Login) authn.Decision {
		return authn.Decision{Verdict: authn.Discard, Reason: authn.DirectoryDown}
	})
	b := pap(1, "x")
	r.none(authPort, b)
	r.auth.decide = accept
	r.one(b)
	if r.logins.held() != 0 {
		t.Error("places are still held")
	}
}

// TestFairShare: one client that floods cannot take the last half of the places, and answers to a challenge get more.
func TestFairShare(t *testing.T) {
	hog, calm := gatewayConfig(), gatewayConfig()
	calm.Name, calm.Addresses = "fw2", []string{"192.0.2.2"}
	r := newRig(t, nil, hog, calm)
	r.logins = newPlaces(64, loginPlaces)
	var b [][]byte
	for i := range 100 {
		b = append(b, pap(byte(i), "x"))
		r.deliver(authPort, b[i])
	}
	if n := len(r.auth.seen()); n != 32 {
		t.Fatalf("the flood got %d of 64 places", n)
	}
	for i := range 10 {
		r.deliverFrom(authPort, pap(byte(i), "x"), netip.MustParseAddrPort("192.0.2.2:5000"))
	}
	if n := len(r.auth.seen()); n != 42 {
		t.Errorf("the calm client got %d places of 10", n-32)
	}
	if n := r.settled.Load().clients[0].faults[faultOverload].Load(); n != 68 {
		t.Errorf("%d dropped", n)
	}
	if !strings.Contains(r.log.String(), faults[faultOverload].text) {
		t.Error("overload is not mentioned")
	}
	r.auth.dones[0](authn.Decision{Verdict: authn.Accept})
	r.deliver(authPort, b[99]) // the gateway's repetition of what was dropped
	if n := len(r.auth.seen()); n != 42 {
		t.Error("the flood got a place that is not free for it")
	}
	p := papPacket(200, "x")
	p.Add(attrState, []byte("state"))
	r.deliver(authPort, signed(p))
	if n := len(r.auth.seen()); n != 43 {
		t.Error("the answer to a challenge got no place")
	}
	for _, done := range r.auth.dones[1:] {
		done(authn.Decision{Verdict: authn.Discard})
	}
	if n := r.logins.held(); n != 0 {
		t.Errorf("%d places are still held", n)
	}
}

// TestPanicEndsOneRequest: before and after the decision; the log names the fault and no secret.
func TestPanicEndsOneRequest(t *testing.T) {
	r := newRig(t, func(l *authn.Login) authn.Decision {
		switch string(l.Name) {
		case "boom":
			panic(fmt.Sprintf("the password was %s", l.Text.Reveal()))
		case "index":
			_ = l.Name[len(l.Packet)]
		}
		return authn.Decision{Verdict: authn.Accept}
	})
	for i, name := range []string{"boom", "index"} {
		p := papPacket(byte(i), "canary-5f2e")
		must(rfc2865.UserName_SetString(p, name))
		r.none(authPort, signed(p))
	}
	r.one(pap(9, "x"))
	if n := r.client().faults[faultPanic].Load(); n != 2 {
		t.Errorf("%d panics counted", n)
	}
	if n := r.logins.held(); n != 0 {
		t.Errorf("%d places are still held", n)
	}
	log := r.log.String()
	if strings.Contains(log, "canary") {
		t.Error("the log holds the password")
	}
	if !strings.Contains(log, "index out of range") || !strings.Contains(log, "a string") || !strings.Contains(log, "access_test.go") {
		t.Errorf("the log does not tell where:\n%s", log)
	}
	r.open.Wait() // nothing is left open

	late := newRig(t, nil)
	late.none(authPort, pap(1, "x"))
	late.client().authenticator = panickyDelay{late.auth}
	late.auth.dones[0](authn.Decision{Verdict: authn.Reject})
	late.open.Wait()
	if late.logins.held() != 0 || late.client().faults[faultPanic].Load() != 1 {
		t.Error("a panic behind the decision is not contained")
	}
}

type panickyDelay struct{ *fakeAuth }

func (panickyDelay) RejectDelay(*authn.Client) time.Duration { panic(errTest) }

// TestNoSecretInLog sends canaries along every road that writes a line.
func TestNoSecretInLog(t *testing.T) {
	const secret, password = "canary-secret-0001", "canary-word-0002"
	c := gatewayConfig()
	c.Secret, c.MessageAuthenticator = authn.NewSecret([]byte(secret)), "off"
	r := newRig(t, reject, c)
	mk := func(id byte, change func(p *layeh.Packet)) *layeh.Packet {
		p := newRequestPacket(id, secret)
		must(rfc2865.UserPassword_SetString(p, password))
		change(p)
		return p
	}
	r.deliver(authPort, unsigned(mk(1, func(*layeh.Packet) {})))
	r.deliver(authPort, unsigned(mk(2, func(p *layeh.Packet) { p.Set(attrUserPassword, []byte(password)) })))
	r.deliver(authPort, unsigned(mk(3, func(p *layeh.Packet) { p.Set(attrUserPassword, []byte("canary-raw")) })))
	r.deliver(authPort, sign(signed(mk(4, func(*layeh.Packet) {})), "canary-other", headerLen+2))
	r.deliver(authPort, rawAttr(unsigned(mk(5, func(*layeh.Packet) {})), 0, []byte("canary")))
	for f := noFault + 1; f < faultEnd; f++ {
		r.discard(authPort, r.client(), f, gateway.Addr(), time.Now())
	}
	if log := r.log.String(); strings.Contains(log, "canary") || len(log) < 1000 {
		t.Errorf("log:\n%s", log)
	}
	if text := fmt.Sprintf("%v %+v %#v", r.Config, r.Config, r.Config); strings.Contains(text, "canary") {
		t.Error("the config prints its secrets")
	}
}

// TestIdentifierWrap sends 10,000 requests from one port, so that each identifier is used some 39 times, with answers in
// any order (B32): every answer belongs to its request or is not sent at all.
func TestIdentifierWrap(t *testing.T) {
	r := newRig(t, nil)
	r.logins = newPlaces(1<<20, loginPlaces)
	rng := rand.New(rand.NewPCG(1, 2))
	const rounds, window = 39, 256
	for round := range rounds {
		var packets [][]byte
		base := len(r.auth.seen())
		for id := range window {
			p := newRequestPacket(byte(id), testSecret)
			must(rfc2865.UserPassword_SetString(p, fmt.Sprintf("%d-%d", round, id)))
			packets = append(packets, signed(p))
			r.none(authPort, packets[id])
		}
		if n := len(r.auth.seen()) - base; n != window {
			t.Fatalf("round %d: %d of %d requests were taken", round, n, window)
		}
		for _, i := range rng.Perm(window) {
			before := len(r.out.all())
			r.auth.dones[base+i](authn.Decision{Verdict: authn.Accept})
			got := r.out.all()[before:]
			if len(got) != 1 {
				t.Fatalf("%d answers", len(got))
			}
			checkReply(t, packets[i], got[0], testSecret, AccessAccept)
		}
	}
}

// TestParallel runs duplicates of one packet against each other under the race detector: one login, equal answers.
func TestParallel(t *testing.T) {
	r := newRig(t, accept)
	var wg sync.WaitGroup
	for i := range 8 {
		b := pap(byte(i), "x")
		for range 8 {
			wg.Go(func() { r.handle(authPort, bytes.Clone(b), &path{via: r.out, local: here, remote: gateway}) })
		}
	}
	wg.Wait()
	if n := len(r.auth.seen()); n != 8 {
		t.Errorf("%d logins of 8", n)
	}
	answers := map[byte]string{}
	for _, b := range r.out.all() {
		if old, ok := answers[b[1]]; ok && old != string(b) {
			t.Error("one request got two answers")
		}
		answers[b[1]] = string(b)
	}
}

// BenchmarkAccess is one login through all of the wire but the sockets.
func BenchmarkAccess(b *testing.B) {
	r := newRig(b, accept)
	r.cache.limit = 1 << 40
	r.Authenticator = instant{}
	at := path{via: nowhere{}, local: here}
	packet := pap(0, "secret code")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at.remote = netip.AddrPortFrom(gateway.Addr(), uint16(i))
		r.handle(authPort, packet, &at)
		if i&0xffff == 0xffff {
			r.cache = newReplyCache(1 << 40)
		}
	}
	if n := r.client().counts[authPort][countAccepts].Load(); n != uint64(b.N) {
		b.Fatalf("%d of %d were accepted", n, b.N)
	}
}

type instant struct{}

func (instant) Authenticate(_ *authn.Login, done func(authn.Decision)) {
	done(authn.Decision{Verdict: authn.Accept})
}
func (instant) RejectDelay(*authn.Client) time.Duration { return 0 }

type nowhere struct{}

func (nowhere) send([]byte, *path) error                     { return nil }
func (nowhere) queue([]byte, *path, func(netip.Addr, error)) {}

// FuzzSequence plays sequences of new packets, repetitions, reused identifiers and conflicts, decisions in any order,
// against a model of the reply cache.
func FuzzSequence(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0})
	f.Add([]byte{0, 0, 3, 0, 4, 0, 4, 1, 1, 0, 2, 0, 4, 1, 1, 0})
	type model struct {
		packet []byte
		reply  []byte
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := newRig(t, nil)
		var current [4]*model // by identifier
		var pending []*model  // by login
		send := func(id byte, p *layeh.Packet) {
			m := &model{packet: signed(p)}
			r.none(authPort, m.packet)
			current[id] = m
			pending = append(pending, m)
			if len(pending) != len(r.auth.seen()) {
				t.Fatalf("%d logins of %d", len(r.auth.seen()), len(pending))
			}
		}
		for ; len(ops) >= 2 && len(pending) < 64; ops = ops[2:] {
			id := ops[1] & 3
			m := current[id]
			switch ops[0] % 5 {
			case 0: // a new packet, also under a used identifier
				send(id, papPacket(id, "x"))
			case 1: // a repetition
				if m == nil {
					continue
				}
				got := r.deliver(authPort, m.packet)
				if m.reply == nil && len(got) != 0 || m.reply != nil && (len(got) != 1 || !bytes.Equal(got[0], m.reply)) {
					t.Fatal("a repetition got something else than the first answer")
				}
			case 2: // a conflict
				if m == nil {
					continue
				}
				p := papPacket(id, "y")
				p.Authenticator = [16]byte(m.packet[4:20])
				binary.BigEndian.PutUint32(p.Authenticator[:], binary.BigEndian.Uint32(m.packet[4:]))
				must(rfc2865.UserName_SetString(p, fmt.Sprint("other", len(pending))))
				before := r.conflicts.Load()
				send(id, p)
				if r.conflicts.Load() != before+1 {
					t.Fatal("a conflict was not noticed")
				}
			case 3: // a forgery that must change nothing
				b := pap(id, "z")
				b[headerLen+2] ^= 1
				r.none(authPort, b)
			case 4: // a decision
				if len(pending) == 0 {
					continue
				}
				k := int(ops[1]>>2) % len(pending)
				m := pending[k]
				before := len(r.out.all())
				r.auth.dones[k](authn.Decision{Verdict: authn.Accept})
				got := r.out.all()[before:]
				live := current[m.packet[1]] == m && m.reply == nil
				if live != (len(got) == 1) {
					t.Fatalf("%d answers; live %v", len(got), live)
				}
				if live {
					checkReply(t, m.packet, got[0], testSecret, AccessAccept)
					m.reply = got[0]
				}
			}
		}
	})
}
