// Package realpart lets tests say what they leave out. `go test` works with nothing but Go; `make test` sets
// SEKISHO_REAL=1, and then a missing program is a failure.
package realpart

import (
	"os"
	"testing"
)

// LeaveOut skips a test aloud, or fails it where every part has to be there.
func LeaveOut(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("SEKISHO_REAL") == "1" {
		t.Fatalf("cannot run: %s", why)
	}
	t.Skipf("LEFT OUT: %s", why)
}
