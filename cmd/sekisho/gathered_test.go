package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"sekisho/authn"
)

// writes counts how often it is written to.
type writes struct {
	n    int
	text strings.Builder
}

func (w *writes) Write(b []byte) (int, error) {
	w.n++
	return w.text.Write(b)
}

// TestGatheredLog: a batch is one write, whatever is logged beside it; outside of batches each line leaves at once.
func TestGatheredLog(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		w := &writes{}
		log := newLog(w, LogConfig{Level: "info", Format: format})
		log.Info("first")
		if w.n != 1 || !strings.Contains(w.text.String(), "first") {
			t.Fatalf("%s: %d writes of %q", format, w.n, w.text.String())
		}
		g := log.Handler().(authn.Gatherer)
		g.Gather(func() {
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() { log.Info(fmt.Sprint("line ", i, ".")) })
			}
			wg.Wait()
			if w.n != 1 {
				t.Errorf("%s: %d writes before the batch is whole", format, w.n)
			}
		})
		if w.n != 2 || strings.Count(w.text.String(), "\n") != 101 {
			t.Errorf("%s: %d writes, %d lines", format, w.n, strings.Count(w.text.String(), "\n"))
		}
		g.Gather(func() {
			for range 10_000 {
				log.Info(strings.Repeat("x", 100))
			}
			if w.n < 10 {
				t.Errorf("%s: a megabyte waits for the end of its batch", format)
			}
		})
		func() {
			defer func() { _ = recover() }()
			g.Gather(func() { panic("half a batch") })
		}()
		before := w.n
		if log.Info("last"); w.n != before+1 {
			t.Errorf("%s: after a panic lines wait for ever", format)
		}
	}
}
