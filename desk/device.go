package desk

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// Grant gives a token of the stock to a user: in service at once (life.Assign) or waiting for its first right code
// (life.Reserve). share lets a token that others hold be held by one more.
func (d *Desk) Grant(ctx context.Context, a Actor, verb life.Verb, account authn.AccountID, id token.ID, share bool) (Done, error) {
	o := about(a, "assignment."+string(verb), account, id)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.Grant(s, verb, life.AccountID(account), id, share)
	})
	return d.do(ctx, o)
}

// Register brings a hardware token into service by its serial and a code (O7), and tells which one it was.
func (d *Desk) Register(ctx context.Context, a Actor, account authn.AccountID, serial string, code authn.Secret) (token.ID, Done, error) {
	serial = cleanSerial(serial)
	id, err := d.Store.FindToken(ctx, serial)
	if err != nil {
		return 0, Done{}, err
	}
	o := about(a, "assignment.register", account, id)
	o.codes, o.groups = true, true
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.Register(t.state, life.AccountID(account), serial, typed(code))
		c, no = t.afford(account, id, t.act.Rules.FirstUse, c, no)
		return c, no, nil
	}
	done, err := d.do(ctx, o)
	return id, done, err
}

// cleanSerial is a serial as tokens have it engraved: people type blanks, full-width digits and small letters.
func cleanSerial(typed string) string {
	return strings.Map(func(r rune) rune {
		if r >= '\uff01' && r <= '\uff5e' {
			r -= 0xfee0
		}
		if unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, typed)
}

// Defer puts the registration of a token that waits off (O8).
func (d *Desk) Defer(ctx context.Context, a Actor, account authn.AccountID, id token.ID) (Done, error) {
	o := about(a, "assignment.defer", account, id)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.Defer(s, life.AccountID(account), id)
	})
	return d.do(ctx, o)
}

// EnrolOrder is a software token to be made.
type EnrolOrder struct {
	Account  authn.AccountID
	Name     string       // what the owner calls the device; may be empty
	Digits   int          // 6 or 8; 0: 6
	Replaces []token.ID   // devices that end with the first right code
	By       token.ID     // of a person who adds a device (K11): the working token that proves it
	Code     authn.Secret // of it
}

// Enrol makes a software token that waits for its first right code.
func (d *Desk) Enrol(ctx context.Context, a Actor, order EnrolOrder) (SecretView, error) {
	fresh, seed, err := d.newToken(order.Name, order.Digits)
	if err != nil {
		return SecretView{}, err
	}
	defer clear(seed)
	o := about(a, "assignment.enrol", order.Account, order.By)
	o.tokens = append(o.tokens, fresh.ID)
	o.codes = a.By == life.ByPerson
	var view SecretView
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.Enrol(t.state, life.AccountID(order.Account), fresh, order.Replaces, order.By, typed(order.Code))
		if o.codes {
			c, no = t.afford(order.Account, order.By, t.act.Rules.Login, c, no)
		}
		view = t.secretView(order.Account, &fresh, seed, order.Replaces)
		return c, no, nil
	}
	if _, err := d.do(ctx, o); err != nil {
		return SecretView{}, err
	}
	return view, nil
}

// newToken makes a software token and its seed, which the caller clears.
func (d *Desk) newToken(name string, digits int) (token.Token, token.Seed, error) {
	if digits == 0 {
		digits = 6
	}
	t := token.Token{ID: token.NewID(), Name: name, Form: token.Software, Mode: token.TOTP, Hash: token.SHA1, Digits: uint8(digits), Period: 30,
		State: token.InStock, Last: token.NoStep}
	if err := t.Check(); err != nil {
		return t, nil, &authn.Refusal{Code: "bad-input", Sentence: err.Error()}
	}
	seed := token.NewSeed(token.SeedSize)
	sealed, err := d.Keys.SealSeed(t.ID, seed)
	if err != nil {
		clear(seed)
		return t, nil, fmt.Errorf("sealing the seed of token %v: %w", t.ID, err)
	}
	t.Sealed, t.Fingerprint = sealed, d.Keys.Fingerprint(seed)
	return t, seed, nil
}

// secretView shows a new secret. Entries of one person get different labels, so that apps keep them apart and people delete
// the right one (P16): the number is how many software tokens they ever had, this one included.
func (t *table) secretView(account authn.AccountID, fresh *token.Token, seed token.Seed, replaces []token.ID) SecretView {
	numbers := map[token.ID]int{}
	n := 0
	if h := t.holder(account); h != nil {
		for _, hold := range h.Holds {
			if k := t.held.Token(hold.Token); k != nil && k.Form == token.Software && k.ID != fresh.ID {
				n++
				numbers[k.ID] = n
			}
			if hold.Token == fresh.ID { // shown again
				break
			}
		}
	}
	user := t.name(account)
	label := func(n int) string {
		if n > 1 {
			return user + " (" + strconv.Itoa(n) + ")"
		}
		return user
	}
	v := SecretView{Token: fresh.ID, URI: token.FormatURI(fresh, seed, t.desk.Issuer, label(n+1)),
		Key: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed), Label: t.desk.Issuer + ":" + label(n+1)}
	for _, old := range replaces {
		if numbers[old] > 0 {
			v.Old = t.desk.Issuer + ":" + label(numbers[old])
		}
	}
	return v
}

