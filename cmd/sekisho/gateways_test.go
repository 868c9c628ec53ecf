package main

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/authn"
	"sekisho/internal/testenv"
	"sekisho/storage"
	"sekisho/token"
)

// gatewaySite is a service with a directory file and one client per loopback address, as gateways of several profiles.
type gatewaySite struct {
	*inProcess
	t       *testing.T
	servers [2]string // the service's two addresses, for gateways that try one after the other
	people  map[string]*holder
}

// holder is a person with an event-based token.
type holder struct {
	seed  token.Seed
	next  int64 // counter of the token's next code
	token token.Token
}

const (
	fortigateAt = "127.0.0.2" // password_encoding: iso-8859-1
	opnsenseAt  = "127.0.0.3"
	openvpnAt   = "127.0.0.4"
	japaneseAt  = "127.0.0.5" // password_encoding: shift_jis
)

const germanPassword, japanesePassword = "grüße aus Köln", "パスワード"

func startGatewaySite(t *testing.T) *gatewaySite {
	t.Helper()
	s := &gatewaySite{t: t, people: map[string]*holder{}}
	dir, _ := site(t)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	users, tokens := "users:\n", "serial,secret_base32,mode,user\n"
	for name, password := range map[string]string{"annie": germanPassword, "hana": japanesePassword} {
		h := &holder{seed: token.NewSeed(token.SeedSize), token: token.Token{Mode: token.HOTP, Hash: token.SHA1, Digits: 6, Last: token.NoStep}}
		s.people[name] = h
		users += fmt.Sprintf("  - {name: %s, password: %q}\n", name, cheapHash(password))
		tokens += fmt.Sprintf("T-%s,%s,hotp,%s\n", name, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.seed), name)
	}
	if err := os.WriteFile(filepath.Join(dir, "users.yaml"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := testenv.Port(t), testenv.Port(t)
	s.servers = [2]string{fmt.Sprintf("127.0.0.1:%d", first), fmt.Sprintf("127.0.0.1:%d", second)}
	client := func(name, address, more string) string {
		return fmt.Sprintf("    - {name: %s, addresses: %s, secret: %s, reject_delay: 100ms, retry_after: 1s, deadline: 30s, %s}\n", name, address, serveSecret, more)
	}
	s.inProcess = serving(t, writeConfig(t, dir, fmt.Sprintf(`storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  listen: ["%[2]s", "%[3]s"]
  listen_accounting: 127.0.0.1:%[4]d
  clients:
%[5]sdirectory: {type: file, file: {file: %[1]s/users.yaml}}
policies: [{name: all}]
admin: {socket: %[1]s/admin.sock}
`, dir, s.servers[0], s.servers[1], testenv.Port(t),
		client("forti", fortigateAt, "profile: fortigate, password_encoding: iso-8859-1")+client("opn", opnsenseAt, "profile: opnsense")+
			client("ovpn", openvpnAt, "profile: openvpn")+client("japan", japaneseAt, "password_encoding: shift_jis"))))
	if err := s.api.call(t.Context(), http.MethodPost, "/api/v1/tokens/import", strings.NewReader(tokens), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// cheapHash is a password's line in a directory file under the smallest parameters, so that a bind takes no time.
func cheapHash(password string) string {
	salt := []byte("saltsalt")
	sum := argon2.IDKey([]byte(password), salt, 1, 8, 1, 32)
	return "$argon2id$v=19$m=8,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

// code takes a person's next code.
func (s *gatewaySite) code(name string) string {
	h := s.people[name]
	h.next++
	return h.token.Code(h.seed, h.next-1)
}

// wrong is a code that the person's token shows nowhere near.
func (s *gatewaySite) wrong(name string) string {
	h := s.people[name]
	var near []string
	for counter := range h.next + 40 {
		near = append(near, h.token.Code(h.seed, counter))
	}
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(near, code) {
			return code
		}
	}
}

// request is an Access-Request of a person at 198.51.100.7, signed; proof adds how the password travels.
func (s *gatewaySite) request(name string, proof func(*radius.Packet)) []byte {
	p := radius.New(radius.CodeAccessRequest, []byte(serveSecret))
	p.Add(80, make([]byte, md5.Size))
	_ = rfc2865.UserName_SetString(p, name)
	_ = rfc2865.CallingStationID_SetString(p, "198.51.100.7")
	proof(p)
	raw, err := p.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	mac := hmac.New(md5.New, []byte(serveSecret))
	mac.Write(raw)
	copy(raw[22:], mac.Sum(nil))
	return raw
}

func pap(text string) func(*radius.Packet) {
	return func(p *radius.Packet) { _ = rfc2865.UserPassword_Set(p, []byte(text)) }
}

func chap(text string) func(*radius.Packet) {
	return func(p *radius.Packet) {
		sum := md5.Sum(append(append([]byte{1}, text...), p.Authenticator[:]...))
		p.Add(rfc2865.CHAPPassword_Type, append([]byte{1}, sum[:]...))
	}
}

// msCHAP2 has octets in the place of a true response, which nobody looks at.
func msCHAP2(p *radius.Packet) {
	for _, x := range []struct {
		typ byte
		n   int
	}{{11, 16}, {25, 50}} {
		p.Add(26, append([]byte{0, 0, 1, 55, x.typ, byte(x.n + 2)}, make([]byte, x.n)...))
	}
}

// ask sends a request from an address and a port of its own and gives the code of the answer.
func (s *gatewaySite) ask(from, to string, raw []byte) radius.Code {
	s.t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial("udp", to)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer := gateway{conn}.ask(s.t, raw, 20*time.Second)
	if answer == nil {
		s.t.Fatal("no answer")
	}
	return radius.Code(answer[0])
}

// want asks and compares the answer and the reason in the log.
func (s *gatewaySite) want(what, from, to string, raw []byte, code radius.Code, reason authn.Reason) {
	s.t.Helper()
	if got := s.ask(from, to, raw); got != code {
		s.t.Errorf("%s: code %v, want %v", what, got, code)
	}
	events, err := s.db.Logins(s.t.Context(), storage.LoginFilter{Limit: 1})
	if err != nil || len(events) != 1 || events[0].Reason != reason {
		s.t.Errorf("%s: the newest event is %+v (%v), want %v", what, events, err, reason)
	}
}

// misses gives a person's misses in a row, of both classes, thefts, and what the year's guesses have cost.
func (s *gatewaySite) misses(name string) (row, thefts int, cost int64) {
	s.t.Helper()
	id := s.db.AccountOf("file", name)
	err := s.db.View(authn.Keys{Accounts: []authn.AccountID{id}}, func(h *authn.Held) {
		g := &h.Accounts[0].Guard
		row, thefts = int(g.Row[authn.ClassKnown])+int(g.Row[authn.ClassUnknown]), int(g.TheftRun)
		cost = g.Spent(authn.PotU, time.Now()) + g.Spent(authn.PotK, time.Now())
	})
	if err != nil || id == 0 {
		s.t.Fatalf("account of %s: %v", name, err)
	}
	return row, thefts, cost
}

// TestOneEpisodeCountsOnce: however many schemes and servers a gateway tries for one login, it counts once, and what is not
// taken burns nothing.
func TestOneEpisodeCountsOnce(t *testing.T) {
	s := startGatewaySite(t)
	reject, accept := radius.CodeAccessReject, radius.CodeAccessAccept
	one, two := s.servers[0], s.servers[1]

	// A FortiGate with auth-type auto tries the next scheme after each refusal.
	text := germanPassword + s.wrong("annie")
	s.want("FortiGate, PAP", fortigateAt, one, s.request("annie", pap(text)), reject, authn.WrongCode)
	s.want("FortiGate, MS-CHAPv2", fortigateAt, one, s.request("annie", msCHAP2), reject, authn.MethodNotTaken)
	s.want("FortiGate, CHAP", fortigateAt, one, s.request("annie", chap(text)), reject, authn.MethodNotTaken)
	if row, thefts, _ := s.misses("annie"); row != 1 || thefts != 0 {
		t.Errorf("a FortiGate's three schemes counted %d misses and %d thefts", row, thefts)
	}
	code := s.code("annie")
	s.want("FortiGate, CHAP with the right code", fortigateAt, one, s.request("annie", chap(germanPassword+code)), reject, authn.MethodNotTaken)
	s.want("FortiGate, PAP with the same code", fortigateAt, one, s.request("annie", pap(germanPassword+code)), accept, authn.OK)

	// A wrong password with a right code: one theft for the whole episode.
	stolen := "not the password" + s.code("annie")
	s.want("FortiGate, stolen token, PAP", fortigateAt, one, s.request("annie", pap(stolen)), reject, authn.WrongFirstRightCode)
	s.want("FortiGate, stolen token, MS-CHAPv2", fortigateAt, one, s.request("annie", msCHAP2), reject, authn.MethodNotTaken)
	if row, thefts, _ := s.misses("annie"); row != 0 || thefts != 1 {
		t.Errorf("a stolen token at a FortiGate counted %d misses and %d thefts", row, thefts)
	}

	// OPNsense asks every server of its list after any failure, with the same text in another packet.
	text = japanesePassword + s.wrong("hana")
	s.want("OPNsense, first server", opnsenseAt, one, s.request("hana", pap(text)), reject, authn.WrongCode)
	_, _, once := s.misses("hana")
	s.want("OPNsense, second server", opnsenseAt, two, s.request("hana", pap(text)), reject, authn.WrongCode)
	if row, _, cost := s.misses("hana"); row != 1 || cost != once || once == 0 {
		t.Errorf("OPNsense's two servers counted %d misses and %d of cost, one server %d", row, cost, once)
	}
	s.want("OPNsense, right", opnsenseAt, one, s.request("hana", pap(japanesePassword+s.code("hana"))), accept, authn.OK)
}

// TestLostAnswer is what a gateway finds that lost an answer. The same octets again get the same answer; openvpn-auth-radius
// asks with another authenticator from another port, which is a new login: its code is used, which costs nothing, and the
// next code opens.
func TestLostAnswer(t *testing.T) {
	s := startGatewaySite(t)
	one, two := s.servers[0], s.servers[1]
	text := japanesePassword + s.code("hana")

	conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(openvpnAt)}}).Dial("udp", one)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw := s.request("hana", pap(text))
	first := gateway{conn}.ask(t, raw, 20*time.Second)
	again := gateway{conn}.ask(t, raw, 20*time.Second)
	if len(first) == 0 || first[0] != byte(radius.CodeAccessAccept) || string(first) != string(again) {
		t.Errorf("the same octets got %x and then %x", first, again)
	}
	for i, to := range []string{one, two, one} {
		what := fmt.Sprintf("request %d of its own", i+1)
		if i == 0 {
			s.want(what, openvpnAt, to, s.request("hana", pap(text)), radius.CodeAccessReject, authn.AlreadyUsed)
			continue
		}
		if got := s.ask(openvpnAt, to, s.request("hana", pap(text))); got != radius.CodeAccessReject {
			t.Errorf("%s: code %v", what, got)
		}
	}
	if row, thefts, _ := s.misses("hana"); row != 0 || thefts != 0 {
		t.Errorf("a used code counted %d misses and %d thefts", row, thefts)
	}
	s.want("the next code", openvpnAt, one, s.request("hana", pap(japanesePassword+s.code("hana"))), radius.CodeAccessAccept, authn.OK)
}

