package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

func (s *Server) mailRoutes(api huma.API) {
	huma.Get(api, "/api/v1/mails", s.listMails)
	huma.Get(api, "/api/v1/mails/{mail}", s.showMail)
	huma.Post(api, "/api/v1/mails/{mail}/again", s.sendAgain)
}

// Mail is one mail on its way. What it says is shown to nobody: it may hold a link.
type Mail struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	State    string `json:"state" doc:"waiting, sending, sent, refused, unknown, lapsed, held or withdrawn"`
	User     string `json:"user,omitempty" doc:"login ID of whom it is about; empty: nobody, or somebody who is erased"`
	Account  string `json:"account,omitempty"`
	To       string `json:"to,omitempty" doc:"address; empty: the one that the directory has when it leaves"`
	Created  string `json:"created" doc:"RFC 3339, as all times here"`
	Due      string `json:"due,omitempty" doc:"of one that waits: not before"`
	Until    string `json:"until,omitempty" doc:"of no use after"`
	Tries    int    `json:"tries,omitempty"`
	Answer   string `json:"answer,omitempty" doc:"the mail server's last answer, word for word, or why it was not asked"`
	Changed  string `json:"changed" doc:"when it came into its state"`
	CanAgain bool   `json:"can_again,omitempty" doc:"it leaves once more when somebody says so"`
}

// MailList is a page of mails, the newest first.
type MailList struct {
	Listing
	Mails []Mail `json:"mails"`
}

var mailColumns = []column[Mail]{
	{"id", func(m *Mail) string { return m.ID }},
	{"kind", func(m *Mail) string { return m.Kind }},
	{"state", func(m *Mail) string { return m.State }},
	{"user", func(m *Mail) string { return m.User }},
	{"account", func(m *Mail) string { return m.Account }},
	{"to", func(m *Mail) string { return m.To }},
	{"created", func(m *Mail) string { return m.Created }},
	{"due", func(m *Mail) string { return m.Due }},
	{"until", func(m *Mail) string { return m.Until }},
	{"tries", func(m *Mail) string { return number(m.Tries) }},
	{"answer", func(m *Mail) string { return m.Answer }},
	{"changed", func(m *Mail) string { return m.Changed }},
}

func (s *Server) viewMail(r *authn.Record) (Mail, error) {
	m, err := authn.MessageOf(r)
	if err != nil {
		return Mail{}, err
	}
	v := Mail{ID: mailName(r.ID), Kind: string(m.Kind), State: m.State.String(), To: m.To, Created: moment(m.Created), Until: moment(m.Until),
		Tries: m.Tries, Answer: authn.Shown([]byte(m.Answer)), Changed: moment(m.Changed)}
	if m.State == authn.MessageWaiting {
		v.Due = moment(m.Due)
	}
	if _, refused := m.Again(s.Now()); refused == nil {
		v.CanAgain = m.State != authn.MessageWaiting
	}
	if m.Account == 0 {
		return v, nil
	}
	v.Account = m.Account.String()
	a, err := s.Store.Account(m.Account)
	if err == nil {
		v.User = authn.Shown([]byte(a.Name))
	} else if errors.Is(err, authn.ErrNotFound) {
		err = nil
	}
	return v, err
}

func mailName(id uint64) string { return token.ID(id).String() }

// listMails is GET /api/v1/mails.
func (s *Server) listMails(ctx context.Context, in *struct {
	Paging
	State string    `query:"state" enum:"waiting,sending,sent,refused,unknown,lapsed,held,withdrawn"`
	Kind  string    `query:"kind" maxLength:"40" doc:"activation, failures, ..."`
	User  string    `query:"user" maxLength:"253" doc:"whom they are about: any spelling the directory knows, or an account ID"`
	Since time.Time `query:"since" doc:"only what was made at this moment or later; RFC 3339"`
}) (*listReply[MailList], error) {
	if in.Kind != "" && !slices.Contains(authn.MessageKinds, authn.MessageKind(in.Kind)) {
		return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", wordUnknownMailKind(in.Kind), Place{"query.kind", "is no kind of mail"})
	}
	q := authn.RecordQuery{Kind: authn.MessageRecord, Newest: true}
	if in.State != "" {
		q.States = []uint8{uint8(authn.ParseMessageState(in.State))}
	}
	if in.User != "" {
		o, err := s.owner(s.ask(ctx, in.User))
		if err != nil {
			return nil, err
		}
		q.Account = o.Account // a new one where they have none: it has no mails
	}
	all, next, err := gather(&in.Paging, func(after string, n int) (page []Mail, next string, err error) {
		q := q
		q.Limit = n
		if after != "" {
			id, err := token.ParseID(after)
			if err != nil {
				return nil, "", badAfter(err)
			}
			q.Before = uint64(id)
		}
		found, err := s.Store.Records(q)
		if err != nil {
			return nil, "", s.problem(err)
		}
		for _, r := range found {
			m, err := authn.MessageOf(r)
			if err != nil {
				return nil, "", s.problem(err)
			}
			if in.Kind != "" && string(m.Kind) != in.Kind || m.Created.Before(in.Since) || !s.seesMail(ctx, m.Account) {
				continue
			}
			v, err := s.viewMail(r)
			if err != nil {
				return nil, "", s.problem(err)
			}
			page = append(page, v)
		}
		if len(found) == n {
			next = mailName(found[n-1].ID)
		}
		return page, next, nil
	})
	if err != nil {
		return nil, err
	}
	return answer(&in.Paging, "mails", mailColumns, all, next, func(l Listing, all []Mail) MailList { return MailList{l, all} }), nil
}

