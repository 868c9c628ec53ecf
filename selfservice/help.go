package selfservice

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// What is wrong, as the page for those who cannot sign in asks it.
const (
	helpLost    = "lost"    // the device is lost or stolen
	helpDeleted = "deleted" // the app or its setting is gone, or the phone is a new one
	helpAway    = "away"    // it lies at home
)

func (s *Server) helpRoutes(page func(string, handler)) {
	page("GET /help-me/{what}", s.helpPage)
	page("POST /help-me/lost", s.helpLost)
	page("POST /help-me/deleted", s.helpDeleted)
	page("POST /help-me/away", s.helpAway)
	page("GET /temporary", s.temporaryForm)
	page("POST /temporary", s.temporaryShow)
	page("GET /request", s.requestForm)
	page("POST /request", s.requestMake)
	page("POST /request/withdraw", s.requestWithdraw)
}

// helpForm asks what is wrong, and for name and password.
func (s *Server) helpForm(q *request) error {
	q.typed = map[string]string{"what": q.FormValue("what")}
	return s.show(q, "help", nil)
}

// helpPassword begins a session in which nothing is opened but what stops a device or asks for another one: a password alone
// proves no more. Its refusals have one sentence.
func (s *Server) helpPassword(q *request) error {
	name, password, what := q.PostFormValue("name"), q.PostFormValue("password"), q.PostFormValue("what")
	q.typed = map[string]string{"name": name, "what": what}
	if !slices.Contains([]string{helpLost, helpDeleted, helpAway}, what) {
		return s.again(q, "help", nil, q.wrong("form", "help.choose"))
	}
	if name == "" || password == "" {
		return s.again(q, "help", nil, q.wrong("form", "signin.empty"))
	}
	arrived := time.Now()
	who, err := s.Prover.Password(q.Context(), name, secret(password), s.from(q.Request))
	if err != nil {
		return unavailable(err)
	}
	if who == nil {
		s.Prover.Hold(q.Context(), arrived)
		return s.again(q, "help", nil, q.wrong("sign-in", "help.refused"))
	}
	if err := s.enter(q, Session{Account: who.Account, Name: who.Name, Level: ByPassword}); err != nil {
		return err
	}
	return goTo(q, "/help-me/"+what)
}

// helpData is a page on which a person stops a device or asks for another one.
type helpData struct {
	What    string
	Devices []device // those that what is wrong can be about
	Mail    bool     // a link by mail is the next step
	Running bool     // temporary codes run already
	Code    string   // a temporary code
	Until   int64
	Next    string // the next recovery code
}

func (s *Server) helpData(q *request, what string) (*helpData, error) {
	h, all, err := s.own(q)
	if err != nil {
		return nil, err
	}
	d := &helpData{What: what, Mail: s.Config.selfReset(), Running: running(h, q.now)}
	for _, dev := range all {
		if what == helpLost && dev.works() || what == helpDeleted && dev.Soft && dev.Stage != "expired" {
			d.Devices = append(d.Devices, dev)
		}
	}
	return d, nil
}

func (s *Server) helpPage(q *request) error {
	what := q.PathValue("what")
	if !slices.Contains([]string{helpLost, helpDeleted, helpAway}, what) {
		return &failure{http.StatusNotFound, "no-page", "error.nopage", "/help-me"}
	}
	d, err := s.helpData(q, what)
	if err != nil {
		return err
	}
	return s.show(q, what, d)
}

// helpLost stops the chosen device at once (P3).
func (s *Server) helpLost(q *request) error {
	id, err := token.ParseID(q.PostFormValue("device"))
	if err != nil {
		return s.helpAgain(q, helpLost, q.wrong("form", "lost.choose"))
	}
	_, err = s.Desk().ReportLost(q.Context(), q.session.actor(), q.session.Account, id, q.PostFormValue("stolen") != "")
	if p := q.problemOf(err); p != nil {
		return s.helpAgain(q, helpLost, p)
	}
	if err != nil {
		return err
	}
	return goTo(q, "/help-me/deleted?done=lost")
}

func (s *Server) helpAgain(q *request, what string, p *problem) error {
	d, err := s.helpData(q, what)
	if err != nil {
		return err
	}
	return s.again(q, what, d, p)
}

// helpDeleted has a link mailed with which the next device is registered; the ticked ones end with its first right code. Who
// has a link that still holds gets that one again, so that the limits on sending hold.
func (s *Server) helpDeleted(q *request) error {
	d, err := s.helpData(q, helpDeleted)
	if err != nil {
		return err
	}
	if !d.Mail || len(d.Devices) == 0 {
		return goTo(q, "/request")
	}
	var ticked []token.ID
	for _, text := range q.PostForm["device"] {
		id, err := token.ParseID(text)
		if err != nil {
			return s.again(q, helpDeleted, d, q.wrong("form", "lost.choose"))
		}
		ticked = append(ticked, id)
	}
	err = s.mailLink(q, ticked)
	if p := q.problemOf(err); p != nil {
		return s.again(q, helpDeleted, d, p)
	}
	if err != nil {
		return err
	}
	return s.show(q, "sent", nil)
}

