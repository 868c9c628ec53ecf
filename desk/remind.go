package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// remindersKey is the record of how far reminders of expiries have come.
var remindersKey = authn.RecordKey{Kind: authn.SettingRecord, ID: 0x6465736b_00000001}

// reminders is what it says: all due up to Last were mailed, and of those up to To the tokens up to After. A round that was cut
// short goes on where it stopped, so that nobody is reminded twice.
type reminders struct {
	Last, To int64    // Unix seconds
	After    token.ID // 0: no round is under way
}

// remindEvery is how often reminders are looked for; remindAtOnce how many tokens one change takes (S8).
const (
	remindEvery  = 15 * time.Minute
	remindAtOnce = 100
)

// remind mails the holders of tokens that run out (O9), on the days of the rules. The first round of a site owes nothing.
func (d *Desk) remind(ctx context.Context, now time.Time) error {
	at, err := d.reminders()
	if err != nil {
		return err
	}
	rules := d.Rules()
	switch {
	case at.Last == 0:
		return d.saveReminders(ctx, at, reminders{Last: now.Unix()}, nil)
	case at.To == 0 && now.Unix() < at.Last+int64(remindEvery/time.Second):
		return nil
	case at.To == 0:
		next := reminders{Last: at.Last, To: now.Unix()}
		if err := d.saveReminders(ctx, at, next, nil); err != nil {
			return err
		}
		at = next
	}
	to := time.Unix(at.To, 0)
	for ctx.Err() == nil {
		page, err := d.Store.Expiring(ctx, to.Add(furthest(rules)), at.After)
		if err != nil {
			return fmt.Errorf("listing tokens that run out: %w", err)
		}
		next := reminders{Last: at.To}
		page = page[:min(len(page), remindAtOnce)]
		var mails []*authn.Record
		if len(page) > 0 {
			next = reminders{Last: at.Last, To: at.To, After: page[len(page)-1].ID}
			if mails, err = d.expiryMails(page, at, rules); err != nil {
				return err
			}
		}
		if err := d.saveReminders(ctx, at, next, mails); err != nil {
			return err
		}
		if at = next; len(page) == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// furthest is how long before an expiry the first reminder may come, a day to spare for hours and zones.
func furthest(r life.Rules) time.Duration {
	most := 0
	for _, days := range r.Mails {
		most = max(most, days)
	}
	return time.Duration(most+1) * 24 * time.Hour
}

// expiryMails are the reminders for the holders of some tokens.
func (d *Desk) expiryMails(page []token.Token, at reminders, rules life.Rules) (mails []*authn.Record, err error) {
	to := time.Unix(at.To, 0)
	for i := range page {
		k := &page[i]
		if !rules.MailDue(k.Expiry, at.Last, to) {
			continue
		}
		_, holders, err := d.Store.Token(k.ID)
		if err != nil {
			return nil, err
		}
		for _, account := range holders {
			owed, err := d.owesSwitch(account, k)
			if err != nil {
				return nil, err
			}
			if !owed {
				continue
			}
			m := d.message(authn.MailExpiry, account, life.Act{Now: to, Rules: rules})
			end := time.Unix(k.Expiry, 0)
			m.Until = end
			label := k.Serial
			m.Fields["date"], m.Fields["instant"], m.Fields["last4"] = day(rules, end), moment(rules, end), label[max(0, len(label)-4):]
			r, err := m.Record()
			if err != nil {
				return nil, err
			}
			mails = append(mails, r)
		}
	}
	return mails, nil
}

// owesSwitch reports that somebody uses a token and has none in service that lasts longer.
func (d *Desk) owesSwitch(account authn.AccountID, k *token.Token) (bool, error) {
	a, err := d.Store.Account(account)
	if errors.Is(err, authn.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	uses := false
	for _, hold := range a.Assignments {
		if hold.Standing != token.Active {
			continue
		}
		if hold.Token == k.ID {
			uses = true
			continue
		}
		other, _, err := d.Store.Token(hold.Token)
		if err == nil && other.State == token.InUse && other.Form == k.Form && (other.Expiry == 0 || other.Expiry > k.Expiry) {
			return false, nil
		}
	}
	return uses, nil
}

// day is a date for people, in the site's zone.
func day(r life.Rules, at time.Time) string {
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	return at.In(zone).Format("2006-01-02")
}

func (d *Desk) reminders() (at reminders, err error) {
	r, err := d.Store.Record(remindersKey)
	if errors.Is(err, authn.ErrNotFound) {
		return at, nil
	}
	if err == nil {
		err = json.Unmarshal(r.Data, &at)
	}
	return at, err
}

// saveReminders moves on, with the mails of the way, unless somebody else did.
func (d *Desk) saveReminders(ctx context.Context, was, next reminders, mails []*authn.Record) error {
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	err = d.wait(ctx, authn.Keys{Records: []authn.RecordKey{remindersKey}}, func(h *authn.Held) (authn.Change, error) {
		var held reminders
		if r := h.Records[0]; r != nil {
			if err := json.Unmarshal(r.Data, &held); err != nil {
				return authn.Change{}, err
			}
		}
		if held != was {
			return authn.Change{}, errMoved
		}
		return authn.Change{Records: append(mails, &authn.Record{RecordKey: remindersKey, Data: data})}, nil
	})
	if err == nil && len(mails) > 0 && d.Wake != nil {
		d.Wake()
	}
	return err
}
