package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// system is the actor of timers.
var system = Actor{By: life.BySystem}

// keepLapsed is how long a link that lapsed can still be sent again before it is ended, and with it what it showed.
const keepLapsed = 30 * 24 * time.Hour

// Tick does what time alone asks for: lost tokens and requests lapse, seeds of destroyed tokens are erased, links that lapsed
// long ago end, reminders of expiries are mailed, and once a day the directories are asked who is still there. It is called every few seconds, by one caller at a time, and not while
// the clock is in doubt (S21). What fails is in the error, and is tried again the next time; the rest is done all the same.
func (d *Desk) Tick(ctx context.Context) error {
	now := d.Now()
	return errors.Join(
		d.each(ctx, authn.RecordQuery{Kind: authn.HolderRecord, DueBy: now.Unix()}, d.lapse),
		d.each(ctx, authn.RecordQuery{Kind: authn.TokenRecord, DueBy: now.Unix()}, d.erase),
		d.each(ctx, authn.RecordQuery{Kind: authn.RequestRecord, States: []uint8{requestOpen}, DueBy: now.Unix()}, d.overdue),
		d.each(ctx, authn.RecordQuery{Kind: authn.ActivationRecord, States: []uint8{linkOpen, linkStarted}, DueBy: now.Add(-keepLapsed).Unix()},
			func(ctx context.Context, r *authn.Record) error {
				_, err := d.RevokeLink(ctx, system, r.ID)
				return err
			}),
		d.remind(ctx, now),
		d.sweepDue(ctx, now),
	)
}

// each does something about every record that is due.
func (d *Desk) each(ctx context.Context, q authn.RecordQuery, f func(context.Context, *authn.Record) error) error {
	var faults []error
	for q.Limit = 500; ctx.Err() == nil; {
		page, err := d.Store.Records(q)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := f(ctx, r); err != nil && !refusal(err) {
				faults = append(faults, fmt.Errorf("%v %d: %w", r.Kind, r.ID, err))
			}
		}
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].ID
	}
	return errors.Join(faults...)
}

// refusal reports an error that is the rules' answer: somebody else was faster.
func refusal(err error) bool {
	var no *life.Refusal
	return errors.As(err, &no)
}

// lapse revokes what somebody reported lost and did not resume in time (P3), and what ended with the first code of another token
// where a login took that code.
func (d *Desk) lapse(ctx context.Context, r *authn.Record) error {
	h, _, _, err := d.Holder(ctx, authn.AccountID(r.ID))
	if err != nil {
		return err
	}
	for _, hold := range h.Holds {
		if hold.Standing == token.Active && len(hold.Replaces) > 0 {
			o := about(system, "assignment.replace", authn.AccountID(r.ID), hold.Token)
			o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
				return act.EndReplaced(s, h.Account, hold.Token)
			})
			if _, err := d.do(ctx, o); err != nil && !refusal(err) {
				return err
			}
		}
		if hold.Standing != token.Suspended || hold.Until == 0 || hold.Until > d.Now().Unix() {
			continue
		}
		o := about(system, "assignment.lapse", authn.AccountID(r.ID), hold.Token)
		o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
			return act.Lapse(s, h.Account, hold.Token)
		})
		if _, err := d.do(ctx, o); err != nil && !refusal(err) {
			return err
		}
	}
	return nil
}

// erase takes the seed of a destroyed token away once nothing can bring the token back (S9).
func (d *Desk) erase(ctx context.Context, r *authn.Record) error {
	id := token.ID(r.ID)
	o := order{Actor: system, what: "token.erase-seed", tokens: []token.ID{id}}
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) { return act.EraseSeed(s, id) })
	_, err := d.do(ctx, o)
	return err
}

// overdue ends a request that nobody decided in time, or notes that its approvers have to be reminded.
func (d *Desk) overdue(ctx context.Context, r *authn.Record) error {
	_, _, err := d.decide(ctx, system, r.ID, "request.lapse", func(t *table, q life.Request) (life.Request, life.Change, *life.Refusal, error) {
		if t.act.Rules.Request.RemindDue(q, t.act.Now) {
			q.Reminded = t.act.Now.Unix()
			return q, life.Change{}, nil, nil
		}
		next, c, no := t.act.LapseRequest(t.state, q)
		return next, c, no, nil
	})
	return err
}
