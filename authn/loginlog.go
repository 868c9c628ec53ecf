package authn

import (
	"context"
	"log/slog"
	"strings"
	"sync"
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
	reply    string // the rules that decided reply attributes, or why there is no reply
	attempts uint32
}

// level is warn for what operators should see: attempts without an answer, and those that owe somebody a notice.
func level(v Verdict, notices []Notice) slog.Level {
	if v == Discard || len(notices) > 0 {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func (t *attempt) logLine(d Decision, e *Event, notices []Notice) {
	if !t.a.Log.Enabled(context.Background(), level(d.Verdict, notices)) {
		return
	}
	l := line{at: t.a.Now(), client: t.l.Client.Name, verdict: d.Verdict, reason: d.Reason, account: d.Account, repeat: d.Repeat,
		stages: t.stages, notices: notices, source: t.l.Source.Addr().String(), station: printable(t.l.Station)}
	if t.user != nil {
		l.name = t.user.Name
	}
	if e != nil {
		l.row, l.reply = e.Row, e.Detail
	}
	if d.Reason == ReplyMissing && t.noReply != nil {
		l.reply = t.noReply.Error()
	}
	if !t.a.lines.put(l) {
		t.a.Metrics.drop()
	}
}

const (
	linesWaiting = 8192                  // bounds log lines that wait for a slow log
	linesGather  = 20 * time.Millisecond // how long the first line waits for others, so that a login wakes nobody
)

// lines are what waits for the log.
type lines struct {
	some chan struct{} // told when the first line arrives

	mu      sync.Mutex
	waiting []line
}

// put reports false where there is no room.
func (q *lines) put(l line) bool {
	q.mu.Lock()
	n := len(q.waiting)
	if n < linesWaiting {
		q.waiting = append(q.waiting, l)
	}
	q.mu.Unlock()
	if n == 0 {
		select {
		case q.some <- struct{}{}:
		default:
		}
	}
	return n < linesWaiting
}

func (q *lines) take() []line {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
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
	var gathered <-chan time.Time
	for {
		select {
		case <-a.lines.some:
			gathered = time.After(linesGather)
		case <-gathered:
			gathered = nil
			a.writeLines()
		case <-tick.C:
			now := a.Now()
			a.kept.sweep(now)
			a.memos.clean(now)
			a.flushFloods(now)
		case <-ctx.Done():
			a.writeLines()
			a.flushFloods(a.Now().Add(time.Minute))
			return
		}
	}
}

func (a *Authenticator) writeLines() {
	for _, l := range a.lines.take() {
		a.write(l)
	}
}

func (a *Authenticator) write(l line) {
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
	if l.reply != "" {
		args = append(args, "reply", l.reply)
	}
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
	r := slog.NewRecord(l.at, level(l.verdict, l.notices), "login", 0) // at its own time, not the writing's
	r.Add(args...)
	_ = a.Log.Handler().Handle(context.Background(), r)
}
