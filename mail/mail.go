// Package mail takes messages from the outbox, makes texts of them and hands them to the site's mail server.
//
// [Sender.Run] is the whole path: claim (durable), render, one SMTP conversation, settle (durable). A message whose last
// octet was sent and whose answer never came is never sent a second time by itself: [authn.MessageUnknown].
package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"sekisho/authn"
	"sekisho/token"
)

// Outbox keeps messages.
//
// Claim gives the message that has been due for longest, claimed by [authn.Message.Claim], and is durable before it
// returns; nil when nothing is due. What lapsed on the way is stored as such. Settle stores where a message has come to.
// Interrupted settles what an earlier process left claimed as uncertain, and reports how many. Release lets those that were
// held wait again.
type Outbox interface {
	Claim(now time.Time) (*authn.Message, error)
	Settle(m authn.Message) error
	Interrupted(now time.Time) (int, error)
	Release(now time.Time) error
}

// People tells who an account's person is now. [authn.ErrUnknownUser] ends the mail; after any other error it waits.
type People interface {
	Person(ctx context.Context, account authn.AccountID) (Person, error)
}

// Person is whom a mail is about.
type Person struct{ Name, Address, Language string }

// Sender sends what the outbox holds. All fields but Wake are required.
type Sender struct {
	Config  Config
	URL     string // of the self-service pages; empty: none, and mails with a link are held (P13)
	Outbox  Outbox
	People  People
	Metrics *Metrics
	Log     *slog.Logger
	Doubt   func() bool     // the clock cannot be believed, so that every mail waits (S21)
	Wake    <-chan struct{} // something new may be due; nil: looked at every few seconds only
	Now     func() time.Time
}

const (
	look   = 10 * time.Second // between looks at the outbox when nothing wakes us
	batch  = 50               // messages of one conversation
	asking = 10 * time.Second // a directory who somebody is
)

// Run sends until ctx ends, then finishes the message under way and returns nil. An error is a config or a template that
// cannot work; everything else is logged, kept with the messages and tried again.
func (s *Sender) Run(ctx context.Context) error {
	templates, faults := s.Config.settle()
	if len(faults) > 0 {
		return faults
	}
	if n, err := s.Outbox.Interrupted(s.Now()); err != nil {
		return fmt.Errorf("looking for mails that were under way at the last stop: %w", err)
	} else if n > 0 {
		s.Log.Warn("mails were under way when the program stopped; whether they arrived is not known", "messages", n,
			"advice", "look at them with 'sekisho mail list --state unknown' and send them again where it is needed")
	}
	if s.URL != "" {
		if err := s.Outbox.Release(s.Now()); err != nil {
			return fmt.Errorf("letting held mails go: %w", err)
		}
	}
	pace := rate.NewLimiter(rate.Limit(float64(s.Config.perMinute())/60), max(1, s.Config.perMinute()/10))
	for ctx.Err() == nil {
		sent := false
		if !s.Doubt() {
			var err error
			sent, err = s.round(ctx, templates, pace)
			if err != nil {
				s.Log.Error("the outbox cannot be read or written; mails wait", "error", err)
				sent = false
			}
		}
		if sent {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.Wake:
		case <-time.After(look):
		}
	}
	return nil
}

// round sends one batch over one connection and reports whether to go on at once.
func (s *Sender) round(ctx context.Context, t *Templates, pace *rate.Limiter) (more bool, err error) {
	// One claim each keeps what a crash makes uncertain to the one message under way.
	var conn *conversation
	defer func() { conn.close() }()
	for range batch {
		if err := pace.Wait(ctx); err != nil {
			return false, nil //nolint:nilerr // we are being stopped
		}
		claimed, err := s.Outbox.Claim(s.Now())
		if err != nil || claimed == nil {
			return false, err
		}
		settled := s.try(ctx, t, *claimed, &conn)
		s.Metrics.add(settled)
		s.report(settled)
		if err := s.Outbox.Settle(settled); err != nil {
			return false, fmt.Errorf("storing that mail %d is %v: %w", settled.ID, settled.State, err)
		}
		if settled.State == authn.MessageWaiting && conn == nil {
			return false, nil // the server is away: leave it in peace until the next look
		}
	}
	return true, nil
}

