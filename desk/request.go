package desk

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// RequestView is a request of a person (K5).
type RequestView struct {
	ID       uint64
	Number   string // that people read out: 1234-567
	Account  authn.AccountID
	Name     string // of the user
	Kind     life.RequestKindName
	Why      life.Why
	Tokens   []token.ID // ticked: they end when the link is made after approval
	Pledge   string     // version agreed to
	Stage    life.Stage
	Made     time.Time
	By       string    // who decided; "policy" where policy did
	Decided  time.Time // zero: it is open
	Sentence string    // of a refusal
}

// RequestOrder is a request to be made.
type RequestOrder struct {
	Account authn.AccountID
	Kind    life.RequestKindName
	Why     life.Why
	Tokens  []token.ID
	Pledge  string
}

func viewRequest(id uint64, q life.Request, name string) RequestView {
	return RequestView{ID: id, Number: q.Number, Account: authn.AccountID(q.Account), Name: name, Kind: q.Kind, Why: q.Why, Tokens: slices.Clone(q.Tokens),
		Pledge: q.Pledge, Stage: q.State, Made: instant(q.Made), By: q.By, Decided: instant(q.At), Sentence: q.Sentence}
}

// keptRequests is how many requests of one person are looked at for the limits of new ones: more than any limit allows.
const keptRequests = 100

// Apply makes a request. Where policy approves its kind by itself it is carried out at once.
func (d *Desk) Apply(ctx context.Context, a Actor, order RequestOrder) (RequestView, error) {
	var v RequestView
	for range tries {
		var err error
		v, err = d.apply(ctx, a, order)
		if err == nil {
			break
		}
		if !errors.Is(err, errMoved) {
			return RequestView{}, err
		}
	}
	if v.ID == 0 {
		return v, authn.ErrBusy
	}
	if !d.Rules().Request.ByPolicy(order.Kind) {
		return v, nil
	}
	decided, _, err := d.Approve(ctx, Actor{By: life.BySystem}, v.ID)
	if err != nil { // an operator can still decide it
		d.Log.Warn("policy approves a request and it could not be carried out", "request", v.Number, "error", err)
		return v, nil
	}
	return decided, nil
}

// apply makes a request, and errMoved where the same person made another one meanwhile: each one raises the version of the
// record of its maker.
func (d *Desk) apply(ctx context.Context, a Actor, order RequestOrder) (v RequestView, err error) {
	key := holderKey(order.Account)
	version, err := d.version(key)
	if err != nil {
		return v, err
	}
	page, err := d.Store.Records(authn.RecordQuery{Kind: authn.RequestRecord, Account: order.Account, Newest: true, Limit: keptRequests})
	if err != nil {
		return v, err
	}
	earlier := make([]life.Request, len(page))
	o := about(a, "request.ask", order.Account, 0)
	o.tokens, o.once = order.Tokens, true
	o.seen = map[authn.RecordKey]uint64{key: version}
	for i, r := range page {
		if earlier[i], err = openRequest(r); err != nil {
			return v, err
		}
		o.records, o.seen[r.RecordKey] = append(o.records, r.RecordKey), r.Version
	}
	number, lookup := d.number()
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		q, c, no := t.act.Apply(t.state, earlier, life.Request{Number: number, Account: life.AccountID(order.Account), Kind: order.Kind, Why: order.Why,
			Tokens: order.Tokens, Pledge: order.Pledge})
		if no != nil {
			return c, no, nil
		}
		id := newRecord(t.act.Now)
		r, err := sealRequest(id, q, lookup, t.act.Rules.Request)
		t.records, t.touch = append(t.records, r), append(t.touch, key)
		t.mail.number = number
		v = viewRequest(id, q, t.name(order.Account))
		return c, nil, err
	}
	if _, err = d.do(ctx, o); err != nil {
		return RequestView{}, err
	}
	return v, nil
}

// number draws a number that no request has.
func (d *Desk) number() (number string, lookup [16]byte) {
	for range 100 {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails: the program ends where the system has no randomness
		number = life.ReferenceNumber(binary.BigEndian.Uint32(b[:]))
		lookup = d.lookup(authn.RequestRecord, []byte(number))
		if d.Store.RecordOf(authn.RequestRecord, lookup) == 0 {
			break
		}
	}
	return number, lookup // one that is taken after all fails as a fault and changes nothing
}

// request reads one.
func (d *Desk) request(id uint64) (life.Request, error) {
	r, err := d.Store.Record(requestKey(id))
	if errors.Is(err, authn.ErrNotFound) {
		return life.Request{}, notFound("")
	}
	if err != nil {
		return life.Request{}, err
	}
	return openRequest(r)
}

// Request gives one by its ID; a refusal of the code not-found where there is none.
func (d *Desk) Request(_ context.Context, id uint64) (RequestView, error) {
	q, err := d.request(id)
	if err != nil {
		return RequestView{}, err
	}
	name, err := d.nameOf(authn.AccountID(q.Account))
	return viewRequest(id, q, name), err
}

