package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// Journal is where events stand that owe notices.
type Journal interface {
	// Noticed gives some events behind seq that owe notices, oldest first, and the number up to which it looked; seq itself
	// where nothing is behind it.
	Noticed(ctx context.Context, seq uint64) (events []authn.Event, upTo uint64, err error)
	// Seq is the number of the newest durable event.
	Seq() uint64
}

// Notices makes mails of what logins owe people. It follows the journal; how far it is lies in the store and moves in one
// step with the messages made, so that after a crash none is lost and none comes twice. All fields are required.
type Notices struct {
	Journal Journal
	Store   Store
	Label   func(token.ID) string // what people call a token; empty: it is gone
	On      func() bool           // mails can leave; while they cannot, notices are not kept for later
	URL     func() string         // of the self-service pages; empty: none
	Zone    func() *time.Location // of the times in mails
	Wake    func()                // there is something to send
	Doubt   func() bool           // the clock cannot be believed (S21)
	Now     func() time.Time
	Log     *slog.Logger

	at     uint64 // events up to here are dealt with
	stored uint64 // what the store says of at
	begun  bool
}

const (
	noticePause = 2 * time.Second
	noticeLife  = 3 * 24 * time.Hour // an older notice tells nobody anything
	noticeSave  = 5 * time.Minute    // between saves of a position behind which nothing was owed
)

// noticesKey is where it is kept how far the journal was read.
var noticesKey = authn.RecordKey{Kind: authn.SettingRecord, ID: 0x6d61696c_00000001}

// position is what the record holds.
type position struct {
	Seq uint64 `json:"seq"`
}

// Run follows the journal until ctx ends.
func (n *Notices) Run(ctx context.Context) {
	saved, failed := n.Now(), false
	for {
		if !n.Doubt() {
			err := n.follow(ctx)
			if now := n.Now(); err == nil && n.at != n.stored && now.Sub(saved) >= noticeSave {
				err = n.save(n.at, nil)
				saved = now
			}
			if err != nil && !failed && ctx.Err() == nil {
				n.Log.Error("notices of logins do not become mails; they will when this is mended", "error", err)
			}
			failed = err != nil
		}
		select {
		case <-ctx.Done():
			if n.begun && n.at != n.stored {
				_ = n.save(n.at, nil) // without it the next start only looks at more
			}
			return
		case <-time.After(noticePause):
		}
	}
}

// follow deals with everything up to the newest durable event.
func (n *Notices) follow(ctx context.Context) error {
	if err := n.Begin(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		events, upTo, err := n.Journal.Noticed(ctx, n.at)
		if err != nil {
			return err
		}
		for i := range events {
			if err := n.event(&events[i]); err != nil {
				return err
			}
		}
		if upTo == n.at {
			return nil
		}
		n.at = upTo
	}
	return nil
}

// Begin finds where to go on; Run does it too. The very first time that is the newest event: nobody gets mails about the past.
// Called before the first login, so that none of them is past.
func (n *Notices) Begin() error {
	if n.begun {
		return nil
	}
	r, err := n.Store.Record(noticesKey)
	switch {
	case errors.Is(err, authn.ErrNotFound):
		n.at, n.stored = n.Journal.Seq(), 0
		err = n.save(n.at, nil)
	case err == nil:
		var p position
		if err = json.Unmarshal(r.Data, &p); err == nil {
			n.at, n.stored = p.Seq, p.Seq
		}
	}
	n.begun = err == nil
	return err
}

// save moves the position in the store and makes messages, in one step. Whoever else moved it has made them.
func (n *Notices) save(seq uint64, messages []authn.Message) error {
	data, err := json.Marshal(position{seq})
	if err != nil {
		return err
	}
	c := authn.Change{Records: []*authn.Record{{RecordKey: noticesKey, Data: data}}}
	for _, m := range messages {
		r, err := m.Record()
		if err != nil {
			return err
		}
		c.Records = append(c.Records, r)
	}
	_, err = save(n.Store, authn.Keys{Records: []authn.RecordKey{noticesKey}}, func(h *authn.Held) (authn.Change, error) {
		var now position
		if r := h.Records[0]; r != nil {
			if err := json.Unmarshal(r.Data, &now); err != nil {
				return authn.Change{}, err
			}
		}
		if now.Seq != n.stored {
			return authn.Change{}, errMoved
		}
		return c, nil
	})
	if err != nil {
		n.begun = false // whether it was saved is not known: read it again
		return err
	}
	n.stored = seq
	return nil
}

