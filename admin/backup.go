package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"sekisho/authn"
)

// Backup is a consistent copy of the store, ready to be sealed.
type Backup struct {
	Seq       uint64 // newest event in it
	Recipient string
	// Write seals the copy to w. A backup that was cut short shows that.
	Write func(w io.Writer) error
	// Close lets go of the copy.
	Close func()
}

// backup is POST /api/v1/backup: a sealed copy of the store, to ?recipient= or else to the configured one. It stands beside
// huma, which answers in one piece. The act is durable before the first octet leaves.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	if err := s.administrator(r.Context()); err != nil {
		s.refuse(w, err)
		return
	}
	b, err := s.Backup(r.Context(), r.URL.Query().Get("recipient"))
	if _, refused := errors.AsType[*authn.Refusal](err); err != nil && !refused {
		s.Log.Error("a backup was not made", "error", err)
		writeProblem(w, newProblem(http.StatusInternalServerError, "no-backup", wordNoBackup))
		return
	} else if refused {
		s.refuse(w, err)
		return
	}
	defer b.Close()
	if err := s.noteBackup(r.Context(), b); err != nil {
		s.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Sekisho-Seq", strconv.FormatUint(b.Seq, 10))
	if err := b.Write(w); err != nil {
		s.Log.Error("a backup was cut short", "error", err)
	}
}

func (s *Server) noteBackup(ctx context.Context, b *Backup) error {
	s.acts.Lock()
	defer s.acts.Unlock()
	_, err := s.note(ctx, "backup.make", fmt.Sprintf("up to event %d, for %s", b.Seq, b.Recipient))
	return err
}

// refuse writes an error as [Server.problem] words it.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	p, ok := errors.AsType[*Problem](s.problem(err))
	if !ok {
		p = newProblem(http.StatusInternalServerError, "fault", wordFault)
	}
	writeProblem(w, p)
}
