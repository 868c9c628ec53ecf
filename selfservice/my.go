package selfservice

import (
	"net/http"
	"strconv"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

func (s *Server) myRoutes(page func(string, handler)) {
	page("GET /my", s.myPage)
	page("GET /my/device/{id}", s.devicePage)
	page("POST /my/device/{id}/name", s.deviceName)
	page("POST /my/device/{id}/block", s.deviceBlock)
	page("POST /my/device/{id}/lost", s.deviceLost)
	page("POST /my/device/{id}/resume", s.deviceResume)
	page("POST /my/device/{id}/later", s.deviceLater)
	page("GET /my/add", s.addForm)
	page("POST /my/add", s.addStart)
	page("POST /my/add/code", s.addCode)
	page("GET /my/register", s.registerForm)
	page("POST /my/register", s.registerToken)
	page("GET /my/pin", s.pinForm)
	page("POST /my/pin", s.pinChange)
	page("GET /my/recovery", s.recoveryForm)
	page("POST /my/recovery", s.recoveryDraw)
	page("GET /my/logins", s.loginsPage)
	page("GET /my/sessions", s.sessionsPage)
	page("POST /my/sessions/end", s.sessionEnd)
}

// myData is the own page.
type myData struct {
	Devices   []device
	Waits     bool // a hardware token waits to be registered
	CanAdd    bool // a working device proves who asks for one more
	None      bool // nothing works: what to do comes first
	PIN       bool // there is one, or a gateway asks for it
	ForcedPIN bool
	Temporary bool // temporary codes run
	Until     int64
	NotBefore int64 // from when a token may be registered again
	Requests  []desk.RequestView
	Guide     []guide
}

func (s *Server) myPage(q *request) error {
	h, all, err := s.own(q)
	if err != nil {
		return err
	}
	d := myData{Devices: all, CanAdd: len(working(all)) > 0, None: len(working(all)) == 0,
		PIN: h.PIN.Current != life.PINHash{}, ForcedPIN: h.PIN.Forced,
		Temporary: running(h, q.now), Until: h.Temporary.Until}
	if h.NotBefore > q.now.Unix() {
		d.NotBefore = h.NotBefore
	}
	for _, dev := range all {
		d.Waits = d.Waits || dev.Stage == "pending" && !dev.Soft
	}
	needs, err := s.needsPIN(q)
	if err != nil {
		return err
	}
	d.PIN, d.ForcedPIN = d.PIN || needs, d.ForcedPIN || needs && !d.None
	if d.Requests, err = s.requests(q); err != nil {
		return err
	}
	if d.Guide, err = s.guide(q); err != nil {
		return err
	}
	return s.show(q, "my", d)
}

// device finds the device of the path among the person's own; all others are not there.
func (s *Server) device(q *request) (*device, error) {
	id, err := token.ParseID(q.PathValue("id"))
	if err == nil {
		_, all, err := s.own(q)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if all[i].ID == id {
				return &all[i], nil
			}
		}
	}
	return nil, &failure{http.StatusNotFound, "no-device", "device.unknown", "/my"}
}

func (s *Server) devicePage(q *request) error {
	d, err := s.device(q)
	if err != nil {
		return err
	}
	return s.show(q, "device", d)
}

// onDevice does an act on an own device and goes back to its page, or to My page with a sentence.
func (s *Server) onDevice(q *request, done string, act func(d *device) error) error {
	d, err := s.device(q)
	if err != nil {
		return err
	}
	err = act(d)
	if p := q.problemOf(err); p != nil {
		return s.again(q, "device", d, p)
	}
	if err != nil {
		return err
	}
	return goTo(q, "/my?done="+done)
}

func (s *Server) deviceName(q *request) error {
	return s.onDevice(q, "named", func(d *device) error {
		_, err := s.Desk().Rename(q.Context(), q.session.actor(), q.session.Account, d.ID, cleanName(q.PostFormValue("name")))
		return err
	})
}

