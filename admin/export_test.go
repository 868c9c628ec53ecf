package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// vault is a shelf that lists its tokens and keeps the events of acts.
type vault struct {
	*shelf
	holders map[token.ID][]TokenHolder
	events  []*authn.Event
	fails   error // of Update
}

func (v *vault) Token(id token.ID) (TokenInfo, error) {
	info, err := v.shelf.Token(id)
	info.Holders = v.holders[id]
	return info, err
}

func (v *vault) FindToken(_ context.Context, name string) (token.ID, error) {
	return v.FindSerial(name), nil
}

func (v *vault) Tokens(_ context.Context, q TokenQuery) ([]TokenInfo, error) {
	var all []TokenInfo
	for id := range v.tokens {
		info, _ := v.Token(id)
		t := &info.Token
		if t.ID > q.After && (q.State == 0 || t.StateAt(q.Now) == q.State) && (q.Form == 0 || t.Form == q.Form) {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b TokenInfo) int { return cmp.Compare(a.Token.ID, b.Token.ID) })
	return all[:min(len(all), q.Limit)], nil
}

func (v *vault) Update(_ authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	c, err := f(&authn.Held{})
	if err == nil {
		v.events = append(v.events, c.Event)
		done(v.fails)
	}
	return err
}

// exporting is a service with n tokens of every state and form, made like those of an import.
func exporting(t *testing.T, n int, log io.Writer) (*Server, *vault) {
	t.Helper()
	s, store, _ := importing(t, log)
	v := &vault{shelf: store, holders: map[token.ID][]TokenHolder{}}
	s.Store = v
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	s.Now = func() time.Time { return now }
	for i := range n {
		k := token.Token{ID: token.ID(i + 1), Serial: fmt.Sprintf("E%04d", i), Form: token.Hardware, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, State: token.InStock, Last: token.NoStep}
		switch i % 5 {
		case 1:
			k.State, k.Last = token.InUse, 59_000_000
			v.holders[k.ID] = []TokenHolder{{Account: 1, Name: "old", Standing: token.Revoked}, {Account: 2, Name: fmt.Sprintf("user%d", i), Standing: token.Active}}
		case 2:
			k.Expiry = now.Unix()
		case 3:
			k.State = token.Destroyed
		case 4:
			k.Form, k.Mode, k.Period, k.Last, k.State, k.Expiry = token.Software, token.HOTP, 0, 41, token.InUse, now.Unix()+1
			v.holders[k.ID] = []TokenHolder{{Account: 3, Name: "shared1", Standing: token.Active}, {Account: 4, Name: "shared2", Standing: token.Pending}}
		}
		if err := s.seal(&k, []byte(fmt.Sprintf("the seed of number %04d", i))); err != nil {
			t.Fatal(err)
		}
		store.tokens[k.ID] = k
	}
	return s, v
}

const exportKey = "2c19aeed9a9d9fe018a692219d8f8b0e"

func export(t *testing.T, s *Server, body map[string]any) *httptest.ResponseRecorder {
	t.Helper()
	if body["reason"] == nil {
		body["reason"] = "a move"
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "POST", "/api/v1/tokens/export", string(text)))
	return w
}

