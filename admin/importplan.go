package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// importPlan is a seed file on its way in: its rows, and what is known about each so far.
type importPlan struct {
	s    *Server
	now  time.Time
	all  bool // the report tells each row
	tell func(ImportProgress)

	id    token.ID // of the newest row
	rows  []planRow
	loose []ImportFault // of lines that gave no row, and of the list of users
	count map[string]int
	asked map[string]person // by name as typed
	users map[string]bool   // by directory and ID: who gets tokens
}

// planRow is one token of the file.
type planRow struct {
	line       int
	name       string // of a PSKC key
	token      token.Token
	user       string
	expiryText string
	warnings   []string

	// Found by check, anew at each one.
	outcome string
	here    token.ID
	owner   *authn.Owner
	fault   *ImportFault
	note    string
}

// read reads a file to its end and seals every seed on the way.
func (p *importPlan) read(r io.Reader, o token.ReadOptions) error {
	tell := func() {
		if n := len(p.rows) + len(p.loose); n%1000 == 0 {
			p.tell(ImportProgress{Stage: "reading", Done: n})
		}
	}
	o.Bad = func(e *token.RowError) error {
		kind := FaultBadLine
		if e.Repeats > 0 {
			kind = FaultDuplicate
		}
		p.loose = append(p.loose, ImportFault{Line: e.Line, Name: e.Name, Column: e.Column, Kind: kind, Problem: e.Err.Error()})
		tell()
		return nil
	}
	err := token.ReadTokens(r, o, func(row token.Row) error {
		t := row.Token
		t.ID = p.nextID()
		if err := p.s.seal(&t, row.Seed); err != nil {
			return p.s.problem(err)
		}
		p.rows = append(p.rows, planRow{line: row.Line, name: row.Name, token: t, user: row.User, expiryText: row.ExpiryText, warnings: row.Warnings})
		tell()
		return nil
	})
	if err == nil {
		return nil
	}
	if ours := (*Problem)(nil); errors.As(err, &ours) {
		return ours
	}
	// The file as a whole cannot be read: it is cut, or of another kind, or its key is wrong.
	var places []Place
	for _, f := range rowErrors(err) {
		places = append(places, Place{place(f.Line, f.Name, f.Column), f.Err.Error()})
	}
	if len(places) == 0 {
		places = []Place{{"", err.Error()}}
	}
	return newProblem(http.StatusUnprocessableEntity, "bad-file", wordUnreadableFile, places...)
}

// nextID gives IDs that begin anywhere and grow from row to row, by steps nobody can guess. Neighbours in the file are
// neighbours in the database then, and a large file costs a page for many rows, not one for each.
func (p *importPlan) nextID() token.ID {
	if p.id == 0 {
		p.id = token.NewID()
	} else {
		p.id += 1 + token.NewID()>>31
	}
	if p.id >= 1<<63 {
		p.id = 1 + token.NewID()>>31
	}
	return p.id
}

// rowErrors gives the faults with a place out of a joined error; none when it has no such.
func rowErrors(err error) (faults []*token.RowError) {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself, to find them all
	case *token.RowError:
		return []*token.RowError{e}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			faults = append(faults, rowErrors(one)...)
		}
	case interface{ Unwrap() error }:
		return rowErrors(e.Unwrap())
	}
	return faults
}

// lookUps is how many names are looked up at a time: enough to hide the way to the directory, few enough to leave it to
// logins.
const lookUps = 8