// try is one try of a claimed message, over the connection that there is or a new one.
func (s *Sender) try(ctx context.Context, t *Templates, m authn.Message, conn **conversation) authn.Message {
	m, done := s.address(ctx, m)
	if done {
		return m
	}
	linked, why := s.link(m)
	if why != "" {
		return m.Held(why, s.Now())
	}
	text, err := t.Render(linked)
	if err != nil {
		s.Log.Error("a mail cannot be written", "message", token.ID(m.ID), "kind", m.Kind, "error", err)
		return m.Rejected(err.Error(), s.Now())
	}
	var out outcome
	if *conn == nil {
		*conn, out = s.Config.dial(ctx)
	}
	if *conn != nil {
		out = (*conn).send(ctx, m, text, s.Now())
	}
	out.answer = withoutLink(out.answer, m)
	if *conn != nil && (*conn).broken {
		(*conn).close()
		*conn = nil
	}
	return out.apply(m, s.Now())
}

// address fills in what was left to the directory. done tells that the message goes no further for now.
func (s *Sender) address(ctx context.Context, m authn.Message) (after authn.Message, done bool) {
	if m.Account == 0 || m.To != "" && m.Language != "" {
		return m, false
	}
	within, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	p, err := s.People.Person(within, m.Account)
	switch {
	case err == nil && p.Address == "" && m.To == "":
		return m.Rejected("the directory has no mail address for this person", s.Now()), true
	case errors.Is(err, authn.ErrUnknownUser):
		return m.Rejected("the directory knows this person no more", s.Now()), true
	case err != nil:
		return m.Postponed("the directory could not be asked for the person's address", s.Now()), true
	}
	m.To, m.Language = cmp.Or(m.To, p.Address), cmp.Or(m.Language, p.Language)
	m.Fields = maps.Clone(m.Fields)
	if m.Fields == nil {
		m.Fields = map[string]string{}
	}
	m.Fields["name"] = cmp.Or(m.Fields["name"], p.Name)
	return m, false
}

// link completes the link of a message, which is kept as the path below the self-service pages' address, so that it is right
// wherever they are when the mail leaves. why is not empty where it cannot (P13).
func (s *Sender) link(m authn.Message) (linked authn.Message, why string) {
	link := m.Fields["link"]
	switch _, has := fields[m.Kind]["link"]; {
	case !has || strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://"):
		return m, ""
	case link == "":
		return m, "this mail has a link, and it was made while no address of the self-service pages was configured; configure it and order the act again"
	case s.URL == "":
		return m, "this mail has a link, and no address of the self-service pages is configured; it leaves when there is one"
	}
	m.Fields = maps.Clone(m.Fields)
	m.Fields["link"] = strings.TrimSuffix(s.URL, "/") + "/" + strings.TrimPrefix(link, "/")
	return m, ""
}

// withoutLink keeps the secret of a link out of an answer, which is logged and shown: servers repeat what they dislike.
func withoutLink(answer string, m authn.Message) string {
	link := m.Fields["link"]
	secret := link[strings.LastIndexAny(link, "/=")+1:]
	if secret == "" {
		return answer
	}
	return strings.ReplaceAll(answer, secret, "...")
}

// report writes what operators must know of; addresses and texts stay out of the log (I6).
func (s *Sender) report(m authn.Message) {
	answer := m.Answer
	if m.To != "" {
		answer = strings.ReplaceAll(answer, m.To, "ADDRESS") // servers repeat it
	}
	switch m.State {
	case authn.MessageSent:
		s.Log.Info("mail sent", "message", token.ID(m.ID), "kind", m.Kind, "tries", m.Tries)
	case authn.MessageWaiting:
		s.Log.Warn("mail waits for another try", "message", token.ID(m.ID), "kind", m.Kind, "tries", m.Tries, "next", m.Due, "answer", answer)
	default:
		s.Log.Error("mail not sent", "message", token.ID(m.ID), "kind", m.Kind, "state", m.State.String(), "answer", answer)
	}
}

// outcome is what one try came to.
type outcome struct {
	state  authn.MessageState // MessageSent, MessageWaiting, MessageRefused or MessageUnknown
	answer string
}

func (o outcome) apply(m authn.Message, now time.Time) authn.Message {
	switch o.state {
	case authn.MessageSent:
		return m.Accepted(o.answer, now)
	case authn.MessageRefused:
		return m.Rejected(o.answer, now)
	case authn.MessageUnknown:
		return m.Uncertain(o.answer, now)
	}
	return m.Postponed(o.answer, now)
}
