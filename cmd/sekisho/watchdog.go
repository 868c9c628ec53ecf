package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// watchdog tells the service manager every so often that the service lives, as long as the committer, through which every
// login goes, answers. What hangs ends the messages, and the manager starts the service anew. A database that says why it
// takes nothing, a full disk for one, is no hang: it recovers by itself, and a restart would only lose what memory knows.
func (s *service) watchdog(ctx context.Context, every time.Duration) {
	if every <= 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, every/2)
		err := s.db.Ping(asked)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, context.DeadlineExceeded):
			s.log.Error("the database does not answer; the service manager is told nothing, so that it starts the service anew", "waited", every/2)
		default:
			s.tell(s.manager.Alive())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell logs what could not be told to the service manager.
func (s *service) tell(err error) {
	if err != nil {
		s.log.Warn("the service manager was not reached", "error", err)
	}
}

// status is the service in one line, for the service manager.
func (s *service) status() string {
	h := s.health()
	for _, part := range []string{"store", "clock"} {
		if text := h.Parts[part]; text != "ok" {
			return part + ": " + text
		}
	}
	c := s.parts.Load().config
	return fmt.Sprintf("answering %d clients by %d policies", len(c.Radius.Clients), len(c.Policies))
}
