package admin

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"sekisho/authn"
)

// TestBackup: the act is saved before an octet leaves, what is refused says why, and the copy is let go of in each case.
func TestBackup(t *testing.T) {
	for name, tt := range map[string]struct {
		store  brokenStore
		err    error
		status int
		code   string
	}{
		"made":           {},
		"not saved":      {store: brokenStore{later: errors.New("disk I/O error at /var/lib/x")}, status: 500, code: "not-saved"},
		"no recipient":   {err: &authn.Refusal{Code: "no-recipient", Sentence: "Say to whom."}, status: 409, code: "no-recipient"},
		"a broken store": {err: errors.New("copying /var/lib/x"), status: 500, code: "no-backup"},
	} {
		t.Run(name, func(t *testing.T) {
			s, closed, asked := silent(t, io.Discard), 0, ""
			s.Store, s.Forget = tt.store, func(...authn.AccountID) {}
			s.Backup = func(_ context.Context, recipient string) (*Backup, error) {
				if asked = recipient; tt.err != nil {
					closed++
					return nil, tt.err
				}
				return &Backup{
					Seq: 42, Recipient: recipient, Close: func() { closed++ },
					Write: func(w io.Writer) error { _, err := io.WriteString(w, "sealed"); return err },
				}, nil
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "POST", "/api/v1/backup?recipient=r1", ""))
			if closed != 1 || asked != "r1" {
				t.Errorf("closed %d times, asked for %q", closed, asked)
			}
			if tt.code == "" {
				if w.Code != 200 || w.Body.String() != "sealed" || w.Header().Get("Sekisho-Seq") != "42" {
					t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
				}
				return
			}
			if p := problemOf(t, w); w.Code != tt.status || p.Code != tt.code || strings.Contains(w.Body.String(), "/var/lib") || strings.Contains(w.Body.String(), "sealed") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	s := silent(t, io.Discard)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{4711, "mallory"}, "POST", "/api/v1/backup", ""))
	if w.Code != 403 {
		t.Errorf("somebody else: %d", w.Code)
	}
	s.Operators = Operators{Names: []string{"helpdesk"}}
	s.Backup = func(context.Context, string) (*Backup, error) {
		t.Error("a backup was begun for the help desk")
		return nil, errors.New("no")
	}
	w = httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{4711, "helpdesk"}, "POST", "/api/v1/backup?recipient=mine", ""))
	if p := problemOf(t, w); w.Code != 403 || p.Code != "not-the-administrator" {
		t.Errorf("the help desk: %d %s", w.Code, w.Body)
	}
}
