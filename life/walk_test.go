package life

import (
	"slices"
	"testing"
	"time"

	"sekisho/token"
)

// doer brings a house to a stage and does one act there; it gives the stage after.
type doer func(h *house, from Stage) (Stage, *Refusal)

var standings = map[Stage]token.Standing{Pending: token.Pending, Active: token.Active, Suspended: token.Suspended, Revoked: token.Revoked}

// at puts taro's hold on a token to a stage.
func (h *house) at(id token.ID, from Stage) {
	if s, is := standings[from]; is {
		h.hold(taro, id, s)
	}
}

func holdAct(id token.ID, f func(*house) (Change, *Refusal)) doer {
	return func(h *house, from Stage) (Stage, *Refusal) {
		h.at(id, from)
		c, no := f(h)
		h.apply(c)
		return h.holder(taro).stage(id), no
	}
}

func userAct(stage func(*house) Stage, prepare func(*house, Stage), f func(*house) (Change, *Refusal)) doer {
	return func(h *house, from Stage) (Stage, *Refusal) {
		prepare(h, from)
		c, no := f(h)
		h.apply(c)
		return stage(h), no
	}
}

func tokenAct(f func(*house, token.ID) (Change, *Refusal)) doer {
	return func(h *house, from Stage) (Stage, *Refusal) {
		id := hard
		switch from {
		case None:
			id = 77
		case InUse:
			h.hold(taro, hard, token.Active)
		case Expired:
			h.token(hard).Expiry = h.a.Now.Unix()
		case Destroyed:
			h.token(hard).State = token.Destroyed
		}
		c, no := f(h, id)
		h.apply(c)
		if t := h.token(id); t != nil {
			return TokenStage(t.StateAt(h.a.Now)), no
		}
		return None, no
	}
}

// linkAt makes a link in a stage; a started one shows token fresh to session 1.
func (h *house) linkAt(from Stage) {
	if from == None {
		h.link.Account = taro
		return
	}
	h.link = Activation{ID: 5, Account: taro, Uses: 2, Starts: 5, Begun: 1, Until: h.a.Now.Add(time.Hour).Unix(), Sent: []int64{h.a.Now.Unix()}}
	switch from {
	case Started:
		t := complete(token.Token{ID: fresh})
		h.s.Tokens = append(h.s.Tokens, t)
		h.hold(taro, fresh, token.Pending)
		h.link.Token, h.link.Session, h.link.Since = fresh, HashLink([]byte("1")), h.a.Now.Unix()
	case UsedUp:
		h.link.Used = 2
	case Lapsed:
		h.link.Until = h.a.Now.Unix()
	case Revoked:
		h.link.Ended = true
	}
}

func linkAct(f func(*house) (Activation, Change, *Refusal)) doer {
	return func(h *house, from Stage) (Stage, *Refusal) {
		h.linkAt(from)
		v, c, no := f(h)
		h.apply(c)
		h.link = v
		return v.Stage(h.a.Now), no
	}
}

func requestAct(f func(*house) (Request, Change, *Refusal)) doer {
	return func(h *house, from Stage) (Stage, *Refusal) {
		h.requestAt(from)
		r, c, no := f(h)
		h.apply(c)
		return r.stage(), no
	}
}

func (h *house) requestAt(from Stage) {
	h.req = Request{Account: taro, Kind: AskReactivate}
	if from != None {
		h.req.Number, h.req.State, h.req.Made = ReferenceNumber(123), from, h.a.Now.Add(-8*day).Unix()
	}
	h.a.Rules.Request.Approve = []RequestKindName{AskReactivate}
}

func presenceAt(h *house, from Stage) {
	p := &h.holder(taro).Presence
	if from != Present {
		p.Gone = h.a.Now.Add(-31 * day).Unix()
	}
	p.Cleaned = from == Cleaned
}

func temporaryAt(h *house, from Stage) {
	if from == None {
		return
	}
	h.holder(taro).Temporary = Temporary{Until: h.a.Now.Add(time.Hour).Unix(), Most: 5, Live: [32]byte{1}}
	if from == Ended {
		h.holder(taro).Temporary.Until = h.a.Now.Unix()
	}
}

