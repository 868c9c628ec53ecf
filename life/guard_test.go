package life

import (
	"bytes"
	"math/bits"
	"slices"
	"testing"
	"time"

	"sekisho/token"
)

// guard is one thing that stands in the way of an act: set brings a house to where the act of the table's walk is done, and
// then spoils one thing. Without the guard in the rules the walk's act goes through, so the test fails.
type guard struct {
	kind Kind
	verb Verb
	code Code
	by   Who
	do   func(h *house) *Refusal
	from time.Time
}

func nothing[T any](c T, no *Refusal) *Refusal { return no }

func third[A, B any](_ A, _ B, no *Refusal) *Refusal { return no }

func (h *house) grant(verb Verb) *Refusal { return nothing(h.a.Grant(h.s, verb, taro, hard, false)) }

func (h *house) register(id token.ID, code Typed) *Refusal {
	return nothing(h.a.Register(h.s, taro, h.token(id).Serial, code))
}

func (h *house) enrol() *Refusal {
	return nothing(h.a.Enrol(h.s, taro, complete(token.Token{ID: fresh}), nil, soft, h.shows(soft, 0)))
}

func (h *house) confirm() *Refusal {
	h.hold(taro, soft, token.Pending)
	return nothing(h.a.Confirm(h.s, taro, soft, h.shows(soft, 0)))
}

func (h *house) resume() *Refusal {
	return nothing(h.a.Resume(h.s, taro, soft, h.shows(soft, 0)))
}

func (h *house) revoke(who AccountID, id token.ID) *Refusal {
	return nothing(h.a.Revoke(h.s, Revocation{Holds: []Chosen{{who, id}}}))
}

func (h *house) undo() *Refusal { return nothing(h.a.Undo(h.s, Chosen{taro, soft})) }

func (h *house) start() *Refusal {
	return third(h.a.Start(h.s, h.link, HashLink([]byte("2")), complete(token.Token{ID: soft3})))
}

func (h *house) finish(session string, code Typed) *Refusal {
	return third(h.a.Finish(h.s, h.link, HashLink([]byte(session)), code))
}

func (h *house) resync(a, b Typed) *Refusal { return nothing(h.a.Resync(h.s, hard, a, b)) }

func (h *house) test(code Typed) *Refusal { return third(h.a.Test(h.s, hard, code)) }

// used says that a token's code of now was used.
func (h *house) used(id token.ID) { h.token(id).Last = h.token(id).StepAt(h.a.Now) }

// many gives taro so many other tokens in service.
func (h *house) many(n int, form token.Form) {
	for i := range n {
		id := token.ID(1000 + i)
		h.s.Tokens = append(h.s.Tokens, complete(token.Token{ID: id, Form: form}))
		h.hold(taro, id, token.Active)
	}
}

// lastOf makes who a master and nobody else.
func (h *house) lastOf(who AccountID) {
	h.s.MastersElsewhere = 0
	h.holder(boss).Role = 0
	h.holder(who).Role = ByMaster
}

func (h *house) fill(list *[]int64, n int) {
	for i := range n {
		*list = append(*list, h.a.Now.Unix()-int64(n-i))
	}
}

// helpDesk acts on an operator.
func (h *house) helpDesk() *house {
	h.holder(taro).Role = ByAdmin
	return h.as(ByHelpDesk)
}

// nextStep is when a 30-second token shows the next code.
var nextStep = time.Date(2026, 11, 28, 12, 0, 30, 0, noon.Location())

