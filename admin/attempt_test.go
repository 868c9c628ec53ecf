package admin

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sekisho/authn"
	"sekisho/token"
)

// TestPastAttempt tells a refused login in sentences: who, where, by which row, how long, what changed, and the command that
// helps, in both languages.
func TestPastAttempt(t *testing.T) {
	h := newHouse(t)
	h.stock(1, "", "annie")
	a, err := h.db.AccountByName(t.Context(), "corp", "annie")
	if err != nil {
		t.Fatal(err)
	}
	e := &authn.Event{At: h.now(), Kind: authn.LoginEvent, Account: a.ID, Verdict: authn.Reject, Reason: authn.WrongCode, Row: 12, Method: authn.PAP,
		Client: "gw", Policy: "staff", Step: token.NoStep, Stages: authn.Stages{Lookup: 1500 * time.Microsecond, Total: 21 * time.Millisecond},
		GuardSet: true, Guard: authn.GuardAfter{Row: [2]uint8{3, 0}},
		Personal: authn.Personal{Name: []byte(`EXAMPLE\annie`), Station: []byte("198.51.100.7"), Source: netip.MustParseAddrPort("192.0.2.1:1812")}}
	saved := make(chan error, 1)
	err = h.db.Update(authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(*authn.Held) (authn.Change, error) { return authn.Change{Event: e}, nil },
		func(err error) { saved <- err })
	if err != nil {
		t.Fatal(err)
	}
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	var told Told
	h.ok("GET", "/api/v1/logins/"+fmtSeq(h.db.Seq()), nil, &told)
	text, japanese := strings.Join(told.Told, "\n"), strings.Join(told.ToldJA, "\n")
	for _, want := range []string{"annie tried to log in at gateway gw from 198.51.100.7, a new place", "as pap", `typed as "EXAMPLE`, "Policy staff", "reject, by row 12",
		authn.WrongCode.Sentence(), "1.5 ms", "21.0 ms", "Misses in a row from such places: 3", "out of step"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told:\n%s", want, text)
		}
	}
	for _, want := range []string{"利用者 annie", "VPN装置 gw", authn.WrongCode.Japanese(), "連続失敗: 3 回", "ずれ"} {
		if !strings.Contains(japanese, want) {
			t.Errorf("%q is not told:\n%s", want, japanese)
		}
	}
	if len(told.Told) != len(told.ToldJA) || !utf8.ValidString(japanese) || told.Fix != "sekisho token resync TOKEN CODE1 CODE2" {
		t.Errorf("%d and %d sentences, fix %q", len(told.Told), len(told.ToldJA), told.Fix)
	}
	h.no(404, "unknown-event", "GET", "/api/v1/logins/999999", nil)
	h.no(422, "bad-input", "GET", "/api/v1/logins/0", nil)
	h.ok("POST", "/api/v1/tokens/H1/suspend", `{"reason":"holiday"}`, nil)
	h.ok("GET", "/api/v1/logins/"+fmtSeq(h.db.Seq()), nil, &told)
	if text := strings.Join(told.Told, "\n"); !strings.Contains(text, `"root" did assignment.suspend`) || !strings.Contains(text, "holiday") {
		t.Errorf("an act: %s", text)
	}
}

// TestHelpsAreWhole: each reason that has help has it in both languages, and commands name only what an event has.
func TestHelpsAreWhole(t *testing.T) {
	for reason, h := range helps {
		if h.english == "" || h.japanese == "" {
			t.Errorf("%v lacks a language", reason)
		}
		if h.command != "" && !strings.HasPrefix(h.command, "sekisho ") {
			t.Errorf("%v: %q", reason, h.command)
		}
	}
}
