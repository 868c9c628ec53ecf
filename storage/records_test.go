package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"sekisho/authn"
	"sekisho/token"
)

func recordKey(kind authn.RecordKind, id uint64) authn.RecordKey {
	return authn.RecordKey{Kind: kind, ID: id}
}

// change runs one Update that orders what f makes of the held records.
func change(s authn.Store, f func(held []*authn.Record) authn.Change, keys ...authn.RecordKey) error {
	return update(s, authn.Keys{Records: keys}, func(h *authn.Held) (authn.Change, error) { return f(h.Records), nil })
}

func put(s authn.Store, records ...*authn.Record) error {
	var keys []authn.RecordKey
	for _, r := range records {
		keys = append(keys, r.RecordKey)
	}
	return change(s, func([]*authn.Record) authn.Change { return authn.Change{Records: records} }, keys...)
}

func mustPut(t testing.TB, s authn.Store, records ...*authn.Record) {
	t.Helper()
	if err := put(s, records...); err != nil {
		t.Fatal(err)
	}
}

func recordImage(db *DB) string {
	var b bytes.Buffer
	for kind := authn.HolderRecord; kind.Valid(); kind++ {
		for after := uint64(0); ; {
			page, err := db.Records(authn.RecordQuery{Kind: kind, After: after, Limit: 1000})
			if err != nil {
				return err.Error()
			}
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				after = r.ID
				fmt.Fprintf(&b, "%+v found by lookup as %d\n", *r, db.RecordOf(kind, r.Lookup))
			}
		}
	}
	return b.String()
}

func testRecords(t *testing.T, db *DB) {
	k := recordKey(authn.ActivationRecord, 7)
	if _, err := db.Record(k); !errors.Is(err, authn.ErrNotFound) {
		t.Errorf("before it is made: %v", err)
	}
	first := &authn.Record{RecordKey: k, Account: 3, State: 2, Due: 40, Lookup: [16]byte{1}, Data: []byte("first")}
	mustPut(t, db, first)
	got, err := db.Record(k)
	if err != nil || got.Version == 0 || got.Account != 3 || got.State != 2 || got.Due != 40 || string(got.Data) != "first" || db.RecordOf(k.Kind, first.Lookup) != 7 {
		t.Fatalf("%+v, %v", got, err)
	}
	got.Data[0], got.State = 'X', 9 // a copy
	err = change(db, func(held []*authn.Record) authn.Change {
		if len(held) != 2 || held[1] != nil || string(held[0].Data) != "first" || held[0].State != 2 {
			t.Errorf("held: %+v", held)
		}
		held[0].Data[0] = 'X' // f's own copy
		return authn.Change{}
	}, k, recordKey(authn.ActivationRecord, 8))
	if again, _ := db.Record(k); err != nil || string(again.Data) != "first" || again.Version != first.Version {
		t.Errorf("after readers wrote into their copies: %+v, %v", again, err)
	}
	second := &authn.Record{RecordKey: k, Lookup: [16]byte{2}}
	mustPut(t, db, second)
	if got, _ = db.Record(k); got.Version == first.Version || got.Data != nil || db.RecordOf(k.Kind, first.Lookup) != 0 || db.RecordOf(k.Kind, second.Lookup) != 7 {
		t.Errorf("replaced: %+v", got)
	}
	if err := change(db, func([]*authn.Record) authn.Change { return authn.Change{Gone: []authn.RecordKey{k}} }, k); err != nil {
		t.Error(err)
	}
	if _, err := db.Record(k); !errors.Is(err, authn.ErrNotFound) || db.RecordOf(k.Kind, second.Lookup) != 0 {
		t.Errorf("gone: %v", err)
	}
	third := &authn.Record{RecordKey: k}
	mustPut(t, db, third)
	if v := third.Version; v == first.Version || v == second.Version {
		t.Error("a record made again has a version of before")
	}
}

