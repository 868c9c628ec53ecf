package admin

import (
	"fmt"
	"strconv"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// Token is a token as listings show it; never its seed.
type Token struct {
	ID           string   `json:"id"`
	Serial       string   `json:"serial,omitempty"`
	CredentialID string   `json:"credential_id,omitempty"`
	Name         string   `json:"name,omitempty" doc:"what its owner calls it"`
	Form         string   `json:"form" doc:"software or hardware"`
	Mode         string   `json:"mode" doc:"totp or hotp"`
	Hash         string   `json:"hash"`
	Digits       int      `json:"digits"`
	Period       int      `json:"period,omitempty" doc:"seconds a code lasts"`
	State        string   `json:"state" doc:"in stock, in use, expired or destroyed"`
	Start        string   `json:"start,omitempty" doc:"RFC 3339"`
	Expiry       string   `json:"expiry,omitempty" doc:"RFC 3339; the first moment at which it no longer opens anything"`
	LastStep     *int64   `json:"last_step,omitempty" doc:"step or counter of the newest code that was used"`
	Drift        int      `json:"drift,omitempty" doc:"steps by which its clock is ahead"`
	Future       bool     `json:"last_step_in_future,omitempty" doc:"the newest used code lies ahead of the clock; its codes are refused until then"`
	Holders      []Holder `json:"holders,omitempty"`
}

// Holder is one user's hold on a token.
type Holder struct {
	User     string `json:"user"`
	Account  string `json:"account"`
	Standing string `json:"standing" doc:"pending, active, suspended or revoked"`
	Since    string `json:"since" doc:"RFC 3339"`
}

// UserToken is a token in the listing of a user.
type UserToken struct {
	Token
	Standing string `json:"standing" doc:"pending, active, suspended or revoked"`
	Since    string `json:"since" doc:"RFC 3339"`
}

// User is a user as `user show` shows them.
type User struct {
	Name      string      `json:"name"`
	Directory string      `json:"directory,omitempty"`
	ID        string      `json:"id,omitempty" doc:"immutable in the directory"`
	DN        string      `json:"dn,omitempty"`
	Groups    []string    `json:"groups,omitempty"`
	Barred    string      `json:"barred,omitempty" doc:"why the directory lets nobody in by this name; a reason's code"`
	Account   string      `json:"account,omitempty" doc:"empty: nothing was ever assigned or set"`
	State     string      `json:"state" doc:"as the list of users has it"`
	From      string      `json:"register_from,omitempty" doc:"from when a token may be registered again; RFC 3339"`
	Temporary *Temporary  `json:"temporary,omitempty" doc:"temporary codes that are good now"`
	PIN       bool        `json:"pin" doc:"a PIN is set"`
	Locks     []string    `json:"locks,omitempty" doc:"what failures closed, a sentence each"`
	Tokens    []UserToken `json:"tokens"`
}

// Event is one line of `logins`.
type Event struct {
	Seq      uint64            `json:"seq"`
	At       time.Time         `json:"at"`
	Kind     string            `json:"kind" doc:"login or act"`
	User     string            `json:"user,omitempty" doc:"as typed; octets that are no printable text stand as \\xHH"`
	Account  string            `json:"account,omitempty"`
	Client   string            `json:"client,omitempty"`
	Policy   string            `json:"policy,omitempty"`
	Source   string            `json:"source,omitempty" doc:"address and port the packet came from"`
	Station  string            `json:"station,omitempty" doc:"Calling-Station-Id"`
	Method   string            `json:"method,omitempty"`
	Verdict  string            `json:"verdict,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Sentence string            `json:"sentence,omitempty"`    // English
	Japanese string            `json:"sentence_ja,omitempty"` // the same
	Row      int               `json:"row,omitempty" doc:"of the login table"`
	Class    string            `json:"class,omitempty" doc:"K: known source, U: unknown"`
	Token    string            `json:"token,omitempty"`
	Step     *int64            `json:"step,omitempty"`
	Notices  []string          `json:"notices,omitempty"`
	Stages   map[string]string `json:"stages,omitempty" doc:"where the time went"`
	Act      string            `json:"act,omitempty"`
	Actor    string            `json:"actor,omitempty"`
	Detail   string            `json:"detail,omitempty"`
}

func viewToken(t *token.Token, now time.Time) Token {
	v := Token{
		ID: t.ID.String(), Serial: t.Serial, CredentialID: t.CredentialID, Name: t.Name, Form: t.Form.String(), Mode: t.Mode.String(),
		Hash: t.Hash.String(), Digits: int(t.Digits), Period: int(t.Period), State: t.StateAt(now).String(),
		Start: instant(t.Start), Expiry: instant(t.Expiry), Drift: int(t.Drift),
	}
	if t.Last != token.NoStep {
		last := t.Last
		v.LastStep = &last
		v.Future = t.Mode == token.TOTP && last > t.StepAt(now)+int64(t.Drift)+int64(token.LoginWindow.Ahead)
	}
	return v
}

func viewInfo(info TokenInfo, now time.Time) Token {
	v := viewToken(&info.Token, now)
	for _, h := range info.Holders {
		v.Holders = append(v.Holders, Holder{User: authn.Shown([]byte(h.Name)), Account: h.Account.String(), Standing: h.Standing.String(), Since: instant(h.Since)})
	}
	return v
}

func instant(unix int64) string {
	if unix == 0 {
		return ""
	}
	return time.Unix(unix, 0).UTC().Format(time.RFC3339)
}

// locks tells in sentences what failures closed.
func locks(g *authn.Guard, now time.Time) []string {
	var l []string
	if g.Stopped&authn.StopAccount != 0 {
		l = append(l, "The account is stopped: right codes came with wrong first factors, which can mean a stolen token.")
	}
	for _, c := range []authn.Class{authn.ClassUnknown, authn.ClassKnown} {
		where, stop := "new places", authn.StopU
		if c == authn.ClassKnown {
			where, stop = "known places", authn.StopK
		}
		switch {
		case g.Stopped&stop != 0:
			l = append(l, fmt.Sprintf("Single codes from %s are stopped after %d misses in a row; two codes in a row still open.", where, g.Row[c]))
		case g.Waits(c, now):
			l = append(l, fmt.Sprintf("Single codes from %s wait until %s after %d misses in a row; two codes in a row still open.", where, instant(g.Wait[c]), g.Row[c]))
		}
	}
	return l
}

func viewEvent(e *authn.Event) Event {
	v := Event{
		Seq: e.Seq, At: e.At, Kind: "login", User: e.Personal.ShownName(), Client: e.Client, Policy: e.Policy,
		Station: authn.Shown(e.Personal.Station), Act: e.Act, Actor: e.Actor, Detail: e.Detail,
	}
	if e.Account != 0 {
		v.Account = e.Account.String()
	}
	if e.Token != 0 {
		v.Token = e.Token.String()
	}
	if e.Step != token.NoStep && e.Token != 0 {
		step := e.Step
		v.Step = &step
	}
	if e.Personal.Source.IsValid() {
		v.Source = e.Personal.Source.String()
	}
	for _, n := range e.Notices {
		v.Notices = append(v.Notices, n.String())
	}
	if e.Kind == authn.ActEvent {
		v.Kind = "act"
		return v
	}
	v.Verdict, v.Reason, v.Sentence, v.Japanese = e.Verdict.String(), e.Reason.String(), e.Reason.Sentence(), e.Reason.Japanese()
	v.Method, v.Row, v.Class = e.Method.String(), int(e.Row), e.Class.String()
	v.Stages = map[string]string{}
	for name, d := range map[string]time.Duration{"lookup": e.Stages.Lookup, "bind": e.Stages.Bind, "lock": e.Stages.Lock, "total": e.Stages.Total} {
		if d > 0 {
			v.Stages[name] = d.Round(time.Microsecond).String()
		}
	}
	return v
}

// quoted shows a name that came with a call; a long one is cut.
func quoted(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strconv.Quote(s)
}
