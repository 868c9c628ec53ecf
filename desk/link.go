package desk

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// ActivationView is a link with which somebody registers devices. It never holds the link itself.
type ActivationView struct {
	ID       uint64
	Account  authn.AccountID
	Name     string // of the user
	Stage    life.Stage
	Letter   bool // it travels by letter
	Made     time.Time
	Until    time.Time // at which it lapses
	Uses     int       // devices it is good for
	Used     int
	Starts   int // starts it is good for
	Begun    int
	Sent     int // mails in the last day
	Replaces []token.ID
}

// Left is how many devices the link is still good for.
func (v *ActivationView) Left() int { return max(0, v.Uses-v.Used) }

// SecretView is a new secret on its way to its owner's app. It is shown once and logged never.
type SecretView struct {
	Token token.ID
	URI   string // otpauth
	Key   string // the secret in base32, for typing
	Label string // of the entry that the app will show, "Issuer:user (2)"
	Old   string // label of the entry that it takes the place of and that is to be deleted; empty: none
}

// StartView is what the page of an activation shows.
type StartView struct {
	SecretView
	Activation ActivationView
	Device     int       // which device of Of it is, from 1
	Of         int       // devices of the link
	Until      time.Time // until when the page shows this secret
}

// LinkOrder is a link to be made.
type LinkOrder struct {
	Account  authn.AccountID
	Letter   bool       // it is printed, lives longer and is not mailed
	Again    bool       // it follows a reset or a request: the mail says so
	Replaces []token.ID // devices that end with the first right code of the first one registered
}

// newSecret draws the secret of a link: 192 bits, in characters that URLs take as they are.
func newSecret() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends where the system has no randomness
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Issue makes a link for a user and mails it, unless it travels by letter. The URL comes back for letters alone; empty
// without a self-service URL.
func (d *Desk) Issue(ctx context.Context, a Actor, order LinkOrder) (v ActivationView, url string, err error) {
	o := about(a, "activation.issue", order.Account, 0)
	secret := newSecret()
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		c, no, err := t.issue(order, secret)
		if err == nil && no == nil {
			v = t.made
		}
		return c, no, err
	}
	if _, err := d.do(ctx, o); err != nil {
		return ActivationView{}, "", err
	}
	if order.Letter {
		url = d.url(secret)
	}
	return v, url, nil
}

// issue makes a link and its record.
func (t *table) issue(order LinkOrder, secret string) (life.Change, *life.Refusal, error) {
	l, c, no := t.act.Issue(t.state, life.AccountID(order.Account), newRecord(t.act.Now), life.HashLink([]byte(secret)), order.Letter, order.Replaces)
	if no != nil {
		return c, no, nil
	}
	made := link{Activation: l, Again: order.Again}
	return c, nil, t.keep(made, secret)
}

// keep saves a link whose secret is new, and says what its mail tells.
func (t *table) keep(v link, secret string) error {
	if !v.Letter {
		v.Mail = authn.NewMessageID(t.act.Now)
	}
	t.mail = mailFacts{secret: secret, id: v.Mail, left: v.Left(), again: v.Again, paper: v.Letter, number: t.mail.number}
	r, err := sealLink(v, t.desk.lookup(authn.ActivationRecord, []byte(secret)))
	t.records = append(t.records, r)
	t.made = viewLink(v, t.name(authn.AccountID(v.Account)), t.act.Now)
	return err
}

func viewLink(v link, name string, now time.Time) ActivationView {
	sent := 0
	for _, at := range v.Sent {
		if at+int64(24*time.Hour/time.Second) > now.Unix() {
			sent++
		}
	}
	return ActivationView{ID: v.ID, Account: authn.AccountID(v.Account), Name: name, Stage: v.Stage(now), Letter: v.Letter, Made: madeAt(v.ID),
		Until: time.Unix(v.Until, 0), Uses: int(v.Uses), Used: int(v.Used), Starts: int(v.Starts), Begun: int(v.Begun), Sent: sent, Replaces: slices.Clone(v.Replaces)}
}

// view gives a stored link with its owner's name.
func (d *Desk) view(v link) (ActivationView, error) {
	name, err := d.nameOf(authn.AccountID(v.Account))
	return viewLink(v, name, d.Now()), err
}

