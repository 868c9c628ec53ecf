package selfservice

import (
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/internal/qrcode"
	"sekisho/life"
)

// linkData is the page that a link opens.
type linkData struct {
	Action string // where its form goes
	Stage  string // open, lapsed, used-up or revoked
	Left   int
	Until  int64
	Letter bool
}

// link finds what a link is for. Opening it spends nothing, so that programs which read mails may open it as often as they
// like. Links that never were and links that were sent again since look the same.
func (s *Server) link(q *request) (string, *linkData, desk.ActivationView, error) {
	link := q.PathValue("secret")
	v, err := s.Desk().FindLink(q.Context(), secret(link))
	if err != nil {
		var no *life.Refusal
		if errors.As(err, &no) {
			err = &failure{http.StatusNotFound, "link-unknown", "link.unknown", "/help-me"}
		}
		return "", nil, v, err
	}
	d := &linkData{Action: q.URL.Path, Stage: string(v.Stage), Left: v.Left(), Until: v.Until.Unix(), Letter: v.Letter}
	switch v.Stage {
	case life.Open, life.Started:
		d.Stage = "open"
	case life.Lapsed, life.UsedUp, life.Revoked:
	default:
		return "", nil, v, &failure{http.StatusNotFound, "link-unknown", "link.unknown", "/help-me"}
	}
	return link, d, v, nil
}

func (s *Server) linkForm(q *request) error {
	link, d, _, err := s.link(q)
	if err != nil {
		return err
	}
	if q.session != nil && q.session.Link == link && d.Stage == "open" {
		return goTo(q, "/activate") // the same browser goes on where it was
	}
	return s.show(q, "link", d)
}

// linkPassword takes the password, begins the session that the start belongs to, and starts.
func (s *Server) linkPassword(q *request) error {
	link, d, v, err := s.link(q)
	if err != nil {
		return err
	}
	if d.Stage != "open" {
		return s.show(q, "link", d)
	}
	password := q.PostFormValue("password")
	if password == "" {
		return s.again(q, "link", d, q.wrong("form", "link.empty"))
	}
	arrived := time.Now()
	who, err := s.Prover.PasswordOf(q.Context(), v.Account, secret(password), s.from(q.Request))
	if err != nil {
		return unavailable(err)
	}
	if who == nil {
		s.Prover.Hold(q.Context(), arrived)
		return s.again(q, "link", d, q.wrong("sign-in", "link.refused"))
	}
	session := Session{Account: v.Account, Name: who.Name, Level: ByLink, Link: link, Start: newSecret()}
	started, err := s.Desk().Start(q.Context(), session.actor(), secret(link), secret(session.Start))
	if p := q.problemOf(err); p != nil {
		return s.again(q, "link", d, p)
	}
	if err != nil {
		return err
	}
	session.Begun, session.Until = started.Activation.Begun, started.Until.Unix()
	if err := s.enter(q, session); err != nil {
		return err
	}
	return goTo(q, "/activate")
}

// linkResend has a lapsed link sent again, to the same address as before.
func (s *Server) linkResend(q *request) error {
	_, d, v, err := s.link(q)
	if err != nil {
		return err
	}
	if d.Stage != "lapsed" || v.Letter {
		return s.show(q, "link", d)
	}
	// Whoever has the link may have it sent again; that the mail goes to its owner alone is all the proof it needs.
	_, _, err = s.Desk().Resend(q.Context(), desk.Actor{By: life.ByPerson, Account: v.Account, Name: v.Name}, v.ID)
	if p := q.problemOf(err); p != nil {
		return s.again(q, "link", d, p)
	}
	if err != nil {
		return err
	}
	return s.show(q, "sent", nil)
}

// secretData is a page that shows a new secret.
type secretData struct {
	QR     qrcode.Picture
	URI    template.URL
	Key    string // in groups of 4
	Copy   string // without blanks
	Label  string
	Old    string
	Action string
	Device int // 0: not one of a link
	Of     int
	Until  int64
	Name   string // proposed for the device
}

