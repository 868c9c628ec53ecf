package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// order is one act before it is done.
type order struct {
	Actor
	what     string                     // its name in the audit where an attempt is refused and still costs something
	accounts []authn.AccountID          // whom it is about
	tokens   []token.ID                 // beside those that they hold
	everyone []token.ID                 // whoever holds one of these is held too
	records  []authn.RecordKey          // beside those of accounts and tokens
	codes    bool                       // codes are compared: the seeds of what accounts hold, and of tokens, are opened
	voided   []token.ID                 // destroyed tokens whose seeds are opened too
	groups   bool                       // the directory's groups of the first account count
	unlocks  bool                       // the accounts' misses in a row and waits end
	seen     map[authn.RecordKey]uint64 // versions that have to stand, beside those that are seen on the way
	once     bool                       // errMoved is for the caller, who looked something up
	rule     func(*table) (life.Change, *life.Refusal, error)
}

// errMoved says that what was looked up before the locks is no longer so.
var errMoved = errors.New("it changed meanwhile")

// tries is how often an act is begun anew because others moved what it is about.
const tries = 16

// do does one act: looks up what it is about, lets the store hold it, runs the rule and saves what it orders, all in one
// change. Where the lookup was overtaken it begins anew.
func (d *Desk) do(ctx context.Context, o order) (Done, error) {
	var groups []string
	if o.groups {
		groups = d.groups(ctx, o.accounts[0])
	}
	for range tries {
		g, err := d.gather(&o)
		if err != nil {
			return Done{}, err
		}
		g.groups = groups
		done, err := d.once(ctx, &o, g)
		if o.once || !errors.Is(err, errMoved) {
			return done, err
		}
	}
	return Done{}, fmt.Errorf("%w: others change the same things all the time", authn.ErrBusy)
}

// gathered is what an act needs of the world before the locks are taken.
type gathered struct {
	keys      authn.Keys
	seen      map[authn.RecordKey]uint64
	elsewhere map[token.ID]int
	roles     map[authn.AccountID]life.Who
	subjects  []authn.AccountID // whom the act is about, whoever holds a token with everyone included
	groups    []string          // of the first account
}

