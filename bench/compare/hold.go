package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// hold keeps a process to a part of one core.
type hold struct {
	how     string
	group   string        // folder of the control group; else by signals
	stop    chan struct{} // ends the signals
	stopped chan struct{}
}

// holdPeriod is the kernel's own: the process runs for its part of it and stands still for the rest.
const holdPeriod = 100 * time.Millisecond

// holdTo holds a process and what it starts to share of one core, by a control group or, where none can be made, by
// stopping and continuing it.
func holdTo(p *process, share float64) (*hold, error) {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	period, quota := holdPeriod.Microseconds(), int64(share*float64(holdPeriod.Microseconds()))
	name := "sekisho-bench-" + pid
	for _, try := range []struct{ how, parent, limit, value string }{
		{"cgroup v2 cpu.max", "/sys/fs/cgroup", "cpu.max", fmt.Sprintf("%d %d", quota, period)},
		{"cgroup v1 cpu.cfs_quota_us", "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10)},
	} {
		group := filepath.Join(try.parent, name)
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		err := writeControl(filepath.Join(group, try.limit), try.value)
		if err == nil {
			err = writeControl(filepath.Join(group, "cgroup.procs"), pid)
		}
		if err == nil {
			return &hold{how: try.how, group: group}, nil
		}
		_ = os.Remove(group)
	}
	h := &hold{how: "SIGSTOP and SIGCONT", stop: make(chan struct{}), stopped: make(chan struct{})}
	go h.alternate(p, time.Duration(float64(holdPeriod)*share))
	return h, nil
}

// writeControl writes to a file that has to exist: a folder that is no control group has none.
func writeControl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// alternate lets a process run for a part of each period. It has to be pinned to one CPU, or its threads get the part each.
func (h *hold) alternate(p *process, run time.Duration) {
	defer close(h.stopped)
	for on := true; ; on = !on {
		signal, lasts := syscall.SIGSTOP, holdPeriod-run
		if on {
			signal, lasts = syscall.SIGCONT, run
		}
		_ = p.cmd.Process.Signal(signal)
		select {
		case <-time.After(lasts):
		case <-h.stop:
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
			return
		}
	}
}

// lift ends the part; the control group can be removed only once its process is gone or moved out of it.
func (h *hold) lift(p *process) {
	if h.group == "" {
		close(h.stop)
		<-h.stopped
		return
	}
	_ = writeControl(filepath.Join(filepath.Dir(h.group), "cgroup.procs"), strconv.Itoa(p.cmd.Process.Pid))
	_ = os.Remove(h.group)
}
