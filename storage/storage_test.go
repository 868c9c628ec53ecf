package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// site is one installation: the paths and the key that stay while databases come and go.
type site struct {
	dir   string
	cfg   Config
	outer *token.OuterKey
	env   Env
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"data", "mark"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := &site{dir: dir, cfg: Config{
		Path: filepath.Join(dir, "data", "sekisho.db"), Mark: filepath.Join(dir, "mark", "mark"),
		MachineID: filepath.Join(dir, "machine-id"), Ballast: -1, FreeSpace: -1,
	}}
	if err := os.WriteFile(s.cfg.MachineID, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.outer = newOuter(t, filepath.Join(dir, "outer.key"))
	s.env.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	return s
}

func newOuter(t testing.TB, path string) *token.OuterKey {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outer, err := token.LoadOuterKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return outer
}

func (s *site) open(t testing.TB) *DB {
	t.Helper()
	db, err := Open(context.Background(), s.cfg, s.outer, s.env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func closeDB(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func newID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])>>1 | 1
}

// newToken makes a sealed token; n gives its serial.
func newToken(t testing.TB, db *DB, mode token.Mode, n int) *token.Token {
	t.Helper()
	seed := make([]byte, 20)
	_, _ = rand.Read(seed)
	return sealedToken(t, db, mode, fmt.Sprintf("SN%06d", n), seed)
}

func sealedToken(t testing.TB, db *DB, mode token.Mode, serial string, seed []byte) *token.Token {
	t.Helper()
	tok := &token.Token{ID: token.ID(newID()), Serial: serial, Form: token.Hardware, Mode: mode, Hash: token.SHA1, Digits: 6,
		State: token.InUse, Last: token.NoStep, Fingerprint: db.Keys().Fingerprint(seed)}
	if mode == token.TOTP {
		tok.Period = 30
	}
	sealed, err := db.Keys().SealSeed(tok.ID, seed)
	if err != nil {
		t.Fatal(err)
	}
	tok.Sealed = sealed
	if err := tok.Check(); err != nil {
		t.Fatal(err)
	}
	return tok
}

func newAccount(name string, tokens ...*token.Token) *authn.Account {
	a := &authn.Account{ID: authn.AccountID(newID()), Directory: "corp", External: "id-" + name, Name: name}
	for _, t := range tokens {
		a.Assignments = append(a.Assignments, token.Assignment{Token: t.ID, Standing: token.Active, Since: 1})
	}
	return a
}

func act(name string) *authn.Event {
	return &authn.Event{At: time.Now(), Kind: authn.ActEvent, Act: name, Actor: "test", Step: token.NoStep}
}

// update runs an Update and waits for its commit.
func update(s authn.Store, keys authn.Keys, f func(*authn.Held) (authn.Change, error)) error {
	result := make(chan error, 1)
	if err := s.Update(keys, f, func(err error) { result <- err }); err != nil {
		return err
	}
	return <-result
}

// create saves new accounts and tokens in one act.
func create(t testing.TB, s authn.Store, accounts []*authn.Account, tokens ...*token.Token) {
	t.Helper()
	err := update(s, authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Event: act("test.create"), Accounts: accounts, Tokens: tokens}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// burn is a login with a right code of a step: accepted if the step is above the last one. ok says whether it was, and err
// that it could not be saved.
func burn(s authn.Store, account authn.AccountID, tok token.ID, step int64) (ok bool, err error) {
	err = update(s, authn.Keys{Accounts: []authn.AccountID{account}}, loginOf(account, tok, step, &ok))
	return ok, err
}

func loginOf(account authn.AccountID, tok token.ID, step int64, ok *bool) func(*authn.Held) (authn.Change, error) {
	return func(h *authn.Held) (authn.Change, error) {
		a, t := h.Accounts[0], h.Token(tok)
		if a == nil || t == nil {
			return authn.Change{}, authn.ErrNotFound
		}
		ev := &authn.Event{At: time.Now(), Kind: authn.LoginEvent, Account: account, Client: "gw", Policy: "staff", Method: authn.PAP,
			Step: token.NoStep, Personal: authn.Personal{Name: []byte(a.Name), Source: netip.MustParseAddrPort("192.0.2.7:4711")}}
		after := a.Guard.After()
		if *ok = step > t.Last; *ok {
			ev.Verdict, ev.Reason, ev.Token, ev.Step = authn.Accept, authn.OK, tok, step
			ev.Burnt = []authn.Burnt{{Token: tok, Last: step, Drift: t.Drift, DriftDay: t.DriftDay}}
			after.Row = [2]uint8{}
		} else {
			ev.Verdict, ev.Reason = authn.Reject, authn.AlreadyUsed
			after.Row[0] = min(after.Row[0]+1, 60)
		}
		ev.Guard, ev.GuardSet = after, true
		return authn.Change{Event: ev}, nil
	}
}

// image is the memory of a DB as tests compare it: what must survive.
func image(db *DB) string {
	var b bytes.Buffer
	st := db.state.Load()
	st.mu.RLock()
	defer st.mu.RUnlock()
	var im accountImage
	var lines []string
	for _, slot := range st.accountIDs.all() {
		st.openAccount(st.accounts.at(slot), &im)
		a := &im.a
		lines = append(lines, fmt.Sprintf("%v %q %q %q gen %d holds %v pin %v spare %v guard %x\n", a.ID, a.Directory, a.External, a.Name, a.Generation, a.Assignments, a.PIN, a.Spare, appendGuard(nil, &a.Guard)))
	}
	for _, slot := range st.tokenIDs.all() {
		var t token.Token
		st.openToken(st.tokens.at(slot), &t)
		lines = append(lines, fmt.Sprintf("%+v held by %d\n", t, len(st.holders(slot))))
	}
	slices.Sort(lines)
	fmt.Fprint(&b, lines)
	fmt.Fprintf(&b, "users %d serials %d seeds %d claims %v tombstones %v counts %v ratchets %v\n", st.users.n, st.serials.n, st.seeds.n, st.claims, st.tombstones, st.counts, st.ratchets)
	b.WriteString(recordImage(db))
	return b.String()
}
