package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/operator"
	"sekisho/token"
)

func (s *Server) linkRoutes(api huma.API) {
	huma.Post(api, "/api/v1/users/{user}/activations", s.issueLink)
	huma.Get(api, "/api/v1/activations", s.listLinks)
	huma.Get(api, "/api/v1/activations/{activation}", s.showLink)
	huma.Post(api, "/api/v1/activations/{activation}/resend", s.resendLink)
	huma.Post(api, "/api/v1/activations/{activation}/revoke", s.revokeLink)
	huma.Post(api, "/api/v1/invitations", s.invite)
	huma.Post(api, "/api/v1/letters", s.printLetters)
}

// Activation is a link with which somebody registers devices; never the link itself.
type Activation struct {
	ID      string `json:"id"`
	User    string `json:"user"`
	Account string `json:"account"`
	State   string `json:"state" doc:"open, started, used up, lapsed or revoked"`
	Letter  bool   `json:"letter,omitempty" doc:"it travels by letter"`
	Made    string `json:"made" doc:"RFC 3339"`
	Until   string `json:"until" doc:"when it lapses; RFC 3339"`
	Devices int    `json:"devices" doc:"how many it is good for"`
	Used    int    `json:"used"`
	Starts  int    `json:"starts" doc:"how often it can be started"`
	Begun   int    `json:"begun"`
	Sent    int    `json:"sent,omitempty" doc:"mails in the last day"`
}

// Issued is a link that was made.
type Issued struct {
	Activation Activation `json:"activation"`
	URL        string     `json:"url,omitempty" doc:"the link of a letter; this answer alone shows it"`
	Sheet      string     `json:"sheet,omitempty" doc:"of a letter: the sheet to print, as HTML; this answer alone shows it"`
}

// ActivationList is a page of links.
type ActivationList struct {
	Listing
	Activations []Activation `json:"activations"`
}

var linkColumns = []column[Activation]{
	{"id", func(v *Activation) string { return v.ID }},
	{"login_id", func(v *Activation) string { return v.User }},
	{"state", func(v *Activation) string { return v.State }},
	{"letter", func(v *Activation) string { return strconv.FormatBool(v.Letter) }},
	{"made", func(v *Activation) string { return v.Made }},
	{"until", func(v *Activation) string { return v.Until }},
	{"devices", func(v *Activation) string { return strconv.Itoa(v.Devices) }},
	{"used", func(v *Activation) string { return strconv.Itoa(v.Used) }},
	{"account", func(v *Activation) string { return v.Account }},
}

func viewLink(v *desk.ActivationView) Activation {
	return Activation{ID: recordID(v.ID), User: authn.Shown([]byte(v.Name)), Account: v.Account.String(), State: string(v.Stage), Letter: v.Letter,
		Made: moment(v.Made), Until: moment(v.Until), Devices: v.Uses, Used: v.Used, Starts: v.Starts, Begun: v.Begun, Sent: v.Sent}
}

// recordID is how the ID of a record is shown; as those of tokens.
func recordID(id uint64) string { return token.ID(id).String() }

func parseRecordID(text string) (uint64, error) {
	id, err := token.ParseID(text)
	if err != nil {
		return 0, noSuchRecord()
	}
	return uint64(id), nil
}

// noRecord words the desk's not-found as that of IDs that are none.
func (s *Server) noRecord(err error) error {
	if no := (*life.Refusal)(nil); errors.As(err, &no) && no.Code == life.NotFound {
		return noSuchRecord()
	}
	return s.problem(err)
}

func noSuchRecord() *Problem {
	return newProblem(http.StatusNotFound, string(life.NotFound), wordNoSuchRecord)
}

// issueLink makes a link; it is mailed, or comes back to be printed (K1, K3).
func (s *Server) issueLink(ctx context.Context, in *struct {
	UserPath
	Body struct {
		Because
		Letter   bool     `json:"letter,omitempty" doc:"it is printed and lives longer; default: it is mailed"`
		Replaces []string `json:"replaces,omitempty" maxItems:"10" doc:"tokens that end with the first right code of the new device"`
	}
}) (*struct{ Body Issued }, error) {
	who := s.ask(ctx, in.User)
	s.acts.Lock()
	defer s.acts.Unlock()
	o, err := s.newOwner(who)
	if err != nil {
		return nil, err
	}
	order := desk.LinkOrder{Letter: in.Body.Letter}
	for _, name := range in.Body.Replaces {
		info, err := s.token(ctx, name)
		if err != nil {
			return nil, err
		}
		order.Replaces = append(order.Replaces, info.Token.ID)
	}
	out, err := s.issue(ctx, o, in.Body.Because, order)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Issued }{*out}, nil
}

// zone is the site's, for what people read on paper.
func (s *Server) zone() *time.Location {
	if z := s.Desk.Rules().Zone; z != nil {
		return z
	}
	return time.UTC
}

// printable refuses letters whose link would lead nowhere.
func (s *Server) printable() error {
	if s.Desk.Links == nil || s.Desk.Links("") == "" {
		return newProblem(http.StatusConflict, "no-self-service-url", wordNoSelfService)
	}
	return nil
}

