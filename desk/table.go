package desk

import (
	"fmt"
	"slices"
	"strings"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// table is one act under way, with everything it looks at laid out. Nothing of it outlives the call it was laid for.
type table struct {
	desk  *Desk
	order *order
	g     *gathered
	held  *authn.Held
	act   life.Act
	state life.State

	record  map[authn.RecordKey]*authn.Record // held ones
	records []*authn.Record                   // further ones to be saved
	touch   []authn.RecordKey                 // of holders, saved even where they stay as they are
	mail    mailFacts
	made    ActivationView // of a link that was made or sent again
}

// lay makes a life.State of what is held. errMoved: it is not what was gathered.
func (d *Desk) lay(o *order, g *gathered, h *authn.Held) (*table, error) {
	now, rules := d.Now(), d.Rules()
	t := &table{desk: d, order: o, g: g, held: h, record: map[authn.RecordKey]*authn.Record{}}
	t.act = life.Act{By: o.By, Account: life.AccountID(o.Account), Name: o.Name, Second: o.Second, Reason: o.Reason, Reference: o.Reference,
		Proven: o.Proven, Now: now, Rules: rules}
	for i, key := range g.keys.Records {
		r := h.Records[i]
		version := uint64(0)
		if r != nil {
			t.record[key] = r
			version = r.Version
		}
		if seen, counts := g.seen[key]; counts && seen != version {
			return nil, errMoved
		}
	}
	t.state.Elsewhere = g.elsewhere
	for _, tok := range h.Tokens {
		if _, known := slices.BinarySearch(g.keys.Tokens, tok.ID); !known {
			return nil, errMoved
		}
		t.state.Tokens = append(t.state.Tokens, *tok)
		r, err := openToken(tok.ID, t.record[tokenKey(tok.ID)])
		if err != nil {
			return nil, err
		}
		t.state.Records = append(t.state.Records, r)
	}
	for _, a := range h.Accounts {
		if a == nil {
			continue
		}
		holder, err := openHolder(a, t.record[holderKey(a.ID)])
		if err != nil {
			return nil, err
		}
		holder.Role = g.roles[a.ID]
		if o.groups && a.ID == o.accounts[0] {
			holder.Groups = g.groups
		}
		t.state.Holders = append(t.state.Holders, holder)
	}
	if o.codes {
		return t, t.openSeeds()
	}
	return t, nil
}

func holderKey(id authn.AccountID) authn.RecordKey {
	return authn.RecordKey{Kind: authn.HolderRecord, ID: uint64(id)}
}

// openSeeds opens the seeds that codes are compared with: of the living tokens of those whom the act is about.
func (t *table) openSeeds() error {
	t.state.Seeds = map[token.ID]token.Seed{}
	for i := range t.state.Tokens {
		tok := &t.state.Tokens[i]
		if len(tok.Sealed.Data) == 0 || tok.State == token.Destroyed && !slices.Contains(t.order.voided, tok.ID) || !t.concerns(tok.ID) {
			continue
		}
		seed, err := t.desk.Keys.OpenSeed(make([]byte, 0, token.MaxSeed), tok.ID, tok.Sealed)
		if err != nil {
			t.clear()
			return fmt.Errorf("opening the seed of token %v: %w", tok.ID, err)
		}
		t.state.Seeds[tok.ID] = seed
	}
	return nil
}

// concerns reports a token that the act is about: named, or held by somebody it is about.
func (t *table) concerns(id token.ID) bool {
	if slices.Contains(t.order.tokens, id) || slices.Contains(t.order.everyone, id) || slices.Contains(t.order.voided, id) {
		return true
	}
	for i := range t.state.Holders {
		h := &t.state.Holders[i]
		if hold := h.Hold(id); hold != nil && hold.Standing != token.Revoked && slices.Contains(t.g.subjects, authn.AccountID(h.Account)) {
			return true
		}
	}
	return false
}

// chain takes a rule's change into the state, so that the next rule of the same act sees it, and adds it to all.
func (t *table) chain(all *life.Change, c life.Change) {
	for _, h := range c.Holders {
		put(&t.state.Holders, h, func(o life.Holder) bool { return o.Account == h.Account })
		put(&all.Holders, h, func(o life.Holder) bool { return o.Account == h.Account })
	}
	for _, k := range c.Tokens {
		put(&t.state.Tokens, k, func(o token.Token) bool { return o.ID == k.ID })
		put(&all.Tokens, k, func(o token.Token) bool { return o.ID == k.ID })
	}
	for _, r := range c.Records {
		put(&t.state.Records, r, func(o life.Record) bool { return o.Token == r.Token })
		put(&all.Records, r, func(o life.Record) bool { return o.Token == r.Token })
	}
	all.Steps, all.Notices = append(all.Steps, c.Steps...), append(all.Notices, c.Notices...)
	all.OnlyRegister = all.OnlyRegister || c.OnlyRegister
}

// put replaces what is of the same thing, or adds it.
func put[E any](list *[]E, e E, same func(E) bool) {
	if i := slices.IndexFunc(*list, same); i >= 0 {
		(*list)[i] = e
		return
	}
	*list = append(*list, e)
}

// clear forgets the seeds.
func (t *table) clear() {
	for _, seed := range t.state.Seeds {
		clear(seed)
	}
}

// account finds a held account; nil where there is none.
func (t *table) account(id authn.AccountID) *authn.Account {
	for _, a := range t.held.Accounts {
		if a != nil && a.ID == id {
			return a
		}
	}
	return nil
}

// holder finds one laid out; nil where there is none.
func (t *table) holder(id authn.AccountID) *life.Holder {
	for i := range t.state.Holders {
		if t.state.Holders[i].Account == life.AccountID(id) {
			return &t.state.Holders[i]
		}
	}
	return nil
}

// name is a user's login name, free of what is held.
func (t *table) name(id authn.AccountID) string {
	if a := t.account(id); a != nil {
		return strings.Clone(a.Name)
	}
	return ""
}

// afford refuses a code, right or wrong, that the account's pot of known sources could not pay if it were wrong (S4). What was
// worked out is dropped then, so that the answer tells nothing.
func (t *table) afford(id authn.AccountID, tok token.ID, w token.Window, c life.Change, no *life.Refusal) (life.Change, *life.Refusal) {
	a, k := t.account(id), t.held.Token(tok)
	if a == nil || k == nil || no != nil && c.Cost == 0 {
		return c, no
	}
	cost := c.Cost
	if no == nil {
		if low, high := k.Range(t.act.Now, w); high >= low {
			cost = k.GuessCost(int(high - low + 1))
		}
	}
	if a.Guard.Spent(authn.PotK, t.act.Now)+cost > t.desk.Limits.Pot[authn.ClassKnown] {
		return life.Change{}, &life.Refusal{Code: life.BudgetUsed, About: t.label(tok)}
	}
	return c, no
}

// label is how people recognise a token.
func (t *table) label(id token.ID) string {
	k := t.held.Token(id)
	switch {
	case k == nil:
		return id.String()
	case k.Serial != "":
		return strings.Clone(k.Serial)
	case k.Name != "":
		return strings.Clone(k.Name)
	}
	return id.String()
}
