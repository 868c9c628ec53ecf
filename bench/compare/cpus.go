package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// serverCPUs are the CPUs that servers start on; nil: as it comes.
var serverCPUs *unix.CPUSet

// onServerCPUs does something, starting a process, from where its children inherit these CPUs. The caller is locked to its
// thread (see launch).
func onServerCPUs(f func() error) error {
	if serverCPUs == nil {
		return f()
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("reading the CPUs of a thread: %w", err)
	}
	if err := unix.SchedSetaffinity(0, serverCPUs); err != nil {
		return fmt.Errorf("pinning a server: %w", err)
	}
	err := f()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// apart keeps this process and its generators on the first CPU and servers on the other ones until undo is called, so that
// neither can take the other's time.
func apart() (undo func(), err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, err
	}
	if all.Count() < 2 {
		return nil, errors.New("this row keeps generator and server on CPUs of their own: it needs two")
	}
	ours, theirs := unix.CPUSet{}, all
	for cpu := range 1024 {
		if all.IsSet(cpu) {
			ours.Set(cpu)
			theirs.Clear(cpu)
			break
		}
	}
	if err := pinSelf(&ours); err != nil {
		return nil, err
	}
	serverCPUs = &theirs
	return func() {
		serverCPUs = nil
		_ = pinSelf(&all)
	}, nil
}

// pinSelf moves all threads of this process. New ones inherit from the one that makes them; a second look finds those that
// were made meanwhile.
func pinSelf(cpus *unix.CPUSet) error {
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, cpus); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("pinning the generator: %w", err)
			}
		}
	}
	return nil
}
