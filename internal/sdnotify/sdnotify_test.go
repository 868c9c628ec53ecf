package sdnotify

import (
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func TestMessages(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "notify"), "@sekisho-" + filepath.Base(t.TempDir()) + "-" + time.Now().Format("150405.000000000")} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		n := New([]string{"NOTIFY_SOCKET=" + address}, 7)
		for _, step := range []struct {
			send func() error
			want string
		}{
			{func() error { return n.Ready("2 clients") }, `^READY=1\nSTATUS=2 clients$`},
			{n.Reloading, `^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+$`},
			{func() error { return n.Status("bad\nREADY=1") }, `^STATUS=bad READY=1$`},
			{n.Alive, `^WATCHDOG=1$`},
			{n.Stopping, `^STOPPING=1\nSTATUS=Stopping$`},
		} {
			if err := step.send(); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1024)
			_ = manager.SetReadDeadline(time.Now().Add(10 * time.Second))
			size, err := manager.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(b[:size]); !regexp.MustCompile(step.want).MatchString(got) {
				t.Errorf("%s got %q, want %s", address, got, step.want)
			}
		}
		_ = manager.Close()
		if n.Alive() == nil {
			t.Error("a manager that is gone is no error")
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		environ  []string
		some     bool
		watchdog time.Duration
	}{
		{nil, false, 0},
		{[]string{"NOTIFY_SOCKET="}, false, 0},
		{[]string{"NOTIFY_SOCKET=relative", "WATCHDOG_USEC=5"}, false, 0},
		{[]string{"NOTIFY_SOCKET=/run/x"}, true, 0},
		{[]string{"NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=3000000"}, true, 3 * time.Second},
		{[]string{"NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=3000000", "WATCHDOG_PID=7"}, true, 3 * time.Second},
		{[]string{"NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=3000000", "WATCHDOG_PID=8"}, true, 0},
		{[]string{"NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=-1"}, true, 0},
		{[]string{"NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=soon"}, true, 0},
	} {
		n := New(tt.environ, 7)
		if (n != nil) != tt.some || n.Watchdog() != tt.watchdog {
			t.Errorf("%q: %v, watchdog %v", tt.environ, n, n.Watchdog())
		}
	}
	var none *Notifier
	if err := none.Ready("x"); err != nil {
		t.Error(err)
	}
}