func testRecordRules(t *testing.T, db *DB) {
	at := func(id uint64, lookup byte) *authn.Record {
		return &authn.Record{RecordKey: recordKey(authn.RequestRecord, id), Lookup: [16]byte{lookup}}
	}
	key := func(id uint64) authn.RecordKey { return recordKey(authn.RequestRecord, id) }
	mustPut(t, db, at(1, 1), at(2, 2), at(3, 0), at(4, 0))
	other := at(5, 1)
	other.Kind = authn.KeyRecord
	mustPut(t, db, other) // the same secret in another kind
	for _, c := range []struct {
		name   string
		change authn.Change
		exists bool
		keys   []authn.RecordKey
	}{
		{"one that is not held", authn.Change{Records: []*authn.Record{at(1, 1)}}, true, nil},
		{"one that is not held goes", authn.Change{Gone: []authn.RecordKey{key(1)}}, false, nil},
		{"one that is not there goes", authn.Change{Gone: []authn.RecordKey{key(9)}}, false, []authn.RecordKey{key(9)}},
		{"a secret that is taken", authn.Change{Records: []*authn.Record{at(9, 1)}}, true, nil},
		{"a secret of another held one", authn.Change{Records: []*authn.Record{at(1, 2)}}, true, []authn.RecordKey{key(1), key(2)}},
		{"one secret twice", authn.Change{Records: []*authn.Record{at(8, 8), at(9, 8)}}, true, nil},
		{"one record twice", authn.Change{Records: []*authn.Record{at(9, 0), at(9, 0)}}, false, nil},
		{"made and gone", authn.Change{Records: []*authn.Record{at(1, 1)}, Gone: []authn.RecordKey{key(1)}}, false, []authn.RecordKey{key(1)}},
		{"gone twice", authn.Change{Gone: []authn.RecordKey{key(1), key(1)}}, false, []authn.RecordKey{key(1)}},
		{"no kind", authn.Change{Records: []*authn.Record{{RecordKey: authn.RecordKey{ID: 1}}}}, false, nil},
		{"no ID", authn.Change{Records: []*authn.Record{at(0, 0)}}, false, nil},
		{"an ID too large", authn.Change{Records: []*authn.Record{at(1<<63, 0)}}, false, nil},
		{"too long", authn.Change{Records: []*authn.Record{{RecordKey: key(9), Data: make([]byte, maxRecord+1)}}}, false, nil},
		{"more events without a first", authn.Change{Records: []*authn.Record{at(9, 0)}, More: []*authn.Event{act("x")}}, false, nil},
		{"a further event that burns", authn.Change{Event: act("x"), Records: []*authn.Record{at(9, 0)}, More: []*authn.Event{{Kind: authn.ActEvent, Burnt: []authn.Burnt{{}}}}}, false, nil},
		{"a further event that counts", authn.Change{Event: act("x"), Records: []*authn.Record{at(9, 0)}, More: []*authn.Event{{Kind: authn.ActEvent, GuardSet: true}}}, false, nil},
		{"a further login", authn.Change{Event: act("x"), Records: []*authn.Record{at(9, 0)}, More: []*authn.Event{{Kind: authn.LoginEvent}}}, false, nil},
		{"an account that is not held", authn.Change{Event: &authn.Event{Kind: authn.LoginEvent, Account: 5, GuardSet: true}, Records: []*authn.Record{at(9, 0)}}, false, nil},
	} {
		before, seq := image(db), db.Seq()
		err := change(db, func([]*authn.Record) authn.Change { return c.change }, c.keys...)
		if err == nil || errors.Is(err, authn.ErrExists) != c.exists || image(db) != before || db.Seq() != seq {
			t.Errorf("%s: error %v, anything changed: %v", c.name, err, image(db) != before || db.Seq() != seq)
		}
	}
	// Two held ones may swap their secrets, and one may take that of one that goes.
	mustPut(t, db, at(1, 2), at(2, 1))
	if db.RecordOf(authn.RequestRecord, [16]byte{1}) != 2 || db.RecordOf(authn.RequestRecord, [16]byte{2}) != 1 {
		t.Error("two records could not swap their secrets")
	}
	err := change(db, func([]*authn.Record) authn.Change {
		return authn.Change{Records: []*authn.Record{at(9, 1)}, Gone: []authn.RecordKey{key(2)}}
	}, key(2))
	if err != nil || db.RecordOf(authn.RequestRecord, [16]byte{1}) != 9 {
		t.Errorf("the secret of one that goes: %v", err)
	}
}

