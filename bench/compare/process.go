package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sekisho/bench/internal/proc"
)

// process is one server that runs.
type process struct {
	name  string
	cmd   *exec.Cmd
	begun time.Time
	log   string
	end   syscall.Signal // asks it to end; SIGKILL: it has nothing to save
	done  chan struct{}
	err   error // of its end; valid after done
}

// stopTime is how long a server may take to save what it has to.
const stopTime = 30 * time.Second

// launch starts a server whose output goes to dir/NAME.log. keep says that it saves something at its end: it is then
// stopped with SIGTERM and what it does until it is gone counts; others are killed, so that tidying up a memory that is
// about to vanish is not held against them.
//
// It has to be called from the main goroutine, which is locked to its thread: the kernel kills the server when the
// thread that started it ends.
func launch(name, dir string, keep bool, argv ...string) (*process, error) {
	end := syscall.SIGKILL
	if keep {
		end = syscall.SIGTERM
	}
	return launchAs(nil, end, name, dir, argv...)
}

// launchAs does it as another user, if one is given, and with a signal of its own at the end.
func launchAs(who *syscall.Credential, end syscall.Signal, name, dir string, argv ...string) (*process, error) {
	path := filepath.Join(dir, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: who}
	begun := time.Now()
	if err := onServerCPUs(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, begun: begun, log: path, end: end, done: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	return p, nil
}

// used is the CPU time of the process and its children so far, in seconds, in steps of 10 ms.
func (p *process) used() float64 {
	cpu, _ := proc.Tree(p.cmd.Process.Pid)
	return cpu
}

// resident is the memory of the process and its children in octets.
func (p *process) resident() int64 {
	_, rss := proc.Tree(p.cmd.Process.Pid)
	return rss
}

// ended reports whether the process has ended by itself, and why.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended: %v\n%s", p.name, p.err, p.tail())
	default:
		return nil
	}
}

// stop ends the process and gives the CPU seconds of its whole life.
func (p *process) stop() (float64, error) {
	if err := p.ended(); err != nil {
		return 0, err
	}
	if err := p.cmd.Process.Signal(p.end); err != nil {
		return 0, fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill()
		<-p.done
		return 0, fmt.Errorf("%s did not stop within %v\n%s", p.name, stopTime, p.tail())
	}
	if p.end != syscall.SIGKILL && p.err != nil {
		return 0, fmt.Errorf("stopping %s: %w\n%s", p.name, p.err, p.tail())
	}
	s := p.cmd.ProcessState
	return (s.UserTime() + s.SystemTime()).Seconds(), nil
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// tail is the end of what the process wrote.
func (p *process) tail() []byte {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return nil
	}
	const most = 2000
	if len(b) > most {
		b = b[len(b)-most:]
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return b
}

// stopAll ends every process, the last one first, and gives the CPU seconds of each in the order of ps.
func stopAll(ps []*process) ([]float64, error) {
	used := make([]float64, len(ps))
	var faults []error
	for i := len(ps) - 1; i >= 0; i-- {
		var err error
		used[i], err = ps[i].stop()
		faults = append(faults, err)
	}
	return used, errors.Join(faults...)
}
