package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/storage"
	"sekisho/token"
)

// mailStore is a real store, as far as mails need it.
type mailStore struct {
	Store
	db *storage.DB
}

func (s mailStore) Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	return s.db.Update(keys, f, done)
}
func (s mailStore) Account(id authn.AccountID) (*authn.Account, error) { return s.db.Account(id) }
func (s mailStore) AccountOf(directory, external string) authn.AccountID {
	return s.db.AccountOf(directory, external)
}
func (s mailStore) Record(key authn.RecordKey) (*authn.Record, error)    { return s.db.Record(key) }
func (s mailStore) Records(q authn.RecordQuery) ([]*authn.Record, error) { return s.db.Records(q) }
func (s mailStore) RecordOf(kind authn.RecordKind, lookup [16]byte) uint64 {
	return s.db.RecordOf(kind, lookup)
}
func (s mailStore) Keyed(domain byte, parts ...[]byte) (sum [16]byte) {
	return s.db.Keyed(domain, parts...)
}

var mailBegin = time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)

// postOffice is a service over a real store with accounts of two directories and one mail in each state.
func postOffice(t *testing.T) (s *Server, accounts map[string]authn.AccountID, ids map[authn.MessageState]string, woken *int) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"data", "mark"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(dir, "outer.key")
	if err := token.NewOuterKeyFile(key); err != nil {
		t.Fatal(err)
	}
	outer, err := token.LoadOuterKey(key)
	if err != nil {
		t.Fatal(err)
	}
	db, err := storage.Open(context.Background(), storage.Config{Path: filepath.Join(dir, "data", "sekisho.db"), Mark: filepath.Join(dir, "mark", "mark"),
		Ballast: -1, FreeSpace: -1}, outer, storage.Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	accounts, ids, woken = map[string]authn.AccountID{}, map[authn.MessageState]string{}, new(int)
	c := authn.Change{Event: &authn.Event{At: mailBegin, Kind: authn.ActEvent, Act: "test.create", Actor: "test", Step: token.NoStep}}
	for _, directory := range []string{"corp", "partner"} {
		a := &authn.Account{ID: authn.AccountID(token.NewID()), Directory: directory, External: "hanako", Name: "hanako"}
		accounts[directory] = a.ID
		c.Accounts = append(c.Accounts, a)
	}
	for state := authn.MessageWaiting; state <= authn.MessageWithdrawn; state++ {
		m := authn.Message{ID: authn.NewMessageID(mailBegin), Kind: authn.MailActivation, Account: accounts["corp"], To: "hanako@lab.test", State: state,
			Created: mailBegin, Due: mailBegin, Until: mailBegin.Add(time.Hour), Changed: mailBegin, Answer: "550 5.1.1 <hanako@lab.test>: =nobody",
			Fields: map[string]string{"link": "/a/SECRETSECRET"}}
		if state == authn.MessageLapsed {
			m.Account, m.Kind = accounts["partner"], authn.MailExpiry
		}
		if state == authn.MessageSent || state == authn.MessageLapsed || state == authn.MessageWithdrawn {
			m.Fields = nil
		}
		r, err := m.Record()
		if err != nil {
			t.Fatal(err)
		}
		ids[state] = recordID(m.ID)
		c.Records = append(c.Records, r)
	}
	saved := make(chan error, 1)
	if err := db.Update(authn.Keys{}, func(*authn.Held) (authn.Change, error) { return c, nil }, func(err error) { saved <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	s = silent(t, io.Discard)
	s.Store, s.Forget, s.Wake, s.Now = mailStore{nil, db}, func(...authn.AccountID) {}, func() { *woken++ }, func() time.Time { return mailBegin }
	return s, accounts, ids, woken
}

func mailsOf(t *testing.T, s *Server, query string) (l MailList, raw string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "GET", "/api/v1/mails"+query, ""))
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	if !strings.Contains(query, "csv") {
		if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
	}
	return l, w.Body.String()
}

