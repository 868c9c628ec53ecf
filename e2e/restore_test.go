package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"sekisho/token"
)

// TestRestores puts an older copy of the database in place of the living one, five times. The server sees it and does not
// start; adopted, it accepts no code that was used after the copy was made, although the copy knows nothing of them:
// event-based tokens are suspended, time-based ones refuse every step up to now and the widest window ahead (S12).
func TestRestores(t *testing.T) {
	s := newSite(t, siteOptions{})
	accepted := func(user, code string) bool {
		a, err := s.gw().login(context.Background(), user, code, nil)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		return a.code == radius.CodeAccessAccept
	}
	s.start()
	for round := range 5 {
		prefix := string(rune('A' + round))
		users := []string{"event" + prefix, "time" + prefix}
		event, clock := newKeys(t, token.HOTP, "RH"+prefix, 1)[0], newKeys(t, token.TOTP, "RT"+prefix, 1)[0]
		event.distinct(8)
		s.load([]*key{event, clock}, users)
		if !accepted(users[0], event.code(0)) {
			t.Fatalf("restore %d: the first code was refused", round+1)
		}
		s.stop()
		copied := copyFiles(t, s.data, t.TempDir())
		s.start()
		for step := int64(1); step < 4; step++ {
			if !accepted(users[0], event.code(step)) {
				t.Fatalf("restore %d: step %d was refused", round+1, step)
			}
		}
		used, usedStep := clock.now()
		if !accepted(users[1], used) {
			t.Fatalf("restore %d: the code of now was refused", round+1)
		}
		s.stop()
		for _, name := range databaseFiles {
			_ = os.Remove(filepath.Join(s.data, name))
		}
		copyFiles(t, copied, s.data)

		if err := s.tryStart(60 * time.Second); err == nil {
			t.Fatalf("restore %d: the server started on an older copy", round+1)
		} else if !strings.Contains(err.Error(), "restore --adopt") {
			t.Errorf("restore %d: it does not say what to do: %v", round+1, err)
		}
		s.cli("restore", "--adopt", "--config", s.path("sekisho.yaml"))
		s.start()
		for step := range int64(6) {
			if accepted(users[0], event.code(step)) {
				t.Errorf("restore %d: step %d of an event-based token was accepted", round+1, step)
			}
		}
		for step := usedStep - 1; step <= clock.tok.StepAt(time.Now())+1; step++ {
			if accepted(users[1], clock.code(step)) {
				t.Errorf("restore %d: step %d of a time-based token was accepted, %d was used after the copy", round+1, step, usedStep)
			}
		}
		if out := s.cli("token", "show", event.serial); !strings.Contains(out, "suspended") {
			t.Errorf("restore %d: the event-based token is not suspended: %s", round+1, out)
		}
	}
}

var databaseFiles = []string{"sekisho.db", "sekisho.db-wal", "sekisho.db-shm"}

// copyFiles copies what there is of a database and gives the folder it came to.
func copyFiles(t *testing.T, from, to string) string {
	t.Helper()
	for _, name := range databaseFiles {
		b, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}
