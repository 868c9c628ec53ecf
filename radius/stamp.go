package radius

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// stampTrust is the oldest that a datagram in a socket's queue can be taken for.
const stampTrust = time.Minute

// readStamp reads the time at which the kernel took a datagram in, a struct timespec; zero where it is none.
func readStamp(b []byte) int64 {
	switch len(b) {
	case 16:
		return int64(binary.NativeEndian.Uint64(b))*int64(time.Second) + int64(binary.NativeEndian.Uint64(b[8:]))
	case 8: // of 32-bit machines
		return int64(nativeUint32(b))*int64(time.Second) + int64(nativeUint32(b[4:]))
	}
	return 0
}

// age is how long a datagram waited in the socket's queue, by its stamp and the wall clock at its reading, both in
// nanoseconds since 1970. Where the two cannot be, the clock was set meanwhile, and the datagram counts as new.
func age(stamp, wall int64) time.Duration {
	d := time.Duration(wall - stamp)
	if stamp == 0 || d < 0 || d > stampTrust {
		return 0
	}
	return d
}

// stale reports that a datagram has waited so long to be read that its gateway repeats it about when an answer could come:
// half of retry_after. A queue that is longer serves everybody so late, and the repetitions make it longer still; what is
// dropped comes again, when its gateway repeats it, to a short queue.
func (c *client) stale(p *path) bool { return p.age > c.login.RetryAfter/2 }

// askStamps lets the kernel stamp what it takes in. Where it cannot, nothing is ever stale.
func askStamps(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }
