package authn

import (
	"sync"
	"time"
)

// clockSlack is how far wall time and boot time may part before the wall clock is in doubt (S21); clockFollow is how much
// of a slow slew is followed for every second that passes.
const (
	clockSlack  = 5 * time.Second
	clockFollow = time.Millisecond
)

// Clock holds a watch on the wall clock: a jump that nothing confirms puts time-based codes on hold, because a clock set
// forward poisons tokens and one set back reopens codes. The zero value is ready and not in doubt.
type Clock struct {
	mu     sync.Mutex
	known  bool
	offset time.Duration // wall minus boot time, as last trusted
	seen   time.Duration // boot time of the last observation
	jumped bool          // the clock parted from boot time and nothing confirmed it
	behind bool          // begun by BeginDoubt: the clock coming back by itself does not end it
}

// Observe compares the wall clock with boot time, which no one sets and which runs through a suspend. confirmed is the
// word of a witness that the wall clock is right; it is asked only while there is a doubt, may take its time, and time-based
// codes are on hold meanwhile. It reports whether this observation began a doubt. One goroutine calls it.
func (c *Clock) Observe(wall time.Time, boot time.Duration, confirmed func() bool) (began bool) {
	before, now := c.compare(wall, boot)
	if !now {
		return false
	}
	// The lock is free while the witness is asked: every login looks at Doubt.
	if confirmed != nil && confirmed() {
		c.Accept(wall, boot)
		return false
	}
	return !before
}

// compare is Observe without the witness: whether the clock was in doubt before, and whether it is now.
func (c *Clock) compare(wall time.Time, boot time.Duration) (before, now bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.jumped || c.behind
	offset := time.Duration(wall.UnixNano()) - boot
	if !c.known {
		c.known, c.offset, c.seen = true, offset, boot
		return before, before
	}
	apart := offset - c.offset
	follow := clockFollow * max(1, (boot-c.seen)/time.Second)
	c.seen = boot
	if c.jumped = apart.Abs() > clockSlack; !c.jumped {
		c.offset += min(max(apart, -follow), follow)
	}
	return before, c.jumped || c.behind
}

// BeginDoubt puts the clock in doubt at start, when it stands before the last event of the chain.
func (c *Clock) BeginDoubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = true
}

// Doubt reports whether time-based codes are on hold.
func (c *Clock) Doubt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jumped || c.behind
}

// Accept ends a doubt on an operator's word: the wall clock is right as it stands.
func (c *Clock) Accept(wall time.Time, boot time.Duration) (was bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was = c.jumped || c.behind
	c.known, c.offset, c.seen = true, time.Duration(wall.UnixNano())-boot, boot
	c.jumped, c.behind = false, false
	return was
}