func (s *Server) mailLink(q *request, ticked []token.ID) error {
	open, err := s.Desk().Activations(q.Context(), authn.RecordQuery{Account: q.session.Account, Newest: true, Limit: 100,
		States: []uint8{desk.LinkState(life.Open), desk.LinkState(life.Started)}})
	if err != nil {
		return err
	}
	for _, v := range open {
		if !v.Letter && v.Until.After(q.now) && slices.Equal(v.Replaces, ticked) {
			_, _, err := s.Desk().Resend(q.Context(), q.session.actor(), v.ID)
			return err
		}
	}
	_, _, err = s.Desk().Issue(q.Context(), q.session.actor(), desk.LinkOrder{Account: q.session.Account, Again: true, Replaces: ticked})
	return err
}

// helpAway gives a temporary code for the printed recovery code (Y6). Nothing is revoked.
func (s *Server) helpAway(q *request) error {
	d, err := s.helpData(q, helpAway)
	if err != nil {
		return err
	}
	next, v, err := s.Desk().Recover(q.Context(), q.session.actor(), secret(string(life.CleanRecovery(q.PostFormValue("recovery")))))
	if p := q.problemOf(err); p != nil {
		return s.again(q, helpAway, d, p)
	}
	if err != nil {
		return err
	}
	code, _, err := s.Desk().ShowTemporary(q.Context(), q.session.actor())
	if err != nil {
		return err
	}
	d.Code, d.Until, d.Next = groups(string(code.Reveal())), v.Until.Unix(), groups(string(next.Reveal()))
	return s.show(q, helpAway, d)
}

func (s *Server) temporaryForm(q *request) error { return s.show(q, "temporary", codeData{}) }

// temporaryShow draws the next temporary code (P6).
func (s *Server) temporaryShow(q *request) error {
	code, v, err := s.Desk().ShowTemporary(q.Context(), q.session.actor())
	if p := q.problemOf(err); p != nil {
		return s.again(q, "temporary", codeData{}, p)
	}
	if err != nil {
		return err
	}
	return s.show(q, "temporary", codeData{Code: groups(string(code.Reveal())), Until: v.Until.Unix(), Left: v.Most - v.Used})
}

// requestData is the page of an application (K5).
type requestData struct {
	Kinds   []life.RequestKindName
	Devices []device
	Pledge  bool
}

func (s *Server) requestForm(q *request) error { return s.requestPage(q, nil) }

func (s *Server) requestPage(q *request, p *problem) error {
	_, all, err := s.own(q)
	if err != nil {
		return err
	}
	if q.typed == nil {
		q.typed = map[string]string{"kind": string(life.AskReactivate)}
		if len(all) == 0 {
			q.typed["kind"] = string(life.AskNew)
		}
	}
	d := requestData{Kinds: s.Rules().Request.Kinds, Pledge: s.Config.Pledge != Words{}}
	for _, dev := range all {
		if dev.Soft {
			d.Devices = append(d.Devices, dev)
		}
	}
	if p != nil {
		return s.again(q, "request", d, p)
	}
	return s.show(q, "request", d)
}

var requestWhys = map[string]life.Why{"deleted": life.WhyDeleted, "phone": life.WhyReplaced, "lost": life.WhyLost, "other": life.WhyNone}

func (s *Server) requestMake(q *request) error {
	q.typed = map[string]string{"kind": q.PostFormValue("kind"), "why": q.PostFormValue("why")}
	why, known := requestWhys[q.PostFormValue("why")]
	kind := life.RequestKindName(q.PostFormValue("kind"))
	if !known || !slices.Contains(s.Rules().Request.Kinds, kind) {
		return s.requestPage(q, q.wrong("form", "request.choose"))
	}
	o := desk.RequestOrder{Account: q.session.Account, Kind: kind, Why: why}
	if q.PostFormValue("agree") != "" {
		o.Pledge = s.Config.PledgeVersion()
	}
	for _, text := range q.PostForm["device"] {
		id, err := token.ParseID(text)
		if err != nil {
			return s.requestPage(q, q.wrong("form", "request.choose"))
		}
		o.Tokens = append(o.Tokens, id)
	}
	v, err := s.Desk().Apply(q.Context(), q.session.actor(), o)
	if p := q.problemOf(err); p != nil {
		return s.requestPage(q, p)
	}
	if err != nil {
		return err
	}
	return s.show(q, "requested", v)
}

func (s *Server) requestWithdraw(q *request) error {
	id, _ := strconv.ParseUint(q.PostFormValue("id"), 10, 63) // zero is nobody's, and the rules say so
	if _, err := s.Desk().Withdraw(q.Context(), q.session.actor(), id); err != nil {
		return err
	}
	if q.session.Level < SignedIn {
		return goTo(q, "/request?done=withdrawn")
	}
	return goTo(q, "/my?done=withdrawn")
}
