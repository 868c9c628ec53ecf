package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/mail"
	"sekisho/token"
)

// mails is the way of messages from the store to the site's mail server, for the life of the service.
type mails struct {
	box     *mail.Box
	metrics *mail.Metrics
	wake    chan struct{}
}

func newMails(s *service, registry prometheus.Registerer) *mails {
	box := &mail.Box{Store: s.db}
	return &mails{box, mail.NewMetrics(registry, box, time.Now), make(chan struct{}, 1)}
}

// Wake tells that there is something new to send.
func (m *mails) Wake() {
	select {
	case m.wake <- struct{}{}:
	default: // told already
	}
}

// selfServiceURL is where people find the self-service pages; empty: there are none.
func (c *Config) selfServiceURL() string {
	if !c.SelfService.On() {
		return ""
	}
	return strings.TrimSuffix(c.SelfService.URL, "/")
}

// sendMails sends until ctx ends, by the configuration of the moment: each reload begins anew, after the mail under way.
// Without a mail server messages wait.
func (s *service) sendMails(ctx context.Context) {
	for ctx.Err() == nil {
		p := s.parts.Load()
		run, stop := context.WithCancel(ctx)
		go func() {
			select {
			case <-p.replaced:
			case <-run.Done():
			}
			stop()
		}()
		if p.config.Mail.On() {
			sender := &mail.Sender{
				Config: p.config.Mail, URL: p.config.selfServiceURL(), Outbox: s.mails.box, Metrics: s.mails.metrics, Log: s.log,
				People: mail.DirectoryPeople{Accounts: s.db, Directories: p.directories},
				Doubt:  s.clock.Doubt, Wake: s.mails.wake, Now: time.Now,
			}
			for err := sender.Run(run); err != nil && run.Err() == nil; err = sender.Run(run) {
				s.log.Error("mails do not leave; tried again in a minute", "error", err)
				pause(run, time.Minute)
			}
		}
		<-run.Done()
	}
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// sweepMails does what time alone asks for in the outbox, until ctx ends.
func (s *service) sweepMails(ctx context.Context) {
	for ctx.Err() == nil {
		if !s.clock.Doubt() {
			if err := s.mails.box.Sweep(time.Now()); err != nil && ctx.Err() == nil {
				s.log.Error("the outbox cannot be tidied; tried again in a minute", "error", err)
			}
		}
		pause(ctx, time.Minute)
	}
}

// notices makes mails of what logins owe people.
func (s *service) notices() *mail.Notices {
	return &mail.Notices{
		Journal: s.db, Store: s.db, Wake: s.mails.Wake, Doubt: s.clock.Doubt, Now: time.Now, Log: s.log,
		Label: func(id token.ID) string {
			info, err := s.db.Token(id)
			if err != nil {
				return ""
			}
			return cmp.Or(info.Token.Serial, info.Token.Name, id.String())
		},
		Zone: func() *time.Location { return s.parts.Load().config.dateOnly().Zone },
		On:   func() bool { return s.parts.Load().config.Mail.On() },
		URL: func() string {
			c := s.parts.Load().config
			return cmp.Or(c.selfServiceURL(), c.Login.RegisterURL)
		},
	}
}