func guards() []guard {
	old := noon.Add(-time.Hour)
	g := []guard{
		{HoldKind, Reserve, TokenInUse, ByAdmin, func(h *house) *Refusal { h.hold(hanako, hard, token.Active); return h.grant(Reserve) }, time.Time{}},
		{HoldKind, Reserve, TokenExpired, ByAdmin, func(h *house) *Refusal { h.token(hard).Expiry = noon.Unix(); return h.grant(Reserve) }, time.Time{}},
		{HoldKind, Reserve, TokenGone, ByAdmin, func(h *house) *Refusal { h.token(hard).State = token.Destroyed; return h.grant(Reserve) }, time.Time{}},
		{HoldKind, Reserve, TooManyTokens, ByAdmin, func(h *house) *Refusal { h.many(MostTokens, token.Hardware); return h.grant(Reserve) }, time.Time{}},
		{HoldKind, Assign, TokenInUse, ByAdmin, func(h *house) *Refusal { h.s.Elsewhere[hard] = 1; return h.grant(Assign) }, time.Time{}},
		{HoldKind, Assign, TokenExpired, ByAdmin, func(h *house) *Refusal { h.token(hard).Expiry = noon.Unix(); return h.grant(Assign) }, time.Time{}},
		{HoldKind, Assign, TokenGone, ByAdmin, func(h *house) *Refusal { h.token(hard).State = token.Destroyed; return h.grant(Assign) }, time.Time{}},
		{HoldKind, Assign, TooManyTokens, ByAdmin, func(h *house) *Refusal { h.many(MostTokens, token.Hardware); return h.grant(Assign) }, time.Time{}},
		{HoldKind, Assign, Cooling, ByAdmin, func(h *house) *Refusal {
			h.holder(taro).NotBefore = noon.Unix() + 1
			return h.grant(Assign)
		}, noon.Add(time.Second)},

		{HoldKind, Register, NotFound, ByPerson, func(h *house) *Refusal { return h.register(spare, h.shows(spare, 0)) }, time.Time{}},
		{HoldKind, Register, HardwareOnly, ByAdmin, func(h *house) *Refusal {
			h.token(soft).Serial = "77"
			return h.register(soft, h.shows(soft, 0))
		}, time.Time{}},
		{HoldKind, Register, TokenInUse, ByPerson, func(h *house) *Refusal {
			h.hold(hanako, hard, token.Active)
			h.a.Rules.Sharing = false
			return h.register(hard, h.shows(hard, 0))
		}, time.Time{}},
		{HoldKind, Register, TokenExpired, ByPerson, func(h *house) *Refusal {
			h.token(hard).Expiry = noon.Unix()
			return h.register(hard, h.shows(hard, 0))
		}, time.Time{}},
		{HoldKind, Register, TokenGone, ByPerson, func(h *house) *Refusal {
			h.token(hard).State = token.Destroyed
			return h.register(hard, h.shows(hard, 0))
		}, time.Time{}},
		{HoldKind, Register, NotStarted, ByPerson, func(h *house) *Refusal {
			h.token(hard).Start = noon.Unix() + 60
			return h.register(hard, h.shows(hard, 0))
		}, noon.Add(time.Minute)},
		{HoldKind, Register, Cooling, ByPerson, func(h *house) *Refusal {
			h.record(hard).NotBefore = noon.Unix() + 1800
			return h.register(hard, h.shows(hard, 0))
		}, noon.Add(30 * time.Minute)},
		{HoldKind, Register, TooManyTokens, ByPerson, func(h *house) *Refusal {
			h.many(MostTokens, token.Hardware)
			return h.register(hard, h.shows(hard, 0))
		}, time.Time{}},
		{HoldKind, Register, TriesUsed, ByPerson, func(h *house) *Refusal {
			h.fill(&h.record(hard).First, 5)
			return h.register(hard, h.shows(hard, 0))
		}, noon.Add(day - 5*time.Second)},
		{HoldKind, Register, CodeForm, ByPerson, func(h *house) *Refusal { return h.register(hard, h.shows(hard, 0)[1:]) }, time.Time{}},
		{HoldKind, Register, WrongCode, ByPerson, func(h *house) *Refusal { return h.register(hard, h.wrong(hard)) }, time.Time{}},
		{HoldKind, Register, AlreadyUsed, ByPerson, func(h *house) *Refusal { h.used(hard); return h.register(hard, h.shows(hard, 0)) }, nextStep},

		{HoldKind, Enrol, OnOperator, ByHelpDesk, func(h *house) *Refusal { return h.helpDesk().enrol() }, time.Time{}},
		{HoldKind, Enrol, ProofNeeded, ByPerson, func(h *house) *Refusal { return h.enrol() }, time.Time{}},
		{HoldKind, Enrol, ProofNeeded, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			h.a.Proven = false
			return h.enrol()
		}, time.Time{}},
		{HoldKind, Enrol, ProofNeeded, ByPerson, func(h *house) *Refusal { h.hold(taro, soft, token.Suspended); return h.enrol() }, time.Time{}},
		{HoldKind, Enrol, NotAssigned, ByAdmin, func(h *house) *Refusal {
			return nothing(h.a.Enrol(h.s, taro, complete(token.Token{ID: fresh}), []token.ID{own}, 0, nil))
		}, time.Time{}},
		{HoldKind, Enrol, DeviceLimit, ByAdmin, func(h *house) *Refusal { h.many(2, token.Software); return h.enrol() }, time.Time{}},
		{HoldKind, Enrol, TooManyTokens, ByAdmin, func(h *house) *Refusal { h.many(MostTokens, token.Hardware); return h.enrol() }, time.Time{}},
		{HoldKind, Enrol, Cooling, ByAdmin, func(h *house) *Refusal { h.holder(taro).NotBefore = noon.Unix() + 9; return h.enrol() }, noon.Add(9 * time.Second)},
		{HoldKind, Enrol, TriesUsed, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			h.fill(&h.record(soft).First, 5)
			return h.enrol()
		}, noon.Add(day - 5*time.Second)},
		{HoldKind, Enrol, CodeForm, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			return nothing(h.a.Enrol(h.s, taro, complete(token.Token{ID: fresh}), nil, soft, Typed("12345x")))
		}, time.Time{}},
		{HoldKind, Enrol, WrongCode, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			return nothing(h.a.Enrol(h.s, taro, complete(token.Token{ID: fresh}), nil, soft, h.wrong(soft)))
		}, time.Time{}},
		{HoldKind, Enrol, AlreadyUsed, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			h.used(soft)
			return h.enrol()
		}, nextStep},

		{HoldKind, Confirm, OnOperator, ByHelpDesk, func(h *house) *Refusal { return h.helpDesk().confirm() }, time.Time{}},
		{HoldKind, Confirm, TokenExpired, ByPerson, func(h *house) *Refusal { h.token(soft).Expiry = noon.Unix(); return h.confirm() }, time.Time{}},
		{HoldKind, Confirm, NotStarted, ByPerson, func(h *house) *Refusal { h.token(soft).Start = noon.Unix() + 1; return h.confirm() }, noon.Add(time.Second)},
		{HoldKind, Confirm, Cooling, ByPerson, func(h *house) *Refusal { h.holder(taro).NotBefore = noon.Unix() + 1; return h.confirm() }, noon.Add(time.Second)},
		{HoldKind, Confirm, DeviceLimit, ByPerson, func(h *house) *Refusal { h.many(2, token.Software); return h.confirm() }, time.Time{}},
		{HoldKind, Confirm, TriesUsed, ByPerson, func(h *house) *Refusal { h.fill(&h.record(soft).First, 5); return h.confirm() }, noon.Add(day - 5*time.Second)},
		{HoldKind, Confirm, CodeForm, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Pending)
			return nothing(h.a.Confirm(h.s, taro, soft, Typed("")))
		}, time.Time{}},
		{HoldKind, Confirm, WrongCode, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Pending)
			return nothing(h.a.Confirm(h.s, taro, soft, h.wrong(soft)))
		}, time.Time{}},
		{HoldKind, Confirm, AlreadyUsed, ByPerson, func(h *house) *Refusal { h.used(soft); return h.confirm() }, nextStep},
		{HoldKind, Confirm, ClockOff, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Pending)
			return nothing(h.a.Confirm(h.s, taro, soft, h.shows(soft, 2)))
		}, time.Time{}},

		{HoldKind, Defer, DeferUsed, ByPerson, func(h *house) *Refusal {
			h.hold(taro, hard, token.Pending)
			h.holder(taro).Deferred = Deferral{3, noon.Unix() - 5}
			return nothing(h.a.Defer(h.s, taro, hard))
		}, time.Time{}},
		{HoldKind, Defer, DeferUsed, ByPerson, func(h *house) *Refusal {
			h.hold(taro, hard, token.Pending)
			h.holder(taro).Deferred = Deferral{1, noon.Add(-14 * day).Unix()}
			return nothing(h.a.Defer(h.s, taro, hard))
		}, time.Time{}},
		{HoldKind, Suspend, OnOperator, ByHelpDesk, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			return nothing(h.helpDesk().a.Suspend(h.s, taro, soft))
		}, time.Time{}},
		{HoldKind, Suspend, LastMaster, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			h.lastOf(taro)
			return nothing(h.a.Suspend(h.s, taro, soft))
		}, time.Time{}},
		{HoldKind, ReportLost, OnOperator, ByHelpDesk, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			return nothing(h.helpDesk().a.ReportLost(h.s, taro, soft, true))
		}, time.Time{}},
		{HoldKind, ReportLost, LastMaster, ByMaster, func(h *house) *Refusal {
			h.hold(taro, soft, token.Active)
			h.lastOf(taro)
			return nothing(h.a.ReportLost(h.s, taro, soft, false))
		}, time.Time{}},

		{HoldKind, Resume, ByOperator, ByPerson, func(h *house) *Refusal { h.hold(taro, soft, token.Suspended).Why = WhyOperator; return h.resume() }, time.Time{}},
		{HoldKind, Resume, TooLate, ByPerson, func(h *house) *Refusal {
			hold := h.hold(taro, soft, token.Suspended)
			hold.Why, hold.Until = WhyLost, noon.Unix()
			return h.resume()
		}, time.Time{}},
		{HoldKind, Resume, ProofNeeded, ByPerson, func(h *house) *Refusal { h.hold(taro, soft, token.Suspended); h.a.Proven = false; return h.resume() }, time.Time{}},
		{HoldKind, Resume, TokenExpired, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Suspended)
			h.token(soft).Expiry = noon.Unix()
			return h.resume()
		}, time.Time{}},
		{HoldKind, Resume, DeviceLimit, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Suspended)
			h.many(2, token.Software)
			return h.resume()
		}, time.Time{}},
		{HoldKind, Resume, TriesUsed, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Suspended)
			h.fill(&h.record(soft).First, 5)
			return h.resume()
		}, noon.Add(day - 5*time.Second)},
		{HoldKind, Resume, CodeForm, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Suspended)
			return nothing(h.a.Resume(h.s, taro, soft, nil))
		}, time.Time{}},
		{HoldKind, Resume, WrongCode, ByPerson, func(h *house) *Refusal {
			h.hold(taro, soft, token.Suspended)
			return nothing(h.a.Resume(h.s, taro, soft, h.wrong(soft)))
		}, time.Time{}},
		{HoldKind, Resume, AlreadyUsed, ByPerson, func(h *house) *Refusal { h.hold(taro, soft, token.Suspended); h.used(soft); return h.resume() }, nextStep},

		{HoldKind, Revoke, SoftwareOnly, ByPerson, func(h *house) *Refusal { h.hold(taro, hard, token.Active); return h.revoke(taro, hard) }, time.Time{}},
		{HoldKind, Revoke, OtherExpiry, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, hard, token.Active)
			return nothing(h.a.Revoke(h.s, Revocation{Holds: []Chosen{{taro, hard}}, Expiry: 1}))
		}, time.Time{}},
		{HoldKind, Revoke, AskFirst, ByAdmin, func(h *house) *Refusal {
			h.a.Rules.AskAbove = 1
			h.hold(taro, hard, token.Active)
			h.hold(hanako, hard, token.Active)
			return nothing(h.a.Revoke(h.s, Revocation{Holds: AllHolders(h.s, hard), Confirmed: 3}))
		}, time.Time{}},
		{HoldKind, Revoke, LastMaster, ByMaster, func(h *house) *Refusal { h.s.MastersElsewhere = 0; return h.revoke(boss, own) }, time.Time{}},
		{HoldKind, Revoke, ResetLimit, ByPerson, func(h *house) *Refusal {
			h.fill(&h.holder(taro).Resets, 2)
			return nothing(h.a.SelfReset(h.s, nil))
		}, noon.Add(day - 2*time.Second)},
		{HoldKind, Revoke, ResetLimit, ByPerson, func(h *house) *Refusal {
			for i := range int64(5) {
				h.holder(taro).Resets = append(h.holder(taro).Resets, noon.Add(-20*day).Unix()+i)
			}
			return nothing(h.a.SelfReset(h.s, nil))
		}, noon.Add(10 * day)},
		{HoldKind, Revoke, ProofNeeded, ByPerson, func(h *house) *Refusal { h.a.Proven = false; return nothing(h.a.SelfReset(h.s, nil)) }, time.Time{}},
		{HoldKind, RevokeLost, ReasonNeeded, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, hard, token.Active)
			h.a.Reference = ""
			return nothing(h.a.RevokeLost(h.s, hard, WhyLost))
		}, time.Time{}},
		{HoldKind, RevokeLost, ReasonNeeded, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, hard, token.Active)
			h.a.Reason = ""
			return nothing(h.a.RevokeLost(h.s, hard, WhyLost))
		}, time.Time{}},
		{HoldKind, RevokeLost, LastMaster, ByMaster, func(h *house) *Refusal {
			h.s.MastersElsewhere = 0
			return nothing(h.a.RevokeLost(h.s, own, WhyStolen))
		}, time.Time{}},
		{HoldKind, Lapse, TooEarly, BySystem, func(h *house) *Refusal {
			hold := h.hold(taro, soft, token.Suspended)
			hold.Why, hold.Until = WhyLost, noon.Unix()+1
			return nothing(h.a.Lapse(h.s, taro, soft))
		}, noon.Add(time.Second)},
		{HoldKind, Lapse, ByOperator, BySystem, func(h *house) *Refusal {
			h.hold(taro, soft, token.Suspended).Why = WhyOperator
			return nothing(h.a.Lapse(h.s, taro, soft))
		}, time.Time{}},

		{HoldKind, Undo, TooLate, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Revoked).Since = noon.Add(-10*time.Minute).Unix() - 1
			return h.undo()
		}, time.Time{}},
		{HoldKind, Undo, UndoUsed, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Revoked)
			h.hold(taro, soft2, token.Active).Since = noon.Unix()
			return h.undo()
		}, time.Time{}},
		{HoldKind, Undo, UndoUsed, ByAdmin, func(h *house) *Refusal { h.hold(taro, soft, token.Revoked).Why = WhyReplaced; return h.undo() }, time.Time{}},
		{HoldKind, Undo, UndoUsed, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Revoked)
			h.token(soft).Sealed.Data = nil
			return h.undo()
		}, time.Time{}},
		{HoldKind, Undo, TokenInUse, ByAdmin, func(h *house) *Refusal { h.hold(taro, soft, token.Revoked); h.record(soft).Takes++; return h.undo() }, time.Time{}},
		{HoldKind, Undo, TokenExpired, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Revoked)
			h.token(soft).Expiry = noon.Unix()
			return h.undo()
		}, time.Time{}},
		{HoldKind, Undo, Cooling, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Revoked).Cooled = noon.Unix() + 5
			h.holder(taro).NotBefore = noon.Unix() + 9
			return h.undo()
		}, noon.Add(9 * time.Second)},
		{HoldKind, Undo, TooManyTokens, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Revoked)
			h.many(MostTokens, token.Hardware)
			return h.undo()
		}, time.Time{}},
		{HoldKind, Undo, DeviceLimit, ByAdmin, func(h *house) *Refusal { h.hold(taro, soft, token.Revoked); h.many(2, token.Software); return h.undo() }, time.Time{}},

		{TokenKind, Import, KnownSeed, ByAdmin, func(h *house) *Refusal {
			return nothing(h.a.Import(complete(token.Token{ID: 50, Fingerprint: [16]byte{1}}), []token.Token{{State: token.InUse, Fingerprint: [16]byte{1}}}))
		}, time.Time{}},
		{TokenKind, Extend, ReasonNeeded, ByMaster, func(h *house) *Refusal {
			h.a.Reason = ""
			return nothing(h.a.Extend(h.s, []token.ID{hard}, h.token(hard).Expiry+1))
		}, time.Time{}},
		{TokenKind, Extend, NoExpiry, ByMaster, func(h *house) *Refusal { return nothing(h.a.Extend(h.s, []token.ID{spare}, noon.Unix()+1)) }, time.Time{}},
		{TokenKind, Extend, ExtendMost, ByMaster, func(h *house) *Refusal {
			h.record(hard).Extended = 10 * 86400
			return nothing(h.a.Extend(h.s, []token.ID{hard}, h.token(hard).Expiry+20*86400+1))
		}, time.Time{}},
		{TokenKind, Extend, ExtendMost, ByMaster, func(h *house) *Refusal { return nothing(h.a.Extend(h.s, []token.ID{hard}, h.token(hard).Expiry)) }, time.Time{}},
		{TokenKind, Retire, ReasonNeeded, ByAdmin, func(h *house) *Refusal { h.a.Reason = ""; return nothing(h.a.Retire(h.s, hard)) }, time.Time{}},
		{TokenKind, Retire, TokenInUse, ByAdmin, func(h *house) *Refusal {
			h.hold(hanako, hard, token.Active)
			h.token(hard).Expiry = noon.Unix()
			return nothing(h.a.Retire(h.s, hard))
		}, time.Time{}},
		{TokenKind, Erase, TooEarly, BySystem, func(h *house) *Refusal {
			h.hold(taro, soft, token.Revoked)
			return nothing(h.a.EraseSeed(h.s, soft))
		}, noon.Add(9 * time.Minute)},
		{TokenKind, Test, TriesUsed, ByPerson, func(h *house) *Refusal { h.fill(&h.record(hard).Tests, 5); return h.test(h.shows(hard, 0)) }, noon.Add(10*time.Minute - 5*time.Second)},
		{TokenKind, Test, CodeForm, ByPerson, func(h *house) *Refusal { return h.test(Typed("1234567")) }, time.Time{}},
		{TokenKind, Test, WrongCode, ByPerson, func(h *house) *Refusal { return h.test(h.wrong(hard)) }, time.Time{}},
		{TokenKind, Test, AlreadyUsed, ByPerson, func(h *house) *Refusal { h.used(hard); return h.test(h.shows(hard, 0)) }, nextStep},
		{TokenKind, Resync, TriesUsed, ByPerson, func(h *house) *Refusal {
			h.fill(&h.record(hard).Tests, 5)
			return h.resync(h.shows(hard, 20), h.shows(hard, 21))
		}, noon.Add(10*time.Minute - 5*time.Second)},
		{TokenKind, Resync, BudgetUsed, ByPerson, func(h *house) *Refusal {
			h.record(hard).Pot = []Charge{{token.Day(noon) - 100, h.a.Rules.ResyncBudget}}
			return h.resync(h.shows(hard, 20), h.shows(hard, 21))
		}, time.Unix((int64(token.Day(noon))+266)*86400, 0)},
		{TokenKind, Resync, CodeForm, ByPerson, func(h *house) *Refusal { return h.resync(h.shows(hard, 20), Typed("12 456")) }, time.Time{}},
		{TokenKind, Resync, EqualCodes, ByPerson, func(h *house) *Refusal { return h.resync(h.shows(hard, 20), h.shows(hard, 20)) }, time.Time{}},
		{TokenKind, Resync, WrongCode, ByPerson, func(h *house) *Refusal { return h.resync(h.shows(hard, 20), h.shows(hard, 31)) }, time.Time{}},
		{TokenKind, Resync, WrongCode, ByPerson, func(h *house) *Refusal { return h.resync(h.shows(hard, 21), h.shows(hard, 20)) }, time.Time{}},
		{TokenKind, Resync, ClockOff, ByPerson, func(h *house) *Refusal {
			h.token(hard).Form = token.Software
			return h.resync(h.shows(hard, 20), h.shows(hard, 21))
		}, time.Time{}},
		{TokenKind, Resync, DriftFar, ByAdmin, func(h *house) *Refusal {
			h.a.Rules.StaffRange.Ahead = 40_000
			return h.resync(h.shows(hard, 33_000), h.shows(hard, 33_001))
		}, time.Time{}},

		{ActivationKind, Issue, OnOperator, ByHelpDesk, func(h *house) *Refusal { return third(h.helpDesk().a.Issue(h.s, taro, 6, [32]byte{1}, false, nil)) }, time.Time{}},
		{ActivationKind, Issue, ProofNeeded, ByPerson, func(h *house) *Refusal {
			h.a.Proven = false
			return third(h.a.Issue(h.s, taro, 6, [32]byte{1}, false, nil))
		}, time.Time{}},
		{ActivationKind, Start, ProofNeeded, ByPerson, func(h *house) *Refusal { h.linkAt(Open); h.a.Proven = false; return h.start() }, time.Time{}},
		{ActivationKind, Start, StartsUsed, ByPerson, func(h *house) *Refusal { h.linkAt(Open); h.link.Begun = 5; return h.start() }, time.Time{}},
		{ActivationKind, Start, Cooling, ByPerson, func(h *house) *Refusal {
			h.linkAt(Open)
			h.holder(taro).NotBefore = noon.Unix() + 1
			return h.start()
		}, noon.Add(time.Second)},
		{ActivationKind, Start, DeviceLimit, ByPerson, func(h *house) *Refusal { h.linkAt(Open); h.many(2, token.Software); return h.start() }, time.Time{}},
		{ActivationKind, Start, TooManyTokens, ByPerson, func(h *house) *Refusal { h.linkAt(Open); h.many(MostTokens, token.Hardware); return h.start() }, time.Time{}},
		{ActivationKind, Confirm, StartElse, ByPerson, func(h *house) *Refusal { h.linkAt(Started); return h.finish("2", h.shows(fresh, 0)) }, time.Time{}},
		{ActivationKind, Confirm, StartLapsed, ByPerson, func(h *house) *Refusal {
			h.linkAt(Started)
			h.link.Since = noon.Add(-30 * time.Minute).Unix()
			return h.finish("1", h.shows(fresh, 0))
		}, time.Time{}},
		{ActivationKind, Confirm, OldEntry, ByPerson, func(h *house) *Refusal {
			h.linkAt(Started)
			h.link.Voided = []token.ID{soft3}
			return h.finish("1", h.shows(soft3, 0))
		}, time.Time{}},
		{ActivationKind, Confirm, WrongCode, ByPerson, func(h *house) *Refusal { h.linkAt(Started); return h.finish("1", h.wrong(fresh)) }, time.Time{}},
		{ActivationKind, Confirm, AlreadyUsed, ByPerson, func(h *house) *Refusal { h.linkAt(Started); h.used(fresh); return h.finish("1", h.shows(fresh, 0)) }, nextStep},
		{ActivationKind, Confirm, ClockOff, ByPerson, func(h *house) *Refusal { h.linkAt(Started); return h.finish("1", h.shows(fresh, -5)) }, time.Time{}},
		{ActivationKind, Confirm, DeviceLimit, ByPerson, func(h *house) *Refusal {
			h.linkAt(Started)
			h.many(2, token.Software)
			return h.finish("1", h.shows(fresh, 0))
		}, time.Time{}},
		{ActivationKind, Confirm, TriesUsed, ByPerson, func(h *house) *Refusal {
			h.linkAt(Started)
			h.fill(&h.record(fresh).First, 5)
			return h.finish("1", h.shows(fresh, 0))
		}, noon.Add(day - 5*time.Second)},
		{ActivationKind, Confirm, CodeForm, ByPerson, func(h *house) *Refusal { h.linkAt(Started); return h.finish("1", Typed("1")) }, time.Time{}},
		{ActivationKind, Resend, OnOperator, ByHelpDesk, func(h *house) *Refusal { h.linkAt(Open); return third(h.helpDesk().a.Resend(h.s, h.link, [32]byte{2})) }, time.Time{}},
		{ActivationKind, Resend, ResendUsed, ByPerson, func(h *house) *Refusal {
			h.linkAt(Open)
			h.link.Sent = []int64{old.Unix(), old.Unix(), noon.Unix()}
			return third(h.a.Resend(h.s, h.link, [32]byte{2}))
		}, old.Add(day)},
		{ActivationKind, Revoke, OnOperator, ByHelpDesk, func(h *house) *Refusal { h.linkAt(Open); return third(h.helpDesk().a.RevokeLink(h.s, h.link)) }, time.Time{}},

		{RequestKind, Ask, KindOff, ByPerson, func(h *house) *Refusal { h.a.Rules.Request.Kinds = nil; return h.ask() }, time.Time{}},
		{RequestKind, Ask, PledgeNeeded, ByPerson, func(h *house) *Refusal { h.a.Rules.Request.Pledge = "2026-04"; return h.ask() }, time.Time{}},
		{RequestKind, Ask, RequestOpen, ByPerson, func(h *house) *Refusal { return h.ask(Request{Number: "1", Account: taro, State: Open}) }, time.Time{}},
		{RequestKind, Ask, RequestLimit, ByPerson, func(h *house) *Refusal {
			q := Request{Number: "1", Account: taro, State: Refused, Made: old.Unix()}
			return h.ask(q, q, q)
		}, old.Add(30 * day)},
		{RequestKind, Approve, OwnRequest, ByMaster, func(h *house) *Refusal { h.requestAt(Open); h.a.Account = taro; return third(h.a.Approve(h.s, h.req)) }, time.Time{}},
		{RequestKind, Approve, OnOperator, ByHelpDesk, func(h *house) *Refusal { h.requestAt(Open); return third(h.helpDesk().a.Approve(h.s, h.req)) }, time.Time{}},
		{RequestKind, Refuse, OwnRequest, ByMaster, func(h *house) *Refusal {
			h.requestAt(Open)
			h.a.Account = taro
			return third(h.a.Refuse(h.s, h.req, "no"))
		}, time.Time{}},
		{RequestKind, Refuse, OnOperator, ByHelpDesk, func(h *house) *Refusal { h.requestAt(Open); return third(h.helpDesk().a.Refuse(h.s, h.req, "no")) }, time.Time{}},
		{RequestKind, Refuse, ReasonNeeded, ByAdmin, func(h *house) *Refusal { h.requestAt(Open); return third(h.a.Refuse(h.s, h.req, "")) }, time.Time{}},
		{RequestKind, Withdraw, NotFound, ByPerson, func(h *house) *Refusal {
			h.requestAt(Open)
			h.a.Account = hanako
			return third(h.a.Withdraw(h.s, h.req))
		}, time.Time{}},
		{RequestKind, Lapse, TooEarly, BySystem, func(h *house) *Refusal {
			h.requestAt(Open)
			h.req.Made = noon.Unix()
			return third(h.a.LapseRequest(h.s, h.req))
		}, noon.Add(7 * day)},

		{UserKind, GoneVerb, NoAnswer, BySystem, func(h *house) *Refusal { return nothing(h.a.Presence(h.s, GoneVerb, taro, Silent)) }, time.Time{}},
		{UserKind, GoneVerb, UserPresent, BySystem, func(h *house) *Refusal { return nothing(h.a.Presence(h.s, GoneVerb, taro, Known)) }, time.Time{}},
		{UserKind, GoneVerb, Braked, BySystem, func(h *house) *Refusal { return h.sweep(4, Present) }, time.Time{}},
		{UserKind, GoneVerb, LastMaster, BySystem, func(h *house) *Refusal {
			h.s.MastersElsewhere = 0
			return nothing(h.a.Presence(h.s, GoneVerb, boss, Unknown))
		}, time.Time{}},
		{UserKind, Return, NoAnswer, BySystem, func(h *house) *Refusal {
			presenceAt(h, Quarantine)
			return nothing(h.a.Presence(h.s, Return, taro, Silent))
		}, time.Time{}},
		{UserKind, Return, Quarantined, BySystem, func(h *house) *Refusal {
			presenceAt(h, Quarantine)
			return nothing(h.a.Presence(h.s, Return, taro, Unknown))
		}, time.Time{}},
		{UserKind, Clean, NoAnswer, BySystem, func(h *house) *Refusal {
			presenceAt(h, Quarantine)
			return nothing(h.a.Presence(h.s, Clean, taro, Silent))
		}, time.Time{}},
		{UserKind, Clean, UserPresent, BySystem, func(h *house) *Refusal {
			presenceAt(h, Quarantine)
			return nothing(h.a.Presence(h.s, Clean, taro, Known))
		}, time.Time{}},
		{UserKind, Clean, TooEarly, BySystem, func(h *house) *Refusal {
			h.holder(taro).Presence.Gone = old.Unix()
			return nothing(h.a.Presence(h.s, Clean, taro, Unknown))
		}, old.Add(30 * day)},
		{UserKind, Clean, Braked, BySystem, func(h *house) *Refusal { return h.sweep(4, Quarantine) }, time.Time{}},
		{CooldownKind, Waive, ReasonNeeded, ByMaster, func(h *house) *Refusal {
			h.holder(taro).NotBefore = noon.Unix() + 1
			h.a.Reason = ""
			return nothing(h.a.Waive(h.s, taro))
		}, time.Time{}},

		{TemporaryKind, Issue, OnOperator, ByHelpDesk, func(h *house) *Refusal { return nothing(h.helpDesk().a.GiveTemporary(h.s, taro, 0)) }, time.Time{}},
		{TemporaryKind, Issue, TempTooLong, ByAdmin, func(h *house) *Refusal { return nothing(h.a.GiveTemporary(h.s, taro, noon.Add(day).Unix()+1)) }, time.Time{}},
		{TemporaryKind, Issue, TempTooLong, ByMaster, func(h *house) *Refusal { return nothing(h.a.GiveTemporary(h.s, taro, noon.Add(3*day).Unix()+1)) }, time.Time{}},
		{TemporaryKind, Issue, TooLate, ByMaster, func(h *house) *Refusal { return nothing(h.a.GiveTemporary(h.s, taro, noon.Unix())) }, time.Time{}},
		{TemporaryKind, Reset, ProofNeeded, ByPerson, func(h *house) *Refusal {
			h.a.Proven = false
			return nothing(h.a.Recover(h.s, [32]byte{1}, [32]byte{2}))
		}, time.Time{}},
		{TemporaryKind, Reset, NoRecovery, ByPerson, func(h *house) *Refusal { return nothing(h.a.Recover(h.s, [32]byte{}, [32]byte{2})) }, time.Time{}},
		{TemporaryKind, Reset, TriesUsed, ByPerson, func(h *house) *Refusal {
			h.holder(taro).Recovery.Hash = [32]byte{1}
			h.fill(&h.holder(taro).Recovery.Tries, 5)
			return nothing(h.a.Recover(h.s, [32]byte{1}, [32]byte{2}))
		}, noon.Add(day - 5*time.Second)},
		{TemporaryKind, Reset, WrongCode, ByPerson, func(h *house) *Refusal {
			h.holder(taro).Recovery.Hash = [32]byte{1}
			return nothing(h.a.Recover(h.s, [32]byte{3}, [32]byte{2}))
		}, time.Time{}},
		{TemporaryKind, Show, ProofNeeded, ByPerson, func(h *house) *Refusal {
			temporaryAt(h, Running)
			h.a.Proven = false
			return nothing(h.a.ShowTemporary(h.s, [32]byte{1}))
		}, time.Time{}},
		{TemporaryKind, Use, WrongCode, ByLogin, func(h *house) *Refusal {
			temporaryAt(h, Running)
			return nothing(h.a.UseTemporary(h.s, taro, [32]byte{5}))
		}, time.Time{}},
		{TemporaryKind, Use, AlreadyUsed, ByLogin, func(h *house) *Refusal {
			temporaryAt(h, Running)
			h.holder(taro).Temporary.Used = [][32]byte{{1}}
			return nothing(h.a.UseTemporary(h.s, taro, [32]byte{1}))
		}, time.Time{}},
		{TemporaryKind, End, OnOperator, ByHelpDesk, func(h *house) *Refusal {
			temporaryAt(h, Running)
			return nothing(h.helpDesk().a.EndTemporary(h.s, taro))
		}, time.Time{}},

		{FirstLoginKind, Issue, OnOperator, ByHelpDesk, func(h *house) *Refusal { return nothing(h.helpDesk().a.GiveFirstLogin(h.s, taro, [32]byte{1}, "", 0)) }, time.Time{}},
		{FirstLoginKind, Issue, HasToken, ByAdmin, func(h *house) *Refusal {
			h.hold(taro, soft, token.Revoked)
			return nothing(h.a.GiveFirstLogin(h.s, taro, [32]byte{1}, "", 0))
		}, time.Time{}},
		{FirstLoginKind, Issue, TempTooLong, ByAdmin, func(h *house) *Refusal {
			return nothing(h.a.GiveFirstLogin(h.s, taro, [32]byte{1}, "", noon.Add(2*day).Unix()))
		}, time.Time{}},
		{FirstLoginKind, Issue, TooLate, ByAdmin, func(h *house) *Refusal { return nothing(h.a.GiveFirstLogin(h.s, taro, [32]byte{1}, "", noon.Unix()-1)) }, time.Time{}},
		{FirstLoginKind, Use, HasToken, ByLogin, func(h *house) *Refusal {
			firstAt(h, Open)
			h.hold(taro, soft, token.Active)
			return third(h.a.UseFirstLogin(h.s, taro, [32]byte{1}))
		}, time.Time{}},
		{FirstLoginKind, Use, WrongCode, ByLogin, func(h *house) *Refusal { firstAt(h, Open); return third(h.a.UseFirstLogin(h.s, taro, [32]byte{2})) }, time.Time{}},

		{PINKind, Choose, ProofNeeded, ByPerson, func(h *house) *Refusal { h.a.Proven = false; return h.choose("r7k2p") }, time.Time{}},
		{PINKind, Choose, PINForm, ByPerson, func(h *house) *Refusal { return h.choose("r7 2p") }, time.Time{}},
		{PINKind, Choose, PINLength, ByPerson, func(h *house) *Refusal { return h.choose("r7k") }, time.Time{}},
		{PINKind, Choose, PINRepeated, ByPerson, func(h *house) *Refusal { return h.choose("aAaA") }, time.Time{}},
		{PINKind, Choose, PINRun, ByPerson, func(h *house) *Refusal { return h.choose("7890") }, time.Time{}},
		{PINKind, Choose, PINName, ByPerson, func(h *house) *Refusal { return h.choose("TARO") }, time.Time{}},
		{PINKind, Choose, PINHistory, ByPerson, func(h *house) *Refusal {
			h.holder(taro).PIN = PINs{Current: PINHash{Salt: [16]byte{1}}, History: []PINHash{{Salt: [16]byte{2}}, {Salt: [16]byte{3}}, {Salt: [16]byte{4}}}}
			return nothing(h.a.ChoosePIN(h.s, Typed("r7k2p"), PINHash{}, func(p PINHash) bool { return p.Salt[0] == 3 }))
		}, time.Time{}},
		{PINKind, ForceVerb, OnOperator, ByHelpDesk, func(h *house) *Refusal { pinAt(h, Set); return nothing(h.helpDesk().a.ForcePIN(h.s, taro, 0)) }, time.Time{}},
		{PINKind, Reset, OnOperator, ByHelpDesk, func(h *house) *Refusal { pinAt(h, Set); return nothing(h.helpDesk().a.ResetPIN(h.s, taro)) }, time.Time{}},
	}
	for i := range Table {
		if r := &Table[i]; slices.Contains(r.Refused, Quarantined) && r.Kind != UserKind {
			by := Everybody[bits.TrailingZeros8(uint8(r.By))]
			g = append(g, guard{r.Kind, r.Verb, Quarantined, by, func(h *house) *Refusal {
				h.holder(taro).Presence.Gone = 1
				if make := makers[r.Kind][r.Verb]; make != nil {
					return make(h)
				}
				_, no := doers[r.Kind][r.Verb](h, r.From[0])
				return no
			}, time.Time{}})
		}
	}
	return g
}