// testRecordsOnce counts in one record from 64 goroutines, and lets 64 make the same one.
func testRecordsOnce(t *testing.T, db *DB) {
	const workers, times = 64, 50
	k := recordKey(authn.JobRecord, 1)
	mustPut(t, db, &authn.Record{RecordKey: k, Data: make([]byte, 8)})
	var made, versions atomic.Int64
	var seen sync.Map
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range times {
				var next *authn.Record
				err := change(db, func(held []*authn.Record) authn.Change {
					next = held[0]
					binary.BigEndian.PutUint64(next.Data, binary.BigEndian.Uint64(next.Data)+1)
					return authn.Change{Records: []*authn.Record{next}}
				}, k)
				if err != nil {
					t.Error(err)
				}
				if _, twice := seen.LoadOrStore(next.Version, true); !twice {
					versions.Add(1)
				}
			}
			err := change(db, func([]*authn.Record) authn.Change {
				return authn.Change{Records: []*authn.Record{{RecordKey: recordKey(authn.JobRecord, 2)}}}
			})
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, authn.ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r, err := db.Record(k)
	if err != nil || binary.BigEndian.Uint64(r.Data) != workers*times || versions.Load() != workers*times || made.Load() != 1 {
		t.Errorf("counted to %d of %d, %d versions, made %d times: %v", binary.BigEndian.Uint64(r.Data), workers*times, versions.Load(), made.Load(), err)
	}
}

// testRecordPages compares pages with what a plain search over all records finds.
func testRecordPages(t *testing.T, db *DB) {
	rng := rand.New(rand.NewPCG(1, 2))
	var all []*authn.Record
	for range 400 {
		r := &authn.Record{RecordKey: recordKey(authn.MessageRecord, rng.Uint64()>>1|1), Account: authn.AccountID(rng.IntN(4)), State: uint8(rng.IntN(3)), Due: rng.Int64N(100) * int64(rng.IntN(2))}
		all = append(all, r)
	}
	mustPut(t, db, all...)
	for i := range 100 { // what is indexed moves
		all[i].Account, all[i].Due = authn.AccountID(rng.IntN(4)), rng.Int64N(100)*int64(rng.IntN(2))
	}
	mustPut(t, db, all[:100]...)
	var gone []authn.RecordKey
	for _, r := range all[300:] {
		gone = append(gone, r.RecordKey)
	}
	if err := change(db, func([]*authn.Record) authn.Change { return authn.Change{Gone: gone} }, gone...); err != nil {
		t.Fatal(err)
	}
	all = all[:300]
	slices.SortFunc(all, compareID)
	for _, q := range []authn.RecordQuery{
		{}, {Account: 2}, {States: []uint8{1, 2}}, {DueBy: 3}, {DueBy: 90}, {Account: 1, States: []uint8{0}, DueBy: 50}, {Account: 77},
	} {
		for _, newest := range []bool{false, true} {
			q.Kind, q.Newest, q.Limit, q.After, q.Before = authn.MessageRecord, newest, 7, 0, 0
			var want, got []uint64
			for _, r := range all {
				if (q.Account == 0 || r.Account == q.Account) && (q.States == nil || slices.Contains(q.States, r.State)) && (q.DueBy == 0 || r.Due > 0 && r.Due <= q.DueBy) {
					want = append(want, r.ID)
				}
			}
			if newest {
				slices.Reverse(want)
			}
			for {
				page, err := db.Records(q)
				if err != nil || len(page) > q.Limit {
					t.Fatal(len(page), err)
				}
				if len(page) == 0 {
					break
				}
				for _, r := range page {
					got = append(got, r.ID)
				}
				if newest {
					q.Before = page[len(page)-1].ID
				} else {
					q.After = page[len(page)-1].ID
				}
			}
			if !slices.Equal(got, want) || q.Account != 77 && len(want) == 0 {
				t.Errorf("%+v: %d records, want %d", q, len(got), len(want))
			}
		}
	}
	for _, q := range []authn.RecordQuery{{After: 1<<64 - 1}, {After: all[9].ID, Before: all[9].ID}, {DueBy: 1<<63 - 1, Account: 77}} {
		q.Kind = authn.MessageRecord
		if page, err := db.Records(q); err != nil || len(page) != 0 {
			t.Errorf("%+v: %d records, %v", q, len(page), err)
		}
	}
	if page, err := db.Records(authn.RecordQuery{Kind: authn.MessageRecord, DueBy: 1<<63 - 1}); err != nil || len(page) != 100 {
		t.Errorf("due ever: %d records, %v", len(page), err)
	}
	if page, err := db.Records(authn.RecordQuery{Kind: authn.MessageRecord}); err != nil || len(page) != 100 {
		t.Errorf("a page without a limit: %d, %v", len(page), err)
	}
	if _, err := db.Records(authn.RecordQuery{}); err == nil {
		t.Error("records of no kind were listed")
	}
}

