package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// house is the API over a real store and a directory from a file, called through HTTP. Its clock stands until a test moves it.
type house struct {
	t     testing.TB
	db    *storage.DB
	api   *Server
	http  http.Handler
	rules life.Rules
	clock atomic.Int64
}

const housePeople = `users:
  - {name: annie, groups: [staff], mail: annie@example.jp}
  - {name: bob, groups: [staff], mail: bob@example.jp}
  - {name: carol, mail: carol@example.jp}
  - {name: dave, mail: dave@example.jp}
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
	users, err := directory.OpenFile("corp", directory.FileConfig{File: write("users.yaml", housePeople)})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h.db, err = storage.Open(context.Background(), storage.Config{Path: filepath.Join(folder, "data", "sekisho.db"), Mark: filepath.Join(folder, "mark", "mark"),
		MachineID: write("machine-id", "0123456789abcdef\n"), Ballast: -1, FreeSpace: -1}, outer, storage.Env{Now: h.now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.db.Close() })
	directories := authn.Directories{{Name: "corp", Directory: users}}
	d := &desk.Desk{
		Store: houseDesk{houseStore{h.db}}, Directories: directories, Keys: h.db.Keys(), Limits: authn.NormalLimits,
		Rules: func() life.Rules { return h.rules }, Links: func(s string) string { return "https://vpn.example.jp/a/" + s }, Home: "https://vpn.example.jp",
		Issuer: "Sekisho", Forget: func(...authn.AccountID) {}, Wake: func() {}, Now: h.now, Log: log,
	}
	h.api = &Server{
		Store: houseStore{h.db}, Directories: directories, Keys: h.db.Keys(), Desk: d, Clock: sureClock{}, Clients: noClients{},
		Issuer: "Sekisho", Forget: func(...authn.AccountID) {}, Health: func() Health { return Health{OK: true} }, Now: h.now, Log: log,
	}
	h.http = h.api.Handler()
	return h
}

func (h *house) now() time.Time          { return time.Unix(h.clock.Load(), 0).UTC() }
func (h *house) advance(d time.Duration) { h.clock.Add(int64(d / time.Second)) }

// call sends a request as root over the local socket; headers come in pairs.
func (h *house) call(method, path string, body any, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	text := ""
	switch b := body.(type) {
	case nil:
	case string:
		text = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		text = string(raw)
	}
	r := as(Peer{0, "root"}, method, path, text)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.http.ServeHTTP(w, r)
	return w
}

// ok is call that wants 200 and reads the answer.
func (h *house) ok(method, path string, body, into any, headers ...string) {
	h.t.Helper()
	w := h.call(method, path, body, headers...)
	if w.Code != http.StatusOK {
		h.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		h.t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
	}
}

// no is call that wants a refusal.
func (h *house) no(status int, code, method, path string, body any, headers ...string) Problem {
	h.t.Helper()
	w := h.call(method, path, body, headers...)
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != status || p.Code != code {
		h.t.Fatalf("%s %s: %d %s, want %d %s", method, path, w.Code, w.Body, status, code)
	}
	return p
}

// events counts events of the chain: what was refused or rehearsed adds none.
func (h *house) events() uint64 { return h.db.Seq() }

// stock brings hardware tokens in: H1 to Hn, event-based, the first n users named hold one each. It gives their seeds.
func (h *house) stock(n int, expiry string, users ...string) []token.Seed {
	h.t.Helper()
	file := "serial,secret_hex,mode,expiry,user\n"
	seeds := make([]token.Seed, n)
	for i := range n {
		seeds[i] = token.NewSeed(token.SeedSize)
		user := ""
		if i < len(users) {
			user = users[i]
		}
		file += fmt.Sprintf("H%d,%x,hotp,%s,%s\n", i+1, []byte(seeds[i]), expiry, user)
	}
	h.ok("POST", "/api/v1/tokens/import", file, nil, "Content-Type", "text/csv")
	return seeds
}

// code is the n-th code of an event-based token.
func code(seed token.Seed, n int64) string {
	t := token.Token{Mode: token.HOTP, Hash: token.SHA1, Digits: 6, Last: token.NoStep}
	return t.Code(seed, n)
}

// sheet reads a list as CSV.
func (h *house) sheet(path string) [][]string {
	h.t.Helper()
	w := h.call("GET", path, nil, "Accept", "text/csv")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
		h.t.Fatalf("%s: %d %s %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	text, marked := strings.CutPrefix(w.Body.String(), "\ufeff")
	if !marked {
		h.t.Errorf("%s: no mark of UTF-8: %q", path, w.Body)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		h.t.Fatalf("%s: %v", path, err)
	}
	return rows
}

type sureClock struct{}

func (sureClock) Doubt() bool  { return false }
func (sureClock) Accept() bool { return false }

type noClients struct{}

func (noClients) Clients() []Client                                             { return nil }
func (noClients) Login(string) (*authn.Client, bool)                            { return nil, false }
func (noClients) Client(string) (ClientDetail, bool)                            { return ClientDetail{}, false }
func (noClients) ReleaseMA(context.Context, string, *authn.Event) (bool, error) { return false, nil }

// houseStore is the database in the API's words, as the service has it.
type houseStore struct{ *storage.DB }

func (s houseStore) FindToken(ctx context.Context, name string) (token.ID, error) {
	if id, ok := s.TokenBySerial(name); ok {
		return id, nil
	}
	ids, err := s.TokensByCredential(ctx, name)
	if err != nil || len(ids) != 1 {
		return 0, err
	}
	return ids[0], nil
}

func (s houseStore) FindSerial(serial string) token.ID {
	id, _ := s.TokenBySerial(serial)
	return id
}

func (s houseStore) FindSeed(fingerprint [16]byte) token.ID {
	id, _ := s.TokenBySeed(fingerprint)
	return id
}

func houseInfo(info storage.TokenInfo) TokenInfo {
	out := TokenInfo{Token: info.Token}
	for _, h := range info.Holders {
		out.Holders = append(out.Holders, TokenHolder(h))
	}
	return out
}

func (s houseStore) Token(id token.ID) (TokenInfo, error) {
	info, err := s.DB.Token(id)
	return houseInfo(info), err
}

func (s houseStore) Tokens(ctx context.Context, q TokenQuery) (all []TokenInfo, err error) {
	page, err := s.DB.Tokens(ctx, storage.TokenFilter(q))
	for _, info := range page {
		all = append(all, houseInfo(info))
	}
	return all, err
}

func (s houseStore) Accounts(ctx context.Context, q AccountQuery) ([]*authn.Account, error) {
	return s.DB.Accounts(ctx, storage.AccountFilter{Directory: q.Directory, Name: q.Name, After: q.After, Limit: q.Limit})
}

func (s houseStore) Logins(ctx context.Context, q LoginQuery) ([]authn.Event, error) {
	return s.DB.Logins(ctx, storage.LoginFilter(q))
}

func (s houseStore) Follow(ctx context.Context, seq uint64) iter.Seq2[authn.Event, error] {
	return s.DB.Follow(ctx, seq)
}

func (s houseStore) Erase(ctx context.Context, account authn.AccountID, names [][]byte, act *authn.Event, progress func(uint64, uint64)) (Erasure, error) {
	e, err := s.DB.Erase(ctx, account, names, act, progress)
	return Erasure(e), err
}

// houseDesk is the database in the desk's words.
type houseDesk struct{ houseStore }

func (s houseDesk) Token(id token.ID) (token.Token, []authn.AccountID, error) {
	info, err := s.houseStore.Token(id)
	return info.Token, info.holding(), err
}

func (s houseDesk) Expiring(context.Context, time.Time, token.ID) ([]token.Token, error) {
	return nil, nil
}

func deskPerson(id authn.AccountID) desk.Actor {
	return desk.Actor{By: life.ByPerson, Account: id, Proven: true}
}

func deskOrder(id authn.AccountID) desk.RequestOrder {
	return desk.RequestOrder{Account: id, Kind: life.AskReactivate, Why: life.WhyDeleted}
}

func (s houseStore) VerifyChain(ctx context.Context, heads []Head) (Chain, error) {
	given := make([]storage.Head, len(heads))
	for i, h := range heads {
		given[i] = storage.Head(h)
	}
	v, err := s.DB.VerifyChain(ctx, given...)
	return Chain(v), err
}
