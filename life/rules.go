package life

import (
	"errors"
	"fmt"
	"time"

	"sekisho/token"
)

// Limit is how many tries a span of time allows. It is exact: the list of tries is kept, not a counter that is reset.
type Limit struct {
	N   int
	Per time.Duration
}

// take adds one try to a list of Unix seconds, oldest first, or says from when one more is allowed. What is older than the
// span leaves the list.
func (l Limit) take(list []int64, now time.Time) (next []int64, from int64, ok bool) {
	for _, at := range list {
		if at+int64(l.Per/time.Second) > now.Unix() {
			next = append(next, at)
		}
	}
	if len(next) >= l.N {
		if l.N > 0 {
			from = next[len(next)-l.N] + int64(l.Per/time.Second)
		}
		return next, from, false
	}
	return append(next, now.Unix()), 0, true
}

// Rules are the numbers that a site may change. Durations are whole seconds.
type Rules struct {
	Zone     *time.Location // of times that people read and of times of day; nil: UTC
	FourEyes []Verb         // acts of operators that need a second one
	Cooldown Calendar       // after an operator revoked (O4)
	LostWait bool           // the calendar holds for lost tokens too
	Undo     time.Duration  // how long a revocation can be undone

	Devices    int  // software tokens that work for one user at a time
	OpenStock  bool // anybody may register any serial of the stock
	Sharing    bool // members of the group that a token is reserved to may hold it together
	FirstTries Limit
	FirstUse   token.Window // of a first code
	Login      token.Window // of every other one
	DeferTimes int
	DeferFor   time.Duration // from the first time
	LostResume time.Duration // how long the person may resume what they reported lost

	Link    LinkRules
	Request RequestRules

	ResetDay, ResetMonth Limit // self-service resets

	Tests        Limit // of test and resync, per token
	Range        token.Window
	StaffRange   token.Window
	GapSteps     int // how far the second code may lie behind the first: TOTP
	GapHOTP      int
	ResyncBudget int64 // token.GuessUnit a token and year

	TempCodes  int
	TempUntil  int // minutes after midnight
	TempMost   time.Duration
	TempMaster time.Duration
	Recovery   Limit // wrong recovery codes

	PINMin, PINMax int
	PINHistory     int

	ExtendMost time.Duration
	Mails      []int // days before expiry; 0 is the day itself
	MailAt     int   // minutes after midnight

	AskAbove   int // an operator confirms the number of users
	StopAbove  int // the system stops and asks
	StopShare  int // or above so many per cent of all users, at least StopLeast
	StopLeast  int
	Quarantine time.Duration
}

// LinkRules are those of activation links.
type LinkRules struct {
	Uses         int
	Starts       int
	Mail, Letter time.Duration
	Page         time.Duration // how long a start shows the same secret
	Resend       Limit
}

// RequestRules are those of requests.
type RequestRules struct {
	Kinds   []RequestKindName // that are taken
	Pledge  string            // version of the pledge that has to be agreed to; empty: none
	Limit   Limit
	Remind  time.Duration
	Lapse   time.Duration
	Approve []RequestKindName // that policy approves by itself
}

func (r Rules) zone() *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return r.Zone
}

const day = 24 * time.Hour

// Defaults are the numbers of a site that changes none.
func Defaults() Rules {
	return Rules{
		Undo: 10 * time.Minute, Devices: 2, Sharing: true,
		FirstTries: Limit{5, day}, FirstUse: token.Window{Back: 40, Ahead: 40, LookAhead: 100}, Login: token.LoginWindow,
		DeferTimes: 3, DeferFor: 14 * day, LostResume: 72 * time.Hour,
		Link:     LinkRules{Uses: 2, Starts: 5, Mail: day, Letter: 21 * day, Page: 30 * time.Minute, Resend: Limit{3, day}},
		Request:  RequestRules{Kinds: RequestKinds, Limit: Limit{3, 30 * day}, Remind: 4 * time.Hour, Lapse: 7 * day},
		ResetDay: Limit{2, day}, ResetMonth: Limit{5, 30 * day},
		Tests: Limit{5, 10 * time.Minute}, Range: token.Window{Back: 120, Ahead: 120, LookAhead: 100},
		StaffRange: token.Window{Back: 2880, Ahead: 2880, LookAhead: 1000}, GapSteps: 10, GapHOTP: 3, ResyncBudget: 100_000_000_000,
		TempCodes: 5, TempUntil: 18 * 60, TempMost: day, TempMaster: 72 * time.Hour, Recovery: Limit{5, day},
		PINMin: 4, PINMax: 16, PINHistory: 3,
		ExtendMost: 30 * day, Mails: []int{90, 30, 14, 7, 1, 0}, MailAt: 8 * 60,
		AskAbove: 20, StopAbove: 50, StopShare: 1, StopLeast: 3, Quarantine: 30 * day,
	}
}

// maxDrift is what a token's drift can hold, in steps: eleven days of half a minute.
const maxDrift = 1<<15 - 1

// firstRange bounds where a first code is looked for, in steps: it opens the token with nothing before it.
const firstRange = 127

// Check says what is wrong with the numbers, all faults at once.
func (r Rules) Check() error {
	var faults []error
	bad := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }
	if err := r.Cooldown.Check(); err != nil {
		bad("cooldown: %w", err)
	}
	if r.Devices < 1 || r.Devices > MostTokens {
		bad("devices %d: want 1 to %d", r.Devices, MostTokens)
	}
	if r.FirstUse.Back > firstRange || r.FirstUse.Ahead > firstRange || r.FirstUse.Back < 0 || r.FirstUse.Ahead < 0 {
		bad("first_use.range_steps: want 0 to %d", firstRange)
	}
	if r.FirstTries.N < 1 || r.FirstTries.Per < time.Second {
		bad("first_use.tries: want at least one in a time of at least a second")
	}
	if r.Link.Uses < 1 || r.Link.Uses > 10 || r.Link.Starts < r.Link.Uses || r.Link.Starts > 1_000_000 {
		bad("activation: uses %d and starts %d: want 1 to 10 uses and at least as many starts", r.Link.Uses, r.Link.Starts)
	}
	if r.Link.Mail <= 0 || r.Link.Letter <= 0 || r.Link.Page <= 0 {
		bad("activation: links and pages need a time to live")
	}
	if r.Range.Back < 0 || r.Range.Ahead < 0 || r.GapSteps < 1 || r.GapHOTP < 1 || r.GapSteps > 100 || r.GapHOTP > 100 {
		bad("resync: want a range of at least 0 steps and gaps of 1 to 100")
	}
	if r.PINMin < 1 || r.PINMax < r.PINMin || r.PINHistory < 0 || r.PINHistory > 24 {
		bad("pin: min %d, max %d, history %d: want 1 or more, at least min, and 0 to 24", r.PINMin, r.PINMax, r.PINHistory)
	}
	if r.TempCodes < 1 || r.TempCodes > 20 || r.TempUntil < 0 || r.TempUntil >= 24*60 {
		bad("temporary: want 1 to 20 codes and a time of day")
	}
	if r.AskAbove < 1 || r.StopAbove < 1 || r.StopShare < 1 || r.StopShare > 100 || r.StopLeast < 1 || r.Quarantine < day {
		bad("mass: want brakes of at least one user, a share of 1 to 100 per cent and a quarantine of at least a day")
	}
	return errors.Join(faults...)
}

// GuessChance is the chance that somebody without the token passes one resync, for the page that explains the range.
func (r Rules) GuessChance(t *token.Token, w token.Window) float64 {
	return float64(r.resyncCost(t, w)) * token.GuessUnit
}
