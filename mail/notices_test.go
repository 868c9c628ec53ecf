package mail

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/storage"
	"sekisho/token"
)

// login writes a login event that owes notices.
func login(t testing.TB, db *storage.DB, account authn.AccountID, at time.Time, reason authn.Reason, stopped authn.Stop, notices ...authn.Notice) {
	t.Helper()
	_, err := save(db, authn.Keys{Accounts: []authn.AccountID{account}}, func(h *authn.Held) (authn.Change, error) {
		e := &authn.Event{At: at, Kind: authn.LoginEvent, Account: account, Verdict: authn.Reject, Reason: reason, Step: token.NoStep,
			Client: "gw", Policy: "all", Method: authn.PAP, Notices: notices, GuardSet: true, Guard: h.Accounts[0].Guard.After()}
		e.Guard.Stopped = stopped
		return authn.Change{Event: e}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// follower reads a journal at a moment that the test moves.
type follower struct {
	Notices
	now   time.Time
	off   bool
	woken int
}

func newFollower(t testing.TB, journal *storage.DB, store Store) *follower {
	t.Helper()
	f := &follower{now: begin}
	f.Notices = Notices{
		Journal: journal, Store: store, Label: func(token.ID) string { return "SN4711" }, On: func() bool { return !f.off },
		URL: func() string { return "https://vpn.lab.test" }, Zone: func() *time.Location { return time.FixedZone("JST", 9*3600) },
		Wake: func() { f.woken++ }, Doubt: func() bool { return false }, Now: func() time.Time { return f.now }, Log: slog.New(slog.DiscardHandler),
	}
	return f
}

func (f *follower) look(t testing.TB) {
	t.Helper()
	if err := f.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func kindsIn(messages []authn.Message) (kinds []authn.MessageKind) {
	for _, m := range messages {
		kinds = append(kinds, m.Kind)
	}
	return kinds
}

func TestP18NoticesBecomeMails(t *testing.T) {
	db := openStore(t, newSite(t))
	before := newAccount(t, db, "before")
	login(t, db, before, begin, authn.WrongCode, 0, authn.NoticeFailures)
	f := newFollower(t, db, db)
	f.look(t)
	if got := all(t, db); len(got) != 0 {
		t.Errorf("the very first look made mails of the past: %v", kindsIn(got))
	}
	for _, c := range []struct {
		name    string
		notices []authn.Notice
		stopped authn.Stop
		want    []authn.MessageKind
	}{
		{"failures", []authn.Notice{authn.NoticeFailures}, 0, []authn.MessageKind{authn.MailFailures}},
		{"both", []authn.Notice{authn.NoticeFailures, authn.NoticePair}, 0, []authn.MessageKind{authn.MailFailures}},
		{"pair", []authn.Notice{authn.NoticePair}, 0, []authn.MessageKind{authn.MailTwoCodes}},
		{"theft", []authn.Notice{authn.NoticeTheft}, 0, []authn.MessageKind{authn.MailTheft}},
		{"stopped", []authn.Notice{authn.NoticeTheft, authn.NoticeStopped}, authn.StopAccount, []authn.MessageKind{authn.MailStopped}},
		{"one class stopped", []authn.Notice{authn.NoticeStopped}, authn.StopU, nil},
		{"budget", []authn.Notice{authn.NoticePairBudget}, 0, []authn.MessageKind{authn.MailStopped}},
		{"P4", []authn.Notice{authn.NoticeRefusedLive}, 0, []authn.MessageKind{authn.MailRefusedByRule}},
		{"activated", []authn.Notice{authn.NoticeActivated}, 0, []authn.MessageKind{authn.MailDeviceAdded}},
		{"nothing", nil, 0, nil},
	} {
		account := newAccount(t, db, c.name)
		login(t, db, account, begin.Add(-time.Minute), authn.TokenExpired, c.stopped, c.notices...)
		f.look(t)
		got := slices.DeleteFunc(all(t, db), func(m authn.Message) bool { return m.Account != account })
		if !slices.Equal(kindsIn(got), c.want) {
			t.Errorf("%s: mails %v, want %v", c.name, kindsIn(got), c.want)
			continue
		}
		texts, err := LoadTemplates("")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got {
			if m.To != "" || m.Language != "" || m.State != authn.MessageWaiting || m.Until.Sub(begin) > noticeLife {
				t.Errorf("%s: %+v", c.name, m)
			}
			m.Language = "en"
			text, err := texts.Render(m)
			if err != nil || !strings.Contains(text.Plain, "2026-04-01 17:59 JST") || !strings.Contains(text.Plain, "https://vpn.lab.test") {
				t.Errorf("%s: %v\n%s", c.name, err, text.Plain)
			}
			en, ja, _ := strings.Cut(text.Plain, "--------")
			if m.Kind == authn.MailRefusedByRule && (!strings.Contains(en, authn.TokenExpired.Sentence()) || !strings.Contains(ja, authn.TokenExpired.Japanese())) {
				t.Errorf("the reason stands in the wrong language:\n%s", text.Plain)
			}
			if m.Kind == authn.MailDeviceAdded && !strings.Contains(en, "SN4711") {
				t.Errorf("no device:\n%s", en)
			}
		}
	}
	if f.woken == 0 {
		t.Error("nobody was told that there is something to send")
	}
}

// P4: refused by the token's state is told once a day at most; failures once an hour.
func TestP4AtMostOneMailADay(t *testing.T) {
	db := openStore(t, newSite(t))
	f := newFollower(t, db, db)
	f.look(t)
	account, other := newAccount(t, db, "hanako"), newAccount(t, db, "taro")
	count := func(kind authn.MessageKind) (n int) {
		for _, m := range all(t, db) {
			if m.Kind == kind && m.Account == account {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		after           time.Duration
		refused, failed int
	}{{0, 1, 1}, {time.Minute, 1, 1}, {59 * time.Minute, 1, 1}, {time.Hour, 1, 2}, {23*time.Hour + 59*time.Minute, 1, 3}, {24 * time.Hour, 2, 3}} {
		f.now = begin.Add(c.after)
		login(t, db, account, f.now, authn.TokenExpired, 0, authn.NoticeRefusedLive)
		login(t, db, account, f.now, authn.WrongCode, 0, authn.NoticeFailures)
		login(t, db, other, f.now, authn.TokenExpired, 0, authn.NoticeRefusedLive)
		f.look(t)
		if r, n := count(authn.MailRefusedByRule), count(authn.MailFailures); r != c.refused || n != c.failed {
			t.Errorf("after %v: %d mails of a refusal by state and %d of failures, want %d and %d", c.after, r, n, c.refused, c.failed)
		}
	}
}

// Whatever update fails or is lost, and wherever the follower is cut and begins anew, each event makes its mail exactly once.
func TestP18NoticeOnceThroughFaults(t *testing.T) {
	dir := newSite(t)
	db := openStore(t, dir)
	newFollower(t, db, db).look(t)
	const people = 40
	var accounts []authn.AccountID
	for i := range people {
		accounts = append(accounts, newAccount(t, db, string(rune('a'+i/26))+string(rune('a'+i%26))))
		login(t, db, accounts[i], begin, authn.WrongCode, 0, authn.NoticeFailures)
		login(t, db, accounts[i], begin, authn.OK, 0) // most logins owe nothing
	}
	calls := 0
	store := &unwilling{DB: db}
	store.fail = func() error {
		if calls++; calls%3 == 1 {
			return authn.ErrBusy
		}
		return nil
	}
	store.lose = func() error {
		if calls%3 == 2 {
			return errors.New("durable, and nobody was told")
		}
		return nil
	}
	f := newFollower(t, db, store)
	for cut := 0; ; cut++ {
		err := f.follow(t.Context())
		if err == nil {
			break
		}
		if cut%2 == 0 { // the process ends here
			f = newFollower(t, db, store)
		}
		if cut > 10*people {
			t.Fatalf("it does not come to an end: %v", err)
		}
	}
	count := map[authn.AccountID]int{}
	for _, m := range all(t, db) {
		count[m.Account]++
	}
	for _, a := range accounts {
		if count[a] != 1 {
			t.Errorf("account %v has %d mails", a, count[a])
		}
	}
}

// Two followers of one journal do not both make a mail.
func TestP18TwoFollowersOneMail(t *testing.T) {
	db := openStore(t, newSite(t))
	newFollower(t, db, db).look(t)
	var accounts []authn.AccountID
	for i := range 20 {
		accounts = append(accounts, newAccount(t, db, string(rune('a'+i))))
		login(t, db, accounts[i], begin, authn.OKPending, 0, authn.NoticeActivated) // a kind without a limit of its own
	}
	var group sync.WaitGroup
	for range 8 {
		f := newFollower(t, db, db)
		group.Go(func() {
			for {
				if err := f.follow(context.Background()); !errors.Is(err, errMoved) {
					if err != nil {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	group.Wait()
	if n := len(all(t, db)); n != len(accounts) {
		t.Errorf("%d mails of %d events", n, len(accounts))
	}
}

// While mails are off, nothing is kept for the day on which they are switched on; neither is what happened long ago.
func TestNoticesOfThePast(t *testing.T) {
	db := openStore(t, newSite(t))
	f := newFollower(t, db, db)
	f.look(t)
	account := newAccount(t, db, "hanako")
	f.off = true
	login(t, db, account, begin, authn.WrongCode, 0, authn.NoticeFailures)
	f.look(t)
	f.off = false
	f.look(t)
	f.now = begin.Add(noticeLife)
	login(t, db, account, begin, authn.WrongCode, 0, authn.NoticeTheft)
	f.look(t)
	if got := all(t, db); len(got) != 0 {
		t.Errorf("mails %v", kindsIn(got))
	}
}

// The position is saved at the end, so that the next start goes on there.
func TestNoticesGoOnWhereTheyWere(t *testing.T) {
	db := openStore(t, newSite(t))
	f := newFollower(t, db, db)
	f.look(t)
	account := newAccount(t, db, "hanako")
	for range 100 {
		login(t, db, account, begin, authn.OK, 0)
	}
	f.look(t)
	if f.at <= f.stored {
		t.Fatalf("it has read up to %d and saved %d", f.at, f.stored)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Run(ctx)
	r, err := db.Record(noticesKey)
	if err != nil {
		t.Fatal(err)
	}
	var p position
	if err := json.Unmarshal(r.Data, &p); err != nil || p.Seq != f.at {
		t.Errorf("saved %d of %d, %v", p.Seq, f.at, err)
	}
}
