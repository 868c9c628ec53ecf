package authn

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// line is one attempt on its way to the log. It holds copies, because the login is the caller's again once it is answered.
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
	notices  [8]Notice // more than an event can owe; zeros at the end
	source   netip.Addr
	station  [stationShown]byte
	shown    uint8  // octets of station
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
		stages: t.stages, source: t.l.Source.Addr()}
	copy(l.notices[:], notices)
	l.shown = uint8(copy(l.station[:], t.l.Station))
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
	spare   []line // what the writer gave back
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
	q.waiting, q.spare = q.spare, nil
	return all
}

// giveBack lets the next lines be put where those were that have been written.
func (q *lines) giveBack(written []line) {
	clear(written)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare = written[:0]
}

// stationShown is how much of a Calling-Station-Id the log has, in octets.
const stationShown = 64

// printable makes octets from a packet one short line of text.
func printable(b []byte) string {
	if !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return string(b)
	}
	s := strings.ToValidUTF8(string(b), "?")
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

// Gatherer is a slog.Handler that can write many lines at once.
type Gatherer interface {
	// Gather runs f and writes what is logged meanwhile when f has returned, or a large part of it is there.
	Gather(f func())
}

func (a *Authenticator) writeLines() {
	all := a.lines.take()
	write := func() {
		for i := range all {
			a.write(&all[i])
		}
	}
	if g, ok := a.Log.Handler().(Gatherer); ok {
		g.Gather(write)
	} else {
		write()
	}
	a.lines.giveBack(all)
}

// lineKind is what the lines of very many logins have in common.
type lineKind struct {
	client  string
	verdict Verdict
	reason  Reason
	row     uint8
}

// lineKinds bounds what is kept. Real sites have some dozens.
const lineKinds = 1000

// kind gives a handler that has written the common part already: most of the work of a line. Run alone calls it.
func (a *Authenticator) kind(l *line) slog.Handler {
	k := lineKind{l.client, l.verdict, l.reason, l.row}
	h := a.kinds[k]
	if h == nil {
		if a.kinds == nil || len(a.kinds) >= lineKinds {
			a.kinds = make(map[lineKind]slog.Handler)
		}
		h = a.Log.Handler().WithAttrs([]slog.Attr{slog.String("client", l.client), slog.String("verdict", l.verdict.String()),
			slog.String("reason", l.reason.String()), slog.Int("row", int(l.row)), slog.String("why", l.reason.Sentence())})
		a.kinds[k] = h
	}
	return h
}

func (a *Authenticator) write(l *line) {
	var room [16]slog.Attr
	args := append(room[:0], slog.Float64("ms", milliseconds(l.stages.Total)))
	if l.name != "" {
		args = append(args, slog.String("user", l.name))
	}
	if l.account != 0 {
		args = append(args, slog.String("account", l.account.String()))
	}
	if l.shown > 0 {
		args = append(args, slog.String("station", printable(l.station[:l.shown])))
	}
	args = append(args, slog.String("from", l.source.String()))
	if l.reply != "" {
		args = append(args, slog.String("reply", l.reply))
	}
	if l.repeat {
		args = append(args, slog.Bool("repeat", true))
	}
	if l.stages.Lookup > 0 {
		args = append(args, slog.Float64("lookup_ms", milliseconds(l.stages.Lookup)))
	}
	if l.stages.Bind > 0 {
		args = append(args, slog.Float64("bind_ms", milliseconds(l.stages.Bind)))
	}
	for _, n := range l.owed() {
		args = append(args, slog.String("notice", n.String()))
	}
	if l.attempts > 1 {
		args = append(args, slog.Uint64("attempts", uint64(l.attempts)))
	}
	r := slog.NewRecord(l.at, level(l.verdict, l.owed()), "login", 0) // at its own time, not the writing's
	r.AddAttrs(args...)
	_ = a.kind(l).Handle(context.Background(), r)
}

func (l *line) owed() []Notice {
	n := 0
	for n < len(l.notices) && l.notices[n] != 0 {
		n++
	}
	return l.notices[:n]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
