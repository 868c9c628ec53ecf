package authn

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// line is one attempt on its way to the log.
type line struct {
	at       time.Time
	client   string
	name     string // empty for a name that the directory does not know: people type passwords there
	verdict  Verdict
	reason   Reason
	row      uint8
	account  AccountID
	repeat   bool
	stages   Stages
	notices  []Notice
	source   string
	station  string
	attempts uint32
}

func (t *attempt) logLine(d Decision, e *Event, notices []Notice) {
	l := line{at: t.a.Now(), client: t.l.Client.Name, verdict: d.Verdict, reason: d.Reason, account: d.Account, repeat: d.Repeat,
		stages: t.stages, notices: notices, source: t.l.Source.Addr().String(), station: printable(t.l.Station)}
	if t.user != nil {
		l.name = t.user.Name
	}
	if e != nil {
		l.row = e.Row
	}
	select {
	case t.a.lines <- l:
	default:
		t.a.Metrics.drop()
	}
}

// printable cuts octets from a packet to one short line of text.
func printable(b []byte) string {
	const most = 64
	s := strings.ToValidUTF8(string(b[:min(len(b), most)]), "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
}

// Run writes the log and does the work of each minute until ctx ends. Logins are answered without it too.
func (a *Authenticator) Run(ctx context.Context) {
	a.start()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case l := <-a.lines:
			a.write(l)
		case <-tick.C:
			now := a.Now()
			a.kept.sweep(now)
			a.flushFloods(now)
		case <-ctx.Done():
			for {
				select {
				case l := <-a.lines:
					a.write(l)
				default:
					a.flushFloods(a.Now().Add(time.Minute))
					return
				}
			}
		}
	}
}

func (a *Authenticator) write(l line) {
	level := slog.LevelInfo
	if l.verdict == Discard || len(l.notices) > 0 {
		level = slog.LevelWarn
	}
	args := []any{"client", l.client, "verdict", l.verdict.String(), "reason", l.reason.String(), "row", l.row,
		"ms", float64(l.stages.Total.Microseconds()) / 1000}
	if l.name != "" {
		args = append(args, "user", l.name)
	}
	if l.account != 0 {
		args = append(args, "account", l.account.String())
	}
	if l.station != "" {
		args = append(args, "station", l.station)
	}
	args = append(args, "from", l.source)
	if l.repeat {
		args = append(args, "repeat", true)
	}
	if l.stages.Lookup > 0 {
		args = append(args, "lookup_ms", float64(l.stages.Lookup.Microseconds())/1000)
	}
	if l.stages.Bind > 0 {
		args = append(args, "bind_ms", float64(l.stages.Bind.Microseconds())/1000)
	}
	for _, n := range l.notices {
		args = append(args, "notice", n.String())
	}
	if l.attempts > 1 {
		args = append(args, "attempts", l.attempts)
	}
	args = append(args, "why", l.reason.Sentence())
	a.Log.Log(context.Background(), level, "login", args...)
}