// Confirm puts a token that waits into service by a right code, which is burnt.
func (d *Desk) Confirm(ctx context.Context, a Actor, account authn.AccountID, id token.ID, code authn.Secret) (Done, error) {
	o := about(a, "assignment.confirm", account, id)
	o.codes = true
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no := t.act.Confirm(t.state, life.AccountID(account), id, typed(code))
		c, no = t.afford(account, id, t.act.Rules.FirstUse, c, no)
		return c, no, nil
	}
	return d.do(ctx, o)
}

// Pair makes the first right code of a token that waits end other tokens of the same user (O9).
func (d *Desk) Pair(ctx context.Context, a Actor, account authn.AccountID, id token.ID, old []token.ID) (Done, error) {
	o := about(a, "assignment.pair", account, id)
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) {
		return act.Pair(s, life.AccountID(account), id, old)
	})
	return d.do(ctx, o)
}

// Rename changes what the owner calls a device. A person renames what they hold themselves.
func (d *Desk) Rename(ctx context.Context, a Actor, account authn.AccountID, id token.ID, name string) (Done, error) {
	o := about(a, "token.rename", account, id)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		h, k := t.holder(account), t.held.Token(id)
		if h == nil || k == nil || a.By == life.ByPerson && a.Account != account {
			return life.Change{}, notFound(""), nil
		}
		if hold := h.Hold(id); hold == nil || hold.Standing == token.Revoked {
			return life.Change{}, &life.Refusal{Code: life.NotAssigned, About: t.label(id)}, nil
		}
		next := *k
		next.Name = name
		if err := next.Check(); err != nil {
			return life.Change{}, nil, &authn.Refusal{Code: "bad-input", Sentence: err.Error()}
		}
		return life.Change{Tokens: []token.Token{next}}, nil, nil
	}
	return d.do(ctx, o)
}

// typed is a code as the rules take it: what is no code stays as it is, and has the wrong form.
func typed(code authn.Secret) life.Typed {
	if digits, ok := token.CleanCode(code.Reveal()); ok {
		return life.Typed(digits)
	}
	return life.Typed(code.Reveal())
}

// Open gives the account of a directory's user, and makes it where there is none.
func (d *Desk) Open(ctx context.Context, u *authn.User) (authn.AccountID, error) {
	for range tries {
		if id := d.Store.AccountOf(u.Directory, u.ID); id != 0 {
			return id, nil
		}
		fresh := &authn.Account{ID: authn.AccountID(token.NewID()), Directory: u.Directory, External: u.ID, Name: u.Name, Generation: 1}
		now := d.Now()
		err := d.wait(ctx, authn.Keys{Accounts: []authn.AccountID{fresh.ID}}, func(*authn.Held) (authn.Change, error) {
			return authn.Change{Accounts: []*authn.Account{fresh}, Event: &authn.Event{At: now, Kind: authn.ActEvent, Account: fresh.ID,
				Step: token.NoStep, Act: "user.open", Actor: "system", Detail: "account made"}}, nil
		})
		if !errors.Is(err, authn.ErrExists) {
			return fresh.ID, err
		}
	}
	return 0, authn.ErrBusy
}

// Holder gives a user as the rules see them, with every token they hold or held, and what is remembered about these.
// authn.ErrNotFound: there is no such account.
func (d *Desk) Holder(ctx context.Context, account authn.AccountID) (h life.Holder, tokens []token.Token, records []life.Record, err error) {
	o := order{Actor: Actor{By: life.BySystem}, accounts: []authn.AccountID{account}}
	for range tries {
		var g *gathered
		if g, err = d.gather(&o); err != nil {
			return h, nil, nil, err
		}
		failed := d.Store.View(g.keys, func(held *authn.Held) {
			var t *table
			if t, err = d.lay(&o, g, held); err != nil {
				return
			}
			found := t.holder(account)
			if found == nil {
				err = authn.ErrNotFound
				return
			}
			h = *found
			for i, k := range t.state.Tokens {
				if h.Hold(k.ID) != nil {
					k.Serial, k.CredentialID, k.Name = strings.Clone(k.Serial), strings.Clone(k.CredentialID), strings.Clone(k.Name)
					k.Sealed.Data = slices.Clone(k.Sealed.Data)
					tokens, records = append(tokens, k), append(records, t.state.Records[i])
				}
			}
		})
		if err = errors.Join(failed, err); !errors.Is(err, errMoved) {
			return h, tokens, records, err
		}
	}
	return h, nil, nil, authn.ErrBusy
}

// wait runs one update and waits until it is durable.
func (d *Desk) wait(ctx context.Context, keys authn.Keys, f func(*authn.Held) (authn.Change, error)) error {
	durable := make(chan error, 1)
	if err := d.Store.Update(keys, f, func(err error) { durable <- err }); err != nil {
		return err
	}
	select {
	case err := <-durable:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
