package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/internal/testenv"
)

// Of many senders at once none gets a message that another one has. Each claims from a box of its own, so that nothing but
// the look in the update keeps them apart.
func TestK1ManyClaimersEachMessageOnce(t *testing.T) {
	db := openStore(t, newSite(t))
	const claimers, messages = 64, 200
	ids := post(t, db, numbered(messages)...)
	var mu sync.Mutex
	claimed := map[uint64]int{}
	var group sync.WaitGroup
	for range claimers {
		group.Go(func() {
			b := &Box{Store: db}
			for {
				m, err := b.Claim(begin)
				if err != nil {
					t.Error(err)
					return
				}
				if m == nil {
					return
				}
				mu.Lock()
				claimed[m.ID]++
				mu.Unlock()
				if err := b.Settle(m.Accepted("250 ok", begin)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		if n := claimed[id]; n != 1 {
			t.Errorf("mail %d was claimed %d times", id, n)
		}
		if m := stored(t, db, id); m.State != authn.MessageSent || m.Fields != nil || m.Tries != 1 {
			t.Errorf("mail %d: %v after %d tries, fields %v", id, m.State, m.Tries, m.Fields)
		}
	}
}

func TestOldestFirst(t *testing.T) {
	db := openStore(t, newSite(t))
	var messages []authn.Message
	for _, ago := range []time.Duration{time.Minute, 3 * time.Minute, -time.Second, 2 * time.Minute} {
		m := to("hanako@lab.test")
		m.Due = begin.Add(-ago)
		messages = append(messages, m)
	}
	ids := post(t, db, messages...)
	b := &Box{Store: db}
	for _, want := range []uint64{ids[1], ids[3], ids[0]} {
		if m, err := b.Claim(begin); err != nil || m == nil || m.ID != want {
			t.Fatalf("claimed %v, %v; want %d", m, err, want)
		}
	}
	if m, err := b.Claim(begin); m != nil || err != nil {
		t.Errorf("claimed %v before its time, %v", m, err)
	}
	if m, err := b.Claim(begin.Add(time.Second)); err != nil || m == nil || m.ID != ids[2] {
		t.Errorf("claimed %v, %v; want the last one when its time has come", m, err)
	}
}

// The claim is durable when the mail server hears of the message: a store opened anew, as after a crash, knows it.
func TestClaimIsDurable(t *testing.T) {
	dir := newSite(t)
	db := openStore(t, dir)
	id := post(t, db, to("hanako@lab.test"))[0]
	if m, err := (&Box{Store: db}).Claim(begin); err != nil || m == nil {
		t.Fatal(m, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := openStore(t, dir)
	if m := stored(t, again, id); m.State != authn.MessageSending || m.Tries != 1 {
		t.Errorf("%v after %d tries", m.State, m.Tries)
	}
	b := &Box{Store: again}
	if n, err := b.Interrupted(begin); n != 1 || err != nil {
		t.Errorf("%d interrupted, %v", n, err)
	}
	if m := stored(t, again, id); m.State != authn.MessageUnknown || m.Fields["link"] == "" {
		t.Errorf("%v, fields %v; a person may say again", m.State, m.Fields)
	}
	if m, err := b.Claim(begin.Add(time.Hour)); m != nil || err != nil {
		t.Errorf("claimed %v, %v", m, err)
	}
}

// What the store did not take is stored later, and the message is not sent a second time meanwhile.
func TestOutcomeIsKeptWhereTheStoreFails(t *testing.T) {
	db := openStore(t, newSite(t))
	id := post(t, db, to("hanako@lab.test"))[0]
	store := &unwilling{DB: db}
	b := &Box{Store: store}
	m, err := b.Claim(begin)
	if err != nil {
		t.Fatal(err)
	}
	store.fail = func() error { return authn.ErrBusy }
	if err := b.Settle(m.Accepted("250 taken", begin)); !errors.Is(err, authn.ErrBusy) {
		t.Fatalf("%v", err)
	}
	if _, err := b.Claim(begin); !errors.Is(err, authn.ErrBusy) {
		t.Errorf("claimed although the outcome before is not stored: %v", err)
	}
	// A sender that begins anew in this process does not take it for one of an earlier process.
	store.fail = nil
	if n, err := b.Interrupted(begin); n != 0 || err != nil {
		t.Errorf("%d interrupted, %v", n, err)
	}
	if m, err := b.Claim(begin.Add(time.Hour)); m != nil || err != nil {
		t.Errorf("claimed %v, %v", m, err)
	}
	if m := stored(t, db, id); m.State != authn.MessageSent || m.Answer != "250 taken" {
		t.Errorf("%v: %q", m.State, m.Answer)
	}
}

// A claim whose commit may be lost sent nothing; the message waits again.
func TestClaimThatMayBeLost(t *testing.T) {
	db := openStore(t, newSite(t))
	id := post(t, db, to("hanako@lab.test"))[0]
	lost := errors.New("not known")
	store := &unwilling{DB: db, lose: func() error { return lost }}
	b := &Box{Store: store}
	if m, err := b.Claim(begin); m != nil || !errors.Is(err, lost) {
		t.Fatalf("%v, %v", m, err)
	}
	store.lose = nil
	m, err := b.Claim(begin)
	if err != nil || m == nil || m.ID != id || m.Tries != 1 {
		t.Errorf("claimed %+v, %v; want the message at its first try", m, err)
	}
}

func TestSweep(t *testing.T) {
	db := openStore(t, newSite(t))
	late := begin.Add(24 * time.Hour) // the end of what to makes
	refused, unknown, held, waiting, sent := to("a@lab.test"), to("b@lab.test"), to("c@lab.test"), to("d@lab.test"), to("e@lab.test")
	refused.State, unknown.State, held.State = authn.MessageRefused, authn.MessageUnknown, authn.MessageHeld
	refused.Changed, unknown.Changed = begin, begin
	sent.State, sent.Fields, sent.Changed = authn.MessageSent, nil, begin
	ids := post(t, db, refused, unknown, held, waiting, sent)
	b := &Box{Store: db}
	if err := b.Sweep(late.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[:4] {
		if m := stored(t, db, id); m.Fields == nil || m.State == authn.MessageLapsed {
			t.Errorf("swept too early: %v, %v", m.State, m.Fields)
		}
	}
	if err := b.Sweep(late); err != nil {
		t.Fatal(err)
	}
	want := []authn.MessageState{authn.MessageRefused, authn.MessageUnknown, authn.MessageLapsed, authn.MessageLapsed, authn.MessageSent}
	for i, id := range ids {
		if m := stored(t, db, id); m.Fields != nil || m.State != want[i] {
			t.Errorf("%d: %v with %v; want %v without fields", i, m.State, m.Fields, want[i])
		}
	}
	if err := b.Sweep(begin.Add(90*24*time.Hour - time.Second)); err != nil || len(all(t, db)) != 5 {
		t.Errorf("%v, %d messages before their time", err, len(all(t, db)))
	}
	if err := b.Sweep(begin.Add(92 * 24 * time.Hour)); err != nil || len(all(t, db)) != 0 {
		t.Errorf("%v, %d messages after it", err, len(all(t, db)))
	}
}

// run lets a sender work until ok.
func run(t *testing.T, s *Sender, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	until(t, what, ok)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// P13: without an address of the pages no mail with a link leaves; with one they do, by themselves.
func TestP13LinkWaitsForTheAddressOfThePages(t *testing.T) {
	db := openStore(t, newSite(t))
	server := testenv.SMTP(t, nil)
	linked, bare, plain := to("a@lab.test"), to("b@lab.test"), Sample(authn.MailPINChanged, "ja")
	linked.Fields["link"], bare.Fields["link"] = "/a/SECRETSECRET", ""
	plain.To, plain.State, plain.Due = "c@lab.test", authn.MessageWaiting, begin
	ids := post(t, db, linked, bare, plain)
	states := func(want ...authn.MessageState) func() bool {
		return func() bool {
			var got []authn.MessageState
			for _, id := range ids {
				got = append(got, stored(t, db, id).State)
			}
			return slices.Equal(got, want)
		}
	}
	b := &Box{Store: db}
	run(t, sender(b, Config{Server: server.Address}, ""), "links held, the rest sent", states(authn.MessageHeld, authn.MessageHeld, authn.MessageSent))
	if n := len(server.Messages()); n != 1 {
		t.Fatalf("%d mails, want 1", n)
	}
	if m := stored(t, db, ids[0]); !strings.Contains(m.Answer, "no address of the self-service pages is configured") || m.Fields["link"] != "/a/SECRETSECRET" {
		t.Errorf("%q with link %q", m.Answer, m.Fields["link"])
	}
	run(t, sender(b, Config{Server: server.Address}, "https://vpn.lab.test/"), "the link sent", states(authn.MessageSent, authn.MessageHeld, authn.MessageSent))
	if text := body(t, server.Messages()[1]); !strings.Contains(text, "https://vpn.lab.test/a/SECRETSECRET") {
		t.Errorf("the mail has no link:\n%s", text)
	}
	if m := stored(t, db, ids[0]); m.Fields != nil {
		t.Errorf("a mail that was sent kept %v", m.Fields)
	}
}

// A server that repeats what it dislikes does not bring a link into the log or before operators.
func TestAnswerHoldsNoLink(t *testing.T) {
	db := openStore(t, newSite(t))
	server := testenv.SMTP(t, func(verb, _ string) string {
		if verb == "." {
			return "554 5.7.1 blocked URL https://vpn.lab.test/a/SECRETSECRET"
		}
		return ""
	})
	m := to("a@lab.test")
	m.Fields["link"] = "/a/SECRETSECRET"
	id := post(t, db, m)[0]
	run(t, sender(&Box{Store: db}, Config{Server: server.Address}, "https://vpn.lab.test"), "it is refused", func() bool {
		return stored(t, db, id).State == authn.MessageRefused
	})
	if a := stored(t, db, id).Answer; !strings.Contains(a, "554 5.7.1 blocked URL") || strings.Contains(a, "SECRET") {
		t.Errorf("%q", a)
	}
}

// P18: where only the account is known, address, language and name are the directory's when the mail leaves; an outage of it
// delays the mail.
func TestP18AddressAndLanguageOfTheDirectory(t *testing.T) {
	for _, c := range []struct {
		name   string
		people people
		state  authn.MessageState
		answer string
	}{
		{"known", people{person: Person{"Hanako", "hanako@lab.test", "en"}}, authn.MessageSent, "250"},
		{"no address", people{person: Person{"Hanako", "", "en"}}, authn.MessageRefused, "no mail address"},
		{"gone", people{err: authn.ErrUnknownUser}, authn.MessageRefused, "knows this person no more"},
		{"outage", people{err: errors.New("dial tcp: cn=secret")}, authn.MessageWaiting, "the directory could not be asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := openStore(t, newSite(t))
			server := testenv.SMTP(t, nil)
			m := authn.Message{Kind: authn.MailFailures, Account: 7, State: authn.MessageWaiting, Due: begin, Fields: map[string]string{"when": "2026-04-01 18:00 JST"}}
			id := post(t, db, m)[0]
			s := sender(&Box{Store: db}, Config{Server: server.Address}, "")
			s.People = c.people
			run(t, s, "an outcome", func() bool { return stored(t, db, id).Answer != "" })
			got := stored(t, db, id)
			if got.State != c.state || !strings.Contains(got.Answer, c.answer) || strings.Contains(got.Answer, "cn=") {
				t.Errorf("%v: %q", got.State, got.Answer)
			}
			if c.state != authn.MessageSent {
				return
			}
			text := body(t, server.Messages()[0])
			en, ja := strings.Index(text, "Dear Hanako"), strings.Index(text, "Hanako 様")
			if en < 0 || ja < en || got.To != "hanako@lab.test" {
				t.Errorf("to %q, English at %d, Japanese at %d:\n%s", got.To, en, ja, text)
			}
		})
	}
}

// While the clock is in doubt every mail waits (S21).
func TestMailsWaitWhileTheClockIsInDoubt(t *testing.T) {
	db := openStore(t, newSite(t))
	server := testenv.SMTP(t, nil)
	id := post(t, db, to("a@lab.test"))[0]
	s := sender(&Box{Store: db}, Config{Server: server.Address}, "")
	wake, asked := make(chan struct{}), make(chan struct{})
	s.Wake, s.Doubt = wake, func() bool { asked <- struct{}{}; return true }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-asked
	wake <- struct{}{}
	<-asked // it has been around once
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if m := stored(t, db, id); m.State != authn.MessageWaiting || len(server.Commands()) != 0 {
		t.Errorf("%v, the server was told %v", m.State, server.Commands())
	}
}

// childVar carries the site's folder and the mail server into the process that is killed.
const childVar = "SEKISHO_MAIL_CHILD"

func TestMain(m *testing.M) {
	if v := os.Getenv(childVar); v != "" {
		child(strings.Cut(v, "\n"))
		return
	}
	os.Exit(m.Run())
}

// child sends until it is killed.
func child(dir, server string, _ bool) {
	db, err := openSite(dir)
	if err == nil {
		fmt.Println("ready")
		err = sender(&Box{Store: db}, Config{Server: server}, "https://vpn.lab.test").Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}

// A process is killed while the mail server has the whole mail and has not answered: the next one says that the outcome is
// not known, sends what was not begun, and nothing twice.
func TestK1KilledBetweenClaimAndSettle(t *testing.T) {
	dir := newSite(t)
	db := openStore(t, dir)
	ids := post(t, db, numbered(5)...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	reached, ended := make(chan struct{}), 0
	server := testenv.SMTP(t, func(verb, _ string) string {
		if verb == "." {
			if ended++; ended == 3 {
				close(reached)
				return testenv.Hang
			}
		}
		return ""
	})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+dir+"\n"+server.Address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = bufio.NewReader(out).ReadString(0) }()
	select {
	case <-reached:
	case <-time.After(60 * time.Second):
		t.Error("the process did not come to its third mail")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	db = openStore(t, dir)
	if m := stored(t, db, ids[2]); m.State != authn.MessageSending {
		t.Errorf("the mail under way is %v", m.State)
	}
	second := testenv.SMTP(t, nil)
	run(t, sender(&Box{Store: db}, Config{Server: second.Address}, "https://vpn.lab.test"), "the rest is sent", func() bool {
		return stored(t, db, ids[4]).State == authn.MessageSent
	})
	if m := stored(t, db, ids[2]); m.State != authn.MessageUnknown || !strings.Contains(m.Answer, "stopped") {
		t.Errorf("the mail under way is %v: %q", m.State, m.Answer)
	}
	recipients := map[string]int{}
	for _, s := range []*testenv.ScriptedSMTP{server, second} {
		for _, c := range s.Commands() {
			if who, ok := strings.CutPrefix(c, "RCPT TO:"); ok {
				recipients[who]++
			}
		}
	}
	for who, n := range recipients {
		if n != 1 {
			t.Errorf("%s got %d mails", who, n)
		}
	}
	if len(recipients) != 5 {
		t.Errorf("%d recipients, want 5: %v", len(recipients), recipients)
	}
}

// A stop does not wait for a mail server that is silent for longer than a few seconds; what became of the mail is not known.
func TestStopLeavesASilentServer(t *testing.T) {
	db := openStore(t, newSite(t))
	reached := make(chan struct{})
	server := testenv.SMTP(t, func(verb, _ string) string {
		if verb == "." {
			close(reached)
			return testenv.Hang
		}
		return ""
	})
	id := post(t, db, to("a@lab.test"))[0]
	s := sender(&Box{Store: db}, Config{Server: server.Address, Timeout: 5 * time.Minute}, "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-reached
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it still waits for the mail server")
	}
	if m := stored(t, db, id); m.State != authn.MessageUnknown {
		t.Errorf("%v: %q", m.State, m.Answer)
	}
}
