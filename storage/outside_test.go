package storage

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"sekisho/authn"
	"sekisho/token"
)

// TestRestoreWithStream restores a backup that knows nothing of two codes. Where the events that left the machine tell of
// them, they stay refused and the event-based token goes on; where something may be missing, it is suspended as well (S12).
func TestRestoreWithStream(t *testing.T) {
	all := func(uint64) (uint64, bool) { return 4, false }
	for name, try := range map[string]struct {
		newest    uint64
		missing   func(uint64) (uint64, bool)
		suspended int
		gap       string
	}{
		"whole":         {3, all, 0, ""},
		"with a gap":    {3, func(after uint64) (uint64, bool) { return after + 1, true }, 1, "event 2 is missing"},
		"ends too soon": {2, all, 1, "the database here had come to event 3"},
		"none":          {0, nil, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, copied, a, hotp, totp, now := backedUp(t)
			env := s.env
			if try.missing != nil {
				env.Outside = &Outside{Last: map[token.ID]int64{hotp.ID: 5, totp.ID: now.Unix() / 30, 77: 1}, Newest: try.newest, Missing: try.missing}
			}
			r, err := Restore(context.Background(), s.cfg, s.outer, env, bytes.NewReader(copied), true, "root", 1)
			if err != nil || r.Suspended != try.suspended || r.Seq != 4 || !strings.Contains(r.Gap, try.gap) || (r.Gap == "") != (try.gap == "") || r.Raised != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			db := s.open(t)
			x, err := db.Account(a.ID)
			if err != nil || (x.Assignments[0].Standing == token.Suspended) != (try.suspended == 1) {
				t.Errorf("%+v, %v", x, err)
			}
			if env.Outside == nil {
				return
			}
			if r.Known != 2 {
				t.Errorf("%d tokens by the stream", r.Known)
			}
			if ok, err := burn(db, a.ID, hotp.ID, 5); ok || err != nil {
				t.Errorf("a code that was used after the backup: %v, %v", ok, err)
			}
			if ok, err := burn(db, a.ID, hotp.ID, 6); !ok || err != nil {
				t.Errorf("the next code: %v, %v", ok, err)
			}
			if ok, err := burn(db, a.ID, totp.ID, now.Unix()/30+1); ok || err != nil {
				t.Errorf("a step of the lost time: %v, %v", ok, err)
			}
			acts, err := db.Logins(context.Background(), LoginFilter{Acts: true, Limit: 50})
			if err != nil || !strings.Contains(adoptOf(acts), "2 tokens by events up to") {
				t.Errorf("%q, %v", adoptOf(acts), err)
			}
			verified(t, db)
		})
	}
}

func adoptOf(events []authn.Event) string {
	for _, e := range events {
		if e.Act == "storage.adopt" {
			return e.Detail
		}
	}
	return ""
}

// TestRestoreNumbers: on a new machine nothing but the stream tells which numbers have left the machine; none is used again.
func TestRestoreNumbers(t *testing.T) {
	s, copied, _, _, _, _ := backedUp(t)
	other := newSite(t)
	env := s.env
	env.Outside = &Outside{Newest: 41, Missing: func(uint64) (uint64, bool) { return 2, true }}
	r, err := Restore(context.Background(), other.cfg, s.outer, env, bytes.NewReader(copied), false, "root", 1)
	if err != nil || r.Seq != 42 || r.Found != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
}
