package desk

import (
	"bytes"
	"slices"
	"strings"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// saving is what one act saves, and what is told of it.
type saving struct {
	change       authn.Change
	steps        []life.Step
	mails        int
	onlyRegister bool
}

func (s *saving) empty() bool { return s.change.Event == nil && len(s.change.Records) == 0 }

// save makes one authn.Change of what a rule ordered. Beside a refusal it holds what the attempt cost.
func (t *table) save(c life.Change, no *life.Refusal) (saving, error) {
	s := saving{steps: c.Steps, onlyRegister: c.OnlyRegister}
	ch := &s.change
	for i := range c.Holders {
		if err := t.saveHolder(ch, &c.Holders[i]); err != nil {
			return s, err
		}
	}
	for i := range c.Tokens {
		ch.Tokens = append(ch.Tokens, &c.Tokens[i])
		ch.Reset |= authn.ResetStep // the images were made under the locks, from the newest step and drift there are
	}
	if t.order.unlocks && no == nil {
		t.unlock(ch)
	}
	if err := t.saveTokenRecords(ch, c); err != nil {
		return s, err
	}
	mails, err := t.messages(c.Notices)
	if err != nil {
		return s, err
	}
	s.mails = len(mails)
	ch.Records = append(append(ch.Records, t.records...), mails...)
	t.saveEvents(ch, c, no)
	return s, nil
}

// saveHolder puts what a user holds and their PIN into the account, the rest into the record beside it.
func (t *table) saveHolder(ch *authn.Change, h *life.Holder) error {
	old := t.account(authn.AccountID(h.Account))
	assignments := make([]token.Assignment, len(h.Holds))
	for i := range h.Holds {
		assignments[i] = h.Holds[i].Assignment
	}
	pin := authn.PINHash(h.PIN.Current)
	spare, err := t.spare(h, old)
	if err != nil {
		return err
	}
	if !slices.Equal(assignments, old.Assignments) || pin != old.PIN || spare != old.Spare {
		next := renewed(old)
		next.Assignments, next.PIN, next.Spare = assignments, pin, spare
		ch.Accounts = append(ch.Accounts, next)
	}
	r, err := sealHolder(h)
	if err != nil {
		return err
	}
	if was := t.record[r.RecordKey]; was == nil || !bytes.Equal(was.Data, r.Data) || was.Due != r.Due {
		ch.Records = append(ch.Records, r)
	}
	return nil
}

// renewed copies an account so that it can be changed: whatever was open before the act is dead (S13).
func renewed(old *authn.Account) *authn.Account {
	next := *old
	next.Generation++
	next.Guard.Charges, next.Guard.Known = slices.Clone(old.Guard.Charges), slices.Clone(old.Guard.Known)
	return &next
}

// unlock ends misses in a row and the waits that they began; stops and pots stay (S1).
func (t *table) unlock(ch *authn.Change) {
	next := renewed(t.account(t.order.accounts[0]))
	next.Guard.Row, next.Guard.Wait = [2]uint8{}, [2]int64{}
	ch.Accounts = append(ch.Accounts, next)
	ch.Reset |= authn.ResetGuard
}

// saveTokenRecords saves what is remembered of tokens, and raises the version of each one's record whose holders changed:
// acts that counted these begin anew.
func (t *table) saveTokenRecords(ch *authn.Change, c life.Change) error {
	saved := map[token.ID]bool{}
	save := func(r life.Record) error {
		if saved[r.Token] {
			return nil
		}
		saved[r.Token] = true
		row, err := sealToken(r, t.act.Rules)
		ch.Records = append(ch.Records, row)
		return err
	}
	for _, r := range c.Records {
		if err := save(r); err != nil {
			return err
		}
	}
	for _, s := range c.Steps {
		if s.Kind != life.HoldKind || s.Token == 0 {
			continue
		}
		r := life.Record{Token: s.Token}
		for i := range t.state.Records {
			if t.state.Records[i].Token == s.Token {
				r = t.state.Records[i]
			}
		}
		if err := save(r); err != nil {
			return err
		}
	}
	return t.touchHolders(ch)
}

// touchHolders raises the version of records of holders that others compare with what they listed.
func (t *table) touchHolders(ch *authn.Change) error {
	for _, key := range t.touch {
		if slices.ContainsFunc(ch.Records, func(r *authn.Record) bool { return r.RecordKey == key }) {
			continue
		}
		if h := t.holder(authn.AccountID(key.ID)); h != nil {
			r, err := sealHolder(h)
			if err != nil {
				return err
			}
			ch.Records = append(ch.Records, r)
		}
	}
	return nil
}

// saveEvents writes one event for each step, or one for an attempt that was refused and cost something.
func (t *table) saveEvents(ch *authn.Change, c life.Change, no *life.Refusal) {
	var all []*authn.Event
	for _, s := range c.Steps {
		all = append(all, t.event(c, s))
	}
	if no != nil && c.Cost > 0 && len(t.order.accounts) > 0 {
		if a := t.account(t.order.accounts[0]); a != nil {
			e := &authn.Event{At: t.act.Now, Kind: authn.ActEvent, Account: a.ID, Step: token.NoStep, Act: t.order.what, Actor: t.who(),
				Detail: "refused: " + string(no.Code), GuardSet: true, Guard: a.Guard.After()}
			e.Guard.Charge = authn.Charge{Pot: authn.PotK, Day: token.Day(t.act.Now), Amount: a.Guard.Today(authn.PotK, t.act.Now) + c.Cost}
			all = append(all, e)
		}
	}
	if no == nil && len(all) == 0 && len(c.Holders)+len(c.Tokens)+len(c.Records) > 0 { // no transition, such as a new name
		e := &authn.Event{At: t.act.Now, Kind: authn.ActEvent, Step: token.NoStep, Act: t.order.what, Actor: t.who(), Detail: t.detail("")}
		if len(t.order.accounts) > 0 && t.account(t.order.accounts[0]) != nil {
			e.Account = t.order.accounts[0]
		}
		if len(ch.Tokens) > 0 {
			e.Token = ch.Tokens[0].ID
		}
		all = append(all, e)
	}
	if len(all) > 0 {
		ch.Event, ch.More = all[0], all[1:]
	}
}

// event is the audit row of one transition.
func (t *table) event(c life.Change, s life.Step) *authn.Event {
	e := &authn.Event{At: t.act.Now, Kind: authn.ActEvent, Account: authn.AccountID(s.Account), Token: s.Token, Step: token.NoStep,
		Act: actName(s.Kind, s.Verb), Actor: t.who()}
	detail := string(s.From) + " to " + string(s.To)
	if s.From == s.To {
		detail = string(s.To)
	}
	if s.Detail != "" {
		detail += ": " + s.Detail
	}
	e.Detail = t.detail(detail)
	if was := t.held.Token(s.Token); was != nil {
		for i := range c.Tokens {
			if c.Tokens[i].ID == s.Token && c.Tokens[i].Last > was.Last {
				e.Step = c.Tokens[i].Last
			}
		}
	}
	return e
}

// actName is the stable name of an act in the audit: "assignment.revoke", "temporary-codes.issue".
func actName(k life.Kind, v life.Verb) string {
	return strings.ReplaceAll(strings.ToLower(string(k)), " ", "-") + "." + string(v)
}

// who is the actor as the audit has it; the account of a person stands in the event.
func (t *table) who() string {
	switch {
	case t.order.By == life.BySystem:
		return "system"
	case t.order.By == life.ByLogin:
		return "login"
	case t.order.By == life.ByPerson:
		return "person"
	}
	return t.order.Name
}

// clipped bounds what operators write.
const clipped = 300

// detail adds what an operator gave with the act.
func (t *table) detail(text string) string {
	add := func(what, value string) {
		if value == "" {
			return
		}
		if text != "" {
			text += "; "
		}
		text += what + ": " + clip(value, clipped)
	}
	add("reason", t.order.Reason)
	add("reference", t.order.Reference)
	add("second", t.order.Second)
	return text
}

// clip cuts a text at a whole character.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
