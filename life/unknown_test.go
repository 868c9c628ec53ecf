package life

import (
	"testing"
	"time"

	"sekisho/token"
)

// What an act is about may be gone: no such user, no such token, or somebody else's. To a person nobody else exists.
func TestUnknown(t *testing.T) {
	const nobody, nothingThere = AccountID(77), token.ID(77)
	type one struct {
		name string
		by   Who
		user func(h *house, u AccountID) *Refusal // nil: the act names no user
		tok  func(h *house, id token.ID) *Refusal // nil: it names no token
		code Code                                 // for the token
	}
	for _, e := range []one{
		{"grant", ByAdmin, func(h *house, u AccountID) *Refusal { return nothing(h.a.Grant(h.s, Reserve, u, hard, false)) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.Grant(h.s, Reserve, taro, id, false)) }, NoSuchToken},
		{"register", ByPerson, func(h *house, u AccountID) *Refusal {
			return nothing(h.a.Register(h.s, u, "10000010", h.shows(hard, 0)))
		},
			func(h *house, _ token.ID) *Refusal { return nothing(h.a.Register(h.s, taro, "77", h.shows(hard, 0))) }, NotFound},
		{"register nothing", ByAdmin, nil, func(h *house, _ token.ID) *Refusal { return nothing(h.a.Register(h.s, taro, "", h.shows(hard, 0))) }, NotFound},
		{"enrol", ByAdmin, func(h *house, u AccountID) *Refusal {
			return nothing(h.a.Enrol(h.s, u, complete(token.Token{ID: fresh}), nil, 0, nil))
		}, nil, ""},
		{"confirm", ByPerson, func(h *house, u AccountID) *Refusal { return nothing(h.a.Confirm(h.s, u, hard, h.shows(hard, 0))) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.Confirm(h.s, taro, id, h.shows(hard, 0))) }, NoSuchToken},
		{"pair", ByAdmin, func(h *house, u AccountID) *Refusal { return nothing(h.a.Pair(h.s, u, hard, nil)) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.Pair(h.s, taro, id, nil)) }, NotAssigned},
		{"pair with nothing", ByAdmin, nil, func(h *house, id token.ID) *Refusal {
			h.hold(taro, hard, token.Pending)
			return nothing(h.a.Pair(h.s, taro, hard, []token.ID{id}))
		}, NotAssigned},
		{"pair with itself", ByAdmin, nil, func(h *house, _ token.ID) *Refusal {
			h.hold(taro, hard, token.Pending)
			return nothing(h.a.Pair(h.s, taro, hard, []token.ID{hard}))
		}, NotAssigned},
		{"defer", ByPerson, func(h *house, u AccountID) *Refusal { return nothing(h.a.Defer(h.s, u, hard)) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.Defer(h.s, taro, id)) }, NotAssigned},
		{"suspend", ByPerson, func(h *house, u AccountID) *Refusal { return nothing(h.a.Suspend(h.s, u, soft)) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.Suspend(h.s, taro, id)) }, NotAssigned},
		{"lost", ByPerson, func(h *house, u AccountID) *Refusal { return nothing(h.a.ReportLost(h.s, u, soft, false)) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.ReportLost(h.s, taro, id, false)) }, NotAssigned},
		{"resume", ByPerson, func(h *house, u AccountID) *Refusal { return nothing(h.a.Resume(h.s, u, soft, nil)) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.Resume(h.s, taro, id, nil)) }, NotAssigned},
		{"lapse", BySystem, func(h *house, u AccountID) *Refusal { return nothing(h.a.Lapse(h.s, u, soft)) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.Lapse(h.s, taro, id)) }, NotAssigned},
		{"revoke", ByPerson, func(h *house, u AccountID) *Refusal { return h.revoke(u, soft) },
			func(h *house, id token.ID) *Refusal { return h.revoke(taro, id) }, NotAssigned},
		{"revoke nothing", ByAdmin, nil, func(h *house, _ token.ID) *Refusal { return nothing(h.a.Revoke(h.s, Revocation{})) }, NotFound},
		{"revoke lost", ByAdmin, nil, func(h *house, id token.ID) *Refusal { return nothing(h.a.RevokeLost(h.s, id, WhyLost)) }, NotAssigned},
		{"self-reset", ByPerson, func(h *house, u AccountID) *Refusal { h.a.Account = u; return nothing(h.a.SelfReset(h.s, nil)) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.SelfReset(h.s, []token.ID{id})) }, NotAssigned},
		{"waive", ByMaster, func(h *house, u AccountID) *Refusal { return nothing(h.a.Waive(h.s, u)) }, nil, ""},
		{"undo", ByAdmin, func(h *house, u AccountID) *Refusal { return nothing(h.a.Undo(h.s, Chosen{u, soft})) },
			func(h *house, id token.ID) *Refusal { return nothing(h.a.Undo(h.s, Chosen{taro, id})) }, NotAssigned},
		{"issue", ByPerson, func(h *house, u AccountID) *Refusal { return third(h.a.Issue(h.s, u, 6, [32]byte{1}, false, nil)) }, nil, ""},
		{"start", ByPerson, func(h *house, u AccountID) *Refusal { h.linkAt(Open); h.link.Account = u; return h.start() }, nil, ""},
		{"finish", ByPerson, func(h *house, u AccountID) *Refusal { h.linkAt(Started); h.link.Account = u; return h.finish("1", nil) },
			func(h *house, id token.ID) *Refusal { h.linkAt(Started); h.link.Token = id; return h.finish("1", nil) }, NoSuchToken},
		{"resend", ByPerson, func(h *house, u AccountID) *Refusal {
			h.linkAt(Open)
			h.link.Account = u
			return third(h.a.Resend(h.s, h.link, [32]byte{1}))
		}, nil, ""},
		{"revoke link", ByPerson, func(h *house, u AccountID) *Refusal {
			h.linkAt(Open)
			h.link.Account = u
			return third(h.a.RevokeLink(h.s, h.link))
		}, nil, ""},
		{"apply", ByPerson, func(h *house, u AccountID) *Refusal {
			return third(h.a.Apply(h.s, nil, Request{Number: "1", Account: u, Kind: AskAdd}))
		}, func(h *house, id token.ID) *Refusal {
			return third(h.a.Apply(h.s, nil, Request{Number: "1", Account: taro, Kind: AskAdd, Tokens: []token.ID{id}}))
		}, NotAssigned},
		{"withdraw", ByPerson, func(h *house, u AccountID) *Refusal {
			h.requestAt(Open)
			h.req.Account = u
			return third(h.a.Withdraw(h.s, h.req))
		}, nil, ""},
		{"end ticked", ByAdmin, func(h *house, u AccountID) *Refusal {
			h.requestAt(Approved)
			h.req.Account = u
			return nothing(h.a.EndTicked(h.s, h.req))
		}, nil, ""},
		{"temporary", ByAdmin, func(h *house, u AccountID) *Refusal { return nothing(h.a.GiveTemporary(h.s, u, 0)) }, nil, ""},
		{"recover", ByPerson, func(h *house, u AccountID) *Refusal {
			h.a.Account = u
			return nothing(h.a.Recover(h.s, [32]byte{1}, [32]byte{1}))
		}, nil, ""},
		{"set recovery", ByPerson, func(h *house, u AccountID) *Refusal {
			h.a.Account = u
			return nothing(h.a.SetRecovery(h.s, [32]byte{1}))
		}, nil, ""},
		{"show", ByPerson, func(h *house, u AccountID) *Refusal {
			h.a.Account = u
			return nothing(h.a.ShowTemporary(h.s, [32]byte{1}))
		}, nil, ""},
		{"use", ByLogin, func(h *house, u AccountID) *Refusal { return nothing(h.a.UseTemporary(h.s, u, [32]byte{1})) }, nil, ""},
		{"end temporary", ByPerson, func(h *house, u AccountID) *Refusal {
			temporaryAt(h, Running)
			return nothing(h.a.EndTemporary(h.s, u))
		}, nil, ""},
		{"first login", ByAdmin, func(h *house, u AccountID) *Refusal { return nothing(h.a.GiveFirstLogin(h.s, u, [32]byte{1}, "", 0)) }, nil, ""},
		{"use first login", ByLogin, func(h *house, u AccountID) *Refusal { return third(h.a.UseFirstLogin(h.s, u, [32]byte{1})) }, nil, ""},
		{"test", ByPerson, nil, func(h *house, id token.ID) *Refusal { return third(h.a.Test(h.s, id, Typed("123456"))) }, NoSuchToken},
		{"resync", ByPerson, nil, func(h *house, id token.ID) *Refusal { return nothing(h.a.Resync(h.s, id, nil, nil)) }, NoSuchToken},
		{"reset drift", ByAdmin, nil, func(h *house, id token.ID) *Refusal { return nothing(h.a.ResetDrift(h.s, id)) }, NoSuchToken},
		{"self-unlock", ByPerson, func(h *house, u AccountID) *Refusal {
			h.a.Account = u
			return nothing(h.a.SelfUnlock(h.s, Locks{Rows: true}, soft, nil, nil))
		}, func(h *house, id token.ID) *Refusal {
			return nothing(h.a.SelfUnlock(h.s, Locks{Rows: true}, id, nil, nil))
		}, NotFound},
		{"retire", ByAdmin, nil, func(h *house, id token.ID) *Refusal { return nothing(h.a.Retire(h.s, id)) }, NoSuchToken},
		{"erase", BySystem, nil, func(h *house, id token.ID) *Refusal { return nothing(h.a.EraseSeed(h.s, id)) }, NoSuchToken},
		{"extend", ByMaster, nil, func(h *house, id token.ID) *Refusal { return nothing(h.a.Extend(h.s, []token.ID{id}, 1)) }, NoSuchToken},
		{"extend nothing", ByMaster, nil, func(h *house, _ token.ID) *Refusal { return nothing(h.a.Extend(h.s, nil, 1)) }, NotFound},
		{"choose", ByPerson, func(h *house, u AccountID) *Refusal { h.a.Account = u; return h.choose("r7k2p") }, nil, ""},
		{"force", ByAdmin, func(h *house, u AccountID) *Refusal { return nothing(h.a.ForcePIN(h.s, u, 0)) }, nil, ""},
		{"reset PIN", ByAdmin, func(h *house, u AccountID) *Refusal { return nothing(h.a.ResetPIN(h.s, u)) }, nil, ""},
		{"presence", BySystem, func(h *house, u AccountID) *Refusal { return nothing(h.a.Presence(h.s, GoneVerb, u, Unknown)) }, nil, ""},
	} {
		if e.user != nil {
			refused(t, e.name+" of nobody", e.user(newHouse().as(e.by), nobody), NotFound, time.Time{})
		}
		if e.user != nil && e.by == ByPerson {
			// hanako has all that the act needs; taro asks.
			h := newHouse().as(e.by)
			h.hold(hanako, soft, token.Active)
			h.holder(hanako).Recovery.Hash = [32]byte{1}
			if no := e.user(h, hanako); h.a.Account == taro {
				refused(t, e.name+" of somebody else", no, NotFound, time.Time{})
			}
		}
		if e.tok != nil {
			h := newHouse().as(e.by)
			if e.code == NoSuchToken && e.name == "confirm" { // a hold whose token is not in the state
				h.holder(taro).Holds = []Hold{{Assignment: token.Assignment{Token: nothingThere, Standing: token.Pending}}}
			}
			if e.name == "finish" {
				h.holder(taro).Holds = []Hold{{Assignment: token.Assignment{Token: nothingThere, Standing: token.Pending}}}
			}
			refused(t, e.name+" of no token", e.tok(h, nothingThere), e.code, time.Time{})
		}
	}
	h := newHouse()
	refused(t, "a verb that gives nothing", nothing(h.a.Grant(h.s, Revoke, taro, hard, false)), NotAllowed, time.Time{})
	for _, stand := range []token.Standing{token.Suspended, token.Revoked} { // their tokens are not in the state
		h := newHouse().as(ByAdmin)
		h.holder(taro).Holds = []Hold{{Assignment: token.Assignment{Token: nothingThere, Standing: stand, Since: noon.Unix()}, Before: token.Active}}
		if stand == token.Suspended {
			refused(t, "resume without its token", nothing(h.a.Resume(h.s, taro, nothingThere, nil)), NoSuchToken, time.Time{})
		} else {
			refused(t, "undo without its token", nothing(h.a.Undo(h.s, Chosen{taro, nothingThere})), NoSuchToken, time.Time{})
		}
	}
	// Two actors at once are nobody.
	h = newHouse()
	h.a.By = ByAdmin | ByMaster
	if no := h.grant(Reserve); no == nil || no.Code != NotAllowed {
		t.Errorf("two roles at once: %v", no)
	}
}
