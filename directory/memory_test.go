package directory

import (
	"fmt"
	"testing"
	"time"

	"sekisho/authn"
)

func TestCacheIsBounded(t *testing.T) {
	var c cache
	now := time.Now()
	u := &authn.User{Name: "x"}
	for i := range 3 * cacheLimit {
		c.put(fmt.Sprint(i), cached{user: u, until: now.Add(time.Minute)}, now)
	}
	if n := len(c.entries); n > cacheLimit {
		t.Errorf("%d entries", n)
	}
	// What is over gives way before what is not.
	c = cache{}
	for i := range cacheLimit {
		c.put(fmt.Sprint("old", i), cached{user: u, until: now}, now)
	}
	const fresh, mayGo = cacheLimit / 2, cacheLimit / 200
	for i := range fresh {
		c.put(fmt.Sprint("new", i), cached{user: u, until: now.Add(time.Minute)}, now)
	}
	gone := 0
	for i := range fresh {
		if _, ok := c.get(fmt.Sprint("new", i), now); !ok {
			gone++
		}
	}
	if gone > mayGo {
		t.Errorf("%d of %d entries gave way although as many were over", gone, fresh)
	}
	if _, ok := c.get("old1", now); ok {
		t.Error("an entry counts at its end")
	}
}

func TestBindTimes(t *testing.T) {
	var b bindTimes
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	want := func(what string, at time.Time, d time.Duration) {
		t.Helper()
		if got := b.p99(at); got != d {
			t.Errorf("%s: %v, want %v", what, got, d)
		}
	}
	want("no bind", now, 250*time.Millisecond)
	for range 990 {
		b.add(now, 3*time.Millisecond)
	}
	want("fast", now, 250*time.Millisecond)
	for range 10 {
		b.add(now.Add(time.Minute), 1100*time.Millisecond)
	}
	want("1 % slow", now.Add(time.Minute), 250*time.Millisecond)
	b.add(now.Add(time.Minute), 1100*time.Millisecond)
	want("more than 1 % slow", now.Add(time.Minute), 1250*time.Millisecond)
	want("the fast ones are 10 minutes old", now.Add(10*time.Minute), 1250*time.Millisecond)
	want("all are", now.Add(11*time.Minute), 250*time.Millisecond)
	b.add(now.Add(20*time.Minute), 250*time.Millisecond)
	want("a whole step", now.Add(20*time.Minute), 250*time.Millisecond)
	b.add(now.Add(31*time.Minute), 251*time.Millisecond)
	want("a little more", now.Add(31*time.Minute), 500*time.Millisecond)
	b.add(now.Add(45*time.Minute), time.Hour)
	want("endless", now.Add(45*time.Minute), bindSteps*bindStep)
	b.add(now.Add(60*time.Minute), 0)
	want("no time at all", now.Add(60*time.Minute), 250*time.Millisecond)
	want("clock set back", now, 250*time.Millisecond)
}