func (h *house) ask(earlier ...Request) *Refusal {
	return third(h.a.Apply(h.s, earlier, Request{Number: ReferenceNumber(9), Account: taro, Kind: AskAdd}))
}

func (h *house) choose(pin string) *Refusal {
	return nothing(h.a.ChoosePIN(h.s, Typed(pin), PINHash{Salt: [16]byte{9}}, func(PINHash) bool { return false }))
}

// sweep asks about n users of whom the directory knows none.
func (h *house) sweep(n int, from Stage) *Refusal {
	var round Sweep
	for i := range n {
		p := Holder{Account: AccountID(100 + i)}
		if from == Quarantine {
			p.Presence.Gone = h.a.Now.Add(-40 * day).Unix()
		}
		h.s.Holders = append(h.s.Holders, p)
		round.Answers = append(round.Answers, Seen{p.Account, Unknown})
	}
	round.Total = 100
	return nothing(h.a.SweepDirectory(h.s, round))
}

// Every guard that the table names refuses, with its code and the instant from which the act will be allowed, and leaves
// holders and tokens alone.
func TestGuards(t *testing.T) {
	tested := map[[2]string][]Code{}
	for _, g := range guards() {
		h := newHouse().as(g.by)
		what := string(g.kind) + " " + string(g.verb) + " by " + g.by.String()
		no := g.do(h)
		refused(t, what, no, g.code, g.from)
		tested[[2]string{string(g.kind), string(g.verb)}] = append(tested[[2]string{string(g.kind), string(g.verb)}], g.code)
		if no != nil && !bytes.ContainsAny([]byte(no.English()), ".") {
			t.Errorf("%s: no sentence: %q", what, no.English())
		}
	}
	for _, r := range Table {
		codes := tested[[2]string{string(r.Kind), string(r.Verb)}]
		for _, code := range r.Refused {
			if !slices.Contains(codes, code) {
				t.Errorf("%s %s: nothing shows %s", r.Kind, r.Verb, code)
			}
		}
		for _, code := range codes {
			if !slices.Contains(r.Refused, code) {
				t.Errorf("%s %s: the table does not name %s", r.Kind, r.Verb, code)
			}
		}
	}
}

// Acts that the site wants two operators for are refused to one alone, and to one who approves himself.
func TestSecondPerson(t *testing.T) {
	for i := range Table {
		r := &Table[i]
		do := doers[r.Kind][r.Verb]
		if do == nil || r.By&staff == 0 {
			continue
		}
		for _, by := range []Who{ByHelpDesk, ByAdmin, ByMaster} {
			for _, second := range []string{"", "op", "other"} {
				if r.By&by == 0 {
					continue
				}
				h := newHouse().as(by)
				h.a.Rules.FourEyes, h.a.Second = []Verb{r.Verb}, second
				_, no := do(h, r.From[0])
				if second == "other" {
					if no != nil {
						t.Errorf("%s %s with a second person: %v", r.Kind, r.Verb, no.Code)
					}
					continue
				}
				refused(t, string(r.Kind)+" "+string(r.Verb), no, SecondPerson, time.Time{})
			}
		}
	}
}
