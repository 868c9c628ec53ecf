package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sekisho/internal/conf"
	"sekisho/life"
	"sekisho/token"
)

// LifeConfig has the numbers of the life of tokens. Each zero value stands for the default.
type LifeConfig struct {
	// Devices is how many software tokens of one user work at a time, 1 to 10. Default: 2.
	Devices int `yaml:"devices"`
	// OpenStock lets anybody register any token of the stock by serial and code. Default: only what waits for them or is
	// reserved to a group of theirs.
	OpenStock bool `yaml:"open_stock"`
	// Sharing lets the members of the group that a token is reserved to hold it together. Default: on.
	Sharing *bool `yaml:"sharing"`
	// LostResume is how long somebody may resume what they reported lost. Default: 72h.
	LostResume time.Duration `yaml:"lost_resume"`
	// Undo is how long a revocation can be undone, and seeds of destroyed tokens are kept. Default: 10m.
	Undo time.Duration `yaml:"undo"`
	// FourEyes are acts of operators that need a second one: revoke, revoke-lost, extend, ... Default: none.
	FourEyes   []string         `yaml:"four_eyes"`
	Cooldown   CooldownConfig   `yaml:"cooldown"`
	Activation ActivationConfig `yaml:"activation"`
	Request    RequestConfig    `yaml:"request"`
	Reset      ResetConfig      `yaml:"reset"`
	FirstUse   FirstUseConfig   `yaml:"first_use"`
	Resync     ResyncConfig     `yaml:"resync"`
	PIN        PINConfig        `yaml:"pin"`
	Temporary  TemporaryConfig  `yaml:"temporary"`
	Defer      DeferConfig      `yaml:"defer"`
	Mass       MassConfig       `yaml:"mass"`
}

// CooldownConfig says from when a token may be registered again after an operator revoked one.
type CooldownConfig struct {
	// Wait is counted from the revocation, or from the end of the span it fell into. Default: 0s, at once.
	Wait time.Duration `yaml:"wait"`
	// Spans are parts of the day in which nothing is handled, HH:MM-HH:MM. Default: none.
	Spans []string `yaml:"spans"`
	// Lost lets the wait hold for tokens that were lost, too. Default: off.
	Lost bool `yaml:"lost"`
}

// ActivationConfig is about links with which devices are registered.
type ActivationConfig struct {
	// Uses are the devices that a link is good for, Starts how often its page may begin. Default: 2 and 5.
	Uses   int `yaml:"uses"`
	Starts int `yaml:"starts"`
	// Mail and Letter are how long a link lives, Page how long its page shows one secret. Default: 24h, 504h and 30m.
	Mail   time.Duration `yaml:"mail"`
	Letter time.Duration `yaml:"letter"`
	Page   time.Duration `yaml:"page"`
	// ResendPerDay is how often it is sent in a day. Default: 3.
	ResendPerDay int `yaml:"resend_per_day"`
}

// RequestConfig is about what people apply for.
type RequestConfig struct {
	// Kinds are taken: new, reactivate, add, hardware-token, pin-reset, stop-using. Default: all.
	Kinds []string `yaml:"kinds"`
	// Approve are kinds that are approved without an operator. Default: none.
	Approve []string `yaml:"approve"`
	// PerMonth is how many one person may make in 30 days. Default: 3.
	PerMonth int `yaml:"per_month"`
	// RemindApprover is when approvers are reminded, Lapse when a request ends that nobody decided. Default: 4h and 168h.
	RemindApprover time.Duration `yaml:"remind_approver"`
	Lapse          time.Duration `yaml:"lapse"`
}

// ResetConfig is how often somebody may register anew by themselves.
type ResetConfig struct {
	// PerDay, and PerMonth of 30 days. Default: 2 and 5.
	PerDay   int `yaml:"per_day"`
	PerMonth int `yaml:"per_month"`
}

// FirstUseConfig is about the first code of a token.
type FirstUseConfig struct {
	// RangeSteps around now are looked at, HOTP counters of an event-based token. Default: 40 and 100.
	RangeSteps int `yaml:"range_steps"`
	HOTP       int `yaml:"hotp"`
	// TriesPerDay of one token. Default: 5.
	TriesPerDay int `yaml:"tries_per_day"`
}

