package authn_test

import (
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// memory is a store of one account without a disk, so that a benchmark sees the login alone.
type memory struct {
	authn.Store
	held *authn.Held
}

func (m *memory) Update(_ authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	if _, err := f(m.held); err != nil {
		return err
	}
	done(nil)
	return nil
}

func (m *memory) View(_ authn.Keys, f func(*authn.Held)) error {
	f(m.held)
	return nil
}

// BenchmarkCodeOnly is one accept by a code alone, without the store's work.
func BenchmarkCodeOnly(b *testing.B) {
	h := newHouse(b, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves = true
	p := h.person("bob", "", 1)
	a := h.account(p)
	h.auth.Store = &memory{Store: h.db, held: &authn.Held{Accounts: []*authn.Account{&a}, Tokens: []*token.Token{p.devices[0].Token}}}
	d := p.devices[0]
	l := h.login(gw, "bob", d.code(h.step(d)), home, nil)
	accepts := 0
	b.ReportAllocs()
	for b.Loop() {
		l.Arrived = time.Now()
		h.auth.Authenticate(l, func(d authn.Decision) {
			if d.Verdict == authn.Accept {
				accepts++
			}
		})
	}
	if accepts != b.N {
		b.Fatalf("%d accepts of %d", accepts, b.N)
	}
}
