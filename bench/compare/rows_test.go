package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"sekisho/bench/internal/realpart"
)

// The loader is built with a tag of its own, so nothing else notices when storage changes below it.
func TestLoaderCompiles(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		realpart.LeaveOut(t, "there is no go command")
	}
	if said, err := exec.Command("go", "vet", "-C", "../..", "-tags", "layin", "./storage").CombinedOutput(); err != nil {
		t.Errorf("go vet -tags layin ./storage: %v\n%s", err, said)
	}
}

// Each row from end to end, small and short: what it prints says nothing, but it prints it.
func TestRows(t *testing.T) {
	if os.Getenv("SEKISHO_PROOF") != "1" {
		t.Skip("LEFT OUT: it takes minutes (SEKISHO_PROOF=1)")
	}
	if os.Getuid() != 0 {
		realpart.LeaveOut(t, "PAM's service and a control group need root")
	}
	t.Chdir("..")
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			runtime.LockOSThread() // as main does; its end takes the thread along
			defer func() { serverCPUs = nil }()
			users := 2000
			switch {
			case r.kind == "totp": // each once in a step
				users = 60_000
			case r.unanswered:
				users = 20_000
			}
			var b bytes.Buffer
			o := options{rows: r.name, rounds: 1, length: 300 * time.Millisecond, users: users, events: 20_000, budget: 5 * time.Minute, noisy: true}
			if err := run(context.Background(), o, io.MultiWriter(&b, t.Output())); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), "reached") && !strings.Contains(b.String(), "missed") {
				t.Errorf("there is no verdict in\n%s", &b)
			}
		})
	}
}