// ResyncConfig is about finding a token that is out of step.
type ResyncConfig struct {
	// RangeSteps around now are looked at, OperatorRangeSteps where an operator asks. Default: 120 and 2880.
	RangeSteps         int `yaml:"range_steps"`
	OperatorRangeSteps int `yaml:"operator_range_steps"`
	// HOTP are the counters of an event-based token. Default: 100.
	HOTP int `yaml:"hotp"`
	// GapSteps is how far apart the two codes may lie. Default: 10.
	GapSteps int `yaml:"gap_steps"`
	// Tries of one token in 10 minutes. Default: 5.
	Tries int `yaml:"tries"`
}

// PINConfig is about PINs that people choose.
type PINConfig struct {
	// Min and Max are its characters, History how many former ones it may not be. Default: 4, 16 and 3.
	Min     int  `yaml:"min"`
	Max     int  `yaml:"max"`
	History *int `yaml:"history"`
}

// TemporaryConfig is about codes for somebody whose token is not at hand.
type TemporaryConfig struct {
	// Codes of one set. Default: 5.
	Codes int `yaml:"codes"`
	// Until is the time of day at which a set ends. Default: "18:00".
	Until string `yaml:"until"`
	// Max is the longest that a set may last, MasterMax where a master gives it. Default: 24h and 72h.
	Max       time.Duration `yaml:"max"`
	MasterMax time.Duration `yaml:"master_max"`
}

// DeferConfig is how often, and for how many days, registering may be put off.
type DeferConfig struct {
	// Times and Days. Default: 3 and 14.
	Times int `yaml:"times"`
	Days  int `yaml:"days"`
}

// MassConfig are the brakes of acts on many users.
type MassConfig struct {
	// AskAbove so many users an operator confirms the number. Default: 20.
	AskAbove int `yaml:"ask_above"`
	// StopAbove so many, or StopPercent of all users, the system stops and asks. Default: 50 and 1.
	StopAbove   int `yaml:"stop_above"`
	StopPercent int `yaml:"stop_percent"`
	// QuarantineDays is how long users who are gone from the directory keep their tokens, suspended. Default: 30.
	QuarantineDays int `yaml:"quarantine_days"`
}

const longDay = 24 * time.Hour

// lifeRules are the rules of the life of tokens; check has read what could be wrong with them.
func (c *Config) lifeRules() life.Rules {
	r, _ := c.life(nil)
	return r
}