// nameOf is an account's login name; empty where the account is gone.
func (d *Desk) nameOf(id authn.AccountID) (string, error) {
	a, err := d.Store.Account(id)
	if errors.Is(err, authn.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return a.Name, nil
}

// link reads an activation.
func (d *Desk) link(id uint64) (link, error) {
	r, err := d.Store.Record(linkKey(id))
	if errors.Is(err, authn.ErrNotFound) {
		return link{}, notFound("")
	}
	if err != nil {
		return link{}, err
	}
	return openLink(r)
}

// find gives the activation of a link's secret.
func (d *Desk) find(secret authn.Secret) (link, error) {
	if id := d.Store.RecordOf(authn.ActivationRecord, d.lookup(authn.ActivationRecord, secret.Reveal())); id != 0 {
		return d.link(id)
	}
	return link{}, notFound("")
}

// FindLink gives the activation of a link's secret and changes nothing: mail scanners may ask as often as they like. A link
// that never was, or was sent again since, is a refusal of the code not-found.
func (d *Desk) FindLink(_ context.Context, secret authn.Secret) (ActivationView, error) {
	v, err := d.find(secret)
	if err != nil {
		return ActivationView{}, err
	}
	return d.view(v)
}

// Activation gives one by its ID; a refusal of the code not-found where there is none.
func (d *Desk) Activation(_ context.Context, id uint64) (ActivationView, error) {
	v, err := d.link(id)
	if err != nil {
		return ActivationView{}, err
	}
	return d.view(v)
}

// Activations lists a page. Kind is set here, and States are those of [LinkState].
func (d *Desk) Activations(_ context.Context, q authn.RecordQuery) ([]ActivationView, error) {
	q.Kind = authn.ActivationRecord
	page, err := d.Store.Records(q)
	if err != nil {
		return nil, err
	}
	all := make([]ActivationView, 0, len(page))
	for _, r := range page {
		v, err := openLink(r)
		if err != nil {
			return nil, err
		}
		shown, err := d.view(v)
		if err != nil {
			return nil, err
		}
		all = append(all, shown)
	}
	return all, nil
}

// held gives an activation as it is held, if the secret that found it is still its own; secret nil asks for none.
func (t *table) heldLink(id uint64, secret *authn.Secret) (v link, lookup [16]byte, no *life.Refusal, err error) {
	r := t.record[linkKey(id)]
	if r == nil {
		return v, lookup, notFound(""), nil
	}
	if secret != nil && r.Lookup != t.desk.lookup(authn.ActivationRecord, secret.Reveal()) {
		return v, lookup, notFound(""), nil
	}
	v, err = openLink(r)
	return v, r.Lookup, nil, err
}

// put saves a held activation under the secret that it has.
func (t *table) put(v link, lookup [16]byte) error {
	r, err := sealLink(v, lookup)
	t.records = append(t.records, r)
	return err
}

// Start shows a secret to one browser session; the actor is the signed-in person the link is for, with the password proven.
// The same session sees the same secret for a while; another session starts anew and voids the one before.
func (d *Desk) Start(ctx context.Context, a Actor, secret, session authn.Secret) (StartView, error) {
	found, err := d.find(secret)
	if err != nil {
		return StartView{}, err
	}
	fresh, seed, err := d.newToken("", 0)
	if err != nil {
		return StartView{}, err
	}
	defer clear(seed)
	var view StartView
	o := about(a, "activation.start", authn.AccountID(found.Account), fresh.ID)
	o.records = []authn.RecordKey{linkKey(found.ID)}
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		was, lookup, no, err := t.heldLink(found.ID, &secret)
		if no != nil || err != nil {
			return life.Change{}, no, err
		}
		next := was
		var c life.Change
		next.Activation, c, no = t.act.Start(t.state, was.Activation, life.HashLink(session.Reveal()), fresh)
		if no != nil {
			return c, no, nil
		}
		view, err = t.startView(&next, &fresh, seed)
		if err != nil || next.Begun == was.Begun {
			return c, nil, err
		}
		return c, nil, t.put(next, lookup)
	}
	if _, err := d.do(ctx, o); err != nil {
		return StartView{}, err
	}
	return view, nil
}

// startView is what the page shows: the new secret, or the one that this session was shown before.
func (t *table) startView(v *link, fresh *token.Token, seed token.Seed) (StartView, error) {
	show := *fresh
	if v.Token != fresh.ID {
		old := t.held.Token(v.Token)
		if old == nil {
			return StartView{}, fmt.Errorf("token %v of activation %d is not there", v.Token, v.ID)
		}
		opened, err := t.desk.Keys.OpenSeed(make([]byte, 0, token.MaxSeed), old.ID, old.Sealed)
		if err != nil {
			return StartView{}, fmt.Errorf("opening the seed of token %v: %w", old.ID, err)
		}
		defer clear(opened)
		show, seed = *old, opened
	}
	replaces := v.Replaces
	if v.Used > 0 {
		replaces = nil
	}
	replaces = append(slices.Clone(replaces), v.Voided...) // the entry of a secret that is void is to be deleted, too
	account := authn.AccountID(v.Account)
	return StartView{SecretView: t.secretView(account, &show, seed, replaces), Activation: viewLink(*v, t.name(account), t.act.Now),
		Device: int(v.Used) + 1, Of: int(v.Uses), Until: time.Unix(v.Since, 0).Add(t.act.Rules.Link.Page)}, nil
}

