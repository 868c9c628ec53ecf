package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// state is the letter that /proc/PID/stat has for a process: T for a stopped one.
func state(t *testing.T, p *process) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0]
}

// A held process runs on as it was once the hold is lifted.
func TestHold(t *testing.T) {
	runtime.LockOSThread()
	p, err := launch("sleep", t.TempDir(), false, "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	signals := func() *hold {
		h := &hold{stop: make(chan struct{}), stopped: make(chan struct{})}
		go h.alternate(p, holdPeriod/10)
		return h
	}
	h, err := holdTo(p, 0.1) // a control group where one can be made
	if err != nil {
		t.Fatal(err)
	}
	h.lift(p)
	if _, err := os.Stat(h.group); h.group != "" && err == nil {
		t.Errorf("%s is still there", h.group)
	}
	h = signals()
	for deadline := time.Now().Add(time.Minute); state(t, p) != "T"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it was never stopped")
		}
	}
	h.lift(p)
	for deadline := time.Now().Add(time.Minute); state(t, p) == "T"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it was left stopped")
		}
	}
	if err := p.ended(); err != nil {
		t.Error(err)
	}
}

// Servers start on other CPUs than the generator, and all is as before afterwards.
func TestApart(t *testing.T) {
	runtime.LockOSThread()
	var before, server, after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	undo, err := apart()
	if before.Count() < 2 {
		if err == nil {
			t.Error("one CPU was enough")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch("sleep", t.TempDir(), false, "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	if err := unix.SchedGetaffinity(p.cmd.Process.Pid, &server); err != nil {
		t.Fatal(err)
	}
	var ours unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		t.Fatal(err)
	}
	if ours.Count() != 1 || server.Count() != before.Count()-1 {
		t.Errorf("%d CPUs for the generator, %d for the server, of %d", ours.Count(), server.Count(), before.Count())
	}
	for cpu := range 1024 {
		if ours.IsSet(cpu) && server.IsSet(cpu) {
			t.Errorf("both are on CPU %d", cpu)
		}
	}
	undo()
	if err := unix.SchedGetaffinity(0, &after); err != nil {
		t.Fatal(err)
	}
	if after != before || serverCPUs != nil {
		t.Error("the CPUs are not as they were")
	}
}
