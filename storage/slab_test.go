package storage

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"sekisho/authn"
	"sekisho/token"
)

func drawAccount(t *rapid.T, id uint64) *authn.Account {
	text := rapid.StringN(0, 12, -1)
	a := &authn.Account{ID: authn.AccountID(id), Directory: rapid.SampledFrom([]string{"", "corp", "x"}).Draw(t, "directory"),
		External: text.Draw(t, "external"), Generation: rapid.Uint32().Draw(t, "generation")}
	if a.Name = a.External; rapid.Bool().Draw(t, "named") {
		a.Name = text.Draw(t, "name")
	}
	for range rapid.IntRange(0, 4).Draw(t, "holds") {
		a.Assignments = append(a.Assignments, token.Assignment{Token: token.ID(rapid.Uint64().Draw(t, "token")),
			Standing: token.Standing(rapid.IntRange(1, 4).Draw(t, "standing")), Since: rapid.Int64().Draw(t, "since")})
	}
	if rapid.Bool().Draw(t, "pin") {
		a.PIN.Salt[3], a.PIN.Sum[7] = 1, rapid.Byte().Draw(t, "sum")
	}
	a.Spare = rapid.Bool().Draw(t, "spare")
	g := &a.Guard
	if rapid.Bool().Draw(t, "counts") {
		g.Row, g.TheftRun, g.Stopped = [2]uint8{rapid.Byte().Draw(t, "row"), 1}, 2, authn.StopK
		g.Wait = [2]int64{rapid.Int64().Draw(t, "wait"), 0}
	}
	g.Digits = rapid.Byte().Draw(t, "digits")
	for range rapid.IntRange(0, 3).Draw(t, "charges") {
		g.Charges = append(g.Charges, authn.Charge{Pot: authn.PotK, Day: rapid.Uint16().Draw(t, "day"), Amount: rapid.Int64().Draw(t, "amount")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "known") {
		g.Known = append(g.Known, authn.KnownSource{Hash: rapid.Uint64Min(1).Draw(t, "source"), Day: rapid.Uint16().Draw(t, "seen")})
	}
	return a
}

func drawToken(t *rapid.T, id uint64) *token.Token {
	tok := &token.Token{ID: token.ID(id), Serial: rapid.StringN(0, 8, 60).Draw(t, "serial"), CredentialID: rapid.StringN(0, 3, 60).Draw(t, "credential"),
		Name: rapid.StringN(0, 8, 60).Draw(t, "label"), Form: token.Hardware, Mode: token.HOTP, Hash: token.SHA256, Digits: 8,
		State: rapid.SampledFrom([]token.State{token.InStock, token.InUse, token.Destroyed}).Draw(t, "state"),
		Start: rapid.Int64().Draw(t, "start"), Expiry: rapid.Int64().Draw(t, "expiry"), Last: rapid.Int64Min(-1).Draw(t, "last"),
		Drift: int16(rapid.IntRange(-32768, 32767).Draw(t, "drift")), DriftDay: rapid.Uint16().Draw(t, "drift day")}
	tok.Fingerprint[0], tok.Fingerprint[1] = byte(id), byte(id>>8)
	tok.Sealed.Version = rapid.Uint32().Draw(t, "version")
	if data := rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "seed"); len(data) > 0 {
		tok.Sealed.Data = data
	}
	return tok
}

// TestSlabRoundTrip puts images into records, replaces some, writes the slabs down and loads them: everything is as it was.
func TestSlabRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := newState()
		accounts, tokens := map[uint32]*authn.Account{}, map[uint32]*token.Token{}
		for range rapid.IntRange(1, 12).Draw(t, "puts") {
			slot := rapid.Uint32Range(0, 5).Draw(t, "place") * 25
			st.accounts.extend(slot/slabSize + 1)
			st.tokens.extend(slot/slabSize + 1)
			a, tok := drawAccount(t, uint64(slot)+1), drawToken(t, uint64(slot)+1)
			a.External += string(rune('a' + slot)) // one account for one user
			st.putAccount(slot, a)
			st.putToken(slot, tok)
			accounts[slot], tokens[slot] = a, tok
		}
		again := newState()
		var im accountImage
		for n := range st.tokens.count {
			if err := again.loadTokenSlab(n, 1, st.appendTokenSlab(nil, n)); err != nil {
				t.Fatal(err)
			}
			if err := again.loadTokenState(n, 1, st.appendTokenState(nil, n)); err != nil {
				t.Fatal(err)
			}
		}
		for n := range st.accounts.count {
			if err := again.loadAccountSlab(n, 1, st.appendAccountSlab(nil, n, &im)); err != nil {
				t.Fatal(err)
			}
			if err := again.loadAccountState(n, 1, st.appendAccountState(nil, n, &im)); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []*state{st, again} {
			if s.accountIDs.n != len(accounts) || s.users.n != len(accounts) || s.tokenIDs.n != len(tokens) {
				t.Fatalf("%d accounts, %d users, %d tokens, want %d and %d", s.accountIDs.n, s.users.n, s.tokenIDs.n, len(accounts), len(tokens))
			}
			for slot, want := range accounts {
				if d := cmp.Diff(want, s.copyAccountIn(slot), cmpopts.EquateEmpty()); d != "" {
					t.Fatal(d)
				}
				if got, ok := s.userSlot(want.Directory, want.External); !ok || got != slot {
					t.Fatalf("user %q is in slot %d, want %d", want.External, got, slot)
				}
			}
			for slot, want := range tokens {
				var got token.Token
				s.openToken(s.tokens.at(slot), &got)
				if d := cmp.Diff(want, &got, cmpopts.EquateEmpty()); d != "" {
					t.Fatal(d)
				}
			}
		}
	})
}

