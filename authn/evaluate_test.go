package authn

import (
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"sekisho/token"
)

// plainKeys are for tests of the rules: seeds lie in plain where sealed ones would.
type plainKeys struct{}

func (plainKeys) OpenSeed(dst []byte, _ token.ID, s token.SealedSeed) ([]byte, error) {
	return append(dst, s.Data...), nil
}

func (plainKeys) Derive(string) [32]byte { return [32]byte{} }

func testToken(id token.ID, seed uint64) *token.Token {
	data := make([]byte, 20)
	binary.BigEndian.PutUint64(data, seed)
	return &token.Token{ID: id, Form: token.Software, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, State: token.InUse, Last: token.NoStep,
		Sealed: token.SealedSeed{Data: data}}
}

// TestCodeOfABurntStepIsAReplay looks for a second token that happens to show what the first one showed last: the text is
// a replay all the same (S16).
func TestCodeOfABurntStepIsAReplay(t *testing.T) {
	a := &Authenticator{Keys: plainKeys{}, Log: slog.New(slog.DiscardHandler)}
	one := testToken(1, 1)
	now := noon
	step := one.StepAt(now)
	code := one.Code(one.Sealed.Data, step)
	two := testToken(2, 2)
	for seed := uint64(2); two.Code(two.Sealed.Data, step) != code; seed++ {
		binary.BigEndian.PutUint64(two.Sealed.Data, seed)
	}
	h := &Held{Tokens: []*token.Token{one, two}}
	policy := &Policy{Window: token.LoginWindow}
	at := func(now time.Time, standings ...token.Standing) evaluation {
		acc := &Account{ID: 1}
		for i, s := range standings {
			acc.Assignments = append(acc.Assignments, token.Assignment{Token: token.ID(i + 1), Standing: s})
		}
		try := newAttempt(a, &Login{}, nil)
		try.policy, try.reading = policy, reading{text: []byte(code), alone: true}
		return *try.evaluate(acc, h, now, false)
	}
	e := at(now, token.Active, token.Active)
	if e.fit != FitsOpen || len(e.fits) != 2 || e.cost != 2*30_000_000_000 {
		t.Errorf("a code of two tokens: %+v", e)
	}
	// What cannot open is evaluated and costs nothing; what can open decides.
	if e = at(now, token.Revoked, token.Active); e.fit != FitsOpen || len(e.fits) != 2 || e.cost != 30_000_000_000 || e.main().token != two {
		t.Errorf("a code of a revoked and an active token: %+v", e)
	}
	if e = at(now, token.Suspended, token.Revoked); e.fit != FitsShut || e.cost != 0 || e.shut != TokenSuspended {
		t.Errorf("a code of tokens that cannot open: %+v", e)
	}
	one.Last = step
	if e = at(now, token.Active, token.Active); e.fit != FitsUsed {
		t.Errorf("the code that token one showed last, on token two: fit %d, want a replay", e.fit)
	}
	one.Last, two.Last = token.NoStep, token.NoStep
	if e = at(now); e.fit != NoTokens {
		t.Errorf("no token at all: fit %d", e.fit)
	}
}
