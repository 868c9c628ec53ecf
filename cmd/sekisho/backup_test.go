package main

import (
	"errors"
	"testing"

	"sekisho/storage"
)

// TestOneSnapshot: whoever comes while a copy still has its name is told to wait, and takes nothing away.
func TestOneSnapshot(t *testing.T) {
	s := &service{config: &Config{}}
	s.snapshots.Lock()
	if _, _, err := s.snapshot(t.Context()); !errors.Is(err, storage.ErrSnapshotBusy) {
		t.Errorf("%v", err)
	}
}
