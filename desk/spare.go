package desk

import (
	"crypto/subtle"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/life"
)

// Spares gives the logins what opens without a token: the rules of temporary codes and of codes for a first login.
func (d *Desk) Spares() authn.Spares { return spares{d} }

type spares struct{ d *Desk }

// Try compares a code with the holder's temporary code and the one for a first login. It is part of a login's decision, so it
// changes nothing and looks at nothing but what it is given.
func (s spares) Try(acc *authn.Account, holder *authn.Record, code []byte, now time.Time) (out authn.Spare, err error) {
	h, err := openHolder(acc, holder)
	if err != nil {
		return out, err
	}
	t := s.at(now)
	temporary, first := temporaryRuns(&h, now) && h.Temporary.Live != [32]byte{}, firstOpen(&h, now)
	out.Live = temporary || first
	if len(code) != authn.SpareDigits {
		return out, nil
	}
	state := life.State{Holders: []life.Holder{h}}
	hash := s.d.hashCode(life.ForTemporary, acc.ID, code)
	if slices.ContainsFunc(h.Temporary.Used, func(used [32]byte) bool { return subtle.ConstantTimeCompare(used[:], hash[:]) == 1 }) {
		out.Fit = authn.FitsUsed
		return out, nil
	}
	if temporary {
		if c, no := t.act.UseTemporary(state, h.Account, hash); no == nil {
			out.Fit, out.Reason, out.Number = authn.FitsOpen, authn.OKTemporary, int64(h.Temporary.Spent)+1
			return out, t.saveSpare(&out, c)
		}
	}
	if first {
		if reply, c, no := t.act.UseFirstLogin(state, h.Account, s.d.hashCode(life.ForFirst, acc.ID, code)); no == nil {
			out.Fit, out.Reason, out.Number, out.Reply = authn.FitsOpen, authn.OKFirstLogin, 1, reply
			return out, t.saveSpare(&out, c)
		}
	}
	return out, nil
}

// End ends the set of temporary codes, if one runs: the person has a device at hand again.
func (s spares) End(acc *authn.Account, holder *authn.Record, now time.Time) (out authn.Spare, err error) {
	h, err := openHolder(acc, holder)
	if err != nil || !temporaryRuns(&h, now) {
		return out, err
	}
	t := s.at(now)
	c, no := t.act.EndTemporary(life.State{Holders: []life.Holder{h}}, h.Account)
	if no != nil {
		return out, no
	}
	return out, t.saveSpare(&out, c)
}

// at is a table for what a login does.
func (s spares) at(now time.Time) *table {
	return &table{desk: s.d, order: &order{Actor: Actor{By: life.ByLogin}}, held: &authn.Held{},
		act: life.Act{By: life.ByLogin, Now: now, Rules: s.d.Rules()}}
}

func (t *table) saveSpare(out *authn.Spare, c life.Change) error {
	var err error
	if out.Holder, err = sealHolder(&c.Holders[0]); err != nil {
		return err
	}
	for _, step := range c.Steps {
		out.Events = append(out.Events, t.event(c, step))
	}
	return nil
}

func temporaryRuns(h *life.Holder, now time.Time) bool {
	return h.Temporary.Most > h.Temporary.Spent && now.Unix() < h.Temporary.Until
}

func firstOpen(h *life.Holder, now time.Time) bool {
	return h.First.Hash != [32]byte{} && !h.First.Used && now.Unix() < h.First.Until
}

// spare says whether logins have to look at the holder's record after an act, and takes a code away that must not open. An
// account of which a restored file said so no longer (authn.Account.Spare) has it said anew by codes that are given or shown
// since: an older one may have been used in the time that is lost.
func (t *table) spare(h *life.Holder, old *authn.Account) (bool, error) {
	was, err := openHolder(old, t.record[holderKey(old.ID)])
	if err != nil {
		return false, err
	}
	given := h.Temporary.Until != was.Temporary.Until || h.First.Hash != was.First.Hash || h.Temporary.Live != was.Temporary.Live
	if !old.Spare && h.Temporary.Live == was.Temporary.Live {
		h.Temporary.Live = [32]byte{}
	}
	if !old.Spare && h.First.Hash == was.First.Hash {
		h.First.Used = h.First.Hash != [32]byte{}
	}
	return (old.Spare || given) && (temporaryRuns(h, t.act.Now) || firstOpen(h, t.act.Now)), nil
}
