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

// knower is a directory that can be asked for people by what never changes. Names do: who was renamed is not gone.
type knower interface {
	// Knows is true where the directory has a user of an ID, false where it says that it has none, and an error otherwise.
	Knows(ctx context.Context, id string) (bool, error)
}

// sweepsKey is the record of when the directories were asked last.
var sweepsKey = authn.RecordKey{Kind: authn.SettingRecord, ID: 0x6465736b_00000002}

const (
	sweepAt     = 2                // o'clock in the site's zone, when few log in
	sweepAgain  = time.Hour        // after a round that was not finished
	sweepAsk    = 10 * time.Second // for one answer
	sweepSilent = 3                // answers in a row that did not come end a round
)

// sweeps is what the record says, in Unix seconds.
type sweeps struct {
	Done int64 // of the last whole round
	Next int64 // a round is due from then on
}

// sweepDue does a round of questions when its time has come.
func (d *Desk) sweepDue(ctx context.Context, now time.Time) error {
	at, err := d.sweeps()
	if err != nil || now.Unix() < at.Next {
		return err
	}
	if at.Next == 0 { // a site that begins
		return d.saveSweeps(ctx, sweeps{Next: d.nextSweep(now)})
	}
	_, err = d.Sweep(ctx, 0)
	next := sweeps{Done: now.Unix(), Next: d.nextSweep(now)}
	if err != nil && !refusal(err) {
		next = sweeps{Done: at.Done, Next: now.Add(sweepAgain).Unix()}
	}
	if refusal(err) {
		d.Log.Error("many users are gone from a directory at once, so nobody's tokens were changed; look whether the right one is asked", "refused", err)
		err = nil
	}
	return errors.Join(err, d.saveSweeps(ctx, next))
}

// nextSweep is the next time of the day for a round.
func (d *Desk) nextSweep(now time.Time) int64 {
	zone := d.Rules().Zone
	if zone == nil {
		zone = time.UTC
	}
	year, month, day := now.In(zone).Date()
	at := time.Date(year, month, day, sweepAt, 0, 0, 0, zone)
	if !at.After(now) {
		at = time.Date(year, month, day+1, sweepAt, 0, 0, 0, zone)
	}
	return at.Unix()
}

// Sweep asks the directories for everybody who holds something and goes by their word: quarantine, return, clean-up (P2). The
// brake of the rules refuses a round that changes many; confirmed is the number that a master agreed to then, else 0.
func (d *Desk) Sweep(ctx context.Context, confirmed int) (Done, error) {
	round := life.Sweep{Confirmed: confirmed}
	var moved []authn.AccountID
	var faults []error
	for i := range d.Directories {
		b := &d.Directories[i]
		k, can := b.Directory.(knower)
		if !can {
			continue
		}
		asked, found, total, err := d.askAll(ctx, b.Name, k)
		if err != nil {
			faults = append(faults, fmt.Errorf("asking directory %s who is there: %w", b.Name, err))
			continue
		}
		round.Answers, round.Total = append(round.Answers, asked...), round.Total+total
		moved = append(moved, found...)
	}
	var done Done
	if len(moved) > 0 {
		o := order{Actor: system, what: "user.sweep", accounts: moved}
		o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) { return act.SweepDirectory(s, round) })
		var err error
		if done, err = d.do(ctx, o); err != nil {
			return Done{}, errors.Join(append(faults, err)...)
		}
	}
	return done, errors.Join(faults...)
}

// askAll asks one directory for everybody of it who holds something or is gone. moved are those for whom the answer may change
// something, total all who were asked. A directory that knows nobody at all, or stops to answer, has said nothing.
func (d *Desk) askAll(ctx context.Context, name string, k knower) (answers []life.Seen, moved []authn.AccountID, total int, err error) {
	silent, known := 0, 0
	for after := authn.AccountID(0); ; {
		page, err := d.Store.AccountsOf(ctx, name, after)
		if err != nil {
			return nil, nil, 0, err
		}
		for _, a := range page {
			after = a.ID
			gone, err := d.gone(a)
			if err != nil {
				return nil, nil, 0, err
			}
			if !gone && !holdsSomething(a) {
				continue
			}
			total++
			one, cancel := context.WithTimeout(ctx, sweepAsk)
			there, err := k.Knows(one, a.External)
			cancel()
			switch {
			case err != nil:
				if silent++; silent >= sweepSilent {
					return nil, nil, 0, err
				}
				continue
			case there:
				known++
			}
			silent = 0
			if there == gone { // it is not as it stands here
				answer := life.Unknown
				if there {
					answer = life.Known
				}
				answers, moved = append(answers, life.Seen{Account: life.AccountID(a.ID), Answer: answer}), append(moved, a.ID)
			} else if gone { // unknown still: the quarantine may be over
				answers, moved = append(answers, life.Seen{Account: life.AccountID(a.ID), Answer: life.Unknown}), append(moved, a.ID)
			}
		}
		if len(page) == 0 {
			break
		}
	}
	if known == 0 && len(moved) > 0 {
		return nil, nil, 0, errors.New("it knows nobody of those who are here")
	}
	return answers, moved, total, nil
}

// gone reports that a user stands as gone from the directory.
func (d *Desk) gone(a *authn.Account) (bool, error) {
	r, err := d.Store.Record(holderKey(a.ID))
	if errors.Is(err, authn.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h, err := openHolder(a, r)
	return h.Presence.Gone != 0, err
}

func holdsSomething(a *authn.Account) bool {
	for _, held := range a.Assignments {
		if held.Standing != token.Revoked {
			return true
		}
	}
	return false
}

func (d *Desk) sweeps() (at sweeps, err error) {
	r, err := d.Store.Record(sweepsKey)
	if errors.Is(err, authn.ErrNotFound) {
		return at, nil
	}
	if err == nil {
		err = json.Unmarshal(r.Data, &at)
	}
	return at, err
}

func (d *Desk) saveSweeps(ctx context.Context, next sweeps) error {
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	return d.wait(ctx, authn.Keys{Records: []authn.RecordKey{sweepsKey}}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Records: []*authn.Record{{RecordKey: sweepsKey, Data: data}}}, nil
	})
}