func (s *Server) secretData(q *request, v desk.SecretView, action string) (*secretData, error) {
	drawn, err := qrcode.Draw(v.URI)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(v.URI, "otpauth://") {
		return nil, errors.New("the secret of a device came as no otpauth URI")
	}
	//nolint:gosec // the scheme was looked at, and html/template takes no otpauth address without this word
	d := &secretData{QR: drawn, URI: template.URL(v.URI), Key: groups(v.Key), Copy: v.Key, Label: v.Label, Old: v.Old, Action: action}
	if phone := browser(q.UserAgent()); strings.HasPrefix(phone, "iP") || strings.HasPrefix(phone, "Android") {
		d.Name, _, _ = strings.Cut(phone, " ")
	}
	return d, nil
}

// overtaken is the page of a start that is no longer this browser's: another one has begun anew, or it took too long.
func (s *Server) overtaken(q *request, code life.Code) error {
	p := q.problemOf(&life.Refusal{Code: code})
	return s.render(q, http.StatusConflict, "overtaken", nil, p)
}

// activateForm shows the secret of the session's start. It begins none: where another browser did meanwhile, or the time is
// over, the page says so.
func (s *Server) activateForm(q *request) error { return s.activatePage(q, nil) }

func (s *Server) activatePage(q *request, p *problem) error {
	if q.session.Link == "" {
		if q.session.Done != "" {
			return goTo(q, "/activate/done")
		}
		return &failure{http.StatusConflict, "no-activation", "activate.none", "/my"}
	}
	v, err := s.Desk().FindLink(q.Context(), secret(q.session.Link))
	if err != nil {
		return err
	}
	switch {
	case v.Stage != life.Started || v.Begun != q.session.Begun:
		return s.overtaken(q, overtakenBy(v.Stage))
	case q.now.Unix() >= q.session.Until:
		return s.overtaken(q, life.StartLapsed)
	}
	started, err := s.Desk().Start(q.Context(), q.session.actor(), secret(q.session.Link), secret(q.session.Start))
	if err != nil {
		return err
	}
	d, err := s.secretData(q, started.SecretView, "/activate")
	if err != nil {
		return err
	}
	d.Device, d.Of, d.Until = started.Device, started.Of, started.Activation.Until.Unix()
	if p != nil {
		return s.again(q, "secret", d, p)
	}
	return s.show(q, "secret", d)
}

func overtakenBy(stage life.Stage) life.Code {
	switch stage {
	case life.Lapsed:
		return life.LinkLapsed
	case life.Revoked:
		return life.LinkRevoked
	case life.UsedUp:
		return life.QuotaUsed
	}
	return life.StartElse
}

// activateAgain begins anew in this browser, which gave the password in this session.
func (s *Server) activateAgain(q *request) error {
	if q.session.Link == "" {
		return goTo(q, "/activate")
	}
	fresh := newSecret()
	started, err := s.Desk().Start(q.Context(), q.session.actor(), secret(q.session.Link), secret(fresh))
	if p := q.problemOf(err); p != nil {
		return s.render(q, http.StatusConflict, "overtaken", nil, p)
	}
	if err == nil {
		err = s.sessions.change(q.session, func(n *Session) {
			n.Start, n.Begun, n.Until = fresh, started.Activation.Begun, started.Until.Unix()
		})
	}
	if err != nil {
		return err
	}
	return goTo(q, "/activate")
}

// activateCode brings the device into service by its first right code.
func (s *Server) activateCode(q *request) error {
	if q.session.Link == "" {
		return s.activatePage(q, nil)
	}
	code, name := cleanCode(q.PostFormValue("code")), cleanName(q.PostFormValue("device"))
	if code == "" {
		return s.activatePage(q, q.wrong("form", "code.empty"))
	}
	_, _, err := s.Desk().Finish(q.Context(), q.session.actor(), secret(q.session.Link), secret(q.session.Start), secret(code), name)
	if p := q.problemOf(err); p != nil {
		return s.activatePage(q, p)
	}
	if err != nil {
		return err
	}
	if err := s.registered(q, name); err != nil {
		return err
	}
	return goTo(q, "/activate/done")
}

