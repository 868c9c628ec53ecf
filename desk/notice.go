package desk

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/life"
	"sekisho/token"
)

// mailKinds are the mails of the notices; one that is not here is for pages alone. Who is sent a link is told by that mail
// that the request was approved.
var mailKinds = map[life.NoticeKind]authn.MessageKind{
	life.NoticeAdded:     authn.MailDeviceAdded,
	life.NoticeRevoked:   authn.MailRevoked,
	life.NoticeLink:      authn.MailActivation,
	life.NoticeRequest:   authn.MailRequested,
	life.NoticeRefused:   authn.MailRefused,
	life.NoticeTemporary: authn.MailTemporary,
	life.NoticePIN:       authn.MailPINChanged,
	life.NoticePINReset:  authn.MailPINChanged,
}

// mailFacts are what mails of an act tell beside what the rules know.
type mailFacts struct {
	secret   string // of the link
	left     int    // devices that it is good for
	again    bool   // it follows a request or a reset
	paper    bool   // it travels by letter
	number   string // of the request
	sentence string // of a refusal
	device   string // that was added
}

// noticeFor is how long a mail that announces something is of use.
const noticeFor = 3 * 24 * time.Hour

// askFor bounds what asking the directories for one act's people may take: an act does not wait for mails (I7).
const askFor = 5 * time.Second

// people asks the directories for those whom an act is about: groups decide what they may register, and mails go where the
// directory says. Who is not found there has no groups and gets no mail.
func (d *Desk) people(ctx context.Context, accounts []authn.AccountID) map[authn.AccountID]*authn.User {
	found := map[authn.AccountID]*authn.User{}
	d.ask(ctx, accounts, found)
	return found
}

// meet asks for the people whom gathering added.
func (d *Desk) meet(ctx context.Context, g *gathered) {
	var further []authn.AccountID
	for id := range g.subjects {
		if _, known := g.people[id]; !known {
			further = append(further, id)
		}
	}
	d.ask(ctx, further, g.people)
}

func (d *Desk) ask(ctx context.Context, accounts []authn.AccountID, found map[authn.AccountID]*authn.User) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	for _, id := range accounts {
		u, err := d.user(ctx, id)
		if err != nil && !errors.Is(err, authn.ErrNotFound) && !errors.Is(err, authn.ErrUnknownUser) {
			d.Log.Warn("the directory says nothing of somebody an act is about, so no mail goes to them", "account", id.String(), "error", err)
		}
		found[id] = u
	}
}

// user is the directory's word on the owner of an account; the name of the account serves to ask, and who has another ID there
// is somebody else.
func (d *Desk) user(ctx context.Context, id authn.AccountID) (*authn.User, error) {
	a, err := d.Store.Account(id)
	if err != nil {
		return nil, err
	}
	for i := range d.Directories {
		b := &d.Directories[i]
		if b.Name != a.Directory {
			continue
		}
		u, known := b.Directory.Peek([]byte(a.Name), d.Now())
		if !known || u == nil {
			if u, err = b.Directory.Lookup(ctx, []byte(a.Name)); err != nil {
				return nil, err
			}
		}
		if u.ID != a.External {
			return nil, authn.ErrUnknownUser
		}
		return u, nil
	}
	return nil, authn.ErrUnknownUser
}

// messages makes the mails that notices owe, as records of the same change.
func (t *table) messages(notices []life.Notice) (all []*authn.Record, err error) {
	for _, n := range notices {
		kind, has := mailKinds[n.Kind]
		if !has || n.Kind == life.NoticeLink && t.mail.paper {
			continue
		}
		if n.Kind == life.NoticeLink && t.mail.again {
			kind = authn.MailReactivation
		}
		m, ok := t.desk.message(kind, authn.AccountID(n.Account), t.g.people[authn.AccountID(n.Account)], t.act)
		if !ok {
			continue
		}
		t.fill(&m, n)
		r, err := sealMessage(m)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// message begins a mail to a person's directory address; ok is false where there is none.
func (d *Desk) message(kind authn.MessageKind, account authn.AccountID, u *authn.User, a life.Act) (m authn.Message, ok bool) {
	if u == nil || first(u, "mail") == "" {
		return m, false
	}
	m = authn.Message{ID: newRecord(a.Now), Kind: kind, Account: account, To: first(u, "mail"), Language: "ja", Created: a.Now, Due: a.Now,
		Until: a.Now.Add(noticeFor), State: authn.MessageWaiting, Changed: a.Now, Fields: map[string]string{
			"name": first(u, "name"), "when": moment(a.Rules, a.Now), "url": d.Home,
		}}
	if strings.HasPrefix(strings.ToLower(first(u, "language")), "en") {
		m.Language = "en"
	}
	if m.Fields["name"] == "" {
		m.Fields["name"] = u.Name
	}
	return m, true
}

// fill puts what a notice tells into the fields of its template.
func (t *table) fill(m *authn.Message, n life.Notice) {
	set := func(field, value string) { m.Fields[field] = value }
	rules := t.act.Rules
	switch n.Kind {
	case life.NoticeAdded:
		set("device", t.mail.device)
		if t.mail.device == "" {
			set("device", t.label(n.Token))
		}
	case life.NoticeRevoked:
		set("device", t.label(n.Token))
		set("from", "")
		if n.From > t.act.Now.Unix() {
			set("from", moment(rules, time.Unix(n.From, 0)))
		}
	case life.NoticeTemporary:
		set("until", moment(rules, time.Unix(n.From, 0)))
		m.Until = time.Unix(n.From, 0)
	case life.NoticeRequest:
		set("reference", t.mail.number)
	case life.NoticeRefused:
		set("reference", t.mail.number)
		set("reason", t.mail.sentence)
	case life.NoticeLink:
		m.Until = time.Unix(n.From, 0)
		set("until", moment(rules, m.Until))
		set("left", itoa(t.mail.left))
		set("app_url", "")
		if t.desk.Home != "" {
			set("app_url", strings.TrimSuffix(t.desk.Home, "/")+"/apps")
		}
		url := t.desk.url(t.mail.secret)
		set("link", url)
		if url == "" {
			m.State, m.Answer = authn.MessageHeld, "no address of self-service pages is configured, so the mail has no link to send"
		}
	}
}

// sealMessage is the record of a mail.
func sealMessage(m authn.Message) (*authn.Record, error) {
	data, err := json.Marshal(m)
	return &authn.Record{RecordKey: authn.RecordKey{Kind: authn.MessageRecord, ID: m.ID}, Account: m.Account, State: uint8(m.State), Due: m.Due.Unix(), Data: data}, err
}

// url is that of an activation link; empty without a self-service URL.
func (d *Desk) url(secret string) string {
	if d.Links == nil {
		return ""
	}
	return d.Links(secret)
}

func first(u *authn.User, attribute string) string {
	if values := u.Attributes[attribute]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// moment is an instant for people, in the site's zone.
func moment(r life.Rules, at time.Time) string {
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	return at.In(zone).Format("2006-01-02 15:04 MST")
}

var _ token.ID
