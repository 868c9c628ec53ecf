package authn

import (
	"bytes"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// sourceOf reads a Calling-Station-Id as an address: an IPv4 address, or the /64 of an IPv6 one, with or without a port.
// ok is false for anything else, such as a MAC address.
func sourceOf(station []byte) (p netip.Prefix, ok bool) {
	if a, ok := plainIPv4(station); ok {
		if a.IsUnspecified() {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a, 32), true
	}
	s := string(bytes.TrimSpace(station))
	if len(s) > 64 {
		return p, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			// strongSwan writes address[port].
			bare, _, found := strings.Cut(s, "[")
			if a, err = netip.ParseAddr(bare); err != nil || !found {
				return p, false
			}
		} else {
			a = ap.Addr()
		}
	}
	a = a.Unmap().WithZone("")
	if a.IsUnspecified() {
		return p, false // some gateways write 0.0.0.0 where they do not know; it is nobody's place
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err = a.Prefix(bits)
	return p, err == nil
}

// plainIPv4 reads what nearly every gateway sends, without the memory that errors need. What it refuses may be an address
// all the same.
func plainIPv4(text []byte) (netip.Addr, bool) {
	var b [4]byte
	n, value, digits := 0, 0, 0
	for i := range text {
		switch c := text[i]; {
		case c >= '0' && c <= '9' && digits < 3 && !(digits > 0 && value == 0):
			value, digits = 10*value+int(c-'0'), digits+1
		case c == '.' && digits > 0 && value <= 255 && n < 3:
			b[n] = byte(value)
			n, value, digits = n+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	b[3] = byte(value)
	return netip.AddrFrom4(b), n == 3 && digits > 0 && value <= 255
}

// spelling brings the spellings of a name that nobody has together as directories do for those of their people: blanks
// around it, width and case make no difference. Else row 4 would come later for unknown names typed in several ways.
//
// The result may share the octets of name.
func spelling(name []byte) []byte {
	if isASCII(name) { // the same, at a fraction of the cost
		name = bytes.TrimSpace(name)
		if bytes.ContainsFunc(name, func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
			name = appendLower(nil, name)
		}
		return name
	}
	folded := norm.NFKC.Bytes(cases.Fold().Bytes(norm.NFKC.Bytes(name)))
	return bytes.TrimSpace(folded)
}

const (
	sourceEntries = 100_000
	floodFrom     = 20 // attempts a minute from which refusals share one row of the audit (S25)
)

// tallyKeeps is up to how many entries a minute's memory serves the next one too.
const tallyKeeps = 1000

// tally counts per calendar minute what came from where. It lives in memory, bounded; the zero value is ready. Keys past
// the bound are not counted: they lose row 4 alone, never the account's own limits.
type tally struct {
	newest atomic.Int64 // the minute of the newest failure; nearly every login finds that this one has none

	mu     sync.Mutex
	minute int64
	counts map[[16]byte]int
}

// add counts one for a key and returns how many this minute has now.
func (t *tally) add(key [16]byte, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	t.newest.Store(t.minute)
	if _, ok := t.counts[key]; !ok && len(t.counts) >= sourceEntries {
		return 1
	}
	t.counts[key]++
	return t.counts[key]
}

// any reports that something may have been counted in this minute.
func (t *tally) any(now time.Time) bool { return t.newest.Load() == now.Unix()/60 }

// get is how many the key has in this minute.
func (t *tally) get(key [16]byte, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	return t.counts[key]
}

func (t *tally) turn(now time.Time) {
	m := now.Unix() / 60
	if m == t.minute && t.counts != nil {
		return
	}
	t.minute = m
	if t.counts == nil || len(t.counts) > tallyKeeps {
		t.counts = make(map[[16]byte]int)
	} else {
		clear(t.counts)
	}
}
