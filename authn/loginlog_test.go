package authn

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func BenchmarkLogLine(b *testing.B) {
	a := &Authenticator{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	l := &line{at: time.Now(), client: "vpn-tokyo", name: "user00123", verdict: Accept, reason: OK, row: 9, account: 123456789,
		stages: Stages{Total: 300 * time.Microsecond}, source: netip.MustParseAddr("192.0.2.1")}
	l.shown = uint8(copy(l.station[:], "198.51.100.7"))
	b.ReportAllocs()
	for b.Loop() {
		a.write(l)
	}
}

// TestLogLine: a line says all there is, each with what kept its kind's handler from the line before.
func TestLogLine(t *testing.T) {
	var out strings.Builder
	a := &Authenticator{Log: slog.New(slog.NewTextHandler(&out, nil))}
	one := &line{at: time.Unix(1e9, 0).UTC(), client: "gw", name: "bob", verdict: Accept, reason: OK, row: 9, account: 5,
		stages: Stages{Total: 1500 * time.Microsecond, Lookup: time.Millisecond, Bind: 2 * time.Millisecond}, source: netip.MustParseAddr("192.0.2.1"),
		notices: [8]Notice{NoticeActivated, NoticePair}, reply: "staff", repeat: true, attempts: 3}
	one.shown = uint8(copy(one.station[:], "a\x00\u2028\xffé"))
	two := &line{at: one.at, client: "gw", verdict: Reject, reason: UnknownUser, row: 2, source: netip.MustParseAddr("2001:db8::1")}
	for _, l := range []*line{one, two, one} {
		out.Reset()
		a.write(l)
		want := `time=2001-09-09T01:46:40.000Z level=INFO msg=login client=gw verdict=reject reason=unknown-user row=2 why="The directory knows no such user." ms=0 from=2001:db8::1` + "\n"
		if l == one {
			want = `time=2001-09-09T01:46:40.000Z level=WARN msg=login client=gw verdict=accept reason=ok row=9 why="First factor and code were right." ms=1.5 user=bob account=` +
				one.account.String() + ` station=a???é from=192.0.2.1 reply=staff repeat=true lookup_ms=1 bind_ms=2 notice=activated notice=two-codes attempts=3` + "\n"
		}
		if out.String() != want {
			t.Errorf("\n%swant\n%s", out.String(), want)
		}
	}
	if len(a.kinds) != 2 {
		t.Errorf("%d kinds of lines", len(a.kinds))
	}
}
