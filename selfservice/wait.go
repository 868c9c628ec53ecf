package selfservice

import (
	"net/http"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// mostWait is how long a browser waits for the help desk (P7).
const mostWait = 60 * time.Minute

// waitData is the page on which somebody without a mail address waits until the help desk has confirmed who they are (Y2). What
// it shows is in the store, so calling, other apps, a locked phone and a lost connection lose nothing.
type waitData struct {
	Stage    string // empty: nothing waits yet
	ID       uint64
	Number   string
	Sentence string
	Before   int // open requests that were made earlier
	Until    int64
	Devices  []device
	Pledge   bool
}

func (s *Server) waitPage(q *request) error { return s.waitShow(q, nil) }

func (s *Server) waitShow(q *request, p *problem) error {
	d, err := s.waiting(q)
	if err != nil {
		return err
	}
	if d.Stage == "" {
		_, all, err := s.own(q)
		if err != nil {
			return err
		}
		d.Pledge = s.Config.Pledge != Words{}
		for _, dev := range all {
			if dev.Soft {
				d.Devices = append(d.Devices, dev)
			}
		}
	}
	if p != nil {
		return s.again(q, "wait", d, p)
	}
	return s.show(q, "wait", d)
}

// waiting reads what the session waits for.
func (s *Server) waiting(q *request) (*waitData, error) {
	if q.session.Wait == 0 {
		return &waitData{}, nil
	}
	v, err := s.Desk().Request(q.Context(), q.session.Wait)
	if err != nil {
		return nil, err
	}
	until := v.Made.Add(mostWait)
	switch {
	case v.Account != q.session.Account || v.Stage == life.Withdrawn:
		return &waitData{}, nil
	case !q.now.Before(until):
		return nil, &failure{http.StatusConflict, "wait-over", "wait.over", "/request"}
	}
	d := &waitData{Stage: string(v.Stage), ID: v.ID, Number: v.Number, Sentence: v.Sentence, Until: until.Unix()}
	if v.Stage == life.Open {
		open, err := s.Desk().Requests(q.Context(), authn.RecordQuery{States: []uint8{desk.RequestState(life.Open)}, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, other := range open {
			if other.Made.Before(v.Made) {
				d.Before++
			}
		}
	}
	return d, nil
}

// waitBegin makes the request that the help desk decides. Who has never held a device asks for the first one.
func (s *Server) waitBegin(q *request) error {
	h, _, err := s.own(q)
	if err != nil {
		return err
	}
	o := desk.RequestOrder{Account: q.session.Account, Kind: life.AskReactivate, Why: life.WhyDeleted}
	if len(h.Holds) == 0 {
		o.Kind, o.Why = life.AskNew, life.WhyNone
	}
	if q.PostFormValue("agree") != "" {
		o.Pledge = s.Config.PledgeVersion()
	}
	for _, text := range q.PostForm["device"] {
		id, err := token.ParseID(text)
		if err != nil {
			return s.waitShow(q, q.wrong("form", "lost.choose"))
		}
		o.Tokens = append(o.Tokens, id)
	}
	v, err := s.Desk().Apply(q.Context(), q.session.actor(), o)
	if p := q.problemOf(err); p != nil {
		return s.waitShow(q, p)
	}
	if err == nil {
		err = s.sessions.change(q.session, func(n *Session) { n.Wait = v.ID })
	}
	if err != nil {
		return err
	}
	return goTo(q, "/wait")
}

// waitGo goes on to the QR code in the browser that waited, once, after the request was approved. The link that the approval
// mailed is void: this browser has one of its own, and nobody else ever sees it.
func (s *Server) waitGo(q *request) error {
	d, err := s.waiting(q)
	if err != nil {
		return err
	}
	if d.Stage != string(life.Approved) {
		return goTo(q, "/wait")
	}
	taken := false
	if err := s.sessions.change(q.session, func(n *Session) { taken, n.Wait = n.Wait == d.ID, 0 }); err != nil {
		return err
	}
	if !taken {
		return &failure{http.StatusConflict, "no-wait", "wait.none", "/activate"}
	}
	me := q.session.actor()
	mailed, err := s.Desk().Activations(q.Context(), authn.RecordQuery{Account: me.Account, States: []uint8{desk.LinkState(life.Open)}})
	if err != nil {
		return err
	}
	for _, v := range mailed {
		if _, err := s.Desk().RevokeLink(q.Context(), me, v.ID); err != nil {
			return err
		}
	}
	_, url, err := s.Desk().Issue(q.Context(), me, desk.LinkOrder{Account: me.Account, Letter: true, Again: true})
	if err != nil {
		return err
	}
	link, fresh := url[strings.LastIndexByte(url, '/')+1:], newSecret()
	started, err := s.Desk().Start(q.Context(), me, secret(link), secret(fresh))
	if err == nil {
		err = s.sessions.change(q.session, func(n *Session) {
			n.Link, n.Start, n.Begun, n.Until, n.Done = link, fresh, started.Activation.Begun, started.Until.Unix(), ""
		})
	}
	if err != nil {
		return err
	}
	return goTo(q, "/activate")
}
