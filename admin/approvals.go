package admin

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// A second person goes: the call is refused with the number of an approval -> its caller asks for it, with a reason ->
// another operator with the same right agrees -> the caller makes the very same call again with the header Approval. The
// number follows from who calls and what for, so that a call that is tried often leaves one approval.

// approvalData is what an ApprovalRecord keeps. Its State is the approval's; 0 until it is asked for.
type approvalData struct {
	operator.Approval
	Account authn.AccountID // of who asked; zero for programs and the local socket
	Maker   string          // of a program: who made its key
	Scope   operator.Scope  // of who asked
}

// ApprovalHeader names the approval that a call was given.
const ApprovalHeader = "Approval"

func (d *approvalData) record(former *authn.Record) *authn.Record {
	r := pack(authn.RecordKey{Kind: authn.ApprovalRecord, ID: d.ID}, former, d)
	r.Account, r.State = d.Account, uint8(d.State)
	return r
}

// second is the part of allow for acts that two people must agree on: nil when a second person has, and that is spent now.
func (s *Server) second(ctx context.Context, c *caller, right operator.Right, about string) *Problem {
	digest := operator.Digest(right, c.call, c.body)
	sum := s.Store.Keyed(domainLookup, []byte{byte(authn.ApprovalRecord)}, []byte(c.Name), digest[:])
	id := max(binary.BigEndian.Uint64(sum[:8])>>1, 1)
	key := authn.RecordKey{Kind: authn.ApprovalRecord, ID: id}
	if c.approval != "" {
		given, err := token.ParseID(c.approval)
		if err != nil {
			return newProblem(http.StatusNotFound, operator.NotFound.String(), wordNoApproval)
		}
		key.ID = uint64(given)
	}
	now := s.Now()
	var refused *Problem
	err := s.save(authn.Keys{Records: []authn.RecordKey{key}}, func(h *authn.Held) (authn.Change, error) {
		var change authn.Change
		refused = nil
		r := h.Records[0]
		d := &approvalData{}
		if r != nil {
			var err error
			if d, err = unpack[approvalData](r); err != nil {
				return change, err
			}
		}
		if c.approval != "" {
			if r == nil || d.State == 0 {
				return change, newProblem(http.StatusNotFound, operator.NotFound.String(), wordNoApproval)
			}
			used, no := d.Use(c.Principal, digest, now)
			if no != nil {
				return change, newProblem(http.StatusConflict, no.Code, no.Sentence)
			}
			d.Approval, c.second = used, d.DecidedBy
			change = authn.Act{Actor: c.Name, Now: now}.Note("approval.use", fmt.Sprintf("%v, agreed by %s", token.ID(d.ID), d.DecidedBy))
			change.Records = []*authn.Record{d.record(r)}
			return change, nil
		}
		refused = answerProblem(operator.SecondPerson, right, c.Principal)
		refused.Approval = token.ID(id).String()
		if r != nil {
			switch d.At(now).State {
			case 0, operator.Asked, operator.Agreed:
				refused.ApprovalState = d.State.String()
				return change, refused // it is there already
			}
		}
		d = &approvalData{Approval: operator.Approval{ID: id, Right: right, Digest: digest, Text: about, AskedBy: c.Name, Asked: now},
			Account: c.account, Maker: c.maker, Scope: c.Scope}
		next := d.record(r)
		next.Due = now.Add(operator.AskedLife).Unix()
		change.Records = []*authn.Record{next}
		return change, nil
	})
	if err != nil {
		return asProblem(s.problem(err))
	}
	return refused
}

// Approval is one as lists show it.
type Approval struct {
	ID        string    `json:"id"`
	Right     string    `json:"right"`
	Text      string    `json:"text" doc:"what is to be done"`
	State     string    `json:"state" doc:"asked, agreed, refused, withdrawn, used or lapsed"`
	AskedBy   string    `json:"asked_by"`
	Asked     time.Time `json:"asked"`
	Reason    string    `json:"reason,omitempty"`
	DecidedBy string    `json:"decided_by,omitempty"`
	Decided   string    `json:"decided,omitempty"`
	Sentence  string    `json:"sentence,omitempty" doc:"with which it was refused"`
	Own       bool      `json:"own,omitempty" doc:"the caller asked for it"`
}

