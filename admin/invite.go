package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

// Invitation is what became of one name of a list.
type Invitation struct {
	User       string      `json:"user" doc:"as given"`
	Result     string      `json:"result" doc:"invited, would-be-invited, has-token, has-link, or the code of a refusal"`
	Sentence   string      `json:"sentence,omitempty" doc:"of a refusal"`
	Activation *Activation `json:"activation,omitempty"`
}

// Invitations is what became of a list.
type Invitations struct {
	DryRun  bool         `json:"dry_run,omitempty"`
	Invited int          `json:"invited" doc:"how many links were made, or would be"`
	Left    int          `json:"left_out" doc:"how many names got none"`
	Each    []Invitation `json:"each"`
	Sheets  string       `json:"sheets,omitempty" doc:"of letters: all sheets to print, as HTML; this answer alone shows them"`
}

// Invited is a list of people who get links.
type Invited struct {
	Because
	Users     []string `json:"users" minItems:"1" maxItems:"5000" doc:"any spelling the directory knows"`
	Confirmed int      `json:"confirmed,omitempty" doc:"how many would be invited, as the dry run told; needed above mass.ask_above"`
}

// invite makes links for many at once (K13). Each mail waits for its turn: mail.per_minute paces them. Who has a token or an open
// link is left out, so that a list may be sent again.
func (s *Server) invite(ctx context.Context, in *struct {
	Dry
	Body Invited
}) (*struct{ Body Invitations }, error) {
	out, err := s.inviteAll(ctx, in.Body, in.DryRun, false)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Invitations }{*out}, nil
}

// printLetters makes links for many that travel by letter, and their sheets.
func (s *Server) printLetters(ctx context.Context, in *struct {
	Dry
	Body Invited
}) (*struct{ Body Invitations }, error) {
	holdsSecret(ctx)
	out, err := s.inviteAll(ctx, in.Body, in.DryRun, true)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Invitations }{*out}, nil
}

func (s *Server) inviteAll(ctx context.Context, in Invited, dry, letter bool) (*Invitations, error) {
	out := &Invitations{DryRun: dry, Each: make([]Invitation, len(in.Users))}
	owners := make([]authn.Owner, len(in.Users))
	var people []authn.Owner
	for i, name := range in.Users {
		out.Each[i].User = name
		who := s.ask(ctx, name)
		if who.err != nil && !isNobody(who.err) {
			_, err := s.owner(who) // says why; half a list helps nobody
			return nil, err
		}
		o, err := s.newOwner(who)
		if err == nil && o.User == nil {
			err = newProblem(http.StatusNotFound, "unknown-user", wordUnknownUser(name))
		}
		if err != nil {
			out.Each[i].refuse(err)
			continue
		}
		code, err := s.hasAlready(ctx, o)
		if err != nil {
			return nil, err
		}
		if out.Each[i].Result = code; code == "" {
			owners[i], people, out.Each[i].Result = o, append(people, o), "would-be-invited"
			out.Invited++
		}
	}
	out.Left = len(in.Users) - out.Invited
	d := deed{right: operator.Assign, people: people, count: out.Invited, dry: dry}
	if len(people) > s.Desk.Rules().AskAbove {
		d.right = operator.Mass
	}
	if dry {
		d.right = operator.ReadTokens
	}
	target := s.target(ctx, people...)
	target.Count = out.Invited
	if p := s.allow(ctx, d.right, target); p != nil {
		return nil, p
	}
	if dry || out.Invited == 0 {
		return out, nil
	}
	if out.Invited > s.Desk.Rules().AskAbove && in.Confirmed != out.Invited {
		return nil, lifeProblem(&life.Refusal{Code: life.AskFirst, About: strconv.Itoa(out.Invited)})
	}
	var letters []Issued
	out.Invited = 0
	for i := range owners {
		if out.Each[i].Result != "would-be-invited" {
			continue
		}
		issued, err := s.issueOne(ctx, owners[i], in.Because, letter)
		if err != nil {
			if ctx.Err() != nil {
				return nil, s.problem(ctx.Err())
			}
			out.Each[i].refuse(err)
			continue
		}
		out.Each[i].Result, out.Each[i].Activation = "invited", &issued.Activation
		letters = append(letters, *issued)
		out.Invited++
	}
	out.Left = len(in.Users) - out.Invited
	if letter && len(letters) > 0 {
		var err error
		if out.Sheets, err = sheets(letters, s.zone()); err != nil {
			return nil, s.problem(err)
		}
	}
	return out, nil
}

// issueOne lets other acts go between two links of a long list.
func (s *Server) issueOne(ctx context.Context, o authn.Owner, b Because, letter bool) (*Issued, error) {
	s.acts.Lock()
	defer s.acts.Unlock()
	return s.issue(ctx, o, b, desk.LinkOrder{Letter: letter})
}

// hasAlready says why somebody needs no link; empty: they do.
func (s *Server) hasAlready(ctx context.Context, o authn.Owner) (string, error) {
	a, err := s.Store.Account(o.Account)
	if errors.Is(err, authn.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", s.problem(err)
	}
	for _, as := range a.Assignments {
		if as.Standing == token.Active || as.Standing == token.Suspended {
			return string(life.HasToken), nil
		}
	}
	open, err := s.Desk.Activations(ctx, authn.RecordQuery{Account: o.Account, States: []uint8{desk.LinkState(life.Open), desk.LinkState(life.Started)}})
	if err != nil {
		return "", s.problem(err)
	}
	for _, v := range open {
		if v.Until.After(s.Now()) {
			return "has-link", nil
		}
	}
	return "", nil
}

// refuse notes why a name got no link.
func (v *Invitation) refuse(err error) {
	v.Result, v.Sentence = "fault", wordFault
	if p := asProblem(err); p != nil {
		v.Result, v.Sentence = p.Code, p.Detail
	}
}
