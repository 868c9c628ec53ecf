package storage

import (
	"log/slog"
	"testing"
	"time"

	"sekisho/authn"
)

// BenchmarkRecords is what 100,000 records of a kind cost: one more change, pages, and a start.
func BenchmarkRecords(b *testing.B) {
	const n, data = 100_000, 400
	s := newSite(b)
	s.env.Log = slog.New(slog.DiscardHandler)
	db := s.open(b)
	begun := time.Now()
	for from := 0; from < n; from += 1000 {
		var page []*authn.Record
		for i := range 1000 {
			page = append(page, &authn.Record{RecordKey: recordKey(authn.MessageRecord, newID()), Account: authn.AccountID(from + i + 1), State: 1, Due: int64(from+i) + 1,
				Lookup: [16]byte{byte(i), byte(i >> 8), byte(from), byte(from >> 8), byte(from >> 16)}, Data: make([]byte, data)})
		}
		mustPut(b, db, page...)
	}
	b.Logf("filled in %v", time.Since(begun))
	page := func(q authn.RecordQuery) func(*testing.B) {
		return func(b *testing.B) {
			q.Kind = authn.MessageRecord
			for b.Loop() {
				if _, err := db.Records(q); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("page", page(authn.RecordQuery{After: 1 << 62}))
	b.Run("newest", page(authn.RecordQuery{Newest: true}))
	b.Run("due/none", page(authn.RecordQuery{DueBy: 0, States: []uint8{9}, Account: 5}))
	b.Run("due/few", page(authn.RecordQuery{DueBy: 100}))
	b.Run("due/half", page(authn.RecordQuery{DueBy: n / 2}))
	b.Run("state/none", page(authn.RecordQuery{States: []uint8{9}}))
	b.Run("account", page(authn.RecordQuery{Account: 777}))
	b.Run("change", func(b *testing.B) {
		r := &authn.Record{RecordKey: recordKey(authn.MessageRecord, 1<<62+1), Data: make([]byte, data)}
		for i := 0; b.Loop(); i++ {
			r.Due = int64(i)
			mustPut(b, db, r)
		}
	})
	closeDB(b, db)
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			closeDB(b, s.open(b))
		}
	})
}