func firstAt(h *house, from Stage) {
	if from != None {
		h.holder(taro).First = FirstLogin{Hash: [32]byte{1}, Until: h.a.Now.Add(time.Hour).Unix(), Used: from == Ended}
	}
}

func pinAt(h *house, from Stage) {
	if from != None {
		h.holder(taro).PIN = PINs{Current: PINHash{Salt: [16]byte{1}}, Forced: from == Forced}
	}
}

// doers does every act that is one of its own.
var doers = map[Kind]map[Verb]doer{
	HoldKind: {
		Reserve:  holdAct(hard, func(h *house) (Change, *Refusal) { return h.a.Grant(h.s, Reserve, taro, hard, false) }),
		Assign:   holdAct(hard, func(h *house) (Change, *Refusal) { return h.a.Grant(h.s, Assign, taro, hard, false) }),
		Register: holdAct(hard, func(h *house) (Change, *Refusal) { return h.a.Register(h.s, taro, "10000010", h.shows(hard, 0)) }),
		Enrol: holdAct(fresh, func(h *house) (Change, *Refusal) {
			h.hold(taro, soft, token.Active)
			return h.a.Enrol(h.s, taro, complete(token.Token{ID: fresh}), nil, soft, h.shows(soft, 0))
		}),
		Confirm:    holdAct(soft, func(h *house) (Change, *Refusal) { return h.a.Confirm(h.s, taro, soft, h.shows(soft, 0)) }),
		Defer:      holdAct(hard, func(h *house) (Change, *Refusal) { return h.a.Defer(h.s, taro, hard) }),
		Suspend:    holdAct(soft, func(h *house) (Change, *Refusal) { return h.a.Suspend(h.s, taro, soft) }),
		ReportLost: holdAct(soft, func(h *house) (Change, *Refusal) { return h.a.ReportLost(h.s, taro, soft, false) }),
		Resume:     holdAct(soft, func(h *house) (Change, *Refusal) { return h.a.Resume(h.s, taro, soft, h.shows(soft, 0)) }),
		Revoke: holdAct(soft, func(h *house) (Change, *Refusal) {
			return h.a.Revoke(h.s, Revocation{Holds: []Chosen{{taro, soft}}})
		}),
		RevokeLost: holdAct(soft, func(h *house) (Change, *Refusal) { return h.a.RevokeLost(h.s, soft, WhyLost) }),
		Lapse: holdAct(soft, func(h *house) (Change, *Refusal) {
			if hold := h.holder(taro).Hold(soft); hold != nil {
				hold.Why, hold.Until = WhyLost, h.a.Now.Unix()
			}
			return h.a.Lapse(h.s, taro, soft)
		}),
		Undo: holdAct(soft, func(h *house) (Change, *Refusal) { return h.a.Undo(h.s, Chosen{taro, soft}) }),
	},
	TokenKind: {
		Extend: tokenAct(func(h *house, id token.ID) (Change, *Refusal) {
			return h.a.Extend(h.s, []token.ID{id}, max(h.a.Now.Unix(), h.s.Tokens[0].Expiry)+3600)
		}),
		Retire: tokenAct(func(h *house, id token.ID) (Change, *Refusal) { return h.a.Retire(h.s, id) }),
		Erase:  tokenAct(func(h *house, id token.ID) (Change, *Refusal) { return h.a.EraseSeed(h.s, id) }),
		Test: tokenAct(func(h *house, id token.ID) (Change, *Refusal) {
			_, c, no := h.a.Test(h.s, id, h.shows(hard, 0))
			return c, no
		}),
		Resync: tokenAct(func(h *house, id token.ID) (Change, *Refusal) {
			return h.a.Resync(h.s, id, h.shows(hard, 20), h.shows(hard, 21))
		}),
		ResetDrift: tokenAct(func(h *house, id token.ID) (Change, *Refusal) { return h.a.ResetDrift(h.s, id) }),
	},
	ActivationKind: {
		Start: linkAct(func(h *house) (Activation, Change, *Refusal) {
			return h.a.Start(h.s, h.link, HashLink([]byte("2")), complete(token.Token{ID: soft3}))
		}),
		Confirm: linkAct(func(h *house) (Activation, Change, *Refusal) {
			return h.a.Finish(h.s, h.link, HashLink([]byte("1")), h.shows(fresh, 0))
		}),
		Resend: linkAct(func(h *house) (Activation, Change, *Refusal) { return h.a.Resend(h.s, h.link, [32]byte{9}) }),
		Revoke: linkAct(func(h *house) (Activation, Change, *Refusal) { return h.a.RevokeLink(h.s, h.link) }),
	},
	RequestKind: {
		Approve:  requestAct(func(h *house) (Request, Change, *Refusal) { return h.a.Approve(h.s, h.req) }),
		Refuse:   requestAct(func(h *house) (Request, Change, *Refusal) { return h.a.Refuse(h.s, h.req, "no") }),
		Withdraw: requestAct(func(h *house) (Request, Change, *Refusal) { return h.a.Withdraw(h.s, h.req) }),
		Lapse:    requestAct(func(h *house) (Request, Change, *Refusal) { return h.a.LapseRequest(h.s, h.req) }),
	},
	UserKind: {
		GoneVerb: userAct((*house).presence, presenceAt, func(h *house) (Change, *Refusal) { return h.a.Presence(h.s, GoneVerb, taro, Unknown) }),
		Return:   userAct((*house).presence, presenceAt, func(h *house) (Change, *Refusal) { return h.a.Presence(h.s, Return, taro, Known) }),
		Clean:    userAct((*house).presence, presenceAt, func(h *house) (Change, *Refusal) { return h.a.Presence(h.s, Clean, taro, Unknown) }),
	},
	CooldownKind: {
		Waive: userAct(func(h *house) Stage {
			if h.holder(taro).NotBefore > h.a.Now.Unix() {
				return Cooldown
			}
			return NothingToDo
		}, func(h *house, from Stage) {
			if from == Cooldown {
				h.holder(taro).NotBefore = h.a.Now.Unix() + 1
			}
		}, func(h *house) (Change, *Refusal) { return h.a.Waive(h.s, taro) }),
	},
	TemporaryKind: {
		Issue: userAct((*house).temporary, temporaryAt, func(h *house) (Change, *Refusal) { return h.a.GiveTemporary(h.s, taro, 0) }),
		Reset: userAct((*house).temporary, temporaryAt, func(h *house) (Change, *Refusal) {
			h.holder(taro).Recovery.Hash = [32]byte{7}
			h.a.Account = taro
			return h.a.Recover(h.s, [32]byte{7}, [32]byte{8})
		}),
		Show: userAct((*house).temporary, temporaryAt, func(h *house) (Change, *Refusal) {
			h.a.Account = taro
			return h.a.ShowTemporary(h.s, [32]byte{2})
		}),
		Use: userAct((*house).temporary, temporaryAt, func(h *house) (Change, *Refusal) { return h.a.UseTemporary(h.s, taro, [32]byte{1}) }),
		End: userAct((*house).temporary, temporaryAt, func(h *house) (Change, *Refusal) { return h.a.EndTemporary(h.s, taro) }),
	},
	FirstLoginKind: {
		Issue: userAct((*house).first, firstAt, func(h *house) (Change, *Refusal) {
			return h.a.GiveFirstLogin(h.s, taro, [32]byte{1}, "limited", 0)
		}),
		Use: userAct((*house).first, firstAt, func(h *house) (Change, *Refusal) {
			_, c, no := h.a.UseFirstLogin(h.s, taro, [32]byte{1})
			return c, no
		}),
	},
	PINKind: {
		Choose: userAct((*house).pin, pinAt, func(h *house) (Change, *Refusal) {
			h.a.Account = taro
			return h.a.ChoosePIN(h.s, Typed("r7k2p"), PINHash{Salt: [16]byte{9}}, func(PINHash) bool { return false })
		}),
		ForceVerb: userAct((*house).pin, pinAt, func(h *house) (Change, *Refusal) { return h.a.ForcePIN(h.s, taro, 0) }),
		Reset:     userAct((*house).pin, pinAt, func(h *house) (Change, *Refusal) { return h.a.ResetPIN(h.s, taro) }),
	},
}

