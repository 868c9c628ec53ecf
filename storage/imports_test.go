package storage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// grantBatch makes tokens for accounts that are there already, several for each, and none beside them.
func grantBatch(t testing.TB, db *DB, from, each int, accounts []*authn.Account, standing token.Standing) *authn.Batch {
	b := &authn.Batch{Event: act("token.import")}
	for i, a := range accounts {
		g := authn.Grant{Account: a.ID}
		for k := range each {
			tok := newToken(t, db, token.HOTP, from+each*i+k)
			b.Tokens = append(b.Tokens, tok)
			g.Holds = append(g.Holds, token.Assignment{Token: tok.ID, Standing: standing, Since: 2})
		}
		b.Grants = append(b.Grants, g)
	}
	return b
}

func manyAccounts(t testing.TB, db *DB, n int) (accounts []*authn.Account, tokens []*token.Token) {
	for i := range n {
		tokens = append(tokens, newToken(t, db, token.HOTP, 900000+i))
		accounts = append(accounts, newAccount(fmt.Sprintf("u%d", i), tokens[i]))
	}
	create(t, db, accounts, tokens...)
	return accounts, tokens
}

// TestGrants: tokens for accounts that are there already become theirs with the batch and not before, while their logins
// go on; a start finds the grants in the journal's order, whether the rows hold them yet or not.
func TestGrants(t *testing.T) {
	s, f := newSite(t), &faults{}
	s.env.onCommit = f.onCommit
	s.cfg.FlushEvents = 1 << 30
	db := s.open(t)
	accounts, tokens := manyAccounts(t, db, 150)
	b := grantBatch(t, db, 0, 5, accounts, token.Pending)
	var early, count int
	f.set(func(commit func() error) error {
		count++
		for i := range accounts {
			a, err := db.Account(accounts[i].ID)
			if err != nil || len(a.Assignments) != 1 {
				early++
			}
		}
		return commit()
	})
	step := int64(0)
	var written []int
	err := db.Import(context.Background(), b, func(n, rows int) {
		written = append(written, n)
		if rows != 150*5+150 {
			t.Errorf("%d rows", rows)
		}
		for _, i := range []int{0, 77, 149} {
			if ok, err := burn(db, accounts[i].ID, tokens[i].ID, step); !ok || err != nil {
				t.Errorf("a login of step %d while the import goes on: %v, %v", step, ok, err)
			}
		}
		step++
	})
	f.set(nil)
	if err != nil {
		t.Fatal(err)
	}
	// The commit that makes it live may run when memory shows it already: nobody has been told yet, and all logins on it
	// stand behind it in the queue.
	if early > len(accounts) {
		t.Errorf("%d times an account showed a grant before the batch was live, in %d commits", early, count)
	}
	if last := written[len(written)-1]; last != 900 {
		t.Errorf("written %v", written)
	}
	for i, g := range b.Grants {
		a, err := db.Account(accounts[i].ID)
		if err != nil || len(a.Assignments) != 6 || a.Generation != 1 || a.Assignment(g.Holds[4].Token).Standing != token.Pending {
			t.Fatalf("account %d: %+v, %v", i, a, err)
		}
		info, err := db.Token(b.Tokens[5*i].ID)
		if err != nil || len(info.Holders) != 1 || info.Holders[0].Account != accounts[i].ID {
			t.Fatalf("token %d: %+v, %v", i, info, err)
		}
	}
	// Logins behind it activate and use what was granted.
	activate := func(i int) {
		err := update(db, authn.Keys{Accounts: []authn.AccountID{accounts[i].ID}}, func(h *authn.Held) (authn.Change, error) {
			ev := &authn.Event{At: time.Now(), Kind: authn.LoginEvent, Account: accounts[i].ID, Step: 4, Token: b.Tokens[5*i].ID,
				Burnt: []authn.Burnt{{Token: b.Tokens[5*i].ID, Last: 4, Activated: true}}}
			return authn.Change{Event: ev}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	activate(3)
	// An act writes the whole row, grants included: the replay must not give them twice.
	rename := func(i int) {
		err := update(db, authn.Keys{Accounts: []authn.AccountID{accounts[i].ID}}, func(h *authn.Held) (authn.Change, error) {
			a := cloneAccount(h.Accounts[0])
			a.Name, a.Generation = "renamed", a.Generation+1
			return authn.Change{Event: act("test.rename"), Accounts: []*authn.Account{a}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rename(4)
	live := image(db)
	crashed := s.copySite(t)
	crashed.env.onCommit = nil
	after := crashed.open(t)
	if image(after) != live {
		t.Error("the grants differ after a crash")
	}
	closeDB(t, after) // it brings the rows up to date
	after = crashed.open(t)
	if image(after) != live {
		t.Error("the grants differ after a clean stop")
	}
	var left int
	if err := other(t, after).QueryRow(`select count(*) from batch_grant`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d grants are left in their table (%v)", left, err)
	}
}

// TestGrantsAreLookedAtAgain: an account that took other tokens while the batch was written keeps its limit, and nothing of
// the batch comes in (I5).
func TestGrantsAreLookedAtAgain(t *testing.T) {
	db := newSite(t).open(t)
	accounts, _ := manyAccounts(t, db, 3)
	b := grantBatch(t, db, 0, authn.MostTokens-1, accounts, token.Active)
	before := ""
	err := db.Import(context.Background(), b, func(int, int) {
		if before != "" {
			return
		}
		tok := newToken(t, db, token.HOTP, 800000)
		err := update(db, authn.Keys{Accounts: []authn.AccountID{accounts[1].ID}}, func(h *authn.Held) (authn.Change, error) {
			a := cloneAccount(h.Accounts[0])
			a.Assignments = append(a.Assignments, token.Assignment{Token: tok.ID, Standing: token.Active})
			return authn.Change{Event: act("token.enroll"), Accounts: []*authn.Account{a}, Tokens: []*token.Token{tok}}, nil
		})
		if err != nil {
			t.Error(err)
		}
		before = "looked"
	})
	refused, ok := errors.AsType[*authn.Refusal](err)
	if !ok || refused.Code != "too-many-tokens" {
		t.Fatalf("%v", err)
	}
	for i, want := range []int{1, 2, 1} {
		if a, err := db.Account(accounts[i].ID); err != nil || len(a.Assignments) != want {
			t.Errorf("account %d: %+v, %v", i, a, err)
		}
	}
	var rows int
	if err := other(t, db).QueryRow(`select (select count(*) from batch_grant) + (select count(*) from batch) + (select count(*) from token where batch is not null)`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows are left (%v)", rows, err)
	}
	gone := &authn.Batch{Event: act("token.import"), Grants: []authn.Grant{{Account: 99}}}
	if err := db.Import(context.Background(), gone, nil); !errors.Is(err, authn.ErrNotFound) {
		t.Errorf("a grant to nobody: %v", err)
	}
}

// TestGrantsOverAFault: the commit that makes the batch live fails, or fails in name only. Memory is loaded anew, with all
// of it or with nothing.
func TestGrantsOverAFault(t *testing.T) {
	for name, lost := range map[string]bool{"the commit is lost": true, "the commit stands": false} {
		t.Run(name, func(t *testing.T) {
			s, f := newSite(t), &faults{}
			s.env.onCommit = f.onCommit
			db := s.open(t)
			accounts, _ := manyAccounts(t, db, 150)
			before := image(db)
			b := grantBatch(t, db, 0, 1, accounts, token.Active)
			err := db.Import(context.Background(), b, func(n, rows int) {
				if n < rows {
					return
				}
				f.times(1, func(commit func() error) error { // the next is the one that counts
					if !lost {
						_ = commit()
					}
					return errDisk
				})
			})
			recovered(t, db)
			if lost {
				if !errors.Is(err, ErrFault) {
					t.Errorf("%v", err)
				}
				eventually(t, "nothing is left of the import", func() bool { return image(db) == before })
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range accounts {
				if got, err := db.Account(a.ID); err != nil || len(got.Assignments) != 2 {
					t.Fatalf("account %d: %+v, %v", i, got, err)
				}
				if ok, err := burn(db, a.ID, b.Tokens[i].ID, 7); !ok || err != nil {
					t.Fatalf("account %d: a code of the new token: %v, %v", i, ok, err)
				}
			}
		})
	}
}

// importVar carries the site's folder into the process that imports until it is killed.
const importVar = "SEKISHO_STORAGE_IMPORTS"

const (
	killAccounts = 40
	killTokens   = 6 // each of these accounts gets of a batch, besides as many new accounts
)

// importChild imports one batch after the other, telling each that was acknowledged on stdout. One is as large as several
// transactions; the serials say which batch a token is of.
func importChild() {
	die := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	dir := os.Getenv(importVar)
	outer, err := token.LoadOuterKey(filepath.Join(dir, "outer.key"))
	if err != nil {
		die(err)
	}
	cfg := Config{Path: filepath.Join(dir, "data", "sekisho.db"), Mark: filepath.Join(dir, "mark", "mark"),
		MachineID: filepath.Join(dir, "machine-id"), Ballast: -1, FreeSpace: -1, FlushEvents: 1 + rand.IntN(20)}
	db, err := Open(context.Background(), cfg, outer, Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		die(err)
	}
	var accounts []authn.AccountID
	for _, a := range allAccounts(db) {
		if strings.HasPrefix(a.Name, "u") {
			accounts = append(accounts, a.ID)
		}
	}
	fmt.Println("ready")
	for {
		n := newID()
		b := &authn.Batch{Event: act("token.import")}
		for i, id := range accounts {
			g := authn.Grant{Account: id}
			for k := range killTokens {
				tok := importedToken(db, fmt.Sprintf("%d-%d-%d", n, i, k))
				g.Holds = append(g.Holds, token.Assignment{Token: tok.ID, Standing: token.Active, Since: int64(n >> 1)})
				b.Tokens = append(b.Tokens, tok)
			}
			b.Grants = append(b.Grants, g)
			tok := importedToken(db, fmt.Sprintf("%d-%d-new", n, i))
			b.Tokens = append(b.Tokens, tok)
			b.Accounts = append(b.Accounts, newAccount(tok.Serial, tok))
		}
		// They may hold a few: what the batch before brought goes first.
		err := update(db, authn.Keys{Accounts: accounts}, func(h *authn.Held) (authn.Change, error) {
			ch := authn.Change{Event: act("test.clear")}
			for _, held := range h.Accounts {
				a := cloneAccount(held)
				a.Assignments = nil
				ch.Accounts = append(ch.Accounts, a)
			}
			return ch, nil
		})
		if err != nil {
			die(err)
		}
		if err := db.Import(context.Background(), b, nil); err != nil {
			die(err)
		}
		fmt.Println(n)
	}
}

func importedToken(db *DB, serial string) *token.Token {
	seed := fmt.Appendf(nil, "%032d", newID())
	tok := &token.Token{ID: token.ID(newID()), Serial: serial, Form: token.Hardware, Mode: token.HOTP, Hash: token.SHA1, Digits: 6,
		State: token.InUse, Last: token.NoStep, Fingerprint: db.Keys().Fingerprint(seed)}
	var err error
	if tok.Sealed, err = db.Keys().SealSeed(tok.ID, seed); err != nil {
		panic(err)
	}
	return tok
}

// TestKillImport kills the process at random moments of imports: a batch is there as a whole or not at all, grants
// included, and what was acknowledged is there.
func TestKillImport(t *testing.T) {
	kills := 60
	if os.Getenv("SEKISHO_PROOF") != "1" {
		kills = 8
		t.Logf("%d kills; 60 with SEKISHO_PROOF=1", kills)
	}
	s := newSite(t)
	db := s.open(t)
	var accounts []*authn.Account
	for i := range killAccounts {
		accounts = append(accounts, newAccount(fmt.Sprintf("u%d", i)))
	}
	create(t, db, accounts)
	closeDB(t, db)
	const whole = killAccounts * (killTokens + 1)
	acknowledged, batches := map[string]bool{}, 0
	for round := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), importVar+"="+s.dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() || lines.Text() != "ready" {
			_ = cmd.Wait()
			t.Fatalf("the process did not start: %s", stderr.String())
		}
		// It ends some time into its first, second or third import, however slow the machine is.
		kill := func() {
			time.AfterFunc(time.Duration(rand.IntN(150))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		if round%3 == 0 {
			kill()
		}
		for n := 1; lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
			if n == round%3 {
				kill()
			}
		}
		_ = cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("the process ended by itself: %s", stderr.String())
		}

		db := s.open(t)
		batches = wholeBatches(t, db, accounts, acknowledged, whole)
		closeDB(t, db)
	}
	if batches == 0 {
		t.Error("no batch came in: the test shows nothing")
	}
	t.Logf("%d kills: %d batches there, each whole, %d acknowledged", kills, batches, len(acknowledged))
}

// wholeBatches counts the batches and holds each against what it has to be.
func wholeBatches(t *testing.T, db *DB, accounts []*authn.Account, acknowledged map[string]bool, whole int) int {
	t.Helper()
	there := map[string]int{}
	tokens := allTokens(db)
	for _, x := range tokens {
		n, _, _ := strings.Cut(x.Serial, "-")
		there[n]++
	}
	for n, tokens := range there {
		if tokens != whole {
			t.Errorf("batch %s: %d tokens of %d", n, tokens, whole)
		}
	}
	for n := range acknowledged {
		if there[n] == 0 {
			t.Errorf("batch %s was acknowledged and is not there", n)
		}
	}
	last := map[string]int{}
	for _, a := range accounts {
		got := db.state.Load().copyAccount(a.ID)
		if len(got.Assignments) != 0 && len(got.Assignments) != killTokens {
			t.Errorf("an account holds %d of %d tokens", len(got.Assignments), killTokens)
		}
		for _, as := range got.Assignments {
			x := tokens[as.Token]
			if x == nil {
				t.Fatal("an account holds a token that is not there")
			}
			n, _, _ := strings.Cut(x.Serial, "-")
			last[n]++
		}
	}
	for n, holds := range last {
		if holds != killAccounts*killTokens || len(last) != 1 {
			t.Errorf("batch %s: %d holds of %d, and of %d batches", n, holds, killAccounts*killTokens, len(last))
		}
	}
	for _, table := range []string{"batch where live = 0", "batch_grant where batch not in (select id from batch)"} {
		var n int
		if err := other(t, db).QueryRow(`select count(*) from ` + table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows of %s (%v)", n, table, err)
		}
	}
	return len(there)
}

// allAccounts copies every account in memory.
func allAccounts(db *DB) map[authn.AccountID]*authn.Account {
	st := db.state.Load()
	all := map[authn.AccountID]*authn.Account{}
	for _, slot := range st.accountIDs.all() {
		a := st.copyAccountIn(slot)
		all[a.ID] = a
	}
	return all
}

func allTokens(db *DB) map[token.ID]*token.Token {
	st := db.state.Load()
	all := map[token.ID]*token.Token{}
	for _, slot := range st.tokenIDs.all() {
		var t token.Token
		st.openToken(st.tokens.at(slot), &t)
		all[t.ID] = cloneToken(&t)
	}
	return all
}