// life reads the numbers. Faults of single values go to doc; those of the numbers together are in the error.
func (c *Config) life(doc *conf.Doc) (life.Rules, error) {
	r, l := life.Defaults(), &c.Life
	fault := func(key string, err error) {
		if err != nil && doc != nil {
			doc.Fault("life."+key, err.Error(), "")
		}
	}
	set(&r.Devices, l.Devices)
	set(&r.LostResume, l.LostResume)
	set(&r.Undo, l.Undo)
	r.Zone, r.Login, r.OpenStock, r.LostWait = c.dateOnly().Zone, c.window(), l.OpenStock, l.Cooldown.Lost
	if l.Sharing != nil {
		r.Sharing = *l.Sharing
	}
	for i, verb := range l.FourEyes {
		if !slices.ContainsFunc(life.Table, func(row life.Row) bool {
			return row.Verb == life.Verb(verb) && row.By&(life.ByAdmin|life.ByMaster) != 0
		}) {
			fault(fmt.Sprintf("four_eyes[%d]", i), fmt.Errorf("%q is no act of operators; docs/life.md lists them", verb))
		}
		r.FourEyes = append(r.FourEyes, life.Verb(verb))
	}
	r.Cooldown = life.Calendar{Wait: l.Cooldown.Wait, Zone: r.Zone}
	for i, text := range l.Cooldown.Spans {
		span, err := parseSpan(text)
		fault(fmt.Sprintf("cooldown.spans[%d]", i), err)
		r.Cooldown.Spans = append(r.Cooldown.Spans, span)
	}

	a := l.Activation
	set(&r.Link.Uses, a.Uses)
	set(&r.Link.Starts, a.Starts)
	set(&r.Link.Mail, a.Mail)
	set(&r.Link.Letter, a.Letter)
	set(&r.Link.Page, a.Page)
	set(&r.Link.Resend.N, a.ResendPerDay)
	set(&r.Request.Limit.N, l.Request.PerMonth)
	set(&r.Request.Remind, l.Request.RemindApprover)
	set(&r.Request.Lapse, l.Request.Lapse)
	if l.Request.Kinds != nil {
		r.Request.Kinds = kindsOf("request.kinds", l.Request.Kinds, fault)
	}
	r.Request.Approve = kindsOf("request.approve", l.Request.Approve, fault)
	set(&r.ResetDay.N, l.Reset.PerDay)
	set(&r.ResetMonth.N, l.Reset.PerMonth)

	set(&r.FirstUse.Back, l.FirstUse.RangeSteps)
	set(&r.FirstUse.Ahead, l.FirstUse.RangeSteps)
	set(&r.FirstUse.LookAhead, l.FirstUse.HOTP)
	set(&r.FirstTries.N, l.FirstUse.TriesPerDay)
	for w, steps := range map[*token.Window]int{&r.Range: l.Resync.RangeSteps, &r.StaffRange: l.Resync.OperatorRangeSteps} {
		set(&w.Back, steps)
		set(&w.Ahead, steps)
	}
	set(&r.Range.LookAhead, l.Resync.HOTP)
	set(&r.GapSteps, l.Resync.GapSteps)
	set(&r.Tests.N, l.Resync.Tries)

	set(&r.PINMin, l.PIN.Min)
	set(&r.PINMax, l.PIN.Max)
	if l.PIN.History != nil {
		r.PINHistory = *l.PIN.History
	}
	set(&r.TempCodes, l.Temporary.Codes)
	set(&r.TempMost, l.Temporary.Max)
	set(&r.TempMaster, l.Temporary.MasterMax)
	if l.Temporary.Until != "" {
		var err error
		r.TempUntil, err = parseTimeOfDay(l.Temporary.Until)
		fault("temporary.until", err)
	}
	set(&r.DeferTimes, l.Defer.Times)
	set(&r.DeferFor, time.Duration(l.Defer.Days)*longDay)
	set(&r.AskAbove, l.Mass.AskAbove)
	set(&r.StopAbove, l.Mass.StopAbove)
	set(&r.StopShare, l.Mass.StopPercent)
	set(&r.Quarantine, time.Duration(l.Mass.QuarantineDays)*longDay)

	if c.Expiry.Mails != nil {
		r.Mails = c.Expiry.Mails
	}
	set(&r.ExtendMost, time.Duration(c.Expiry.ExtendDays)*longDay)
	if c.Expiry.MailAt != "" {
		at, err := parseTimeOfDay(c.Expiry.MailAt)
		if err != nil && doc != nil {
			doc.Fault("expiry.mail_at", err.Error(), "")
		}
		r.MailAt = at
	}
	return r, r.Check()
}

// set takes a configured value over the default.
func set[T comparable](to *T, value T) {
	var none T
	if value != none {
		*to = value
	}
}

func kindsOf(key string, names []string, fault func(string, error)) (kinds []life.RequestKindName) {
	for i, name := range names {
		if !slices.Contains(life.RequestKinds, life.RequestKindName(name)) {
			fault(fmt.Sprintf("%s[%d]", key, i), fmt.Errorf("%q is no kind of request", name))
		}
		kinds = append(kinds, life.RequestKindName(name))
	}
	return kinds
}

// parseTimeOfDay reads HH:MM as minutes after midnight.
func parseTimeOfDay(text string) (int, error) {
	at, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of day; write it like 18:00, in quotation marks", text)
	}
	return at.Hour()*60 + at.Minute(), nil
}

// parseSpan reads HH:MM-HH:MM.
func parseSpan(text string) (life.Span, error) {
	from, to, _ := strings.Cut(text, "-")
	first, err := parseTimeOfDay(from)
	last, other := parseTimeOfDay(to)
	if cmp.Or(err, other) != nil {
		return life.Span{}, fmt.Errorf("%q is no part of the day; write it like 20:50-08:10", text)
	}
	return life.Span{From: first, To: last}, nil
}

// checkLife reports what is wrong with the numbers of the life of tokens.
func (c *Config) checkLife(doc *conf.Doc) {
	_, err := c.life(doc)
	for _, before := range c.Expiry.Mails {
		if before < 0 || before > 365 {
			doc.Fault("expiry.mails", fmt.Sprintf("%d days are out of range", before), "give 0 to 365")
		}
	}
	checkSection(doc, "life", err)
}
