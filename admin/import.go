package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"sekisho/authn"
	"sekisho/token"
)

// maxPlaces bounds how many faults of a file are told at once.
const maxPlaces = 100

// Imported counts what an import brought.
type Imported struct {
	Tokens   int `json:"tokens"`
	Hardware int `json:"hardware"`
	Software int `json:"software"`
	TOTP     int `json:"totp"`
	HOTP     int `json:"hotp"`
	Assigned int `json:"assigned" doc:"to the users the file names"`
}

func (s *Server) importTokens(ctx context.Context, in *struct {
	Source  string `query:"source" maxLength:"200" doc:"name of the file, for the audit"`
	Pending bool   `query:"pending" doc:"tokens with a user open nothing before their first right code"`
	RawBody []byte `contentType:"text/csv"`
}) (*struct{ Body Imported }, error) {
	defer clear(in.RawBody)
	people, err := s.askAll(ctx, in.RawBody)
	if err != nil {
		return nil, err
	}
	s.acts.Lock()
	defer s.acts.Unlock()
	incoming, places, err := s.readSeeds(ctx, bytes.NewReader(in.RawBody), people)
	if err != nil {
		return nil, err
	}
	if len(places) > 0 {
		return nil, newProblem(http.StatusUnprocessableEntity, "bad-file", wordBadFile(len(places)), places[:min(len(places), maxPlaces)]...)
	}
	if len(incoming) == 0 {
		return nil, newProblem(http.StatusUnprocessableEntity, "empty-file", wordEmptyFile)
	}
	n := Imported{Tokens: len(incoming)}
	for _, i := range incoming {
		if i.Owner != nil {
			n.Assigned++
		}
		if i.Token.Form == token.Hardware {
			n.Hardware++
		} else {
			n.Software++
		}
		if i.Token.Mode == token.HOTP {
			n.HOTP++
		} else {
			n.TOTP++
		}
	}
	act := s.act(ctx)
	batch, refused := act.Import(incoming, s.here, in.Pending, shown([]byte(in.Source)))
	if refused != nil {
		return nil, s.problem(refused)
	}
	if err := s.Store.Import(ctx, batch, nil); err != nil {
		return nil, s.problem(err)
	}
	for _, g := range batch.Grants {
		s.Forget(g.Account)
	}
	s.logAct(batch.Event)
	return &struct{ Body Imported }{n}, nil
}

// here gives the account of somebody who has one; nil else.
func (s *Server) here(id authn.AccountID) *authn.Account {
	a, err := s.Store.Account(id)
	if err != nil {
		return nil
	}
	return a
}

// askAll looks up everybody a file names, by spelling. An outage ends it; what is wrong with the file is readSeeds' to say.
func (s *Server) askAll(ctx context.Context, file []byte) (map[string]person, error) {
	people := map[string]person{}
	var down error
	_ = token.ReadTokens(bytes.NewReader(file), token.ReadOptions{}, func(row token.Row) error {
		if _, known := people[row.User]; row.User == "" || known {
			return nil
		}
		p := s.ask(ctx, row.User)
		if p.err != nil && !errors.Is(p.err, authn.ErrUnknownUser) && !errors.Is(p.err, authn.ErrAmbiguousUser) {
			_, down = s.ownerOf(nil, p.err, p.name)
			return down
		}
		people[row.User] = p
		return nil
	})
	return people, down
}

// readSeeds reads a file to its end and seals every seed on the way. places lists what is wrong with it.
func (s *Server) readSeeds(ctx context.Context, r io.Reader, people map[string]person) (incoming []authn.Incoming, places []Place, err error) {
	owners := map[string]*authn.Owner{} // by person, so that two spellings of a new person make one account
	err = token.ReadTokens(r, token.ReadOptions{}, func(row token.Row) error {
		t := row.Token
		t.ID = token.NewID()
		if err := s.seal(&t, row.Seed); err != nil {
			return s.problem(err)
		}
		at := func(column, format string, a ...any) {
			places = append(places, Place{fmt.Sprintf("line %d, column %s", row.Line, column), fmt.Sprintf(format, a...)})
		}
		taken, err := s.Store.FindToken(ctx, t.Serial)
		if err != nil {
			return s.problem(err)
		}
		if t.Serial != "" && taken != 0 {
			at("serial", "another token has the serial %s", quoted(t.Serial))
		}
		if id := s.Store.FindSeed(t.Fingerprint); id != 0 {
			at("secret", "token %v has this secret already; assign that one to several users instead", id)
		}
		next := authn.Incoming{Token: &t}
		if row.User != "" {
			o, err := s.ownerOnce(people[row.User], owners)
			var p *Problem
			switch {
			case errors.As(err, &p) && p.Status < http.StatusInternalServerError:
				at("user", "%s", p.Detail)
			case err != nil:
				return err
			}
			next.Owner = o
		}
		incoming = append(incoming, next)
		return nil
	})
	if err == nil {
		return incoming, places, nil
	}
	var p *Problem
	faults := rowErrors(err)
	if errors.As(err, &p) || len(faults) == 0 {
		return nil, nil, s.problem(err)
	}
	for _, f := range faults {
		where := fmt.Sprintf("line %d", f.Line)
		if f.Column != "" {
			where += ", column " + f.Column
		}
		places = append(places, Place{where, f.Err.Error()})
	}
	return nil, places, nil
}

func (s *Server) ownerOnce(who person, owners map[string]*authn.Owner) (*authn.Owner, error) {
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	id := o.User.Directory + "\x00" + o.User.ID
	if owners[id] == nil {
		owners[id] = &o
	}
	return owners[id], nil
}

// rowErrors gives the faults of a file out of a joined error; none when something else went wrong.
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