// resolve looks every name up once. An outage ends it: who cannot be asked about is not unknown.
func (p *importPlan) resolve(ctx context.Context) error {
	var names []string
	seen := map[string]bool{"": true}
	for i := range p.rows {
		if name := p.rows[i].user; !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var down error
	p.asked = make(map[string]person, len(names))
	work := make(chan string)
	var workers sync.WaitGroup
	for range min(lookUps, len(names)) {
		workers.Go(func() {
			for name := range work {
				who := p.ask(ctx, name)
				mu.Lock()
				if who.err != nil && !errors.Is(who.err, authn.ErrUnknownUser) && !errors.Is(who.err, authn.ErrAmbiguousUser) {
					if down == nil {
						down = who.err
					}
					stop()
				}
				p.asked[name] = who
				if down == nil {
					p.tell(ImportProgress{"looking-up", len(p.asked), len(names)})
				}
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		select {
		case work <- name:
		case <-ctx.Done():
		}
	}
	close(work)
	workers.Wait()
	if down != nil && !errors.Is(down, context.Canceled) {
		_, problem := p.s.ownerOf(nil, down, "")
		return problem
	}
	return ctx.Err()
}

// ask looks one name up. A panic ends this import, not the service: no handler stands above a goroutine.
func (p *importPlan) ask(ctx context.Context, name string) (who person) {
	defer func() {
		if fault := recover(); fault != nil {
			p.s.Log.Error("looking a user up met a fault", "fault", fmt.Sprintf("a %T", fault), "stack", string(debug.Stack()))
			who = person{name: name, err: errors.New("the directory's part met a fault")}
		}
	}()
	return p.s.ask(ctx, name)
}

// check holds every row against what is here.
func (p *importPlan) check() {
	owners := map[string]*authn.Owner{} // by person, so that two spellings of one make one account
	holds := map[authn.AccountID]int{}
	p.count, p.users = map[string]int{}, map[string]bool{}
	for i := range p.rows {
		r := &p.rows[i]
		r.outcome, r.here, r.owner, r.fault, r.note = OutcomeNew, 0, nil, nil, ""
		p.checkHere(r)
		if r.fault == nil && r.user != "" {
			p.checkUser(r, owners, holds)
		}
		if t := &r.token; r.fault == nil && r.outcome == OutcomeNew && t.StateAt(p.now) == token.Expired {
			r.bad(FaultExpired, "expiry", "it expired at %s; leave it out, a token that has expired opens nothing", instant(t.Expiry))
		}
		if r.fault != nil {
			r.outcome = OutcomeBad
		}
	}
}

func (r *planRow) bad(kind, column, format string, a ...any) {
	r.fault = &ImportFault{Line: r.line, Name: r.name, Column: column, Kind: kind, Problem: fmt.Sprintf(format, a...)}
}

// checkHere tells a token that is here already from one that clashes with what is here (S9).
func (p *importPlan) checkHere(r *planRow) {
	t := &r.token
	bySeed := p.s.Store.FindSeed(t.Fingerprint)
	bySerial := token.ID(0)
	if t.Serial != "" {
		bySerial = p.s.Store.FindSerial(t.Serial)
	}
	if bySeed == 0 && bySerial == 0 {
		return
	}
	info, err := p.s.Store.Token(cmp.Or(bySeed, bySerial))
	if err != nil {
		r.bad(FaultSeedHere, "", "rows of an import that was given up are still being removed; try again in a moment")
		return
	}
	old := &info.Token
	switch {
	case bySeed == 0:
		r.bad(FaultSerialHere, "serial", "another token has the serial %s, with another secret; find out which of the two is right", quoted(t.Serial))
	case old.Serial != t.Serial:
		r.bad(FaultSeedHere, "secret", "token %s has this secret already; assign that one to several users instead", label(old))
	default:
		if what := differences(old, t); what != "" {
			r.bad(FaultDiffers, "", "token %s is here already, with another %s", label(old), what)
			return
		}
		r.outcome, r.here = OutcomeHere, old.ID
	}
}

// differences names what two readings of one token disagree on; what logins change does not count.
func differences(old, t *token.Token) string {
	switch {
	case old.Mode != t.Mode:
		return fmt.Sprintf("mode: %v", old.Mode)
	case old.Hash != t.Hash:
		return fmt.Sprintf("hash: %v", old.Hash)
	case old.Digits != t.Digits:
		return fmt.Sprintf("number of digits: %d", old.Digits)
	case old.Period != t.Period:
		return fmt.Sprintf("period: %d s", old.Period)
	case old.Form != t.Form:
		return fmt.Sprintf("form: %v", old.Form)
	case old.CredentialID != t.CredentialID:
		return fmt.Sprintf("credential ID: %s", quoted(old.CredentialID))
	case old.Start != t.Start:
		return "start: " + cmp.Or(instant(old.Start), "none")
	case old.Expiry != t.Expiry:
		return "expiry: " + cmp.Or(instant(old.Expiry), "none")
	}
	return ""
}

// checkUser finds the owner of a row. A token that is here already changes hands by nobody's file.
func (p *importPlan) checkUser(r *planRow, owners map[string]*authn.Owner, holds map[authn.AccountID]int) {
	o, err := p.s.newOwner(p.asked[r.user])
	if err != nil {
		kind := FaultUnknownUser
		if problem := (*Problem)(nil); errors.As(err, &problem) && problem.Code == "ambiguous-user" {
			kind = FaultAmbiguousUser
		}
		r.bad(kind, "user", "%v", err)
		return
	}
	id := o.User.Directory + "\x00" + o.User.ID
	if owners[id] == nil {
		owners[id] = &o
	}
	r.owner = owners[id]
	account := p.s.here(r.owner.Account)
	if r.outcome == OutcomeHere {
		if account == nil || !account.Holds(r.here) {
			r.note = fmt.Sprintf("it is here already and stays as it is, and %[1]s does not hold it; to change that: sekisho token assign %[2]s %[1]s",
				authn.Shown([]byte(r.user)), label(&r.token))
		}
		return
	}
	if account == nil {
		account = &authn.Account{Name: o.User.Name}
	}
	holds[r.owner.Account]++
	if account.CanTake(holds[r.owner.Account]) != nil {
		holds[r.owner.Account]--
		r.bad(FaultTooMany, "user", "%s would hold more than %d tokens", authn.Shown([]byte(account.Name)), authn.MostTokens)
		return
	}
	p.users[id] = true
}

// incoming are the tokens that come in.
func (p *importPlan) incoming() []authn.Incoming {
	var all []authn.Incoming
	for i := range p.rows {
		if r := &p.rows[i]; r.outcome == OutcomeNew {
			all = append(all, authn.Incoming{Token: &r.token, Owner: r.owner})
		}
	}
	return all
}

// faults are those of all rows, in the order of the lines.
func (p *importPlan) faults() []ImportFault {
	all := slices.Clone(p.loose)
	for i := range p.rows {
		if f := p.rows[i].fault; f != nil {
			all = append(all, *f)
		}
	}
	slices.SortStableFunc(all, func(a, b ImportFault) int { return cmp.Compare(a.Line, b.Line) })
	return all
}