func TestMailsAreListed(t *testing.T) {
	s, _, ids, _ := postOffice(t)
	l, raw := mailsOf(t, s, "")
	if len(l.Mails) != 8 || l.Mails[0].State != "withdrawn" || l.Mails[7].State != "waiting" || l.Next != "" {
		t.Errorf("want eight, the newest first: %+v", l)
	}
	if strings.Contains(raw, "SECRET") {
		t.Errorf("the list shows a link: %s", raw)
	}
	for query, want := range map[string]int{"?state=unknown": 1, "?kind=expiry": 1, "?kind=activation": 7, "?kind=theft": 0, "?since=2026-04-01T09:00:01Z": 0, "?since=2026-04-01T09:00:00Z": 8} {
		if l, _ := mailsOf(t, s, query); len(l.Mails) != want {
			t.Errorf("%s: %d mails, want %d", query, len(l.Mails), want)
		}
	}
	var paged []string
	for query := "?limit=3"; ; {
		l, _ := mailsOf(t, s, query)
		for _, m := range l.Mails {
			paged = append(paged, m.State)
		}
		if l.Next == "" {
			break
		}
		query = "?limit=3&after=" + l.Next
	}
	if len(paged) != 8 || len(slices.Compact(paged)) != 8 {
		t.Errorf("pages have %v", paged)
	}
	if _, sheet := mailsOf(t, s, "?format=csv"); strings.Count(sheet, "\r\n") != 9 || strings.Contains(sheet, "SECRET") {
		t.Errorf("the sheet:\n%s", sheet)
	}
	for query, code := range map[string]string{"?kind=x": "bad-input", "?state=x": "bad-input", "?after=x": "bad-input", "?since=x": "bad-input", "/x": "unknown-mail",
		"/" + recordID(7): "unknown-mail"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "GET", "/api/v1/mails"+query, ""))
		if p := problemOf(t, w); p.Code != code {
			t.Errorf("%s: %d %s, want %s", query, p.Status, p.Code, code)
		}
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "GET", "/api/v1/mails/"+ids[authn.MessageUnknown], ""))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"answer":"550 5.1.1 \u003chanako@lab.test\u003e: =nobody"`) && !strings.Contains(w.Body.String(), `"answer":"550 5.1.1 <hanako@lab.test>: =nobody"`) {
		t.Errorf("%d: the answer is not word for word: %s", w.Code, w.Body)
	}
}

func TestMailsGoAgain(t *testing.T) {
	s, _, ids, woken := postOffice(t)
	h := s.Handler()
	for state, want := range map[authn.MessageState]string{
		authn.MessageWaiting: "", authn.MessageSending: "mail-under-way", authn.MessageSent: "mail-sent", authn.MessageRefused: "", authn.MessageUnknown: "",
		authn.MessageLapsed: "mail-void", authn.MessageHeld: "", authn.MessageWithdrawn: "mail-void",
	} {
		*woken = 0
		w := httptest.NewRecorder()
		h.ServeHTTP(w, as(Peer{0, "root"}, "POST", "/api/v1/mails/"+ids[state]+"/again", ""))
		l, _ := mailsOf(t, s, "")
		i := slices.IndexFunc(l.Mails, func(m Mail) bool { return m.ID == ids[state] })
		switch {
		case want == "" && (w.Code != 200 || l.Mails[i].State != "waiting" || *woken != 1):
			t.Errorf("%v: %d %s; it is %s, woken %d", state, w.Code, w.Body, l.Mails[i].State, *woken)
		case want != "" && (w.Code != 409 || problemOf(t, w).Code != want || l.Mails[i].State != state.String() || *woken != 0):
			t.Errorf("%v: %d %s, want %s; it is %s", state, w.Code, w.Body, want, l.Mails[i].State)
		}
	}
	stale := as(Peer{0, "root"}, "POST", "/api/v1/mails/"+ids[authn.MessageUnknown]+"/again", "")
	stale.Header.Set("If-Match", `"x"`)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, stale)
	if w.Code != 412 {
		t.Errorf("stale: %d %s", w.Code, w.Body)
	}
}

// TestO1MailsByScopeAndRole: who sees one directory sees its people's mails alone, and an auditor changes nothing.
func TestO1MailsByScopeAndRole(t *testing.T) {
	s, _, ids, _ := postOffice(t)
	_ = s.Handler()
	caller := func(role operator.Role, directories ...string) context.Context {
		return context.WithValue(context.Background(), callerKey{}, &caller{Principal: operator.Principal{Name: "x", Role: role, Door: operator.Password,
			Scope: operator.Scope{Directories: directories}}})
	}
	list := func(ctx context.Context) (states []string) {
		reply, err := s.listMails(ctx, &MailQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reply.Body.Mails {
			states = append(states, m.State)
		}
		return states
	}
	if got := list(caller(operator.Helpdesk, "partner")); !slices.Equal(got, []string{"lapsed"}) {
		t.Errorf("the help desk of partner sees %v", got)
	}
	if got := list(caller(operator.Helpdesk)); len(got) != 8 {
		t.Errorf("who sees everybody sees %v", got)
	}
	again := func(ctx context.Context, state authn.MessageState) string {
		_, err := s.sendAgain(ctx, &struct {
			MailPath
			Matching
		}{MailPath: MailPath{ids[state]}})
		if p, ok := err.(*Problem); ok {
			return p.Code
		}
		return ""
	}
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{
		{caller(operator.Helpdesk, "partner"), "unknown-mail"},
		{caller(operator.Auditor), "no-right"},
		{caller(operator.Helpdesk, "corp"), ""},
	} {
		if got := again(c.ctx, authn.MessageUnknown); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
