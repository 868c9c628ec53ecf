package main

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sekisho/admin"
	"sekisho/internal/testenv"
)

// TestProgressLine: a terminal sees one line that is drawn again and gone at the end; a log sees nothing.
func TestProgressLine(t *testing.T) {
	var seen, log bytes.Buffer
	line, silent := progressLine{out: &seen, on: true}, progressLine{out: &log}
	for _, p := range []admin.ImportProgress{{Stage: "reading", Done: 1000}, {Stage: "looking-up", Done: 7, Of: 500}, {Stage: "writing", Done: 400, Of: 1200}} {
		line.step(&p)
		silent.step(&p)
	}
	line.end()
	line.end()
	silent.end()
	const again = "\r\x1b[K"
	if want := again + "1000 rows read" + again + "7 of 500 users looked up" + again + "400 of 1200 rows written" + again; seen.String() != want {
		t.Errorf("%q, want %q", seen.String(), want)
	}
	if log.Len() != 0 {
		t.Errorf("a log has %q", log.String())
	}
}

func TestTerminal(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if terminal(file) || terminal(&bytes.Buffer{}) {
		t.Error("a file is taken for a terminal")
	}
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testenv.LeaveOut(t, "there are no pseudo-terminals: %v", err)
	}
	pty := os.NewFile(uintptr(fd), "ptmx")
	defer func() { _ = pty.Close() }()
	if !terminal(pty) {
		t.Error("a terminal is not known as one")
	}
}