func (s *Server) deviceBlock(q *request) error {
	return s.onDevice(q, "blocked", func(d *device) error {
		_, err := s.Desk().Suspend(q.Context(), q.session.actor(), q.session.Account, d.ID)
		return err
	})
}

func (s *Server) deviceLost(q *request) error {
	return s.onDevice(q, "lost", func(d *device) error {
		_, err := s.Desk().ReportLost(q.Context(), q.session.actor(), q.session.Account, d.ID, q.PostFormValue("stolen") != "")
		return err
	})
}

func (s *Server) deviceResume(q *request) error {
	return s.onDevice(q, "resumed", func(d *device) error {
		_, err := s.Desk().Resume(q.Context(), q.session.actor(), q.session.Account, d.ID, secret(cleanCode(q.PostFormValue("code"))))
		return err
	})
}

func (s *Server) deviceLater(q *request) error {
	return s.onDevice(q, "later", func(d *device) error {
		_, err := s.Desk().Defer(q.Context(), q.session.actor(), q.session.Account, d.ID)
		return err
	})
}

// addData is the page that adds a device.
type addData struct{ Devices []device }

// addForm shows the secret under way, or asks for the code of a working device (K11).
func (s *Server) addForm(q *request) error { return s.addPage(q, nil) }

func (s *Server) addPage(q *request, p *problem) error {
	if w := q.session.Pending; w != nil && q.now.Unix() < w.Until {
		d, err := s.secretData(q, desk.SecretView{Token: w.Token, URI: w.URI, Key: w.Key, Label: w.Label, Old: w.Old}, "/my/add/code")
		if err != nil {
			return err
		}
		if w.Device != "" {
			d.Name = w.Device
		}
		if p != nil {
			return s.again(q, "secret", d, p)
		}
		return s.show(q, "secret", d)
	}
	_, all, err := s.own(q)
	if err != nil {
		return err
	}
	d := addData{working(all)}
	if p != nil {
		return s.again(q, "add", d, p)
	}
	return s.show(q, "add", d)
}

func (s *Server) addStart(q *request) error {
	by, _ := token.ParseID(q.PostFormValue("by")) // zero names no device, and the rules say so
	name, code := cleanName(q.PostFormValue("device")), cleanCode(q.PostFormValue("code"))
	q.typed = map[string]string{"device": name, "by": q.PostFormValue("by")}
	v, err := s.Desk().Enrol(q.Context(), q.session.actor(), desk.EnrolOrder{Account: q.session.Account, Name: name, By: by, Code: secret(code)})
	if p := q.problemOf(err); p != nil {
		return s.addPage(q, p)
	}
	if err == nil {
		err = s.sessions.change(q.session, func(n *Session) {
			n.Code = q.now.Unix()
			n.Pending = &Pending{Token: v.Token, URI: v.URI, Key: v.Key, Label: v.Label, Old: v.Old, Device: name, Until: q.now.Add(startLife).Unix()}
		})
	}
	if err != nil {
		return err
	}
	return goTo(q, "/my/add")
}

func (s *Server) addCode(q *request) error {
	w := q.session.Pending
	if w == nil || q.now.Unix() >= w.Until {
		return s.addPage(q, q.problemOf(&life.Refusal{Code: life.StartLapsed}))
	}
	_, err := s.Desk().Confirm(q.Context(), q.session.actor(), q.session.Account, w.Token, secret(cleanCode(q.PostFormValue("code"))))
	if p := q.problemOf(err); p != nil {
		return s.addPage(q, p)
	}
	name := cleanName(q.PostFormValue("device"))
	if err == nil && name != w.Device {
		_, err = s.Desk().Rename(q.Context(), q.session.actor(), q.session.Account, w.Token, name)
	}
	if err == nil {
		err = s.registered(q, name)
	}
	if err != nil {
		return err
	}
	return goTo(q, "/activate/done")
}

// registerForm takes serial and code of a hardware token (O7).
func (s *Server) registerForm(q *request) error { return s.registerPage(q, nil) }

