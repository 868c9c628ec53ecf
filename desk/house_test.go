package desk_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/directory"
	"sekisho/life"
	"sekisho/storage"
	"sekisho/token"
)

// house is a desk over a real store and a directory from a file. Its clock stands until a test moves it.
type house struct {
	t         testing.TB
	db        *storage.DB
	desk      *desk.Desk
	rules     life.Rules
	operators []desk.Operator
	opens     func() *storage.DB
	clock     atomic.Int64
	woken     atomic.Int64
}

const people = `users:
  - {name: taro, groups: [staff], mail: taro@example.jp}
  - {name: hanako, groups: [staff], mail: hanako@example.jp}
  - {name: jiro, mail: jiro@example.jp}
  - {name: keiko, mail: keiko@example.jp}
`

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, rules: life.Defaults()}
	h.clock.Store(time.Date(2026, 11, 20, 3, 0, 5, 0, time.UTC).Unix())
	h.rules.Zone = time.FixedZone("JST", 9*3600)
	folder := t.TempDir()
	for _, d := range []string{"data", "mark"} {
		if err := os.Mkdir(filepath.Join(folder, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	outer, err := token.LoadOuterKey(write("outer.key", base64.StdEncoding.EncodeToString(key)+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	users, err := directory.OpenFile("corp", directory.FileConfig{File: write("users.yaml", people)})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	config := storage.Config{Path: filepath.Join(folder, "data", "sekisho.db"), Mark: filepath.Join(folder, "mark", "mark"),
		MachineID: write("machine-id", "0123456789abcdef\n"), Ballast: -1, FreeSpace: -1}
	h.opens = func() *storage.DB {
		db, err := storage.Open(context.Background(), config, outer, storage.Env{Now: h.now, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	h.db = h.opens()
	t.Cleanup(func() { _ = h.db.Close() })
	h.desk = &desk.Desk{
		Store: &store{DB: h.db}, Directories: authn.Directories{{Name: "corp", Directory: users}}, Keys: h.db.Keys(), Limits: authn.NormalLimits,
		Rules: func() life.Rules { return h.rules }, Links: func(s string) string { return "https://vpn.example.jp/a/" + s }, Home: "https://vpn.example.jp",
		Issuer: "Sekisho", Operators: func() ([]desk.Operator, error) { return h.operators, nil },
		Forget: func(...authn.AccountID) {}, Wake: func() { h.woken.Add(1) }, Now: h.now, Log: log,
	}
	return h
}

// restart opens the store anew.
func (h *house) restart() {
	h.t.Helper()
	h.ok(h.db.Close())
	h.db = h.opens()
	h.desk.Store, h.desk.Keys = &store{DB: h.db}, h.db.Keys()
}

// between runs f once, when the next act has looked up what it is about and holds nothing yet.
func (h *house) between(f func()) { h.desk.Store.(*store).between = f }

func (h *house) now() time.Time          { return time.Unix(h.clock.Load(), 0).UTC() }
func (h *house) advance(d time.Duration) { h.clock.Add(int64(d / time.Second)) }

// store is the database in the desk's words, as the service has it. between runs once, after an act looked up what it is about
// and before it holds it.
type store struct {
	*storage.DB
	between func()
	listed  int // how often tokens that run out were listed
}

func (s *store) Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	if run := s.between; run != nil {
		s.between = nil
		run()
	}
	return s.DB.Update(keys, f, done)
}

func (s *store) Token(id token.ID) (token.Token, []authn.AccountID, error) {
	info, err := s.DB.Token(id)
	var holders []authn.AccountID
	for _, h := range info.Holders {
		if h.Standing != token.Revoked {
			holders = append(holders, h.Account)
		}
	}
	return info.Token, holders, err
}

func (s *store) FindToken(ctx context.Context, name string) (token.ID, error) {
	if id, ok := s.TokenBySerial(name); ok {
		return id, nil
	}
	ids, err := s.TokensByCredential(ctx, name)
	if err != nil || len(ids) != 1 {
		return 0, err
	}
	return ids[0], nil
}

func (s *store) Expiring(ctx context.Context, before time.Time, after token.ID) (all []token.Token, err error) {
	s.listed++
	for {
		page, err := s.DB.Tokens(ctx, storage.TokenFilter{State: token.InUse, After: after, Limit: 1000})
		for _, info := range page {
			if k := info.Token; k.Expiry != 0 && k.Expiry < before.Unix() {
				all = append(all, k)
			}
			after = info.Token.ID
		}
		if err != nil || len(all) > 0 || len(page) < 1000 {
			return all, err
		}
	}
}

func (s *store) AccountsOf(ctx context.Context, directory string, after authn.AccountID) ([]*authn.Account, error) {
	return s.DB.Accounts(ctx, storage.AccountFilter{Directory: directory, After: after, Limit: 1000})
}

// account is that of a user of the directory.
func (h *house) account(name string) authn.AccountID {
	h.t.Helper()
	u, err := h.desk.Directories[0].Directory.Lookup(context.Background(), []byte(name))
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := h.desk.Open(context.Background(), u)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// self is a person who gave the password.
func self(account authn.AccountID) desk.Actor {
	return desk.Actor{By: life.ByPerson, Account: account, Proven: true}
}

var admin = desk.Actor{By: life.ByAdmin, Name: "keiko"}

// device shows codes, as a token or an app does.
type device struct {
	token.Token
	seed token.Seed
}

// code is what the device shows some steps from now.
func (d device) code(h *house, ahead int) authn.Secret {
	return authn.NewSecret([]byte(d.Token.Code(d.seed, d.StepAt(h.now())+int64(ahead))))
}

// stock puts a hardware token into the stock.
func (h *house) stock(serial string) device {
	h.t.Helper()
	seed := token.NewSeed(token.SeedSize)
	k := token.Token{ID: token.NewID(), Serial: serial, Form: token.Hardware, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, State: token.InStock,
		Last: token.NoStep, Fingerprint: h.db.Keys().Fingerprint(seed), Expiry: h.now().AddDate(3, 0, 0).Unix()}
	var err error
	if k.Sealed, err = h.db.Keys().SealSeed(k.ID, seed); err != nil {
		h.t.Fatal(err)
	}
	h.update(authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Tokens: []*token.Token{&k}, Event: &authn.Event{At: h.now(), Kind: authn.ActEvent, Act: "test.import", Step: token.NoStep}}, nil
	})
	return device{k, seed}
}

func (h *house) update(keys authn.Keys, f func(*authn.Held) (authn.Change, error)) {
	h.t.Helper()
	saved := make(chan error, 1)
	if err := h.db.Update(keys, f, func(err error) { saved <- err }); err != nil {
		h.t.Fatal(err)
	}
	if err := <-saved; err != nil {
		h.t.Fatal(err)
	}
}

// scan is the app that reads what a page shows.
func (h *house) scan(v desk.SecretView) device {
	h.t.Helper()
	u, err := token.ParseURI(v.URI)
	if err != nil {
		h.t.Fatal(err)
	}
	u.Token.ID = v.Token
	return device{u.Token, u.Seed}
}

// phone registers a device of a person through an operator.
func (h *house) phone(account authn.AccountID) device {
	h.t.Helper()
	v, err := h.desk.Enrol(context.Background(), admin, desk.EnrolOrder{Account: account})
	h.ok(err)
	d := h.scan(v)
	_, err = h.desk.Confirm(context.Background(), admin, account, d.ID, d.code(h, 0))
	h.ok(err)
	h.advance(time.Minute)
	return d
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// refused wants a refusal of a code.
func (h *house) refused(err error, want life.Code) {
	h.t.Helper()
	var no *life.Refusal
	if !errors.As(err, &no) || no.Code != want {
		h.t.Fatalf("got %v (%[1]T), want the refusal %s", err, want)
	}
}

// holder is a user as the rules see them now.
func (h *house) holder(account authn.AccountID) life.Holder {
	h.t.Helper()
	holder, _, _, err := h.desk.Holder(context.Background(), account)
	h.ok(err)
	return holder
}

// standing is that of a user's hold on a token; 0 where there never was one.
func (h *house) standing(account authn.AccountID, id token.ID) token.Standing {
	h.t.Helper()
	holder := h.holder(account)
	if hold := holder.Hold(id); hold != nil {
		return hold.Standing
	}
	return 0
}

func (h *house) token(id token.ID) token.Token {
	h.t.Helper()
	info, err := h.db.Token(id)
	h.ok(err)
	return info.Token
}

// mails are those waiting, by age.
func (h *house) mails() (all []authn.Message) {
	h.t.Helper()
	page, err := h.db.Records(authn.RecordQuery{Kind: authn.MessageRecord, Limit: 1000})
	h.ok(err)
	for _, r := range page {
		m, err := authn.MessageOf(r)
		h.ok(err)
		if m.State != authn.MessageState(r.State) {
			h.t.Fatalf("mail %d is %v in its record and %v inside", r.ID, r.State, m.State)
		}
		all = append(all, m)
	}
	return all
}

// mail is the last one of a kind.
func (h *house) mail(kind authn.MessageKind) authn.Message {
	h.t.Helper()
	all := h.mails()
	for _, m := range slices.Backward(all) {
		if m.Kind == kind {
			return m
		}
	}
	h.t.Fatalf("no mail of the kind %s in %d mails", kind, len(all))
	return authn.Message{}
}

// link is the secret in the last mail with a link.
func (h *house) link() authn.Secret {
	h.t.Helper()
	all := h.mails()
	for _, m := range slices.Backward(all) {
		if url := m.Fields["link"]; url != "" {
			return authn.NewSecret([]byte(url[strings.LastIndexByte(url, '/')+1:]))
		}
	}
	h.t.Fatal("no mail has a link")
	return authn.Secret{}
}

// acts are the names of all acts in the chain, the oldest first.
func (h *house) acts() (names []string) {
	h.t.Helper()
	events, err := h.db.Logins(context.Background(), storage.LoginFilter{Acts: true, Limit: 1000})
	h.ok(err)
	for _, e := range slices.Backward(events) {
		names = append(names, e.Act)
	}
	return names
}

// image is everything that is stored, to tell whether something changed.
func (h *house) image() string {
	h.t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, len(h.acts()))
	tokens, err := h.db.Tokens(context.Background(), storage.TokenFilter{Limit: 1000})
	h.ok(err)
	for _, info := range tokens {
		fmt.Fprintf(&b, "%+v\n", info)
		for _, holder := range info.Holders {
			a, err := h.db.Account(holder.Account)
			h.ok(err)
			fmt.Fprintf(&b, "%+v\n", a)
		}
	}
	for kind := authn.HolderRecord; kind.Valid(); kind++ {
		page, err := h.db.Records(authn.RecordQuery{Kind: kind, Limit: 1000})
		h.ok(err)
		for _, r := range page {
			fmt.Fprintf(&b, "%v %d %d %s\n", r.RecordKey, r.State, r.Version, r.Data)
		}
	}
	return b.String()
}

func secret(s string) authn.Secret { return authn.NewSecret([]byte(s)) }
