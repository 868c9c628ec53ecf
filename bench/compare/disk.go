package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// syncP99 is the 99th percentile of one 4 KiB write with fdatasync(2) after it in a folder, in microseconds: each appends to
// the file, as a database's log grows.
func syncP99(dir string) (float64, error) {
	const writes = 500
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	block := make([]byte, 4096)
	var took []float64
	for range writes {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("fdatasync in %s: %w", filepath.Dir(f.Name()), err)
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/1000)
	}
	slices.Sort(took)
	return took[writes*99/100], nil
}
