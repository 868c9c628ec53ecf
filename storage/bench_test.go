package storage

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// BenchmarkUpdate is what storage adds to a login: 256 of them in flight over 1,000 tokens.
func BenchmarkUpdate(b *testing.B) {
	s := newSite(b)
	s.env.Log = slog.New(slog.DiscardHandler)
	db := s.open(b)
	var accounts []*authn.Account
	var tokens []*token.Token
	for i := range 1000 {
		tokens = append(tokens, newToken(b, db, token.HOTP, i))
		accounts = append(accounts, newAccount(fmt.Sprintf("u%d", i), tokens[i]))
	}
	create(b, db, accounts, tokens...)
	window := make(chan struct{}, 256)
	var failed atomic.Int64
	done := func(err error) {
		if err != nil {
			failed.Add(1)
		}
		<-window
	}
	b.ReportAllocs()
	start := time.Now()
	for i := range b.N {
		window <- struct{}{}
		n := i % len(tokens)
		var ok bool
		err := db.Update(authn.Keys{Accounts: []authn.AccountID{accounts[n].ID}}, loginOf(accounts[n].ID, tokens[n].ID, int64(i/len(tokens)), &ok), done)
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
	for range cap(window) {
		window <- struct{}{}
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "logins/s")
	if failed.Load() > 0 {
		b.Errorf("%d not saved", failed.Load())
	}
}