// FindRequest gives one by the number that people read out, however it was typed.
func (d *Desk) FindRequest(ctx context.Context, number string) (RequestView, error) {
	clean, ok := life.CheckReference(cleanSerial(number))
	if !ok {
		return RequestView{}, notFound(number)
	}
	id := d.Store.RecordOf(authn.RequestRecord, d.lookup(authn.RequestRecord, []byte(clean)))
	if id == 0 {
		return RequestView{}, notFound(clean)
	}
	return d.Request(ctx, id)
}

// Requests lists a page. Kind is set here, and States are those of [RequestState].
func (d *Desk) Requests(_ context.Context, q authn.RecordQuery) ([]RequestView, error) {
	q.Kind = authn.RequestRecord
	page, err := d.Store.Records(q)
	if err != nil {
		return nil, err
	}
	all := make([]RequestView, 0, len(page))
	for _, r := range page {
		one, err := openRequest(r)
		if err != nil {
			return nil, err
		}
		name, err := d.nameOf(authn.AccountID(one.Account))
		if err != nil {
			return nil, err
		}
		all = append(all, viewRequest(r.ID, one, name))
	}
	return all, nil
}

// decide runs one decision on a request and what follows from it.
func (d *Desk) decide(ctx context.Context, a Actor, id uint64, what string, rule func(*table, life.Request) (life.Request, life.Change, *life.Refusal, error)) (v RequestView, done Done, err error) {
	found, err := d.request(id)
	if err != nil {
		return v, done, err
	}
	account := authn.AccountID(found.Account)
	o := about(a, what, account, 0)
	o.tokens, o.records = found.Tokens, []authn.RecordKey{requestKey(id)}
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		held := t.record[requestKey(id)]
		if held == nil {
			return life.Change{}, notFound(""), nil
		}
		was, err := openRequest(held)
		if err != nil {
			return life.Change{}, nil, err
		}
		t.mail.number = was.Number
		next, c, no, err := rule(t, was)
		if no != nil || err != nil {
			return c, no, err
		}
		r, err := sealRequest(id, next, held.Lookup, t.act.Rules.Request)
		t.records = append(t.records, r)
		v = viewRequest(id, next, t.name(account))
		return c, nil, err
	}
	done, err = d.do(ctx, o)
	if err != nil {
		return RequestView{}, Done{}, err
	}
	return v, done, nil
}

// Approve lets a request be carried out, in one change: the ticked tokens end, and where a device is to be registered its
// link is made and mailed (P3).
func (d *Desk) Approve(ctx context.Context, a Actor, id uint64) (RequestView, Done, error) {
	secret := newSecret()
	return d.decide(ctx, a, id, "request.approve", func(t *table, q life.Request) (life.Request, life.Change, *life.Refusal, error) {
		next, all, no := t.act.Approve(t.state, q)
		if no != nil {
			return q, all, no, nil
		}
		no, err := t.carryOut(&all, next, secret)
		if no != nil || err != nil {
			return q, life.Change{}, no, err
		}
		return next, all, nil, nil
	})
}

// carryOut does what an approved request asks for.
func (t *table) carryOut(all *life.Change, q life.Request, secret string) (no *life.Refusal, err error) {
	var c life.Change
	link := q.Kind == life.AskNew || q.Kind == life.AskReactivate || q.Kind == life.AskAdd
	var replaces []token.ID
	switch {
	case q.Kind == life.AskPIN:
		c, no = t.act.ResetPIN(t.state, q.Account)
	case link && (q.Why == life.WhyReplaced || q.Why == life.WhyLost || q.Why == life.WhyStolen):
		replaces = q.Tokens // they end with the first right code of the new one
	default:
		c, no = t.act.EndTicked(t.state, q)
	}
	if no != nil {
		return no, nil
	}
	t.chain(all, c)
	if !link {
		return nil, nil
	}
	c, no, err = t.issue(LinkOrder{Account: authn.AccountID(q.Account), Again: q.Kind != life.AskNew, Replaces: replaces}, secret)
	if no == nil && err == nil {
		t.chain(all, c)
	}
	return no, err
}

// Refuse turns a request down with a sentence for the person.
func (d *Desk) Refuse(ctx context.Context, a Actor, id uint64, sentence string) (RequestView, error) {
	v, _, err := d.decide(ctx, a, id, "request.refuse", func(t *table, q life.Request) (life.Request, life.Change, *life.Refusal, error) {
		t.mail.sentence = sentence
		next, c, no := t.act.Refuse(t.state, q, sentence)
		return next, c, no, nil
	})
	return v, err
}

// Withdraw takes an own request back.
func (d *Desk) Withdraw(ctx context.Context, a Actor, id uint64) (RequestView, error) {
	v, _, err := d.decide(ctx, a, id, "request.withdraw", func(t *table, q life.Request) (life.Request, life.Change, *life.Refusal, error) {
		next, c, no := t.act.Withdraw(t.state, q)
		return next, c, no, nil
	})
	return v, err
}