// Finish brings the device of a start into service by its first right code. name is what its owner calls it; empty: nothing.
func (d *Desk) Finish(ctx context.Context, a Actor, secret, session, code authn.Secret, name string) (v ActivationView, done Done, err error) {
	found, err := d.find(secret)
	if err != nil {
		return v, done, err
	}
	account := authn.AccountID(found.Account)
	o := about(a, "assignment.confirm", account, found.Token)
	o.codes, o.voided, o.records = true, found.Voided, []authn.RecordKey{linkKey(found.ID)}
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		was, lookup, no, err := t.heldLink(found.ID, &secret)
		if no != nil || err != nil {
			return life.Change{}, no, err
		}
		next := was
		var c life.Change
		next.Activation, c, no = t.act.Finish(t.state, was.Activation, life.HashLink(session.Reveal()), typed(code))
		if c, no = t.afford(account, was.Token, t.act.Rules.FirstUse, c, no); no != nil {
			return c, no, nil
		}
		if err := t.rename(&c, was.Token, name); err != nil {
			return c, nil, err
		}
		v = viewLink(next, t.name(account), t.act.Now)
		return c, nil, t.put(next, lookup)
	}
	done, err = d.do(ctx, o)
	if err != nil {
		return ActivationView{}, Done{}, err
	}
	return v, done, nil
}

// rename gives a token of a change its owner's name for it.
func (t *table) rename(c *life.Change, id token.ID, name string) error {
	if name == "" {
		return nil
	}
	t.mail.device = name
	for i := range c.Tokens {
		if c.Tokens[i].ID == id {
			c.Tokens[i].Name = name
			if err := c.Tokens[i].Check(); err != nil {
				return &authn.Refusal{Code: "bad-input", Sentence: err.Error()}
			}
		}
	}
	return nil
}

// Resend sends a link again under a new secret; the old one is void. The URL comes back for letters alone.
func (d *Desk) Resend(ctx context.Context, a Actor, id uint64) (v ActivationView, url string, err error) {
	found, err := d.link(id)
	if err != nil {
		return v, "", err
	}
	secret := newSecret()
	o := about(a, "activation.resend", authn.AccountID(found.Account), 0)
	o.records = linkKeys(found)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		was, _, no, err := t.heldLink(id, nil)
		if no != nil || err != nil {
			return life.Change{}, no, err
		}
		next := was
		var c life.Change
		next.Activation, c, no = t.act.Resend(t.state, was.Activation, life.HashLink([]byte(secret)))
		if no != nil {
			return c, no, nil
		}
		if err := t.withdraw(was.Mail); err != nil {
			return c, nil, err
		}
		err = t.keep(next, secret)
		v = t.made
		return c, nil, err
	}
	if _, err := d.do(ctx, o); err != nil {
		return ActivationView{}, "", err
	}
	if v.Letter {
		url = d.url(secret)
	}
	return v, url, nil
}

// linkKeys are the records of a link and of the mail that brings it.
func linkKeys(v link) []authn.RecordKey {
	keys := []authn.RecordKey{linkKey(v.ID)}
	if v.Mail != 0 {
		keys = append(keys, messageKey(v.Mail))
	}
	return keys
}

// RevokeLink ends a link; devices that it registered stay.
func (d *Desk) RevokeLink(ctx context.Context, a Actor, id uint64) (v ActivationView, err error) {
	found, err := d.link(id)
	if err != nil {
		return v, err
	}
	o := about(a, "activation.revoke", authn.AccountID(found.Account), 0)
	o.records = linkKeys(found)
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		was, lookup, no, err := t.heldLink(id, nil)
		if no != nil || err != nil {
			return life.Change{}, no, err
		}
		next := was
		var c life.Change
		next.Activation, c, no = t.act.RevokeLink(t.state, was.Activation)
		if no != nil {
			return c, no, nil
		}
		if err := t.withdraw(was.Mail); err != nil {
			return c, nil, err
		}
		v = viewLink(next, t.name(authn.AccountID(was.Account)), t.act.Now)
		return c, nil, t.put(next, lookup)
	}
	if _, err := d.do(ctx, o); err != nil {
		return ActivationView{}, err
	}
	return v, nil
}
