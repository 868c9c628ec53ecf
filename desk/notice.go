package desk

import (
	"strconv"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/life"
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
	id       uint64 // of the mail that brings it
	left     int    // devices that it is good for
	again    bool   // it follows a request or a reset
	paper    bool   // it travels by letter
	number   string // of the request
	sentence string // of a refusal
	device   string // that was added
}

// noticeFor is how long a mail that announces something is of use.
const noticeFor = 3 * 24 * time.Hour

// messages makes the mails that notices owe, as records of the same change. Whoever sends them asks the directory for
// address and language.
func (t *table) messages(notices []life.Notice) (all []*authn.Record, err error) {
	for _, n := range notices {
		kind, has := mailKinds[n.Kind]
		if !has || n.Kind == life.NoticeLink && t.mail.paper {
			continue
		}
		if n.Kind == life.NoticeLink && t.mail.again {
			kind = authn.MailReactivation
		}
		m := t.desk.message(kind, authn.AccountID(n.Account), t.act)
		t.fill(&m, n)
		r, err := m.Record()
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// message begins a mail to a person.
func (d *Desk) message(kind authn.MessageKind, account authn.AccountID, a life.Act) authn.Message {
	return authn.Message{ID: authn.NewMessageID(a.Now), Kind: kind, Account: account, Created: a.Now, Due: a.Now, Until: a.Now.Add(noticeFor),
		State: authn.MessageWaiting, Changed: a.Now, Fields: map[string]string{"when": moment(a.Rules, a.Now), "url": d.Home}}
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
		m.ID, m.Until = t.mail.id, time.Unix(n.From, 0)
		set("until", moment(rules, m.Until))
		set("left", strconv.Itoa(t.mail.left))
		if t.desk.Home != "" {
			set("app_url", strings.TrimSuffix(t.desk.Home, "/")+"/apps")
		}
		if url := t.desk.url(t.mail.secret); url != "" {
			set("link", url)
		} else {
			set("link", authn.LinkPath+t.mail.secret) // it leaves when the pages have an address (P13)
			m.State, m.Answer = authn.MessageHeld, "no address of the self-service pages is configured; the mail leaves when there is one"
		}
	}
}

// withdraw takes back the mail that brings a link which is void now, where it has not left.
func (t *table) withdraw(id uint64) error {
	r := t.record[messageKey(id)]
	if r == nil {
		return nil
	}
	m, err := authn.MessageOf(r)
	if err != nil {
		return err
	}
	if m.State != authn.MessageWaiting && m.State != authn.MessageHeld {
		return nil
	}
	next, err := m.Withdrawn(t.act.Now).Record()
	t.records = append(t.records, next)
	return err
}

func messageKey(id uint64) authn.RecordKey {
	return authn.RecordKey{Kind: authn.MessageRecord, ID: id}
}

// url is that of an activation link; empty without a self-service URL.
func (d *Desk) url(secret string) string {
	if d.Links == nil || secret == "" {
		return ""
	}
	return d.Links(secret)
}

// moment is an instant for people, in the site's zone.
func moment(r life.Rules, at time.Time) string {
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	return at.In(zone).Format("2006-01-02 15:04 MST")
}