// seesMail reports that the caller's scope covers whom a mail is about. What is about nobody is for those who see everybody.
func (s *Server) seesMail(ctx context.Context, account authn.AccountID) bool {
	if PrincipalOf(ctx).Scope.All() {
		return true
	}
	return account != 0 && PrincipalOf(ctx).Scope.Covers(s.personOf(ctx, authn.Owner{Account: account}))
}

// mail finds one that the caller may see.
func (s *Server) mail(ctx context.Context, name string) (*authn.Record, Mail, error) {
	unknown := newProblem(http.StatusNotFound, "unknown-mail", fmt.Sprintf(wordUnknownMail, quoted(name)))
	id, err := token.ParseID(name)
	if err != nil {
		return nil, Mail{}, unknown
	}
	r, err := s.Store.Record(authn.RecordKey{Kind: authn.MessageRecord, ID: uint64(id)})
	switch {
	case errors.Is(err, authn.ErrNotFound):
		return nil, Mail{}, unknown
	case err != nil:
		return nil, Mail{}, s.problem(err)
	case !s.seesMail(ctx, r.Account):
		return nil, Mail{}, unknown
	}
	v, err := s.viewMail(r)
	if err != nil {
		return nil, v, s.problem(err)
	}
	return r, v, nil
}

// MailPath names a mail in a path.
type MailPath struct {
	Mail string `path:"mail" maxLength:"40" doc:"ID of the list"`
}

// showMail is GET /api/v1/mails/{mail}.
func (s *Server) showMail(ctx context.Context, in *struct{ MailPath }) (*versioned[Mail], error) {
	if p := s.allow(ctx, operator.ReadService, operator.Target{}); p != nil {
		return nil, p
	}
	_, v, err := s.mail(ctx, in.Mail)
	if err != nil {
		return nil, err
	}
	return withVersion(v), nil
}

// sendAgain is POST /api/v1/mails/{mail}/again: one that did not arrive, or perhaps did not, waits once more.
func (s *Server) sendAgain(ctx context.Context, in *struct {
	MailPath
	Matching
}) (*doneReply, error) {
	s.acts.Lock()
	defer s.acts.Unlock()
	r, v, err := s.mail(ctx, in.Mail)
	if err != nil {
		return nil, err
	}
	var about operator.Target
	if r.Account != 0 {
		about = s.target(ctx, authn.Owner{Account: r.Account})
	}
	if p := s.allow(ctx, operator.Mails, about); p != nil {
		return nil, p
	}
	if p := in.check(v); p != nil {
		return nil, p
	}
	act := s.act(ctx)
	event, err := s.apply(ctx, authn.Keys{Records: []authn.RecordKey{r.RecordKey}}, func(h *authn.Held) (c authn.Change, refused *authn.Refusal, err error) {
		if h.Records[0] == nil {
			return c, nil, newProblem(http.StatusNotFound, "unknown-mail", fmt.Sprintf(wordUnknownMail, quoted(in.Mail)))
		}
		m, err := authn.MessageOf(h.Records[0])
		if err != nil {
			return c, nil, err
		}
		before := m.State
		m, refused = m.Again(act.Now)
		if refused != nil {
			return c, refused, nil
		}
		next, err := m.Record()
		if err != nil {
			return c, nil, err
		}
		c = act.Note("mail.again", v.ID+" "+v.Kind+": "+before.String()+" to "+m.State.String()+" after "+strconv.Itoa(v.Tries)+" tries")
		c.Event.Account = m.Account
		c.Records = []*authn.Record{next}
		return c, nil, nil
	})
	if err == nil {
		s.Wake()
	}
	return done(event, err)
}
