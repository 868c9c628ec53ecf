package admin

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
)

func (s *Server) requestRoutes(api huma.API) {
	huma.Get(api, "/api/v1/requests", s.listRequests)
	huma.Get(api, "/api/v1/requests/{request}", s.showRequest)
	huma.Post(api, "/api/v1/requests/{request}/approve", s.approveRequest)
	huma.Post(api, "/api/v1/requests/{request}/refuse", s.refuseRequest)
}

// Request is what a person applied for (K5).
type Request struct {
	ID       string   `json:"id"`
	Number   string   `json:"number" doc:"that people read out"`
	User     string   `json:"user"`
	Account  string   `json:"account"`
	Kind     string   `json:"kind" doc:"new, reactivate, add, hardware-token, pin-reset or stop-using"`
	Why      string   `json:"why,omitempty" doc:"deleted, replaced, lost, stolen or broken"`
	Tokens   []string `json:"tokens,omitempty" doc:"serials or IDs: they end when the link is made"`
	Pledge   string   `json:"pledge,omitempty" doc:"version that was agreed to"`
	State    string   `json:"state" doc:"open, approved, refused, withdrawn or lapsed"`
	Made     string   `json:"made" doc:"RFC 3339"`
	By       string   `json:"by,omitempty" doc:"who decided; policy where policy did"`
	Decided  string   `json:"decided,omitempty" doc:"RFC 3339"`
	Sentence string   `json:"sentence,omitempty" doc:"of a refusal"`
}

// RequestList is a page of requests.
type RequestList struct {
	Listing
	Requests []Request `json:"requests"`
}

var requestColumns = []column[Request]{
	{"number", func(r *Request) string { return r.Number }},
	{"login_id", func(r *Request) string { return r.User }},
	{"kind", func(r *Request) string { return r.Kind }},
	{"why", func(r *Request) string { return r.Why }},
	{"tokens", func(r *Request) string { return strings.Join(r.Tokens, "; ") }},
	{"state", func(r *Request) string { return r.State }},
	{"made", func(r *Request) string { return r.Made }},
	{"by", func(r *Request) string { return r.By }},
	{"decided", func(r *Request) string { return r.Decided }},
	{"sentence", func(r *Request) string { return r.Sentence }},
	{"id", func(r *Request) string { return r.ID }},
	{"account", func(r *Request) string { return r.Account }},
}

// whyWords are the causes as the API names them.
var whyWords = map[life.Why]string{life.WhyOperator: "operator", life.WhyPerson: "person", life.WhyDeleted: "deleted", life.WhyReplaced: "replaced",
	life.WhyLost: "lost", life.WhyStolen: "stolen", life.WhyBroken: "broken", life.WhyGone: "gone"}

func (s *Server) viewRequest(v *desk.RequestView) Request {
	r := Request{ID: recordID(v.ID), Number: v.Number, User: authn.Shown([]byte(v.Name)), Account: v.Account.String(), Kind: string(v.Kind),
		Why: whyWords[v.Why], Pledge: v.Pledge, State: string(v.Stage), Made: moment(v.Made), By: v.By, Decided: moment(v.Decided), Sentence: v.Sentence}
	for _, id := range v.Tokens {
		name := id.String()
		if info, err := s.Store.Token(id); err == nil {
			name = label(&info.Token)
		}
		r.Tokens = append(r.Tokens, name)
	}
	return r
}

