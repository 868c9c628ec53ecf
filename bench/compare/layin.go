package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// mostEvents is what the performance table asks for.
const mostEvents = 50_000_000

// LayIn fills the journal of a server that shall have a long past: it logs people in for a while and has storage's own
// loader repeat what that wrote.
func (s *sekisho) LayIn(ctx context.Context, c *session, i *instance) error {
	if !s.old {
		return nil
	}
	events := c.options.events
	if events < 0 || events > mostEvents {
		return fmt.Errorf("-events %d: want 0 to %d", events, mostEvents)
	}
	if err := i.start(); err != nil {
		return err
	}
	defer i.kill()
	if _, err := c.radload(ctx, i, load{Window: small, Length: 2 * time.Second}); err != nil {
		return err
	}
	if _, err := i.stop(); err != nil {
		return err
	}
	begin := time.Now()
	cmd := exec.CommandContext(ctx, "go", "test", "-C", "..", "-tags", "layin", "-run", "^TestLayIn$", "-count", "1", "-timeout", "1h", "./storage")
	db := filepath.Join(i.dir, "data", "sekisho.db")
	cmd.Env = append(os.Environ(), "LAYIN_DATABASE="+db, "LAYIN_KEY="+filepath.Join(i.dir, "sealing.key"), "LAYIN_EVENTS="+strconv.Itoa(events))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go test -tags layin ./storage: %w\n%s", err, said)
	}
	info, err := os.Stat(db)
	if err != nil {
		return err
	}
	progress("%s: %s events laid in within %.0f s, the database has %.1f GB", c.row.name, figure(float64(events)), time.Since(begin).Seconds(), float64(info.Size())/1e9)
	return nil
}