// registered notes what the page after an activation tells.
func (s *Server) registered(q *request, name string) error {
	needs, err := s.needsPIN(q)
	if err != nil {
		return err
	}
	return s.sessions.change(q.session, func(n *Session) {
		n.Link, n.Start, n.Pending = "", "", nil
		n.Done, n.NeedsPIN, n.Code = name, needs, q.now.Unix()
		n.Level = SignedIn // password and code are proven now
		if n.Done == "" {
			n.Done = "-"
		}
	})
}

// needsPIN reports that a gateway asks this person for a PIN and there is none.
func (s *Server) needsPIN(q *request) (bool, error) {
	h, _, err := s.own(q)
	if err != nil || h.PIN.Current != (life.PINHash{}) && !h.PIN.Forced {
		return false, err
	}
	typing, err := s.People.Typing(q.Context(), q.session.Account)
	if err != nil {
		return false, err
	}
	for _, t := range typing {
		if t.First == authn.PIN {
			return true, nil
		}
	}
	return false, nil
}

// doneData is the last page of an activation.
type doneData struct {
	Device   string
	NeedsPIN bool
	Guide    []guide
}

// guide is what a person types at some gateways, with an example (K12).
type guide struct {
	Gateway string
	Key     string // of the sentence
	Example string // what stands in the password field; empty: the code is asked for afterwards
}

func (s *Server) guide(q *request) ([]guide, error) {
	typing, err := s.People.Typing(q.Context(), q.session.Account)
	if err != nil {
		return nil, err
	}
	var all []guide
	for _, t := range typing {
		g, first := guide{Gateway: t.Gateway}, say(q.lang, "guide.example.password")
		behind, before := "guide.code", "guide.code"
		switch {
		case t.First == authn.PIN:
			behind, before, first = "guide.pin", "guide.pin.first", "7391k"
		case t.First == authn.Password && !t.Joined:
			behind = "guide.ask"
		case t.First == authn.Password:
			behind, before = "guide.password", "guide.password.first"
		default:
			first = ""
		}
		switch g.Key = behind; {
		case behind == "guide.ask":
		case t.CodeFirst:
			g.Key, g.Example = before, "123456"+first
		default:
			g.Example = first + "123456"
		}
		all = append(all, g)
	}
	return all, nil
}

func (s *Server) activateDone(q *request) error { return s.donePage(q, nil) }

func (s *Server) donePage(q *request, p *problem) error {
	if q.session.Done == "" {
		return goTo(q, "/activate")
	}
	g, err := s.guide(q)
	if err != nil {
		return err
	}
	d := doneData{Device: strings.TrimPrefix(q.session.Done, "-"), NeedsPIN: q.session.NeedsPIN, Guide: g}
	if p != nil {
		return s.again(q, "done", d, p)
	}
	return s.show(q, "done", d)
}

func (s *Server) activatePIN(q *request) error {
	if q.session.Done == "" || !q.session.NeedsPIN {
		return goTo(q, "/activate/done")
	}
	if p, err := s.choosePIN(q); p != nil || err != nil {
		if err != nil {
			return err
		}
		return s.donePage(q, p)
	}
	if err := s.sessions.change(q.session, func(n *Session) { n.NeedsPIN = false }); err != nil {
		return err
	}
	return goTo(q, "/activate/done?done=pinset")
}

// choosePIN sets the PIN of a form with the fields pin and pin2.
func (s *Server) choosePIN(q *request) (*problem, error) {
	pin := cleanPIN(q.PostFormValue("pin"))
	if pin != cleanPIN(q.PostFormValue("pin2")) {
		return q.wrong("pin-differs", "pin.differs"), nil
	}
	_, err := s.Desk().ChoosePIN(q.Context(), q.session.actor(), secret(pin))
	if p := q.problemOf(err); p != nil {
		return p, nil
	}
	return nil, err
}

// startLife is how long a new secret of My page is shown.
const startLife = 30 * time.Minute
