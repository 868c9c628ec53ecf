// Package sdnotify tells systemd how the service is: sd_notify(3), the protocol of Type=notify and WatchdogSec=.
package sdnotify

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier sends messages to the service manager. A nil one sends nothing: there is no manager that asked.
type Notifier struct {
	address  string
	watchdog time.Duration
}

// New reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from environ, which is as os.Environ gives it; pid is this
// process's. It gives nil where no manager listens.
func New(environ []string, pid int) *Notifier {
	env := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	address := env["NOTIFY_SOCKET"]
	if address == "" || address[0] != '/' && address[0] != '@' {
		return nil
	}
	n := &Notifier{address: address}
	if usec, err := strconv.ParseInt(env["WATCHDOG_USEC"], 10, 64); err == nil && usec > 0 {
		if p := env["WATCHDOG_PID"]; p == "" || p == strconv.Itoa(pid) {
			n.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return n
}

// Watchdog is how long the manager waits for the next [Notifier.Alive] before it takes the service for dead; 0: for ever.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready tells that the service has started, or has finished a reload.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", "STATUS="+line(status)) }

// Reloading tells that a reload has begun. Ready has to follow, whatever comes of it.
func (n *Notifier) Reloading() error {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return fmt.Errorf("reading the monotonic clock: %w", err)
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(t.Nano()/1000, 10))
}

// Stopping tells that the service is about to end.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1", "STATUS=Stopping") }

// Status tells people in one line how the service is; `systemctl status` shows it.
func (n *Notifier) Status(text string) error { return n.send("STATUS=" + line(text)) }

// Alive keeps the watchdog quiet.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// send sends one datagram of assignments, one a line.
func (n *Notifier) send(assignments ...string) error {
	if n == nil {
		return nil
	}
	// A name that begins with @ is one of the abstract namespace, for net as for systemd.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // a manager that is restarting must not hold the service up
	if _, err := c.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}

// line keeps a text from becoming further assignments.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }
