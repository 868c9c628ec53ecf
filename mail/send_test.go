package mail

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/authn"
	"sekisho/internal/testenv"
)

// box is an outbox in memory that fails the test when the rules of claiming are broken.
type box struct {
	mu       sync.Mutex
	all      map[uint64]authn.Message
	order    []uint64
	settled  chan authn.Message
	refuse   error // of Settle
	claimed  int
	orphaned int
}

func newBox(messages ...authn.Message) *box {
	b := &box{all: map[uint64]authn.Message{}, settled: make(chan authn.Message, 1000)}
	for i, m := range messages {
		m.ID = uint64(i + 1)
		b.all[m.ID] = m
		b.order = append(b.order, m.ID)
	}
	return b
}

func (b *box) Claim(now time.Time) (*authn.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.order {
		m, ok := b.all[id].Claim(now)
		b.all[id] = m
		if ok {
			b.claimed++
			return &m, nil
		}
	}
	return nil, nil
}

func (b *box) Release(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, m := range b.all {
		if m.State == authn.MessageHeld {
			b.all[id], _ = m.Again(now)
		}
	}
	return nil
}

func (b *box) Settle(m authn.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return b.refuse
	}
	b.all[m.ID] = m
	b.settled <- m
	return nil
}

func (b *box) Interrupted(now time.Time) (n int, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, m := range b.all {
		if m.State == authn.MessageSending {
			b.all[id] = m.Uncertain("the program stopped", now)
			n++
		}
	}
	b.orphaned = n
	return n, nil
}

func (b *box) get(id uint64) authn.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[id]
}

// people is the directory: nobody needs it where messages have their address.
type people struct {
	person Person
	err    error
}

func (p people) Person(context.Context, authn.AccountID) (Person, error) { return p.person, p.err }

func newMetrics() *Metrics { return NewMetrics(prometheus.NewRegistry(), nil, nil) }

// body is the text half of a mail as the server got it.
func body(t testing.TB, raw string) string {
	t.Helper()
	letter, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := multipart.NewReader(letter.Body, params["boundary"]).NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var begin = time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)

func to(address string) authn.Message {
	m := Sample(authn.MailActivation, "ja")
	m.To, m.State, m.Created, m.Due, m.Until = address, authn.MessageWaiting, begin, begin, begin.Add(24*time.Hour)
	return m
}

// send runs a sender until n messages are settled, and gives them in order.
func send(t *testing.T, c Config, b *box, n int) []authn.Message {
	t.Helper()
	c.From, c.PerMinute = "VPN <vpn@lab.test>", 6000
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	s := &Sender{Config: c, URL: "https://vpn.lab.test/self", Outbox: b, People: people{}, Metrics: newMetrics(),
		Log: slog.New(slog.DiscardHandler), Doubt: func() bool { return false }, Now: func() time.Time { return begin }}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var got []authn.Message
	for len(got) < n {
		select {
		case m := <-b.settled:
			got = append(got, m)
		case err := <-done:
			t.Fatalf("the sender ended after %d of %d: %v", len(got), n, err)
		case <-ctx.Done():
			t.Fatalf("%d of %d settled in a minute", len(got), n)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOutcomes(t *testing.T) {
	long := func(reply string) func(string, string) string {
		return func(verb, _ string) string {
			if verb == "." {
				return reply
			}
			return ""
		}
	}
	at := func(want, reply string) func(string, string) string {
		return func(verb, _ string) string {
			if verb == want {
				return reply
			}
			return ""
		}
	}
	for _, c := range []struct {
		name   string
		script func(verb, argument string) string
		state  authn.MessageState
		answer string // part of it
	}{
		{"taken", nil, authn.MessageSent, "taken as 1"},
		{"greeting refused", at("CONNECT", "554 5.7.1 not you"), authn.MessageWaiting, "554"},
		{"busy", at("CONNECT", "421 4.3.2 too busy"), authn.MessageWaiting, "421"},
		{"sender refused", at("MAIL", "550 5.7.1 sender not allowed"), authn.MessageRefused, "550 5.7.1 sender not allowed"},
		{"unknown box", at("RCPT", "550 5.1.1 no such user"), authn.MessageRefused, "550 5.1.1 no such user"},
		{"greylisted", at("RCPT", "451 4.7.1 try again in five minutes"), authn.MessageWaiting, "451 4.7.1 try again in five minutes"},
		{"sign-in wanted", at("MAIL", "530 5.7.0 sign in first"), authn.MessageWaiting, "530"},
		{"no data", at("DATA", "452 4.3.1 no room"), authn.MessageWaiting, "452"},
		{"text refused", long("554 5.7.1 looks like spam"), authn.MessageRefused, "554 5.7.1 looks like spam"},
		{"full", long("452 4.2.2 mailbox full"), authn.MessageWaiting, "452 4.2.2 mailbox full"},
		{"no answer to the end", long(testenv.Drop), authn.MessageUnknown, ""},
		{"dies before the text", at("DATA", testenv.Drop), authn.MessageWaiting, ""},
		{"dies at once", at("CONNECT", testenv.Drop), authn.MessageWaiting, ""},
		{"nobody says a word", at("CONNECT", testenv.Hang), authn.MessageWaiting, ""},
		{"hangs at the end", long(testenv.Hang), authn.MessageUnknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := testenv.SMTP(t, c.script)
			got := send(t, Config{Server: server.Address, Timeout: time.Second}, newBox(to("hanako@lab.test")), 1)[0]
			if got.State != c.state || !strings.Contains(got.Answer, c.answer) {
				t.Errorf("%v, answer %q; want %v, %q", got.State, got.Answer, c.state, c.answer)
			}
			if got.State != authn.MessageSent && got.Answer == "" {
				t.Error("no word of why")
			}
			if strings.Contains(got.Answer, "hanako") {
				t.Errorf("the address went into the answer, which is logged: %q", got.Answer)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	server := testenv.SMTP(t, nil)
	closed := strings.Replace(server.Address, "127.0.0.1", "127.0.0.7", 1)
	got := send(t, Config{Server: closed, Timeout: time.Second}, newBox(to("hanako@lab.test")), 1)[0]
	if got.State != authn.MessageWaiting || got.Due != begin.Add(time.Minute) {
		t.Errorf("%v until %v; want it to wait a minute", got.State, got.Due)
	}
}

// One refused recipient takes nobody else's mail along: each address is a message of its own.
func TestHalf(t *testing.T) {
	server := testenv.SMTP(t, func(verb, argument string) string {
		if verb == "RCPT" && strings.Contains(argument, "gone@") {
			return "550 5.1.1 gone"
		}
		return ""
	})
	got := send(t, Config{Server: server.Address}, newBox(to("a@lab.test"), to("gone@lab.test"), to("b@lab.test")), 3)
	states := []authn.MessageState{got[0].State, got[1].State, got[2].State}
	if states[0] != authn.MessageSent || states[1] != authn.MessageRefused || states[2] != authn.MessageSent {
		t.Errorf("states %v", states)
	}
	if n := len(server.Messages()); n != 2 {
		t.Errorf("the server has %d mails, want 2", n)
	}
}

// What an earlier process left under way is not sent a second time.
func TestNeverTwice(t *testing.T) {
	server := testenv.SMTP(t, nil)
	left := to("hanako@lab.test")
	left.State, left.Tries = authn.MessageSending, 1
	b := newBox(left, to("taro@lab.test"))
	send(t, Config{Server: server.Address}, b, 1)
	if got := b.get(1); got.State != authn.MessageUnknown {
		t.Errorf("the interrupted mail is %v, want unknown", got.State)
	}
	if n := len(server.Messages()); n != 1 {
		t.Errorf("the server has %d mails, want 1", n)
	}
}

// An address from the directory makes no second recipient and no header (CVE-2025-59937 is of this kind).
func TestAddressesAreData(t *testing.T) {
	server := testenv.SMTP(t, nil)
	for _, address := range []string{
		"a@lab.test>\r\nRCPT TO:<evil@lab.test", "a@lab.test, evil@lab.test", "\"a@lab.test> SIZE=1\"@lab.test", "a@lab.test\nBcc: evil@lab.test", "", "a",
	} {
		got := send(t, Config{Server: server.Address}, newBox(to(address)), 1)[0]
		if got.State != authn.MessageRefused {
			t.Errorf("%q: %v, want it refused", address, got.State)
		}
	}
	for _, c := range server.Commands() {
		if strings.Contains(c, "evil") {
			t.Errorf("the server was told %q", c)
		}
	}
}

func TestRealServer(t *testing.T) {
	pki := testenv.PKI(t)
	address, printed := testenv.RealSMTP(t, pki)
	server := strings.Replace(address, "127.0.0.1", "localhost", 1)
	m := to("hanako@lab.test")
	m.Fields["name"] = "関所 <b>花子</b>\r\nBcc: evil@lab.test"
	got := send(t, Config{Server: server, TLS: "starttls", CAFile: pki.CA, HelpPhone: "03-0000-0000"}, newBox(m), 1)[0]
	if got.State != authn.MessageSent {
		t.Fatalf("%v: %s", got.State, got.Answer)
	}
	_, raw, _ := strings.Cut(printed(), "---------- MESSAGE FOLLOWS ----------\n")
	if first, rest, ok := strings.Cut(raw, "\n"); ok && strings.HasPrefix(first, "mail options:") {
		raw = strings.TrimPrefix(rest, "\n")
	}
	raw, _, _ = strings.Cut(raw, "------------ END MESSAGE ------------")
	letter, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
	if err != nil || subject != "【VPN認証】端末登録のご案内" {
		t.Errorf("subject %q, %v", subject, err)
	}
	if letter.Header.Get("Auto-Submitted") != "auto-generated" || letter.Header.Get("User-Agent") != "" || letter.Header.Get("X-Mailer") != "" {
		t.Errorf("headers %v", letter.Header)
	}
	if letter.Header.Get("Bcc") != "" {
		t.Error("a name made a header")
	}
	_, params, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(letter.Body, params["boundary"])
	var texts []string
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
		if err != nil {
			t.Fatalf("%v: %v", p.Header, err)
		}
		texts = append(texts, string(b))
	}
	if len(texts) != 2 {
		t.Fatalf("%d parts, want text and HTML", len(texts))
	}
	for _, want := range []string{"関所 <b>花子</b>  Bcc: evil@lab.test 様", "https://vpn.example.jp/a/EXAMPLE", "03-0000-0000", "Dear 関所"} {
		if !strings.Contains(texts[0], want) {
			t.Errorf("the text lacks %q:\n%s", want, texts[0])
		}
	}
	if strings.Contains(texts[1], "<b>") || !strings.Contains(texts[1], `<a href="https://vpn.example.jp/a/EXAMPLE">`) {
		t.Errorf("the HTML:\n%s", texts[1])
	}
}

// A server whose certificate nobody vouches for gets no link.
func TestStrangersCertificate(t *testing.T) {
	pki, other := testenv.PKI(t), testenv.PKI(t)
	address, printed := testenv.RealSMTP(t, pki)
	server := strings.Replace(address, "127.0.0.1", "localhost", 1)
	got := send(t, Config{Server: server, TLS: "starttls", CAFile: other.CA}, newBox(to("hanako@lab.test")), 1)[0]
	if got.State != authn.MessageWaiting || !strings.Contains(got.Answer, "certificate") {
		t.Errorf("%v: %q", got.State, got.Answer)
	}
	if strings.Contains(printed(), "MESSAGE FOLLOWS") {
		t.Error("the mail went out all the same")
	}
}

// A server without STARTTLS gets no link either, and no password.
func TestStartTLSStripped(t *testing.T) {
	server := testenv.SMTP(t, nil)
	for _, c := range []Config{
		{Server: server.Address, TLS: "starttls"},
		{Server: server.Address, TLS: "starttls", User: "vpn", Password: authn.NewSecret([]byte("secret"))},
	} {
		got := send(t, c, newBox(to("hanako@lab.test")), 1)[0]
		if got.State != authn.MessageWaiting || len(server.Messages()) != 0 {
			t.Errorf("%v: %q, %d mails", got.State, got.Answer, len(server.Messages()))
		}
	}
	for _, x := range server.Commands() {
		if strings.HasPrefix(x, "AUTH") || strings.HasPrefix(x, "MAIL") {
			t.Errorf("the server was told %q without TLS", x)
		}
	}
}