// gather finds accounts, tokens and records of an act. Who holds a token is read after the version of its record, which every
// act that changes a hold raises: while the version stands, so does what was read.
func (d *Desk) gather(o *order) (*gathered, error) {
	g := &gathered{seen: map[authn.RecordKey]uint64{}, elsewhere: map[token.ID]int{}}
	for key, version := range o.seen {
		g.seen[key] = version
	}
	var err error
	if g.roles, err = d.roles(); err != nil {
		return nil, err
	}
	accounts := slices.Clone(o.accounts)
	for _, id := range o.everyone {
		if err := d.see(g, id); err != nil {
			return nil, err
		}
		_, holders, err := d.Store.Token(id)
		if err != nil && !errors.Is(err, authn.ErrNotFound) {
			return nil, err
		}
		accounts = append(accounts, holders...)
	}
	g.subjects = slices.Clone(accounts)
	if slices.ContainsFunc(accounts, func(id authn.AccountID) bool { return g.roles[id] == life.ByMaster }) {
		for id, role := range g.roles { // the last working token of a master is looked for among all of them (O10)
			if role == life.ByMaster {
				accounts = append(accounts, id)
			}
		}
	}
	slices.Sort(accounts)
	g.keys.Accounts = slices.Compact(accounts)
	tokens := append(slices.Clone(o.tokens), o.everyone...)
	for _, id := range g.keys.Accounts {
		g.keys.Records = append(g.keys.Records, authn.RecordKey{Kind: authn.HolderRecord, ID: uint64(id)})
		a, err := d.Store.Account(id)
		if errors.Is(err, authn.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, held := range a.Assignments {
			tokens = append(tokens, held.Token)
		}
	}
	slices.Sort(tokens)
	g.keys.Tokens = slices.Compact(tokens)
	for _, id := range g.keys.Tokens {
		if err := d.elsewhere(g, id); err != nil {
			return nil, err
		}
		g.keys.Records = append(g.keys.Records, tokenKey(id))
	}
	g.keys.Records = append(g.keys.Records, o.records...)
	return g, nil
}

func tokenKey(id token.ID) authn.RecordKey {
	return authn.RecordKey{Kind: authn.TokenRecord, ID: uint64(id)}
}

// see notes the version of a token's record, the first time that it is looked at.
func (d *Desk) see(g *gathered, id token.ID) error {
	key := tokenKey(id)
	if _, done := g.seen[key]; done {
		return nil
	}
	version, err := d.version(key)
	g.seen[key] = version
	return err
}

// version is that of a record; 0 where there is none.
func (d *Desk) version(key authn.RecordKey) (uint64, error) {
	r, err := d.Store.Record(key)
	if errors.Is(err, authn.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return r.Version, nil
}

// elsewhere counts who holds a token and is not held.
func (d *Desk) elsewhere(g *gathered, id token.ID) error {
	if err := d.see(g, id); err != nil {
		return err
	}
	_, holders, err := d.Store.Token(id)
	if errors.Is(err, authn.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, holder := range holders {
		if !slices.Contains(g.keys.Accounts, holder) {
			g.elsewhere[id]++
		}
	}
	return nil
}

func (d *Desk) roles() (map[authn.AccountID]life.Who, error) {
	roles := map[authn.AccountID]life.Who{}
	if d.Operators == nil {
		return roles, nil
	}
	all, err := d.Operators()
	if err != nil {
		return nil, fmt.Errorf("reading the operators: %w", err)
	}
	for _, o := range all {
		roles[o.Account] = o.Role
	}
	return roles, nil
}

// once runs the act on what is held, and waits until it is durable.
func (d *Desk) once(ctx context.Context, o *order, g *gathered) (Done, error) {
	var refused *life.Refusal
	var saved saving
	durable := make(chan error, 1)
	err := d.Store.Update(g.keys, func(h *authn.Held) (authn.Change, error) {
		refused, saved = nil, saving{}
		t, err := d.lay(o, g, h)
		if err != nil {
			return authn.Change{}, err
		}
		defer t.clear()
		c, no, err := o.rule(t)
		if err != nil {
			return authn.Change{}, err
		}
		saved, err = t.save(c, no)
		if err != nil {
			return authn.Change{}, err
		}
		if no != nil && saved.empty() {
			return authn.Change{}, no
		}
		refused = no
		return saved.change, nil
	}, func(err error) { durable <- err })
	if err != nil {
		return Done{}, err
	}
	select {
	case err = <-durable:
	case <-ctx.Done():
		// The change goes on without its asker, and whoever looks sees it: so must the cached answers (S13).
		go func() {
			if <-durable == nil {
				d.after(g, saved)
			}
		}()
		return Done{}, ctx.Err()
	}
	if err != nil {
		return Done{}, err
	}
	d.after(g, saved)
	if refused != nil {
		return Done{}, refused
	}
	done := Done{Steps: saved.steps, OnlyRegister: saved.onlyRegister}
	if e := saved.change.Event; e != nil {
		done.Seq = e.Seq
	}
	return done, nil
}

// after tells those who wait for what was saved.
func (d *Desk) after(g *gathered, s saving) {
	if d.Forget != nil {
		d.Forget(g.keys.Accounts...)
	}
	if s.mails > 0 && d.Wake != nil {
		d.Wake()
	}
	if s.change.Event == nil {
		return
	}
	for _, e := range append([]*authn.Event{s.change.Event}, s.change.More...) {
		args := []any{"act", e.Act, "actor", e.Actor, "detail", e.Detail}
		if e.Token != 0 {
			args = append(args, "token", e.Token.String())
		}
		if e.Account != 0 {
			args = append(args, "account", e.Account.String())
		}
		d.Log.Info("act", args...)
	}
}

// askFor bounds what asking a directory for one act may take.
const askFor = 5 * time.Second

// groups asks the directory for the groups of an account's owner, by the name that the account has; who has another ID there
// is somebody else. Where it does not answer there are none: they only ever allow more.
func (d *Desk) groups(ctx context.Context, id authn.AccountID) []string {
	a, err := d.Store.Account(id)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	for i := range d.Directories {
		b := &d.Directories[i]
		if b.Name != a.Directory {
			continue
		}
		u, err := b.Directory.Lookup(ctx, []byte(a.Name))
		switch {
		case err != nil && !errors.Is(err, authn.ErrUnknownUser):
			d.Log.Warn("the directory does not tell somebody's groups, so only what waits for them by name can be registered", "account", id.String(), "error", err)
		case err == nil && u.ID == a.External:
			return u.Groups
		}
	}
	return nil
}