// TestPasswordsOfTheWorld: passwords reach the directory in UTF-8 whatever the gateway makes of them, and a static challenge
// comes apart.
func TestPasswordsOfTheWorld(t *testing.T) {
	s := startGatewaySite(t)
	const latin1, shiftJIS = "gr\xfc\xdfe aus K\xf6ln", "\x83p\x83X\x83\x8f\x81[\x83h"
	static := func(password, code string) string {
		return "SCRV1:" + base64.StdEncoding.EncodeToString([]byte(password)) + ":" + base64.StdEncoding.EncodeToString([]byte(code))
	}
	for _, x := range []struct {
		what, user, from, password string
		static, accept             bool
	}{
		{"UTF-8 at a gateway without a character set", "annie", opnsenseAt, germanPassword, false, true},
		{"ISO-8859-1 at a gateway without a character set", "annie", opnsenseAt, latin1, false, false},
		{"ISO-8859-1 where it is declared", "annie", fortigateAt, latin1, false, true},
		{"UTF-8 where ISO-8859-1 is declared", "annie", fortigateAt, germanPassword, false, true},
		{"Shift JIS where it is declared", "hana", japaneseAt, shiftJIS, false, true},
		{"UTF-8 where Shift JIS is declared", "hana", japaneseAt, japanesePassword, false, true},
		{"a static challenge of OpenVPN", "hana", openvpnAt, japanesePassword, true, true},
		{"a static challenge at a FortiGate", "hana", fortigateAt, japanesePassword, true, false},
	} {
		text := x.password + s.code(x.user)
		if x.static {
			h := s.people[x.user]
			text = static(x.password, h.token.Code(h.seed, h.next-1))
		}
		if got := s.ask(x.from, s.servers[0], s.request(x.user, pap(text))); (got == radius.CodeAccessAccept) != x.accept {
			t.Errorf("%s: code %v", x.what, got)
		}
	}
}