func viewApproval(d *approvalData, c *caller, now time.Time) Approval {
	a := d.At(now)
	return Approval{ID: token.ID(a.ID).String(), Right: string(a.Right), Text: a.Text, State: a.State.String(), AskedBy: a.AskedBy, Asked: a.Asked,
		Reason: a.Reason, DecidedBy: a.DecidedBy, Decided: moment(a.Decided), Sentence: a.Sentence, Own: a.AskedBy == c.Name}
}

func (s *Server) approvalRoutes(api huma.API) {
	huma.Get(api, "/api/v1/approvals", s.listApprovals)
	huma.Post(api, "/api/v1/approvals", s.askApproval)
	huma.Post(api, "/api/v1/approvals/{approval}/agree", s.agree)
	huma.Post(api, "/api/v1/approvals/{approval}/refuse", s.refuseApproval)
	huma.Post(api, "/api/v1/approvals/{approval}/withdraw", s.withdraw)
}

// decides reports that the caller may see and answer an approval: their own, or one of a right that they have, about people
// whom they see.
func (d *approvalData) decides(c *caller) bool {
	return d.AskedBy == c.Name || c.may(d.Right) && d.Scope.Within(c.Scope)
}

func (s *Server) listApprovals(ctx context.Context, in *struct {
	State string `query:"state" enum:"asked,agreed,refused,withdrawn,used,lapsed"`
	After string `query:"after" maxLength:"20" doc:"id of the last one of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}) (*struct {
	Body struct {
		Approvals []Approval `json:"approvals"`
		Next      string     `json:"next,omitempty"`
	}
}, error) {
	c, now := callerOf(ctx), s.Now()
	q := authn.RecordQuery{Kind: authn.ApprovalRecord, Limit: in.Limit,
		States: []uint8{uint8(operator.Asked), uint8(operator.Agreed), uint8(operator.Refused), uint8(operator.Withdrawn), uint8(operator.Used)}}
	if in.After != "" {
		id, err := token.ParseID(in.After)
		if err != nil {
			return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", capital(err.Error()))
		}
		q.After = uint64(id)
	}
	page, err := s.Store.Records(q)
	if err != nil {
		return nil, s.problem(err)
	}
	out := &struct {
		Body struct {
			Approvals []Approval `json:"approvals"`
			Next      string     `json:"next,omitempty"`
		}
	}{}
	out.Body.Approvals = []Approval{}
	for _, r := range page {
		d, err := unpack[approvalData](r)
		if err != nil {
			return nil, s.problem(err)
		}
		if v := viewApproval(d, c, now); d.decides(c) && (in.State == "" || v.State == in.State) {
			out.Body.Approvals = append(out.Body.Approvals, v)
		}
	}
	if len(page) == q.Limit {
		out.Body.Next = token.ID(page[len(page)-1].ID).String()
	}
	return out, nil
}

type approvalReply struct{ Body Approval }

// ApprovalPath names an approval.
type ApprovalPath struct {
	Approval string `path:"approval" maxLength:"20"`
}

// decideOn changes one approval that the caller may see, and writes it into the audit.
func (s *Server) decideOn(ctx context.Context, id, act string, f func(c *caller, d *approvalData) (operator.Approval, *operator.Refusal)) (*approvalReply, error) {
	c, now := callerOf(ctx), s.Now()
	unknown := newProblem(http.StatusNotFound, operator.NotFound.String(), wordNoApproval)
	number, err := token.ParseID(id)
	if err != nil || number == 0 {
		return nil, unknown
	}
	key := authn.RecordKey{Kind: authn.ApprovalRecord, ID: uint64(number)}
	var left *approvalData
	var event *authn.Event
	err = s.save(authn.Keys{Records: []authn.RecordKey{key}}, func(h *authn.Held) (authn.Change, error) {
		if h.Records[0] == nil {
			return authn.Change{}, unknown
		}
		d, err := unpack[approvalData](h.Records[0])
		if err != nil {
			return authn.Change{}, err
		}
		if !d.decides(c) {
			return authn.Change{}, unknown
		}
		next, no := f(c, d)
		if no != nil {
			return authn.Change{}, newProblem(http.StatusConflict, no.Code, no.Sentence)
		}
		d.Approval = next
		change := authn.Act{Actor: c.Name, Now: now}.Note(act, fmt.Sprintf("%v of %s: %s", number, d.AskedBy, d.Right))
		r := d.record(h.Records[0])
		r.Due = now.Add(operator.AskedLife).Unix()
		change.Records = []*authn.Record{r}
		left, event = d, change.Event
		return change, nil
	})
	if err != nil {
		return nil, s.problem(err)
	}
	s.logAct(event)
	return &approvalReply{viewApproval(left, c, now)}, nil
}

// askApproval asks for the approval that a refused call named.
func (s *Server) askApproval(ctx context.Context, in *struct {
	Body struct {
		ID     string `json:"id" maxLength:"20" doc:"approval of the problem second-person"`
		Reason string `json:"reason" minLength:"1" maxLength:"500"`
	}
}) (*approvalReply, error) {
	now := s.Now()
	return s.decideOn(ctx, in.Body.ID, "approval.ask", func(c *caller, d *approvalData) (operator.Approval, *operator.Refusal) {
		return d.Ask(c.Principal, in.Body.Reason, now)
	})
}

// agree is the second person's yes. They have shown lately that it is they, as for the act itself.
func (s *Server) agree(ctx context.Context, in *ApprovalPath) (*approvalReply, error) {
	id, err := token.ParseID(in.Approval)
	if err != nil {
		return nil, newProblem(http.StatusNotFound, operator.NotFound.String(), wordNoApproval)
	}
	c := callerOf(ctx)
	r, err := s.Store.Record(authn.RecordKey{Kind: authn.ApprovalRecord, ID: uint64(id)})
	if err == nil {
		d, err := unpack[approvalData](r)
		if err != nil {
			return nil, s.problem(err)
		}
		if d.decides(c) && d.AskedBy != c.Name && d.State != 0 {
			t := operator.Target{}
			if p := s.allowAgreed(ctx, d.Right, t); p != nil {
				return nil, p
			}
		}
	}
	now := s.Now()
	return s.decideOn(ctx, in.Approval, "approval.agree", func(c *caller, d *approvalData) (operator.Approval, *operator.Refusal) {
		if d.Maker != "" && d.Maker == c.Name {
			return d.Approval, &operator.Refusal{Code: "approval-own", Sentence: wordOwnKey}
		}
		return d.Decide(c.Principal, true, "", now)
	})
}

func (s *Server) refuseApproval(ctx context.Context, in *struct {
	ApprovalPath
	Body struct {
		Sentence string `json:"sentence" maxLength:"500" doc:"why; whoever asked reads it"`
	}
}) (*approvalReply, error) {
	now := s.Now()
	return s.decideOn(ctx, in.Approval, "approval.refuse", func(c *caller, d *approvalData) (operator.Approval, *operator.Refusal) {
		return d.Decide(c.Principal, false, in.Body.Sentence, now)
	})
}

func (s *Server) withdraw(ctx context.Context, in *ApprovalPath) (*approvalReply, error) {
	now := s.Now()
	return s.decideOn(ctx, in.Approval, "approval.withdraw", func(c *caller, d *approvalData) (operator.Approval, *operator.Refusal) {
		return d.Withdraw(c.Principal, now)
	})
}

// aboutText is what the second person reads of a call: how many, who, and the call.
func aboutText(c *caller, t operator.Target) string {
	var b strings.Builder
	if n := max(t.Count, len(t.People)); n > 0 {
		fmt.Fprintf(&b, "%d: ", n)
		for i, p := range t.People {
			if i == 10 {
				b.WriteString(", ...")
				break
			}
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(authn.Shown([]byte(p.Name)))
		}
		b.WriteString("; ")
	}
	path, _, _ := strings.Cut(c.call, "?")
	b.WriteString(authn.Shown([]byte(path)))
	return b.String()
}