func (s *Server) registerPage(q *request, p *problem) error {
	_, all, err := s.own(q)
	if err != nil {
		return err
	}
	var waiting []device
	for _, d := range all {
		if d.Stage == "pending" && !d.Soft {
			waiting = append(waiting, d)
		}
	}
	if p != nil {
		return s.again(q, "register", addData{waiting}, p)
	}
	return s.show(q, "register", addData{waiting})
}

func (s *Server) registerToken(q *request) error {
	serial := cleanSerial(q.PostFormValue("serial"))
	q.typed = map[string]string{"serial": serial}
	_, _, err := s.Desk().Register(q.Context(), q.session.actor(), q.session.Account, serial, secret(cleanCode(q.PostFormValue("code"))))
	if p := q.problemOf(err); p != nil {
		return s.registerPage(q, p)
	}
	if err == nil {
		err = s.registered(q, serial)
	}
	if err != nil {
		return err
	}
	return goTo(q, "/activate/done")
}

func (s *Server) pinForm(q *request) error { return s.show(q, "pin", nil) }

// pinChange changes the PIN. Who signed in without a code may only choose one that is owed, or a password alone would take
// the other first factor over.
func (s *Server) pinChange(q *request) error {
	h, _, err := s.own(q)
	if err != nil {
		return err
	}
	if q.session.Code == 0 && h.PIN.Current != (life.PINHash{}) && !h.PIN.Forced {
		return s.again(q, "pin", nil, q.wrong("code-needed", "pin.needs"))
	}
	p, err := s.choosePIN(q)
	if p != nil {
		return s.again(q, "pin", nil, p)
	}
	if err != nil {
		return err
	}
	return goTo(q, "/my?done=pinset")
}

// codeData is a page that shows a code once.
type codeData struct {
	Code  string
	Until int64
	Left  int
	Next  string // the recovery code that takes the place of the one that was used
}

func (s *Server) recoveryForm(q *request) error { return s.show(q, "recovery", codeData{}) }

// recoveryDraw shows a new recovery code. Who signed in without a code may not: a password alone would then make a second
// factor.
func (s *Server) recoveryDraw(q *request) error {
	if q.session.Code == 0 {
		return s.again(q, "recovery", codeData{}, q.wrong("code-needed", "recovery.needs"))
	}
	code, err := s.Desk().SetRecovery(q.Context(), q.session.actor())
	if p := q.problemOf(err); p != nil {
		return s.again(q, "recovery", codeData{}, p)
	}
	if err != nil {
		return err
	}
	return s.show(q, "recovery", codeData{Code: groups(string(code.Reveal()))})
}

const mostAttempts = 30

func (s *Server) loginsPage(q *request) error {
	all, err := s.People.Attempts(q.Context(), q.session.Account, mostAttempts)
	if err != nil {
		return err
	}
	return s.show(q, "logins", struct{ Attempts []Attempt }{all})
}

func (s *Server) sessionsPage(q *request) error {
	all, err := s.sessions.of(q.session.Account, q.now)
	if err != nil {
		return err
	}
	return s.show(q, "sessions", struct {
		Sessions []*Session
		Mine     uint64
	}{all, q.session.ID})
}

func (s *Server) sessionEnd(q *request) error {
	var err error
	if q.PostFormValue("all") != "" {
		err = s.sessions.endAll(q.session.Account, q.session.ID, q.now)
	} else if id, wrong := strconv.ParseUint(q.PostFormValue("id"), 10, 63); wrong == nil {
		err = s.sessions.end(q.session.Account, id)
	}
	if err != nil {
		return err
	}
	return goTo(q, "/my/sessions?done=ended")
}

// requests are a person's own, the latest first.
func (s *Server) requests(q *request) ([]desk.RequestView, error) {
	return s.Desk().Requests(q.Context(), authn.RecordQuery{Account: q.session.Account, Newest: true, Limit: 10})
}
