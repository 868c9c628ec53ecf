// Package mail takes messages from the outbox, makes texts of them and hands them to the site's mail server.
//
// [Sender.Run] is the whole path: claim (durable), render, one SMTP conversation, settle (durable). A message whose last
// octet was sent and whose answer never came is never sent a second time by itself: [authn.MessageUnknown].
package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"sekisho/authn"
)

// Outbox keeps messages.
//
// Claim gives up to n messages that are due, oldest first, claimed by [authn.Message.Claim], and is durable before it
// returns; what lapsed on the way is stored as such. Settle stores where a message has come to. Interrupted settles what
// an earlier process left claimed as uncertain, and reports how many.
type Outbox interface {
	Claim(ctx context.Context, now time.Time, n int) ([]authn.Message, error)
	Settle(ctx context.Context, m authn.Message) error
	Interrupted(ctx context.Context, now time.Time) (int, error)
}

// Sender sends what the outbox holds. All fields but Registerer, Wake and Now are required.
type Sender struct {
	Config     Config
	Outbox     Outbox
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: counters are kept and not shown
	Wake       <-chan struct{}       // something new may be due; nil: looked at every few seconds only
	Now        func() time.Time      // nil: time.Now
}

const (
	look     = 10 * time.Second // between looks at the outbox when nothing wakes us
	batch    = 50               // messages of one conversation
	settling = 10 * time.Second // to store an outcome although we are being stopped
)

// Run sends until ctx ends, then finishes the message under way and returns nil. An error is a config or a template that
// cannot work; everything else is logged, kept with the messages and tried again.
func (s *Sender) Run(ctx context.Context) error {
	templates, faults := s.Config.settle()
	if len(faults) > 0 {
		return faults
	}
	now := s.Now
	if now == nil {
		now = time.Now
	}
	counts := newCounts(s.Registerer)
	if n, err := s.Outbox.Interrupted(ctx, now()); err != nil {
		return fmt.Errorf("looking for mails that were under way at the last stop: %w", err)
	} else if n > 0 {
		s.Log.Warn("mails were under way when the program stopped; whether they arrived is not known", "messages", n,
			"advice", "look at them with 'sekisho mail list --state unknown' and send them again where it is needed")
	}
	pace := rate.NewLimiter(rate.Limit(float64(s.Config.perMinute())/60), max(1, s.Config.perMinute()/10))
	for ctx.Err() == nil {
		sent, err := s.round(ctx, templates, pace, counts, now)
		if err != nil && ctx.Err() == nil {
			s.Log.Error("the outbox cannot be read or written; mails wait", "error", err)
		}
		if sent && err == nil {
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

// round sends one batch over one connection and reports whether there was one.
func (s *Sender) round(ctx context.Context, t *Templates, pace *rate.Limiter, c *counts, now func() time.Time) (bool, error) {
	// One claim each keeps what a crash makes uncertain to the one message under way.
	var conn *conversation
	defer func() { conn.close() }()
	for n := range batch {
		if err := pace.Wait(ctx); err != nil {
			return n > 0, nil //nolint:nilerr // we are being stopped
		}
		claimed, err := s.Outbox.Claim(ctx, now(), 1)
		if err != nil || len(claimed) == 0 {
			return n > 0, err
		}
		m := claimed[0]
		var settled authn.Message
		if text, err := t.Render(m); err != nil {
			s.Log.Error("a mail cannot be written", "message", m.ID, "kind", m.Kind, "error", err)
			settled = m.Rejected(err.Error(), now())
		} else {
			var out outcome
			if conn == nil {
				conn, out = s.Config.dial(ctx)
			}
			if conn != nil {
				out = conn.send(ctx, m, text, now())
			}
			settled = out.apply(m, now())
			if conn != nil && conn.broken {
				conn.close()
				conn = nil
			}
		}
		c.add(settled)
		s.report(settled)
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
		err = s.Outbox.Settle(keep, settled)
		cancel()
		if err != nil {
			return true, fmt.Errorf("storing that mail %d is %v: %w", settled.ID, settled.State, err)
		}
		if settled.State == authn.MessageWaiting && conn == nil {
			return false, nil // the server is away: leave it in peace until the next look
		}
	}
	return true, nil
}

// report writes what operators must know of; addresses and texts stay out of the log (I6).
func (s *Sender) report(m authn.Message) {
	switch m.State {
	case authn.MessageSent:
		s.Log.Info("mail sent", "message", m.ID, "kind", m.Kind, "tries", m.Tries)
	case authn.MessageWaiting:
		s.Log.Warn("mail waits for another try", "message", m.ID, "kind", m.Kind, "tries", m.Tries, "next", m.Due, "answer", m.Answer)
	default:
		s.Log.Error("mail not sent", "message", m.ID, "kind", m.Kind, "state", m.State.String(), "answer", m.Answer)
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

// counts are the metrics of mails.
type counts struct{ ended *prometheus.CounterVec }

func newCounts(r prometheus.Registerer) *counts {
	c := &counts{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sekisho_mail_tries_total",
		Help: "Tries to send a mail, by what they came to: sent, waiting, refused, unknown, lapsed.",
	}, []string{"result"})}
	for _, s := range []authn.MessageState{authn.MessageSent, authn.MessageWaiting, authn.MessageRefused, authn.MessageUnknown, authn.MessageLapsed} {
		c.ended.WithLabelValues(s.String())
	}
	if r != nil {
		if err := r.Register(c.ended); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			panic(err) // two metrics of one name: a fault of the program
		}
	}
	return c
}

func (c *counts) add(m authn.Message) { c.ended.WithLabelValues(m.State.String()).Inc() }
