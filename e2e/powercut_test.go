package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"layeh.com/radius"

	"sekisho/internal/testenv/powercut"
	"sekisho/token"
)

// onDisk is a site whose database and mark lie on a disk of ours.
func onDisk(t *testing.T) (*powercut.FS, *site) {
	t.Helper()
	disk := powercut.Mount(t)
	s := newSite(t, siteOptions{Data: filepath.Join(disk.Dir, "data"), Mark: filepath.Join(disk.Dir, "mark"),
		Storage: "  ballast: 1\n  free_space: 1\n"})
	disk.SyncAll()
	return disk, s
}

// cut takes the power away in the middle of the crowd's work and gives it back; the server is not started.
func (c *crowd) cut(disk *powercut.FS, rng *rand.Rand, span time.Duration) {
	loss := powercut.Loss(rng.IntN(2))
	c.rush(span, func() {
		disk.Cut(loss, rng)
		c.s.kill()
	})
	disk.Restore()
}

// TestPowerCuts takes the power away under load, again and again; what was not synced is lost, or part of it. In some
// rounds the server was killed before, and opened what was written and never synced (S6). No step passes twice, no accept
// that a client saw is forgotten, no miss that was answered is taken back.
func TestPowerCuts(t *testing.T) {
	cuts := sized(t, 1000, 50, 3)
	disk, s := onDisk(t)
	s.start()
	c := newCrowd(t, s, 16, 2*cuts)
	rng := seeded(t)
	reopened := 0
	span := func() time.Duration { return time.Duration(20+rng.IntN(200)) * time.Millisecond }
	start := func(after string) {
		if err := s.tryStart(60 * time.Second); err != nil {
			t.Fatalf("after %s: %v", after, err)
		}
	}
	for cut := range cuts {
		switch cut % 3 {
		case 1: // killed, opened again, and cut
			c.rush(span(), s.kill)
			start("a kill")
			c.counted()
			reopened++
		case 2: // syncs fail, killed, opened again on what is in the kernel's memory alone, answered, and cut
			c.rush(span(), func() {
				disk.Set(powercut.Faults{Sync: syscall.EIO})
				time.Sleep(50 * time.Millisecond)
				s.kill()
			})
			disk.Set(powercut.Faults{})
			start("syncs that failed")
			c.again()
			reopened++
		}
		c.cut(disk, rng, span())
		start(fmt.Sprintf("cut %d", cut+1))
		c.again()
	}
	c.chain()
	t.Logf("%d power cuts, %d of them on what was opened again, %s, %d syncs", cuts, reopened, c, disk.Syncs())
}

// TestPowerCutControls wants losses of each kind where there must be some: with what synchronous=NORMAL leaves out, and on a
// disk that ignores syncs. If one kind went unseen, TestPowerCuts would say nothing of it.
func TestPowerCutControls(t *testing.T) {
	kinds := []string{acceptedAgain, acceptForgotten, missForgotten}
	for name, lie := range map[string]powercut.Lie{"synchronous=NORMAL": powercut.Normal, "syncs ignored": powercut.Ignore} {
		t.Run(name, func(t *testing.T) {
			disk, s := onDisk(t)
			s.start()
			const most = 10
			c := newCrowd(t, s, 16, most)
			disk.SyncAll()
			disk.Lie(lie)
			var mu sync.Mutex
			seen := map[string]int{}
			c.fail = func(kind string, _ ...any) {
				mu.Lock()
				defer mu.Unlock()
				seen[kind]++
			}
			rng, cuts := seeded(t), 0
			unseen := func(kind string) bool { return seen[kind] == 0 }
			for ; cuts < most && slices.ContainsFunc(kinds, unseen); cuts++ {
				c.rush(500*time.Millisecond, func() {
					disk.Cut(powercut.AllUnsynced, rng)
					s.kill()
				})
				disk.Restore()
				if err := s.tryStart(60 * time.Second); err != nil {
					t.Fatalf("after cut %d: %v", cuts+1, err)
				}
				c.again()
				c.chain()
			}
			for _, kind := range kinds {
				if unseen(kind) {
					t.Errorf("%d cuts, and the test never saw that %q", cuts, kind)
				}
			}
			t.Logf("after %d cuts: %d accepted again, %d accepts and %d misses forgotten", cuts,
				seen[acceptedAgain], seen[acceptForgotten], seen[missForgotten])
		})
	}
}

// TestDiskFaults lets the disk fail under a running server in each way a disk can: answers stop, the reason is on /readyz
// and in the log, nothing is accepted unrecorded, and it goes on by itself when the cause is gone.
func TestDiskFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults powercut.Faults
		reason string
	}{
		{"full", powercut.Faults{Write: syscall.ENOSPC}, `full|no space|no room`},
		{"fsync fails", powercut.Faults{Sync: syscall.EIO}, `I/O|input/output`},
		{"writes fail", powercut.Faults{Write: syscall.EIO}, `I/O|input/output`},
		{"short writes", powercut.Faults{Short: true}, `full|no space|no room|I/O`},
		{"read-only", powercut.Faults{ReadOnly: true}, `read-?only|I/O`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			disk, s := onDisk(t)
			s.start()
			k := newKeys(t, token.HOTP, "D", 1)[0]
			s.load([]*key{k}, []string{"somebody"})
			seen := map[int64]bool{}
			step := int64(0)
			login := func(gw *nas, step int64) bool {
				a, err := gw.login(context.Background(), "somebody", k.code(step), nil)
				ok := err == nil && a.code == radius.CodeAccessAccept
				if ok && seen[step] {
					t.Errorf("step %d was accepted again", step)
				}
				seen[step] = seen[step] || ok
				return ok
			}
			if !login(s.gw(), step) {
				t.Fatal("the first login failed")
			}

			disk.Set(tt.faults)
			once := s.gw()
			once.retry, once.tries = 300*time.Millisecond, 1
			var body string
			waitFor(t, 60*time.Second, "the server says that it is not ready", func() bool {
				if step < 8 { // no further than the window of the token reaches
					step++
				}
				if login(once, step) {
					t.Errorf("step %d was accepted on a broken disk", step)
				}
				var status int
				body, status = s.get("/readyz")
				return status == 503
			})
			words := regexp.MustCompile(`(?i)` + tt.reason)
			if !words.MatchString(body) {
				t.Errorf("/readyz does not name the reason: %q", body)
			}
			if log, err := os.ReadFile(s.log); err != nil || !words.Match(log) {
				t.Errorf("the log does not name the reason (%v)", err)
			}

			disk.Set(powercut.Faults{})
			waitFor(t, 60*time.Second, "it recovers by itself", s.ready)
			if step++; !login(s.gw(), step) {
				t.Errorf("step %d was refused on a good disk", step)
			}
			disk.Cut(powercut.AllUnsynced, nil)
			s.kill()
			disk.Restore()
			s.start()
			for old := range step + 1 {
				login(s.gw(), old)
			}
			chained := map[int64]bool{}
			for _, l := range s.logins("--all", "--reason", "ok") {
				chained[l.Step] = true
			}
			for step, ok := range seen {
				if ok && !chained[step] {
					t.Errorf("the accept of step %d does not stand in the chain", step)
				}
			}
			t.Logf("/readyz said %q", body)
		})
	}
}
