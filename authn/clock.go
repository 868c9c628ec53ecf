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
	doubt  bool
	by     time.Duration // how far the clock jumped
}

// Observe compares the wall clock with boot time, which no one sets and which runs through a suspend. confirmed is the
// word of a witness that the wall clock is right; it is asked only after a jump. It reports whether this observation
// began a doubt.
func (c *Clock) Observe(wall time.Time, boot time.Duration, confirmed func() bool) (began bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	offset := time.Duration(wall.UnixNano()) - boot
	if !c.known {
		c.known, c.offset, c.seen = true, offset, boot
		return false
	}
	apart := offset - c.offset
	follow := clockFollow * time.Duration(max(1, (boot-c.seen)/time.Second))
	c.seen = boot
	if apart.Abs() <= clockSlack {
		c.offset += min(max(apart, -follow), follow)
		if c.doubt && c.by == 0 {
			return false // begun by BeginDoubt: only a witness or an operator ends it
		}
		c.doubt = false // the clock came back by itself
		return false
	}
	if c.doubt && c.by == apart {
		return false
	}
	if confirmed != nil && confirmed() {
		c.offset, c.doubt, c.by = offset, false, 0
		return false
	}
	began = !c.doubt
	c.doubt, c.by = true, apart
	return began
}

// BeginDoubt puts the clock in doubt at start, when it stands before the last event of the chain.
func (c *Clock) BeginDoubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubt, c.by = true, 0
}

// Doubt reports whether time-based codes are on hold.
func (c *Clock) Doubt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubt
}

// Accept ends a doubt on an operator's word: the wall clock is right as it stands.
func (c *Clock) Accept(wall time.Time, boot time.Duration) (was bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was = c.doubt
	c.known, c.offset, c.seen = true, time.Duration(wall.UnixNano())-boot, boot
	c.doubt, c.by = false, 0
	return was
}