func (h *house) presence() Stage  { return h.holder(taro).Presence.stage() }
func (h *house) temporary() Stage { return h.holder(taro).Temporary.stage(h.a.Now) }
func (h *house) first() Stage     { return h.holder(taro).First.stage(h.a.Now) }
func (h *house) pin() Stage       { return h.holder(taro).PIN.stage() }

// Acts that make a new thing start from nothing and have no stage to walk; their rows are walked by role.
var makers = map[Kind]map[Verb]func(*house) *Refusal{
	TokenKind: {Import: func(h *house) *Refusal { _, no := h.a.Import(complete(token.Token{ID: 50}), nil); return no }},
	ActivationKind: {Issue: func(h *house) *Refusal {
		_, _, no := h.a.Issue(h.s, taro, 6, [32]byte{1}, false, nil)
		return no
	}},
	RequestKind: {Ask: func(h *house) *Refusal {
		_, _, no := h.a.Apply(h.s, nil, Request{Number: ReferenceNumber(1), Account: taro, Kind: AskAdd})
		return no
	}},
}

// Every act, from every stage, by everybody: what the table allows is done and ends where the table says, and everything
// else is refused with the code of the role or of the stage, and changes nothing.
func TestTableWalk(t *testing.T) {
	done, not := 0, 0
	for i := range Table {
		r := &Table[i]
		switch {
		case r.Clock || r.Inner:
			continue
		case makers[r.Kind][r.Verb] != nil:
			for _, by := range Everybody {
				no := makers[r.Kind][r.Verb](newHouse().as(by))
				if r.By&by != 0 && no != nil {
					t.Errorf("%s %s by %s: %s", r.Kind, r.Verb, by, no.Code)
				} else if r.By&by == 0 {
					refused(t, string(r.Kind)+" "+string(r.Verb)+" by "+by.String(), no, NotAllowed, time.Time{})
				}
			}
			continue
		case doers[r.Kind][r.Verb] == nil:
			t.Errorf("nothing does %s %s", r.Kind, r.Verb)
			continue
		}
		for _, from := range Stages[r.Kind] {
			for _, by := range Everybody {
				h := newHouse().as(by)
				to, no := doers[r.Kind][r.Verb](h, from)
				what := string(r.Kind) + " " + string(r.Verb) + " from " + string(from) + " by " + by.String()
				switch {
				case r.By&by == 0:
					refused(t, what, no, NotAllowed, time.Time{})
				case !slices.Contains(r.From, from):
					refused(t, what, no, stands[r.Kind][from], time.Time{})
				case no != nil:
					t.Errorf("%s: %s: %v", what, no.Code, no)
				case !slices.Contains(r.To, to):
					t.Errorf("%s: ends at %s, want %v", what, to, r.To)
				default:
					done++
					continue
				}
				not++
			}
		}
	}
	if done < 130 || not < 500 {
		t.Errorf("%d steps were done and %d refused: the walk misses something", done, not)
	}
}

// The table itself: stages exist, each act has one row, and every code has its sentence in both languages.
func TestTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Table {
		key := string(r.Kind) + " " + string(r.Verb)
		if seen[key] {
			t.Errorf("two rows for %s", key)
		}
		seen[key] = true
		for _, s := range append(slices.Clone(r.From), r.To...) {
			if !slices.Contains(Stages[r.Kind], s) {
				t.Errorf("%s: no stage %q", key, s)
			}
		}
		if r.By == 0 || r.IDs == "" && !r.Inner || len(r.From) == 0 || len(r.To) == 0 {
			t.Errorf("%s: a field is empty", key)
		}
		for _, code := range r.Refused {
			if sentences[code].en == "" {
				t.Errorf("%s: no sentence for %s", key, code)
			}
		}
	}
	for kind, stages := range Stages {
		for _, s := range stages {
			if sentences[stands[kind][s]].en == "" {
				t.Errorf("%s %s: no code or no sentence", kind, s)
			}
		}
	}
	for code, text := range sentences {
		if text.en == "" || text.ja == "" {
			t.Errorf("%s: a sentence is missing", code)
		}
	}
}