var errMoved = errors.New("the position in the journal was moved by somebody else")

// event makes the mails of one event.
func (n *Notices) event(ev *authn.Event) error {
	now := n.Now()
	if ev.Account == 0 || !n.On() || now.Sub(ev.At) >= noticeLife {
		return nil
	}
	var made []authn.Message
	for _, kind := range kindsOf(ev) {
		told, err := n.told(ev.Account, kind, ev.At)
		if err != nil {
			return err
		}
		if told {
			continue
		}
		made = append(made, n.message(kind, ev, now))
	}
	if len(made) == 0 {
		return nil
	}
	if err := n.save(ev.Seq, made); err != nil {
		return fmt.Errorf("notices of event %d: %w", ev.Seq, err)
	}
	n.at = ev.Seq
	n.Wake()
	return nil
}

// kindsOf says which mails an event owes. What two of them would say is said once.
func kindsOf(ev *authn.Event) (kinds []authn.MessageKind) {
	has := func(x authn.Notice) bool { return slices.Contains(ev.Notices, x) }
	stopped := has(authn.NoticeStopped) && ev.Guard.Stopped&authn.StopAccount != 0 || has(authn.NoticePairBudget)
	switch {
	case stopped:
		kinds = append(kinds, authn.MailStopped)
	case has(authn.NoticeTheft):
		kinds = append(kinds, authn.MailTheft)
	case has(authn.NoticeFailures): // it says too what to do when a code is refused
		kinds = append(kinds, authn.MailFailures)
	case has(authn.NoticePair):
		kinds = append(kinds, authn.MailTwoCodes)
	}
	if has(authn.NoticeRefusedLive) {
		kinds = append(kinds, authn.MailRefusedByRule)
	}
	if has(authn.NoticeActivated) {
		kinds = append(kinds, authn.MailDeviceAdded)
	}
	return kinds
}

// least is how much time lies between two mails of a kind to one person; other kinds come each time.
var least = map[authn.MessageKind]time.Duration{
	authn.MailRefusedByRule: 24 * time.Hour, // P4
	authn.MailStopped:       24 * time.Hour,
	authn.MailFailures:      time.Hour,
	authn.MailTheft:         time.Hour,
	authn.MailTwoCodes:      time.Hour,
}

// told reports that the person was told the same not long ago.
func (n *Notices) told(account authn.AccountID, kind authn.MessageKind, at time.Time) (bool, error) {
	wait := least[kind]
	if wait == 0 {
		return false, nil
	}
	q := authn.RecordQuery{Kind: authn.MessageRecord, Account: account, Newest: true, Limit: pageSize}
	page, err := n.Store.Records(q)
	if err != nil {
		return false, err
	}
	for _, r := range page {
		m, err := authn.MessageOf(r)
		if err != nil {
			return false, err
		}
		if m.Kind == kind && at.Sub(m.Created) < wait {
			return true, nil
		}
	}
	return false, nil
}

// message makes one mail. Address, language and name are the directory's when it leaves.
func (n *Notices) message(kind authn.MessageKind, ev *authn.Event, now time.Time) authn.Message {
	f := map[string]string{"when": ev.At.In(n.Zone()).Format("2006-01-02 15:04 MST"), "url": n.URL()}
	switch kind {
	case authn.MailRefusedByRule:
		f["reason"], f["reason.ja"], f["reason.en"] = ev.Reason.Sentence(), ev.Reason.Japanese(), ev.Reason.Sentence()
	case authn.MailDeviceAdded:
		f["device"] = n.Label(ev.Token)
	}
	return authn.Message{
		ID: authn.NewMessageID(now), Kind: kind, Account: ev.Account, Fields: f, Created: now, Due: now, Until: ev.At.Add(noticeLife),
		State: authn.MessageWaiting, Changed: now,
	}
}
