package storage

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekisho/authn"
	"sekisho/token"
)

func fullEvent() *authn.Event {
	return &authn.Event{At: time.UnixMicro(1_800_000_000_123_456).UTC(), Kind: authn.LoginEvent, Account: 1 << 62, Verdict: authn.Accept, Reason: authn.OKPending, Row: 9,
		Class: authn.ClassKnown, Method: authn.PAP, Client: "gw", Policy: "staff", Token: 7, Step: 59_000_000, Digest: [16]byte{1}, Nonce: [12]byte{2},
		Notices: []authn.Notice{authn.NoticeActivated, authn.NoticePair}, Stages: authn.Stages{Lookup: time.Microsecond, Bind: time.Second, Lock: 3 * time.Microsecond, Total: time.Minute},
		Burnt: []authn.Burnt{{Token: 7, Last: 59_000_000, Drift: -3, DriftDay: 20_000, Activated: true}, {Token: 8, Last: token.NoStep}},
		Guard: authn.GuardAfter{Row: [2]uint8{1, 2}, Wait: [2]int64{-1, 1 << 40}, TheftRun: 3, Stopped: authn.StopAccount, Charge: authn.Charge{Pot: authn.PotK, Day: 20_001, Amount: 1 << 50},
			Known: authn.KnownSource{Hash: 1 << 63, Day: 20_002}}, GuardSet: true, Count: 81, Act: "a", Actor: "b", Detail: "c"}
}

func TestCoreRoundTrip(t *testing.T) {
	for _, ev := range []*authn.Event{fullEvent(), {At: time.UnixMicro(0).UTC(), Step: token.NoStep}} {
		core, err := appendCore(nil, ev, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got authn.Event
		sum, err := decodeCore(core, &got)
		if err != nil || sum != nil {
			t.Fatal(sum, err)
		}
		if d := cmp.Diff(ev, &got, cmpopts.IgnoreFields(authn.Event{}, "Personal")); d != "" {
			t.Error(d)
		}
		for n := range core {
			if _, err := decodeCore(core[:n], &got); err == nil {
				t.Errorf("a core cut to %d of %d octets was taken", n, len(core))
			}
		}
	}
}

func TestPersonalRoundTrip(t *testing.T) {
	p := authn.Personal{Name: []byte("na\x00me\xff"), Source: netip.MustParseAddrPort("[2001:db8::1]:1812"), Station: []byte("st")}
	b, err := appendPersonal(nil, &p, new(saltStock))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodePersonal(b)
	if err != nil || !bytes.Equal(got.Name, p.Name) || got.Source != p.Source || !bytes.Equal(got.Station, p.Station) {
		t.Errorf("%+v, %v", got, err)
	}
	other, _ := appendPersonal(nil, &p, new(saltStock))
	if personalHash(b) == personalHash(other) {
		t.Error("the same person twice has the same hash: the salt is missing")
	}
}

// FuzzCore feeds anything to the reader of cores: what it takes must come out the same when written again.
func FuzzCore(f *testing.F) {
	core, _ := appendCore(nil, fullEvent(), bytes.Repeat([]byte{9}, hashSize))
	f.Add(core)
	f.Add([]byte{})
	f.Add([]byte{coreVersion, 0xff})
	// The last octet of a core with a count is the count: 1 is written without the field and must not be read from it.
	counted := fullEvent()
	counted.Count = 2
	core, _ = appendCore(nil, counted, nil)
	f.Add(append(core[:len(core)-1:len(core)-1], 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ev authn.Event
		sum, err := decodeCore(b, &ev)
		if err != nil {
			return
		}
		again, err := appendCore(nil, &ev, sum)
		if err != nil {
			t.Fatalf("a core that was read cannot be written: %v", err)
		}
		var second authn.Event
		if _, err := decodeCore(again, &second); err != nil {
			t.Fatalf("a core that was written cannot be read: %v", err)
		}
		if d := cmp.Diff(ev, second, cmpopts.IgnoreFields(authn.Event{}, "Personal")); d != "" {
			t.Error(d)
		}
	})
}

// FuzzRecords feeds anything to the readers of the other records.
func FuzzRecords(f *testing.F) {
	f.Add(appendGuard(nil, &authn.Guard{Charges: []authn.Charge{{Pot: 1, Day: 2, Amount: 3}}, Known: []authn.KnownSource{{Hash: 1}}}))
	f.Add(appendAssignments(nil, []token.Assignment{{Token: 1, Standing: token.Active}}))
	f.Add(appendFramed(appendFramed(nil, []byte("a")), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := decodeGuard(b); err == nil {
			if again, err := decodeGuard(appendGuard(nil, &g)); err != nil || cmp.Diff(g, again) != "" {
				t.Errorf("guard: %v", err)
			}
		}
		if as, err := decodeAssignments(b); err == nil {
			if again, err := decodeAssignments(appendAssignments(nil, as)); err != nil || cmp.Diff(as, again) != "" {
				t.Errorf("assignments: %v", err)
			}
		}
		_, _ = decodePersonal(b)
		for n := range 4 {
			_, _ = frames(b, n)
		}
	})
}
