package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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
		"a broken store": {err: errors.New("copying /var/lib/x"), status: 500, code: "not-saved"},
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
}

// TestBackupOutlivesReadTimeout: a copy takes longer than a request may take to read.
func TestBackupOutlivesReadTimeout(t *testing.T) {
	s := silent(t, io.Discard)
	s.Store, s.Forget = brokenStore{}, func(...authn.AccountID) {}
	const limit = 50 * time.Millisecond
	s.Backup = func(ctx context.Context, _ string) (*Backup, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(6 * limit):
		}
		return &Backup{Close: func() {}, Write: func(w io.Writer) error { _, err := io.WriteString(w, "sealed"); return err }}, nil
	}
	handler := s.Handler()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, Peer{0, "root"})))
	}))
	server.Config.ReadTimeout = limit
	server.Start()
	defer server.Close()
	res, err := http.Post(server.URL+"/api/v1/backup", "", nil) //nolint:noctx // the test ends with its server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || string(b) != "sealed" {
		t.Errorf("%s: %q, %v", res.Status, b, err)
	}
}