// listRequests is GET /api/v1/requests, the newest first.
func (s *Server) listRequests(ctx context.Context, in *struct {
	Paging
	State string `query:"state" enum:"open,approved,refused,withdrawn,lapsed"`
	Kind  string `query:"kind" enum:"new,reactivate,add,hardware-token,pin-reset,stop-using"`
	User  string `query:"user" maxLength:"253" doc:"only requests of this user"`
}) (*listReply[RequestList], error) {
	q := authn.RecordQuery{Newest: true}
	if in.User != "" {
		o, err := s.owner(s.ask(ctx, in.User))
		if err != nil {
			return nil, err
		}
		if p := s.allowUser(ctx, operator.ReadTokens, in.User, o); p != nil {
			return nil, p
		}
		q.Account = o.Account
	}
	if in.State != "" {
		q.States = []uint8{desk.RequestState(life.Stage(in.State))}
	}
	scope := s.newScope(ctx)
	all, next, err := gather(&in.Paging, func(after string, n int) (page []Request, next string, err error) {
		if q.Before, err = parseAfter(after); err != nil {
			return nil, "", badAfter(err)
		}
		q.Limit = n
		found, err := s.Desk.Requests(ctx, q)
		if err != nil {
			return nil, "", s.problem(err)
		}
		for i := range found {
			if v := &found[i]; (in.Kind == "" || in.Kind == string(v.Kind)) && scope.covers(v.Account) {
				page = append(page, s.viewRequest(v))
			}
		}
		if len(found) == n {
			next = recordID(found[n-1].ID)
		}
		return page, next, nil
	})
	if err != nil {
		return nil, err
	}
	return answer(&in.Paging, "requests", requestColumns, all, next, func(l Listing, all []Request) RequestList { return RequestList{l, all} }), nil
}

// RequestPath names a request in a path.
type RequestPath struct {
	Request string `path:"request" maxLength:"20" doc:"number as people read it out, or ID"`
}

func (s *Server) request(ctx context.Context, p RequestPath) (*desk.RequestView, authn.Owner, error) {
	var v desk.RequestView
	var err error
	if number, ok := life.CheckReference(p.Request); ok {
		v, err = s.Desk.FindRequest(ctx, number)
	} else {
		var id uint64
		if id, err = parseRecordID(p.Request); err == nil {
			v, err = s.Desk.Request(ctx, id)
		}
	}
	if err != nil {
		return nil, authn.Owner{}, s.noRecord(err)
	}
	return &v, authn.Owner{Account: v.Account}, nil
}

func (s *Server) showRequest(ctx context.Context, in *struct{ RequestPath }) (*versioned[Request], error) {
	v, o, err := s.request(ctx, in.RequestPath)
	if err != nil {
		return nil, err
	}
	if p := s.allow(ctx, operator.ReadTokens, s.target(ctx, o)); p != nil {
		return nil, hidden(p, noSuchRecord())
	}
	return withVersion(s.viewRequest(v)), nil
}

// decide approves or refuses a request.
func (s *Server) decide(ctx context.Context, p RequestPath, m *Matching, b Because, f func(*desk.Desk, desk.Actor, uint64) (desk.RequestView, desk.Done, error)) (*struct{ Body Request }, error) {
	_, o, err := s.request(ctx, p)
	if err != nil {
		return nil, err
	}
	s.acts.Lock()
	defer s.acts.Unlock()
	v, _, err := s.request(ctx, p)
	if err != nil {
		return nil, err
	}
	if p := m.check(s.viewRequest(v)); p != nil {
		return nil, p
	}
	var out Request
	_, err = s.do(ctx, deed{right: operator.Approve, people: []authn.Owner{o}, why: b, hide: noSuchRecord()}, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		next, done, err := f(d, a, v.ID)
		if err == nil {
			out = s.viewRequest(&next)
		}
		return done, err
	})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Request }{out}, nil
}

// approveRequest lets a request be carried out: ticked tokens end, and the link is made and mailed.
func (s *Server) approveRequest(ctx context.Context, in *struct {
	RequestPath
	Matching
	Body Because
}) (*struct{ Body Request }, error) {
	return s.decide(ctx, in.RequestPath, &in.Matching, in.Body, func(d *desk.Desk, a desk.Actor, id uint64) (desk.RequestView, desk.Done, error) {
		return d.Approve(ctx, a, id)
	})
}

func (s *Server) refuseRequest(ctx context.Context, in *struct {
	RequestPath
	Matching
	Body struct {
		Because
		Sentence string `json:"sentence" minLength:"1" maxLength:"500" doc:"why; the person reads it"`
	}
}) (*struct{ Body Request }, error) {
	return s.decide(ctx, in.RequestPath, &in.Matching, in.Body.Because, func(d *desk.Desk, a desk.Actor, id uint64) (desk.RequestView, desk.Done, error) {
		v, err := d.Refuse(ctx, a, id, in.Body.Sentence)
		return v, desk.Done{}, err
	})
}
