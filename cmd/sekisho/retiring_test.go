package main

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/authn"
)

// closer is a directory that knows whether it was closed.
type closer struct {
	authn.Directory
	closed atomic.Bool
}

func (c *closer) Close() { c.closed.Store(true) }

// TestRetiring: directories of a former configuration close when no login and no call can ask them any more.
func TestRetiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r retiring
		retire := func() (*closer, *parts) {
			c := &closer{}
			p := &parts{calls: new(atomic.Int64), directories: authn.Directories{{Name: "d", Directory: c}}}
			r.add(p)
			return c, p
		}
		after := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		quick, _ := retire()
		slow, calls := retire()
		stuck, always := retire()
		calls.calls.Add(1)
		always.calls.Add(1)
		after(longestLogin - time.Second)
		if quick.closed.Load() {
			t.Error("closed while a login could still ask")
		}
		after(2 * time.Second)
		if !quick.closed.Load() || slow.closed.Load() {
			t.Error("not closed, or closed under a call")
		}
		calls.calls.Add(-1)
		after(longestLogin)
		if !slow.closed.Load() || stuck.closed.Load() {
			t.Error("not closed when the call had ended")
		}
		after(longestCall)
		if !stuck.closed.Load() {
			t.Error("a call without end keeps a directory")
		}
		last, _ := retire()
		r.closeAll()
		if !last.closed.Load() {
			t.Error("open after the stop")
		}
		after(2 * longestLogin)
	})
}