// serialsOf reads an export back.
func serialsOf(t *testing.T, w *httptest.ResponseRecorder) (serials []string, users string) {
	t.Helper()
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	key, err := token.ParseTransportKey([]byte(exportKey))
	if err != nil {
		t.Fatal(err)
	}
	err = token.ReadTokens(w.Body, token.ReadOptions{Key: key}, func(r token.Row) error {
		serials = append(serials, r.Token.Serial)
		users += r.User + " "
		if want := "the seed of number " + r.Token.Serial[1:]; string(r.Seed) != want {
			t.Errorf("%s: seed %q", r.Token.Serial, string(r.Seed))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return serials, strings.TrimSpace(users)
}

// TestExport: what is asked for leaves sealed, and the event stands before it does.
func TestExport(t *testing.T) {
	for _, tt := range []struct {
		name   string
		body   map[string]any
		want   string
		users  string
		shared string
		detail string
	}{
		{"all", map[string]any{}, "E0000 E0001 E0004 E0005 E0006 E0009", "user1 shared1  user6 shared1", "2",
			"6 tokens under a pre-shared key: E0000, E0001, E0004, E0005, E0006, E0009; reason: a move"},
		{"in use", map[string]any{"state": "in use", "reason": "ticket 4711"}, "E0001 E0004 E0006 E0009", "user1 shared1 user6 shared1", "2", "4 tokens under a pre-shared key: E0001, E0004, E0006, E0009; reason: ticket 4711"},
		{"expired", map[string]any{"state": "expired"}, "E0002 E0007", "", "0", "2 tokens"},
		{"software", map[string]any{"form": "software"}, "E0004 E0009", "shared1 shared1", "2", "2 tokens"},
		{"chosen", map[string]any{"tokens": []string{"E0006", "E0000", "E0006", "E0002"}}, "E0006 E0000 E0002", "user6", "0", "3 tokens"},
		{"chosen and in stock", map[string]any{"tokens": []string{"E0006", "E0000"}, "state": "in stock"}, "E0000", "", "0", "1 tokens"},
	} {
		s, v := exporting(t, 10, io.Discard)
		tt.body["key"] = exportKey
		w := export(t, s, tt.body)
		serials, users := serialsOf(t, w)
		if got := strings.Join(serials, " "); got != tt.want || users != tt.users {
			t.Errorf("%s: %s for %q, want %s for %q", tt.name, got, users, tt.want, tt.users)
		}
		if w.Header().Get(ExportCount) != fmt.Sprint(len(serials)) || w.Header().Get(ExportShared) != tt.shared || w.Header().Get("Content-Type") != "application/pskc+xml" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", tt.name, w.Header())
		}
		if len(v.events) != 1 || v.events[0].Act != "token.export" || v.events[0].Actor != "root" || !strings.HasPrefix(v.events[0].Detail, tt.detail) {
			t.Errorf("%s: %+v", tt.name, v.events)
		}
	}
	s, v := exporting(t, 4000, io.Discard)
	if serials, _ := serialsOf(t, export(t, s, map[string]any{"key": exportKey})); len(serials) != 2400 || strings.Contains(v.events[0].Detail, "E0") {
		t.Errorf("%d tokens, %q", len(serials), v.events[0].Detail)
	}
}

// TestExportRefused: nothing leaves where it is not clear for whom, where nothing fits, or where the event was not saved.
func TestExportRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		body   map[string]any
		status int
		code   string
		text   string
	}{
		{"nobody", map[string]any{}, 422, "bad-input", "give one of the three"},
		{"two", map[string]any{"key": exportKey, "password": "correct horse battery"}, 422, "bad-input", "give one of the three"},
		{"short password", map[string]any{"password": "secret"}, 422, "bad-input", "want 16 characters"},
		{"no key", map[string]any{"key": "carton"}, 422, "bad-input", "want 16, 24 or 32 octets"},
		{"no certificate", map[string]any{"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, 422, "bad-input", "cannot be read"},
		{"no PEM", map[string]any{"certificate": "AAAA"}, 422, "bad-input", "want one certificate in PEM"},
		{"no reason", map[string]any{"key": exportKey, "reason": ""}, 422, "bad-input", ""},
		{"a state of no seed", map[string]any{"key": exportKey, "state": "destroyed"}, 422, "bad-input", ""},
		{"destroyed", map[string]any{"key": exportKey, "tokens": []string{"E0003"}}, 409, "destroyed", "E0003 was destroyed"},
		{"unknown", map[string]any{"key": exportKey, "tokens": []string{"E9999"}}, 404, "unknown-token", "E9999"},
		{"nothing fits", map[string]any{"key": exportKey, "tokens": []string{"E0000"}, "form": "software"}, 404, "no-token", "no token is as asked for"},
		{"unknown field", map[string]any{"key": exportKey, "pasword": "x"}, 422, "bad-input", ""},
	} {
		s, v := exporting(t, 5, io.Discard)
		w := export(t, s, tt.body)
		p := problemOf(t, w)
		if w.Code != tt.status || p.Code != tt.code || !strings.Contains(w.Body.String(), tt.text) {
			t.Errorf("%s: %s", tt.name, w.Body)
		}
		if len(v.events) != 0 || strings.Contains(w.Body.String(), exportKey) || strings.Contains(w.Body.String(), "KeyContainer") {
			t.Errorf("%s: %d events, %s", tt.name, len(v.events), w.Body)
		}
	}
	s, v := exporting(t, 5, io.Discard)
	v.fails = errors.New("the disk is full")
	if w := export(t, s, map[string]any{"key": exportKey}); w.Code < 500 || strings.Contains(w.Body.String(), "KeyContainer") {
		t.Errorf("an event that was not saved: %d: %s", w.Code, w.Body)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{5001, "mallory"}, "POST", "/api/v1/tokens/export", `{"key": "`+exportKey+`", "reason": "x"}`))
	if w.Code != 403 {
		t.Errorf("mallory: %d", w.Code)
	}
	// Who may help people may not carry all their seeds away.
	s, v = exporting(t, 5, io.Discard)
	s.Operators = Operators{Names: []string{"helpdesk"}}
	w = httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{5001, "helpdesk"}, "POST", "/api/v1/tokens/export", `{"key": "`+exportKey+`", "reason": "x"}`))
	if p := problemOf(t, w); w.Code != 403 || p.Code != "not-the-administrator" || len(v.events) != 0 {
		t.Errorf("helpdesk: %d %s, %d events", w.Code, w.Body, len(v.events))
	}
}

// TestExportCut: a seed that does not open cuts the file, which no reader takes then, and the log has the reason.
func TestExportCut(t *testing.T) {
	var log bytes.Buffer
	s, v := exporting(t, 5, &log)
	k := v.tokens[2]
	k.Sealed.Data = bytes.Clone(k.Sealed.Data)
	k.Sealed.Data[20] ^= 1
	v.tokens[2] = k
	w := export(t, s, map[string]any{"key": exportKey})
	if strings.HasSuffix(w.Body.String(), ExportEnd) || !strings.Contains(log.String(), "an export was cut") || strings.Contains(log.String(), "the seed of number") {
		t.Errorf("%s\n%s", w.Body, log.String())
	}
	key, _ := token.ParseTransportKey([]byte(exportKey))
	if err := token.ReadTokens(w.Body, token.ReadOptions{Key: key}, func(token.Row) error { return nil }); err == nil || !strings.Contains(err.Error(), "breaks off here") {
		t.Errorf("the cut file: %v", err)
	}
}
