package mail

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/storage"
	"sekisho/token"
)

// newSite makes the folder of one installation, and openStore opens its store: in tests, and in processes that are killed.
func newSite(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, d := range []string{"data", "mark"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	for name, text := range map[string]string{"machine-id": "0123456789abcdef\n", "outer.key": base64.StdEncoding.EncodeToString(key) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func openSite(dir string) (*storage.DB, error) {
	outer, err := token.LoadOuterKey(filepath.Join(dir, "outer.key"))
	if err != nil {
		return nil, err
	}
	return storage.Open(context.Background(), storage.Config{
		Path: filepath.Join(dir, "data", "sekisho.db"), Mark: filepath.Join(dir, "mark", "mark"),
		MachineID: filepath.Join(dir, "machine-id"), Ballast: -1, FreeSpace: -1,
	}, outer, storage.Env{Log: slog.New(slog.DiscardHandler)})
}

func openStore(t testing.TB, dir string) *storage.DB {
	t.Helper()
	db, err := openSite(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// post puts messages into the outbox and gives their numbers.
func post(t testing.TB, db *storage.DB, messages ...authn.Message) (ids []uint64) {
	t.Helper()
	var c authn.Change
	for _, m := range messages {
		m.ID = authn.NewMessageID(begin)
		r, err := m.Record()
		if err != nil {
			t.Fatal(err)
		}
		c.Records, ids = append(c.Records, r), append(ids, m.ID)
	}
	if _, err := save(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) { return c, nil }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func stored(t testing.TB, db Store, id uint64) authn.Message {
	t.Helper()
	r, err := db.Record(authn.RecordKey{Kind: authn.MessageRecord, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	m, err := authn.MessageOf(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.State != uint8(m.State) || r.Account != m.Account {
		t.Errorf("mail %d is %v of %v, and its record says %d of %v", id, m.State, m.Account, r.State, r.Account)
	}
	return m
}

// all gives every message in the outbox.
func all(t testing.TB, db Store) (messages []authn.Message) {
	t.Helper()
	err := (&Box{Store: db}).each(authn.RecordQuery{}, func(r *authn.Record) error {
		m, err := authn.MessageOf(r)
		messages = append(messages, m)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// newAccount makes an account of directory corp.
func newAccount(t testing.TB, db *storage.DB, name string) authn.AccountID {
	t.Helper()
	a := &authn.Account{ID: authn.AccountID(token.NewID()), Directory: "corp", External: "id-" + name, Name: name}
	_, err := save(db, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Accounts: []*authn.Account{a}, Event: &authn.Event{At: begin, Kind: authn.ActEvent, Act: "test.create", Actor: "test", Step: token.NoStep}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// unwilling is a store that refuses or loses updates of messages when it is told to.
type unwilling struct {
	*storage.DB
	fail func() error // asked before each update; nil: it goes on
	lose func() error // asked when one is durable: an error stands for "not known"
}

func (u *unwilling) Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	if u.fail != nil {
		if err := u.fail(); err != nil {
			return err
		}
	}
	return u.DB.Update(keys, f, func(err error) {
		if err == nil && u.lose != nil {
			err = u.lose()
		}
		done(err)
	})
}

// sender is one that runs on a real outbox.
func sender(b Outbox, c Config, url string) *Sender {
	c.From, c.PerMinute = "VPN <vpn@lab.test>", 6000
	return &Sender{
		Config: c, URL: url, Outbox: b, People: people{}, Metrics: newMetrics(), Log: slog.New(slog.DiscardHandler),
		Doubt: func() bool { return false }, Now: func() time.Time { return begin },
	}
}

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a minute went by without: " + what)
		}
	}
}

func numbered(n int) (messages []authn.Message) {
	for i := range n {
		messages = append(messages, to(fmt.Sprintf("person%d@lab.test", i)))
	}
	return messages
}