// testMore writes several events of one act.
func testMore(t *testing.T, db *DB) {
	r := &authn.Record{RecordKey: recordKey(authn.RequestRecord, 1)}
	ch := authn.Change{Event: act("a"), Records: []*authn.Record{r}}
	for i := range 3 {
		ev := act(fmt.Sprint("b", i))
		ev.Account, ev.Personal.Name = authn.AccountID(100+i), fmt.Appendf(nil, "name %d", i)
		ch.More = append(ch.More, ev)
	}
	var wg sync.WaitGroup
	for range 20 { // other acts before, beside and behind
		wg.Go(func() {
			if err := update(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) { return authn.Change{Event: act("z")}, nil }); err != nil {
				t.Error(err)
			}
		})
	}
	if err := change(db, func([]*authn.Record) authn.Change { return ch }); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	events, err := db.Logins(context.Background(), LoginFilter{Acts: true})
	slices.Reverse(events)
	at := slices.IndexFunc(events, func(ev authn.Event) bool { return ev.Act == "a" })
	if err != nil || len(events) != 24 || at < 0 || ch.Event.Seq != events[at].Seq {
		t.Fatalf("%d events, the act's first at %d: %v", len(events), at, err)
	}
	for i, ev := range ch.More {
		got := events[at+1+i]
		if got.Act != ev.Act || got.Account != ev.Account || string(got.Personal.Name) != string(ev.Personal.Name) || got.Seq != ch.Event.Seq+1+uint64(i) || ev.Seq != got.Seq {
			t.Errorf("behind the first: %+v, want %+v", got, ev)
		}
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestRecordsSurvive stops, crashes and restores.
func TestRecordsSurvive(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	var all []*authn.Record
	for i := range uint64(50) {
		all = append(all, &authn.Record{RecordKey: recordKey(authn.RecordKind(1+i%14), 1<<62+i), Account: authn.AccountID(i % 3), State: uint8(i), Due: int64(i), Lookup: [16]byte{byte(i)}, Data: fmt.Appendf(nil, "canary-%d", i)})
	}
	mustPut(t, db, all...)
	gone := all[0].RecordKey
	if err := change(db, func([]*authn.Record) authn.Change {
		return authn.Change{Event: act("x"), More: []*authn.Event{act("y")}, Gone: []authn.RecordKey{gone}}
	}, gone); err != nil {
		t.Fatal(err)
	}
	live := recordImage(db)
	eventually(t, "the commits", func() bool { return db.queue.length() == 0 })
	crashed := s.copySite(t).open(t)
	if got := recordImage(crashed); got != live {
		t.Errorf("after a crash:\n%s\nlive:\n%s", got, live)
	}
	path := filepath.Join(s.dir, "copy.db")
	if _, err := db.Snapshot(context.Background(), path, nil); err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	for _, suffix := range []string{"", "-wal"} {
		if b, _ := os.ReadFile(s.cfg.Path + suffix); bytes.Contains(b, []byte("canary-")) {
			t.Errorf("data of records lies in clear in the database%s", suffix)
		}
	}
	db = s.open(t)
	if got := recordImage(db); got != live {
		t.Errorf("after a clean stop:\n%s\nlive:\n%s", got, live)
	}
	old, err := db.Record(all[1].RecordKey)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{old.Version: true}
	for range 3 {
		mustPut(t, db, all[1])
		if seen[all[1].Version] {
			t.Error("a version came again after a start")
		}
		seen[all[1].Version] = true
	}
	closeDB(t, db)
	if _, err := Restore(context.Background(), s.cfg, s.outer, s.env, bytes.NewReader(copied), true, "root", 1); err != nil {
		t.Fatal(err)
	}
	if got := recordImage(s.open(t)); got != live {
		t.Errorf("restored:\n%s\nlive:\n%s", got, live)
	}
}

// TestRecordsBound changes columns of the file by hand: the next start refuses what is not what was written.
func TestRecordsBound(t *testing.T) {
	for _, set := range []string{"state = 9", "account = 9", "due = 9", "version = 9", "id = 9", "kind = 7", "lookup = x'00000000000000000000000000000001'", "data = x'00'"} {
		s := newSite(t)
		db := s.open(t)
		mustPut(t, db, &authn.Record{RecordKey: recordKey(authn.OperatorRecord, 5), Data: []byte("master")})
		if _, err := other(t, db).Exec("update record set " + set); err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
		if db, err := Open(context.Background(), s.cfg, s.outer, s.env); err == nil {
			_ = db.Close()
			t.Errorf("%s: nobody noticed", set)
		}
	}
}

// TestRecordsOverAFault takes back what a failed commit did not save, and keeps what it did.
func TestRecordsOverAFault(t *testing.T) {
	_, db, f, _, _ := withFaults(t)
	k := recordKey(authn.KeyRecord, 1)
	mustPut(t, db, &authn.Record{RecordKey: k, State: 1, Lookup: [16]byte{1}})
	before := recordImage(db)
	seq := db.Seq()
	f.times(1, func(func() error) error { return errDisk })
	lost := &authn.Record{RecordKey: k, State: 2, Lookup: [16]byte{2}}
	err := change(db, func([]*authn.Record) authn.Change {
		return authn.Change{Event: act("x"), More: []*authn.Event{act("y")}, Records: []*authn.Record{lost}}
	}, k)
	if err == nil {
		t.Fatal("a change that was not saved was acknowledged")
	}
	recovered(t, db)
	if got := recordImage(db); got != before || db.Seq() != seq {
		t.Errorf("after the fault:\n%s\nbefore:\n%s", got, before)
	}
	f.times(1, func(commit func() error) error { _ = commit(); return errDisk })
	kept := &authn.Record{RecordKey: k, State: 3}
	if err := put(db, kept); err != nil {
		t.Errorf("a commit that the file shows to stand: %v", err)
	}
	recovered(t, db)
	if r, err := db.Record(k); err != nil || r.State != 3 || r.Version == lost.Version {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestRecordRefused has one row refused among several changes of a batch: none of that change stays, its events neither.
func TestRecordRefused(t *testing.T) {
	_, db, f, a, tok := withFaults(t)
	if _, err := other(t, db).Exec(`create trigger bad before insert on record when new.state = 66 begin select raise(abort, 'no'); end`); err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.set(func(commit func() error) error {
		once.Do(func() { close(entered); <-leave })
		return commit()
	})
	results := make(chan string, 10)
	order := func(name string, state uint8) {
		err := db.Update(authn.Keys{}, func(*authn.Held) (authn.Change, error) {
			r := &authn.Record{RecordKey: recordKey(authn.JobRecord, newID()), State: state}
			return authn.Change{Event: act(name), More: []*authn.Event{act(name + "+"), act(name + "++")}, Records: []*authn.Record{r}}, nil
		}, func(err error) { results <- fmt.Sprint(name, " ", err == nil) })
		if err != nil {
			t.Error(err)
		}
	}
	order("before", 1)
	<-entered // the rest gathers in one batch
	order("good", 1)
	order("bad", 66)
	close(leave)
	got := map[string]bool{}
	for range 3 {
		got[<-results] = true
	}
	if !got["before true"] || !got["good true"] || !got["bad false"] {
		t.Errorf("%v", got)
	}
	recovered(t, db)
	page, err := db.Records(authn.RecordQuery{Kind: authn.JobRecord})
	events, err2 := db.Logins(context.Background(), LoginFilter{Acts: true})
	if err != nil || err2 != nil || len(page) != 2 || len(events) != 7 {
		t.Errorf("%d records, %d events; %v, %v", len(page), len(events), err, err2)
	}
	if ok, err := burn(db, a.ID, tok.ID, 1); !ok || err != nil {
		t.Errorf("afterwards: %v, %v", ok, err)
	}
	if _, err := db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestMoreInReplay writes several events of one act between logins whose rows are behind, and starts after a crash.
func TestMoreInReplay(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	tok := newToken(t, db, token.HOTP, 1)
	a := newAccount("u", tok)
	create(t, db, []*authn.Account{a}, tok)
	for step := range int64(3) {
		if ok, err := burn(db, a.ID, tok.ID, step); !ok || err != nil {
			t.Fatal(ok, err)
		}
		err := update(db, authn.Keys{Accounts: []authn.AccountID{a.ID}}, func(h *authn.Held) (authn.Change, error) {
			x := *h.Accounts[0]
			x.Generation++
			ev := act("x")
			ev.Account = a.ID
			return authn.Change{Event: ev, More: []*authn.Event{act("y"), act("z")}, Accounts: []*authn.Account{&x}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	live := image(db)
	eventually(t, "the commits", func() bool { return db.queue.length() == 0 })
	crashed := s.copySite(t).open(t)
	if got := image(crashed); got != live || crashed.Seq() != 13 {
		t.Errorf("event %d, after a crash:\n%s\nlive:\n%s", crashed.Seq(), got, live)
	}
	if ok, err := burn(crashed, a.ID, tok.ID, 2); ok || err != nil {
		t.Errorf("a used step: %v, %v", ok, err)
	}
}

// TestLowSpaceRecords keeps room for logins.
func TestLowSpaceRecords(t *testing.T) {
	s := newSite(t)
	db := s.open(t)
	k := recordKey(authn.ReplyRecord, 1)
	mustPut(t, db, &authn.Record{RecordKey: k})
	closeDB(t, db)
	s.cfg.FreeSpace = 1 << 40 // MiB: more than any disk has
	db = s.open(t)
	if err := put(db, &authn.Record{RecordKey: k}); !errors.Is(err, ErrLowSpace) {
		t.Errorf("a record on a disk that is nearly full: %v", err)
	}
	login := &authn.Event{Kind: authn.LoginEvent}
	if err := change(db, func([]*authn.Record) authn.Change {
		return authn.Change{Event: login, Records: []*authn.Record{{RecordKey: k}}}
	}, k); err != nil {
		t.Errorf("a login that changes a record: %v", err)
	}
	if err := change(db, func([]*authn.Record) authn.Change { return authn.Change{Gone: []authn.RecordKey{k}} }, k); err != nil {
		t.Errorf("a record that goes: %v", err)
	}
}