// FuzzSlabRows gives rows that nobody wrote: an error or a slab, never a panic, and a slab is written as it was read.
func FuzzSlabRows(f *testing.F) {
	st := newState()
	st.putToken(st.tokens.take(), &token.Token{ID: 7, Serial: "s", State: token.InUse, Last: 3, Sealed: token.SealedSeed{Version: 1, Data: []byte("x")}})
	a := &authn.Account{ID: 5, External: "e", Name: "n", Assignments: []token.Assignment{{Token: 7, Standing: token.Active, Since: 1}}}
	a.Guard.Charges = []authn.Charge{{Pot: authn.PotU, Day: 2, Amount: 3}}
	st.putAccount(st.accounts.take(), a)
	var im accountImage
	f.Add(st.appendTokenSlab(nil, 0), st.appendTokenState(nil, 0), st.appendAccountSlab(nil, 0, &im), st.appendAccountState(nil, 0, &im))
	f.Fuzz(func(t *testing.T, tokens, steps, accounts, guards []byte) {
		st := newState()
		if st.loadTokenSlab(0, 1, tokens) != nil || st.loadTokenState(0, 1, steps) != nil ||
			st.loadAccountSlab(0, 1, accounts) != nil || st.loadAccountState(0, 1, guards) != nil {
			return
		}
		again := newState()
		var im accountImage
		rows := st.appendAccountSlab(nil, 0, &im)
		if err := again.loadTokenSlab(0, 1, st.appendTokenSlab(nil, 0)); err != nil {
			t.Fatal(err)
		}
		if err := again.loadAccountSlab(0, 1, rows); err != nil {
			t.Fatal(err)
		}
		if got := again.appendAccountSlab(nil, 0, &im); !bytes.Equal(got, rows) {
			t.Fatalf("%x, want %x", got, rows)
		}
	})
}

// TestLoginAllocatesNothing is over the whole of Update with commits going on; what a commit allocates is spread over the
// logins in it and does not count.
func TestLoginAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	_, db, _, a, tok := withFaults(t)
	keys := authn.Keys{Accounts: []authn.AccountID{a.ID}}
	ev := authn.Event{At: time.Now(), Kind: authn.LoginEvent, Account: a.ID, Client: "vpn", Policy: "p", Token: tok.ID, GuardSet: true,
		Digest: [16]byte{1}, Personal: authn.Personal{Name: []byte("u"), Station: []byte("st")}}
	burnt := [1]authn.Burnt{{Token: tok.ID}}
	f := func(h *authn.Held) (authn.Change, error) {
		burnt[0].Last = h.Tokens[0].Last + 1
		ev.Step, ev.Burnt, ev.Guard = burnt[0].Last, burnt[:], h.Accounts[0].Guard.After()
		ev.Guard.Known = authn.KnownSource{Hash: 9, Day: 3}
		return authn.Change{Event: &ev}, nil
	}
	answers := make(chan error, 1)
	done := func(err error) { answers <- err }
	// The commits' own garbage is kept out by holding the committer: logins gather behind it.
	hold, held := make(chan struct{}), make(chan struct{})
	if err := db.enqueue(&entry{done: func(error) { close(held); <-hold }}); err != nil {
		t.Fatal(err)
	}
	<-held
	dropped := func(error) {}
	for range 600 { // room for the queue and the entries
		if err := db.Update(keys, f, dropped); err != nil {
			t.Fatal(err)
		}
	}
	close(hold)
	if err := db.Update(keys, f, done); err != nil {
		t.Fatal(err)
	}
	if err := <-answers; err != nil {
		t.Fatal(err)
	}
	hold, held = make(chan struct{}), make(chan struct{})
	if err := db.enqueue(&entry{done: func(error) { close(held); <-hold }}); err != nil {
		t.Fatal(err)
	}
	<-held
	n := testing.AllocsPerRun(400, func() {
		if err := db.Update(keys, f, dropped); err != nil {
			t.Error(err)
		}
	})
	close(hold)
	if n != 0 {
		t.Errorf("%v allocations per login", n)
	}
	digest := func() { _ = db.secrets.keyed(1, ev.Digest[:], ev.Personal.Name) }
	if n := testing.AllocsPerRun(100, digest); n != 0 {
		t.Errorf("%v allocations per keyed hash", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = db.AccountOf(a.Directory, a.External) }); n != 0 {
		t.Errorf("%v allocations per search for an account", n)
	}
}