// issue makes one link. The caller holds acts.
func (s *Server) issue(ctx context.Context, o authn.Owner, b Because, order desk.LinkOrder) (*Issued, error) {
	out := &Issued{}
	if order.Letter {
		if err := s.printable(); err != nil {
			return nil, err
		}
	}
	_, err := s.do(ctx, deed{right: operator.Assign, people: []authn.Owner{o}, why: b, hide: noSuchRecord()}, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		account, err := s.account(ctx, o)
		if err != nil {
			return desk.Done{}, err
		}
		order.Account = account
		v, url, err := d.Issue(ctx, a, order)
		if err == nil {
			out.Activation = viewLink(&v)
			err = s.onPaper(ctx, out, url)
		}
		return desk.Done{}, err
	})
	return out, err
}

// onPaper adds the sheet of a letter.
func (s *Server) onPaper(ctx context.Context, out *Issued, url string) error {
	if !out.Activation.Letter {
		return nil
	}
	holdsSecret(ctx)
	out.URL = url
	var err error
	out.Sheet, err = sheets([]Issued{*out}, s.zone())
	return err
}

// listLinks is GET /api/v1/activations, the newest first.
func (s *Server) listLinks(ctx context.Context, in *struct {
	Paging
	State string `query:"state" enum:"open,started,used up,lapsed,revoked"`
	User  string `query:"user" maxLength:"253" doc:"only links of this user"`
}) (*listReply[ActivationList], error) {
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
	switch in.State {
	case "":
	case string(life.Lapsed):
		q.States, q.DueBy = []uint8{desk.LinkState(life.Open), desk.LinkState(life.Started)}, s.Now().Unix()
	default:
		q.States = []uint8{desk.LinkState(life.Stage(in.State))}
	}
	scope := s.newScope(ctx)
	all, next, err := gather(&in.Paging, func(after string, n int) (page []Activation, next string, err error) {
		if q.Before, err = parseAfter(after); err != nil {
			return nil, "", badAfter(err)
		}
		q.Limit = n
		found, err := s.Desk.Activations(ctx, q)
		if err != nil {
			return nil, "", s.problem(err)
		}
		for i := range found {
			if v := &found[i]; (in.State == "" || in.State == string(v.Stage)) && scope.covers(v.Account) {
				page = append(page, viewLink(v))
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
	return answer(&in.Paging, "activations", linkColumns, all, next, func(l Listing, all []Activation) ActivationList { return ActivationList{l, all} }), nil
}

func parseAfter(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	id, err := token.ParseID(text)
	return uint64(id), err
}

// LinkPath names an activation in a path.
type LinkPath struct {
	Activation string `path:"activation" maxLength:"13" doc:"ID, as listings show it"`
}

// link finds an activation and asks whether the caller may.
func (s *Server) link(ctx context.Context, p LinkPath) (*desk.ActivationView, authn.Owner, error) {
	id, err := parseRecordID(p.Activation)
	if err != nil {
		return nil, authn.Owner{}, err
	}
	v, err := s.Desk.Activation(ctx, id)
	if err != nil {
		return nil, authn.Owner{}, s.noRecord(err)
	}
	return &v, authn.Owner{Account: v.Account}, nil
}

func (s *Server) showLink(ctx context.Context, in *struct{ LinkPath }) (*versioned[Activation], error) {
	v, o, err := s.link(ctx, in.LinkPath)
	if err != nil {
		return nil, err
	}
	if p := s.allow(ctx, operator.ReadTokens, s.target(ctx, o)); p != nil {
		return nil, hidden(p, noSuchRecord())
	}
	return withVersion(viewLink(v)), nil
}

// onLink does an act on a link.
func (s *Server) onLink(ctx context.Context, p LinkPath, m *Matching, b Because, f func(*desk.Desk, desk.Actor, uint64) (desk.ActivationView, string, error)) (*struct{ Body Issued }, error) {
	_, o, err := s.link(ctx, p)
	if err != nil {
		return nil, err
	}
	s.acts.Lock()
	defer s.acts.Unlock()
	v, _, err := s.link(ctx, p)
	if err != nil {
		return nil, err
	}
	if p := m.check(viewLink(v)); p != nil {
		return nil, p
	}
	var out Issued
	_, err = s.do(ctx, deed{right: operator.Assign, people: []authn.Owner{o}, why: b, hide: noSuchRecord()}, func(d *desk.Desk, a desk.Actor) (desk.Done, error) {
		next, url, err := f(d, a, v.ID)
		if err == nil {
			out.Activation = viewLink(&next)
			if url != "" {
				err = s.onPaper(ctx, &out, url)
			}
		}
		return desk.Done{}, err
	})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Issued }{out}, nil
}

func (s *Server) resendLink(ctx context.Context, in *struct {
	LinkPath
	Matching
	Body Because
}) (*struct{ Body Issued }, error) {
	return s.onLink(ctx, in.LinkPath, &in.Matching, in.Body, func(d *desk.Desk, a desk.Actor, id uint64) (desk.ActivationView, string, error) {
		return d.Resend(ctx, a, id)
	})
}

func (s *Server) revokeLink(ctx context.Context, in *struct {
	LinkPath
	Matching
	Body Because
}) (*struct{ Body Issued }, error) {
	return s.onLink(ctx, in.LinkPath, &in.Matching, in.Body, func(d *desk.Desk, a desk.Actor, id uint64) (desk.ActivationView, string, error) {
		v, err := d.RevokeLink(ctx, a, id)
		return v, "", err
	})
}
